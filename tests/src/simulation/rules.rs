//! What must hold after a run.

mod bearers;
mod equality;
mod index;
pub mod keys;

use super::run::Run;
use super::shared::Shared;
pub(super) use bearers::wait_for_nothing;
pub(super) use equality::healthy_differences;
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Checks the rules; says what does not hold. What was broken while the world went on ended it: nothing can be said of the
/// rest.
pub(super) fn check(run: &Run, random: &mut Rng) -> Vec<String> {
    let mut violations = run.shared.borrow().violations.clone();
    if !violations.is_empty() {
        return violations;
    }
    violations.extend(every_event_led_to_a_fetch(run));
    violations.extend(equality::the_destination_equals_the_pim(run));
    violations.extend(bearers::who_shares_a_name_is_told(run));
    violations.extend(index::index_and_destination_tell_the_same(run, random));
    violations.extend(keys::no_idempotency_key_comes_back(run));
    violations.extend(nothing_is_there_twice(run));
    violations.extend(the_shop_was_told_the_truth(run));
    violations.extend(variants_know_their_models(run));
    violations.extend(nothing_was_deleted_without_reason(run));
    violations.extend(the_brake_was_kept(run));
    violations.extend(limits_were_kept(run));
    violations
}

/// Of what the relay was told: what was never announced is not at the destination, where nothing reconciles.
struct Told {
    keys: BTreeSet<String>,
    is_all: bool,
}

impl Told {
    fn of(run: &Run) -> Told {
        let told = run.acknowledged.borrow();
        Told {
            keys: told.iter().map(|event| event.entity.key()).collect(),
            is_all: run.is_reconciling(),
        }
    }

    fn is_of(&self, key: &str) -> bool {
        self.is_all || self.keys.contains(key)
    }
}

/// An event, once acknowledged, leads to a fetch of its entity begun after that: to a call that names it.
fn every_event_led_to_a_fetch(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    let acknowledged = run.acknowledged.borrow();
    // When each entity was last asked for; of most the last calls tell.
    let mut last_ms: BTreeMap<String, u64> = BTreeMap::new();
    let mut wanted: Vec<String> = acknowledged.iter().map(|event| event.entity.key()).collect();
    wanted.sort();
    wanted.dedup();
    for (begun_ms, body, target) in shared.fetches.iter().rev() {
        if wanted.is_empty() {
            break;
        }
        let text = format!("{} {}", percent_decoded(target), String::from_utf8_lossy(body));
        let named = wanted.extract_if(.., |code| text.contains(code.as_str()));
        last_ms.extend(named.map(|code| (code, *begun_ms)));
    }
    let is_fetched = |at_ms: u64, code: &str| last_ms.get(code).is_some_and(|begun_ms| *begun_ms >= at_ms);
    let lost = acknowledged
        .iter()
        .filter(|event| !is_fetched(event.at_ms, &event.entity.key()));
    lost.map(|event| {
        format!(
            "an event of {} acknowledged at {} led to no fetch",
            event.entity, event.at_ms
        )
    })
    .collect()
}

pub(super) fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// Whether the entity at a path was deleted in the PIM, and the destination keeps what the PIM has no more.
fn stays(run: &Run, shared: &Shared, path: &str) -> bool {
    let path = percent_decoded(path.trim());
    shared.keeps_all() && run.deleted.borrow().iter().any(|entity| path.ends_with(&entity.key()))
}

/// A deletion at the destination needs an entity that the PIM has deleted.
fn nothing_was_deleted_without_reason(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    let mut wrong_names = Vec::new();
    if shared.is_by_sku() {
        wrong_names = bearers::nothing_was_deleted_under_anothers_name(run);
    }
    let deleted: Vec<String> = run
        .deleted
        .borrow()
        .iter()
        .map(|entity| simulator::encode_segment(&entity.key()))
        .collect();
    let deletes = shared
        .destination
        .log
        .iter()
        .filter(|request| request.method == "DELETE");
    let is_by_name = |path: &str| shared.is_by_sku() && path.starts_with("/products/");
    let keeps_all = shared.keeps_all();
    let is_gone = |path: &str| deleted.iter().any(|id| path.ends_with(id.as_str()));
    let wrong = deletes.filter(|request| keeps_all || !is_gone(&request.path));
    let wrong = wrong.filter(|request| !is_by_name(&request.path));
    let wrong = wrong.map(|request| format!("{} was deleted at {}", request.path, request.at_ms));
    wrong.chain(wrong_names).collect()
}

