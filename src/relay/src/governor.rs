//! Every outbound call goes through here: limits, classes of failure, waits that are asked for, retries, the breaker.
//!
//! One governor stands before each upstream; they differ in numbers only. What must outlive a tick is in
//! [`GovernorState`].

use crate::breaker::Breaker;
use crate::budget::Budget;
use crate::config::LogLevel;
use crate::failure::{Class, Failure};
use crate::host::{CallLimits, Host, SendError};
use crate::log;
use crate::mistake::{Mistake, made};
use crate::retry::{ATTEMPTS_MAX, DELAY_MAX_S, WAIT_MAX_S};
use crate::time::CLOCKS_S;
use crate::worker::TIME_IS_UP;
use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

/// The largest answer that is read, in bytes.
const ANSWER_MAX: usize = 48 << 20;

/// How much of a refused answer is logged, in bytes.
const EXCERPT: usize = 500;

/// Over how long calls are counted for the rate, in milliseconds: a little more than the second that upstreams count,
/// since calls do not arrive as evenly as they leave.
const WINDOW_MS: u64 = 1100;

/// How long a quick retry inside a tick waits at most, in milliseconds.
const QUICK_MS: u64 = 1000;

/// The least time that a call must be able to have, in milliseconds.
const LEAST_MS: u64 = 500;

/// The numbers in which upstreams differ.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The upstream's name in logs and failures.
    pub name: &'static str,
    /// The most calls at once.
    pub at_once: usize,
    /// The most calls in a second.
    pub per_second: usize,
    /// The longest that a call may take, in milliseconds.
    pub timeout_ms: u64,
    /// Whether calls change something there. Then one whose end is not known is not repeated at once, since it may
    /// still arrive after its repetition; and many refused entities in a row mean that something else is wrong.
    pub writes: bool,
}

/// What a governor keeps between ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GovernorState {
    /// What it was configured with: a mended configuration gets a fresh start.
    pub fingerprint: String,
    /// No call before then: the upstream asked for it. In milliseconds since the Unix epoch.
    pub not_before_ms: u64,
    /// How long that wait was when it was asked for, in milliseconds.
    pub wait_ms: u64,
    /// The breakers, by what they guard.
    pub breakers: BTreeMap<String, Breaker>,
    /// The retry budget.
    pub budget: Budget,
    /// Calls made.
    pub calls: u64,
    /// Calls failed.
    pub errors: u64,
    /// Calls answered 429.
    pub throttled: u64,
}

/// A breaker that is open.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// What it guards.
    pub circuit: &'a str,
    /// Since when it has been open, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// The breaker.
    pub breaker: &'a Breaker,
}

impl GovernorState {
    /// The breakers that are open: what of the upstream is left alone.
    pub fn open(&self) -> impl Iterator<Item = Open<'_>> {
        self.breakers.iter().filter_map(|(circuit, breaker)| {
            Some(Open {
                circuit,
                since_ms: breaker.since_ms?,
                breaker,
            })
        })
    }
}

/// One call to be made.
pub struct Call<'a> {
    /// What its breaker guards: a kind of entity, or the upstream's door.
    pub circuit: &'a str,
    /// The entity that it is for, if for a single one: tells its failures from the upstream's.
    pub entity: Option<&'a str>,
    /// Attempts that its entity has used up.
    pub attempts: u32,
    /// The path in the log, where the real one holds a secret.
    pub shown_path: Option<&'a str>,
    /// The request.
    pub request: Request<Vec<u8>>,
}

/// A call that was let in.
pub struct Entered {
    /// What it may take.
    pub limits: CallLimits,
    probe: Option<String>,
    started_ms: u64,
    tries: u32,
}

/// Judges an answer: none if it is good, else what follows.
pub type Judge<'a> = &'a dyn Fn(StatusCode) -> Option<Class>;

/// Stands before one upstream for the length of a tick.
pub struct Governor<'a, H> {
    host: &'a H,
    limits: Limits,
    log: LogLevel,
    tracking_header: String,
    until_ms: Cell<u64>,
    lease_ms: u64,
    state: RefCell<GovernorState>,
    saved: RefCell<GovernorState>,
    starts: RefCell<VecDeque<u64>>,
    under_way: Cell<usize>,
    probing: RefCell<Vec<String>>,
    secrets: RefCell<Vec<String>>,
}

