//! The circuit breaker: what is down is probed, not drained against.
//!
//! Whether an upstream is down, or refuses everything, is judged by several different entities: what one of them alone
//! is answered, while others come through, is its own.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many failures in a row open a breaker.
const FAILURES: u32 = 5;

/// How many different entities refused in a row say that it is not the entities' fault.
const REFUSED: u32 = 10;

/// How many times the above are doubled at most, once for each time that it opened and an entity came through soon.
const PATIENCE_MAX: u32 = 2;

/// How long it is remembered that a breaker opened, in milliseconds.
const PATIENCE_MS: u64 = 1_800_000;

/// How long a failure is remembered, in milliseconds: longer than any entity waits for its retry.
const FAILED_MS: u64 = 7_200_000;

/// How long a breaker stays open at first, in milliseconds; every failed probe doubles that.
const FIRST_MS: u64 = 10_000;

/// How long a breaker stays open at most, in milliseconds.
const LONGEST_MS: u64 = 300_000;

/// How long ago an entity may have come through, in milliseconds, for another one to be taken for the only one that
/// does not, which opens no breaker.
const RECENT_MS: u64 = 60_000;

/// How many different entities may go as probes one after the other before the breaker waits, where those that failed
/// may be at fault themselves.
const EAGER: u32 = 2;

/// The same where entities are refused, for then the upstream answers.
const EAGER_REFUSING: u32 = 5;

/// How many entities are remembered that were answered in a way that may be their own fault.
const SUSPECTS_MAX: usize = 50;

/// The breaker's state, kept between ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    failures: u32,
    /// What failed last, and whether anything else did: one entity that always fails is its own fault.
    subject: String,
    several: bool,
    refused: Vec<String>,
    /// Whether it opened because everything is refused, rather than because nothing answers.
    refusing: bool,
    /// Whether what failed last was the configuration.
    #[serde(default)]
    misconfigured: bool,
    probes: u32,
    /// Since when it has been open, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// When the next probe may go, in milliseconds since the Unix epoch.
    pub probe_ms: u64,
    /// Why it opened.
    pub reason: String,
    /// Entities that were answered in a way that may be their own fault or the upstream's, and whether another one has
    /// come through since.
    #[serde(default)]
    suspects: BTreeMap<String, bool>,
    /// When a call last came through, in milliseconds since the Unix epoch.
    #[serde(default)]
    succeeded_ms: u64,
    /// How often the breaker opened of late and an entity came through then: each time it takes more to open it again.
    #[serde(default)]
    patience: u32,
    /// When it last opened, in milliseconds since the Unix epoch.
    #[serde(default)]
    opened_ms: u64,
    /// How many further entities may go as probes without a wait.
    #[serde(default)]
    eager: u32,
    /// When a call last failed for whatever reason, in milliseconds since the Unix epoch.
    #[serde(default)]
    failed_ms: u64,
}

/// When and how something failed, and whether it was a probe.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The entity that the call was for; none where it was for no single one.
    pub subject: Option<&'a str>,
    /// Whether it was let through an open breaker.
    pub was_probe: bool,
    /// Why it failed.
    pub reason: &'a str,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Any number.
    pub chance: u64,
}

impl<'a> Event<'a> {
    /// A failure of no single entity's.
    pub fn of(reason: &'a str, now_ms: u64, chance: u64) -> Event<'a> {
        Event {
            subject: None,
            was_probe: false,
            reason,
            now_ms,
            chance,
        }
    }
}

impl Breaker {
    /// Whether it is open: calls are not made, but for single probes.
    pub fn is_open(&self) -> bool {
        self.since_ms.is_some()
    }

    /// Whether a probe may go now.
    pub fn lets_probe(&self, subject: Option<&str>, now_ms: u64) -> bool {
        // A moment further ahead than any wait is of a clock that was wrong.
        let has_waited = now_ms >= self.probe_ms || self.probe_ms > now_ms + 2 * LONGEST_MS;
        has_waited || (self.eager > 0 && subject.is_none_or(|subject| !self.has_failed(subject)))
    }

    fn has_failed(&self, subject: &str) -> bool {
        self.suspects.contains_key(subject)
            || self.subject == subject
            || self.refused.iter().any(|known| known == subject)
    }

    /// Whether it opened of late: then what waits goes in an order of chance, so that those which come through do not
    /// all stand behind those which do not.
    pub fn opened_of_late(&self, now_ms: u64) -> bool {
        self.opened_ms > 0 && now_ms.abs_diff(self.opened_ms) < PATIENCE_MS
    }

    /// Takes note that a call failed, whosever fault it is.
    pub fn note_failure(&mut self, now_ms: u64) {
        self.failed_ms = now_ms;
    }

    /// Whether any call failed of late.
    pub fn failed_of_late(&self, now_ms: u64) -> bool {
        self.failed_ms > 0 && now_ms.abs_diff(self.failed_ms) < FAILED_MS
    }

