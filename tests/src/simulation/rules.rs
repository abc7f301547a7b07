//! What must hold after a run.

use super::run::Run;
use http::Uri;
use simulator::compare::{Mapping, differences};

/// Checks the rules; says what does not hold.
pub(super) fn check(run: &Run) -> Vec<String> {
    let mut violations = run.shared.borrow().violations.clone();
    violations.extend(every_event_led_to_a_fetch(run));
    violations.extend(the_destination_equals_the_pim(run));
    violations.extend(nothing_was_deleted_without_reason(run));
    violations.extend(the_brake_was_kept(run));
    violations.extend(limits_were_kept(run));
    violations
}

/// An event, once acknowledged, leads to a fetch of its entity begun after that, or to a dead letter.
fn every_event_led_to_a_fetch(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    let fetches: Vec<(u64, String)> = shared
        .fetches
        .iter()
        .map(|(at_ms, body, target)| {
            let target = target.parse::<Uri>().map(|uri| uri.to_string()).unwrap_or_default();
            (
                *at_ms,
                format!("{} {}", percent_decoded(&target), String::from_utf8_lossy(body)),
            )
        })
        .collect();
    let is_fetched = |at_ms: u64, code: &str| {
        fetches
            .iter()
            .rev()
            .any(|(begun_ms, text)| *begun_ms >= at_ms && text.contains(code))
    };
    let acknowledged = run.acknowledged.borrow();
    let lost = acknowledged
        .iter()
        .filter(|event| !is_fetched(event.at_ms, &event.entity.key()) && !has_key_later(run, event.at_ms));
    lost.map(|event| {
        format!(
            "an event of {} acknowledged at {} led to no fetch",
            event.entity, event.at_ms
        )
    })
    .collect()
}

/// The last acknowledgements may name events that were processed between their write and their answer.
fn has_key_later(run: &Run, at_ms: u64) -> bool {
    // Between the write and the answer lie milliseconds; a fetch may begin in them.
    let shared = run.shared.borrow();
    shared
        .fetches
        .iter()
        .any(|(begun_ms, ..)| *begun_ms + 2000 >= at_ms && *begun_ms < at_ms)
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

fn the_destination_equals_the_pim(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
    let told = run.acknowledged.borrow();
    let found = differences(&shared.pim, &shared.destination, &Mapping::default());
    // What was never announced is not in the destination: only changes are pushed here.
    let is_told = |path: &str| run.is_reconciling() || told.iter().any(|event| path.ends_with(&event.entity.key()));
    let found = found.into_iter().filter(|difference| match difference {
        simulator::compare::Difference::Missing { path } => is_told(path),
        _ => true,
    });
    let waiting: Vec<String> = shared
        .store
        .keys()
        .filter(|key| !key.contains(".i."))
        .cloned()
        .collect();
    found
        .map(|difference| format!("{difference} (keys: {})", waiting.join(" ")))
        .collect()
}

/// A deletion at the destination needs an entity that the PIM has deleted.
fn nothing_was_deleted_without_reason(run: &Run) -> Vec<String> {
    let shared = run.shared.borrow();
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
    let wrong = deletes.filter(|request| !deleted.iter().any(|id| request.path.ends_with(id.as_str())));
    wrong
        .map(|request| format!("{} was deleted at {}", request.path, request.at_ms))
        .collect()
}

/// Deletions that nobody announced are few in a day, unless a person released the brake.
fn the_brake_was_kept(run: &Run) -> Vec<String> {
    const DAY_MS: u64 = 86_400_000;
    // The larger of five and 2% of what was ever there, by each of the workers that may not have seen the other's.
    const MOST: usize = 5 * 2;
    let shared = run.shared.borrow();
    let told = run.acknowledged.borrow();
    let mut unannounced: Vec<(u64, &str)> = Vec::new();
    for request in shared
        .destination
        .log
        .iter()
        .filter(|request| request.method == "DELETE")
    {
        let is_told = told
            .iter()
            .any(|event| event.is_deletion && request.path.ends_with(&simulator::encode_segment(&event.entity.key())));
        let is_first = !unannounced.iter().any(|(_, path)| *path == request.path);
        let is_released = run
            .released_ms
            .borrow()
            .iter()
            .any(|at_ms| (*at_ms..at_ms + DAY_MS / 12).contains(&request.at_ms));
        if !is_told && is_first && !is_released {
            unannounced.push((request.at_ms, &request.path));
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
    // A worker that is paused past its lease may make the calls of two; nothing else may.
    let workers = if shared.paused > 0 { 2 } else { 1 };
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
    if run.is_strict && shared.largest_ratio > 1.0 {
        violations.push(format!("retries took {:.2} of their budget", shared.largest_ratio));
    }
    violations
}
