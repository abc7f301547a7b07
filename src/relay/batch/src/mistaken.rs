//! Two mistakes that the simulation has this room make on purpose, to show that it would notice them: an outcome is
//! kept before there is one.
//!
//! Nothing is done here unless one of them was asked for, and builds without the feature `mistakes` never do.

use crate::item::{Decided, Decision};
use desk::books::Books;
use desk::tools::Desk;
use index::pages::Pages;
use model::entity::Kind;
use world::host::{Host, StoreError};
use world::mistake::{Mistake, made};

/// Writes what is about to be pushed into the index as if it were pushed, if that mistake is to be made.
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
