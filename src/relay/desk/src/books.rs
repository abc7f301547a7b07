//! The records of a tick: what is kept between ticks, and what is told at its end.
//!
//! The asynchronous functions read or write the store; all others only change records in memory. Those that write may
//! assume that the caller holds the lease, for which `ask_walk` alone asks by itself. At its end the tick closes the
//! books and keeps state and history.

use crate::backlog::Backlog;
use crate::stop::Stop;
use crate::tools::{Desk, Upstreams};
use index::claims::Claims;
use index::directory::{Directory, Order};
use index::entry::place_of;
use index::files::Files;
use index::pages::Pages;
use model::entity::{Entity, Kind, Segment};
use protocol::remote::Remote;
use queue::key::Extent;
use queue::plan::Plan;
use records::history::History;
use records::pair::Pair;
use records::reconciliation::Reconciliation;
use records::report::Report;
use records::state::State;
use std::rc::Rc;
use world::host::{Host, StoreError};

/// The records of a tick: what is kept and what is told.
pub struct Books {
    /// What the next tick must know.
    pub state: State,
    /// What ticks did, for people.
    pub history: History,
    /// How far reconciliation has come.
    pub reconciliation: Reconciliation,
    /// Under which keys the pages of the index lie.
    pub index: Rc<Directory>,
    /// Under which keys the pages lie that say which entity holds which identity.
    pub claims: Rc<Directory>,
    /// Under which keys the pages lie that say which files the destination has.
    files: Rc<Directory>,
    /// The name of this worker in keys.
    worker: Segment,
    /// For which pair and shape the index is; none before it is first written.
    pair: Option<Pair>,
    /// What the tick has done so far.
    report: Report,
    /// Whether anything came of this tick's work so far.
    has_progressed: bool,
    /// What the tick was last at, for people.
    at: Option<String>,
    /// Whether the brake was asked since [`Books::keep_brake`] last kept it.
    is_brake_used: bool,
}

/// Where the pages lie by a listing: those of the index, of who holds which identity, and of files.
fn directories(desk: &Desk<'_, impl Host>, plan: &Plan) -> [Rc<Directory>; 3] {
    let all = [
        (Order::Entities, &plan.index),
        (Order::Identities, &plan.claims),
        (Order::Files, &plan.files),
    ];
    all.map(|(order, places)| Rc::new(Directory::of(order, desk.config.page_entries, places.clone())))
}

impl Books {
    /// Goes on with a new listing.
    pub(crate) fn plan_anew(&mut self, desk: &Desk<'_, impl Host>, plan: &Plan) {
        let known = [&mut self.index, &mut self.claims, &mut self.files];
        for (known, mut new) in known.into_iter().zip(directories(desk, plan)) {
            Rc::make_mut(&mut new).follow(known);
            *known = new;
        }
    }

    /// The books as a tick opens them. `worker` is the name of this worker in keys.
    pub fn open(
        desk: &Desk<'_, impl Host>,
        state: State,
        history: History,
        reconciliation: Reconciliation,
        pair: Option<Pair>,
        plan: &Plan,
        worker: Segment,
    ) -> Books {
        let report = Report {
            depth: plan.depth,
            ..Report::default()
        };
        let [index, claims, files] = directories(desk, plan);
        Books {
            state,
            history,
            reconciliation,
            index,
            claims,
            files,
            worker,
            pair,
            report,
            has_progressed: false,
            at: Default::default(),
            is_brake_used: false,
        }
    }

    /// Closes the books: gives what is to be told and kept at the end of the tick.
    pub fn close(self) -> (Report, State, History) {
        (self.report, self.state, self.history)
    }

