//! How fast much is worked off: a first load, a change of models that many variants inherit from, and many events told at
//! once. What the destination takes for five at once is what all of it is measured by.

use crate::args::{Args, Host};
use crate::running::{PIM_MS, PUSH_MS, Running, arrived, next_seed, quiet, slow};
use crate::table::{Table, Unit, bar};
use anyhow::{Result, ensure};
use http::Method;
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::pim::CallKind;
use std::time::{Duration, Instant};
use tests::application::ADMIN_TOKEN;
use tests::client::bearer;
use tests::world::{World, deliver_all, legacy_deliveries};

/// The variants of each model.
const VARIANTS: usize = 10;

/// Entities that the PIM has, for each model.
const LOADED: usize = 50;

/// Entities that events are told of, for each model: itself, its variants, and products beside.
const TOLD: usize = 20;

/// Events that are told of them, for each model.
const EVENTS: usize = 50;

/// Pushes that the destination takes at once.
const AT_ONCE: f64 = 5.0;

/// How many list calls it may take to read a hundred changed models, or fewer, and to find what inherits from them.
const LISTS: usize = 15;

/// How the upstreams of a run are called, how long the PIM and the destination take, in milliseconds, and how many models
/// there are.
type Run = (&'static str, u64, u64, usize);

/// Measures it on a host, where the upstreams answer at once and where they take their time.
pub(crate) async fn measure(args: &Args, host: Host, table: &mut Table) -> Result<()> {
    run(("upstreams at once", 0, 0, args.models), host, table).await?;
    run(("upstreams 100/50 ms", PIM_MS, PUSH_MS, args.slow_models), host, table).await
}

async fn run((upstreams, pim_ms, push_ms, models): Run, host: Host, table: &mut Table) -> Result<()> {
    let world = World::start(Catalogue::generate((LOADED - 1 - VARIANTS) * models, 0, 7)).await?;
    let alone = world.products();
    let families = families(&world, models)?;
    let running = Running::staying(host, &world, world.setup()).await?;
    slow(&world, pim_ms, push_ms);

    let loaded = LOADED * models - 1;
    let begun = begin(&world);
    let full = r#"{"scan": "full"}"#;
    let answer = running
        .request(Method::POST, "/admin/reconcile", &[bearer(ADMIN_TOKEN)], full)
        .await?;
    ensure!(answer.status == 202, "{}: {}", answer.status, answer.json());
    let took = wait(&world, &format!("a first load of {loaded}"), loaded, begun).await?;
    by_the_destination(
        &format!("{upstreams}: a first load of {loaded}"),
        loaded,
        took,
        host,
        table,
    )?;
    quiet(&world).await;

    let begun = begin(&world);
    let models_alone: Vec<EntityId> = families.iter().map(|family| family[0].clone()).collect();
    tell(&world, &running, models_alone.iter()).await?;
    let inherited = models * (1 + VARIANTS);
    let took = wait(&world, &format!("{models} models with variants"), inherited, begun).await?;
    let what = format!("{upstreams}: {models} models with {VARIANTS} variants");
    by_the_destination(&what, inherited, took, host, table)?;
    let (found, all) = list_calls(&world);
    let most = (LISTS * models.div_ceil(100)) as f64;
    let to_find = format!("{what}: list calls to find them, limit");
    table.tell(&to_find, Some(host), Unit::Count, (found as f64, most))?;
    let least = models.div_ceil(100) + (models * VARIANTS).div_ceil(100);
    let in_all = format!("{what}: list calls in all, least");
    table.tell(&in_all, Some(host), Unit::Count, (all as f64, least as f64))?;
    quiet(&world).await;

    let begun = begin(&world);
    let beside = (TOLD - 1 - VARIANTS) * models;
    let told: Vec<&EntityId> = families.iter().flatten().chain(&alone[..beside]).collect();
    let events = EVENTS * models;
    tell(&world, &running, told.iter().copied().cycle().take(events)).await?;
    let what = format!("{events} events on {} entities", told.len());
    let took = wait(&world, &what, told.len(), begun).await?;
    by_the_destination(&format!("{upstreams}: {what}"), told.len(), took, host, table)
}

/// Makes models in the PIM, each with its variants; gives them, each before its variants.
fn families(world: &World, models: usize) -> Result<Vec<Vec<EntityId>>> {
    let families = (0..models).map(|number| {
        let code = format!("model-{number}");
        let mut family = vec![EntityId::Model(code.clone())];
        let below = (0..VARIANTS).map(|variant| {
            let number = (number * VARIANTS + variant) as u128;
            // Spread as random ones are.
            let bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            EntityId::Product(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
        });
        family.extend(below);
        let of_family = Action::Create {
            identifier: None,
            family: Some("lamp".to_owned()),
            parent: None,
            categories: Vec::new(),
        };
        world.edit(&family[0], of_family)?;
        for variant in &family[1..] {
            world.edit(variant, Action::create_below(&code))?;
        }
        Ok(family)
    });
    families.collect()
}

/// Forgets what was sent before, and gives the moment.
fn begin(world: &World) -> Instant {
    world.forget_calls();
    Instant::now()
}

/// The list calls of the PIM until the last model was pushed, before which its variants are found; and all of them.
fn list_calls(world: &World) -> (usize, usize) {
    let pushed_ms = world.destination.with(|destination| {
        let models = destination
            .log
            .iter()
            .filter(|push| push.path.starts_with("/product-models/"));
        models.map(|push| push.at_ms).max().unwrap_or(0)
    });
    let lists = [CallKind::ProductList, CallKind::ProductSearch, CallKind::ModelList];
    world.pim.with(|pim| {
        let lists = || pim.calls.iter().filter(|call| lists.contains(&call.kind));
        (lists().filter(|call| call.at_ms <= pushed_ms).count(), lists().count())
    })
}

/// Edits these, one after another, and tells of all edits at once.
async fn tell<'a>(world: &World, running: &Running, edited: impl Iterator<Item = &'a EntityId>) -> Result<()> {
    let changes = edited.map(|entity| world.edit(entity, Action::Touch));
    let changes = changes.collect::<Result<Vec<_>>>()?.concat();
    deliver_all(running, &legacy_deliveries(&changes, next_seed())).await
}

/// How long it takes from a moment until so many have arrived and all is equal.
async fn wait(world: &World, what: &str, count: usize, begun: Instant) -> Result<Duration> {
    let bar = bar(what, count as u64);
    let moment = arrived(world, count, |arrived| bar.set_position(arrived as u64)).await?;
    bar.finish_and_clear();
    Ok(moment - begun)
}

/// Adds a row: what so many took, by what they take a destination that answers after 50 ms.
fn by_the_destination(what: &str, count: usize, took: Duration, host: Host, table: &mut Table) -> Result<()> {
    let least = count as f64 / AT_ONCE * PUSH_MS as f64 / 1000.0;
    let what = format!("{what}, 5 at once by {PUSH_MS} ms");
    table.tell(&what, Some(host), Unit::S, (took.as_secs_f64(), least))
}
