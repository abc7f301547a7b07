//! Which run it is, and what came of it.

use super::nature::{Dimension, Nature};
use super::rules;
use super::run::Run;
use fastrand::Rng;
use world::mistake::{self, Mistake};

/// What a run is made of; everything else follows from the seed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// A mistake that the relay makes.
    pub mistake: Option<Mistake>,
    /// Keep a trace for people.
    pub traced: bool,
    /// What goes wrong.
    pub world: WorldKind,
    /// What is ordinary in a random world whatever the seed says.
    pub without: Vec<Dimension>,
}

/// Kinds of world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldKind {
    /// All by the seed, each dimension of it ordinary or at its edges.
    Random,
    /// Three entities with success, retry and dead letter; a worker is killed at these of its calls.
    Small(Vec<(u64, bool)>),
    /// The same entities, which the PIM refuses to give: they are given up, and nothing is in flight.
    Unread(Vec<(u64, bool)>),
    /// An upstream asks for thirty seconds of rest, once.
    Wait {
        /// The PIM rather than the destination.
        of_pim: bool,
    },
    /// A week of edits, half of whose deliveries are lost, with reconciliation at work; all else by the seed.
    Week,
    /// A world for a test to act in by itself: reconciliation is at work, and nothing goes wrong that it does not ask
    /// for.
    Stage {
        /// How many products there are.
        products: usize,
        /// And how many models.
        models: usize,
    },
    /// Many events, and an upstream that is down for eight hours.
    Outage {
        /// The PIM rather than the destination.
        of_pim: bool,
        /// How many events wait.
        events: usize,
    },
}

impl Scenario {
    /// A random week.
    pub fn week(seed: u64) -> Scenario {
        Scenario {
            world: WorldKind::Week,
            ..Scenario::random(seed)
        }
    }

    /// A random world.
    pub fn random(seed: u64) -> Scenario {
        Scenario {
            seed,
            mistake: None,
            traced: false,
            world: WorldKind::Random,
            without: Vec::new(),
        }
    }
}

/// When calls came, in milliseconds, and what they were answered.
pub type Calls = Vec<(u64, u16)>;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What did not hold; empty is good.
    pub violations: Vec<String>,
    /// Calls that workers made of store and upstreams.
    pub calls: u64,
    /// Deliveries acknowledged.
    pub acknowledged: usize,
    /// Processes killed.
    pub killed: u64,
    /// Calls of the PIM and of the destination.
    pub upstream_calls: (usize, usize),
    /// Dead letters before they were replayed.
    pub dead_letters: usize,
    /// The largest share of the retry budget in use.
    pub largest_ratio: f64,
    /// Of the calls of workers, those until the end of the second tick that worked.
    pub calls_of_work: u64,
    /// Calls of the upstream that was down, while it was.
    pub calls_in_outage: usize,
    /// When the PIM was called, in milliseconds, and what it answered; the same of the destination.
    pub calls_at: (Calls, Calls),
    /// What the world was made of in the end.
    pub nature: Nature,
    /// The most calls and writes that nothing came of, as shares of what is allowed.
    pub worst_effort: (f64, f64),
    /// The most often that the destination took the same body in a row.
    pub most_alike: u32,
    /// What happened.
    pub trace: Vec<String>,
}

/// Runs a scenario to its end and checks the rules.
pub fn run(scenario: &Scenario) -> Outcome {
    mistake::make(scenario.mistake);
    let mut random = Rng::with_seed(scenario.seed);
    let run = Run::new(scenario, &mut random);
    let dead_letters = run.drive(scenario, &mut random);
    mistake::make(None);
    let violations = rules::check(&run, &mut random);
    run.executor.end();
    let shared = run.shared.borrow();
    Outcome {
        violations,
        calls: shared.calls,
        acknowledged: run.acknowledged.borrow().len(),
        killed: shared.killed,
        upstream_calls: (shared.pim.calls.len(), shared.destination.log.len()),
        dead_letters,
        largest_ratio: shared.largest_ratio,
        calls_of_work: shared.calls_of_work,
        calls_in_outage: run.calls_in_outage.get(),
        calls_at: (
            shared.pim.calls.iter().map(|call| (call.at_ms, call.status)).collect(),
            shared
                .destination
                .log
                .iter()
                .map(|request| (request.at_ms, request.status))
                .collect(),
        ),
        nature: shared.nature.clone(),
        worst_effort: shared.effort.worst,
        most_alike: shared.effort.most_alike,
        trace: shared.trace.clone(),
    }
}
