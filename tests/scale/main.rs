//! A catalogue of a hundred thousand products, on virtual time. Alone in its program, so that memory can be measured.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use model::entity::{Entity, Kind, Segment};
use peak_alloc::PeakAlloc;
use queue::batches::Arrangement;
use queue::key::{self, EventKey, Key};
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Change, Edit, EntityId};
use simulator::destination::Received;
use simulator::pim::CallKind;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tests::large_index;
use tests::simulation::stage::Stage;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Whoever measures is alone.
static MEASURING: Mutex<()> = Mutex::new(());

const PRODUCTS: usize = 100_000;

/// Product models among them, as roots and below.
const MODELS: usize = 2000;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

fn touch(entity: &EntityId) -> Edit {
    Edit::new(entity.clone(), Action::Touch)
}

/// Pages of lists that the PIM was asked for.
fn list_calls(stage: &Stage) -> usize {
    let lists = [CallKind::ProductList, CallKind::ProductSearch, CallKind::ModelList];
    let world = stage.world();
    world.pim.calls.iter().filter(|call| lists.contains(&call.kind)).count()
}

/// The largest value that every store takes with ease, in bytes (90 KB).
const VALUE_MAX: usize = 90 << 10;

#[test]
fn a_hundred_thousand_products_cost_a_call_for_every_hundred() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stage = Stage::on_hosts(&[0, 1500], PRODUCTS, MODELS, 10, |_, worker| {
        worker.destination_rate = 20
    });
    let products = stage.products();
    let all = [stage.models(), stage.products()].concat();
    // The first load, while webhooks come in.
    let (mut pending, mut lags_ms, mut deepest) = (Vec::new(), Vec::new(), 0);
    let begun_ms = stage.now_ms();
    let loaded = |stage: &Stage| stage.reconciliation().walk.finished_ms > 0 && stage.is_quiet();
    while !loaded(&stage) {
        assert!(stage.now_ms() < begun_ms + 48 * HOUR_MS, "the first load does not end");
        // One in twenty is a model, whose variants follow it.
        let among = if stage.random.u8(..20) == 0 { MODELS } else { all.len() };
        let edited = &all[stage.random.usize(..among)];
        pending.push((simulator::encode_segment(&edited.key()), stage.now_ms()));
        stage.announce(&touch(edited));
        stage.run_for(MINUTE_MS);
        let world = stage.world();
        pending.retain(|(key, edited_ms)| {
            let of_it = |push: &&Received| push.at_ms > *edited_ms && push.path.ends_with(key);
            let arrived_ms = world.destination.log.iter().rev().find(of_it).map(|push| push.at_ms);
            lags_ms.extend(arrived_ms.map(|arrived_ms| arrived_ms - edited_ms));
            arrived_ms.is_none()
        });
        deepest = deepest.max(events(&world.store));
    }
    assert_eq!(pending, [], "edits that never arrived");
    lags_ms.sort_unstable();
    println!(
        "first load of {PRODUCTS}, 20 pushes a second: {:.1} h, at most {deepest} events waiting; {} edits told meanwhile arrived after {:.0} s in the median and {:.0} s at most, of which up to 30 s were their way to us",
        (stage.now_ms() - begun_ms) as f64 / HOUR_MS as f64,
        lags_ms.len(),
        lags_ms[lags_ms.len() / 2] as f64 / 1000.0,
        *lags_ms.last().expect("edits") as f64 / 1000.0,
    );
    assert!(
        *lags_ms.last().expect("edits") < 5 * MINUTE_MS,
        "live events stand behind the load"
    );
    assert!(deepest < 400_000 / 4);
    the_index_is_bounded(&stage);
    assert_eq!(stage.differences().len(), 0);

    stage.run_for(HOUR_MS);
    stage.forget();
    let memory = Memory::now();
    stage.walk();
    let calls = list_calls(&stage);
    println!(
        "a walk over {PRODUCTS} equal products: {calls} list calls, {memory}, {}",
        writes(&stage)
    );
    // Models are listed, and then asked for by what the index has. Recent changes are looked at meanwhile: two calls for
    // each kind every five minutes.
    let minutes = (stage.now_ms() - stage.reconciliation().walk.began_ms) / MINUTE_MS;
    assert!(
        calls <= (PRODUCTS + 2 * MODELS) / 100 + 10 + 4 * (minutes as usize / 5 + 1),
        "{calls} in {minutes} minutes"
    );

    stage.run_for(10 * MINUTE_MS);
    let last_ms = |stage: &Stage| stage.reconciliation().looks.at(Kind::Product).finished_ms;
    let before_ms = last_ms(&stage);
    stage.run_until(HOUR_MS, "a look to its end", |stage| last_ms(stage) > before_ms);
    stage.forget();
    for product in products.iter().step_by(100) {
        stage.edit(&touch(product));
    }
    let memory = Memory::now();
    let before_ms = last_ms(&stage);
    stage.run_until(HOUR_MS, "they are found", |stage| {
        last_ms(stage) > before_ms && stage.is_quiet()
    });
    assert_eq!(stage.pushes("PUT"), PRODUCTS / 100);
    let calls = stage.world().pim.calls.len();
    println!(
        "1% changed: {calls} calls of the PIM to find and fetch them, {memory}, {}",
        writes(&stage)
    );
    assert!(list_calls(&stage) <= 2 * PRODUCTS / 100 / 100 + 10, "{calls} calls");
}

