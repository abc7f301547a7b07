//! Counts calls at once and calls in any second, and says when a limit is broken.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What a server allows. `None` is no limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Calls that may be open at the same instant.
    pub at_once: Option<usize>,
    /// Calls that may begin within any 1,000 ms.
    pub per_second: Option<usize>,
    /// Answer 429 beyond a limit. Otherwise the excess is only counted.
    pub enforce: bool,
    /// Value of `Retry-After` on such a 429, in seconds; `None` leaves the header out, as Akeneo may (contract 4.7).
    pub retry_after_s: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: None,
            per_second: None,
            enforce: true,
            retry_after_s: None,
        }
    }
}

impl Limits {
    /// One connection's share of a PIM: 4 calls at once, 100 a second (contract 4.8).
    pub fn of_a_pim() -> Self {
        Self {
            at_once: Some(4),
            per_second: Some(100),
            ..Self::default()
        }
    }
}

/// What has been seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Calls begun.
    pub calls: u64,
    /// The most calls open at one instant.
    pub max_at_once: usize,
    /// The most calls begun within any second.
    pub max_per_second: usize,
    /// Calls begun beyond a limit.
    pub violations: u64,
}

/// The counter itself.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    open: usize,
    // Beginnings within the last second, oldest first.
    recent: VecDeque<u64>,
    seen: Seen,
}

impl Meter {
    /// Counts a call that begins now; true if it is within `limits`. Every call needs one [`Meter::end`].
    pub fn begin(&mut self, limits: &Limits, now_ms: u64) -> bool {
        self.open += 1;
        self.recent.push_back(now_ms);
        while self.recent.front().is_some_and(|at| at + 1000 <= now_ms) {
            self.recent.pop_front();
        }
        self.seen.calls += 1;
        self.seen.max_at_once = self.seen.max_at_once.max(self.open);
        self.seen.max_per_second = self.seen.max_per_second.max(self.recent.len());
        let within = limits.at_once.is_none_or(|most| self.open <= most)
            && limits.per_second.is_none_or(|most| self.recent.len() <= most);
        self.seen.violations += u64::from(!within);
        within
    }

    /// Counts a call as over.
    pub fn end(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Calls open now.
    pub fn open(&self) -> usize {
        self.open
    }

    /// What has been seen since the start or the last reset.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Forgets what was seen. Calls that are open stay counted as open.
    pub fn reset(&mut self) {
        self.seen = Seen::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_call_at_once_is_a_violation() {
        let (mut meter, limits) = (Meter::default(), Limits::of_a_pim());
        assert!((0..4).all(|_| meter.begin(&limits, 0)));
        assert!(!meter.begin(&limits, 0));
        meter.end();
        meter.end();
        assert!(meter.begin(&limits, 0));
        assert_eq!(meter.seen().max_at_once, 5);
        assert_eq!(meter.seen().violations, 1);
    }

    #[test]
    fn the_second_slides() {
        let limits = Limits {
            per_second: Some(2),
            ..Limits::default()
        };
        let mut meter = Meter::default();
        let mut call = |at| {
            let within = meter.begin(&limits, at);
            meter.end();
            within
        };
        assert!(call(0) && call(900) && !call(999) && !call(1000));
        assert!(call(2000));
    }
}
