//! Pages of the index, as one worker writes them and as several do.
//!
//! Entries come to the same in whatever order they are merged, nothing that may lie at the destination is forgotten, and
//! pages that grow are split without losing an entry, wherever a worker stops that splits them.

use super::*;
use crate::directory::Order;
use crate::page::{VALUE_MAX, read_page};
use futures_util::FutureExt;
use proptest::prelude::*;
use queue::key::PagePlace;
use queue::plan::Plan;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use world::testing::Memory;

fn entry(hash: &str, pushes: u64) -> Entry {
    Entry {
        hash: Some(hash.to_owned()),
        pushes,
        ..Entry::default()
    }
}

#[test]
fn the_newer_entry_counts_and_of_two_equally_new_ones_neither() {
    assert_eq!(entry("a", 2).merged(entry("b", 1)).hash.as_deref(), Some("a"));
    assert_eq!(entry("a", 2).merged(entry("a", 2)).hash.as_deref(), Some("a"));
    assert_eq!(entry("a", 2).merged(entry("b", 2)).hash, None);
    let removed = Entry {
        pushes: 3,
        removed_s: Some(5),
        ..Entry::default()
    };
    assert_eq!(removed.clone().merged(entry("a", 2)).removed_s, Some(5));
    assert_eq!(
        removed.merged(entry("a", 3)),
        Entry {
            pushes: 3,
            ..Entry::default()
        }
    );
}

/// One worker pushes an entity and another one deletes it, and neither knows of the other: the entry that lands last is
/// not taken for what lies at the destination.
#[test]
fn an_entry_that_lands_after_its_removal_is_looked_at_again() {
    let entity = Entity::new(Kind::ProductModel, "a model");
    let (mut late, mut other) = (Pages::default(), Pages::default());
    late.set(&entity, "a model", Some("a".to_owned()), 5);
    other.remove(&entity, 6, false);
    let only = |pages: &mut Pages| pages.pages.pop().expect("a page");
    let (mut page, removed) = (only(&mut late), only(&mut other));
    let mut united = Pages::default();
    united.merge(entity.kind, &mut page.page, removed.page);
    assert_eq!(united.unknown, [(entity.clone(), None)]);
    // Once the entity was deleted again, that deletion counts.
    united.pages.push(page);
    united.remove(&entity, 7, false);
    let mut page = only(&mut united);
    late.set(&entity, "a model", Some("a".to_owned()), 5);
    united.merge(entity.kind, &mut page.page, only(&mut late).page);
    united.pages.push(page);
    assert_eq!(united.get(&entity), None);
}

prop_compose! {
    fn any_entry()(hash in proptest::option::of("[ab]"), pushes in 0..3u64, removed in any::<bool>(), missed in proptest::option::of(0..3u64)) -> Entry {
        let removed_s = removed.then_some(7);
        Entry { hash: hash.filter(|_| !removed), pushes, removed_s, missed_by: missed.filter(|_| !removed), ..Entry::default() }
    }
}

proptest! {
    #[test]
    fn merging_needs_no_order(one in any_entry(), other in any_entry()) {
        prop_assert_eq!(one.clone().merged(other.clone()), other.merged(one.clone()));
        prop_assert_eq!(one.clone().merged(one.clone()), one);
    }
}

