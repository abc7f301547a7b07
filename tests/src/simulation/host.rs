//! One process's world: everything it asks goes through here, and may fail, take long, or be its last.

use super::executor::{Executor, TaskId};
use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use relay::host::{CallLimits, Clock, Http, Log, Random, SendError, Store, StoreError};
use simulator::destination::Destination;
use simulator::fault::Reply;
use simulator::pim::Pim;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Where the PIM is.
pub const PIM: &str = "http://pim.test";
/// Where the destination is.
pub const DESTINATION: &str = "http://destination.test";

/// What may go wrong, as chances per call; all zero in a healed world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chances {
    /// A process is killed at this call.
    pub kill: f64,
    /// A worker is paused at this call, past its lease.
    pub pause: f64,
    /// A store call fails: half of them before, half after it took effect.
    pub store: f64,
    /// A batch of keys is half done and then fails.
    pub half: f64,
}

/// A pause that a test plans for a worker.
#[derive(Debug, Clone)]
pub struct Stall {
    /// Text of the call before which the worker stands still.
    pub call: String,
    /// How many such calls pass first.
    pub passing: u32,
    /// How long it stands still, in milliseconds.
    pub ms: u64,
    /// Whether the whole machine is suspended, and its monotonic clock with it.
    pub is_suspension: bool,
}

/// A wait that an upstream asked for, until when, and when it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wait {
    upstream: &'static str,
    until_ms: u64,
    told_ms: u64,
}

/// All that the processes share.
pub struct Shared {
    /// The store.
    pub store: BTreeMap<String, Vec<u8>>,
    /// The PIM.
    pub pim: Pim,
    /// The destination.
    pub destination: Destination,
    /// What may go wrong.
    pub chances: Chances,
    /// Chance itself.
    pub random: Rng,
    /// Calls so far by workers, killed at these numbers (before or after the call).
    pub calls: u64,
    /// Those until the end of the second tick that worked.
    pub calls_of_work: u64,
    worked: u64,
    /// The calls at which a worker is killed: number, and whether after the call.
    pub kills: Vec<(u64, bool)>,
    /// Processes killed.
    pub killed: u64,
    /// Processes paused.
    pub paused: u64,
    /// When each entity was fetched: the beginning of the call, by code.
    pub fetches: Vec<(u64, Vec<u8>, String)>,
    /// What was broken, found while it happened.
    pub violations: Vec<String>,
    /// Writes of the store, deletions included, by the kind of key.
    pub writes: BTreeMap<String, u64>,
    /// What people were alerted of.
    pub alerts: BTreeSet<String>,
    /// What happened, for people; kept short.
    pub trace: Vec<String>,
    /// Whether to keep a trace.
    pub traced: bool,
    /// First attempts and retries by upstream, and since when they are counted.
    pub attempts: BTreeMap<String, (u64, u64, u64)>,
    waits: Vec<Wait>,
    /// Pauses that a test plans.
    pub stalls: Vec<Stall>,
    /// Deliveries that were put off with 429.
    pub put_off: u64,
    /// Alerts with their texts and times.
    pub told: Vec<(u64, String)>,
    /// The largest share of its budget that retries have used.
    pub largest_ratio: f64,
}

impl Shared {
    /// Everything at its beginning.
    pub fn new(pim: Pim, destination: Destination, random: Rng) -> Shared {
        Shared {
            store: BTreeMap::new(),
            pim,
            destination,
            chances: Chances::default(),
            random,
            calls: 0,
            calls_of_work: 0,
            worked: 0,
            kills: Vec::new(),
            killed: 0,
            paused: 0,
            fetches: Vec::new(),
            violations: Vec::new(),
            writes: BTreeMap::new(),
            alerts: BTreeSet::new(),
            trace: Vec::new(),
            traced: false,
            attempts: BTreeMap::new(),
            waits: Vec::new(),
            stalls: Vec::new(),
            put_off: 0,
            told: Vec::new(),
            largest_ratio: 0.0,
        }
    }

    fn note(&mut self, now_ms: u64, who: &str, what: impl FnOnce() -> String) {
        if self.traced {
            let at_s = (now_ms % 100_000_000) as f64 / 1000.0;
            self.trace.push(format!("{at_s:>9.3} {who:<10} {}", what()));
        }
    }
}

/// A process: an ingest with one delivery, or a worker with one tick.
pub struct SimHost {
    executor: Executor,
    shared: Rc<RefCell<Shared>>,
    name: String,
    is_worker: bool,
    skew_ms: i64,
    task: Rc<Cell<TaskId>>,
    started_ms: u64,
    /// How long it was suspended, in milliseconds.
    suspended_ms: Cell<u64>,
    /// Until when it stands still, in milliseconds: all that it does at once, and not only what the pause struck.
    resumes_ms: Cell<u64>,
    /// How many keys it has set, told or not.
    set: Rc<Cell<usize>>,
}

