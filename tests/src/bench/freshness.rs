//! How fresh the destination is: from an event's sending to the entity's arrival, while products are edited one by one.

use crate::args::{Args, Host};
use crate::running::{PIM_MS, PUSH_MS, Running, arrived, next_seed, slow, tell};
use crate::table::{Table, Unit, bar};
use anyhow::{Context, Result, ensure};
use simulator::catalogue::{Action, Catalogue};
use simulator::destination::Received;
use simulator::encode_segment;
use simulator::times::now_ms;
use std::collections::HashMap;
use std::time::Duration;
use tests::world::{World, platform_deliveries};
use tokio::time::{MissedTickBehavior, interval};

/// Edits in each second.
const EDITS: u64 = 4;

/// How long the worker lets news gather, in milliseconds: part of what an edit takes at least.
const LINGER_MS: u64 = 200;

/// The most calls in any second that the PIM is to see.
const CALLS: f64 = 4.0;

/// Measures it on a host.
pub(crate) async fn measure(args: &Args, host: Host, table: &mut Table) -> Result<()> {
    let edits = EDITS * args.seconds.max(1);
    let world = World::start(Catalogue::generate(edits as usize, 0, 7)).await?;
    let running = Running::staying(host, &world, world.setup()).await?;
    // The application knows all of them before they are edited.
    tell(&running, &world, &world.products()).await?;
    arrived(&world, edits as usize, |_| ()).await?;
    slow(&world, PIM_MS, PUSH_MS);
    world.forget_calls();
    let mut sent_ms = HashMap::new();
    let mut sending = Vec::new();
    let bar = bar("editing four products a second", edits);
    let mut moments = interval(Duration::from_millis(1000 / EDITS));
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for product in world.products() {
        moments.tick().await;
        let changes = world.edit(&product, Action::Touch)?;
        sent_ms.insert(encode_segment(&product.key()), now_ms());
        let deliveries = platform_deliveries(&changes, next_seed());
        let sender = simulator::deliveries::Sender::new(&running.url);
        sending.push(tokio::spawn(async move { sender.send_all(&deliveries, 1).await }));
        bar.inc(1);
    }
    for sent in sending {
        ensure!(sent.await?.iter().all(simulator::deliveries::Sent::delivered));
    }
    arrived(&world, edits as usize, |_| ()).await?;
    bar.finish_and_clear();

    let log = world.destination.with(|destination| destination.log.clone());
    let mut took_ms = took(&log, &sent_ms)?;
    took_ms.sort_unstable();
    let least_ms = (LINGER_MS + PIM_MS + PUSH_MS) as f64;
    for (what, percent) in [("median", 50), ("95th percentile", 95)] {
        let took_ms = took_ms[(took_ms.len() * percent / 100).min(took_ms.len() - 1)] as f64;
        let what = format!("an edit arrives: {what}, least by linger, list and push");
        table.tell(&what, Some(host), Unit::Ms, (took_ms, least_ms))?;
    }
    let calls_ms: Vec<u64> = world.pim.with(|pim| pim.calls.iter().map(|call| call.at_ms).collect());
    let calls = (calls_ms.len() as f64 / edits as f64, 1.0);
    table.tell(
        "edits: PIM calls for each entity, limit",
        Some(host),
        Unit::Count,
        calls,
    )?;
    let most = (busiest_second(&calls_ms) as f64, CALLS);
    table.tell(
        "edits: most PIM calls in any second, limit",
        Some(host),
        Unit::Count,
        most,
    )
}

/// How long each took to its first push, in milliseconds.
fn took(log: &[Received], sent_ms: &HashMap<String, u64>) -> Result<Vec<u64>> {
    let took = sent_ms.iter().map(|(key, sent_ms)| {
        let push = log
            .iter()
            .find(|push| push.method == "PUT" && push.path.ends_with(key.as_str()));
        let arrived_ms = push.with_context(|| format!("{key} never arrived"))?.at_ms + PUSH_MS;
        Ok(arrived_ms.saturating_sub(*sent_ms))
    });
    took.collect()
}

/// The most moments within any second.
fn busiest_second(moments_ms: &[u64]) -> usize {
    let within = |begin: &u64| {
        moments_ms
            .iter()
            .filter(|at| (*begin..begin + 1000).contains(at))
            .count()
    };
    moments_ms.iter().map(within).max().unwrap_or(0)
}
