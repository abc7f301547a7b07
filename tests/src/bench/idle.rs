//! What an application costs that has nothing to do.

use crate::args::{Args, Host};
use crate::running::{Running, arrived, quiet, tell};
use crate::table::{Table, Unit, bar};
use anyhow::Result;
use simulator::catalogue::Catalogue;
use std::time::Duration;
use tests::world::World;
use tokio::time::sleep;

/// The products that the PIM has. What else the index knows was never asked for.
const OWN: usize = 100;

/// The share of a core that it may use, in percent.
const SHARE: f64 = 1.0;

/// Measures it on a host that looks for recent changes as it does by default. Nothing is told where the system does not
/// tell processor times.
pub(crate) async fn measure(args: &Args, host: Host, table: &mut Table) -> Result<()> {
    let products = args.idle_products;
    let world = World::start(Catalogue::generate(OWN, 0, 7)).await?;
    let running = Running::staying(host, &world, world.setup().with("recent_seconds", "300")).await?;
    running.know(products).await?;
    world.forget_calls();
    tell(&running, &world, &world.products()).await?;
    arrived(&world, OWN, |_| ()).await?;
    quiet(&world).await;
    let Some(before) = running.processor_time() else {
        eprintln!("idle: left out, since this system does not tell processor times as Linux does");
        return Ok(());
    };
    let watching = bar("watching it idle", args.idle_seconds);
    for _ in 0..args.idle_seconds {
        sleep(Duration::from_secs(1)).await;
        watching.inc(1);
    }
    watching.finish_and_clear();
    let used = running.processor_time().unwrap_or_default().saturating_sub(before);
    let share = 100.0 * used.as_secs_f64() / args.idle_seconds.max(1) as f64;
    let what = format!(
        "idle with {products} products for {} s: share of a core, limit",
        args.idle_seconds
    );
    table.tell(&what, Some(host), Unit::Percent, (share, SHARE))
}
