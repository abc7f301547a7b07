//! Clocks that are wrong: of hosts, of the PIM, and in what was written when they were.

use crate::acts::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, become_equal, by_events_alone, delete, tell_all, touch};
use model::entity::{Entity, Kind};
use queue::key::{Hold, Key, RetryKey};
use queue::keyspace::Keyspace;
use serde_json::json;
use simulator::catalogue::{Change, EntityId};
use simulator::pim::{Call, CallKind};
use tests::simulation::stage::Stage;

const YEAR_S: u64 = 365 * 86_400;

/// Two edits in one second, the first of which the search index shows when it is read.
#[test]
fn the_second_of_two_edits_in_one_second_is_not_lost() {
    for lag_ms in (500..12_000).step_by(100) {
        let mut stage = Stage::with(5, 0, 33, |shared, worker| {
            by_events_alone(worker);
            shared.pim.config.lag_ms = lag_ms;
            shared.pim.catalogue.lag_ms = lag_ms;
        });
        stage.run_for(MINUTE_MS);
        let product = stage.products()[2].clone();
        let to_second = SECOND_MS - stage.now_ms() % SECOND_MS;
        stage.run_for(to_second + 100);
        let mut changes = stage.edit(&touch(&product));
        stage.run_for(700);
        changes.extend(stage.edit(&touch(&product)));
        stage.tell_now(&changes);
        stage.run_for(30 * MINUTE_MS);
        let differs = |found: &simulator::compare::Difference| format!("{found}").contains(&product.key());
        assert!(!stage.differences().iter().any(differs), "with a lag of {lag_ms} ms");
    }
}

