//! What the tests of this program do on a stage, and how long that may take.

use config::WorkerConfig;
use model::entity::{Entity, Kind};
use queue::key::Extent;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::{Effect, Fault};
use tests::simulation::host::Shared;
use tests::simulation::nature::Latency;
use tests::simulation::stage::Stage;

pub(crate) const SECOND_MS: u64 = 1000;
pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const HOUR_MS: u64 = 3_600_000;
pub(crate) const DAY_MS: u64 = 86_400_000;

/// A shape that sends little of products, and nothing else: what else changes makes no difference.
pub(crate) const LITTLE: &str = r#"{"products": {"fields": [{"from": "/uuid", "to": "/id"}, {"from": "/enabled", "to": "/enabled"}]}, "product-models": false}"#;

pub(crate) fn touch(entity: &EntityId) -> Edit {
    Edit::new(entity.clone(), Action::Touch)
}

pub(crate) fn delete(entity: &EntityId) -> Edit {
    Edit::new(entity.clone(), Action::Delete)
}

/// Reconciliation does nothing unless it is asked.
pub(crate) fn by_events_alone(worker: &mut WorkerConfig) {
    (worker.reconciliation.recent_s, worker.reconciliation.walk_s) = (None, None);
}

/// Events alone drive the worker, in ticks that stay, and each upstream takes so long for a call, in milliseconds.
pub(crate) fn by_events_that_ticks_wait_for(
    world: &mut Shared,
    worker: &mut WorkerConfig,
    (pim_ms, push_ms): (u64, u64),
) {
    by_events_alone(worker);
    (worker.tick_s, worker.watch_s) = (25, 50);
    let about = |ms: u64| Latency {
        least_ms: ms,
        most_ms: ms + 1,
        per_entity_ms: 0,
    };
    (world.nature.pim, world.nature.destination) = (about(pim_ms), about(push_ms));
}

/// Lets the destination become equal, and what was seen until then be forgotten.
pub(crate) fn become_equal(stage: &mut Stage) {
    stage.walk();
    assert_eq!(stage.differences(), []);
    stage.run_for(5 * MINUTE_MS);
    stage.forget();
}

/// Every call of the PIM's API takes this much longer from now on.
pub(crate) fn slow_down_the_pim(stage: &Stage, ms: u64) {
    let slow = Fault::always(Effect::Slow { ms }).path("/api/rest/v1/");
    stage.world().pim.faults.add(slow);
}

pub(crate) fn tell_all(stage: &mut Stage, entities: &[EntityId]) {
    for entity in entities {
        stage.tell(&touch(entity));
    }
}

/// Runs until every one of these is pushed; that must come about within this time.
pub(crate) fn until_pushed(stage: &mut Stage, entities: &[EntityId], since_ms: u64, most_ms: u64, what: &str) {
    let until_ms = since_ms + most_ms;
    let mut left: Vec<&EntityId> = entities.iter().collect();
    loop {
        left.retain(|entity| stage.lag_ms(entity, since_ms).is_none());
        if left.is_empty() {
            return;
        }
        let now_ms = stage.now_ms();
        assert!(
            now_ms < until_ms,
            "{what}: {} of {} are not pushed after {} s; {} events wait",
            left.len(),
            entities.len(),
            (now_ms - since_ms) / 1000,
            stage.events()
        );
        stage.run_for(10 * SECOND_MS);
    }
}

/// The page of the index that a product lies on, before it is ever split.
pub(crate) fn page_of(product: &EntityId) -> Extent {
    Extent::around(index::entry::place_of(&Entity::new(Kind::Product, &product.key())))
}

/// Whether a product is enabled, as the destination has it under that shape.
pub(crate) fn enabled(stage: &Stage, product: &EntityId) -> Option<bool> {
    let world = stage.world();
    let stored = world.destination.state.get(&format!("/products/{}", product.key()))?;
    stored.body()["enabled"].as_bool()
}