#[test]
fn of_two_that_hold_an_identity_by_two_workers_neither_is_forgotten() {
    let holder = |code: &str| Entry {
        code: Some(code.to_owned()),
        waiting: vec![format!("waits for {code}")],
        ..entry(code, 1)
    };
    let merged = holder("a").merged(holder("b"));
    assert_eq!(merged.former, ["a", "b"]);
    assert_eq!(merged.waiting, ["waits for a", "waits for b"]);
    let of_older_version: Entry = serde_json::from_str(r#"{"h":"b","u":0,"f":"a"}"#).expect("an entry");
    assert_eq!(of_older_version.former, ["a"]);
}

/// A page that holds these entries, read.
fn read(entries: &[(&Entity, Entry)]) -> Pages {
    let mut pages = Pages::default();
    for (entity, entry) in entries {
        pages.put(entity, entry.clone());
    }
    pages
}

#[test]
fn an_entry_keeps_all_that_is_known_when_it_moves_to_another_spelling() {
    let (old, new) = (
        Entity::new(Kind::ProductModel, "MUG"),
        Entity::new(Kind::ProductModel, "mug"),
    );
    let known = Entry {
        parent: Some(ShortDigest::of_code("cups")),
        remote: Remote::from([("id".to_owned(), "17".to_owned())]),
        of_parent: Some("of the parent".to_owned()),
        ..entry("a hash", 3)
    };
    let mut pages = read(&[(&old, known.clone())]);
    pages.respell(&old, &new, "mug", 100);
    assert!(pages.get(&old).is_none() && pages.was_removed(&old));
    let moved = pages.get(&new).expect("an entry");
    assert_eq!(
        Entry {
            pushes: known.pushes,
            ..moved.clone()
        },
        known
    );
    // What goes by an identity is claimed anew, and so is pushed once more.
    let by_identity = Entry {
        identities: vec!["mug-1".to_owned()],
        ..known.clone()
    };
    let mut claimed = read(&[(&old, by_identity.clone())]);
    claimed.respell(&old, &new, "mug", 100);
    let moved = claimed.get(&new).expect("an entry");
    assert_eq!(
        (moved.hash.as_ref(), &moved.identities),
        (None, &by_identity.identities)
    );
    // What is there under the new spelling already is not overwritten by what is known of the old one.
    let mut both = read(&[(&old, known), (&new, entry("another hash", 9))]);
    both.respell(&old, &new, "mug", 100);
    assert_eq!(both.get(&new), Some(&entry("another hash", 9)));
}

/// The parent of a category is a category, and nothing that was announced of a model of the same code is of it.
#[test]
fn the_parent_of_a_category_is_a_category() {
    let (category, parent) = (
        Entity::new(Kind::Category, "cups"),
        Entity::new(Kind::Category, "kitchen"),
    );
    let model = Entity::new(Kind::ProductModel, "kitchen");
    let below = Entry {
        parent: Some(ShortDigest::of_code("kitchen")),
        ..entry("a", 1)
    };
    let above = Entry {
        remote: Remote::from([("id".to_owned(), "4".to_owned())]),
        ..entry("b", 1)
    };
    let namesake = Entry {
        was_announced: true,
        removed_s: Some(7),
        ..entry("c", 1)
    };
    let mut pages = read(&[(&category, below), (&parent, above), (&model, namesake)]);
    let (host, keys, directory) = (
        Memory::default(),
        Keyspace::new("main"),
        Directory::of(Order::Entities, 200, Vec::new()),
    );
    let remote = pages
        .remote_of_parent(&host, &keys, &directory, &category)
        .now_or_never();
    let remote = remote.expect("at once").expect("read");
    assert_eq!(
        remote.and_then(|remote| remote.get("id").cloned()).as_deref(),
        Some("4")
    );
    let went = pages
        .went_with_a_model(&host, &keys, &directory, &category)
        .now_or_never();
    assert_eq!(went, Some(Ok(false)));
}

/// A store of which a worker is killed at one of its writes. Other applications' keys are none of its business.
pub(crate) struct Killed {
    pub(crate) memory: Memory,
    /// How many writes it makes before it is killed.
    left: Cell<u32>,
}

impl Store for Killed {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.write()?;
        self.memory.set(key, value).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.write()?;
        self.memory.delete(key).await
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        self.memory.keys().await
    }

    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        self.memory.set_many(entries).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.memory.delete_many(keys).await
    }
}

impl Killed {
    fn write(&self) -> Result<(), StoreError> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(StoreError::Failed("killed".to_owned())),
        }
        Ok(())
    }
}

impl Clock for Killed {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }

    async fn sleep_ms(&self, _: u64) {}
}

pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing is waited for")
}

pub(crate) fn keys() -> Keyspace {
    Keyspace::new("main")
}

fn directory(host: &Killed, most: usize) -> Directory {
    let listing = at_once(host.keys()).expect("a listing");
    Directory::of(Order::Entities, most, Plan::of(&keys(), listing).index)
}

/// All entries of products, as a worker with a new listing reads them.
fn all(host: &Killed) -> BTreeMap<Segment, Entry> {
    let (directory, mut pages, mut all) = (directory(host, 200), Pages::default(), BTreeMap::new());
    for extent in directory.extents(Kind::Product, 0) {
        at_once(pages.read(host, &keys(), &directory, Kind::Product, extent.first)).expect("a page");
        for (_, segment, entry) in pages.entries(Kind::Product, extent.first) {
            assert!(
                all.insert(segment.clone(), entry.clone()).is_none(),
                "it stands on two pages"
            );
        }
    }
    all
}

/// Writes what a worker has pushed, as a batch does; gives its end.
fn push(host: &Killed, worker: &str, most: usize, pushed: &[(Entity, &str)]) -> Result<i64, StoreError> {
    let mut directory = directory(host, most);
    for place in directory.divided() {
        let (mut united, _) = at_once(Pages::united(host, &keys(), &directory, place))?;
        at_once(united.save(host, &keys(), &mut directory, &Segment::of(worker)))?;
    }
    let entities = pushed.iter().map(|(entity, _)| entity);
    let mut pages = at_once(Pages::load(host, &keys(), &directory, entities))?;
    for (entity, hash) in pushed {
        pages.set(entity, "a code", Some((*hash).to_owned()), 5);
    }
    at_once(pages.save(host, &keys(), &mut directory, &Segment::of(worker)))
}

