//! Every outbound call goes through here: limits, classes of failure, waits that are asked for, retries, the breaker.
//!
//! One governor stands before each upstream; they differ in numbers only. What must outlive a tick is in
//! [`GovernorState`].

use crate::breaker::{Breaker, Event};
use crate::budget::Share;
pub use crate::call::Call;
use crate::governor_state::GovernorState;
use crate::wire;
use http::Response;
use model::failure::{Class, Failure};
use model::time::CLOCKS_S;
use queue::lease::Lease;
use queue::retry::ATTEMPTS_MAX;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use world::host::{BEGINNING_BYTES, CallLimits, Host, SendError};
use world::log::LogLevel;
use world::mistake::{Mistake, made};

/// The largest answer that is read, in bytes.
const ANSWER_MAX: usize = 48 << 20;

/// How long a quick retry inside a tick waits at most, in milliseconds.
const QUICK_MS: u64 = 1000;

/// The largest answer to a call that changes something, in bytes, where its body tells whether it did.
const ANSWER_TO_WRITE_MAX: usize = 1 << 20;

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

/// A call that was let in.
pub struct Entered {
    /// What it may take.
    pub limits: CallLimits,
    pub(crate) probe: Option<String>,
    pub(crate) started_ms: u64,
    pub(crate) tries: u32,
}

/// Judges an answer, its body included: none if it is good, else what follows. [`Class::NotCalled`] is for an answer
/// that says nothing of the upstream yet, such as a 401 before the token was renewed.
pub type Judge<'a> = &'a mut dyn FnMut(&Response<Vec<u8>>) -> Option<Class>;

/// Stands before one upstream for the length of a tick.
pub struct Governor<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) limits: Limits,
    pub(crate) log: LogLevel,
    pub(crate) tracking_header: String,
    pub(crate) until_ms: Cell<u64>,
    pub(crate) end_ms: u64,
    pub(crate) lease: &'a Lease,
    pub(crate) state: RefCell<GovernorState>,
    pub(crate) saved: RefCell<GovernorState>,
    pub(crate) starts: Starts,
    pub(crate) under_way: Cell<usize>,
    /// Calls that follow others and wait for their turn.
    pub(crate) following: Cell<usize>,
    pub(crate) probing: RefCell<Vec<String>>,
    pub(crate) secrets: RefCell<Vec<String>>,
}

/// When calls to an upstream began of late, by the monotonic clock, in milliseconds. Governors that follow on one another
/// share it, so that each counts the calls of those before.
pub type Starts = Rc<RefCell<VecDeque<u64>>>;

/// When a tick's calls must have begun and ended, by the monotonic clock, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines<'a> {
    /// No call begins or lasts without the lease.
    pub lease: &'a Lease,
    /// No call begins after this.
    pub begin_ms: u64,
    /// No call lasts beyond this.
    pub end_ms: u64,
}

impl<'a, H: Host> Governor<'a, H> {
    /// Follows on other governors of this worker's.
    pub fn follow(&mut self, starts: &Starts) {
        self.starts = Rc::clone(starts);
    }

