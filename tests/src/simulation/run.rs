//! One run from its seed: a script of edits, their deliveries, ticks on one or more hosts, faults; then the world heals
//! but for entities that fail alone, then those do, and the rules are checked.

use super::deliver::entity_of;
use super::doors;
use super::executor::Executor;
use super::faults::{Lone, go_wrong, lone, proxies, strange};
use super::fill;
use super::host::{DESTINATION, PIM, SKEW_MAX_MS, Shared, SimHost};
use super::identities::{self, Names};
use super::nature::{Dimension, Nature};
use super::protocol::Protocol;
use super::scenario::{Scenario, WorldKind};
use config::{ConfigError, ProviderFailed, Variables, WorkerConfig};
use fastrand::Rng;
use model::entity::{Entity, Segment};
use queue::handover;
use queue::key::{Key, Record};
use queue::keyspace::Keyspace;
use records::reconciliation::Reconciliation;
use serde_json::json;
use shape::Shape;
use simulator::catalogue::{Catalogue, EntityId};
use simulator::destination::{Destination, DestinationConfig, Shop};
use simulator::meter::Limits;
use simulator::pim::{Pim, PimConfig};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tick::standstill;
use tick::worker;
use world::host::Clock;

/// When every run begins, in milliseconds since the Unix epoch.
pub(super) const BEGIN_MS: u64 = 1_770_000_000_000;

/// How often a tick is started on every host, in milliseconds.
pub(super) const TICK_MS: u64 = 10_000;

/// The same where hours and days go by.
const SLOW_TICK_MS: u64 = 60_000;

/// How far a clock that is a year ahead is off, in milliseconds.
pub(super) const YEAR_MS: i64 = 365 * 86_400_000;

/// A shape that sends so little of an entity that edits go back to what was.
const LITTLE: &str = r#"{
    "products": {"fields": [{"from": "/uuid", "to": "/id"}, {"from": "/enabled", "to": "/enabled"}, {"from": "/categories", "to": "/categories"}]},
    "product-models": {"fields": [{"from": "/code", "to": "/id"}, {"from": "/categories", "to": "/categories"}]}
}"#;

/// How many ticks a host has under way at most.
pub(super) const TICKS_AT_ONCE: usize = 3;

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

/// When each entity of a delivery was stored, in milliseconds, by the delivery's body.
type Stored = BTreeMap<Vec<u8>, BTreeMap<Entity, u64>>;

/// What of ingest's configuration is of a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct IngestSettings {
    pub(super) high_water: u64,
    pub(super) wants_categories: bool,
}

