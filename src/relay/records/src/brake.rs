//! The brake on deletions that nobody announced: lost permissions look just like them.
//!
//! In a day it lets the larger of five and 2% of the index through, and holds all others until a person releases it. An
//! entity counts once, however often its deletion is tried. What the brake keeps is bounded, and moments of clocks that
//! were wrong neither release nor fill it.

use model::entity::Entity;
use model::time::CLOCKS_S;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Over how long deletions are counted, in seconds.
const WINDOW_S: u64 = 86_400;

/// How many are let through in any case.
const LEAST: usize = 5;

/// One in how many entities of the index may be deleted.
const SHARE: usize = 50;

/// How long one count is for, in seconds: deletions are counted for the window and up to this.
const COUNT_S: u64 = 900;

/// How many entities are remembered at most whose deletions were let through and have not come through yet. Of more at
/// once, those let through first count again when they are tried again.
const PENDING_MAX: usize = 1000;

/// How long a person releases the brake for, in seconds.
const RELEASE_S: u64 = 3600;

/// The brake's state, kept between ticks; bounded, however many entities there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Brake {
    /// How many unannounced deletions were let through, by when each count begins, in seconds since the Unix epoch.
    counts: BTreeMap<String, u64>,
    /// Deletions that were let through and have not come through yet, by [`Entity::key`], and when they were let
    /// through, in seconds since the Unix epoch. One that is tried again counts once. Older versions kept all here and
    /// counted them.
    let_through: BTreeMap<String, u64>,
    /// Since when the brake has been holding deletions back, in seconds since the Unix epoch.
    pub holding_since_s: Option<u64>,
    /// Until when a person has released the brake, in seconds since the Unix epoch.
    pub released_until_s: u64,
}

/// Whether a moment counts still; one that lies ahead is of a clock that was wrong.
fn is_recent(at_s: u64, now_s: u64) -> bool {
    at_s <= now_s + CLOCKS_S && at_s + WINDOW_S > now_s
}

/// Whether a count that began at a moment counts still: it may have grown to its end.
fn is_counted(begin: &str, now_s: u64) -> bool {
    let begin_s = begin.parse::<u64>().unwrap_or(0);
    is_recent(begin_s, now_s) || is_recent(begin_s + COUNT_S, now_s)
}

impl Brake {
    /// Whether a deletion may go that nobody announced, or whose entity the index does not have; `indexed` is how many
    /// entities the index holds. Where the answer is no, the caller has the brake hold ([`Brake::hold`]).
    pub fn lets_through(&mut self, entity: &Entity, indexed: usize, now_s: u64) -> bool {
        if self.counts.is_empty() {
            for at_s in self.let_through.clone().into_values() {
                self.count(at_s);
            }
        }
        self.let_through.retain(|_, at_s| is_recent(*at_s, now_s));
        self.forget_old_counts(now_s);
        let key = entity.key();
        if self.is_released(now_s) || self.let_through.contains_key(&key) {
            return true;
        }
        if self.left(indexed, now_s) > 0 {
            self.count(now_s);
            self.let_through.insert(key, now_s);
            if self.let_through.len() > PENDING_MAX {
                let oldest = self.let_through.iter().min_by_key(|(_, at_s)| **at_s);
                let oldest = oldest.map(|(key, _)| key.clone()).unwrap_or_default();
                self.let_through.remove(&oldest);
            }
            return true;
        }
        false
    }

    /// Forgets counts that count no more, but only once there are more than two days can have: a tick whose clock is far
    /// ahead would forget all, and those after it would begin anew. What such a tick counted itself is forgotten: it would
    /// fill the brake when its day comes.
    fn forget_old_counts(&mut self, now_s: u64) {
        let is_ahead = |begin: &str| begin.parse::<u64>().is_ok_and(|begin_s| begin_s > now_s + 2 * WINDOW_S);
        self.counts.retain(|begin, _| !is_ahead(begin));
        let most = 2 * WINDOW_S.div_ceil(COUNT_S) as usize;
        let old = self.counts.keys().filter(|begin| !is_counted(begin, now_s));
        let mut old: Vec<String> = old.cloned().collect();
        old.truncate(self.counts.len().saturating_sub(most));
        for begin in old {
            self.counts.remove(&begin);
        }
    }

    fn count(&mut self, at_s: u64) {
        *self.counts.entry((at_s - at_s % COUNT_S).to_string()).or_default() += 1;
    }

    /// A deletion came through: it is not tried again.
    pub fn done(&mut self, entity: &Entity) {
        self.let_through.remove(&entity.key());
    }

