//! Categories on the deployed components: kept equal where the shape wants them, and left alone where it does not.

use crate::admin::{adopt, ask};
use crate::reconciliation::{reconcile, walk};
use http::Method;
use model::time;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use simulator::compare::{Mapping, differences};
use simulator::deliveries::{Delivery, Secrets, cloud_event};
use simulator::pim::CallKind;
use simulator::times::now_ms;
use tests::application::Application;
use tests::store::Store;
use tests::world::{PLATFORM_SECRET, World, deliver_all, platform_deliveries};
use uuid::Uuid;

fn category(code: &str) -> EntityId {
    EntityId::Category(code.to_owned())
}

fn categories(world: &World) -> Vec<EntityId> {
    world
        .pim
        .with(|pim| pim.catalogue.categories().map(|(id, _)| id).collect())
}

/// A PIM with this many more categories than it has by itself, all of them old.
async fn world(more: usize) -> World {
    let world = World::start(Catalogue::generate(3, 2, 7)).await.unwrap();
    for number in 0..more {
        world
            .edit(
                &category(&format!("shelf_{number:03}")),
                Action::create_below("workshop"),
            )
            .unwrap();
    }
    world.pim.with(|pim| {
        for category in &mut pim.catalogue.structure.categories {
            category["updated"] = json!("2021-03-01T09:00:00+00:00");
        }
    });
    world
}

async fn started(world: &World, shape: &Value) -> Application {
    Application::start(world.setup().with("shape", &shape.to_string()))
        .await
        .unwrap()
}

/// An application after its first walk.
async fn walked(world: &World) -> Application {
    let application = started(world, &json!({ "categories": {} })).await;
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(differing(world), Vec::<String>::new());
    application
}

async fn settle_after(application: &Application, changes: &[Change], seed: u64) {
    deliver_all(application, &platform_deliveries(changes, seed))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
}

async fn status(application: &Application) -> Value {
    let status = ask(application, Method::GET, "/admin/status", json!(null)).await.json();
    status["reconciliation"].clone()
}

/// Where the destination differs in categories from the PIM.
fn differing(world: &World) -> Vec<String> {
    let mapping = Mapping {
        categories: Some("categories".to_owned()),
        ..Mapping::default()
    };
    let found = world.pim.with(|pim| {
        world
            .destination
            .with(|destination| differences(pim, destination, &mapping))
    });
    let found = found.into_iter().map(|difference| difference.to_string());
    found.filter(|difference| difference.contains("/categories/")).collect()
}

#[tokio::test]
async fn events_of_categories_reach_a_destination_that_wants_them() {
    let world = world(0).await;
    let application = started(&world, &json!({ "categories": {} })).await;
    let touched: Vec<Change> = categories(&world)
        .iter()
        .flat_map(|category| world.edit(category, Action::Touch).unwrap())
        .collect();
    settle_after(&application, &touched, 1).await;
    assert_eq!(differing(&world), Vec::<String>::new());
    assert_eq!(world.pushes("PUT"), 7);
    assert_eq!(
        world.pim_calls(&[CallKind::Structure]),
        1,
        "one list, nothing by its code"
    );

    world.forget_calls();
    let odd = category("new/é: lamps, and a code so long that no key can hold it as it is");
    let mut changes = world.edit(&odd, Action::create_below("lighting")).unwrap();
    changes.extend(
        world
            .edit(&category("lighting"), Action::label("en_US", "Light"))
            .unwrap(),
    );
    settle_after(&application, &changes, 2).await;
    assert_eq!(differing(&world), Vec::<String>::new());
    assert_eq!(world.pushes("PUT"), 2);

    // What stands below goes with it, each with an event of its own.
    let gone = world.edit(&category("lighting"), Action::Delete).unwrap();
    assert_eq!(gone.len(), 2);
    settle_after(&application, &gone, 3).await;
    assert_eq!(differing(&world), Vec::<String>::new());
    assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (2, 2));

    // Nothing waits but what looks once more in a minute.
    let keys = Store::open(application.state().path()).keys("r1.main.e.");
    assert_eq!(keys, Vec::<String>::new());
    let answer = ask(
        &application,
        Method::GET,
        "/admin/entities/categories/master",
        json!(null),
    )
    .await;
    assert!(answer.json()["index"]["hash"].is_string(), "{:?}", answer.json());
}

