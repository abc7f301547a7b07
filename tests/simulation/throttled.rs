//! Upstreams that say no: a revoked token, too many calls, failures in part.

use crate::acts::{HOUR_MS, MINUTE_MS, by_events_alone, tell_all, touch};
use config::Credentials;
use simulator::fault::Fault;
use simulator::meter::Limits;
use tests::simulation::stage::Stage;

#[test]
fn a_revoked_token_is_probed_and_not_called_again_and_again() {
    let mut stage = Stage::with(20, 3, 31, |_, worker| {
        by_events_alone(worker);
        worker.pim.credentials = Credentials::App("revoked".to_owned());
    });
    let all = [stage.models(), stage.products()].concat();
    tell_all(&mut stage, &all);
    stage.run_for(10 * MINUTE_MS);
    stage.forget();
    stage.run_for(HOUR_MS);
    let calls = stage.world().pim.calls.len();
    // Each of two kinds every five minutes, by one call.
    assert!(calls <= 30, "{calls} calls");
    assert_eq!((stage.dead_letters(), stage.events()), (0, all.len()));
}

#[test]
fn what_the_destination_fails_at_is_no_fault_of_the_pims() {
    let mut stage = Stage::with(1500, 0, 32, |_, worker| {
        by_events_alone(worker);
        worker.destination_rate = 100;
    });
    stage
        .world()
        .destination
        .faults
        .add(Fault::share(0.45, Fault::status(500)));
    let products = stage.products();
    tell_all(&mut stage, &products);
    stage.run_for(25 * MINUTE_MS);
    stage.world().destination.faults.clear();
    stage.run_until(6 * HOUR_MS, "quiet", |stage| stage.is_quiet());
    assert!(
        !stage.world().alerts.contains("pim-budget"),
        "nothing ever failed at the PIM"
    );
    let calls = stage.world().pim.calls.len();
    assert!(calls < 400, "{calls} calls: retries share their reading");
}

#[test]
fn an_upstream_that_is_called_too_often_costs_no_entity() {
    for (per_second, seed) in [(5, 41), (20, 42), (1, 43)] {
        let mut stage = Stage::with(400, 0, seed, |shared, worker| {
            by_events_alone(worker);
            worker.destination_rate = 50;
            shared.destination.config.limits = Limits {
                per_second: Some(per_second),
                at_once: None,
                enforce: true,
                ..Limits::default()
            };
        });
        let products = stage.products();
        tell_all(&mut stage, &products);
        stage.run_until(3 * HOUR_MS, "all is pushed", |stage| {
            stage.is_quiet() && stage.differences().is_empty()
        });
        assert_eq!(stage.dead_letters(), 0, "{per_second} a second");
    }
}

/// Others use up what the PIM allows.
#[test]
fn a_pim_that_mostly_says_too_many_costs_no_entity() {
    for (share, seed) in [(0.6, 42), (0.85, 43)] {
        let mut stage = Stage::with(900, 0, seed, |_, worker| {
            by_events_alone(worker);
            worker.destination_rate = 100;
        });
        let fault = Fault::share(share, Fault::status(429)).path("/api/rest/v1/");
        stage.world().pim.faults.add(fault);
        for chunk in stage.products().chunks(30) {
            for product in chunk {
                stage.tell(&touch(product));
            }
            stage.run_for(MINUTE_MS);
        }
        stage.run_for(HOUR_MS);
        assert_eq!(stage.dead_letters(), 0, "{share} of all answers");
        stage.world().pim.faults.clear();
        stage.run_until(2 * HOUR_MS, "all is there", |stage| stage.differences().is_empty());
    }
}

/// A search engine may answer so to one search, whatever else it is asked.
#[test]
fn a_batch_that_is_too_much_holds_up_none_of_the_others_while_models_come_through() {
    let mut stage = Stage::with(30, 3, 44, |_, worker| by_events_alone(worker));
    let (products, models) = (stage.products(), stage.models());
    let fault = Fault::always(Fault::status(429)).entity(&products[3].key());
    stage.world().pim.faults.add(fault);
    tell_all(&mut stage, &products);
    for _ in 0..60 {
        tell_all(&mut stage, &models[..1]);
        stage.run_for(MINUTE_MS);
    }
    let told = [&products[..], &models[..1]].concat();
    let late = told.iter().filter(|entity| stage.lag_ms(entity, 0).is_none()).count();
    assert_eq!(late, 1, "the one that is too much alone");
    assert_eq!(stage.dead_letters(), 0);
}
