//! SIGKILL at random moments.

use crate::load::{Load, announce_all};
use simulator::catalogue::Catalogue;
use simulator::fault::{Effect, Fault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tests::application::{ADMIN_TOKEN, Application};
use tests::client::{self, bearer};
use tests::store::Store;
use tests::world::World;
use tokio::sync::watch;
use tokio::time::sleep;

const KILLS: usize = 20;

/// How long the application lives at most, in milliseconds: a tick waits a second for its lease and works for about another.
const LIFE_MAX_MS: u64 = 3000;

/// How old an in-flight key must be before its pushes count as settled, in seconds.
const SETTLED_S: u64 = 600;

const SEED: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_at_random_moments_lose_nothing_that_was_acknowledged() {
    let world = Arc::new(World::start(Catalogue::generate(150, 15, SEED)).await.unwrap());
    // So that pushing takes as much of a tick as its wait for the lease, and is hit as often.
    world
        .destination
        .with(|destination| destination.faults.add(Fault::always(Effect::Slow { ms: 20 })));
    let mut application = Application::start(world.setup()).await.unwrap();
    announce_all(&world, &application).await;
    let (origins, watched) = watch::channel(vec![application.url.clone()]);
    let load = Load::start(&world, &watched, SEED);
    let ticker = tokio::spawn(tick_on_and_on(watched));
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..KILLS {
        sleep(Duration::from_millis(random.u64(..LIFE_MAX_MS))).await;
        let (state, setup) = application.kill().await.unwrap();
        // Stands for the minute after which a dead worker's lease has passed.
        Store::open(state.path()).delete("r1.main.lease");
        application = Application::start_on(state, setup).await.unwrap();
        origins.send_replace(vec![application.url.clone()]);
    }
    let sent = load.stop().await;
    drop(origins);
    let ticks = ticker.await.unwrap();

    let store = Store::open(application.state().path());
    let in_flight = store.keys("r1.main.f.");
    in_flight.iter().for_each(|key| age(&store, key));
    // What was deleted before it was ever pushed is held by the brake, beyond a few.
    application.release_brake().await.unwrap();
    application.tick_until_idle().await.unwrap();
    world.settle(&application, 0).await.unwrap();
    // A model's recheck, a minute after its push, may have marked variants just now.
    application.tick_until_idle().await.unwrap();
    println!(
        "{KILLS} kills, {} of them while pushing; ticks {ticks:?}; {} tries not answered, {} deliveries with {} changes acknowledged",
        in_flight.len(),
        sent.unanswered,
        sent.deliveries,
        sent.changes.len()
    );
    let lost: Vec<String> = world.destination.with(|destination| {
        let lost = sent
            .changes
            .iter()
            .filter_map(|change| change.missing_at(&world, destination));
        lost.collect()
    });
    assert_eq!(lost, Vec::<String>::new());
    for left in ["r1.main.e.", "r1.main.f.", "r1.main.d."] {
        assert_eq!(store.keys(left), Vec::<String>::new());
    }
}

/// Stands for the ten minutes after which a push has arrived or never will.
pub(crate) fn age(store: &Store, in_flight: &str) {
    let (rest, time_s) = in_flight.rsplit_once('.').unwrap();
    let time_s: u64 = time_s.parse().unwrap();
    store.rename(in_flight, &format!("{rest}.{}", time_s - SETTLED_S - 1));
}

/// Ticks wherever the application is, until it is nowhere; counts what came of it.
pub(crate) async fn tick_on_and_on(origins: watch::Receiver<Vec<String>>) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    while origins.has_changed().is_ok() {
        let url = format!("{}/worker/tick", origins.borrow()[0]);
        let outcome = match client::request(http::Method::POST, &url, &[bearer(ADMIN_TOKEN)], "").await {
            Ok(answer) => answer.json()["outcome"].as_str().map(str::to_owned),
            Err(_) => None,
        };
        if outcome.as_deref() != Some("worked") {
            sleep(Duration::from_millis(50)).await;
        }
        *outcomes.entry(outcome.unwrap_or("cut".to_owned())).or_default() += 1;
    }
    outcomes
}
