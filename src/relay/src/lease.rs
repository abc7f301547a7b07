//! One worker at a time, on nothing but get and set (Fischer's algorithm).
//!
//! The lease is advisory. Two workers at once, after a pause or with wrong clocks, waste calls; that nothing goes wrong
//! for good is the in-flight keys' doing.

use crate::host::{self, Clock, Random, Store, StoreError};
use crate::key::{Keyspace, Record};
use crate::mistake::{Mistake, made};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// How long a lease lasts, in milliseconds.
pub const LEASE_MS: u64 = 60_000;

/// How long to wait before reading back, in milliseconds: longer than a write takes.
const SETTLE_MS: u64 = 1000;

#[derive(Serialize, Deserialize)]
struct LeaseValue {
    v: u32,
    token: String,
    until_ms: u64,
}

/// A lease that this worker holds.
#[derive(Debug, Clone)]
pub struct Lease {
    /// This worker's name for the tick.
    pub token: String,
    /// Until when it holds by the worker's own monotonic clock, in milliseconds.
    pub until_monotonic_ms: u64,
    /// Until when it holds by the worker's own wall clock, in milliseconds: a machine put to sleep may stop the other.
    until_ms: u64,
}

impl Lease {
    /// Takes the lease if nobody holds it; none if somebody does or was quicker.
    pub async fn take<H: Store + Clock + Random>(host: &H, keys: &Keyspace) -> Result<Option<Lease>, StoreError> {
        let key = keys.record(Record::Lease);
        let started_ms = host.monotonic_ms();
        let now_ms = host.now_ms();
        if let Some(value) = read(host, &key).await? {
            // A clock that was far ahead must not lock everybody out.
            let plausible = value.until_ms <= now_ms + 2 * LEASE_MS;
            if value.until_ms > now_ms && plausible {
                return Ok(None);
            }
        }
        let token = URL_SAFE_NO_PAD.encode(host.bytes());
        let value = LeaseValue {
            v: 1,
            token: token.clone(),
            until_ms: now_ms + LEASE_MS,
        };
        host::write(host, &key, &value).await?;
        host.sleep_ms(SETTLE_MS).await;
        let is_ours = made(Mistake::NoReadBack) || read(host, &key).await?.is_some_and(|value| value.token == token);
        // Taken from when it was asked for: the wait is part of the lease.
        Ok(is_ours.then_some(Lease {
            token,
            until_monotonic_ms: started_ms + LEASE_MS,
            until_ms: now_ms + LEASE_MS,
        }))
    }

    /// Whether it still holds.
    pub fn holds<H: Clock>(&self, host: &H) -> bool {
        host.monotonic_ms() < self.until_monotonic_ms && host.now_ms() < self.until_ms
    }

    /// Gives it back, if it is still ours.
    pub async fn give_back<H: Store + Clock>(self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        let key = keys.record(Record::Lease);
        if self.holds(host) && read(host, &key).await?.is_some_and(|value| value.token == self.token) {
            host.delete(&key).await?;
        }
        Ok(())
    }
}

async fn read<H: Store>(host: &H, key: &str) -> Result<Option<LeaseValue>, StoreError> {
    host::read(host, key).await
}
