//! A world for a test to act in step by step: reconciliation is at work, and nothing goes wrong that the test does not
//! ask for.

use super::faults::{Lone, Proxy};
use super::host::{Chances, Shared};
use super::rules::{self, keys};
use super::run::Run;
use super::scenario::{Scenario, WorldKind};
use config::WorkerConfig;
use fastrand::Rng;
use model::entity::Kind;
use records::reconciliation::Reconciliation;
use simulator::catalogue::{Change, Edit, EntityId};
use simulator::compare::{Difference, Mapping, differences};
use simulator::destination::Received;
use std::cell::RefMut;
use world::mistake::{self, Mistake};

/// The stage.
pub struct Stage {
    run: Run,
    /// The test's own chance.
    pub random: Rng,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.run.executor.end();
    }
}

impl Stage {
    /// Sets it, with a catalogue of this size; ticks begin at once.
    pub fn new(products: usize, models: usize, seed: u64) -> Stage {
        Stage::with(products, models, seed, |_, _| {})
    }

    /// The same, with something about it changed before it begins.
    pub fn with(
        products: usize,
        models: usize,
        seed: u64,
        change: impl FnOnce(&mut Shared, &mut WorkerConfig),
    ) -> Stage {
        Stage::on_hosts(&[0], products, models, seed, change)
    }

    /// The same on several hosts, whose clocks are off by so much, in milliseconds.
    pub fn on_hosts(
        skews_ms: &[i64],
        products: usize,
        models: usize,
        seed: u64,
        change: impl FnOnce(&mut Shared, &mut WorkerConfig),
    ) -> Stage {
        let mut random = Rng::with_seed(seed);
        let scenario = Scenario {
            world: WorldKind::Stage { products, models },
            ..Scenario::random(seed)
        };
        let mut run = Run::new(&scenario, &mut random);
        run.skews_ms = skews_ms.to_vec();
        run.hosts = skews_ms.len();
        change(&mut run.shared.borrow_mut(), &mut run.worker);
        run.ingest.wants_categories = run.worker.shape.kinds().contains(&Kind::Category);
        run.start_ticks();
        Stage { run, random }
    }

