//! What lies at a destination that calls products by their SKUs: under each SKU that somebody bears that product, and nothing
//! else but who must wait for a name that another one bears.

use super::{Told, index};
use crate::shaped::lookups;
use crate::simulation::deliver::entity_of;
use crate::simulation::host::Shared;
use crate::simulation::run::Run;
use queue::dead_letter::DeadLetter;
use queue::key::Key;
use queue::keyspace::Keyspace;
use shape::{Shaped, Upsert};
use std::collections::BTreeMap;

/// What the reason of a dead letter says where the entity is to be called as another one is.
const SHARED: &str = "two of the PIM's have one identity";

/// Where something differs, and the UUIDs or codes of those that it is of.
pub(super) struct Difference {
    pub(super) line: String,
    pub(super) of: Vec<String>,
}

/// Who bears a name, and what the destination is to have of it.
type Bearers = Vec<(String, Upsert)>;

/// Who bears which name in the PIM, by the path of what is called so.
fn bearers(run: &Run, shared: &Shared) -> BTreeMap<String, Bearers> {
    let lookups = lookups(&shared.pim.catalogue.structure);
    let mut bearers: BTreeMap<String, Bearers> = BTreeMap::new();
    for (id, body) in shared.pim.bodies(None) {
        let (kind, key) = (entity_of(&id).kind, id.key());
        if let Shaped::Wanted(upsert) = run.worker.shape.apply(kind, &key, &body, &lookups) {
            let path = format!("/{}/{}", kind.name(), simulator::encode_segment(&upsert.identity));
            bearers.entry(path).or_default().push((key, *upsert));
        }
    }
    bearers
}

/// What differs.
pub(super) fn differences(run: &Run) -> Vec<Difference> {
    let shared = run.shared.borrow();
    let told = Told::of(run);
    let bearers = bearers(run, &shared);
    let mut found = Vec::new();
    for (path, bearers) in &bearers {
        let stored = shared.destination.state.get(path);
        let lying = stored.map(|stored| (shared.key_at(path, stored), stored.body()));
        let told: Vec<&(String, Upsert)> = bearers.iter().filter(|(key, _)| told.is_of(key)).collect();
        let of_told = || told.iter().map(|(key, _)| key.clone());
        let mut differs = |line: String, of: Vec<String>| found.push(Difference { line, of });
        match lying {
            None if told.is_empty() => {}
            None => {
                let of: Vec<String> = of_told().collect();
                differs(format!("missing  {path} ({})", of.join(", ")), of);
            }
            Some((key, body)) => match bearers.iter().find(|(bearer, _)| *bearer == key) {
                Some((_, upsert)) if !is_equal(run, path, upsert, body) => {
                    differs(format!("unequal  {path} ({key})"), vec![key]);
                }
                Some(_) => {}
                None => {
                    let of: Vec<String> = of_told().chain([key.clone()]).collect();
                    differs(
                        format!("another  {path}: {key} lies there, and {} bears it", of.join(", ")),
                        of,
                    );
                }
            },
        }
    }
    found.extend(what_nobody_bears(&shared, &bearers));
    found
}

fn is_equal(run: &Run, path: &str, upsert: &Upsert, body: serde_json::Value) -> bool {
    let (kind, _) = index::parts(path);
    let mut held = upsert.clone();
    held.change.body = Some(body);
    run.worker.shape.hash(kind, &held) == run.worker.shape.hash(kind, upsert)
}

/// What lies under a name that nobody bears, but for whom waits for a name under which another one lies: that one lies as it
/// lay before, once.
fn what_nobody_bears(shared: &Shared, bearers: &BTreeMap<String, Bearers>) -> Vec<Difference> {
    let mut waiting = waiting(shared, bearers);
    let nobodys = shared
        .destination
        .state
        .iter()
        .filter(|(path, _)| !bearers.contains_key(*path));
    let nobodys = nobodys.map(|(path, stored)| (path, shared.key_at(path, stored)));
    let left = nobodys.filter(|(_, key)| waiting.remove(key).is_none());
    left.map(|(path, key)| Difference {
        line: format!("extra    {path} ({key})"),
        of: vec![key],
    })
    .collect()
}