impl SimHost {
    /// A process whose clock is off by so much.
    pub fn new(
        executor: &Executor,
        shared: &Rc<RefCell<Shared>>,
        name: &str,
        is_worker: bool,
        skew_ms: i64,
    ) -> SimHost {
        SimHost {
            executor: executor.clone(),
            shared: shared.clone(),
            name: name.to_owned(),
            is_worker,
            skew_ms,
            task: Rc::default(),
            started_ms: executor.now_ms(),
            suspended_ms: Cell::default(),
            resumes_ms: Cell::default(),
            set: Rc::default(),
        }
    }

    /// How many keys it has set, whether it came to know of it or not.
    pub fn keys_set(&self) -> Rc<Cell<usize>> {
        self.set.clone()
    }

    /// Which task it is, once it is one: needed to kill it.
    pub fn task(&self) -> Rc<Cell<TaskId>> {
        self.task.clone()
    }

    fn note_worked(&self) {
        let mut shared = self.shared.borrow_mut();
        if shared.worked < 2 {
            shared.worked += 1;
            shared.calls_of_work = shared.calls;
        }
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.shared.borrow_mut().note(self.executor.now_ms(), &self.name, what);
    }

    /// One moment at which the process may die or stand still.
    async fn moment(&self, number: u64, after: bool) {
        let (dies, pauses) = {
            let mut shared = self.shared.borrow_mut();
            let planned = self.is_worker && shared.kills.contains(&(number, after));
            let chances = shared.chances;
            let dies = planned || shared.random.f64() < chances.kill / 2.0;
            let pauses = self.is_worker && shared.random.f64() < chances.pause / 2.0;
            (dies, pauses)
        };
        if dies {
            self.note(|| "KILLED".to_owned());
            self.shared.borrow_mut().killed += 1;
            self.executor.kill(self.task.get());
            std::future::pending::<()>().await;
        }
        if pauses {
            let ms = self.shared.borrow_mut().random.u64(61_000..240_000);
            self.note(|| format!("paused for {} s", ms / 1000));
            self.stand_still(ms, false).await;
        }
    }

    /// Whether the text of a call is needed: for the trace, or to see whether a pause is planned for it.
    fn is_told(&self) -> bool {
        let shared = self.shared.borrow();
        shared.traced || (self.is_worker && !shared.stalls.is_empty())
    }

    /// The pause that a test plans for this call, if it does.
    async fn stand_still_if_planned(&self, call: &str) {
        let planned = |shared: &mut Shared| {
            let at = shared.stalls.iter().position(|stall| call.contains(&stall.call))?;
            if shared.stalls[at].passing > 0 {
                shared.stalls[at].passing -= 1;
                return None;
            }
            Some(shared.stalls.remove(at))
        };
        if !self.is_worker {
            return;
        }
        let planned = planned(&mut self.shared.borrow_mut());
        if let Some(stall) = planned {
            self.note(|| format!("stands still for {} s before the next call", stall.ms / 1000));
            self.stand_still(stall.ms, stall.is_suspension).await;
        }
    }

    /// Waits, and for as long as the whole process stands still.
    async fn sleep(&self, ms: u64) {
        self.executor.sleep_ms(ms).await;
        while self.executor.now_ms() < self.resumes_ms.get() {
            self.executor
                .sleep_ms(self.resumes_ms.get() - self.executor.now_ms())
                .await;
        }
    }

    /// Lets time go by without this process. In a suspended machine its monotonic clock stands still, too.
    async fn stand_still(&self, ms: u64, is_suspension: bool) {
        self.shared.borrow_mut().paused += 1;
        self.resumes_ms.set(self.executor.now_ms() + ms);
        self.sleep(ms).await;
        if is_suspension {
            self.suspended_ms.set(self.suspended_ms.get() + ms);
        }
    }

    async fn call<T>(&self, what: impl FnOnce() -> String, act: impl AsyncFnOnce() -> T) -> T {
        let text = self.is_told().then(what);
        if let Some(text) = &text {
            self.stand_still_if_planned(text).await;
        }
        let what = move || text.unwrap_or_default();
        let number = {
            let mut shared = self.shared.borrow_mut();
            shared.calls += u64::from(self.is_worker);
            shared.calls
        };
        self.note(what);
        let latency_ms = self.shared.borrow_mut().random.u64(..4);
        self.sleep(latency_ms).await;
        self.moment(number, false).await;
        let result = act().await;
        self.moment(number, true).await;
        result
    }

