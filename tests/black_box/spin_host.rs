//! The application on Spin itself.

use serde_json::json;
use simulator::catalogue::{Action, Catalogue, Change};
use simulator::destination::sha256;
use simulator::encode_segment;
use simulator::pim::content;
use std::time::Duration;
use tests::application::{Application, Setup};
use tests::world::{World, deliver_all, legacy_deliveries, platform_deliveries};
use tokio::time::{Instant, sleep};

/// How long to wait for what Spin's schedule does: some of its ten-second periods.
const PATIENCE: Duration = Duration::from_secs(120);

/// A file of the PIM's, and how large it is, in bytes.
const FILE: (&str, usize) = ("0/1/2/3/0123_lamp on.jpg", 3_000_017);

#[tokio::test]
#[ignore = "needs Spin: `SPIN=<its program> cargo xtask test on_spin`"]
async fn on_spin_the_schedule_makes_the_destination_equal_and_a_kill_forgets_nothing() {
    let world = World::start(Catalogue::generate(60, 6, 7)).await.unwrap();
    let setup = Setup {
        spin: Some(std::env::var_os("SPIN").expect("SPIN names Spin's program").into()),
        ..world.setup().with("shape", "{\"media\":{}}")
    };
    let spin = Application::start(setup).await.unwrap();
    let packshot = Action::SetValue {
        attribute: "packshot".to_owned(),
        locale: None,
        scope: None,
        data: json!(FILE.0),
    };
    world
        .pim
        .with(|pim| pim.config.media = [(FILE.0.to_owned(), FILE.1)].into());
    world.edit(&world.products()[0], packshot).unwrap();
    let entities: Vec<_> = world.models().into_iter().chain(world.products()).collect();
    let changes: Vec<Change> = entities
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Touch).unwrap())
        .collect();
    let (first, second) = changes.split_at(changes.len() / 2);
    deliver_all(&spin, &platform_deliveries(first, 1)).await.unwrap();
    wait_until_differences(&world, second.len()).await;
    deliver_all(&spin, &legacy_deliveries(second, 2)).await.unwrap();
    let _spin = spin.kill_and_restart().await.unwrap();
    wait_until_differences(&world, 0).await;
    let seen = world.pim.with(|pim| pim.meter.seen().clone());
    println!("{} entities, PIM {seen:?}", entities.len());
    assert_eq!(seen.violations, 0);
    assert!(world.pushes("PUT") > entities.len());
    let log = world.destination.with(|destination| destination.log.clone());
    let unmeasured = log.iter().filter(|request| request.header("content-length").is_none());
    assert_eq!(unmeasured.count(), 0);
    let path = format!("/media/{}", encode_segment(FILE.0));
    let file = world
        .destination
        .with(|destination| destination.media.get(&path).cloned());
    assert_eq!(file.unwrap().sha256, sha256(&content(FILE.0, FILE.1)));
}

/// Waits until the destination differs in so many entities at most.
async fn wait_until_differences(world: &World, most: usize) {
    let begun = Instant::now();
    while world.differences().len() > most {
        assert!(begun.elapsed() < PATIENCE, "{:?}", world.differences());
        sleep(Duration::from_millis(200)).await;
    }
}
