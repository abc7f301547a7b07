//! What nobody is told: searched for in all that the application writes, answers and sends.

use crate::admin::ask;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Method, Request, header};
use model::path::path_segment;
use rusqlite::Connection;
use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use simulator::control::Controlled;
use simulator::fault::{Reply, respond};
use simulator::server::{Server, Upstream};
use std::fmt::Write;
use tests::application::{Application, Setup};
use tests::world::{World, deliver_all, platform_deliveries};

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    let application = Application::start(world.setup().with("destination_token", "wrong-and-secret"))
        .await
        .unwrap();
    deliver_all(&application, &platform_deliveries(&world.touch_all().unwrap(), 1))
        .await
        .unwrap();
    application.tick().await.unwrap();
    let printed = ["ingest", "worker"]
        .map(|component| {
            application
                .log_lines(component)
                .iter()
                .map(Value::to_string)
                .collect::<String>()
        })
        .concat();
    assert!(printed.contains("\"log\":\"call\""), "calls are logged");
    for (name, value) in world.setup().variables {
        if name.contains("secret") || name.contains("password") || name.contains("token") {
            assert!(!printed.contains(&value), "{name} is in a log");
        }
    }
    assert!(!printed.contains("wrong-and-secret"));
}

/// How a text is written.
type Form = fn(&str) -> String;

/// The ways in which an answer may repeat what it was sent.
const FORMS: [(&str, Form); 8] = [
    ("to the letter", str::to_owned),
    ("as JSON", quoted),
    ("as PHP writes JSON", |text| {
        quoted(text).replace('/', "\\/").replace('é', "\\u00e9")
    }),
    ("as JSON in JSON", |text| quoted(&quoted(text))),
    ("in an address", path_segment),
    ("in an address as others write it", |text| {
        path_segment(text).replace("%2F", "/").to_ascii_lowercase()
    }),
    ("in HTML", |text| {
        text.replace('&', "&amp;").replace('"', "&quot;").replace('/', "&#x2F;")
    }),
    ("in capitals", str::to_ascii_uppercase),
];

fn quoted(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// An upstream that answers every call with what it was sent.
struct Echo {
    form: Form,
    status: u16,
    /// What it gives as a token, if it does not repeat the request for one.
    token: Option<&'static str>,
}

impl Controlled for Echo {
    fn control(&mut self, _: &Method, _: &str, _: Value, _: u64) -> anyhow::Result<Option<Value>> {
        Ok(None)
    }
}

impl Upstream for Echo {
    fn handle(&mut self, request: &Request<Bytes>, _now_ms: u64) -> Reply {
        if let (Some(token), true) = (self.token, request.uri().path().ends_with("/token")) {
            let given = json!({ "access_token": token, "refresh_token": "a/REFRESH+tok\"en3", "expires_in": 3600, "token_type": "bearer" });
            return Reply::now(respond(200, &given));
        }
        let mut said = String::new();
        for name in [header::AUTHORIZATION.as_str(), "x-relay"] {
            let value = request
                .headers()
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()));
            write!(said, " {name}: {}", value.unwrap_or_default()).unwrap();
        }
        write!(said, " {}", request.uri()).unwrap();
        if request.uri().path().ends_with("/token") {
            write!(said, " {}", String::from_utf8_lossy(request.body())).unwrap();
        }
        let mut answer = respond(self.status, &json!(null));
        *answer.body_mut() = format!("no: {}", (self.form)(&said)).into();
        for name in ["x-request-id", "x-correlation-id"] {
            if let Ok(value) = (self.form)(&said).try_into() {
                answer.headers_mut().insert(name, value);
            }
        }
        Reply::now(answer)
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _now_ms: u64) {}
}

async fn echo(form: Form, status: u16, token: Option<&'static str>) -> Server<Echo> {
    let echo = Echo { form, status, token };
    Server::start(echo, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

const PASSWORD: &str = "pa\"ss/WORD\\é0003";
const CLIENT_SECRET: &str = "client/SECRET+0004&x";
const DESTINATION: &str = "dest/SECRET+\"tok\\0009=";
const LOGIN: &str = "login/SECRET+\"0006";
const ALERT_HOOK: &str = "hookSECRET0014";

fn guarded(setup: Setup, alerts: &Server<Echo>) -> Setup {
    setup
        .with("pim_password", PASSWORD)
        .with("pim_client_secret", CLIENT_SECRET)
        .with("destination_token", DESTINATION)
        .with("alert_url", &alerts.url())
        .with("alert_path", &format!("/services/{ALERT_HOOK}"))
}

/// All that an application has written and says to people.
async fn told(application: &Application) -> String {
    let mut told = String::new();
    for component in ["ingest", "worker", "console", "setup"] {
        let lines = application.log_lines(component);
        assert!(
            ["console", "setup"].contains(&component) || !lines.is_empty(),
            "{component} has no log"
        );
        lines.iter().for_each(|line| read_into(&mut told, line));
    }
    let store = Connection::open(application.state().path().join("sqlite_key_value.db")).unwrap();
    let mut rows = store.prepare("SELECT key, value FROM spin_key_value").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)));
    for (key, value) in rows.unwrap().map(Result::unwrap) {
        // Tokens are kept so that not every tick asks for one.
        if !key.starts_with("r1.main.t.") {
            told += &key;
            match serde_json::from_slice(&value) {
                Ok(value) => read_into(&mut told, &value),
                Err(_) => told += &String::from_utf8_lossy(&value),
            }
        }
    }
    for path in ["status", "dead-letters", "history", "metrics"] {
        let answer = ask(application, Method::GET, &format!("/admin/{path}"), json!(null)).await;
        assert_eq!(answer.status, 200, "{path}");
        match answer.json() {
            Value::Null => told += &String::from_utf8_lossy(&answer.body),
            document => read_into(&mut told, &document),
        }
    }
    told
}

