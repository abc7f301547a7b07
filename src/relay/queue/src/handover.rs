//! Somebody who needs the lease for a moment, such as the look at the set-up, asks the worker that has it to hand it over.
//!
//! A record says so. A tick that stays sees it in its next listing, and leaves between two pieces of work.

use crate::key::Record;
use crate::keyspace::Keyspace;
use crate::lease::{Lease, Taken};
use serde::{Deserialize, Serialize};
use world::host::{self, Clock, Random, Store, StoreError};

/// How long anybody may want the lease, in milliseconds.
pub const WANTED_MAX_MS: u64 = 300_000;

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
    let (mut taken, mut has_asked) = (None, false);
    while taken.is_none() {
        match Lease::take(host, keys, 0).await? {
            Taken::Ours(lease) => taken = Some(lease),
            _ if host.monotonic_ms() >= until_ms => break,
            Taken::Held(_) if !has_asked => {
                has_asked = true;
                let wanted = Wanted {
                    v: 1,
                    until_ms: host.now_ms() + wait_ms.min(WANTED_MAX_MS),
                };
                host::write(host, &key, &wanted).await?;
            }
            Taken::Held(_) | Taken::Not => host.sleep_ms(PAUSE_MS).await,
        }
    }
    if has_asked {
        host.delete(&key).await?;
    }
    Ok(taken)
}

/// Whether somebody still wants the lease. Who asked and died wants it no longer than it would have waited; what is left of
/// that is deleted.
///
/// # Errors
/// The store fails.
pub async fn is_wanted<H: Store + Clock>(host: &H, keys: &Keyspace) -> Result<bool, StoreError> {
    let key = keys.record(Record::Wanted);
    let wanted: Option<Wanted> = host::read(host, &key).await?;
    let now_ms = host.now_ms();
    // A clock that is far ahead must not keep every tick from staying.
    let is_wanted = wanted.is_some_and(|wanted| (now_ms..=now_ms + WANTED_MAX_MS).contains(&wanted.until_ms));
    if !is_wanted {
        host.delete(&key).await?;
    }
    Ok(is_wanted)
}
