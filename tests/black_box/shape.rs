//! What the destination receives: every type of value, and wrong shapes that push nothing.

use crate::admin;
use crate::reconciliation::{reconcile, walk};
use delivery::event::{Decoded, of_event_platform};
use http::Method;
use model::entity::Kind;
use queue::key::Key;
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use shape::{Lookups, Shape, Shaped};
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use simulator::deliveries::{Delivery, Secrets};
use simulator::pim::CallKind;
use tests::application::{ADMIN_TOKEN, Application};
use tests::client::bearer;
use tests::fixtures;
use tests::store::Store;
use tests::world::{PLATFORM_SECRET, World, deliver_all, legacy_deliveries, platform_deliveries};

fn body(shape: &Value, product: &Value) -> Value {
    let shape = Shape::read(&shape.to_string()).unwrap();
    match shape.apply(Kind::Product, "id", product, &Lookups::default()) {
        Shaped::Wanted(upsert) => upsert.body().clone(),
        other => panic!("{other:?}"),
    }
}

/// What the data of an example comes to, flattened for this channel and these locales.
const FLAT: [(&str, &str, &str, &str); 4] = [
    ("localizable.json", "", "de_DE fr_FR", "\"Tshirt manches longues\""),
    ("localizable.json", "", "it_IT", "null"),
    ("localizable-scopable.json", "print", "de_DE", "\"Akeneo Mug\""),
    ("localizable-scopable.json", "shop", "de_DE", "null"),
];

#[test]
fn every_example_of_a_value_is_sent_in_both_forms() {
    let examples = fixtures::payloads("rest/values");
    for (name, payload) in &examples {
        let example: Value = serde_json::from_slice(payload).unwrap();
        let values = example.get("values").unwrap_or(&example);
        let product = json!({ "values": values });
        assert_eq!(body(&json!({}), &product), product, "{name}, plain");
        let plain = json!({ "products": { "values": { "channel": "print", "locales": ["de_DE", "en_US"] } } });
        let flat =
            json!({ "products": { "values": { "form": "flat", "channel": "print", "locales": ["de_DE", "en_US"] } } });
        let (plain, flat) = (body(&plain, &product), body(&flat, &product));
        for (attribute, list) in values.as_object().unwrap() {
            let of_ours = |value: &&Value| {
                let is =
                    |member: &str, wanted: &[&str]| value[member].as_str().is_none_or(|text| wanted.contains(&text));
                is("scope", &["print"]) && is("locale", &["de_DE", "en_US"])
            };
            let ours: Vec<&Value> = list.as_array().unwrap().iter().filter(of_ours).collect();
            assert_eq!(plain["values"][attribute], json!(ours), "{name}, plain, of one channel");
            assert_eq!(flat["values"][attribute], ours[0]["data"], "{name}, flat");
        }
    }
    println!("{} examples, plain and flattened", examples.len());
    for (name, channel, locales, expected) in FLAT {
        let Some((_, payload)) = examples.iter().find(|(file, _)| file == name) else {
            continue;
        };
        let values: Value = serde_json::from_slice(payload).unwrap();
        let mut rules = json!({ "form": "flat", "locales": locales.split(' ').collect::<Vec<_>>() });
        if !channel.is_empty() {
            rules["channel"] = json!(channel);
        }
        let attribute = values.as_object().unwrap().keys().next().unwrap().clone();
        let flat = body(
            &json!({ "products": { "values": rules } }),
            &json!({ "values": values }),
        );
        assert_eq!(
            flat["values"][attribute].to_string(),
            expected,
            "{name} for {channel} {locales}"
        );
    }
}

/// Wrong shapes: the place that must be named, and a word of the remedy.
const WRONG_SHAPES: &str = include_str!("../../src/relay/shape/src/wrong_shapes.json");

#[tokio::test]
async fn a_wrong_shape_is_told_with_its_place_and_pushes_nothing() {
    let world = World::start(Catalogue::generate(5, 0, 7)).await.unwrap();
    let mut application = Application::start(world.setup()).await.unwrap();
    let changes = world.touch_all().unwrap();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    let wrong: Vec<Value> = serde_json::from_str(WRONG_SHAPES).unwrap();
    for wrong in wrong.iter().step_by(3) {
        let shape = wrong["shape"].to_string();
        let (place, remedy) = (wrong["place"].as_str().unwrap(), wrong["remedy"].as_str().unwrap());
        let setup = world.setup().with("shape", &shape);
        application = application.restart_with(setup).await.unwrap();
        let report = application.tick().await.unwrap();
        assert_eq!(report["outcome"], "failed", "{shape}: {report}");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains("`shape`"), "{reason}");
        assert!(reason.contains(place) && reason.contains(remedy), "{reason}");
        println!("{reason}");
    }
    assert!(world.destination.with(|destination| destination.log.is_empty()));
    let application = application.restart_with(world.setup()).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
}

