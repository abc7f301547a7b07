//! What was tried for an entity before: which failures and contents its retries and dead letters keep, and until when an
//! earlier creation may still arrive.
//!
//! The newest retry, and a dead letter whose own try this is, tell it. A creation whose end is not known is not made again
//! before a look-up could have found what it made.

use crate::tools::Desk;
use model::failure::{self, Failure};
use queue::dead_letter::DeadLetter;
use queue::retry::{RetryValue, Tried};
use queue::waiting::Waiting;
use world::host::{self, Host, StoreError};

/// How far ahead of this host's clock a moment may lie that another host wrote, and still be believed, in seconds.
const AHEAD_S: u64 = 5;

/// Until when what a push made that failed at a moment, in seconds since the Unix epoch, may arrive at the destination.
/// Clocks of hosts are known to differ by `skew_s` seconds. None for a moment that lies ahead: it is of a clock that was
/// wrong.
pub fn may_arrive_until_s<H: Host>(desk: &Desk<'_, H>, failed_s: u64, skew_s: u64) -> Option<u64> {
    (failed_s <= desk.now_s() + AHEAD_S + skew_s).then_some(failed_s + skew_s)
}

/// When a push of an entity last failed in such a way that the destination may have it all the same, in seconds since the
/// Unix epoch; none where none did, as far as its newest retry and its last dead letter tell.
pub async fn made_s<H: Host>(desk: &Desk<'_, H>, waiting: &Waiting) -> Result<Option<u64>, StoreError> {
    let of_retry = of_retry(desk, waiting).await?.unwrap_or_default();
    let of_letter = of_letter(desk, waiting).await?;
    let failures = of_retry.failures.iter().chain(&of_letter);
    let made = failures.filter(|failure| failure.may_have_made);
    Ok(made.map(|failure| failure.at_s).max())
}

/// What an entity's newest retry or dead letter keeps of what was tried.
#[derive(Default)]
pub struct Earlier {
    /// The failures, oldest first.
    pub failures: Vec<Failure>,
    /// What the last push was to bring.
    pub tried: Option<Tried>,
}

/// What was tried for what an entity still waits for. A dead letter counts whole where this is a try of its own; else the
/// entity begins anew, and of the dead letter stays only that the destination may have the entity.
pub async fn earlier<H: Host>(desk: &Desk<'_, H>, waiting: &Waiting) -> Result<Earlier, StoreError> {
    let (of_retry, of_letter) = (of_retry(desk, waiting).await?, of_letter(desk, waiting).await?);
    let last_of_letter = of_letter.iter().rfind(|failure| failure.may_have_made).cloned();
    let of_own_try = || Earlier {
        failures: if waiting.own_try().is_some() {
            of_letter
        } else {
            Vec::new()
        },
        tried: None,
    };
    let mut earlier = of_retry.unwrap_or_else(of_own_try);
    // Failures that cost nothing are left out, for there may be any number of them; but the last one stays after which
    // the entity may be there.
    failure::thin(&mut earlier.failures, |_, failure| failure.cost() > 0);
    let has_made = earlier.failures.iter().any(|failure| failure.may_have_made);
    if let Some(failure) = last_of_letter.filter(|_| !has_made) {
        earlier.failures.insert(0, failure);
    }
    Ok(earlier)
}

/// What an entity's newest retry keeps; none where it has none but rechecks.
async fn of_retry<H: Host>(desk: &Desk<'_, H>, waiting: &Waiting) -> Result<Option<Earlier>, StoreError> {
    let retries = waiting.retries.iter().filter(|(retry, _)| !retry.is_recheck());
    let Some((_, key)) = retries.max_by_key(|(retry, _)| (retry.attempts, retry.due_s)) else {
        return Ok(None);
    };
    let value: Option<RetryValue> = host::read(desk.host, key).await?;
    Ok(Some(value.map_or_else(Earlier::default, |value| Earlier {
        failures: value.failures,
        tried: value.tried,
    })))
}

/// The failures of an entity's last dead letter.
async fn of_letter<H: Host>(desk: &Desk<'_, H>, waiting: &Waiting) -> Result<Vec<Failure>, StoreError> {
    let Some(key) = waiting.dead_letters.last() else {
        return Ok(Vec::new());
    };
    let letter: Option<DeadLetter> = host::read(desk.host, key).await?;
    Ok(letter.map(|letter| letter.failures).unwrap_or_default())
}
