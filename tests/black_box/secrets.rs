//! What nobody is told: searched for in all that the application writes, answers and sends.
//!
//! Every variable that the manifest marks as a secret has a value of its own here. Upstreams repeat all that a component is
//! given, in every form, and no more than a dozen forms in one answer, so that all of it fits into what is kept of an answer.

use crate::admin::ask;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_FOR_ADDRESSES};
use bytes::Bytes;
use http::{Method, Request};
use model::path::path_segment;
use rusqlite::Connection;
use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use simulator::control::Controlled;
use simulator::deliveries::{Format, Plan, Secrets};
use simulator::fault::{Reply, respond};
use simulator::pim::PimConfig;
use simulator::server::{Server, Upstream};
use simulator::times::now_ms;
use std::collections::BTreeSet;
use std::fmt::Write;
use tests::application::{ADMIN_TOKEN, Application, Setup, root};
use tests::world::{World, deliver_all, platform_deliveries};

/// How a text is written.
type Form = fn(&str) -> String;

/// The forms in which an answer may repeat what it was sent.
const FORMS: [(&str, Form); 12] = [
    ("to the letter", str::to_owned),
    ("in capitals", str::to_ascii_uppercase),
    ("in small letters", str::to_ascii_lowercase),
    ("as JSON", quoted),
    ("as PHP writes JSON", |text| {
        quoted(text).replace('/', "\\/").replace('é', "\\u00e9")
    }),
    ("as JSON in JSON", |text| quoted(&quoted(text))),
    ("by its numbers in Unicode", |text| {
        text.encode_utf16()
            .fold(String::new(), |all, unit| format!("{all}\\u{unit:04x}"))
    }),
    ("in an address", path_segment),
    ("in an address as others write it", |text| {
        path_segment(text).replace("%2F", "/").to_ascii_lowercase()
    }),
    ("in HTML", |text| {
        text.replace('&', "&amp;").replace('"', "&quot;").replace('/', "&#x2F;")
    }),
    ("in base64", |text| BASE64.encode(text)),
    ("in base64 for addresses", |text| BASE64_FOR_ADDRESSES.encode(text)),
];

