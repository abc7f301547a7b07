//! A model's change reaches what inherits from it: its sub-models and variants are marked, page by page, before the
//! model's own hash is kept (contract 6, traps 9 and 10).

use crate::batch::{Item, Stage};
use crate::entity::{Entity, Kind};
use crate::failure::{Class, Failure};
use crate::host::{Host, MANY, StoreError};
use crate::ingest::EventValue;
use crate::key::{Change, EventKey, Key};
use crate::session::Session;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
        if item.waiting.entity.kind != Kind::ProductModel {
            continue;
        }
        let Stage::Upsert { hash, parent, .. } = &item.stage else {
            continue;
        };
        let key = session.config.keys.encode(&Key::Fanout(item.waiting.entity.clone()));
        match mark(session, &key, &item.code, hash, *parent).await? {
            Ok(()) => {}
            Err(failure) if failure.class == Class::Held => unmarked.push(at),
            Err(failure) => item.stage = Stage::Failed(failure, None),
        }
    }
    Ok(unmarked)
}

async fn mark<H: Host>(
    session: &Session<'_, H>,
    key: &str,
    model: &str,
    hash: &str,
    has_parent: bool,
) -> Result<Result<(), Failure>, StoreError> {
    let known = session
        .host
        .get(key)
        .await?
        .and_then(|value| serde_json::from_slice::<Progress>(&value).ok());
    let was_under_way = known.is_some();
    let first = if has_parent { Kind::Product } else { Kind::ProductModel };
    let mut progress = known
        .filter(|progress| progress.hash == hash)
        .unwrap_or_else(|| Progress {
            v: 1,
            hash: hash.to_owned(),
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
        enqueue(session, progress.kind, &page.items).await?;
        match (page.next, progress.kind) {
            (Some(next), _) => progress.cursor = Some(next),
            (None, Kind::ProductModel) => (progress.kind, progress.cursor) = (Kind::Product, None),
            (None, Kind::Product) => break,
        }
        // The first page of each needs no cursor to begin with.
        if progress.cursor.is_some() {
            session.host.set(key, json!(progress).to_string().as_bytes()).await?;
            is_kept = true;
        }
    }
    if is_kept {
        // It ends before the hash is kept: at worst the marking is done again.
        session.host.delete(key).await?;
    }
    Ok(Ok(()))
}

async fn enqueue<H: Host>(session: &Session<'_, H>, kind: Kind, found: &[Value]) -> Result<(), StoreError> {
    let member = match kind {
        Kind::Product => "uuid",
        Kind::ProductModel => "code",
    };
    let codes = found
        .iter()
        .filter_map(|entity| entity.get(member).and_then(Value::as_str));
    let entries: Vec<(String, Vec<u8>)> = codes
        .filter(|code| !session.is_waiting(kind, code))
        .map(|code| session.raise(kind, code, Change::Inherited))
        .collect();
    session.note_raised(entries.len());
    for entries in entries.chunks(MANY) {
        session.set_many(entries).await?;
    }
    Ok(())
}

/// The key and value of an event that the relay raises itself. Its id is fresh: a key that a slower worker is about to
/// delete must never be set again.
pub(crate) fn raised(
    entity: Entity,
    code: &str,
    change: Change,
    id: crate::entity::Segment,
    now_ms: u64,
) -> (EventKey, EventValue) {
    let key = EventKey {
        time_s: now_ms / 1000,
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
