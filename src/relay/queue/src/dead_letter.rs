//! Entities given up, with what a person needs to mend them.
//!
//! A dead letter ends with its entity's success or by a person's hand, and by nothing else. There may be any number of
//! them, so only the newest thousand keep their details.

use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::plan::Plan;
use model::entity::Kind;
use model::failure::{self, Failure};
use model::gathering::sort;
use model::time::CLOCKS_S;
use serde::{Deserialize, Serialize};
use serde_json::json;
use world::host::{self, Store, StoreError};

/// How many events a dead letter keeps, the newest.
pub const EVENTS_KEPT: usize = 5;

/// How much of each event it keeps, in bytes.
pub const EVENT_KEPT: usize = 4096;

/// How many dead letters keep their details, the newest.
const DETAILED: usize = 1000;

/// How many are thinned in one tick at most.
const THINNED_AT_ONCE: usize = 10;

/// The value of a dead letter's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Version of this format.
    pub v: u32,
    /// The entity's kind.
    pub kind: Kind,
    /// The entity's code.
    pub code: String,
    /// When it was given up, in seconds since the Unix epoch.
    pub failed_s: u64,
    /// What was wrong at last.
    pub reason: String,
    /// Every failed call, oldest first.
    pub failures: Vec<Failure>,
    /// The events that waited, as received, newest first.
    pub events: Vec<String>,
    /// What tells the refused push from all others: the hash of what was sent, or a digest of it and of what else counts.
    pub hash: Option<String>,
    /// Whether its details were dropped to make room.
    #[serde(default)]
    pub thinned: bool,
}

impl DeadLetter {
    /// The bytes in the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        json!(self).to_string().into_bytes()
    }

    /// Drops what takes room: the events, all failures but the last and the last one after which the destination may have
    /// the entity, and all of their requests, and of their answers that the reasons do not say.
    pub fn thin(&mut self) {
        self.events.clear();
        let last = self.failures.len();
        failure::thin(&mut self.failures, |at, _| at + 1 == last);
        for failure in &mut self.failures {
            (failure.answer, failure.request) = (None, None);
        }
        self.thinned = true;
    }
}

/// Thins the oldest dead letters beyond those that keep their details, a few at a time, behind the last one that was
/// thinned. Says which is the last now, by when it failed in seconds since the Unix epoch and by its key, if there was
/// any to thin. None is dropped.
pub async fn thin_oldest<H: Store>(
    host: &H,
    keys: &Keyspace,
    plan: &Plan,
    last: (u64, &str),
    now_s: u64,
) -> Result<Option<(u64, String)>, StoreError> {
    let next = to_thin(keys, plan, last, now_s);
    for (_, key) in &next {
        let letter: Option<DeadLetter> = host::read(host, key).await?;
        let Some(mut letter) = letter.filter(|letter| !letter.thinned) else {
            continue;
        };
        letter.thin();
        // The key is read once more: what a person discards meanwhile must not come back.
        if host.get(key).await?.is_some() {
            host.set(key, &letter.to_bytes()).await?;
        }
    }
    Ok(next.last().map(|(failed_s, key)| (*failed_s, (*key).clone())))
}

