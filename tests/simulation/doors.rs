//! A destination whose tokens end.

use crate::acts::{HOUR_MS, by_events_alone, touch};
use shape::Shape;
use simulator::door::{Form, Manners};
use tests::simulation::doors::log_in;
use tests::simulation::stage::Stage;

const PRODUCTS: usize = 1000;

#[test]
fn ten_thousand_pushes_with_tokens_of_twenty_seconds_fail_for_none_and_renew_seldom() {
    let mut stage = Stage::with(PRODUCTS, 0, 71, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(r#"{"login": {"path": "/token"}}"#).expect("a good shape");
        log_in(worker);
        world.nature.door = Some(Manners {
            life_s: 20,
            taken_away: 0.0,
            down: 0.0,
            slow_ms: 100,
            form: Form::Body,
            rotates: true,
            too_small: 0.0,
        });
    });
    let products = stage.products();
    for round in 1..=10 {
        for product in &products {
            stage.tell(&touch(product));
        }
        stage.run_until(HOUR_MS, "all of a round", |stage| {
            stage.pushes("PUT") >= round * PRODUCTS
        });
    }
    let world = stage.world();
    let failed = world.destination.log.iter().filter(|push| push.status >= 400).count();
    let given = &world.doors.destination.given_ms;
    let closest_ms = given.windows(2).map(|two| two[1] - two[0]).min();
    println!(
        "{} pushes, {} tokens, the closest two {closest_ms:?} ms apart",
        world.destination.log.len(),
        given.len()
    );
    assert_eq!((failed, world.doors.destination.turned_away), (0, 0));
    assert!(closest_ms.is_some_and(|apart_ms| apart_ms >= 15_000), "{given:?}");
}
