//! A proxy that answers in place of an upstream: nothing that it says is taken for the upstream's word.

use crate::acts::{HOUR_MS, MINUTE_MS, become_equal, by_events_alone, delete, tell_all, touch};
use serde_json::json;
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;

/// What an hour of the PIM's silence may cost: probes five minutes apart of its door and each kind, by a few calls each.
const PROBES: usize = 60;

#[test]
fn a_page_in_place_of_the_pim_is_probed_and_not_drained_against() {
    for (seed, status) in [(26, 200), (27, 404), (28, 503)] {
        let mut stage = Stage::with(600, 0, seed, |_, worker| by_events_alone(worker));
        stage.answer_with_pages(true, status);
        let products = stage.products();
        tell_all(&mut stage, &products);
        stage.run_for(5 * MINUTE_MS);
        stage.forget();
        stage.run_for(HOUR_MS);
        let (calls, writes) = {
            let world = stage.world();
            (world.fetches.len(), world.writes.values().sum::<u64>())
        };
        println!("an hour of pages with {status}: {calls} calls of the PIM and {writes} writes");
        assert!(stage.world().alerts.contains("pim-blocked"));
        assert!(calls <= PROBES, "{calls} calls although it is down");
        assert!(writes < 20_000, "{writes} writes");
        assert_eq!(stage.dead_letters(), 0);
        stage.mend();
        stage.run_until(HOUR_MS, "all is pushed", |stage| {
            stage.is_quiet() && stage.differences().is_empty()
        });
    }
}

/// Text that is JSON and still none of the PIM's, at its API alone: tokens are to be had.
#[test]
fn an_answer_that_is_not_the_pims_is_probed_and_not_drained_against() {
    for (seed, body) in [
        (29, json!("We are down for maintenance")),
        (30, json!({})),
        (31, json!([])),
    ] {
        let mut stage = Stage::with(2000, 0, seed, |_, worker| by_events_alone(worker));
        let page = Effect::Status {
            status: 200,
            headers: Vec::new(),
            body: Some(body.clone()),
        };
        stage.world().pim.faults.add(Fault::always(page).path("/api/rest/v1/"));
        let products = stage.products();
        tell_all(&mut stage, &products);
        stage.run_for(5 * MINUTE_MS);
        stage.forget();
        stage.run_for(HOUR_MS);
        let (calls, writes) = {
            let world = stage.world();
            (world.pim.calls.len(), world.writes.values().sum::<u64>())
        };
        println!("an hour of {body}: {calls} calls of the PIM and {writes} writes");
        assert!(calls <= PROBES, "{body}: {calls} calls although it is down");
        assert!(writes < 20_000, "{body}: {writes} writes");
        assert!(stage.world().alerts.contains("pim-blocked"));
    }
}

/// 200 with a page of HTML is no push that came through, nor 404 with one a deletion that did.
#[test]
fn a_page_in_place_of_the_destination_counts_as_nothing_done() {
    for (seed, status) in [(32, 200), (33, 404), (34, 502)] {
        let mut stage = Stage::with(40, 3, seed, |_, worker| by_events_alone(worker));
        become_equal(&mut stage);
        stage.answer_with_pages(false, status);
        let (products, models) = (stage.products(), stage.models());
        stage.tell(&delete(&products[7]));
        tell_all(&mut stage, &products[10..20]);
        tell_all(&mut stage, &models[..1]);
        stage.run_for(HOUR_MS);
        assert!(stage.world().alerts.contains("destination-blocked"), "{status}");
        assert_eq!(stage.dead_letters(), 0, "{status}");
        stage.mend();
        stage.run_until(HOUR_MS, "all is pushed", |stage| {
            stage.is_quiet() && stage.differences().is_empty()
        });
        stage.run_for(HOUR_MS);
        let world = stage.world();
        let calmed = world.told.iter().map(|(_, text)| text.as_str());
        let calmed: Vec<&str> = calmed.filter(|text| text.contains("well again")).collect();
        let of_destination = "destination-blocked: well again: the destination is called again";
        assert!(calmed.contains(&of_destination), "{status}: {:?}", world.told);
        assert!(calmed.len() <= world.alerts.len(), "once for each cause: {calmed:?}");
    }
}

/// A model that is told of while a proxy answers reads by id.
#[test]
fn a_404_of_a_proxy_is_no_absence() {
    let mut stage = Stage::with(40, 6, 35, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    let models = stage.models();
    stage.answer_with_pages(true, 404);
    for model in &models {
        stage.tell(&touch(model));
    }
    stage.run_for(HOUR_MS);
    assert_eq!(stage.pushes("DELETE"), 0);
    stage.mend();
    stage.run_until(HOUR_MS, "all is pushed", |stage| {
        stage.is_quiet() && stage.differences().is_empty()
    });
}
