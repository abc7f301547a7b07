//! What people must hear of, judged by the plan and by what is kept between ticks.

use crate::config::WorkerConfig;
use crate::governor::GovernorState;
use crate::health::{self, BACKLOG_S, PATIENCE_MS, entities, will_not_heal};
use crate::host::{self, Host, StoreError};
use crate::ingest::Refused;
use crate::key::{Key, Keyspace, Record};
use crate::meta::Meta;
use crate::notification::{Notification, SubscriptionState};
use crate::plan::Plan;
use crate::reconciliation::Reconciliation;
use crate::state::State;
use crate::time;

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
}

/// What alerts are judged by.
pub(super) struct Facts<'a> {
    keys: &'a Keyspace,
    plan: &'a Plan,
    state: &'a State,
    refused: Option<Refused>,
    notification: Option<Notification>,
    reconciliation: Option<Reconciliation>,
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
        let denied = match Meta::of(config) {
            Some(configured) => Meta::load(host, keys)
                .await?
                .and_then(|known| known.denies(&configured)),
            None => None,
        };
        Ok(Facts {
            keys,
            plan,
            state,
            refused: host::read(host, &keys.record(Record::Refused)).await?,
            notification: host::read(host, &keys.record(Record::Notification)).await?,
            reconciliation: Reconciliation::read(host, keys).await?,
            denied,
            now_ms: host.now_ms(),
        })
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
            ("not-adopted", self.denied.clone()),
            ("dead-letters", self.dead_letters()),
            ("pim-blocked", self.blocked("the PIM", pim)),
            ("destination-blocked", self.blocked("the destination", destination)),
            ("pim-budget", self.budget("the PIM", pim)),
            ("destination-budget", self.budget("the destination", destination)),
            ("backlog", self.backlog()),
            ("refused-deliveries", self.refused()),
            ("deletions-braked", self.braked()),
            ("subscription", self.subscription()),
            ("reconciliation", self.reconciliation()),
        ];
        found
            .into_iter()
            .filter(|(cause, _)| !is_told(self.state, cause, self.now_s()))
            .filter_map(|(cause, text)| Some(Alert { cause, text: text? }))
            .collect()
    }

    /// Entities given up since people last heard of any.
    fn dead_letters(&self) -> Option<String> {
        let last_s = self.last_s("dead-letters");
        let keys = self.plan.entities.values().flat_map(|waiting| &waiting.dead_letters);
        let is_new =
            |key: &&String| matches!(self.keys.parse(key), Some(Key::DeadLetter(_, failed_s)) if failed_s > last_s);
        let new = keys.filter(is_new).count();
        (new > 0).then(|| {
            format!(
                "{} newly given up, {} in the dead letters in all: see GET /admin/dead-letters for the reasons, mend them, then POST /admin/dead-letters/replay",
                entities(new),
                self.plan.dead,
            )
        })
    }

    /// An upstream that is left alone and will not heal by itself, or has not for long. All its circuits are one
    /// cause: a revoked token opens every one of them.
    fn blocked(&self, upstream: &str, state: &GovernorState) -> Option<String> {
        let is_waiting = |waiting: &crate::plan::Waiting| !waiting.events.is_empty() || !waiting.retries.is_empty();
        if !self.plan.entities.values().any(is_waiting) {
            return None;
        }
        let blocked = health::blocked(upstream, state, |open| will_not_heal(open, self.now_ms))?;
        Some(format!(
            "{}, and {} events wait: {}; nothing is lost and no attempt is used meanwhile",
            blocked.text, self.plan.depth, blocked.advice,
        ))
    }

    fn budget(&self, upstream: &str, state: &GovernorState) -> Option<String> {
        let since_ms = state.budget.exhausted_since_ms(self.now_ms)?;
        (self.now_ms.saturating_sub(since_ms) >= PATIENCE_MS).then(|| {
            format!(
                "the retries that {upstream} is allowed have been used up since {}, and {} wait for another try: look in the log for what fails there",
                time::text(since_ms / 1000),
                entities(self.plan.retrying),
            )
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
        let held = usize::try_from(self.plan.braked.values().sum::<u64>()).unwrap_or(usize::MAX);
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
        let what = match notification.state {
            SubscriptionState::Suspended => "mend what it names, then resume it",
            SubscriptionState::Revoked => "subscribe again",
            SubscriptionState::Resumed | SubscriptionState::Other => return None,
        };
        (notification.at_ms / 1000 > self.last_s("subscription")).then(|| {
            format!(
                "the subscription {} says {} since {} ({}), and events sent since then are lost: {what}",
                notification.subscription.as_deref().unwrap_or("of the Event Platform"),
                notification.kind,
                time::text(notification.sent_s),
                notification.reason.as_deref().unwrap_or("no reason given"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Entity, Kind};
    use serde_json::json;

    const NOW_S: u64 = 1_800_000_000;

    fn plan(keys: &[String]) -> Plan {
        Plan::of(&Keyspace::new("main"), keys.iter().cloned())
    }

    fn dead(code: &str, failed_s: u64) -> String {
        Keyspace::new("main").encode(&Key::DeadLetter(Entity::new(Kind::Product, code), failed_s))
    }

    fn held(code: &str, due_s: u64) -> String {
        format!("r1.main.r.p.t{code}.0b.{due_s}")
    }

    fn causes(plan: &Plan, state: &State, refused: Option<Refused>, told: Option<Notification>) -> Vec<&'static str> {
        let facts = Facts {
            denied: None,
            keys: &Keyspace::new("main"),
            plan,
            state,
            refused,
            notification: told,
            reconciliation: None,
            now_ms: NOW_S * 1000,
        };
        let alerts = facts.alerts();
        assert!(alerts.iter().all(|alert| alert.text.len() > 20));
        alerts.into_iter().map(|alert| alert.cause).collect()
    }

    fn told(cause: &str, at_s: u64) -> State {
        State {
            alerts: [(cause.to_owned(), at_s)].into(),
            ..State::default()
        }
    }

    #[test]
    fn dead_letters_are_told_when_they_are_new_and_at_most_once_an_hour() {
        let plan = plan(&[dead("a", NOW_S - 7000), dead("b", NOW_S - 10)]);
        assert_eq!(causes(&plan, &State::default(), None, None), ["dead-letters"]);
        assert_eq!(causes(&plan, &told("dead-letters", NOW_S - 3599), None, None), [""; 0]);
        assert_eq!(
            causes(&plan, &told("dead-letters", NOW_S - 3600), None, None),
            ["dead-letters"]
        );
        // A clock that was ahead then silences nothing now.
        assert_eq!(
            causes(&plan, &told("dead-letters", NOW_S + 99), None, None),
            ["dead-letters"]
        );
        let old = super::tests::plan(&[dead("a", NOW_S - 7000)]);
        assert_eq!(causes(&old, &told("dead-letters", NOW_S - 6000), None, None), [""; 0]);
    }

    #[test]
    fn an_upstream_is_told_at_once_if_only_a_person_can_mend_it_and_else_after_ten_minutes() {
        let waiting = plan(&[held("a", NOW_S + 10)]);
        let open = |since_s: u64, for_a_person: bool| {
            let mut state = State::default();
            for circuit in ["products", "product-models"] {
                let breaker = state.destination.breakers.entry(circuit.to_owned()).or_default();
                if for_a_person {
                    breaker.open_for_a_person("401", since_s * 1000, 0);
                } else {
                    breaker.open("no connection", since_s * 1000, 0);
                }
            }
            state
        };
        assert_eq!(
            causes(&waiting, &open(NOW_S, true), None, None),
            ["destination-blocked"]
        );
        assert_eq!(causes(&waiting, &open(NOW_S - 599, false), None, None), [""; 0]);
        assert_eq!(
            causes(&waiting, &open(NOW_S - 600, false), None, None),
            ["destination-blocked"]
        );
        assert_eq!(
            causes(&plan(&[]), &open(NOW_S - 600, true), None, None),
            [""; 0],
            "nothing waits for it"
        );
    }

    #[test]
    fn a_used_up_budget_is_told_after_ten_minutes() {
        for (lasting_s, expected) in [(600, vec!["pim-budget"]), (599, vec![])] {
            let mut state = State::default();
            for second in NOW_S - lasting_s..=NOW_S {
                // More is asked for than a second brings.
                while state.pim.budget.take(second * 1000) {}
            }
            assert_eq!(causes(&plan(&[]), &state, None, None), expected);
        }
    }

    #[test]
    fn an_old_backlog_is_told() {
        let event = |time_s: u64| format!("r1.main.e.{time_s:010}.pu.ta.tx");
        assert_eq!(
            causes(&plan(&[event(NOW_S - 901)]), &State::default(), None, None),
            ["backlog"]
        );
        assert_eq!(
            causes(&plan(&[event(NOW_S - 900)]), &State::default(), None, None),
            [""; 0]
        );
    }

    #[test]
    fn a_refused_delivery_is_told_once_and_the_next_one_an_hour_later() {
        let refused = |at_s: u64| {
            Some(Refused {
                v: 1,
                at_ms: at_s * 1000,
                channel: "event-platform".to_owned(),
                reason: "the signature does not match".to_owned(),
            })
        };
        let state = told("refused-deliveries", NOW_S - 4000);
        assert_eq!(
            causes(&plan(&[]), &State::default(), refused(NOW_S), None),
            ["refused-deliveries"]
        );
        assert_eq!(causes(&plan(&[]), &state, refused(NOW_S - 4001), None), [""; 0]);
        assert_eq!(
            causes(&plan(&[]), &state, refused(NOW_S - 3999), None),
            ["refused-deliveries"]
        );
    }

    #[test]
    fn braked_deletions_are_told_while_any_are_held() {
        let mut state = State::default();
        state.brake.hold(NOW_S);
        assert_eq!(
            causes(&plan(&[held("a", NOW_S + 3600)]), &state, None, None),
            ["deletions-braked"]
        );
        assert_eq!(
            causes(
                &plan(&[format!("r1.main.r.p.ta.0h.{}", NOW_S + 10)]),
                &state,
                None,
                None
            ),
            [""; 0],
            "a probe"
        );
        state.brake.release(NOW_S);
        assert_eq!(causes(&plan(&[held("a", NOW_S + 3600)]), &state, None, None), [""; 0]);
    }

    #[test]
    fn a_suspension_and_a_revocation_are_told_and_a_resumption_is_not() {
        let said = |kind: &str| {
            let body = json!({ "notification_type": kind, "subscription_id": "s", "reason": "too many errors" });
            crate::notification::read(body.to_string().as_bytes(), NOW_S * 1000).ok()
        };
        for (kind, expected) in [
            ("subscription.suspended", vec!["subscription"]),
            ("subscription.revoked", vec!["subscription"]),
            ("subscription.resumed", vec![]),
            ("subscription.renamed", vec![]),
        ] {
            assert_eq!(
                causes(&plan(&[]), &State::default(), None, said(kind)),
                expected,
                "{kind}"
            );
        }
    }
}
