//! Destinations that answer every lookup, whatever they answer to what is made or changed.

use crate::acts::{HOUR_MS, MINUTE_MS, by_events_alone, tell_all, touch, until_pushed};
use shape::Shape;
use simulator::destination::{Shop, ShopConfig};
use simulator::fault::Fault;
use tests::simulation::stage::Stage;

/// A shop in which everything is looked up before it is made.
const SHOP: &str = r#"{
    "products": {
        "remember": { "id": "/id" },
        "find": { "path": "/shop/products?ref={id}", "list": "/found", "settle_seconds": 1 },
        "create": { "path": "/shop/products?ref={id}" },
        "update": { "method": "PUT", "path": "/shop/products/{remote.id}" },
        "delete": { "path": "/shop/products/{remote.id}" }
    },
    "product-models": false
}"#;

fn shop(products: usize, seed: u64) -> Stage {
    Stage::with(products, 0, seed, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(SHOP).expect("a good shape");
        world.destination.shop = Some(Shop::new(ShopConfig::default()));
    })
}

/// Five at once look something up, and a tick has time for no more calls than that.
#[test]
fn who_has_looked_something_up_goes_on_before_the_next_one_looks() {
    let mut stage = Stage::with(20, 0, 45, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(SHOP).expect("a good shape");
        (worker.tick_s, worker.call_timeout_s, worker.destination_rate) = (5, 3, 1);
        world.destination.shop = Some(Shop::new(ShopConfig::default()));
    });
    let products = stage.products();
    tell_all(&mut stage, &products);
    stage.run_until(HOUR_MS, "all are made", |stage| stage.differences().is_empty());
}

/// A shop whose database takes no writes goes on answering searches: it is down all the same.
#[test]
fn a_destination_that_only_answers_lookups_is_down() {
    for (seed, status) in [(90, 500), (91, 503), (92, 429), (93, 403)] {
        let mut stage = shop(40, seed);
        let products = stage.products();
        let fault = Fault::always(Fault::status(status)).method("POST");
        stage.world().destination.faults.add(fault);
        tell_all(&mut stage, &products);
        stage.run_for(HOUR_MS);
        stage.forget();
        stage.run_for(8 * HOUR_MS);
        let calls = stage.world().destination.log.len();
        // Who is asked without a word of how long goes on, ever more slowly, and tries from time to time whether that is over.
        let most = if status == 429 { 4000 } else { 500 };
        assert!(calls < most, "{status}: {calls} calls in eight hours");
        assert_eq!(stage.dead_letters(), 0, "{status}");
        stage.world().destination.faults.clear();
        let what = format!("all are made after eight hours of {status}");
        stage.run_until(HOUR_MS, &what, |stage| stage.differences().is_empty());
    }
}

/// That its lookup comes through is no sign that it is not the matter itself.
#[test]
fn one_that_cannot_be_made_is_given_up_though_it_is_looked_up() {
    for status in [403, 404, 422, 500, 503] {
        let mut stage = shop(20, 94);
        let products = stage.products();
        let fault = Fault::always(Fault::status(status))
            .method("POST")
            .entity(&products[4].key());
        stage.world().destination.faults.add(fault);
        let told_ms = stage.now_ms();
        tell_all(&mut stage, &products);
        let others = [&products[..4], &products[5..]].concat();
        let what = format!("all but one that is answered {status}");
        until_pushed(&mut stage, &others, told_ms, 10 * MINUTE_MS, &what);
        let until_ms = stage.now_ms() + 12 * HOUR_MS;
        while stage.dead_letters() == 0 {
            assert!(stage.now_ms() < until_ms, "{status}: it is not given up");
            stage.run_for(10 * MINUTE_MS);
            stage.tell(&touch(&products[12]));
        }
    }
}
