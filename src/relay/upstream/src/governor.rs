//! Every outbound call goes through here: limits, classes of failure, waits that are asked for, retries, the breaker.
//!
//! One governor stands before each upstream; they differ in numbers only. What must outlive a tick is in
//! [`GovernorState`].

use crate::breaker::{Breaker, Event};
use crate::budget::Budget;
use crate::excerpt::excerpt;
use crate::wire;
use http::{Request, Response, StatusCode};
use model::failure::TIME_IS_UP;
use model::failure::{ANSWER_KEPT, Class, Failure, REASON_KEPT};
use model::time::{self, CLOCKS_S};
use queue::lease::Lease;
use queue::retry::{ATTEMPTS_MAX, WAIT_MAX_S};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use world::host::{CallLimits, Host, SendError};
use world::log;
use world::log::LogLevel;
use world::mistake::{Mistake, made};

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

/// The lowest rate that an upstream's 429 can bring its calls down to, in thousandths of a call a second.
const SLOWEST_MILLI: u64 = 500;

/// How often a rate is halved at most, in milliseconds.
const HALVE_MS: u64 = 1000;

/// How long a lowered rate stays before it rises by a tenth of the configured one, in milliseconds.
const RISE_MS: u64 = 10_000;

/// After how many such whiles it rises although nothing was called.
const FORGOTTEN: u64 = 60;

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
    /// The rate that was lowered, since it answered 429 and did not say how long to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowed: Option<Slowed>,
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

/// A rate below the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slowed {
    /// In thousandths of a call a second.
    pub milli: u64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether a call has come through since it was lowered.
    #[serde(default)]
    pub has_come_through: bool,
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
    /// How many calls a second a lowered rate allows, in words.
    pub fn slowed_to(&self) -> Option<String> {
        let milli = self.slowed?.milli;
        Some(format!("{}.{}", milli / 1000, milli % 1000 / 100))
    }

    /// What the upstream asked to wait for, or to come less often, is over.
    pub fn end_waits(&mut self) {
        (self.not_before_ms, self.wait_ms, self.slowed) = (0, 0, None);
    }

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
    /// What the breaker knows it by, if it may be the matter itself although it is for no single entity.
    pub subject: Option<&'a str>,
    /// Attempts that its entity has used up.
    pub attempts: u32,
    /// Whether it is for several entities that can be asked for one by one: then a status that one of them may have
    /// brought about counts as a failure like others.
    pub is_divisible: bool,
    /// Whether failing is as good an answer as coming through, so that it is not made a second time at once.
    pub is_question: bool,
    /// Whether its entity is tried once more after it was given up: what comes of that tells nothing of the upstream.
    pub is_last_resort: bool,
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

/// Judges an answer, its body included: none if it is good, else what follows. [`Class::Held`] is for an answer that
/// says nothing of the upstream yet, such as a 401 before the token was renewed.
pub type Judge<'a> = &'a dyn Fn(&Response<Vec<u8>>) -> Option<Class>;

/// Stands before one upstream for the length of a tick.
pub struct Governor<'a, H> {
    host: &'a H,
    limits: Limits,
    log: LogLevel,
    tracking_header: String,
    until_ms: Cell<u64>,
    end_ms: u64,
    lease: &'a Lease,
    state: RefCell<GovernorState>,
    saved: RefCell<GovernorState>,
    starts: RefCell<VecDeque<u64>>,
    under_way: Cell<usize>,
    probing: RefCell<Vec<String>>,
    secrets: RefCell<Vec<String>>,
}

