//! What the processes of a world share: the store, the upstreams, what goes wrong, and what was seen.

use super::doors::Doors;
use super::effort::Effort;
use super::faults::{Lone, Proxy};
use super::identities::Names;
use super::nature::Nature;
use super::rules::keys::SentByPath;
use fastrand::Rng;
use simulator::catalogue::EntityId;
use simulator::destination::Destination;
use simulator::pim::Pim;
use std::collections::{BTreeMap, BTreeSet};

/// What may go wrong, as chances per call; all zero in a healed world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chances {
    /// A process is killed at this call.
    pub kill: f64,
    /// A worker stands still at this call, past its lease.
    pub pause: f64,
    /// A store call fails: half of them before, half after it took effect.
    pub store: f64,
    /// A batch of keys is half done and then fails.
    pub half: f64,
}

/// How many calls of the store failed, by who made them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failed {
    /// Those of ingests.
    pub of_ingests: u64,
    /// Those of workers.
    pub of_workers: u64,
}

/// A pause that a test plans for a worker.
#[derive(Debug, Clone)]
pub struct Stall {
    /// Text of the call before which the worker stands still.
    pub call: String,
    /// How many such calls pass first.
    pub passing: u32,
    /// How long it stands still, in milliseconds.
    pub ms: u64,
    /// Whether the whole machine is suspended, and its monotonic clock with it.
    pub is_suspension: bool,
}

/// A wait that an upstream asked for, until when, and when it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) upstream: &'static str,
    pub(super) until_ms: u64,
    pub(super) told_ms: u64,
}

/// All that the processes share.
pub struct Shared {
    /// The store.
    pub store: BTreeMap<String, Vec<u8>>,
    /// The PIM.
    pub pim: Pim,
    /// The destination.
    pub destination: Destination,
    /// What may go wrong.
    pub chances: Chances,
    /// Chance itself.
    pub random: Rng,
    /// Calls so far by workers, killed at these numbers (before or after the call).
    pub calls: u64,
    /// Those until the end of the second tick that worked.
    pub calls_of_work: u64,
    pub(super) worked: u64,
    /// The calls at which a worker is killed: number, and whether after the call.
    pub kills: Vec<(u64, bool)>,
    /// Store calls of ingests and of workers that failed.
    pub failed: Failed,
    /// Processes killed.
    pub killed: u64,
    /// Processes paused.
    pub paused: u64,
    /// When each entity was fetched: the beginning of the call, by code.
    pub fetches: Vec<(u64, Vec<u8>, String)>,
    /// What the destination was sent.
    pub sent: SentByPath,
    /// What was broken, found while it happened.
    pub violations: Vec<String>,
    /// Writes of the store, deletions included, by the kind of key.
    pub writes: BTreeMap<String, u64>,
    /// How many bytes of values the worker read and wrote, by kind of key.
    pub traffic: BTreeMap<String, usize>,
    /// What people were alerted of.
    pub alerts: BTreeSet<String>,
    /// What happened, for people; kept short.
    pub trace: Vec<String>,
    /// Whether to keep a trace.
    pub traced: bool,
    /// First attempts and retries by upstream, and since when they are counted.
    pub attempts: BTreeMap<String, (u64, u64, u64)>,
    pub(super) waits: Vec<Wait>,
    /// Pauses that a test plans.
    pub stalls: Vec<Stall>,
    /// Deliveries that were put off with 429.
    pub put_off: u64,
    /// How far the clocks of ingest's hosts are ahead, in milliseconds.
    pub ingest_ahead_ms: i64,
    /// The keys of which the log said that what lay under them was damaged.
    pub damaged: BTreeSet<String>,
    /// Alerts with their texts and times.
    pub told: Vec<(u64, String)>,
    /// The largest share of its budget that retries have used.
    pub largest_ratio: f64,
    /// What this world is made of.
    pub nature: Nature,
    /// Entities that fail alone.
    pub(super) lone: Vec<Lone>,
    /// Entities that an upstream alone asks to come less often.
    pub(super) asked_alone: Vec<EntityId>,
    /// Proxies that answer in place of upstreams.
    pub(super) proxies: Vec<Proxy>,
    /// Of every key that was written, when last, in milliseconds, by whom, and what was there before.
    pub(super) before: BTreeMap<String, (u64, String, Option<Vec<u8>>)>,
    /// Writes that have not landed yet.
    pub(super) landing: usize,
    /// Writes that landed late.
    pub(super) landed: u64,
    /// Values that were read as they had been a moment before.
    pub(super) read_stale: u64,
    /// How often that was the lease, so that two workers may have worked at once.
    pub(super) stale_leases: u64,
    /// What is made at the destination by requests that land late and that a worker sent after it had stood still.
    pub(super) held_up: Vec<String>,
    /// When the worker last published what waits, in milliseconds.
    pub(super) published_ms: u64,
    /// Whether clocks of hosts may be further apart than what is asked of hosts' clocks.
    pub(super) has_far_clocks: bool,
    /// How many entities the PIM has at least.
    pub(super) entities: usize,
    /// Whether deliveries that are put off without need are a violation.
    pub(super) is_watched: bool,
    /// What is done for nothing.
    pub effort: Effort,
    /// The tokens of upstreams.
    pub doors: Doors,
    /// What products are called, where that can change.
    pub names: Names,
}

impl Shared {
    /// Everything at its beginning.
    pub fn new(pim: Pim, destination: Destination, random: Rng) -> Shared {
        Shared {
            store: BTreeMap::new(),
            pim,
            destination,
            chances: Chances::default(),
            random,
            calls: 0,
            calls_of_work: 0,
            worked: 0,
            kills: Vec::new(),
            failed: Failed::default(),
            killed: 0,
            paused: 0,
            fetches: Vec::new(),
            sent: SentByPath::new(),
            violations: Vec::new(),
            writes: BTreeMap::new(),
            traffic: BTreeMap::new(),
            alerts: BTreeSet::new(),
            trace: Vec::new(),
            traced: false,
            attempts: BTreeMap::new(),
            waits: Vec::new(),
            stalls: Vec::new(),
            put_off: 0,
            ingest_ahead_ms: 0,
            damaged: BTreeSet::new(),
            told: Vec::new(),
            largest_ratio: 0.0,
            nature: Nature::ordinary(),
            lone: Vec::new(),
            asked_alone: Vec::new(),
            proxies: Vec::new(),
            before: BTreeMap::new(),
            landing: 0,
            landed: 0,
            read_stale: 0,
            stale_leases: 0,
            held_up: Vec::new(),
            published_ms: 0,
            has_far_clocks: false,
            entities: 0,
            is_watched: false,
            effort: Effort::default(),
            doors: Doors::default(),
            names: Names::default(),
        }
    }

    /// Whether a worker may not have known what another one had written: it stood still, or the write was late, or what was
    /// read was old.
    pub(super) fn is_disturbed(&self) -> bool {
        self.paused + self.landed + self.read_stale > 0 || self.landing > 0
    }

    pub(super) fn note(&mut self, now_ms: u64, who: &str, what: impl FnOnce() -> String) {
        if self.traced {
            let at_s = (now_ms % 100_000_000) as f64 / 1000.0;
            self.trace.push(format!("{at_s:>9.3} {who:<10} {}", what()));
        }
    }
}