/// Products of any distribution of UUIDs: by chance, or all of one moment as those of version 7 can be.
fn products(count: usize, of_one_moment: bool) -> Vec<Entity> {
    let uuid = |number: usize| {
        let mut random = fastrand::Rng::with_seed(number as u64);
        let uuid = match of_one_moment {
            true => 0x0190_0000_0000_7000_8000_u128 << 48 | number as u128,
            false => random.u128(..),
        };
        Entity::new(Kind::Product, &uuid::Uuid::from_u128(uuid).to_string())
    };
    (0..count).map(uuid).collect()
}

pub(crate) fn unlimited() -> Killed {
    Killed {
        memory: Memory::default(),
        left: Cell::new(u32::MAX),
    }
}

/// The lengths of all values in a store.
pub(crate) fn lengths(host: &Killed) -> Vec<usize> {
    host.memory.0.borrow().values().map(Vec::len).collect()
}

#[test]
fn pages_split_as_they_grow_whatever_the_uuids_are() {
    for of_one_moment in [false, true] {
        let (host, products) = (unlimited(), products(30_000, of_one_moment));
        for batch in products.chunks(100) {
            let pushed: Vec<(Entity, &str)> = batch.iter().map(|product| (product.clone(), "a")).collect();
            assert_eq!(push(&host, "worker", 200, &pushed), Ok(100));
        }
        assert_eq!(all(&host).len(), 30_000);
        let lengths = lengths(&host);
        assert!(lengths.iter().all(|length| *length < 20_000), "{lengths:?}");
        assert!(lengths.len() <= 30_000 / 100 + 128, "{} pages", lengths.len());
        let longest = host.memory.0.borrow().keys().map(String::len).max();
        assert!(longest < Some(90), "{longest:?}");
    }
}

/// A page of an older version, as large as it may be, and one whose entries are as large as they may be.
#[test]
fn a_page_of_a_million_products_splits_into_values_that_any_store_takes() {
    for (count, bytes, most, values) in [
        (0, 20, 200, 0),
        (1, 20, 200, 1),
        (200, 20, 200, 1),
        (201, 20, 200, 2),
        (8000, 20, 200, 54),
        (150, 5000, 200, 4),
    ] {
        let entry = |number: usize| (Segment::of(&number.to_string()), entry(&"h".repeat(bytes), 1));
        let page = Page {
            v: 1,
            entries: (0..count).map(entry).collect(),
        };
        let extent = Extent {
            first: 0,
            last: u128::MAX,
        };
        let written = page.values(Kind::ProductModel, extent, most);
        assert_eq!(written.len(), values, "{count} entries");
        let (mut first, mut read) = (0, BTreeMap::new());
        for (extent, value) in &written {
            assert!(value.len() <= VALUE_MAX && extent.first == first);
            first = extent.last.wrapping_add(1);
            for (segment, entry) in read_page("a key", value).expect("a page").entries {
                assert!(extent.contains(place_of(&Entity::of(Kind::ProductModel, &segment))));
                read.insert(segment, entry);
            }
        }
        assert_eq!((first, read), (0, page.entries));
    }
}

/// A product that is known by a UUID, and another one that is not, can have one place: they stay on one page.
#[test]
fn two_at_one_place_stay_on_one_page() {
    let uuid = |place: u128| Entity::new(Kind::Product, &uuid::Uuid::from_u128(place).to_string());
    let other = Entity::new(Kind::Product, "not a UUID");
    let mut entities: Vec<Entity> = (1..6).map(|more| uuid(place_of(&other) + more)).collect();
    entities.extend([uuid(place_of(&other)), other.clone()]);
    for most in 1..8 {
        let entries = entities
            .iter()
            .map(|entity| (entity.segment.clone(), entry("a", 1)))
            .collect();
        let page = Page { v: 1, entries };
        let values = page.values(Kind::Product, Extent::around(place_of(&other)), most);
        let count = values
            .iter()
            .map(|(_, value)| read_page("a key", value).expect("a page").entries.len());
        assert_eq!(count.sum::<usize>(), entities.len());
        for (extent, value) in values {
            assert!(extent.first <= extent.last);
            for segment in read_page("a key", &value).expect("a page").entries.keys() {
                assert!(extent.contains(place_of(&Entity::of(Kind::Product, segment))), "{most}");
            }
        }
    }
}

/// What is gone for long leaves no page behind.
#[test]
fn a_page_with_nothing_in_it_is_deleted() {
    let (host, product) = (unlimited(), products(1, false).remove(0));
    push(&host, "one", 200, &[(product.clone(), "a")]).expect("a page");
    let mut directory = directory(&host, 200);
    let mut pages = at_once(Pages::load(&host, &keys(), &directory, [&product])).expect("a page");
    pages.remove(&product, 1_000_000_000, true);
    at_once(pages.save(&host, &keys(), &mut directory, &Segment::of("two"))).expect("a write");
    assert_eq!((lengths(&host).len(), directory.divided()), (0, Vec::new()));
}

