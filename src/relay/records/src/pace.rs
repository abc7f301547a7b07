//! How large batches may be, and whether the work comes to anything.
//!
//! A batch that time did not suffice for is halved, down to a single entity; one that comes to its end doubles it
//! again. What even alone comes to nothing is put behind all others. So whatever is slow, too large, or stuck takes its
//! share of a tick and no more, and people hear of it.

use model::by_kind::ByKind;
use model::entity::{BATCH_MAX, Kind};
use serde::{Deserialize, Serialize};
use world::mistake::{Mistake, made};

/// How many ticks in a row may have work and come to nothing before people hear of it.
pub const PATIENCE: u32 = 3;

/// How often batches are halved at most: down to one.
const HALVED_MAX: u64 = BATCH_MAX.ilog2() as u64 + 1;

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// Entities in it.
    pub of: usize,
    /// The entities that it got through with, whatever came of them.
    pub through: usize,
    /// Whether what was put off need not begin anew, since the marking of variants keeps how far it came.
    pub has_advanced: bool,
}

/// What is kept of the pace between ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// How often the batches of a kind have been halved.
    halved: ByKind<u64>,
    /// How many batches of a kind in a row came to nothing while calls of the PIM were held back.
    #[serde(skip_serializing_if = "ByKind::is_empty")]
    held: ByKind<u64>,
    /// How many ticks in a row had work and came to nothing.
    pub stalled: u32,
    /// Since when, in seconds since the Unix epoch.
    pub since_s: u64,
    /// What the last of them was at.
    pub at: String,
}

impl Pace {
    /// The most entities in a batch of a kind.
    pub fn size(&self, kind: Kind) -> usize {
        let halved = self.halved.count(kind).min(HALVED_MAX);
        (BATCH_MAX >> halved).max(1)
    }

    /// Takes note of a batch while calls of the PIM are held back, which is no reason to ask for less. But where
    /// batches come to nothing again and again, what they ask for may be too much for the PIM, which answers all else.
    pub fn note_held(&mut self, kind: Kind, came: Came) {
        if came.through > 0 {
            self.held.set(kind, None);
            return;
        }
        let times = self.held.at(kind);
        *times += 1;
        if *times < u64::from(PATIENCE) {
            return;
        }
        self.held.set(kind, None);
        let halved = self.halved.at(kind);
        while *halved < HALVED_MAX && BATCH_MAX >> *halved >= came.of {
            *halved += 1;
        }
    }

    /// Takes note of how far a batch came before its time was up.
    pub fn note(&mut self, kind: Kind, came: Came) {
        self.held.set(kind, None);
        let halved = self.halved.at(kind);
        if came.through >= came.of {
            *halved = halved.saturating_sub(1);
        } else if came.through * 2 < came.of && !made(Mistake::NeverHalve) {
            *halved = (*halved + 1).min(HALVED_MAX);
        }
    }

    /// Takes note of a tick that had work: what it was at last, and whether anything came of it. Says whether people
    /// are to hear that nothing has for a while.
    pub fn note_tick(&mut self, has_progressed: bool, at: Option<&str>, now_s: u64) -> bool {
        let Some(at) = at.filter(|_| !has_progressed) else {
            (self.stalled, self.since_s) = (0, 0);
            self.at.clear();
            return false;
        };
        if self.stalled == 0 {
            self.since_s = now_s;
        }
        self.stalled += 1;
        at.clone_into(&mut self.at);
        self.stalled >= PATIENCE
    }

    /// Whether the work has come to nothing for a while.
    pub fn is_stalled(&self) -> bool {
        self.stalled >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(of: usize, through: usize) -> Came {
        Came {
            of,
            through,
            has_advanced: false,
        }
    }

    #[test]
    fn batches_are_halved_down_to_one_and_grow_again() {
        let (mut pace, kind) = (Pace::default(), Kind::Product);
        let mut sizes = Vec::new();
        for _ in 0..9 {
            sizes.push(pace.size(kind));
            pace.note(kind, came(pace.size(kind), 0));
        }
        assert_eq!(sizes, [100, 50, 25, 12, 6, 3, 1, 1, 1]);
        assert_eq!(pace.size(Kind::ProductModel), 100);
        // A batch of which half came through is not halved.
        pace.note(kind, came(4, 2));
        assert_eq!(pace.size(kind), 1);
        (0..9).for_each(|_| pace.note(kind, came(1, 1)));
        assert_eq!(pace.size(kind), 100);
    }

    #[test]
    fn what_comes_to_nothing_while_calls_are_held_back_is_halved_at_the_third_time() {
        let (mut pace, kind) = (Pace::default(), Kind::Product);
        let mut sizes = Vec::new();
        for of in [30, 30, 30, 12, 12, 12, 6, 6, 6, 3, 3, 3, 1, 1, 1] {
            pace.note_held(kind, came(of, 0));
            sizes.push(pace.size(kind));
        }
        assert_eq!(sizes, [100, 100, 25, 25, 25, 6, 6, 6, 3, 3, 3, 1, 1, 1, 1]);
        let mut pace = Pace::default();
        for through in [0, 0, 1, 0, 0, 1, 0, 0] {
            pace.note_held(kind, came(30, through));
        }
        assert_eq!(pace.size(kind), 100);
    }

    #[test]
    fn people_hear_of_it_when_three_ticks_in_a_row_come_to_nothing() {
        let mut pace = Pace::default();
        let told: Vec<bool> = (0..4)
            .map(|n| pace.note_tick(false, Some("a batch"), 100 + n))
            .collect();
        assert_eq!(told, [false, false, true, true]);
        assert_eq!((pace.since_s, pace.at.as_str()), (100, "a batch"));
        assert!(!pace.note_tick(true, Some("another"), 200) && !pace.is_stalled());
        // A tick without work of its own tells nothing bad.
        assert!(!pace.note_tick(false, None, 300));
    }
}