    fn strikes(&self, chance: impl Fn(&Chances) -> f64) -> bool {
        let mut shared = self.shared.borrow_mut();
        let chance = chance(&shared.chances);
        chance > 0.0 && shared.random.f64() < chance
    }

    /// A store call that may fail before or after it takes effect.
    async fn store<T>(
        &self,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T,
    ) -> Result<T, StoreError> {
        self.call(what, async || {
            if self.strikes(|chances| chances.store / 2.0) {
                self.note(|| "  failed, not done".to_owned());
                return Err(StoreError("it did not answer".to_owned()));
            }
            let result = act(&mut self.shared.borrow_mut().store);
            if self.strikes(|chances| chances.store / 2.0) {
                self.note(|| "  failed, but done".to_owned());
                return Err(StoreError("it did not answer".to_owned()));
            }
            Ok(result)
        })
        .await
    }

    fn note_write(&self, key: &str) {
        let mut shared = self.shared.borrow_mut();
        *shared.writes.entry(kind_of(key).to_owned()).or_default() += 1;
    }

    /// Some of the keys of a batch, if it is to be half done.
    fn half(&self, count: usize) -> Option<usize> {
        self.strikes(|chances| chances.half)
            .then(|| self.shared.borrow_mut().random.usize(..count.max(1)))
    }

    /// Checks a call against what was asked for before, and learns from its answer.
    fn watch_waits(&self, upstream: &'static str, begun_ms: u64, response: Option<&Response<Bytes>>) {
        let now_ms = self.executor.now_ms();
        let mut shared = self.shared.borrow_mut();
        match response {
            None => {
                // Whoever was killed or paused over it may have told nobody.
                let untold = shared.killed + shared.paused > 0;
                let waits =
                    |wait: &Wait| wait.upstream == upstream && begun_ms < wait.until_ms && begun_ms > wait.told_ms;
                if !untold && shared.waits.iter().any(waits) {
                    shared.violations.push(format!(
                        "{upstream} was called at {begun_ms} although it had asked to wait"
                    ));
                }
            }
            Some(response) => {
                let header = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok());
                if let Some(seconds) = header.and_then(|value| value.parse::<u64>().ok()) {
                    let until_ms = (now_ms + seconds * 1000).saturating_sub(SKEW_MAX_MS);
                    shared.waits.push(Wait {
                        upstream,
                        until_ms,
                        told_ms: now_ms,
                    });
                }
            }
        }
    }
}

/// What kind of key it is, in words.
fn kind_of(key: &str) -> &str {
    let parts: Vec<&str> = key.split('.').skip(2).collect();
    match parts[..] {
        ["e", ..] => "event",
        ["r", ..] => "retry",
        ["d", ..] => "dead letter",
        ["f", ..] => "in flight",
        ["n", ..] => "fan-out",
        ["i", ..] => "index",
        ["m", ..] => "media",
        ["c", ..] => "command",
        ["t", ..] => "token",
        [record, ..] => record,
        [] => key,
    }
}

/// How far the clocks of two hosts may differ, in milliseconds.
pub const SKEW_MAX_MS: u64 = 6000;

impl Store for SimHost {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store(|| format!("get {key}"), |store| store.get(key).cloned())
            .await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.note_write(key);
        let set = |store: &mut BTreeMap<String, Vec<u8>>| {
            self.set.set(self.set.get() + 1);
            store.insert(key.to_owned(), value.to_owned())
        };
        self.store(|| format!("set {key}"), set).await.map(|_| ())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.note_write(key);
        self.store(|| format!("delete {key}"), |store| store.remove(key))
            .await
            .map(|_| ())
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        self.store(|| "list".to_owned(), |store| store.keys().cloned().collect())
            .await
    }

    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        entries.iter().for_each(|(key, _)| self.note_write(key));
        let half = self.half(entries.len());
        let done = &entries[..half.unwrap_or(entries.len())];
        let set = |store: &mut BTreeMap<String, Vec<u8>>| {
            self.set.set(self.set.get() + done.len());
            store.extend(done.iter().cloned());
        };
        self.store(|| format!("set-many of {}", entries.len()), set).await?;
        half.map_or(Ok(()), |_| Err(StoreError("half of it was done".to_owned())))
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        keys.iter().for_each(|key| self.note_write(key));
        let half = self.half(keys.len());
        let done = &keys[..half.unwrap_or(keys.len())];
        let delete = |store: &mut BTreeMap<String, Vec<u8>>| done.iter().for_each(|key| drop(store.remove(key)));
        self.store(|| format!("delete-many {}", keys.join(" ")), delete).await?;
        half.map_or(Ok(()), |_| Err(StoreError("half of it was done".to_owned())))
    }
}

