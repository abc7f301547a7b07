//! A running application, and the servers around it, as they are measured.

use crate::args::Host;
use anyhow::{Context, Result, ensure};
use simulator::catalogue::{Action, EntityId};
use simulator::fault::{Effect, Fault};
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::application::{Application, Setup};
use tests::large_index;
use tests::redis_server::RedisServer;
use tests::store::Store;
use tests::world::{World, deliver_all, legacy_deliveries};
use tokio::time::sleep;

/// How long the PIM takes for an answer where upstreams are slow, in milliseconds.
pub(crate) const PIM_MS: u64 = 100;

/// How long the destination takes there, in milliseconds.
pub(crate) const PUSH_MS: u64 = 50;

/// How long nothing may arrive that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked whether it has arrived.
const PAUSE: Duration = Duration::from_millis(50);

/// How long nothing is asked where nothing is to be done.
const QUIET: Duration = Duration::from_secs(2);

/// An application on one of the hosts, with a Redis of its own where its store is there.
pub(crate) struct Running {
    application: Application,
    redis: Option<RedisServer>,
}

impl Deref for Running {
    type Target = Application;

    fn deref(&self) -> &Application {
        &self.application
    }
}

impl Running {
    /// Starts it.
    pub(crate) async fn start(host: Host, mut setup: Setup) -> Result<Running> {
        if matches!(host, Host::Spin | Host::SpinRedis) {
            let spin = std::env::var_os("SPIN").context("the variable SPIN is to name Spin's program")?;
            setup.spin = Some(spin.into());
        }
        let redis = match host.needs_redis() {
            true => Some(RedisServer::start().await?),
            false => None,
        };
        setup.runtime_config = redis.as_ref().map(RedisServer::runtime_config);
        Ok(Running {
            application: Application::start(setup).await?,
            redis,
        })
    }

    /// Where its Redis is, if its store is there.
    pub(crate) fn redis(&self) -> Option<&str> {
        self.redis.as_ref().map(|redis| redis.url.as_str())
    }

    /// Writes the index of so many products into its store, behind its back.
    pub(crate) async fn know(&self, products: u32) -> Result<()> {
        let pages = large_index::pages(products, &large_index::entry());
        if let Some(url) = self.redis() {
            let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
            for (key, value) in pages {
                redis::cmd("SET").arg(key).arg(value).exec_async(&mut redis).await?;
            }
            return Ok(());
        }
        Store::open(self.state().path()).set_all(pages.into_iter());
        Ok(())
    }

    /// Starts it with its schedule, and waits until a tick stays: until the first product told of has arrived.
    pub(crate) async fn staying(host: Host, world: &World, setup: Setup) -> Result<Running> {
        let running = Running::start(host, Setup { cron: true, ..setup }).await?;
        let product = world.products().into_iter().next().context("there are products")?;
        tell(&running, world, &[product]).await?;
        pushed(world, 1, |_| ()).await?;
        Ok(running)
    }
}

/// A seed for deliveries that no others were made of: events of one id are one event.
pub(crate) fn next_seed() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Edits these entities and tells of it, by tens.
pub(crate) async fn tell(application: &Application, world: &World, entities: &[EntityId]) -> Result<()> {
    let changes = entities.iter().map(|entity| world.edit(entity, Action::Touch));
    let changes = changes.collect::<Result<Vec<_>>>()?.concat();
    deliver_all(application, &legacy_deliveries(&changes, next_seed())).await
}

/// Lets the PIM and the destination answer after these times, in milliseconds.
pub(crate) fn slow(world: &World, pim_ms: u64, push_ms: u64) {
    let slow = |ms| Fault::always(Effect::Slow { ms });
    world.pim.with(|pim| {
        pim.faults.clear();
        pim.faults.add(slow(pim_ms));
    });
    world.destination.with(|destination| {
        destination.faults.clear();
        destination.faults.add(slow(push_ms));
    });
}

/// Waits until so many entities were pushed since the destination's log was emptied, and all is equal; gives the moment.
pub(crate) async fn arrived(world: &World, count: usize, show: impl Fn(usize)) -> Result<Instant> {
    let mut moment = pushed(world, count, show).await?;
    let since = moment;
    while !world.differences().is_empty() {
        ensure!(since.elapsed() < PATIENCE, "{} still differ", world.differences().len());
        sleep(PAUSE).await;
        moment = Instant::now();
    }
    Ok(moment)
}

/// Waits until so many entities were pushed since the destination's log was emptied; gives the moment.
async fn pushed(world: &World, count: usize, show: impl Fn(usize)) -> Result<Instant> {
    let (mut most, mut since) = (0, Instant::now());
    loop {
        let pushed = entities_pushed(world);
        show(pushed.min(count));
        if pushed >= count {
            return Ok(Instant::now());
        }
        if pushed > most {
            (most, since) = (pushed, Instant::now());
        }
        let patience_s = PATIENCE.as_secs();
        ensure!(
            since.elapsed() < PATIENCE,
            "{pushed} of {count} arrived, and then none for {patience_s} s"
        );
        sleep(PAUSE).await;
    }
}

/// How many entities were pushed since the destination's log was emptied, each counted once.
fn entities_pushed(world: &World) -> usize {
    world.destination.with(|destination| {
        let pushes = destination.log.iter().filter(|request| request.method == "PUT");
        pushes.map(|push| &push.path).collect::<HashSet<_>>().len()
    })
}

/// Waits until the PIM was asked nothing for a while: nothing is to be done any more.
pub(crate) async fn quiet(world: &World) {
    let calls = || world.pim.with(|pim| pim.calls.len());
    let mut known = usize::MAX;
    while calls() != known {
        known = calls();
        sleep(QUIET).await;
    }
}
