//! What the worker did, for charts and metrics: five-minute buckets over a day, and counts since the beginning.
//!
//! It is a record of its own, read and written once by a tick that works. It is bounded: 288 buckets of a hundred bytes
//! or so. A tick that dies takes its counts with it; they are for people, and nothing is decided by them.

use crate::report::Report;
use queue::key::{EventKey, Record};
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use world::host::{self, Store, StoreError};

/// How long a bucket is, in seconds.
pub const BUCKET_S: u64 = 300;

/// How many buckets are kept: a day of them.
pub const BUCKETS: usize = 288;

/// The upper bounds of the bins in which lags are counted, in seconds; a last bin has none.
pub const LAG_BOUNDS_S: [u64; 15] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

/// How much of a tick's reason is kept, in characters.
const REASON_MAX: usize = 500;

/// How long events took from their time to the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lags {
    /// How many lie in each bin, as far as there are any.
    #[serde(rename = "c", skip_serializing_if = "Vec::is_empty")]
    counts: Vec<u64>,
    /// Their sum, in seconds.
    #[serde(rename = "s", skip_serializing_if = "is_zero")]
    pub sum_s: u64,
}

impl Lags {
    fn note(&mut self, lag_s: u64) {
        let bin = LAG_BOUNDS_S.partition_point(|bound_s| *bound_s < lag_s);
        if self.counts.len() <= bin {
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] += 1;
        self.sum_s += lag_s;
    }

    fn add(&mut self, other: &Lags) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum_s += other.sum_s;
    }

    fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many are at most as long as each of [`LAG_BOUNDS_S`].
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        LAG_BOUNDS_S.into_iter().enumerate().scan(0, |sum, (bin, bound_s)| {
            *sum += self.counts.get(bin).copied().unwrap_or(0);
            Some((bound_s, *sum))
        })
    }

    /// The lag that this share of all does not pass, in seconds, read off the bins by a straight line; none without
    /// any.
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        let rank = self.count() as f64 * share;
        let (mut below, mut from_s) = (0.0, 0.0);
        for (bin, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            // Beyond the last bound nothing more is known.
            let to_s = LAG_BOUNDS_S.get(bin).or(LAG_BOUNDS_S.last()).map_or(0.0, |s| *s as f64);
            from_s = match bin.checked_sub(1) {
                Some(before) => LAG_BOUNDS_S.get(before).map_or(from_s, |s| *s as f64),
                None => 0.0,
            };
            if below + count >= rank {
                let seconds = from_s + (to_s - from_s) * ((rank - below) / count).clamp(0.0, 1.0);
                return Some((seconds * 10.0).round() / 10.0);
            }
            below += count;
        }
        None
    }
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Events of the PIM's that were listed for the first time.
    #[serde(rename = "n", skip_serializing_if = "is_zero")]
    pub events: u64,
    /// Entities that the worker got through with, whatever came of them.
    #[serde(rename = "e", skip_serializing_if = "is_zero")]
    pub entities: u64,
    /// Upserts that came through.
    #[serde(rename = "u", skip_serializing_if = "is_zero")]
    pub upserts: u64,
    /// Deletes that came through.
    #[serde(rename = "x", skip_serializing_if = "is_zero")]
    pub deletes: u64,
    /// Entities found as they were last pushed.
    #[serde(rename = "s", skip_serializing_if = "is_zero")]
    pub unchanged: u64,
    /// Entities put off to another try.
    #[serde(rename = "r", skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Entities given up.
    #[serde(rename = "f", skip_serializing_if = "is_zero")]
    pub dead_letters: u64,
    /// Ticks that had work.
    #[serde(rename = "k", skip_serializing_if = "is_zero")]
    pub ticks: u64,
    /// How long they took together, in milliseconds.
    #[serde(rename = "w", skip_serializing_if = "is_zero")]
    pub ticks_ms: u64,
    /// From event to destination.
    #[serde(rename = "l", skip_serializing_if = "Lags::is_empty")]
    pub lags: Lags,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.events += other.events;
        self.entities += other.entities;
        self.upserts += other.upserts;
        self.deletes += other.deletes;
        self.unchanged += other.unchanged;
        self.retries += other.retries;
        self.dead_letters += other.dead_letters;
        self.ticks += other.ticks;
        self.ticks_ms += other.ticks_ms;
        self.lags.add(&other.lags);
    }
}

/// What happened within five minutes. Where no tick had work there is no bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// When it begins, in seconds since the Unix epoch.
    #[serde(rename = "t")]
    pub begin_s: u64,
    /// The most events that waited at a time.
    #[serde(rename = "d", skip_serializing_if = "is_zero")]
    pub depth: u64,
    /// How many events were left after the last tick.
    #[serde(rename = "z", skip_serializing_if = "is_zero")]
    pub left: u64,
    /// What was counted.
    #[serde(rename = "c")]
    pub counts: Counts,
}

impl Bucket {
    /// Adds what a later one counted, so that this one is of both their times.
    pub(crate) fn absorb(&mut self, later: &Bucket) {
        self.depth = self.depth.max(later.depth);
        self.left = later.left;
        self.counts.add(&later.counts);
    }
}

