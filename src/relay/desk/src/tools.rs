//! What is handed to the steps of a tick, by role: a function's signature tells what it may touch.

use crate::known::Known;
use crate::stop::Stop;
use akeneo::pim::{self, Pim};
use config::WorkerConfig;
use destination::{self, Destination};
use model::entity::BATCH_MAX;
use model::entity::{Entity, Kind, Segment};
use model::failure::{Class, Failure};
use queue::in_flight::InFlightValue;
use queue::index::{Directory, Pages};
use queue::key::{Change, Key};
use queue::lease::Lease;
use queue::plan::Plan;
use queue::raise;
use queue::retry::Tried;
use queue::waiting::Waiting;
use records::history::History;
use records::meta::Meta;
use records::reconciliation::Reconciliation;
use records::report::Report;
use records::state::State;
use serde_json::Value;
use shape::{Lookups, Shaped};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use upstream::governor::Governor;
use upstream::token;
use world::host::Host;
use world::host::{self, StoreError};
use world::log;

/// How many events of reconciliation may wait at once: more would only make every listing longer.
const RECONCILING_MAX: u64 = 10_000;

/// What was to be pushed last, by kind and code.
type TriedByEntity = BTreeMap<(Kind, String), Vec<Tried>>;

/// What everybody needs: the world, the configuration, and the lease under which all is done.
pub struct Desk<'a, H> {
    /// What is asked of the world.
    pub host: &'a H,
    /// The configuration.
    pub config: &'a WorkerConfig,
    /// The lease under which the tick works.
    pub lease: &'a Lease,
}

impl<H> Clone for Desk<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Desk<'_, H> {}

impl<H: Host> Desk<'_, H> {
    /// Now, in seconds since the Unix epoch.
    pub fn now_s(&self) -> u64 {
        self.host.now_ms() / 1000
    }

    /// An id that nobody has had before.
    pub fn fresh_id(&self) -> Segment {
        raise::fresh_id(self.host)
    }

    /// Writes a log line.
    pub fn log(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, false, fields);
    }

    /// Writes a log line of a failure.
    pub fn log_failure(&self, what: &str, fields: Value) {
        log::write(self.host, self.config.log, what, true, fields);
    }

    /// Whatever is written without the lease may undo what another worker has written meanwhile.
    pub fn check_lease(&self) -> Result<(), Stop> {
        if self.lease.holds(self.host) {
            Ok(())
        } else {
            Err(Stop::Lease)
        }
    }

    /// The key and value of an event of our own.
    pub fn raise(&self, kind: Kind, code: &str, change: Change) -> (String, Vec<u8>) {
        let (key, value) = raise::raised(self.host, Entity::new(kind, code), code, change);
        (self.config.keys.encode(&Key::Event(key)), value.to_bytes())
    }
}

/// The PIM and the destination, each behind its governor.
pub struct Upstreams<'a, H> {
    /// The PIM.
    pub pim: Pim<'a, H>,
    /// What every call of the PIM goes through.
    pub pim_governor: &'a Governor<'a, H>,
    /// How many calls of the PIM may be under way at once.
    pub pim_at_once: usize,
    /// The destination; none where none is configured.
    pub destination: Option<Destination<'a, H>>,
    /// What every call of the destination goes through.
    pub destination_governor: &'a Governor<'a, H>,
    /// How many calls of the destination may be under way at once.
    pub destination_at_once: usize,
}

impl<'a, H: Host> Upstreams<'a, H> {
    /// The upstreams of a tick, with what the state knows of them.
    pub fn new(
        desk: Desk<'a, H>,
        pim_governor: &'a Governor<'a, H>,
        destination_governor: &'a Governor<'a, H>,
        state: &State,
    ) -> Self {
        let config = desk.config;
        let has_post_search = state.no_post_search_until_s <= desk.now_s();
        let mut pim = Pim::new(desk.host, pim_governor, &config.keys, &config.pim, has_post_search);
        pim.completenesses = config.shape.asks_completenesses();
        pim.sizes = RefCell::new(state.page_sizes.clone());
        let destination = config.destination.as_ref();
        Upstreams {
            pim,
            pim_governor,
            pim_at_once: pim::limits(0).at_once,
            destination: destination
                .map(|destination| Destination::new(destination_governor, destination, &config.shape)),
            destination_governor,
            destination_at_once: destination::limits(0, 1).at_once,
        }
    }