/// When a tick's calls must have begun and ended, by the monotonic clock, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// No call begins after this.
    pub begin_ms: u64,
    /// No call lasts beyond this.
    pub end_ms: u64,
}

impl<'a, H: Host> Governor<'a, H> {
    /// Stands up with what the last tick left.
    pub fn new(
        host: &'a H,
        limits: Limits,
        log: LogLevel,
        tracking_header: &str,
        deadlines: Deadlines,
        state: GovernorState,
        fingerprint: String,
    ) -> Self {
        let saved = state.clone();
        let state = if state.fingerprint == fingerprint {
            state
        } else {
            GovernorState {
                fingerprint,
                ..GovernorState::default()
            }
        };
        Governor {
            host,
            limits,
            log,
            tracking_header: tracking_header.to_owned(),
            until_ms: Cell::new(deadlines.begin_ms),
            lease_ms: deadlines.end_ms,
            state: RefCell::new(state),
            saved: RefCell::new(saved),
            starts: RefCell::default(),
            under_way: Cell::new(0),
            probing: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// Text that must never stand in a log line or a failure.
    pub fn keep_secret(&self, secret: &str) {
        if secret.len() >= 4 {
            self.secrets.borrow_mut().push(secret.to_owned());
        }
    }

    /// No call begins after this from now on, by the monotonic clock, in milliseconds.
    pub fn begin_until(&self, until_ms: u64) {
        self.until_ms.set(until_ms);
    }

    /// How long calls may still begin, in milliseconds.
    pub fn left_ms(&self) -> u64 {
        self.until_ms.get().saturating_sub(self.host.monotonic_ms())
    }

    /// What to keep between ticks.
    pub fn state(&self) -> GovernorState {
        self.state.borrow().clone()
    }

    /// Whether something changed that a killed tick must not forget: a wait that was asked for, or a breaker. Asking
    /// settles it.
    pub fn has_news(&self) -> bool {
        let state = self.state.borrow();
        let mut saved = self.saved.borrow_mut();
        let open = |state: &GovernorState| -> Vec<(String, u64)> {
            let open = state.open();
            open.map(|open| (open.circuit.to_owned(), open.breaker.probe_ms))
                .collect()
        };
        let news = state.not_before_ms != saved.not_before_ms || open(&state) != open(&saved);
        *saved = state.clone();
        news
    }

    /// Why calls are left alone at present, if a breaker is open.
    pub fn blocked(&self) -> Option<String> {
        let state = self.state.borrow();
        let open = state.open().next()?;
        Some(format!("{} is left alone: {}", self.limits.name, open.breaker.reason))
    }

    /// Whether a breaker is open, and so at most one call may go.
    pub fn is_probing(&self, circuit: &str) -> bool {
        self.state.borrow().breakers.get(circuit).is_some_and(Breaker::is_open)
    }

    /// Why no call can be made now, if so.
    pub fn held(&self, circuit: &str) -> Option<String> {
        if self.host.monotonic_ms() >= self.until_ms.get() {
            return Some(TIME_IS_UP.to_owned());
        }
        let state = self.state.borrow();
        let now_ms = self.host.now_ms();
        // A moment much further off than the wait that was asked for comes of a clock that jumped.
        if now_ms < state.not_before_ms && state.not_before_ms <= now_ms + state.wait_ms + CLOCKS_S * 1000 {
            return Some(format!("{} asked to wait", self.limits.name));
        }
        let breaker = state.breakers.get(circuit).filter(|breaker| breaker.is_open())?;
        let far = breaker.probe_ms > now_ms + DELAY_MAX_S * 1000;
        if (now_ms < breaker.probe_ms && !far) || self.probing.borrow().iter().any(|probing| probing == circuit) {
            return Some(format!("{} is left alone: {}", self.limits.name, breaker.reason));
        }
        None
    }

    /// Opens a breaker for a reason that no status told.
    pub fn refuse(&self, circuit: &str, reason: &str) -> Failure {
        let chance = self.host.chance();
        self.state
            .borrow_mut()
            .breakers
            .entry(circuit.to_owned())
            .or_default()
            .open_for_a_person(reason, self.host.now_ms(), chance);
        self.failed(Class::Misconfigured, reason.to_owned())
    }

    /// What follows from a request that cannot be formed. An address may be too long for one entity alone; whatever
    /// else there is in a request comes of the configuration or of a token, and so concerns all of the circuit.
    pub fn unformed(&self, circuit: &str, error: &http::Error) -> Failure {
        let reason = format!("the request cannot be formed: {error}");
        if error.is::<http::uri::InvalidUri>() {
            self.failed(Class::Permanent, reason)
        } else {
            self.refuse(circuit, &reason)
        }
    }

    /// A failure that no status told.
    pub fn failed(&self, class: Class, reason: String) -> Failure {
        Failure {
            at_s: self.host.now_ms() / 1000,
            upstream: self.limits.name.to_owned(),
            class,
            status: None,
            reason,
            tracking_id: None,
            tries: 0,
            unsettled: false,
            retry_after_s: None,
        }
    }

    /// Makes a call: at most the limits, with one quick retry where that may help and the budget has room.
    pub async fn call(&self, call: Call<'_>, judge: Judge<'_>) -> Result<Response<Vec<u8>>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let entered = self.enter(&call, tries).await?;
            let sent = self.host.send(call.request.clone(), entered.limits).await;
            let failure = match self.leave(&call, entered, sent, judge) {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            if self.is_probing(call.circuit) || !self.is_worth_a_quick_retry(&call, &failure, tries) {
                return Err(failure);
            }
            self.host.sleep_ms(self.host.chance() % (QUICK_MS + 1)).await;
            if self.held(call.circuit).is_some() || !self.state.borrow_mut().budget.take(self.host.now_ms()) {
                return Err(failure);
            }
        }
    }

    fn is_worth_a_quick_retry(&self, call: &Call<'_>, failure: &Failure, tries: u32) -> bool {
        failure.class == Class::Transient
            && failure.retry_after_s.is_none()
            && !(failure.unsettled && self.limits.writes)
            && tries == 1
            && call.attempts + tries < ATTEMPTS_MAX
            && self.host.monotonic_ms() + QUICK_MS < self.until_ms.get()
    }

    /// Lets a call in, or says why not. The first call through an open breaker is its probe.
    fn admit(&self, circuit: &str, is_retry: bool) -> Result<Option<String>, Failure> {
        if let Some(reason) = self.held(circuit) {
            return Err(self.failed(Class::Held, reason));
        }
        let now_ms = self.host.now_ms();
        let is_open = self.is_probing(circuit);
        let mut state = self.state.borrow_mut();
        if !is_retry {
            state.budget.first_attempt();
        } else if !is_open && !state.budget.take(now_ms) {
            drop(state);
            return Err(self.failed(
                Class::Held,
                format!("the retry budget of {} is used up", self.limits.name),
            ));
        }
        if is_open {
            self.probing.borrow_mut().push(circuit.to_owned());
        }
        Ok(is_open.then(|| circuit.to_owned()))
    }

    fn release(&self, probe: Option<String>) {
        if let Some(circuit) = probe {
            self.probing.borrow_mut().retain(|probing| *probing != circuit);
        }
    }

    /// Waits until the call keeps the rate and the number of calls at once.
    async fn wait_for_room(&self) {
        loop {
            let now_ms = self.host.monotonic_ms();
            let wait_ms = {
                let mut starts = self.starts.borrow_mut();
                while starts.front().is_some_and(|start| start + WINDOW_MS <= now_ms) {
                    starts.pop_front();
                }
                if starts.len() < self.limits.per_second && self.under_way.get() < self.limits.at_once {
                    starts.push_back(now_ms);
                    return;
                }
                let for_rate = starts.front().map_or(0, |start| start + WINDOW_MS - now_ms);
                if starts.len() < self.limits.per_second {
                    5
                } else {
                    for_rate.max(1)
                }
            };
            self.host.sleep_ms(wait_ms).await;
        }
    }

    /// Lets a call in and waits for its turn; else says why it is not made. Whoever enters must [`Self::leave`] or
    /// [`Self::withdraw`].
    pub async fn enter(&self, call: &Call<'_>, tries: u32) -> Result<Entered, Failure> {
        let probe = self.admit(call.circuit, call.attempts > 0 || tries > 1)?;
        self.wait_for_room().await;
        let started_ms = self.host.monotonic_ms();
        let left_ms = self.lease_ms.saturating_sub(started_ms);
        if started_ms >= self.until_ms.get() || left_ms < LEAST_MS {
            self.release(probe);
            return Err(self.failed(Class::Held, TIME_IS_UP.to_owned()));
        }
        let total_ms = self.limits.timeout_ms.min(left_ms);
        let limits = CallLimits {
            connect_ms: total_ms.min(5000),
            first_byte_ms: total_ms,
            total_ms,
            body_bytes: ANSWER_MAX,
        };
        self.under_way.set(self.under_way.get() + 1);
        Ok(Entered {
            limits,
            probe,
            started_ms,
            tries,
        })
    }

    /// A call that was let in is not made after all.
    pub fn withdraw(&self, entered: Entered) {
        self.under_way.set(self.under_way.get() - 1);
        self.release(entered.probe);
    }

    /// What was learned from a call: judged, told, counted.
    pub fn leave(
        &self,
        call: &Call<'_>,
        entered: Entered,
        sent: Result<Response<Vec<u8>>, SendError>,
        judge: Judge<'_>,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let result = self.judged(call, &entered, sent, judge);
        let result = result.map_err(|mut failure| {
            failure.tries = entered.tries;
            self.learn(call, &failure);
            failure
        });
        if let (Ok(_), Some(breaker)) = (&result, self.state.borrow_mut().breakers.get_mut(call.circuit)) {
            breaker.succeeded();
        }
        self.withdraw(entered);
        result.map_err(|mut failure| {
            let is_counted = matches!(failure.class, Class::Transient | Class::Permanent);
            // The upstream is down, and it is not this entity's fault.
            if is_counted && self.is_probing(call.circuit) && !made(Mistake::CountWhileOpen) {
                failure.class = Class::Unavailable;
            }
            failure
        })
    }

    fn judged(
        &self,
        call: &Call<'_>,
        entered: &Entered,
        sent: Result<Response<Vec<u8>>, SendError>,
        judge: Judge<'_>,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let result = match &sent {
            Ok(response) => match judge(response.status()) {
                None => Ok(()),
                Some(class) => Err(self.refused(class, response)),
            },
            Err(error) => Err(self.unanswered(error)),
        };
        let attempt = call.attempts + entered.tries;
        self.log(call, attempt, entered.started_ms, &sent, result.as_ref().err());
        let mut state = self.state.borrow_mut();
        state.calls += 1;
        state.errors += u64::from(result.is_err());
        state.throttled +=
            u64::from(matches!(&sent, Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS));
        result.and_then(|()| sent.map_err(|error| self.unanswered(&error)))
    }

