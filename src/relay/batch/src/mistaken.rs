//! Two mistakes that the simulation has this room make: an outcome is kept before there is one.

use crate::item::{Decided, Decision};
use desk::books::Books;
use desk::tools::Desk;
use model::entity::Kind;
use queue::index::Pages;
use world::host::{Host, StoreError};
use world::mistake::{Mistake, made};

/// Keeps what is to be pushed as if it were, if that mistake is to be made.
pub(crate) async fn keep_too_early<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    items: &[Decided],
    pages: &mut Pages,
) -> Result<(), StoreError> {
    let is_kept = |item: &Decided| match item.waiting.entity.kind {
        Kind::ProductModel => made(Mistake::HashBeforeVariants) || made(Mistake::IndexBeforePush),
        _ => made(Mistake::IndexBeforePush),
    };
    for item in items.iter().filter(|item| is_kept(item)) {
        if let Decision::Upsert { hash, updated_s, .. } = &item.what {
            pages.set(&item.waiting.entity, &item.code, Some(hash.clone()), *updated_s);
        }
    }
    if pages.has_changes() {
        books.save_pages(desk, pages).await?;
    }
    Ok(())
}