/// Webhooks are delivered twice as a matter of course, so that an event of what was pushed often waits beside one of a
/// newer edit. A list that shows the newer edit is as new as any reading by id.
#[test]
fn what_is_told_twice_and_was_edited_since_is_read_by_list_alone() {
    let mut stage = Stage::with(60, 0, 37, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    let products = stage.products();
    let first: Vec<Change> = products[..30]
        .iter()
        .flat_map(|product| stage.edit(&touch(product)))
        .collect();
    stage.tell_now(&first);
    stage.run_until(HOUR_MS, "the first edits are pushed", |stage| {
        stage.differences().is_empty()
    });
    stage.run_for(10 * MINUTE_MS);
    stage.forget();
    let second: Vec<Change> = products[..30]
        .iter()
        .flat_map(|product| stage.edit(&touch(product)))
        .collect();
    let both: Vec<Change> = first.into_iter().chain(second).collect();
    stage.tell_now(&both);
    stage.run_until(HOUR_MS, "the second edits are pushed", |stage| {
        stage.differences().is_empty()
    });
    let by_id = |call: &&Call| call.kind == CallKind::ProductById;
    assert_eq!(stage.world().pim.calls.iter().filter(by_id).count(), 0);
}

/// A retry, a hold and a recheck with a moment that lies far ahead, as one tick with a clock that was ahead leaves them.
#[test]
fn a_moment_far_ahead_in_the_queue_is_not_believed() {
    for (attempts, hold, ahead_s) in [
        (1, None, YEAR_S),
        (3, None, 10 * 86_400),
        (0, Some(Hold::Probe), YEAR_S),
        (0, None, YEAR_S),
    ] {
        let mut stage = Stage::with(30, 0, 35, |_, worker| by_events_alone(worker));
        become_equal(&mut stage);
        let product = stage.products()[3].clone();
        let retry = RetryKey {
            entity: Entity::new(Kind::Product, &product.key()),
            attempts,
            hold,
            due_s: stage.now_ms() / 1000 + ahead_s,
        };
        let key = Keyspace::new("main").encode(&Key::Retry(retry));
        let value = json!({"v": 1, "code": product.key(), "failures": []}).to_string();
        stage.world().store.insert(key, value.into_bytes());
        stage.tell(&touch(&product));
        stage.run_until(2 * HOUR_MS, "it is pushed", |stage| stage.differences().is_empty());
        stage.run_until(26 * HOUR_MS, "nothing is left", |stage| stage.is_quiet());
    }
}

/// A product whose `updated` is of a PIM that was ahead is not young for as long.
#[test]
fn what_a_pim_updated_that_was_ahead_is_found_missing() {
    for ahead_ms in [10 * DAY_MS, 400 * DAY_MS] {
        let mut stage = Stage::with(60, 0, 36, |_, worker| worker.reconciliation.recent_s = None);
        become_equal(&mut stage);
        let products = stage.products();
        stage.world().pim.config.clock_skew_ms = i64::try_from(ahead_ms).unwrap();
        tell_all(&mut stage, &products[..3]);
        stage.run_for(10 * MINUTE_MS);
        stage.world().pim.config.clock_skew_ms = 0;
        for product in &products[..3] {
            stage.edit(&delete(product));
        }
        stage.run_for(10 * MINUTE_MS);
        stage.walk();
        stage.walk();
        assert_eq!(stage.differences(), [], "{} days ahead", ahead_ms / DAY_MS);
    }
}

/// A brake that was released by a clock a year ahead is not off for a year.
#[test]
fn a_brake_that_was_released_far_ahead_brakes() {
    let mut stage = Stage::with(300, 0, 37, |_, worker| worker.reconciliation.recent_s = None);
    become_equal(&mut stage);
    let now_s = stage.now_ms() / 1000;
    {
        let mut world = stage.world();
        let value = world.store.get_mut("r1.main.state").expect("a state");
        let mut state: serde_json::Value = serde_json::from_slice(value).unwrap();
        state["brake"]["released_until_s"] = json!(now_s + YEAR_S);
        *value = state.to_string().into_bytes();
    }
    for product in stage.products().iter().take(60) {
        stage.edit(&delete(product));
    }
    stage.run_for(5 * MINUTE_MS);
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
    stage.run_for(2 * HOUR_MS);
    assert!(stage.pushes("DELETE") < 20, "{} deleted", stage.pushes("DELETE"));
}

/// Hosts whose clocks differ take turns: each sees moments that lie ahead, and they are those of the others.
#[test]
fn hosts_whose_clocks_differ_do_not_begin_their_looks_anew_again_and_again() {
    for (apart_ms, seed) in [(MINUTE_MS, 61), (11 * MINUTE_MS, 62), (HOUR_MS, 63)] {
        let half_ms = i64::try_from(apart_ms / 2).unwrap();
        let mut stage = Stage::on_hosts(&[-half_ms, half_ms], 40, 4, seed, |_, _| {});
        stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        stage.run_until(2 * HOUR_MS, "a walk", |stage| {
            stage.reconciliation().walk.finished_ms > 0
        });
        stage.run_until(HOUR_MS, "equal", |stage| stage.differences().is_empty());
        stage.forget();
        stage.run_for(6 * HOUR_MS);
        // A look at each of two kinds every five minutes, its last page twice.
        let calls = stage.world().pim.calls.len();
        println!(
            "clocks {} minutes apart: {calls} calls in six hours",
            apart_ms / MINUTE_MS
        );
        assert!(
            calls < 2 * 6 * 12 * 2 * 2,
            "{calls} calls with clocks {apart_ms} ms apart"
        );
    }
}

/// What inherits from a model is looked at again a minute after it was read, whoever's clock raised it.
#[test]
fn variants_reach_the_destination_whatever_the_clocks_of_hosts() {
    for (apart_ms, seed) in [(80 * SECOND_MS, 64), (20 * MINUTE_MS, 65)] {
        let half_ms = i64::try_from(apart_ms / 2).unwrap();
        let mut stage = Stage::on_hosts(&[half_ms, -half_ms], 200, 9, seed, |shared, worker| {
            by_events_alone(worker);
            shared.pim.config.lag_ms = 40_000;
            shared.pim.catalogue.lag_ms = 40_000;
        });
        stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        stage.run_until(6 * HOUR_MS, "equal", |stage| {
            stage.differences().is_empty() && stage.is_quiet()
        });
        let models: Vec<EntityId> = stage.models();
        for _ in 0..3 {
            for model in &models {
                stage.tell(&touch(model));
                stage.run_for(7 * SECOND_MS);
            }
            stage.run_until(2 * HOUR_MS, "quiet", |stage| stage.is_quiet());
            assert_eq!(stage.differences(), []);
        }
    }
}

/// Where its clock is ahead, every count of the worker seems old to ingest, as if the worker were dead.
#[test]
fn an_ingest_whose_clock_is_ahead_puts_nothing_off() {
    for ahead_ms in [84 * SECOND_MS, HOUR_MS, 23 * HOUR_MS] {
        let mut stage = Stage::with(20, 0, 66, |shared, worker| {
            by_events_alone(worker);
            worker.high_water = 10_000;
            shared.ingest_ahead_ms = i64::try_from(ahead_ms).unwrap();
        });
        stage.ingest_high_water(10_000);
        stage.walk();
        for product in stage.products() {
            stage.tell(&touch(&product));
            stage.run_for(70 * SECOND_MS);
        }
        assert_eq!(stage.world().put_off, 0, "{ahead_ms} ms");
        assert_eq!(stage.differences(), []);
    }
}

/// Where no worker counts any more, ingest stops when as many may have come as may wait.
#[test]
fn an_ingest_without_a_worker_stops_in_time_whatever_its_clock() {
    for ahead_ms in [0, HOUR_MS] {
        let mut stage = Stage::on_hosts(&[], 20, 0, 67, |shared, _| {
            shared.ingest_ahead_ms = i64::try_from(ahead_ms).unwrap();
        });
        stage.ingest_high_water(10_000);
        let status = json!({ "v": 1, "depth": 0, "listed_ms": stage.now_ms() }).to_string();
        stage
            .world()
            .store
            .insert("r1.main.status".to_owned(), status.into_bytes());
        let begun_ms = stage.now_ms();
        for product in stage.products().iter().cycle() {
            stage.tell(&touch(product));
            stage.run_for(5 * SECOND_MS);
            if stage.world().put_off > 0 {
                break;
            }
            assert!(
                stage.now_ms() < begun_ms + 10 * MINUTE_MS,
                "with a clock {ahead_ms} ms ahead"
            );
        }
        assert!(
            stage.now_ms() > begun_ms + MINUTE_MS,
            "not before any worker may count again"
        );
    }
}
