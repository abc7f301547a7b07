//! A model's change reaches what inherits from it: its sub-models and variants are marked, page by page, before the
//! model's own hash is kept (contract 6, traps 9 and 10).

use crate::batch::{Item, Stage, updated_s};
use crate::entity::{Entity, Kind, Segment};
use crate::failure::{Class, Failure};
use crate::host::{self, Clock, Host, Random, StoreError, set_all};
use crate::ingest::EventValue;
use crate::key::{Change, EventKey, Key};
use crate::mistake::{Mistake, made};
use crate::plan::RECHECK_S;
use crate::session::Session;
use crate::time;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far the marking has come, kept per page so that a killed tick goes on where it was.
#[derive(Serialize, Deserialize)]
struct Progress {
    v: u32,
    /// The hash of the model whose change this is.
    hash: String,
    /// What is being marked.
    kind: Kind,
    /// The next page of it.
    cursor: Option<String>,
}

/// Marks what inherits from every changed model of a batch; says of which items it did not come to the end. One whose
/// marking failed has failed.
pub(crate) async fn mark_all<H: Host>(session: &Session<'_, H>, items: &mut [Item]) -> Result<Vec<usize>, StoreError> {
    let mut unmarked = Vec::new();
    for (at, item) in items.iter_mut().enumerate() {
        if !item.has_variants_to_mark() {
            continue;
        }
        let Some(marking) = marking(session, item) else {
            continue;
        };
        let key = session.config.keys.encode(&Key::Fanout(item.waiting.entity.clone()));
        match mark(session, &key, &item.code, &marking).await? {
            Ok(()) => {}
            Err(failure) if failure.class == Class::Held => match item.stage {
                // What goes from the destination would not come again for the rest of its variants.
                Stage::Delete(_) | Stage::Braked => item.stage = Stage::Waiting,
                _ => unmarked.push(at),
            },
            Err(failure) => item.stage = Stage::Failed(failure, None),
        }
    }
    Ok(unmarked)
}

/// What is to be marked of a model's descendants.
struct Marking {
    /// Tells this change from the next.
    id: String,
    /// Whether it can have sub-models.
    is_root: bool,
    /// Only those updated since then, in seconds since the Unix epoch: the others were seen before.
    since_s: u64,
}

fn marking<H: Host>(session: &Session<'_, H>, item: &Item) -> Option<Marking> {
    let has_events = !item.waiting.events.is_empty();
    match (&item.stage, &item.source) {
        (Stage::Upsert { hash, parent, .. }, source) => Some(Marking {
            id: source.as_ref().unwrap_or(hash).clone(),
            is_root: !parent,
            since_s: 0,
        }),
        // What is sent of it is as it was, or it is not sent at all; what its variants inherit may still be new.
        (Stage::Done | Stage::Delete(_) | Stage::Braked, Some(source)) if has_events => Some(Marking {
            id: source.clone(),
            is_root: true,
            since_s: 0,
        }),
        // It is as it was when its variants were marked; but one that was new then may not have been in the list.
        (Stage::Done, _) if !item.is_gone => {
            let due_s = item.waiting.due_recheck_s(session.planned_s)?;
            let since_s = due_s.saturating_sub(RECHECK_S + time::CLOCKS_S);
            Some(Marking {
                id: format!("again at {due_s}"),
                is_root: true,
                since_s,
            })
        }
        _ => None,
    }
}

async fn mark<H: Host>(
    session: &Session<'_, H>,
    key: &str,
    model: &str,
    marking: &Marking,
) -> Result<Result<(), Failure>, StoreError> {
    let known: Option<Progress> = host::read(session.host, key).await?;
    let was_under_way = known.is_some();
    let first = if marking.is_root {
        Kind::ProductModel
    } else {
        Kind::Product
    };
    let mut progress = known
        .filter(|progress| progress.hash == marking.id)
        .unwrap_or_else(|| Progress {
            v: 1,
            hash: marking.id.clone(),
            kind: first,
            cursor: None,
        });
    let mut is_kept = was_under_way;
    loop {
        if session.is_own_queue_full() {
            return Ok(Err(
                session.pim_failure(Class::Held, "enough is queued: the rest of the variants later")
            ));
        }
        let page = match session
            .pim
            .descendants(progress.kind, model, progress.cursor.as_deref())
            .await
        {
            Ok(page) => page,
            Err(failure) => return Ok(Err(failure)),
        };
        enqueue(session, progress.kind, &page.items, marking.since_s).await?;
        match (page.next, progress.kind) {
            (Some(next), _) => progress.cursor = Some(next),
            (None, Kind::ProductModel) => (progress.kind, progress.cursor) = (Kind::Product, None),
            (None, _) => break,
        }
        // The first page of each needs no cursor to begin with.
        if progress.cursor.is_some() {
            host::write(session.host, key, &progress).await?;
            is_kept = true;
        }
    }
    if is_kept {
        // It ends before the hash is kept: at worst the marking is done again.
        session.host.delete(key).await?;
    }
    Ok(Ok(()))
}

async fn enqueue<H: Host>(
    session: &Session<'_, H>,
    kind: Kind,
    found: &[Value],
    since_s: u64,
) -> Result<(), StoreError> {
    let recent = found.iter().filter(|entity| updated_s(entity) >= since_s);
    let codes = recent.filter_map(|entity| kind.id_in(entity));
    // Also for those that have an event waiting: that one may be too old to be looked at again in a minute, and until
    // then the search index may not know what they inherit.
    let entries: Vec<(String, Vec<u8>)> = codes
        .map(|code| session.raise(kind, &code, Change::Inherited))
        .collect();
    session.note_raised(entries.len());
    set_all(session.host, &entries).await
}

/// An id that nobody has had before.
pub(crate) fn fresh_id<H: Random>(host: &H) -> Segment {
    Segment::of(&URL_SAFE_NO_PAD.encode(host.bytes()))
}

/// The key and value of an event that the relay raises itself. Its id is fresh: a key that a slower worker is about to
/// delete must never be set again.
pub(crate) fn raised<H: Random + Clock>(
    host: &H,
    entity: Entity,
    code: &str,
    change: Change,
) -> (EventKey, EventValue) {
    let now_ms = host.now_ms();
    let (time_s, id) = if made(Mistake::ReuseKey) {
        (1, Segment::of("again"))
    } else {
        (now_ms / 1000, fresh_id(host))
    };
    let key = EventKey {
        time_s,
        change,
        floor_s: None,
        entity,
        id,
    };
    (
        key,
        EventValue {
            v: 1,
            code: code.to_owned(),
            at_ms: now_ms,
            event: String::new(),
        },
    )
}
