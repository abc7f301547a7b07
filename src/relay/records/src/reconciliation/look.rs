//! The looks for recent changes: from where on the next one asks, and how far it has come.
//!
//! Of the moments from which a look may have to ask, it asks from the earliest: too early a one costs pages, too late a
//! one misses changes. The watermark moves only when a look has come to its end.

use super::scan::Scan;
use super::trouble::{Trouble, after_trouble};
use config::ReconciliationConfig;
use model::entity::Kind;
use model::time::{self, SKEW_S};
use serde::{Deserialize, Serialize};

/// How far back the first look goes, and how much further any look while the PIM's offset from UTC is not known, in
/// seconds.
const DAY_S: u64 = 86_400;

/// What daylight saving time can make of an offset, in seconds.
const DAYLIGHT_S: u64 = 3600;

/// The looks at one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    /// Up to where the PIM's changes are known, by its own clock, in seconds since the Unix epoch.
    pub watermark_s: Option<u64>,
    /// The offset from UTC that the PIM last wrote `updated` with, in seconds.
    pub offset_s: Option<i64>,
    /// The look under way.
    pub scan: Option<Scan>,
    /// The moment that it asks for, as the filter takes it.
    pub after: String,
    /// The newest `updated` on its first page, in seconds since the Unix epoch.
    pub newest_s: u64,
    /// Whether a person, or a notification, asks for a look.
    pub is_asked: bool,
    /// From when on that look is to ask, in seconds since the Unix epoch.
    pub since_s: Option<u64>,
    /// The last look that came to its end.
    pub last: Option<Scan>,
    /// When it did, in milliseconds since the Unix epoch.
    pub finished_ms: u64,
    /// What keeps the look from its end.
    pub trouble: Option<Trouble>,
}

impl Look {
    /// Asks for a look, from a moment on if one is given; one under way begins anew then.
    pub fn ask(&mut self, since_s: Option<u64>) {
        self.is_asked = true;
        if let Some(since_s) = since_s {
            self.since_s = Some(self.since_s.map_or(since_s, |known| known.min(since_s)));
            self.scan = None;
        }
    }

    /// When there is something to do, in milliseconds since the Unix epoch.
    pub fn due_ms(&self, periods: &ReconciliationConfig, now_ms: u64) -> Option<u64> {
        let due_ms = match (&self.scan, &self.last) {
            (Some(scan), _) => scan.due_ms(now_ms),
            (None, _) if self.is_asked => 0,
            // A beginning that lies further ahead than clocks may differ is of a clock that was wrong.
            (None, Some(last)) if last.began_ms <= now_ms + SKEW_S * 1000 => last.began_ms + periods.recent_s? * 1000,
            (None, _) => periods.recent_s.map(|_| 0)?,
        };
        Some(after_trouble(due_ms, self.trouble.as_ref(), now_ms))
    }

    /// Begins a look, and settles from which moment on it asks.
    pub fn begin(&mut self, kind: Kind, periods: &ReconciliationConfig, now_ms: u64) -> Scan {
        // Older versions kept watermarks that lay ahead, from which changes would be missed.
        let now_s = now_ms / 1000;
        let known_s = self
            .watermark_s
            .map_or(now_s.saturating_sub(DAY_S), |known_s| known_s.min(now_s));
        let since_s = known_s.saturating_sub(periods.overlap_s);
        let since_s = self.since_s.map_or(since_s, |asked_s| asked_s.min(since_s));
        self.after = match kind {
            // The filter of categories takes a moment that says its zone (contract 4.5).
            Kind::Category => time::text(since_s),
            _ => after(since_s, self.offset_s),
        };
        self.newest_s = 0;
        Scan::begin(now_ms)
    }

    /// A look has come to its end: its beginning is the watermark of the next.
    pub fn finish(&mut self, scan: Scan, now_ms: u64) {
        // Without a `Date`, what was updated last is the best that is known of the PIM's clock.
        let seen_s = (self.newest_s > 0).then_some(self.newest_s);
        // Where the PIM's clock is ahead of our own, it may be wrong, and what changes until then would be passed over.
        let begun_s = scan.began_ms / 1000;
        let shown_s = scan.date_s.or(seen_s).map(|shown_s| shown_s.min(begun_s));
        self.watermark_s = shown_s.or(self.watermark_s);
        (self.is_asked, self.since_s, self.trouble) = (false, None, None);
        (self.last, self.finished_ms) = (Some(scan), now_ms);
    }
}

