//! What waits: the plan of the last listing, and what became of it since.
//!
//! A plan is of one moment. Steps note here what they have begun, raised and queued after it, so that nothing is queued
//! twice and the relay's own events stay within their bounds. Nothing here is written to the store; it is only read,
//! for what in-flight keys say, and not before somebody asks for that.

use crate::tools::Desk;
use model::entity::{BATCH_MAX, Entity, Kind};
use queue::batches::Due;
use queue::in_flight::InFlightValue;
use queue::key::Change;
use queue::plan::Plan;
use queue::retry::Tried;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use world::host::{self, Host, StoreError};

/// How many events of reconciliation may wait at once. More would only make every listing longer.
const RECONCILING_MAX: u64 = 10_000;

/// What is known of pushes that are in flight, by kind and code.
type InFlightByEntity = BTreeMap<(Kind, String), PushesOfEntity>;

/// What is known of those pushes of an entity that are in flight, whether their worker lives or has died.
#[derive(Default)]
struct PushesOfEntity {
    /// What each of them was to bring, as far as it is known.
    tried: Vec<Tried>,
    /// When the last batch with one of them was written down, in seconds since the Unix epoch.
    last_s: u64,
}

/// What waits, by the last listing, and what became of it since.
pub struct Backlog {
    /// What the last listing says.
    pub plan: Rc<Plan>,
    /// When the listing was made, in seconds since the Unix epoch. What is due by this moment is due.
    pub planned_s: u64,
    /// How many events the relay raised itself since the listing.
    raised: u64,
    /// The pushes that were in flight at the listing; none before somebody asks for them.
    in_flight: Option<InFlightByEntity>,
    /// The batches among them that stand under other keys since, and since when they count as in flight, in seconds since
    /// the Unix epoch.
    moved: Vec<(u64, InFlightValue)>,
    /// Entities with which a batch was begun since the listing: what it says of them waits no more.
    begun: BTreeSet<Entity>,
    /// Entities that are being pushed while something else goes on.
    under_way: BTreeSet<Entity>,
    /// Entities that reconciliation queued since the listing.
    queued: BTreeSet<Entity>,
}

impl Backlog {
    /// The backlog as a listing says that was made at `planned_s`, in seconds since the Unix epoch.
    pub fn of(plan: Plan, planned_s: u64) -> Backlog {
        Backlog {
            plan: Rc::new(plan),
            planned_s,
            raised: 0,
            in_flight: Default::default(),
            moved: Vec::new(),
            begun: Default::default(),
            under_way: Default::default(),
            queued: Default::default(),
        }
    }

    /// Counts events that the relay raised itself since the listing.
    pub(crate) fn note_raised(&mut self, count: u64) {
        self.raised += count;
    }

    /// Whether the relay may raise no more events itself: those that wait may be a quarter of the high-water mark.
    /// Events that the PIM told do not count. If they did, many of them would keep models from being marked, and the
    /// models' own events among them could never be worked off.
    pub fn is_own_queue_full(&self, desk: &Desk<'_, impl Host>) -> bool {
        self.own_room(desk) == 0
    }

    /// How many more events the relay may raise itself.
    fn own_room(&self, desk: &Desk<'_, impl Host>) -> u64 {
        (desk.config.high_water / 4).saturating_sub(self.plan.own + self.raised)
    }

