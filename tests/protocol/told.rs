//! What a document means, in words: every answer's meaning is told as it is judged.

use crate::any::{ACTS, DOCUMENTS};
use model::entity::Kind;
use model::json;
use protocol::answers::Meaning;
use protocol::request::Act;
use serde_json::{Value, json};
use shape::Shape;

fn shape(document: &Value) -> Shape {
    Shape::read(&json::write(document)).unwrap()
}

/// Whether this list of statuses, such as `2xx, 400, 402 to 408`, has one of them.
fn lists(which: &str, status: u16) -> bool {
    which
        .split(", ")
        .any(|part| match (part.strip_suffix("xx"), part.split_once(" to ")) {
            (Some(hundred), _) => hundred.parse::<u16>().is_ok_and(|hundred| status / 100 == hundred),
            (None, Some((from, to))) => (from.parse().unwrap()..=to.parse().unwrap()).contains(&status),
            (None, None) => part.parse() == Ok(status),
        })
}

/// Of every document that is given out, and every request of it: what an answer of a status means that has no body stands
/// in the first line that lists the status.
#[test]
fn every_status_is_told_as_it_is_judged() {
    for document in DOCUMENTS.iter() {
        let shape = shape(document);
        for (kind, act) in Kind::ALL.iter().flat_map(|kind| ACTS.map(|act| (*kind, act))) {
            let told = shape.told(kind, act);
            let is_of_no_body = |which: &String| which.contains("is not there") || which.contains("(but 204) without");
            if told.iter().any(|(which, _)| is_of_no_body(which)) {
                continue;
            }
            for status in 200..600 {
                let line = told.iter().find(|(which, _)| is_list(which) && lists(which, status));
                let (_, follows) = line.unwrap_or_else(|| panic!("{status} is not told: {told:?}"));
                let meaning = shape.answers_of(kind, act).meaning(act, status, b"").name();
                assert!(
                    follows.ends_with(&format!("({meaning})")),
                    "{kind:?} {act:?} {status}: {follows}"
                );
            }
        }
    }
}

/// Whether these words are a list of statuses and nothing else.
fn is_list(which: &str) -> bool {
    which
        .split(", ")
        .flat_map(|part| part.split(" to "))
        .all(|part| part.trim_end_matches("xx").chars().all(|c| c.is_ascii_digit()))
}

/// The lines of a request that mean this.
fn lines(document: Value, act: Act, meaning: Meaning) -> Vec<String> {
    let told = shape(&document).told(Kind::Product, act);
    let of_it = told
        .into_iter()
        .filter(|(_, follows)| follows.ends_with(&format!("({})", meaning.name())));
    of_it.map(|(which, follows)| format!("{follows}: {which}")).collect()
}

#[test]
fn rules_are_told_with_their_conditions_and_waits() {
    let rules = json!([
        { "status": [400, "5xx"], "at": "/code", "one-of": ["slow", 7], "means": "busy", "wait": { "at": "/wait", "unit": "milliseconds" } },
        { "status": 420, "means": "busy", "wait": { "seconds": 1 } },
        { "at": "", "type": "list", "means": "busy", "wait": { "header": "X-Wait", "unit": "moment" } },
    ]);
    let told = lines(
        json!({ "products": { "answers": { "rules": rules } } }),
        Act::Upsert,
        Meaning::Busy,
    );
    assert_eq!(
        told,
        [
            "tried again later, after /wait in the body, in milliseconds (busy): 400, 5xx where /code is \"slow\" or 7",
            "tried again later, after 1 second (busy): 420",
            "tried again later, after the header x-wait, as a moment (busy): any where the whole is of the type list",
            "tried again later (busy): 408 to 409, 423, 425, 429, 5xx",
        ]
    );
}

#[test]
fn what_follows_is_told_by_what_the_document_can_do() {
    let upsert = json!({});
    let made = json!({
        "identity": { "form": "id", "unique": true }, "create": { "path": "/items" }, "update": { "path": "/items/{id}" },
    });
    let found = json!({
        "remember": { "id": "/id" }, "create": { "path": "/items" }, "update": { "path": "/items/{remote.id}" },
        "delete": { "path": "/items/{remote.id}" }, "find": { "path": "/items?ref={id}", "list": "/found" },
    });
    for (products, act, meaning, begins) in [
        (
            &upsert,
            Act::Upsert,
            Meaning::Missing,
            "this one is refused: a dead letter",
        ),
        (
            &upsert,
            Act::Upsert,
            Meaning::Exists,
            "this one is refused: a dead letter",
        ),
        (&upsert, Act::Delete, Meaning::Missing, "it is not there: done"),
        (&made, Act::Update, Meaning::Missing, "it is not there: it is made"),
        (&made, Act::Create, Meaning::Exists, "it is there: it is changed"),
        (&found, Act::Find, Meaning::Missing, "it is not there: it is made"),
        (&found, Act::Find, Meaning::Done, "it says what is there"),
        (
            &found,
            Act::Update,
            Meaning::Missing,
            "it is not there: it is looked up",
        ),
        (
            &found,
            Act::Create,
            Meaning::Exists,
            "it is there: it is looked up and changed",
        ),
    ] {
        let mut document = json!({ "products": products });
        document["answers"] = json!({ "rules": [{ "status": 499, "means": meaning.name() }] });
        let told = lines(document.clone(), act, meaning);
        let of_rule = told.iter().find(|line| line.ends_with(": 499"));
        assert!(
            of_rule.is_some_and(|line| line.starts_with(begins)),
            "{document} {act:?}: {told:?}"
        );
    }
}
