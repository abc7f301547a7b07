//! The destination calls products by their SKUs, which change, are swapped, and are given twice.

use crate::acts::{HOUR_MS, MINUTE_MS, by_events_alone, delete, touch};
use serde_json::{Value, json};
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::destination::{Shop, ShopConfig};
use simulator::fault::Fault;
use std::collections::BTreeMap;
use tests::simulation::stage::Stage;

pub(crate) const BY_SKU: &str = r#"{
    "products": {
        "identity": { "form": "attribute", "attribute": "sku" },
        "upsert": { "path": "/products/{identity}" }, "delete": { "path": "/products/{identity}" }
    },
    "product-models": false
}"#;

/// A shop that gives ids, is told of another SKU by a change, and takes none twice.
pub(crate) const SHOP: &str = r#"{
    "products": {
        "identity": { "form": "attribute", "attribute": "sku", "unique": true, "renames": true },
        "remember": { "id": "/id" },
        "find": { "path": "/shop/products?ref={identity}", "list": "/found", "settle_seconds": 1 },
        "create": { "path": "/shop/products?ref={identity}" },
        "update": { "method": "PUT", "path": "/shop/products/{remote.id}?ref={identity}" },
        "delete": { "path": "/shop/products/{remote.id}" }
    },
    "product-models": false
}"#;

/// The same shop, where the old is deleted and the new made.
pub(crate) fn shop_that_makes_anew() -> String {
    SHOP.replace(r#""renames": true"#, r#""renames": false"#)
        .replace("{remote.id}?ref={identity}", "{remote.id}")
}

/// A stage on which all products lie at the destination, and the products.
pub(crate) fn stage(products: usize, seed: u64) -> (Stage, Vec<EntityId>) {
    stage_of(products, seed, BY_SKU)
}

pub(crate) fn stage_of(products: usize, seed: u64, shape: &str) -> (Stage, Vec<EntityId>) {
    let shop = ShopConfig {
        is_unique: true,
        passes_names_on: true,
        ..ShopConfig::default()
    };
    let (stage, products) = stage_at(products, seed, shape, Some(shop).filter(|_| shape != BY_SKU));
    assert!(is_equal(&stage));
    (stage, products)
}

/// The same at this shop, or at a destination that is none.
pub(crate) fn stage_at(products: usize, seed: u64, shape: &str, shop: Option<ShopConfig>) -> (Stage, Vec<EntityId>) {
    let mut stage = Stage::with(products, 0, seed, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(shape).expect("a good shape");
        world.destination.shop = shop.map(Shop::new);
    });
    let products = stage.products();
    for product in &products {
        stage.tell(&touch(product));
    }
    stage.run_until(HOUR_MS, "all products", |stage| {
        stage.is_quiet() && held(stage).len() == products.len()
    });
    // What the search index lags behind has come.
    stage.run_for(5 * MINUTE_MS);
    stage.forget();
    (stage, products)
}

pub(crate) fn call(product: &EntityId, sku: &str) -> Edit {
    set_sku(product, json!(sku))
}

/// The edit that gives a product this as its SKU.
pub(crate) fn set_sku(product: &EntityId, data: Value) -> Edit {
    Edit::new(
        product.clone(),
        Action::SetValue {
            attribute: "sku".to_owned(),
            locale: None,
            scope: None,
            data,
        },
    )
}

pub(crate) fn sku(stage: &Stage, product: &EntityId) -> String {
    let world = stage.world();
    let mut products = world.pim.catalogue.truth().products(None);
    let entity = products.find(|known| known.id == *product).expect("a product");
    entity.identifier.clone().expect("a SKU")
}

/// What the destination is to have: the UUIDs of products by their SKUs.
fn wanted(stage: &Stage) -> BTreeMap<String, String> {
    let world = stage.world();
    let products = world.pim.catalogue.truth().products(None);
    let named =
        products.filter_map(|product| Some((format!("/products/{}", product.identifier.clone()?), product.id.key())));
    named.collect()
}

