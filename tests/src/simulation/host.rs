//! One process's world: everything it asks goes through here, and may fail, take long, or be its last.

use super::executor::{Executor, TaskId};
use super::mistaken::Past;
use super::nature::Dimension;
use super::run::YEAR_MS;
pub use super::shared::{Chances, Shared, Stall};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use world::damage::Damage;
use world::host::{Clock, Log, Random, Store, StoreError};

/// Where the PIM is.
pub const PIM: &str = "http://pim.test";
/// Where the destination is.
pub const DESTINATION: &str = "http://destination.test";

/// A process: an ingest with one delivery, or a worker with one tick.
pub struct SimHost {
    pub(super) executor: Executor,
    pub(super) shared: Rc<RefCell<Shared>>,
    name: String,
    pub(super) is_worker: bool,
    pub(super) past: Past,
    skew_ms: i64,
    task: Rc<Cell<TaskId>>,
    started_ms: u64,
    /// Until when it stands still, in milliseconds.
    still_until_ms: Cell<u64>,
    /// How long it was suspended, in milliseconds.
    suspended_ms: Cell<u64>,
    /// What its monotonic clock said last, in milliseconds.
    monotonic_ms: Cell<u64>,
    /// The keys it has set, told or not, and when, in milliseconds.
    set: Rc<RefCell<Vec<(String, u64)>>>,
    damage: Damage,
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
            past: Past::default(),
            skew_ms,
            task: Rc::default(),
            started_ms: executor.now_ms(),
            still_until_ms: Cell::default(),
            suspended_ms: Cell::default(),
            monotonic_ms: Cell::default(),
            set: Rc::default(),
            damage: Damage::default(),
        }
    }

    /// Whether its clock is a year ahead of all others.
    pub(super) fn is_far_ahead(&self) -> bool {
        self.skew_ms >= YEAR_MS
    }

    /// The keys that it has set, whether it came to know of it or not, and when, in milliseconds.
    pub fn keys_set(&self) -> Rc<RefCell<Vec<(String, u64)>>> {
        self.set.clone()
    }

    /// Which task it is, once it is one: needed to kill it.
    pub fn task(&self) -> Rc<Cell<TaskId>> {
        self.task.clone()
    }

    fn note_tick(&self, line: &Value) {
        let now_ms = self.executor.now_ms();
        let shared = &mut *self.shared.borrow_mut();
        if line["outcome"] == "worked" && shared.worked < 2 {
            shared.worked += 1;
            shared.calls_of_work = shared.calls;
        }
        let has_read_pages = line["pages"] != 0;
        let entities = shared.entities;
        let gaps = shared.lone.iter().filter(|lone| lone.cannot_be_rendered()).count();
        let wasted = shared
            .effort
            .tick_ended(&shared.store, entities, gaps, has_read_pages, now_ms);
        if let (Some(wasted), false) = (
            wasted,
            shared.violations.iter().any(|known| known.contains("nothing came")),
        ) {
            shared.violations.push(wasted);
        }
    }

    /// A delivery may be put off only while as much waits as may, or nobody has counted for long.
    fn note_put_off(&self, is_for_the_queue: bool) {
        const COUNTED_MS: u64 = 60_000;
        let now_ms = self.executor.now_ms();
        let shared = &mut *self.shared.borrow_mut();
        shared.put_off += 1;
        let waiting = shared.store.keys().filter(|key| kind_of(key) == "event").count();
        // A worker that stood still may have published what it had counted long before.
        let is_counted = is_for_the_queue && !shared.is_disturbed() && shared.published_ms + COUNTED_MS > now_ms;
        if is_counted && (waiting as u64) < shared.nature.settings.high_water / 2 && shared.is_watched {
            let told = format!("a delivery was put off at {now_ms} although {waiting} events waited");
            shared.violations.push(told);
            shared.is_watched = false;
        }
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
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
            self.die().await;
        }
        if pauses {
            self.pause().await;
        }
    }

    /// Stands still for as long as workers do in this world.
    async fn pause(&self) {
        let (ms, is_suspension) = {
            let mut shared = self.shared.borrow_mut();
            let pause = shared.nature.pause;
            (pause.length_ms(&mut shared.random), pause.is_suspension)
        };
        self.note(|| format!("stands still for {} s", ms / 1000));
        self.stand_still(ms, is_suspension).await;
    }

    /// Where workers stand still out of the ordinary, they do so most where it matters: between deciding what lies at the
    /// destination and doing or keeping it.
    pub(super) async fn pause_where_it_matters(&self) {
        const CHANCE: f64 = 0.01;
        let pauses = {
            let mut shared = self.shared.borrow_mut();
            let may_pause = self.is_worker && shared.chances.pause > 0.0 && shared.nature.has(Dimension::Pauses);
            may_pause && shared.random.f64() < CHANCE
        };
        if pauses {
            self.pause().await;
        }
    }

    async fn die(&self) {
        self.note(|| "KILLED".to_owned());
        self.shared.borrow_mut().killed += 1;
        self.executor.kill(self.task.get());
        std::future::pending::<()>().await;
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

    /// Lets time go by without this process, all of it: whatever else it is about stops at its next call. In a suspended
    /// machine its monotonic clock stands still, too.
    async fn stand_still(&self, ms: u64, is_suspension: bool) {
        self.shared.borrow_mut().paused += 1;
        let until_ms = self.executor.now_ms() + ms;
        self.still_until_ms.set(self.still_until_ms.get().max(until_ms));
        if is_suspension {
            self.suspended_ms.set(self.suspended_ms.get() + ms);
        }
        self.go_on().await;
    }

    /// Waits until the process stands still no more.
    async fn go_on(&self) {
        loop {
            let still_ms = self.still_until_ms.get().saturating_sub(self.executor.now_ms());
            if still_ms == 0 {
                return;
            }
            self.executor.sleep_ms(still_ms).await;
        }
    }

    pub(super) async fn call<T>(&self, what: impl FnOnce() -> String, act: impl AsyncFnOnce() -> T) -> T {
        self.go_on().await;
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
        let latency_ms = {
            let mut shared = self.shared.borrow_mut();
            let most_ms = shared.nature.store_ms;
            shared.random.u64(..most_ms)
        };
        self.executor.sleep_ms(latency_ms).await;
        self.moment(number, false).await;
        let result = act().await;
        self.go_on().await;
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
                return Err(self.fail("not done"));
            }
            let result = act(&mut self.shared.borrow_mut().store);
            if self.strikes(|chances| chances.store / 2.0) {
                return Err(self.fail("but done"));
            }
            Ok(result)
        })
        .await
    }

    /// A store call has failed.
    fn fail(&self, how: &str) -> StoreError {
        self.note(|| format!("  failed, {how}"));
        let failed = &mut self.shared.borrow_mut().failed;
        match self.is_worker {
            true => failed.of_workers += 1,
            false => failed.of_ingests += 1,
        }
        StoreError::Failed("it did not answer".to_owned())
    }

    /// Sets keys, unless something goes wrong: the write may land late, when its writer has long been told that it
    /// failed, or is dead.
    async fn write(&self, what: impl FnOnce() -> String, entries: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        if entries.iter().any(|(key, _)| kind_of(key) == "index") {
            self.pause_where_it_matters().await;
        }
        let late = {
            let mut shared = self.shared.borrow_mut();
            let (chances, late) = (shared.chances, shared.nature.late_writes);
            let chance = late * (chances.store + chances.kill) / 2.0;
            chance > 0.0 && shared.random.f64() < chance
        };
        if late {
            self.land_later(entries);
            let is_told = self.shared.borrow_mut().random.bool();
            return self
                .call(what, async || {
                    self.note(|| "  failed, to land later".to_owned());
                    if !is_told {
                        self.die().await;
                    }
                    Err(StoreError::Failed("it did not answer".to_owned()))
                })
                .await;
        }
        self.note_before(entries.iter().map(|(key, _)| key));
        let set = |store: &mut BTreeMap<String, Vec<u8>>| {
            let now_ms = self.executor.now_ms();
            if !self.is_worker {
                let keys = entries.iter().map(|(key, _)| (key.clone(), now_ms));
                self.set.borrow_mut().extend(keys);
            }
            store.extend(entries);
        };
        self.store(what, set).await
    }

    fn land_later(&self, entries: Vec<(String, Vec<u8>)>) {
        let (shared, executor) = (self.shared.clone(), self.executor.clone());
        let after_ms = shared.borrow_mut().random.u64(1000..60_000);
        shared.borrow_mut().landing += 1;
        self.executor.spawn(async move {
            executor.sleep_ms(after_ms).await;
            let mut shared = shared.borrow_mut();
            let keys = entries
                .iter()
                .map(|(key, _)| key.as_str())
                .collect::<Vec<_>>()
                .join(" ");
            shared.note(executor.now_ms(), "store", || format!("lands late: {keys}"));
            shared.store.extend(entries);
            shared.landing -= 1;
            shared.landed += 1;
        });
    }

    /// Takes note of what is there before a write, where it may be read later.
    fn note_before<'k>(&self, keys: impl Iterator<Item = &'k String>) {
        let now_ms = self.executor.now_ms();
        let shared = &mut *self.shared.borrow_mut();
        if shared.nature.stale_ms > 0 {
            for key in keys {
                let before = (now_ms, self.name.clone(), shared.store.get(key).cloned());
                shared.before.insert(key.clone(), before);
            }
        }
    }

    /// What a key held before somebody else wrote it a moment ago, if that is what is read.
    fn stale(&self, key: &str) -> Option<Option<Vec<u8>>> {
        let now_ms = self.executor.now_ms();
        let shared = &mut *self.shared.borrow_mut();
        let (at_ms, writer, before) = shared.before.get(key)?;
        // Whoever judges sees what is there.
        let is_judge = self.name == "rules";
        let may_be = *writer != self.name && !is_judge && at_ms + shared.nature.stale_ms > now_ms;
        let is_stale = may_be && shared.random.bool();
        let before = is_stale.then(|| before.clone());
        shared.read_stale += u64::from(is_stale);
        shared.stale_leases += u64::from(is_stale && kind_of(key) == "lease");
        before
    }

    /// Takes note of a read.
    fn note_traffic(&self, key: &str, bytes: usize) {
        let mut shared = self.shared.borrow_mut();
        *shared.traffic.entry(kind_of(key).to_owned()).or_default() += bytes;
    }

    /// Takes note of a write; fails if no store would take it.
    fn note_write(&self, key: &str, bytes: usize) -> Result<(), StoreError> {
        let now_ms = self.executor.now_ms();
        let mut shared = self.shared.borrow_mut();
        let kind = kind_of(key);
        *shared.writes.entry(kind.to_owned()).or_default() += 1;
        *shared.traffic.entry(kind.to_owned()).or_default() += bytes;
        shared.effort.write();
        if kind == "status" {
            shared.published_ms = now_ms;
        }
        if bytes <= VALUE_MAX {
            return Ok(());
        }
        let reason = format!("a value of {bytes} bytes: {kind}");
        if !shared.violations.contains(&reason) {
            shared.violations.push(reason.clone());
        }
        Err(StoreError::Failed(reason))
    }

    /// Some of the keys of a batch, if it is to be half done.
    fn half(&self, count: usize) -> Option<usize> {
        self.strikes(|chances| chances.half)
            .then(|| self.shared.borrow_mut().random.usize(..count.max(1)))
    }
}