    /// A call came through.
    pub fn succeeded(&mut self, subject: Option<&str>, now_ms: u64) {
        let mut suspects = std::mem::take(&mut self.suspects);
        if let Some(subject) = subject {
            suspects.remove(subject);
            suspects.values_mut().for_each(|cleared| *cleared = true);
        }
        *self = Breaker {
            suspects,
            succeeded_ms: now_ms,
            patience: if self.is_open() {
                (self.patience + 1).min(PATIENCE_MAX)
            } else {
                self.patience
            },
            opened_ms: self.opened_ms,
            failed_ms: self.failed_ms,
            ..Breaker::default()
        };
    }

    /// A call failed in a way that may be the upstream's.
    pub fn failed(&mut self, event: Event<'_>) {
        if self.is_open() {
            return self.note_probe(event, LONGEST_MS);
        }
        self.several |= self.failures > 0 && event.subject.is_none_or(|subject| self.subject != subject);
        event.subject.unwrap_or_default().clone_into(&mut self.subject);
        self.failures += 1;
        if self.failures >= FAILURES << self.patience_at(event.now_ms) && self.several {
            self.open_with(event, EAGER);
        }
    }

    /// A call for several entities failed, which one of them may have brought about; `needs_person` where waiting may
    /// not mend it.
    pub fn failed_in_doubt(&mut self, event: Event<'_>, needs_person: bool) {
        self.failed(event);
        self.misconfigured = needs_person;
    }

    /// An entity was refused, and so the upstream answers. Many different ones refused in a row are a sign that
    /// something else is wrong.
    pub fn refused(&mut self, event: Event<'_>) {
        if self.is_open() && self.refusing {
            return self.note_probe(event, FIRST_MS);
        }
        let mut refused = std::mem::take(&mut self.refused);
        *self = Breaker {
            suspects: std::mem::take(&mut self.suspects),
            succeeded_ms: self.succeeded_ms,
            patience: self.patience,
            opened_ms: self.opened_ms,
            failed_ms: self.failed_ms,
            ..Breaker::default()
        };
        let subject = event.subject.unwrap_or_default();
        if !refused.iter().any(|known| known == subject) {
            refused.push(subject.to_owned());
        }
        let count = refused.len();
        self.refused = refused;
        if count >= (REFUSED << self.patience_at(event.now_ms)) as usize {
            self.refusing = true;
            let reason = format!("{count} entities refused in a row; the last: {}", event.reason);
            self.open_with(
                Event {
                    reason: &reason,
                    ..event
                },
                EAGER_REFUSING,
            );
        }
    }

    /// One entity was answered in a way that may be its own fault or the upstream's: says whether it is its own, since
    /// another one has come through since it was last answered so.
    pub fn suspected(&mut self, subject: &str, event: Event<'_>, needs_person: bool) -> bool {
        let known = self.suspects.get(subject).copied();
        if known == Some(true) {
            return true;
        }
        if known.is_none() && self.suspects.len() >= SUSPECTS_MAX {
            self.suspects.pop_first();
        }
        self.suspects.insert(subject.to_owned(), false);
        self.misconfigured = needs_person;
        if self.is_open() {
            if known.is_some() {
                // The same entity again tells nothing of the others.
                let eager = std::mem::take(&mut self.eager);
                self.note_probe(event, LONGEST_MS);
                self.eager = eager;
            } else {
                self.note_probe(event, LONGEST_MS);
            }
            return false;
        }
        let in_a_row = self.suspects.values().filter(|cleared| !**cleared).count();
        let came_through = self.succeeded_ms > 0 && event.now_ms.abs_diff(self.succeeded_ms) < RECENT_MS;
        if in_a_row > EAGER as usize || !came_through {
            self.open_with(event, EAGER.saturating_sub(number(in_a_row) - 1));
        }
        false
    }

    /// One entity was asked to come less often, as all may be: says whether another one has come through since it was
    /// last asked so.
    pub fn throttled(&mut self, subject: &str) -> bool {
        if self.suspects.len() >= SUSPECTS_MAX && !self.suspects.contains_key(subject) {
            self.suspects.pop_first();
        }
        self.suspects.insert(subject.to_owned(), false) == Some(true)
    }

    /// Opens it for a reason that waiting will not mend.
    pub fn open_for_a_person(&mut self, event: Event<'_>) {
        self.misconfigured = true;
        self.open(event);
    }

    /// Whether it is open for a reason that only a person can mend.
    pub fn needs_a_person(&self) -> bool {
        self.is_open() && (self.misconfigured || self.refusing)
    }

    /// Opens it, or keeps it open for longer.
    pub fn open(&mut self, event: Event<'_>) {
        if self.is_open() {
            self.note_probe(event, LONGEST_MS);
        } else {
            self.open_with(event, 0);
        }
    }