/// A moment as the filter takes it. The filter reads the digits in the server's own zone (contract 4.5): `updated`
/// shows that zone's offset, but SaaS servers may write another than they read. So an offset that would move the digits
/// forward is left out, and one that moves them back is taken an hour too far, for it may be from before the clocks
/// were changed. Too early a moment costs a page or two, too late a one would miss changes.
fn after(since_s: u64, offset_s: Option<i64>) -> String {
    let back_s = match offset_s {
        None => DAY_S,
        Some(offset_s) if offset_s < 0 => offset_s.unsigned_abs() + DAYLIGHT_S,
        Some(_) => 0,
    };
    time::filter_text(since_s.saturating_sub(back_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIODS: ReconciliationConfig = ReconciliationConfig {
        recent_s: Some(300),
        overlap_s: 600,
        walk_s: None,
    };

    /// 2026-02-02 02:40:00 UTC.
    const NOW_S: u64 = 1_770_000_000;

    #[test]
    fn the_moment_is_never_later_than_the_filter_may_read_it() {
        assert_eq!(after(NOW_S, Some(0)), "2026-02-02 02:40:00");
        assert_eq!(after(NOW_S, Some(7200)), "2026-02-02 02:40:00");
        assert_eq!(after(NOW_S, Some(-18_000)), "2026-02-01 20:40:00");
        assert_eq!(after(NOW_S, None), "2026-02-01 02:40:00");
    }

    #[test]
    fn the_watermark_is_the_pims_clock_and_moves_when_a_look_has_ended() {
        let mut look = Look::default();
        let now_ms = NOW_S * 1000;
        let mut scan = look.begin(Kind::Product, &PERIODS, now_ms);
        assert_eq!(look.watermark_s, None);
        scan.date_s = Some(NOW_S - 300);
        look.finish(scan, now_ms + 60_000);
        assert_eq!(look.watermark_s, Some(NOW_S - 300));
        look.offset_s = Some(0);
        look.begin(Kind::Product, &PERIODS, now_ms + 300_000);
        assert_eq!(look.after, time::filter_text(NOW_S - 900));
        look.begin(Kind::Category, &PERIODS, now_ms + 300_000);
        assert_eq!(look.after, "2026-02-02T02:25:00Z");
        // An answer without a date.
        look.newest_s = NOW_S + 5;
        look.finish(Scan::begin(now_ms), now_ms);
        assert_eq!(look.watermark_s, Some(NOW_S), "not ahead of our own clock");
        look.newest_s = 0;
        look.finish(Scan::begin(now_ms + 5000), now_ms);
        assert_eq!(look.watermark_s, Some(NOW_S));
    }

    #[test]
    fn a_watermark_of_a_clock_that_was_ahead_hides_nothing() {
        for ahead_s in [1, 5 * 3600, 365 * DAY_S] {
            let mut look = Look {
                watermark_s: Some(NOW_S + ahead_s),
                offset_s: Some(0),
                ..Look::default()
            };
            look.begin(Kind::Product, &PERIODS, NOW_S * 1000);
            assert_eq!(look.after, time::filter_text(NOW_S - 600), "{ahead_s} s ahead");
        }
    }

    #[test]
    fn it_is_due_every_five_minutes_or_when_asked() {
        let mut look = Look::default();
        let now_ms = NOW_S * 1000;
        assert_eq!(look.due_ms(&PERIODS, now_ms), Some(0));
        look.finish(Scan::begin(now_ms), now_ms + 61_000);
        assert_eq!(look.due_ms(&PERIODS, now_ms + 61_000), Some(now_ms + 300_000));
        // A look of the future is of a clock that was wrong.
        assert_eq!(look.due_ms(&PERIODS, now_ms - SKEW_S * 1000 - 1), Some(0));
        look.ask(Some(NOW_S - 5000));
        assert_eq!(look.due_ms(&PERIODS, now_ms + 61_000), Some(0));
        look.begin(Kind::Product, &PERIODS, now_ms);
        assert_eq!(look.after, after(NOW_S - 87_000, None));
        let never = ReconciliationConfig {
            recent_s: None,
            ..PERIODS
        };
        look.is_asked = false;
        assert_eq!(look.due_ms(&never, now_ms + 61_000), None);
    }
}
