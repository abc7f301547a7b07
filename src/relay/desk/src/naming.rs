//! The codes of entities whose keys hold only a hash of them, which stand in the values of these keys alone.
//!
//! A value that does not tell its entity's code is damaged: nothing can be done for what it stands for, so it is set
//! aside, and a walk finds the entity again.

use crate::books::Books;
use crate::stop::Stop;
use crate::tools::Desk;
use model::entity::Segment;
use queue::waiting::Waiting;
use serde_json::Value;
use world::host::{self, Host};

/// The code of an entity for which something waits; none where no value tells it: either another worker has cleared
/// them meanwhile, or they are damaged and have been set aside.
pub async fn code_of<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    waiting: &Waiting,
) -> Result<Option<String>, Stop> {
    let segment = &waiting.entity.segment;
    if let Some(code) = segment.code() {
        return Ok(Some(code));
    }
    let events = waiting.events.iter().map(|(_, key)| key);
    let retries = waiting.retries.iter().map(|(_, key)| key);
    let mut damaged = Vec::new();
    for key in events.chain(retries).chain(&waiting.dead_letters) {
        let Some(value) = desk.host.get(key).await? else {
            continue;
        };
        let value: Option<Value> = host::decoded(&value);
        let code = value.as_ref().and_then(|value| value.get("code")?.as_str());
        match code.filter(|code| Segment::of(code) == *segment) {
            Some(code) => return Ok(Some(code.to_owned())),
            None => damaged.push(key),
        }
    }
    if !damaged.is_empty() {
        books.set_aside(desk, &damaged, false).await?;
    }
    Ok(None)
}
