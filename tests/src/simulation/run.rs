//! One run from its seed: a script of edits, their deliveries, ticks on one or more hosts, faults; then the world heals,
//! and the rules are checked.

use super::executor::Executor;
use super::faults::go_wrong;
use super::host::{Chances, DESTINATION, PIM, SKEW_MAX_MS, Shared, SimHost};
use super::rules;
use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};
use relay::config::{IngestConfig, ProviderFailed, Variables, WorkerConfig};
use relay::entity::Segment;
use relay::ingest::{self, Channel};
use relay::key::{Change as KeyChange, EventKey, Key, Keyspace, Record};
use relay::mistake::{self, Mistake};
use relay::reconciliation::Reconciliation;
use relay::worker;
use simulator::catalogue::{Catalogue, Change, ChangeKind, Edit, EntityId};
use simulator::deliveries::{Delivery, Format, Plan, Secrets};
use simulator::destination::{Destination, DestinationConfig};
use simulator::meter::Limits;
use simulator::pim::{Pim, PimConfig};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// When every run begins, in milliseconds since the Unix epoch.
pub(super) const BEGIN_MS: u64 = 1_770_000_000_000;

/// How often a tick is started on every host, in milliseconds.
const TICK_MS: u64 = 10_000;

/// The same where hours and days go by.
const SLOW_TICK_MS: u64 = 60_000;

/// How long a healed world may take to become quiet, in milliseconds: all retries and what was in flight.
const QUIET_MAX_MS: u64 = 6 * 3_600_000;

/// How long it may take until a whole walk has begun and ended in a healed world, in milliseconds.
const WALKED_MAX_MS: u64 = 3 * 86_400_000;

/// What a run is made of; everything else follows from the seed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// A mistake that the relay makes.
    pub mistake: Option<Mistake>,
    /// Keep a trace for people.
    pub traced: bool,
    /// What goes wrong.
    pub world: WorldKind,
}

/// Kinds of world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldKind {
    /// All by the seed.
    Random,
    /// Three entities with success, retry and dead letter; a worker is killed at these of its calls.
    Small(Vec<(u64, bool)>),
    /// The same entities, which the PIM refuses to give: they are given up, and nothing is in flight.
    Unread(Vec<(u64, bool)>),
    /// An upstream asks for thirty seconds of rest, once.
    Wait {
        /// The PIM rather than the destination.
        of_pim: bool,
    },
    /// A week of edits, half of whose deliveries are lost, with reconciliation at work; all else by the seed.
    Week,
    /// A world for a test to act in by itself: reconciliation is at work, and nothing goes wrong that it does not ask
    /// for.
    Stage {
        /// How many products there are.
        products: usize,
        /// And how many models.
        models: usize,
    },
    /// Many events, and an upstream that is down for eight hours.
    Outage {
        /// The PIM rather than the destination.
        of_pim: bool,
        /// How many events wait.
        events: usize,
    },
}

impl Scenario {
    /// A random week.
    pub fn week(seed: u64) -> Scenario {
        Scenario {
            world: WorldKind::Week,
            ..Scenario::random(seed)
        }
    }

    /// A random world.
    pub fn random(seed: u64) -> Scenario {
        Scenario {
            seed,
            mistake: None,
            traced: false,
            world: WorldKind::Random,
        }
    }
}

/// When calls came, in milliseconds, and what they were answered.
pub type Calls = Vec<(u64, u16)>;

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What did not hold; empty is good.
    pub violations: Vec<String>,
    /// Calls that workers made of store and upstreams.
    pub calls: u64,
    /// Deliveries acknowledged.
    pub acknowledged: usize,
    /// Processes killed.
    pub killed: u64,
    /// Calls of the PIM and of the destination.
    pub upstream_calls: (usize, usize),
    /// Dead letters before they were replayed.
    pub dead_letters: usize,
    /// The largest share of the retry budget in use.
    pub largest_ratio: f64,
    /// Of the calls of workers, those until the end of the second tick that worked.
    pub calls_of_work: u64,
    /// Calls of the upstream that was down, while it was.
    pub calls_in_outage: usize,
    /// When the PIM was called, in milliseconds, and what it answered; the same of the destination.
    pub calls_at: (Calls, Calls),
    /// What happened.
    pub trace: Vec<String>,
}