/// Announces these entities and lets the destination catch up.
async fn announce(world: &World, application: &Application, entities: &[EntityId], seed: u64) {
    let changes: Vec<_> = entities
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Touch).unwrap())
        .collect();
    settle_after(application, &changes, seed).await;
}

async fn settle_after(application: &Application, changes: &[Change], seed: u64) {
    deliver_all(application, &platform_deliveries(changes, seed))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
}

async fn started(world: &World, shape: &Value) -> (Application, Shape) {
    let application = Application::start(world.setup().with("shape", &shape.to_string()))
        .await
        .unwrap();
    (application, Shape::read(&shape.to_string()).unwrap())
}

fn everything(world: &World) -> Vec<EntityId> {
    world.models().into_iter().chain(world.products()).collect()
}

fn set(attribute: &str, locale: Option<&str>, data: Value) -> Action {
    Action::SetValue {
        attribute: attribute.to_owned(),
        locale: locale.map(str::to_owned),
        scope: None,
        data,
    }
}

#[tokio::test]
async fn each_kind_is_sent_with_its_own_headers() {
    let world = World::start(Catalogue::generate(2, 1, 7)).await.unwrap();
    world.destination.with(|destination| destination.config.token = None);
    let shape = json!({
        "authentication": { "header": "X-Key" }, "headers": { "X-Store": "main" },
        "product-models": { "authentication": { "header": "X-Model-Key", "scheme": "Token" }, "headers": { "X-Store": "models", "X-Type": "1" } },
    });
    let setup = world.setup().with("shape", &shape.to_string());
    let application = Application::start(setup.with("destination_token", "letmein"))
        .await
        .unwrap();
    announce(&world, &application, &everything(&world), 1).await;
    let gone: Vec<Change> = everything(&world)
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Delete).unwrap())
        .collect();
    settle_after(&application, &gone, 2).await;
    let requests = world.destination.with(|destination| destination.log.clone());
    let sent = |start: &str, method: &str| {
        let of_kind = requests
            .iter()
            .filter(|sent| sent.path.starts_with(start) && sent.method == method);
        let told = of_kind.map(|sent| ["x-key", "x-model-key", "x-store", "x-type"].map(|name| sent.header(name)));
        told.collect::<Vec<_>>()
    };
    for method in ["PUT", "DELETE"] {
        let (models, products) = (sent("/product-models/", method), sent("/products/", method));
        assert!(!models.is_empty() && !products.is_empty());
        for told in models {
            assert_eq!(told, [None, Some("Token letmein"), Some("models"), Some("1")]);
        }
        for told in products {
            assert_eq!(told, [Some("letmein"), None, Some("main"), None]);
        }
    }
}

#[tokio::test]
async fn what_leaves_the_selection_is_deleted_and_comes_back() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    let selection = json!({
        "families": ["lamp"], "categories": ["master"], "enabled": true, "attributes": ["name"],
        "completeness": { "channel": "ecommerce", "locale": "en_US", "at_least": 40 },
    });
    let (application, _) = started(&world, &json!({ "products": { "selection": selection } })).await;
    let product = world.products()[4].clone();
    let family = |code: &str| Action::SetFamily {
        family: Some(code.to_owned()),
    };
    let categories = |codes: &[&str]| Action::SetCategories {
        categories: codes.iter().map(|code| (*code).to_owned()).collect(),
    };
    let mut wanted = Vec::new();
    for action in [
        family("lamp"),
        categories(&["workshop"]),
        set("name", Some("en_US"), json!("A lamp")),
    ] {
        wanted.extend(world.edit(&product, action).unwrap());
    }
    settle_after(&application, &wanted, 1).await;
    let holds = || {
        let path = format!("/products/{}", product.key());
        world
            .destination
            .with(|destination| destination.state.contains_key(&path))
    };
    assert!(holds(), "it is wanted from the beginning");
    let steps = [
        ("family", family("teapot"), family("lamp")),
        (
            "disabled",
            Action::Enable { enabled: false },
            Action::Enable { enabled: true },
        ),
        (
            "categories",
            categories(&["seasonal"]),
            categories(&["brochure", "tea_time"]),
        ),
        (
            "completeness",
            set("name", Some("en_US"), Value::Null),
            set("name", Some("en_US"), json!("A lamp again")),
        ),
    ];
    for (seed, (why, leave, come)) in (2..).zip(steps) {
        settle_after(&application, &world.edit(&product, leave).unwrap(), seed * 10).await;
        assert!(!holds(), "{why}: it is not wanted any more");
        settle_after(&application, &world.edit(&product, come).unwrap(), seed * 10 + 1).await;
        assert!(holds(), "{why}: it is wanted again");
    }
    assert_eq!(world.pushes("DELETE"), 4);
    let told: Vec<Value> = application
        .log_lines("worker")
        .into_iter()
        .filter(|line| line["log"] == "unwanted")
        .map(|line| line["for"].clone())
        .collect();
    assert_eq!(told, ["family", "disabled", "categories", "completeness"]);
    // What was never wanted is passed over, and counted.
    announce(&world, &application, &world.products(), 99).await;
    let others = world.destination.with(|destination| destination.state.len());
    let status = status(&application).await;
    assert!(
        status["unwanted"].as_u64().unwrap() >= 4 + 10 - others as u64,
        "{status}"
    );
    assert_eq!(world.pushes("DELETE"), 4);
}

