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
    /// The upstream answers with more than is read: less is to be asked for. Costs an attempt where there is no less.
    TooLarge,
    /// No call was made: a breaker is open, a wait is asked for, or the budget is used up. Costs nothing.
    #[serde(rename = "held")]
    NotCalled,
    /// No call was made: the tick, and not an upstream, has come to its end. Costs nothing.
    TimeIsUp,
}

/// How much of an upstream's answer stands in a reason, in bytes.
pub const REASON_KEPT: usize = 200;

/// How much of the last answer is kept for people, in bytes: what a destination says of a dozen fields.
pub const ANSWER_KEPT: usize = 4096;

/// Adds a failure to those before it, of whose answers their reasons say enough.
pub fn keep(failures: &mut Vec<Failure>, failure: Failure) {
    for earlier in failures.iter_mut() {
        earlier.answer = None;
    }
    failures.push(failure);
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
    /// All that it answered, without secrets and up to [`ANSWER_KEPT`], where `reason` has only the beginning of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<str>>,
    /// What the upstream called it.
    pub tracking_id: Option<Box<str>>,
    /// How many calls were made of it.
    pub tries: u32,
    /// Whether the request may have been carried out, or still may be.
    pub unsettled: bool,
    /// How long the upstream asked to wait, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Failure {
    /// It as people see it.
    pub fn shown(&self) -> Value {
        json!({
            "time": time::text(self.at_s), "upstream": self.upstream, "status": self.status,
            "reason": self.reason, "answer": self.answer, "tracking_id": self.tracking_id, "tries": self.tries,
        })
    }

    /// How many attempts it costs the entity.
    pub fn cost(&self) -> u32 {
        if matches!(self.class, Class::Transient | Class::Permanent | Class::TooLarge) {
            self.tries.max(1)
        } else {
            0
        }
    }

    /// The same, of a request that cannot have changed the entity, or still change it.
    #[must_use]
    pub fn settled(self) -> Failure {
        Failure {
            unsettled: false,
            ..self
        }
    }

    /// Whether no call was made.
    pub fn was_not_called(&self) -> bool {
        matches!(self.class, Class::NotCalled | Class::TimeIsUp)
    }

    /// Whether a refusal may have left something behind: it came in an answer with a good status.
    pub fn may_have_changed_something(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether one of several that were asked for together may be why, so that it is worth asking for fewer.
    pub fn may_be_of_one(&self) -> bool {
        !self.was_not_called() && (self.status.is_some() || self.is_for_size())
    }

    /// Whether a request for less may come through where this one failed: the answer was too large, took too long or was
    /// cut off, the upstream broke over it, or refused it. An upstream that is down fails in the same ways, so whoever
    /// asks for less must tell the two apart by another request.
    pub fn is_for_size(&self) -> bool {
        if self.retry_after_s.is_some() || self.class == Class::Misconfigured || self.was_not_called() {
            return false;
        }
        match self.status {
            Some(429) => false,
            Some(status) => status >= 400,
            // A connection that never stood says nothing of what was to be asked over it.
            None => self.unsettled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_asked_for_only_where_that_may_help() {
        let failure = |class, status, unsettled, retry_after_s| Failure {
            at_s: 0,
            upstream: "pim".to_owned(),
            class,
            status,
            reason: String::new(),
            tracking_id: None,
            tries: 1,
            unsettled,
            retry_after_s,
            answer: None,
        };
        for (class, status, unsettled) in [
            (Class::TooLarge, None, true),
            (Class::Transient, None, true),
            (Class::Transient, Some(500), false),
            (Class::Unavailable, Some(504), true),
            (Class::Permanent, Some(422), false),
            (Class::Permanent, Some(413), false),
        ] {
            assert!(
                failure(class, status, unsettled, None).is_for_size(),
                "{class:?} {status:?}"
            );
            assert!(
                !failure(class, status, unsettled, Some(5)).is_for_size(),
                "{class:?} {status:?}"
            );
        }
        for (class, status) in [
            (Class::Unavailable, None),
            (Class::Transient, Some(429)),
            (Class::Misconfigured, Some(403)),
            (Class::NotCalled, None),
        ] {
            assert!(
                !failure(class, status, false, None).is_for_size(),
                "{class:?} {status:?}"
            );
        }
    }

    #[test]
    fn of_all_answers_only_the_last_is_kept_whole() {
        let failure = |n: usize| Failure {
            at_s: 1,
            upstream: "destination".to_owned(),
            class: Class::Transient,
            status: Some(503),
            reason: format!("503: {n}"),
            answer: Some("x".repeat(ANSWER_KEPT).into()),
            tracking_id: None,
            tries: 1,
            unsettled: false,
            retry_after_s: None,
        };
        let mut failures = Vec::new();
        for n in 0..8 {
            keep(&mut failures, failure(n));
            let kept: Vec<bool> = failures.iter().map(|failure| failure.answer.is_some()).collect();
            assert_eq!(kept, (0..=n).map(|at| at == n).collect::<Vec<_>>());
        }
        let last = Failure {
            answer: None,
            ..failure(8)
        };
        keep(&mut failures, last);
        assert!(failures.iter().all(|failure| failure.answer.is_none()));
    }
}
