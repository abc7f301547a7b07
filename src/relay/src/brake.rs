//! The brake on deletions that nobody announced: lost permissions look just like them.

use serde::{Deserialize, Serialize};

/// Over how long deletions are counted, in seconds.
const WINDOW_S: u64 = 86_400;

/// How many are let through in any case.
const LEAST: usize = 5;

/// One in how many entities of the index may be deleted.
const SHARE: usize = 50;

/// Its state, kept between ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Brake {
    /// When unannounced deletions were let through, in seconds since the Unix epoch.
    let_through_s: Vec<u64>,
    /// Since when it has been holding deletions back, in seconds since the Unix epoch.
    pub holding_since_s: Option<u64>,
    /// Until when a person has released it, in seconds since the Unix epoch.
    pub released_until_s: u64,
}

impl Brake {
    /// Asks for an unannounced deletion, the index holding so many entities.
    pub fn lets_through(&mut self, indexed: usize, now_s: u64) -> bool {
        self.let_through_s.retain(|at_s| at_s + WINDOW_S > now_s);
        if self.is_released(now_s) {
            return true;
        }
        if self.left(indexed, now_s) > 0 {
            self.let_through_s.push(now_s);
            return true;
        }
        self.hold(now_s);
        false
    }

    /// How many more it would let through now, the index holding so many entities.
    pub fn left(&self, indexed: usize, now_s: u64) -> usize {
        if self.is_released(now_s) {
            return usize::MAX;
        }
        let recent = self.let_through_s.iter().filter(|at_s| **at_s + WINDOW_S > now_s);
        LEAST.max(indexed / SHARE).saturating_sub(recent.count())
    }

    /// Whether a person has released it.
    pub fn is_released(&self, now_s: u64) -> bool {
        now_s < self.released_until_s
    }

    /// It holds something back from now on, if it does not already.
    pub fn hold(&mut self, now_s: u64) {
        self.holding_since_s.get_or_insert(now_s);
    }

    /// A person lets all that is held back through, for an hour.
    pub fn release(&mut self, now_s: u64) {
        *self = Brake {
            released_until_s: now_s + 3600,
            ..Brake::default()
        };
    }
}