async fn status(application: &Application) -> Value {
    let headers = [bearer(ADMIN_TOKEN)];
    let answer = application.request(Method::GET, "/admin/status", &headers, "").await;
    answer.unwrap().json()
}

/// Lost permissions hide values; what then looks unwanted is not deleted beyond the brake.
#[tokio::test]
async fn lost_permissions_that_look_like_leaving_are_braked() {
    let world = World::start(Catalogue::generate(40, 0, 7)).await.unwrap();
    let (application, shape) = started(
        &world,
        &json!({ "products": { "selection": { "attributes": ["name"] } } }),
    )
    .await;
    announce(&world, &application, &world.products(), 1).await;
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    let mut hidden = Vec::new();
    for product in world.products() {
        for locale in ["en_US", "fr_FR"] {
            hidden.extend(world.edit(&product, set("name", Some(locale), Value::Null)).unwrap());
        }
    }
    settle_after(&application, &hidden, 2).await;
    assert_eq!(world.pushes("DELETE"), 5, "the brake's least");
}

#[tokio::test]
async fn a_changed_label_reaches_every_product_that_uses_it() {
    let world = World::start(Catalogue::generate(300, 0, 7)).await.unwrap();
    let (application, shape) = started(
        &world,
        &json!({ "products": {
            "values": { "form": "flat", "channel": "ecommerce", "locales": ["en_US"] },
            "fields": [
                { "from": "/values/sku", "to": "/sku" },
                { "from": "/values/finish", "as": "label", "to": "/finish" },
                { "from": "/family", "as": "label", "to": "/type" },
            ],
        } }),
    )
    .await;
    let products = world.products();
    let all_brass: Vec<_> = products
        .iter()
        .flat_map(|product| world.edit(product, set("finish", None, json!("brass"))).unwrap())
        .collect();
    settle_after(&application, &all_brass, 1).await;
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    assert_eq!(
        world.pim_calls(&[CallKind::Structure]),
        2,
        "options and families, once each"
    );

    world.forget_calls();
    world.pim.with(|pim| {
        let options = &mut pim.catalogue.structure.options;
        let brass = options.iter_mut().find(|option| option["code"] == "brass").unwrap();
        brass["labels"]["en_US"] = json!("Polished brass");
    });
    let stale = world.shaped_differences(&shape).len();
    assert_eq!(stale, 300);
    let event = json!({
        "specversion": "1.0", "id": "0f4b2f2c-5b0e-4c8e-9e15-3f5a8a5c6a01", "source": "pim", "subject": "a subscription",
        "type": "com.akeneo.pim.v1.attribute-option.updated", "time": "2026-01-01T00:00:00Z",
        "data": { "attribute_option": { "code": "brass", "attribute": { "code": "finish" } } },
    });
    let delivery = Delivery::event_platform(&event, &Secrets::primary(PLATFORM_SECRET), Vec::new());
    deliver_all(&application, std::slice::from_ref(&delivery))
        .await
        .unwrap();
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    let (structure, lists) = (
        world.pim_calls(&[CallKind::Structure]),
        world.pim_calls(&[CallKind::ProductSearch, CallKind::ProductList, CallKind::ModelList]),
    );
    println!(
        "a label of 300 products: {structure} read of options, {lists} list calls, {} upserts",
        world.pushes("PUT")
    );
    assert_eq!((structure, world.pushes("PUT")), (1, 300));
    assert_eq!(world.pim_calls(&[CallKind::ProductById]), 0);

    // The same event again, and one of a list that nothing uses: read, found as it was, and nothing more.
    world.forget_calls();
    deliver_all(&application, &[delivery]).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(
        (
            world.pim_calls(&[CallKind::Structure]),
            world.pim_calls(&[CallKind::ProductSearch])
        ),
        (1, 0)
    );
}

