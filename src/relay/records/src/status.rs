//! What the worker publishes: the depth of the queue for ingest, and figures for people.
//!
//! Figures are of the worker's last listing. A worker that has nothing to do publishes with every tick all the same, so
//! that the record tells whether it lives; and since ingest reads it, the record stays small.

use crate::pair::Pair;
use crate::state::State;
use model::by_kind::ByKind;
use queue::key::Record;
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use serde::{Deserialize, Serialize};
use world::host::{self, Clock, Store, StoreError};

/// How old the published status may become while nothing happens, in milliseconds: a little less than the ten seconds
/// between two ticks, so that each of them publishes. The older it is, the more events ingest takes to have come since.
const IDLE_MS: u64 = 9000;

/// How old the published status may become until people hear that no tick runs, in milliseconds: every tick publishes one,
/// and ticks come once a minute at least.
pub const SILENT_MS: u64 = 180_000;

/// The status record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of this format.
    pub v: u32,
    /// Events that waited at the last listing.
    pub depth: u64,
    /// When that was, in milliseconds since the Unix epoch.
    pub listed_ms: u64,
    /// The time of the oldest event then, in seconds since the Unix epoch.
    pub oldest_s: Option<u64>,
    /// Entities that waited for another try.
    pub retrying: u64,
    /// Entities in the dead letters.
    pub dead: u64,
    /// Deletions that the brake held back, by kind.
    pub braked: ByKind<u64>,
    /// When the destination last took anything, in seconds since the Unix epoch.
    pub done_s: u64,
    /// When a tick last did something, in milliseconds since the Unix epoch.
    pub worked_ms: u64,
    /// What is configured, whether it is adopted or not; none for a dry run.
    pub configured: Option<Pair>,
    /// When a damaged page of the index was last set aside, in seconds since the Unix epoch, until a walk has swept it
    /// out.
    pub set_aside_s: Option<u64>,
    /// Why the worker stands still, if its configuration is the reason.
    pub misconfigured: Option<String>,
}

impl Status {
    /// Deletions that the brake held back, of all kinds.
    pub fn braked(&self) -> u64 {
        self.braked.sum()
    }

    /// Reads the record; a format that is not known reads as none.
    pub fn read(value: &[u8]) -> Option<Status> {
        host::decoded(value).filter(Status::is_known)
    }

    fn is_known(&self) -> bool {
        self.v == 1
    }

    fn is_old(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.listed_ms) >= IDLE_MS
    }
}

/// Whether nobody has published for a while.
pub async fn is_old<H: Store + Clock>(host: &H, keys: &Keyspace) -> Result<bool, StoreError> {
    Ok(known(host, keys).await?.is_old(host.now_ms()))
}

/// What was published last; the default where nothing was.
async fn known<H: Store>(host: &H, keys: &Keyspace) -> Result<Status, StoreError> {
    let known = host::read_if(host, &keys.record(Record::Status), Status::is_known).await?;
    Ok(known.unwrap_or_default())
}

/// Publishes what a listing said: always after work, else when the last one has become old, when dead letters went, or
/// when the worker stands still for another reason than before; says whether it did.
pub async fn publish<H: Store + Clock>(
    host: &H,
    keys: &Keyspace,
    plan: &Plan,
    worked: Option<&State>,
    configured: Option<Pair>,
    misconfigured: Option<&str>,
) -> Result<bool, StoreError> {
    let key = keys.record(Record::Status);
    let now_ms = host.now_ms();
    let known = known(host, keys).await?;
    // What people did, to the dead letters or to the configuration, is to be seen at once, and so is what was set aside.
    let is_known = plan.dead == known.dead
        && plan.set_aside_s == known.set_aside_s
        && configured == known.configured
        && misconfigured == known.misconfigured.as_deref()
        && !known.is_old(now_ms);
    if worked.is_none() && is_known {
        return Ok(false);
    }
    let status = Status {
        v: 1,
        depth: plan.depth,
        listed_ms: now_ms,
        oldest_s: plan.oldest_s,
        retrying: plan.retrying,
        dead: plan.dead,
        braked: plan.braked.clone(),
        done_s: worked.map_or(known.done_s, |state| state.done_s),
        worked_ms: if worked.is_some() { now_ms } else { known.worked_ms },
        configured,
        set_aside_s: plan.set_aside_s,
        misconfigured: misconfigured.map(str::to_owned),
    };
    host::write(host, &key, &status).await?;
    Ok(true)
}
