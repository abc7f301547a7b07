//! What the steps of a tick are handed, by role, so that a function's signature tells what it may touch.
//!
//! [`Desk`] is what every step needs: the host, the configuration, and the lease under which all is done. [`Upstreams`]
//! are the PIM and the destination, each behind its governor. No call begins without the lease or lasts beyond it, for
//! the governors see to that; before something is written, a step itself asks whether the lease still holds.

use crate::stop::Stop;
use akeneo::pim::{self, Pim};
use config::WorkerConfig;
use destination::{self, Destination};
use model::entity::{Entity, Kind, Segment};
use model::failure::{Class, Failure};
use queue::key::{Change, Key};
use queue::lease::Lease;
use queue::raise;
use records::state::State;
use serde_json::{Value, json};
use std::rc::Rc;
use upstream::governor::Governor;
use upstream::token;
use world::host::{Host, StoreError};
use world::log;

/// What everybody needs: the world, the configuration, and the lease under which all is done.
pub struct Desk<'a, H> {
    /// The host: its store, calls, clocks, chance and log.
    pub host: &'a H,
    /// The configuration.
    pub config: &'a WorkerConfig,
    /// The lease under which the tick works.
    pub lease: &'a Lease,
}

impl<H> Clone for Desk<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Desk<'_, H> {}

impl<H: Host> Desk<'_, H> {
    /// Now, in seconds since the Unix epoch.
    pub fn now_s(&self) -> u64 {
        self.host.now_ms() / 1000
    }

    /// An id that nobody has had before.
    pub fn fresh_id(&self) -> Segment {
        raise::fresh_id(self.host)
    }

    /// Writes a log line; `fields` is a JSON object.
    pub fn log(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, false, fields);
    }

    /// Writes a log line of a failure, which is written at every log level.
    pub fn log_failure(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, true, fields);
    }

    /// Writes the log line of entities that no list of the PIM gives; those whose ids are not known have none here.
    pub fn log_unread(&self, kind: Kind, ids: &[String]) {
        let reason = "the PIM does not give it, not even alone";
        self.log_failure("unread", json!({ "kind": kind.name(), "ids": ids, "reason": reason }));
    }

    /// Keeps a copy of a damaged record under another key, where people can look into it until a walk has found again
    /// what it held. People are told.
    pub async fn keep_aside(&self, key: &str) -> Result<(), StoreError> {
        if let Some(value) = self.host.get(key).await? {
            self.keep_value_aside(key, &value).await?;
        }
        Ok(())
    }

    /// The same of a value that lay under this key, whatever lies there now.
    pub async fn keep_value_aside(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let aside = Key::SetAside(self.now_s(), Segment::of(key));
        self.host.set(&self.config.keys.encode(&aside), value).await?;
        self.log_failure("set-aside", json!({ "key": key }));
        Ok(())
    }

    /// Takes a damaged record away, and keeps it under another key.
    pub async fn set_aside(&self, key: &str) -> Result<(), StoreError> {
        self.keep_aside(key).await?;
        self.host.delete(key).await
    }

    /// Fails once the lease has passed: what is written without it may undo what another worker has written meanwhile.
    pub fn check_lease(&self) -> Result<(), Stop> {
        if self.lease.holds(self.host) {
            Ok(())
        } else {
            Err(Stop::Lease)
        }
    }

    /// The key and value of an event that the relay raises itself. The caller writes them.
    pub fn raise(&self, kind: Kind, code: &str, change: Change) -> (String, Vec<u8>) {
        let (key, value) = raise::raised(self.host, Entity::new(kind, code), code, change);
        (self.config.keys.encode(&Key::Event(key)), value.to_bytes())
    }
}

/// The PIM and the destination, each behind its governor.
pub struct Upstreams<'a, H> {
    /// The PIM.
    pub pim: Pim<'a, H>,
    /// What every call to the PIM goes through.
    pub pim_governor: &'a Governor<'a, H>,
    /// How many calls to the PIM may be under way at once.
    pub pim_at_once: usize,
    /// The destination; none where none is configured. It is shared, so that pushes may go on while something else has
    /// the upstreams.
    pub destination: Option<Rc<Destination<'a, H>>>,
    /// What every call to the destination goes through.
    pub destination_governor: &'a Governor<'a, H>,
    /// How many calls to the destination may be under way at once.
    pub destination_at_once: usize,
}

impl<'a, H: Host> Upstreams<'a, H> {
    /// The upstreams of a tick, with what the state knows of the PIM: how large its pages come, and how it can be
    /// searched.
    pub fn new(
        desk: Desk<'a, H>,
        pim_governor: &'a Governor<'a, H>,
        destination_governor: &'a Governor<'a, H>,
        state: &State,
    ) -> Self {
        let config = desk.config;
        let has_post_search = state.no_post_search_until_s <= desk.now_s();
        let mut pim = Pim::new(desk.host, pim_governor, &config.keys, &config.pim, has_post_search);
        pim.completenesses = config.shape.asks_completenesses();
        pim.sizes = state.page_sizes.clone();
        let destination = config.destination.as_ref();
        Upstreams {
            pim,
            pim_governor,
            pim_at_once: pim::limits(0).at_once,
            destination: destination.map(|destination| {
                Rc::new(Destination::new(
                    desk.host,
                    destination_governor,
                    &config.keys,
                    destination,
                    &config.shape,
                ))
            }),
            destination_governor,
            destination_at_once: destination::limits(0, 1).at_once,
        }
    }

    /// The keys under which the tokens that are in use lie in the store.
    pub fn token_keys(&self) -> Vec<&str> {
        let destination = self.destination.as_ref();
        let of_destination = destination.and_then(|destination| destination.tokens.as_ref());
        let keys = of_destination.map(|tokens| tokens.key());
        [self.pim.tokens.key()].into_iter().chain(keys).collect()
    }

    /// Lets calls to both upstreams begin until this moment of the monotonic clock, in milliseconds.
    pub fn begin_until(&self, until_ms: u64) {
        self.pim_governor.begin_until(until_ms);
        self.destination_governor.begin_until(until_ms);
    }

    /// A failure that counts as the PIM's, of which no status tells.
    pub fn pim_failure(&self, class: Class, reason: &str) -> Failure {
        self.pim_governor.failed(class, reason.to_owned())
    }

    /// Whether an upstream keeps calls from being made, so that the work may come to nothing: by a wait that it asked
    /// for, an open breaker, a lowered rate, or a retry budget that is used up.
    pub fn is_hampered(&self) -> bool {
        self.pim_governor.is_hampered() || self.destination_governor.is_hampered()
    }

    /// Whether no call to the PIM can be made for a kind now: because of an open breaker, a wait that the PIM asked
    /// for, or since the time for calls is up.
    pub fn is_held_at_the_pim(&self, kind: Kind) -> bool {
        let pim = self.pim_governor;
        pim.held(token::CIRCUIT).is_some() || pim.held(kind.name()).is_some()
    }

    /// Whether reconciliation has anything to do: not without a destination to keep equal to the PIM.
    pub fn is_reconciling(&self) -> bool {
        self.destination.is_some()
    }
}
