//! What people must hear of, judged by the plan and by what is kept between ticks.
//!
//! Alerts leave the house, and so nothing that an upstream said is in them: they tell statuses, and the status and the
//! dead letters tell the rest.

use crate::alarms::{self, Next};
use crate::health::{self, BACKLOG_S, PATIENCE_MS, REFUSED_MS, entities, will_not_heal};
use crate::told::{About, Alert, listed, shown};
use config::WorkerConfig;
use model::entity::Kind;
use model::failure::Class;
use model::gathering::sort;
use model::time;
use queue::dead_letter::DeadLetter;
use queue::key::{Key, Record};
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use queue::retry::RetryValue;
use records::notification::{Notification, SubscriptionState};
use records::pair::Pair;
use records::reconciliation::Reconciliation;
use records::refused::Refused;
use records::state::{Alarm, State};
use upstream::governor_state::GovernorState;
use world::host::{self, Host, StoreError};

/// The causes that name entities.
pub(super) const DEAD_LETTERS: &str = "dead-letters";
const BRAKED: &str = "deletions-braked";

/// How many entities an alert names.
const NAMED: usize = 5;

/// A cause, looked for.
struct Finding {
    cause: &'static str,
    /// Whether it is there.
    is_there: bool,
    /// What is new about it, if anything is.
    told: Option<Told>,
    /// The words for that it is over.
    over: &'static str,
}

/// What is told of a cause: the sentence, and what it is about.
type Told = (String, About);