impl IngestSettings {
    /// A variable as ingest reads it.
    pub(super) fn variable(self, name: &str) -> Result<Option<String>, ProviderFailed> {
        match name {
            "high_water_mark" => Ok(Some(self.high_water.to_string())),
            "shape" => Ok(self.wants_categories.then(|| r#"{"categories":{}}"#.to_owned())),
            name => variable(name),
        }
    }
}

/// A run under way.
pub(super) struct Run {
    pub(super) executor: Executor,
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) acknowledged: Rc<RefCell<Vec<Acknowledged>>>,
    /// Deliveries acknowledged: a repetition of one asks for nothing new.
    pub(super) told: Rc<RefCell<BTreeSet<Vec<u8>>>>,
    /// When events of deliveries were first stored, in milliseconds, by their bodies and entities.
    pub(super) stored: Rc<RefCell<Stored>>,
    /// Entities that the PIM has ever deleted.
    pub(super) deleted: Rc<RefCell<BTreeSet<EntityId>>>,
    /// Entities that the PIM has ever had.
    pub(super) ever: Rc<RefCell<BTreeSet<EntityId>>>,
    /// When the brake was released.
    pub(super) released_ms: Rc<RefCell<Vec<u64>>>,
    pub(super) is_strict: bool,
    /// How many hosts start workers.
    pub(super) hosts: usize,
    pub(super) worker: WorkerConfig,
    pub(super) ingest: IngestSettings,
    /// How many ticks are under way.
    pub(super) under_way: Rc<Cell<usize>>,
    /// How far the clocks of hosts are off, in milliseconds.
    pub(super) skews_ms: Vec<i64>,
    pub(super) senders: Rc<Cell<usize>>,
    pub(super) stop: Rc<Cell<bool>>,
    pub(super) calls_in_outage: Cell<usize>,
    tick_ms: u64,
}

/// What lies at its edges in a world of chance from the beginning.
///
/// Gives what the PIM has deleted before it begins.
fn be_out_of_the_ordinary(shared: &mut Shared) -> Vec<EntityId> {
    let nature = &shared.nature;
    let (bodies, brim, values) = (
        nature.random(Dimension::Bodies),
        nature.random(Dimension::Brim),
        nature.random(Dimension::Values),
    );
    shared.has_far_clocks = nature.has(Dimension::Clocks);
    let faults = nature.protocol.iter().flat_map(Protocol::faults);
    faults.for_each(|fault| shared.destination.faults.add(fault));
    // What waits is counted by the worker's clock, and by how long that is ago by ingest's.
    shared.is_watched = !nature.has(Dimension::Brim) && !nature.has(Dimension::Clocks);
    shared.lone = lone(shared, BEGIN_MS);
    let is_asked = |lone: &&Lone| lone.asks_to_come_less_often();
    shared.asked_alone = shared
        .lone
        .iter()
        .filter(is_asked)
        .map(|lone| lone.id.clone())
        .collect();
    shared.proxies = proxies(shared, BEGIN_MS);
    if let Some(mut random) = bodies {
        shared.nature.bulk = fill::bulk(shared, &mut random);
    }
    let gone = values.map(|mut random| fill::values(shared, &mut random));
    if let Some(mut random) = shared.nature.random(Dimension::Strange) {
        let fault = strange(shared, &mut random);
        shared.pim.faults.add(fault);
    }
    if let Some(mut random) = brim {
        shared.nature.settings.high_water = 10_000;
        // The destination is too busy for it, so that they stay for as long as it gets another try.
        let busy = fill::brim(shared, BEGIN_MS, &mut random);
        shared.lone.extend(busy.map(|product| Lone::new(false, product, 503)));
    }
    shared.entities = shared.pim.catalogue.truth().entities().count();
    gone.unwrap_or_default()
}

/// Tells a shop of an entity, so that it knows whose a reference is.
pub(super) fn introduce(shop: &mut Shop, id: &EntityId) {
    shop.introduce(entity_of(id).kind.name(), &id.key());
}

/// How the application is configured in a world.
fn configure(worker: &mut WorkerConfig, ingest: &mut IngestSettings, scenario: &Scenario, nature: &Nature) {
    let settings = nature.settings;
    worker.tick_s = settings.tick_s;
    worker.watch_s = settings.watch_s;
    worker.page_entries = settings.page_entries;
    worker.call_timeout_s = settings.call_timeout_s;
    worker.destination_rate = settings.destination_rate;
    (worker.high_water, ingest.high_water) = (settings.high_water, settings.high_water);
    worker.reconciliation.recent_s = Some(settings.recent_s);
    worker.reconciliation.overlap_s = settings.overlap_s;
    let is_reconciling = matches!(scenario.world, WorldKind::Week | WorldKind::Stage { .. })
        || nature.has(Dimension::Reconciliation)
        || nature.has(Dimension::Purge);
    if !is_reconciling {
        (worker.reconciliation.recent_s, worker.reconciliation.walk_s) = (None, None);
    }
    let mut document = json!({});
    if nature.has(Dimension::Reverts) {
        document = serde_json::from_str(LITTLE).expect("a document");
    }
    match (&nature.protocol, &nature.identities) {
        (Some(protocol), _) => protocol.tell(&mut document),
        (None, Some(identities)) => identities.tell_plainly(&mut document),
        (None, None) => {}
    }
    if let Some(manners) = &nature.door {
        document["login"] = manners.login();
    }
    worker.shape = Shape::read(&document.to_string()).expect("a good shape");
    doors::log_in(worker);
}

/// The variables; a secret as it comes out of a file.
pub(super) fn variable(name: &str) -> Result<Option<String>, ProviderFailed> {
    let value = match name {
        "pim_url" => PIM,
        "destination_url" => DESTINATION,
        "pim_client_id" => "1_simulated",
        "pim_client_secret" => "simulated-client-secret",
        "pim_username" => "relay_0001",
        "pim_password" => "simulated-password",
        "event_platform_secret" | "events_api_secret" => "secret-of-the-simulation",
        "timestamp_tolerance_seconds" => "86400",
        "destination_token" => "token-of-the-simulation\n",
        "destination_calls_per_second" => "100",
        _ => return Ok(None),
    };
    Ok(Some(value.to_owned()))
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
        let nature = match scenario.world {
            WorldKind::Random => Nature::of(scenario.seed, &scenario.without),
            _ => Nature::ordinary(),
        };
        let mut lag_ms = if is_random && random.bool() {
            random.u64(..45_000)
        } else {
            0
        };
        let mut access_lifetime_s = if is_random { random.u64(30..3600) } else { 3600 };
        if nature.pim.per_entity_ms > 0 {
            // A page takes most of a tick, and leaves none for another call.
            (lag_ms, access_lifetime_s) = (0, 3600);
        }
        let config = PimConfig {
            lag_ms,
            body_offset_minutes: if random.bool() { 120 } else { 0 },
            access_lifetime_s,
            seed: random.u64(..),
            ..PimConfig::default()
        };
        let mut catalogue = Catalogue::generate(products, models, random.u64(..));
        catalogue.lag_ms = lag_ms;
        if let Some(mut random) = nature.random(Dimension::Families) {
            fill::families(&mut catalogue, &mut random);
        }
        if let Some(mut random) = nature.random(Dimension::Purge) {
            fill::pages(&mut catalogue, &mut random);
        }
        if let Some(mut random) = nature.random(Dimension::Crowded) {
            fill::crowd(&mut catalogue, &mut random);
        }
        if let Some(mut random) = nature.random(Dimension::Identities) {
            identities::give_all(&mut catalogue, &mut random);
        }
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
        shared.destination.shop = nature.protocol.as_ref().map(|protocol| Shop::new(protocol.shop));
        if let Some(shop) = &mut shared.destination.shop {
            let entities = shared.pim.catalogue.truth().entities();
            entities.for_each(|entity| introduce(shop, &entity.id));
        }
        if nature.has(Dimension::Identities) {
            shared.names = Names::of(&shared.pim.catalogue);
        }
        shared.nature = nature;
        let mut is_strict = true;
        match &scenario.world {
            WorldKind::Random | WorldKind::Week => is_strict = go_wrong(&mut shared, random),
            WorldKind::Small(kills) | WorldKind::Unread(kills) => {
                shared.kills.clone_from(kills);
                is_strict = kills.is_empty();
            }
            WorldKind::Outage { .. } | WorldKind::Wait { .. } | WorldKind::Stage { .. } => {}
        }
        let gone = be_out_of_the_ordinary(&mut shared);
        if let Some(shop) = &mut shared.destination.shop {
            gone.iter().for_each(|id| introduce(shop, id));
        }
        let tick_ms = match scenario.world {
            WorldKind::Outage { .. } | WorldKind::Week => SLOW_TICK_MS,
            _ if shared.nature.pause.most_ms > 3_600_000 || shared.nature.has(Dimension::Brim) => SLOW_TICK_MS,
            _ => TICK_MS,
        };
        let executor = Executor::default();
        executor.begin_at(BEGIN_MS);
        let hosts = if is_random { random.usize(1..4) } else { 1 };
        // Clocks that are kept well differ by milliseconds, and so hosts begin their ticks almost together.
        let nearness = if scenario.seed.is_multiple_of(2) { 1 } else { 500 };
        let variables = Variables(&variable);
        let mut worker = WorkerConfig::read(&variables).expect("the variables are good");
        let mut ingest = IngestSettings {
            high_water: worker.high_water,
            wants_categories: false,
        };
        let mut skews_ms = Vec::new();
        for _ in 0..hosts {
            skews_ms.push(if is_random {
                random.i64(-2000..=2000) / nearness
            } else {
                0
            });
        }
        if let Some(mut random) = shared.nature.random(Dimension::Clocks) {
            let most_ms = shared.nature.clocks_ms;
            skews_ms
                .iter_mut()
                .for_each(|skew_ms| *skew_ms = random.i64(-most_ms..=most_ms));
        }
        configure(&mut worker, &mut ingest, scenario, &shared.nature);
        let entities = shared.pim.catalogue.truth().entities();
        let ever = Rc::new(RefCell::new(entities.map(|entity| entity.id.clone()).collect()));
        Run {
            executor,
            shared: Rc::new(RefCell::new(shared)),
            acknowledged: Rc::default(),
            told: Rc::default(),
            stored: Rc::default(),
            deleted: Rc::new(RefCell::new(gone.into_iter().collect())),
            ever,
            released_ms: Rc::default(),
            is_strict,
            hosts,
            worker,
            ingest,
            under_way: Rc::default(),
            skews_ms,
            senders: Rc::default(),
            stop: Rc::default(),
            calls_in_outage: Cell::default(),
            tick_ms,
        }
    }

