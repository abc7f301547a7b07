//! The last delivery whose signature was refused.

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