    /// Calls may begin until this moment of the monotonic clock, in milliseconds.
    pub fn begin_until(&self, until_ms: u64) {
        self.pim_governor.begin_until(until_ms);
        self.destination_governor.begin_until(until_ms);
    }

    /// A failure on the side of the PIM.
    pub fn pim_failure(&self, class: Class, reason: &str) -> Failure {
        self.pim_governor.failed(class, reason.to_owned())
    }

    /// Whether an upstream keeps the work from coming to anything.
    pub fn is_hampered(&self) -> bool {
        self.pim_governor.is_hampered() || self.destination_governor.is_hampered()
    }

    /// Whether calls for a kind are held at the PIM: by an open breaker, or by a wait that it asked for.
    pub fn is_held_at_the_pim(&self, kind: Kind) -> bool {
        let pim = self.pim_governor;
        pim.held(token::CIRCUIT).is_some() || pim.held(kind.name()).is_some()
    }

    /// Whether there is anything to keep equal to the PIM.
    pub fn is_reconciling(&self) -> bool {
        self.destination.is_some()
    }
}

/// What waits, by the last listing, and what became of it since.
pub struct Backlog {
    /// What waits, by the last listing.
    pub plan: Rc<Plan>,
    /// When the plan was made, in seconds since the Unix epoch: what is due is due by this.
    pub planned_s: u64,
    /// Events of our own that were queued since the listing.
    raised: u64,
    /// What the pushes were to bring that were in flight when the tick began, once it is read.
    in_flight: Option<TriedByEntity>,
    /// Entities that a batch was begun with: what was listed of them waits no more.
    begun: BTreeSet<Entity>,
    /// Entities that reconciliation queued since the listing.
    queued: BTreeSet<Entity>,
}

impl Backlog {
    /// What a listing says, made at this time in seconds since the Unix epoch.
    pub fn of(plan: Plan, planned_s: u64) -> Backlog {
        Backlog {
            plan: Rc::new(plan),
            planned_s,
            raised: 0,
            in_flight: Default::default(),
            begun: Default::default(),
            queued: Default::default(),
        }
    }

    fn note_raised(&mut self, count: u64) {
        self.raised += count;
    }

    /// What the relay queues itself stops at a quarter of what deliveries may queue. What others told does not count: it
    /// could keep models from being marked for as long as it waits for them.
    pub fn is_own_queue_full(&self, desk: &Desk<'_, impl Host>) -> bool {
        self.own_room(desk) == 0
    }

    fn own_room(&self, desk: &Desk<'_, impl Host>) -> u64 {
        (desk.config.high_water / 4).saturating_sub(self.plan.own + self.raised)
    }

