//! One worker at a time, on nothing but get and set (Fischer's algorithm).
//!
//! Whether a worker that has the lease lives is told by whether its value still changes while somebody watches, by the
//! watcher's own monotonic clock; the moment in the value says only that there is no need to look yet. So clocks that
//! differ let no two workers work at once.
//!
//! Each sign of life of a worker that stays renews its lease. Before that it reads whose the lease is; it has lost it
//! where it is another's, where it had passed, or where all that took so long that another one may have come between.
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
const LEASE_MARGIN_MS: u64 = 2000;

/// How long a lease lasts while its worker works, in milliseconds.
pub const LEASE_MS: u64 = 60_000;

/// How long a renewal may take, in milliseconds.
const RENEWAL_MAX_MS: u64 = 10_000;

/// How long to wait before reading back, in milliseconds: longer than a write takes.
pub(crate) const SETTLE_MS: u64 = 1000;

/// How often a worker shows that it lives, in milliseconds.
const BEAT_MS: u64 = 3000;

/// How long a lease is watched before its worker counts as dead, in milliseconds.
const WATCH_MS: u64 = 8000;

/// How long a lease lasts that is handed over and not taken up, in milliseconds.
const INHERITANCE_MS: u64 = 5000;

/// A name for a worker's tick that no other one has.
pub(crate) fn new_token<H: Random>(host: &H) -> String {
    URL_SAFE_NO_PAD.encode(host.bytes())
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseValue {
    v: u32,
    token: String,
    until_ms: u64,
    /// How often its worker has shown that it lives.
    #[serde(default)]
    beats: u64,
    /// Until when its worker means to stay, in milliseconds since the Unix epoch; 0 where it leaves after its work.
    #[serde(default)]
    stays_until_ms: u64,
}

/// A lease that this worker holds.
#[derive(Debug)]
pub struct Lease {
    /// This worker's name for the tick.
    pub token: String,
    /// Until when it holds by the worker's own monotonic clock, in milliseconds.
    until_monotonic_ms: Cell<u64>,
    /// Until when it holds by the worker's own wall clock, in milliseconds: a machine put to sleep may stop the other.
    until_ms: Cell<u64>,
    /// Until when the worker means to stay, in milliseconds since the Unix epoch; 0 where it leaves after its work.
    stays_until_ms: u64,
    /// For how long each renewal takes it, in milliseconds.
    lasts_ms: Cell<u64>,
    beats: Cell<u64>,
    /// Whether another worker was seen to have it, or may have it.
    is_lost: Cell<bool>,
}

/// What came of an attempt to take the lease.
#[derive(Debug)]
pub enum Taken {
    /// It is this worker's.
    Ours(Lease),
    /// Another worker has it, or this one, to which it was handed over.
    Held(Holder),
    /// Nobody has it, or another worker was quicker.
    Not,
}

/// Who has the lease.
#[derive(Debug)]
pub struct Holder {
    /// The worker's name for the tick.
    pub token: String,
    /// Until when it means to stay, in milliseconds since the Unix epoch; 0 where it leaves after its work.
    pub stays_until_ms: u64,
}

impl Taken {
    /// The lease, if it is this worker's.
    pub fn ours(self) -> Option<Lease> {
        match self {
            Taken::Ours(lease) => Some(lease),
            Taken::Held(_) | Taken::Not => None,
        }
    }
}

impl Lease {
    /// Takes the lease if nobody holds it. That of a worker that does not live any more is removed, for the next one to
    /// take its own. Others are told for how many milliseconds the worker means to stay, 0 for one that leaves after its
    /// work.
    pub async fn take<H: Store + Clock + Random>(
        host: &H,
        keys: &Keyspace,
        stays_ms: u64,
    ) -> Result<Taken, StoreError> {
        let key = keys.record(Record::Lease);
        if let Some(value) = read(host, &key).await? {
            if value.is_in_time(host.now_ms()) {
                return Ok(Taken::Held(Holder {
                    token: value.token,
                    stays_until_ms: value.stays_until_ms,
                }));
            }
            remove_if_dead(host, &key, value).await?;
            return Ok(Taken::Not);
        }
        // From when it was asked for: the wait is part of the lease.
        let lease = Lease::from_now(host, new_token(host), stays_ms);
        host::write(host, &key, &lease.value(lease.until_ms.get())).await?;
        host.sleep_ms(SETTLE_MS).await;
        let is_ours = lease.is_ours(host, &key).await?;
        Ok(if is_ours { Taken::Ours(lease) } else { Taken::Not })
    }

    /// Goes on with the lease that was handed over to this worker under a token of its own; none where it was lost
    /// meanwhile.
    ///
    /// # Errors
    /// The store fails.
    pub async fn inherit<H: Store + Clock>(
        host: &H,
        keys: &Keyspace,
        token: String,
        stays_ms: u64,
    ) -> Result<Option<Lease>, StoreError> {
        let lease = Lease::from_now(host, token, stays_ms);
        Ok(lease.renew(host, keys, LEASE_MS).await?.then_some(lease))
    }

    fn from_now<H: Clock>(host: &H, token: String, stays_ms: u64) -> Lease {
        let now_ms = host.now_ms();
        Lease {
            token,
            until_monotonic_ms: Cell::new(host.monotonic_ms() + LEASE_MS),
            until_ms: Cell::new(now_ms + LEASE_MS),
            stays_until_ms: if stays_ms == 0 { 0 } else { now_ms + stays_ms },
            lasts_ms: Cell::new(LEASE_MS),
            beats: Cell::new(0),
            is_lost: Cell::new(false),
        }
    }

    /// For whoever works alone and writes nothing: it holds for ever.
    pub fn alone() -> Lease {
        Lease {
            token: String::new(),
            until_monotonic_ms: Cell::new(u64::MAX),
            until_ms: Cell::new(u64::MAX),
            stays_until_ms: 0,
            lasts_ms: Cell::new(u64::MAX),
            beats: Cell::new(0),
            is_lost: Cell::new(false),
        }
    }

    fn value(&self, until_ms: u64) -> LeaseValue {
        LeaseValue {
            v: 1,
            token: self.token.clone(),
            until_ms,
            beats: self.beats.get(),
            stays_until_ms: self.stays_until_ms,
        }
    }

    async fn is_ours<H: Store>(&self, host: &H, key: &str) -> Result<bool, StoreError> {
        Ok(read(host, key).await?.is_some_and(|value| value.token == self.token))
    }

    /// Whether it still holds.
    pub fn holds<H: Clock>(&self, host: &H) -> bool {
        let is_in_time = host.monotonic_ms() < self.until_monotonic_ms.get() && host.now_ms() < self.until_ms.get();
        !self.is_lost.get() && is_in_time
    }

    /// Until when calls may last that are made under it, by the worker's own monotonic clock, in milliseconds.
    pub fn end_ms(&self) -> u64 {
        self.until_monotonic_ms.get() - LEASE_MARGIN_MS
    }

    /// Has each renewal from now on take the lease for this many milliseconds.
    pub fn last(&self, ms: u64) {
        self.lasts_ms.set(ms);
    }

    /// Shows that the worker lives. One that stays takes the lease for this many milliseconds from now on, by each further
    /// renewal, too. Says whether the lease is still this worker's.
    ///
    /// # Errors
    /// The store fails: the lease holds as long as it did, if the write did not come through.
    pub async fn renew<H: Store + Clock>(&self, host: &H, keys: &Keyspace, lasts_ms: u64) -> Result<bool, StoreError> {
        self.last(lasts_ms);
        let key = keys.record(Record::Lease);
        let (began_monotonic_ms, began_ms) = (host.monotonic_ms(), host.now_ms());
        // Whoever leaves after its work only shows that it lives, and takes no more time than it has.
        let leaves = self.stays_until_ms == 0;
        let is_ours = (leaves || self.holds(host)) && self.is_ours(host, &key).await?;
        if is_ours {
            self.beats.set(self.beats.get() + 1);
            let (mut until_monotonic_ms, mut until_ms) = (self.until_monotonic_ms.get(), self.until_ms.get());
            if !leaves {
                let lasts_ms = self.lasts_ms.get();
                (until_monotonic_ms, until_ms) = (began_monotonic_ms + lasts_ms, began_ms + lasts_ms);
            }
            host::write(host, &key, &self.value(until_ms)).await?;
            self.until_monotonic_ms.set(until_monotonic_ms);
            self.until_ms.set(until_ms);
        }
        if !is_ours || host.monotonic_ms() - began_monotonic_ms > RENEWAL_MAX_MS {
            self.is_lost.set(true);
        }
        Ok(!self.is_lost.get() && (leaves || self.holds(host)))
    }

    /// Does some work, and shows meanwhile that the worker lives. Where another worker has the lease, it holds no more.
    pub async fn while_working<H: Store + Clock, T>(
        &self,
        host: &H,
        keys: &Keyspace,
        work: impl Future<Output = T>,
    ) -> T {
        let beat = async {
            loop {
                host.sleep_ms(BEAT_MS).await;
                // A store that fails tells nothing; the next beat may come through.
                if let Ok(false) = self.renew(host, keys, self.lasts_ms.get()).await {
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
        self.hand_over(host, keys, None).await
    }

    /// Gives it to the worker that waits for it under this token, if one does, and else back, if it is still ours.
    pub(crate) async fn hand_over<H: Store + Clock>(
        self,
        host: &H,
        keys: &Keyspace,
        to: Option<String>,
    ) -> Result<(), StoreError> {
        let key = keys.record(Record::Lease);
        if !self.holds(host) || !self.is_ours(host, &key).await? {
            return Ok(());
        }
        let Some(token) = to else {
            return host.delete(&key).await;
        };
        let value = LeaseValue {
            v: 1,
            token,
            until_ms: host.now_ms() + INHERITANCE_MS,
            beats: 0,
            stays_until_ms: 0,
        };
        host::write(host, &key, &value).await
    }
}

impl LeaseValue {
    /// Whether its time is not over, as far as clocks are to be believed.
    fn is_in_time(&self, now_ms: u64) -> bool {
        // A clock that was far ahead must not lock everybody out.
        let is_plausible = self.until_ms <= now_ms + 2 * LEASE_MS;
        self.until_ms > now_ms && is_plausible
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
