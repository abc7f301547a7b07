//! How far reconciliation has come: one record, kept after every page, so that a killed tick goes on where it was.
//!
//! A record of another pair, or one that cannot be read, begins anew: at worst all is read once more. A moment in it
//! that lies ahead is of a clock that was wrong, and holds nothing up.

mod look;
mod rehearsal;
mod scan;
mod trouble;
mod walk;

pub use look::Look;
pub use rehearsal::{Counts, Rehearsal};
pub use scan::Scan;
pub use trouble::{STALLED_MS, Trouble, page_came};
pub use walk::{Figures, Judging, Place, Raising, Step, UNORDERED, Walk};

use crate::notification::Notification;
use crate::pair::Pair;
use config::WorkerConfig;
use model::by_kind::ByKind;
use model::entity::Kind;
use model::failure::{Class, Failure};
use model::time;
use queue::key::Record;
use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use world::host::{self, Store, StoreError};

/// How long a walk may take before people hear of it, in milliseconds: ten million entities' worth, or a list that goes
/// in circles.
const ENDLESS_MS: u64 = 2 * 86_400_000;

/// How far reconciliation has come: one record, written after every page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reconciliation {
    /// Version of this format.
    pub v: u32,
    /// The PIM and destination that it is about.
    pub pair: Option<Pair>,
    /// The looks for recent changes.
    #[serde(rename = "recent")]
    pub looks: ByKind<Look>,
    /// The walk over everything.
    pub walk: Walk,
    /// The last notification of the Event Platform that was acted on: when it was taken, in milliseconds since the
    /// Unix epoch.
    pub told_ms: u64,
    /// When that notification was sent, in seconds since the Unix epoch.
    pub told_s: u64,
    /// When the index was last emptied for a destination that had nothing yet, in seconds since the Unix epoch.
    pub emptied_s: u64,
}

/// A piece of work: one page of a list, or a hundred entities that a walk missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A page of the look for recent changes of a kind.
    Look(Kind),
    /// A page of the walk.
    Walk,
    /// What the walk missed is queued.
    Raise,
}

impl Reconciliation {
    /// Reads the record. One of another pair, or in a format that is not known, begins anew: at worst all is read once
    /// more.
    pub async fn load<H: Store>(host: &H, config: &WorkerConfig) -> Result<Reconciliation, StoreError> {
        Reconciliation::load_of(host, &config.keys, Pair::of(config)).await
    }

    /// Reads the record for any pair, as [`Reconciliation::load`] does for the configured one.
    pub async fn load_of<H: Store>(
        host: &H,
        keys: &Keyspace,
        pair: Option<Pair>,
    ) -> Result<Reconciliation, StoreError> {
        let known = Reconciliation::read(host, keys).await?;
        Ok(known
            .filter(|known| known.pair == pair)
            .unwrap_or_else(|| Reconciliation::of(pair)))
    }

    /// The beginning, for a pair.
    pub fn of(pair: Option<Pair>) -> Reconciliation {
        Reconciliation {
            v: 1,
            pair,
            ..Reconciliation::default()
        }
    }

    /// When the index was last emptied; a moment that lies ahead is of a clock that was wrong.
    pub fn emptied_s(&self, now_s: u64) -> u64 {
        if self.emptied_s <= now_s + time::CLOCKS_S {
            self.emptied_s
        } else {
            0
        }
    }

    /// Reads the record as it is, for people.
    pub async fn read<H: Store>(host: &H, keys: &Keyspace) -> Result<Option<Reconciliation>, StoreError> {
        let is_known = |known: &Reconciliation| known.v == 1;
        host::read_if(host, &keys.record(Record::Reconciliation), is_known).await
    }

    /// Writes the record.
    pub async fn save<H: Store>(&self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        host::write(host, &keys.record(Record::Reconciliation), self).await
    }

    /// Asks for a look for recent changes of these kinds, from a moment on (seconds since the Unix epoch) if one is
    /// given.
    pub fn ask_recent(&mut self, kinds: &[Kind], since_s: Option<u64>) {
        for kind in kinds {
            self.looks.at(*kind).ask(since_s);
        }
    }

