//! Configured values at their edges work, and values that cannot work cost no event.

use crate::acts::{
    HOUR_MS, MINUTE_MS, SECOND_MS, become_equal, by_events_alone, slow_down_the_pim, tell_all, touch, until_pushed,
};
use config::Credentials;
use simulator::fault::{Effect, Fault};
use tests::simulation::nature::Latency;
use tests::simulation::stage::Stage;
use world::mistake::Mistake;

#[test]
fn a_token_that_no_header_can_carry_costs_no_event_and_is_told() {
    for of_pim in [true, false] {
        for token in ["a-token\n", "a\r\ntoken", "\u{1}token"] {
            let mut stage = Stage::with(50, 5, 27, |_, worker| {
                by_events_alone(worker);
                match &mut worker.destination {
                    Some(destination) if !of_pim => destination.token = Some(token.to_owned()),
                    _ => worker.pim.credentials = Credentials::App(token.to_owned()),
                }
            });
            let all = [stage.models(), stage.products()].concat();
            tell_all(&mut stage, &all);
            stage.run_for(MINUTE_MS);
            stage.forget();
            stage.run_for(HOUR_MS);
            let (calls, writes) = {
                let world = stage.world();
                (world.pim.calls.len(), world.writes.values().sum::<u64>())
            };
            let what = format!("{token:?} for the PIM: {of_pim}");
            // Nothing is used up; what inherits from a model is marked once, when the model is first tried.
            let waiting = stage.events();
            assert_eq!(stage.dead_letters(), 0, "{what}");
            assert!((all.len()..2 * all.len()).contains(&waiting), "{what}: {waiting}");
            assert!(
                calls < 100 && writes < 20_000,
                "{what}: {calls} calls and {writes} writes"
            );
            let blocked = if of_pim { "pim-blocked" } else { "destination-blocked" };
            assert!(stage.world().alerts.contains(blocked), "{what}");
        }
    }
}

#[test]
fn an_idle_worker_puts_no_delivery_off_at_the_lowest_mark() {
    for pause_s in [61, 307, 3600] {
        let mut stage = Stage::with(20, 0, 28, |_, worker| {
            by_events_alone(worker);
            worker.high_water = 10_000;
        });
        stage.ingest_high_water(10_000);
        stage.run_for(5 * MINUTE_MS);
        for product in stage.products() {
            stage.tell(&touch(&product));
            stage.run_for(pause_s * SECOND_MS);
        }
        assert_eq!(stage.world().put_off, 0, "one each {pause_s} s");
    }
}

#[test]
fn the_shortest_tick_and_the_longest_work() {
    for (tick_s, timeout_s) in [(3, 1), (3, 25), (5, 5), (25, 25)] {
        let mut stage = Stage::with(60, 6, 29, |_, worker| {
            by_events_alone(worker);
            (worker.tick_s, worker.call_timeout_s) = (tick_s, timeout_s);
        });
        let (all, told_ms) = ([stage.models(), stage.products()].concat(), stage.now_ms());
        tell_all(&mut stage, &all);
        let what = format!("ticks of {tick_s} s, calls of {timeout_s} s");
        until_pushed(&mut stage, &all, told_ms, 10 * MINUTE_MS, &what);
    }
}

/// A PIM that takes nearly a whole tick for a hundred products: what was read is pushed, or less is read.
#[test]
fn a_pim_that_takes_a_tick_for_a_page_is_asked_for_less() {
    for (tick_s, each_ms) in [(3, 19), (10, 50), (10, 70), (10, 95), (20, 140)] {
        let mut stage = Stage::with(400, 0, 30, |shared, worker| {
            by_events_alone(worker);
            worker.tick_s = tick_s;
            shared.nature.pim = Latency {
                per_entity_ms: each_ms,
                ..Latency::default()
            };
        });
        let (products, told_ms) = (stage.products(), stage.now_ms());
        tell_all(&mut stage, &products);
        let what = format!("ticks of {tick_s} s, {each_ms} ms a product");
        // Each tick has lost a half at the beginning, and has a second for its lease.
        let most_ms = 5 * MINUTE_MS + 400 * each_ms * 8;
        until_pushed(&mut stage, &products, told_ms, most_ms, &what);
    }
}

