//! What a whole walk did not meet: deleted in the PIM, or hidden from this connection, which look alike (contract 5).
//!
//! If it is no more than the brake would let through, it is queued: each is read by its id, and deleted if it is gone.
//! If it is more, none of it is even looked at before a person has released the brake, or a later walk meets it again.

use super::compare::queue;
use super::walk::Walk;
use crate::entity::{Entity, Kind};
use crate::failure::Failure;
use crate::host::{Host, StoreError};
use crate::index::{PAGES, Pages};
use crate::key::Change;
use crate::plan::BATCH_MAX;
use crate::session::Session;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a walk missed, on its way into the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Raising {
    /// The walk's number.
    pub walk: u64,
    /// How many pages of the index are done with, those of one kind after those of the other.
    pub pages: usize,
}

impl Raising {
    pub(super) fn of(walk: u64) -> Raising {
        Raising { walk, pages: 0 }
    }
}

/// Every page of the index.
fn places() -> impl Iterator<Item = (Kind, u8)> {
    Kind::ALL
        .into_iter()
        .flat_map(|kind| (0..PAGES).map(move |number| (kind, number)))
}

/// Judges what a walk that has come to its end did not meet; and counts the index.
pub(super) async fn judge<H: Host>(session: &Session<'_, H>, walk: &mut Walk) -> Result<(), StoreError> {
    let (mut indexed, mut missing) = (0, 0);
    for figures in walk.last.values_mut() {
        figures.missing = 0;
    }
    for (kind, number) in places() {
        let mut pages = Pages::default();
        pages.read(session.host, &session.config.keys, kind, number).await?;
        indexed += pages.entries(kind, number).count();
        let missed = |entry: &crate::index::Entry| entry.missed_by == Some(walk.number);
        let count = pages.entries(kind, number).filter(|(_, entry)| missed(entry)).count();
        walk.last.entry(kind).or_default().missing += count as u64;
        missing += count;
    }
    let now_s = session.now_s();
    let left = {
        let mut state = session.state.borrow_mut();
        state.indexed = i64::try_from(indexed).unwrap_or(i64::MAX);
        state.brake.left(indexed, now_s)
    };
    (walk.judged, walk.withheld, walk.raising) = (walk.number, 0, None);
    if missing > left {
        walk.withheld = missing as u64;
        session.state.borrow_mut().brake.hold(now_s);
        let fields = json!({ "missing": missing, "indexed": indexed, "let_through": left });
        session.log_failure("deletions-withheld", fields);
    } else {
        walk.raising = (missing > 0).then(|| Raising::of(walk.number));
        if session.plan.braked.is_empty() {
            session.state.borrow_mut().brake.holding_since_s = None;
        }
    }
    session.save_state().await
}

/// Queues what was missed, some pages of the index at a time.
pub(super) async fn raise<H: Host>(session: &Session<'_, H>) -> Result<Result<(), Failure>, StoreError> {
    let Some(mut raising) = session.reconciliation.borrow().walk.raising.clone() else {
        return Ok(Ok(()));
    };
    let mut queued = 0;
    let mut is_end = true;
    for (kind, number) in places().skip(raising.pages) {
        if queued >= BATCH_MAX as u64 {
            is_end = false;
            break;
        }
        let mut pages = Pages::default();
        pages.read(session.host, &session.config.keys, kind, number).await?;
        let missed = pages
            .entries(kind, number)
            .filter(|(_, entry)| entry.missed_by == Some(raising.walk));
        let missed: Vec<(Entity, String)> = missed
            .filter_map(|(segment, entry)| {
                let code = segment.code().or_else(|| entry.code.clone())?;
                let segment = segment.clone();
                Some((Entity { kind, segment }, code))
            })
            .collect();
        let missed: Vec<(&Entity, &str)> = missed.iter().map(|(entity, code)| (entity, code.as_str())).collect();
        let outcome = queue(session, &missed, Change::Reconciled).await?;
        queued += outcome.count;
        if !outcome.is_all {
            is_end = false;
            break;
        }
        raising.pages += 1;
    }
    session.reconciliation.borrow_mut().walk.raising = (!is_end).then_some(raising);
    Ok(Ok(()))
}
