//! What can go wrong with a call, and what follows from it.

use crate::time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// May pass: 408, 429, 5xx, a timeout, a lost connection. Costs an attempt.
    Transient,
    /// The upstream cannot be reached or answers something else than itself. Costs nothing.
    Unavailable,
    /// Every call would fail until a person mends something: credentials, permissions, addresses. Costs nothing.
    Misconfigured,
    /// This entity is refused: another try would be, too.
    Permanent,
    /// No call was made: a breaker is open, a wait is asked for, the budget or the time is used up. Costs nothing.
    Held,
}

/// One failed call, as retries and dead letters keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When, in seconds since the Unix epoch.
    pub at_s: u64,
    /// Whose: `pim`, `destination` or `alert`.
    pub upstream: String,
    /// What follows.
    pub class: Class,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// What was wrong, in words, without secrets.
    pub reason: String,
    /// What the upstream called it.
    pub tracking_id: Option<String>,
    /// How many calls were made of it.
    pub tries: u32,
    /// Whether the request may have been carried out, or still may be.
    pub unsettled: bool,
    /// How long the upstream asked to wait, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Failure {
    /// It as people see it.
    pub(crate) fn shown(&self) -> Value {
        json!({
            "time": time::text(self.at_s), "upstream": self.upstream, "status": self.status,
            "reason": self.reason, "tracking_id": self.tracking_id, "tries": self.tries,
        })
    }

    /// How many attempts it costs the entity.
    pub fn cost(&self) -> u32 {
        if matches!(self.class, Class::Transient | Class::Permanent) {
            self.tries.max(1)
        } else {
            0
        }
    }
}
