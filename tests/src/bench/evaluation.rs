//! What it costs to read a document of the shape, and an answer of a destination: of double the size, by the size.
//! Whatever is in them, the ratio stays near two.

use anyhow::{Result, anyhow};
use http::HeaderMap;
use model::entity::Kind;
use protocol::request::{Act, Names};
use serde_json::{Value, json};
use shape::Shape;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How often each is timed; the shortest time counts.
const TIMES: usize = 5;

/// A rule of each condition, `find` and `remember`, so that all that can be asked of an answer is asked.
fn asking() -> Value {
    json!({
        "limits": { "reset": { "at": "/error/until", "unit": "moment" }, "ratelimit": true },
        "answers": { "required": "/data/0/id", "reason": "/error/text", "rules": [
            { "at": "/error/list", "empty": false, "means": "missing" },
            { "at": "/error/list", "type": "number", "means": "refused" },
            { "at": "/error/code", "one-of": ["a", 12345678901234567890123_i128.to_string(), [1, { "a": 2.0 }]], "means": "exists" },
            { "status": 429, "at": "/error", "there": false, "means": "busy", "wait": { "at": "/wait" } },
        ] },
        "products": {
            "remember": { "id": "/id", "version": ["/version", { "header": "ETag" }] },
            "find": { "path": "/items?ref={id}", "list": "/data", "matching": { "/ref": "{id}", "/of": "{kind}" } },
            "create": { "path": "/items" }, "update": { "path": "/items/{remote.id}" }, "delete": { "path": "/items/{remote.id}" },
        },
    })
}

/// A form, and how a text of it is written that has about so many bytes.
type Form = (&'static str, fn(usize) -> String);

/// Bodies of about so many bytes, each of a form that costs much in a way of its own.
const BODIES: [Form; 7] = [
    ("one text", |size| {
        json!({ "error": { "text": "x".repeat(size) } }).to_string()
    }),
    ("halves of characters", |size| {
        format!("{{\"errors\":[\"{}\"]}}", "\\ud83d".repeat(size / 6))
    }),
    ("found elements", |size| {
        format!("{{\"data\":[{}]}}", repeated("{\"ref\":\"id\",\"id\":1}", size))
    }),
    ("zeros", |size| format!("{{\"data\":[{}]}}", repeated("0", size))),
    ("long numbers", |size| {
        format!("{{\"errors\":[{}]}}", repeated("1234567890123456789012345e-7", size))
    }),
    ("members", |size| {
        let members: Vec<String> = (0..size / 12).map(|number| format!("\"m{number:06}\":0")).collect();
        format!("{{{}}}", members.join(","))
    }),
    ("a nest", |size| "[".repeat(size)),
];

/// Documents of about so many bytes.
const DOCUMENTS: [Form; 3] = [
    ("fields", |size| {
        let field = |number: usize| json!({ "from": format!("/values/a{number:06}"), "to": format!("/a{number:06}") });
        of_products("fields", (0..size / 45).map(field).collect())
    }),
    ("rules", |size| {
        let rule = |number: usize| json!({ "status": 400, "at": format!("/a{number:06}"), "means": "busy" });
        let rules: Vec<Value> = (0..size / 48).map(rule).collect();
        json!({ "answers": { "rules": rules } }).to_string()
    }),
    ("flaws", |size| {
        of_products("fields", vec![json!({ "too": 1 }); size / 10])
    }),
];

fn of_products(member: &str, list: Vec<Value>) -> String {
    json!({ "products": { member: list } }).to_string()
}

fn repeated(element: &str, size: usize) -> String {
    vec![element; size / (element.len() + 1)].join(",")
}

/// Everything that is asked of an answer.
fn ask(shape: &Shape, body: &[u8]) {
    let headers = HeaderMap::new();
    let names = Names {
        kind: Kind::Product.name(),
        id: "id",
        identity: "id",
    };
    for act in [Act::Find, Act::Create, Act::Update, Act::Delete] {
        let operation = shape.operation(Kind::Product, act);
        for status in [200, 400, 429] {
            let meaning = operation.answers.meaning(act, status, body);
            black_box(
                operation
                    .answers
                    .wait_s(&shape.limits, meaning, (status, &headers), body, 0),
            );
        }
        black_box(operation.answers.reason(body));
        let read = model::json::read(body).map(|read| read.value);
        black_box(operation.remember.take(&headers, read.as_ref()));
    }
    if let Some(find) = shape.find_of(Kind::Product) {
        black_box(find.found(&names, &headers, body));
    }
}

/// The shortest time that this takes.
fn shortest(act: impl Fn()) -> Duration {
    let times = (0..TIMES).map(|_| {
        let begun = Instant::now();
        act();
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

/// What was timed, the time at the double size, and the time at the size.
pub(crate) type Timed = (String, Duration, Duration);

/// Times every form of an answer and of a document at these many bytes, and at half of them.
///
/// # Errors
/// The document that is asked by is no shape.
pub(crate) fn measured(answer: usize, document: usize) -> Result<Vec<Timed>> {
    let shape = Shape::read(&asking().to_string()).map_err(|flaws| anyhow!("{flaws:?}"))?;
    let answers = BODIES.iter().map(|(form, body)| {
        let of = |size: usize| {
            let body = body(size);
            shortest(|| ask(&shape, body.as_bytes()))
        };
        (
            format!("an answer of {} KiB, of half as much: {form}", answer >> 10),
            of(answer),
            of(answer / 2),
        )
    });
    let documents = DOCUMENTS.iter().map(|(form, written)| {
        let of = |size: usize| {
            let text = written(size);
            shortest(|| drop(black_box(Shape::read(&text))))
        };
        (
            format!("a document of {} KiB, of half as much: {form}", document >> 10),
            of(document),
            of(document / 2),
        )
    });
    Ok(answers.chain(documents).collect())
}
