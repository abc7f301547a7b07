//! However much comes at once, it is done in the time that its calls take, and nothing stands behind it for good.

use crate::acts::{
    HOUR_MS, MINUTE_MS, SECOND_MS, become_equal, by_events_alone, delete, slow_down_the_pim, tell_all, touch,
    until_pushed,
};
use model::entity::{Entity, Kind};
use queue::key::{Key, RetryKey};
use queue::keyspace::Keyspace;
use serde_json::json;
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;
use world::mistake::Mistake;

/// How long this many models may take: three calls of the PIM for each, and five minutes.
fn models_ms(count: usize, latency_ms: u64) -> u64 {
    count as u64 * 3 * latency_ms + 5 * MINUTE_MS
}

#[test]
fn models_that_change_at_once_are_pushed_in_the_time_that_their_calls_take() {
    for (count, latency_ms) in [(40, 500), (60, 200), (100, 100), (180, 300), (400, 50)] {
        let mut stage = Stage::with(60, count, 21, |_, worker| by_events_alone(worker));
        become_equal(&mut stage);
        slow_down_the_pim(&stage, latency_ms);
        let (models, begun_ms) = (stage.models(), stage.now_ms());
        tell_all(&mut stage, &models);
        let what = format!("{count} models, {latency_ms} ms a call");
        until_pushed(&mut stage, &models, begun_ms, models_ms(count, latency_ms), &what);
        // A product that is told of meanwhile, and their variants.
        let (product, told_ms) = (stage.products()[5].clone(), stage.now_ms());
        stage.tell(&touch(&product));
        until_pushed(&mut stage, &[product], told_ms, models_ms(count, latency_ms), &what);
        stage.run_until(HOUR_MS, &what, |stage| stage.is_quiet());
        assert_eq!(stage.differences(), []);
        let calls = stage.world().pim.calls.len();
        let pushes = stage.pushes("PUT");
        println!("{what}: {calls} calls of the PIM and {pushes} pushes");
        assert!(pushes <= 2 * count + 60, "{what}: {pushes} pushes");
    }
}

