//! Whether all is well, judged by what the worker has published: for the status, the metrics and the console. What
//! blocks an upstream is judged here for alerts as well.

use model::time;
use records::history::LastTick;
use records::notification::{Notification, SubscriptionState};
use records::pair::NOT_ADOPTED;
use records::reconciliation::Reconciliation;
use records::refused::Refused;
use records::state::{PAUSED, State};
use records::status::{SILENT_MS, Status};
use serde::Serialize;
use upstream::governor_state::{GovernorState, Open};
use world::host::BY_THE_STORE;

/// How long an upstream may be left alone, or a retry budget be used up, before people hear of it, in milliseconds.
pub const PATIENCE_MS: u64 = 600_000;

/// How old the oldest event may become before people hear of it, in seconds.
pub const BACKLOG_S: u64 = 900;

/// How long a refused delivery is a sign that something is wrong now, in milliseconds.
pub const REFUSED_MS: u64 = 3_600_000;

/// How the application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing needs anybody.
    Ok,
    /// The application works, and something needs attention or is slow.
    Degraded,
    /// The application does not do its work.
    Down,
}

/// Why it is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// How bad it is.
    pub level: Level,
    /// What it is about, in a word.
    pub cause: &'static str,
    /// What is wrong, and what to do.
    pub text: String,
}

/// What is judged.
pub struct Facts<'a> {
    /// What the worker published; none if it never has.
    pub status: Option<&'a Status>,
    /// What it keeps.
    pub state: &'a State,
    /// The last tick that had work.
    pub last_tick: Option<&'a LastTick>,
    /// The last refused delivery.
    pub refused: Option<&'a Refused>,
    /// What was last said of the subscription.
    pub notification: Option<&'a Notification>,
    /// How far reconciliation has come.
    pub reconciliation: &'a Reconciliation,
    /// How many events may wait before deliveries are put off.
    pub high_water: u64,
    /// In milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// The sentence that ticks have work and come to nothing, if so.
pub fn no_progress(state: &State) -> Option<String> {
    let pace = &state.pace;
    pace.is_stalled().then(|| {
        format!(
            "{} ticks in a row since {} had work and came to nothing; the last one was at this: {}. Smaller batches, and others first, are being tried: the worker's log tells what takes so long",
            pace.stalled,
            time::text(pace.since_s),
            pace.at,
        )
    })
}

/// The sentence that a record is set aside since it was damaged, if so.
pub fn damaged(set_aside_s: Option<u64>) -> Option<String> {
    let since = time::text(set_aside_s?);
    Some(format!(
        "a record in the store was damaged and has been set aside since {since}, the log names it (`set-aside`): a walk finds again what it held; what the PIM deletes of that until then, the destination may keep"
    ))
}

/// The sentence that the clocks of the hosts differ, if so.
pub fn clocks(state: &State) -> Option<String> {
    state.clocks_differ().then(|| {
        "the clocks of the hosts differ by more than a minute: set them by NTP; until then more calls may be made at once than an upstream allows, and what was pushed when a worker died is looked at twice".to_owned()
    })
}

/// How bad it is on the whole: the worst of the reasons.
pub fn level(reasons: &[Reason]) -> Level {
    reasons.iter().map(|reason| reason.level).max().unwrap_or(Level::Ok)
}

/// All that is not well, the worst first.
pub fn judge(facts: &Facts<'_>) -> Vec<Reason> {
    let (pim, destination) = (&facts.state.pim, &facts.state.destination);
    let found = [
        ("worker-silent", facts.silent()),
        ("misconfigured", facts.misconfigured()),
        ("paused", facts.paused()),
        ("not-adopted", facts.stopped()),
        ("pim-blocked", facts.blocked("the PIM", pim)),
        ("destination-blocked", facts.blocked("the destination", destination)),
        ("pim-budget", facts.budget("the PIM", pim)),
        ("destination-budget", facts.budget("the destination", destination)),
        ("no-progress", facts.no_progress()),
        ("pim-slowed", facts.slowed("the PIM", pim)),
        ("destination-slowed", facts.slowed("the destination", destination)),
        ("clocks", facts.clocks()),
        ("tick-stopped", facts.store()),
        ("index-damaged", facts.damaged()),
        ("backlog-full", facts.full()),
        ("backlog", facts.backlog()),
        ("dead-letters", facts.dead_letters()),
        ("deletions-braked", facts.braked()),
        ("subscription", facts.subscription()),
        ("reconciliation", facts.reconciliation()),
        ("refused-deliveries", facts.refused()),
    ];
    let mut reasons: Vec<Reason> = found
        .into_iter()
        .filter_map(|(cause, found)| {
            let (level, text) = found?;
            Some(Reason { level, cause, text })
        })
        .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
    reasons
}