/// Who bears a name under which another of its bearers lies, with that one.
fn waiting(shared: &Shared, bearers: &BTreeMap<String, Bearers>) -> BTreeMap<String, (String, String)> {
    let mut waiting = BTreeMap::new();
    for (path, bearers) in bearers {
        let lying = shared
            .destination
            .state
            .get(path)
            .map(|stored| shared.key_at(path, stored));
        let Some(first) = lying.filter(|lying| bearers.iter().any(|(key, _)| key == lying)) else {
            continue;
        };
        for (key, upsert) in bearers.iter().filter(|(key, _)| *key != first) {
            waiting.insert(key.clone(), (upsert.identity.clone(), first.clone()));
        }
    }
    waiting
}

fn letters(shared: &Shared) -> impl Iterator<Item = DeadLetter> {
    let keys = Keyspace::new("main");
    let letters = shared
        .store
        .iter()
        .filter(move |(key, _)| matches!(keys.parse(key), Some(Key::DeadLetter(_))));
    letters.filter_map(|(_, value)| serde_json::from_slice(value).ok())
}

/// Of several that bear one name one lies there, and each of the others is a dead letter whose reason names both.
pub(super) fn who_shares_a_name_is_told(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    if !shared.is_by_sku() {
        return Vec::new();
    }
    let told = Told::of(run);
    let waiting = waiting(&shared, &bearers(run, &shared));
    let is_said = |key: &String, name: &String, first: &String| {
        let names_both = |letter: &DeadLetter| {
            [SHARED, name, first].iter().all(|text| letter.reason.contains(*text)) && letter.code == *key
        };
        letters(&shared).any(|letter| names_both(&letter))
    };
    let silent = waiting
        .iter()
        .filter(|(key, (name, first))| told.is_of(key) && !is_said(key, name, first));
    silent
        .map(|(key, (name, first))| format!("nobody is told that {key} is to be called {name}, as {first} is"))
        .collect()
}

/// Who is given up for want of a name comes by itself once that is free: nobody waits for what nobody else bears, unless the
/// one that has it is given up itself.
pub(in crate::simulation) fn wait_for_nothing(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    if !shared.is_by_sku() {
        return Vec::new();
    }
    let bearers = bearers(run, &shared);
    let waiting = waiting(&shared, &bearers);
    // Who was deleted in the PIM without a word, and never sent, is no part of any walk: the letter is left to people.
    let is_there = |letter: &DeadLetter| {
        let mut bearers = bearers.values().flatten();
        bearers.any(|(key, _)| *key == letter.code)
    };
    let given_up: Vec<DeadLetter> = letters(&shared).collect();
    let is_of_one_given_up = |letter: &DeadLetter| {
        let mut others = given_up.iter().filter(|other| other.code != letter.code);
        others.any(|other| letter.reason.contains(other.code.as_str()))
    };
    let idle = given_up
        .iter()
        .filter(|letter| letter.reason.contains(SHARED) && is_there(letter) && !waiting.contains_key(&letter.code));
    let idle = idle.filter(|letter| !is_of_one_given_up(letter));
    idle.map(|letter| format!("{} waits for a name that is free: {}", letter.code, letter.reason))
        .collect()
}

/// What was deleted under a name was that of a product that is called so no more.
pub(super) fn nothing_was_deleted_under_anothers_name(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    // Two workers that both take the lease for their own let one name go each, the second after it was taken over.
    if shared.stale_leases > 0 {
        return Vec::new();
    }
    let has_left = |path: &str, product: &str| shared.names.has_left(path, product);
    let wrong = shared.names.deletions.iter();
    let wrong = wrong.filter(|deletion| !has_left(&deletion.path, &deletion.product));
    wrong
        .map(|deletion| {
            format!(
                "{} was deleted at {}, as that of {}",
                deletion.path, deletion.at_ms, deletion.product
            )
        })
        .collect()
}

/// When what was deleted, by the paths of a destination that calls products by their UUIDs.
pub(super) fn deletions(shared: &Shared) -> Vec<(u64, String)> {
    let of_products = shared.names.deletions.iter();
    let of_products = of_products.map(|deletion| (deletion.at_ms, format!("/products/{}", deletion.product)));
    let others = shared.destination.log.iter();
    let others = others.filter(|request| request.method == "DELETE" && !request.path.starts_with("/products/"));
    let mut deletions: Vec<(u64, String)> = of_products
        .chain(others.map(|request| (request.at_ms, request.path.clone())))
        .collect();
    deletions.sort();
    deletions
}
