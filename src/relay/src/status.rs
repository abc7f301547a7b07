//! What the worker publishes: the depth of the queue for ingest, and figures for people.

use crate::entity::Kind;
use crate::host;
use crate::meta::Meta;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    pub braked: BTreeMap<Kind, u64>,
    /// When the destination last took anything, in seconds since the Unix epoch.
    pub done_s: u64,
    /// When a tick last did something, in milliseconds since the Unix epoch.
    pub worked_ms: u64,
    /// What is configured, whether it is adopted or not; none for a dry run.
    pub configured: Option<Meta>,
}

impl Status {
    /// Deletions that the brake held back, of all kinds.
    pub fn braked(&self) -> u64 {
        self.braked.values().sum()
    }

    /// Reads the record; a format that is not known reads as none.
    pub fn read(value: &[u8]) -> Option<Status> {
        host::decoded(value).filter(|status: &Status| status.v == 1)
    }
}