/// The next to be thinned, oldest first, with when they failed: those after the last one thinned, as far as there are
/// more than keep their details.
fn to_thin<'a>(keys: &Keyspace, plan: &'a Plan, last: (u64, &str), now_s: u64) -> Vec<(u64, &'a String)> {
    // A dead letter that failed ahead of now is of a clock that was wrong, and counts as old: the last one thinned must
    // not lie ahead of what fails from now on.
    let believed = |failed_s: u64| if failed_s <= now_s + CLOCKS_S { failed_s } else { 0 };
    let last = (believed(last.0), last.1);
    let mut found: Vec<(u64, &String)> = plan
        .dead_letters()
        .filter_map(|key| match keys.parse(key)? {
            Key::DeadLetter(letter) => Some((believed(letter.failed_s), key)),
            _ => None,
        })
        .collect();
    sort(&mut found, Ord::cmp);
    found.truncate(found.len().saturating_sub(DETAILED));
    let after = found.partition_point(|(failed_s, key)| (*failed_s, key.as_str()) <= last);
    found.into_iter().skip(after).take(THINNED_AT_ONCE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::DeadLetterKey;
    use futures_util::FutureExt;
    use model::entity::Entity;
    use world::testing::Memory;

    fn letter(code: &str, failed_s: u64) -> DeadLetter {
        let failure = Failure {
            at_s: failed_s,
            upstream: "destination".into(),
            class: model::failure::Class::Permanent,
            status: Some(422),
            reason: "no".to_owned(),
            answer: Some("no, and why".into()),
            request: None,
            tracking_id: None,
            tries: 1,
            unsettled: false,
            retry_after_s: None,
            may_have_made: false,
        };
        DeadLetter {
            v: 1,
            kind: Kind::Product,
            code: code.to_owned(),
            failed_s,
            reason: "no".to_owned(),
            failures: vec![failure; 3],
            events: vec!["an event".to_owned()],
            hash: None,
            thinned: false,
        }
    }

    #[test]
    fn thinning_drops_details_and_no_entity_and_brings_back_nothing() {
        let (store, keys, mut last) = (Memory::default(), Keyspace::new("main"), (0, String::new()));
        for n in 0..DETAILED as u64 + 4 {
            let (code, failed_s) = (format!("product-{n}"), 1_800_000_000 + n);
            let key = keys.encode(&Key::DeadLetter(DeadLetterKey::new(
                Entity::new(Kind::Product, &code),
                failed_s,
            )));
            store.0.borrow_mut().insert(key, letter(&code, failed_s).to_bytes());
        }
        let plan = Plan::of(&keys, store.0.borrow().keys().cloned());
        // One dead letter is cleared after the listing.
        let cleared = keys.encode(&Key::DeadLetter(DeadLetterKey::new(
            Entity::new(Kind::Product, "product-1"),
            1_800_000_001,
        )));
        store.0.borrow_mut().remove(&cleared);
        for expected in [true, false] {
            let thinned = thin_oldest(&store, &keys, &plan, (last.0, &last.1), 1_900_000_000).now_or_never();
            let thinned = thinned.expect("no wait").expect("a store");
            assert_eq!(thinned.is_some(), expected);
            last = thinned.unwrap_or(last);
        }
        assert_eq!(last.0, 1_800_000_003);
        let letters: Vec<DeadLetter> = store
            .0
            .borrow()
            .values()
            .filter_map(|value| serde_json::from_slice(value).ok())
            .collect();
        assert_eq!(letters.len(), DETAILED + 3);
        for letter in letters {
            let is_old = letter.failed_s <= 1_800_000_003;
            assert_eq!(
                (letter.thinned, letter.events.is_empty(), letter.failures.len()),
                (is_old, is_old, if is_old { 1 } else { 3 })
            );
        }
    }

    #[test]
    fn the_oldest_beyond_the_bound_are_thinned_in_turn_even_if_all_failed_at_once() {
        let keys = Keyspace::new("main");
        for spread in [0, 1] {
            let key = |n: u64| {
                let entity = Entity::new(Kind::Product, &format!("product-{n:05}"));
                keys.encode(&Key::DeadLetter(DeadLetterKey::new(entity, 1_800_000_000 + n * spread)))
            };
            let listing: Vec<String> = (0..DETAILED as u64 + 25).map(key).collect();
            let plan = Plan::of(&keys, listing.clone());
            let mut thinned: Vec<(u64, String)> = Vec::new();
            for expected in [10, 10, 5, 0] {
                let last = thinned.last().cloned().unwrap_or_default();
                let next = to_thin(&keys, &plan, (last.0, &last.1), 1_900_000_000);
                assert_eq!(next.len(), expected);
                thinned.extend(next.into_iter().map(|(failed_s, key)| (failed_s, key.clone())));
            }
            let thinned: Vec<String> = thinned.into_iter().map(|(_, key)| key).collect();
            assert_eq!(thinned, listing[..25]);
        }
    }

    #[test]
    fn letters_of_a_clock_that_was_ahead_do_not_keep_others_from_being_thinned() {
        let (keys, now_s) = (Keyspace::new("main"), 1_800_000_000);
        let key = |n: u64, failed_s: u64| {
            let entity = Entity::new(Kind::Product, &format!("product-{n:05}"));
            keys.encode(&Key::DeadLetter(DeadLetterKey::new(entity, failed_s)))
        };
        // A thousand and more a year ahead, then as many by a clock that is right.
        let ahead = (0..DETAILED as u64 + 10).map(|n| key(n, now_s + 31_536_000 + n));
        let right = (0..DETAILED as u64 + 10).map(|n| key(5000 + n, now_s + n));
        let plan = Plan::of(&keys, ahead.chain(right));
        let mut last = (now_s + 31_536_000, String::new());
        let mut thinned = 0;
        loop {
            let next = to_thin(&keys, &plan, (last.0, &last.1), now_s + 5000);
            let Some((failed_s, key)) = next.last() else { break };
            (thinned, last) = (thinned + next.len(), (*failed_s, (*key).clone()));
        }
        assert_eq!(thinned, DETAILED + 20);
    }
}