impl Facts<'_> {
    /// Figures of the last listing; zeros before the first.
    fn published(&self) -> Status {
        self.status.cloned().unwrap_or_default()
    }

    fn silent(&self) -> Option<(Level, String)> {
        let Some(status) = self.status else {
            let text = "the worker has not run yet on this store: see that its schedule is set up, that all processes share one store (an application from a registry needs --state-dir), and look into its log";
            return Some((Level::Down, text.to_owned()));
        };
        (self.now_ms.saturating_sub(status.listed_ms) > SILENT_MS).then(|| {
            let since = time::text(status.listed_ms / 1000);
            let text = format!(
                "the worker has not ticked on this store since {since}: see that it is started, and look into its log"
            );
            (Level::Down, text)
        })
    }

    fn misconfigured(&self) -> Option<(Level, String)> {
        let why = self.status?.misconfigured.clone()?;
        Some((Level::Down, why))
    }

    fn stopped(&self) -> Option<(Level, String)> {
        let reason = self.last_tick?.stopped()?;
        reason
            .starts_with(NOT_ADOPTED)
            .then(|| (Level::Down, reason.to_owned()))
    }

    fn paused(&self) -> Option<(Level, String)> {
        let since = time::text(self.state.paused_s?);
        let text = format!("{PAUSED} since {since}: deliveries are taken, and nothing is pushed before it is resumed");
        Some((Level::Degraded, text))
    }

    fn store(&self) -> Option<(Level, String)> {
        let reason = self.last_tick?.stopped()?;
        reason.starts_with(BY_THE_STORE).then(|| {
            let text = format!("the last tick with work was stopped ({reason}): what it did not keep is repeated");
            (Level::Degraded, text)
        })
    }

    fn damaged(&self) -> Option<(Level, String)> {
        Some((Level::Degraded, damaged(self.status?.set_aside_s)?))
    }

    fn is_anything_waiting(&self) -> bool {
        let status = self.published();
        status.depth + status.retrying > 0
    }

    fn blocked(&self, upstream: &str, state: &GovernorState) -> Option<(Level, String)> {
        let is_waiting = self.is_anything_waiting();
        let is_down = |open: &Open<'_>| is_waiting && will_not_heal(open, self.now_ms);
        let (level, blocked) = match blocked(upstream, state, is_down) {
            Some(blocked) => (Level::Down, blocked),
            None => (Level::Degraded, blocked(upstream, state, |_| true)?),
        };
        Some((
            level,
            format!("{} ({}): {}", blocked.text, blocked.reason, blocked.advice),
        ))
    }

    fn budget(&self, upstream: &str, state: &GovernorState) -> Option<(Level, String)> {
        let since_ms = state.budget.exhausted_since_ms(self.now_ms)?;
        let since = time::text(since_ms / 1000);
        let text = format!(
            "more is to be tried again than the retry budget of {upstream} lets through, since {since}: the worker's log tells what fails"
        );
        Some((Level::Degraded, text))
    }

    fn no_progress(&self) -> Option<(Level, String)> {
        Some((Level::Down, no_progress(self.state)?))
    }

    fn slowed(&self, upstream: &str, state: &GovernorState) -> Option<(Level, String)> {
        let calls = state.slowed_to()?;
        let text = format!("{upstream} answers 429: it is called {calls} times a second at most, until it bears more");
        Some((Level::Degraded, text))
    }

    fn clocks(&self) -> Option<(Level, String)> {
        Some((Level::Degraded, clocks(self.state)?))
    }

    fn full(&self) -> Option<(Level, String)> {
        let depth = self.published().depth;
        (depth >= self.high_water).then(|| {
            let text = format!("{depth} events wait, and deliveries are put off until they are fewer");
            (Level::Down, text)
        })
    }

    fn backlog(&self) -> Option<(Level, String)> {
        let status = self.published();
        let oldest_s = status.oldest_s?;
        (self.now_ms / 1000 > oldest_s + BACKLOG_S).then(|| {
            let text = format!(
                "{} wait, the oldest since {}",
                events(status.depth),
                time::text(oldest_s)
            );
            (Level::Degraded, text)
        })
    }

    fn dead_letters(&self) -> Option<(Level, String)> {
        let dead = self.published().dead;
        (dead > 0).then(|| {
            let text = format!(
                "{} given up: mend what their reasons name, then replay them",
                entities(dead)
            );
            (Level::Degraded, text)
        })
    }

    fn braked(&self) -> Option<(Level, String)> {
        let braked = self.published().braked() + self.reconciliation.walk.withheld;
        let since_s = self.state.brake.holding_since_s.filter(|_| braked > 0)?;
        let text = format!(
            "unannounced deletions of {} are held back since {}: if the connection lost permissions in the PIM give them back, else release the brake",
            entities(braked),
            time::text(since_s),
        );
        Some((Level::Degraded, text))
    }

    fn reconciliation(&self) -> Option<(Level, String)> {
        let trouble = self.reconciliation.lasting_trouble(self.now_ms)?;
        Some((Level::Degraded, trouble))
    }

    fn subscription(&self) -> Option<(Level, String)> {
        let notification = self.notification?;
        let what = match notification.state {
            SubscriptionState::Suspended => "mend what it names, then resume it",
            SubscriptionState::Revoked => "subscribe again",
            SubscriptionState::Resumed | SubscriptionState::Other => return None,
        };
        let text = format!(
            "the Event Platform says {} since {} ({}): {what}",
            notification.kind,
            time::text(notification.sent_s),
            notification.reason.as_deref().unwrap_or("no reason given"),
        );
        Some((Level::Degraded, text))
    }

    fn refused(&self) -> Option<(Level, String)> {
        let refused = self.refused?;
        (self.now_ms.saturating_sub(refused.at_ms) < REFUSED_MS).then(|| {
            let text = format!(
                "a delivery on {} was refused at {} ({}): unless somebody forges them, mend the secret before the subscription is suspended",
                refused.channel,
                time::text(refused.at_ms / 1000),
                refused.reason,
            );
            (Level::Degraded, text)
        })
    }
}