    /// How many events reconciliation may queue now: a page in any case while none of its own wait, so that what waits
    /// for a person, or for an upstream, does not keep it from looking.
    pub fn room(&self, desk: &Desk<'_, impl Host>) -> usize {
        let queued = self.plan.reconciling + self.queued.len() as u64;
        let page = (BATCH_MAX as u64).saturating_sub(queued);
        let room = self
            .own_room(desk)
            .min(RECONCILING_MAX.saturating_sub(queued))
            .max(page);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Whether there is room for what a page can hold.
    pub fn has_room(&self, desk: &Desk<'_, impl Host>) -> bool {
        self.room(desk) >= BATCH_MAX
    }

    /// Whether an entity waits already, so that it need not be queued for this.
    pub fn is_waiting(&self, entity: &Entity, change: Change) -> bool {
        if self.queued.contains(entity) {
            return true;
        }
        if self.begun.contains(entity) {
            return false;
        }
        self.plan.find(entity).is_some_and(|waiting| match change {
            Change::Forced => waiting.is_forced(),
            // A recheck comes by itself, but a minute late for what is known to differ now.
            _ => !waiting.events.is_empty() || waiting.retries.iter().any(|(retry, _)| !retry.is_recheck()),
        })
    }

    /// A batch begins: what comes of these entities from now on is new.
    pub fn note_begun(&mut self, batch: &[Waiting]) {
        let entities = batch.iter().map(|waiting| waiting.entity.clone());
        self.begun.extend(entities);
    }

    /// Reconciliation has queued these.
    pub fn note_queued(&mut self, entities: impl Iterator<Item = Entity>) {
        self.queued.extend(entities);
    }

    /// What pushes of an entity were to bring that are in flight, or were when their worker died.
    pub async fn tried_in_flight(
        &mut self,
        desk: &Desk<'_, impl Host>,
        kind: Kind,
        code: &str,
    ) -> Result<Vec<Tried>, StoreError> {
        if self.in_flight.is_none() {
            let mut tried = TriedByEntity::new();
            for batch in &self.plan.in_flight {
                let value: Option<InFlightValue> = host::read(desk.host, &batch.key).await?;
                for (entity, known) in value.into_iter().flat_map(InFlightValue::into_tried) {
                    tried.entry(entity).or_default().push(known);
                }
            }
            self.in_flight = Some(tried);
        }
        let known = &self.in_flight;
        let of_this = known.as_ref().and_then(|known| known.get(&(kind, code.to_owned())));
        Ok(of_this.cloned().unwrap_or_default())
    }
}

/// What is kept and what is told: the records of a tick.
pub struct Books {
    /// What the next tick must know.
    pub state: State,
    /// What ticks did.
    pub history: History,
    /// How far reconciliation has come.
    pub reconciliation: Reconciliation,
    /// Where the pages of the index lie.
    pub index: Rc<Directory>,
    /// How a key names this worker.
    worker: Segment,
    /// For which pair and shape the index is.
    meta: Option<Meta>,
    /// What the tick did so far.
    report: Report,
    /// Whether anything came of this tick's work so far.
    has_progressed: bool,
    /// What it was at last.
    at: Option<String>,
    /// Whether the brake counted something that is not kept yet.
    is_brake_used: bool,
}

impl Books {
    /// The books as a tick opens them, which `worker` names in keys.
    pub fn open(
        state: State,
        history: History,
        reconciliation: Reconciliation,
        meta: Option<Meta>,
        plan: &Plan,
        worker: Segment,
    ) -> Books {
        let report = Report {
            depth: plan.depth,
            ..Report::default()
        };
        Books {
            state,
            history,
            reconciliation,
            index: Rc::new(plan.index.clone()),
            worker,
            meta,
            report,
            has_progressed: false,
            at: Default::default(),
            is_brake_used: false,
        }
    }

    /// What is left at the end.
    pub fn close(self) -> (Report, State, History) {
        (self.report, self.state, self.history)
    }

    /// Changes the report.
    pub fn report(&mut self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report);
    }

    /// Whether the brake lets a deletion through that nobody announced; counts one that it holds back.
    pub fn brake_lets_through(&mut self, desk: &Desk<'_, impl Host>, entity: &Entity) -> bool {
        let state = &mut self.state;
        let indexed = usize::try_from(state.indexed).unwrap_or(0);
        let lets_through = state.brake.lets_through(entity, indexed, desk.now_s());
        self.is_brake_used = true;
        if !lets_through {
            self.report(|report| report.braked += 1);
        }
        lets_through
    }

    /// The destination took something.
    pub fn note_done(&mut self, desk: &Desk<'_, impl Host>) {
        self.state.done_s = desk.now_s();
    }

    /// Counts a deletion that came through and that nobody announced.
    pub fn note_unannounced(&mut self, entity: &Entity) {
        let state = &mut self.state;
        state.brake.done(entity);
        *state.deleted.entry(entity.kind).or_default() += 1;
    }

    /// Before what the brake let through is carried out: a killed tick must not forget that it counted.
    pub async fn keep_brake<H: Host>(
        &mut self,
        desk: &Desk<'_, H>,
        upstreams: &Upstreams<'_, H>,
    ) -> Result<(), StoreError> {
        if std::mem::take(&mut self.is_brake_used) {
            self.save_state(desk, upstreams).await?;
        }
        Ok(())
    }

    /// Counts an entity that the shape does not want.
    pub fn note_unwanted(&mut self) {
        self.state.unwanted += 1;
        self.report(|report| report.unwanted += 1);
    }

    /// Something came of this tick's work.
    pub fn note_progress(&mut self) {
        self.has_progressed = true;
    }