/// A list that a walk itself finds changed asks for another walk: this one may have passed what carries the old label.
#[tokio::test]
async fn a_label_that_no_event_tells_is_found_by_a_walk() {
    let world = World::start(Catalogue::generate(120, 0, 7)).await.unwrap();
    let (application, shape) = started(
        &world,
        &json!({ "products": {
            "values": { "form": "flat", "locales": ["en_US"] },
            "fields": [{ "from": "/family", "as": "label", "to": "/type" }],
        } }),
    )
    .await;
    announce(&world, &application, &world.products(), 1).await;
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    world.pim.with(|pim| {
        for family in &mut pim.catalogue.structure.families {
            family["labels"]["en_US"] = json!("Something");
        }
    });
    // As if it had been read long ago.
    const LIST: &str = "r1.main.k.f";
    let store = Store::open(application.state().path());
    let mut list: Value = serde_json::from_slice(&store.get(LIST).unwrap()).unwrap();
    list["read_s"] = json!(0);
    store.set(LIST, list.to_string().as_bytes());
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    let ticks = application.log_lines("worker").into_iter();
    let pages: u64 = ticks
        .filter(|line| line["log"] == "tick")
        .filter_map(|tick| tick["pages"].as_u64())
        .sum();
    assert_eq!(pages, 2 * 5, "two walks");
}

/// How fast the component shapes and hashes products that hold every example of a value.
#[tokio::test]
async fn how_fast_the_component_shapes_is_told() {
    let world = World::start(Catalogue::generate(1000, 0, 7)).await.unwrap();
    let examples = fixtures::payloads("rest/values");
    let mut rules: Value = serde_json::from_str(include_str!("../src/demo/shape.json")).unwrap();
    rules.as_object_mut().unwrap().remove("authentication");
    rules["products"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "from": "/values", "to": "/values" }));
    let (application, shape) = started(&world, &rules).await;
    let mut changes = Vec::new();
    for product in world.products() {
        for (_, payload) in &examples {
            let example: Value = serde_json::from_slice(payload).unwrap();
            let values = example.get("values").unwrap_or(&example);
            for (attribute, list) in values.as_object().unwrap() {
                for value in list.as_array().unwrap() {
                    let action = Action::SetValue {
                        attribute: attribute.clone(),
                        locale: value["locale"].as_str().map(str::to_owned),
                        scope: value["scope"].as_str().map(str::to_owned),
                        data: value["data"].clone(),
                    };
                    world.edit(&product, action).unwrap();
                }
            }
        }
        changes.extend(world.edit(&product, Action::Touch).unwrap());
    }
    deliver_all(&application, &legacy_deliveries(&changes, 1))
        .await
        .unwrap();
    let reports = application.tick_until_idle().await.unwrap();
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    let sum = |member: &str| reports.iter().filter_map(|report| report[member].as_u64()).sum::<u64>();
    let (shaped, ms) = (sum("shaped"), sum("shaping_ms"));
    assert_eq!(shaped, 1000);
    println!(
        "{shaped} products shaped and hashed in {ms} ms: {} a second",
        shaped * 1000 / ms.max(1)
    );
}

#[tokio::test]
async fn models_that_are_not_wanted_still_reach_their_variants() {
    let world = World::start(Catalogue::generate(60, 6, 7)).await.unwrap();
    let (application, shape) = started(&world, &json!({ "product-models": false })).await;
    announce(&world, &application, &everything(&world), 1).await;
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    let root = world.pim.with(|pim| {
        let truth = pim.catalogue.truth();
        let root = truth
            .models(None)
            .find(|model| !truth.descendants(model.code()).is_empty());
        root.unwrap().id.clone()
    });
    let changes = world
        .edit(&root, set("name", Some("en_US"), json!("a new name")))
        .unwrap();
    assert_ne!(world.shaped_differences(&shape), Vec::<String>::new());
    settle_after(&application, &changes, 2).await;
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
}