/// The last tick that had work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTick {
    /// When it ended, in seconds since the Unix epoch.
    pub at_s: u64,
    /// Its report.
    pub report: Value,
}

impl LastTick {
    /// Why it went no further, if it was stopped.
    pub fn stopped(&self) -> Option<&str> {
        let reason = self.report.get("reason").and_then(Value::as_str);
        reason.filter(|_| self.report.get("outcome").is_some_and(|outcome| outcome == "stopped"))
    }
}

/// What is kept of what the worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Version of this format.
    v: u32,
    /// Since the beginning.
    pub totals: Counts,
    /// The last day, oldest first.
    pub buckets: Vec<Bucket>,
    /// The last tick that had work.
    pub last_tick: Option<LastTick>,
    /// The PIM's events that were waiting when this was last written.
    told: u64,
    /// All events that were waiting then, with those that the relay raised itself.
    depth: u64,
    /// Up to when the month has the hours of the day, in seconds since the Unix epoch ([`crate::month`]).
    #[serde(skip_serializing_if = "is_zero")]
    hours_until_s: u64,
}

const VERSION: u32 = 1;

impl History {
    /// Reads the record; a format that is not known reads as none.
    pub async fn load<H: Store>(host: &H, keys: &Keyspace) -> Result<History, StoreError> {
        let is_known = |history: &History| history.v == VERSION;
        let history = host::read_if(host, &keys.record(Record::History), is_known).await?;
        Ok(history.unwrap_or_default())
    }

    /// Writes the record.
    pub async fn save<H: Store>(&mut self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        self.v = VERSION;
        host::write(host, &keys.record(Record::History), self).await
    }

    /// Takes note of what a tick found waiting.
    pub fn note_listing(&mut self, plan: &Plan, now_s: u64) {
        // What came is what is there now and neither was there before nor has been cleared since.
        let new = plan.told.saturating_sub(self.told);
        (self.told, self.depth) = (plan.told, plan.depth);
        let bucket = self.bucket(now_s);
        bucket.depth = bucket.depth.max(plan.depth);
        bucket.left = plan.depth;
        bucket.counts.events += new;
        self.totals.events += new;
    }

