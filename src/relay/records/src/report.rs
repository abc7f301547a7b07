//! What a tick did, in figures: for its log line, for whoever asked for it by HTTP, and for the history.
//!
//! Every figure is of this one tick, and nothing is decided by them but the status of that answer.

use serde::Serialize;

/// What a tick did, for its log line and its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What became of the tick: `idle`, `busy` (another worker has the lease), `worked`, `stopped` or `failed`.
    pub outcome: &'static str,
    /// Why it stopped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Events that waited at its beginning.
    pub depth: u64,
    /// Entities that it got through with, whatever came of them.
    pub entities: u64,
    /// Upserts that came through.
    pub upserts: u64,
    /// Deletes that came through.
    pub deletes: u64,
    /// Files that were sent ahead of their entities.
    pub files: u64,
    /// Entities found as they were last pushed.
    pub unchanged: u64,
    /// Entities that the selection refuses; what the destination has of them is deleted.
    pub unwanted: u64,
    /// Entities shaped and hashed.
    pub shaped: u64,
    /// How long that took, in milliseconds.
    pub shaping_ms: u64,
    /// Entities to be tried again.
    pub retries: u64,
    /// Entities given up.
    pub dead_letters: u64,
    /// Deletions held back by the brake.
    pub braked: u64,
    /// Events that the tick raised itself.
    pub raised: u64,
    /// Pages of the PIM's lists that reconciliation read.
    pub pages: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

impl Report {
    /// The report of a tick that could not do its work.
    pub fn failed(reason: String) -> Report {
        Report {
            outcome: "failed",
            reason: Some(reason),
            ..Report::default()
        }
    }

    /// The status with which a tick asked for by HTTP is answered: a tick that failed or was stopped says so.
    pub fn status(&self) -> u16 {
        if matches!(self.outcome, "failed" | "stopped") {
            503
        } else {
            200
        }
    }
}
