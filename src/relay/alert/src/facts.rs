//! What people must hear of, judged by the plan and by what is kept between ticks.
//!
//! Alerts leave the house, and so nothing that an upstream said is in them: they tell statuses, and the status and the
//! dead letters tell the rest.

use crate::health::{self, BACKLOG_S, PATIENCE_MS, entities, will_not_heal};
use config::PLACES;
use config::WorkerConfig;
use model::failure::Class;
use model::time;
use queue::dead_letter::DeadLetter;
use queue::key::{Key, Record};
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use records::notification::{Notification, SubscriptionState};
use records::pair::Pair;
use records::reconciliation::Reconciliation;
use records::refused::Refused;
use records::state::State;
use serde_json::json;
use upstream::governor_state::GovernorState;
use world::host::{self, Host, StoreError};

/// How long a cause is not alerted again, in seconds.
const QUIET_S: u64 = 3600;

/// Whether a cause was told within the hour. A moment that has not come yet is of a clock that was wrong.
pub(super) fn is_told(state: &State, cause: &str, now_s: u64) -> bool {
    now_s - last_s(state, cause, now_s) < QUIET_S
}

/// When a cause was last alerted, in seconds since the Unix epoch.
fn last_s(state: &State, cause: &str, now_s: u64) -> u64 {
    let last_s = state.alerts.get(cause).copied();
    last_s.filter(|last_s| *last_s <= now_s).unwrap_or(0)
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    /// What it is about; the same cause stays quiet for an hour.
    pub(super) cause: &'static str,
    /// One sentence: what is wrong, in numbers, and what to do.
    pub(super) text: String,
    /// The failure that it is about, if about one.
    pub(super) about: About,
}

/// What is told of a failure beside the sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    /// What the upstream answered.
    pub(super) status: Option<u16>,
    /// What follows from it.
    pub(super) class: Option<Class>,
    /// The entity, by its kind and code.
    pub(super) entity: Option<String>,
}

impl Alert {
    /// What stands in the places of a template, in the order of [`PLACES`].
    pub(super) fn values(&self, instance: &str) -> [String; PLACES.len()] {
        let About { status, class, entity } = &self.about;
        [
            self.text.clone(),
            self.cause.to_owned(),
            instance.to_owned(),
            status.map(|status| status.to_string()).unwrap_or_default(),
            class
                .and_then(|class| Some(json!(class).as_str()?.to_owned()))
                .unwrap_or_default(),
            entity.clone().unwrap_or_default(),
        ]
    }
}

/// What is told of a cause: the sentence, and what it is about.
type Told = (String, About);

fn told(text: String) -> Told {
    (text, About::default())
}

/// The status that a reason names, and nothing of what the upstream said: reasons are `422: {...}`, or have words of
/// our own before that.
fn status_in(reason: &str) -> Option<u16> {
    let numbers = reason.split(": ").filter(|part| part.len() == 3);
    numbers
        .filter_map(|part| part.parse().ok())
        .find(|status| (100..600).contains(status))
}

/// Why something failed, without what the upstream said.
fn in_own_words(reason: &str) -> String {
    match status_in(reason) {
        Some(status) => format!("it answered {status}"),
        None => "GET /admin/status says why".to_owned(),
    }
}

/// What is known of reconciliation, without what the PIM said.
fn without_answers(mut known: Reconciliation) -> Reconciliation {
    let looks = known.looks.values_mut().filter_map(|look| look.trouble.as_mut());
    for trouble in looks.chain(&mut known.walk.trouble) {
        trouble.reason = in_own_words(&trouble.reason);
    }
    known
}

/// What alerts are judged by.
pub(super) struct Facts<'a> {
    keys: &'a Keyspace,
    plan: &'a Plan,
    state: &'a State,
    refused: Option<Refused>,
    notification: Option<Notification>,
    reconciliation: Option<Reconciliation>,
    /// The newest dead letter.
    dead_letter: Option<DeadLetter>,
    /// Why nothing at all is done, if so.
    denied: Option<String>,
    now_ms: u64,
}