#[tokio::test]
async fn what_no_webhook_told_of_categories_is_found() {
    let world = world(230).await;
    let application = walked(&world).await;
    let seen = status(&application).await;
    assert_eq!(seen["kinds"]["categories"]["walk"]["seen"], 237, "{seen}");
    assert_eq!(seen["kinds"]["products"]["walk"]["seen"], 3, "{seen}");

    // A lost edit, and as many lost deletions as the brake lets through.
    world.forget_calls();
    world
        .edit(&category("cycling"), Action::label("fr_FR", "Vélos"))
        .unwrap();
    for number in 100..104 {
        let lost = category(&format!("shelf_{number}"));
        world.edit(&lost, Action::Delete).unwrap();
    }
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(differing(&world), Vec::<String>::new());
    assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (1, 4));
    let seen = status(&application).await;
    assert_eq!(seen["kinds"]["categories"]["walk"]["missing"], 4, "{seen}");
    assert_eq!(seen["kinds"]["categories"]["deleted"], 4, "{seen}");

    // More than that waits for a person.
    for number in 0..50 {
        let lost = category(&format!("shelf_{number:03}"));
        world.edit(&lost, Action::Delete).unwrap();
    }
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("DELETE"), 4);
    let seen = status(&application).await;
    assert_eq!(seen["withheld"], 50, "{seen}");
    let answer = ask(&application, Method::POST, "/admin/brake/release", json!(null)).await;
    assert_eq!(answer.status, 202);
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("DELETE"), 54);
    assert_eq!(differing(&world), Vec::<String>::new());
}

#[tokio::test]
async fn recent_changes_of_categories_are_found_from_a_moment_on() {
    let world = world(5).await;
    let application = started(&world, &json!({ "categories": {} })).await;
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    world.forget_calls();
    world
        .edit(&category("tea_time"), Action::label("en_US", "Five o'clock"))
        .unwrap();
    world
        .edit(&category("samovars"), Action::create_below("tea_time"))
        .unwrap();
    let since = time::text(now_ms() / 1000 - 3600);
    reconcile(&application, json!({ "since": since })).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(differing(&world), Vec::<String>::new());
    assert_eq!(world.pushes("PUT"), 2);
    let seen = status(&application).await;
    assert_eq!(seen["kinds"]["categories"]["recent"]["found"], 2, "{seen}");
}

#[tokio::test]
async fn categories_are_shaped_and_selected_by_their_tree() {
    let world = world(0).await;
    let shape = json!({ "products": false, "product-models": false, "categories": {
        "upsert": { "method": "POST", "path": "/shop/tree" },
        "delete": { "path": "/shop/tree/{id}" },
        "selection": { "categories": ["cycling"] },
        "fields": [
            { "from": "/code", "to": "/id" }, { "from": "/parent", "to": "/above" },
            { "from": "/labels/fr_FR", "to": "/name", "default": "" },
        ],
    } });
    let application = started(&world, &shape).await;
    let touched: Vec<Change> = categories(&world)
        .iter()
        .flat_map(|category| world.edit(category, Action::Touch).unwrap())
        .collect();
    settle_after(&application, &touched, 1).await;
    let sent = |world: &World| -> Vec<(String, String)> {
        world.destination.with(|destination| {
            let log = destination.log.iter();
            log.map(|request| (request.method.clone(), request.path.clone()))
                .collect()
        })
    };
    let posted = ("POST".to_owned(), "/shop/tree".to_owned());
    assert_eq!(sent(&world), [posted.clone(), posted.clone()], "cycling and workshop");

    // One that is new below it, which the list of categories as it was read does not hold; and one that leaves it.
    world.forget_calls();
    let mut changes = world
        .edit(&category("saddles"), Action::create_below("workshop"))
        .unwrap();
    settle_after(&application, &changes, 2).await;
    assert_eq!(sent(&world), [posted]);
    world.forget_calls();
    let away = Action::SetParent {
        parent: Some("seasonal".to_owned()),
    };
    changes = world.edit(&category("workshop"), away).unwrap();
    settle_after(&application, &changes, 3).await;
    let deleted = ("DELETE".to_owned(), "/shop/tree/workshop".to_owned());
    assert!(sent(&world).contains(&deleted), "{:?}", sent(&world));
    // A walk, which the changed list asks for, finds what lay below it.
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    let deleted = ("DELETE".to_owned(), "/shop/tree/saddles".to_owned());
    assert!(sent(&world).contains(&deleted), "{:?}", sent(&world));
}