fn quoted(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The names of all variables that are secrets, by the manifest.
fn names() -> BTreeSet<String> {
    let manifest: toml::Table = manifest();
    let variables = manifest["variables"].as_table().unwrap();
    let is_secret = |value: &toml::Value| value.get("secret").and_then(toml::Value::as_bool) == Some(true);
    let names = variables.iter().filter(|(_, value)| is_secret(value));
    names.map(|(name, _)| name.clone()).collect()
}

/// Those that a component is given.
fn given_to(component: &str) -> BTreeSet<String> {
    let manifest = manifest();
    let variables = manifest["component"][component]["variables"].as_table().unwrap();
    names()
        .into_iter()
        .filter(|name| variables.contains_key(name))
        .collect()
}

fn manifest() -> toml::Table {
    std::fs::read_to_string(root().join("spin.toml"))
        .unwrap()
        .parse()
        .unwrap()
}

/// The value of a secret: of its own from its first letters on, and with all that is escaped anywhere, as far as it may
/// stand where it stands.
fn value(name: &str) -> String {
    let number = names().iter().position(|known| known == name).unwrap();
    match name {
        "admin_token" => ADMIN_TOKEN.to_owned(),
        "alert_path" => format!("/services/Qz{number:02}-kW.v_X~7jY{number:02}"),
        "alert_template" => format!(r#"{{"key":"Qz{number:02}-kW.v_X~7jY{number:02}","text":"{{text}}"}}"#),
        "pim_password" | "login_secret" => format!("Qz{number:02}/kW+\"v\\X&7é=jY{number:02}"),
        _ => format!("Qz{number:02}/kW+\"v\\X&7=jY{number:02}="),
    }
}

/// An upstream that answers every call with secrets in every form: those of one secret in one answer, of another one in the
/// next.
struct Echo {
    /// What it repeats, by a label.
    texts: Vec<(String, String)>,
    /// How many answers it has given.
    answers: usize,
    status: u16,
    /// Whether it says so as Akeneo's management API does.
    is_json: bool,
    /// What it gives as a token, if it does not answer the request for one like all others.
    token: Option<&'static str>,
    /// All that it was sent.
    heard: String,
}

impl Echo {
    fn of(texts: &[(String, String)], status: u16, token: Option<&'static str>) -> Echo {
        Echo {
            texts: texts.to_vec(),
            answers: 0,
            status,
            is_json: false,
            token,
            heard: String::new(),
        }
    }

    /// What the next answer says: each form with a label, by which is seen that it was there.
    fn says(&mut self, is_asked_with_it: bool) -> String {
        // Whoever asks without the token that was granted does not know it, and could not blank it.
        if self.texts[self.answers % self.texts.len()].0 == "access" && !is_asked_with_it {
            self.answers += 1;
        }
        let (label, text) = &self.texts[self.answers % self.texts.len()];
        self.answers += 1;
        let forms = FORMS.iter().enumerate();
        forms.fold("no:".to_owned(), |said, (at, (_, form))| {
            format!("{said} {label}.{at}={}", form(text))
        })
    }
}

impl Controlled for Echo {
    fn control(&mut self, _: &Method, _: &str, _: Value, _: u64) -> anyhow::Result<Option<Value>> {
        Ok(None)
    }
}

impl Upstream for Echo {
    fn handle(&mut self, request: &Request<Bytes>, _now_ms: u64) -> Reply {
        let body = String::from_utf8_lossy(request.body());
        writeln!(self.heard, "{} {:?} {body}", request.uri(), request.headers()).unwrap();
        if let (Some(token), true) = (self.token, request.uri().path().ends_with("/token")) {
            let given =
                json!({ "access_token": token, "refresh_token": REFRESH, "expires_in": 3600, "token_type": "bearer" });
            return Reply::now(respond(200, &given));
        }
        let said = self.says(request.headers().contains_key("authorization"));
        let mut answer = respond(self.status, &json!(null));
        for name in ["trackingid", "x-request-id", "x-correlation-id"] {
            if let Ok(value) = said.as_str().try_into() {
                answer.headers_mut().insert(name, value);
            }
        }
        *answer.body_mut() = match self.is_json {
            true => json!({ "errors": [{ "message": said }] }).to_string().into(),
            false => said.into(),
        };
        Reply::now(answer)
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _now_ms: u64) {}
}

async fn start(echo: Echo) -> Server<Echo> {
    Server::start(echo, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

const ACCESS: &str = "access/TOKEN+of=0005";
const REFRESH: &str = "a/REFRESH+tok\"en3";
const CLIENT_ID: &str = "client-of-pim";
const LOGIN_ID: &str = "client-of-shop";
const USER: &str = "user";

/// What upstreams repeat where these secrets are set: each of them, and what is made of them to log in.
fn texts(set: &BTreeSet<String>, setup: &Setup) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = set
        .iter()
        .map(|name| (name.clone(), setup.variable(name).to_owned()))
        .collect();
    let basic = |user: &str, password: &str| BASE64.encode(format!("{user}:{password}"));
    let token = setup.variable("destination_token");
    for (name, sent) in [
        ("pim_client_secret", Some(basic(CLIENT_ID, &value("pim_client_secret")))),
        // As it stands in the header of client credentials (RFC 6749, section 2.3.1).
        (
            "login_secret",
            Some(basic(LOGIN_ID, &path_segment(&value("login_secret")))),
        ),
        ("destination_token", token.contains(':').then(|| BASE64.encode(token))),
    ] {
        let sent = sent.filter(|_| set.contains(name));
        texts.extend(sent.map(|sent| (format!("basic-{name}"), sent)));
    }
    texts
}

/// A PIM that wants the secrets of here.
async fn world(products: usize) -> World {
    let config = PimConfig {
        client_id: CLIENT_ID.to_owned(),
        client_secret: value("pim_client_secret"),
        password: value("pim_password"),
        app_token: Some(value("pim_app_token")),
        ..PimConfig::default()
    };
    World::with(Catalogue::generate(products, 0, 7), config).await.unwrap()
}

/// Lets an application do all that it does, and gives all that it tells.
async fn worked(setup: Setup, world: &World) -> String {
    let application = Application::start(setup.clone()).await.unwrap();
    let secrets = Secrets::primary(setup.variable("event_platform_secret"));
    let plan = Plan::new(Format::EventPlatform(secrets), now_ms() / 1000, 1);
    deliver_all(&application, &plan.deliveries(&world.touch_all().unwrap()))
        .await
        .unwrap();
    let mut told = String::new();
    for _ in 0..2 {
        read_into(&mut told, &application.tick().await.unwrap());
    }
    tell_of_routes(&mut told, &application, world).await;
    tell_of_files(&mut told, &application);
    told
}

/// Asks every route for all that it tells; those that change something last.
async fn tell_of_routes(told: &mut String, application: &Application, world: &World) {
    let product = world.products().remove(0).key();
    let [entity, push] = ["", "/push"].map(|end| format!("/admin/entities/products/{product}{end}"));
    let show = json!({ "do": "show" });
    for (method, path, body) in [
        ("GET", "/admin/status", json!(null)),
        ("GET", "/admin/dead-letters", json!(null)),
        ("GET", "/admin/history", json!(null)),
        ("GET", "/admin/metrics", json!(null)),
        ("GET", &entity, json!(null)),
        ("POST", "/admin/check?wait_seconds=20", json!(null)),
        ("POST", "/admin/connect?wait_seconds=20", show),
        ("POST", "/admin/connect?wait_seconds=20", json!({ "do": "connect" })),
        ("GET", "/console", json!(null)),
        ("GET", "/healthz", json!(null)),
        ("POST", "/webhooks/akeneo/event-platform", json!({})),
        ("POST", "/admin/dead-letters/replay", json!({ "all": true })),
        ("POST", &push, json!(null)),
        ("POST", "/admin/adopt", json!({ "empty_index": false })),
        ("POST", "/admin/brake/release", json!(null)),
        ("POST", "/admin/waits/end", json!(null)),
        ("POST", "/admin/reconcile", json!({ "scan": "full" })),
        ("POST", "/admin/pause", json!(null)),
        ("POST", "/admin/resume", json!(null)),
        ("POST", "/worker/tick", json!(null)),
        ("DELETE", "/admin/dead-letters", json!({ "all": true })),
        ("GET", "/admin/journal", json!(null)),
        ("GET", "/admin/status", json!(null)),
        ("GET", "/admin/nothing", json!(null)),
    ] {
        let answer = ask(application, method.parse().unwrap(), path, body).await;
        match answer.json() {
            Value::Null => *told += &String::from_utf8_lossy(&answer.body),
            document => read_into(told, &document),
        }
    }
}

/// Reads what an application has written: its logs, and its store but for the tokens that were granted, which are kept so
/// that not every tick asks for one.
fn tell_of_files(told: &mut String, application: &Application) {
    for component in ["ingest", "worker", "console", "setup"] {
        let lines = application.log_lines(component);
        assert!(component == "console" || !lines.is_empty(), "{component} has no log");
        lines.iter().for_each(|line| read_into(told, line));
    }
    let logs = std::fs::read_dir(application.state().path().join("logs")).unwrap();
    let of_errors = logs
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("stderr"));
    for path in of_errors.chain([application.state().path().join("runtime.log")]) {
        *told += &String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default());
    }
    let store = Connection::open(application.state().path().join("sqlite_key_value.db")).unwrap();
    let mut rows = store.prepare("SELECT key, value FROM spin_key_value").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)));
    for (key, value) in rows.unwrap().map(Result::unwrap) {
        if !key.starts_with("r1.main.t.") {
            *told += &key;
            match serde_json::from_slice(&value) {
                Ok(value) => read_into(told, &value),
                Err(_) => *told += &String::from_utf8_lossy(&value),
            }
        }
    }
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

