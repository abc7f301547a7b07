//! A destination that wants a token that ends, or a user and a password.

use crate::admin::{alerting, alerts, ask, dead_letters, receiver};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use simulator::control::Controlled;
use simulator::fault::Reply;
use simulator::server::{Server, Upstream};
use std::collections::BTreeSet;
use tests::application::{Application, Setup};
use tests::store::Store;
use tests::world::World;

const ID: &str = "relay at the shop";
const SECRET: &str = "s3cret&of+the=login";

/// A shop with its token endpoint, both on one server or on two.
#[derive(Default)]
struct Shop {
    /// How long its tokens last, in seconds.
    lasts_s: u64,
    /// The secret that it knows.
    secret: String,
    /// The tokens that it takes.
    good: BTreeSet<String>,
    /// Bodies and authorizations of requests for tokens.
    asked: Vec<(String, Option<String>)>,
    /// The paths of what was put, and what stood in the header.
    put: Vec<(String, String)>,
    /// How often a token was refused.
    refused: usize,
}

impl Controlled for Shop {
    fn control(&mut self, _: &Method, _: &str, _: Value, _: u64) -> anyhow::Result<Option<Value>> {
        Ok(None)
    }
}

impl Upstream for Shop {
    fn handle(&mut self, request: &Request<Bytes>, _now_ms: u64) -> Reply {
        let authorization = request.headers().get("authorization");
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        let answer = |status: u16, body: Value| {
            let response = Response::builder().status(status);
            Reply::now(response.body(Bytes::from(body.to_string())).unwrap())
        };
        if request.uri().path() == "/oauth/token" {
            let body = String::from_utf8_lossy(request.body()).into_owned();
            let is_right = body.contains(&self.secret);
            self.asked.push((body, authorization));
            if !is_right {
                // It repeats what it was sent, as some do.
                let said = format!("unknown client {}", self.asked[self.asked.len() - 1].0);
                return answer(401, json!({ "error": "invalid_client", "error_description": said }));
            }
            let token = format!("token-{}", self.asked.len());
            self.good.insert(token.clone());
            return answer(
                200,
                json!({ "data": { "jwt": token }, "access_token": token, "expires_in": self.lasts_s }),
            );
        }
        let token = authorization.clone().unwrap_or_default();
        if !self.good.contains(token.trim_start_matches("Bearer ")) {
            self.refused += 1;
            return answer(401, json!({ "error": format!("not let in with {token}") }));
        }
        self.put.push((request.uri().path().to_owned(), token));
        answer(200, json!({}))
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _now_ms: u64) {}
}

