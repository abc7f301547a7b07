//! What a walk finds that nobody told of, and that stands in nothing of what was sent.

use crate::acts::{HOUR_MS, MINUTE_MS, by_events_alone, touch};
use crate::identities::{call, is_equal, shop_that_makes_anew, sku, stage_of};
use crate::names::lies_at;
use shape::Shape;
use simulator::destination::{Shop, ShopConfig};
use simulator::fault::Fault;
use std::collections::BTreeMap;
use tests::simulation::stage::Stage;

/// What a product is called stands in nothing that counts for its hash: a walk finds all the same that it is called
/// otherwise, although nobody told of that.
#[test]
fn a_walk_finds_who_is_called_otherwise_though_nothing_else_of_it_changed() {
    let fields = r#""fields": [{ "from": "/uuid", "to": "/uuid" }], "remember""#;
    let shape = shop_that_makes_anew().replace(r#""remember""#, fields);
    let (mut stage, products) = stage_of(6, 90, &shape);
    let old = sku(&stage, &products[0]);
    stage.edit(&call(&products[0], "CALLED-ANEW"));
    stage.walk();
    stage.run_until(10 * MINUTE_MS, "it lies under its new SKU", is_equal);
    assert_eq!(lies_at(&stage, &old), None);
}

/// A shop that is told of each product under which id it has the model.
const BY_PARENTS: &str = r#"{
    "product-models": {
        "remember": { "id": "/id" },
        "find": { "path": "/shop/product-models?ref={id}", "list": "/found", "settle_seconds": 1 },
        "create": { "path": "/shop/product-models?ref={id}" }, "update": { "method": "PUT", "path": "/shop/product-models/{remote.id}" },
        "delete": { "path": "/shop/product-models/{remote.id}" }
    },
    "products": {
        "remember": { "id": "/id" }, "headers": { "x-parent": "{parent.remote.id}" },
        "find": { "path": "/shop/products?ref={id}", "list": "/found", "settle_seconds": 1 },
        "create": { "path": "/shop/products?ref={id}" }, "update": { "method": "PUT", "path": "/shop/products/{remote.id}" },
        "delete": { "path": "/shop/products/{remote.id}" }
    }
}"#;

/// Variants were brought while their model could not be made, so without the id that the shop gives it. A walk finds them.
#[test]
fn a_walk_finds_variants_that_were_brought_without_the_id_of_their_model() {
    let mut stage = Stage::with(6, 2, 91, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(BY_PARENTS).expect("a good shape");
        world.destination.shop = Some(Shop::new(ShopConfig::default()));
    });
    let failing = Fault::always(Fault::status(503))
        .method("POST")
        .path("/shop/product-models");
    stage.world().destination.faults.add(failing);
    for entity in stage.models().into_iter().chain(stage.products()) {
        stage.tell(&touch(&entity));
    }
    let variants: Vec<String> = {
        let world = stage.world();
        let bodies = world.pim.bodies(None).map(|(_, body)| body);
        let variants = bodies.filter(|body| body["parent"].is_string());
        variants
            .filter_map(|body| Some(format!("/products/{}", body["uuid"].as_str()?)))
            .collect()
    };
    // Which of them were brought at all, and of how many the model's id was told last.
    let brought = |stage: &Stage| {
        let mut last = BTreeMap::new();
        for received in stage
            .world()
            .destination
            .log
            .iter()
            .filter(|received| received.method == "PUT")
        {
            if variants.contains(&received.path) {
                last.insert(received.path.clone(), received.header("x-parent").is_some());
            }
        }
        (last.len(), last.values().filter(|is_told| **is_told).count())
    };
    stage.run_for(MINUTE_MS);
    assert!(!variants.is_empty());
    assert_eq!(brought(&stage), (variants.len(), 0));
    stage.world().destination.faults.clear();
    stage.run_until(2 * HOUR_MS, "the models are made", Stage::is_quiet);
    stage.walk();
    stage.run_until(10 * MINUTE_MS, "they are brought once more", |stage| {
        stage.is_quiet() && brought(stage) == (variants.len(), variants.len())
    });
    assert!(stage.world().destination.shop.as_ref().unwrap().mistold.is_empty());
}
