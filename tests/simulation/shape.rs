//! What shapes look up, while the PIM is slow, events are lost, and workers are killed.

use serde_json::json;
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::{Effect, Fault};
use tests::shaped;
use tests::simulation::host::Chances;
use tests::simulation::stage::Stage;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// Worlds in which everything fails.
const SEEDS: u64 = 60;

fn stage(products: usize, models: usize, seed: u64, shape: &str, categories: usize) -> Stage {
    Stage::with(products, models, seed, |world, worker| {
        worker.shape = Shape::read(shape).expect("a good shape");
        for number in 0..categories {
            let edit = Edit::new(category(number), Action::create_below("workshop"));
            world.pim.catalogue.edit(&edit, 1_000_000).expect("it is new");
        }
    })
}

fn category(number: usize) -> EntityId {
    EntityId::Category(format!("shelf_{number:04}"))
}

fn moved(product: &EntityId, category: &str) -> Edit {
    let categories = vec![category.to_owned()];
    Edit::new(product.clone(), Action::SetCategories { categories })
}

fn label(entity: EntityId, text: &str) -> Edit {
    Edit::new(entity, Action::label("en_US", text))
}

fn differences(stage: &Stage, shape: &str) -> Vec<String> {
    let shape = Shape::read(shape).expect("a good shape");
    let world = stage.world();
    shaped::differences(&world.pim, &world.destination, &shape)
}

/// Whether the destination has had a request for an entity.
fn is_pushed(stage: &Stage, entity: &EntityId) -> bool {
    let world = stage.world();
    let log = &world.destination.log;
    log.iter().any(|push| push.path.ends_with(&entity.key()))
}

/// How often the PIM was asked for a page of its categories.
fn asked_for_categories(stage: &Stage) -> usize {
    let world = stage.world();
    let fetches = world.fetches.iter();
    fetches.filter(|(_, _, target)| target.contains("/categories?")).count()
}

const BY_CATEGORY: &str = r#"{"products": {
    "selection": {"categories": ["workshop"]},
    "values": {"form": "flat", "locales": ["en_US"]},
    "fields": [
        {"from": "/uuid", "to": "/id"}, {"from": "/values/sku", "to": "/sku"},
        {"from": "/categories", "as": "label", "to": "/shelves"}
    ]
}}"#;

#[test]
fn a_list_that_fits_into_no_tick_is_read_over_several() {
    let mut stage = stage(40, 4, 1, BY_CATEGORY, 1500);
    let slow = Fault::always(Effect::Slow { ms: 900 }).path("/api/rest/v1/categories");
    stage.world().pim.faults.add(slow);
    let products = stage.products();
    for (number, product) in products.iter().enumerate() {
        let EntityId::Category(shelf) = category(number) else {
            unreachable!()
        };
        stage.edit(&moved(product, &shelf));
    }
    stage.walk();
    assert_eq!(differences(&stage, BY_CATEGORY), Vec::<String>::new());
    // Sixteen pages, twice, and what the tick's end cut off.
    assert!(
        (32..40).contains(&asked_for_categories(&stage)),
        "{}",
        asked_for_categories(&stage)
    );

    // While it is read once more, others go on: what needs no list at once.
    stage.forget();
    stage.announce(&label(category(7), "By the window"));
    let model = stage
        .world()
        .pim
        .catalogue
        .truth()
        .models(None)
        .next()
        .unwrap()
        .id
        .clone();
    stage.run_for(MINUTE_MS);
    stage.announce(&Edit::new(model.clone(), Action::Touch));
    stage.run_until(2 * MINUTE_MS, "the model, while the list is read", |stage| {
        is_pushed(stage, &model)
    });
    stage.run_until(HOUR_MS, "the label, and nothing else that waits", |stage| {
        differences(stage, BY_CATEGORY).is_empty() && stage.is_quiet()
    });
}

