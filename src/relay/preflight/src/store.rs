//! That the store keeps, lists and forgets, and that a worker uses the same one.
//!
//! An application that comes from a registry keeps its store in memory, one for each of its processes, unless a folder or
//! another store is given: then what ingest acknowledges the worker never sees. From here it shows in that no tick has
//! written its status into this store.

use crate::finding::Findings;
use queue::key::Record;
use queue::keyspace::Keyspace;
use queue::raise::fresh_id;
use records::status::{SILENT_MS, Status};
use world::host::{Clock, Random, Store, StoreError};

/// Looks at the store.
pub async fn look<H: Store + Clock + Random>(host: &H, keys: &Keyspace, findings: &mut Findings) {
    match keeps(host, keys).await {
        Ok(true) => {}
        Ok(false) => findings.error(
            "store",
            "the store does not give, or does not list, what was written to it a moment ago",
            "see docs/platforms.md for the stores that can be used, and give this one settings with which a read sees the last write",
        ),
        Err(error) => {
            findings.error(
                "store",
                format!("the store fails: {error}"),
                "see that the store's server answers, its disk has room, and its folder may be written to",
            );
            return;
        }
    }
    let known = host.get(&keys.record(Record::Status)).await.ok().flatten();
    let known = known.as_deref().and_then(Status::read);
    let age_ms = known.map(|status| host.now_ms().saturating_sub(status.listed_ms));
    if age_ms.is_none_or(|age_ms| age_ms > SILENT_MS) {
        let since = match age_ms {
            Some(age_ms) => format!("for {} minutes", age_ms / 60_000),
            None => "yet".to_owned(),
        };
        findings.warning(
            "store",
            format!("no tick has written its status into this store {since}"),
            "see that the cron trigger or your scheduler runs ticks, and that all processes share one store: an application from a registry needs --state-dir",
        );
    }
}

/// Whether what is written is read back, listed, and gone once it is deleted.
async fn keeps<H: Store + Random>(host: &H, keys: &Keyspace) -> Result<bool, StoreError> {
    let key = keys.preflight(&fresh_id(host));
    let value = host.bytes();
    host.set(&key, &value).await?;
    let is_read = host.get(&key).await?.is_some_and(|read| read == value);
    let is_listed = host.keys().await?.contains(&key);
    host.delete(&key).await?;
    let is_gone = host.get(&key).await?.is_none();
    Ok(is_read && is_listed && is_gone)
}
