//! A tick that holds the lease: the upstreams, the plan, what is kept, and what is told at the end.

use crate::backlog::Backlog;
use crate::books::Books;
use crate::lists::Lists;
use crate::tools::{Desk, Upstreams};
use config::WorkerConfig;
use model::entity::Segment;
use queue::lease::Lease;
use queue::plan::Plan;
use records::history::History;
use records::pair::Pair;
use records::reconciliation::Reconciliation;
use records::state::State;
use std::rc::Rc;
use upstream::governor::Governor;
use world::host::Host;

/// The tools of a tick.
pub struct Session<'a, H> {
    /// What everybody needs.
    pub desk: Desk<'a, H>,
    /// The PIM and the destination.
    pub upstreams: Upstreams<'a, H>,
    /// What waits.
    pub backlog: Backlog,
    /// What is kept and what is told.
    pub books: Books,
    /// Lists in which shapes look things up.
    pub lists: Lists,
}

/// What a session is made of.
pub struct Parts<'a, H> {
    /// What is asked of the world.
    pub host: &'a H,
    /// The configuration.
    pub config: &'a WorkerConfig,
    /// The lease under which it works.
    pub lease: &'a Lease,
    /// What waits, by the last listing.
    pub plan: Plan,
    /// When the plan was made, in seconds since the Unix epoch.
    pub planned_s: u64,
    /// What every call of the PIM goes through.
    pub pim_governor: &'a Governor<'a, H>,
    /// What every call of the destination goes through.
    pub destination_governor: &'a Governor<'a, H>,
    /// What the next tick must know.
    pub state: State,
    /// What ticks did.
    pub history: History,
    /// How far reconciliation has come.
    pub reconciliation: Reconciliation,
    /// For which pair and shape the index is.
    pub pair: Option<Pair>,
}

impl<'a, H: Host> Session<'a, H> {
    /// The tools of a tick that begins.
    pub fn new(parts: Parts<'a, H>) -> Self {
        let Parts {
            host,
            config,
            lease,
            plan,
            planned_s,
            pim_governor,
            destination_governor,
            state,
            history,
            reconciliation,
            pair,
        } = parts;
        let desk = Desk { host, config, lease };
        Session {
            desk,
            upstreams: Upstreams::new(desk, pim_governor, destination_governor, &state),
            books: Books::open(state, history, reconciliation, pair, &plan, Segment::of(&lease.token)),
            backlog: Backlog::of(plan, planned_s),
            lists: Lists::default(),
        }
    }

    /// Goes on with a new listing.
    pub fn plan_anew(&mut self, plan: Plan, planned_s: u64) {
        self.books.index = Rc::new(plan.index.clone());
        self.books.claims = Rc::new(plan.claims.clone());
        self.backlog = Backlog::of(plan, planned_s);
    }
}