    /// Takes note of events that are done with, and of when they reached the destination if they did.
    pub fn note_cleared<'a>(&mut self, events: impl Iterator<Item = &'a EventKey>, reached_s: Option<u64>, now_s: u64) {
        for event in events {
            self.depth = self.depth.saturating_sub(1);
            if !event.change.is_told() {
                continue;
            }
            self.told = self.told.saturating_sub(1);
            if let Some(reached_s) = reached_s.filter(|_| event.time_s > 0) {
                let lag_s = reached_s.saturating_sub(event.time_s);
                self.bucket(now_s).counts.lags.note(lag_s);
                self.totals.lags.note(lag_s);
            }
        }
    }

    /// Takes note of events that were done with without concerning an entity.
    pub fn note_refreshed(&mut self, events: usize) {
        self.depth = self.depth.saturating_sub(events as u64);
    }

    /// Takes note of a tick that is about to end.
    pub fn note_tick(&mut self, report: &Report, ms: u64, now_s: u64) {
        let counts = Counts {
            entities: report.entities,
            upserts: report.upserts,
            deletes: report.deletes,
            unchanged: report.unchanged,
            retries: report.retries,
            dead_letters: report.dead_letters,
            ticks: 1,
            ticks_ms: ms,
            ..Counts::default()
        };
        self.totals.add(&counts);
        let left = self.depth + report.raised;
        let bucket = self.bucket(now_s);
        bucket.counts.add(&counts);
        bucket.left = left;
        let reason = report.reason.as_ref();
        let kept = Report {
            ms,
            reason: reason.map(|reason| reason.chars().take(REASON_MAX).collect()),
            ..report.clone()
        };
        self.last_tick = Some(LastTick {
            at_s: now_s,
            report: json!(kept),
        });
    }

    /// The bucket of this moment. A clock that went back writes into the newest bucket; those of a clock that was far
    /// ahead are forgotten.
    fn bucket(&mut self, now_s: u64) -> &mut Bucket {
        let begin_s = now_s - now_s % BUCKET_S;
        self.buckets.retain(|bucket| bucket.begin_s <= now_s + 3600);
        if self.buckets.last().is_none_or(|last| last.begin_s < begin_s) {
            self.buckets.push(Bucket {
                begin_s,
                ..Bucket::default()
            });
        }
        let day_s = BUCKETS as u64 * BUCKET_S;
        self.buckets.retain(|bucket| bucket.begin_s + day_s > begin_s);
        let last = self.buckets.len() - 1;
        &mut self.buckets[last]
    }

    /// Whether the month lacks buckets that lie before this moment, in seconds since the Unix epoch.
    pub(crate) fn has_hours_to_keep(&mut self, until_s: u64) -> bool {
        // A clock that was ahead must not keep the hours to come out of the month.
        self.hours_until_s = self.hours_until_s.min(until_s);
        let from_s = self.hours_until_s;
        let mut buckets = self.buckets.iter();
        buckets.any(|bucket| (from_s..until_s).contains(&bucket.begin_s))
    }

    /// Takes note that the month has all buckets that lie before this moment, in seconds since the Unix epoch.
    pub(crate) fn hours_kept(&mut self, until_s: u64) {
        self.hours_until_s = until_s;
    }

    /// What was counted in the buckets that begin within this time before now.
    pub fn within(&self, seconds: u64, now_s: u64) -> Counts {
        let mut counts = Counts::default();
        for bucket in self.buckets.iter().filter(|bucket| bucket.begin_s + seconds > now_s) {
            counts.add(&bucket.counts);
        }
        counts
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::entity::{Entity, Kind, Segment};
    use queue::key::{Change, Key};

    const NOW_S: u64 = 1_800_000_000;

    fn event(id: &str, change: Change) -> EventKey {
        EventKey {
            time_s: NOW_S - 40,
            change,
            floor_s: None,
            entity: Entity::new(Kind::Product, "a"),
            id: Segment::of(id),
        }
    }

    fn plan(events: &[EventKey]) -> Plan {
        let keys = Keyspace::new("main");
        let listing = events.iter().map(|event| keys.encode(&Key::Event(event.clone())));
        Plan::of(&keys, listing.collect::<Vec<_>>())
    }

    #[test]
    fn an_event_is_counted_when_it_is_first_listed_however_long_it_waits() {
        let mut history = History::default();
        let (one, two, own) = (
            event("1", Change::Updated),
            event("2", Change::Deleted),
            event("3", Change::Inherited),
        );
        history.note_listing(&plan(&[one.clone(), own.clone()]), NOW_S);
        history.note_listing(&plan(&[one.clone(), own.clone()]), NOW_S + 10);
        assert_eq!(history.totals.events, 1);
        // One event is cleared, another one comes meanwhile.
        history.note_cleared([&one, &own].into_iter(), Some(NOW_S + 12), NOW_S + 12);
        history.note_listing(&plan(std::slice::from_ref(&two)), NOW_S + 20);
        assert_eq!(history.totals.events, 2);
        assert_eq!((history.totals.lags.count(), history.totals.lags.sum_s), (1, 52));
        // The entity is given up: nothing reached the destination.
        history.note_cleared([&two].into_iter(), None, NOW_S + 21);
        history.note_tick(&Report::default(), 5, NOW_S + 21);
        assert_eq!(history.totals.lags.count(), 1);
        assert_eq!(history.buckets.len(), 1);
        assert_eq!((history.buckets[0].depth, history.buckets[0].left), (2, 0));
    }

    #[test]
    fn quantiles_are_read_off_the_bins() {
        let mut lags = Lags::default();
        assert_eq!(lags.quantile_s(0.5), None);
        for lag_s in [1, 4, 4, 4, 4, 4, 4, 4, 4, 100_000] {
            lags.note(lag_s);
        }
        let median_s = lags.quantile_s(0.5).expect("a median");
        assert!((2.0..=5.0).contains(&median_s), "{median_s}");
        assert_eq!(lags.quantile_s(0.99), Some(86_400.0));
        assert_eq!(lags.cumulative().last(), Some((86_400, 9)));
        let mut twice = lags.clone();
        twice.add(&lags);
        assert_eq!((twice.count(), twice.sum_s), (20, 2 * lags.sum_s));
    }

    #[test]
    fn a_day_is_kept_in_little_room_and_no_more() {
        let mut history = History::default();
        for five_minutes in 0..2000 {
            let now_s = NOW_S + five_minutes * BUCKET_S;
            history.note_listing(&plan(&[event("1", Change::Updated)]), now_s);
            let bucket = history.bucket(now_s);
            let busy = 123_456;
            for lag_s in LAG_BOUNDS_S {
                bucket.counts.lags.note(lag_s);
            }
            bucket.counts.lags.counts.iter_mut().for_each(|count| *count = busy);
            (bucket.depth, bucket.left) = (busy, busy);
            let report = Report {
                entities: busy,
                upserts: busy,
                deletes: busy,
                unchanged: busy,
                retries: busy,
                dead_letters: busy,
                ..Report::default()
            };
            history.note_tick(&report, 25_000, now_s);
        }
        assert_eq!(history.buckets.len(), BUCKETS);
        let bytes = json!(history).to_string().len();
        assert!(bytes < 80_000, "{bytes} bytes where every bucket is as full as can be");
        let last_s = NOW_S + 1999 * BUCKET_S;
        assert_eq!(history.within(3600, last_s + 10).ticks, 12);
        assert_eq!(history.within(86_400, last_s + 10).ticks, BUCKETS as u64);
    }

    #[test]
    fn a_clock_that_was_ahead_is_forgotten() {
        let mut history = History::default();
        history.note_tick(&Report::default(), 1, NOW_S + 86_400);
        history.note_tick(&Report::default(), 1, NOW_S);
        history.note_tick(&Report::default(), 1, NOW_S - 1000);
        let begins: Vec<u64> = history.buckets.iter().map(|bucket| bucket.begin_s).collect();
        assert_eq!(begins, [NOW_S]);
    }
}