    /// What this tick is at.
    pub fn note_at(&mut self, at: impl FnOnce() -> String) {
        self.at = Some(at());
    }

    /// What this tick is at.
    pub fn at(&self) -> Option<String> {
        self.at.clone()
    }

    /// What it has done so far.
    pub fn done(&self) -> Report {
        self.report.clone()
    }

    /// Whether anything did.
    pub fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    /// Reads the pages of the index of these entities.
    pub async fn load_pages<'e>(
        &self,
        desk: &Desk<'_, impl Host>,
        entities: impl IntoIterator<Item = &'e Entity>,
    ) -> Result<Pages, StoreError> {
        let directory = self.index.clone();
        Pages::load(desk.host, &desk.config.keys, &directory, entities).await
    }

    /// Reads one page of the index.
    pub async fn load_page(&self, desk: &Desk<'_, impl Host>, kind: Kind, number: u8) -> Result<Pages, StoreError> {
        let (directory, mut pages) = (self.index.clone(), Pages::default());
        pages
            .read(desk.host, &desk.config.keys, &directory, kind, number)
            .await?;
        Ok(pages)
    }

    /// Whether an entity went with a model of which an event said that it is deleted: then its own deletion is no more a
    /// surprise than the model's, and does not count towards the brake.
    pub async fn went_with_a_model(
        &self,
        desk: &Desk<'_, impl Host>,
        pages: &mut Pages,
        entity: &Entity,
    ) -> Result<bool, StoreError> {
        let directory = self.index.clone();
        pages
            .went_with_a_model(desk.host, &desk.config.keys, &directory, entity)
            .await
    }

    /// Keeps the changed pages of the index.
    pub async fn save_pages(&mut self, desk: &Desk<'_, impl Host>, pages: &mut Pages) -> Result<(), StoreError> {
        let mut directory = Directory::clone(&self.index);
        let added = pages
            .save(desk.host, &desk.config.keys, &mut directory, &self.worker)
            .await;
        self.index = Rc::new(directory);
        self.state.indexed += added?;
        Ok(())
    }

    /// Keeps how far reconciliation has come.
    pub async fn save_reconciliation(&self, desk: &Desk<'_, impl Host>) -> Result<(), StoreError> {
        let record = self.reconciliation.clone();
        record.save(desk.host, &desk.config.keys).await
    }

    /// Asks for a walk over everything, and keeps that at once.
    pub async fn ask_walk(&mut self, desk: &Desk<'_, impl Host>) -> Result<(), Stop> {
        desk.check_lease()?;
        self.reconciliation.walk.ask(false);
        Ok(self.save_reconciliation(desk).await?)
    }

    /// Keeps the state as it is now, with what the governors have learned.
    pub async fn save_state<H: Host>(
        &self,
        desk: &Desk<'_, H>,
        upstreams: &Upstreams<'_, H>,
    ) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        state.pim = upstreams.pim_governor.state();
        state.destination = upstreams.destination_governor.state();
        state.page_sizes = upstreams.pim.sizes.borrow().clone();
        state.save(desk.host, &desk.config.keys).await
    }

    /// Counts events of our own that were queued since the listing.
    pub fn note_raised(&mut self, backlog: &mut Backlog, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        backlog.note_raised(count);
        self.report(|report| report.raised += count);
    }

    /// Before the index is first written: it is from now on one of this PIM and this destination.
    pub async fn know_the_pair(&mut self, desk: &Desk<'_, impl Host>) -> Result<(), StoreError> {
        if self.meta.is_some() {
            return Ok(());
        }
        let Some(meta) = Meta::of(desk.config) else {
            return Ok(());
        };
        meta.save(desk.host, &desk.config.keys).await?;
        self.meta = Some(meta);
        Ok(())
    }
}

/// Lists of the PIM in which shapes look things up.
#[derive(Default)]
pub struct Lists {
    /// What shapes look things up in.
    pub lookups: Lookups,
    /// What is known of the lists that were asked for.
    pub known: Vec<Known>,
}

impl Lists {
    /// What an entity comes to; what it looks up is to be at hand ([`Session::enrich`]).
    pub fn shape(&self, desk: &Desk<'_, impl Host>, kind: Kind, code: &str, entity: &Value) -> Shaped {
        desk.config.shape.apply(kind, code, entity, &self.lookups)
    }
}