#[tokio::test]
async fn another_shape_is_rehearsed_and_once_adopted_pushes_what_changed() {
    let world = World::start(Catalogue::generate(150, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    announce(&world, &application, &world.products(), 1).await;
    world.forget_calls();
    // Whole bodies as before, but no bicycles: those go, and nothing is pushed.
    let narrower = json!({ "products": { "selection": { "families": ["lamp", "teapot"] } } });
    let shape = Shape::read(&narrower.to_string()).unwrap();
    let setup = world.setup().with("shape", &narrower.to_string());
    let application = application.restart_with(setup).await.unwrap();
    let (bicycles, others) = world.pim.with(|pim| {
        let all: Vec<_> = pim.catalogue.truth().products(None).collect();
        let bicycles = all
            .iter()
            .filter(|product| !matches!(product.family.as_deref(), Some("lamp" | "teapot")))
            .count();
        (bicycles, all.len() - bicycles)
    });
    assert!(bicycles > 5 && others > 5);
    let report = application.tick().await.unwrap();
    assert_eq!(report["outcome"], "stopped", "{report}");
    let would = format!("push 0, delete {bicycles} and leave {others}");
    assert!(report["reason"].as_str().unwrap().contains(&would), "{report}");
    let told = status(&application).await;
    assert_eq!(told["rehearsal"]["would"]["delete"], bicycles, "{told}");
    assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (0, 0));
    assert_eq!(
        application.tick().await.unwrap()["outcome"],
        "idle",
        "it is counted once"
    );

    adopt(&application).await;
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
    assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (0, bicycles));

    // And back: what had gone comes again, and nothing else is sent.
    world.forget_calls();
    let application = application.restart_with(world.setup()).await.unwrap();
    let family = Some("lamp".to_owned());
    let lamp = world.pim.with(|pim| {
        let mut all = pim.catalogue.truth().products(None);
        all.find(|product| product.family == family).unwrap().id.clone()
    });
    let waiting = world.edit(&lamp, Action::SetFamily { family }).unwrap();
    deliver_all(&application, &platform_deliveries(&waiting, 2))
        .await
        .unwrap();
    let (bicycles, others) = (bicycles + 1, others - 1);
    let report = application.tick().await.unwrap();
    let would = format!("push {bicycles}, delete 0 and leave {others}");
    assert!(report["reason"].as_str().unwrap().contains(&would), "{report}");
    adopt(&application).await;
    assert_eq!(world.differences(), []);
    assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (bicycles, 0));
}

async fn adopt(application: &Application) {
    admin::adopt(application, false).await;
    walk(application).await;
    application.tick_until_idle().await.unwrap();
}

#[tokio::test]
async fn a_category_that_moves_takes_its_products_along() {
    let world = World::start(Catalogue::generate(4, 0, 7)).await.unwrap();
    let selection = json!({ "products": { "selection": { "categories": ["master"] } } });
    let (application, shape) = started(&world, &selection).await;
    let changes: Vec<_> = world
        .products()
        .iter()
        .flat_map(|product| {
            let categories = vec!["workshop".to_owned()];
            world.edit(product, Action::SetCategories { categories }).unwrap()
        })
        .collect();
    settle_after(&application, &changes, 1).await;
    assert_eq!((world.shaped_differences(&shape), world.pushes("PUT")), (vec![], 4));
    for (seed, (parent, held)) in [("brochure", 0), ("master", 4)].into_iter().enumerate() {
        world.pim.with(|pim| {
            let categories = &mut pim.catalogue.structure.categories;
            let cycling = categories
                .iter_mut()
                .find(|category| category["code"] == "cycling")
                .unwrap();
            cycling["parent"] = json!(parent);
        });
        let event = json!({
            "specversion": "1.0", "id": format!("moved {seed}"), "source": "pim", "subject": "a subscription",
            "type": "com.akeneo.pim.v1.category.updated", "data": { "category": { "code": "cycling" } },
        });
        let delivery = Delivery::event_platform(&event, &Secrets::primary(PLATFORM_SECRET), Vec::new());
        deliver_all(&application, &[delivery]).await.unwrap();
        walk(&application).await;
        application.tick_until_idle().await.unwrap();
        assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
        assert_eq!(world.destination.with(|destination| destination.state.len()), held);
    }
}

#[test]
fn events_of_lists_are_understood() {
    let examples = fixtures::payloads("event-platform");
    let expected = |name: &str| match name {
        "attribute.created.json" | "attribute.updated.json" => Some("a."),
        "attribute-option.updated.json" => Some("o."),
        "category.updated.json" => Some("c."),
        "family.updated.json" => Some("f."),
        _ => None,
    };
    for (name, payload) in examples {
        let Ok(Decoded::Stale(list, id, _)) = of_event_platform(std::str::from_utf8(&payload).unwrap()) else {
            assert_eq!(expected(&name), None, "{name}");
            continue;
        };
        let key = Keyspace::new("main").encode(&Key::Stale(list, id));
        let list = expected(&name).unwrap_or_else(|| panic!("{name}: {key}"));
        assert!(key.starts_with(&format!("r1.main.v.{list}")), "{name}: {key}");
    }
}
