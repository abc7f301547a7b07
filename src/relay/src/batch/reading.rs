//! Reading a batch: by list, and by id what a list cannot be trusted with.

use super::{Item, Stage};
use crate::entity::{Kind, is_same};
use crate::failure::{Class, Failure};
use crate::host::Host;
use crate::index::Pages;
use crate::pim::Read;
use crate::plan::{BATCH_MAX, Waiting};
use crate::session::Session;
use crate::time;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::ops::Range;

const _: () = assert!(BATCH_MAX <= 100, "Akeneo gives a hundred in a page");

/// Reads every entity: by list, and by id what the list cannot be trusted with.
pub(super) async fn fetch<H: Host>(session: &Session<'_, H>, kind: Kind, items: &mut [Item]) {
    // A batch that is refused whole is halved until the culprit stands alone.
    let everything = 0..items.len();
    let mut ranges = vec![everything];
    let mut by_id = Vec::new();
    while let Some(range) = ranges.pop() {
        if range.is_empty() {
            continue;
        }
        let middle = range.start + range.len() / 2;
        let codes: Vec<&str> = items[range.clone()].iter().map(|item| item.code.as_str()).collect();
        if session.pim.is_too_long(kind, &codes) {
            ranges.extend([range.start..middle, middle..range.end]);
            continue;
        }
        let attempts = items[range.start].waiting.attempts();
        match session.pim.list(kind, &codes, attempts).await {
            Ok(found) => by_id.extend(sort_out(kind, items, range, found)),
            Err(failure) if failure.class == Class::Permanent && range.len() > 1 => {
                ranges.extend([range.start..middle, middle..range.end]);
            }
            Err(failure) if failure.class == Class::Permanent => by_id.push(range.start),
            Err(failure) => {
                for item in &mut items[range] {
                    item.stage = Item::failed(failure.clone(), None);
                }
            }
        }
    }
    read_by_id(session, kind, items, by_id).await;
}

/// Gives the listed entities to their items; says which items must be read by id.
fn sort_out(kind: Kind, items: &mut [Item], range: Range<usize>, found: Vec<Value>) -> Vec<usize> {
    for item in &mut items[range.clone()] {
        item.is_listed = Some(false);
    }
    for entity in found {
        let Some(code) = kind.id_in(&entity) else { continue };
        // To the letter first: two that wait may differ in letter case alone.
        let exactly = range.clone().find(|at| items[*at].code == code);
        let at = exactly.or_else(|| range.clone().find(|at| is_same(&items[*at].code, &code)));
        if let Some(at) = at {
            items[at].is_listed = Some(true);
            items[at].respell(code);
            items[at].stage = Stage::Found(entity);
        }
    }
    range.filter(|at| !is_fresh(&items[*at])).collect()
}

/// One entity that waits under several spellings of its code waits once, and its entry of the index goes under the PIM's
/// spelling. What the destination has under another is not deleted: for it, too, they may be one.
pub(super) fn unite_spellings(items: &mut [Item], pages: &mut Pages) {
    for at in 0..items.len() {
        let Some(other) = items[at].other_spelling.clone() else {
            continue;
        };
        let entity = items[at].waiting.entity.clone();
        if let Some(entry) = pages.get(&other).cloned() {
            pages.remove(&other);
            if pages.get(&entity).is_none() {
                pages.set(&entity, &items[at].code, entry.hash, entry.updated_s);
            }
        }
        let twin = (0..items.len()).find(|twin| *twin != at && items[*twin].waiting.entity == entity);
        if let Some(twin) = twin {
            let waiting = std::mem::replace(&mut items[at].waiting, Waiting::of_nothing(entity));
            let stage = std::mem::replace(&mut items[at].stage, Stage::Done);
            items[at].other_spelling = None;
            items[twin].waiting.join(waiting);
            // Past the search index, which may lag behind what waited under this spelling.
            if items[at].by_id && matches!(stage, Stage::Found(_)) {
                (items[twin].stage, items[twin].by_id) = (stage, true);
            }
        }
    }
}

/// Whether what a list gave reflects all events: the search index lags, and a deleted entity may still stand in it.
fn is_fresh(item: &Item) -> bool {
    let Stage::Found(entity) = &item.stage else {
        return false;
    };
    let is_old = item
        .waiting
        .oldest_updated_s()
        .is_some_and(|oldest_s| updated_s(entity) < oldest_s);
    !is_old && !item.waiting.is_deletion_announced()
}

pub(crate) fn updated_s(entity: &Value) -> u64 {
    entity.get("updated").and_then(time::parse_value).unwrap_or(0)
}

async fn read_by_id<H: Host>(session: &Session<'_, H>, kind: Kind, items: &mut [Item], by_id: Vec<usize>) {
    let reads: Vec<(usize, Result<Read, Failure>)> = {
        let items = &*items;
        let read = |at: usize| async move {
            let item: &Item = &items[at];
            (
                at,
                session
                    .pim
                    .by_id(kind, &item.code, &item.name, item.waiting.attempts())
                    .await,
            )
        };
        stream::iter(by_id)
            .map(read)
            .buffer_unordered(session.pim_at_once)
            .collect()
            .await
    };
    for (at, read) in reads {
        items[at].by_id = true;
        items[at].is_gone = matches!(read, Ok(Read::Gone));
        items[at].stage = match read {
            Ok(Read::Found(entity)) => {
                if let Some(code) = kind.id_in(&entity) {
                    items[at].respell(code);
                }
                Stage::Found(entity)
            }
            Ok(Read::Gone) => Stage::Gone,
            Err(failure) => Item::failed(failure, None),
        };
    }
}

/// What is older than what was pushed before comes from an index that lags, and so may what was deleted a moment ago.
pub(super) async fn reread_what_the_index_denies<H: Host>(
    session: &Session<'_, H>,
    kind: Kind,
    items: &mut [Item],
    pages: &Pages,
) {
    let is_denied = |item: &Item| match (&item.stage, pages.get(&item.waiting.entity)) {
        (Stage::Found(entity), Some(entry)) => updated_s(entity) < entry.updated_s,
        (Stage::Found(_), None) => !item.by_id && item.waiting.has_recheck(),
        _ => false,
    };
    let denied = (0..items.len()).filter(|at| is_denied(&items[*at])).collect();
    read_by_id(session, kind, items, denied).await;
}
