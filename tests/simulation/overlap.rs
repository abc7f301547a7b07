//! What goes on at the same time: while the destination takes a batch the PIM lists the next one, which a walk may have
//! just found.

use crate::acts::{HOUR_MS, become_equal, by_events_that_ticks_wait_for, slow_down_the_pim, tell_all};
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;

/// How long a call of the PIM takes, in milliseconds.
const LIST_MS: u64 = 1000;

/// How long a push takes, in milliseconds.
const PUSH_MS: u64 = 100;

/// How many batches there are, of a hundred each.
const BATCHES: usize = 10;

#[test]
fn a_batch_waits_for_no_list_while_the_one_before_is_pushed() {
    let mut stage = Stage::with(100 * BATCHES, 0, 51, |world, worker| {
        by_events_that_ticks_wait_for(world, worker, (1, 1));
    });
    become_equal(&mut stage);
    slow_down_the_pim(&stage, LIST_MS);
    let slow = Fault::always(Effect::Slow { ms: PUSH_MS });
    stage.world().destination.faults.add(slow);
    stage.forget();
    let products = stage.products();
    tell_all(&mut stage, &products);
    stage.run_until(HOUR_MS, "all arrive", |stage| stage.differences().is_empty());
    let world = stage.world();
    let pushed_ms: Vec<u64> = world.destination.log.iter().map(|push| push.at_ms).collect();
    let gaps = pushed_ms.windows(2).map(|two| two[1] - two[0]);
    // Between two pieces of work a tick looks for news, and the first batch after that waits for its list.
    let waited = gaps.filter(|gap_ms| *gap_ms >= LIST_MS).count();
    let took_ms = pushed_ms[pushed_ms.len() - 1] - pushed_ms[0];
    println!("{} pushes in {took_ms} ms, {waited} waits for a list", pushed_ms.len());
    assert_eq!(pushed_ms.len(), products.len());
    assert!(waited <= 2, "{waited} batches waited for their list");
    let lists = world
        .pim
        .calls
        .iter()
        .filter(|call| call.path.contains("/products"))
        .count();
    assert!(lists <= BATCHES + 3, "{lists} lists for {BATCHES} batches");
}

/// A first load: while products are pushed the walk reads its next page, and does not wait for the minute after which it
/// reads the last page of models once more.
#[test]
fn a_first_load_takes_little_more_than_its_pushes() {
    let (products, models) = (1500, 30);
    let mut stage = Stage::with(products, models, 52, |world, worker| {
        by_events_that_ticks_wait_for(world, worker, (100, PUSH_MS));
    });
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
    stage.run_until(HOUR_MS, "all arrive", |stage| stage.differences().is_empty());
    let first_ms = stage.world().pim.calls.iter().map(|call| call.at_ms).min();
    let last_ms = stage.world().destination.log.iter().map(|push| push.at_ms).max();
    let took_ms = last_ms.unwrap_or(0) - first_ms.unwrap_or(0);
    let pushes = stage.pushes("PUT");
    let least_ms = pushes as u64 * PUSH_MS / 5;
    println!("{pushes} pushes in {took_ms} ms of at least {least_ms} ms");
    assert_eq!(
        pushes,
        products + models,
        "what was under way at a listing is not pushed once more"
    );
    assert!(
        took_ms * 100 <= least_ms * 112,
        "{took_ms} ms of at least {least_ms} ms"
    );
    stage.run_until(HOUR_MS, "the walk has ended", |stage| {
        let walk = stage.reconciliation().walk;
        walk.step.is_none() && walk.asked.is_none()
    });
    assert!(stage.reconciliation().walk.unsure.is_empty());
}
