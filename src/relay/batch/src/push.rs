//! Pushes: written down, made, and, where the lease passed meanwhile, written down once more.

use crate::item::{Item, Stage};
use desk::books::Books;
use desk::tools::{Desk, Upstreams};
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use model::failure::Failure;
use queue::in_flight::InFlightValue;
use queue::key::Key;
use world::host::{Host, StoreError};

/// Writes down whose pushes are about to begin; says under which key.
pub(crate) async fn write_in_flight<H: Host>(desk: &Desk<'_, H>, items: &[Item]) -> Result<Option<String>, StoreError> {
    keep_in_flight(desk, items.iter().filter(|item| item.is_to_be_pushed())).await
}

async fn keep_in_flight<H: Host>(
    desk: &Desk<'_, H>,
    items: impl Iterator<Item = &Item>,
) -> Result<Option<String>, StoreError> {
    let value = InFlightValue::of(items.map(Item::in_flight));
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
pub(crate) async fn note_late_pushes<H: Host>(desk: &Desk<'_, H>, items: &[Item]) -> Result<(), StoreError> {
    let is_pushed = |item: &&Item| matches!(item.stage, Stage::Upserted { .. } | Stage::Deleted | Stage::Failed(..));
    keep_in_flight(desk, items.iter().filter(is_pushed)).await.map(|_| ())
}

/// A push under way: its number, and what came of it.
pub(crate) type Push<'a> = LocalBoxFuture<'a, (usize, Result<(), Failure>)>;

/// Lets so many pushes at once be under way, until all are through. Boxed, so that there is one such code.
pub(crate) async fn at_once(pushes: Vec<Push<'_>>, count: usize) -> Vec<(usize, Result<(), Failure>)> {
    stream::iter(pushes).buffer_unordered(count).collect().await
}

/// Deletes, and then upserts: what was deleted may have had what another one wants, such as its SKU.
pub(crate) async fn push_all<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    books: &mut Books,
    items: &mut [Item],
) {
    push_those(desk, upstreams, books, items, |item| {
        matches!(item.stage, Stage::Delete(_))
    })
    .await;
    push_those(desk, upstreams, books, items, |item| {
        matches!(item.stage, Stage::Upsert { .. })
    })
    .await;
}

async fn push_those<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    books: &mut Books,
    items: &mut [Item],
    is_meant: impl Fn(&Item) -> bool,
) {
    let Some(destination) = &upstreams.destination else {
        return;
    };
    let results = {
        let mut pushes: Vec<Push<'_>> = Vec::new();
        for (at, item) in items.iter().enumerate().filter(|(_, item)| is_meant(item)) {
            pushes.push(Box::pin(async move {
                let result = match &item.stage {
                    Stage::Upsert { upsert, .. } => destination.upsert(item.cargo(), upsert).await,
                    Stage::Delete(removal) => destination.delete(item.cargo(), removal).await,
                    _ => Ok(()),
                };
                (at, result)
            }));
        }
        at_once(pushes, upstreams.destination_at_once).await
    };
    for (at, result) in results {
        let stage = std::mem::replace(&mut items[at].stage, Stage::Waiting);
        items[at].stage = match (result, stage) {
            (Ok(()), Stage::Upsert { hash, updated_s, .. }) => {
                books.report(|report| report.upserts += 1);
                books.note_done(desk);
                Stage::Upserted { hash, updated_s }
            }
            (Ok(()), _) => {
                books.report(|report| report.deletes += 1);
                if !items[at].is_deletion_announced() {
                    books.note_unannounced(&items[at].waiting.entity);
                }
                books.note_done(desk);
                Stage::Deleted
            }
            (Err(failure), Stage::Upsert { hash, .. }) => Item::failed(failure, Some(hash)),
            (Err(failure), _) => Item::failed(failure, None),
        };
    }
}
