//! Bad configuration: one clear line, no event lost, no attempt used, well again when it is mended.

use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use simulator::deliveries::{Delivery, Format, Plan, Secrets};
use simulator::destination::{Destination, DestinationConfig};
use simulator::server::DestinationServer;
use simulator::times::now_ms;
use tests::application::{ADMIN_TOKEN, Application, Setup};
use tests::client::bearer;
use tests::world::{PLATFORM_SECRET, World, deliver_all, legacy_deliveries, platform_deliveries};

fn touch_all(world: &World) -> Vec<Change> {
    world
        .products()
        .iter()
        .flat_map(|product| world.edit(product, Action::Touch).unwrap())
        .collect()
}

/// Runs a tick on a bad setup, then mends it.
async fn is_told_and_heals(bad: impl Fn(Setup) -> Setup, says: &[&str]) {
    let world = World::start(Catalogue::generate(30, 0, 7)).await.unwrap();
    let application = Application::start(bad(world.setup())).await.unwrap();
    deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
        .await
        .unwrap();
    let report = application.tick().await.unwrap();
    assert!(
        matches!(report["outcome"].as_str(), Some("failed" | "stopped")),
        "{report}"
    );
    let told: Vec<Value> = application
        .log_lines("worker")
        .into_iter()
        .filter(|line| line["log"] == "configuration" || line["log"] == "blocked")
        .collect();
    assert_eq!(told.len(), 1, "one clear line: {told:?}");
    let reason = told[0]["reason"].as_str().unwrap();
    assert!(says.iter().all(|word| reason.contains(word)), "{reason}");
    assert_eq!(retries(&application), Vec::<String>::new(), "no attempt is used");
    assert!(world.destination.with(|destination| destination.state.is_empty()));

    let application = application.restart_with(world.setup()).await.unwrap();
    world.settle(&application, 0).await.unwrap();
}

/// The retry keys that count an attempt.
fn retries(application: &Application) -> Vec<String> {
    let keys = application
        .store_operations()
        .unwrap()
        .into_iter()
        .filter(|operation| operation["op"] == "set");
    let keys = keys.filter_map(|operation| operation["keys"][0].as_str().map(str::to_owned));
    keys.filter(|key| key.starts_with("r1.main.r.") && !key.contains(".0h."))
        .collect()
}

#[tokio::test]
async fn a_missing_pim_is_told() {
    is_told_and_heals(
        |setup| setup.with("pim_url", "https://unset.invalid"),
        &["pim_url", "not set"],
    )
    .await;
}

#[tokio::test]
async fn a_pim_that_is_no_origin_is_told() {
    is_told_and_heals(
        |setup| setup.with("pim_url", "http://127.0.0.1:1/with/a/path"),
        &["pim_url", "origin"],
    )
    .await;
}

#[tokio::test]
async fn wrong_credentials_are_told() {
    is_told_and_heals(|setup| setup.with("pim_password", "wrong"), &["422"]).await;
}

#[tokio::test]
async fn an_unreachable_pim_is_told() {
    is_told_and_heals(|setup| setup.with("pim_url", "http://127.0.0.1:9"), &["no connection"]).await;
}

