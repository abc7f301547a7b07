//! What a governor keeps between ticks: waits, a lowered rate, breakers, the retry budget, and counts of calls.
//!
//! Under another configuration of the upstream it counts for nothing. Moments in it may be of a clock that was wrong;
//! the governor bounds each of them by now.

use crate::breaker::Breaker;
use crate::budget::Budget;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a governor keeps between ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GovernorState {
    /// What it was configured with: a mended configuration gets a fresh start.
    pub fingerprint: String,
    /// No call before then: the upstream asked for it. In milliseconds since the Unix epoch.
    pub not_before_ms: u64,
    /// How long that wait was when it was asked for, in milliseconds.
    pub wait_ms: u64,
    /// The rate as it was lowered, since the upstream answered 429 and did not say how long to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowed: Option<Slowed>,
    /// The breakers, by what they guard.
    pub breakers: BTreeMap<String, Breaker>,
    /// The retry budget.
    pub budget: Budget,
    /// Calls made.
    pub calls: u64,
    /// Calls failed.
    pub errors: u64,
    /// Calls answered 429.
    pub throttled: u64,
}

/// A rate below the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slowed {
    /// In thousandths of a call a second.
    pub milli: u64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether a call has come through since it was lowered.
    #[serde(default)]
    pub has_come_through: bool,
}

/// A breaker that is open.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// What it guards.
    pub circuit: &'a str,
    /// Since when it has been open, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// The breaker.
    pub breaker: &'a Breaker,
}

impl GovernorState {
    /// How many calls a second a lowered rate allows, in words.
    pub fn slowed_to(&self) -> Option<String> {
        let milli = self.slowed?.milli;
        Some(format!("{}.{}", milli / 1000, milli % 1000 / 100))
    }

    /// Lets no call be made for so long from now on, in seconds, since the upstream asks for it; a wait that ends later
    /// stays.
    pub(crate) fn wait_for(&mut self, wait_s: u64, now_ms: u64) {
        let not_before_ms = now_ms + wait_s * 1000;
        if wait_s > 0 && not_before_ms > self.not_before_ms {
            (self.not_before_ms, self.wait_ms) = (not_before_ms, wait_s * 1000);
        }
    }

    /// Ends the wait that the upstream asked for, and lets it be called at its configured rate again.
    pub fn end_waits(&mut self) {
        (self.not_before_ms, self.wait_ms, self.slowed) = (0, 0, None);
    }

    /// The breakers that are open: what of the upstream is left alone.
    pub fn open(&self) -> impl Iterator<Item = Open<'_>> {
        self.breakers.iter().filter_map(|(circuit, breaker)| {
            Some(Open {
                circuit,
                since_ms: breaker.since_ms?,
                breaker,
            })
        })
    }
}
