//! A tick that holds the lease: the upstreams, the plan, what is kept, and what is told at the end.

use crate::known::Known;
use crate::stop::Stop;
use crate::tools::{Desk, Upstreams};
use config::WorkerConfig;
use model::entity::BATCH_MAX;
use model::entity::{Entity, Kind, Segment};
use queue::in_flight::InFlightValue;
use queue::index::{Directory, Pages};
use queue::key::Change;
use queue::lease::Lease;
use queue::plan::Plan;
use queue::retry::Tried;
use queue::waiting::Waiting;
use records::history::History;
use records::meta::Meta;
use records::reconciliation::Reconciliation;
use records::report::Report;
use records::state::State;
use serde_json::Value;
use shape::{Lookups, Shaped};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use upstream::governor::Governor;
use world::host::{self, Host, StoreError};

/// How many events of reconciliation may wait at once: more would only make every listing longer.
const RECONCILING_MAX: u64 = 10_000;

/// What was to be pushed last, by kind and code.
type TriedByEntity = BTreeMap<(Kind, String), Vec<Tried>>;

/// The tools of a tick.
pub struct Session<'a, H> {
    /// What everybody needs.
    pub desk: Desk<'a, H>,
    /// The PIM and the destination.
    pub upstreams: Upstreams<'a, H>,
    /// What waits, by the last listing.
    pub plan: Plan,
    /// When the plan was made, in seconds since the Unix epoch: what is due is due by this.
    pub planned_s: u64,
    /// What the next tick must know.
    pub state: RefCell<State>,
    /// What ticks did.
    pub history: RefCell<History>,
    /// How far reconciliation has come.
    pub reconciliation: RefCell<Reconciliation>,
    /// What shapes look things up in.
    pub lookups: RefCell<Lookups>,
    /// What is known of the lists that were asked for.
    pub lists: RefCell<Vec<Known>>,
    /// Where the pages of the index lie.
    pub index: RefCell<Rc<Directory>>,
    /// How a key names this worker.
    worker: Segment,
    meta: RefCell<Option<Meta>>,
    report: RefCell<Report>,
    raised: Cell<u64>,
    /// Whether anything came of this tick's work so far.
    has_progressed: Cell<bool>,
    /// What it was at last.
    at: RefCell<Option<String>>,
    is_brake_used: Cell<bool>,
    /// What the pushes were to bring that were in flight when the tick began, once it is read.
    in_flight: RefCell<Option<TriedByEntity>>,
    /// Entities that a batch was begun with: what was listed of them waits no more.
    begun: RefCell<BTreeSet<Entity>>,
    /// Entities that reconciliation queued since the listing.
    queued: RefCell<BTreeSet<Entity>>,
}

/// What a session is made of.
pub struct Parts<'a, H> {
    /// What is asked of the world.
    pub host: &'a H,
    /// The configuration.
    pub config: &'a WorkerConfig,
    /// The lease under which it works.
    pub lease: &'a Lease,
    /// What waits, by the last listing.
    pub plan: Plan,
    /// When the plan was made, in seconds since the Unix epoch.
    pub planned_s: u64,
    /// What every call of the PIM goes through.
    pub pim_governor: &'a Governor<'a, H>,
    /// What every call of the destination goes through.
    pub destination_governor: &'a Governor<'a, H>,
    /// What the next tick must know.
    pub state: State,
    /// What ticks did.
    pub history: History,
    /// How far reconciliation has come.
    pub reconciliation: Reconciliation,
    /// For which pair and shape the index is.
    pub meta: Option<Meta>,
}

impl<'a, H: Host> Session<'a, H> {
    /// The tools of a tick that begins.
    pub fn new(parts: Parts<'a, H>) -> Self {
        let Parts {
            host,
            config,
            lease,
            plan,
            planned_s,
            pim_governor,
            destination_governor,
            state,
            history,
            reconciliation,
            meta,
        } = parts;
        let report = Report {
            depth: plan.depth,
            ..Report::default()
        };
        let desk = Desk { host, config, lease };
        Session {
            index: RefCell::new(Rc::new(plan.index.clone())),
            worker: Segment::of(&lease.token),
            has_progressed: Cell::new(false),
            at: RefCell::default(),
            desk,
            upstreams: Upstreams::new(desk, pim_governor, destination_governor, &state),
            plan,
            planned_s,
            state: RefCell::new(state),
            history: RefCell::new(history),
            reconciliation: RefCell::new(reconciliation),
            lookups: RefCell::default(),
            lists: RefCell::default(),
            meta: RefCell::new(meta),
            report: RefCell::new(report),
            raised: Cell::new(0),
            is_brake_used: Cell::new(false),
            in_flight: RefCell::default(),
            begun: RefCell::default(),
            queued: RefCell::default(),
        }
    }

