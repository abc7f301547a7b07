//! A tick that holds the lease: the upstreams, the plan, what is kept, and what is told at the end.

use crate::config::WorkerConfig;
use crate::destination::{self, Destination};
use crate::entity::{Entity, Kind, Segment};
use crate::failure::{Class, Failure};
use crate::fanout;
use crate::governor::Governor;
use crate::host::{Host, StoreError};
use crate::key::{Change, Key};
use crate::lease::Lease;
use crate::log;
use crate::meta::Meta;
use crate::pim::{self, Pim};
use crate::plan::Plan;
use crate::shape::{Lookups, Need, Shaped};
use crate::state::State;
use serde::Serialize;
use serde_json::Value;
use std::cell::{Cell, RefCell};

/// What a tick did, for its log line and its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What became of the tick: `idle`, `busy` (another worker has the lease), `worked`, `stopped` or `failed`.
    pub outcome: &'static str,
    /// Why it stopped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Events that waited at its beginning.
    pub depth: u64,
    /// Entities that it got through with, whatever came of them.
    pub entities: u64,
    /// Upserts that came through.
    pub upserts: u64,
    /// Deletes that came through.
    pub deletes: u64,
    /// Entities found as they were last pushed.
    pub unchanged: u64,
    /// Entities that the selection refuses; what the destination has of them is deleted.
    pub unwanted: u64,
    /// Entities shaped and hashed.
    pub shaped: u64,
    /// How long that took, in milliseconds.
    pub shaping_ms: u64,
    /// Entities to be tried again.
    pub retries: u64,
    /// Entities given up.
    pub dead_letters: u64,
    /// Deletions held back by the brake.
    pub braked: u64,
    /// Events that it raised itself.
    pub raised: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

impl Report {
    /// The status with which a tick asked for by HTTP is answered: a tick that failed or was stopped says so.
    pub fn status(&self) -> u16 {
        if matches!(self.outcome, "failed" | "stopped") {
            503
        } else {
            200
        }
    }
}

/// The tools of a tick.
pub(crate) struct Session<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) config: &'a WorkerConfig,
    pub(crate) lease: &'a Lease,
    pub(crate) plan: &'a Plan,
    /// When the plan was made, in seconds since the Unix epoch: what is due is due by this.
    pub(crate) planned_s: u64,
    pub(crate) pim: Pim<'a, H>,
    pub(crate) pim_governor: &'a Governor<'a, H>,
    pub(crate) pim_at_once: usize,
    pub(crate) destination: Option<Destination<'a, H>>,
    pub(crate) destination_governor: &'a Governor<'a, H>,
    pub(crate) destination_at_once: usize,
    pub(crate) state: RefCell<State>,
    pub(crate) lookups: RefCell<Lookups>,
    /// When the lists at hand were read in the PIM, in seconds since the Unix epoch.
    pub(crate) lists_read: RefCell<Vec<(Need, u64)>>,
    meta: RefCell<Option<Meta>>,
    report: RefCell<Report>,
    raised: Cell<u64>,
}

/// What a session is made of.
pub(crate) struct Parts<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) config: &'a WorkerConfig,
    pub(crate) lease: &'a Lease,
    pub(crate) plan: &'a Plan,
    pub(crate) planned_s: u64,
    pub(crate) pim_governor: &'a Governor<'a, H>,
    pub(crate) destination_governor: &'a Governor<'a, H>,
    pub(crate) state: State,
    pub(crate) meta: Option<Meta>,
}

impl<'a, H: Host> Session<'a, H> {
    pub(crate) fn new(parts: Parts<'a, H>) -> Self {
        let Parts {
            host,
            config,
            lease,
            plan,
            planned_s,
            pim_governor,
            destination_governor,
            state,
            meta,
        } = parts;
        let has_post_search = state.no_post_search_until_s <= host.now_ms() / 1000;
        let destination = config.destination.as_ref();
        let mut pim = Pim::new(host, pim_governor, &config.keys, &config.pim, has_post_search);
        pim.completenesses = config.shape.asks_completenesses();
        Session {
            host,
            config,
            lease,
            plan,
            planned_s,
            pim,
            pim_governor,
            pim_at_once: pim::limits(0).at_once,
            destination: destination.map(|destination| Destination::new(destination_governor, destination)),
            destination_governor,
            destination_at_once: destination::limits(0, 1).at_once,
            state: RefCell::new(state),
            lookups: RefCell::default(),
            lists_read: RefCell::default(),
            meta: RefCell::new(meta),
            report: RefCell::new(Report {
                depth: plan.depth,
                ..Report::default()
            }),
            raised: Cell::new(0),
        }
    }

    pub(crate) fn now_s(&self) -> u64 {
        self.host.now_ms() / 1000
    }

    pub(crate) fn chance(&self) -> u64 {
        self.host
            .bytes()
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    pub(crate) fn fresh_id(&self) -> Segment {
        fanout::fresh_id(self.host)
    }

    pub(crate) fn report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.borrow_mut());
    }

    pub(crate) fn into_report(self) -> (Report, State) {
        (self.report.into_inner(), self.state.into_inner())
    }

    pub(crate) fn log(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, false, fields);
    }

    pub(crate) fn log_failure(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, true, fields);
    }

    pub(crate) fn pim_failure(&self, class: Class, reason: &str) -> Failure {
        self.pim_governor.failed(class, reason.to_owned())
    }

    pub(crate) fn brake_lets_through(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let indexed = usize::try_from(state.indexed).unwrap_or(0);
        let lets_through = state.brake.lets_through(indexed, self.now_s());
        drop(state);
        if !lets_through {
            self.report(|report| report.braked += 1);
        }
        lets_through
    }

    /// What an entity comes to; what it looks up is to be at hand ([`Session::enrich`]).
    pub(crate) fn shape(&self, kind: Kind, code: &str, entity: &Value) -> Shaped {
        self.config.shape.apply(kind, code, entity, &self.lookups.borrow())
    }

    pub(crate) fn note_unwanted(&self) {
        self.state.borrow_mut().unwanted += 1;
        self.report(|report| report.unwanted += 1);
    }

    pub(crate) fn note_indexed(&self, added: i64) {
        self.state.borrow_mut().indexed += added;
    }

    /// What the relay queues itself stops at a quarter of what deliveries may queue.
    pub(crate) fn is_own_queue_full(&self) -> bool {
        self.plan.depth + self.raised.get() >= self.config.high_water / 4
    }

    pub(crate) fn note_raised(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.raised.set(self.raised.get() + count);
        self.report(|report| report.raised += count);
    }

    /// The key and value of an event of our own.
    pub(crate) fn raise(&self, kind: Kind, code: &str, change: Change) -> (String, Vec<u8>) {
        let (key, value) = fanout::raised(self.host, Entity::new(kind, code), code, change);
        (self.config.keys.encode(&Key::Event(key)), value.to_bytes())
    }

    pub(crate) async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        if entries.is_empty() || self.host.set_many(entries).await.is_ok() {
            return Ok(());
        }
        for (key, value) in entries {
            self.host.set(key, value).await?;
        }
        Ok(())
    }

    /// Before the index is first written: it is from now on one of this PIM and this destination.
    pub(crate) async fn know_the_pair(&self) -> Result<(), StoreError> {
        if self.meta.borrow().is_some() {
            return Ok(());
        }
        let Some(meta) = Meta::of(self.config) else {
            return Ok(());
        };
        meta.save(self.host, &self.config.keys).await?;
        *self.meta.borrow_mut() = Some(meta);
        Ok(())
    }
}