/// Marking that forgets how far it came would never let one of them be pushed.
#[test]
fn the_mistake_of_forgetting_how_far_marking_came_is_seen() {
    let mut stage = Stage::with(60, 400, 21, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    slow_down_the_pim(&stage, 12 * SECOND_MS);
    stage.make(Some(Mistake::ForgetMarking));
    let models = stage.models();
    tell_all(&mut stage, &models);
    stage.run_for(2 * HOUR_MS);
    stage.make(None);
    let pushed = models.iter().filter(|model| stage.lag_ms(model, 0).is_some()).count();
    assert!(pushed < models.len(), "all are pushed all the same");
}

#[test]
fn models_that_are_pushed_by_force_go_on_too() {
    for (count, latency_ms) in [(60, 300), (120, 200)] {
        let mut stage = Stage::with(60, count, 22, |_, worker| by_events_alone(worker));
        become_equal(&mut stage);
        slow_down_the_pim(&stage, latency_ms);
        let (models, begun_ms) = (stage.models(), stage.now_ms());
        stage.command(r#"{"v":1,"do":"reconcile","scan":"full","force":true}"#);
        let most_ms = models_ms(count, latency_ms) + 5 * MINUTE_MS;
        until_pushed(&mut stage, &models, begun_ms, most_ms, "by force");
    }
}

/// The relay's own events are put off while a quarter of the mark waits: models then wait with them, and do not go round.
#[test]
fn models_are_not_pushed_again_and_again_while_much_waits() {
    for (models, products) in [(150, 700), (40, 650)] {
        let mut stage = Stage::with(products, models, 24, |_, worker| {
            by_events_alone(worker);
            worker.high_water = 2000;
            worker.destination_rate = 100;
        });
        become_equal(&mut stage);
        // An outage in which everything is edited; then a second a push, five at once.
        stage.world().destination.faults.add(Fault::always(Fault::status(503)));
        let all = [stage.models(), stage.products()].concat();
        tell_all(&mut stage, &all);
        stage.run_for(10 * MINUTE_MS);
        stage.world().destination.faults.clear();
        stage.forget();
        stage
            .world()
            .destination
            .faults
            .add(Fault::always(Effect::Slow { ms: SECOND_MS }));
        stage.run_until(HOUR_MS, "all is pushed", |stage| stage.is_quiet());
        assert_eq!(stage.differences(), []);
        let pushes = stage.pushes("PUT");
        println!("{models} models and {products} products: {pushes} pushes");
        assert!(pushes <= 2 * (models + products), "{pushes} pushes");
    }
}

#[test]
fn a_destination_that_is_down_costs_no_events_of_our_own() {
    let mut stage = Stage::with(2000, 2, 38, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    let variants = {
        let world = stage.world();
        let products = world.pim.catalogue.truth().products(None);
        products.filter(|product| product.parent.is_some()).count()
    };
    stage.world().destination.faults.add(Fault::always(Fault::status(503)));
    let models = stage.models();
    tell_all(&mut stage, &models);
    for _ in 0..4 {
        stage.run_for(HOUR_MS);
        let waiting = stage.events();
        assert!(waiting <= 3 * variants, "{waiting} events for {variants} variants");
    }
}

#[test]
fn what_is_told_stands_before_what_is_only_looked_at_again() {
    let mut stage = Stage::with(2000, 0, 26, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    slow_down_the_pim(&stage, 800);
    let (keys, now_s) = (Keyspace::new("main"), stage.now_ms() / 1000);
    let products = stage.products();
    for product in &products {
        let entity = Entity::new(Kind::Product, &product.key());
        let due_s = now_s - 1;
        let recheck = RetryKey {
            entity,
            attempts: 0,
            hold: None,
            due_s,
        };
        let value = json!({"v": 1, "code": product.key(), "failures": []}).to_string();
        stage
            .world()
            .store
            .insert(keys.encode(&Key::Retry(recheck)), value.into_bytes());
    }
    let (last, told_ms) = (products[1999].clone(), stage.now_ms());
    stage.tell(&touch(&last));
    until_pushed(&mut stage, &[last], told_ms, 15 * SECOND_MS, "behind rechecks");
}

#[test]
fn many_deletions_hold_up_nothing_for_longer_than_a_minute() {
    let mut stage = Stage::with(2000, 0, 52, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    slow_down_the_pim(&stage, 200);
    let products = stage.products();
    for product in &products[500..] {
        stage.tell(&delete(product));
    }
    for product in products.iter().take(400).step_by(20) {
        stage.run_for(15 * SECOND_MS);
        let told_ms = stage.now_ms();
        stage.tell(&touch(product));
        until_pushed(
            &mut stage,
            std::slice::from_ref(product),
            told_ms,
            MINUTE_MS,
            "behind deletions",
        );
    }
}

/// A list of more than ten thousand elements cannot be read to its end: those that need it wait, and nobody else.
#[test]
fn a_list_without_an_end_holds_up_only_those_that_need_it() {
    const SHAPE: &str = r#"{
        "products": {"values": {"form": "flat", "locales": ["en_US"]}, "fields": [{"from": "/uuid", "to": "/id"}, {"from": "/categories", "as": "label", "to": "/shelves"}]},
        "product-models": {"values": {"form": "flat", "locales": ["en_US"]}, "fields": [{"from": "/code", "to": "/id"}, {"from": "/family", "as": "label", "to": "/family"}, {"from": "/updated", "to": "/updated"}]}
    }"#;
    let mut stage = Stage::with(10, 6, 51, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(SHAPE).expect("a good shape");
        for number in 0..10_010 {
            let category = EntityId::Category(format!("shelf_{number:05}"));
            let edit = Edit::new(category, Action::create_below("workshop"));
            world.pim.catalogue.edit(&edit, 1_000_000).expect("it is new");
        }
    });
    let product = stage.products()[0].clone();
    stage.tell(&touch(&product));
    stage.run_for(30 * MINUTE_MS);
    for model in stage.models().iter().cycle().take(12) {
        let told_ms = stage.now_ms();
        stage.tell(&touch(model));
        until_pushed(&mut stage, std::slice::from_ref(model), told_ms, MINUTE_MS, "a model");
        stage.run_for(7 * MINUTE_MS);
    }
}

/// One entity with thousands of events, whose next try is a day away, keeps the others from nothing.
#[test]
fn one_entity_with_many_events_keeps_reconciliation_from_nothing() {
    let mut stage = Stage::with(60, 0, 54, |_, worker| worker.high_water = 10_000);
    become_equal(&mut stage);
    let products = stage.products();
    let (keys, now_s) = (Keyspace::new("main"), stage.now_ms() / 1000);
    let entity = Entity::new(Kind::Product, &products[59].key());
    let retry = RetryKey {
        entity: entity.clone(),
        attempts: 1,
        hold: None,
        due_s: now_s + 20 * 3600,
    };
    {
        let mut world = stage.world();
        let value = json!({"v": 1, "code": products[59].key(), "failures": []}).to_string();
        world.store.insert(keys.encode(&Key::Retry(retry)), value.into_bytes());
        for number in 0..2450 {
            let event = queue::key::EventKey {
                time_s: now_s,
                change: queue::key::Change::Updated,
                floor_s: None,
                entity: entity.clone(),
                id: model::entity::Segment::of(&format!("event{number}")),
            };
            let value = json!({"v": 1, "code": products[59].key(), "at_ms": 0, "event": ""}).to_string();
            world.store.insert(keys.encode(&Key::Event(event)), value.into_bytes());
        }
    }
    stage.run_for(10 * MINUTE_MS);
    stage.edit(&touch(&products[3]));
    stage.run_until(3 * HOUR_MS, "an edit that nobody told of", |stage| {
        stage.differences().is_empty()
    });
}

/// The reading, the marking and the pushing of a batch are then in ticks of their own.
#[test]
fn a_pim_that_takes_most_of_a_tick_for_every_call_is_got_through_too() {
    let mut stage = Stage::with(60, 400, 21, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    slow_down_the_pim(&stage, 12 * SECOND_MS);
    let (models, begun_ms) = (stage.models(), stage.now_ms());
    tell_all(&mut stage, &models);
    until_pushed(&mut stage, &models, begun_ms, HOUR_MS, "12 s a call");
    stage.run_until(HOUR_MS, "all", |stage| {
        stage.is_quiet() && stage.differences().is_empty()
    });
}