/// The three events of each, of what is not kept equal: acknowledged and logged.
fn others() -> Vec<Delivery> {
    let data = [
        (
            "asset",
            json!({ "asset": { "code": "front", "asset_family": { "code": "photographs" } } }),
        ),
        (
            "reference-entity-record",
            json!({ "reference_entity_record": { "code": "kiln", "reference_entity": { "code": "potteries" } } }),
        ),
    ];
    let mut deliveries = Vec::new();
    for (entity, data) in data {
        for what in ["created", "updated", "deleted"] {
            let id = Uuid::from_u128(deliveries.len() as u128);
            let event = cloud_event(id, &format!("{entity}.{what}"), now_ms(), &data);
            deliveries.push(Delivery::event_platform(
                &event,
                &Secrets::primary(PLATFORM_SECRET),
                Vec::new(),
            ));
        }
    }
    deliveries
}

#[tokio::test]
async fn without_such_a_shape_no_call_and_no_key_is_of_a_category() {
    let world = world(0).await;
    let application = started(&world, &json!({ "headers": { "X-Store": "main" } })).await;
    let mut changes = world.edit(&category("cycling"), Action::Touch).unwrap();
    changes.extend(world.edit(&category("pumps"), Action::create_below("cycling")).unwrap());
    changes.extend(world.edit(&category("brochure"), Action::Delete).unwrap());
    settle_after(&application, &changes, 1).await;
    deliver_all(&application, &others()).await.unwrap();
    for scan in [json!({"scan": "full"}), json!({"scan": "recent"})] {
        reconcile(&application, scan).await;
    }
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pim_calls(&[CallKind::Structure]), 0);
    assert!(
        differing(&world)
            .iter()
            .all(|difference| difference.starts_with("missing"))
    );
    let operations = application.store_operations().unwrap();
    let keys = operations
        .iter()
        .flat_map(|operation| operation["keys"].as_array().cloned());
    let keys: Vec<String> = keys
        .flatten()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect();
    let is_of_category = |key: &&String| {
        let parts: Vec<&str> = key.split('.').collect();
        match parts[2..] {
            ["e", _, what, ..] => what.starts_with('c'),
            ["r" | "d" | "i" | "n", kind, ..] => kind == "c",
            _ => false,
        }
    };
    assert!(!keys.is_empty());
    assert_eq!(
        keys.iter().filter(is_of_category).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    let seen = status(&application).await;
    assert!(
        seen["kinds"]["categories"].is_null() && seen["kinds"]["products"].is_object(),
        "{seen}"
    );
    let ignored = application.log_lines("ingest").into_iter();
    let ignored = ignored.filter(|line| line["ignored"].is_array() && line["status"] == 200);
    assert_eq!(ignored.count(), 6, "of assets and records");
}

#[tokio::test]
async fn a_shape_that_wants_them_no_more_deletes_them_and_one_without_them_leaves_them() {
    let world = world(0).await;
    let application = walked(&world).await;
    let change = async |application: Application, shape: &Value| {
        let setup = world.setup().with("shape", &shape.to_string());
        let application = application.restart_with(setup).await.unwrap();
        application.tick().await.unwrap();
        adopt(&application, false).await;
        walk(&application).await;
        application.tick_until_idle().await.unwrap();
        application
    };
    // An event that was queued before the shape changed.
    let changes = world.edit(&category("cycling"), Action::Touch).unwrap();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    world.forget_calls();
    let application = change(application, &json!({ "headers": { "X-Store": "main" } })).await;
    assert_eq!(
        (world.pim_calls(&[CallKind::Structure]), world.pushes("DELETE")),
        (0, 0)
    );
    assert_eq!(
        Store::open(application.state().path()).keys("r1.main.e."),
        Vec::<String>::new()
    );
    change(application, &json!({ "categories": false })).await;
    assert_eq!(world.pushes("DELETE"), 7);
}
