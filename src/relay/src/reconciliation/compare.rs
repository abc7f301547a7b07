//! What a list says against what was last pushed.

use crate::batch::{Stop, updated_s};
use crate::dead_letter::DeadLetter;
use crate::entity::{Entity, Kind};
use crate::host::{Host, StoreError, set_all};
use crate::index::Pages;
use crate::key::Change;
use crate::session::Session;
use crate::shape::{self, Shaped};
use serde_json::Value;

/// An entity as a list gave it.
pub(super) struct Listed<'a> {
    pub(super) entity: Entity,
    pub(super) code: String,
    body: &'a Value,
}

/// The entities of a page; what has no id is none.
pub(super) fn listed(kind: Kind, items: &[Value]) -> Vec<Listed<'_>> {
    let listed = items.iter().filter_map(|body| {
        let code = kind.id_in(body)?;
        let entity = Entity::new(kind, &code);
        Some(Listed { entity, code, body })
    });
    listed.collect()
}

/// The offset from UTC that the newest `updated` of a page was written with, in seconds, and that `updated` in seconds
/// since the Unix epoch.
pub(super) fn newest(items: &[Value]) -> Option<(u64, Option<i64>)> {
    let newest = items.iter().max_by_key(|body| updated_s(body))?;
    let offset_s = newest
        .get("updated")
        .and_then(Value::as_str)
        .and_then(crate::time::offset_s);
    Some((updated_s(newest), offset_s))
}

/// Queues what differs from what was last pushed, all of it if it is forced; says how much. There is room for a page.
pub(super) async fn queue_different<H: Host>(
    session: &Session<'_, H>,
    listed: &[Listed<'_>],
    is_forced: bool,
) -> Result<u64, Stop> {
    let change = if is_forced { Change::Forced } else { Change::Reconciled };
    let keys = &session.config.keys;
    let pages = Pages::load(session.host, keys, listed.iter().map(|listed| &listed.entity)).await?;
    let mut different = Vec::new();
    for listed in listed {
        if is_forced || differs(session, listed, &pages).await? {
            different.push((&listed.entity, listed.code.as_str()));
        }
    }
    queue(session, &different, change).await
}

/// Queues entities that do not wait already; says how many.
pub(super) async fn queue<H: Host>(
    session: &Session<'_, H>,
    entities: &[(&Entity, &str)],
    change: Change,
) -> Result<u64, Stop> {
    let new: Vec<_> = entities
        .iter()
        .filter(|(entity, _)| !session.is_waiting(entity, change))
        .collect();
    let raised: Vec<(String, Vec<u8>)> = new
        .iter()
        .map(|(entity, code)| session.raise(entity.kind, code, change))
        .collect();
    session.check_lease()?;
    set_all(session.host, &raised).await?;
    session.note_queued(new.iter().map(|(entity, _)| (*entity).clone()));
    Ok(raised.len() as u64)
}

/// Whether an entity is not as it was last pushed, and is worth another try.
async fn differs<H: Host>(session: &Session<'_, H>, listed: &Listed<'_>, pages: &Pages) -> Result<bool, StoreError> {
    let hash = match shape::shape(listed.entity.kind, &listed.code, listed.body) {
        Shaped::Wanted(upsert) => Some(shape::hash(&upsert)),
        Shaped::Unsendable(_) => None,
    };
    let pushed = pages.get(&listed.entity).and_then(|entry| entry.hash.as_ref());
    if hash.is_some() && pushed == hash.as_ref() {
        return Ok(false);
    }
    Ok(!is_refused(session, &listed.entity, hash.as_deref()).await?)
}

/// Whether just this, or its deletion, lies refused in the dead letters.
pub(super) async fn is_refused<H: Host>(
    session: &Session<'_, H>,
    entity: &Entity,
    hash: Option<&str>,
) -> Result<bool, StoreError> {
    let waiting = session.plan.entities.get(entity);
    for key in waiting.into_iter().flat_map(|waiting| &waiting.dead_letters) {
        let value = session.host.get(key).await?;
        let letter = value.and_then(|value| serde_json::from_slice::<DeadLetter>(&value).ok());
        if letter.is_some_and(|letter| letter.hash.as_deref() == hash) {
            return Ok(true);
        }
    }
    Ok(false)
}
