//! SIGKILL at random moments while a real system is filled.

use super::Shop;
use crate::kills::{age, tick_on_and_on};
use std::time::Duration;
use tests::application::Application;
use tests::store::Store;
use tests::world::World;
use tokio::sync::watch;
use tokio::time::sleep;

/// What the keys of pushes under way begin with.
const IN_FLIGHT: &str = "r1.main.f.";

const KILLS: usize = 30;

/// How long the application pushes at most before it is killed, in milliseconds.
const PUSHING_MAX_MS: u64 = 1500;

/// Kills the application often while it fills a system, and lets it come to its end then; gives it, and tells how far the
/// system was filled when the last kill came.
pub(super) async fn while_filling(shop: &impl Shop, world: &World, mut application: Application) -> Application {
    let began = std::time::Instant::now();
    let (origins, watched) = watch::channel(vec![application.url.clone()]);
    let ticker = tokio::spawn(tick_on_and_on(watched));
    let mut random = fastrand::Rng::with_seed(30);
    let mut under_way = 0;
    for _ in 0..KILLS {
        until_pushing(&application, under_way).await;
        sleep(Duration::from_millis(random.u64(..PUSHING_MAX_MS))).await;
        let (state, setup) = application.kill().await.unwrap();
        // Stands for the minute after which a dead worker's lease has passed.
        let store = Store::open(state.path());
        store.delete("r1.main.lease");
        under_way = store.keys(IN_FLIGHT).len();
        application = Application::start_on(state, setup).await.unwrap();
        origins.send_replace(vec![application.url.clone()]);
    }
    drop(origins);
    let ticks = ticker.await.unwrap();
    let store = Store::open(application.state().path());
    let in_flight = store.keys(IN_FLIGHT);
    println!(
        "{KILLS} kills in the middle of {} batches, {} of {} made then; ticks {ticks:?}; {} s",
        in_flight.len(),
        shop.held().await.len(),
        super::expected(shop, world).len(),
        began.elapsed().as_secs()
    );
    in_flight.iter().for_each(|key| age(&store, key));
    application
}

/// Waits until this life of the application has begun to push, beside what those before it left under way.
async fn until_pushing(application: &Application, before: usize) {
    let state = application.state();
    for _ in 0..3000 {
        if Store::open(state.path()).keys(IN_FLIGHT).len() > before {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing is pushed");
}
