//! What was tried for an entity before, and what its push is to bring now.

use crate::item::{Decided, Decision};
use desk::backlog::Backlog;
use desk::tools::Desk;
use desk::tried::earlier;
use model::entity::digest;
use queue::retry::Tried;
use world::host::{Host, StoreError};

/// Notes with every entity what its push is to bring.
pub(super) async fn note_tried<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    items: &mut [Decided],
) -> Result<(), StoreError> {
    for item in items.iter_mut() {
        let content = match &item.what {
            Decision::Upsert { upsert, .. } => digest(model::json::write(upsert.body()).as_bytes()),
            Decision::Delete(_) => String::new(),
            _ => continue,
        };
        let mut known = backlog
            .tried_in_flight(desk, item.waiting.entity.kind, &item.code)
            .await?;
        if item.waiting.retries.iter().any(|(retry, _)| !retry.is_recheck()) {
            known.extend(earlier(desk, &item.waiting).await?.tried);
        }
        let removals = item.removals();
        let (shape, kind) = (&desk.config.shape, item.waiting.entity.kind);
        let by_identity = shape.has_changing_identities(kind) && shape.deletes_by_identity(kind);
        let leaving = removals.iter().filter(|_| by_identity);
        let leaving = leaving.map(|removal| removal.identity.clone()).collect();
        item.tried = Some(Tried::next(&known, content, item.wanted.clone()).leaving(leaving));
    }
    Ok(())
}
