//! Dead letters that somebody looks for: found, replayed and discarded by what stands in them and when they were given up,
//! written out line by line; and what was sent, kept beside what was answered.

use crate::admin::ask;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Catalogue, EntityId};
use simulator::pim::PimConfig;
use tests::application::{ADMIN_TOKEN, Application, Setup};
use tests::client::bearer;
use tests::world::{DESTINATION_TOKEN, World};

/// An application that has given up so many products: the first of them for one reason, the others for another one. Each is
/// followed by one that is taken, so that the destination is not taken for one that refuses all.
async fn given_up(setup: impl Fn(Setup) -> Setup, count: usize, first: usize) -> (World, Application, Vec<EntityId>) {
    let world = World::start(Catalogue::generate(2 * count, 0, 7)).await.unwrap();
    let application = Application::start(setup(world.setup())).await.unwrap();
    let products: Vec<EntityId> = world.products().into_iter().step_by(2).collect();
    world.destination.with(|destination| {
        for (at, product) in products.iter().enumerate() {
            let (short, long) = ("this colour is unknown".to_owned(), "no price, ".repeat(450));
            destination.reject(&product.key(), if at < first { &short } else { &long });
        }
    });
    world.touch(&application, &world.products(), 1).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(total(&application, "").await, products.len() as u64);
    (world, application, products)
}

async fn page(application: &Application, query: &str) -> Value {
    let answer = ask(
        application,
        Method::GET,
        &format!("/admin/dead-letters?{query}"),
        json!(null),
    )
    .await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    answer.json()
}

async fn total(application: &Application, query: &str) -> u64 {
    page(application, query).await["total"].as_u64().unwrap()
}

async fn found(application: &Application, query: &str) -> usize {
    page(application, query).await["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn those_that_a_search_finds_are_replayed_and_discarded_and_no_others() {
    let (world, application, products) = given_up(|setup| setup, 6, 2).await;
    assert_eq!(found(&application, "text=COLOUR").await, 2);
    assert_eq!(found(&application, "text=no+price").await, 4);
    assert_eq!(found(&application, "reason=no+price").await, 4);
    let code = products[5].key();
    assert_eq!(found(&application, &format!("text={code}")).await, 1);
    assert_eq!(found(&application, "text=nowhere").await, 0);
    assert_eq!(total(&application, "since=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(total(&application, "before=2020-01-01T00:00:00Z").await, 0);
    assert_eq!(
        total(&application, "since=2020-01-01T00:00:00Z&before=2100-01-01T00:00:00Z").await,
        6
    );

    let replay = async |matching: Value| {
        let body = json!({ "matching": matching });
        ask(&application, Method::POST, "/admin/dead-letters/replay", body).await
    };
    let done = json!({ "replayed": 2, "left": 0, "next": null });
    assert_eq!(replay(json!({ "text": "colour" })).await.json(), done);
    let none = replay(json!({ "text": "colour", "before": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(none.json()["replayed"], 0);
    for nonsense in [
        json!({}),
        json!({ "since": "yesterday" }),
        json!({ "text": "a", "cursor": "x" }),
    ] {
        assert_eq!(replay(nonsense.clone()).await.status, 400, "{nonsense}");
    }
    world.destination.with(|destination| destination.rejections.clear());
    application.tick_until_idle().await.unwrap();
    assert_eq!(total(&application, "").await, 4);
    assert_eq!(world.pushes("PUT"), 12 + 2, "nobody else was sent again");

    let matching = json!({ "matching": { "kind": "products", "text": code } });
    let discarded = ask(&application, Method::DELETE, "/admin/dead-letters", matching).await;
    assert_eq!(discarded.json(), json!({ "discarded": 1, "left": 0, "next": null }));
    assert_eq!(total(&application, "").await, 3);
    assert_eq!(found(&application, &format!("text={code}")).await, 0);
    let journal = ask(&application, Method::GET, "/admin/journal", json!(null))
        .await
        .json();
    assert!(
        journal["items"][0]["sent"].as_str().unwrap().contains(&code),
        "{journal}"
    );
}

#[tokio::test]
async fn all_that_match_are_written_out_a_line_each() {
    let (_world, application, _) = given_up(|setup| setup, 30, 10).await;
    let export = async |path: &str, headers: &[(String, String)]| {
        let headers = [headers, &[bearer(ADMIN_TOKEN)]].concat();
        let answer = application.request(Method::GET, path, &headers, "").await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.header("cache-control")),
            (200, Some("no-store"))
        );
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (text.len(), lines.collect::<Vec<Value>>())
    };
    let (length, lines) = export("/admin/dead-letters?format=jsonl", &[]).await;
    assert!(length > 2 * 65_536, "{length} bytes are no three parts");
    assert_eq!(json!(lines), page(&application, "limit=200").await["items"]);
    let accept = ("accept".to_owned(), "application/x-ndjson".to_owned());
    let (_, lines) = export("/admin/dead-letters?text=colour", &[accept]).await;
    assert_eq!(json!(lines), page(&application, "text=colour").await["items"]);
    assert_eq!(lines.len(), 10);
    assert_eq!(
        export("/admin/dead-letters?format=jsonl&text=nowhere", &[]).await,
        (0, vec![])
    );
}

#[tokio::test]
async fn what_was_sent_is_kept_with_what_was_answered_and_tells_no_secret() {
    let secrets = format!("{DESTINATION_TOKEN} {}", PimConfig::default().password);
    let shape = json!({ "products": { "fields": [
        { "constant": secrets, "to": "/a_key" }, { "from": "/values", "to": "/values" },
    ] } });
    let (world, application, products) = given_up(|setup| setup.with("shape", &shape.to_string()), 1, 1).await;
    let items = page(&application, "").await["items"].clone();
    let failures = items[0]["failures"].as_array().unwrap();
    let request = &failures.last().unwrap()["request"];
    let path = format!("/products/{}", products[0].key());
    assert_eq!(
        (&request["method"], &request["path"]),
        (&json!("PUT"), &json!(path)),
        "{items}"
    );
    let sent = world.destination.with(|destination| {
        let sent = destination.log.iter().find(|request| request.path == path);
        sent.and_then(|request| request.body.clone()).unwrap()
    });
    assert!(sent.contains(&secrets));
    assert_eq!(request["bytes"], json!(sent.len()));
    let kept = request["body"].as_str().unwrap();
    assert!(
        kept.len() <= 2048 && kept.starts_with("{\"a_key\":\"[secret] [secret]\","),
        "{kept}"
    );
    assert!(!items.to_string().contains(DESTINATION_TOKEN));
    let entity = format!("/admin/entities/products/{}", products[0].key());
    let known = ask(&application, Method::GET, &entity, json!(null)).await.json();
    assert_eq!(known["dead_letters"][0], items[0], "{known}");
}