    /// The next piece of work, and when it is due; not of kinds that are held.
    pub fn next(&self, config: &WorkerConfig, now_ms: u64, is_held: impl Fn(Kind) -> bool) -> Option<(u64, Task)> {
        let periods = &config.reconciliation;
        let kinds = config.shape.kinds().iter().copied();
        let looks = kinds.filter(|kind| !is_held(*kind)).filter_map(|kind| {
            let due_ms = match self.looks.get(kind) {
                Some(look) => look.due_ms(periods, now_ms),
                None => periods.recent_s.map(|_| 0),
            };
            Some((due_ms?, Task::Look(kind)))
        });
        let walk = self.walk.due_ms(periods, now_ms).map(|due_ms| (due_ms, Task::Walk));
        let walk = walk.filter(|_| !self.walk.kind().is_some_and(&is_held));
        let raise = self.walk.raising.as_ref().map(|_| (0, Task::Raise));
        looks.chain(raise).chain(walk).min_by_key(|(due_ms, _)| *due_ms)
    }

    /// What people must hear of: a scan that has failed for long, does not end, or cannot tell deletions.
    pub fn lasting_trouble(&self, now_ms: u64) -> Option<String> {
        let age_ms = |moment_ms: u64| now_ms.saturating_sub(moment_ms);
        let looks = self
            .looks
            .iter()
            .filter_map(|(kind, look)| Some((format!("recent changes of {}", kind.name()), look.trouble.as_ref()?)));
        let walk = self.walk.trouble.as_ref();
        let walk = walk.map(|trouble| ("the walk over the catalogue".to_owned(), trouble));
        let mut failing = looks.chain(walk).filter(|(_, trouble)| trouble.is_lasting(now_ms));
        if let Some((what, trouble)) = failing.next() {
            return Some(format!(
                "reconciliation has failed since {}: {what}: {}; until it is mended, what no webhook tells is not found",
                time::text(trouble.since_ms / 1000),
                trouble.reason,
            ));
        }
        if self.walk.is_unordered && self.walk.step.is_none() {
            return Some(format!("reconciliation finds no deleted products: {UNORDERED}"));
        }
        let looks = self.looks.iter().filter_map(|(kind, look)| {
            let scan = look.scan.as_ref()?;
            Some((format!("the look for recent changes of {}", kind.name()), scan.began_ms))
        });
        let walk = self.walk.step.as_ref().map(|_| self.walk.began_ms);
        let walk = walk.map(|began_ms| ("the walk over the catalogue".to_owned(), began_ms));
        let mut endless = looks
            .chain(walk)
            .filter(|(_, began_ms)| age_ms(*began_ms) >= ENDLESS_MS);
        if let Some((what, began_ms)) = endless.next() {
            return Some(format!(
                "{what} that began at {} has not come to its end: see GET /admin/status for how far it is",
                time::text(began_ms / 1000),
            ));
        }
        self.unread()
    }

    /// What the last scans could not read.
    fn unread(&self) -> Option<String> {
        let walked = self.walk.last.iter();
        if let Some((kind, cut)) = walked.clone().find_map(|(kind, last)| Some((kind, last.cut.as_ref()?))) {
            return Some(format!(
                "the last walk left the list of {} before its end, since it could not be read any further for an hour: {cut}; the next walk tries again",
                kind.name(),
            ));
        }
        let walked = walked.map(|(kind, last)| (kind, last.unread));
        let looked = self
            .looks
            .iter()
            .filter_map(|(kind, look)| Some((kind, look.last.as_ref()?.unread)));
        let (kind, count) = walked.chain(looked).find(|(_, unread)| *unread > 0)?;
        Some(format!(
            "the PIM does not give {count} of its {}, not even alone: they are passed over and tried again by the next scan, and nothing is concluded of them; the log names those that are known, as `unread`",
            kind.name(),
        ))
    }

    /// Takes note that a task failed, which is left alone for a while then.
    pub fn put_off(&mut self, task: Task, failure: &Failure, now_ms: u64) {
        let trouble = match task {
            Task::Look(kind) => &mut self.looks.at(kind).trouble,
            Task::Walk | Task::Raise => &mut self.walk.trouble,
        };
        let known = trouble.as_ref();
        *trouble = Some(Trouble {
            // A moment that lies ahead is of a clock that was wrong.
            since_ms: known.map_or(now_ms, |known| known.since_ms.min(now_ms)),
            last_ms: now_ms,
            reason: failure.reason.clone(),
            is_anew: failure.class == Class::Permanent || known.is_some_and(|known| known.is_anew),
        });
    }

