//! What the worker did in the last month, in hours, for charts.
//!
//! The day's buckets ([`crate::history`]) are put together once their hour is over, so that this record is written once an
//! hour at most, however often a tick works. It is bounded: thirty-one days of hours of a hundred bytes or so each. It says
//! up to which hour it has them, so that a tick that dies before its history is kept counts nothing twice.

use crate::history::{BUCKET_S, Bucket, History};
use queue::key::Record;
use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use world::host::{self, Store, StoreError};

/// How long an hour is, in seconds.
pub const HOUR_S: u64 = 3600;

/// How many hours are kept: thirty-one days of them.
pub const HOURS: usize = 31 * 24;

const _: () = assert!(
    HOUR_S.is_multiple_of(BUCKET_S),
    "every bucket of a day lies in one hour"
);

const VERSION: u32 = 1;

/// The hours of the last month. Where no tick had work there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Month {
    /// Version of this format.
    v: u32,
    /// The hours that are over, oldest first.
    pub hours: Vec<Bucket>,
    /// Up to when the day's buckets are in here, in seconds since the Unix epoch: the beginning of an hour.
    until_s: u64,
}

fn hour_of(now_s: u64) -> u64 {
    now_s - now_s % HOUR_S
}

impl Month {
    /// Reads the record; a format that is not known reads as none.
    pub async fn load<H: Store>(host: &H, keys: &Keyspace) -> Result<Month, StoreError> {
        let is_known = |month: &Month| month.v == VERSION;
        let month = host::read_if(host, &keys.record(Record::Month), is_known).await?;
        Ok(month.unwrap_or_default())
    }

    /// Keeps the hours that are over since they were last kept, before the day forgets them. The caller saves the history,
    /// which says that they are kept.
    ///
    /// # Errors
    /// The store fails.
    pub async fn keep<H: Store>(
        host: &H,
        keys: &Keyspace,
        history: &mut History,
        now_s: u64,
    ) -> Result<(), StoreError> {
        let until_s = hour_of(now_s);
        if !history.has_hours_to_keep(until_s) {
            return Ok(());
        }
        let mut month = Month::load(host, keys).await?;
        month.v = VERSION;
        month.take(&history.buckets, until_s);
        host::write(host, &keys.record(Record::Month), &month).await?;
        history.hours_kept(until_s);
        Ok(())
    }

    /// The month up to now, with the hours of the day that are not kept yet, and the one that is not over.
    #[must_use]
    pub fn with(mut self, history: &History, now_s: u64) -> Month {
        self.take(&history.buckets, hour_of(now_s) + HOUR_S);
        self
    }

