//! How a run comes to its end: the world heals, what waits is dealt with, and a person does what people do.

use super::host::Chances;
use super::nature::Dimension;
use super::rules;
use super::run::{Run, TICK_MS, TICKS_AT_ONCE};
use fastrand::Rng;
use model::entity::Segment;
use queue::dead_letter::DeadLetter;
use queue::key::{Change, EventKey, Key};
use queue::keyspace::Keyspace;
use queue::retry::RetryValue;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::Fault;

/// How long a healed world may take to become quiet, in milliseconds: all retries and what was in flight.
const QUIET_MAX_MS: u64 = 6 * 3_600_000;

/// How long healthy entities may take to arrive whatever others do, in milliseconds, in the least catalogue: two hours, for
/// their next try may be an hour away from before the world was well.
const HEALTHY_MAX_MS: u64 = 2 * 3_600_000;

/// What each entity may add to that, in milliseconds: a call of each upstream, and one a second to the destination.
const HEALTHY_EACH_MS: u64 = 5000;

/// And each that fails alone, in milliseconds: a probe.
const LONE_EACH_MS: u64 = 10_000;

/// How long it may take until a whole walk has begun and ended in a healed world, in milliseconds.
const WALKED_MAX_MS: u64 = 3 * 86_400_000;

/// The same where a person asks for one: a PIM that takes three seconds for an answer is asked for thousands one by one.
const WALK_ASKED_MAX_MS: u64 = 8 * 3_600_000;

/// From how many attempts on it is looked what an entity paid them for: at the lowest rate one may seem to be alone.
const PAID_MAX: u32 = 3;

/// How often it is looked, in milliseconds. Not in step with the ticks: one that has just begun must not be all that is ever
/// seen.
const STEP_MS: u64 = 20 * TICK_MS - 700;

impl Run {
    /// Whether a rule was broken already: the rest is not waited for.
    pub(super) fn is_broken(&self) -> bool {
        !self.shared.borrow().violations.is_empty()
    }

    /// Until all has arrived but for the entities that fail alone, which may keep no other from it for longer than a bound.
    pub(super) fn run_until_the_healthy_have_arrived(&self, random: &mut Rng) {
        let begun_ms = self.executor.now_ms();
        let (entities, lone, is_full) = {
            let shared = self.shared.borrow();
            let lone = shared.lone.iter().filter(|lone| !lone.is_over(begun_ms)).count();
            let lone = lone + shared.destination.rejections.len();
            let waiting = shared.store.keys().filter(|key| key.starts_with("r1.main.e.")).count() as u64;
            let is_full = waiting > shared.nature.settings.high_water / 2;
            (shared.entities as u64, lone as u64, is_full)
        };
        // What fails and has nearly filled the queue must be given up first.
        let full_ms = if is_full { 3 * 3_600_000 } else { 0 };
        let most_ms = HEALTHY_MAX_MS + HEALTHY_EACH_MS * entities + LONE_EACH_MS * lone + full_ms;
        let (mut begun_ms, paused_ms) = (begun_ms, begun_ms + self.shared.borrow().nature.pause.most_ms);
        loop {
            self.run_for(STEP_MS, random);
            let now_ms = self.executor.now_ms();
            // While all that a host may have under way stands still on every host, nothing can arrive.
            if self.under_way.get() >= TICKS_AT_ONCE * self.hosts && now_ms < paused_ms {
                begun_ms = now_ms;
            }
            let missing = rules::healthy_differences(self);
            if self.senders.get() == 0 && missing.is_empty() {
                return;
            }
            if self.is_broken() {
                return;
            }
            if self.executor.now_ms() > begun_ms + most_ms {
                let told = format!(
                    "{} s after all was well but for {lone} that fail alone, of the others differ: {missing:?}",
                    most_ms / 1000
                );
                self.shared.borrow_mut().violations.push(told);
                return;
            }
            self.release_brake();
        }
    }

