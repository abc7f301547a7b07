//! The brake on deletions that nobody announced: lost permissions look just like them.

use crate::entity::Entity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Which entities' unannounced deletions were let through, by [`Entity::key`], and when first, in seconds since the
    /// Unix epoch. One that is tried again counts once.
    let_through: BTreeMap<String, u64>,
    /// Since when it has been holding deletions back, in seconds since the Unix epoch.
    pub holding_since_s: Option<u64>,
    /// Until when a person has released it, in seconds since the Unix epoch.
    pub released_until_s: u64,
}

impl Brake {
    /// Asks for an unannounced deletion, the index holding so many entities.
    pub fn lets_through(&mut self, entity: &Entity, indexed: usize, now_s: u64) -> bool {
        self.let_through.retain(|_, at_s| *at_s + WINDOW_S > now_s);
        let key = entity.key();
        if self.is_released(now_s) || self.let_through.contains_key(&key) {
            return true;
        }
        if self.left(indexed, now_s) > 0 {
            self.let_through.insert(key, now_s);
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
        let recent = self.let_through.values().filter(|at_s| **at_s + WINDOW_S > now_s);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Kind;

    #[test]
    fn an_entity_counts_once_however_often_it_is_tried() {
        let mut brake = Brake::default();
        let product = |n: usize| Entity::new(Kind::Product, &format!("p{n}"));
        for _ in 0..10 {
            assert!((0..LEAST).all(|n| brake.lets_through(&product(n), 20, 100)));
        }
        assert_eq!((brake.left(20, 100), brake.holding_since_s), (0, None));
        assert!(!brake.lets_through(&product(LEAST), 20, 160));
        assert_eq!(brake.holding_since_s, Some(160));
        assert!(brake.lets_through(&product(LEAST), 20, 100 + WINDOW_S));
    }

    #[test]
    fn it_lets_a_fiftieth_of_the_index_through_and_all_once_released() {
        let mut brake = Brake::default();
        assert_eq!(brake.left(2200, 100), 44);
        brake.release(100);
        assert!(brake.is_released(3699) && !brake.is_released(3700));
        assert_eq!(brake.left(0, 100), usize::MAX);
    }
}
