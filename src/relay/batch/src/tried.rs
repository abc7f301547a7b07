//! What was tried for an entity before: which contents went, and until when an earlier creation may still arrive.
//!
//! In-flight records, the newest retry, and a dead letter whose own try this is tell it. A creation whose end is not known
//! is not made again before a look-up could have found what it made.

use crate::item::{Decided, Decision};
use desk::backlog::Backlog;
use desk::tools::Desk;
use model::entity::digest;
use model::failure::Failure;
use queue::dead_letter::DeadLetter;
use queue::retry::{RetryValue, Tried};
use queue::waiting::Waiting;
use world::host::{self, Host, StoreError};

/// How far ahead of this host's clock a moment may lie that another host wrote, and still be believed, in seconds.
const AHEAD_S: u64 = 5;

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
        let removals = match &item.what {
            Decision::Upsert { leaving, .. } => leaving,
            Decision::Delete(removals) => removals,
            _ => continue,
        };
        let (shape, kind) = (&desk.config.shape, item.waiting.entity.kind);
        let by_identity = shape.has_changing_identities(kind) && shape.deletes_by_identity(kind);
        let leaving = removals.iter().filter(|_| by_identity);
        let leaving = leaving.map(|removal| removal.identity.clone()).collect();
        item.tried = Some(Tried::next(&known, content, item.wanted.clone()).leaving(leaving));
    }
    Ok(())
}

/// Until when what a failed push of an entity made may arrive at the destination, in seconds since the Unix epoch; none
/// where no push failed in such a way. Clocks of hosts are known to differ by `skew_s` seconds.
pub(super) async fn may_arrive_until_s<H: Host>(
    desk: &Desk<'_, H>,
    waiting: &Waiting,
    skew_s: u64,
) -> Result<Option<u64>, StoreError> {
    let has_failed = waiting.retries.iter().any(|(retry, _)| !retry.is_recheck()) || !waiting.dead_letters.is_empty();
    if !has_failed {
        return Ok(None);
    }
    let kept = kept(desk, waiting).await?;
    let may_have_made = kept.failures.iter().filter(|failure| may_have_made(failure));
    // A moment that lies ahead is of a clock that was wrong, and says nothing.
    let is_past = |at_s: &u64| *at_s <= desk.now_s() + AHEAD_S + skew_s;
    let last_s = may_have_made.map(|failure| failure.at_s).filter(is_past).max();
    Ok(last_s.map(|last_s| last_s + skew_s))
}

/// What an entity's newest retry or dead letter keeps of what was tried.
#[derive(Default)]
pub(super) struct Earlier {
    pub(super) failures: Vec<Failure>,
    pub(super) tried: Option<Tried>,
}

/// What was tried for what an entity still waits for. A dead letter counts where this is a try of its own: else the entity
/// begins anew.
pub(super) async fn earlier<H: Host>(desk: &Desk<'_, H>, waiting: &Waiting) -> Result<Earlier, StoreError> {
    if waiting.retries.is_empty() && waiting.own_try().is_none() {
        return Ok(Earlier::default());
    }
    let mut earlier = kept(desk, waiting).await?;
    // Failures that cost nothing are left out, for there may be any number of them; but the last one stays after which
    // the entity may be there.
    let last = earlier.failures.iter().rposition(may_have_made);
    let failures = earlier.failures.into_iter().enumerate();
    let kept = failures.filter(|(at, failure)| failure.cost() > 0 || Some(*at) == last);
    earlier.failures = kept.map(|(_, failure)| failure).collect();
    Ok(earlier)
}

async fn kept<H: Host>(desk: &Desk<'_, H>, waiting: &Waiting) -> Result<Earlier, StoreError> {
    let retries = waiting.retries.iter();
    let latest = retries.max_by_key(|(retry, _)| (retry.attempts, retry.due_s));
    let kept = match (latest, waiting.dead_letters.last()) {
        (Some((_, key)), _) => {
            let value: Option<RetryValue> = host::read(desk.host, key).await?;
            value.map(|value| Earlier {
                failures: value.failures,
                tried: value.tried,
            })
        }
        (None, Some(key)) => {
            let letter: Option<DeadLetter> = host::read(desk.host, key).await?;
            letter.map(|letter| Earlier {
                failures: letter.failures,
                tried: None,
            })
        }
        (None, None) => None,
    };
    Ok(kept.unwrap_or_default())
}

/// Whether an entity may have been made although this came of it: the destination answered a 5xx, or a 2xx that did not
/// count as good.
fn may_have_made(failure: &Failure) -> bool {
    let may_be_done = |status: u16| !(300..500).contains(&status);
    failure.upstream == "destination" && failure.status.is_some_and(may_be_done)
}
