//! Pushes: written down, made, and, where the lease passed meanwhile, written down once more.

use crate::item::{Decided, Decision, Outcome, Pushed};
use desk::books::Books;
use desk::tools::{Desk, Upstreams};
use destination::Destination;
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use model::failure::Failure;
use protocol::remote::Remote;
use queue::in_flight::InFlightValue;
use queue::key::Key;
use std::collections::BTreeMap;
use world::host::{Host, StoreError};

/// Writes down whose pushes are about to begin; says under which key.
pub(crate) async fn write_in_flight<H: Host>(
    desk: &Desk<'_, H>,
    items: &[Decided],
) -> Result<Option<String>, StoreError> {
    let begun = items.iter().filter(|item| item.is_to_be_pushed());
    keep_in_flight(desk, InFlightValue::of(begun.map(Decided::in_flight))).await
}

async fn keep_in_flight<H: Host>(desk: &Desk<'_, H>, value: InFlightValue) -> Result<Option<String>, StoreError> {
    if value.entities.is_empty() {
        return Ok(None);
    }
    let key = Key::InFlight(desk.fresh_id(), desk.now_s());
    let key = desk.config.keys.encode(&key);
    desk.host.set(&key, &value.to_bytes()).await?;
    Ok(Some(key))
}

/// The lease passed while this worker was pushing: it may have been paused for so long that others have pushed since, and
/// that they count its own key of what is in flight as settled. So it writes what it pushed down once more.
pub(crate) async fn note_late_pushes<H: Host>(desk: &Desk<'_, H>, items: &[Pushed]) -> Result<(), StoreError> {
    let is_pushed = |item: &&Pushed| {
        matches!(
            item.what,
            Outcome::Upserted { .. } | Outcome::Deleted | Outcome::Failed(..)
        )
    };
    let pushed = items.iter().filter(is_pushed);
    keep_in_flight(desk, InFlightValue::of(pushed.map(Pushed::in_flight)))
        .await
        .map(|_| ())
}

/// A push under way: its number, and what came of it, with what the destination gave.
pub(crate) type Push<'a> = LocalBoxFuture<'a, (usize, Result<Remote, Failure>)>;

/// Lets so many pushes at once be under way, until all are through. Boxed, so that there is one such code.
pub(crate) async fn at_once(pushes: Vec<Push<'_>>, count: usize) -> Vec<(usize, Result<Remote, Failure>)> {
    stream::iter(pushes).buffer_unordered(count).collect().await
}

/// Deletes, and then upserts: what was deleted may have had what another one wants, such as its SKU.
pub(crate) async fn push_all<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    books: &mut Books,
    items: Vec<Decided>,
) -> Vec<Pushed> {
    let mut came = BTreeMap::new();
    if let Some(destination) = &upstreams.destination {
        for is_upsert in [false, true] {
            let pushes = pushes(destination, &items, is_upsert);
            let results = at_once(pushes, upstreams.destination_at_once).await;
            let has_come = results.iter().any(|(_, result)| result.is_ok());
            if has_come {
                books.note_done(desk);
            }
            came.extend(results);
        }
    }
    let items = items.into_iter().enumerate();
    let pushed: Vec<Pushed> = items.map(|(at, item)| pushed(item, came.remove(&at))).collect();
    for item in &pushed {
        note(books, item);
    }
    pushed
}

/// The deletions of a batch, or its upserts.
fn pushes<'a, H: Host>(destination: &'a Destination<'a, H>, items: &'a [Decided], is_upsert: bool) -> Vec<Push<'a>> {
    let mut pushes: Vec<Push<'_>> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match &item.what {
            Decision::Upsert { upsert, .. } if is_upsert => {
                pushes.push(Box::pin(
                    async move { (at, destination.upsert(item.cargo(), upsert).await) },
                ))
            }
            Decision::Delete(removal) if !is_upsert => pushes.push(Box::pin(async move {
                let deleted = destination.delete(item.cargo(), removal).await;
                (at, deleted.map(|()| Remote::new()))
            })),
            _ => {}
        }
    }
    pushes
}

/// What became of an entity, by what came of its push, if there was one.
fn pushed(item: Decided, came: Option<Result<Remote, Failure>>) -> Pushed {
    item.then(|decision| match (decision, came) {
        (Decision::Upsert { hash, updated_s, .. }, Some(Ok(remote))) => Outcome::Upserted {
            hash,
            updated_s,
            remote,
        },
        (Decision::Delete(_), Some(Ok(_))) => Outcome::Deleted,
        (Decision::Upsert { .. } | Decision::Delete(_), Some(Err(failure))) if failure.is_held() => Outcome::PutOff,
        (Decision::Upsert { hash, .. }, Some(Err(failure))) => Outcome::Failed(failure, Some(hash)),
        (Decision::Delete(_), Some(Err(failure))) => Outcome::Failed(failure, None),
        (Decision::PutOff | Decision::Upsert { .. } | Decision::Delete(_), _) => Outcome::PutOff,
        (Decision::LetGo, _) => Outcome::LetGo,
        (Decision::Done, _) => Outcome::Done,
        (Decision::Braked, _) => Outcome::Braked,
        (Decision::Doubted, _) => Outcome::Doubted,
        (Decision::Failed(failure, hash), _) => Outcome::Failed(failure, hash),
    })
}

fn note(books: &mut Books, item: &Pushed) {
    match item.what {
        Outcome::Upserted { .. } => books.report(|report| report.upserts += 1),
        Outcome::Deleted => {
            books.report(|report| report.deletes += 1);
            match item.is_deletion_announced() {
                true => books.note_unindexed(&item.waiting.entity),
                false => books.note_unannounced(&item.waiting.entity),
            }
        }
        _ => {}
    }
}
