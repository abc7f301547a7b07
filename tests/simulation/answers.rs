//! What upstreams answer: kept for the people of the house, and told to nobody else.

use crate::acts::{become_equal, by_events_alone, touch};
use queue::dead_letter::DeadLetter;
use serde_json::json;
use shape::Shape;
use simulator::catalogue::{Action, Edit};
use simulator::destination::{Shop, ShopConfig};
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;

const MINUTE_MS: u64 = 60_000;

/// An answer that says this, at length.
fn saying(status: u16, text: &str, length: usize) -> Effect {
    Effect::Status {
        status,
        headers: Vec::new(),
        body: Some(json!({ "code": status, "message": text, "trace": "x".repeat(length), "until": "the end" })),
    }
}

#[test]
fn of_all_that_a_destination_answered_only_the_last_is_kept_whole() {
    for (seed, failed, length) in [(1, 2, 300), (2, 3, 3000), (3, 5, 100_000)] {
        let mut stage = Stage::new(20, 0, seed);
        stage.walk();
        let product = stage.products()[usize::try_from(seed).unwrap()].clone();
        let id = product.key();
        for effect in [
            Fault::next(failed, saying(503, "busy", length)),
            Fault::always(saying(422, "no such brand", length)),
        ] {
            stage.world().destination.faults.add(effect.entity(&id));
        }
        let changes = stage.edit(&Edit::new(product, Action::Touch));
        stage.tell_now(&changes);
        let letter = |stage: &Stage| -> Option<(DeadLetter, usize)> {
            let world = stage.world();
            let (_, value) = world.store.iter().find(|(key, _)| key.starts_with("r1.main.d."))?;
            Some((serde_json::from_slice(value).unwrap(), value.len()))
        };
        stage.run_until(300 * MINUTE_MS, "it is given up", |stage| letter(stage).is_some());
        let (letter, bytes) = letter(&stage).unwrap();
        assert!(letter.failures.len() >= 2, "{letter:?}");
        let (last, earlier) = letter.failures.split_last().unwrap();
        assert!(
            earlier
                .iter()
                .all(|failure| failure.answer.is_none() && failure.reason.contains("busy"))
        );
        let answer = last.answer.as_ref().unwrap();
        assert!(answer.contains("no such brand"), "{answer}");
        assert_eq!(answer.contains("the end"), length < 4000);
        assert!(answer.len() <= 4096 && bytes < 30_000, "{bytes} bytes");
    }
}

/// GraphQL's servers may list their errors behind the data.
#[test]
fn errors_behind_much_data_are_heard_without_any_rule() {
    let body = json!({ "data": { "much": "x".repeat(300_000) }, "errors": [{ "message": "no such brand" }] });
    let refuse = |stage: &Stage, id: &str| {
        let effect = Effect::Status {
            status: 200,
            headers: Vec::new(),
            body: Some(body.clone()),
        };
        stage.world().destination.faults.add(Fault::always(effect).entity(id));
    };
    let mut stage = told_under("{}", refuse);
    stage.run_until(MINUTE_MS, "it is given up", |stage| stage.dead_letters() == 1);
}

/// What a refusal tells counts wherever it stands: here the id of what is there already.
#[test]
fn an_id_behind_much_else_in_a_refusal_is_taken() {
    const SHOP: &str = r#"{
        "products": {
            "identity": { "unique": true }, "remember": { "id": ["/id", "/errors/0/id"] },
            "create": { "path": "/shop/products?ref={id}" },
            "update": { "method": "PUT", "path": "/shop/products/{remote.id}" },
            "delete": { "path": "/shop/products/{remote.id}" }
        },
        "product-models": false
    }"#;
    let mut stage = Stage::with(1, 0, 12, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(SHOP).expect("a good shape");
        let shop = ShopConfig {
            is_unique: true,
            ..ShopConfig::default()
        };
        world.destination.shop = Some(Shop::new(shop));
    });
    // It is made, and the answer is lost; what is there already is told at length.
    let known = json!({ "errors": [{ "code": 409, "about": "x".repeat(300_000), "id": "1001" }] });
    let known = Effect::Status {
        status: 409,
        headers: Vec::new(),
        body: Some(known),
    };
    for effect in [Fault::next(1, Effect::Cut { applied: true }), Fault::always(known)] {
        stage.world().destination.faults.add(effect.method("POST"));
    }
    let product = stage.products()[0].clone();
    stage.tell(&touch(&product));
    stage.run_until(30 * MINUTE_MS, "it is changed by its id", |stage| {
        let applied = stage.world().destination.log.iter().filter(|push| push.applied).count();
        applied > 1 && stage.is_quiet()
    });
    assert_eq!((stage.differences(), stage.dead_letters()), (Vec::new(), 0));
}