fn named(kind: Kind, code: &str) -> String {
    format!("{}/{code}", kind.name())
}

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
    /// The newest dead letters that people have not heard of.
    dead_letters: Vec<DeadLetter>,
    /// The first entities whose deletions the brake holds back.
    braked: Vec<String>,
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
            dead_letters: Vec::new(),
            braked: Vec::new(),
            denied,
            now_ms: host.now_ms(),
        };
        let mut new: Vec<(u64, &String)> = facts.new_dead_letters().collect();
        sort(&mut new, |one, other| other.cmp(one));
        for (_, key) in new.into_iter().take(NAMED) {
            facts.dead_letters.extend(host::read(host, key).await?);
        }
        if state.brake.holding_since_s.is_some() && !facts.is_quiet(BRAKED) {
            for (retry, key) in plan.held_back().take(NAMED) {
                let code = match retry.entity.segment.code() {
                    Some(code) => Some(code),
                    None => host::read(host, key).await?.map(|value: RetryValue| value.code),
                };
                let name = code.map(|code| named(retry.entity.kind, &code));
                facts.braked.extend(name);
            }
        }
        Ok(facts)
    }

    pub(super) fn now_s(&self) -> u64 {
        self.now_ms / 1000
    }

    fn last_s(&self, cause: &str) -> u64 {
        alarms::last_s(self.state, cause, self.now_s())
    }

    /// Every cause: what is told of it where it is there, whether it is, and the words for that it is over.
    fn findings(&self) -> [Finding; 14] {
        let (pim, destination) = (&self.state.pim, &self.state.destination);
        let lasting = |cause, told: Option<Told>, over| Finding {
            cause,
            is_there: told.is_some(),
            told,
            over,
        };
        let of_moment = |cause, is_there, told: Option<Told>, over| Finding {
            cause,
            is_there,
            told,
            over,
        };
        [
            lasting(
                "not-adopted",
                self.denied.clone().map(told),
                "what is configured is what was adopted",
            ),
            of_moment(
                DEAD_LETTERS,
                self.plan.dead > 0,
                self.dead_letters(),
                "no dead letters are left",
            ),
            of_moment(
                "pim-blocked",
                self.is_blocked(pim),
                self.blocked("the PIM", pim),
                "the PIM is called again",
            ),
            of_moment(
                "destination-blocked",
                self.is_blocked(destination),
                self.blocked("the destination", destination),
                "the destination is called again",
            ),
            lasting(
                "pim-budget",
                self.budget("the PIM", pim),
                "the PIM's retry budget has room again",
            ),
            lasting(
                "destination-budget",
                self.budget("the destination", destination),
                "the destination's retry budget has room again",
            ),
            lasting(
                "no-progress",
                health::no_progress(self.state).map(told),
                "ticks come to something again",
            ),
            lasting(
                "clocks",
                health::clocks(self.state).map(told),
                "the clocks of the hosts agree again",
            ),
            lasting(
                "index-damaged",
                health::damaged(self.plan.set_aside_s).map(told),
                "a walk has found again what the damaged record held",
            ),
            lasting(
                "backlog",
                self.backlog().map(told),
                "no event that waits is old any more",
            ),
            of_moment(
                "refused-deliveries",
                self.was_refused_lately(),
                self.refused().map(told),
                "no delivery has been refused for an hour",
            ),
            lasting(BRAKED, self.braked(), "the brake holds no deletions back any more"),
            of_moment(
                "subscription",
                self.is_unsubscribed().is_some(),
                self.subscription().map(told),
                "the Event Platform delivers to the subscription again",
            ),
            lasting(
                "reconciliation",
                self.reconciliation().map(told),
                "the PIM's lists are read again",
            ),
        ]
    }

    /// All that is to be told now.
    pub(super) fn alerts(&self) -> Vec<Alert> {
        let untold = self.findings().into_iter().filter(|found| !self.is_quiet(found.cause));
        untold
            .filter_map(|found| {
                let (text, about) = found.told?;
                Some(Alert {
                    cause: found.cause.to_owned(),
                    is_over: false,
                    text,
                    about,
                })
            })
            .collect()
    }

    /// What has become of what people were told: what is only noted, and what they are to hear is over.
    pub(super) fn endings(&self) -> (Vec<(String, Alarm)>, Vec<Alert>) {
        let findings = self.findings();
        let (mut noted, mut over) = (Vec::new(), Vec::new());
        for (cause, alarm) in &self.state.alarms {
            let found = findings.iter().find(|found| found.cause == *cause);
            match alarms::next(*alarm, found.is_some_and(|found| found.is_there), self.now_s()) {
                Next::Stays => {}
                Next::Becomes(alarm) => noted.push((cause.clone(), alarm)),
                Next::Ends => over.push(Alert {
                    cause: cause.clone(),
                    is_over: true,
                    // Whoever is here works, and so is not misconfigured any more.
                    text: format!(
                        "well again: {}",
                        found.map_or("the worker works again", |found| found.over)
                    ),
                    about: About::default(),
                }),
            }
        }
        (noted, over)
    }

    /// Whether a cause was told so lately that it is not told again.
    fn is_quiet(&self, cause: &str) -> bool {
        alarms::is_quiet(self.state, cause, self.now_s())
    }

    /// The dead letters that people have not heard of, with when each was given up; none within the hour after an alert
    /// of them.
    fn new_dead_letters(&self) -> impl Iterator<Item = (u64, &'a String)> {
        let (keys, last_s) = (self.keys, self.last_s(DEAD_LETTERS));
        let listed = self.plan.dead_letters().filter(|_| !self.is_quiet(DEAD_LETTERS));
        listed.filter_map(move |key| match keys.parse(key)? {
            Key::DeadLetter(letter) if letter.failed_s > last_s => Some((letter.failed_s, key)),
            _ => None,
        })
    }

    /// Entities given up since people last heard of any.
    fn dead_letters(&self) -> Option<Told> {
        let new = self.new_dead_letters().count();
        let failure = self.dead_letters.first().and_then(|letter| letter.failures.last());
        let letters = self.dead_letters.iter();
        let about = About {
            status: failure.and_then(|failure| failure.status),
            class: failure.map(|failure| failure.class),
            entities: letters.map(|letter| named(letter.kind, &letter.code)).collect(),
        };
        let mut names: Vec<String> = about.entities.iter().map(|entity| shown(entity)).collect();
        if let (Some(newest), Some(status)) = (names.first_mut(), about.status) {
            *newest = format!("{newest} with {status}");
        }
        let names = match listed(names, new).as_str() {
            "" => String::new(),
            names => format!(" ({names})"),
        };
        let text = format!(
            "{} newly given up{names}, {} in the dead letters in all: see GET /admin/dead-letters for the reasons, mend them, then POST /admin/dead-letters/replay",
            entities(new),
            self.plan.dead,
        );
        (new > 0).then_some((text, about))
    }

    /// Whether anything of an upstream is left alone that will not heal by itself, be there work for it or not.
    fn is_blocked(&self, state: &GovernorState) -> bool {
        state.open().any(|open| will_not_heal(&open, self.now_ms))
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
            entities: Vec::new(),
        };
        Some((text, about))
    }

    fn budget(&self, upstream: &str, state: &GovernorState) -> Option<Told> {
        let since_ms = state.budget.exhausted_since_ms(self.now_ms)?;
        (self.now_ms.saturating_sub(since_ms) >= PATIENCE_MS).then(|| {
            told(format!(
                "the retries that {upstream} is allowed have been used up since {}, and {} wait for another try: look in the log for what fails",
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

    fn was_refused_lately(&self) -> bool {
        let refused = self.refused.as_ref();
        refused.is_some_and(|refused| self.now_ms.saturating_sub(refused.at_ms) < REFUSED_MS)
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

    fn braked(&self) -> Option<Told> {
        let since_s = self.state.brake.holding_since_s?;
        let waiting = usize::try_from(self.plan.braked.sum()).unwrap_or(usize::MAX);
        let withheld = self.reconciliation.as_ref().map_or(0, |known| known.walk.withheld);
        let held = waiting.saturating_add(usize::try_from(withheld).unwrap_or(usize::MAX));
        let about = About {
            entities: self.braked.clone(),
            ..About::default()
        };
        let names = self.braked.iter().map(|entity| shown(entity)).collect();
        let names = match listed(names, held).as_str() {
            "" => String::new(),
            names => format!(" ({names})"),
        };
        let text = format!(
            "deletions of {}{names} that nobody announced have been held back since {}: if the connection lost permissions in the PIM give them back, if the deletions are meant POST /admin/brake/release",
            entities(held),
            time::text(since_s),
        );
        (held > 0).then_some((text, about))
    }

    fn reconciliation(&self) -> Option<String> {
        self.reconciliation.as_ref()?.lasting_trouble(self.now_ms)
    }

    /// How the subscription has ended, if so, and what is to be done.
    fn is_unsubscribed(&self) -> Option<(&'static str, &'static str)> {
        match self.notification.as_ref()?.state {
            SubscriptionState::Suspended => Some(("suspended", "mend what it names, then resume it")),
            SubscriptionState::Revoked => Some(("revoked", "subscribe again")),
            SubscriptionState::Resumed | SubscriptionState::Other => None,
        }
    }

    fn subscription(&self) -> Option<String> {
        let notification = self.notification.as_ref()?;
        let (is, what) = self.is_unsubscribed()?;
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