#[test]
fn a_product_in_a_category_that_the_list_lacks_is_not_deleted() {
    let mut stage = stage(6, 0, 2, BY_CATEGORY, 1);
    let products = stage.products();
    for product in &products {
        stage.announce(&moved(product, "shelf_0000"));
    }
    // Others come up while the list is young, and nobody tells of them.
    for number in 1..4 {
        stage.edit(&Edit::new(category(number), Action::create_below("workshop")));
        for product in &products {
            stage.announce(&moved(product, &format!("shelf_{number:04}")));
        }
        stage.run_for(20_000);
    }
    stage.run_until(HOUR_MS, "the new category", |stage| {
        stage.is_quiet() && differences(stage, BY_CATEGORY).is_empty()
    });
    assert_eq!(stage.pushes("DELETE"), 0);
}

/// One product with forty files, of which a tick has time for a part.
#[test]
fn a_forced_push_of_many_slow_files_comes_to_its_end() {
    const FILES: usize = 40;
    let codes: Vec<String> = (0..FILES).map(|number| format!("0/{number:02}.jpg")).collect();
    let mut stage = stage(1, 0, 3, r#"{"media": {}}"#, 0);
    stage.world().pim.config.media = codes.iter().map(|code| (code.clone(), 5000)).collect();
    let slow = Fault::always(Effect::Slow { ms: 3000 }).path("/api/rest/v1/media-files/");
    stage.world().pim.faults.add(slow);
    let product = stage.products()[0].clone();
    for (number, code) in codes.iter().enumerate() {
        let packshot = Action::SetValue {
            attribute: "packshot".to_owned(),
            locale: Some(format!("l{number}")),
            scope: None,
            data: json!(code),
        };
        stage.edit(&Edit::new(product.clone(), packshot));
    }
    stage.walk();
    let sent = |stage: &Stage| {
        stage
            .world()
            .destination
            .media
            .values()
            .map(|file| file.versions)
            .sum::<u64>()
    };
    assert_eq!(sent(&stage), FILES as u64);
    stage.forget();
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full","force":true}"#);
    stage.run_until(2 * HOUR_MS, "the product, once more", |stage| {
        is_pushed(stage, &product)
    });
    assert_eq!(sent(&stage), 2 * FILES as u64, "each of them once more");
}

const BY_LABEL: &str = r#"{"products": {
    "values": {"form": "flat", "locales": ["en_US"]},
    "fields": [
        {"from": "/uuid", "to": "/id"}, {"from": "/values/finish", "as": "label", "to": "/finish"},
        {"from": "/categories", "as": "label", "to": "/shelves"}
    ]
}}"#;

/// A list of more than ten thousand elements is asked for once an hour, and people are told.
#[test]
fn a_list_without_an_end_is_not_read_again_and_again() {
    let mut stage = stage(10, 0, 4, BY_LABEL, 10_010);
    stage.run_for(HOUR_MS / 2);
    assert_eq!((asked_for_categories(&stage), stage.pushes("PUT")), (101, 0));
    let reason = stage
        .reconciliation()
        .looks
        .iter()
        .find_map(|(_, look)| look.trouble.clone());
    assert!(reason.is_some_and(|trouble| trouble.reason.contains("more than 10,000 elements")));
}

/// A stage where a product lies in one of a thousand categories with labels of this length, in texts of thirteen letters.
/// Its label then changes, and reaches the product.
fn labelled_anew(length: usize) -> Stage {
    let mut stage = stage(10, 0, 5, BY_LABEL, 1000);
    for number in 0..1000 {
        stage.edit(&label(category(number), &"a long label ".repeat(length)));
    }
    let product = stage.products()[3].clone();
    stage.edit(&moved(&product, "shelf_0500"));
    stage.walk();
    assert_eq!(differences(&stage, BY_LABEL), Vec::<String>::new());
    stage.announce(&label(category(500), "A short one"));
    stage.run_until(HOUR_MS, "the label", |stage| differences(stage, BY_LABEL).is_empty());
    stage
}