    /// How many more deletions the brake would let through now, the index holding so many entities.
    pub fn left(&self, indexed: usize, now_s: u64) -> usize {
        if self.is_released(now_s) {
            return usize::MAX;
        }
        let count = if self.counts.is_empty() {
            self.let_through
                .values()
                .filter(|at_s| is_recent(**at_s, now_s))
                .count() as u64
        } else {
            let recent = self.counts.iter().filter(|(begin, _)| is_counted(begin, now_s));
            recent.map(|(_, count)| count).sum()
        };
        let most = LEAST.max(indexed / SHARE);
        most.saturating_sub(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Whether a person has released it.
    pub fn is_released(&self, now_s: u64) -> bool {
        now_s < self.released_until_s && !self.is_released_ahead(now_s)
    }

    /// Whether the brake was released for longer than it can be, and so by a clock that was wrong.
    pub fn is_released_ahead(&self, now_s: u64) -> bool {
        self.released_until_s > now_s + RELEASE_S + CLOCKS_S
    }

    /// Forgets a release that a clock dated ahead which was wrong. If it were kept, it would let everything through
    /// when its hour comes, long after anybody meant that.
    pub fn forget_ahead(&mut self, now_s: u64) {
        if self.is_released_ahead(now_s) {
            self.released_until_s = 0;
        }
    }

    /// The brake holds something back from now on, if it does not already.
    pub fn hold(&mut self, now_s: u64) {
        self.holding_since_s.get_or_insert(now_s);
    }

    /// A person lets all that is held back through, for an hour.
    pub fn release(&mut self, now_s: u64) {
        *self = Brake {
            released_until_s: now_s + RELEASE_S,
            ..Brake::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::entity::Kind;
    use serde_json::json;

    #[test]
    fn an_entity_counts_once_however_often_it_is_tried() {
        let mut brake = Brake::default();
        for _ in 0..10 {
            assert!((0..LEAST).all(|n| brake.lets_through(&product(n), 20, 100)));
        }
        assert_eq!((brake.left(20, 100), brake.holding_since_s), (0, None));
        assert!(!brake.lets_through(&product(LEAST), 20, 160));
        assert!(!brake.lets_through(&product(LEAST), 20, 100 + WINDOW_S));
        assert!(brake.lets_through(&product(LEAST), 20, 100 + WINDOW_S + COUNT_S));
    }

    #[test]
    fn it_lets_a_fiftieth_of_the_index_through_and_all_once_released() {
        let mut brake = Brake::default();
        assert_eq!(brake.left(2200, 100), 44);
        brake.release(100);
        assert!(brake.is_released(3699) && !brake.is_released(3700));
        assert_eq!(brake.left(0, 100), usize::MAX);
    }

    #[test]
    fn moments_of_a_clock_that_was_ahead_neither_release_nor_fill_it() {
        for ahead_s in [2 * RELEASE_S, WINDOW_S, 365 * WINDOW_S] {
            let mut brake = Brake::default();
            brake.release(100 + ahead_s);
            assert!(!brake.is_released(100), "{ahead_s} s ahead");
            let mut brake = Brake::default();
            for n in 0..LEAST {
                brake.lets_through(&product(n), 0, 100 + ahead_s);
            }
            assert_eq!(brake.left(0, 100), LEAST, "{ahead_s} s ahead");
        }
    }

    #[test]
    fn a_tick_whose_clock_is_ahead_does_not_have_it_begin_anew() {
        let (mut brake, ahead_s) = (Brake::default(), 100 + 365 * WINDOW_S);
        for n in 0..LEAST {
            assert!(brake.lets_through(&product(n), 0, 100));
        }
        for n in 0..LEAST {
            assert!(brake.lets_through(&product(100 + n), 0, ahead_s));
        }
        assert_eq!(brake.left(0, 160), 0);
        assert!(!brake.lets_through(&product(200), 0, 160));
    }

    #[test]
    fn what_it_keeps_is_bounded_and_what_is_tried_again_counts_once() {
        let (mut brake, indexed) = (Brake::default(), 2_000_000);
        for n in 0..40_000 {
            assert!(brake.lets_through(&product(n), indexed, 100_000 + n as u64 * 2));
            // A thousand deletions fail at a time, and are tried again.
            if n >= 1000 {
                let again = product(n - 999);
                assert!(brake.lets_through(&again, indexed, 100_000 + n as u64 * 2));
                brake.done(&again);
            }
        }
        assert_eq!(brake.left(indexed, 180_000), 0);
        let kept = json!(brake).to_string();
        assert!(kept.len() < 40_000, "{} bytes", kept.len());
        assert_eq!(serde_json::from_str::<Brake>(&kept).ok(), Some(brake));
    }

    #[test]
    fn what_an_older_version_kept_counts() {
        let known: BTreeMap<String, u64> = (0..7).map(|n| (product(n).key(), 1000 + n as u64)).collect();
        let old = json!({ "let_through": known, "holding_since_s": 5, "released_until_s": 0 });
        let mut brake: Brake = serde_json::from_value(old).expect("a brake");
        assert_eq!((brake.left(500, 2000), brake.holding_since_s), (3, Some(5)));
        assert!(brake.lets_through(&product(3), 500, 2000), "tried again");
        assert_eq!(brake.left(500, 2000), 3);
    }

    fn product(n: usize) -> Entity {
        Entity::new(Kind::Product, &format!("p{n}"))
    }
}