/// What kind of key it is, in words.
pub(super) fn kind_of(key: &str) -> &str {
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

/// The largest value that every store takes, in bytes (DynamoDB's limit, keys included).
pub const VALUE_MAX: usize = 400_000;

/// How far the clocks of two hosts may differ, in milliseconds.
pub const SKEW_MAX_MS: u64 = 6000;

impl Store for SimHost {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.write_put_off().await?;
        let Some(key) = self.mistaken_key(key) else {
            return Ok(None);
        };
        let found = self
            .store(|| format!("get {key}"), |store| store.get(&key).cloned())
            .await?;
        let found = self.stale(&key).unwrap_or(found);
        let bytes = found.as_ref().map_or(0, Vec::len);
        self.note_traffic(&key, bytes);
        Ok(self.mistaken_value(&key, found))
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.note_write(key, value.len())?;
        let Some(key) = self.mistaken_key(key) else {
            return Ok(());
        };
        self.note_for_mistakes(&key, value);
        if self.is_put_off(&key, value) {
            return Ok(());
        }
        let entry = (key.clone(), self.mistaken_page(&key, value.to_owned()));
        let written = self
            .write(|| format!("set {key} {}", String::from_utf8_lossy(value)), vec![entry])
            .await;
        self.mistaken_write(self.is_worker, written)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.note_write(key, 0)?;
        if SimHost::is_kept_by_mistake(key) {
            return Ok(());
        }
        self.store(|| format!("delete {key}"), |store| store.remove(key))
            .await?;
        self.write_put_off().await
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        self.write_put_off().await?;
        self.store(|| "list".to_owned(), |store| store.keys().cloned().collect())
            .await
    }

    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        for (key, value) in entries {
            self.note_write(key, value.len())?;
        }
        let half = self.half(entries.len());
        let done = &entries[..half.unwrap_or(entries.len())];
        let as_asked = |(key, value): &(String, Vec<u8>)| {
            let key = self.mistaken_key(key)?;
            let value = self.mistaken_page(&key, value.clone());
            (!self.is_put_off(&key, &value)).then_some((key, value))
        };
        let done = done.iter().filter_map(as_asked).collect();
        self.write(|| format!("set-many of {}", entries.len()), done).await?;
        half.map_or(Ok(()), |_| Err(StoreError::Failed("half of it was done".to_owned())))
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            self.note_write(key, 0)?;
        }
        let half = self.half(keys.len());
        let done = &keys[..half.unwrap_or(keys.len())];
        let delete = |store: &mut BTreeMap<String, Vec<u8>>| {
            let others = SimHost::deleted_by_mistake(store, done);
            let done = done.iter().filter(|key| !SimHost::is_kept_by_mistake(key));
            done.chain(&others).for_each(|key| drop(store.remove(key)));
        };
        self.store(|| format!("delete-many {}", keys.join(" ")), delete).await?;
        self.write_put_off().await?;
        half.map_or(Ok(()), |_| Err(StoreError::Failed("half of it was done".to_owned())))
    }

    fn damage(&self) -> Option<&Damage> {
        Some(&self.damage)
    }
}