/// An upstream that is left alone.
pub struct Blocked {
    /// Since when, and for what.
    pub text: String,
    /// Why; it may hold what the upstream said.
    pub reason: String,
    /// Whether only a person can mend it.
    pub needs_a_person: bool,
    /// What to do.
    pub advice: &'static str,
}

/// Whether only a person can mend what opened a breaker, or the breaker has been open for long.
pub fn will_not_heal(open: &Open<'_>, now_ms: u64) -> bool {
    open.breaker.needs_a_person() || now_ms.saturating_sub(open.since_ms) >= PATIENCE_MS
}

/// What of an upstream is left alone, as far as it matters. All its circuits are one thing to tell: a revoked token
/// opens every one of them.
pub fn blocked(upstream: &str, state: &GovernorState, matters: impl Fn(&Open<'_>) -> bool) -> Option<Blocked> {
    let open: Vec<Open<'_>> = state.open().filter(matters).collect();
    let first = open.iter().min_by_key(|open| open.since_ms)?;
    let circuits: Vec<&str> = open.iter().map(|open| open.circuit).collect();
    let needs_a_person = first.breaker.needs_a_person();
    let advice = if needs_a_person {
        "mend its configuration or permissions"
    } else {
        "see that it runs and can be reached"
    };
    let text = format!(
        "{upstream} has been left alone since {} for {}",
        time::text(first.since_ms / 1000),
        circuits.join(", "),
    );
    Some(Blocked {
        text,
        reason: first.breaker.reason.clone(),
        needs_a_person,
        advice,
    })
}

/// A number of entities, in words.
pub fn entities(count: impl TryInto<u64>) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => "1 entity".to_owned(),
        count => format!("{count} entities"),
    }
}

