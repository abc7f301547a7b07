//! A released brake lets go what it held, whatever walks there are meanwhile.

use crate::acts::{HOUR_MS, MINUTE_MS, become_equal, delete};
use model::entity::Segment;
use queue::key::Key;
use queue::keyspace::Keyspace;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::Fault;
use tests::simulation::stage::Stage;

const WALK: &str = r#"{"v":1,"do":"reconcile","scan":"full"}"#;
const RELEASE: &str = r#"{"v":1,"do":"release-brake"}"#;

/// The next walk has passed some or all of what was withheld, and its pages do not come for longer than a release lasts.
#[test]
fn a_release_during_a_walk_lets_go_what_the_last_one_found() {
    for (seed, pages) in [(36, 1), (37, 3), (38, 6)] {
        let mut stage = Stage::with(600, 0, seed, |_, worker| worker.reconciliation.recent_s = None);
        become_equal(&mut stage);
        for product in stage.products().iter().take(100) {
            stage.edit(&delete(product));
        }
        stage.run_for(5 * MINUTE_MS);
        stage.command(WALK);
        stage.run_until(HOUR_MS, "the brake withholds", |stage| {
            stage.reconciliation().walk.withheld == 100
        });
        // The pages of a walk have no filter.
        let pages_fail = Fault::always(Fault::status(503)).path("/api/rest/v1/products-uuid/search");
        stage.world().pim.faults.add(pages_fail.entity(r#""{}""#).after(pages));
        stage.command(WALK);
        stage.run_for(5 * MINUTE_MS);
        assert!(stage.reconciliation().walk.step.is_some(), "it is under way");
        stage.command(RELEASE);
        stage.run_for(90 * MINUTE_MS);
        stage.world().pim.faults.clear();
        stage.run_until(3 * HOUR_MS, "all are deleted", |stage| stage.pushes("DELETE") == 100);
        assert_eq!(stage.differences(), []);
    }
}

/// A walk that ends between the finding and the release finds nothing twice.
#[test]
fn what_two_walks_missed_is_let_go_once() {
    let mut stage = Stage::with(400, 0, 39, |_, worker| worker.reconciliation.recent_s = None);
    become_equal(&mut stage);
    for product in stage.products().iter().take(70) {
        stage.edit(&delete(product));
    }
    stage.run_for(5 * MINUTE_MS);
    for _ in 0..2 {
        let walked_ms = stage.reconciliation().walk.finished_ms;
        stage.command(WALK);
        stage.run_until(HOUR_MS, "a walk", |stage| {
            stage.reconciliation().walk.finished_ms > walked_ms
        });
    }
    assert_eq!((stage.reconciliation().walk.withheld, stage.pushes("DELETE")), (70, 0));
    stage.command(RELEASE);
    stage.run_until(HOUR_MS, "all are deleted", |stage| stage.pushes("DELETE") == 70);
    stage.run_for(HOUR_MS);
    assert_eq!(stage.pushes("DELETE"), 70);
}

/// What inherits from a model goes with it, and the PIM may tell of the model alone.
#[test]
fn what_goes_with_a_model_that_was_announced_is_no_surprise() {
    for (seed, has_sub_models, is_told) in [
        (40, false, true),
        (41, true, true),
        (42, false, false),
        (43, true, false),
    ] {
        let mut stage = Stage::with(60, 0, seed, |_, worker| worker.reconciliation.recent_s = None);
        let root = EntityId::Model("family".to_owned());
        let create = |stage: &Stage, id: &EntityId, parent: Option<&str>| {
            let action = parent.map_or_else(Action::create, Action::create_below);
            let made = stage.edit(&Edit::new(id.clone(), action));
            assert!(!made.is_empty(), "{id}");
        };
        create(&stage, &root, None);
        let mut parent = "family";
        if has_sub_models {
            parent = "family in red";
            create(&stage, &EntityId::Model(parent.to_owned()), Some("family"));
        }
        let mut variants = Vec::new();
        for number in 0..30_u128 {
            let uuid = uuid::Uuid::from_u128((number << 120) | (1 << 78) | u128::from(seed));
            variants.push(EntityId::Product(uuid));
            create(&stage, &variants[variants.len() - 1], Some(parent));
        }
        become_equal(&mut stage);
        let gone = stage.edit(&delete(&root));
        assert!(gone.len() > variants.len(), "they go with it");
        if is_told {
            let of_the_root: Vec<_> = gone.into_iter().filter(|change| change.entity == root).collect();
            stage.tell_now(&of_the_root);
        }
        stage.run_for(5 * MINUTE_MS);
        let walked_ms = stage.reconciliation().walk.finished_ms;
        stage.command(WALK);
        stage.run_until(2 * HOUR_MS, "a walk", |stage| {
            stage.reconciliation().walk.finished_ms > walked_ms
        });
        stage.run_for(10 * MINUTE_MS);
        if is_told {
            assert_eq!(stage.differences(), []);
        } else {
            let withheld = stage.reconciliation().walk.withheld;
            assert_eq!((withheld > 30, stage.pushes("DELETE")), (true, 0), "{withheld}");
        }
    }
}

/// Its worker was killed between keeping the model's deletion and clearing what was in flight: the deletion is made once
/// more, and is as announced as before.
#[test]
fn what_goes_with_a_model_whose_worker_was_killed_is_no_surprise() {
    for is_killed in [false, true] {
        let mut stage = Stage::with(60, 0, 40, |_, worker| worker.reconciliation.recent_s = None);
        let root = EntityId::Model("family".to_owned());
        stage.edit(&Edit::new(root.clone(), Action::create()));
        for number in 0..30_u128 {
            let uuid = uuid::Uuid::from_u128((number << 120) | (1 << 78) | 40);
            stage.edit(&Edit::new(EntityId::Product(uuid), Action::create_below("family")));
        }
        become_equal(&mut stage);
        let mut gone = stage.edit(&delete(&root));
        gone.retain(|change| change.entity == root);
        stage.tell_now(&gone);
        stage.run_for(5 * MINUTE_MS);
        if is_killed {
            let key = Key::InFlight(Segment::of("killed"), stage.now_ms() / 1000 - 300);
            let value = br#"{"v":1,"entities":[["product-model","family"]]}"#.to_vec();
            stage.world().store.insert(Keyspace::new("main").encode(&key), value);
            stage.run_for(15 * MINUTE_MS);
        }
        let walked_ms = stage.reconciliation().walk.finished_ms;
        stage.command(WALK);
        stage.run_until(2 * HOUR_MS, "a walk", |stage| {
            stage.reconciliation().walk.finished_ms > walked_ms
        });
        stage.run_for(10 * MINUTE_MS);
        let withheld = stage.reconciliation().walk.withheld;
        assert_eq!((stage.differences().len(), withheld), (0, 0), "killed: {is_killed}");
    }
}