    /// The whole of it; says how many dead letters there were before they were replayed.
    pub(super) fn drive(&self, scenario: &Scenario, random: &mut Rng) -> usize {
        self.start_ticks();
        self.play(&scenario.world, random);
        self.check_who_paid();
        self.heal();
        self.run_until_the_healthy_have_arrived(random);
        self.heal_the_lone();
        self.run_until_quiet(random);
        if self.is_reconciling() {
            self.run_until_reconciled(scenario.world == WorldKind::Random, random);
        }
        if self.shared.borrow().nature.has(Dimension::Purge) && !self.is_broken() {
            self.let_go_during_a_walk(random);
        }
        let dead_letters = self.dead_letters().len();
        self.check_who_paid();
        self.check_who_waits_for_an_identity();
        for _ in 0..3 {
            if self.dead_letters().is_empty() || self.is_broken() {
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
        // A tick that stays is always under way; while it works, keys of what it works on are there.
        (self.worker.watch_s > 0 || self.under_way.get() == 0)
            && shared.landing == 0
            && shared.destination.landing() == 0
            && !shared.store.keys().any(waits)
    }

    /// Ticks on every host by its own clock, overlapping as a cron trigger's do.
    pub(super) fn start_ticks(&self) {
        for (n, skew_ms) in self.skews_ms.iter().copied().enumerate() {
            let run = self.clone_handles();
            let living = Rc::new(Cell::new(0));
            self.executor.spawn(async move {
                let beginning_ms = (SKEW_MAX_MS as i64 - skew_ms).rem_euclid(run.tick_ms as i64);
                run.executor.sleep_ms(beginning_ms as u64).await;
                for tick in 0.. {
                    if living.get() < TICKS_AT_ONCE {
                        let is_ahead = n == 0 && run.shared.borrow().nature.year_ahead == Some(tick);
                        let skew_ms = if is_ahead { YEAR_MS } else { skew_ms };
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
        let (config, telling) = (self.configured(), self.worker.telling());
        let alive = Alive::of([living, self.under_way.clone()]);
        task.set(self.executor.spawn(async move {
            let _alive = alive;
            match config {
                Ok(config) => drop(worker::tick(&host, &config).await),
                Err(error) => standstill::count_and_tell(&host, &telling, &error).await,
            }
        }));
    }

    /// Has somebody who is no tick take the lease, for whom ticks have this long to leave, in milliseconds, and keep it for a
    /// moment; what comes of it is when it was theirs, if it was.
    pub(super) fn borrow_the_lease(&self, wait_ms: u64) -> Rc<Cell<Option<Option<u64>>>> {
        let host = SimHost::new(&self.executor, &self.shared, "setup", true, 0);
        let (task, keys, came) = (host.task(), Keyspace::new("main"), Rc::new(Cell::new(None)));
        let told = came.clone();
        task.set(self.executor.spawn(async move {
            let lease = handover::take(&host, &keys, wait_ms).await.ok().flatten();
            let taken_ms = lease.is_some().then(|| host.now_ms());
            if let Some(lease) = lease {
                host.sleep_ms(500).await;
                drop(lease.give_back(&host, &keys).await);
            }
            told.set(Some(taken_ms));
        }));
        came
    }

    /// The configuration as a tick reads it, as the component does: a variable may not be readable.
    fn configured(&self) -> Result<WorkerConfig, ConfigError> {
        const NAMES: [&str; 4] = ["destination_url", "pim_password", "recent_seconds", "shape"];
        let unread = {
            let shared = &mut *self.shared.borrow_mut();
            let share = shared.nature.unread_variables;
            let fails = share > 0.0 && shared.random.f64() < share;
            fails.then(|| NAMES[shared.random.usize(..NAMES.len())])
        };
        let Some(unread) = unread else {
            return Ok(self.worker.clone());
        };
        let given = |name: &str| {
            if name == unread {
                Err(ProviderFailed)
            } else {
                variable(name)
            }
        };
        let read = WorkerConfig::read(&Variables(&given))?;
        Ok(WorkerConfig {
            destination: read.destination,
            ..self.worker.clone()
        })
    }

    pub(super) fn clone_handles(&self) -> Run {
        Run {
            executor: self.executor.clone(),
            shared: self.shared.clone(),
            acknowledged: self.acknowledged.clone(),
            told: self.told.clone(),
            stored: self.stored.clone(),
            deleted: self.deleted.clone(),
            ever: self.ever.clone(),
            hosts: self.hosts,
            released_ms: self.released_ms.clone(),
            is_strict: self.is_strict,
            worker: self.worker.clone(),
            ingest: self.ingest,
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
pub(super) struct Alive<const N: usize>([Rc<Cell<usize>>; N]);

impl<const N: usize> Alive<N> {
    pub(super) fn of(counters: [Rc<Cell<usize>>; N]) -> Self {
        counters.iter().for_each(|counter| counter.set(counter.get() + 1));
        Alive(counters)
    }
}

impl<const N: usize> Drop for Alive<N> {
    fn drop(&mut self) {
        self.0.iter().for_each(|counter| counter.set(counter.get() - 1));
    }
}
