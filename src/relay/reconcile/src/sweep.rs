//! What lies in the store and nobody needs any more, swept out at the end of each walk.

use desk::enrichment;
use desk::session::Session;
use desk::stop::Stop;
use model::entity::Kind;
use queue::key::{Key, ListKey};
use serde_json::json;
use world::host::{Host, delete_all};

/// Deletes tokens of other credentials, lists that the shape does not look things up in, and how far the marking of
/// variants had come of models for which nothing waits: those were deleted meanwhile.
pub(super) async fn sweep<H: Host>(session: &Session<'_, H>) -> Result<(), Stop> {
    let (keys, shape) = (&session.desk.config.keys, &session.desk.config.shape);
    let needs = Kind::ALL.into_iter().flat_map(|kind| shape.needs(kind));
    let lists: Vec<ListKey> = needs.map(|(need, _)| enrichment::key_of(&need)).collect();
    let is_needless = |text: &String| match keys.parse(text) {
        Some(Key::Fanout(model)) => !session.backlog.plan.has(&model),
        Some(Key::Token(_)) => text != session.upstreams.pim.tokens.key(),
        Some(Key::List(list)) => !lists.contains(&list),
        _ => false,
    };
    let needless: Vec<String> = session
        .desk
        .host
        .keys()
        .await?
        .into_iter()
        .filter(is_needless)
        .collect();
    if needless.is_empty() {
        return Ok(());
    }
    session.desk.check_lease()?;
    delete_all(session.desk.host, &needless).await?;
    session.desk.log("swept", json!({ "keys": needless.len() }));
    Ok(())
}