/// So does the wait that a busy destination asks for by a rule.
#[test]
fn a_wait_behind_much_else_is_kept() {
    let shape =
        r#"{ "answers": { "rules": [{ "status": 503, "at": "/wait", "means": "busy", "wait": { "at": "/wait" } }] } }"#;
    let busy = Effect::Status {
        status: 503,
        headers: Vec::new(),
        body: Some(json!({ "about": "x".repeat(300_000), "wait": 400 })),
    };
    let mut stage = told_under(shape, |stage, _| {
        stage.world().destination.log.clear();
        stage.world().destination.faults.add(Fault::next(1, busy.clone()));
    });
    stage.run_until(30 * MINUTE_MS, "it comes through", |stage| {
        stage.differences().is_empty()
    });
    let world = stage.world();
    let asked_ms: Vec<u64> = world.destination.log.iter().map(|push| push.at_ms).collect();
    assert_eq!(asked_ms.len(), 2);
    assert!(asked_ms[1] - asked_ms[0] >= 400_000, "{asked_ms:?}");
}

#[test]
fn no_alert_holds_what_an_upstream_said() {
    for (seed, status, says) in [
        (1, 422, "it answered 422"),
        (2, 403, "it answered 403"),
        (3, 500, "it answered 500"),
    ] {
        let mut stage = Stage::new(150, 5, seed);
        stage.walk();
        let fault = Fault::always(saying(status, "the PIM's own words", 0)).path("/api/rest/v1/product");
        stage.world().pim.faults.add(fault);
        for product in stage.products().into_iter().take(20) {
            let changes = stage.edit(&Edit::new(product, Action::Touch));
            stage.tell_now(&changes);
        }
        stage.run_for(150 * MINUTE_MS);
        let told: Vec<String> = stage.world().told.iter().map(|(_, text)| text.clone()).collect();
        assert!(told.iter().any(|text| text.contains(says)), "{told:?}");
        assert!(told.iter().any(|text| text.starts_with("reconciliation: ")), "{told:?}");
        assert!(!told.concat().contains("own words"), "{told:?}");
    }
}

/// A product that is told of on a stage with this shape.
fn told_under(shape: &str, go_wrong: impl Fn(&Stage, &str)) -> Stage {
    let mut stage = Stage::with(20, 0, 7, |_, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(shape).expect("a good shape");
    });
    become_equal(&mut stage);
    let product = stage.products()[3].clone();
    go_wrong(&stage, &product.key());
    stage.tell(&touch(&product));
    stage
}

#[test]
fn a_refusal_passes_where_the_shape_says_so() {
    let refuse = |times| {
        move |stage: &Stage, id: &str| {
            let fault = Fault::next(times, Fault::status(422)).entity(id);
            stage.world().destination.faults.add(fault);
        }
    };
    for shape in [
        r#"{"answers": {"busy": [422]}}"#,
        r#"{"products": {"answers": {"busy": [400, 422]}}}"#,
    ] {
        for times in [1, 5] {
            let mut stage = told_under(shape, refuse(times));
            stage.run_until(60 * MINUTE_MS, "it comes through", |stage| {
                stage.is_quiet() && stage.differences().is_empty()
            });
            assert_eq!(stage.dead_letters(), 0);
        }
        let mut stage = told_under(shape, refuse(6));
        stage.run_until(60 * MINUTE_MS, "six times are all", |stage| stage.dead_letters() == 1);
    }
    let mut stage = told_under(r#"{"product-models": {"answers": {"busy": [422]}}}"#, refuse(1));
    stage.run_until(MINUTE_MS, "it is another kind's", |stage| stage.dead_letters() == 1);
}

#[test]
fn pages_of_html_are_the_destinations_own_where_the_shape_says_so() {
    for (shape, is_done) in [
        (r#"{"answers": {"html": "done"}}"#, true),
        (r#"{"products": {"answers": {"html": "done"}}}"#, true),
        (r#"{"answers": {"html": "unavailable"}}"#, false),
        ("{}", false),
    ] {
        let mut stage = told_under(shape, |stage, _| stage.answer_with_pages(false, 200));
        stage.run_for(5 * MINUTE_MS);
        assert_eq!((stage.is_quiet(), stage.dead_letters()), (is_done, 0), "{shape}");
    }
}
