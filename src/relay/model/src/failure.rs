//! What can go wrong with a call, and what follows from it.
//!
//! A failure is what the log, retries and dead letters keep of a call. Whoever makes one has left secrets out of its
//! words, and has cut what the upstream said to the lengths given here. What a failure costs an entity follows from its
//! class and from the number of calls.

use crate::time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The failure may pass: 408, 429, 5xx, a timeout, a lost connection. Costs an attempt for each call.
    Transient,
    /// The upstream cannot be reached, or something else answers in its place; or it failed while its breaker was open,
    /// or with a 429 that is no single entity's fault. Costs nothing.
    Unavailable,
    /// Every call would fail until a person mends something: credentials, permissions, addresses. Costs nothing.
    Misconfigured,
    /// This entity is refused, and another try would be, too. Costs an attempt for each call.
    Permanent,
    /// The upstream answers with more than is read. Less is to be asked for; where there is no less, it costs an
    /// attempt.
    TooLarge,
    /// No call was made, since a breaker is open, the upstream asked to wait, the retry budget is used up, or there is
    /// no room for the events that would follow. Or a call was made, and its answer says nothing of the entity: a 429
    /// while the rate can still go down, a 401 before the token was renewed. Costs nothing.
    #[serde(rename = "held")]
    NotCalled,
    /// No call was made, since the time of the tick is used up. Costs nothing.
    TimeIsUp,
}

/// How much of an upstream's answer stands in a reason at most, in bytes.
pub const REASON_KEPT: usize = 200;

/// How much of the last answer is kept for people at most, in bytes: as much as a destination says of a dozen fields.
pub const ANSWER_KEPT: usize = 4096;

/// How much of the body of the last request is kept for people at most, in bytes.
pub const REQUEST_KEPT: usize = 2048;

/// A request that failed, as people see it: without secrets, and without its headers, which are the same for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The path, without the query, in which a secret may stand that nobody has told us of.
    pub path: String,
    /// The beginning of the body, up to [`REQUEST_KEPT`].
    pub body: String,
    /// How long the whole body was, in bytes.
    pub bytes: u64,
}

/// Adds a failure to earlier ones. Their long answers and their requests are dropped: people need the last, and of earlier
/// ones the reason.
pub fn keep(failures: &mut Vec<Failure>, failure: Failure) {
    for earlier in failures.iter_mut() {
        (earlier.answer, earlier.request) = (None, None);
    }
    failures.push(failure);
}

/// Drops failures that are not to be kept, by their places, but for the last one after which the destination may have the
/// entity: that must not be forgotten.
pub fn thin(failures: &mut Vec<Failure>, is_kept: impl Fn(usize, &Failure) -> bool) {
    let made = failures.iter().rposition(|failure| failure.may_have_made);
    let mut at = 0..;
    failures.retain(|failure| {
        let at = at.next();
        at == made || at.is_some_and(|at| is_kept(at, failure))
    });
}

/// One failed call, as retries and dead letters keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When the call failed, in seconds since the Unix epoch.
    pub at_s: u64,
    /// Which upstream was called: `pim`, `destination` or `alert`.
    pub upstream: Box<str>,
    /// What follows from the failure.
    pub class: Class,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What was wrong, in words, without secrets.
    pub reason: String,
    /// The answer, without secrets and up to [`ANSWER_KEPT`]; none where `reason` has all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<str>>,
    /// What was sent, where that was a push; none in what older versions kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<Sent>>,
    /// The upstream's own name for the call, by which its support finds it.
    pub tracking_id: Option<Box<str>>,
    /// How many calls were made, a quick retry included; 0 where none was.
    pub tries: u32,
    /// Whether the request may have been carried out, or still may be.
    pub unsettled: bool,
    /// How long the upstream asked to wait, in seconds.
    pub retry_after_s: Option<u64>,
    /// Whether the destination may have the entity all the same: the request was to bring it there, and the answer was a
    /// 5xx, or a 2xx that did not count as good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_have_made: bool,
}

