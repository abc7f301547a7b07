//! What waits.

use crate::tools::Desk;
use model::entity::{BATCH_MAX, Entity, Kind};
use queue::in_flight::InFlightValue;
use queue::key::Change;
use queue::plan::Plan;
use queue::retry::Tried;
use queue::waiting::Waiting;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use world::host::{self, Host, StoreError};

/// How many events of reconciliation may wait at once: more would only make every listing longer.
const RECONCILING_MAX: u64 = 10_000;

/// What is in flight, by kind and code.
type InFlightByEntity = BTreeMap<(Kind, String), OfEntity>;

/// What is known of an entity's pushes that are in flight, or were when their worker died.
#[derive(Default)]
struct OfEntity {
    /// What they were to bring.
    tried: Vec<Tried>,
    /// When the last of them was written down, in seconds since the Unix epoch.
    last_s: u64,
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
    in_flight: Option<InFlightByEntity>,
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

    pub(crate) fn note_raised(&mut self, count: u64) {
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
            // A recheck that is due later does not count as waiting: it may be a minute away, and this difference is
            // known now.
            _ => !waiting.events.is_empty() || waiting.retries.iter().any(|(retry, _)| !retry.is_recheck()),
        })
    }

    /// A batch begins: what comes of these entities from now on is new.
    pub fn note_begun(&mut self, batch: &[Waiting]) {
        let entities = batch.iter().map(|waiting| waiting.entity.clone());
        self.begun.extend(entities);
    }

    /// Whether a batch was begun with an entity since the listing: what is known of it there is old.
    pub fn is_begun(&self, entity: &Entity) -> bool {
        self.begun.contains(entity)
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
        let known = self.in_flight(desk).await?.get(&(kind, code.to_owned()));
        Ok(known.map(|known| known.tried.clone()).unwrap_or_default())
    }

    /// Until when a push of an entity may arrive whose end nobody saw, in seconds since the Unix epoch: it may have begun at
    /// the end of its tick, and lasted as long as a call may.
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

    async fn in_flight(&mut self, desk: &Desk<'_, impl Host>) -> Result<&InFlightByEntity, StoreError> {
        if self.in_flight.is_none() {
            let mut by_entity = InFlightByEntity::new();
            for batch in &self.plan.in_flight {
                let value: Option<InFlightValue> = host::read(desk.host, &batch.key).await?;
                let Some(value) = value else { continue };
                for entity in &value.entities {
                    let known = by_entity.entry(entity.clone()).or_default();
                    known.last_s = known.last_s.max(batch.time_s);
                }
                for (entity, tried) in value.into_tried() {
                    by_entity.entry(entity).or_default().tried.push(tried);
                }
            }
            self.in_flight = Some(by_entity);
        }
        Ok(self.in_flight.get_or_insert_default())
    }
}
