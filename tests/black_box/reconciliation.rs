//! Reconciliation on the deployed components: what no webhook told, asked for by a person or a notification.

use crate::admin::{adopt, ask};
use http::Method;
use model::time;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue};
use simulator::deliveries::{Secrets, event_platform_headers};
use simulator::times::now_ms;
use tests::application::Application;
use tests::store::Store;
use tests::world::{NOTIFICATION_SECRET, World};

const RECORD: &str = "r1.main.reconciliation";

async fn status(application: &Application) -> Value {
    let status = ask(application, Method::GET, "/admin/status", json!(null)).await.json();
    status["reconciliation"].clone()
}

pub(crate) async fn reconcile(application: &Application, body: Value) {
    let answer = ask(application, Method::POST, "/admin/reconcile", body).await;
    assert_eq!(answer.status, 202, "{:?}", answer.json());
}

/// Takes this much off a moment in the record, as if it had passed.
fn age(moment: &mut Value, by_ms: u64) {
    if let Some(at_ms) = moment.as_u64() {
        *moment = json!(at_ms.saturating_sub(by_ms));
    }
}

/// Ticks until a walk has ended. The second between its pages, and the minute after which a short one is read again,
/// are taken off the record.
pub(crate) async fn walk(application: &Application) {
    let store = Store::open(application.state().path());
    for _ in 0..100 {
        application.tick().await.unwrap();
        let Some(record) = store.get(RECORD) else { continue };
        let mut record: Value = serde_json::from_slice(&record).unwrap();
        if ["asked", "step", "raising"]
            .iter()
            .all(|part| record["walk"][part].is_null())
        {
            return;
        }
        age(&mut record["walk"]["page_ms"], 1000);
        age(&mut record["walk"]["step"]["list"]["scan"]["short_ms"], 60_000);
        store.set(RECORD, record.to_string().as_bytes());
    }
    panic!("the walk does not end: {}", status(application).await);
}

#[tokio::test]
async fn what_no_webhook_told_is_found_when_a_person_asks() {
    let world = World::start(Catalogue::generate(230, 6, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    assert_eq!(application.tick().await.unwrap()["outcome"], "idle");
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    world.settle(&application, 0).await.unwrap();
    let seen = status(&application).await;
    assert_eq!(seen["kinds"]["products"]["walk"]["seen"], 230, "{seen}");
    assert_eq!(seen["kinds"]["product-models"]["walk"]["found"], 6, "{seen}");

    // Again, and nothing has changed.
    world.forget_calls();
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("PUT"), 0);

    let products = world.products();
    world.edit(&products[3], Action::Touch).unwrap();
    for product in &products[100..104] {
        world.edit(product, Action::Delete).unwrap();
    }
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    world.settle(&application, 0).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (1, 4));
    let seen = status(&application).await;
    assert_eq!(seen["kinds"]["products"]["walk"]["missing"], 4, "{seen}");
    assert_eq!(seen["kinds"]["products"]["deleted"], 4, "{seen}");
    assert_eq!(seen["withheld"], 0, "{seen}");

    world.forget_calls();
    reconcile(&application, json!({"scan": "full", "force": true})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("PUT"), 226 + 6, "all of it, changed or not");
}

#[tokio::test]
async fn recent_changes_are_found_from_a_moment_on() {
    let world = World::start(Catalogue::generate(40, 2, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    world.settle(&application, 0).await.unwrap();
    application.tick_until_idle().await.unwrap();
    world.forget_calls();
    for product in &world.products()[..5] {
        world.edit(product, Action::Touch).unwrap();
    }
    let since = time::text(now_ms() / 1000 - 3600);
    reconcile(&application, json!({"since": since})).await;
    world.settle(&application, 0).await.unwrap();
    assert_eq!(world.pushes("PUT"), 5);
    let seen = status(&application).await;
    assert_eq!(seen["kinds"]["products"]["recent"]["found"], 5, "{seen}");
}

#[tokio::test]
async fn another_pim_or_destination_is_neither_pushed_nor_believed_before_it_is_adopted() {
    let world = World::start(Catalogue::generate(60, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    world.settle(&application, 0).await.unwrap();
    world.forget_calls();

    let other = World::start(Catalogue::generate(60, 0, 8)).await.unwrap();
    let looking = world.setup().with("walk_hours", "24").with("recent_seconds", "300");
    let elsewhere = looking.clone().with("destination_path", "/v2");
    let another_pim = looking.with("pim_url", &other.pim.url());
    let mut application = application;
    for setup in [elsewhere, another_pim] {
        application = application.restart_with(setup).await.unwrap();
        for _ in 0..3 {
            let report = application.tick().await.unwrap();
            assert_eq!(report["outcome"], "stopped", "{report}");
            assert!(report["reason"].as_str().unwrap().contains("adopt"), "{report}");
        }
        assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (0, 0));
    }

    adopt(&application, false).await;
    walk(&application).await;
    application.tick().await.unwrap();
    // The other PIM's products are there; those of the first are more than the brake lets go without a person.
    assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (60, 0));
    assert_eq!(status(&application).await["withheld"], 60);
}

#[tokio::test]
async fn a_suspension_leads_to_a_look_back_and_a_walk() {
    let world = World::start(Catalogue::generate(20, 2, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let body = json!({"notification_type": "subscription.resumed", "subscription_id": "0193b40e",
        "timestamp": time::text(now_ms() / 1000)});
    let body = body.to_string().into_bytes();
    let headers = event_platform_headers(&body, &Secrets::primary(NOTIFICATION_SECRET));
    let path = "/webhooks/akeneo/notifications";
    let answer = application.request(Method::POST, path, &headers, body).await.unwrap();
    assert_eq!(answer.status, 200);
    walk(&application).await;
    world.settle(&application, 0).await.unwrap();
    let seen = status(&application).await;
    assert_eq!(seen["kinds"]["products"]["walk"]["seen"], 20, "{seen}");
}
