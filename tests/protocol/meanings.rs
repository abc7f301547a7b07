//! What answers mean, in tables: by status, by body and by the rules of a document.
//! Any answer has a meaning, and whatever makes no sense in a document is told with its place.

use model::document::{Flaws, Node};
use proptest::prelude::*;
use protocol::answers::{Answers, Meaning};
use protocol::request::Act;
use serde_json::{Value, json};

fn read(answers: Value) -> Answers {
    let (document, flaws) = (json!({ "answers": answers }), Flaws::default());
    let mut answers = Answers::default();
    answers.amend(&Node::root(&document, &flaws));
    assert_eq!(flaws.into_inner(), [], "{document}");
    answers
}

fn flaws(answers: Value) -> Vec<String> {
    let (document, flaws) = (json!({ "answers": answers }), Flaws::default());
    Answers::default().amend(&Node::root(&document, &flaws));
    flaws.into_inner().into_iter().map(|flaw| flaw.place).collect()
}

const PAGE: &str = "<!doctype html><p>Back soon";

#[test]
fn a_deletion_is_done_where_the_destination_itself_says_that_it_has_nothing() {
    let answers = Answers::default();
    let own = [
        "",
        "{}",
        r#"{"message":"No such product"}"#,
        "null",
        "Not found",
        " not found.\n",
        "404 Not Found",
    ];
    for body in own {
        for status in [404, 410] {
            assert_eq!(
                answers.meaning(Act::Delete, status, body.as_bytes()),
                Meaning::Missing,
                "{status} {body}"
            );
        }
    }
    let others = [
        "default backend - 404",
        "404 page not found\n",
        PAGE,
        "<html><h1>Not Found</h1></html>",
        "no healthy upstream",
    ];
    for body in others {
        assert_eq!(
            answers.meaning(Act::Delete, 404, body.as_bytes()),
            Meaning::Busy,
            "{body}"
        );
        assert_eq!(
            answers.meaning(Act::Update, 404, body.as_bytes()),
            Meaning::Misconfigured,
            "{body}"
        );
    }
    assert_eq!(answers.meaning(Act::Delete, 204, b""), Meaning::Done);
    assert_eq!(answers.meaning(Act::Delete, 503, b""), Meaning::Busy);
}

#[test]
fn a_status_means_something_else_to_each_act() {
    let answers = Answers::default();
    for (status, upsert, create, update) in [
        (201, Meaning::Done, Meaning::Done, Meaning::Done),
        (404, Meaning::Misconfigured, Meaning::Misconfigured, Meaning::Missing),
        (410, Meaning::Refused, Meaning::Refused, Meaning::Missing),
        (409, Meaning::Busy, Meaning::Exists, Meaning::Busy),
        (423, Meaning::Busy, Meaning::Busy, Meaning::Busy),
        (
            401,
            Meaning::Misconfigured,
            Meaning::Misconfigured,
            Meaning::Misconfigured,
        ),
        (422, Meaning::Refused, Meaning::Refused, Meaning::Refused),
        (500, Meaning::Busy, Meaning::Busy, Meaning::Busy),
    ] {
        for (act, means) in [(Act::Upsert, upsert), (Act::Create, create), (Act::Update, update)] {
            assert_eq!(answers.meaning(act, status, b"{}"), means, "{status} to {act:?}");
        }
    }
}

