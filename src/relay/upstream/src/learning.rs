//! What a governor makes of an answer: its class, what is kept of it, and what breakers and the rate learn.
//!
//! A failure leaves here with the class by which its entity is tried again, held or given up: what one entity is
//! answered while others come through is its own. Nothing that is told of an answer holds a secret.

use crate::breaker::Event;
use crate::excerpt::{blanked, excerpt};
use crate::governor::{Call, Entered, Governor, Judge};
use crate::retry_after::{retry_after_s, transient};
use http::{Response, StatusCode};
use model::failure::{ANSWER_KEPT, Class, Failure, REASON_KEPT, REQUEST_KEPT, Sent};
use serde_json::json;
use world::host::{Host, SendError};
use world::log;

/// How much of a refused answer is logged, in bytes.
const EXCERPT: usize = 500;

/// How much of an upstream's own name for a call is told, in bytes.
const TRACKING_KEPT: usize = 100;

/// What is told of an answer that may hold a secret.
const HIDDEN: &str = "(hidden, since it may hold a token in a place that is not known)";

/// Whether nothing of an answer's body may be told.
fn is_secret(call: &Call<'_>, response: &Response<Vec<u8>>) -> bool {
    call.is_answer_secret && response.status().is_success()
}

impl<H: Host> Governor<'_, H> {
    pub(crate) fn judged(
        &self,
        call: &Call<'_>,
        entered: &Entered,
        sent: Result<Response<Vec<u8>>, SendError>,
        judge: Judge<'_>,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let result = match &sent {
            Ok(response) => match judge(response) {
                None => Ok(()),
                Some(class) => Err(self.refused(call, class, response)),
            },
            Err(error) => Err(self.unanswered(error)),
        };
        let result = result.map_err(|failure| Failure {
            request: self.sent(call).map(Box::new),
            ..failure
        });
        let attempt = call.attempts + entered.tries;
        self.log(call, attempt, entered.started_ms, &sent, result.as_ref().err());
        let mut state = self.state.borrow_mut();
        state.calls += 1;
        state.errors += u64::from(result.is_err());
        state.throttled +=
            u64::from(matches!(&sent, Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS));
        result.and_then(|()| sent.map_err(|error| self.unanswered(&error)))
    }

    /// What was sent, for people, where it was to change something of one entity: what goes for all may hold a login.
    fn sent(&self, call: &Call<'_>) -> Option<Sent> {
        call.entity.filter(|_| self.limits.writes)?;
        let (path, body) = (call.request.uri().path(), call.request.body());
        Some(Sent {
            method: call.request.method().to_string(),
            path: self.excerpt(call.shown_path.unwrap_or(path).as_bytes(), EXCERPT),
            body: self.excerpt(body, REQUEST_KEPT),
            bytes: body.len() as u64,
        })
    }

    fn refused(&self, call: &Call<'_>, class: Class, response: &Response<Vec<u8>>) -> Failure {
        let status = response.status().as_u16();
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after_s = text("retry-after").and_then(|value| retry_after_s(value, self.host.now_ms()));
        let retry_after_s = retry_after_s.filter(|_| transient(response.status()).is_some());
        let told_otherwise = || call.wait.and_then(|wait| wait(response));
        let why = call.why.and_then(|why| why(response.body()));
        let said = why.as_ref().map_or(&response.body()[..], |why| why.as_bytes());
        let answer = match is_secret(call, response) {
            true => HIDDEN.to_owned(),
            false => self.excerpt(said, ANSWER_KEPT),
        };
        let reason = self.told(response.status(), class, log::cut(&answer, REASON_KEPT));
        Failure {
            status: Some(status),
            tracking_id: text(&self.tracking_header).map(|id| self.excerpt(id.as_bytes(), TRACKING_KEPT).into()),
            // A gateway gave up waiting, and the server behind it may still do what it was asked for.
            unsettled: matches!(status, 408 | 502 | 504),
            retry_after_s: retry_after_s.or_else(told_otherwise),
            answer: (answer.len() > REASON_KEPT).then(|| answer.into()),
            ..self.failed(class, reason)
        }
    }

    /// What an upstream said, for people. A body that spoils a good status is not the upstream's own, or says that it
    /// did not do what it was asked for.
    fn told(&self, status: StatusCode, class: Class, said: &str) -> String {
        let (number, name) = (status.as_u16(), self.limits.name);
        if status.is_success() && self.limits.writes && class != Class::Unavailable {
            format!("{number}, and yet it is not done: {said}")
        } else if status.is_success() {
            format!("{number} with a body that is not one of {name}'s own: is its address right? It says: {said}")
        } else {
            format!("{number}: {said}")
        }
    }

    pub(crate) fn unanswered(&self, error: &SendError) -> Failure {
        let (class, reason, unsettled) = match error {
            SendError::Forbidden(reason) => (Class::Misconfigured, reason.clone(), false),
            SendError::Unreachable(reason) => (Class::Unavailable, format!("no connection: {reason}"), false),
            SendError::Timeout => (Class::Transient, "no answer in time".to_owned(), true),
            SendError::Lost(reason) => (Class::Transient, format!("the connection was lost: {reason}"), true),
            SendError::Unreadable(reason) => (
                Class::Unavailable,
                format!("the answer cannot be read: {reason}"),
                false,
            ),
            SendError::TooLarge => (Class::TooLarge, "the answer is larger than the limit".to_owned(), true),
        };
        Failure {
            unsettled,
            ..self.failed(class, reason)
        }
    }

    /// Takes note of a failure: a wait that was asked for, and the breaker.
    pub(crate) fn learn(&self, call: &Call<'_>, was_probe: bool, failure: &mut Failure) {
        let now_ms = self.host.now_ms();
        let chance = self.host.chance();
        let mut state = self.state.borrow_mut();
        if let Some(wait_s) = failure.retry_after_s {
            state.wait_for(wait_s, now_ms);
        }
        // An upstream may turn a call away by another status than 429: then the shape says where it tells how long to
        // wait.
        let says_when =
            failure.retry_after_s.is_some() && failure.status.is_some_and(|status| status < 500 && status != 408);
        let is_throttled = failure.class == Class::Transient && (failure.status == Some(429) || says_when);
        if is_throttled {
            // Where the upstream says how long to wait, that wait is all that follows.
            let is_vague = failure.retry_after_s.is_none();
            let is_slowest = is_vague && self.slow_down(&mut state);
            let breaker = state.breakers.entry(call.circuit.to_owned()).or_default();
            let is_alone = is_vague && call.entity.is_some_and(|entity| breaker.throttled(entity));
            failure.class = match (is_slowest, is_alone) {
                // The upstream is called as slowly as can be, and other entities come through: this one is at fault.
                (true, true) => Class::Transient,
                // Nothing comes through, however slowly the upstream is called.
                (true, false) => Class::Unavailable,
                // Other entities come through, but the rate can still go down, so this one may not be at fault. It is
                // held for a while all the same, so that it does not come at every tick.
                (false, true) => Class::Unavailable,
                (false, false) => Class::NotCalled,
            };
            if is_slowest && !is_alone {
                let reason = failure.reason.clone();
                let subject = call.entity.or(call.subject);
                let known = Event::of(&reason, now_ms, chance);
                breaker.open(Event {
                    subject,
                    was_probe,
                    ..known
                });
            }
            if !(is_slowest && is_alone) {
                return;
            }
        }
        if call.is_last_resort && failure.status.is_some() {
            // The entity was given up while others came through: whatever it is answered now is its own.
            if matches!(failure.class, Class::Misconfigured | Class::Unavailable) {
                failure.class = Class::Permanent;
            }
            return;
        }
        let reason = failure.reason.clone();
        let event = Event {
            subject: call.entity.or(call.subject),
            was_probe,
            reason: &reason,
            now_ms,
            chance,
        };
        let breaker = state.breakers.entry(call.circuit.to_owned()).or_default();
        breaker.note_failure(now_ms);
        match (failure.class, call.entity) {
            (Class::Transient, _) => breaker.failed(event),
            (Class::Permanent, _) if self.limits.writes => breaker.refused(event),
            (Class::Permanent | Class::TooLarge, _) => breaker.succeeded(None, now_ms),
            (class @ (Class::Unavailable | Class::Misconfigured), Some(entity)) if failure.status.is_some() => {
                let needs_person = class == Class::Misconfigured;
                if breaker.suspected(entity, event, needs_person) {
                    failure.class = if needs_person {
                        Class::Permanent
                    } else {
                        Class::Transient
                    };
                }
            }
            (class @ (Class::Unavailable | Class::Misconfigured), None)
                if failure.status.is_some() && call.is_divisible =>
            {
                breaker.failed_in_doubt(event, class == Class::Misconfigured);
            }
            (Class::Unavailable, _) => breaker.open(event),
            (Class::Misconfigured, _) => breaker.open_for_a_person(event),
            (Class::NotCalled | Class::TimeIsUp, _) => {}
        }
    }

    /// The beginning of a text that somebody sent, in which no secret stands, in at most so many bytes.
    pub fn excerpt(&self, body: &[u8], bytes: usize) -> String {
        excerpt(body, &self.secrets.borrow(), bytes)
    }

    /// A text in which no secret stands.
    pub fn blanked(&self, text: &str) -> String {
        blanked(text, &self.secrets.borrow())
    }

    pub(crate) fn log(
        &self,
        call: &Call<'_>,
        attempt: u32,
        started_ms: u64,
        sent: &Result<Response<Vec<u8>>, SendError>,
        failure: Option<&Failure>,
    ) {
        let header = |name: &str| sent.as_ref().ok()?.headers().get(name)?.to_str().ok();
        let tracking = header(&self.tracking_header);
        let excerpt = failure
            .and_then(|_| sent.as_ref().ok())
            .filter(|response| !is_secret(call, response))
            .map(|response| self.excerpt(response.body(), EXCERPT));
        let fields = json!({
            "upstream": self.limits.name,
            "method": call.request.method().as_str(),
            "path": call.shown_path.unwrap_or(call.request.uri().path()),
            // Where calls only read, the query is ours; elsewhere somebody may have put a secret into it.
            "query": call.request.uri().query().filter(|_| !self.limits.writes).map(|query| log::cut(query, EXCERPT)),
            "status": sent.as_ref().ok().map(|response| response.status().as_u16()),
            "ms": self.host.monotonic_ms() - started_ms,
            "attempt": attempt,
            "entity": call.entity,
            "tracking": tracking.map(|id| self.excerpt(id.as_bytes(), TRACKING_KEPT)),
            "class": failure.map(|failure| failure.class),
            "reason": failure.filter(|failure| failure.status.is_none()).map(|failure| &failure.reason),
            "body": excerpt,
        });
        log::write(self.host, self.log, "call", failure.is_some(), fields);
    }
}
