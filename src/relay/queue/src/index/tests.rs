//! Pages of the index, as one worker writes them and as several do.
//!
//! Entries come to the same in whatever order they are merged, nothing that may lie at the destination is forgotten,
//! and pages of any size are written in parts that every store takes.

use super::page::PART_MAX;
use super::*;
use crate::memory::Memory;
use futures_util::FutureExt;
use proptest::prelude::*;

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
    let place = (entity.kind, page_of(&entity));
    let (mut late, mut other) = (Pages::default(), Pages::default());
    late.set(&entity, "a model", Some("a".to_owned()), 5);
    other.remove(&entity, 6, false);
    let mut page = late.pages.remove(&place).expect("a page");
    let removed = other.pages.remove(&place).expect("a page");
    let mut united = Pages::default();
    united.merge(entity.kind, &mut page, removed);
    assert_eq!(united.unknown, [(entity.clone(), None)]);
    // Once the entity was deleted again, that deletion counts.
    united.pages.insert(place, page);
    united.remove(&entity, 7, false);
    let mut page = united.pages.remove(&place).expect("a page");
    late.set(&entity, "a model", Some("a".to_owned()), 5);
    united.merge(entity.kind, &mut page, late.pages.remove(&place).expect("a page"));
    united.pages.insert(place, page);
    assert_eq!(united.get(&entity), None);
}

#[test]
fn a_page_of_a_million_products_lies_in_parts_that_any_store_takes() {
    for (count, parts) in [(0, 1), (1, 1), (2500, 1), (8000, 4), (30_000, 13)] {
        let entry = |number: u32| {
            let entry = Entry {
                hash: Some(format!("{number:022}")),
                updated_s: 1_800_000_000,
                parent: Some(ShortDigest::of_code("a model")),
                pushes: u64::from(number),
                ..Entry::default()
            };
            (Segment::of(&format!("{number:022}")), entry)
        };
        let entries: BTreeMap<Segment, Entry> = (0..count).map(entry).collect();
        let page = Page { v: 1, entries };
        let written = page.parts();
        assert_eq!(written.len(), parts, "{count} entries");
        assert!(written.iter().all(|part| part.len() <= PART_MAX));
        let mut read = Page::default();
        for part in &written {
            read.entries.extend(read_page("a key", part).expect("a page").entries);
        }
        assert_eq!(read.entries, page.entries);
    }
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
        let page = pages.pages.entry((entity.kind, page_of(entity))).or_default();
        page.entries.insert(entity.segment.clone(), entry.clone());
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
    pages.pages.entry((new.kind, page_of(&new))).or_default();
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
    claimed.pages.entry((new.kind, page_of(&new))).or_default();
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
    let (host, keys, directory) = (Memory::default(), Keyspace::new("main"), Directory::default());
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
