//! What a tick takes that has nothing to do, by what the index holds: it lists the keys of the store, and plans.

use crate::args::{Args, Host};
use crate::running::Running;
use crate::table::{Table, spinner};
use anyhow::Result;
use simulator::catalogue::Catalogue;
use std::time::{Duration, Instant};
use tests::world::World;

/// What listing and planning may take.
const LIMIT: Duration = Duration::from_millis(100);

/// How many ticks are timed.
const TICKS: usize = 15;

/// Measures it on a host.
pub(crate) async fn measure(args: &Args, host: Host, table: &mut Table) -> Result<()> {
    let spinner = spinner("ticks with nothing to do");
    let world = World::start(Catalogue::generate(1, 0, 7)).await?;
    let running = Running::start(host, world.setup()).await?;
    let small = tick(&running).await?;
    let products = args.listed_products;
    running.know(products).await?;
    let large = tick(&running).await?;
    spinner.finish_and_clear();

    let what = format!("a tick with nothing to do: {products} products, none");
    table.tell_times(&what, Some(host), large, small)?;
    let what = format!("listing and planning with {products} products, limit");
    table.tell_times(&what, Some(host), large.saturating_sub(small), LIMIT)
}

/// How long a tick takes, in the median; the first does not count.
async fn tick(running: &Running) -> Result<Duration> {
    running.tick().await?;
    let mut took = Vec::new();
    for _ in 0..TICKS {
        let begun = Instant::now();
        running.tick().await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took[TICKS / 2])
}