/// An event that was acknowledged: when first, and which entity it names.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// When it was stored, in milliseconds.
    pub at_ms: u64,
    /// The entity.
    pub entity: EntityId,
    /// Whether it says that the entity was deleted.
    pub is_deletion: bool,
}

/// A run under way.
pub(super) struct Run {
    pub(super) executor: Executor,
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) acknowledged: Rc<RefCell<Vec<Acknowledged>>>,
    /// Deliveries acknowledged: a repetition of one asks for nothing new.
    told: Rc<RefCell<BTreeSet<Vec<u8>>>>,
    /// When deliveries were first stored whole, in milliseconds.
    stored: Rc<RefCell<BTreeMap<Vec<u8>, u64>>>,
    /// Entities that the PIM has ever deleted.
    pub(super) deleted: Rc<RefCell<BTreeSet<EntityId>>>,
    /// When the brake was released.
    pub(super) released_ms: Rc<RefCell<Vec<u64>>>,
    pub(super) is_strict: bool,
    pub(super) worker: WorkerConfig,
    pub(super) ingest: IngestConfig,
    under_way: Rc<Cell<usize>>,
    skews_ms: Vec<i64>,
    senders: Rc<Cell<usize>>,
    pub(super) stop: Rc<Cell<bool>>,
    pub(super) calls_in_outage: Cell<usize>,
    tick_ms: u64,
}

fn variable(name: &str) -> Result<Option<String>, ProviderFailed> {
    let value = match name {
        "pim_url" => PIM,
        "destination_url" => DESTINATION,
        "pim_client_id" => "1_simulated",
        "pim_client_secret" => "simulated-client-secret",
        "pim_username" => "relay_0001",
        "pim_password" => "simulated-password",
        "event_platform_secret" | "events_api_secret" => "secret-of-the-simulation",
        "timestamp_tolerance_seconds" => "86400",
        "destination_calls_per_second" => "100",
        _ => return Ok(None),
    };
    Ok(Some(value.to_owned()))
}

/// Runs a scenario to its end and checks the rules.
pub fn run(scenario: &Scenario) -> Outcome {
    mistake::make(scenario.mistake);
    let mut random = Rng::with_seed(scenario.seed);
    let run = Run::new(scenario, &mut random);
    let dead_letters = run.drive(scenario, &mut random);
    mistake::make(None);
    let violations = rules::check(&run);
    run.executor.end();
    let shared = run.shared.borrow();
    Outcome {
        violations,
        calls: shared.calls,
        acknowledged: run.acknowledged.borrow().len(),
        killed: shared.killed,
        upstream_calls: (shared.pim.calls.len(), shared.destination.log.len()),
        dead_letters,
        largest_ratio: shared.largest_ratio,
        calls_of_work: shared.calls_of_work,
        calls_in_outage: run.calls_in_outage.get(),
        calls_at: (
            shared.pim.calls.iter().map(|call| (call.at_ms, call.status)).collect(),
            shared
                .destination
                .log
                .iter()
                .map(|request| (request.at_ms, request.status))
                .collect(),
        ),
        trace: shared.trace.clone(),
    }
}