#[test]
fn a_good_status_is_worth_what_its_body_lets_it_be() {
    let usual = Answers::default();
    for (body, means) in [
        ("", Meaning::Done),
        ("ok", Meaning::Done),
        ("<xml/>", Meaning::Done),
        (r#"{"errors":[]}"#, Meaning::Done),
        (r#"{"errors":"none"}"#, Meaning::Done),
        (r#"{"data":{"errors":[1]}}"#, Meaning::Done),
        (
            r#"{"data":null,"errors":[{"message":"no such field"}]}"#,
            Meaning::Refused,
        ),
        (PAGE, Meaning::Unavailable),
        ("  <HTML>", Meaning::Unavailable),
    ] {
        assert_eq!(usual.meaning(Act::Upsert, 200, body.as_bytes()), means, "{body}");
    }
    let cut: &[u8] = br#"{"errors":[{"message":"too long: \ud83d"}]}"#;
    for body in [
        cut,
        b"{\"errors\":[{\"message\":\"caf\xe9\"}]}",
        b"\xef\xbb\xbf{\"errors\":[1e999]}",
    ] {
        assert_eq!(
            usual.meaning(Act::Upsert, 200, body),
            Meaning::Refused,
            "no text spoils another"
        );
    }
    let lenient = read(json!({ "errors": "done", "html": "done" }));
    for body in [r#"{"errors":[1]}"#, PAGE] {
        assert_eq!(
            lenient.meaning(Act::Upsert, 200, body.as_bytes()),
            Meaning::Done,
            "{body}"
        );
    }
    let strict = read(json!({ "required": "/data/product/id" }));
    assert!(strict.need_bodies() && !usual.need_bodies());
    assert_eq!(strict.meaning(Act::Delete, 200, b"{}"), Meaning::Refused);
    assert_eq!(strict.meaning(Act::Upsert, 204, b""), Meaning::Done);
    assert_eq!(strict.meaning_of_file(201), Meaning::Done);
    for (body, means) in [
        (r#"{"data":{"product":{"id":7}}}"#, Meaning::Done),
        (r#"{"data":{"product":{"id":null}}}"#, Meaning::Refused),
        ("", Meaning::Refused),
    ] {
        assert_eq!(strict.meaning(Act::Upsert, 200, body.as_bytes()), means, "{body}");
    }
}

/// A deletion leaves nothing to tell of, unless the document says so of the deletion itself.
#[test]
fn what_all_answers_must_have_is_asked_of_a_deletion_only_where_it_says_so_itself() {
    let all = json!({ "required": "/id" });
    for (products, means) in [
        (json!({}), Meaning::Done),
        (json!({ "answers": all }), Meaning::Done),
        (json!({ "delete": { "path": "/x/{id}" } }), Meaning::Done),
        (
            json!({ "delete": { "path": "/x/{id}", "answers": { "required": "/gone" } } }),
            Meaning::Refused,
        ),
        (json!({ "archive": { "path": "/x/{id}" } }), Meaning::Done),
        (
            json!({ "archive": { "path": "/x/{id}", "answers": { "required": "/gone" } } }),
            Meaning::Refused,
        ),
    ] {
        let document = json!({ "answers": all, "products": products }).to_string();
        let shape = shape::Shape::read(&document).unwrap();
        let answers = shape.answers_of(model::entity::Kind::Product, Act::Delete);
        assert_eq!(answers.meaning(Act::Delete, 200, b"{}"), means, "{document}");
        assert_eq!(
            answers.meaning(Act::Delete, 200, br#"{"gone":1}"#),
            Meaning::Done,
            "{document}"
        );
    }
}

#[test]
fn rules_come_first_and_in_their_order() {
    let answers = read(json!({ "rules": [
        { "status": 403, "at": "/0/errorCode", "equals": "REQUEST_LIMIT_EXCEEDED", "means": "busy" },
        { "status": [400, "5xx"], "at": "/code", "one-of": ["duplicate", "taken"], "means": "exists" },
        { "status": 200, "at": "/error_code", "equals": 40002, "means": "misconfigured" },
        { "at": "/error_code", "means": "refused" },
        { "status": 204, "means": "missing" },
        { "status": 401, "means": "done" },
    ] }));
    assert!(answers.need_bodies());
    for (status, body, means) in [
        (403, r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#, Meaning::Busy),
        (403, r#"[{"errorCode":"INSUFFICIENT_ACCESS"}]"#, Meaning::Misconfigured),
        (503, r#"{"code":"taken"}"#, Meaning::Exists),
        (400, r#"{"code":"other"}"#, Meaning::Refused),
        (200, r#"{"error_code":40002}"#, Meaning::Misconfigured),
        (200, r#"{"error_code":1}"#, Meaning::Refused),
        (200, "{}", Meaning::Done),
        (204, "", Meaning::Missing),
        (401, "", Meaning::Done),
    ] {
        assert_eq!(
            answers.meaning(Act::Update, status, body.as_bytes()),
            means,
            "{status} {body}"
        );
    }
}

#[test]
fn what_people_are_told_is_the_part_that_says_why() {
    let body = br#"{"data":{"set":{"userErrors":[{"message":"taken"}]}},"errors":[{"message":"no"}]}"#;
    assert_eq!(
        Answers::default().reason(body).as_deref(),
        Some(r#"[{"message":"no"}]"#)
    );
    let told = read(json!({ "reason": "/data/set/userErrors/0/message" }));
    assert_eq!(told.reason(body).as_deref(), Some("taken"));
    assert_eq!(told.reason(b"{}"), None);
    let damaged = b"{\"data\":null,\"errors\":[\"caf\xe9\", 1.50]}";
    assert_eq!(
        Answers::default().reason(damaged).as_deref(),
        Some("[\"caf\u{fffd}\",1.50]")
    );
    let whole = br#"{"message":"the data is invalid","errors":{"sku":["taken"]}}"#;
    assert_eq!(Answers::default().reason(whole), None, "all of it says why");
    assert_eq!(read(json!({ "errors": "done" })).reason(body), None);
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    for (answers, places) in [
        (json!({ "rules": [{ "means": "done" }] }), vec!["/answers/rules/0"]),
        (
            json!({ "rules": [{ "status": 200, "means": "fine" }] }),
            vec!["/answers/rules/0/means"],
        ),
        (
            json!({ "rules": [{ "status": "20x", "means": "done" }] }),
            vec!["/answers/rules/0/status"],
        ),
        (
            json!({ "rules": [{ "status": ["658xx", "9999xx", "+4xx"], "means": "done" }] }),
            vec![
                "/answers/rules/0/status/0",
                "/answers/rules/0/status/1",
                "/answers/rules/0/status/2",
            ],
        ),
        (
            json!({ "rules": [{ "status": [100], "means": "done" }] }),
            vec!["/answers/rules/0/status/0"],
        ),
        (json!({ "rules": [{ "status": 200 }] }), vec!["/answers/rules/0"]),
        (
            json!({ "busy": [200], "html": 1, "errors": "no" }),
            vec!["/answers/busy/0", "/answers/html", "/answers/errors"],
        ),
        (
            json!({ "required": "id", "reason": 1, "more": 1 }),
            vec!["/answers/more"],
        ),
    ] {
        let told = flaws(answers.clone());
        assert!(
            places.iter().all(|place| told.iter().any(|told| told == place)),
            "{answers}: {told:?}"
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "answers", "rules", "status", "at", "means", "equals", "one-of", "empty", "there", "type", "errors",
        "required", "reason", "html", "busy",
    ]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0_u16..700).prop_map(Value::from),
        prop::sample::select(vec![
            "", "/errors", "/0/a", "2xx", "done", "missing", "busy", "~", "list"
        ])
        .prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

proptest! {
    /// Any document gives answers or told flaws, and any answer a meaning.
    #[test]
    fn any_answer_has_a_meaning(document in any_json(), status in 100_u16..700, body in any_json(), cut in 0_usize..40) {
        let flaws = Flaws::default();
        let mut answers = Answers::default();
        answers.amend(&Node::root(&json!({ "answers": document }), &flaws));
        let body = body.to_string();
        let cut = body.char_indices().map(|(at, _)| at).take_while(|at| *at <= cut).last().unwrap_or(0);
        for body in [&body[..], &body[..cut]] {
            for act in [Act::Upsert, Act::Create, Act::Update, Act::Delete] {
                answers.meaning(act, status, body.as_bytes());
            }
            answers.reason(body.as_bytes());
        }
    }
}
