//! The set-up looked at before the first event: each planted mistake is named with what to do, and hides no other.

use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use simulator::destination::{Destination, DestinationConfig};
use simulator::fault::{Effect, Fault};
use simulator::server::DestinationServer;
use std::net::TcpListener;
use std::sync::Arc;
use tempfile::TempDir;
use tests::application::{ADMIN_TOKEN, Application, Setup};
use tests::client::bearer;
use tests::world::World;

/// A shape that names something of every list, all of which the PIM has.
const SHAPE: &str = r#"{
    "products": {
        "selection": { "families": ["lamp"], "categories": ["master"],
            "completeness": { "channel": "ecommerce", "locale": "en_US", "at_least": 1 } },
        "values": { "form": "flat", "channel": "ecommerce", "locales": ["fr_FR"] },
        "fields": [{ "to": "/name", "from": "/values/name" }, { "to": "/price", "from": "/values/price", "currency": "EUR" }]
    }
}"#;

async fn world() -> World {
    World::start(Catalogue::generate(10, 2, 5)).await.unwrap()
}

/// What a look at an application's set-up finds; waits for no tick.
async fn findings(application: &Application) -> Vec<Value> {
    let answer = application
        .request(Method::POST, "/admin/check?wait_seconds=20", &[bearer(ADMIN_TOKEN)], "")
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let document = answer.json();
    let findings = document["findings"].as_array().unwrap().clone();
    let is_ready = findings.iter().all(|finding| finding["level"] != "error");
    assert_eq!(document["ready"], json!(is_ready));
    for finding in &findings {
        assert!(
            finding["remedy"].as_str().is_some_and(|remedy| remedy.len() > 10),
            "{finding}"
        );
    }
    findings
}

/// Whether a finding about this says all of these words.
fn is_told(findings: &[Value], level: &str, about: &str, words: &[&str]) -> bool {
    findings.iter().any(|finding| {
        let text = format!("{} {}", finding["what"], finding["remedy"]);
        finding["level"] == level && finding["about"] == about && words.iter().all(|word| text.contains(word))
    })
}