impl Run {
    pub(super) fn new(scenario: &Scenario, random: &mut Rng) -> Run {
        let (products, models) = match scenario.world {
            WorldKind::Random => (random.usize(4..20), random.usize(..5)),
            WorldKind::Week => (random.usize(4..30), random.usize(..6)),
            WorldKind::Stage { products, models } => (products, models),
            WorldKind::Small(_) | WorldKind::Unread(_) => (3, 0),
            WorldKind::Wait { .. } => (30, 0),
            WorldKind::Outage { .. } => (2000, 0),
        };
        let is_random = matches!(scenario.world, WorldKind::Random | WorldKind::Week);
        let lag_ms = if is_random && random.bool() {
            random.u64(..45_000)
        } else {
            0
        };
        let config = PimConfig {
            lag_ms,
            body_offset_minutes: if random.bool() { 120 } else { 0 },
            access_lifetime_s: if is_random { random.u64(30..3600) } else { 3600 },
            seed: random.u64(..),
            ..PimConfig::default()
        };
        let mut catalogue = Catalogue::generate(products, models, random.u64(..));
        catalogue.lag_ms = lag_ms;
        let limits = Limits {
            at_once: Some(5),
            enforce: false,
            ..Limits::default()
        };
        let destination = DestinationConfig {
            limits,
            seed: random.u64(..),
            ..DestinationConfig::default()
        };
        let mut shared = Shared::new(
            Pim::new(catalogue, config),
            Destination::new(destination),
            random.fork(),
        );
        shared.traced = scenario.traced;
        let mut is_strict = true;
        match &scenario.world {
            WorldKind::Random | WorldKind::Week => is_strict = go_wrong(&mut shared, random),
            WorldKind::Small(kills) | WorldKind::Unread(kills) => {
                shared.kills.clone_from(kills);
                is_strict = kills.is_empty();
            }
            WorldKind::Outage { .. } | WorldKind::Wait { .. } | WorldKind::Stage { .. } => {}
        }
        let tick_ms = match scenario.world {
            WorldKind::Outage { .. } | WorldKind::Week => SLOW_TICK_MS,
            _ => TICK_MS,
        };
        let executor = Executor::default();
        executor.begin_at(BEGIN_MS);
        let hosts = if is_random { random.usize(1..4) } else { 1 };
        // Clocks that are kept well differ by milliseconds, and so hosts begin their ticks almost together.
        let nearness = if scenario.seed.is_multiple_of(2) { 1 } else { 500 };
        let variables = Variables(&variable);
        let mut worker = WorkerConfig::read(&variables).expect("the variables are good");
        if !matches!(scenario.world, WorldKind::Week | WorldKind::Stage { .. }) {
            (worker.reconciliation.recent_s, worker.reconciliation.walk_s) = (None, None);
        }
        Run {
            executor,
            shared: Rc::new(RefCell::new(shared)),
            acknowledged: Rc::default(),
            told: Rc::default(),
            stored: Rc::default(),
            deleted: Rc::default(),
            released_ms: Rc::default(),
            is_strict,
            worker,
            ingest: IngestConfig::read(&variables).expect("the variables are good"),
            under_way: Rc::default(),
            skews_ms: (0..hosts)
                .map(|_| {
                    if is_random {
                        random.i64(-2000..=2000) / nearness
                    } else {
                        0
                    }
                })
                .collect(),
            senders: Rc::default(),
            stop: Rc::default(),
            calls_in_outage: Cell::default(),
            tick_ms,
        }
    }

    /// The whole of it; says how many dead letters there were before they were replayed.
    fn drive(&self, scenario: &Scenario, random: &mut Rng) -> usize {
        self.start_ticks();
        self.play(&scenario.world, random);
        self.heal();
        self.run_until_quiet(random);
        if self.is_reconciling() {
            self.run_until_reconciled(random);
        }
        let dead_letters = self.dead_letters().len();
        for _ in 0..3 {
            if self.dead_letters().is_empty() {
                break;
            }
            self.replay(random);
            self.run_until_quiet(random);
        }
        dead_letters
    }

    pub(super) fn products(&self) -> Vec<EntityId> {
        let shared = self.shared.borrow();
        shared
            .pim
            .catalogue
            .truth()
            .products(None)
            .map(|product| product.id.clone())
            .collect()
    }

