//! The tools of a tick that holds the lease, from its beginning to its report.
//!
//! A session is made once in a tick, of what the tick has listed and loaded. It only puts the parts together: whoever
//! is handed a part need not know the session. Each new listing goes to [`Session::plan_anew`], which renews all that
//! depends on one.

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
use upstream::governor::Governor;
use world::host::Host;

/// The tools of a tick.
pub struct Session<'a, H> {
    /// What everybody needs.
    pub desk: Desk<'a, H>,
    /// The PIM and the destination.
    pub upstreams: Upstreams<'a, H>,
    /// What waits, by the last listing.
    pub backlog: Backlog,
    /// The records: what is kept and what is told.
    pub books: Books,
    /// Lists in which shapes look things up.
    pub lists: Lists,
}

/// What a session is made of.
pub struct Parts<'a, H> {
    /// The host: its store, calls, clocks, chance and log.
    pub host: &'a H,
    /// The configuration.
    pub config: &'a WorkerConfig,
    /// The lease under which the tick works.
    pub lease: &'a Lease,
    /// What waits, by the last listing.
    pub plan: Plan,
    /// When the plan was made, in seconds since the Unix epoch.
    pub planned_s: u64,
    /// What every call to the PIM goes through.
    pub pim_governor: &'a Governor<'a, H>,
    /// What every call to the destination goes through.
    pub destination_governor: &'a Governor<'a, H>,
    /// What the next tick must know.
    pub state: State,
    /// What ticks did, for people.
    pub history: History,
    /// How far reconciliation has come.
    pub reconciliation: Reconciliation,
    /// For which pair and shape the index is; none before it is first written.
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
        let worker = Segment::of(&lease.token);
        Session {
            desk,
            upstreams: Upstreams::new(desk, pim_governor, destination_governor, &state),
            books: Books::open(&desk, state, history, reconciliation, pair, &plan, worker),
            backlog: Backlog::of(plan, planned_s),
            lists: Lists::default(),
        }
    }

    /// Goes on with a new listing, which was made at `planned_s`, in seconds since the Unix epoch. What was noted since
    /// the one before is forgotten: the new listing tells it.
    pub fn plan_anew(&mut self, plan: Plan, planned_s: u64) {
        self.books.plan_anew(&self.desk, &plan);
        self.backlog = Backlog::of(plan, planned_s);
    }
}
