//! Entities given up, with what a person needs to mend them.

use crate::entity::Kind;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How many events a dead letter keeps, the newest.
pub const EVENTS_KEPT: usize = 5;

/// How much of each event it keeps, in bytes.
pub const EVENT_KEPT: usize = 4096;

/// The value of a dead letter's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Version of this format.
    pub v: u32,
    /// The entity's kind.
    pub kind: Kind,
    /// The entity's code.
    pub code: String,
    /// When it was given up, in seconds since the Unix epoch.
    pub failed_s: u64,
    /// What was wrong at last.
    pub reason: String,
    /// Every failed call, oldest first.
    pub failures: Vec<Failure>,
    /// The events that waited, as received, newest first.
    pub events: Vec<String>,
    /// The hash of what the destination refused.
    pub hash: Option<String>,
}

impl DeadLetter {
    /// The bytes in the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        json!(self).to_string().into_bytes()
    }

    /// Drops what takes room: the events, and all failures but the last.
    pub fn thin(&mut self) {
        self.events.clear();
        self.failures.drain(..self.failures.len().saturating_sub(1));
    }
}

/// As much of a text as is kept.
pub fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