/// When a tick's calls must have begun and ended, by the monotonic clock, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines<'a> {
    /// No call begins or lasts without it.
    pub lease: &'a Lease,
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
        deadlines: Deadlines<'a>,
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
            end_ms: deadlines.end_ms,
            lease: deadlines.lease,
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
        self.held_for(circuit, None)
    }

    /// The same for a call that is for a single entity, where it is: another one than failed last may be a probe sooner.
    fn held_for(&self, circuit: &str, subject: Option<&str>) -> Option<String> {
        if self.host.monotonic_ms() >= self.until_ms.get() || !self.lease.holds(self.host) {
            return Some(TIME_IS_UP.to_owned());
        }
        if let Some(reason) = self.asked_to_wait() {
            return Some(reason);
        }
        let state = self.state.borrow();
        let now_ms = self.host.now_ms();
        let breaker = state.breakers.get(circuit).filter(|breaker| breaker.is_open())?;
        if !breaker.lets_probe(subject, now_ms) || self.probing.borrow().iter().any(|probing| probing == circuit) {
            return Some(format!("{} is left alone: {}", self.limits.name, breaker.reason));
        }
        None
    }

    /// That the upstream asked to wait, if so.
    fn asked_to_wait(&self) -> Option<String> {
        let state = self.state.borrow();
        let now_ms = self.host.now_ms();
        // A moment much further off than the wait that was asked for comes of a clock that jumped.
        let waits = now_ms < state.not_before_ms && state.not_before_ms <= now_ms + state.wait_ms + CLOCKS_S * 1000;
        waits.then(|| format!("{} asked to wait", self.limits.name))
    }

    /// Whether a breaker opened of late: what waits behind it goes in an order of chance.
    pub fn opened_of_late(&self, circuit: &str) -> bool {
        let state = self.state.borrow();
        let breaker = state.breakers.get(circuit);
        breaker.is_some_and(|breaker| breaker.opened_of_late(self.host.now_ms()))
    }

    /// Whether any call of a circuit failed of late.
    pub fn failed_of_late(&self, circuit: &str) -> bool {
        let state = self.state.borrow();
        let breaker = state.breakers.get(circuit);
        breaker.is_some_and(|breaker| breaker.failed_of_late(self.host.now_ms()))
    }

    /// Whether something keeps calls from being made that this tick cannot end: a wait that was asked for, an open
    /// breaker, a lowered rate, or a retry budget that is used up.
    pub fn is_hampered(&self) -> bool {
        let state = self.state.borrow();
        let now_ms = self.host.now_ms();
        let waits = now_ms < state.not_before_ms || state.budget.exhausted_since_ms(now_ms).is_some();
        waits || state.slowed.is_some() || state.open().next().is_some()
    }

    /// Opens a breaker for a reason that no status told.
    pub fn refuse(&self, circuit: &str, reason: &str) -> Failure {
        self.open(circuit, reason, Breaker::open_for_a_person);
        self.failed(Class::Misconfigured, reason.to_owned())
    }

    /// Opens a breaker because something else than the upstream answers, which no judge could tell from one answer.
    pub fn unavailable(&self, circuit: &str, reason: &str) -> Failure {
        self.open(circuit, reason, Breaker::open);
        self.failed(Class::Unavailable, reason.to_owned())
    }

    fn open(&self, circuit: &str, reason: &str, open: fn(&mut Breaker, Event<'_>)) {
        let event = Event {
            was_probe: self.is_probing(circuit),
            ..Event::of(reason, self.host.now_ms(), self.host.chance())
        };
        let mut state = self.state.borrow_mut();
        open(state.breakers.entry(circuit.to_owned()).or_default(), event);
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
            answer: None,
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
            let sent = wire::send(self.host, call.request.clone(), entered.limits).await;
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
            && !call.is_question
            && call.attempts + tries < ATTEMPTS_MAX
            && self.host.monotonic_ms() + QUICK_MS < self.until_ms.get()
    }

    /// Lets a call in, or says why not. The first call through an open breaker is its probe.
    fn admit(&self, call: &Call<'_>, is_retry: bool) -> Result<Option<String>, Failure> {
        let circuit = call.circuit;
        if let Some(reason) = self.held_for(circuit, call.entity) {
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

    /// Waits until the call keeps the rate and the number of calls at once; no longer than calls may begin.
    async fn wait_for_room(&self) {
        loop {
            let now_ms = self.host.monotonic_ms();
            let (count, window_ms) = self.rate();
            let wait_ms = {
                let mut starts = self.starts.borrow_mut();
                while starts.front().is_some_and(|start| start + window_ms <= now_ms) {
                    starts.pop_front();
                }
                if starts.len() < count && self.under_way.get() < self.limits.at_once {
                    starts.push_back(now_ms);
                    return;
                }
                let for_rate = starts.front().map_or(0, |start| start + window_ms - now_ms);
                if starts.len() < count { 5 } else { for_rate.max(1) }
            };
            let left_ms = self.left_ms();
            self.host.sleep_ms(wait_ms.min(left_ms)).await;
            if left_ms <= wait_ms {
                return;
            }
        }
    }

    /// How many calls may begin, and in how many milliseconds.
    fn rate(&self) -> (usize, u64) {
        let mut state = self.state.borrow_mut();
        let Some(slowed) = self.risen(state.slowed) else {
            state.slowed = None;
            return (self.limits.per_second, WINDOW_MS);
        };
        state.slowed = Some(slowed);
        match slowed.milli {
            milli @ 1000.. => (usize::try_from(milli / 1000).unwrap_or(usize::MAX), WINDOW_MS),
            milli => (1, WINDOW_MS * 1000 / milli.max(1)),
        }
    }

    /// A lowered rate as it is now: every while it rises by a tenth of the configured one, as long as calls come through.
    fn risen(&self, slowed: Option<Slowed>) -> Option<Slowed> {
        let (slowed, now_ms) = (slowed?, self.host.now_ms());
        // A moment that lies ahead is of a clock that was wrong.
        let steps = match now_ms.checked_sub(slowed.at_ms) {
            Some(since_ms) => since_ms / RISE_MS,
            None => 1,
        };
        let may_rise = slowed.has_come_through || steps >= FORGOTTEN;
        if steps == 0 || !may_rise {
            return Some(slowed);
        }
        let configured = self.limits.per_second as u64 * 1000;
        let milli = slowed.milli.saturating_add(steps.saturating_mul(configured / 10));
        (milli < configured).then_some(Slowed {
            milli,
            at_ms: now_ms,
            ..slowed
        })
    }

    /// The upstream asks to slow down and does not say how long. Says whether it cannot go any slower.
    fn slow_down(&self, state: &mut GovernorState) -> bool {
        let now_ms = self.host.now_ms();
        let configured = self.limits.per_second as u64 * 1000;
        let known = self.risen(state.slowed);
        if known.is_some_and(|known| known.milli <= SLOWEST_MILLI) {
            return true;
        }
        if known.is_none_or(|known| now_ms.abs_diff(known.at_ms) >= HALVE_MS) {
            let milli = known.map_or(configured, |known| known.milli) / 2;
            state.slowed = Some(Slowed {
                milli: milli.max(SLOWEST_MILLI),
                at_ms: now_ms,
                has_come_through: false,
            });
        }
        false
    }

    /// Lets a call in and waits for its turn; else says why it is not made. Whoever enters must [`Self::leave`] or
    /// [`Self::withdraw`].
    pub async fn enter(&self, call: &Call<'_>, tries: u32) -> Result<Entered, Failure> {
        let probe = self.admit(call, call.attempts > 0 || tries > 1)?;
        self.wait_for_room().await;
        // What others were answered while this call waited for its turn counts for it, too.
        let held = match &probe {
            None => self.held_for(call.circuit, call.entity),
            Some(_) => self.asked_to_wait(),
        };
        if let Some(reason) = held {
            self.release(probe);
            return Err(self.failed(Class::Held, reason));
        }
        let started_ms = self.host.monotonic_ms();
        let left_ms = self.end_ms.saturating_sub(started_ms);
        if started_ms >= self.until_ms.get() || left_ms < LEAST_MS || !self.lease.holds(self.host) {
            self.release(probe);
            return Err(self.failed(Class::Held, TIME_IS_UP.to_owned()));
        }
        let total_ms = self.limits.timeout_ms.min(left_ms);
        let limits = CallLimits {
            connect_ms: total_ms.min(5000),
            first_byte_ms: total_ms,
            total_ms,
            body_bytes: ANSWER_MAX,
            // Where calls change something, the status tells whether they did.
            needs_body: !self.limits.writes,
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
            self.learn(call, entered.probe.is_some(), &mut failure);
            failure
        });
        if result.is_ok() {
            let mut state = self.state.borrow_mut();
            if let Some(slowed) = &mut state.slowed {
                slowed.has_come_through = true;
            }
            let breaker = state.breakers.entry(call.circuit.to_owned()).or_default();
            breaker.succeeded(call.entity, self.host.now_ms());
        }
        self.withdraw(entered);
        result.map_err(|mut failure| {
            // The upstream is down, and it is not this entity's fault. One that refuses is not down.
            let is_counted = failure.class == Class::Transient;
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
            Ok(response) => match judge(response) {
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
        let answer = self.excerpt(response.body(), ANSWER_KEPT);
        let reason = self.told(response.status(), log::cut(&answer, REASON_KEPT));
        Failure {
            status: Some(status),
            tracking_id: text(&self.tracking_header).map(|id| id.chars().take(100).collect()),
            // A gateway gave up waiting, not the server behind it.
            unsettled: matches!(status, 408 | 502 | 504),
            retry_after_s: retry_after_s.filter(|_| transient(response.status()).is_some()),
            answer: (answer.len() > REASON_KEPT).then(|| answer.into()),
            ..self.failed(class, reason)
        }
    }

    /// What an upstream said, for people. A body that spoils a good status is not the upstream's own.
    fn told(&self, status: StatusCode, said: &str) -> String {
        let (number, name) = (status.as_u16(), self.limits.name);
        if status.is_success() {
            format!("{number} with a body that is not one of {name}'s own: is its address right? It says: {said}")
        } else {
            format!("{number}: {said}")
        }
    }

    fn unanswered(&self, error: &SendError) -> Failure {
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
    fn learn(&self, call: &Call<'_>, was_probe: bool, failure: &mut Failure) {
        let now_ms = self.host.now_ms();
        let chance = self.host.chance();
        let mut state = self.state.borrow_mut();
        if let Some(wait_s) = failure.retry_after_s.filter(|_| !made(Mistake::IgnoreRetryAfter)) {
            let not_before_ms = now_ms + wait_s * 1000;
            if not_before_ms > state.not_before_ms {
                (state.not_before_ms, state.wait_ms) = (not_before_ms, wait_s * 1000);
            }
        }
        let is_throttled = failure.status == Some(429) && failure.class == Class::Transient;
        if is_throttled {
            // A wait that was asked for is all that follows from it.
            let is_vague = failure.retry_after_s.is_none();
            let is_slowest = is_vague && self.slow_down(&mut state);
            let breaker = state.breakers.entry(call.circuit.to_owned()).or_default();
            let is_alone = is_vague && call.entity.is_some_and(|entity| breaker.throttled(entity));
            failure.class = match (is_slowest, is_alone) {
                // At the slowest, and others come through: it is at fault itself.
                (true, true) => Class::Transient,
                // Nothing comes through, however slowly it is called.
                (true, false) => Class::Unavailable,
                // Not its fault, perhaps; but it need not come at every tick.
                (false, true) => Class::Unavailable,
                (false, false) => Class::Held,
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
            // It was given up while others came through: whatever it is answered now is its own.
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
            (Class::Held, _) => {}
        }
    }

    fn excerpt(&self, body: &[u8], bytes: usize) -> String {
        excerpt(body, &self.secrets.borrow(), bytes)
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

/// How long a `Retry-After` asks to wait, in seconds: it comes as seconds, with or without a fraction, or as a date (RFC
/// 9110), also with an offset in place of GMT. A day at most; a moment that is past asks for nothing.
fn retry_after_s(value: &str, now_ms: u64) -> Option<u64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        // A number that is none, or larger than any, is a wait without an end.
        let seconds = if seconds.is_nan() {
            WAIT_MAX_S as f64
        } else {
            seconds.ceil().clamp(0.0, WAIT_MAX_S as f64)
        };
        return Some(seconds as u64);
    }
    let date_s = match httpdate::parse_http_date(value) {
        Ok(date) => date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs(),
        Err(_) => time::parse_date(value)?,
    };
    Some(date_s.saturating_sub(now_ms / 1000).min(WAIT_MAX_S))
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
        for (text, seconds) in [("2.0", 2), ("0.2", 1), ("-5", 0), (" 7 ", 7), ("1e99", 86_400)] {
            assert_eq!(retry_after_s(text, 0), Some(seconds), "{text}");
        }
        for text in [
            "Thu, 01 Jan 1970 00:02:00 +0000",
            "Thu, 01 Jan 1970 02:02:00 +0200",
            "1970-01-01T00:02:00Z",
        ] {
            assert_eq!(retry_after_s(text, 60_000), Some(60), "{text}");
        }
    }
}
