//! What `cargo xtask demo --keep` leaves running: edits that go on, and faults to play with in the console.

use crate::world::PLATFORM_SECRET;
use anyhow::Result;
use simulator::catalogue::{Action, Change, Edit, EntityId};
use simulator::deliveries::{Format, Plan, Secrets, Sender};
use simulator::destination::Destination;
use simulator::fault::{Effect, Fault};
use simulator::pim::Pim;
use simulator::server::{DestinationServer, PimServer};
use simulator::times::now_ms;
use std::time::Duration;
use tokio::time::sleep;

/// Products that the destination refuses for good, and why.
const REFUSED: [&str; 3] = [
    "The brand \"Zaro\" does not exist in this shop",
    "The tax class is missing",
    "The price must be a number",
];

/// Products that vanish although only updates are announced: more than the brake lets through.
const VANISHED: usize = 30;

/// The pause between two rounds of edits.
const PAUSE: Duration = Duration::from_secs(2);

/// What is put in, for people to read.
pub const FAULTS: [&str; 4] = [
    "three products are refused for good: open them under Dead letters, replay or discard them",
    "thirty products vanished without a word: the brake holds most of their deletions back",
    "the destination takes its time, and answers every fiftieth call 503",
    "the PIM is edited on and on",
];

/// Puts the faults in and edits for as long as it is let.
///
/// # Errors
/// If the catalogue takes no edit.
pub async fn play(url: &str, pim: &PimServer, destination: &DestinationServer, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed.wrapping_add(2));
    destination.with(make_slow);
    let mut changes = pim.with(vanish)?;
    let products = pim.with(|pim| products(pim));
    for (product, message) in products.iter().zip(REFUSED) {
        destination.with(|destination| destination.reject(&product.key(), message));
        changes.extend(pim.with(|pim| touch(pim, product))?);
    }
    let sender = Sender::new(url);
    loop {
        let format = Format::EventPlatform(Secrets::primary(PLATFORM_SECRET));
        let plan = Plan::new(format, now_ms() / 1000, random.u64(..));
        // What does not arrive is lost here: a sender's troubles are not shown.
        sender.send_all(&plan.deliveries(&changes), 4).await;
        sleep(PAUSE).await;
        changes.clear();
        for _ in 0..random.usize(1..6) {
            changes.extend(pim.with(|pim| {
                let edit = pim.catalogue.random_edit(&mut random);
                pim.edit(&edit, now_ms())
            })?);
        }
    }
}

fn make_slow(destination: &mut Destination) {
    destination.faults.add(Fault::share(0.02, Fault::status(503)));
    destination.faults.add(Fault::share(0.3, Effect::Slow { ms: 900 }));
    destination.faults.add(Fault::always(Effect::Slow { ms: 120 }));
}

fn products(pim: &Pim) -> Vec<EntityId> {
    let truth = pim.catalogue.truth();
    truth.products(None).map(|product| product.id.clone()).collect()
}

fn touch(pim: &mut Pim, product: &EntityId) -> Result<Vec<Change>> {
    Ok(pim.edit(&Edit::new(product.clone(), Action::Touch), now_ms())?)
}

/// Deletes products and gives only the updates before it.
fn vanish(pim: &mut Pim) -> Result<Vec<Change>> {
    let mut told = Vec::new();
    let all = products(pim);
    for product in all.iter().rev().take(VANISHED.min(all.len() / 2)) {
        told.extend(touch(pim, product)?);
        pim.edit(&Edit::new(product.clone(), Action::Delete), now_ms())?;
    }
    Ok(told)
}