    /// Asks for looks from before a suspension on that the Event Platform told of, and for a walk: what the platform
    /// dropped meanwhile is lost (contract 3.7). Says whether the notification was new.
    pub fn look_back(
        &mut self,
        notification: Option<&Notification>,
        overlap_s: u64,
        kinds: &[Kind],
        now_s: u64,
    ) -> bool {
        let new = notification.filter(|notification| notification.at_ms != self.told_ms);
        let Some((notification, missing_s)) = new.and_then(|new| Some((new, new.missing_since_s?))) else {
            return false;
        };
        // After the last notification a look reached back far enough, so only what lies behind that one is missing. But
        // if its moment lies ahead, it is of a clock that was wrong, and no look has been there.
        let told_s = if self.told_s <= now_s { self.told_s } else { 0 };
        let since_s = missing_s.max(told_s).min(now_s).saturating_sub(overlap_s);
        let sent_s = notification.sent_s.min(notification.at_ms / 1000);
        (self.told_ms, self.told_s) = (notification.at_ms, sent_s);
        self.ask_recent(kinds, Some(since_s));
        self.walk.ask(false);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW_S: u64 = 100_000;

    fn told(at_ms: u64, sent_s: u64, missing_since_s: u64) -> Notification {
        let body = json!({"notification_type": "subscription.suspended.system"}).to_string();
        Notification {
            at_ms,
            sent_s,
            missing_since_s: Some(missing_since_s),
            ..crate::notification::read(body.as_bytes(), at_ms).expect("a notification")
        }
    }

    #[test]
    fn every_notification_is_looked_back_from_once() {
        let mut record = Reconciliation::default();
        assert!(!record.look_back(None, 600, &Kind::ALL, NOW_S));
        let suspended = told(2_000_000, 2000, 2000);
        assert!(record.look_back(Some(&suspended), 600, &Kind::ALL, NOW_S));
        assert_eq!(record.looks.at(Kind::Product).since_s, Some(1400));
        assert!(record.walk.asked.is_some());
        assert!(!record.look_back(Some(&suspended), 600, &Kind::ALL, NOW_S));
        // The record of notifications keeps its first moment for ever; what lies before the last one was looked at.
        record.looks = ByKind::default();
        assert!(record.look_back(Some(&told(9_000_000, 9000, 2000)), 600, &Kind::ALL, NOW_S));
        assert_eq!(record.looks.at(Kind::Product).since_s, Some(1400));
        record.looks = ByKind::default();
        assert!(record.look_back(Some(&told(99_000_000, 99_000, 2000)), 600, &Kind::ALL, NOW_S));
        assert_eq!(record.looks.at(Kind::Product).since_s, Some(8400));
    }

    #[test]
    fn a_notification_that_was_sent_ahead_of_time_hides_no_suspension_after_it() {
        for ahead_s in [1, 3600, 365 * 86_400] {
            let mut record = Reconciliation::default();
            let ahead = told(NOW_S * 1000, NOW_S + ahead_s, NOW_S + ahead_s);
            assert!(record.look_back(Some(&ahead), 600, &Kind::ALL, NOW_S));
            assert_eq!(record.looks.at(Kind::Product).since_s, Some(NOW_S - 600));
            record.looks = ByKind::default();
            let now_s = NOW_S + 7200;
            record.look_back(Some(&told(now_s * 1000, now_s, NOW_S + 100)), 600, &Kind::ALL, now_s);
            let since_s = record.looks.at(Kind::Product).since_s;
            assert_eq!(since_s, Some(NOW_S - 500), "{ahead_s} s ahead");
        }
    }

    #[test]
    fn a_trouble_is_over_with_the_next_page_unless_the_scan_began_anew_for_it() {
        let failure = |class| Failure {
            at_s: 0,
            upstream: "pim".into(),
            class,
            status: None,
            reason: "no".to_owned(),
            tracking_id: None,
            tries: 1,
            unsettled: false,
            retry_after_s: None,
            may_have_made: false,
            answer: None,
            request: None,
        };
        for (class, is_over) in [(Class::Transient, true), (Class::Permanent, false)] {
            let mut record = Reconciliation::default();
            record.put_off(Task::Walk, &failure(class), 1000);
            page_came(&mut record.walk.trouble);
            assert_eq!(record.walk.trouble.is_none(), is_over, "{class:?}");
            // Another blip, hours later.
            record.put_off(Task::Walk, &failure(Class::Transient), 1000 + 3 * STALLED_MS);
            let told = record.lasting_trouble(1000 + 3 * STALLED_MS);
            assert_eq!(told.is_none(), is_over, "{told:?}");
        }
    }
}