fn events(count: u64) -> String {
    match count {
        1 => "1 event".to_owned(),
        count => format!("{count} events"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::entity::Kind;
    use serde_json::json;
    use upstream::breaker::Event;

    const NOW_MS: u64 = 1_800_000_000_000;
    const NOW_S: u64 = NOW_MS / 1000;

    fn status() -> Status {
        Status {
            v: 1,
            listed_ms: NOW_MS - 60_000,
            ..Status::default()
        }
    }

    fn judged(status: Option<&Status>, state: &State) -> (Level, Vec<&'static str>) {
        judged_after(status, state, None)
    }

    fn judged_after(
        status: Option<&Status>,
        state: &State,
        last_tick: Option<&LastTick>,
    ) -> (Level, Vec<&'static str>) {
        let reasons = judge(&Facts {
            status,
            state,
            last_tick,
            refused: None,
            notification: None,
            reconciliation: &Reconciliation::default(),
            high_water: 1000,
            now_ms: NOW_MS,
        });
        (level(&reasons), reasons.iter().map(|reason| reason.cause).collect())
    }

    #[test]
    fn an_idle_application_is_well() {
        assert_eq!(judged(Some(&status()), &State::default()), (Level::Ok, vec![]));
    }

    #[test]
    fn a_silent_worker_is_down() {
        let silent = Status {
            listed_ms: NOW_MS - SILENT_MS - 1,
            ..status()
        };
        for status in [Some(&silent), None] {
            let expected = (Level::Down, vec!["worker-silent"]);
            assert_eq!(judged(status, &State::default()), expected);
        }
    }

    #[test]
    fn what_waits_decides_how_bad_a_blocked_upstream_is() {
        let waiting = Status { depth: 3, ..status() };
        for (needs_a_person, since_ms, is_waiting, expected) in [
            (true, 0, true, Level::Down),
            (true, 0, false, Level::Degraded),
            (false, 0, true, Level::Degraded),
            (false, PATIENCE_MS, true, Level::Down),
            (false, PATIENCE_MS, false, Level::Degraded),
        ] {
            let mut state = State::default();
            let breaker = state.pim.breakers.entry("products".to_owned()).or_default();
            if needs_a_person {
                breaker.open_for_a_person(Event::of("403", NOW_MS - since_ms, 0));
            } else {
                breaker.open(Event::of("no connection", NOW_MS - since_ms, 0));
            }
            let status = if is_waiting { waiting.clone() } else { status() };
            assert_eq!(judged(Some(&status), &state), (expected, vec!["pim-blocked"]));
        }
    }

    #[test]
    fn figures_are_judged_and_the_worst_stands_first() {
        let many = Status {
            depth: 1000,
            oldest_s: Some(NOW_S - 901),
            dead: 1,
            braked: model::by_kind::ByKind::of(Kind::Product, 2),
            ..status()
        };
        let mut state = State::default();
        state.brake.hold(NOW_S);
        let (level, causes) = judged(Some(&many), &state);
        assert_eq!(level, Level::Down);
        assert_eq!(causes, ["backlog-full", "backlog", "dead-letters", "deletions-braked"]);
    }

    #[test]
    fn a_worker_that_stands_still_is_down_and_says_why() {
        let still = Status {
            misconfigured: Some("variable `shape` makes no sense".to_owned()),
            ..status()
        };
        assert_eq!(
            judged(Some(&still), &State::default()),
            (Level::Down, vec!["misconfigured"])
        );
    }

    #[test]
    fn a_pair_that_nobody_adopted_is_down_and_another_stop_is_not() {
        for (reason, expected) in [
            (format!("{NOT_ADOPTED}: the index"), Level::Down),
            ("the store failed".to_owned(), Level::Ok),
        ] {
            let last_tick = LastTick {
                at_s: NOW_S,
                report: json!({ "outcome": "stopped", "reason": reason }),
            };
            let judged = judged_after(Some(&status()), &State::default(), Some(&last_tick));
            assert_eq!(judged.0, expected);
        }
    }
}
