//! The administration: who may use it, the dead letters' way round, commands, alerts.

use crate::deliveries::platform_product;
use http::Method;
use model::time;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use simulator::deliveries::{Delivery, Secrets, event_platform_headers};
use simulator::destination::{Destination, DestinationConfig, Received};
use simulator::encode_segment;
use simulator::fault::{Effect, Fault};
use simulator::server::DestinationServer;
use simulator::times::now_ms;
use std::collections::BTreeSet;
use tests::application::{ADMIN_TOKEN, Application, Setup, root};
use tests::client::{Answer, bearer};
use tests::store::Store;
use tests::world::{DESTINATION_TOKEN, NOTIFICATION_SECRET, World, deliver_all, platform_deliveries, secrets};

/// Every route of the administration, and one that is none.
const ROUTES: [(Method, &str); 14] = [
    (Method::GET, "/admin/dead-letters"),
    (Method::POST, "/admin/dead-letters/replay"),
    (Method::DELETE, "/admin/dead-letters"),
    (Method::DELETE, "/admin/dead-letters/products/x"),
    (Method::GET, "/admin/status"),
    (Method::GET, "/admin/metrics"),
    (Method::GET, "/admin/history"),
    (Method::GET, "/admin/entities/products/x"),
    (Method::POST, "/admin/adopt"),
    (Method::POST, "/admin/brake/release"),
    (Method::POST, "/admin/waits/end"),
    (Method::POST, "/admin/reconcile"),
    (Method::GET, "/admin/nothing"),
    (Method::GET, "/admin"),
];

/// Asks as the administrator.
pub(crate) async fn ask(application: &Application, method: Method, path: &str, body: Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    application
        .request(method, path, &[bearer(ADMIN_TOKEN)], body)
        .await
        .unwrap()
}

/// Adopts what the application says is configured; it says so once a tick has seen it.
pub(crate) async fn adopt(application: &Application, empty_index: bool) {
    application.tick().await.unwrap();
    let status = ask(application, Method::GET, "/admin/status", json!(null)).await.json();
    let body = json!({ "empty_index": empty_index, "configured": status["configured"] });
    let answer = ask(application, Method::POST, "/admin/adopt", body).await;
    assert_eq!(answer.status, 202, "{:?}", answer.json());
}

/// The first page of the dead letters.
pub(crate) async fn dead_letters(application: &Application) -> Vec<Value> {
    let page = ask(application, Method::GET, "/admin/dead-letters", json!(null)).await;
    page.json()["items"].as_array().unwrap().clone()
}

/// A page of the dead letters.
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

async fn replay(application: &Application, selection: Value) -> u64 {
    let answer = ask(application, Method::POST, "/admin/dead-letters/replay", selection).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    answer.json()["replayed"].as_u64().unwrap()
}

async fn discard(application: &Application, path: &str, selection: Value) -> u64 {
    let answer = ask(
        application,
        Method::DELETE,
        &format!("/admin/dead-letters{path}"),
        selection,
    )
    .await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    answer.json()["discarded"].as_u64().unwrap()
}

fn touch(world: &World, entities: &[EntityId]) -> Vec<Change> {
    entities
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Touch).unwrap())
        .collect()
}

async fn deliver(world: &World, application: &Application, entities: &[EntityId]) {
    deliver_all(application, &platform_deliveries(&touch(world, entities), 1))
        .await
        .unwrap();
}

/// Ticks until so many dead letters lie there.
async fn tick_until_dead(application: &Application, count: u64) {
    let mut total = json!(null);
    for _ in 0..100 {
        total = page(application, "limit=1").await["total"].clone();
        if total == count {
            return;
        }
        application.tick().await.unwrap();
    }
    panic!("{total} dead letters instead of {count} after a hundred ticks");
}