/// Wherever a worker is killed that splits a page, the next one finds every entry once, as it was pushed last.
#[test]
fn a_worker_that_is_killed_while_it_splits_a_page_loses_nothing() {
    let products = products(12, true);
    let pushed = |hash| -> Vec<(Entity, &str)> { products.iter().map(|product| (product.clone(), hash)).collect() };
    let mut writes = 0;
    loop {
        let host = unlimited();
        push(&host, "one", 20, &pushed("a")).expect("one page");
        host.left.set(writes);
        let end = push(&host, "two", 3, &pushed("b"));
        host.left.set(u32::MAX);
        let hashes: BTreeSet<Option<String>> = all(&host).into_values().map(|entry| entry.hash).collect();
        assert_eq!(all(&host).len(), products.len(), "after {writes} writes");
        assert!(hashes.len() <= 2 && hashes.iter().all(Option::is_some), "{hashes:?}");
        push(&host, "three", 3, &pushed("c")).expect("the next tick");
        assert!(all(&host).values().all(|entry| entry.hash.as_deref() == Some("c")));
        let places: Vec<PagePlace> = Plan::of(&keys(), at_once(host.keys()).expect("a listing")).index;
        assert!(
            places.iter().all(|(.., writer)| writer
                .as_ref()
                .is_some_and(|(worker, _)| *worker == Segment::of("three"))),
            "{places:?}"
        );
        writes += 1;
        if end.is_ok() {
            break;
        }
    }
    assert!(writes > 5, "a split is several writes");
}

/// One worker is paused while it holds a page that another one splits meanwhile; then it writes the page whole.
#[test]
fn a_worker_with_a_stale_directory_takes_nobodys_entry_back() {
    let (host, products) = (unlimited(), products(12, true));
    let pushed = |hash| -> Vec<(Entity, &str)> { products.iter().map(|product| (product.clone(), hash)).collect() };
    push(&host, "one", 20, &pushed("a")).expect("one page");
    let mut stale = directory(&host, 20);
    let mut pages = at_once(Pages::load(&host, &keys(), &stale, &products[..1])).expect("a page");
    push(&host, "another", 3, &pushed("b")).expect("the page is split");
    pages.set(&products[0], "a code", Some("late".to_owned()), 5);
    at_once(pages.save(&host, &keys(), &mut stale, &Segment::of("late"))).expect("a write");
    let found = all(&host);
    assert_eq!(found.len(), products.len());
    // Both have pushed the first one, and neither knew of the other.
    assert_eq!(found[&products[0].segment].hash, None);
    assert!(
        products[1..]
            .iter()
            .all(|product| found[&product.segment].hash.as_deref() == Some("b"))
    );
    let directory = directory(&host, 3);
    let [place] = directory.divided()[..] else {
        panic!("one page of several parts: {directory:?}");
    };
    let (_, unknown) = at_once(Pages::united(&host, &keys(), &directory, place)).expect("a page");
    assert_eq!(unknown.len(), 1);
}

/// A batch has read pages, and something else of the same tick writes them before the batch does, one of them in two.
#[test]
fn pages_that_were_written_meanwhile_are_read_again() {
    let (host, products) = (unlimited(), products(300, true));
    let pushed = |products: &[Entity], hash| -> Vec<(Entity, &str)> {
        products.iter().map(|product| (product.clone(), hash)).collect()
    };
    push(&host, "worker", 200, &pushed(&products[..150], "a")).expect("written");
    let worker = Segment::of("worker");
    let mut directory = directory(&host, 200);
    let load = |directory: &Directory| at_once(Pages::load(&host, &keys(), directory, &products)).expect("read");
    let (mut batch, mut other) = (load(&directory), load(&directory));
    for (product, hash) in pushed(&products[100..], "b") {
        other.set(&product, "a code", Some(hash.to_owned()), 6);
    }
    at_once(other.save(&host, &keys(), &mut directory, &worker)).expect("written");
    at_once(batch.read_again(&host, &keys(), &directory)).expect("read");
    for product in &products {
        batch.set(product, "a code", Some("c".to_owned()), 7);
    }
    at_once(batch.save(&host, &keys(), &mut directory, &worker)).expect("written");
    assert_eq!(directory.divided(), []);
    let pushes: Vec<u64> = all(&host).values().map(|entry| entry.pushes).collect();
    assert_eq!(pushes.len(), 300);
    let both = pushes.iter().filter(|pushes| **pushes == 3).count();
    assert_eq!(both, 50, "what both have pushed was pushed three times in all");
}