/// No text is told, in no form, nor the greater part of it.
fn assert_untold(told: &str, texts: &[(String, String)], what: &str) {
    for (label, text) in texts {
        for (name, form) in FORMS {
            let written = form(text);
            // What is base64 already is no secret's base64 when it is encoded once more.
            if label.starts_with("basic-") && name.contains("base64") {
                continue;
            }
            let half: String = written.chars().take(written.chars().count() / 2 + 3).collect();
            assert!(!told.contains(&half), "{what}: {label} is told, {name}: {half}");
        }
    }
}

/// What stood in each of these forms was seen, and blanked.
fn assert_blanked(told: &str, labels: &BTreeSet<String>, what: &str) {
    let mut unseen = Vec::new();
    for label in labels {
        for (at, (name, _)) in FORMS.iter().enumerate() {
            if !told.contains(&format!("{label}.{at}=[secret]")) {
                unseen.push(format!("{label} {name}"));
            }
        }
    }
    assert_eq!(unseen, Vec::<String>::new(), "{what}: these were not seen");
}

/// An upstream was sent no secret but its own.
fn assert_sent(heard: &str, own: &[&str], what: &str) {
    for name in names().iter().filter(|name| !own.contains(&name.as_str())) {
        for (form, written) in FORMS {
            assert!(!heard.contains(&written(&value(name))), "{what} was sent {name} {form}");
        }
    }
}