    fn open_with(&mut self, event: Event<'_>, eager: u32) {
        self.patience = self.patience_at(event.now_ms);
        (self.since_ms, self.opened_ms) = (Some(event.now_ms), event.now_ms);
        (self.probes, self.eager) = (0, eager);
        self.wait(event, LONGEST_MS);
    }

    /// A call failed behind an open breaker: a probe, or one that was under way when it opened, which tells nothing
    /// new.
    fn note_probe(&mut self, event: Event<'_>, longest_ms: u64) {
        if !event.was_probe {
            return;
        }
        if self.eager > 0 {
            self.eager -= 1;
        }
        self.wait(event, longest_ms);
    }

    fn wait(&mut self, event: Event<'_>, longest_ms: u64) {
        event.reason.clone_into(&mut self.reason);
        let wait_ms = FIRST_MS.saturating_mul(1 << self.probes.min(16)).min(longest_ms);
        self.probes += 1;
        // Between three quarters and all of it, so that several applications do not probe in step.
        self.probe_ms = event.now_ms + wait_ms - event.chance % (wait_ms / 4 + 1);
    }

    fn patience_at(&self, now_ms: u64) -> u32 {
        if self.opened_of_late(now_ms) { self.patience } else { 0 }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, was_probe: bool, now_ms: u64) -> Event<'_> {
        Event {
            subject: Some(subject),
            was_probe,
            reason: "no",
            now_ms,
            chance: 0,
        }
    }

    #[test]
    fn one_that_always_fails_does_not_open_it_and_five_of_several_do() {
        let mut breaker = Breaker::default();
        (0..20).for_each(|_| breaker.failed(event("x", false, 5)));
        assert!(!breaker.is_open());
        breaker.failed(event("y", false, 5));
        assert!(breaker.is_open() && !breaker.needs_a_person());
        // Two other entities may go at once; the one that failed last may not.
        assert!(breaker.lets_probe(Some("z"), 6) && !breaker.lets_probe(Some("y"), 6));
        breaker.failed(event("z", true, 6));
        breaker.failed(event("a", true, 7));
        assert!(!breaker.lets_probe(Some("b"), 8) && breaker.lets_probe(Some("b"), 60_000));
    }

    #[test]
    fn what_was_under_way_when_it_opened_does_not_lengthen_the_wait() {
        let mut breaker = Breaker::default();
        for n in 0..10 {
            breaker.failed(event(&format!("x{n}"), false, 5));
        }
        assert_eq!(breaker.probe_ms, 5 + FIRST_MS);
    }

    #[test]
    fn what_one_is_answered_while_others_come_through_is_its_own() {
        let mut breaker = Breaker::default();
        assert!(!breaker.suspected("x", event("x", false, 1000), true));
        assert!(breaker.needs_a_person(), "nothing else is known");
        assert!(breaker.lets_probe(Some("y"), 1001) && !breaker.lets_probe(Some("x"), 1001));
        breaker.succeeded(Some("y"), 1002);
        assert!(!breaker.is_open());
        assert!(breaker.suspected("x", event("x", false, 20_000), true));
        assert!(!breaker.is_open());
        // Others come through all the time: a second entity alone does not open it either.
        breaker.succeeded(Some("y"), 20_001);
        assert!(!breaker.suspected("z", event("z", false, 20_002), true));
        assert!(!breaker.is_open());
    }

    #[test]
    fn three_in_a_row_are_answered_so_and_it_waits() {
        let mut breaker = Breaker::default();
        breaker.succeeded(Some("a"), 1);
        for (n, subject) in ["x", "y", "z"].into_iter().enumerate() {
            assert!(!breaker.suspected(subject, event(subject, false, 2), true));
            assert_eq!(breaker.is_open(), n == 2, "{subject}");
        }
        assert!(!breaker.lets_probe(Some("b"), 3));
        assert!(breaker.lets_probe(Some("b"), 2 + FIRST_MS));
    }

    #[test]
    fn refusals_open_it_later_each_time_that_something_comes_through_and_its_waits_stay_short() {
        let mut breaker = Breaker::default();
        let mut name = 0;
        let mut refuse = |breaker: &mut Breaker, was_probe: bool| {
            name += 1;
            breaker.refused(event(&format!("x{name}"), was_probe, 1000));
        };
        for opening in [10, 20, 40, 40] {
            for n in 1..=opening {
                assert!(!breaker.is_open(), "{n} of {opening}");
                refuse(&mut breaker, false);
            }
            assert!(breaker.needs_a_person());
            for _ in 0..20 {
                refuse(&mut breaker, true);
            }
            assert_eq!(breaker.probe_ms, 1000 + FIRST_MS);
            breaker.succeeded(Some("y"), 1000);
        }
        // Half an hour later it is forgotten how often the breaker opened.
        breaker.refused = Vec::new();
        for n in 0..10 {
            breaker.refused(event(&format!("z{n}"), false, 1000 + PATIENCE_MS + 1));
        }
        assert!(breaker.is_open());
    }
}
