//! A tick that comes shortly before another one's stay is over waits for it and is handed the lease, so that no moment
//! passes in which nobody waits for news.
//!
//! One waits at a time. It says so in a record, and whoever finds another one there leaves.

use crate::handover;
use crate::key::Record;
use crate::keyspace::Keyspace;
use crate::lease::{Lease, SETTLE_MS, new_token};
use serde::{Deserialize, Serialize};
use world::host::{self, Clock, Random, Store, StoreError};

/// For how long a successor waits at most, in milliseconds: one that died is waited for no longer.
pub const WAIT_MS: u64 = 30_000;

#[derive(Serialize, Deserialize)]
struct Waiting {
    v: u32,
    token: String,
    /// Until when it waits, in milliseconds since the Unix epoch.
    until_ms: u64,
}

/// A worker that waits for the lease.
#[derive(Debug)]
pub struct Successor {
    /// The token under which the lease will be handed to it.
    pub token: String,
}

impl Successor {
    /// Waits for the lease from now on; none where another one does.
    ///
    /// # Errors
    /// The store fails.
    pub async fn announce<H: Store + Clock + Random>(
        host: &H,
        keys: &Keyspace,
    ) -> Result<Option<Successor>, StoreError> {
        if waiting(host, keys).await?.is_some() {
            return Ok(None);
        }
        let token = new_token(host);
        let until_ms = host.now_ms() + WAIT_MS;
        let value = Waiting {
            v: 1,
            token: token.clone(),
            until_ms,
        };
        host::write(host, &keys.record(Record::Successor), &value).await?;
        // Of two that came at once the one that wrote last stays.
        host.sleep_ms(SETTLE_MS).await;
        let is_it = waiting(host, keys).await?.is_some_and(|waiting| waiting == token);
        Ok(is_it.then_some(Successor { token }))
    }

    /// Waits no longer.
    ///
    /// # Errors
    /// The store fails.
    pub async fn leave<H: Store + Clock>(self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        if waiting(host, keys).await?.is_some_and(|waiting| waiting == self.token) {
            host.delete(&keys.record(Record::Successor)).await?;
        }
        Ok(())
    }
}

/// The token of whoever waits for the lease.
async fn waiting<H: Store + Clock>(host: &H, keys: &Keyspace) -> Result<Option<String>, StoreError> {
    let waiting: Option<Waiting> = host::read(host, &keys.record(Record::Successor)).await?;
    let now_ms = host.now_ms();
    // A clock that is far ahead must not keep everybody else from waiting.
    let waiting = waiting.filter(|waiting| (now_ms..now_ms + 2 * WAIT_MS).contains(&waiting.until_ms));
    Ok(waiting.map(|waiting| waiting.token))
}

/// Gives the lease to the successor that waits for it; where none does, or somebody else wants the lease for a moment, back.
///
/// # Errors
/// The store fails.
pub async fn hand_over<H: Store + Clock>(host: &H, keys: &Keyspace, lease: Lease) -> Result<(), StoreError> {
    let successor = match waiting(host, keys).await? {
        Some(_) if handover::is_wanted(host, keys).await? => None,
        successor => successor,
    };
    lease.hand_over(host, keys, successor).await
}
