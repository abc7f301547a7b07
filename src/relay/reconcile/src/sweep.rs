//! Deletes from the store what nobody needs any more, at the end of each walk.
//!
//! The sweep may assume that the walk saw all of the catalogue that the PIM gives, so that what damaged pages of the
//! index held is found again. Whatever is in use stays, as do keys of other applications, and without the lease nothing
//! goes.

use desk::backlog::Backlog;
use desk::lookups;
use desk::stop::Stop;
use desk::tools::{Desk, Upstreams};
use model::entity::Kind;
use queue::key::{Key, ListKey};
use serde_json::json;
use world::host::{Host, delete_all};

/// Deletes tokens of other credentials, lists that the shape does not look things up in, how far the marking of
/// variants had come of models for which nothing waits (those were deleted meanwhile), and pages of the index that were
/// set aside before the walk began: the walk has found again what they held.
pub(super) async fn sweep<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    backlog: &Backlog,
    began_ms: u64,
) -> Result<(), Stop> {
    let (keys, shape) = (&desk.config.keys, &desk.config.shape);
    let needs = Kind::ALL.into_iter().flat_map(|kind| shape.needs(kind));
    let lists: Vec<ListKey> = needs.map(|(need, _)| lookups::key_of(&need)).collect();
    let is_needless = |text: &String| match keys.parse(text) {
        Some(Key::Fanout(model)) => !backlog.plan.has(&model),
        Some(Key::Token(_)) => !upstreams.token_keys().contains(&text.as_str()),
        Some(Key::List(list)) => !lists.contains(&list),
        Some(Key::SetAside(time_s, _)) => time_s * 1000 < began_ms,
        _ => false,
    };
    let needless: Vec<String> = desk.host.keys().await?.into_iter().filter(is_needless).collect();
    if needless.is_empty() {
        return Ok(());
    }
    desk.check_lease()?;
    delete_all(desk.host, &needless).await?;
    desk.log("swept", json!({ "keys": needless.len() }));
    Ok(())
}
