//! Reads the entities of a batch in the PIM: by list, and by id whatever a list cannot be trusted with.
//!
//! Lists may come from a search index that lags behind (contract 4.1; 6, trap 11). So an entity that a list lacks or
//! shows older than its events say, or whose deletion was announced, is read by id, and only that reading says that it
//! is gone. A list that fails for several entities costs none of them an attempt: it is halved until the entity at
//! fault, if one is, stands alone. An entity for which no call was made is left without an answer.

use crate::ahead::Ahead;
use crate::item::{Answer, Asked};
use akeneo::pim::Read;
use desk::tools::Upstreams;
use futures_util::{StreamExt, stream};
use index::pages::Pages;
use model::entity::{BATCH_MAX, Kind, is_same, updated_s};
use model::failure::{Class, Failure};
use model::json;
use queue::waiting::Waiting;
use serde_json::Value;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use world::host::Host;

const _: () = assert!(BATCH_MAX <= 100, "Akeneo gives a hundred in a page");

/// How many lists of several entities may fail in a row until one that fails is no longer halved, but put off: it may
/// be the PIM that is down, and the next batch is smaller. Refusals and answers that are too large do not count.
const IN_A_ROW: u32 = 4;

/// How much memory the entities of a batch may take together, in bytes. Those that were not read by then wait for another
/// batch.
const HELD_MAX: usize = 128 << 20;

/// How much memory the entities take that were found, in bytes.
fn held(items: &[Asked]) -> usize {
    let found = items.iter().filter_map(|item| match &item.answer {
        Answer::Found(entity) => Some(json::size(entity)),
        _ => None,
    });
    found.sum()
}

/// Reads every entity of a batch: by list, of which the first may have been read ahead, and by id what the list cannot be
/// trusted with.
pub(super) async fn fetch<H: Host>(
    upstreams: &mut Upstreams<'_, H>,
    kind: Kind,
    items: &mut [Asked],
    ahead: Option<Ahead>,
) {
    let ahead = ahead.filter(|ahead| ahead.is_of(kind, items.iter().map(|item| item.code.as_str())));
    let mut ahead = ahead.map(|ahead| {
        items.iter_mut().for_each(|item| item.read_s = ahead.begun_s);
        ahead.found
    });
    // A list that fails as a whole is halved until the culprit stands alone, breadth first: as long as one half of each
    // two comes through, the failure is the other half's fault and not the upstream's.
    let everything = 0..items.len();
    let mut ranges = VecDeque::from([everything]);
    let mut by_id = Vec::new();
    let mut in_a_row = 0;
    while let Some(range) = ranges.pop_front() {
        if range.is_empty() {
            continue;
        }
        let middle = range.start + range.len() / 2;
        let codes: Vec<&str> = items[range.clone()].iter().map(|item| item.code.as_str()).collect();
        if upstreams.pim.is_too_long(kind, &codes) {
            ranges.extend([range.start..middle, middle..range.end]);
            continue;
        }
        let attempts = items[range.start].waiting.attempts();
        let listed = match ahead.take() {
            Some(listed) => listed,
            None => upstreams.pim.list(kind, &codes, attempts).await,
        };
        match listed {
            Ok(found) => {
                in_a_row = 0;
                by_id.extend(sort_out(kind, items, range, found));
                if held(items) > HELD_MAX {
                    break;
                }
            }
            // The failure costs nobody an attempt: asking for fewer tells which of the entities is at fault, if one is.
            // Those that are not asked for again are put off.
            Err(failure) if range.len() > 1 => {
                in_a_row += u32::from(!matches!(failure.class, Class::Permanent | Class::TooLarge));
                if failure.may_be_of_one() && in_a_row < IN_A_ROW {
                    ranges.extend([range.start..middle, middle..range.end]);
                }
            }
            Err(failure) => {
                if failure.is_for_size() {
                    by_id.push(range.start);
                }
                items[range.start].fail(failure);
            }
        }
    }
    read_by_id(upstreams, kind, items, by_id).await;
}

/// Gives what a list brought to the items that it was asked for; says which of these must be read by id.
fn sort_out(kind: Kind, items: &mut [Asked], range: Range<usize>, found: Vec<Value>) -> Vec<usize> {
    for item in &mut items[range.clone()] {
        item.is_listed = Some(false);
    }
    for entity in found {
        let Some(code) = kind.id_in(&entity) else { continue };
        // An item of exactly this code comes first, since two that wait may differ in letter case alone.
        let exactly = range.clone().find(|at| items[*at].code == code);
        let at = exactly.or_else(|| range.clone().find(|at| is_same(&items[*at].code, &code)));
        if let Some(at) = at {
            items[at].is_listed = Some(true);
            items[at].respell(code);
            items[at].answer = Answer::Found(entity);
        }
    }
    range.filter(|at| !is_fresh(&items[*at])).collect()
}

