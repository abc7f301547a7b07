//! The retry budget: retries may be a fifth of first attempts plus one a second, so that an outage is not amplified.
//!
//! First attempts and time save retries up, to a bound, and each retry takes one. A call that the budget refuses is put
//! off and costs its entity nothing.

use serde::{Deserialize, Serialize};

/// What each first attempt adds, in thousandths of a retry.
const PER_FIRST_MILLI: u64 = 200;

/// What each millisecond adds, in thousandths of a retry.
const PER_MS_MILLI: u64 = 1;

/// The most that can be saved up, in thousandths of a retry: what two ticks earn, so that a quiet hour does not end in
/// a burst.
const SAVED_MAX_MILLI: u64 = 20_000;

/// How long nothing may have been refused for the budget to count as recovered, in milliseconds: what a pause between
/// two ticks brings does not end a shortage.
const CALM_MS: u64 = 120_000;

/// A bucket of retries, kept between ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    saved_milli: u64,
    at_ms: u64,
    /// Since when it has been refusing, in milliseconds since the Unix epoch.
    exhausted_since_ms: Option<u64>,
    /// When it last refused, in milliseconds since the Unix epoch.
    #[serde(default)]
    refused_ms: u64,
}

/// What a call is to the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The first one for its entity.
    First,
    /// One more try.
    Retry,
    /// A further request of a try that was let in: it brings nothing, and costs nothing.
    Further,
}

impl Budget {
    /// Whether a call may be made, which is taken note of.
    pub fn lets_in(&mut self, share: Share, now_ms: u64) -> bool {
        match share {
            Share::First => self.first_attempt(),
            Share::Retry => return self.take(now_ms),
            Share::Further => {}
        }
        true
    }

    /// Takes note of a first attempt.
    fn first_attempt(&mut self) {
        self.saved_milli = (self.saved_milli + PER_FIRST_MILLI).min(SAVED_MAX_MILLI);
    }

    /// Takes one retry out of the budget, if there is one.
    pub fn take(&mut self, now_ms: u64) -> bool {
        if self.at_ms > 0 {
            let earned = now_ms.saturating_sub(self.at_ms).saturating_mul(PER_MS_MILLI);
            self.saved_milli = self.saved_milli.saturating_add(earned).min(SAVED_MAX_MILLI);
        }
        self.at_ms = now_ms;
        if self.saved_milli < 1000 {
            self.exhausted_since_ms = self.exhausted_since_ms(now_ms).or(Some(now_ms));
            self.refused_ms = now_ms;
            return false;
        }
        self.saved_milli -= 1000;
        true
    }

    /// Since when it has refused time and again, in milliseconds since the Unix epoch; none if it has not of late.
    pub fn exhausted_since_ms(&self, now_ms: u64) -> Option<u64> {
        let is_of_late = now_ms.abs_diff(self.refused_ms) <= CALM_MS;
        self.exhausted_since_ms.filter(|_| is_of_late)
    }

    /// How many retries are saved up.
    pub fn left(&self) -> u64 {
        self.saved_milli / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_try_of_several_requests_costs_as_much_as_one_of_a_single_request() {
        let mut budget = Budget::default();
        (0..10).for_each(|_| assert!(budget.lets_in(Share::First, 1)));
        assert_eq!(budget.left(), 2);
        for left in [1, 0] {
            assert!(budget.lets_in(Share::Retry, 1) && budget.lets_in(Share::Further, 1));
            assert_eq!(budget.left(), left);
        }
        assert!(!budget.lets_in(Share::Retry, 1));
    }

    #[test]
    fn a_shortage_lasts_over_the_pauses_between_ticks_and_ends_with_calm() {
        let mut budget = Budget::default();
        for tick in 0..10 {
            while budget.take(1000 + tick * 60_000) {}
        }
        assert_eq!(budget.exhausted_since_ms(1000 + 9 * 60_000), Some(1000));
        let later_ms = 1000 + 9 * 60_000 + CALM_MS + 1;
        assert_eq!(budget.exhausted_since_ms(later_ms), None);
        while budget.take(later_ms) {}
        assert_eq!(budget.exhausted_since_ms(later_ms), Some(later_ms));
    }

    proptest! {
        #[test]
        fn retries_never_pass_a_fifth_of_first_attempts_plus_one_a_second(steps in proptest::collection::vec((0..2000u64, any::<bool>()), 1..300)) {
            let (mut budget, mut now_ms, mut first, mut retries) = (Budget::default(), 1, 0u64, 0u64);
            for (pause_ms, is_first) in steps {
                now_ms += pause_ms;
                if is_first {
                    first += 1;
                    budget.first_attempt();
                } else if budget.take(now_ms) {
                    retries += 1;
                }
                prop_assert!(retries * 1000 <= first * 200 + now_ms);
            }
        }
    }
}
