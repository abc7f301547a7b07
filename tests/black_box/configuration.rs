//! Bad configuration: one clear line, no event lost, no attempt used, well again when it is mended.

use serde_json::Value;
use simulator::catalogue::{Action, Catalogue, Change};
use tests::application::{Application, Setup};
use tests::world::{World, deliver_all, platform_deliveries};

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
    is_told_and_heals(|setup| setup.with("tick_seconds", "soon"), &["tick_seconds", "1 to 25"]).await;
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
    let application = Application::start(world.setup().with("alert_url", "https://unset.invalid"))
        .await
        .unwrap();
    deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
}

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    let application = Application::start(world.setup().with("destination_token", "wrong-and-secret"))
        .await
        .unwrap();
    deliver_all(&application, &platform_deliveries(&touch_all(&world), 1))
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
