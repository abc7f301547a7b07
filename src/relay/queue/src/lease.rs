//! One worker at a time, on nothing but get and set (Fischer's algorithm).
//!
//! Whether a worker that has the lease lives is told by whether its value still changes while somebody watches, by the
//! watcher's own monotonic clock; the moment in the value says only that there is no need to look yet. So clocks that
//! differ let no two workers work at once.
//!
//! The lease is advisory all the same. Two workers at once, after a pause, waste calls; that nothing goes wrong for good
//! is the doing of the in-flight keys and of index pages that are written by one worker each.

use crate::key::Record;
use crate::keyspace::Keyspace;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use world::host::{self, Clock, Random, Store, StoreError};

/// How long before its end the lease is not worked on any more, in milliseconds.
pub const LEASE_MARGIN_MS: u64 = 2000;

/// How long a lease lasts, in milliseconds.
pub const LEASE_MS: u64 = 60_000;

/// How long to wait before reading back, in milliseconds: longer than a write takes.
const SETTLE_MS: u64 = 1000;

/// How often a worker shows that it lives, in milliseconds.
const BEAT_MS: u64 = 3000;

/// How long a lease is watched before its worker counts as dead, in milliseconds.
const WATCH_MS: u64 = 8000;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseValue {
    v: u32,
    token: String,
    until_ms: u64,
    /// How often its worker has shown that it lives.
    #[serde(default)]
    beats: u64,
}

/// A lease that this worker holds.
#[derive(Debug)]
pub struct Lease {
    /// This worker's name for the tick.
    pub token: String,
    /// Until when it holds by the worker's own monotonic clock, in milliseconds.
    pub until_monotonic_ms: u64,
    /// Until when it holds by the worker's own wall clock, in milliseconds: a machine put to sleep may stop the other.
    until_ms: u64,
    /// Whether another worker was seen to have it.
    is_lost: Cell<bool>,
}

impl Lease {
    /// Takes the lease if nobody holds it; none if somebody does or was quicker. That of a worker that does not live any
    /// more is removed, for the next tick to take its own.
    pub async fn take<H: Store + Clock + Random>(host: &H, keys: &Keyspace) -> Result<Option<Lease>, StoreError> {
        let key = keys.record(Record::Lease);
        if let Some(value) = read(host, &key).await? {
            let now_ms = host.now_ms();
            // A clock that was far ahead must not lock everybody out.
            let is_plausible = value.until_ms <= now_ms + 2 * LEASE_MS;
            if value.until_ms > now_ms && is_plausible {
                return Ok(None);
            }
            remove_if_dead(host, &key, value).await?;
            return Ok(None);
        }
        let started_ms = host.monotonic_ms();
        let now_ms = host.now_ms();
        let token = URL_SAFE_NO_PAD.encode(host.bytes());
        let lease = Lease {
            token,
            // From when it was asked for: the wait is part of the lease.
            until_monotonic_ms: started_ms + LEASE_MS,
            until_ms: now_ms + LEASE_MS,
            is_lost: Cell::new(false),
        };
        host::write(host, &key, &lease.value(0)).await?;
        host.sleep_ms(SETTLE_MS).await;
        let is_ours = lease.is_ours(host, &key).await?;
        Ok(is_ours.then_some(lease))
    }

    /// For whoever works alone and writes nothing: it holds for ever.
    pub fn alone() -> Lease {
        Lease {
            token: String::new(),
            until_monotonic_ms: u64::MAX,
            until_ms: u64::MAX,
            is_lost: Cell::new(false),
        }
    }

    fn value(&self, beats: u64) -> LeaseValue {
        LeaseValue {
            v: 1,
            token: self.token.clone(),
            until_ms: self.until_ms,
            beats,
        }
    }

    async fn is_ours<H: Store>(&self, host: &H, key: &str) -> Result<bool, StoreError> {
        Ok(read(host, key).await?.is_some_and(|value| value.token == self.token))
    }

    /// Whether it still holds.
    pub fn holds<H: Clock>(&self, host: &H) -> bool {
        !self.is_lost.get() && host.monotonic_ms() < self.until_monotonic_ms && host.now_ms() < self.until_ms
    }

    /// Does some work, and shows meanwhile that the worker lives. Where another worker has the lease, it holds no more.
    pub async fn while_working<H: Store + Clock, T>(
        &self,
        host: &H,
        keys: &Keyspace,
        work: impl Future<Output = T>,
    ) -> T {
        let key = keys.record(Record::Lease);
        let beat = async {
            for beats in 1.. {
                host.sleep_ms(BEAT_MS).await;
                match self.is_ours(host, &key).await {
                    // A store that fails tells nothing; the next beat may come through.
                    Err(_) => {}
                    Ok(true) => drop(host::write(host, &key, &self.value(beats)).await),
                    Ok(false) => self.is_lost.set(true),
                }
                if self.is_lost.get() {
                    break;
                }
            }
            std::future::pending::<Infallible>().await
        };
        match select(pin!(work), pin!(beat)).await {
            Either::Left((result, _)) => result,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Gives it back, if it is still ours.
    pub async fn give_back<H: Store + Clock>(self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        let key = keys.record(Record::Lease);
        if self.holds(host) && self.is_ours(host, &key).await? {
            host.delete(&key).await?;
        }
        Ok(())
    }
}

/// Watches a lease whose time seems to be over, and removes it if nothing has become of it meanwhile.
async fn remove_if_dead<H: Store + Clock>(host: &H, key: &str, value: LeaseValue) -> Result<(), StoreError> {
    host.sleep_ms(WATCH_MS).await;
    if read(host, key).await? == Some(value) {
        host.delete(key).await?;
    }
    Ok(())
}

async fn read<H: Store>(host: &H, key: &str) -> Result<Option<LeaseValue>, StoreError> {
    host::read(host, key).await
}
