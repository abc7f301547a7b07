//! The fuzzer's targets on any machine: what they begin with, and what thousands of edits make of that. `cargo xtask fuzz`
//! goes on for as long as it may.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use targets::{TARGETS, Target};
use tests::corpus;

/// What may be written into the midst of anything.
const PIECES: [&[u8]; 12] = [
    b"\"",
    b"\\u",
    b"{\"a\":",
    b"[",
    b"]}",
    b",",
    b"\xf0\x9f",
    b"\n",
    b"1e999",
    b"\\ud83d",
    b"null",
    b"\0",
];

/// A change of some bytes, at a place that is told by a number.
#[derive(Debug, Clone)]
enum Edit {
    Set(u8),
    Cut(Index),
    Write(Index),
    Take(Index, Index),
}

fn edit() -> impl Strategy<Value = (Index, Edit)> {
    let edit = prop_oneof![
        any::<u8>().prop_map(Edit::Set),
        any::<Index>().prop_map(Edit::Cut),
        any::<Index>().prop_map(Edit::Write),
        any::<(Index, Index)>().prop_map(|(from, length)| Edit::Take(from, length)),
    ];
    (any::<Index>(), edit)
}

fn apply(bytes: &mut Vec<u8>, at: Index, edit: Edit) {
    let place = at.index(bytes.len() + 1);
    match edit {
        Edit::Set(byte) => bytes.iter_mut().skip(place).take(1).for_each(|known| *known = byte),
        Edit::Cut(length) => drop(bytes.drain(place..place + length.index(bytes.len() - place + 1))),
        Edit::Write(which) => drop(bytes.splice(place..place, which.get(&PIECES).iter().copied())),
        Edit::Take(from, length) => {
            let from = from.index(bytes.len() + 1);
            let taken = bytes[from..from + length.index((bytes.len() - from).min(64) + 1)].to_vec();
            bytes.splice(place..place, taken);
        }
    }
}

/// Gives a target what it begins with, and what edits make of that. A target that fails panics, and the edits are told.
fn holds(name: &str) {
    let target: Target = TARGETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let seeds = corpus::of(name);
    assert!(!seeds.is_empty(), "nothing to begin with");
    seeds.iter().for_each(|seed| target(seed));
    let changed = (any::<Index>(), vec(edit(), 1..8), vec(any::<u8>(), 0..64));
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(8192)
    };
    proptest!(config, |((seed, edits, other) in changed)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        edits.into_iter().for_each(|(at, edit)| apply(&mut bytes, at, edit));
        target(&bytes);
        target(&other);
    });
}

#[test]
fn deliveries() {
    holds("deliveries");
}

#[test]
fn notifications() {
    holds("notifications");
}

#[test]
fn signatures() {
    holds("signatures");
}

#[test]
fn pages() {
    holds("pages");
}

#[test]
fn items() {
    holds("items");
}

#[test]
fn answers() {
    holds("answers");
}

#[test]
fn dates() {
    holds("dates");
}

#[test]
fn waits() {
    holds("waits");
}

#[test]
fn keys() {
    holds("keys");
}

#[test]
fn shapes() {
    holds("shapes");
}

#[test]
fn texts() {
    holds("texts");
}

#[test]
fn every_target_is_here() {
    for (name, _) in TARGETS {
        assert!(
            include_str!("main.rs").contains(&format!("holds(\"{name}\")")),
            "{name}"
        );
        let file = tests::application::root().join(format!("fuzz/targets/{name}.rs"));
        assert!(file.exists(), "{name} has no {}", file.display());
    }
}
