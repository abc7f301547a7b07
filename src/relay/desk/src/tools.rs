//! What is handed to the steps of a tick, by role: a function's signature tells what it may touch.

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
use serde_json::Value;
use upstream::governor::Governor;
use upstream::token;
use world::host::Host;
use world::log;

/// What everybody needs: the world, the configuration, and the lease under which all is done.
pub struct Desk<'a, H> {
    /// What is asked of the world.
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

    /// Writes a log line.
    pub fn log(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, false, fields);
    }

    /// Writes a log line of a failure.
    pub fn log_failure(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, true, fields);
    }

    /// Whatever is written without the lease may undo what another worker has written meanwhile.
    pub fn check_lease(&self) -> Result<(), Stop> {
        if self.lease.holds(self.host) {
            Ok(())
        } else {
            Err(Stop::Lease)
        }
    }

    /// The key and value of an event of our own.
    pub fn raise(&self, kind: Kind, code: &str, change: Change) -> (String, Vec<u8>) {
        let (key, value) = raise::raised(self.host, Entity::new(kind, code), code, change);
        (self.config.keys.encode(&Key::Event(key)), value.to_bytes())
    }
}

/// The PIM and the destination, each behind its governor.
pub struct Upstreams<'a, H> {
    /// The PIM.
    pub pim: Pim<'a, H>,
    /// What every call of the PIM goes through.
    pub pim_governor: &'a Governor<'a, H>,
    /// How many calls of the PIM may be under way at once.
    pub pim_at_once: usize,
    /// The destination; none where none is configured.
    pub destination: Option<Destination<'a, H>>,
    /// What every call of the destination goes through.
    pub destination_governor: &'a Governor<'a, H>,
    /// How many calls of the destination may be under way at once.
    pub destination_at_once: usize,
}

impl<'a, H: Host> Upstreams<'a, H> {
    /// The upstreams of a tick, with what the state knows of them.
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
                Destination::new(
                    desk.host,
                    destination_governor,
                    &config.keys,
                    destination,
                    &config.shape,
                )
            }),
            destination_governor,
            destination_at_once: destination::limits(0, 1).at_once,
        }
    }

    /// The keys of the tokens that are in use.
    pub fn token_keys(&self) -> Vec<&str> {
        let destination = self.destination.as_ref();
        let of_destination = destination.and_then(|destination| destination.tokens.as_ref());
        let keys = of_destination.map(|tokens| tokens.key());
        [self.pim.tokens.key()].into_iter().chain(keys).collect()
    }

    /// Calls may begin until this moment of the monotonic clock, in milliseconds.
    pub fn begin_until(&self, until_ms: u64) {
        self.pim_governor.begin_until(until_ms);
        self.destination_governor.begin_until(until_ms);
    }

    /// A failure on the side of the PIM.
    pub fn pim_failure(&self, class: Class, reason: &str) -> Failure {
        self.pim_governor.failed(class, reason.to_owned())
    }

    /// Whether an upstream keeps the work from coming to anything.
    pub fn is_hampered(&self) -> bool {
        self.pim_governor.is_hampered() || self.destination_governor.is_hampered()
    }

    /// Whether calls for a kind are held at the PIM: by an open breaker, or by a wait that it asked for.
    pub fn is_held_at_the_pim(&self, kind: Kind) -> bool {
        let pim = self.pim_governor;
        pim.held(token::CIRCUIT).is_some() || pim.held(kind.name()).is_some()
    }

    /// Whether there is anything to keep equal to the PIM.
    pub fn is_reconciling(&self) -> bool {
        self.destination.is_some()
    }
}