/// Ends a call at its upstream whatever becomes of the caller.
struct Open<'a> {
    host: &'a SimHost,
    is_pim: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut shared = self.host.shared.borrow_mut();
        if self.is_pim {
            shared.pim.finish()
        } else {
            shared.destination.finish()
        }
    }
}

impl Http for SimHost {
    async fn send(&self, request: Request<Vec<u8>>, limits: CallLimits) -> Result<Response<Vec<u8>>, SendError> {
        let request = request.map(Bytes::from);
        let is_pim = request.uri().host() == Some("pim.test");
        let upstream = if is_pim { "pim" } else { "destination" };
        self.watch_waits(upstream, self.executor.now_ms(), None);
        let what = || format!("{} {}", request.method(), request.uri());
        self.call(what, async || {
            let begun_ms = self.executor.now_ms();
            let open = Open { host: self, is_pim };
            let Reply {
                after_ms,
                response,
                is_cut,
            } = {
                let mut shared = self.shared.borrow_mut();
                if is_pim {
                    let target = request.uri().to_string();
                    shared.fetches.push((begun_ms, request.body().to_vec(), target));
                    shared.pim.handle(&request, begun_ms)
                } else {
                    shared.destination.handle(&request, begun_ms)
                }
            };
            let latency_ms = self.shared.borrow_mut().random.u64(1..30);
            self.executor
                .sleep_ms((after_ms + latency_ms).min(limits.total_ms))
                .await;
            drop(open);
            self.sleep(0).await;
            if after_ms + latency_ms >= limits.total_ms {
                self.note(|| "  no answer in time".to_owned());
                return Err(SendError::Timeout);
            }
            let Some(response) = response else {
                self.note(|| "  cut off".to_owned());
                return Err(SendError::Lost("cut off".to_owned()));
            };
            self.note(|| format!("  {}", response.status()));
            self.watch_waits(upstream, begun_ms, Some(&response));
            let status = response.status();
            let (needed, most) = (limits.needs_body_of(status), limits.most_bytes(status));
            let came = if is_cut {
                response.body().len() / 2
            } else {
                response.body().len()
            };
            if needed && came > most {
                return Err(SendError::TooLarge);
            }
            if needed && is_cut && !response.body().is_empty() {
                return Err(SendError::Lost("cut off in its body".to_owned()));
            }
            Ok(response.map(|body| body[..came.min(most)].to_vec()))
        })
        .await
    }
}

impl Clock for SimHost {
    fn now_ms(&self) -> u64 {
        self.executor.now_ms().saturating_add_signed(self.skew_ms)
    }

    fn monotonic_ms(&self) -> u64 {
        self.executor.now_ms() - self.started_ms - self.suspended_ms.get()
    }

    async fn sleep_ms(&self, ms: u64) {
        self.sleep(ms).await;
    }
}

impl Random for SimHost {
    fn bytes(&self) -> [u8; 16] {
        self.shared.borrow_mut().random.u128(..).to_be_bytes()
    }
}

impl Log for SimHost {
    fn line(&self, line: &str) {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
            return;
        };
        if line["log"] == "tick" && line["outcome"] == "worked" {
            self.note_worked();
        }
        if line["log"] == "alert" {
            let cause = line["cause"].as_str().unwrap_or_default().to_owned();
            let now_ms = self.executor.now_ms();
            let mut shared = self.shared.borrow_mut();
            shared.told.push((
                now_ms,
                format!("{cause}: {}", line["text"].as_str().unwrap_or_default()),
            ));
            shared.alerts.insert(cause);
        }
        if line["log"] == "delivery" && line["status"] == 429 {
            self.shared.borrow_mut().put_off += 1;
        }
        if line["log"] != "call" {
            return self.note(|| format!("log {line}"));
        }
        let (Some(upstream), Some(attempt)) = (line["upstream"].as_str(), line["attempt"].as_u64()) else {
            return;
        };
        let now_ms = self.executor.now_ms();
        let mut shared = self.shared.borrow_mut();
        let (first, retries, since_ms) =
            shared
                .attempts
                .entry(upstream.to_owned())
                .or_insert((0, 0, super::run::BEGIN_MS));
        if attempt > 1 {
            *retries += 1
        } else {
            *first += 1
        }
        let allowed = *first as f64 * 0.2 + (now_ms - *since_ms) as f64 / 1000.0 + 1.0;
        let ratio = *retries as f64 / allowed;
        let (first, retries) = (*first, *retries);
        shared.note(now_ms, &self.name, || {
            format!("budget of {upstream}: {first} first attempts, {retries} retries, {ratio:.2} of what is allowed")
        });
        shared.largest_ratio = shared.largest_ratio.max(ratio);
        if attempt > u64::from(relay::retry::ATTEMPTS_MAX) {
            shared.violations.push(format!("attempt {attempt}: {line}"));
        }
    }
}