/// A list that is too large to be kept is known by its digest, so that its changes are seen, too.
#[test]
fn a_label_in_a_list_too_large_to_be_kept_reaches_what_carries_it() {
    labelled_anew(80);
}

/// A store may take no values of more than 400 KB, as DynamoDB does: a list that is larger is not kept there.
#[test]
fn a_list_too_large_for_this_store_is_not_kept_and_stops_nothing() {
    let stage = labelled_anew(40);
    let refused = |violation: &String| violation.contains("a value of");
    assert!(
        stage.world().violations.iter().any(refused),
        "the store was asked to take it"
    );
}

#[test]
fn a_proxy_that_knows_no_options_empties_no_list() {
    let mut stage = stage(10, 0, 6, BY_LABEL, 0);
    stage.walk();
    stage.forget();
    let unknown = Effect::Status {
        status: 404,
        headers: Vec::new(),
        body: Some(json!({ "error": "no such route" })),
    };
    stage
        .world()
        .pim
        .faults
        .add(Fault::always(unknown).path("/api/rest/v1/attributes/"));
    // The list is read anew by then.
    stage.run_for(HOUR_MS + 10 * MINUTE_MS);
    for product in stage.products() {
        stage.announce(&Edit::new(product, Action::Touch));
    }
    stage.run_for(HOUR_MS);
    assert_eq!(stage.pushes("PUT"), 0, "codes in place of labels");
    stage.world().pim.faults.clear();
    stage.run_until(HOUR_MS, "quiet", Stage::is_quiet);
    assert_eq!(differences(&stage, BY_LABEL), Vec::<String>::new());
}

#[test]
fn under_a_shape_everything_becomes_equal_whatever_fails() {
    let mut killed = 0;
    for seed in 0..SEEDS {
        let mut stage = stage(30, 4, seed, BY_CATEGORY, 220);
        stage.world().chances = Chances {
            kill: 0.003,
            pause: 0.0005,
            store: 0.003,
            half: 0.01,
        };
        let slow = Fault::share(0.1, Effect::Slow { ms: 4000 }).path("/api/rest/v1/");
        stage.world().pim.faults.add(slow);
        for _ in 0..40 {
            let shelf = stage.random.usize(..240);
            let edit = match stage.random.u8(..8) {
                0 => label(category(shelf), &format!("label {shelf}")),
                1 => Edit::new(category(shelf), Action::create_below("workshop")),
                2 => Edit::new(category(shelf), Action::Delete),
                3 => {
                    let parent = if stage.random.bool() { "workshop" } else { "seasonal" };
                    Edit::new(
                        category(shelf),
                        Action::SetParent {
                            parent: Some(parent.to_owned()),
                        },
                    )
                }
                4..7 => {
                    let products = stage.products();
                    let at = stage.random.usize(..products.len());
                    moved(&products[at], &format!("shelf_{shelf:04}"))
                }
                _ => {
                    let mut random = stage.random.fork();
                    stage.world().pim.catalogue.random_edit(&mut random)
                }
            };
            if stage.random.bool() {
                stage.announce(&edit);
            } else {
                stage.edit(&edit);
            }
            let pause_ms = stage.random.u64(..2 * MINUTE_MS);
            stage.run_for(pause_ms);
        }
        {
            let mut world = stage.world();
            world.chances = Chances::default();
            world.pim.faults.clear();
            killed += world.killed;
        }
        // What was read an hour ago at most is read anew by then, and its walk is over.
        stage.run_for(2 * HOUR_MS);
        stage.walk();
        stage.command(r#"{"v":1,"do":"release-brake"}"#);
        stage.walk();
        stage.run_until(6 * HOUR_MS, "quiet", Stage::is_quiet);
        assert_eq!(differences(&stage, BY_CATEGORY), Vec::<String>::new(), "seed {seed}");
    }
    println!("{SEEDS} worlds under a shape, {killed} kills: equal at the end of each");
}
