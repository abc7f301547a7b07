//! What people are alerted of, when, and in which words.
//!
//! A cause is told while it lasts and at most once an hour, and no alert holds anything that an upstream said.

use super::*;
use model::entity::{Entity, Kind};
use serde_json::json;

const NOW_S: u64 = 1_800_000_000;

fn plan(keys: &[String]) -> Plan {
    Plan::of(&Keyspace::new("main"), keys.iter().cloned())
}

fn dead(code: &str, failed_s: u64) -> String {
    Keyspace::new("main").encode(&Key::DeadLetter(queue::key::DeadLetterKey::new(
        Entity::new(Kind::Product, code),
        failed_s,
    )))
}

fn held(code: &str, due_s: u64) -> String {
    format!("r1.main.r.p.t{code}.0b.{due_s}")
}

fn causes(plan: &Plan, state: &State, refused: Option<Refused>, told: Option<Notification>) -> Vec<String> {
    let keys = Keyspace::new("main");
    let facts = Facts {
        refused,
        notification: told,
        ..facts(&keys, plan, state, NOW_S)
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
                breaker.open_for_a_person(upstream::breaker::Event::of("401", since_s * 1000, 0));
            } else {
                breaker.open(upstream::breaker::Event::of("no connection", since_s * 1000, 0));
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
        records::notification::read(body.to_string().as_bytes(), NOW_S * 1000).ok()
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

#[test]
fn alerts_tell_status_class_and_entity_and_nothing_that_an_upstream_said() {
    const SAID: &str = "{\"message\": \"SAID\"}";
    let since_ms = (NOW_S - 7200) * 1000;
    let mut state = State::default();
    let breaker = state.destination.breakers.entry("products".to_owned()).or_default();
    for n in 0..10 {
        let (subject, reason) = (format!("product-{n}"), format!("409: {SAID}"));
        breaker.refused(upstream::breaker::Event {
            subject: Some(&subject),
            ..upstream::breaker::Event::of(&reason, since_ms, 0)
        });
    }
    let breaker = state.pim.breakers.entry("token".to_owned()).or_default();
    breaker.open(upstream::breaker::Event::of(
        &format!("no connection: {SAID}"),
        since_ms,
        0,
    ));
    let trouble = json!({ "since_ms": since_ms, "last_ms": NOW_S * 1000 - 1, "reason": format!("pim is left alone: 502: {SAID}") });
    let failure = json!({
        "at_s": NOW_S, "upstream": "destination", "class": "permanent", "status": 422, "reason": format!("422: {SAID}"),
        "answer": SAID, "tracking_id": SAID, "tries": 1, "unsettled": false, "retry_after_s": null,
    });
    let letter = |code: &str, failures: Vec<serde_json::Value>| {
        json!({
            "v": 1, "kind": "product", "code": code, "failed_s": NOW_S - 10, "reason": format!("422: {SAID}"),
            "failures": failures, "events": [], "hash": null,
        })
    };
    let told = json!({ "notification_type": "subscription.suspended.SAID", "subscription_id": SAID, "reason": SAID });
    let plan = plan(&[dead("a", NOW_S - 20), dead("b", NOW_S - 10), held("c", NOW_S + 10)]);
    let facts = Facts {
        denied: None,
        keys: &Keyspace::new("main"),
        plan: &plan,
        state: &state,
        refused: None,
        notification: records::notification::read(told.to_string().as_bytes(), NOW_S * 1000).ok(),
        reconciliation: serde_json::from_value(json!({ "v": 1, "walk": { "trouble": trouble } }))
            .ok()
            .map(without_answers),
        dead_letters: [letter("b", vec![failure]), letter("a", vec![])]
            .into_iter()
            .filter_map(|letter| serde_json::from_value(letter).ok())
            .collect(),
        braked: Vec::new(),
        now_ms: NOW_S * 1000,
    };
    let alerts = facts.alerts();
    let found: Vec<(&str, Option<u16>, Option<Class>)> = alerts
        .iter()
        .map(|alert| (alert.cause.as_str(), alert.about.status, alert.about.class))
        .collect();
    assert_eq!(
        found,
        [
            ("dead-letters", Some(422), Some(Class::Permanent)),
            ("pim-blocked", None, Some(Class::Unavailable)),
            ("destination-blocked", Some(409), Some(Class::Misconfigured)),
            ("subscription", None, None),
            ("reconciliation", None, None),
        ]
    );
    for alert in &alerts {
        let values = alert.values("main", Some("https://relay.example.com/console"));
        assert!(!values.concat().contains("SAID"), "{values:?}");
    }
    let values = alerts[0].values("main", None);
    assert_eq!(
        values[3..],
        [
            "422",
            "permanent",
            "products/b",
            "products/b, products/a",
            "firing",
            "trigger",
            ""
        ]
    );
    assert!(
        alerts[0]
            .text
            .contains("2 entities newly given up (products/b with 422, products/a), 2 in"),
        "{}",
        alerts[0].text
    );
    assert!(alerts[2].text.contains("it answered 409"), "{}", alerts[2].text);
    assert!(alerts[4].text.contains("it answered 502"), "{}", alerts[4].text);
}

#[test]
fn of_a_reason_only_its_status_is_told() {
    for (reason, status) in [
        ("422: {\"message\": \"no\"}", Some(422)),
        ("404: ", Some(404)),
        ("10 entities refused in a row; the last: 400: 500: x", Some(400)),
        ("pim is left alone: 503: down", Some(503)),
        ("no connection: refused", None),
        ("no answer in time", None),
        ("", None),
        ("999: x", None),
        ("\u{fc}2: x", None),
    ] {
        assert_eq!(status_in(reason), status, "{reason}");
    }
}

/// Facts of a plan and a state alone.
fn facts<'a>(keys: &'a Keyspace, plan: &'a Plan, state: &'a State, now_s: u64) -> Facts<'a> {
    Facts {
        denied: None,
        keys,
        plan,
        state,
        refused: None,
        notification: None,
        reconciliation: None,
        dead_letters: Vec::new(),
        braked: Vec::new(),
        now_ms: now_s * 1000,
    }
}

