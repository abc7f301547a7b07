//! Whether what people were alerted of lasts, and when they hear that it is over.
//!
//! What comes and goes every minute is no news twice a minute: a cause must be gone for a while before people hear that
//! all is well. Then it is as if it had never been, and may be told at once if it comes back.

use records::state::{Alarm, State};

/// How long a cause that lasts is not told again, in seconds.
const QUIET_S: u64 = 3600;

/// How long a cause must be gone before people hear that it is over, in seconds.
pub(crate) const CALM_S: u64 = 300;

/// Whether a cause was told so lately that it is not told again. A moment that has not come yet is of a clock that was
/// wrong.
pub(crate) fn is_quiet(state: &State, cause: &str, now_s: u64) -> bool {
    let is_over = state.alarms.get(cause) == Some(&Alarm::Over);
    !is_over && now_s - last_s(state, cause, now_s) < QUIET_S
}

/// When a cause was last told, in seconds since the Unix epoch.
pub(crate) fn last_s(state: &State, cause: &str, now_s: u64) -> u64 {
    let last_s = state.alerts.get(cause).copied();
    last_s.filter(|last_s| *last_s <= now_s).unwrap_or(0)
}

/// What follows for an alarm from whether its cause is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Stays,
    /// It is noted, and nobody hears of it.
    Becomes(Alarm),
    /// People are to hear that it is over.
    Ends,
}

/// What follows for an alarm from whether its cause is there now.
pub(crate) fn next(alarm: Alarm, is_there: bool, now_s: u64) -> Next {
    match (alarm, is_there) {
        (Alarm::Lasts, false) => Next::Becomes(Alarm::GoneSince(now_s)),
        (Alarm::GoneSince(_), true) => Next::Becomes(Alarm::Lasts),
        (Alarm::GoneSince(since_s), false) if since_s > now_s => Next::Becomes(Alarm::GoneSince(now_s)),
        (Alarm::GoneSince(since_s), false) if now_s - since_s >= CALM_S => Next::Ends,
        _ => Next::Stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    #[test]
    fn people_hear_that_it_is_over_once_it_has_been_gone_for_a_while() {
        let since = |s| Alarm::GoneSince(NOW_S - s);
        for (alarm, is_there, follows) in [
            (Alarm::Lasts, true, Next::Stays),
            (Alarm::Lasts, false, Next::Becomes(since(0))),
            (since(CALM_S - 1), false, Next::Stays),
            (since(CALM_S), false, Next::Ends),
            (since(CALM_S), true, Next::Becomes(Alarm::Lasts)),
            // A clock that was ahead then.
            (Alarm::GoneSince(NOW_S + 99), false, Next::Becomes(since(0))),
            (Alarm::Over, true, Next::Stays),
            (Alarm::Over, false, Next::Stays),
        ] {
            assert_eq!(next(alarm, is_there, NOW_S), follows, "{alarm:?} {is_there}");
        }
    }

    #[test]
    fn a_cause_is_told_once_an_hour_while_it_lasts_and_at_once_after_it_was_over() {
        let told = |ago_s: u64, alarm: Option<Alarm>| State {
            alerts: [("backlog".to_owned(), NOW_S - ago_s)].into(),
            alarms: alarm.map(|alarm| ("backlog".to_owned(), alarm)).into_iter().collect(),
            ..State::default()
        };
        // What an earlier version told says nothing of whether it lasts.
        for alarm in [None, Some(Alarm::Lasts), Some(Alarm::GoneSince(NOW_S))] {
            assert!(is_quiet(&told(QUIET_S - 1, alarm), "backlog", NOW_S), "{alarm:?}");
            assert!(!is_quiet(&told(QUIET_S, alarm), "backlog", NOW_S), "{alarm:?}");
        }
        assert!(!is_quiet(&told(0, Some(Alarm::Over)), "backlog", NOW_S));
        assert!(!is_quiet(&told(0, None), "clocks", NOW_S));
    }
}