/// Makes one item of those that wait for the same entity under several spellings of its code, and moves the entry of
/// the index to the PIM's spelling. What the destination has under another spelling is not deleted: the destination,
/// too, may take both for one.
pub(super) fn unite_spellings(items: &mut [Asked], pages: &mut Pages) {
    for at in 0..items.len() {
        let Some(other) = items[at].other_spelling.clone() else {
            continue;
        };
        let entity = items[at].waiting.entity.clone();
        pages.respell(&other, &entity, &items[at].code, items[at].read_s);
        let twin = (0..items.len()).find(|twin| *twin != at && items[*twin].waiting.entity == entity);
        if let Some(twin) = twin {
            let waiting = std::mem::replace(&mut items[at].waiting, Waiting::of_nothing(entity));
            let answer = std::mem::replace(&mut items[at].answer, Answer::Needless);
            items[at].other_spelling = None;
            items[twin].waiting.join(waiting);
            // An answer by id counts before the twin's, which may come from a search index that lags behind what waited
            // under this spelling.
            if items[at].by_id && matches!(answer, Answer::Found(_)) {
                (items[twin].answer, items[twin].by_id) = (answer, true);
            }
        }
    }
}

/// Whether what a list gave reflects all events of an item, as far as `updated` tells. The search index lags, and an
/// entity whose deletion was announced may still stand in it.
fn is_fresh(item: &Asked) -> bool {
    let Answer::Found(entity) = &item.answer else {
        return false;
    };
    let is_old = item
        .waiting
        .oldest_updated_s()
        .is_some_and(|oldest_s| updated_s(entity) < oldest_s);
    !is_old && !item.waiting.is_deletion_announced()
}

/// Reads some items by id, as long as the batch may hold more. What a list gave of these counts no more, whether or not
/// they are read.
async fn read_by_id<H: Host>(upstreams: &Upstreams<'_, H>, kind: Kind, items: &mut [Asked], by_id: Vec<usize>) {
    // As a rule there are none, and what all the others take need not be known.
    if by_id.is_empty() {
        return;
    }
    for at in &by_id {
        if matches!(items[*at].answer, Answer::Found(_)) {
            items[*at].answer = Answer::None;
        }
    }
    let reads: Vec<(usize, Option<Result<Read, Failure>>)> = {
        let (items, held) = (&*items, &Cell::new(held(items)));
        let read = |at: usize| async move {
            if held.get() > HELD_MAX {
                return (at, None);
            }
            let (item, name) = (&items[at], items[at].name());
            let read = upstreams
                .pim
                .by_id(kind, &item.code, &name, item.waiting.attempts())
                .await;
            if let Ok(Read::Found(entity)) = &read {
                held.set(held.get() + json::size(entity));
            }
            (at, Some(read))
        };
        stream::iter(by_id)
            .map(read)
            .buffer_unordered(upstreams.pim_at_once)
            .collect()
            .await
    };
    for (at, read) in reads {
        let Some(read) = read else {
            items[at].answer = Answer::None;
            continue;
        };
        items[at].by_id = true;
        match read {
            Ok(Read::Found(entity)) => {
                if let Some(code) = kind.id_in(&entity) {
                    items[at].respell(code);
                }
                items[at].answer = Answer::Found(entity);
            }
            Ok(Read::Gone) => items[at].answer = Answer::Gone { with_a_model: false },
            // The list for this entity alone was the one call that an open breaker lets through, and it failed. That
            // stays the entity's failure, or the entity would be the next probe, too, and the one after that.
            Err(failure) if failure.class == Class::NotCalled && matches!(items[at].answer, Answer::Failed(_)) => {}
            Err(failure) => items[at].fail(failure),
        }
    }
}

/// Reads by id what the relay's own index denies. An entity that is older than what was pushed before comes from a
/// search index that lags. So may one that is newer, where an event names just what was pushed and none what is listed:
/// the PIM's clock may have been put back since. And so may one that the relay's index does not have while a recheck waits for it, since it may
/// have been deleted a moment ago.
pub(super) async fn reread_what_the_index_denies<H: Host>(
    upstreams: &Upstreams<'_, H>,
    kind: Kind,
    items: &mut [Asked],
    pages: &Pages,
) {
    let is_denied = |item: &Asked| match (&item.answer, pages.get(&item.waiting.entity)) {
        (Answer::Found(entity), Some(entry)) => {
            let (listed_s, pushed_s) = (updated_s(entity), entry.updated_s);
            let names = |updated_s| item.waiting.names(updated_s);
            listed_s < pushed_s || (listed_s > pushed_s && names(pushed_s) && !names(listed_s))
        }
        (Answer::Found(_), None) => item.waiting.has_recheck(),
        _ => false,
    };
    let denied = (0..items.len()).filter(|at| !items[*at].by_id && is_denied(&items[*at]));
    let denied = denied.collect();
    read_by_id(upstreams, kind, items, denied).await;
}