    /// How many events reconciliation may queue now. While none of its own wait it may always queue as many as a page
    /// has entities, so that what waits for a person or for an upstream does not keep it from its work.
    pub fn room(&self, desk: &Desk<'_, impl Host>) -> usize {
        let queued = self.plan.reconciling + self.queued.len() as u64;
        let page = (BATCH_MAX as u64).saturating_sub(queued);
        let room = self
            .own_room(desk)
            .min(RECONCILING_MAX.saturating_sub(queued))
            .max(page);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Whether reconciliation may queue as many events as a page can have entities ([`BATCH_MAX`]).
    pub fn has_room(&self, desk: &Desk<'_, impl Host>) -> bool {
        self.room(desk) >= BATCH_MAX
    }

    /// Whether reconciliation has queued a whole batch since the listing.
    pub fn has_queued_a_batch(&self) -> bool {
        self.queued.len() >= BATCH_MAX
    }

    /// Whether an entity waits already, so that reconciliation need not queue it with this change. Where the change is
    /// a forced push, only one that is forced counts as waiting.
    pub fn is_waiting(&self, entity: &Entity, change: Change) -> bool {
        if self.queued.contains(entity) {
            return true;
        }
        if self.begun.contains(entity) {
            return false;
        }
        self.plan.find(entity).is_some_and(|waiting| match change {
            Change::Forced => waiting.is_forced(),
            // A recheck that is due later does not count as waiting: it may be a minute away, and this difference is
            // known now.
            _ => !waiting.events.is_empty() || waiting.retries.iter().any(|(retry, _)| !retry.is_recheck()),
        })
    }

    /// Notes that a batch began with these entities: what the listing says of them is old.
    pub fn note_begun(&mut self, entities: impl IntoIterator<Item = Entity>) {
        self.begun.extend(entities);
    }

    /// Notes which entities are being pushed while something else goes on: what the index says of them is about to
    /// change. Until the next listing, or the next call of this.
    pub fn note_under_way(&mut self, entities: impl IntoIterator<Item = Entity>) {
        self.under_way = entities.into_iter().collect();
    }

    /// The entities that are being pushed.
    pub fn under_way(&self) -> &BTreeSet<Entity> {
        &self.under_way
    }

    /// Notes that a batch which was in flight at the listing stands under another key since, and when it counts as begun,
    /// in seconds since the Unix epoch: its pushes may arrive like any others.
    pub fn note_moved(&mut self, time_s: u64, value: InFlightValue) {
        self.in_flight = None;
        self.moved.push((time_s, value));
    }

    /// The due entities of a plan, which is that of the listing, but those with which a batch began. `done_s` is when the
    /// destination last took anything, in seconds since the Unix epoch.
    pub fn due<'a>(&self, plan: &'a Plan, done_s: u64) -> Due<'a> {
        let due = plan.due(self.planned_s, done_s);
        match self.begun.is_empty() {
            true => due,
            false => due.without(|entity| self.begun.contains(entity)),
        }
    }

    /// Whether a batch was begun with an entity since the listing, so that what the listing says of it is old.
    pub fn is_begun(&self, entity: &Entity) -> bool {
        self.begun.contains(entity)
    }

    /// Notes that reconciliation has queued these entities.
    pub fn note_queued(&mut self, entities: impl Iterator<Item = Entity>) {
        self.queued.extend(entities);
    }

    /// What those pushes of an entity were to bring that were in flight at the listing, whether their worker lives or
    /// has died.
    pub async fn tried_in_flight(
        &mut self,
        desk: &Desk<'_, impl Host>,
        kind: Kind,
        code: &str,
    ) -> Result<Vec<Tried>, StoreError> {
        let known = self.in_flight(desk).await?.get(&(kind, code.to_owned()));
        Ok(known.map(|known| known.tried.clone()).unwrap_or_default())
    }

    /// Until when a push of an entity may arrive that was in flight at the listing, in seconds since the Unix epoch;
    /// none where none was. Such a push may have begun at the end of its tick or soon after it, and take as long as a
    /// call may.
    pub async fn may_arrive_until_s(
        &mut self,
        desk: &Desk<'_, impl Host>,
        kind: Kind,
        code: &str,
    ) -> Result<Option<u64>, StoreError> {
        let known = self.in_flight(desk).await?.get(&(kind, code.to_owned()));
        let longest_s = desk.config.tick_s + 2 * desk.config.call_timeout_s;
        Ok(known.map(|known| known.last_s + longest_s))
    }

    /// The pushes that were in flight at the listing. Their values are read when they are first asked for.
    async fn in_flight(&mut self, desk: &Desk<'_, impl Host>) -> Result<&InFlightByEntity, StoreError> {
        if self.in_flight.is_none() {
            let mut by_entity = InFlightByEntity::new();
            for batch in &self.plan.in_flight {
                if let Some(value) = host::read(desk.host, &batch.key).await? {
                    note_in_flight(&mut by_entity, batch.time_s, value);
                }
            }
            for (time_s, value) in &self.moved {
                note_in_flight(&mut by_entity, *time_s, value.clone());
            }
            self.in_flight = Some(by_entity);
        }
        Ok(self.in_flight.get_or_insert_default())
    }
}

/// Notes what a batch has in flight that was written down at a moment, in seconds since the Unix epoch.
fn note_in_flight(by_entity: &mut InFlightByEntity, time_s: u64, value: InFlightValue) {
    for entity in &value.entities {
        let known = by_entity.entry(entity.clone()).or_default();
        known.last_s = known.last_s.max(time_s);
    }
    for (entity, tried) in value.into_tried() {
        by_entity.entry(entity).or_default().tried.push(tried);
    }
}
