//! What lies at the destination is what the PIM has.

use super::{Told, bearers};
use crate::shaped;
use crate::simulation::host::Shared;
use crate::simulation::run::Run;
use model::entity::Segment;
use queue::key::Key;
use queue::keyspace::Keyspace;
use serde_json::Value;
use simulator::catalogue::EntityId;
use simulator::compare::{Mapping, differences};
use std::collections::BTreeSet;

/// Where the destination differs, but for what it was never told of.
fn all_differences(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    if shared.is_by_sku() {
        let found = bearers::differences(run);
        return found.into_iter().map(|difference| difference.line).collect();
    }
    let shape = &run.worker.shape;
    let found: Vec<String> = if shape.is_identity() {
        let found = differences(&shared.pim, &shared.destination, &Mapping::default());
        found.iter().map(ToString::to_string).collect()
    } else {
        shaped::differences(&shared.pim, &shared.destination, shape)
    };
    let told = Told::of(run);
    // What was never announced is not in the destination: only changes are pushed where nothing reconciles.
    let is_told = |line: &str| {
        let path = super::percent_decoded(line);
        told.is_all || told.keys.iter().any(|code| path.ends_with(code.as_str()))
    };
    found
        .into_iter()
        .filter(|line| !line.contains("/categories/") && (!line.starts_with("missing") || is_told(line)))
        .filter(|line| !is_nobodys(&shared, line))
        .filter(|line| !line.starts_with("extra") || !super::stays(run, &shared, line))
        .collect()
}

/// Whether something stayed at a destination where nothing can be looked up: it gave an id, no answer with it came, and the
/// PIM deleted the entity before it was asked again. What the index knows the id of has to go.
fn is_nobodys(shared: &Shared, line: &str) -> bool {
    let is_blind = shared
        .nature
        .protocol
        .as_ref()
        .is_some_and(|protocol| protocol.is_blind());
    let Some(path) = line.strip_prefix("extra").map(str::trim).filter(|_| is_blind) else {
        return false;
    };
    let id = super::percent_decoded(path.rsplit('/').next().unwrap_or_default());
    let segment = Segment::of(&id);
    let pages = shared.store.iter().filter(|(key, _)| key.starts_with("r1.main.i."));
    let mut pages = pages.filter_map(|(_, page)| serde_json::from_slice::<Value>(page).ok());
    let is_known = |entry: &Value| entry["g"].is_null() && !entry["r"]["id"].is_null();
    !pages.any(|page| page["entries"].get(segment.as_str()).is_some_and(is_known))
}

/// In the end nothing differs.
pub(super) fn the_destination_equals_the_pim(run: &Run) -> Vec<String> {
    let found = all_differences(run);
    let shared = run.shared.borrow();
    let waiting = shared.store.keys().filter(|key| !key.contains(".i."));
    let waiting: Vec<&str> = waiting.take(40).map(String::as_str).collect();
    found
        .into_iter()
        .map(|difference| format!("{difference} (keys: {})", waiting.join(" ")))
        .collect()
}

/// Where it differs of entities that do not fail alone, and were not given up.
pub(in crate::simulation) fn healthy_differences(run: &Run) -> Vec<String> {
    if run.shared.borrow().is_by_sku() {
        return healthy_differences_by_sku(run);
    }
    let mut found = all_differences(run);
    if found.is_empty() {
        return found;
    }
    let ill: Vec<String> = ill(run).iter().map(EntityId::key).collect();
    found.retain(|line| {
        let path = super::percent_decoded(line);
        let path = path.split(": ").next().unwrap_or_default();
        !ill.iter().any(|code| path.ends_with(code.as_str()))
    });
    found
}

/// The same where a difference is of several: who has a name, and who is to have it.
fn healthy_differences_by_sku(run: &Run) -> Vec<String> {
    let found = bearers::differences(run);
    if found.is_empty() {
        return Vec::new();
    }
    let ill: Vec<String> = ill(run).iter().map(EntityId::key).collect();
    let healthy = found
        .into_iter()
        .filter(|difference| !difference.of.iter().any(|key| ill.contains(key)));
    healthy.map(|difference| difference.line).collect()
}

/// The entities that fail, and those that cannot be known of because of them: what inherits from a model that cannot be
/// read, or whose list cannot.
fn ill(run: &Run) -> BTreeSet<EntityId> {
    let shared = run.shared.borrow();
    let (keys, truth) = (Keyspace::new("main"), shared.pim.catalogue.truth());
    let mut ill = BTreeSet::new();
    for lone in &shared.lone {
        ill.insert(lone.id.clone());
        let Some(entity) = truth.get(&lone.id).filter(|_| lone.is_of_pim()) else {
            continue;
        };
        let family = truth.ancestors(entity).into_iter().chain([entity]);
        for model in family.filter(|entity| !entity.id.is_product()) {
            ill.insert(model.id.clone());
            ill.extend(truth.sub_models(model.code()).iter().map(|model| model.id.clone()));
            ill.extend(truth.descendants(model.code()).iter().map(|product| product.id.clone()));
        }
    }
    let given_up = shared.store.keys().filter_map(|key| match keys.parse(key) {
        Some(Key::DeadLetter(letter)) => Some(letter.entity),
        _ => None,
    });
    let given_up: BTreeSet<_> = given_up.collect();
    let is_ill = |id: &EntityId| {
        let name = shared.names.of_product(&id.key()).map(str::to_owned);
        let end = format!("/{}", simulator::encode_segment(&name.unwrap_or(id.key())));
        given_up.contains(&crate::simulation::deliver::entity_of(id))
            || shared.destination.rejections.contains_key(&end)
    };
    ill.extend(truth.entities().map(|entity| entity.id.clone()).filter(is_ill));
    ill
}
