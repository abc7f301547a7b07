//! Ticks that stay: they wait for news under one lease, hand over without a gap, and leave where work comes to nothing.

use crate::acts::{MINUTE_MS, by_events_alone, touch};
use queue::key::Record;
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use simulator::fault::{Effect, Fault};
use std::collections::BTreeSet;
use tests::simulation::stage::Stage;

const SECOND_MS: u64 = 1000;

/// A stage on which ticks stay for so many seconds, long after its beginning.
fn stage(watch_s: u64, seed: u64) -> Stage {
    let mut stage = Stage::with(20, 0, seed, |_, worker| {
        by_events_alone(worker);
        worker.watch_s = watch_s;
    });
    stage.run_for(2 * MINUTE_MS);
    stage.forget();
    stage
}

/// Tells of an edit of the product of this number, and gives how long it takes to arrive, in milliseconds.
fn lag_ms(stage: &mut Stage, product: usize) -> u64 {
    let product = stage.products()[product].clone();
    let told_ms = stage.now_ms();
    stage.tell(&touch(&product));
    for _ in 0..1200 {
        stage.run_for(100);
        if let Some(lag_ms) = stage.lag_ms(&product, told_ms) {
            return lag_ms;
        }
    }
    panic!("{product:?} does not arrive");
}

#[test]
fn an_edit_arrives_about_a_second_after_it_was_told_also_where_one_tick_follows_on_another() {
    let mut stage = stage(50, 71);
    let mut lags = Vec::new();
    for round in 0..60 {
        lags.push(lag_ms(&mut stage, round % 20));
        stage.run_for(3 * SECOND_MS + 17 * round as u64);
    }
    lags.sort_unstable();
    assert!(lags[30] <= 1500, "the median: {lags:?}");
    assert!(lags[59] <= 1700, "the longest: {lags:?}");
    println!("median {} ms, longest {} ms", lags[30], lags[59]);
}

/// The lease as it lies in the store.
fn lease(stage: &mut Stage) -> Option<Value> {
    let key = Keyspace::new("main").record(Record::Lease);
    let value = stage.world().store.get(&key).cloned()?;
    serde_json::from_slice(&value).ok()
}

/// The tick that comes next waits for the lease and is handed it: at every moment somebody has it.
#[test]
fn one_tick_hands_the_lease_to_the_next() {
    let mut stage = stage(50, 78);
    let mut holders = BTreeSet::new();
    for _ in 0..5 * 60 * 50 {
        stage.run_for(20);
        let lease = lease(&mut stage).expect("nobody has the lease");
        holders.insert(lease["token"].to_string());
    }
    assert!((5..=8).contains(&holders.len()), "{holders:?}");
    let successor = Keyspace::new("main").record(Record::Successor);
    stage.run_until(MINUTE_MS, "who has the lease waits for it no longer", |stage| {
        !stage.world().store.contains_key(&successor)
    });
}

/// Who was to be handed the lease and died, or whose clock is far ahead, keeps nobody waiting for long.
#[test]
fn who_waited_for_the_lease_and_died_gets_it_for_seconds() {
    for ahead_ms in [0, 3_600_000] {
        let mut stage = stage(50, 79);
        let key = Keyspace::new("main").record(Record::Successor);
        for _ in 0..3 {
            let before = lease(&mut stage);
            while lease(&mut stage).is_some_and(|lease| Some(&lease["token"]) == before.as_ref().map(|it| &it["token"]))
            {
                let until_ms = stage.now_ms() + 20_000 + ahead_ms;
                let dead = json!({ "v": 1, "token": "dead", "until_ms": until_ms });
                stage.world().store.insert(key.clone(), dead.to_string().into_bytes());
                stage.run_for(100);
            }
            stage.world().store.remove(&key);
            assert!(lag_ms(&mut stage, 3) <= 40_000);
        }
    }
}