/// Without smaller batches nothing of it would be pushed.
#[test]
fn the_mistake_of_never_halving_a_batch_is_seen() {
    let mut stage = Stage::with(400, 0, 30, |shared, worker| {
        by_events_alone(worker);
        (worker.tick_s, worker.call_timeout_s) = (3, 25);
        shared.nature.pim = Latency {
            per_entity_ms: 200,
            ..Latency::default()
        };
    });
    stage.make(Some(Mistake::NeverHalve));
    let products = stage.products();
    tell_all(&mut stage, &products);
    stage.run_for(2 * HOUR_MS);
    stage.make(None);
    assert_eq!(stage.pushes("PUT"), 0);
    stage.run_until(HOUR_MS, "all is pushed without it", |stage| {
        stage.differences().is_empty()
    });
}

/// And one that takes as long for one as for a hundred.
#[test]
fn a_pim_that_takes_half_a_tick_for_any_call_is_worked_with() {
    for (tick_s, call_ms) in [(10, 4000), (20, 9000)] {
        let mut stage = Stage::with(300, 0, 31, |_, worker| {
            by_events_alone(worker);
            worker.tick_s = tick_s;
        });
        slow_down_the_pim(&stage, call_ms);
        let (products, told_ms) = (stage.products(), stage.now_ms());
        tell_all(&mut stage, &products);
        let what = format!("ticks of {tick_s} s, calls of {call_ms} ms");
        until_pushed(&mut stage, &products, told_ms, 20 * MINUTE_MS, &what);
    }
}

/// For a tick, or for an hour, the variable reads as unset: a store that has known a destination is not eaten from.
#[test]
fn without_its_destination_an_application_that_had_one_uses_up_no_event() {
    let begin = |store: Option<std::collections::BTreeMap<String, Vec<u8>>>, has_destination: bool| {
        Stage::with(30, 0, 53, |shared, worker| {
            by_events_alone(worker);
            if let Some(store) = store {
                shared.store = store;
            }
            if !has_destination {
                worker.destination = None;
            }
        })
    };
    for minutes in [2, 61] {
        let mut first = begin(None, true);
        become_equal(&mut first);
        first.world().destination.faults.add(Fault::always(Fault::status(503)));
        let products = first.products();
        tell_all(&mut first, &products);
        first.run_for(MINUTE_MS);
        let (waiting, store) = (first.events(), first.world().store.clone());
        assert_eq!(waiting, 30);
        drop(first);
        let mut second = begin(Some(store), false);
        second.run_for(minutes * MINUTE_MS);
        assert_eq!(second.events(), waiting, "after {minutes} minutes");
        assert!(!second.world().alerts.is_empty(), "nobody is told");
    }
}

/// An upstream that asks to wait is asked nothing more, by those either that wait for their turn.
#[test]
fn who_waits_for_the_rate_hears_of_a_wait_that_was_asked_for_meanwhile() {
    for (rate, wait_s) in [(1, 40), (2, 90)] {
        let mut stage = Stage::with(20, 0, 54, |_, worker| {
            by_events_alone(worker);
            worker.destination_rate = rate;
        });
        let wait = Effect::Status {
            status: 429,
            headers: vec![("retry-after".to_owned(), wait_s.to_string())],
            body: None,
        };
        stage.world().destination.faults.add(Fault::next(1, wait));
        let products = stage.products();
        tell_all(&mut stage, &products);
        stage.run_for(10 * MINUTE_MS);
        let at_ms: Vec<u64> = stage.world().destination.log.iter().map(|push| push.at_ms).collect();
        // Those that were under way already do not count.
        let next_ms = at_ms
            .iter()
            .find(|at| **at > at_ms[0] + 50)
            .expect("it is called again");
        assert!(
            next_ms - at_ms[0] >= wait_s * SECOND_MS,
            "called after {} ms",
            next_ms - at_ms[0]
        );
        stage.run_until(HOUR_MS, "all is pushed", |stage| stage.is_quiet());
    }
}
