//! Destinations that answer every lookup, whatever they answer to what is made or changed.

use crate::acts::{HOUR_MS, MINUTE_MS, by_events_alone, delete, tell_all, touch, until_pushed};
use model::entity::{Kind, Segment};
use queue::in_flight::InFlightValue;
use queue::key::{Key, Record};
use queue::keyspace::Keyspace;
use records::state::State;
use serde_json::Value;
use shape::Shape;
use simulator::destination::{Shop, ShopConfig};
use simulator::fault::{Effect, Fault};
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

/// A worker whose clock is ahead dates what others have in flight to a moment that lies ahead. Whoever meets that takes it
/// to have begun just now, and makes nothing again before it may have arrived.
#[test]
fn what_a_clock_ahead_says_to_be_in_flight_may_still_arrive() {
    for ahead_s in [3 * 3600, 365 * 86_400] {
        let mut stage = shop(5, 97);
        let product = stage.products()[2].clone();
        let batch = Key::InFlight(Segment::of("worker"), stage.now_ms() / 1000 + ahead_s);
        let value = InFlightValue {
            is_second: true,
            ..InFlightValue::of([(Kind::Product, product.key(), None)])
        };
        let key = Keyspace::new("main").encode(&batch);
        stage.world().store.insert(key, value.to_bytes());
        let told_ms = stage.now_ms();
        let products = stage.products();
        tell_all(&mut stage, &products);
        stage.run_until(HOUR_MS, "all are made", |stage| stage.differences().is_empty());
        let world = stage.world();
        let creations = world.destination.log.iter().filter(|call| call.method == "PUT");
        let of_it = creations.filter(|call| call.path.ends_with(&product.key()));
        let made_ms: Vec<u64> = of_it.map(|call| call.at_ms).collect();
        // As long as a call may take, and the one before it.
        let longest_ms = 2 * 15_000;
        assert!(
            made_ms.len() == 1 && made_ms[0] >= told_ms + longest_ms,
            "{ahead_s} s ahead: told at {told_ms}, made at {made_ms:?}"
        );
    }
}

/// A host whose clock is ahead takes a creation that another one has just sent for one of long ago: it has arrived or never
/// will. It may arrive all the same, and then it is found.
#[test]
fn what_another_clock_dates_long_ago_may_still_arrive() {
    let apart_ms = i64::try_from(23 * MINUTE_MS).expect("a skew");
    for seed in 98..102 {
        let mut stage = Stage::on_hosts(&[0, apart_ms], 40, 0, seed, |world, worker| {
            by_events_alone(worker);
            worker.shape = Shape::read(SHOP).expect("a good shape");
            world.destination.shop = Some(Shop::new(ShopConfig::default()));
        });
        let products = stage.products();
        // The hosts learn by their work that their clocks differ.
        for product in &products[..20] {
            stage.tell(&touch(product));
            stage.run_for(MINUTE_MS / 2);
        }
        let state = stage.world().store[&Keyspace::new("main").record(Record::State)].clone();
        let state: State = serde_json::from_slice(&state).expect("a state");
        assert!(state.clocks_differ());
        for product in &products[20..] {
            let late = Fault::next(1, Effect::LandLate { after_ms: 29_000 });
            let late = late.method("POST").entity(&product.key());
            stage.world().destination.faults.add(late);
            stage.tell(&touch(product));
            stage.run_for(2 * MINUTE_MS);
        }
        stage.run_until(4 * HOUR_MS, "all are made", |stage| stage.differences().is_empty());
        let world = stage.world();
        let shop = world.destination.shop.as_ref().expect("a shop");
        assert_eq!(shop.doubled, Vec::<String>::new(), "seed {seed}");
    }
}

/// An index that an earlier version left knows of no ids: what it lacks comes as entities are next pushed, and until then
/// both kinds of entries stand beside each other.
#[test]
fn an_index_of_before_gets_what_it_lacks_as_entities_are_pushed() {
    let mut stage = shop(40, 96);
    let products = stage.products();
    tell_all(&mut stage, &products);
    stage.run_until(HOUR_MS, "all are made", |stage| {
        stage.differences().is_empty() && stage.is_quiet()
    });
    let entries = |stage: &Stage| {
        let world = stage.world();
        let pages = world.store.iter().filter(|(key, _)| key.starts_with("r1.main.i."));
        let pages = pages.map(|(key, page)| (key.clone(), serde_json::from_slice::<Value>(page).expect("a page")));
        pages.collect::<Vec<_>>()
    };
    let with_ids = |stage: &Stage| {
        let pages = entries(stage).into_iter();
        let entries = pages.flat_map(|(_, page)| page["entries"].as_object().expect("entries").clone());
        entries
            .filter(|(_, entry)| entry["g"].is_null() && entry["r"]["id"].is_string())
            .count()
    };
    for (at, (key, mut page)) in entries(&stage).into_iter().enumerate() {
        for entry in page["entries"]
            .as_object_mut()
            .expect("entries")
            .values_mut()
            .filter(|_| at % 3 > 0)
        {
            entry.as_object_mut().expect("an entry").remove("r");
        }
        stage.world().store.insert(key, page.to_string().into_bytes());
    }
    let known = with_ids(&stage);
    assert!(known > 0 && known < products.len(), "{known} entries of both kinds");
    for (at, product) in products.iter().enumerate() {
        match at % 4 {
            0 => stage.tell(&delete(product)),
            3 => {}
            _ => stage.tell(&touch(product)),
        }
    }
    stage.run_until(HOUR_MS, "all is equal", |stage| {
        stage.differences().is_empty() && stage.is_quiet()
    });
    assert_eq!(
        stage.world().destination.shop.as_ref().expect("a shop").doubled,
        [""; 0]
    );
    assert_eq!(stage.dead_letters(), 0);
    // What was not pushed since is as it was left, and no more than that.
    assert!(with_ids(&stage) >= products.len() / 2, "{} have ids", with_ids(&stage));
}
