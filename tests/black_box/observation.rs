//! What the application says of itself: the status, its history, metrics, an entity, the page.

use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::encode_segment;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tests::application::{ADMIN_TOKEN, Application, root};
use tests::client::{Answer, bearer};
use tests::store::Store;
use tests::world::{World, deliver_all, platform_deliveries, secrets};

/// How many events wait in the application that is asked how it is.
const MANY: usize = 100_000;

/// The largest that the page may be, in bytes.
const PAGE_MAX: usize = 60_000;

async fn get(application: &Application, path: &str) -> Answer {
    let answer = application
        .request(Method::GET, path, &[bearer(ADMIN_TOKEN)], "")
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.json());
    answer
}

async fn deliver(world: &World, application: &Application, entities: &[EntityId], seed: u64) {
    let changes: Vec<_> = entities
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Touch).unwrap())
        .collect();
    deliver_all(application, &platform_deliveries(&changes, seed))
        .await
        .unwrap();
}

/// The store operations that the console made since so many.
fn console_operations(application: &Application, since: usize) -> Vec<Value> {
    let operations = application.store_operations().unwrap().into_iter().skip(since);
    operations
        .filter(|operation| operation["component"] == "console")
        .collect()
}

#[tokio::test]
async fn the_state_follows_what_happens_and_its_reasons_are_told() {
    let world = World::start(Catalogue::generate(12, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let state = async || {
        let status = get(&application, "/admin/status").await.json();
        let reasons = status["reasons"].as_array().unwrap().iter();
        let causes: Vec<Value> = reasons.map(|reason| reason["cause"].clone()).collect();
        (status["state"].clone(), causes)
    };
    assert_eq!(state().await, (json!("down"), vec![json!("worker-silent")]));
    application.tick().await.unwrap();
    assert_eq!(state().await, (json!("ok"), vec![]));

    let products = world.products();
    world
        .destination
        .with(|destination| destination.reject(&products[0].key(), "no"));
    deliver(&world, &application, &products, 1).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(state().await, (json!("degraded"), vec![json!("dead-letters")]));

    world
        .destination
        .with(|destination| destination.config.token = Some("rotated".to_owned()));
    deliver(&world, &application, &products[1..], 2).await;
    application.tick().await.unwrap();
    let expected = vec![json!("destination-blocked"), json!("dead-letters")];
    assert_eq!(state().await, (json!("down"), expected));
}

#[tokio::test]
async fn what_was_done_is_counted_once_and_shown_as_a_history() {
    let world = World::start(Catalogue::generate(12, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    world
        .destination
        .with(|destination| destination.reject(&products[0].key(), "no"));
    deliver(&world, &application, &products, 1).await;
    application.tick_until_idle().await.unwrap();
    deliver(&world, &application, &products[1..4], 2).await;
    application.tick_until_idle().await.unwrap();

    let status = get(&application, "/admin/status").await.json();
    for span in ["last_hour", "last_day", "since_the_beginning"] {
        let counts = &status[span];
        assert_eq!(
            (&counts["events"], &counts["upserts"], &counts["dead_letters"]),
            (&json!(15), &json!(14), &json!(1)),
            "{status}"
        );
        assert_eq!(counts["lag"]["events"], 14);
        let (median, p95) = (&counts["lag"]["median_seconds"], &counts["lag"]["p95_seconds"]);
        assert!(median.as_f64().unwrap() <= p95.as_f64().unwrap(), "{status}");
    }
    let tick = &status["last_tick"];
    assert_eq!(
        (&tick["outcome"], &tick["upserts"]),
        (&json!("worked"), &json!(3)),
        "{tick}"
    );
    assert!(tick["at"].is_string() && tick["ms"].is_u64(), "{tick}");

    let history = get(&application, "/admin/history").await.json();
    let sum = |column: &str| -> u64 {
        let column = history[column].as_array().unwrap();
        assert_eq!(column.len(), history["begin"].as_array().unwrap().len());
        column.iter().filter_map(Value::as_u64).sum()
    };
    assert_eq!(
        (sum("events"), sum("upserts"), sum("dead_letters")),
        (15, 14, 1),
        "{history}"
    );
    let last = |column: &str| history[column].as_array().unwrap().last().cloned();
    assert_eq!(last("depth_left"), Some(json!(0)), "{history}");

    // The month has the same, in hours.
    let month = get(&application, "/admin/history/month").await.json();
    assert_eq!(month["bucket_seconds"], 3600);
    for column in ["events", "upserts", "dead_letters"] {
        let column_of_month = month[column].as_array().unwrap();
        assert_eq!(
            column_of_month.iter().filter_map(Value::as_u64).sum::<u64>(),
            sum(column),
            "{month}"
        );
        assert!((1..=2).contains(&column_of_month.len()), "{month}");
    }

    // A kill forgets none of it.
    let application = application.kill_and_restart().await.unwrap();
    assert_eq!(
        get(&application, "/admin/history").await.json()["events"],
        history["events"]
    );
}

#[tokio::test]
async fn with_a_hundred_thousand_events_nothing_is_listed_to_say_how_it_is() {
    // Without a PIM a tick still counts what waits.
    let setup = secrets()
        .with("pim_url", "http://127.0.0.1:9")
        .with("pim_app_token", "t");
    let application = Application::start(setup).await.unwrap();
    application.tick().await.unwrap();
    let event = |n: usize| {
        let key = format!("r1.main.e.1800000000.pu5.tproduct-{n}.te{n}");
        (key, br#"{"v":1,"code":"c","at_ms":0,"event":""}"#.to_vec())
    };
    Store::open(application.state().path()).set_all((0..MANY).map(event));
    application.tick().await.unwrap();
    let before = application.store_operations().unwrap().len();
    let status = get(&application, "/admin/status").await.json();
    assert_eq!(status["queue"]["depth"], MANY, "{status}");
    get(&application, "/admin/metrics").await;
    get(&application, "/admin/history").await;
    let operations = console_operations(&application, before);
    let kinds: Vec<&Value> = operations.iter().map(|operation| &operation["op"]).collect();
    assert!(kinds.iter().all(|kind| **kind == json!("get")), "{kinds:?}");
    assert_eq!(kinds.len(), 8 + 8 + 1);
}

#[tokio::test]
async fn all_that_is_known_of_an_entity_is_told() {
    let world = World::start(Catalogue::generate(6, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    let odd = EntityId::Model("a/b c, and so long that no key can hold it as it is".to_owned());
    world.edit(&odd, Action::create()).unwrap();
    world
        .destination
        .with(|destination| destination.reject(&odd.key(), "no such code"));
    deliver(&world, &application, &products, 1).await;
    deliver(&world, &application, std::slice::from_ref(&odd), 2).await;
    application.tick_until_idle().await.unwrap();
    deliver(&world, &application, &products[..1], 3).await;

    let known = async |kind: &str, code: &str| {
        let path = format!("/admin/entities/{kind}/{}", encode_segment(code));
        get(&application, &path).await.json()
    };
    let sent = known("products", &products[1].key()).await;
    assert_eq!(
        (&sent["events"]["total"], &sent["dead_letters"]),
        (&json!(0), &json!([]))
    );
    assert!(
        sent["index"]["hash"].is_string() && sent["index"]["updated"].is_string(),
        "{sent}"
    );

    let waiting = known("products", &products[0].key()).await;
    assert_eq!(waiting["events"]["total"], 1, "{waiting}");
    let event = &waiting["events"]["items"][0];
    assert_eq!(event["change"], "updated", "{event}");
    assert!(event["event"].as_str().unwrap().contains(&products[0].key()), "{event}");

    let dead = known("product-models", &odd.key()).await;
    assert_eq!(dead["index"], json!(null), "{dead}");
    assert!(
        dead["dead_letters"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("no such code"),
        "{dead}"
    );

    let nobody = known("products", "nobody").await;
    let nothing = (&json!(0), &json!([]), &json!([]), &json!(null));
    assert_eq!(
        (
            &nobody["events"]["total"],
            &nobody["retries"],
            &nobody["dead_letters"],
            &nobody["index"]
        ),
        nothing
    );
}

#[tokio::test]
async fn the_page_is_small_public_and_under_a_strict_policy() {
    let application = Application::start(secrets()).await.unwrap();
    for path in ["/console", "/console/"] {
        let page = application.request(Method::GET, path, &[], "").await.unwrap();
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.body.len() < PAGE_MAX, "{} bytes", page.body.len());
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        for outside in [" src=", "@import", " onclick=", " style=\"", "{{"] {
            assert!(!text.contains(outside), "{outside}");
        }
    }
    let answer = application.request(Method::POST, "/console", &[], "").await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

/// Prometheus' own tool with these arguments, given this text; gives what it says.
fn promtool(arguments: &[&str], text: &[u8]) -> (bool, String) {
    let program = std::env::var_os("PROMTOOL").map(PathBuf::from);
    let mut tool = Command::new(program.expect("PROMTOOL is set by `cargo xtask test --full`"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(text).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
#[ignore = "needs promtool: `cargo xtask test --full`"]
async fn metrics_are_read_by_promtool() {
    let world = World::start(Catalogue::generate(12, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    for (round, is_refused) in [(1, false), (2, true), (3, true)] {
        if is_refused {
            let refused = products[round as usize].key();
            world.destination.with(|destination| destination.reject(&refused, "no"));
        }
        let answer = get(&application, "/admin/metrics").await;
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        let (is_well, said) = promtool(&["check", "metrics"], &answer.body);
        assert!(is_well && said.is_empty(), "{said}");
        deliver(&world, &application, &products, round).await;
        application.tick_until_idle().await.unwrap();
    }
    let text = String::from_utf8(get(&application, "/admin/metrics").await.body.to_vec()).unwrap();
    for line in [
        "akeneo_relay_events_total 36",
        "akeneo_relay_dead_letters 2",
        "akeneo_relay_state{state=\"degraded\"} 1",
        "akeneo_relay_lag_seconds_bucket{le=\"+Inf\"}",
        "akeneo_relay_upstream_calls_total{upstream=\"destination\"}",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
#[ignore = "needs promtool: `cargo xtask test --full`"]
async fn alert_rules_and_the_dashboard_name_metrics_that_exist_by_promtool() {
    let rules = root().join("monitoring/alerts.yml");
    let (is_well, said) = promtool(&["check", "rules", rules.to_str().unwrap()], b"");
    assert!(is_well, "{said}");
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    deliver(&world, &application, &world.products(), 1).await;
    application.tick_until_idle().await.unwrap();
    let metrics = String::from_utf8(get(&application, "/admin/metrics").await.body.to_vec()).unwrap();
    let dashboard = std::fs::read_to_string(root().join("monitoring/dashboard.json")).unwrap();
    check_expressions(&serde_json::from_str(&dashboard).unwrap());
    let written = std::fs::read_to_string(rules).unwrap() + &dashboard;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let used: Vec<&str> = written
        .split(|c| !is_part(c))
        .filter(|word| word.starts_with("akeneo_relay_"))
        .collect();
    assert!(used.len() > 20, "{used:?}");
    // Those of reconciliation and of what has not happened yet are not there.
    let optional = ["akeneo_relay_reconciliation_", "akeneo_relay_queue_oldest_event_"];
    for name in used
        .into_iter()
        .filter(|name| !optional.iter().any(|begin| name.starts_with(begin)))
    {
        assert!(metrics.contains(name), "{name} is no metric");
    }
}

/// Has every expression of a dashboard read, by way of a file of rules.
fn check_expressions(dashboard: &Value) {
    let targets = dashboard["panels"].as_array().unwrap().iter();
    let targets = targets.flat_map(|panel| panel["targets"].as_array().cloned().unwrap());
    let rule = |target: Value| {
        let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
        json!({ "record": "of:dashboard", "expr": expression, "labels": { "panel": expression } })
    };
    let rules: Vec<Value> = targets.map(rule).collect();
    assert!(rules.len() > 15);
    let file = tempfile::NamedTempFile::new().unwrap();
    let groups = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    std::fs::write(file.path(), groups.to_string()).unwrap();
    let (is_well, said) = promtool(&["check", "rules", file.path().to_str().unwrap()], b"");
    assert!(is_well, "{said}");
}
