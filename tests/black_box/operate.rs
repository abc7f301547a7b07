//! What people do day by day: read without being able to change anything, pause, push one entity now, and see who asked
//! for what.

use crate::admin::ask;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use tests::application::{ADMIN_TOKEN, Application};
use tests::client::{Answer, bearer};
use tests::world::World;

const READ_TOKEN: &str = "may only look";
const TICK_KEY: &str = "may only tick";

async fn asked_with(application: &Application, token: &str, method: Method, path: &str) -> Answer {
    application.request(method, path, &[bearer(token)], "").await.unwrap()
}

#[tokio::test]
async fn each_token_opens_what_it_is_for_and_nothing_else() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let setup = world.setup().with("read_token", READ_TOKEN).with("tick_key", TICK_KEY);
    let application = Application::start(setup).await.unwrap();
    world.touch(&application, &world.products(), 1).await.unwrap();
    let entity = format!("/admin/entities/products/{}", world.products()[0].key());
    let readable = [
        "/admin/status",
        "/admin/metrics",
        "/admin/history",
        "/admin/history/month",
        &entity,
    ];
    for path in readable {
        let answer = asked_with(&application, READ_TOKEN, Method::GET, path).await;
        assert_eq!(answer.status, 200, "{path}");
        for (name, value) in [("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
            assert_eq!(answer.headers.get(name).unwrap(), value, "{path}");
        }
        assert_eq!(
            asked_with(&application, TICK_KEY, Method::GET, path).await.status,
            401,
            "{path}"
        );
    }
    for (method, path) in [
        (Method::GET, "/admin/dead-letters"),
        (Method::GET, "/admin/dead-letters?format=jsonl"),
        (Method::DELETE, "/admin/dead-letters"),
        (Method::POST, "/admin/dead-letters/replay"),
        (Method::DELETE, "/admin/dead-letters/products/x"),
        (Method::POST, "/admin/check"),
        (Method::POST, "/admin/connect"),
        (Method::POST, "/admin/preview"),
        (Method::POST, "/admin/adopt"),
        (Method::POST, "/admin/brake/release"),
        (Method::POST, "/admin/waits/end"),
        (Method::POST, "/admin/reconcile"),
        (Method::POST, "/admin/pause"),
        (Method::POST, "/admin/resume"),
        (Method::POST, "/admin/entities/products/x/push"),
        (Method::GET, "/admin/journal"),
    ] {
        let answer = asked_with(&application, READ_TOKEN, method.clone(), path).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.json());
        assert_eq!(
            asked_with(&application, "guessed", method.clone(), path).await.status,
            401,
            "{method} {path}"
        );
    }
    let ticked = asked_with(&application, READ_TOKEN, Method::POST, "/worker/tick").await;
    assert_eq!(ticked.status, 401, "the worker does not even know it");
    assert!(
        world.destination.with(|destination| destination.log.is_empty()),
        "nobody has started a tick"
    );
    let ticked = asked_with(&application, TICK_KEY, Method::POST, "/worker/tick").await;
    assert_eq!(
        (ticked.status.as_u16(), &ticked.json()["outcome"]),
        (200, &json!("worked"))
    );
    assert_eq!(world.destination.with(|destination| destination.log.len()), 3);
}

#[tokio::test]
async fn while_it_is_paused_deliveries_are_taken_and_nothing_goes_out() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let status = async || {
        ask(&application, Method::GET, "/admin/status", json!(null))
            .await
            .json()
    };
    assert_eq!(
        ask(&application, Method::POST, "/admin/pause", json!(null))
            .await
            .status,
        202
    );
    world.touch(&application, &world.products(), 1).await.unwrap();
    let ticked = application.tick().await.unwrap();
    assert_eq!(ticked["outcome"], "stopped", "{ticked}");
    assert!(
        ticked["reason"].as_str().unwrap().starts_with("paused by a person"),
        "{ticked}"
    );
    application.tick().await.unwrap();
    assert!(world.destination.with(|destination| destination.log.is_empty()));
    let paused = status().await;
    assert!(
        paused["paused_since"].is_string() && paused["state"] == "degraded",
        "{paused}"
    );
    assert!(
        paused["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .any(|reason| reason["cause"] == "paused"),
        "{paused}"
    );
    assert_eq!(
        ask(&application, Method::POST, "/admin/resume", json!(null))
            .await
            .status,
        202
    );
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.destination.with(|destination| destination.state.len()), 3);
    let resumed = status().await;
    assert!(
        resumed["paused_since"].is_null() && resumed["state"] == "ok",
        "{resumed}"
    );
}

#[tokio::test]
async fn one_entity_is_pushed_now_though_nothing_changed_and_the_journal_tells_who_asked() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let setup = world.setup().with("admin_token_previous", "the one before");
    let application = Application::start(setup).await.unwrap();
    world.touch(&application, &world.products(), 1).await.unwrap();
    application.tick_until_idle().await.unwrap();
    let pushes = || world.destination.with(|destination| destination.log.len());
    assert_eq!(pushes(), 3);
    let key = world.products()[1].key();
    let path = format!("/admin/entities/products/{key}/push");
    let answer = asked_with(&application, "the one before", Method::POST, &path).await;
    let queued = answer.json()["queued"]["code"].clone();
    assert_eq!((answer.status.as_u16(), queued), (202, json!(key)));
    application.tick_until_idle().await.unwrap();
    let pushed = world
        .destination
        .with(|destination| destination.log.last().map(|push| push.path.clone()));
    assert_eq!((pushes(), pushed), (4, Some(format!("/products/{key}"))));

    let body = json!({ "scan": "full" });
    assert_eq!(
        ask(&application, Method::POST, "/admin/reconcile", body).await.status,
        202
    );
    assert_eq!(
        ask(
            &application,
            Method::POST,
            "/admin/reconcile",
            json!({ "scan": "half" })
        )
        .await
        .status,
        400
    );
    let journal = ask(&application, Method::GET, "/admin/journal", json!(null))
        .await
        .json();
    let told: Vec<(&str, &str)> = journal["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["by"].as_str().unwrap(), item["asked"].as_str().unwrap()))
        .collect();
    let mut expected = vec![
        ("admin_token".to_owned(), "reconcile".to_owned()),
        ("admin_token_previous".to_owned(), format!("push products/{key}")),
    ];
    let mut told: Vec<(String, String)> = told
        .into_iter()
        .map(|(by, asked)| (by.to_owned(), asked.to_owned()))
        .collect();
    // Both may have been asked for in one second.
    told.sort();
    expected.sort();
    assert_eq!(told, expected, "{journal}");
    let sent: Vec<&Value> = journal["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["sent"])
        .collect();
    assert!(
        sent.iter()
            .any(|sent| sent.as_str().is_some_and(|sent| sent.contains("full"))),
        "{journal}"
    );
    assert!(!journal.to_string().contains(ADMIN_TOKEN));
}
