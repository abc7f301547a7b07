//! Ticks that stay: one tick takes up what comes while it waits, and another one what it leaves when it is killed.

use http::Method;
use simulator::catalogue::Catalogue;
use std::time::Duration;
use tests::application::{ADMIN_TOKEN, Application, Setup};
use tests::client::{self, bearer};
use tests::world::World;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Starts a tick that stays for minutes.
fn stay(application: &Application) -> JoinHandle<()> {
    let url = format!("{}/worker/tick?watch_seconds=300", application.url);
    tokio::spawn(async move {
        // It is never answered: the application is killed before.
        let _ = client::request(Method::POST, &url, &[bearer(ADMIN_TOKEN)], "").await;
    })
}

/// Edits one product after another, each once the one before has arrived.
async fn edit_and_wait(world: &World, application: &Application, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let product = world.products()[number].clone();
        world.touch(application, &[product], number as u64).await.unwrap();
        while !world.differences().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An application with a tick that has brought everything and waits for news.
async fn staying() -> (World, Application, JoinHandle<()>) {
    let world = World::start(Catalogue::generate(12, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    world.touch(&application, &world.products(), 100).await.unwrap();
    let staying = stay(&application);
    while !world.differences().is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
    (world, application, staying)
}

#[tokio::test]
async fn one_tick_takes_up_what_comes_while_it_waits_and_another_one_goes_on_after_a_kill() {
    let (world, application, staying) = staying().await;
    edit_and_wait(&world, &application, 0..5).await;
    assert!(!staying.is_finished(), "all of it was one tick");
    let other = application.tick().await.unwrap();
    assert!(
        ["busy", "idle"].contains(&other["outcome"].as_str().unwrap()),
        "{other}"
    );
    // The line of the last one is written once its outcome is kept.
    let told = || {
        let lines = application.log_lines("worker").into_iter();
        let works = lines.filter(|line| line["log"] == "tick" && line["outcome"] == "worked");
        works.count()
    };
    for _ in 0..300 {
        if told() >= 6 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(told() >= 6, "each of its works is told: {}", told());

    let application = application.kill_and_restart().await.unwrap();
    staying.await.unwrap();
    world.touch(&application, &world.products()[5..6], 5).await.unwrap();
    // Until the lease of the one that was killed has passed, which may be a minute.
    while application.until(|| world.differences().is_empty()).await.is_err() {}
}

/// Whoever looks at the set-up needs the lease for a moment: a tick that stays leaves for that long before its time is over.
#[tokio::test]
async fn the_set_up_is_looked_at_beside_a_tick_that_stays() {
    let (_world, application, staying) = staying().await;
    let path = "/admin/check?wait_seconds=60";
    let looked = application
        .request(Method::POST, path, &[bearer(ADMIN_TOKEN)], "")
        .await;
    let found = looked.unwrap().json();
    assert!(found["pim"]["version"].is_string(), "{found}");
    staying.await.unwrap();
}

/// And so does whoever wants to see what an entity would be sent.
#[tokio::test]
async fn an_entity_is_previewed_beside_a_tick_that_stays() {
    let (world, application, staying) = staying().await;
    let body = serde_json::json!({ "kind": "products", "code": world.products()[0].key() });
    let path = "/admin/preview?wait_seconds=60";
    let asked = application
        .request(Method::POST, path, &[bearer(ADMIN_TOKEN)], body.to_string())
        .await;
    let seen = asked.unwrap().json();
    assert_eq!(seen["would"], "nothing", "{seen}");
    staying.await.unwrap();
}

/// The schedule starts ticks that stay as `watch_seconds` says; nobody asks for one here.
#[tokio::test]
async fn on_the_schedule_every_edit_arrives() {
    for watch_seconds in ["50", "0"] {
        let world = World::start(Catalogue::generate(12, 0, 8)).await.unwrap();
        let setup = Setup {
            cron: true,
            ..world.setup().with("watch_seconds", watch_seconds)
        };
        let application = Application::start(setup).await.unwrap();
        world.touch(&application, &world.products(), 100).await.unwrap();
        edit_and_wait(&world, &application, 0..2).await;
    }
}

#[tokio::test]
async fn how_long_a_tick_is_to_stay_is_a_number() {
    let world = World::start(Catalogue::generate(1, 0, 9)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let path = "/worker/tick?watch_seconds=soon";
    let answer = application
        .request(Method::POST, path, &[bearer(ADMIN_TOKEN)], "")
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 400);
    assert!(
        answer.json().to_string().contains("watch_seconds"),
        "{:?}",
        answer.json()
    );
}