/// An upstream that repeats secrets, and how the application is set up before it.
struct Play {
    what: &'static str,
    is_pim: bool,
    unset: &'static [&'static str],
    /// Whether it gives a token, so that what it repeats answers what is asked with that.
    opens: bool,
    /// Whether it repeats all that the worker is given, and not only what it is sent at its door.
    repeats_all: bool,
    more: Vec<(&'static str, String)>,
}

/// As many answers and more as the worker is given secrets.
const PRODUCTS: usize = 20;

const OF_PIM: [&str; 3] = ["pim_client_secret", "pim_password", "pim_app_token"];
const OF_DESTINATION: [&str; 2] = ["destination_token", "login_secret"];

impl Play {
    /// Plays it, and sees that no secret is told, and that each form of each was there to be told. Says which secrets the
    /// upstream has repeated.
    async fn play(self) -> BTreeSet<String> {
        let what = self.what;
        let world = world(PRODUCTS).await;
        let mut set = names();
        set.retain(|name| !self.unset.contains(&name.as_str()));
        let mut setup = names().iter().fold(world.setup(), |setup, name| {
            let value = if set.contains(name) { value(name) } else { String::new() };
            setup.with(name, &value)
        });
        setup = setup.with("pim_client_id", CLIENT_ID);
        for (name, value) in &self.more {
            setup = setup.with(name, value);
        }
        let mut all = texts(&set, &setup);
        all.extend(self.opens.then(|| ("access".to_owned(), ACCESS.to_owned())));
        let own: &[&str] = if self.is_pim { &OF_PIM } else { &OF_DESTINATION };
        let given = given_to("worker");
        let repeated: Vec<(String, String)> = all
            .iter()
            .filter(|(label, _)| match label.as_str() {
                name if self.repeats_all => !names().contains(name) || given.contains(name),
                label => own.iter().any(|name| label.ends_with(name)),
            })
            .cloned()
            .collect();
        let token = self.opens.then_some(ACCESS);
        let upstream = start(Echo::of(&repeated, 422, token)).await;
        // Nobody else is sent what the upstream has granted, but that Akeneo is sent the PIM's token.
        let is_ours = |label: &str| names().contains(label);
        let configured = |of: &[(String, String)]| of.iter().filter(|(label, _)| is_ours(label)).cloned().collect();
        let (of_worker, mut of_setup): (Vec<_>, Vec<_>) = (configured(&repeated), configured(&all));
        of_setup.extend((self.opens && self.is_pim).then(|| ("access".to_owned(), ACCESS.to_owned())));
        let alerts = start(Echo::of(&of_worker, 500, None)).await;
        let platform = start(Echo {
            is_json: true,
            ..Echo::of(&of_setup, 400, None)
        })
        .await;
        setup = setup
            .with(if self.is_pim { "pim_url" } else { "destination_url" }, &upstream.url())
            .with("alert_url", &alerts.url())
            .with("event_platform_url", &platform.url())
            .with("public_url", &platform.url());
        let told = worked(setup, &world).await;
        assert_untold(&told, &all, what);
        // Of what was made of secrets of others to log in, the secrets alone are blanked.
        let is_blanked = |label: &String| is_ours(label) || label == "access";
        let labels = repeated.iter().map(|(label, _)| label.clone()).filter(is_blanked);
        let labels: BTreeSet<String> = labels.collect();
        assert_blanked(&told, &labels, what);
        upstream.with(|echo| assert_sent(&echo.heard, own, what));
        platform.with(|echo| assert!(echo.answers > 0, "{what}: Akeneo is asked"));
        alerts.with(|echo| {
            assert!(echo.answers > 0, "{what}: alerts are sent");
            assert_sent(&echo.heard, &["alert_path", "alert_template"], "whoever takes alerts");
            let others = all.into_iter().filter(|(label, _)| !label.starts_with("alert_"));
            let granted: Vec<(String, String)> = others.collect();
            assert_untold(&echo.heard, &granted, "an alert");
        });
        labels
    }
}

