//! What people do, at moments that do not suit: a brake released while a walk is under way, another destination adopted,
//! clocks that were wrong.

use model::entity::{Entity, Kind, Segment};
use queue::key::{Change, EventKey, Extent, Key, RetryKey};
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::Fault;
use std::collections::BTreeSet;
use tests::simulation::stage::Stage;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

const WALK: &str = r#"{"v":1,"do":"reconcile","scan":"full"}"#;
const RELEASE: &str = r#"{"v":1,"do":"release-brake"}"#;

fn delete(entity: &EntityId) -> Edit {
    Edit::new(entity.clone(), Action::Delete)
}

fn touch(entity: &EntityId) -> Edit {
    Edit::new(entity.clone(), Action::Touch)
}

/// A stage on which a walk withholds deletions of so many products.
fn withheld(products: usize, gone: usize, seed: u64) -> Stage {
    let mut stage = Stage::with(products, 0, seed, |_, worker| worker.reconciliation.recent_s = None);
    stage.walk();
    for product in stage.products().iter().take(gone) {
        stage.edit(&delete(product));
    }
    stage.run_for(5 * MINUTE_MS);
    stage.command(WALK);
    stage.run_until(HOUR_MS, "the brake withholds", |stage| {
        stage.reconciliation().walk.withheld == gone as u64
    });
    stage
}