/// Something that takes alerts.
pub(crate) async fn receiver() -> DestinationServer {
    let config = DestinationConfig {
        keep_bodies: true,
        ..DestinationConfig::default()
    };
    DestinationServer::start(Destination::new(config), "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

const ALERT_PATH: &str = "/services/T0001/hook-and-secret";

pub(crate) fn alerting(setup: Setup, receiver: &DestinationServer) -> Setup {
    setup.with("alert_url", &receiver.url()).with("alert_path", ALERT_PATH)
}

/// The alerts received: path and body.
pub(crate) fn alerts(receiver: &DestinationServer) -> Vec<(String, Value)> {
    let received: Vec<Received> = receiver.with(|receiver| receiver.log.clone());
    received
        .into_iter()
        .map(|request| {
            assert_eq!(request.method, "POST");
            let body = request.body.unwrap_or_default();
            (request.path, serde_json::from_str(&body).unwrap())
        })
        .collect()
}

/// What the alerts received are about.
pub(crate) fn causes(receiver: &DestinationServer) -> Vec<Value> {
    let sent = alerts(receiver).into_iter();
    sent.map(|(_, body)| body["cause"].clone()).collect()
}

/// The lines that tell of alerts: cause and whether it was sent.
fn alert_lines(application: &Application) -> Vec<(String, bool)> {
    let lines = application.log_lines("worker").into_iter();
    lines
        .filter(|line| line["log"] == "alert")
        .map(|line| {
            (
                line["cause"].as_str().unwrap().to_owned(),
                line["sent"].as_bool().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn nothing_is_open_without_the_token() {
    let application = Application::start(secrets().with("admin_token_previous", "the-previous-one"))
        .await
        .unwrap();
    for (method, path) in ROUTES {
        for headers in [
            vec![],
            vec![bearer("guessed")],
            vec![bearer("")],
            vec![("authorization".to_owned(), format!("Basic {ADMIN_TOKEN}"))],
        ] {
            let answer = application.request(method.clone(), path, &headers, "{}").await.unwrap();
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert!(!answer.json().to_string().contains(ADMIN_TOKEN));
        }
    }
    for token in [ADMIN_TOKEN, "the-previous-one"] {
        let answer = application
            .request(Method::GET, "/admin/status", &[bearer(token)], "")
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
    }
}

/// Whoever guesses is seen, and can fill neither log nor store: one line and one write, whichever component is asked.
/// Whoever bears no token leaves nothing, and no guess is told.
#[tokio::test]
async fn a_guessed_token_is_told_once_a_minute_and_not_shown() {
    let application = Application::start(secrets().with("log", "failures")).await.unwrap();
    let tried = |headers: Vec<(String, String)>, path: &'static str| {
        let application = &application;
        async move {
            let method = if path.contains('?') { Method::GET } else { Method::POST };
            let answer = application.request(method, path, &headers, "").await.unwrap();
            assert_eq!(answer.status, 401, "{path}");
        }
    };
    let paths = ["/admin/pause", "/admin/check", "/worker/tick"];
    for path in paths {
        tried(vec![], path).await;
    }
    assert_eq!(application.store_operations().unwrap(), Vec::<Value>::new());
    for path in paths {
        for _ in 0..3 {
            tried(vec![bearer("guessed-by-somebody")], path).await;
        }
    }
    tried(vec![], "/worker/tick?key=guessed-by-somebody").await;
    let lines = ["console", "setup", "worker"]
        .map(|component| application.log_lines(component))
        .concat();
    let told: Vec<&Value> = lines.iter().filter(|line| line["log"] == "refused-token").collect();
    assert_eq!((told.len(), &told[0]["path"]), (1, &json!("/admin/pause")), "{lines:?}");
    assert!(!json!(lines).to_string().contains("guessed-by-somebody"));
    let operations = application.store_operations().unwrap();
    assert_eq!(
        operations.iter().filter(|operation| operation["op"] == "set").count(),
        1
    );
}

#[tokio::test]
async fn without_a_token_configured_everything_is_closed() {
    let setup = Setup {
        closed: true,
        ..secrets()
    };
    let application = Application::start(setup).await.unwrap();
    for (method, path) in ROUTES {
        for headers in [vec![], vec![bearer("")], vec![bearer(ADMIN_TOKEN)]] {
            let answer = application.request(method.clone(), path, &headers, "").await.unwrap();
            assert_eq!(answer.status, 401, "{method} {path}");
            let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
            assert!(detail.contains("admin_token"), "{detail}");
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_is_told() {
    let application = Application::start(secrets()).await.unwrap();
    for (method, path, body, status) in [
        (Method::GET, "/admin/nothing", "", 404),
        (Method::GET, "/admin", "", 404),
        (Method::GET, "/admin/dead-letters/families/x", "", 404),
        (Method::PUT, "/admin/dead-letters", "", 405),
        (Method::GET, "/admin/adopt", "", 405),
        (Method::POST, "/admin/status", "", 405),
        (Method::GET, "/admin/dead-letters?limit=0", "", 400),
        (Method::GET, "/admin/dead-letters?kind=families", "", 400),
        (Method::GET, "/admin/dead-letters?cursor=guessed", "", 400),
        (Method::POST, "/admin/dead-letters/replay", "", 400),
        (Method::POST, "/admin/dead-letters/replay", "{\"all\":false}", 400),
        (Method::DELETE, "/admin/dead-letters", "everything", 400),
        (Method::POST, "/admin/adopt", "{\"empty_index\":true}", 400),
    ] {
        let answer = application
            .request(method.clone(), path, &[bearer(ADMIN_TOKEN)], body)
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{method} {path} {body}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("allow").is_some(), status == 405);
    }
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!((&status["queue"], &status["pair"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn a_dead_letter_is_listed_replayed_and_cleared_by_success() {
    let world = World::start(Catalogue::generate(8, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let application = Application::start(alerting(world.setup(), &receiver)).await.unwrap();
    let products = world.products();
    // One that fits into no key, and so stands there as a hash.
    let long = EntityId::Model("a model whose code is long/with a slash, and goes on and on".to_owned());
    world.edit(&long, Action::create()).unwrap();
    let refused = products[3].key();
    world.destination.with(|destination| {
        destination.reject(&refused, "this colour is unknown");
        destination.reject(&long.key(), "this code is too long");
    });
    deliver(&world, &application, &products).await;
    deliver(&world, &application, std::slice::from_ref(&long)).await;
    tick_until_dead(&application, 2).await;

    let listed = page(&application, "kind=products").await;
    assert_eq!((&listed["total"], &listed["next"]), (&json!(1), &json!(null)));
    let item = &listed["items"][0];
    assert_eq!(
        (&item["kind"], &item["code"], &item["thinned"]),
        (&json!("products"), &json!(refused), &json!(false))
    );
    assert!(item["reason"].as_str().unwrap().contains("this colour is unknown"));
    assert!(item["failed_at"].as_str().unwrap().ends_with('Z'));
    let failures = item["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    let tracking_id = world.destination.with(|destination| {
        let request = destination
            .log
            .iter()
            .find(|request| request.path.ends_with(&refused))
            .unwrap();
        request.tracking_id.clone()
    });
    assert_eq!(
        (
            &failures[0]["upstream"],
            &failures[0]["status"],
            &failures[0]["tracking_id"],
            &failures[0]["tries"]
        ),
        (&json!("destination"), &json!(422), &json!(tracking_id), &json!(1))
    );
    let event: Value = serde_json::from_str(item["events"][0].as_str().unwrap()).unwrap();
    assert_eq!(
        event["data"]["product"]["uuid"],
        json!(refused),
        "the event as received"
    );

    // Replayed too early it is given up again, and still once in the list.
    let this = json!({"entities": [{"kind": "products", "code": refused}]});
    assert_eq!(replay(&application, this.clone()).await, 1);
    application.tick_until_idle().await.unwrap();
    assert_eq!(page(&application, "").await["total"], 2);

    world.destination.with(|destination| destination.rejections.clear());
    // Asking twice harms nothing.
    for _ in 0..2 {
        assert_eq!(replay(&application, json!({"all": true})).await, 2);
    }
    assert_eq!(
        page(&application, "").await["total"],
        2,
        "they stay until their success"
    );
    world.settle(&application, 0).await.unwrap();
    application.tick_until_idle().await.unwrap();
    let pushes = world.pushes("PUT");
    assert_eq!(page(&application, "").await["total"], 0);
    assert_eq!(replay(&application, json!({"all": true})).await, 0);
    assert_eq!(replay(&application, this).await, 0);
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("PUT"), pushes);

    let told = alerts(&receiver);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1["cause"], "dead-letters");
    assert_eq!(told[0].1["instance"], "main");
}

/// Has one product refused for good.
async fn make_dead(world: &World, application: &Application) {
    let product = world.products()[0].clone();
    world
        .destination
        .with(|destination| destination.reject(&product.key(), "no"));
    deliver(world, application, std::slice::from_ref(&product)).await;
    tick_until_dead(application, 1).await;
}

#[tokio::test]
async fn a_replayed_key_is_never_one_that_was_there_before() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    make_dead(&world, &application).await;
    for _ in 0..3 {
        assert_eq!(replay(&application, json!({"kind": "products"})).await, 1);
        assert_eq!(replay(&application, json!({"kind": "product-models"})).await, 0);
    }
    let written: Vec<String> = application
        .store_operations()
        .unwrap()
        .iter()
        .filter(|operation| operation["component"] == "console" && operation["op"] != "list-keys")
        .flat_map(|operation| operation["keys"].as_array().cloned().unwrap_or_default())
        .filter_map(|key| key.as_str().map(str::to_owned))
        .filter(|key| key.starts_with("r1.main.e."))
        .collect();
    assert_eq!(written.iter().collect::<BTreeSet<_>>().len(), 3, "{written:?}");
}

#[tokio::test]
async fn discarded_dead_letters_are_gone() {
    let world = World::start(Catalogue::generate(8, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    let odd = EntityId::Model("a/b c".to_owned());
    world.edit(&odd, Action::create()).unwrap();
    world.destination.with(|destination| {
        for product in &products[..3] {
            destination.reject(&product.key(), "no");
        }
        destination.reject(&odd.key(), "no");
    });
    deliver(&world, &application, &products).await;
    deliver(&world, &application, std::slice::from_ref(&odd)).await;
    tick_until_dead(&application, 4).await;
    let path = format!("/product-models/{}", encode_segment(&odd.key()));
    assert_eq!(discard(&application, &path, json!(null)).await, 1);
    assert_eq!(discard(&application, &path, json!(null)).await, 0);
    let one = format!("/products/{}", products[0].key());
    assert_eq!(discard(&application, &one, json!(null)).await, 1);
    assert_eq!(discard(&application, "", json!({"kind": "product-models"})).await, 0);
    assert_eq!(discard(&application, "", json!({"all": true})).await, 2);
    assert_eq!(page(&application, "").await["items"], json!([]));
    assert_eq!(application.tick().await.unwrap()["outcome"], "idle");
}

#[tokio::test]
async fn dead_letters_are_filtered_and_paged() {
    let world = World::start(Catalogue::generate(240, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    // Every other one comes through: ten refused in a row would say that something else is wrong.
    let refused: Vec<String> = products.iter().step_by(2).map(EntityId::key).collect();
    world.destination.with(|destination| {
        for (n, code) in refused.iter().enumerate() {
            let message = if n % 4 == 0 {
                "No such brand"
            } else {
                "No such tax class"
            };
            destination.reject(code, message);
        }
    });
    deliver(&world, &application, &products).await;
    tick_until_dead(&application, 120).await;

    let (all, pages) = walk(&application, "limit=50").await;
    assert_eq!((all.len(), pages), (120, 3));
    let codes: BTreeSet<&str> = all.iter().map(|item| item["code"].as_str().unwrap()).collect();
    assert_eq!(codes, refused.iter().map(String::as_str).collect());
    let times: Vec<&str> = all.iter().map(|item| item["failed_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "newest first: {times:?}");

    let (brand, _) = walk(&application, "limit=7&reason=no+such%20BRAND").await;
    assert_eq!(brand.len(), 30);
    assert!(
        brand
            .iter()
            .all(|item| item["reason"].as_str().unwrap().contains("No such brand"))
    );
    assert_eq!(walk(&application, "reason=nothing+of+the+kind").await.0.len(), 0);
    assert_eq!(walk(&application, "kind=product-models").await.0.len(), 0);
    assert_eq!(page(&application, "kind=product-models").await["total"], 0);
    assert_eq!(page(&application, "").await["items"].as_array().map(Vec::len), Some(50));
}

/// Walks all pages of a query; gives the items and how many pages they were.
async fn walk(application: &Application, query: &str) -> (Vec<Value>, usize) {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    for pages in 1..100 {
        let page = page(application, &format!("{query}&cursor={cursor}")).await;
        items.extend(page["items"].as_array().cloned().unwrap());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return (items, pages),
        }
    }
    panic!("a hundred pages and no end");
}

#[tokio::test]
async fn a_rotated_token_costs_one_alert_and_no_dead_letter() {
    let world = World::start(Catalogue::generate(60, 6, 7)).await.unwrap();
    let receiver = receiver().await;
    let setup = alerting(world.setup(), &receiver);
    let application = Application::start(setup.clone()).await.unwrap();
    world
        .destination
        .with(|destination| destination.config.token = Some("rotated".to_owned()));
    let all: Vec<EntityId> = world.models().into_iter().chain(world.products()).collect();
    deliver(&world, &application, &all).await;
    for _ in 0..5 {
        application.tick().await.unwrap();
    }
    let told = alerts(&receiver);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, ALERT_PATH);
    assert_eq!(told[0].1["cause"], "destination-blocked");
    let text = told[0].1["text"].as_str().unwrap();
    assert!(text.contains("401") && text.contains("mend"), "{text}");
    assert!(!text.contains(DESTINATION_TOKEN));
    assert_eq!(page(&application, "").await["total"], 0);
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    let left_alone = status["upstreams"]["destination"]["left_alone"].as_object().unwrap();
    assert!(
        left_alone
            .values()
            .any(|circuit| circuit["reason"].as_str().unwrap().contains("401")),
        "{status}"
    );
    assert!(status["alerts"]["destination-blocked"].is_string(), "{status}");
    assert_eq!(alert_lines(&application), [("destination-blocked".to_owned(), true)]);
    let printed: String = application.log_lines("worker").iter().map(Value::to_string).collect();
    assert!(!printed.contains("hook-and-secret"), "the alert's path is a secret");

    let application = application
        .restart_with(setup.with("destination_token", "rotated"))
        .await
        .unwrap();
    world.settle(&application, 0).await.unwrap();
    assert_eq!(page(&application, "").await["total"], 0);
    assert_eq!(alerts(&receiver).len(), 1);
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!(status["upstreams"]["destination"]["left_alone"], json!({}), "{status}");
    assert_eq!(status["pair"]["destination"], json!(world.destination.url()));
}

#[tokio::test]
async fn an_idle_tick_tells_of_a_refused_signature_once() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let application = Application::start(alerting(world.setup(), &receiver)).await.unwrap();
    let event: Value = serde_json::from_slice(&platform_product(&world.products()[0].key(), 1)).unwrap();
    let forged = Delivery::event_platform(&event, &Secrets::primary("another secret"), Vec::new());
    assert_eq!(application.deliver(&forged).await.unwrap().status, 401);
    for _ in 0..2 {
        assert_eq!(application.tick().await.unwrap()["outcome"], "idle");
    }
    assert_eq!(causes(&receiver), ["refused-deliveries"]);
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!(status["refused"]["channel"], "event-platform", "{status}");
}

#[tokio::test]
async fn without_an_address_an_alert_is_a_line_in_the_log() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    make_dead(&world, &application).await;
    assert_eq!(alert_lines(&application), [("dead-letters".to_owned(), false)]);
}

#[tokio::test]
async fn an_alert_that_cannot_be_sent_fails_no_tick_and_is_sent_later() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let setup = alerting(world.setup(), &receiver);
    let application = Application::start(setup.clone().with("alert_url", "http://127.0.0.1:9"))
        .await
        .unwrap();
    let products = world.products();
    world
        .destination
        .with(|destination| destination.reject(&products[0].key(), "no"));
    deliver(&world, &application, &products[..1]).await;
    assert_eq!(application.tick().await.unwrap()["outcome"], "worked");
    assert_eq!(alert_lines(&application), [("dead-letters".to_owned(), false)]);
    let application = application.restart_with(setup).await.unwrap();
    deliver(&world, &application, &products[1..]).await;
    assert_eq!(application.tick().await.unwrap()["outcome"], "worked");
    assert_eq!(alerts(&receiver).len(), 1);
}

#[tokio::test]
async fn another_destination_is_adopted_when_a_person_says_so() {
    let world = World::start(Catalogue::generate(20, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    deliver(&world, &application, &world.products()).await;
    world.settle(&application, 0).await.unwrap();
    let pushes = world.pushes("PUT");
    let application = application
        .restart_with(world.setup().with("destination_path", "/v2"))
        .await
        .unwrap();
    deliver(&world, &application, &world.products()).await;
    let report = application.tick().await.unwrap();
    assert_eq!(report["outcome"], "stopped", "{report}");
    assert_eq!(world.pushes("PUT"), pushes);
    // One that means another pair is left as it is, and so is one of a version that did not say what is meant.
    let configured = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json()["configured"]
        .clone();
    assert!(
        configured["destination"].as_str().unwrap().ends_with("/v2"),
        "{configured}"
    );
    for other in ["pim", "destination", "shape"] {
        let mut meant = configured.clone();
        meant[other] = json!("https://elsewhere.example");
        let body = json!({ "empty_index": true, "configured": meant });
        assert_eq!(ask(&application, Method::POST, "/admin/adopt", body).await.status, 202);
        let report = application.tick().await.unwrap();
        assert_eq!(report["outcome"], "stopped", "{report}");
    }
    let log = application.log_lines("worker");
    let refused = log
        .iter()
        .filter(|line| line["log"] == "command" && line["ok"] == false);
    assert_eq!(refused.count(), 3);
    assert_eq!(world.pushes("PUT"), pushes);
    adopt(&application, true).await;
    application.tick_until_idle().await.unwrap();
    let moved = world
        .destination
        .with(|destination| destination.state.keys().filter(|path| path.starts_with("/v2/")).count());
    assert_eq!(moved, 20);
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!(status["indexed"], 20, "{status}");
}

#[tokio::test]
async fn braked_deletions_are_told_and_go_when_they_are_released() {
    let world = World::start(Catalogue::generate(20, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let application = Application::start(alerting(world.setup(), &receiver)).await.unwrap();
    let products = world.products();
    deliver(&world, &application, &products).await;
    world.settle(&application, 0).await.unwrap();
    // Gone, and only updates were announced.
    let updates = platform_deliveries(&touch(&world, &products[..9]), 2);
    for product in &products[..9] {
        world.edit(product, Action::Delete).unwrap();
    }
    deliver_all(&application, &updates).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!((world.pushes("DELETE"), world.differences().len()), (5, 4));
    assert_eq!(causes(&receiver), ["deletions-braked"]);
    let answer = ask(&application, Method::POST, "/admin/brake/release", json!(null)).await;
    assert_eq!(answer.status, 202, "{:?}", answer.json());
    application.tick_until_idle().await.unwrap();
    assert_eq!((world.pushes("DELETE"), world.differences()), (9, vec![]));
}

/// An upstream that asks to be left alone for a day, by mistake; and one that is called too often for it.
#[tokio::test]
async fn a_person_ends_the_waits_that_upstreams_asked_for() {
    let world = World::start(Catalogue::generate(6, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let throttled = |headers: Value| -> Effect {
        serde_json::from_value(json!({ "effect": "status", "status": 429, "headers": headers })).unwrap()
    };
    for headers in [json!([["retry-after", "999999999"]]), json!([])] {
        world
            .destination
            .with(|destination| destination.faults.add(Fault::next(1, throttled(headers))));
        let changes = touch(&world, &world.products());
        deliver_all(&application, &platform_deliveries(&changes, 1))
            .await
            .unwrap();
        application.tick().await.unwrap();
        let status = ask(&application, Method::GET, "/admin/status", json!(null))
            .await
            .json();
        let upstream = &status["upstreams"]["destination"];
        let is_waiting = upstream["asked_to_wait_until"].is_string() || upstream["slowed_to_per_second"].is_string();
        assert!(is_waiting, "{upstream}");
        let answer = ask(&application, Method::POST, "/admin/waits/end", json!(null)).await;
        assert_eq!(answer.status, 202, "{:?}", answer.json());
        application.tick_until_idle().await.unwrap();
        assert_eq!(world.differences(), []);
        let status = ask(&application, Method::GET, "/admin/status", json!(null))
            .await
            .json();
        let upstream = &status["upstreams"]["destination"];
        assert!(
            upstream["asked_to_wait_until"].is_null() && upstream["slowed_to_per_second"].is_null(),
            "{upstream}"
        );
    }
}

#[tokio::test]
async fn a_suspended_subscription_is_told() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let application = Application::start(alerting(world.setup(), &receiver)).await.unwrap();
    let body = json!({"notification_type": "subscription.suspended", "subscription_id": "0193b40e",
        "reason": "too many errors", "timestamp": time::text(now_ms() / 1000)});
    let body = body.to_string().into_bytes();
    let headers = event_platform_headers(&body, &Secrets::primary(NOTIFICATION_SECRET));
    let answer = application
        .request(Method::POST, "/webhooks/akeneo/notifications", &headers, body)
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    application.tick().await.unwrap();
    let told = alerts(&receiver);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1["cause"], "subscription");
    let text = told[0].1["text"].as_str().unwrap();
    assert!(
        text.contains("suspended") && !text.contains("too many errors"),
        "{text}"
    );
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!(status["subscription"]["state"], "suspended", "{status}");
    assert!(status["reasons"].to_string().contains("too many errors"), "{status}");
}

/// A body with so many errors, in the form of many shops, written as PHP does; it repeats what it was sent.
fn refusal(errors: usize) -> Value {
    let errors: Vec<Value> = (0..errors)
        .map(|n| json!({"property": format!("attribute_{n}"), "message": format!("Déjà vu/{n} {DESTINATION_TOKEN}")}))
        .collect();
    json!({"code": 422, "message": "Validation failed.", "errors": errors})
}

#[tokio::test]
async fn all_that_the_destination_said_is_kept_and_found() {
    let world = World::start(Catalogue::generate(4, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    for (product, errors) in products.iter().zip([1, 12, 30, 3000]) {
        let effect = Effect::Status {
            status: 422,
            headers: Vec::new(),
            body: Some(refusal(errors)),
        };
        let fault = Fault::always(effect).entity(&product.key());
        world.destination.with(|destination| destination.faults.add(fault));
    }
    deliver(&world, &application, &products).await;
    tick_until_dead(&application, 4).await;
    for (product, errors, kept) in
        [(0, 1, 1), (1, 12, 12), (2, 30, 30), (3, 3000, 50)].map(|(at, errors, kept)| (&products[at], errors, kept))
    {
        let path = format!("/admin/entities/products/{}", product.key());
        let known = ask(&application, Method::GET, &path, json!(null)).await.json();
        let failure = &known["dead_letters"][0]["failures"][0];
        let said = failure["answer"].as_str().or(failure["reason"].as_str()).unwrap();
        assert!(said.len() <= 4096 && !said.contains(DESTINATION_TOKEN), "{said}");
        for n in 0..kept {
            assert!(
                said.contains(&format!("\"attribute_{n}\"")),
                "{errors}: {n} is missing in {said}"
            );
        }
        assert!(said.contains("Déjà vu/0 [secret]"), "{said}");
    }
    for (text, found) in [
        ("ATTRIBUTE_29%22", 2),
        ("attribute_11%22", 3),
        ("d%C3%A9j%C3%A0+vu/0", 4),
        ("attribute_2999%22", 0),
    ] {
        let page = page(&application, &format!("reason={text}")).await;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(found), "{text}");
    }
    let printed: String = application.log_lines("worker").iter().map(Value::to_string).collect();
    assert!(!printed.contains(DESTINATION_TOKEN));
}

/// What the docs give a receiver: the path and the template.
fn documented(receiver: &str) -> (String, String) {
    let docs = std::fs::read_to_string(root().join("docs/operate.md")).unwrap();
    let of_it = docs.split(&format!("**{receiver}**")).nth(1).unwrap();
    let path = of_it.split("alert_path=").nth(1).unwrap().split('`').next().unwrap();
    let template = of_it.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    (path.to_owned(), template.to_owned())
}

/// Whether a receiver takes a body, by what it says that it takes.
fn is_taken(receiver: &str, body: &Value) -> bool {
    let has_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let has_no_other = |names: &[&str]| {
        let members = body.as_object().unwrap();
        members.keys().all(|name| names.contains(&name.as_str()))
    };
    let links = |value: &Value| value.as_str().is_some_and(|url| url.starts_with("https://"));
    match receiver {
        "Slack" => has_text(&body["text"]) && has_no_other(&["text"]),
        "Google Chat" => {
            // It refuses what it does not know.
            has_text(&body["text"]) && has_text(&body["thread"]["threadKey"]) && has_no_other(&["text", "thread"])
        }
        "Microsoft Teams" => {
            let (attachment, card) = (&body["attachments"][0], &body["attachments"][0]["content"]);
            let blocks = card["body"].as_array().unwrap();
            body["type"] == "message"
                && attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
                && card["type"] == "AdaptiveCard"
                && blocks
                    .iter()
                    .all(|block| block["type"] == "TextBlock" && has_text(&block["text"]))
                && card["actions"][0]["type"] == "Action.OpenUrl"
                && links(&card["actions"][0]["url"])
        }
        "PagerDuty" => {
            let (payload, length) = (&body["payload"], |value: &Value| {
                value.as_str().unwrap().chars().count()
            });
            body["routing_key"].as_str().is_some_and(|key| key.len() == 32)
                && ["trigger", "resolve"].contains(&body["event_action"].as_str().unwrap())
                && (1..=255).contains(&length(&body["dedup_key"]))
                && (1..=1024).contains(&length(&payload["summary"]))
                && has_text(&payload["source"])
                && ["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap())
                && links(&body["links"][0]["href"])
        }
        other => panic!("nothing is known of {other}"),
    }
}

/// The record of what the worker keeps between ticks.
const STATE: &str = "r1.main.state";

/// One given up and one well again, as the templates of the docs post them to those they are for.
#[tokio::test]
async fn alerts_have_the_form_that_the_docs_give_their_receivers() {
    for name in ["Slack", "Microsoft Teams", "Google Chat", "PagerDuty"] {
        let (path, template) = documented(name);
        let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
        let receiver = receiver().await;
        let setup = world.setup().with("public_url", "https://relay.example.com");
        let setup = setup
            .with("alert_url", &receiver.url())
            .with("alert_path", &path.replace("...", "an-id-or-a-secret"))
            .with("alert_template", &template);
        let application = Application::start(setup).await.unwrap();
        let (product, other) = (world.products()[0].clone(), world.products()[1].clone());
        let said = "the destination's own words";
        world
            .destination
            .with(|destination| destination.reject(&product.key(), said));
        deliver(&world, &application, std::slice::from_ref(&product)).await;
        tick_until_dead(&application, 1).await;
        let (_, firing) = alerts(&receiver).pop().unwrap();
        let query = receiver.with(|receiver| receiver.log[0].query.clone());
        assert_eq!(query.is_empty(), !path.contains('?'), "{query}");

        world.destination.with(|destination| destination.rejections.clear());
        assert_eq!(replay(&application, json!({"all": true})).await, 1);
        application.tick_until_idle().await.unwrap();
        assert_eq!(alerts(&receiver).len(), 1, "it may not last");
        let store = Store::open(application.state().path());
        let mut state: Value = serde_json::from_slice(&store.get(STATE).unwrap()).unwrap();
        let gone = &mut state["alarms"]["dead-letters"]["gone-since"];
        *gone = json!(gone.as_u64().unwrap() - 300);
        store.set(STATE, state.to_string().as_bytes());
        for _ in 0..2 {
            deliver(&world, &application, std::slice::from_ref(&other)).await;
            application.tick_until_idle().await.unwrap();
        }
        let told = alerts(&receiver);
        assert_eq!(told.len(), 2, "{told:?}");
        let (firing, resolved) = (firing.to_string(), told[1].1.to_string());
        for body in [&firing, &resolved] {
            assert!(is_taken(name, &serde_json::from_str(body).unwrap()), "{name}: {body}");
            assert!(body.contains("https://relay.example.com/console"), "{body}");
            assert!(body.contains("main") && body.contains("dead-letters"), "{body}");
            assert!(!body.contains(said), "{body}");
        }
        let of_firing = [
            "1 entity newly given up (products/",
            &product.key(),
            "422",
            if name == "PagerDuty" { "trigger" } else { "firing" },
        ];
        assert!(of_firing.iter().all(|part| firing.contains(part)), "{firing}");
        assert!(resolved.contains("well again: no dead letters are left"), "{resolved}");
        assert!(resolved.contains("resolve"), "{resolved}");
        let printed: String = application.log_lines("worker").iter().map(Value::to_string).collect();
        for secret in ["an-id-or-a-secret", "R000000000000000000000000000KEY0"] {
            assert!(!printed.contains(secret), "{secret}");
        }
    }
}

/// What was configured before there were more places means what it meant, and a receiver that repeats what it was sent,
/// a key in it among that, has it logged by nobody.
#[tokio::test]
async fn a_template_of_before_is_filled_as_ever_and_its_words_are_in_no_log() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let repeats = Effect::Status {
        status: 400,
        headers: Vec::new(),
        body: Some(json!({ "refused": "R000000000000000000000000000KEY0" })),
    };
    receiver.with(|receiver| receiver.faults.add(Fault::next(1, repeats)));
    let template = json!({"key": "R000000000000000000000000000KEY0", "text": "{text}",
        "about": ["{cause}", "{status}", "{class}", "{entity}"]});
    let setup = alerting(world.setup(), &receiver).with("alert_template", &template.to_string());
    let application = Application::start(setup).await.unwrap();
    make_dead(&world, &application).await;
    let (_, body) = alerts(&receiver).remove(0);
    let entity = format!("products/{}", world.products()[0].key());
    assert_eq!(
        (&body["key"], &body["about"]),
        (&template["key"], &json!(["dead-letters", "422", "permanent", entity]))
    );
    let printed: String = application.log_lines("worker").iter().map(Value::to_string).collect();
    assert!(printed.contains("refused") && printed.contains("[secret]"), "{printed}");
    assert!(!printed.contains("KEY0"), "{printed}");
}