/// What a plan of so many events takes, until the last batch is made of it; each is of a product of its own.
fn planned(events: u64) -> usize {
    let keys = Keyspace::new("main");
    let before = Memory::now();
    let listing: Vec<String> = (0..events)
        .map(|number| {
            let uuid = uuid::Builder::from_random_bytes((u128::from(number) << 80 | 7).to_be_bytes()).into_uuid();
            let event = EventKey {
                time_s: 1_800_000_000 + number / 100,
                change: key::Change::Updated,
                floor_s: Some(0),
                entity: Entity::new(Kind::Product, &uuid.to_string()),
                id: Segment::of(&uuid.to_string()),
            };
            keys.encode(&Key::Event(event))
        })
        .collect();
    let plan = Plan::of(&keys, listing);
    assert_eq!(plan.depth, events);
    let mut due = plan.due(1_800_000_000, 0);
    let mut served = 0;
    while let Some(batch) = due.next(|_| Arrangement::default()) {
        served += batch.len() as u64;
    }
    assert_eq!(served, events);
    before.more()
}

#[test]
fn a_long_queue_is_planned_in_little_memory() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    const MIB: usize = 1 << 20;
    for (events, most) in [(400_000, 64 * MIB), (1_000_000, 160 * MIB)] {
        let bytes = planned(events);
        println!("{events} events are listed, planned and served in {} MiB", bytes / MIB);
        assert!(bytes <= most, "{bytes} bytes for {events} events");
    }
}

/// The bytes of the index that a batch of a hundred products reads and writes, where so many other products were pushed
/// before; the keys of the store come beside it. `entry` is what is known of each.
fn bytes_of_a_batch(others: u32, entry: &Value) -> (usize, usize) {
    let mut stage = Stage::with(100, 0, 12, |shared, worker| {
        (worker.reconciliation.walk_s, worker.reconciliation.recent_s) = (None, None);
        shared.store.extend(large_index::pages(others, entry));
    });
    let pages = stage.world().store.len();
    let edited = stage.products();
    let changes: Vec<Change> = edited.iter().flat_map(|product| stage.edit(&touch(product))).collect();
    stage.forget();
    stage.tell_now(&changes);
    stage.run_until(HOUR_MS, "they arrive", |stage| {
        stage.is_quiet() && stage.pushes("PUT") >= 100
    });
    let bytes = stage.world().traffic["index"];
    assert_eq!(stage.pushes("PUT"), 100, "in one batch");
    (bytes, pages)
}

#[test]
fn a_batch_costs_the_same_at_a_million_products() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let long = json!({
        "h": "QW1kTnJ6VGs3aU5mNG1pbg", "u": 1_790_000_000, "n": 3, "p": "QW1kTnJ6", "i": ["SKU-1234567890"],
        "r": { "id": "1234567890", "version": "17", "slug": "a-product-1234567890" }
    });
    for (what, entry, most) in [
        ("as today", large_index::entry(), 4_000_000),
        ("with an identity and three values", long, 8_000_000),
    ] {
        let (few, _) = bytes_of_a_batch(100_000, &entry);
        let (many, pages) = bytes_of_a_batch(1_000_000, &entry);
        println!(
            "a batch of 100, entries {what}: {:.2} MB of the index at 100,000 products, {:.2} MB at 1,000,000 in {pages} pages",
            few as f64 / 1e6,
            many as f64 / 1e6
        );
        assert!(many <= most && 10 * many <= 12 * few, "{many} bytes, {few} at a tenth");
    }
}

/// The writes of the store, in all and by kind of key, for each product.
fn writes(stage: &Stage) -> String {
    let writes = stage.world().writes.clone();
    let all: u64 = writes.values().sum();
    format!("{:.4} writes a product: {writes:?}", all as f64 / PRODUCTS as f64)
}

/// What was in use at a moment; shows how much more it became since.
struct Memory(usize);

impl Memory {
    fn now() -> Memory {
        ALLOCATOR.reset_peak_usage();
        Memory(ALLOCATOR.current_usage())
    }
}

impl Memory {
    /// How much more it has been at most.
    fn more(&self) -> usize {
        ALLOCATOR.peak_usage().saturating_sub(self.0)
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = self.more();
        write!(
            f,
            "memory of the worker and of the simulated PIM's answers {:.1} MB at most ({} bytes a product)",
            more as f64 / 1e6,
            more / PRODUCTS
        )
    }
}

fn events(store: &BTreeMap<String, Vec<u8>>) -> usize {
    store.keys().filter(|key| key.starts_with("r1.main.e.")).count()
}

fn the_index_is_bounded(stage: &Stage) {
    let keys = Keyspace::new("main");
    let world = stage.world();
    let pages = world
        .store
        .iter()
        .filter(|(key, _)| matches!(keys.parse(key), Some(Key::IndexPage(..))));
    let sizes: Vec<usize> = pages.map(|(_, value)| value.len()).collect();
    let largest = sizes.iter().max().copied().unwrap_or(0);
    println!("the index has {} pages of at most {largest} bytes", sizes.len());
    // A page that is split has halves of a hundred entries; those that were never split are 128 of each kind.
    let most = (PRODUCTS + MODELS) / 100 + 2 * 128;
    assert!(sizes.len() <= most && largest <= VALUE_MAX, "{} of {most}", sizes.len());
}