pub(crate) fn held(stage: &Stage) -> BTreeMap<String, String> {
    let world = stage.world();
    let state = world.destination.state.iter();
    state
        .map(|(path, stored)| {
            (
                path.clone(),
                stored.body()["uuid"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect()
}

pub(crate) fn is_equal(stage: &Stage) -> bool {
    stage.is_quiet() && held(stage) == wanted(stage)
}

/// Lets the worker be killed before or after each call that it makes of this act's events; in so much time all must be
/// equal.
fn killed_anywhere(seed: u64, most_ms: u64, act: impl Fn(&mut Stage, &[EntityId])) {
    for shape in [BY_SKU, SHOP, &shop_that_makes_anew()] {
        killed_anywhere_under(shape, (seed, most_ms), &act);
    }
}

fn killed_anywhere_under(shape: &str, (seed, most_ms): (u64, u64), act: impl Fn(&mut Stage, &[EntityId])) {
    let play = |kill: Option<(u64, bool)>| {
        let (mut stage, products) = stage_of(6, seed, shape);
        let first = stage.world().calls;
        stage.world().kills = kill
            .map(|(number, after)| (first + number, after))
            .into_iter()
            .collect();
        act(&mut stage, &products);
        stage.run_until(most_ms, &format!("equal, killed at {kill:?}"), is_equal);
        let world = stage.world();
        let killed = world.killed;
        (world.calls - first, killed)
    };
    let (calls, _) = play(None);
    let mut killed = 0;
    for number in 1..calls.min(60) {
        for after in [false, true] {
            killed += play(Some((number, after))).1;
        }
    }
    assert!(killed > 40, "killed {killed} times at {calls} calls");
}

#[test]
fn an_sku_that_changes_leaves_the_old_and_comes_under_the_new_in_one_tick() {
    for (shape, deleted) in [(BY_SKU, 1), (SHOP, 0), (&shop_that_makes_anew(), 1)] {
        let (mut stage, products) = stage_of(6, 61, shape);
        stage.tell(&call(&products[2], "CALLED-ANEW"));
        stage.run_until(30_000, "the new one", is_equal);
        // The destination logs what makes a thing as what changes one.
        assert_eq!((stage.pushes("DELETE"), stage.pushes("PUT")), (deleted, 1));
        // Ticks begin ten seconds apart.
        let world = stage.world();
        let pushes = world.destination.log.iter().filter(|request| request.method != "GET");
        let at_ms: Vec<u64> = pushes.map(|push| push.at_ms).collect();
        assert!(at_ms.last().unwrap() - at_ms[0] < 5000, "in one tick: {at_ms:?}");
    }
}

/// A kill costs the rest of the lease, and the time in which what was in flight may still arrive; then one tick does the rest.
#[test]
fn killed_between_the_old_and_the_new_nothing_stays_behind() {
    killed_anywhere(62, 15 * MINUTE_MS, |stage, products| {
        stage.tell(&call(&products[2], "CALLED-ANEW"));
    });
}

#[test]
fn a_swap_of_two_and_a_ring_of_three_come_to_their_end_killed_anywhere() {
    for count in [2, 3] {
        killed_anywhere(63, 12 * HOUR_MS, |stage, products| {
            let skus: Vec<String> = products[..count].iter().map(|product| sku(stage, product)).collect();
            for (at, product) in products[..count].iter().enumerate() {
                stage.tell(&call(product, &skus[(at + 1) % count]));
            }
        });
    }
}

/// Of a swap only one half is told: the other one is read since it holds what the first wants.
#[test]
fn a_swap_of_which_one_half_is_told_is_seen_as_what_it_is() {
    let (mut stage, products) = stage(6, 64);
    let [one, other] = [0, 1].map(|at| sku(&stage, &products[at]));
    stage.edit(&call(&products[1], &one));
    stage.run_for(5 * MINUTE_MS);
    stage.tell(&call(&products[0], &other));
    stage.run_until(10 * MINUTE_MS, "both", is_equal);
    assert_eq!((stage.pushes("DELETE"), stage.dead_letters()), (0, 0));
}

#[test]
fn two_products_with_one_sku_are_told_and_come_by_themselves_once_one_changes() {
    let (mut stage, products) = stage(6, 65);
    let of_first = sku(&stage, &products[0]);
    let before = held(&stage);
    stage.tell(&call(&products[1], &of_first));
    stage.run_until(HOUR_MS, "one is given up", |stage| stage.dead_letters() == 1);
    assert_eq!(held(&stage), before, "both lie where they lay");
    let reason = {
        let world = stage.world();
        let letter = world.store.iter().find(|(key, _)| key.starts_with("r1.main.d."));
        String::from_utf8_lossy(letter.expect("a dead letter").1).into_owned()
    };
    let names = [&of_first, &format!("products/{}", products[0].key())];
    assert!(names.iter().all(|name| reason.contains(name.as_str())), "{reason}");
    stage.tell(&call(&products[0], "GIVEN-UP"));
    stage.run_until(10 * MINUTE_MS, "both, and nothing is dead", |stage| {
        is_equal(stage) && stage.dead_letters() == 0
    });

    // The same where the one that holds it is deleted.
    stage.tell(&call(&products[2], "GIVEN-UP"));
    stage.run_until(HOUR_MS, "one is given up", |stage| stage.dead_letters() == 1);
    stage.tell(&delete(&products[0]));
    stage.run_until(10 * MINUTE_MS, "the other one", |stage| {
        is_equal(stage) && stage.dead_letters() == 0
    });
}

/// A worker that dies over a push whose end it does not see, and then the product is called otherwise once more, or goes.
#[test]
fn what_may_lie_under_a_third_name_is_not_forgotten() {
    for is_deleted in [false, true] {
        let (mut stage, products) = stage(6, 66);
        let lost = Fault::next(1, simulator::fault::Effect::Cut { applied: true }).method("PUT");
        stage.world().destination.faults.add(lost);
        stage.tell(&call(&products[3], "SECOND"));
        stage.run_until(MINUTE_MS, "the second name", |stage| {
            held(stage).contains_key("/products/SECOND")
        });
        let last = if is_deleted {
            delete(&products[3])
        } else {
            call(&products[3], "THIRD")
        };
        stage.tell(&last);
        stage.run_until(HOUR_MS, "nothing under the second name", is_equal);
    }
}

#[test]
fn many_that_are_called_otherwise_at_once_are_held_by_the_brake() {
    let (mut stage, products) = stage(40, 67);
    for (number, product) in products.iter().take(30).enumerate() {
        stage.tell(&call(product, &format!("OTHER-{number}")));
    }
    stage.run_for(10 * MINUTE_MS);
    assert_eq!(stage.pushes("DELETE"), 5);
    assert_eq!(held(&stage).len(), wanted(&stage).len(), "none lies there twice");
    stage.command(r#"{"v":1,"do":"release-brake"}"#);
    stage.run_until(HOUR_MS, "all", is_equal);
}

/// Between the first change and the second the worker dies over any call: the second name may lie there, too.
#[test]
fn killed_before_it_is_called_otherwise_once_more_nothing_stays_behind() {
    killed_anywhere(68, 12 * HOUR_MS, |stage, products| {
        stage.tell(&call(&products[2], "SECOND"));
        stage.run_for(8_000);
        stage.tell(&call(&products[2], "THIRD"));
    });
}

/// What the holder of an identity is called by now is not known as long as the PIM does not tell.
#[test]
fn nobody_takes_an_identity_over_from_what_cannot_be_read() {
    let (mut stage, products) = stage(6, 69);
    let skus = [0, 1].map(|at| sku(&stage, &products[at]));
    let before = held(&stage);
    stage.fail_alone(true, &products[0], 500);
    stage.edit(&call(&products[0], &skus[1]));
    stage.tell(&call(&products[1], &skus[0]));
    stage.run_for(10 * MINUTE_MS);
    assert_eq!(held(&stage), before);
    stage.mend();
    stage.tell(&touch(&products[0]));
    stage.run_until(12 * HOUR_MS, "both", is_equal);
}

/// A holder whose change fails for now keeps its identity, and whoever takes it over waits; nothing is confused.
#[test]
fn whoever_takes_an_identity_over_waits_for_a_holder_that_fails_for_now() {
    for shape in [BY_SKU, SHOP] {
        let (mut stage, products) = stage_of(6, 72, shape);
        let [one, other] = [0, 1].map(|at| sku(&stage, &products[at]));
        let busy = Fault::next(3, Fault::status(503)).method("PUT");
        stage.world().destination.faults.add(busy);
        stage.tell(&call(&products[0], "SET-APART"));
        stage.tell(&call(&products[1], &one));
        stage.tell(&call(&products[2], &other));
        stage.run_until(3 * HOUR_MS, "all three", is_equal);
        assert_eq!(stage.dead_letters(), 0);
    }
}

/// The old is deleted and the new refused; what goes back to how it was is sent again.
#[test]
fn what_was_deleted_for_another_identity_and_refused_comes_back() {
    let (mut stage, products) = stage(6, 73);
    let old = sku(&stage, &products[0]);
    stage.world().destination.reject("REFUSED", "no such brand");
    stage.tell(&call(&products[0], "REFUSED"));
    stage.run_until(HOUR_MS, "it is given up", |stage| stage.dead_letters() == 1);
    stage.tell(&call(&products[0], &old));
    stage.run_until(HOUR_MS, "as it was", |stage| {
        is_equal(stage) && stage.dead_letters() == 0
    });
}