    fn refused(&self, class: Class, response: &Response<Vec<u8>>) -> Failure {
        let status = response.status().as_u16();
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after_s = text("retry-after").and_then(|value| retry_after_s(value, self.host.now_ms()));
        Failure {
            status: Some(status),
            tracking_id: text(&self.tracking_header).map(|id| id.chars().take(100).collect()),
            // A gateway gave up waiting, not the server behind it.
            unsettled: matches!(status, 408 | 502 | 504),
            retry_after_s: retry_after_s.filter(|_| transient(response.status()).is_some()),
            ..self.failed(class, format!("{status}: {}", self.excerpt(response.body(), 200)))
        }
    }

    fn unanswered(&self, error: &SendError) -> Failure {
        let (class, reason, unsettled) = match error {
            SendError::Forbidden(reason) => (Class::Misconfigured, reason.clone(), false),
            SendError::Unreachable(reason) => (Class::Unavailable, format!("no connection: {reason}"), false),
            SendError::Timeout => (Class::Transient, "no answer in time".to_owned(), true),
            SendError::Lost(reason) => (Class::Transient, format!("the connection was lost: {reason}"), true),
            SendError::TooLarge => (Class::Permanent, "the answer is larger than the limit".to_owned(), true),
        };
        Failure {
            unsettled,
            ..self.failed(class, reason)
        }
    }