/// An address that nobody listens at yet.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A server that answers everything like this.
async fn always(effect: Effect) -> DestinationServer {
    let mut destination = Destination::new(DestinationConfig::default());
    destination.faults.add(Fault::always(effect));
    DestinationServer::start(destination, "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

fn status(status: u16, headers: &[(&str, &str)]) -> Effect {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Effect::Status {
        status,
        headers: headers.collect(),
        body: None,
    }
}

#[tokio::test]
async fn where_all_is_right_nothing_is_found_and_the_pim_is_told_of() {
    let world = world().await;
    let (address, state) = (free_address(), Arc::new(TempDir::new().unwrap()));
    let setup = world
        .setup()
        .with("shape", SHAPE)
        .with("alert_url", &world.destination.url())
        .with("public_url", &format!("http://{address}"));
    let application = Application::start_at(&address, state, setup).await.unwrap();
    application.tick().await.unwrap();
    assert_eq!(findings(&application).await, Vec::<Value>::new());
    let answer = application
        .request(Method::POST, "/admin/check", &[bearer(ADMIN_TOKEN)], "")
        .await
        .unwrap();
    assert_eq!(answer.json()["pim"]["edition"], "Serenity");
    assert!(
        world.destination.with(|destination| destination.state.is_empty()),
        "nothing is written"
    );
    let left = application.store_operations().unwrap();
    let set = left
        .iter()
        .filter(|operation| operation["component"] == "setup" && operation["op"] == "set");
    let keys: Vec<&str> = set.filter_map(|operation| operation["keys"][0].as_str()).collect();
    assert!(
        keys.iter().all(|key| ["preflight.", "lease", "t."]
            .iter()
            .any(|own| key.starts_with(&format!("r1.main.{own}")))),
        "{keys:?}"
    );
}

#[tokio::test]
async fn only_the_administration_may_ask() {
    let world = world().await;
    let application = Application::start(world.setup().with("read_token", "reads"))
        .await
        .unwrap();
    for (method, headers, expected) in [
        (Method::POST, vec![], 401),
        (Method::POST, vec![bearer("wrong")], 401),
        (Method::POST, vec![bearer("reads")], 403),
        (Method::GET, vec![bearer(ADMIN_TOKEN)], 405),
    ] {
        let answer = application.request(method, "/admin/check", &headers, "").await.unwrap();
        assert_eq!(answer.status, expected);
    }
    let path = "/admin/check?wait_seconds=soon";
    let answer = application
        .request(Method::POST, path, &[bearer(ADMIN_TOKEN)], "")
        .await
        .unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(world.pim.with(|pim| pim.calls.len()), 0);
}

/// A variable, a value that makes no sense for it, and words of what is told.
const WRONG: [(&str, &str, &[&str]); 26] = [
    ("instance", "Main!", &["a-z"]),
    ("pim_url", "https://pim.example.com/with/a/path", &["origin"]),
    ("pim_client_id", "1_abc:secret", &["colon"]),
    ("event_platform_max_bytes", "1", &["number from"]),
    ("events_api_max_bytes", "much", &["number from"]),
    ("notification_max_bytes", "-1", &["number from"]),
    ("timestamp_tolerance_seconds", "0", &["number from"]),
    ("high_water_mark", "10", &["number from"]),
    ("destination_url", "shop.example.com", &["origin"]),
    ("destination_path", "/api?key=1", &["path"]),
    ("destination_token", "two\nlines", &["header"]),
    ("login_url", "ftp://login.example.com", &["origin"]),
    ("destination_calls_per_second", "0", &["number from"]),
    ("shape", "{", &["JSON"]),
    ("admin_token_previous", "f\u{fc}r", &["header"]),
    ("read_token", "le\nsen", &["header"]),
    ("alert_url", "chat", &["origin"]),
    ("alert_path", "/a b", &["path"]),
    ("alert_template", "[", &["JSON"]),
    ("tick_seconds", "60", &["number from"]),
    ("watch_seconds", "301", &["number from"]),
    ("call_timeout_seconds", "0", &["number from"]),
    ("recent_seconds", "x", &["number from"]),
    ("recent_overlap_seconds", "1", &["number from"]),
    ("walk_hours", "-1", &["number from"]),
    ("tracking_header", "a header", &["header"]),
];

#[tokio::test]
async fn every_wrong_variable_is_told_and_hides_no_other() {
    let world = world().await;
    let all = WRONG
        .iter()
        .fold(world.setup(), |setup, (name, value, _)| setup.with(name, value));
    let all = all.with("log", "some").with("public_url", "nowhere");
    // Three that have to be set are not set at all.
    let unset = ["pim_client_secret", "pim_username", "pim_password"];
    let all = unset.iter().fold(all, |setup, name| setup.with(name, ""));
    let application = Application::start(all).await.unwrap();
    let found = findings(&application).await;
    for (name, _, words) in WRONG {
        assert!(is_told(&found, "error", name, words), "{name}: {found:#?}");
    }
    for name in unset.iter().chain(&["log", "public_url"]) {
        assert!(
            is_told(&found, "error", name, &["SPIN_VARIABLE_"]),
            "{name}: {found:#?}"
        );
    }
    assert_eq!(
        found.iter().filter(|finding| finding["level"] == "error").count(),
        31,
        "{found:#?}"
    );
    assert_eq!(world.pim.with(|pim| pim.calls.len()), 0);

    // One wrong address keeps Spin from calling any, and what is no mistake is not told.
    for (name, value) in [("public_url", "nowhere"), ("login_secret", "unused")] {
        let application = Application::start(world.setup().with(name, value)).await.unwrap();
        let found = findings(&application).await;
        assert_eq!(
            is_told(&found, "error", "address", &["nobody was asked"]),
            name == "public_url",
            "{found:#?}"
        );
        let errors: Vec<&Value> = found.iter().filter(|finding| finding["level"] == "error").collect();
        assert!(errors.iter().any(|finding| finding["about"] == name), "{found:#?}");
        assert!(
            errors
                .iter()
                .all(|finding| [name, "address"].contains(&finding["about"].as_str().unwrap())),
            "{found:#?}"
        );
    }
}

#[tokio::test]
async fn what_is_likely_not_meant_is_told() {
    let world = world().await;
    let setup = world
        .setup()
        .with("event_platform_secret", "short")
        .with("read_token", ADMIN_TOKEN);
    let setup = setup
        .with("destination_url", "https://unset.invalid")
        .with("destination_token", "");
    let application = Application::start(setup).await.unwrap();
    let found = findings(&application).await;
    assert!(
        is_told(&found, "warning", "event_platform_secret", &["5 characters", "openssl"]),
        "{found:#?}"
    );
    assert!(is_told(&found, "error", "read_token", &["admin_token"]), "{found:#?}");
    assert!(
        is_told(&found, "note", "destination_url", &["no destination"]),
        "{found:#?}"
    );
    assert!(is_told(&found, "note", "alert_url", &["log alone"]), "{found:#?}");
    assert!(is_told(&found, "note", "public_url", &["not known"]), "{found:#?}");
    assert!(
        is_told(&found, "warning", "store", &["no tick", "--state-dir"]),
        "{found:#?}"
    );

    let none = ["event_platform_secret", "events_api_secret", "notification_secret"];
    let setup = none.iter().fold(world.setup(), |setup, name| setup.with(name, ""));
    let application = application.restart_with(setup).await.unwrap();
    let found = findings(&application).await;
    assert!(
        is_told(&found, "warning", "event_platform_secret", &["polling alone"]),
        "{found:#?}"
    );
}

/// Mistakes on the PIM's side: what it answers, and what is told of it.
#[tokio::test]
async fn what_is_wrong_with_the_pim_is_told_with_the_right_to_tick() {
    let world = world().await;
    let application = Application::start(world.setup().with("shape", SHAPE)).await.unwrap();
    let forbidden = |path: &str| vec![Fault::always(Fault::status(403)).path(path)];
    let no_api = Effect::Status {
        status: 403,
        headers: Vec::new(),
        body: Some(json!({ "code": 403, "message": "You are not allowed to access the web API." })),
    };
    let page = Effect::Status {
        status: 200,
        headers: Vec::new(),
        body: Some(json!("a page")),
    };
    for (faults, level, about, words) in [
        (
            forbidden("/api/rest/v1/products-uuid"),
            "error",
            "rights",
            ["List products", "products-uuid"],
        ),
        (
            forbidden("/api/rest/v1/product-models"),
            "error",
            "rights",
            ["List products", "product-models"],
        ),
        (
            forbidden("/api/rest/v1/categories"),
            "error",
            "rights",
            ["List categories", "categories"],
        ),
        (
            forbidden("/api/rest/v1/families"),
            "warning",
            "rights",
            ["List families", "not looked at"],
        ),
        (
            forbidden("/api/rest/v1/attributes"),
            "warning",
            "rights",
            ["List attributes", "not looked at"],
        ),
        (
            forbidden("/api/rest/v1/channels"),
            "warning",
            "rights",
            ["List channels", "not looked at"],
        ),
        (
            forbidden("/api/rest/v1/locales"),
            "warning",
            "rights",
            ["List locales", "not looked at"],
        ),
        (
            forbidden("/api/rest/v1/currencies"),
            "warning",
            "rights",
            ["List currencies", "not looked at"],
        ),
        (
            vec![Fault::always(no_api).path("/api/rest/v1/product")],
            "error",
            "rights",
            ["Overall Web API access", "web API"],
        ),
        (
            vec![Fault::always(Fault::status(401)).path("/api/rest/v1/product")],
            "error",
            "pim",
            ["401", "enabled"],
        ),
        (
            vec![Fault::always(Fault::status(404)).path("/api/rest/v1/products-uuid")],
            "error",
            "pim",
            ["7.0", "UUID"],
        ),
        (
            vec![Fault::always(Fault::status(404)).path("/api/rest/v1/system")],
            "note",
            "pim",
            ["6.0", "version"],
        ),
        (
            vec![Fault::always(Fault::status(503))],
            "error",
            "pim",
            ["503", "maintenance"],
        ),
        (
            vec![Fault::always(status(
                302,
                &[("location", "https://login.example.com/a?b")],
            ))],
            "error",
            "pim_url",
            ["https://login.example.com", "redirect"],
        ),
        (
            vec![Fault::always(page)],
            "error",
            "pim_url",
            ["no Akeneo PIM", "browser"],
        ),
    ] {
        world
            .pim
            .with(|pim| faults.iter().for_each(|fault| pim.faults.add(fault.clone())));
        let found = findings(&application).await;
        assert!(is_told(&found, level, about, &words), "{words:?}: {found:#?}");
        world.pim.with(|pim| pim.faults.clear());
    }

    for (name, value) in [
        ("pim_client_secret", "wrong"),
        ("pim_username", "nobody"),
        ("pim_app_token", "revoked"),
    ] {
        let world = self::world().await;
        let application = Application::start(world.setup().with(name, value)).await.unwrap();
        let found = findings(&application).await;
        let is_told = is_told(&found, "error", "pim", &["token", "pim_client_id"])
            || is_told(&found, "error", "pim", &["the App's token no more", "pim_app_token"]);
        assert!(is_told, "{name}: {found:#?}");
        assert!(!format!("{found:?}").contains(value) || value == "nobody", "{found:#?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_told() {
    for (skew_ms, level) in [(60_000, "warning"), (-3_600_000, "error")] {
        let config = simulator::pim::PimConfig {
            clock_skew_ms: skew_ms,
            ..Default::default()
        };
        let world = World::with(Catalogue::generate(3, 0, 5), config).await.unwrap();
        let application = Application::start(world.setup()).await.unwrap();
        let found = findings(&application).await;
        assert!(is_told(&found, level, "clock", &["seconds apart", "NTP"]), "{found:#?}");
    }
}

#[tokio::test]
async fn names_that_the_pim_does_not_have_are_told_with_those_that_look_like_them() {
    let world = world().await;
    for (known, wrong, words) in [
        ("\"lamp\"", "\"lamb\"", ["family `lamb`", "`lamp`"]),
        ("\"master\"", "\"mastre\"", ["category `mastre`", "`master`"]),
        (
            "\"channel\": \"ecommerce\"",
            "\"channel\": \"ecomerce\"",
            ["channel `ecomerce`", "`ecommerce`"],
        ),
        ("\"fr_FR\"", "\"fr_BE\"", ["locale `fr_BE`", "`fr_FR`"]),
        ("/values/name", "/values/nmae", ["attribute `nmae`", "`name`"]),
        (
            "/values/name",
            "/values/zzzzzz",
            ["attribute `zzzzzz`", "make it in the PIM"],
        ),
        ("\"EUR\"", "\"EURO\"", ["currency `EURO`", "`EUR`"]),
        ("\"EUR\"", "\"GBP\"", ["currency `GBP`", "not enabled"]),
        (
            "\"from\": \"/values/name\"",
            "\"from\": \"/values/name\", \"as\": \"label\"",
            ["options of the attribute `name`", "a select"],
        ),
    ] {
        let shape = SHAPE.replace(known, wrong);
        let application = Application::start(world.setup().with("shape", &shape)).await.unwrap();
        let found = findings(&application).await;
        assert!(is_told(&found, "error", "shape", &words), "{words:?}: {found:#?}");
    }
}

/// The channels whose secrets are set, and the edition that has them or has not.
#[tokio::test]
async fn a_channel_that_the_edition_does_not_have_is_told() {
    let world = world().await;
    let both = world.setup();
    let events_api_alone = both.clone().with("event_platform_secret", "");
    for (edition, setup, about, words) in [
        (
            "CE",
            both,
            "event_platform_secret",
            ["edition is CE", "events_api_secret"],
        ),
        (
            "GE",
            events_api_alone,
            "events_api_secret",
            ["Events API", "docs/events-api.md"],
        ),
    ] {
        let told = Effect::Status {
            status: 200,
            headers: Vec::new(),
            body: Some(json!({ "version": "7.0.30", "edition": edition })),
        };
        world.pim.with(|pim| {
            pim.faults.clear();
            pim.faults.add(Fault::always(told).path("/api/rest/v1/system"));
        });
        let application = Application::start(setup).await.unwrap();
        let found = findings(&application).await;
        let is_told = ["warning", "error"].map(|level| is_told(&found, level, about, &words));
        assert!(is_told.contains(&true), "{found:#?}");
    }
}

/// A path that the shape names as harmless is asked for as the destination's API is, and nothing else is.
#[tokio::test]
async fn a_probe_of_the_destination_tells_of_its_path_and_its_token() {
    let world = world().await;
    let shape = r#"{ "probe": "/products/none" }"#;
    let setup = world.setup().with("shape", shape);
    let application = Application::start(setup.clone()).await.unwrap();
    for (fault, level, words) in [
        (status(200, &[]), "", ["", ""]),
        (status(403, &[]), "error", ["403", "destination_token"]),
        (status(404, &[]), "error", ["404", "destination_path"]),
        (
            status(302, &[("location", "/login")]),
            "warning",
            ["302", "no redirect"],
        ),
    ] {
        world.destination.with(|destination| {
            destination.faults.clear();
            let fault = Fault::always(fault).method("GET").path("/products/none");
            destination.faults.add(fault);
        });
        let found = findings(&application).await;
        let of_it: Vec<&Value> = found
            .iter()
            .filter(|finding| finding["about"] == "destination")
            .collect();
        assert_eq!(of_it.len(), usize::from(!level.is_empty()), "{found:#?}");
        assert!(
            level.is_empty() || is_told(&found, level, "destination", &words),
            "{found:#?}"
        );
    }
    let application = application
        .restart_with(setup.with("shape", r#"{ "probe": "products" }"#))
        .await
        .unwrap();
    let found = findings(&application).await;
    assert!(
        is_told(&found, "error", "shape", &["`probe`", "begin it"]),
        "{found:#?}"
    );
    assert!(world.destination.with(|destination| destination.state.is_empty()));
}

#[tokio::test]
async fn what_stands_before_the_relay_or_is_wrong_with_the_destination_is_told() {
    let world = world().await;
    for (effect, level, words) in [
        (status(404, &[]), "error", ["404", "deploy/"]),
        (
            status(301, &[("location", "https://www.example.com/webhooks")]),
            "error",
            ["redirects", "https://www.example.com"],
        ),
        (
            status(308, &[("location", "https://relay.example.com/webhooks")]),
            "error",
            ["set public_url to https://relay.example.com", "https alone"],
        ),
        (status(401, &[]), "error", ["401", "login"]),
        (status(502, &[]), "error", ["502", "proxy"]),
    ] {
        let proxy = always(effect).await;
        let application = Application::start(world.setup().with("public_url", &proxy.url()))
            .await
            .unwrap();
        let found = findings(&application).await;
        assert!(is_told(&found, level, "address", &words), "{words:?}: {found:#?}");
    }
    // A proxy that lets only small bodies through.
    let proxy = always(status(413, &[])).await;
    proxy.with(|destination| {
        destination.faults.clear();
        destination.faults.add(Fault::always(status(405, &[])).method("GET"));
        destination.faults.add(Fault::always(status(413, &[])).method("POST"));
    });
    let application = Application::start(world.setup().with("public_url", &proxy.url()))
        .await
        .unwrap();
    let found = findings(&application).await;
    assert!(
        is_told(&found, "error", "address", &["413", "client_max_body_size"]),
        "{found:#?}"
    );

    // A proxy that passes on one route, and not the others.
    let proxy = always(status(405, &[])).await;
    proxy.with(|destination| {
        destination.faults.clear();
        let events = |fault: Fault| fault.path("/webhooks/akeneo/event-platform");
        destination.faults.add(events(Fault::always(status(405, &[]))));
        destination.faults.add(Fault::always(status(404, &[])));
    });
    let application = Application::start(world.setup().with("public_url", &proxy.url()))
        .await
        .unwrap();
    let found = findings(&application).await;
    assert!(
        is_told(
            &found,
            "error",
            "address",
            &["404", "events-api and /webhooks/akeneo/notifications"]
        ),
        "{found:#?}"
    );
    assert!(!is_told(&found, "error", "address", &["event-platform"]), "{found:#?}");

    for (effect, level, words) in [
        (status(401, &[]), "warning", ["401", "destination_token"]),
        (
            status(307, &[("location", "https://new.example.com/")]),
            "warning",
            ["https://new.example.com", "no redirect"],
        ),
        (status(503, &[]), "warning", ["503", "well"]),
    ] {
        let shop = always(effect).await;
        let application = Application::start(world.setup().with("destination_url", &shop.url()))
            .await
            .unwrap();
        let found = findings(&application).await;
        assert!(is_told(&found, level, "destination", &words), "{words:?}: {found:#?}");
    }
    let nobody = format!("http://{}", free_address());
    for name in ["destination_url", "public_url", "pim_url"] {
        let application = Application::start(world.setup().with(name, &nobody)).await.unwrap();
        let found = findings(&application).await;
        let about = match name {
            "destination_url" => "destination",
            "public_url" => "address",
            _ => "pim_url",
        };
        assert!(is_told(&found, "error", about, &["reached"]), "{name}: {found:#?}");
    }
}

/// Ticks have the lease, and the PIM is asked by nobody else.
#[tokio::test]
async fn a_tick_at_work_is_waited_for_and_told() {
    let world = world().await;
    let application = Application::start(world.setup()).await.unwrap();
    world
        .pim
        .with(|pim| pim.faults.add(Fault::always(Effect::Hang { ms: 8000 })));
    let token = [bearer(ADMIN_TOKEN)];
    let stays = application.request(Method::POST, "/worker/tick?watch_seconds=30", &token, "");
    let look = async {
        let has_lease = || {
            application.store_operations().unwrap().iter().any(|operation| {
                operation["component"] == "worker"
                    && operation["op"] == "set"
                    && operation["keys"][0] == "r1.main.lease"
            })
        };
        while !has_lease() {
            tokio::task::yield_now().await;
        }
        let path = "/admin/check?wait_seconds=0";
        application
            .request(Method::POST, path, &[bearer(ADMIN_TOKEN)], "")
            .await
            .unwrap()
            .json()
    };
    let (_, found) = tokio::join!(stays, look);
    let found = found["findings"].as_array().unwrap();
    assert!(
        is_told(found, "error", "pim", &["at work", "wait_seconds"]),
        "{found:#?}"
    );
}

/// Nothing of the set-up stands in what is told.
#[tokio::test]
async fn no_secret_is_told() {
    let world = world().await;
    let setup: Setup = world.setup();
    let application = Application::start(setup.clone()).await.unwrap();
    world
        .pim
        .with(|pim| pim.faults.add(Fault::always(Effect::Cut { applied: false })));
    let found = format!("{:?}", findings(&application).await);
    for name in [
        "pim_client_secret",
        "pim_password",
        "destination_token",
        "event_platform_secret",
        "events_api_secret",
    ] {
        assert!(!found.contains(setup.variable(name)), "{name}");
    }
}

/// The command, as `cargo xtask preflight` runs it.
async fn command(url: &str, more: &[&str]) -> std::process::Output {
    run(env!("CARGO_BIN_EXE_checkup"), url, more).await
}

/// A program that asks a running application.
pub(crate) async fn run(program: &str, url: &str, more: &[&str]) -> std::process::Output {
    let mut command = tokio::process::Command::new(program);
    command.args(["--url", url, "--wait", "20"]).args(more);
    command.env("SPIN_VARIABLE_ADMIN_TOKEN", ADMIN_TOKEN);
    command.output().await.unwrap()
}

#[tokio::test]
async fn the_command_tells_what_is_found_and_fails_where_something_has_to_be_mended() {
    let world = world().await;
    for (setup, is_ready) in [
        (world.setup(), true),
        (world.setup().with("read_token", ADMIN_TOKEN), false),
    ] {
        let application = Application::start(setup).await.unwrap();
        let told = command(&application.url, &[]).await;
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert_eq!(told.status.success(), is_ready, "{text}");
        assert!(text.contains("the PIM is Serenity"), "{text}");
        assert_eq!(text.contains("give read_token a value of its own"), !is_ready, "{text}");
        let told = command(&application.url, &["--json"]).await;
        let document: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(document["ready"], json!(is_ready));
    }
}

/// Whether a certificate is trusted is the library's own business; that TLS is spoken shows in the first bytes.
#[tokio::test]
async fn the_command_speaks_tls_where_the_address_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let heard = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut record = [0; 2];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut record)
            .await
            .unwrap();
        record
    };
    let (record, told) = tokio::join!(heard, command(&url, &[]));
    // A handshake's record, of TLS (RFC 8446, 5.1).
    assert_eq!(record, [22, 3]);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && text.contains("its certificate"), "{text}");
}