    /// Takes on what lies before `until_s`, the beginning of an hour, and is not in here yet. What a clock that was ahead has
    /// left is forgotten.
    fn take(&mut self, buckets: &[Bucket], until_s: u64) {
        self.hours.retain(|hour| hour.begin_s < until_s);
        let from_s = self.until_s.min(until_s);
        for bucket in buckets
            .iter()
            .filter(|bucket| (from_s..until_s).contains(&bucket.begin_s))
        {
            let begin_s = hour_of(bucket.begin_s);
            if self.hours.last().is_none_or(|last| last.begin_s < begin_s) {
                self.hours.push(Bucket {
                    begin_s,
                    ..Bucket::default()
                });
            }
            if let Some(hour) = self.hours.last_mut() {
                hour.absorb(bucket);
            }
        }
        self.until_s = until_s;
        let first_s = until_s.saturating_sub(HOURS as u64 * HOUR_S);
        self.hours.retain(|hour| hour.begin_s >= first_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::LAG_BOUNDS_S;
    use crate::report::Report;
    use futures_util::FutureExt;
    use serde_json::json;
    use world::testing::Memory;

    const BEGIN_S: u64 = 1_800_000_000;

    fn now<T>(work: impl Future<Output = T>) -> T {
        work.now_or_never().expect("no wait")
    }

    fn ticked(history: &mut History, upserts: u64, now_s: u64) {
        let report = Report {
            upserts,
            ..Report::default()
        };
        history.note_tick(&report, 1, now_s);
    }

    /// As the worker does it: read, keep, work, save; `dies` before it saves.
    fn tick(store: &Memory, keys: &Keyspace, upserts: u64, now_s: u64, dies: bool) {
        let mut history = now(History::load(store, keys)).expect("a history");
        now(Month::keep(store, keys, &mut history, now_s)).expect("a store");
        ticked(&mut history, upserts, now_s);
        if !dies {
            now(history.save(store, keys)).expect("a store");
        }
    }

    fn shown(store: &Memory, keys: &Keyspace, now_s: u64) -> Vec<(u64, u64)> {
        let history = now(History::load(store, keys)).expect("a history");
        let month = now(Month::load(store, keys)).expect("a month").with(&history, now_s);
        let hours = month.hours.iter();
        hours
            .map(|hour| ((hour.begin_s - BEGIN_S) / HOUR_S, hour.counts.upserts))
            .collect()
    }

    #[test]
    fn every_tick_counts_in_its_hour_once_although_one_dies() {
        let (store, keys) = (Memory::default(), Keyspace::new("main"));
        tick(&store, &keys, 1, BEGIN_S + 10, false);
        tick(&store, &keys, 2, BEGIN_S + 3000, false);
        assert_eq!(shown(&store, &keys, BEGIN_S + 3001), [(0, 3)]);
        assert!(now(Month::load(&store, &keys)).expect("a month").hours.is_empty());
        // The hour is over: it is kept by a tick that dies, and once more by the next.
        tick(&store, &keys, 100, BEGIN_S + HOUR_S, true);
        tick(&store, &keys, 4, BEGIN_S + HOUR_S + 1, false);
        assert_eq!(shown(&store, &keys, BEGIN_S + HOUR_S + 2), [(0, 3), (1, 4)]);
        // Days later, when the day has forgotten it, both are there.
        tick(&store, &keys, 5, BEGIN_S + 72 * HOUR_S, false);
        tick(&store, &keys, 6, BEGIN_S + 73 * HOUR_S, false);
        assert_eq!(
            shown(&store, &keys, BEGIN_S + 73 * HOUR_S),
            [(0, 3), (1, 4), (72, 5), (73, 6)]
        );
        // A month later they are gone.
        let later_s = BEGIN_S + 73 * HOUR_S + HOURS as u64 * HOUR_S;
        tick(&store, &keys, 7, later_s, false);
        assert_eq!(shown(&store, &keys, later_s).last(), Some(&(73 + HOURS as u64, 7)));
        assert_eq!(shown(&store, &keys, later_s).len(), 1);
    }

    #[test]
    fn it_is_written_once_an_hour() {
        let (store, keys) = (Memory::default(), Keyspace::new("main"));
        let key = keys.record(Record::Month);
        let mut seen = Vec::new();
        for minute in 0..180 {
            tick(&store, &keys, 1, BEGIN_S + minute * 60, false);
            // Whoever writes it again finds it gone: then it would be there once more.
            seen.extend(store.0.borrow_mut().remove(&key).map(|_| minute));
        }
        assert_eq!(seen, [60, 120]);
    }

    #[test]
    fn a_clock_that_was_ahead_leaves_nothing_and_keeps_nothing_out() {
        let (store, keys) = (Memory::default(), Keyspace::new("main"));
        for hours in [0, 5000, 5001] {
            tick(&store, &keys, 1, BEGIN_S + hours * HOUR_S, false);
        }
        for hours in [1, 2, 3] {
            tick(&store, &keys, 2, BEGIN_S + hours * HOUR_S, false);
        }
        let shown = shown(&store, &keys, BEGIN_S + 3 * HOUR_S);
        assert_eq!(shown[shown.len() - 2..], [(2, 2), (3, 2)]);
    }

    #[test]
    fn a_month_is_kept_in_little_room_and_no_more() {
        let (mut history, mut month) = (History::default(), Month::default());
        for hour in 0..2 * HOURS as u64 {
            for five_minutes in 0..12 {
                ticked(&mut history, 123_456, BEGIN_S + hour * HOUR_S + five_minutes * BUCKET_S);
            }
            month.take(&history.buckets, BEGIN_S + (hour + 1) * HOUR_S);
        }
        assert_eq!(month.hours.len(), HOURS);
        assert!(month.hours.iter().all(|hour| hour.counts.upserts == 12 * 123_456));
        let lags = json!({ "c": vec![1_234_567; LAG_BOUNDS_S.len() + 1], "s": 1_234_567_890_u64 });
        let counts = json!({ "n": 1_234_567, "e": 1_234_567, "u": 1_234_567, "x": 1_234_567, "s": 1_234_567, "r": 1_234_567,
            "f": 1_234_567, "k": 1_234_567, "w": 3_600_000, "l": lags });
        let full = json!({ "t": BEGIN_S, "d": 1_234_567, "z": 1_234_567, "c": counts });
        let full: Bucket = serde_json::from_value(full).expect("a bucket");
        let most = Month {
            hours: vec![full; HOURS],
            ..month
        };
        let bytes = json!(most).to_string().len();
        assert!(bytes < 380_000, "{bytes} bytes where every hour is as full as can be");
    }
}
