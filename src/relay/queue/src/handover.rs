//! Somebody who needs the lease for a moment, such as the look at the set-up, asks the worker that has it to hand it over.
//!
//! A record says so. A tick that stays sees it in its next listing, and leaves between two pieces of work.

use crate::key::Record;
use crate::keyspace::Keyspace;
use crate::lease::{Lease, Taken};
use serde::{Deserialize, Serialize};
use world::host::{self, Clock, Random, Store, StoreError};

/// For how long each saying counts, in milliseconds: somebody who died wants the lease no longer.
const WANTED_MS: u64 = 30_000;

/// How often whoever waits says so again, in milliseconds: another one may have taken the record for its own.
const AGAIN_MS: u64 = 2000;

/// How long to wait between two looks whether the lease is free, in milliseconds: shorter than ticks wait that want it, too.
const PAUSE_MS: u64 = 50;

#[derive(Serialize, Deserialize)]
struct Wanted {
    v: u32,
    /// Until when it is wanted, in milliseconds since the Unix epoch.
    until_ms: u64,
}

/// Takes the lease as soon as whoever has it leaves, and asks for that; none where that takes longer than this, in
/// milliseconds.
///
/// # Errors
/// The store fails.
pub async fn take<H: Store + Clock + Random>(
    host: &H,
    keys: &Keyspace,
    wait_ms: u64,
) -> Result<Option<Lease>, StoreError> {
    let key = keys.record(Record::Wanted);
    let until_ms = host.monotonic_ms() + wait_ms;
    let mut asked_ms = None;
    let taken = loop {
        match Lease::take(host, keys, 0).await? {
            Taken::Ours(lease) => break Some(lease),
            _ if host.monotonic_ms() >= until_ms => break None,
            Taken::Held(_) if asked_ms.is_none_or(|asked_ms| host.monotonic_ms() >= asked_ms + AGAIN_MS) => {
                asked_ms = Some(host.monotonic_ms());
                let until_ms = host.now_ms() + WANTED_MS;
                host::write(host, &key, &Wanted { v: 1, until_ms }).await?;
            }
            Taken::Held(_) | Taken::Not => host.sleep_ms(PAUSE_MS).await,
        }
    };
    if asked_ms.is_some() {
        host.delete(&key).await?;
    }
    Ok(taken)
}

/// Whether somebody still wants the lease. What somebody left who died is deleted.
///
/// # Errors
/// The store fails.
pub async fn is_wanted<H: Store + Clock>(host: &H, keys: &Keyspace) -> Result<bool, StoreError> {
    let key = keys.record(Record::Wanted);
    let wanted: Option<Wanted> = host::read(host, &key).await?;
    let now_ms = host.now_ms();
    // A clock that is far ahead must not keep every tick from staying.
    let is_wanted = wanted.is_some_and(|wanted| (now_ms..now_ms + 2 * WANTED_MS).contains(&wanted.until_ms));
    if !is_wanted {
        host.delete(&key).await?;
    }
    Ok(is_wanted)
}