    /// Goes on with a new listing.
    pub fn plan_anew(&mut self, plan: Plan, planned_s: u64) {
        *self.index.get_mut() = Rc::new(plan.index.clone());
        (self.plan, self.planned_s) = (plan, planned_s);
        *self.in_flight.get_mut() = None;
        self.raised.set(0);
        self.begun.get_mut().clear();
        self.queued.get_mut().clear();
    }

    /// Changes the report.
    pub fn report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.borrow_mut());
    }

    /// What is left at the end.
    pub fn into_report(self) -> (Report, State, History) {
        (
            self.report.into_inner(),
            self.state.into_inner(),
            self.history.into_inner(),
        )
    }

    /// Whether the brake lets a deletion through that nobody announced; counts one that it holds back.
    pub fn brake_lets_through(&self, entity: &Entity) -> bool {
        let mut state = self.state.borrow_mut();
        let indexed = usize::try_from(state.indexed).unwrap_or(0);
        let lets_through = state.brake.lets_through(entity, indexed, self.desk.now_s());
        drop(state);
        self.is_brake_used.set(true);
        if !lets_through {
            self.report(|report| report.braked += 1);
        }
        lets_through
    }

    /// The destination took something.
    pub fn note_done(&self) {
        self.state.borrow_mut().done_s = self.desk.now_s();
    }

    /// Counts a deletion that came through and that nobody announced.
    pub fn note_unannounced(&self, entity: &Entity) {
        let mut state = self.state.borrow_mut();
        state.brake.done(entity);
        *state.deleted.entry(entity.kind).or_default() += 1;
    }

    /// Before what the brake let through is carried out: a killed tick must not forget that it counted.
    pub async fn keep_brake(&self) -> Result<(), StoreError> {
        if self.is_brake_used.take() {
            self.save_state().await?;
        }
        Ok(())
    }

    /// What an entity comes to; what it looks up is to be at hand ([`Session::enrich`]).
    pub fn shape(&self, kind: Kind, code: &str, entity: &Value) -> Shaped {
        self.desk.config.shape.apply(kind, code, entity, &self.lookups.borrow())
    }

    /// Counts an entity that the shape does not want.
    pub fn note_unwanted(&self) {
        self.state.borrow_mut().unwanted += 1;
        self.report(|report| report.unwanted += 1);
    }

    /// What the relay queues itself stops at a quarter of what deliveries may queue. What others told does not count: it
    /// could keep models from being marked for as long as it waits for them.
    pub fn is_own_queue_full(&self) -> bool {
        self.own_room() == 0
    }

    fn own_room(&self) -> u64 {
        (self.desk.config.high_water / 4).saturating_sub(self.plan.own + self.raised.get())
    }

    /// Something came of this tick's work.
    pub fn note_progress(&self) {
        self.has_progressed.set(true);
    }

    /// What this tick is at.
    pub fn note_at(&self, at: impl FnOnce() -> String) {
        *self.at.borrow_mut() = Some(at());
    }

    /// What this tick is at.
    pub fn at(&self) -> Option<String> {
        self.at.borrow().clone()
    }

    /// What it has done so far.
    pub fn done(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Whether anything did.
    pub fn has_progressed(&self) -> bool {
        self.has_progressed.get()
    }

    /// Reads the pages of the index of these entities.
    pub async fn load_pages<'e>(&self, entities: impl IntoIterator<Item = &'e Entity>) -> Result<Pages, StoreError> {
        let directory = self.index.borrow().clone();
        Pages::load(self.desk.host, &self.desk.config.keys, &directory, entities).await
    }

    /// Reads one page of the index.
    pub async fn load_page(&self, kind: Kind, number: u8) -> Result<Pages, StoreError> {
        let (directory, mut pages) = (self.index.borrow().clone(), Pages::default());
        pages
            .read(self.desk.host, &self.desk.config.keys, &directory, kind, number)
            .await?;
        Ok(pages)
    }

    /// Whether an entity went with a model of which an event said that it is deleted: then its own deletion is no more a
    /// surprise than the model's, and does not count towards the brake.
    pub async fn went_with_a_model(&self, pages: &mut Pages, entity: &Entity) -> Result<bool, StoreError> {
        let directory = self.index.borrow().clone();
        pages
            .went_with_a_model(self.desk.host, &self.desk.config.keys, &directory, entity)
            .await
    }

    /// What pushes of an entity were to bring that are in flight, or were when their worker died.
    pub async fn tried_in_flight(&self, kind: Kind, code: &str) -> Result<Vec<Tried>, StoreError> {
        if self.in_flight.borrow().is_none() {
            let mut tried = TriedByEntity::new();
            for batch in &self.plan.in_flight {
                let value: Option<InFlightValue> = host::read(self.desk.host, &batch.key).await?;
                for (entity, known) in value.into_iter().flat_map(InFlightValue::into_tried) {
                    tried.entry(entity).or_default().push(known);
                }
            }
            *self.in_flight.borrow_mut() = Some(tried);
        }
        let known = self.in_flight.borrow();
        let of_this = known.as_ref().and_then(|known| known.get(&(kind, code.to_owned())));
        Ok(of_this.cloned().unwrap_or_default())
    }

    /// Keeps the changed pages of the index.
    pub async fn save_pages(&self, pages: &mut Pages) -> Result<(), StoreError> {
        let mut directory = Directory::clone(&self.index.borrow());
        let added = pages
            .save(self.desk.host, &self.desk.config.keys, &mut directory, &self.worker)
            .await;
        *self.index.borrow_mut() = Rc::new(directory);
        self.state.borrow_mut().indexed += added?;
        Ok(())
    }

    /// How many events reconciliation may queue now: a page in any case while none of its own wait, so that what waits
    /// for a person, or for an upstream, does not keep it from looking.
    pub fn room(&self) -> usize {
        let queued = self.plan.reconciling + self.queued.borrow().len() as u64;
        let page = (BATCH_MAX as u64).saturating_sub(queued);
        let room = self.own_room().min(RECONCILING_MAX.saturating_sub(queued)).max(page);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Whether there is room for what a page can hold.
    pub fn has_room(&self) -> bool {
        self.room() >= BATCH_MAX
    }

    /// Whether an entity waits already, so that it need not be queued for this.
    pub fn is_waiting(&self, entity: &Entity, change: Change) -> bool {
        if self.queued.borrow().contains(entity) {
            return true;
        }
        if self.begun.borrow().contains(entity) {
            return false;
        }
        self.plan.find(entity).is_some_and(|waiting| match change {
            Change::Forced => waiting.is_forced(),
            // A recheck comes by itself, but a minute late for what is known to differ now.
            _ => !waiting.events.is_empty() || waiting.retries.iter().any(|(retry, _)| !retry.is_recheck()),
        })
    }

    /// A batch begins: what comes of these entities from now on is new.
    pub fn note_begun(&self, batch: &[Waiting]) {
        let entities = batch.iter().map(|waiting| waiting.entity.clone());
        self.begun.borrow_mut().extend(entities);
    }

    /// Reconciliation has queued these.
    pub fn note_queued(&self, entities: impl ExactSizeIterator<Item = Entity>) {
        self.note_raised(entities.len());
        self.queued.borrow_mut().extend(entities);
    }

    /// Keeps how far reconciliation has come.
    pub async fn save_reconciliation(&self) -> Result<(), StoreError> {
        let record = self.reconciliation.borrow().clone();
        record.save(self.desk.host, &self.desk.config.keys).await
    }

    /// Asks for a walk over everything, and keeps that at once.
    pub async fn ask_walk(&self) -> Result<(), Stop> {
        self.desk.check_lease()?;
        self.reconciliation.borrow_mut().walk.ask(false);
        Ok(self.save_reconciliation().await?)
    }

    /// Keeps the state as it is now, with what the governors have learned.
    pub async fn save_state(&self) -> Result<(), StoreError> {
        let mut state = self.state.borrow().clone();
        state.pim = self.upstreams.pim_governor.state();
        state.destination = self.upstreams.destination_governor.state();
        state.page_sizes = self.upstreams.pim.sizes.borrow().clone();
        state.save(self.desk.host, &self.desk.config.keys).await
    }

    /// Counts events of our own that were queued since the listing.
    pub fn note_raised(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.raised.set(self.raised.get() + count);
        self.report(|report| report.raised += count);
    }

    /// Before the index is first written: it is from now on one of this PIM and this destination.
    pub async fn know_the_pair(&self) -> Result<(), StoreError> {
        if self.meta.borrow().is_some() {
            return Ok(());
        }
        let Some(meta) = Meta::of(self.desk.config) else {
            return Ok(());
        };
        meta.save(self.desk.host, &self.desk.config.keys).await?;
        *self.meta.borrow_mut() = Some(meta);
        Ok(())
    }
}