/// A shop that would make a second one of what it has was never asked to.
fn nothing_is_there_twice(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    // Who does not see what was kept a moment ago cannot know that it is there.
    let shop = shared.destination.shop.as_ref().filter(|_| shared.read_stale == 0);
    let doubled = shop.into_iter().flat_map(|shop| &shop.doubled);
    let doubled = doubled.filter(|path| !shared.held_up.contains(path));
    doubled.map(|path| format!("{path} was made a second time")).collect()
}

/// What a shop is told of models and of what is to go is so.
fn the_shop_was_told_the_truth(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    let shop = shared.destination.shop.iter();
    shop.flat_map(|shop| shop.mistold.clone()).collect()
}

/// Where products name their models by what the shop calls these, each that the PIM has names the one that is there.
fn variants_know_their_models(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    let names_parents = shared
        .nature
        .protocol
        .as_ref()
        .is_some_and(|protocol| protocol.names_parents);
    let shop = shared.destination.shop.as_ref().filter(|_| names_parents);
    // What the PIM has deleted may stay at the destination, as it was told last.
    let held: BTreeSet<String> = shared.pim.bodies(None).map(|(id, _)| id.key()).collect();
    let state = shared.destination.state.iter();
    let state = state.filter(|(path, stored)| held.contains(&shared.key_at(path, stored)));
    let state = state.map(|(path, stored)| (path, stored.body()));
    shop.map(|shop| shop.orphans(state)).unwrap_or_default()
}

/// Deletions that nobody announced are few in a day, unless a person released the brake.
fn the_brake_was_kept(run: &Run) -> Vec<String> {
    const DAY_MS: u64 = 86_400_000;
    // The larger of five and 2% of what was ever there, by each of the workers that may not have seen the other's.
    const MOST: usize = 5 * 2;
    let shared = run.shared.borrow();
    let told = run.acknowledged.borrow();
    let deletions: Vec<(u64, String)> = if shared.is_by_sku() {
        bearers::deletions(&shared)
    } else {
        let deletions = shared.destination.log.iter();
        let deletions = deletions.filter(|request| request.method == "DELETE");
        deletions.map(|request| (request.at_ms, request.path.clone())).collect()
    };
    let mut unannounced: Vec<(u64, &str)> = Vec::new();
    for (at_ms, path) in &deletions {
        let is_told = told
            .iter()
            .any(|event| event.is_deletion && path.ends_with(&simulator::encode_segment(&event.entity.key())));
        let is_first = !unannounced.iter().any(|(_, known)| known == path);
        let is_released = run
            .released_ms
            .borrow()
            .iter()
            .any(|released_ms| (*released_ms..released_ms + DAY_MS / 12).contains(at_ms));
        if !is_told && is_first && !is_released {
            unannounced.push((*at_ms, path));
        }
    }
    let broken = unannounced
        .windows(MOST + 1)
        .find(|window| window[MOST].0 - window[0].0 < DAY_MS);
    broken
        .map(|window| format!("deleted unannounced, past the brake: {window:?}"))
        .into_iter()
        .collect()
}

fn limits_were_kept(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    // A worker that stands still past its lease may make the calls of two, and so may one whose lease is overwritten by
    // an older write that lands late; where clocks are far apart, or a lease is not read as it is, each host may have one.
    // Nothing else may.
    let disturbed = shared.is_disturbed();
    let workers = match shared.has_far_clocks || shared.read_stale > 0 {
        true => run.hosts.max(1) + usize::from(disturbed),
        false if disturbed => 2,
        false => 1,
    };
    let (pim, destination) = (shared.pim.meter.seen(), shared.destination.meter.seen());
    let mut violations = Vec::new();
    if pim.max_at_once > 4 * workers || pim.max_per_second > 100 * workers {
        violations.push(format!(
            "the PIM saw {} calls at once and {} in a second",
            pim.max_at_once, pim.max_per_second
        ));
    }
    if destination.max_at_once > 5 * workers {
        violations.push(format!("the destination saw {} calls at once", destination.max_at_once));
    }
    if run.is_strict && shared.read_stale == 0 && shared.largest_ratio > 1.0 {
        violations.push(format!("retries took {:.2} of their budget", shared.largest_ratio));
    }
    violations
}