impl Failure {
    /// The failure as people see it.
    pub fn shown(&self) -> Value {
        json!({
            "time": time::text(self.at_s), "upstream": self.upstream, "status": self.status,
            "reason": self.reason, "answer": self.answer, "tracking_id": self.tracking_id, "tries": self.tries,
            "request": self.request,
        })
    }

    /// How many attempts the failure costs the entity.
    pub fn cost(&self) -> u32 {
        if matches!(self.class, Class::Transient | Class::Permanent | Class::TooLarge) {
            self.tries.max(1)
        } else {
            0
        }
    }

    /// This failure, for a request that cannot have changed the entity and cannot change it any more.
    #[must_use]
    pub fn settled(self) -> Failure {
        Failure {
            unsettled: false,
            ..self
        }
    }

    /// Whether the failure says nothing of what was to be asked for: no call was made, or its answer decides nothing
    /// ([`Class::NotCalled`]).
    pub fn was_not_called(&self) -> bool {
        matches!(self.class, Class::NotCalled | Class::TimeIsUp)
    }

    /// Whether a refusal may have left something behind at the upstream, since it came in an answer with a good status
    /// (2xx).
    pub fn may_have_changed_something(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the upstream itself said that it did nothing (4xx), and nothing that was sent before can change that.
    pub fn has_changed_nothing(&self) -> bool {
        self.status.is_some_and(|status| (400..500).contains(&status)) && !self.unsettled && !self.may_have_made
    }

    /// Whether one of several entities that were asked for together may be to blame, so that it is worth asking for
    /// fewer.
    pub fn may_be_of_one(&self) -> bool {
        !self.was_not_called() && (self.status.is_some() || self.is_for_size())
    }

    /// Whether a request for less may come through where this one failed: the answer was too large, took too long or
    /// was cut off, the upstream broke over the request, or refused it. An upstream that is down fails in the same
    /// ways, so whoever asks for less must tell the two apart by another request.
    pub fn is_for_size(&self) -> bool {
        if self.retry_after_s.is_some() || self.class == Class::Misconfigured || self.was_not_called() {
            return false;
        }
        match self.status {
            Some(429) => false,
            Some(status) => status >= 400,
            // Where no connection came about, its failure says nothing of what was to be asked over it.
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
            upstream: "pim".into(),
            class,
            status,
            reason: String::new(),
            tracking_id: None,
            tries: 1,
            unsettled,
            retry_after_s,
            answer: None,
            request: None,
            may_have_made: false,
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
    fn of_all_answers_and_requests_only_the_last_is_kept_whole() {
        let failure = |n: usize| Failure {
            at_s: 1,
            upstream: "destination".into(),
            class: Class::Transient,
            status: Some(503),
            reason: format!("503: {n}"),
            answer: Some("x".repeat(ANSWER_KEPT).into()),
            request: Some(Box::new(Sent {
                method: "PUT".to_owned(),
                path: "/products/a".to_owned(),
                body: "x".repeat(REQUEST_KEPT),
                bytes: 1 << 20,
            })),
            tracking_id: None,
            tries: 1,
            unsettled: false,
            retry_after_s: None,
            may_have_made: false,
        };
        let mut failures = Vec::new();
        for n in 0..8 {
            keep(&mut failures, failure(n));
            for (at, failure) in failures.iter().enumerate() {
                let kept = (failure.answer.is_some(), failure.request.is_some());
                assert_eq!(kept, (at == n, at == n));
            }
        }
        let made = Failure {
            may_have_made: true,
            ..failure(9)
        };
        let mut thinned = vec![made.clone(), made.clone(), failure(1), failure(2)];
        thin(&mut thinned, |at, _| at == 3);
        assert_eq!(thinned, [made, failure(2)]);
        let last = Failure {
            answer: None,
            ..failure(8)
        };
        keep(&mut failures, last);
        assert!(failures.iter().all(|failure| failure.answer.is_none()));
    }
}