    pub(super) fn run_for(&self, ms: u64, random: &mut Rng) {
        let executor = self.executor.clone();
        let (until_ms, done) = (executor.now_ms() + ms, Rc::new(Cell::new(false)));
        let (sleeper, is_done) = (self.executor.clone(), done.clone());
        self.executor.spawn(async move {
            sleeper.sleep_ms(until_ms - sleeper.now_ms()).await;
            is_done.set(true);
        });
        self.executor.run(random, || done.get());
    }

    /// Until nothing waits any more, or much longer than anything may wait.
    fn run_until_quiet(&self, random: &mut Rng) {
        let until_ms = self.executor.now_ms() + QUIET_MAX_MS;
        while self.executor.now_ms() < until_ms {
            self.run_for(20 * TICK_MS, random);
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

    /// Leaves a command as the console does.
    pub(super) fn command(&self, id: &str, value: &str) {
        let key = Keyspace::new("main").encode(&Key::Command(1, Segment::of(id)));
        self.shared.borrow_mut().store.insert(key, value.as_bytes().to_vec());
    }

    pub(super) fn is_reconciling(&self) -> bool {
        self.worker.reconciliation.walk_s.is_some()
    }

    /// How far reconciliation has come.
    pub(super) fn reconciliation(&self) -> Reconciliation {
        let key = Keyspace::new("main").record(Record::Reconciliation);
        let shared = self.shared.borrow();
        let value = shared.store.get(&key);
        value
            .and_then(|value| serde_json::from_slice(value).ok())
            .unwrap_or_default()
    }

    /// Until a walk that began from now on has come to its end, and all that it found is dealt with.
    pub(super) fn run_until_reconciled(&self, random: &mut Rng) {
        let begin_ms = self.executor.now_ms();
        let is_walked = || {
            let walk = self.reconciliation().walk;
            walk.began_ms > begin_ms + SKEW_MAX_MS
                && walk.step.is_none()
                && walk.raising.is_none()
                && walk.withheld == 0
        };
        while self.executor.now_ms() < begin_ms + WALKED_MAX_MS && !(is_walked() && self.is_quiet()) {
            self.run_for(20 * TICK_MS, random);
            self.release_brake();
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        let shared = self.shared.borrow();
        let keys = Keyspace::new("main");
        let waits = |key: &String| {
            matches!(
                keys.parse(key),
                Some(
                    Key::Event(_)
                        | Key::Retry(_)
                        | Key::InFlight(..)
                        | Key::Command(..)
                        | Key::Stale(..)
                        | Key::Reading(_)
                )
            )
        };
        self.under_way.get() == 0 && shared.destination.landing() == 0 && !shared.store.keys().any(waits)
    }

    fn dead_letters(&self) -> Vec<(EventKey, String)> {
        let keys = Keyspace::new("main");
        let shared = self.shared.borrow();
        let dead = shared.store.iter().filter_map(|(key, value)| match keys.parse(key) {
            Some(Key::DeadLetter(entity, _)) => {
                let value: serde_json::Value = serde_json::from_slice(value).ok()?;
                let id = Segment::of(&format!("replay-{key}"));
                let event = EventKey {
                    time_s: 1,
                    change: KeyChange::Replayed,
                    floor_s: None,
                    entity,
                    id,
                };
                Some((event, value["code"].as_str()?.to_owned()))
            }
            _ => None,
        });
        dead.collect()
    }

    /// What a person does once the world is well again.
    fn replay(&self, random: &mut Rng) {
        let keys = Keyspace::new("main");
        for (mut event, code) in self.dead_letters() {
            event.id = Segment::of(&format!("{:032x}", random.u128(..)));
            let value = relay::ingest::EventValue {
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

    fn heal(&self) {
        let now_ms = self.executor.now_ms();
        let mut shared = self.shared.borrow_mut();
        shared.chances = Chances::default();
        shared.kills.clear();
        shared.pim.faults.clear();
        shared.pim.config.lag_ms = 0;
        shared.destination.faults.clear();
        shared.destination.rejections.clear();
        if shared.traced {
            shared
                .trace
                .push(format!("{:>9.3} HEALED", (now_ms % 100_000_000) as f64 / 1000.0));
        }
    }

    /// Ticks on every host by its own clock, overlapping as a cron trigger's do.
    pub(super) fn start_ticks(&self) {
        for (n, skew_ms) in self.skews_ms.iter().copied().enumerate() {
            let run = self.clone_handles();
            let living = Rc::new(Cell::new(0));
            self.executor.spawn(async move {
                run.executor.sleep_ms(SKEW_MAX_MS.saturating_add_signed(-skew_ms)).await;
                for tick in 0.. {
                    if living.get() < 3 {
                        run.start_tick(&format!("worker{n}.{tick}"), skew_ms, living.clone());
                    }
                    run.executor.sleep_ms(run.tick_ms).await;
                }
            });
        }
    }

    fn start_tick(&self, name: &str, skew_ms: i64, living: Rc<Cell<usize>>) {
        let host = SimHost::new(&self.executor, &self.shared, name, true, skew_ms);
        let task = host.task();
        let config = self.worker.clone();
        let alive = Alive::of([living, self.under_way.clone()]);
        task.set(self.executor.spawn(async move {
            let _alive = alive;
            worker::tick(&host, &config).await;
        }));
    }

    pub(super) fn edit_at_random(&self, script: &mut Rng) {
        let edit = self.shared.borrow().pim.catalogue.random_edit(script);
        self.announce(&edit, script);
    }

    /// Makes an edit and sends its events, each until it is acknowledged, some of them more than once.
    pub(super) fn announce(&self, edit: &Edit, script: &mut Rng) {
        let changes = self.edit(edit);
        for delivery in deliveries(&changes, self.executor.now_ms(), script) {
            let delays_ms = [Some(script.u64(..30_000)), script.bool().then(|| script.u64(..600_000))];
            for delay_ms in delays_ms.into_iter().flatten() {
                self.send(delivery.clone(), delay_ms, script.fork());
            }
        }
    }

    /// Sends the deliveries of changes at once.
    pub(super) fn tell_now(&self, changes: &[Change], script: &mut Rng) {
        self.tell(changes, true, script);
    }

    /// The same without deltas.
    pub(super) fn tell_plainly(&self, changes: &[Change], script: &mut Rng) {
        self.tell(changes, false, script);
    }

    fn tell(&self, changes: &[Change], delta: bool, script: &mut Rng) {
        let plan = Plan {
            delta,
            ..Plan::new(
                Format::EventPlatform(Secrets::primary("secret-of-the-simulation")),
                self.executor.now_ms() / 1000,
                script.u64(..),
            )
        };
        for delivery in plan.deliveries(changes) {
            self.send(delivery, 0, script.fork());
        }
    }

    /// Makes an edit and tells nobody.
    pub(super) fn edit(&self, edit: &Edit) -> Vec<Change> {
        let now_ms = self.executor.now_ms();
        let changes = self.shared.borrow_mut().pim.edit(edit, now_ms).unwrap_or_default();
        let deleted = changes.iter().filter(|change| change.kind == ChangeKind::Deleted);
        self.deleted
            .borrow_mut()
            .extend(deleted.map(|change| change.entity.clone()));
        changes
    }

    /// Makes an edit whose deliveries are lost by half, come twice in one of ten cases, and in any order.
    pub(super) fn tell_badly(&self, edit: &Edit, script: &mut Rng) {
        let changes = self.edit(edit);
        for delivery in deliveries(&changes, self.executor.now_ms(), script) {
            let times = usize::from(script.bool()) * (1 + usize::from(script.u8(..10) == 0));
            for _ in 0..times {
                let delay_ms = script.u64(..600_000);
                self.send(delivery.clone(), delay_ms, script.fork());
            }
        }
    }

    /// Sends a delivery until it is acknowledged.
    fn send(&self, delivery: Delivery, delay_ms: u64, mut chance: Rng) {
        let run = self.clone_handles();
        let sending = Alive::of([self.senders.clone()]);
        self.executor.spawn(async move {
            let _sending = sending;
            run.executor.sleep_ms(delay_ms).await;
            while run.deliver(&delivery, &mut chance).await != Some(200) {
                run.executor.sleep_ms(chance.u64(1000..120_000)).await;
            }
            if !run.told.borrow_mut().insert(delivery.body.clone()) {
                return;
            }
            let at_ms = run.stored.borrow()[&delivery.body];
            let is_deletion = |text: &str| text.contains(".deleted") || text.contains(".removed");
            let is_deletion = is_deletion(&String::from_utf8_lossy(&delivery.body));
            let events = delivery.entities.iter().map(|entity| Acknowledged {
                at_ms,
                entity: entity.clone(),
                is_deletion,
            });
            run.acknowledged.borrow_mut().extend(events);
        });
    }

    /// One delivery to one ingest, which may be killed over it. It may be stored and yet not be acknowledged: what then
    /// follows from its key has followed from the event, which its repetition tells no more of.
    async fn deliver(&self, delivery: &Delivery, chance: &mut Rng) -> Option<u16> {
        let host = SimHost::new(&self.executor, &self.shared, "ingest", false, chance.i64(-2000..=2000));
        let (task, answer, set) = (host.task(), Rc::new(Cell::new(None)), host.keys_set());
        let (body, events) = (delivery.body.clone(), delivery.entities.len());
        let (config, delivery, given) = (self.ingest.clone(), delivery.clone(), answer.clone());
        task.set(self.executor.spawn(async move {
            let channel = if delivery.path.ends_with("events-api") {
                Channel::EventsApi
            } else {
                Channel::EventPlatform
            };
            let headers = headers(&delivery);
            let body = Bytes::from(delivery.body);
            given.set(Some(
                ingest::receive(&host, &config, channel, &headers, &body).await.status,
            ));
        }));
        for _ in 0..50 {
            self.executor.sleep_ms(20).await;
            if answer.get().is_some() {
                break;
            }
        }
        if set.get() >= events || answer.get() == Some(200) {
            self.stored.borrow_mut().entry(body).or_insert(self.executor.now_ms());
        }
        answer.get()
    }

    pub(super) fn clone_handles(&self) -> Run {
        Run {
            executor: self.executor.clone(),
            shared: self.shared.clone(),
            acknowledged: self.acknowledged.clone(),
            told: self.told.clone(),
            stored: self.stored.clone(),
            deleted: self.deleted.clone(),
            released_ms: self.released_ms.clone(),
            is_strict: self.is_strict,
            worker: self.worker.clone(),
            ingest: self.ingest.clone(),
            under_way: self.under_way.clone(),
            skews_ms: Vec::new(),
            senders: self.senders.clone(),
            stop: self.stop.clone(),
            calls_in_outage: Cell::default(),
            tick_ms: self.tick_ms,
        }
    }
}

/// Counts something for as long as it lives.
struct Alive<const N: usize>([Rc<Cell<usize>>; N]);

impl<const N: usize> Alive<N> {
    fn of(counters: [Rc<Cell<usize>>; N]) -> Self {
        counters.iter().for_each(|counter| counter.set(counter.get() + 1));
        Alive(counters)
    }
}

impl<const N: usize> Drop for Alive<N> {
    fn drop(&mut self) {
        self.0.iter().for_each(|counter| counter.set(counter.get() - 1));
    }
}

fn headers(delivery: &Delivery) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &delivery.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn deliveries(changes: &[Change], now_ms: u64, script: &mut Rng) -> Vec<Delivery> {
    let secret = "secret-of-the-simulation";
    let platform = Secrets::primary(secret);
    let format = match script.u8(..3) {
        0 => Format::EventPlatform(platform),
        1 => Format::EventsApi(secret.to_owned()),
        _ => Format::Both(platform, secret.to_owned()),
    };
    Plan {
        delta: script.bool(),
        ..Plan::new(format, now_ms / 1000, script.u64(..))
    }
    .deliveries(changes)
}