async fn shop(lasts_s: u64) -> Server<Shop> {
    let shop = Shop {
        lasts_s,
        secret: "s3cret%26of%2Bthe%3Dlogin".to_owned(),
        ..Shop::default()
    };
    Server::start(shop, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn setup(world: &World, shop: &Server<Shop>, login: Value) -> Setup {
    let setup = world
        .setup()
        .with("destination_url", &shop.url())
        .with("destination_token", "");
    let setup = setup.with("login_id", ID).with("login_secret", SECRET);
    setup.with("shape", &json!({ "login": login }).to_string())
}

/// How often each product was put.
fn put(shop: &Server<Shop>) -> usize {
    shop.with(|shop| shop.put.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_is_renewed_once_for_all() {
    let world = World::start(Catalogue::generate(200, 0, 3)).await.unwrap();
    let shop = shop(3600).await;
    let application = Application::start(setup(&world, &shop, json!({ "path": "/oauth/token" })))
        .await
        .unwrap();
    world.touch(&application, &world.products(), 1).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(put(&shop), 200);
    let asked = shop.with(|shop| shop.asked.clone());
    let form =
        "grant_type=client_credentials&client_id=relay%20at%20the%20shop&client_secret=s3cret%26of%2Bthe%3Dlogin";
    assert_eq!(
        asked,
        [(form.to_owned(), None)],
        "once, and kept in the store over ticks"
    );

    // Its tokens are worth nothing any more, in the middle of everything.
    shop.with(|shop| shop.good.clear());
    world.touch(&application, &world.products(), 2).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(put(&shop), 400);
    let (asked, refused) = shop.with(|shop| (shop.asked.len(), shop.refused));
    assert!(
        asked == 2 && (1..=5).contains(&refused),
        "{asked} tokens, {refused} refused"
    );
    assert_eq!(dead_letters(&application).await, Vec::<Value>::new());
    let report = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!(report["state"], "ok", "{report}");

    // Tokens of a few seconds: each is used until shortly before its end.
    shop.with(|shop| (shop.lasts_s, shop.asked) = (2, Vec::new()));
    shop.with(|shop| shop.good.clear());
    let began = std::time::Instant::now();
    for seed in 3..6 {
        world.touch(&application, &world.products(), seed).await.unwrap();
        application.tick_until_idle().await.unwrap();
    }
    let most = 2 + began.elapsed().as_millis() as usize / 1800;
    let asked = shop.with(|shop| shop.asked.len());
    assert!(asked <= most, "{asked} tokens of at most {most}");
    assert_eq!(
        (put(&shop), dead_letters(&application).await),
        (1000, Vec::<Value>::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_a_persons_matter_and_told_nowhere() {
    let world = World::start(Catalogue::generate(20, 0, 3)).await.unwrap();
    let (shop, endpoint, people) = (shop(3600).await, shop(3600).await, receiver().await);
    endpoint.with(|endpoint| endpoint.secret = "another".to_owned());
    let login = json!({ "path": "/oauth/token", "credentials": "body", "parameters": { "audience": "shop" } });
    let own = setup(&world, &shop, login)
        .with("login_url", &endpoint.url())
        .with("log", "all");
    let application = Application::start(alerting(own.clone(), &people)).await.unwrap();
    world.touch(&application, &world.products(), 1).await.unwrap();
    let began = std::time::Instant::now();
    for _ in 0..5 {
        application.tick().await.unwrap();
    }
    // The breaker lets a probe through after ten seconds, which these ticks take where the machine is busy.
    let probes = began.elapsed().as_secs() as usize / 10;
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!(status["state"], "down", "{status}");
    assert!(status["reasons"].to_string().contains("401"), "{}", status["reasons"]);
    let asked = endpoint.with(|endpoint| endpoint.asked.len());
    assert!(
        (1..=1 + probes).contains(&asked),
        "{asked} requests for a token, {probes} of them probes"
    );
    assert_eq!(
        (put(&shop), shop.with(|shop| shop.refused)),
        (0, 0),
        "nothing goes out without one"
    );
    assert_eq!(dead_letters(&application).await, Vec::<Value>::new());
    let store = Store::open(application.state().path());
    let kept: Vec<String> = store
        .keys("")
        .iter()
        .map(|key| String::from_utf8_lossy(&store.get(key).unwrap()).into_owned())
        .collect();
    let lines: Vec<String> = application.log_lines("worker").iter().map(Value::to_string).collect();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("/oauth/token") && line.contains("401")),
        "{lines:?}"
    );
    let failed = lines.iter().filter(|line| line.contains("/oauth/token")).count();
    assert_eq!(failed, asked, "each is told in one line: {lines:?}");
    let reasons = status["reasons"].as_array().unwrap().iter().map(Value::to_string);
    let of_login: Vec<String> = reasons.filter(|reason| reason.contains("401")).collect();
    assert_eq!(of_login.len(), 1, "{}", status["reasons"]);
    let mut told = vec![status.to_string()];
    for path in ["/admin/metrics", "/admin/history", "/admin/dead-letters"] {
        let answer = ask(&application, Method::GET, path, json!(null)).await;
        told.push(String::from_utf8_lossy(&answer.body).into_owned());
    }
    let alerts: Vec<String> = alerts(&people).iter().map(|(_, alert)| alert.to_string()).collect();
    assert!(alerts.iter().any(|alert| alert.contains("401")), "{alerts:?}");
    for text in kept.iter().chain(&lines).chain(&told).chain(&alerts) {
        for secret in [SECRET, "s3cret%26of%2Bthe%3Dlogin"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let retries = store.keys("r1.main.r.");
    assert!(
        retries.iter().all(|key| key.contains(".0h.") || key.contains(".0.")),
        "no attempt is used: {retries:?}"
    );

    // A person gives the right one: nothing waits for a breaker that learned from the wrong one.
    let right = own.with("login_secret", "another");
    let application = application.restart_with(right).await.unwrap();
    shop.with(|shop| shop.good.extend((1..10).map(|number| format!("token-{number}"))));
    for _ in 0..300 {
        if put(&shop) == 20 {
            return;
        }
        application.tick().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it is not let in: {}", application.tick().await.unwrap());
}

/// The token stands in another place of the answer than the shape says: it is told nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_an_unexpected_place_is_told_nowhere() {
    let world = World::start(Catalogue::generate(3, 0, 3)).await.unwrap();
    let shop = shop(3600).await;
    let login = json!({ "path": "/oauth/token", "token": "/wrong" });
    let application = Application::start(setup(&world, &shop, login).with("log", "all"))
        .await
        .unwrap();
    world.touch(&application, &world.products(), 1).await.unwrap();
    for _ in 0..3 {
        application.tick().await.unwrap();
    }
    assert!(!shop.with(|shop| shop.asked.is_empty()));
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    let store = Store::open(application.state().path());
    let kept = store.keys("").into_iter().map(|key| store.get(&key).unwrap());
    let kept = kept.map(|value| String::from_utf8_lossy(&value).into_owned());
    let lines = application.log_lines("worker").into_iter().map(|line| line.to_string());
    for text in kept.chain(lines).chain([status.to_string()]) {
        assert!(!text.contains("token-1"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_its_own_and_a_user_with_a_password_work() {
    let world = World::start(Catalogue::generate(5, 0, 3)).await.unwrap();
    let shop = shop(3600).await;
    shop.with(|shop| shop.secret = SECRET.to_owned());
    let login = json!({ "path": "/oauth/token", "form": "json", "token": "/data/jwt", "lasts": 600, "fields": [
        { "to": "/email", "variable": "login_id" }, { "to": "/password", "variable": "login_secret" },
    ] });
    let application = Application::start(setup(&world, &shop, login)).await.unwrap();
    world.touch(&application, &world.products(), 1).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(put(&shop), 5);
    let asked = shop.with(|shop| serde_json::from_str::<Value>(&shop.asked[0].0).unwrap());
    assert_eq!(asked, json!({ "email": ID, "password": SECRET }));
    drop(application);

    // printf 'relay:pass word' | base64
    let basic = "Basic cmVsYXk6cGFzcyB3b3Jk";
    shop.with(|shop| shop.good.insert(basic.to_owned()));
    let plain = world
        .setup()
        .with("destination_url", &shop.url())
        .with("destination_token", "relay:pass word");
    let plain = plain.with("shape", r#"{"authentication": {"scheme": "Basic"}}"#);
    let application = Application::start(plain).await.unwrap();
    world.touch(&application, &world.products(), 2).await.unwrap();
    application.tick_until_idle().await.unwrap();
    let last = shop.with(|shop| shop.put.last().cloned().unwrap());
    assert_eq!((put(&shop), last.1.as_str()), (10, basic));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_lacks_is_told_by_name() {
    let world = World::start(Catalogue::generate(2, 0, 3)).await.unwrap();
    let shop = shop(3600).await;
    let login = || setup(&world, &shop, json!({ "path": "/oauth/token" }));
    for (setup, named) in [
        (login().with("login_id", ""), "`login_id` is not set"),
        (login().with("login_secret", " "), "`login_secret` is not set"),
        (login().with("destination_token", "x"), "`destination_token` is set"),
        (login().with("shape", ""), "`login_secret` is set"),
        (login().with("login_url", "shop.example"), "`login_url`"),
    ] {
        let application = Application::start(setup).await.unwrap();
        let report = application.tick().await.unwrap();
        assert_eq!(report["outcome"], "failed", "{report}");
        assert!(report["reason"].as_str().unwrap().contains(named), "{named}: {report}");
    }
}
