//! The last delivery whose signature was refused.
//!
//! Ingest writes the record over the one before, the worker alerts on it, and people see it. Nothing of the delivery's
//! own content is kept, since anybody may have sent it.

use serde::{Deserialize, Serialize};

/// A refused delivery, as ingest leaves it for the worker to alert on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Version of this format.
    pub v: u32,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// On which channel.
    pub channel: String,
    /// Why.
    pub reason: String,
}