    /// A governor with what the last tick left, of which nothing counts under another configuration.
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
            starts: Starts::default(),
            under_way: Cell::new(0),
            following: Cell::new(0),
            probing: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// Now, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.host.now_ms()
    }

    /// Text that must never stand in a log line or a failure.
    pub fn keep_secret(&self, secret: &str) {
        let mut secrets = self.secrets.borrow_mut();
        // A token comes here with every call, and need be noted only once.
        if secret.len() >= 4 && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
        }
    }

    /// The same of several texts: an upstream may know more secrets than it was sent.
    pub fn keep_secrets(&self, secrets: &[String]) {
        secrets.iter().for_each(|secret| self.keep_secret(secret));
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

    /// Whether something changed that a killed tick must not forget: a wait that was asked for, or a breaker. News are
    /// told once, so whoever asks has to keep them.
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

    /// Why no call of a circuit can be made now, if so.
    pub fn held(&self, circuit: &str) -> Option<Failure> {
        self.held_for(circuit, None)
    }

    /// Why a call can not be made now, by the entity that it is for, if it is for one: another entity than those that
    /// failed may be a probe sooner.
    fn held_for(&self, circuit: &str, subject: Option<&str>) -> Option<Failure> {
        if self.host.monotonic_ms() >= self.until_ms.get() || !self.lease.holds(self.host) {
            return Some(self.time_is_up());
        }
        if let Some(held) = self.asked_to_wait() {
            return Some(held);
        }
        let state = self.state.borrow();
        let now_ms = self.host.now_ms();
        let breaker = state.breakers.get(circuit).filter(|breaker| breaker.is_open())?;
        if !breaker.lets_probe(subject, now_ms) || self.probing.borrow().iter().any(|probing| probing == circuit) {
            let reason = format!("{} is left alone: {}", self.limits.name, breaker.reason);
            return Some(self.failed(Class::NotCalled, reason));
        }
        None
    }

    /// The failure of a call that is not made since the tick has come to its end.
    pub fn time_is_up(&self) -> Failure {
        self.failed(Class::TimeIsUp, "the tick's time is used up".to_owned())
    }

    /// The failure of a call that is not made since the upstream asked to wait, if so.
    pub(crate) fn asked_to_wait(&self) -> Option<Failure> {
        let state = self.state.borrow();
        let now_ms = self.host.now_ms();
        // A moment much further off than the wait that was asked for comes of a clock that jumped.
        let waits = now_ms < state.not_before_ms && state.not_before_ms <= now_ms + state.wait_ms + CLOCKS_S * 1000;
        waits.then(|| self.failed(Class::NotCalled, format!("{} asked to wait", self.limits.name)))
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
            upstream: self.limits.name.into(),
            class,
            status: None,
            reason,
            answer: None,
            request: None,
            tracking_id: None,
            tries: 0,
            unsettled: false,
            retry_after_s: None,
            may_have_made: false,
        }
    }

    /// Makes a call: at most the limits, with one quick retry where that may help and the budget has room.
    pub async fn call(&self, call: Call<'_>, judge: Judge<'_>) -> Result<Response<Vec<u8>>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let entered = self.enter(&call, tries).await?;
            let sent = wire::send(self.host, call.request.clone(), entered.limits).await;
            let failure = match self.leave(&call, entered, sent, &mut *judge) {
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
            && !call.is_once
            && call.attempts + tries < ATTEMPTS_MAX
            && self.host.monotonic_ms() + QUICK_MS < self.until_ms.get()
    }

    /// Lets a call in, or says why not. The first call through an open breaker is its probe.
    fn admit(&self, call: &Call<'_>, share: Share) -> Result<Option<String>, Failure> {
        let circuit = call.circuit;
        if let Some(held) = self.held_for(circuit, call.entity) {
            return Err(held);
        }
        let now_ms = self.host.now_ms();
        let is_open = self.is_probing(circuit);
        let mut state = self.state.borrow_mut();
        let is_probe_again = is_open && share == Share::Retry;
        if !is_probe_again && !state.budget.lets_in(share, now_ms) {
            drop(state);
            return Err(self.failed(
                Class::NotCalled,
                format!("the retry budget of {} is used up", self.limits.name),
            ));
        }
        if is_open {
            self.probing.borrow_mut().push(circuit.to_owned());
        }
        Ok(is_open.then(|| circuit.to_owned()))
    }

    pub(crate) fn release(&self, probe: Option<String>) {
        if let Some(circuit) = probe {
            self.probing.borrow_mut().retain(|probing| *probing != circuit);
        }
    }

    /// Lets a call in and waits for its turn; else says why it is not made. Whoever enters must [`Self::leave`] or
    /// [`Self::withdraw`].
    pub async fn enter(&self, call: &Call<'_>, tries: u32) -> Result<Entered, Failure> {
        let probe = self.admit(call, call.share(tries))?;
        self.wait_for_room(call.follows).await;
        // What other calls were answered, while this one waited for its turn, counts for this one, too.
        let held = match &probe {
            None => self.held_for(call.circuit, call.entity),
            Some(_) => self.asked_to_wait(),
        };
        if let Some(held) = held {
            self.release(probe);
            return Err(held);
        }
        let started_ms = self.host.monotonic_ms();
        let left_ms = self.end_ms.saturating_sub(started_ms);
        if started_ms >= self.until_ms.get() || left_ms < LEAST_MS || !self.lease.holds(self.host) {
            self.release(probe);
            return Err(self.time_is_up());
        }
        let total_ms = self.limits.timeout_ms.min(left_ms);
        let (body_bytes, refusal_bytes) = match self.limits.writes {
            true => (ANSWER_TO_WRITE_MAX, ANSWER_TO_WRITE_MAX),
            false => (ANSWER_MAX, BEGINNING_BYTES),
        };
        let limits = CallLimits {
            connect_ms: total_ms.min(5000),
            first_byte_ms: total_ms,
            total_ms,
            body_bytes,
            // What a destination refuses with may tell an id, the reason or a wait far down.
            refusal_bytes,
            // Where calls change something, the status tells whether they did, unless more is said of it.
            needs_body: !self.limits.writes || call.needs_body,
            needs_refusals: call.needs_refusals,
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
        let wait_s = match (&result, call.wait) {
            (Ok(response), Some(wait)) => wait(response).unwrap_or(0),
            _ => 0,
        };
        let result = result.map_err(|mut failure| {
            failure.tries = entered.tries;
            self.learn(call, entered.probe.is_some(), &mut failure);
            failure
        });
        if result.is_ok() {
            self.came_through(call, wait_s);
        }
        self.withdraw(entered);
        result.map_err(|mut failure| {
            // Behind an open breaker the upstream is down, and that is no entity's fault. One that refuses is not down.
            let is_counted = failure.class == Class::Transient;
            if is_counted && self.is_probing(call.circuit) && !made(Mistake::CountWhileOpen) {
                failure.class = Class::Unavailable;
            }
            failure
        })
    }

    fn came_through(&self, call: &Call<'_>, wait_s: u64) {
        let (mut state, now_ms) = (self.state.borrow_mut(), self.host.now_ms());
        state.wait_for(wait_s, now_ms);
        if call.is_lookup {
            return;
        }
        if let Some(slowed) = &mut state.slowed {
            slowed.has_come_through = true;
        }
        let breaker = state.breakers.entry(call.circuit.to_owned()).or_default();
        breaker.succeeded(call.entity, now_ms);
    }
}