#[test]
fn what_a_worker_left_that_died_while_it_waited_is_taken_up_soon() {
    let mut stage = stage(50, 72);
    let now_ms = stage.now_ms();
    let of_a_dead_one = json!({
        "v": 1, "token": "dead", "beats": 7, "until_ms": now_ms + 10_000, "stays_until_ms": now_ms + 45_000,
    });
    let key = Keyspace::new("main").record(Record::Lease);
    stage.world().store.insert(key, of_a_dead_one.to_string().into_bytes());
    assert!(lag_ms(&mut stage, 3) <= 40_000);
}

/// Where the destination is down, ticks that stay come to nothing as often as others do.
#[test]
fn ticks_that_stay_ask_no_more_of_a_destination_that_is_down() {
    let calls = [0, 50].map(|watch_s| {
        let mut stage = stage(watch_s, 73);
        let down = Fault::always(Fault::status(503));
        stage.world().destination.faults.add(down);
        for product in stage.products() {
            stage.tell(&touch(&product));
        }
        stage.run_for(30 * MINUTE_MS);
        stage.pushes("PUT")
    });
    assert!(calls[1] <= calls[0] + calls[0] / 4, "{calls:?}");
}

/// The PIM is not asked more than by ticks that end: what comes at about the same time makes one batch.
#[test]
fn edits_of_one_moment_make_one_batch() {
    let mut stage = stage(50, 74);
    let products = stage.products();
    for product in &products {
        stage.tell(&touch(product));
        stage.run_for(5);
    }
    stage.run_for(5 * SECOND_MS);
    assert_eq!(stage.pushes("PUT"), products.len());
    let lists = stage
        .world()
        .pim
        .calls
        .iter()
        .filter(|call| call.path.contains("/products"))
        .count();
    assert!(lists <= 2, "{lists} lists");
}

/// Whoever needs the lease for a moment gets it from a tick that waits for news within seconds, whenever that is asked.
#[test]
fn a_tick_that_stays_hands_the_lease_over() {
    let mut stage = stage(300, 75);
    let key = Keyspace::new("main").record(Record::Wanted);
    for round in 0..40 {
        let taken_ms = stage.borrow_the_lease(20 * SECOND_MS);
        assert!(taken_ms.is_some_and(|ms| ms <= 4 * SECOND_MS), "{round}: {taken_ms:?}");
        assert!(!stage.world().store.contains_key(&key));
        // Ticks stay again afterwards.
        assert!(lag_ms(&mut stage, round % 20) <= 12 * SECOND_MS);
        stage.run_for(13 * SECOND_MS + 700 * round as u64);
    }
}

/// A tick that works hands it over between two pieces of work, and what waits is worked on afterwards.
#[test]
fn a_tick_that_works_hands_the_lease_over_between_two_pieces_of_work() {
    let mut stage = stage(300, 76);
    let slow = Fault::always(Effect::Slow { ms: 900 });
    stage.world().destination.faults.add(slow);
    let products = stage.products();
    for round in 0..200 {
        stage.tell(&touch(&products[round % products.len()]));
        stage.run_for(700);
        if round % 50 == 25 {
            let taken_ms = stage.borrow_the_lease(60 * SECOND_MS);
            assert!(taken_ms.is_some_and(|ms| ms <= 30 * SECOND_MS), "{taken_ms:?}");
        }
    }
    stage.run_until(10 * MINUTE_MS, "all of it arrives", |stage| {
        stage.differences().is_empty()
    });
}

/// Who asked and died, or whose clock is far ahead, keeps no tick from staying for longer than it would have waited.
#[test]
fn who_wanted_the_lease_and_died_wants_it_no_more() {
    for ahead_ms in [0, 3_600_000] {
        let mut stage = stage(50, 77);
        let key = Keyspace::new("main").record(Record::Wanted);
        let wanted = json!({ "v": 1, "until_ms": stage.now_ms() + 20_000 + ahead_ms });
        stage.world().store.insert(key.clone(), wanted.to_string().into_bytes());
        stage.run_for(MINUTE_MS);
        assert!(!stage.world().store.contains_key(&key));
        assert!(lag_ms(&mut stage, 3) <= 3 * SECOND_MS);
    }
}
