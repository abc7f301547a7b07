//! What a walk finds that nobody told of, and that stands in nothing of what was sent.

use crate::acts::{HOUR_MS, MINUTE_MS, by_events_alone, touch};
use crate::identities::{BY_SKU, call, is_equal, shop_that_makes_anew, sku, stage_of};
use crate::names::lies_at;
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::destination::{PARENT, Shop, ShopConfig};
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

/// Who was given up since another one has what it is to be called is not tried at every walk.
#[test]
fn a_walk_leaves_alone_who_waits_for_what_another_one_is_called() {
    let (mut stage, products) = stage_of(6, 95, BY_SKU);
    let taken = sku(&stage, &products[0]);
    stage.tell(&call(&products[1], &taken));
    stage.run_until(HOUR_MS, "it is given up", |stage| {
        stage.is_quiet() && stage.dead_letters() == 1
    });
    let letters = |stage: &Stage| -> Vec<String> {
        let world = stage.world();
        let keys = world.store.keys().filter(|key| key.starts_with("r1.main.d."));
        keys.cloned().collect()
    };
    let given_up = letters(&stage);
    for _ in 0..2 {
        stage.walk();
        stage.run_for(HOUR_MS);
        assert_eq!(letters(&stage), given_up);
    }
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

/// Variants of models that cannot be made: what is told of them all goes out without the id that the shop gives a model.
struct Orphans {
    stage: Stage,
    variants: Vec<String>,
}

impl Orphans {
    /// Brings them by events alone, to a shop that has this shape and for twenty minutes makes no model.
    fn bring(shape: &str, seed: u64) -> Orphans {
        let mut stage = Stage::with(6, 2, seed, |world, worker| {
            by_events_alone(worker);
            worker.shape = Shape::read(shape).expect("a good shape");
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
        assert!(!variants.is_empty());
        stage.run_for(20 * MINUTE_MS);
        stage.world().destination.faults.clear();
        Orphans { stage, variants }
    }

    /// How many of them were brought at all, and of how many the model's id was told last.
    fn brought(&self) -> (usize, usize) {
        let mut last = BTreeMap::new();
        let world = self.stage.world();
        let stands_in_body = |path: &String| {
            let stored = world.destination.state.get(path);
            stored.is_some_and(|stored| stored.body()[PARENT].is_string())
        };
        for received in &world.destination.log {
            if received.method == "PUT" && self.variants.contains(&received.path) {
                let is_told = received.header("x-parent").is_some() || received.query.contains("parent=");
                last.insert(received.path.clone(), is_told || stands_in_body(&received.path));
            }
        }
        (last.len(), last.values().filter(|is_told| **is_told).count())
    }

    /// Whether each of them was brought with its model's id.
    fn are_told(&self) -> bool {
        let shop = self.stage.world().destination.shop.clone().expect("a shop");
        assert_eq!(shop.mistold, Vec::<String>::new());
        let world = self.stage.world();
        let state = world
            .destination
            .state
            .iter()
            .map(|(path, stored)| (path, stored.body()));
        let are_orphans = !shop.orphans(state).is_empty();
        drop(world);
        if are_orphans {
            return false;
        }
        self.stage.is_quiet() && self.brought() == (self.variants.len(), self.variants.len())
    }

    /// Goes on until each of them was brought with its model's id.
    fn are_told_within(&mut self, ms: u64) {
        let until_ms = self.stage.now_ms() + ms;
        while !self.are_told() {
            assert!(self.stage.now_ms() < until_ms, "only {:?} were brought", self.brought());
            self.stage.run_for(MINUTE_MS);
        }
    }
}

/// Variants were brought while their model could not be made, so without the id that the shop gives it. They are brought
/// once more when it has one, though nobody tells of them.
#[test]
fn variants_that_were_brought_without_the_id_of_their_model_are_brought_again_with_it() {
    let in_body = r#""fields": [
        { "from": "/uuid", "to": "/uuid" }, { "from": "/parent", "to": "/parent" },
        { "template": "{parent.remote.id}", "to": "/parent_id" }
    ]"#;
    let by_body = BY_PARENTS.replace(r#""headers": { "x-parent": "{parent.remote.id}" }"#, in_body);
    for shape in [BY_PARENTS, &by_body] {
        let mut orphans = Orphans::bring(shape, 91);
        assert_eq!(orphans.brought(), (orphans.variants.len(), 0));
        orphans.are_told_within(2 * HOUR_MS);
    }
}

/// Where the address has the model's id, variants are given up without it. A model that has one takes them out of the
/// dead letters.
#[test]
fn variants_that_were_given_up_without_the_id_of_their_model_come_with_it() {
    let path = |kind: &str| format!(r#""path": "/shop/{kind}?ref={{id}}" }}, "update""#);
    let with_parent = path("products").replace("ref={id}", "ref={id}&parent={parent.remote.id}");
    let mut orphans = Orphans::bring(&BY_PARENTS.replace(&path("products"), &with_parent), 93);
    assert_eq!(orphans.brought(), (0, 0));
    orphans.are_told_within(2 * HOUR_MS);
    let without_a_model = orphans.stage.products().len() - orphans.variants.len();
    assert_eq!(orphans.stage.dead_letters(), without_a_model);
}

/// A shop that is told of each category under which id it has the one above it.
const BY_PARENTS_OF_CATEGORIES: &str = r#"{
    "products": false, "product-models": false,
    "categories": {
        "remember": { "id": "/id" }, "headers": { "x-parent": "{parent.remote.id}" },
        "find": { "path": "/shop/categories?ref={id}", "list": "/found", "settle_seconds": 1 },
        "create": { "path": "/shop/categories?ref={id}" }, "update": { "method": "PUT", "path": "/shop/categories/{remote.id}" },
        "delete": { "path": "/shop/categories/{remote.id}" }
    }
}"#;

/// Nothing marks the categories below one: a walk finds those that were brought, or refused, without its id.
#[test]
fn a_walk_finds_categories_that_were_sent_without_the_id_of_the_one_above_them() {
    let category = |number: usize| EntityId::Category(format!("shelf_{number}"));
    let above = EntityId::Category("workshop".to_owned());
    let mut stage = Stage::with(0, 0, 94, |world, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(BY_PARENTS_OF_CATEGORIES).expect("a good shape");
        world.destination.shop = Some(Shop::new(ShopConfig::default()));
        for number in 0..5 {
            let edit = Edit::new(category(number), Action::create_below("workshop"));
            world.pim.catalogue.edit(&edit, 1_000_000).expect("it is new");
        }
    });
    let last_told = |stage: &Stage| {
        let mut last = BTreeMap::new();
        for received in stage.world().destination.log.iter() {
            if received.applied && received.path.contains("/shelf_") {
                last.insert(received.path.clone(), received.header("x-parent").is_some());
            }
        }
        (last.len(), last.values().filter(|is_told| **is_told).count())
    };
    stage.fail_alone(false, &above, 503);
    stage.world().destination.reject("shelf_3", "It is nowhere.");
    stage.walk();
    // Its own tries end with an hour.
    stage.run_for(2 * HOUR_MS);
    assert_eq!(last_told(&stage), (4, 0));
    stage.mend();
    stage.world().destination.rejections.clear();
    stage.tell(&touch(&above));
    stage.run_until(2 * HOUR_MS, "the one above them is made", |stage| {
        stage.is_quiet() && stage.dead_letters() == 1
    });
    assert_eq!(last_told(&stage), (4, 0));
    stage.walk();
    stage.run_until(10 * MINUTE_MS, "they are brought with its id", |stage| {
        stage.is_quiet() && last_told(stage) == (5, 5)
    });
}