    /// Until nothing waits any more, or much longer than anything may wait.
    pub(super) fn run_until_quiet(&self, random: &mut Rng) {
        let until_ms = self.executor.now_ms() + QUIET_MAX_MS + self.shared.borrow().nature.pause.most_ms;
        while self.executor.now_ms() < until_ms && !self.is_broken() {
            self.run_for(STEP_MS, random);
            if self.senders.get() == 0 && self.is_quiet() {
                return;
            }
            self.release_brake();
        }
    }

    /// What a person does about deletions that are held back, in so small a catalogue soon.
    fn release_brake(&self) {
        let keys = Keyspace::new("main");
        let is_held = |key: &String| matches!(keys.parse(key), Some(Key::Retry(retry)) if retry.hold.is_some());
        let holds = self.shared.borrow().store.keys().any(is_held);
        if holds || self.reconciliation().walk.withheld > 0 {
            self.released_ms.borrow_mut().push(self.executor.now_ms());
            self.command("release", r#"{"v":1,"do":"release-brake"}"#);
        }
    }

    /// Until a walk that began from now on, asked for or by itself, has come to its end, and all that it found is dealt with.
    pub(super) fn run_until_reconciled(&self, is_asked: bool, random: &mut Rng) {
        if self.shared.borrow().nature.has(Dimension::PimClock) {
            // What was updated by a clock that was ahead is young until then.
            self.run_for(2 * 3_600_000, random);
        }
        let (begin_ms, number) = (self.executor.now_ms(), self.reconciliation().walk.number);
        if is_asked {
            self.command("walk", r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        }
        let is_walked = || {
            let walk = self.reconciliation().walk;
            walk.number > number
                && walk.step.is_none()
                && walk.asked.is_none()
                && walk.raising.is_none()
                && walk.withheld == 0
        };
        while !(self.is_broken() || is_walked() && self.is_quiet()) {
            let most_ms = if is_asked { WALK_ASKED_MAX_MS } else { WALKED_MAX_MS };
            if self.executor.now_ms() > begin_ms + most_ms {
                let told = "a walk has not come to its end, or what it found has not".to_owned();
                return self.shared.borrow_mut().violations.push(told);
            }
            self.run_for(STEP_MS, random);
            self.release_brake();
        }
    }

    pub(super) fn dead_letters(&self) -> Vec<(EventKey, String)> {
        let keys = Keyspace::new("main");
        let shared = self.shared.borrow();
        let dead = shared.store.iter().filter_map(|(key, value)| match keys.parse(key) {
            Some(Key::DeadLetter(letter)) => {
                let value: serde_json::Value = serde_json::from_slice(value).ok()?;
                let id = Segment::of(&format!("replay-{key}"));
                let event = EventKey {
                    time_s: 1,
                    change: Change::Replayed,
                    floor_s: None,
                    entity: letter.entity,
                    id,
                };
                Some((event, value["code"].as_str()?.to_owned()))
            }
            _ => None,
        });
        dead.collect()
    }

    /// A walk misses more than the brake lets through. While the next one is under way, and has passed some of that, a
    /// person lets it go: all of it must go.
    pub(super) fn let_go_during_a_walk(&self, random: &mut Rng) {
        let gone: Vec<EntityId> = self.products().into_iter().take(50).step_by(5).collect();
        for product in &gone {
            self.edit(&Edit::new(product.clone(), Action::Delete));
        }
        let walk = |id: &str| self.command(id, r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        walk("missing");
        self.run_for_until(random, || self.reconciliation().walk.withheld >= gone.len() as u64);
        // The first page of the next walk comes, and the second does not.
        let page = Fault::always(Fault::status(503)).path("/api/rest/v1/products-uuid");
        self.shared
            .borrow_mut()
            .pim
            .faults
            .add(page.entity("search_after=").after(0));
        walk("passing");
        self.run_for(10 * 60_000, random);
        let is_gone = |product: &EntityId| {
            let (shared, key) = (self.shared.borrow(), product.key());
            let mut lying = shared.destination.state.iter();
            !lying.any(|(path, stored)| shared.key_at(path, stored) == key)
        };
        let left = || gone.iter().filter(|product| !is_gone(product)).count();
        let release = |random: &mut Rng| {
            self.released_ms.borrow_mut().push(self.executor.now_ms());
            self.command("release", r#"{"v":1,"do":"release-brake"}"#);
            self.run_for_until(random, || left() == 0);
        };
        release(random);
        // Two workers that both take the lease for their own keep a state each, and that without the release may be the
        // last one: the person sees that, and releases the brake again.
        let may_be_lost = self.shared.borrow().stale_leases > 0;
        if left() > 0 && may_be_lost {
            release(random);
        }
        let left = left();
        let mut shared = self.shared.borrow_mut();
        if left > 0 {
            let told = format!(
                "{left} of {} were not let go, though a person released the brake",
                gone.len()
            );
            shared.violations.push(told);
        }
        shared.pim.faults.clear();
    }

    /// Until something is so, for half an hour at most.
    fn run_for_until(&self, random: &mut Rng, is_so: impl Fn() -> bool) {
        let until_ms = self.executor.now_ms() + 1_800_000;
        while !is_so() && self.executor.now_ms() < until_ms && !self.is_broken() {
            self.run_for(STEP_MS, random);
        }
    }

    /// Nobody pays for calls that were too many for an upstream, but for whom alone it tells so (contract 4.7).
    pub(super) fn check_who_paid(&self) {
        let keys = Keyspace::new("main");
        let shared = &mut *self.shared.borrow_mut();
        let failed = shared.store.iter().filter_map(|(key, value)| match keys.parse(key)? {
            Key::DeadLetter(_) => {
                let letter: DeadLetter = serde_json::from_slice(value).ok()?;
                Some((letter.code, letter.failures))
            }
            Key::Retry(retry) if retry.attempts >= PAID_MAX => {
                let retry: RetryValue = serde_json::from_slice(value).ok()?;
                Some((retry.code, retry.failures))
            }
            _ => None,
        });
        let for_coming_too_often = failed.filter(|(code, failures)| {
            let are_of_all = !failures.is_empty() && failures.iter().all(|failure| failure.status == Some(429));
            are_of_all && !shared.asked_alone.iter().any(|id| id.key() == *code)
        });
        let told = for_coming_too_often.map(|(code, _)| format!("{code} pays with its attempts for 429s that all get"));
        let told: Vec<String> = told.collect();
        shared.violations.extend(told);
    }

    /// Whoever was given up for want of a name that another one had comes by itself once that one has let it go.
    pub(super) fn check_who_waits_for_an_identity(&self) {
        let told = rules::wait_for_nothing(self);
        self.shared.borrow_mut().violations.extend(told);
    }

    /// What a person does once the world is well again.
    pub(super) fn replay(&self, random: &mut Rng) {
        let keys = Keyspace::new("main");
        for (mut event, code) in self.dead_letters() {
            event.id = Segment::of(&format!("{:032x}", random.u128(..)));
            let value = queue::raise::EventValue {
                v: 1,
                code,
                at_ms: 0,
                event: String::new(),
            };
            self.shared
                .borrow_mut()
                .store
                .insert(keys.encode(&Key::Event(event)), value.to_bytes());
        }
    }

    /// The world is well but for entities that fail alone.
    pub(super) fn heal(&self) {
        let now_ms = self.executor.now_ms();
        let mut shared = self.shared.borrow_mut();
        shared.chances = Chances::default();
        shared.kills.clear();
        shared.pim.faults.clear();
        shared.pim.config.lag_ms = 0;
        shared.destination.faults.clear();
        shared.proxies.clear();
        shared.nature.heal();
        if shared.traced {
            shared
                .trace
                .push(format!("{:>9.3} HEALED", (now_ms % 100_000_000) as f64 / 1000.0));
        }
    }

    pub(super) fn heal_the_lone(&self) {
        let mut shared = self.shared.borrow_mut();
        shared.destination.rejections.clear();
        shared.lone.clear();
    }
}
