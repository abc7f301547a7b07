//! What is done where a record in the store is damaged: it costs what it held, and no more.

use desk::books::Books;
use desk::stop::Stop;
use desk::tools::Desk;
use queue::index;
use queue::key::Key;
use serde_json::json;
use world::host::{Host, StoreError};

/// Sets a page of the index aside that a tick was stopped by, and asks for a walk that finds again what it held. Nothing of
/// that is deleted: a walk misses only what the index has.
///
/// # Errors
/// If the store fails; the next tick comes upon the page again.
pub(crate) async fn mend<H: Host>(desk: &Desk<'_, H>, books: &mut Books, stop: &Stop) -> Result<(), StoreError> {
    let Stop::Store(StoreError::Damaged(key)) = stop else {
        return Ok(());
    };
    let keys = &desk.config.keys;
    if !desk.lease.holds(desk.host) || !matches!(keys.parse(key), Some(Key::IndexPage(..))) {
        return Ok(());
    }
    // First: were it killed in between, there would be a walk too many.
    books.reconciliation.walk.ask(false);
    books.reconciliation.save(desk.host, keys).await?;
    index::set_aside(desk.host, keys, key).await?;
    desk.log("set-aside", json!({ "key": key, "ok": false }));
    Ok(())
}