/// A shape with a login.
fn login(credentials: &str) -> Vec<(&'static str, String)> {
    let shape = json!({ "products": {}, "login": { "path": "/token", "credentials": credentials } });
    vec![("shape", shape.to_string()), ("login_id", LOGIN_ID.to_owned())]
}

#[tokio::test]
async fn what_a_destination_repeats_of_any_secret_is_told_nowhere() {
    let basic = format!("{USER}:{}", value("destination_token"));
    let plays = [
        Play {
            what: "a destination",
            is_pim: false,
            unset: &["pim_app_token", "login_secret"],
            opens: false,
            repeats_all: true,
            more: Vec::new(),
        },
        Play {
            what: "a destination by basic authentication",
            is_pim: false,
            unset: &["pim_app_token", "login_secret"],
            opens: false,
            repeats_all: false,
            more: vec![("destination_token", basic)],
        },
        Play {
            what: "a destination behind a login",
            is_pim: false,
            unset: &["pim_app_token", "destination_token"],
            opens: true,
            repeats_all: true,
            more: login("basic"),
        },
        Play {
            what: "the door of a destination",
            is_pim: false,
            unset: &["pim_app_token", "destination_token"],
            opens: false,
            repeats_all: false,
            more: login("body"),
        },
    ];
    let mut repeated = BTreeSet::new();
    for play in plays {
        repeated.extend(play.play().await);
    }
    assert_all_but(repeated, "pim_app_token");
}

#[tokio::test]
async fn what_a_pim_repeats_of_any_secret_is_told_nowhere() {
    let plays = [
        Play {
            what: "a PIM",
            is_pim: true,
            unset: &["pim_app_token", "login_secret"],
            opens: true,
            repeats_all: true,
            more: Vec::new(),
        },
        Play {
            what: "a PIM that has given a token of an App",
            is_pim: true,
            unset: &["destination_token"],
            // Nobody asks it for another token.
            opens: false,
            repeats_all: true,
            more: login("body"),
        },
        Play {
            what: "the door of a PIM",
            is_pim: true,
            unset: &["pim_app_token", "login_secret"],
            opens: false,
            repeats_all: false,
            more: Vec::new(),
        },
    ];
    let mut repeated = BTreeSet::new();
    for play in plays {
        repeated.extend(play.play().await);
    }
    assert_all_but(repeated, "");
}

/// All that the worker is given was repeated, but for what cannot be set beside the rest.
fn assert_all_but(repeated: BTreeSet<String>, unset: &str) {
    let mut given = given_to("worker");
    given.remove(unset);
    let missing: Vec<&String> = given.difference(&repeated).collect();
    assert_eq!(missing, [""; 0], "each secret of the worker's is repeated in some play");
}

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
    let lines = ["ingest", "worker"].map(|component| application.log_lines(component));
    let printed: String = lines.iter().flatten().map(Value::to_string).collect();
    assert!(printed.contains("\"log\":\"call\""), "calls are logged");
    let setup = application.setup();
    for name in names() {
        let value = setup.variable(&name);
        assert!(value.is_empty() || !printed.contains(value), "{name} is in a log");
    }
    assert!(setup.variable("destination_token") == "wrong-and-secret" && !setup.variable("pim_password").is_empty());
}

/// What blanks secrets knows all of them, also one that is new in the manifest.
#[test]
fn the_manifest_and_the_code_name_the_same_secrets() {
    let known: BTreeSet<String> = config::SECRETS.into_iter().map(str::to_owned).collect();
    assert_eq!(names(), known);
}
