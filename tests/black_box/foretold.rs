//! What one entity would be sent, and why: asked of the running application, and compared with what is then sent.

use crate::admin::ask;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use tests::application::{ADMIN_TOKEN, Application};
use tests::client::bearer;
use tests::world::World;

async fn preview(application: &Application, product: &EntityId) -> Value {
    let body = json!({ "kind": "products", "code": product.key() });
    let answer = ask(application, Method::POST, "/admin/preview?wait_seconds=20", body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

/// A body without what is empty in it, which the PIM writes as a list here and as an object there.
fn without_empty(mut body: Value) -> Value {
    let is_empty = |value: &Value| *value == json!([]) || *value == json!({});
    body.as_object_mut().unwrap().retain(|_, value| !is_empty(value));
    body
}

fn is_told(seen: &Value, would: &str, words: &str) {
    assert_eq!(seen["would"], would, "{seen}");
    assert!(seen["why"].as_str().unwrap().contains(words), "{words}: {seen}");
}

#[tokio::test]
async fn what_is_foretold_is_what_is_sent_and_nothing_is_sent_by_foretelling() {
    let world = World::start(Catalogue::generate(4, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let product = world.products()[1].clone();
    let before = application.store_operations().unwrap().len();
    let seen = preview(&application, &product).await;
    is_told(&seen, "upsert", "does not know that the destination has it");
    assert_eq!((&seen["index"], &seen["waits_for"]), (&json!(null), &json!([])));
    assert_eq!(seen["selection"], json!({ "is_wanted": true, "refused_for": null }));
    let request = seen["requests"][0].clone();
    assert_eq!(
        (&request["what"], &request["method"]),
        (&json!("upsert"), &json!("PUT"))
    );
    assert_eq!(request["headers"]["authorization"], "Bearer TOKEN");
    assert_eq!(seen["requests"].as_array().unwrap().len(), 1);
    assert!(world.destination.with(|destination| destination.log.is_empty()));
    let written = application.store_operations().unwrap().split_off(before);
    let written = written
        .iter()
        .filter(|operation| ["set", "set-many"].contains(&operation["op"].as_str().unwrap()));
    let keys: Vec<&str> = written.filter_map(|operation| operation["keys"][0].as_str()).collect();
    let is_own = |key: &&str| ["r1.main.lease", "r1.main.t."].iter().any(|own| key.starts_with(own));
    assert!(keys.iter().all(is_own), "{keys:?}");

    // It is sent just so, and then there is nothing to send.
    let path = format!("/admin/entities/products/{}/push", product.key());
    ask(&application, Method::POST, &path, json!(null)).await;
    application.tick_until_idle().await.unwrap();
    let sent = world.destination.with(|destination| destination.log[0].clone());
    assert_eq!(
        (&json!(sent.method), &json!(sent.path)),
        (&request["method"], &request["path"])
    );
    let body = serde_json::from_str(&sent.body.unwrap()).unwrap();
    assert_eq!(without_empty(body), without_empty(request["body"].clone()));
    let now = preview(&application, &product).await;
    is_told(&now, "nothing", "just this");
    assert_eq!((&now["hash"], &now["index"]["hash"]), (&seen["hash"], &seen["hash"]));

    world.edit(&product, Action::Touch).unwrap();
    is_told(&preview(&application, &product).await, "upsert", "another one");
    world.edit(&product, Action::Delete).unwrap();
    let gone = preview(&application, &product).await;
    is_told(&gone, "delete", "the PIM does not have it");
    assert_eq!(gone["requests"][0]["method"], "DELETE");
    assert_eq!(world.destination.with(|destination| destination.log.len()), 1);
}

#[tokio::test]
async fn selection_lists_obstacles_and_secrets_are_minded() {
    let world = World::start(Catalogue::generate(6, 0, 7)).await.unwrap();
    let products = world.products();
    let family = world.pim.with(|pim| {
        let truth = pim.catalogue.truth();
        truth.products(None).find_map(|product| product.family.clone()).unwrap()
    });
    let password = world.pim.with(|pim| pim.config.password.clone());
    let shape = json!({ "products": {
        "selection": { "families": [family] },
        "values": { "form": "flat", "locales": ["en_US"] },
        "fields": [
            { "from": "/family", "as": "label", "to": "/family" },
            { "constant": format!("It is {password}."), "to": "/note" },
        ],
    } });
    let application = Application::start(world.setup().with("shape", &shape.to_string()))
        .await
        .unwrap();
    let (mut counts, mut families) = ((0, 0), Vec::new());
    for product in &products {
        let seen = preview(&application, product).await;
        match seen["selection"]["is_wanted"].as_bool().unwrap() {
            true => {
                counts.0 += 1;
                let body = &seen["requests"][0]["body"];
                assert_eq!(body["note"], "It is [secret].", "{seen}");
                families.push((product.clone(), body["family"].clone()));
            }
            false => {
                counts.1 += 1;
                is_told(&seen, "nothing", "for its family");
                assert_eq!(seen["selection"]["refused_for"], "family");
            }
        }
    }
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
    world.touch(&application, &products, 1).await.unwrap();
    application.tick_until_idle().await.unwrap();
    for (product, label) in families {
        let sent = world.destination.with(|destination| {
            let path = format!("/products/{}", product.key());
            let sent = destination.log.iter().find(|request| request.path == path);
            sent.and_then(|request| request.body.clone()).unwrap()
        });
        let sent: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(
            (&sent["family"], label.is_string()),
            (&label, true),
            "as it is looked up"
        );
    }

    ask(&application, Method::POST, "/admin/pause", json!(null)).await;
    application.tick().await.unwrap();
    let seen = preview(&application, &products[0]).await;
    assert!(seen["waits_for"][0].as_str().unwrap().contains("paused"), "{seen}");
    let body = json!({ "kind": "categories", "code": "master" });
    let other = ask(&application, Method::POST, "/admin/preview", body).await.json();
    is_told(&other, "nothing", "does not speak of this kind");
}

#[tokio::test]
async fn only_the_administration_may_ask_and_what_makes_no_sense_is_told() {
    let world = World::start(Catalogue::generate(1, 0, 7)).await.unwrap();
    let application = Application::start(world.setup().with("read_token", "reads"))
        .await
        .unwrap();
    let good = json!({ "kind": "products", "code": world.products()[0].key() }).to_string();
    for (method, token, body, expected) in [
        (Method::POST, "wrong", good.as_str(), 401),
        (Method::POST, "reads", &good, 403),
        (Method::GET, ADMIN_TOKEN, &good, 405),
        (Method::POST, ADMIN_TOKEN, "", 400),
        (Method::POST, ADMIN_TOKEN, r#"{"kind":"families","code":"a"}"#, 400),
        (Method::POST, ADMIN_TOKEN, r#"{"kind":"products","code":" "}"#, 400),
    ] {
        let headers = [bearer(token)];
        let asked = application.request(method, "/admin/preview", &headers, body.to_owned());
        assert_eq!(asked.await.unwrap().status, expected, "{token} {body}");
    }
    assert_eq!(world.pim.with(|pim| pim.calls.len()), 0);
}
