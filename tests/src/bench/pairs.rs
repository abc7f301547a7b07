//! What makes an acknowledgement slower, and what an entity takes the worker, on the embedded runtime: each measured in
//! turns with what it is measured by.

use crate::args::Args;
use crate::table::{Table, spinner};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change};
use simulator::deliveries::Delivery;
use std::time::{Duration, Instant};
use tests::application::Application;
use tests::world::{World, deliver_all, legacy_deliveries, platform_deliveries};

/// The shape of the demonstration, which its destination wants.
const SHAPE: &str = include_str!("../demo/shape.json");

/// How long a tick waits for its lease, in milliseconds: it works on nothing meanwhile.
const LEASE_MS: u64 = 1000;

async fn world(products: usize) -> Result<World> {
    World::start(Catalogue::generate(products, 0, 7)).await
}

/// So many changes of products.
fn changes(world: &World, count: usize) -> Result<Vec<Change>> {
    let products = world.products();
    let edited = products.iter().cycle().take(count);
    let changes = edited.map(|product| world.edit(product, Action::Touch));
    Ok(changes.collect::<Result<Vec<_>>>()?.concat())
}

/// How long a delivery takes to be acknowledged.
async fn timed(application: &Application, delivery: &Delivery) -> Result<Duration> {
    let begun = Instant::now();
    let answer = application.deliver(delivery).await?;
    anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.json());
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What a backlog adds to an acknowledgement.
pub(crate) async fn acknowledgement_at_a_backlog(args: &Args, table: &mut Table) -> Result<()> {
    let spinner = spinner("filling a queue");
    let world = world(args.products).await?;
    let empty = Application::start(world.setup()).await?;
    let full = Application::start(world.setup()).await?;
    deliver_all(&full, &legacy_deliveries(&changes(&world, args.backlog)?, 1)).await?;
    let (mut at_none, mut at_many) = (Vec::new(), Vec::new());
    for delivery in platform_deliveries(&changes(&world, args.deliveries)?, 2) {
        at_none.push(timed(&empty, &delivery).await?);
        at_many.push(timed(&full, &delivery).await?);
    }
    spinner.finish_and_clear();
    let what = format!("acknowledgement: with {} events waiting, with none", args.backlog);
    table.tell_times(&what, None, median(at_many), median(at_none))
}

/// What the worker at work adds to an acknowledgement.
pub(crate) async fn acknowledgement_beside_the_worker(args: &Args, table: &mut Table) -> Result<()> {
    let spinner = spinner("delivering while the worker works");
    let world = world(args.products).await?;
    let application = Application::start(world.setup()).await?;
    let deliveries = platform_deliveries(&changes(&world, 2 * args.deliveries)?, 1);
    let (alone, beside) = deliveries.split_at(deliveries.len() / 2);
    let mut at_rest = Vec::new();
    for delivery in alone {
        at_rest.push(timed(&application, delivery).await?);
    }
    let mut at_work = Vec::new();
    let ticks = async {
        loop {
            if let Err(error) = application.tick().await {
                break error;
            }
        }
    };
    let delivering = async {
        for delivery in beside {
            at_work.push(timed(&application, delivery).await?);
        }
        Ok::<(), anyhow::Error>(())
    };
    tokio::select! {
        error = ticks => return Err(error),
        ended = delivering => ended?,
    }
    spinner.finish_and_clear();
    let what = "acknowledgement: while ticks run, while none does";
    table.tell_times(what, None, median(at_work), median(at_rest))
}

/// What the worker takes for an entity: pushed as it is, pushed in a shape, unchanged.
pub(crate) async fn entities(args: &Args, table: &mut Table) -> Result<()> {
    let spinner = spinner("pushing everything, as it is and in a shape");
    let world = world(args.products).await?;
    let mut shape: Value = serde_json::from_str(SHAPE)?;
    shape
        .as_object_mut()
        .context("the shape is an object")?
        .retain(|name, _| name != "authentication");
    let plain = Application::start(world.setup()).await?;
    let shaped = Application::start(world.setup().with("shape", &shape.to_string())).await?;
    let changes = changes(&world, args.products)?;
    let mut times = Vec::new();
    for (application, seed) in [(&plain, 1), (&shaped, 2), (&plain, 3)] {
        deliver_all(application, &legacy_deliveries(&changes, seed)).await?;
        times.push(an_entity(&application.tick_until_idle().await?)?);
    }
    spinner.finish_and_clear();
    let what = "an entity: pushed in the demo's shape, as the PIM gives it";
    table.tell_times(what, None, times[1], times[0])?;
    table.tell_times("an entity: found unchanged, pushed", None, times[2], times[0])
}

/// The time that ticks took for an entity, by their reports.
fn an_entity(reports: &[Value]) -> Result<Duration> {
    let sum = |member: &str| reports.iter().filter_map(|report| report[member].as_u64()).sum::<u64>();
    let (entities, ms) = (sum("entities"), sum("ms"));
    anyhow::ensure!(entities > 0, "nothing was done: {}", json!(reports));
    let worked_ms = ms.saturating_sub(LEASE_MS * reports.len() as u64);
    Ok(Duration::from_secs_f64(worked_ms as f64 / 1000.0 / entities as f64))
}