/// Every text of a document, as it reads: what is escaped once more by being a document is not what was told.
fn read_into(told: &mut String, document: &Value) {
    match document {
        Value::String(text) => {
            told.push('\n');
            *told += text;
        }
        Value::Array(list) => list.iter().for_each(|part| read_into(told, part)),
        Value::Object(members) => members.iter().for_each(|(name, part)| {
            *told += name;
            read_into(told, part);
        }),
        _ => {}
    }
}

fn assert_untold(told: &str, what: &str) {
    let basic = |user: &str, password: &str| BASE64.encode(format!("{user}:{password}"));
    let secrets = [
        PASSWORD.to_owned(),
        CLIENT_SECRET.to_owned(),
        DESTINATION.to_owned(),
        LOGIN.to_owned(),
        basic("client-of-shop", &urlencoded(LOGIN)),
        ALERT_HOOK.to_owned(),
        ACCESS.to_owned(),
        basic("client-of-pim", CLIENT_SECRET),
        BASE64.encode("user:pass/WORD+0011"),
        "pass/WORD+0011".to_owned(),
    ];
    for secret in secrets {
        for (name, form) in FORMS {
            let written = form(&secret);
            assert!(!told.contains(&written), "{what}: {written} is told {name}");
            let half: String = written.chars().take(written.chars().count() / 2 + 3).collect();
            assert!(
                !told.contains(&half),
                "{what}: {half} is told, a part of what stands {name}"
            );
        }
    }
}

const ACCESS: &str = "access/TOKEN+of=0005";

/// A text as it stands in the header of client credentials (RFC 6749, section 2.3.1).
fn urlencoded(text: &str) -> String {
    path_segment(text)
}

/// An application that asks another host for the destination's tokens.
fn with_login(setup: Setup, url: &str, credentials: &str) -> Setup {
    let shape = json!({ "products": {}, "login": { "path": "/oauth/token", "credentials": credentials } });
    let setup = setup.with("destination_token", "").with("shape", &shape.to_string());
    let setup = setup.with("login_url", url).with("login_id", "client-of-shop");
    setup.with("login_secret", LOGIN)
}

/// Delivers three changes and works on them for a few ticks; gives all that is told of it.
async fn worked(setup: Setup, world: &World) -> String {
    let application = Application::start(setup).await.unwrap();
    let changes = world.touch_all().unwrap();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    for _ in 0..3 {
        application.tick().await.unwrap();
    }
    told(&application).await
}

#[tokio::test]
async fn what_an_upstream_repeats_of_a_secret_is_told_nowhere() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    for (name, form) in FORMS {
        let (upstream, alerts) = (echo(form, 422, None).await, echo(form, 500, None).await);
        let known = world.setup().variable("pim_password").to_owned();
        let client = world.setup().variable("pim_client_secret").to_owned();
        let setup = guarded(world.setup(), &alerts);
        let setup = setup.with("pim_password", &known).with("pim_client_secret", &client);
        let by_token = worked(setup.clone().with("destination_url", &upstream.url()), &world).await;
        assert!(by_token.contains("no:"), "{name}: the answers are told");
        assert!(by_token.contains("[secret]"), "{name}: they held a secret");
        assert_untold(&by_token, name);
        let login = setup.clone().with("destination_url", &upstream.url());
        let by_basic = worked(login.with("destination_token", "user:pass/WORD+0011"), &world).await;
        assert_untold(&by_basic, name);
        for credentials in ["body", "basic"] {
            let setup = with_login(setup.clone(), &upstream.url(), credentials);
            let by_login = worked(setup.with("destination_url", &upstream.url()), &world).await;
            assert!(
                by_login.contains("[secret]"),
                "{name}, {credentials}: they held a secret"
            );
            assert_untold(&by_login, name);
        }
        let pim = guarded(world.setup(), &alerts).with("pim_url", &upstream.url());
        let pim = pim.with("pim_client_id", "client-of-pim");
        let at_the_door = worked(pim.clone(), &world).await;
        assert!(at_the_door.contains("[secret]"), "{name}: they held a secret");
        assert_untold(&at_the_door, name);
        let inside = echo(form, 403, Some(ACCESS)).await;
        let by_token = worked(pim.with("pim_url", &inside.url()), &world).await;
        assert!(by_token.contains("[secret]"), "{name}: they held a secret");
        assert_untold(&by_token, name);
    }
}