    /// Changes the report.
    pub fn report(&mut self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report);
    }

    /// Whether the brake lets a deletion through that nobody announced. A deletion that it does not let through is
    /// counted in the report, and people hear that the brake holds something back.
    pub fn brake_lets_through(&mut self, desk: &Desk<'_, impl Host>, entity: &Entity) -> bool {
        let lets_through = self.asks_brake(desk, entity);
        if !lets_through {
            self.state.brake.hold(desk.now_s());
        }
        lets_through
    }

    /// Whether the brake lets a deletion through that an event announced, of an entity that the index does not have.
    /// Until the first walk has ended, an index that lacks an entity is no news, so people do not hear that such a
    /// deletion is held back.
    pub fn brake_lets_unindexed_through(&mut self, desk: &Desk<'_, impl Host>, entity: &Entity) -> bool {
        let lets_through = self.asks_brake(desk, entity);
        if !lets_through && self.reconciliation.walk.finished_ms > 0 {
            self.state.brake.hold(desk.now_s());
        }
        lets_through
    }

    /// Asks the brake about a deletion; counts one that it does not let through in the report.
    fn asks_brake(&mut self, desk: &Desk<'_, impl Host>, entity: &Entity) -> bool {
        let state = &mut self.state;
        let indexed = usize::try_from(state.indexed).unwrap_or(0);
        let lets_through = state.brake.lets_through(entity, indexed, desk.now_s());
        self.is_brake_used = true;
        if !lets_through {
            self.report(|report| report.braked += 1);
        }
        lets_through
    }

    /// Notes that the destination has just taken something.
    pub fn note_done(&mut self, desk: &Desk<'_, impl Host>) {
        self.state.done_s = desk.now_s();
    }

    /// Notes that a deletion came through that the brake had let through and that was announced, so that it is not
    /// counted as one that nobody announced.
    pub fn note_unindexed(&mut self, entity: &Entity) {
        self.state.brake.done(entity);
    }

    /// Counts a deletion that came through and that nobody announced.
    pub fn note_unannounced(&mut self, entity: &Entity) {
        let state = &mut self.state;
        state.brake.done(entity);
        *state.deleted.at(entity.kind) += 1;
    }

    /// Keeps the state if the brake was asked since this was last called. A batch calls this before it carries out what
    /// the brake let through: a tick that is killed meanwhile must not forget that the brake counted it.
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

    /// Notes that something came of this tick's work.
    pub fn note_progress(&mut self) {
        self.has_progressed = true;
    }

    /// Notes what this tick is at, for people to read if nothing comes of its work.
    pub fn note_at(&mut self, at: impl FnOnce() -> String) {
        self.at = Some(at());
    }

    /// What this tick was last noted to be at; none before anything was.
    pub fn at(&self) -> Option<String> {
        self.at.clone()
    }

    /// The report, as far as the tick has come.
    pub fn done(&self) -> Report {
        self.report.clone()
    }

    /// Whether anything came of this tick's work so far.
    pub fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    /// Reads the pages of the index on which these entities lie.
    pub async fn load_pages<'e>(
        &self,
        desk: &Desk<'_, impl Host>,
        entities: impl IntoIterator<Item = &'e Entity>,
    ) -> Result<Pages, StoreError> {
        let directory = self.index.clone();
        Pages::load(desk.host, &desk.config.keys, &directory, entities).await
    }

    /// Reads the page of the index on which an entity lies into `pages`, unless it is there already.
    pub async fn read_page_of(
        &self,
        desk: &Desk<'_, impl Host>,
        pages: &mut Pages,
        entity: &Entity,
    ) -> Result<(), StoreError> {
        let directory = self.index.clone();
        let place = place_of(entity);
        pages
            .read(desk.host, &desk.config.keys, &directory, entity.kind, place)
            .await
            .map(|_| ())
    }

    /// Reads those pages again that were written since they were read into `pages`.
    pub async fn read_again(&self, desk: &Desk<'_, impl Host>, pages: &mut Pages) -> Result<(), StoreError> {
        let directory = self.index.clone();
        pages.read_again(desk.host, &desk.config.keys, &directory).await
    }

    /// What the destination gave of the parent of an entity; none where the index does not know that.
    /// Reads the model's page into `pages`, where the entity's own page has to be.
    pub async fn remote_of_parent(
        &self,
        desk: &Desk<'_, impl Host>,
        pages: &mut Pages,
        entity: &Entity,
    ) -> Result<Option<Remote>, StoreError> {
        let directory = self.index.clone();
        pages
            .remote_of_parent(desk.host, &desk.config.keys, &directory, entity)
            .await
    }

    /// Reads the page of the index that holds a place.
    pub async fn load_page(&self, desk: &Desk<'_, impl Host>, kind: Kind, place: u128) -> Result<Pages, StoreError> {
        let (directory, mut pages) = (self.index.clone(), Pages::default());
        pages
            .read(desk.host, &desk.config.keys, &directory, kind, place)
            .await?;
        Ok(pages)
    }

    /// Whether an entity went with a model whose deletion an event announced. The entity's own deletion is then no more
    /// a surprise than the model's, and does not count towards the brake. Reads the pages of its models into `pages`,
    /// where the entity's own page has to be.
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

    /// Keeps the changed pages of the index, and counts the entities by which it grew.
    pub async fn save_pages(&mut self, desk: &Desk<'_, impl Host>, pages: &mut Pages) -> Result<(), StoreError> {
        if !pages.has_changes() {
            return Ok(());
        }
        let directory = Rc::make_mut(&mut self.index);
        let added = pages.save(desk.host, &desk.config.keys, directory, &self.worker).await;
        self.state.indexed += added?;
        Ok(())
    }

    /// Reads the page that says who holds an identity into `claims`, unless it is there already.
    pub async fn read_claim(
        &self,
        desk: &Desk<'_, impl Host>,
        claims: &mut Claims,
        kind: Kind,
        identity: &str,
    ) -> Result<(), StoreError> {
        let directory = self.claims.clone();
        claims
            .read(desk.host, &desk.config.keys, &directory, (kind, identity))
            .await
    }

    /// Keeps the changed pages of who holds which identity.
    pub async fn save_claims(&mut self, desk: &Desk<'_, impl Host>, claims: &mut Claims) -> Result<(), StoreError> {
        if !claims.has_changes() {
            return Ok(());
        }
        let directory = Rc::make_mut(&mut self.claims);
        claims.save(desk.host, &desk.config.keys, directory, &self.worker).await
    }

    /// A page of who holds which identity, of what the index tells, in place of one that is damaged.
    pub async fn remade_claims(&self, desk: &Desk<'_, impl Host>, place: (Kind, Extent)) -> Result<Claims, StoreError> {
        let directories = (&*self.index, &*self.claims);
        Claims::remade(desk.host, &desk.config.keys, directories, place).await
    }

    /// When the destination got the file whose path has this digest, in seconds since the Unix epoch, if it did. Its page
    /// is read into `files`, unless it is there already.
    pub async fn file_sent_s(
        &self,
        desk: &Desk<'_, impl Host>,
        files: &mut Files,
        digest: &str,
    ) -> Result<Option<u64>, StoreError> {
        files.sent_s(desk.host, &desk.config.keys, &self.files, digest).await
    }

    /// Keeps the changed pages of files.
    pub async fn save_files(&mut self, desk: &Desk<'_, impl Host>, files: &mut Files) -> Result<(), StoreError> {
        let directory = Rc::make_mut(&mut self.files);
        files.save(desk.host, &desk.config.keys, directory, &self.worker).await
    }

    /// Keeps how far reconciliation has come.
    pub async fn save_reconciliation(&self, desk: &Desk<'_, impl Host>) -> Result<(), StoreError> {
        let record = self.reconciliation.clone();
        record.save(desk.host, &desk.config.keys).await
    }

    /// Asks for a walk over everything, and keeps that at once. Fails without the lease.
    pub async fn ask_walk(&mut self, desk: &Desk<'_, impl Host>) -> Result<(), Stop> {
        desk.check_lease()?;
        self.reconciliation.walk.ask(false);
        Ok(self.save_reconciliation(desk).await?)
    }

    /// Sets damaged records aside, and asks for a walk that finds again what they held; a forced one where they held
    /// what the index cannot tell. The walk is asked for first: a tick that is killed after that costs a walk too many,
    /// and never one too few. Fails without the lease.
    pub async fn set_aside(
        &mut self,
        desk: &Desk<'_, impl Host>,
        keys: &[&String],
        is_forced: bool,
    ) -> Result<(), Stop> {
        desk.check_lease()?;
        self.reconciliation.walk.ask(is_forced);
        self.save_reconciliation(desk).await?;
        for key in keys {
            desk.set_aside(key).await?;
        }
        self.note_progress();
        Ok(())
    }

    /// Keeps the state as it is now, with what the governors have learned and how large pages of the PIM come.
    pub async fn save_state<H: Host>(
        &self,
        desk: &Desk<'_, H>,
        upstreams: &Upstreams<'_, H>,
    ) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        state.pim = upstreams.pim_governor.state();
        state.destination = upstreams.destination_governor.state();
        state.page_sizes = upstreams.pim.sizes.clone();
        state.save(desk.host, &desk.config.keys).await
    }

    /// Counts events that the relay has just raised itself, in the backlog and in the report.
    pub fn note_raised(&mut self, backlog: &mut Backlog, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        backlog.note_raised(count);
        self.report(|report| report.raised += count);
    }

    /// Keeps for which pair and shape the index is, unless that is known. A batch calls this before it first writes the
    /// index, which is of this PIM, this destination and this shape from then on.
    pub async fn know_the_pair(&mut self, desk: &Desk<'_, impl Host>) -> Result<(), StoreError> {
        if self.pair.is_some() {
            return Ok(());
        }
        let Some(pair) = Pair::of(desk.config) else {
            return Ok(());
        };
        pair.save(desk.host, &desk.config.keys).await?;
        self.pair = Some(pair);
        Ok(())
    }
}