impl SimHost {
    async fn write_put_off(&self) -> Result<(), StoreError> {
        for (key, value) in self.take_put_off() {
            self.write(|| format!("set {key}"), vec![(key.clone(), value)]).await?;
        }
        Ok(())
    }
}

impl Clock for SimHost {
    fn now_ms(&self) -> u64 {
        self.executor.now_ms().saturating_add_signed(self.skew_ms)
    }

    fn monotonic_ms(&self) -> u64 {
        let now_ms = self.executor.now_ms().saturating_sub(self.suspended_ms.get());
        // It stands still while the machine does, and never goes back.
        let last_ms = self.monotonic_ms.get().max(now_ms.saturating_sub(self.started_ms));
        self.monotonic_ms.set(last_ms);
        last_ms
    }

    async fn sleep_ms(&self, ms: u64) {
        self.executor.sleep_ms(ms).await;
        self.go_on().await;
    }
}

impl Random for SimHost {
    fn bytes(&self) -> [u8; 16] {
        self.shared.borrow_mut().random.u128(..).to_be_bytes()
    }
}

impl Log for SimHost {
    fn line(&self, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return;
        };
        if line["log"] == "tick" {
            self.note_tick(&line);
        }
        if line["log"] == "damaged" || line["log"] == "set-aside" {
            let key = line["key"].as_str().unwrap_or_default().to_owned();
            self.shared.borrow_mut().damaged.insert(key);
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
            let problem = line["problem"].as_str().unwrap_or_default();
            self.note_put_off(problem.contains("too many events"));
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
        if attempt > u64::from(queue::retry::ATTEMPTS_MAX) {
            shared.violations.push(format!("attempt {attempt}: {line}"));
        }
    }
}