    /// The store, the PIM, the destination, and what goes wrong.
    pub fn world(&self) -> RefMut<'_, Shared> {
        self.run.shared.borrow_mut()
    }

    /// Now, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.run.executor.now_ms()
    }

    /// Has somebody who is no tick ask for the lease, who waits so long for it at most, and says how long that took, in
    /// milliseconds; none where it was never theirs.
    pub fn borrow_the_lease(&mut self, wait_ms: u64) -> Option<u64> {
        let (asked_ms, came) = (self.now_ms(), self.run.borrow_the_lease(wait_ms));
        while came.get().is_none() {
            self.run_for(100);
        }
        came.get().flatten().map(|taken_ms| taken_ms - asked_ms)
    }

    /// Lets time go by.
    pub fn run_for(&mut self, ms: u64) {
        self.run.run_for(ms, &mut self.random);
    }

    /// Lets time go by until something is so; it must come about within this time.
    ///
    /// # Panics
    /// If it does not.
    pub fn run_until(&mut self, most_ms: u64, what: &str, is_so: impl Fn(&Stage) -> bool) {
        let until_ms = self.now_ms() + most_ms;
        while !is_so(self) {
            assert!(
                self.now_ms() < until_ms,
                "not within {} s: {what}; {} differ: {:?}",
                most_ms / 1000,
                self.differences().len(),
                self.differences().iter().take(3).collect::<Vec<_>>()
            );
            // Not in step with the ticks: one that has just begun must not be all that is ever seen.
            self.run_for(9_700);
        }
    }

    /// Makes an edit that nobody is told of.
    pub fn edit(&self, edit: &Edit) -> Vec<Change> {
        self.run.edit(edit)
    }

    /// Makes an edit and sends its deliveries.
    pub fn announce(&mut self, edit: &Edit) {
        self.run.announce(edit, &mut self.random);
    }

    /// Sends the deliveries of changes at once, as the Event Platform does, with deltas.
    pub fn tell_now(&mut self, changes: &[Change]) {
        self.run.tell_now(changes, &mut self.random);
    }

    /// Sends the deliveries of changes at once, without deltas.
    pub fn tell_plainly(&mut self, changes: &[Change]) {
        self.run.tell_plainly(changes, &mut self.random);
    }

    /// How many deliveries may wait before ingest puts them off.
    pub fn ingest_high_water(&mut self, events: u64) {
        self.run.ingest.high_water = events;
    }

    /// The products, by UUID.
    pub fn products(&self) -> Vec<EntityId> {
        self.run.products()
    }

    /// The product models, in the order of the PIM.
    pub fn models(&self) -> Vec<EntityId> {
        let world = self.world();
        let models = world.pim.catalogue.truth().models(None);
        models.map(|model| model.id.clone()).collect()
    }

    /// Makes an edit whose deliveries are taken at once.
    pub fn tell(&mut self, edit: &Edit) {
        let changes = self.edit(edit);
        self.tell_now(&changes);
    }

    /// How many events wait.
    pub fn events(&self) -> usize {
        self.keys('e')
    }

    /// How many events were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.run.acknowledged.borrow().len()
    }

    /// How many entities were given up.
    pub fn dead_letters(&self) -> usize {
        self.keys('d')
    }

    fn keys(&self, letter: char) -> usize {
        let prefix = format!("r1.main.{letter}.");
        self.world().store.keys().filter(|key| key.starts_with(&prefix)).count()
    }

    /// How long after a moment an entity was pushed or deleted at the destination, in milliseconds, if it was.
    pub fn lag_ms(&self, entity: &EntityId, since_ms: u64) -> Option<u64> {
        let end = format!("/{}", simulator::encode_segment(&entity.key()));
        let world = self.world();
        let is_it = |push: &&Received| push.at_ms >= since_ms && push.applied && push.path.ends_with(&end);
        world
            .destination
            .log
            .iter()
            .find(is_it)
            .map(|push| push.at_ms - since_ms)
    }

    /// From now on an upstream answers whatever asks for an entity with this status; the PIM also whatever would show it.
    pub fn fail_alone(&self, of_pim: bool, entity: &EntityId, status: u16) {
        self.world().lone.push(Lone::new(of_pim, entity.clone(), status));
    }

    /// From now on the destination's proxy answers whatever asks for an entity with a page of HTML and this status.
    pub fn answer_alone_with_a_page(&self, entity: &EntityId, status: u16) {
        let lone = Lone::new(false, entity.clone(), status).by_a_page();
        self.world().lone.push(lone);
    }

    /// From now on a proxy answers every call of an upstream with a page of HTML and this status.
    pub fn answer_with_pages(&self, of_pim: bool, status: u16) {
        self.world().proxies.push(Proxy::new(of_pim, status));
    }

    /// All that fails alone is well again, and no proxy answers any more.
    pub fn mend(&self) {
        let mut world = self.world();
        world.lone.clear();
        world.proxies.clear();
    }

    /// From now on so many of the store's calls fail, by chance: half of them are not done, half are and nobody is told so. A
    /// batch of keys may be half done as well.
    pub fn fail_the_store(&mut self, share: f64) {
        // A worker that cannot keep what it has spent of its budget does not know it.
        self.run.is_strict = false;
        self.world().chances = Chances {
            store: share,
            half: share,
            ..Chances::default()
        };
    }

    /// Lets what waits be dealt with, as long as that may take, and says which rules do not hold then.
    pub fn broken_rules(&mut self) -> Vec<String> {
        self.run.run_until_quiet(&mut self.random);
        rules::check(&self.run, &mut self.random)
    }

    /// How far reconciliation has come.
    pub fn reconciliation(&self) -> Reconciliation {
        self.run.reconciliation()
    }

    /// Asks for something as the console does.
    pub fn command(&self, value: &str) {
        self.run.command("asked", value);
    }

    /// Asks for a walk and lets time go by until it has ended and nothing waits.
    pub fn walk(&mut self) {
        let before_ms = self.now_ms();
        self.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        self.run_until(2 * 86_400_000, "a whole walk", |stage| {
            let walk = stage.reconciliation().walk;
            walk.began_ms >= before_ms && walk.step.is_none() && walk.raising.is_none() && stage.is_quiet()
        });
    }

    /// Forgets what upstreams and store saw so far.
    pub fn forget(&self) {
        let mut world = self.world();
        world.pim.calls.clear();
        world.fetches.clear();
        world.sent.clear();
        world.destination.log.clear();
        world.writes.clear();
        world.traffic.clear();
    }

    /// Lets the relay make a mistake from now on, or none.
    pub fn make(&self, mistake: Option<Mistake>) {
        mistake::make(mistake);
    }

    /// When the PIM was asked for a page of a walk, in milliseconds.
    pub fn walk_calls(&self) -> impl Iterator<Item = u64> {
        let is_walk = |body: &[u8], target: &str| {
            let decoded = percent_encoding::percent_decode_str(target).decode_utf8_lossy();
            body.windows(2).any(|two| two == b"{}") || decoded.contains("search={}")
        };
        let calls = self.run.shared.borrow();
        let calls = calls.fetches.iter().filter(|(_, body, target)| is_walk(body, target));
        calls.map(|(at_ms, ..)| *at_ms).collect::<Vec<_>>().into_iter()
    }

    /// Whether nothing waits.
    pub fn is_quiet(&self) -> bool {
        self.run.is_quiet()
    }

    /// What differs between the PIM and the destination.
    pub fn differences(&self) -> Vec<Difference> {
        let shared = self.run.shared.borrow();
        let has_categories = self.run.ingest.wants_categories;
        let mapping = Mapping {
            categories: has_categories.then(|| Kind::Category.name().to_owned()),
            ..Mapping::default()
        };
        differences(&shared.pim, &shared.destination, &mapping)
    }

    /// What was sent under an idempotency key that had been another content's meanwhile.
    pub fn keys_that_came_back(&self) -> Vec<String> {
        keys::no_idempotency_key_comes_back(&self.run)
    }

    /// How many requests of a method the destination has seen.
    pub fn pushes(&self, method: &str) -> usize {
        let shared = self.run.shared.borrow();
        shared
            .destination
            .log
            .iter()
            .filter(|request| request.method == method)
            .count()
    }
}
