//! What the worker publishes: the depth of the queue for ingest, and figures for people.

use serde::{Deserialize, Serialize};

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
    /// Entities whose deletion the brake held back.
    pub braked: u64,
    /// When a tick last did something, in milliseconds since the Unix epoch.
    pub worked_ms: u64,
}

impl Status {
    /// Reads the record; a format that is not known reads as none.
    pub fn read(value: &[u8]) -> Option<Status> {
        serde_json::from_slice(value)
            .ok()
            .filter(|status: &Status| status.v == 1)
    }
}