    /// Takes note of a failure: a wait that was asked for, and the breaker.
    fn learn(&self, call: &Call<'_>, failure: &Failure) {
        let now_ms = self.host.now_ms();
        let chance = self.host.chance();
        let mut state = self.state.borrow_mut();
        if let Some(wait_s) = failure.retry_after_s.filter(|_| !made(Mistake::IgnoreRetryAfter)) {
            let not_before_ms = now_ms + wait_s * 1000;
            if not_before_ms > state.not_before_ms {
                (state.not_before_ms, state.wait_ms) = (not_before_ms, wait_s * 1000);
            }
        }
        let breaker = state.breakers.entry(call.circuit.to_owned()).or_default();
        match failure.class {
            Class::Transient => breaker.failed(call.entity, &failure.reason, now_ms, chance),
            Class::Permanent if self.limits.writes => {
                breaker.refused(call.entity.unwrap_or_default(), &failure.reason, now_ms, chance);
            }
            Class::Permanent => breaker.succeeded(),
            Class::Unavailable => breaker.open(&failure.reason, now_ms, chance),
            Class::Misconfigured => breaker.open_for_a_person(&failure.reason, now_ms, chance),
            Class::Held => {}
        }
    }

    fn excerpt(&self, body: &[u8], length: usize) -> String {
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT)]);
        let text = self.secrets.borrow().iter().fold(text.into_owned(), |text, secret| {
            text.replace(secret.as_str(), "[secret]")
        });
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(length)
            .collect()
    }

    fn log(
        &self,
        call: &Call<'_>,
        attempt: u32,
        started_ms: u64,
        sent: &Result<Response<Vec<u8>>, SendError>,
        failure: Option<&Failure>,
    ) {
        let header = |name: &str| sent.as_ref().ok()?.headers().get(name)?.to_str().ok();
        let excerpt = failure
            .and_then(|_| sent.as_ref().ok())
            .map(|response| self.excerpt(response.body(), EXCERPT));
        let fields = json!({
            "upstream": self.limits.name,
            "method": call.request.method().as_str(),
            "path": call.shown_path.unwrap_or(call.request.uri().path()),
            // Where calls only read, it is ours; elsewhere somebody may have put a secret into it.
            "query": call.request.uri().query().filter(|_| !self.limits.writes).map(|query| log::cut(query, EXCERPT)),
            "status": sent.as_ref().ok().map(|response| response.status().as_u16()),
            "ms": self.host.monotonic_ms() - started_ms,
            "attempt": attempt,
            "entity": call.entity,
            "tracking": header(&self.tracking_header),
            "class": failure.map(|failure| failure.class),
            "reason": failure.filter(|failure| failure.status.is_none()).map(|failure| &failure.reason),
            "body": excerpt,
        });
        log::write(self.host, self.log, "call", failure.is_some(), fields);
    }
}

/// How long a `Retry-After` asks to wait, in seconds: it comes as seconds or as a date (RFC 9110). A day at most.
fn retry_after_s(value: &str, now_ms: u64) -> Option<u64> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let date = httpdate::parse_http_date(value.trim()).ok()?;
            let date_s = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
            date_s.saturating_sub(now_ms / 1000)
        }
    };
    Some(seconds.min(WAIT_MAX_S))
}

/// The class of a status that any upstream may answer: 408, 429 and 5xx may pass.
pub fn transient(status: StatusCode) -> Option<Class> {
    let passes = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    passes.then_some(Class::Transient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_both_forms() {
        assert_eq!(retry_after_s("30", 0), Some(30));
        assert_eq!(retry_after_s("7200", 0), Some(7200));
        assert_eq!(retry_after_s("864000", 0), Some(86_400));
        assert_eq!(retry_after_s("Thu, 01 Jan 1970 00:02:00 GMT", 60_000), Some(60));
        assert_eq!(retry_after_s("Thu, 01 Jan 1970 00:02:00 GMT", 600_000), Some(0));
        assert_eq!(retry_after_s("soon", 0), None);
    }
}
