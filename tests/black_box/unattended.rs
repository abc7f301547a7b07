//! Deliveries to a store in which no tick runs: an application from a registry keeps its store in memory, one in each of its
//! processes, and the worker of one never sees what the other acknowledges.

use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue};
use simulator::deliveries::Delivery;
use tests::application::Application;
use tests::store::Store;
use tests::world::{World, legacy_deliveries, platform_deliveries};

const COUNTED: &str = "r1.main.counted";

/// An edit, as either channel tells of it.
fn deliveries(world: &World, seed: u64) -> [Delivery; 2] {
    let changes = world.edit(&world.products()[0], Action::Touch).unwrap();
    [platform_deliveries(&changes, seed), legacy_deliveries(&changes, seed)].map(|mut told| told.remove(0))
}

/// What the Event Platform and the Events API are answered.
async fn answers(world: &World, application: &Application, seed: u64) -> [u16; 2] {
    let mut statuses = [0; 2];
    application.forgets().await;
    for (delivery, status) in deliveries(world, seed).iter().zip(&mut statuses) {
        *status = application.deliver(delivery).await.unwrap().status.as_u16();
    }
    statuses
}

/// Makes it that ingest has waited for a tick for so much longer, in milliseconds.
fn age(application: &Application, ms: u64) {
    let store = Store::open(application.state().path());
    let mut counted: Value = serde_json::from_slice(&store.get(COUNTED).unwrap()).unwrap();
    counted["at_ms"] = json!(counted["at_ms"].as_u64().unwrap() - ms);
    store.set(COUNTED, counted.to_string().as_bytes());
}

fn silences(application: &Application) -> Vec<Value> {
    let lines = application.log_lines("ingest").into_iter();
    lines.map(|line| line["silent"].clone()).collect()
}

#[tokio::test]
async fn where_no_tick_has_ever_run_deliveries_are_put_off_after_ten_minutes_and_the_log_tells_before() {
    let world = World::start(Catalogue::generate(3, 0, 5)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    assert_eq!(answers(&world, &application, 1).await, [200, 200]);
    assert!(silences(&application).iter().all(Value::is_null));
    age(&application, 200_000);
    assert_eq!(answers(&world, &application, 2).await, [200, 200]);
    let told = silences(&application).pop().unwrap();
    assert!(
        told.as_str()
            .is_some_and(|told| told.contains("3 minutes") && told.contains("--state-dir")),
        "{told}"
    );
    age(&application, 400_000);
    assert_eq!(answers(&world, &application, 3).await, [429, 503]);
    let kept = Store::open(application.state().path()).keys("r1.main.e.").len();
    assert_eq!(
        kept, 2,
        "the two edits that were acknowledged, each told by both channels"
    );

    application.tick_until_idle().await.unwrap();
    assert_eq!(answers(&world, &application, 4).await, [200, 200]);
    application.tick_until_idle().await.unwrap();
    assert!(silences(&application).pop().unwrap().is_null());
    assert_eq!(world.differences().len(), 2, "those that nobody was told of");

    // A status that is lost or in a format of tomorrow is no sign that nobody works here.
    Store::open(application.state().path()).delete("r1.main.status");
    assert_eq!(answers(&world, &application, 5).await, [200, 200]);
}

/// A worker that has run once will run again, and what it is to do stays.
#[tokio::test]
async fn where_ticks_ran_once_deliveries_are_taken_and_the_log_tells_that_none_runs() {
    let world = World::start(Catalogue::generate(3, 0, 5)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    application.tick().await.unwrap();
    let store = Store::open(application.state().path());
    let mut status: Value = serde_json::from_slice(&store.get("r1.main.status").unwrap()).unwrap();
    status["listed_ms"] = json!(status["listed_ms"].as_u64().unwrap() - 1_200_000);
    store.set("r1.main.status", status.to_string().as_bytes());
    assert_eq!(answers(&world, &application, 1).await, [200, 200]);
    age(&application, 700_000);
    assert_eq!(answers(&world, &application, 2).await, [200, 200]);
    let told = silences(&application).pop().unwrap();
    assert!(told.as_str().is_some_and(|told| told.contains("11 minutes")), "{told}");
}