#[test]
fn that_it_is_well_again_is_told_once_for_each_cause() {
    let keys = Keyspace::new("main");
    let (sick, well) = (plan(&[dead("a", NOW_S - 10)]), plan(&[]));
    let causes = ["dead-letters", "misconfigured", "backlog"];
    let mut state = State {
        alarms: causes.map(|cause| (cause.to_owned(), Alarm::Lasts)).into(),
        ..State::default()
    };
    let (noted, over) = facts(&keys, &sick, &state, NOW_S).endings();
    let gone = |cause: &str| (cause.to_owned(), Alarm::GoneSince(NOW_S));
    assert_eq!(
        (noted, over),
        (vec![gone("backlog"), gone("misconfigured")], vec![]),
        "a dead letter lies there still"
    );
    state.alarms = causes.map(gone).into();
    let later_s = NOW_S + alarms::CALM_S;
    assert_eq!(facts(&keys, &well, &state, later_s - 1).endings(), (vec![], vec![]));
    let (noted, over) = facts(&keys, &well, &state, later_s).endings();
    assert_eq!(noted, vec![]);
    let told: Vec<(&str, &str)> = over
        .iter()
        .map(|alert| (alert.cause.as_str(), alert.text.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("backlog", "well again: no event that waits is old any more"),
            ("dead-letters", "well again: no dead letters are left"),
            ("misconfigured", "well again: the worker works again"),
        ]
    );
    assert_eq!(over[1].values("main", None)[7..9], ["resolved", "resolve"]);
    state.alarms = causes.map(|cause| (cause.to_owned(), Alarm::Over)).into();
    assert_eq!(facts(&keys, &well, &state, later_s).endings(), (vec![], vec![]));
}

#[test]
fn what_is_left_alone_is_not_well_because_nothing_waits_for_it() {
    let (keys, nothing) = (Keyspace::new("main"), plan(&[]));
    let mut state = State {
        alarms: [("destination-blocked".to_owned(), Alarm::Lasts)].into(),
        ..State::default()
    };
    let breaker = state.destination.breakers.entry("products".to_owned()).or_default();
    breaker.open_for_a_person(upstream::breaker::Event::of("401", NOW_S * 1000, 0));
    assert_eq!(facts(&keys, &nothing, &state, NOW_S).endings(), (vec![], vec![]));
}

#[test]
fn the_first_of_what_the_brake_holds_are_named() {
    let keys = Keyspace::new("main");
    let held: Vec<String> = (0..7).map(|n| held(&n.to_string(), NOW_S + 3600)).collect();
    let plan = plan(&held);
    let mut state = State::default();
    state.brake.hold(NOW_S);
    let mut facts = facts(&keys, &plan, &state, NOW_S);
    facts.braked = vec!["products/0".to_owned(), "products/<!here>".to_owned()];
    let alert = facts.alerts().pop().expect("an alert");
    assert!(
        alert
            .text
            .starts_with("deletions of 7 entities (products/0, products/??here?, 5 more) that nobody"),
        "{}",
        alert.text
    );
    assert_eq!(
        alert.values("main", None)[5..7],
        ["", "products/0, products/<!here>"],
        "one entity alone is told of dead letters"
    );
}