#[tokio::test]
async fn an_unreachable_destination_is_told() {
    is_told_and_heals(
        |setup| setup.with("destination_url", "http://127.0.0.1:9"),
        &["no connection"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_token_of_the_destination_is_told() {
    is_told_and_heals(|setup| setup.with("destination_token", "wrong"), &["401"]).await;
}

#[tokio::test]
async fn a_template_of_alerts_that_makes_no_sense_is_told_with_place_and_remedy() {
    is_told_and_heals(
        |setup| setup.with("alert_template", r#"{"blocks":[{"text":"{message}"}],"x":"{"}"#),
        &[
            "alert_template",
            "/blocks/0/text",
            "{message}",
            "{text}, {cause}",
            "/x",
            "brace",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_nonsensical_number_is_told() {
    is_told_and_heals(|setup| setup.with("tick_seconds", "soon"), &["tick_seconds", "3 to 25"]).await;
}

#[tokio::test]
async fn without_a_destination_a_run_is_dry() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    let application = Application::start(world.setup().with("destination_url", "https://unset.invalid"))
        .await
        .unwrap();
    deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    let would = application
        .log_lines("worker")
        .into_iter()
        .filter(|line| line["log"] == "dry-run" && line["would"] == "upsert")
        .count();
    assert_eq!(would, 10);
    let written = application.store_operations().unwrap();
    assert!(
        !written.iter().any(|operation| operation["op"] == "set"
            && operation["keys"][0]
                .as_str()
                .is_some_and(|key| key.starts_with("r1.main.i."))),
        "no index"
    );
}

#[tokio::test]
async fn an_unset_alert_address_stops_nothing() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    for unset in ["https://unset.invalid", ""] {
        let application = Application::start(world.setup().with("alert_url", unset))
            .await
            .unwrap();
        deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
            .await
            .unwrap();
        application.tick_until_idle().await.unwrap();
        assert_eq!(world.differences(), []);
    }
}

#[tokio::test]
async fn values_work_as_people_paste_them() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    for (before, after) in [("", "\n"), (" \t", "\r\n"), ("\n", " \n\n")] {
        let mut setup = world.setup();
        for (_, value) in &mut setup.variables {
            *value = format!("{before}{value}{after}");
        }
        let application = Application::start(setup).await.unwrap();
        let changes = touch_all(&world);
        deliver_all(&application, &platform_deliveries(&changes, 1))
            .await
            .unwrap();
        deliver_all(&application, &legacy_deliveries(&changes, 2))
            .await
            .unwrap();
        application.tick_until_idle().await.unwrap();
        assert_eq!(world.differences(), []);
    }
}

#[tokio::test]
async fn a_document_may_begin_with_a_byte_order_mark_and_a_secret_too() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    let mut setup = world.setup().with("shape", "{}").with("own_authors", "nobody");
    for (name, value) in &mut setup.variables {
        // Spin itself reads the addresses, and not with such a mark.
        if !name.ends_with("_url") {
            value.insert(0, '\u{feff}');
        }
    }
    let application = Application::start(setup).await.unwrap();
    deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
}

#[tokio::test]
async fn a_token_that_no_header_carries_is_told() {
    for token in ["first line\nsecond line", "пароль"] {
        let says: [&str; 2] = ["destination_token", "header"];
        is_told_and_heals(|setup| setup.with("destination_token", token), &says).await;
        is_told_and_heals(|setup| setup.with("pim_app_token", token), &["pim_app_token", "header"]).await;
    }
}

#[tokio::test]
async fn an_empty_address_is_told_where_spin_denies_all_calls_for_it() {
    // Every version of Spin denies them for a blank one, and Spin before 4.1 for an empty one, too.
    for name in ["alert_url", "destination_url"] {
        let says: [&str; 2] = [&format!("`{name}` is empty"), "leave it unset"];
        is_told_and_heals(|setup| setup.with(name, " \n"), &says).await;
    }
    is_told_and_heals(|setup| setup.with("pim_url", ""), &["`pim_url` is not set"]).await;
}

#[tokio::test]
async fn an_address_that_spin_misreads_is_told_as_spin_wants_it() {
    let capitals = |setup: Setup| {
        let url = setup.variable("pim_url").to_owned();
        setup.with("pim_url", &url.replace("http", "HTTP"))
    };
    is_told_and_heals(capitals, &["`pim_url`", "give it as http://127.0.0.1:"]).await;
    let slashes = |setup: Setup| {
        let url = format!("{}//", setup.variable("destination_url"));
        setup.with("destination_url", &url)
    };
    is_told_and_heals(slashes, &["`destination_url`", "give it as http://127.0.0.1:"]).await;
}

#[tokio::test]
async fn a_worker_whose_variables_cannot_be_read_uses_up_nothing() {
    for name in ["destination_url", "pim_password", "recent_seconds", "alert_path"] {
        let says: [&str; 2] = [&format!("`{name}`"), "provider fails"];
        is_told_and_heals(|setup| setup.with_unreadable(name), &says).await;
    }
}

/// What a delivery needs to know is read with it, and what it does not need keeps it from nothing.
#[tokio::test]
async fn a_delivery_is_not_acknowledged_where_a_variable_that_it_needs_cannot_be_read() {
    let world = World::start(Catalogue::generate(10, 1, 7)).await.unwrap();
    let changes = touch_all(&world);
    let platform = platform_deliveries(&changes, 1).remove(0);
    let legacy = legacy_deliveries(&changes, 1).remove(0);
    let by_older_secret = Plan::new(Format::EventsApi("older".to_owned()), now_ms() / 1000, 1)
        .deliveries(&changes)
        .remove(0);
    let mut event: Value = serde_json::from_slice(&platform.body).unwrap();
    event["data"]["author"] = json!({"identifier": "somebody", "type": "api"});
    let by_api = Delivery::event_platform(&event, &Secrets::primary(PLATFORM_SECRET), Vec::new());
    let shelf = EntityId::Category("workshop".to_owned());
    let of_category = platform_deliveries(&world.edit(&shelf, Action::Touch).unwrap(), 1).remove(0);
    let all = [&platform, &legacy, &by_older_secret, &by_api, &of_category];
    for (name, needing) in [
        ("instance", &all[..]),
        ("log", &all),
        ("event_platform_secret", &[&platform, &by_api, &of_category]),
        ("events_api_secret", &[&legacy, &by_older_secret]),
        ("events_api_secret_previous", &[&by_older_secret]),
        ("timestamp_tolerance_seconds", &[&legacy, &by_older_secret]),
        ("own_authors", &[&by_api]),
        ("shape", &[&of_category]),
        ("high_water_mark", &[]),
    ] {
        let setup = world.setup().with("events_api_secret_previous", "older");
        let application = Application::start(setup.with_unreadable(name)).await.unwrap();
        for delivery in all {
            let answer = application.deliver(delivery).await.unwrap();
            let needs_it = needing.iter().any(|needing| std::ptr::eq(*needing, delivery));
            let refused = if delivery.path.ends_with("events-api") {
                503
            } else {
                429
            };
            assert_eq!(
                answer.status,
                if needs_it { refused } else { 200 },
                "{name}: {}",
                delivery.path
            );
            if needs_it {
                assert!(answer.json()["detail"].as_str().unwrap().contains(name));
            }
        }
        let writes = application.store_operations().unwrap();
        // No tick has run here, and the first delivery notes since when that is so.
        let is_note = |operation: &Value| operation["keys"] == json!(["r1.main.counted"]);
        let writes = writes
            .iter()
            .filter(|operation| operation["op"] != "get" && !is_note(operation));
        assert_eq!(writes.count(), all.len() - needing.len(), "{name}");
    }
}

#[tokio::test]
async fn the_administration_is_not_closed_but_failing_where_its_token_cannot_be_read() {
    let world = World::start(Catalogue::generate(1, 0, 7)).await.unwrap();
    let closed = Setup {
        closed: true,
        ..world.setup()
    };
    for setup in [
        closed.clone().with_unreadable("admin_token"),
        closed.clone().with_unreadable("admin_token_previous"),
        closed.with("admin_token", "to\nken"),
        world.setup().with_unreadable("instance"),
    ] {
        let application = Application::start(setup).await.unwrap();
        for (method, path) in [(Method::GET, "/admin/status"), (Method::POST, "/worker/tick")] {
            let answer = application
                .request(method, path, &[bearer(ADMIN_TOKEN)], "")
                .await
                .unwrap();
            assert_eq!(answer.status, 503, "{:?}", answer.json());
        }
    }
}

/// Something that takes alerts.
async fn receiver() -> DestinationServer {
    let receiver = Destination::new(DestinationConfig {
        keep_bodies: true,
        ..DestinationConfig::default()
    });
    DestinationServer::start(receiver, "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

/// The alerts received so far: cause and text.
fn alerts(receiver: &DestinationServer) -> Vec<(String, String)> {
    let bodies = receiver.with(|receiver| receiver.log.iter().filter_map(|it| it.body.clone()).collect::<Vec<_>>());
    let alerts = bodies.iter().map(|body| serde_json::from_str::<Value>(body).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    alerts
        .map(|alert| (text(&alert["cause"]), text(&alert["text"])))
        .collect()
}

/// The state, and the causes and texts of its reasons.
async fn state(application: &Application) -> (String, Vec<(String, String)>) {
    let status = application
        .request(Method::GET, "/admin/status", &[bearer(ADMIN_TOKEN)], "")
        .await
        .unwrap()
        .json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let reasons = status["reasons"].as_array().unwrap().iter();
    let reasons = reasons.map(|reason| (text(&reason["cause"]), text(&reason["text"])));
    (text(&status["state"]), reasons.collect())
}

#[tokio::test]
async fn a_worker_that_stands_still_counts_what_waits_and_tells_people() {
    let world = World::start(Catalogue::generate(30, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let setup = world.setup().with("alert_url", &receiver.url());
    // Spin lets nothing out while any variable cannot be read.
    for (bad, is_sent) in [
        (setup.clone().with("walk_hours", "never"), true),
        (setup.clone().with("shape", "{"), true),
        (setup.clone().with_unreadable("pim_client_secret"), false),
    ] {
        receiver.with(|receiver| receiver.log.clear());
        let application = Application::start(bad).await.unwrap();
        deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
            .await
            .unwrap();
        let reason = application.tick().await.unwrap()["reason"].as_str().unwrap().to_owned();
        application.tick().await.unwrap();
        let expected = ("misconfigured".to_owned(), reason.clone());
        assert_eq!(state(&application).await, ("down".to_owned(), vec![expected]));
        let told = application
            .log_lines("worker")
            .into_iter()
            .filter(|line| line["log"] == "alert");
        let told: Vec<Value> = told.collect();
        assert_eq!(told.len(), 1, "once an hour: {told:?}");
        assert_eq!(
            (&told[0]["cause"], &told[0]["sent"]),
            (&json!("misconfigured"), &json!(is_sent))
        );
        let text = told[0]["text"].as_str().unwrap();
        assert!(text.contains(&reason), "{text}");
        let expected = is_sent.then(|| ("misconfigured".to_owned(), text.to_owned()));
        assert_eq!(alerts(&receiver), expected.into_iter().collect::<Vec<_>>());
        let depth = application
            .request(Method::GET, "/admin/status", &[bearer(ADMIN_TOKEN)], "")
            .await
            .unwrap()
            .json()["queue"]["depth"]
            .clone();
        assert_eq!(depth, 30);

        let application = application.restart_with(setup.clone()).await.unwrap();
        application.tick_until_idle().await.unwrap();
        assert_eq!(world.differences(), []);
        assert_eq!(state(&application).await, ("ok".to_owned(), vec![]));
    }
}

/// What `docs/configuration.md` says of it.
const DRY_RUN_DENIED: &str = "variable `destination_url` is unset, but what waits here is for ";

#[tokio::test]
async fn a_dry_run_does_nothing_where_a_destination_was() {
    let world = World::start(Catalogue::generate(30, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let setup = world.setup().with("alert_url", &receiver.url());
    let application = Application::start(setup.clone()).await.unwrap();
    deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();

    for (seed, unset) in [(2, "https://unset.invalid"), (3, "")] {
        receiver.with(|receiver| receiver.log.clear());
        let dry = setup.clone().with("destination_url", unset);
        let application = Application::start_on(application.state(), dry).await.unwrap();
        let waiting = touch_all(&world);
        deliver_all(&application, &platform_deliveries(&waiting, seed))
            .await
            .unwrap();
        world.forget_calls();
        for _ in 0..3 {
            let report = application.tick().await.unwrap();
            assert_eq!(report["outcome"], "failed");
            let reason = report["reason"].as_str().unwrap();
            let expected = format!(
                "{DRY_RUN_DENIED}{}: set it again, or give another `instance` for a dry run; until then no event is used up",
                world.destination.url()
            );
            assert_eq!(reason, expected);
        }
        assert_eq!(world.pim.with(|pim| pim.calls.len()), 0);
        let told: Vec<String> = alerts(&receiver).into_iter().map(|(cause, _)| cause).collect();
        let expected: &[&str] = if seed == 2 { &["misconfigured"] } else { &[] };
        assert_eq!(told, expected, "at most once an hour");
        let (level, reasons) = state(&application).await;
        assert_eq!((level.as_str(), reasons[0].0.as_str()), ("down", "misconfigured"));
        let status = application
            .request(Method::GET, "/admin/status", &[bearer(ADMIN_TOKEN)], "")
            .await
            .unwrap()
            .json();
        assert!(status["queue"]["depth"].as_u64().unwrap() >= 30, "{status}");

        let elsewhere = Application::start_on(
            application.state(),
            world
                .setup()
                .with("destination_url", "https://unset.invalid")
                .with("instance", "dry"),
        );
        let elsewhere = elsewhere.await.unwrap();
        deliver_all(&elsewhere, &platform_deliveries(&waiting, seed))
            .await
            .unwrap();
        elsewhere.tick_until_idle().await.unwrap();
    }
    let application = Application::start_on(application.state(), setup).await.unwrap();
    world.settle(&application, 0).await.unwrap();
}

#[test]
fn the_documentation_says_what_a_dry_run_is_told() {
    let page = std::fs::read_to_string(tests::application::root().join("docs/configuration.md")).unwrap();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(DRY_RUN_DENIED));
}
