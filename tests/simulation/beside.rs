//! A walk that reads its pages while batches are pushed: what it sees of entities that are being pushed is neither believed
//! nor forgotten.

use crate::acts::{
    HOUR_MS, LITTLE, MINUTE_MS, SECOND_MS, become_equal, by_events_that_ticks_wait_for, delete, enabled, page_of,
    slow_down_the_pim, tell_all,
};
use model::entity::{Entity, Kind, Segment};
use queue::key::Key;
use queue::keyspace::Keyspace;
use records::reconciliation::Step;
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;

fn passed(stage: &Stage) -> Option<(u64, String)> {
    match stage.reconciliation().walk.step {
        Some(Step::List {
            kind: Kind::Product,
            scan,
            passed,
            ..
        }) => Some((scan.pages, passed.unwrap_or_default())),
        _ => None,
    }
}

fn has_flight(stage: &Stage) -> bool {
    stage.world().store.keys().any(|key| key.starts_with("r1.main.f."))
}

/// A walk is at its fourth page or behind, and one product of each page is told of and is being pushed. Gives those told
/// of with what they were, and what the walk has passed.
fn under_way(seed: u64) -> (Stage, Vec<(EntityId, bool)>, String) {
    let mut stage = Stage::with(2000, 0, seed, |world, worker| {
        worker.shape = Shape::read(LITTLE).expect("a good shape");
        by_events_that_ticks_wait_for(world, worker, (50, 50));
    });
    stage.walk();
    stage.run_for(5 * MINUTE_MS);
    let told: Vec<(EntityId, bool)> = stage
        .products()
        .iter()
        .skip(50)
        .step_by(100)
        .map(|id| (id.clone(), enabled(&stage, id).expect("there")))
        .collect();
    let mut changes = Vec::new();
    for (id, was) in &told {
        changes.extend(stage.edit(&Edit::new(id.clone(), Action::Enable { enabled: !was })));
    }
    // Their `updated` is old when they are told of.
    stage.run_for(10 * MINUTE_MS);
    let slow = Fault::always(Effect::Slow { ms: 3000 });
    stage.world().destination.faults.add(slow);
    stage.forget();
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
    while passed(&stage).is_none_or(|(pages, _)| pages < 4) {
        stage.run_for(50);
    }
    stage.tell_now(&changes);
    while !has_flight(&stage) {
        stage.run_for(20);
    }
    let (_, at) = passed(&stage).expect("a walk");
    (stage, told, at)
}

fn until_over(stage: &mut Stage) {
    stage.run_for(SECOND_MS);
    stage.run_until(HOUR_MS, "the walk ends", |stage| {
        let walk = stage.reconciliation().walk;
        walk.step.is_none() && walk.raising.is_none() && stage.is_quiet()
    });
    stage.run_for(30 * MINUTE_MS);
}

/// Nobody tells that it is as it was before the push.
#[test]
fn a_content_that_comes_back_while_another_is_pushed_is_found() {
    let (mut stage, told, at) = under_way(71);
    let later: Vec<_> = told.iter().filter(|(id, _)| id.key() > at).collect();
    for (id, was) in &later {
        stage.edit(&Edit::new(id.clone(), Action::Enable { enabled: *was }));
    }
    until_over(&mut stage);
    let wrong: Vec<_> = later
        .iter()
        .filter(|(id, was)| enabled(&stage, id) != Some(*was))
        .map(|(id, _)| id.key())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", later.len());
}

/// Nobody tells of the deletion.
#[test]
fn what_is_deleted_while_it_is_pushed_is_found() {
    let (mut stage, told, at) = under_way(72);
    let later: Vec<_> = told.iter().filter(|(id, _)| id.key() > at).take(4).collect();
    for (id, _) in &later {
        stage.edit(&delete(id));
    }
    until_over(&mut stage);
    let wrong: Vec<_> = later
        .iter()
        .filter(|(id, _)| enabled(&stage, id).is_some())
        .map(|(id, _)| id.key())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} of {}", later.len());
}

/// A page that another worker wrote late appears in the listing that is made while a batch is pushed: two contents of one
/// entity.
#[test]
fn what_two_workers_pushed_is_pushed_anew_although_the_listing_is_made_beside() {
    let (mut stage, told, at) = under_way(73);
    let (x, _) = told.iter().rfind(|(id, _)| id.key() < at).expect("one").clone();
    let y = stage
        .products()
        .into_iter()
        .find(|id| *id != x && page_of(id) == page_of(&x) && id.key() < at && told.iter().all(|(told, _)| told != id))
        .expect("a neighbour");
    let segment = Entity::new(Kind::Product, &y.key()).segment;
    let value = {
        let world = stage.world();
        let found = world
            .store
            .iter()
            .find(|(key, value)| {
                key.starts_with("r1.main.i.p.") && String::from_utf8_lossy(value).contains(segment.as_str())
            })
            .expect("its page");
        found.1.clone()
    };
    let mut page: serde_json::Value = serde_json::from_slice(&value).expect("JSON");
    let entries = page["entries"].as_object_mut().expect("entries");
    entries.retain(|known, _| known == segment.as_str());
    let entry = entries.values_mut().next().expect("its entry");
    entry["h"] = serde_json::json!("another");
    let late = Keyspace::new("main").encode(&Key::IndexPage(
        Kind::Product,
        page_of(&y),
        Some((Segment::of("late"), 1)),
    ));
    stage
        .world()
        .store
        .insert(late, serde_json::to_vec(&page).expect("JSON"));
    let since_ms = stage.now_ms();
    until_over(&mut stage);
    assert!(
        stage.lag_ms(&y, since_ms).is_some(),
        "nobody pushed what two workers pushed differently"
    );
}

/// The PIM takes ten seconds for a list.
#[test]
fn outcomes_are_kept_while_the_next_list_is_read() {
    let mut stage = Stage::with(300, 0, 74, |world, worker| {
        by_events_that_ticks_wait_for(world, worker, (1, 1));
    });
    become_equal(&mut stage);
    slow_down_the_pim(&stage, 10_000);
    stage.forget();
    let products = stage.products();
    tell_all(&mut stage, &products);
    while stage.pushes("PUT") < 100 {
        stage.run_for(20);
    }
    let from_ms = stage.now_ms();
    while stage.events() > 200 {
        stage.run_for(20);
    }
    let took_ms = stage.now_ms() - from_ms;
    assert!(took_ms < 3000, "kept {took_ms} ms after the last push");
}
