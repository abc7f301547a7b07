//! Edits in the PIM and their deliveries, on and on, and what of them was acknowledged.

use serde_json::Value;
use simulator::catalogue::{Action, Change, ChangeKind, EntityId};
use simulator::compare::Mapping;
use simulator::deliveries::{Format, Plan, Secrets, Sender};
use simulator::destination::Destination;
use simulator::times::now_ms;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::application::Application;
use tests::world::{LEGACY_SECRET, PLATFORM_SECRET, World, deliver_all, platform_deliveries};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The most that a sender waits between two deliveries, in milliseconds.
const PAUSE_MAX_MS: u64 = 80;

/// A change whose delivery was answered 200.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) entity: EntityId,
    /// The entity's revision in the PIM after the change; none if the change deleted it.
    pub(crate) revision: Option<u64>,
}

impl Acknowledged {
    fn of(change: &Change) -> Acknowledged {
        let is_deleted = change.kind == ChangeKind::Deleted;
        Acknowledged {
            entity: change.entity.clone(),
            revision: (!is_deleted).then(|| revision(&change.entity, &change.resource).unwrap()),
        }
    }

    /// What the destination says to it, if it has not got it: the same or a later state of the entity.
    pub(crate) fn missing_at(&self, world: &World, destination: &Destination) -> Option<String> {
        let held = destination.state.get(&Mapping::default().path(&self.entity));
        let held = held.and_then(|stored| revision(&self.entity, &stored.body()));
        let is_gone = world.pim.with(|pim| {
            let truth = pim.catalogue.truth();
            match &self.entity {
                EntityId::Product(uuid) => truth.product(*uuid).is_none(),
                EntityId::Model(code) => truth.model(code).is_none(),
                EntityId::Category(_) => false,
            }
        });
        let is_there = match (is_gone, self.revision) {
            (true, _) => held.is_none(),
            (false, Some(acknowledged)) => held.is_some_and(|held| held >= acknowledged),
            (false, None) => false, // The load creates nothing a second time.
        };
        (!is_there).then(|| format!("{self:?}, but the destination holds {held:?}"))
    }
}

/// How often an entity was edited, as its own body says. Each level counts in an attribute of its own.
fn revision(entity: &EntityId, body: &Value) -> Option<u64> {
    let attribute = match (entity.is_product(), body["parent"].is_null()) {
        (true, _) => "revision",
        (false, false) => "series_revision",
        (false, true) => "range_revision",
    };
    body["values"][attribute][0]["data"].as_u64()
}

/// Changes every entity once, so that the destination comes to hold all of them.
pub(crate) async fn announce_all(world: &World, application: &Application) {
    let entities = world.models().into_iter().chain(world.products());
    let changes: Vec<Change> = entities
        .flat_map(|entity| world.edit(&entity, Action::Touch).unwrap())
        .collect();
    deliver_all(application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
}

/// Senders at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Sent>>,
}

/// What senders have done.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Deliveries answered 200.
    pub(crate) deliveries: usize,
    /// Tries that were not answered 200.
    pub(crate) unanswered: usize,
    /// Every change that was delivered.
    pub(crate) changes: Vec<Acknowledged>,
}

impl Load {
    /// Starts senders that deliver to these origins, whatever they are at the time, each delivery to any one of them.
    pub(crate) fn start(world: &Arc<World>, origins: &watch::Receiver<Vec<String>>, seed: u64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = |number: u64| {
            // Other sequences than the catalogue's own, whose ids they would repeat.
            let random = fastrand::Rng::with_seed(seed.wrapping_add(1000 + number));
            tokio::spawn(send(world.clone(), origins.clone(), stop.clone(), random))
        };
        Load {
            senders: (0..4).map(sender).collect(),
            stop,
        }
    }

    /// Lets every delivery begun come to its 200, and says what was sent.
    pub(crate) async fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for sender in self.senders {
            let sent = sender.await.unwrap();
            all.deliveries += sent.deliveries;
            all.unanswered += sent.unanswered;
            all.changes.extend(sent.changes);
        }
        all
    }
}

async fn send(
    world: Arc<World>,
    origins: watch::Receiver<Vec<String>>,
    stop: Arc<AtomicBool>,
    mut random: fastrand::Rng,
) -> Sent {
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        let changes = edit(&world, &mut random);
        let format = if random.bool() {
            Format::EventPlatform(Secrets::primary(PLATFORM_SECRET))
        } else {
            Format::EventsApi(LEGACY_SECRET.to_owned())
        };
        // A failed delivery is repeated, as the platform does: what nobody acknowledged may be lost.
        for delivery in Plan::new(format, now_ms() / 1000, random.u64(..)).deliveries(&changes) {
            loop {
                let origin = random.choice(origins.borrow().iter()).unwrap().clone();
                if Sender::new(&origin).send(&delivery).await == Ok(200) {
                    break;
                }
                sent.unanswered += 1;
                sleep(Duration::from_millis(random.u64(..PAUSE_MAX_MS))).await;
            }
            sent.deliveries += 1;
        }
        sent.changes.extend(changes.iter().map(Acknowledged::of));
        sleep(Duration::from_millis(random.u64(..PAUSE_MAX_MS))).await;
    }
    sent
}

/// One to three edits.
fn edit(world: &World, random: &mut fastrand::Rng) -> Vec<Change> {
    world.pim.with(|pim| {
        let mut changes = Vec::new();
        for _ in 0..random.usize(1..=3) {
            let edit = pim.catalogue.random_edit(random);
            changes.extend(pim.edit(&edit, now_ms()).unwrap());
        }
        changes
    })
}