impl<'a> Facts<'a> {
    /// Reads what the state and the plan do not say.
    pub(super) async fn gather<H: Host>(
        host: &H,
        config: &'a WorkerConfig,
        plan: &'a Plan,
        state: &'a State,
    ) -> Result<Facts<'a>, StoreError> {
        let keys = &config.keys;
        let denied = match Pair::of(config) {
            Some(configured) => Pair::load(host, keys)
                .await?
                .and_then(|known| known.denies(&configured)),
            None => None,
        };
        let mut facts = Facts {
            keys,
            plan,
            state,
            refused: host::read(host, &keys.record(Record::Refused)).await?,
            notification: host::read(host, &keys.record(Record::Notification)).await?,
            reconciliation: Reconciliation::read(host, keys).await?.map(without_answers),
            dead_letter: None,
            denied,
            now_ms: host.now_ms(),
        };
        if let Some((_, key)) = facts.new_dead_letters().max() {
            facts.dead_letter = host::read(host, key).await?;
        }
        Ok(facts)
    }

    pub(super) fn now_s(&self) -> u64 {
        self.now_ms / 1000
    }

    fn last_s(&self, cause: &str) -> u64 {
        last_s(self.state, cause, self.now_s())
    }

    /// All that is to be told now.
    pub(super) fn alerts(&self) -> Vec<Alert> {
        let (pim, destination) = (&self.state.pim, &self.state.destination);
        let found = [
            ("not-adopted", self.denied.clone().map(told)),
            ("dead-letters", self.dead_letters()),
            ("pim-blocked", self.blocked("the PIM", pim)),
            ("destination-blocked", self.blocked("the destination", destination)),
            ("pim-budget", self.budget("the PIM", pim)),
            ("destination-budget", self.budget("the destination", destination)),
            ("no-progress", health::no_progress(self.state).map(told)),
            ("clocks", health::clocks(self.state).map(told)),
            ("index-damaged", health::damaged(self.plan.set_aside_s).map(told)),
            ("backlog", self.backlog().map(told)),
            ("refused-deliveries", self.refused().map(told)),
            ("deletions-braked", self.braked().map(told)),
            ("subscription", self.subscription().map(told)),
            ("reconciliation", self.reconciliation().map(told)),
        ];
        found
            .into_iter()
            .filter(|(cause, _)| !self.is_quiet(cause))
            .filter_map(|(cause, found)| {
                let (text, about) = found?;
                Some(Alert { cause, text, about })
            })
            .collect()
    }

    /// Whether a cause was told so lately that it is not told again.
    fn is_quiet(&self, cause: &str) -> bool {
        self.now_s() - self.last_s(cause) < QUIET_S
    }

    /// The dead letters that people have not heard of, with when each was given up; none within the hour after an alert
    /// of them.
    fn new_dead_letters(&self) -> impl Iterator<Item = (u64, &'a String)> {
        let (keys, last_s) = (self.keys, self.last_s("dead-letters"));
        let listed = self.plan.dead_letters().filter(|_| !self.is_quiet("dead-letters"));
        listed.filter_map(move |key| match keys.parse(key)? {
            Key::DeadLetter(letter) if letter.failed_s > last_s => Some((letter.failed_s, key)),
            _ => None,
        })
    }

    /// Entities given up since people last heard of any.
    fn dead_letters(&self) -> Option<Told> {
        let new = self.new_dead_letters().count();
        let about = self.dead_letter.as_ref().map_or_else(About::default, |letter| {
            let failure = letter.failures.last();
            About {
                status: failure.and_then(|failure| failure.status),
                class: failure.map(|failure| failure.class),
                entity: Some(format!("{}/{}", letter.kind.name(), letter.code)),
            }
        });
        let last = about.entity.as_ref().map_or_else(String::new, |entity| {
            let status = about
                .status
                .map_or_else(String::new, |status| format!(" with {status}"));
            format!(", the last {entity}{status}")
        });
        let text = format!(
            "{} newly given up{last}, {} in the dead letters in all: see GET /admin/dead-letters for the reasons, mend them, then POST /admin/dead-letters/replay",
            entities(new),
            self.plan.dead,
        );
        (new > 0).then_some((text, about))
    }

    /// An upstream that is left alone and will not heal by itself, or has not healed for long. All its circuits are one
    /// cause: a revoked token opens every one of them.
    fn blocked(&self, upstream: &str, state: &GovernorState) -> Option<Told> {
        if !self.plan.has_work() {
            return None;
        }
        let blocked = health::blocked(upstream, state, |open| will_not_heal(open, self.now_ms))?;
        let text = format!(
            "{} ({}), and {} events wait: {}; nothing is lost and no attempt is used meanwhile",
            blocked.text,
            in_own_words(&blocked.reason),
            self.plan.depth,
            blocked.advice,
        );
        let about = About {
            status: status_in(&blocked.reason),
            class: Some(if blocked.needs_a_person {
                Class::Misconfigured
            } else {
                Class::Unavailable
            }),
            entity: None,
        };
        Some((text, about))
    }

    fn budget(&self, upstream: &str, state: &GovernorState) -> Option<Told> {
        let since_ms = state.budget.exhausted_since_ms(self.now_ms)?;
        (self.now_ms.saturating_sub(since_ms) >= PATIENCE_MS).then(|| {
            told(format!(
                "the retries that {upstream} is allowed have been used up since {}, and {} wait for another try: look in the log for what fails there",
                time::text(since_ms / 1000),
                entities(self.plan.retrying),
            ))
        })
    }

    fn backlog(&self) -> Option<String> {
        let oldest_s = self.plan.oldest_s?;
        (self.now_s().saturating_sub(oldest_s) > BACKLOG_S).then(|| {
            format!(
                "{} events wait, the oldest since {}, and {} wait for another try: see GET /admin/status and the log for what holds them up",
                self.plan.depth,
                time::text(oldest_s),
                entities(self.plan.retrying),
            )
        })
    }

    fn refused(&self) -> Option<String> {
        let refused = self.refused.as_ref()?;
        (refused.at_ms / 1000 > self.last_s("refused-deliveries")).then(|| {
            format!(
                "a delivery on {} was refused at {} ({}): unless somebody forges them, mend the secret within the hour, before the subscription is suspended",
                refused.channel,
                time::text(refused.at_ms / 1000),
                refused.reason,
            )
        })
    }

    fn braked(&self) -> Option<String> {
        let since_s = self.state.brake.holding_since_s?;
        let held = usize::try_from(self.plan.braked.sum()).unwrap_or(usize::MAX);
        let withheld = self.reconciliation.as_ref().map_or(0, |known| known.walk.withheld);
        let held = held + usize::try_from(withheld).unwrap_or(usize::MAX);
        (held > 0).then(|| {
            format!(
                "deletions of {} that nobody announced have been held back since {}: if the connection lost permissions in the PIM give them back, if the deletions are meant POST /admin/brake/release",
                entities(held),
                time::text(since_s),
            )
        })
    }

    fn reconciliation(&self) -> Option<String> {
        self.reconciliation.as_ref()?.lasting_trouble(self.now_ms)
    }

    fn subscription(&self) -> Option<String> {
        let notification = self.notification.as_ref()?;
        let (is, what) = match notification.state {
            SubscriptionState::Suspended => ("suspended", "mend what it names, then resume it"),
            SubscriptionState::Revoked => ("revoked", "subscribe again"),
            SubscriptionState::Resumed | SubscriptionState::Other => return None,
        };
        (notification.at_ms / 1000 > self.last_s("subscription")).then(|| {
            format!(
                "the Event Platform's subscription has been {is} since {}, and events sent since then are lost: {what}; GET /admin/status has its reason",
                time::text(notification.sent_s),
            )
        })
    }
}

#[cfg(test)]
mod tests;
