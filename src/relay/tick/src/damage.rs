//! Mends the index where one of its pages is damaged, so that the damage stops one tick and not all that follow.
//!
//! The page is kept under another key, and a walk finds again what it held. Any other damage is left as it is: what
//! such a record said only a person can say.

use desk::books::Books;
use desk::stop::Stop;
use desk::tools::Desk;
use queue::index;
use queue::key::Key;
use serde_json::json;
use world::host::{Host, StoreError};

/// Sets a page of the index aside that a tick was stopped by, and asks for a walk that finds again what it held. Until
/// then nothing of that is deleted: a walk misses only what the index has.
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
    // The walk is asked for first: a tick that is killed after that costs a walk too many, and never one too few.
    books.reconciliation.walk.ask(false);
    books.reconciliation.save(desk.host, keys).await?;
    index::set_aside(desk.host, keys, key).await?;
    desk.log("set-aside", json!({ "key": key, "ok": false }));
    Ok(())
}