/// The next walk stands at its first, at a later or at its last page of products when the brake is released.
#[test]
fn what_is_withheld_goes_when_the_brake_is_released_whatever_walk_is_under_way() {
    for (pages, seed) in [(0, 81), (3, 82), (5, 83)] {
        let mut stage = withheld(600, 100, seed);
        let search = "/api/rest/v1/products-uuid/search";
        stage.world().pim.faults.add(Fault {
            entity: Some(r#""{}""#.to_owned()),
            ..Fault::always(Fault::status(503)).path(search).after(pages)
        });
        stage.command(WALK);
        stage.run_for(5 * MINUTE_MS);
        assert!(stage.reconciliation().walk.step.is_some(), "it is under way");
        stage.command(RELEASE);
        stage.run_for(50 * MINUTE_MS);
        assert!(stage.reconciliation().walk.step.is_some(), "it is under way still");
        assert_eq!(
            (stage.pushes("DELETE"), stage.reconciliation().walk.withheld),
            (100, 0),
            "after {pages} pages"
        );
        stage.world().pim.faults.clear();
        stage.run_for(3 * HOUR_MS);
        assert_eq!(
            (stage.pushes("DELETE"), stage.reconciliation().walk.withheld),
            (100, 0),
            "after {pages} pages"
        );
        assert_eq!(stage.differences(), []);
    }
}

/// What one walk missed and a later one meets is not deleted by a release, nor read.
#[test]
fn what_came_back_is_let_alone_by_a_release() {
    let mut stage = Stage::with(300, 0, 84, |_, worker| worker.reconciliation.recent_s = None);
    stage.walk();
    let products = stage.products();
    let hidden: Vec<EntityId> = products.iter().step_by(3).cloned().collect();
    stage.world().pim.config.hidden.extend(hidden.iter().cloned());
    stage.run_for(5 * MINUTE_MS);
    stage.command(WALK);
    stage.run_until(HOUR_MS, "the brake withholds", |stage| {
        stage.reconciliation().walk.withheld == 100
    });
    // Half of them are seen again.
    for product in hidden.iter().take(50) {
        stage.world().pim.config.hidden.remove(product);
    }
    stage.command(WALK);
    stage.run_until(HOUR_MS, "fewer are withheld", |stage| {
        stage.reconciliation().walk.withheld == 50
    });
    stage.forget();
    stage.command(RELEASE);
    stage.run_for(HOUR_MS);
    assert_eq!(stage.pushes("DELETE"), 50);
    let by_id = |call: &&simulator::pim::Call| call.kind == simulator::pim::CallKind::ProductById;
    let world = stage.world();
    let read: BTreeSet<&str> = world
        .pim
        .calls
        .iter()
        .filter(by_id)
        .map(|call| call.path.as_str())
        .collect();
    assert_eq!(read.len(), 50);
}

fn adopt(empty_index: bool, destination: &str) -> String {
    let configured = json!({ "v": 1, "pim": "http://pim.test", "destination": destination, "shape": "identity" });
    json!({ "v": 1, "do": "adopt", "empty_index": empty_index, "configured": configured }).to_string()
}

fn is_tried(stage: &Stage, product: &EntityId) -> bool {
    let world = stage.world();
    world
        .destination
        .log
        .iter()
        .any(|push| push.path.ends_with(&product.key()))
}

/// What the former destination refused is new to one that has nothing, and refused still by the same one elsewhere.
#[test]
fn what_a_former_destination_refused_is_tried_at_an_empty_one() {
    for (empty_index, seed) in [(true, 85), (false, 86)] {
        let mut first = Stage::with(30, 0, seed, |shared, _| {
            let products: Vec<EntityId> = shared
                .pim
                .catalogue
                .truth()
                .products(None)
                .map(|one| one.id.clone())
                .collect();
            shared.destination.reject(&products[4].key(), "no");
        });
        first.walk();
        let refused = first.products()[4].clone();
        let store = first.world().store.clone();
        assert!(store.keys().any(|key| key.contains(".d.p.")));
        drop(first);
        let mut second = Stage::with(30, 0, seed, |shared, worker| {
            shared.store = store;
            if let Some(destination) = &mut worker.destination {
                destination.path = "/v2".to_owned();
            }
        });
        // Ten seconds behind the letter at least: the second world begins where the first did.
        second.run_for(DAY_MS);
        second.command(&adopt(empty_index, "http://destination.test/v2"));
        second.run_for(26 * HOUR_MS);
        assert_eq!(is_tried(&second, &refused), empty_index);
        // The record is kept over the next adoption, and what the new one refuses is not tried each day.
        if empty_index {
            second.world().destination.reject(&refused.key(), "no");
            second.edit(&touch(&refused));
            second.run_for(2 * HOUR_MS);
            second.forget();
            second.run_for(3 * DAY_MS);
            assert!(!is_tried(&second, &refused));
        }
    }
}

/// An adoption that was left while the worker was down, and then something else came to be configured.
#[test]
fn an_adoption_of_what_is_not_configured_any_more_is_refused() {
    let mut first = Stage::new(30, 0, 87);
    first.walk();
    let store = first.world().store.clone();
    drop(first);
    for command in [
        adopt(true, "http://destination.test/v2"),
        adopt(true, "http://destination.test"),
        r#"{"v":1,"do":"adopt","empty_index":true}"#.to_owned(),
    ] {
        let mut stage = Stage::with(30, 0, 87, |shared, worker| {
            shared.store = store.clone();
            if let Some(destination) = &mut worker.destination {
                destination.path = "/v3".to_owned();
            }
        });
        stage.command(&command);
        stage.run_for(2 * HOUR_MS);
        assert!(stage.world().destination.log.is_empty(), "{command}");
        assert!(stage.world().alerts.contains("not-adopted"), "{command}");
        stage.command(&adopt(true, "http://destination.test/v3"));
        stage.run_for(2 * HOUR_MS);
        assert_eq!(stage.pushes("PUT"), 30, "{command}");
    }
}

/// What waits for days, for a person or an upstream, does not keep reconciliation from its looks, whatever the mark.
#[test]
fn what_waits_does_not_stop_the_looks() {
    for (mark, waiting) in [(400, 1), (10_000, 1), (10_000, 2500), (10_000, 9000), (1_000_000, 3)] {
        let mut stage = Stage::with(60, 0, 88, |_, worker| worker.high_water = mark);
        stage.walk();
        let keys = Keyspace::new("main");
        let now_s = stage.now_ms() / 1000;
        for number in 0..waiting {
            let entity = Entity::new(Kind::Product, &format!("waiting-{number}"));
            let retry = RetryKey {
                entity: entity.clone(),
                attempts: 1,
                hold: None,
                due_s: now_s + 86_000,
            };
            let event = EventKey {
                time_s: now_s,
                change: Change::Updated,
                floor_s: None,
                entity,
                id: Segment::of("x"),
            };
            let mut world = stage.world();
            let value = json!({ "v": 1, "code": format!("waiting-{number}"), "failures": [] }).to_string();
            world.store.insert(keys.encode(&Key::Retry(retry)), value.into_bytes());
            world.store.insert(
                keys.encode(&Key::Event(event)),
                br#"{"v":1,"code":"x","at_ms":0,"event":""}"#.to_vec(),
            );
        }
        stage.run_for(HOUR_MS);
        for product in stage.products().iter().step_by(7) {
            stage.edit(&touch(product));
        }
        stage.run_for(2 * HOUR_MS);
        assert_eq!(stage.differences(), [], "a mark of {mark}, {waiting} wait");
    }
}

fn change_record(stage: &Stage, name: &str, change: impl FnOnce(&mut Value)) {
    let mut world = stage.world();
    let record = world.store.get_mut(&format!("r1.main.{name}")).expect("a record");
    let mut value: Value = serde_json::from_slice(record).expect("JSON");
    change(&mut value);
    *record = value.to_string().into_bytes();
}

/// The name of the index page that an entity is on.
fn index_page(stage: &Stage, entity: &Entity) -> String {
    let (keys, place) = (Keyspace::new("main"), index::entry::place_of(entity));
    let world = stage.world();
    let is_its_page = |key: &&String| match keys.parse(key) {
        Some(Key::IndexPage(kind, extent, _)) => kind == entity.kind && extent.contains(place),
        _ => false,
    };
    let key = world.store.keys().find(is_its_page).expect("its page");
    key["r1.main.".len()..].to_owned()
}

/// A release that lies further ahead than it can is of a clock that was: the brake holds.
#[test]
fn a_release_by_a_clock_that_was_ahead_is_not_believed() {
    for ahead_s in [2 * 3600, 365 * 86_400] {
        let mut stage = withheld(300, 60, 89);
        let until_s = stage.now_ms() / 1000 + ahead_s;
        change_record(&stage, "state", |state| {
            state["brake"]["released_until_s"] = json!(until_s)
        });
        stage.run_for(3 * HOUR_MS);
        assert_eq!(
            (stage.pushes("DELETE"), stage.reconciliation().walk.withheld),
            (0, 60),
            "{ahead_s} s ahead"
        );
    }
}

/// Some PIMs write `updated` hours ahead of their own clock: a product that is gone is found all the same.
#[test]
fn a_product_whose_updated_lies_ahead_is_found_gone() {
    for ahead_s in [3600, 5 * 3600, 400 * 86_400] {
        let mut stage = Stage::with(60, 0, 90, |_, worker| worker.reconciliation.recent_s = None);
        stage.walk();
        let gone = stage.products()[11].clone();
        let updated_s = stage.now_ms() / 1000 + ahead_s;
        let entity = Entity::new(Kind::Product, &gone.key());
        let page = index_page(&stage, &entity);
        let segment = entity.segment.as_str().to_owned();
        change_record(&stage, &page, |page| page["entries"][segment]["u"] = json!(updated_s));
        stage.edit(&delete(&gone));
        stage.run_for(5 * MINUTE_MS);
        stage.walk();
        assert_eq!(stage.pushes("DELETE"), 1, "{ahead_s} s ahead");
    }
}

/// A look that was taken by a PIM whose clock was ahead hides nothing that changes after it.
#[test]
fn a_watermark_that_lies_ahead_hides_no_change() {
    for ahead_s in [1200_i64, 7 * 3600, 400 * 86_400] {
        let mut stage = Stage::with(60, 0, 91, |_, worker| {
            // Longer than the looks overlap.
            (worker.reconciliation.walk_s, worker.reconciliation.recent_s) = (None, Some(3600));
        });
        stage.walk();
        let ahead = ahead_s * 1000;
        stage.world().pim.config.clock_skew_ms = ahead;
        stage.edit(&touch(&stage.products()[3]));
        stage.command(r#"{"v":1,"do":"reconcile","scan":"recent"}"#);
        stage.run_for(3 * MINUTE_MS);
        let last = stage
            .reconciliation()
            .looks
            .at(Kind::Product)
            .last
            .clone()
            .expect("a look");
        assert!(last.date_s > Some(stage.now_ms() / 1000 + 900), "{last:?}");
        stage.world().pim.config.clock_skew_ms = 0;
        let product = stage.products()[7].clone();
        stage.edit(&touch(&product));
        stage.run_for(3 * HOUR_MS);
        assert_eq!(stage.differences(), [], "{ahead_s} s ahead");
    }
}

/// Tokens of other credentials, lists of another shape, markings of models that are gone.
#[test]
fn a_walk_sweeps_out_what_nobody_needs() {
    let mut stage = Stage::new(40, 6, 92);
    stage.walk();
    let keys = Keyspace::new("main");
    let old = [
        Key::Token(Segment::of("other credentials")),
        Key::List(queue::key::ListKey::Options(Segment::of("finish"))),
        Key::Fanout(Entity::new(Kind::ProductModel, "gone")),
    ];
    let old: Vec<String> = old.iter().map(|key| keys.encode(key)).collect();
    let before: Vec<String> = stage.world().store.keys().cloned().collect();
    for key in &old {
        stage.world().store.insert(key.clone(), b"{}".to_vec());
    }
    stage.walk();
    let after: Vec<String> = stage.world().store.keys().cloned().collect();
    assert_eq!(after, before);
}

/// A worker of an earlier version knows no pages that were split, and pushes all that they held once more. Whoever goes
/// forward again after that finds two entries of everything, of which the older one counts more pushes.
#[test]
fn what_an_earlier_version_did_not_know_is_forgotten() {
    let mut stage = Stage::new(6, 0, 94);
    let product = Entity::new(Kind::Product, &stage.products()[0].key());
    stage.walk();
    assert_eq!(stage.differences(), []);
    let place = index::entry::place_of(&product);
    let split = |stage: &Stage| {
        let (keys, world) = (Keyspace::new("main"), stage.world());
        let is_split = |key: &&String| match keys.parse(key) {
            Some(Key::IndexPage(_, extent, _)) => extent != Extent::around(extent.first),
            _ => false,
        };
        world.store.keys().filter(is_split).count()
    };
    let extent = Extent {
        first: place,
        last: place,
    };
    let key = Key::IndexPage(Kind::Product, extent, Some((Segment::of("before"), 7)));
    let entry = json!({ "h": "of another content", "u": 5, "n": 99 });
    let page = json!({ "v": 1, "entries": { product.segment.as_str(): entry } }).to_string();
    let key = Keyspace::new("main").encode(&key);
    stage.world().store.insert(key, page.clone().into_bytes());
    // Nor does it know a page that was never split, of a worker that had written hundreds before.
    let key = Key::IndexPage(Kind::Product, Extent::around(place), Some((Segment::of("before"), 300)));
    let unread = Keyspace::new("main").encode(&key);
    stage.world().store.insert(unread.clone(), page.into_bytes());
    change_record(&stage, "meta", |meta| meta["v"] = json!(1));
    let changed = stage.products()[0].clone();
    stage.forget();
    stage.tell(&Edit::new(changed.clone(), Action::Touch));
    stage.run_until(HOUR_MS, "it is pushed", |stage| {
        stage.is_quiet() && stage.pushes("PUT") == 1
    });
    assert_eq!(split(&stage), 0, "the page of before is gone");
    assert!(!stage.world().store.contains_key(&unread), "and the other one, too");
    change_record(&stage, "meta", |meta| {
        assert_eq!(meta["v"], 2);
    });
    // What lies there is known: a walk finds nothing to be pushed.
    stage.forget();
    stage.walk();
    assert_eq!((stage.pushes("PUT"), stage.differences()), (0, vec![]));
}

/// A person pauses the worker for a day: nothing is read or sent, nothing is lost, and it goes on where it was.
#[test]
fn while_it_is_paused_nothing_goes_out_and_nothing_is_lost() {
    let mut stage = Stage::new(30, 4, 95);
    stage.walk();
    stage.command(r#"{"v":1,"do":"pause"}"#);
    stage.run_for(2 * MINUTE_MS);
    stage.forget();
    for product in stage.products() {
        stage.tell(&Edit::new(product, Action::Touch));
    }
    let gone = stage.products()[3].clone();
    stage.tell(&delete(&gone));
    stage.run_for(DAY_MS);
    let calls = stage.world().pim.calls.len();
    assert_eq!((calls, stage.pushes("PUT") + stage.pushes("DELETE")), (0, 0));
    assert!(stage.events() >= 30 && stage.dead_letters() == 0);
    change_record(&stage, "state", |state| {
        assert!(state["paused_s"].is_u64(), "{state}");
        assert_eq!(
            state["pace"]["stalled"].as_u64().unwrap_or(0),
            0,
            "a pause is no standstill: {state}"
        );
    });
    stage.command(r#"{"v":1,"do":"resume"}"#);
    stage.run_until(HOUR_MS, "it goes on", |stage| {
        stage.is_quiet() && stage.differences().is_empty()
    });
    assert_eq!(stage.dead_letters(), 0);
}
