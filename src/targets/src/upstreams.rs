//! What comes back from calls: of a PIM or a destination that has gone mad, or of whatever stands in its place.

use akeneo::pim;
use http::Response;
use model::document::{Flaws, Node};
use model::entity::Kind;
use model::{json, time};
use protocol::answers::Answers;
use protocol::request::Act;
use queue::retry::WAIT_MAX_S;
use serde_json::{Value, json};
use shape::{Lookups, Shape, Shaped};
use upstream::retry_after::retry_after_s;

fn answered(status: u16, body: &[u8]) -> Option<Response<Vec<u8>>> {
    Response::builder().status(status).body(body.to_owned()).ok()
}

/// A tree is never much larger than it was said to be before it was made.
fn is_as_large_as_told(text: &[u8]) {
    let told = json::weight(text);
    if let Some(document) = json::read(text) {
        let size = json::size(&document.value);
        assert!(
            size <= 2 * told + 8 * text.len() + 1024,
            "{size} bytes where {told} were told"
        );
        let written = json::write(&document.value);
        assert!(
            json::read(written.as_bytes()).is_some(),
            "what is written is not read: {written}"
        );
    }
}

/// A page of a list: entities, each an object.
pub fn pages(body: &[u8]) {
    is_as_large_as_told(body);
    let page = answered(200, body).and_then(|answer| pim::page(&answer).ok());
    for item in page.iter().flat_map(|page| &page.items) {
        assert!(item.is_object(), "{item}");
        for kind in Kind::ALL {
            let id = kind.id_in(item);
            assert!(id.is_none_or(|id| !id.is_empty()), "{item}");
        }
        time::parse_value(item.get("updated").unwrap_or(&Value::Null));
    }
}

/// An entity that was asked for by id: it is that entity, and comes to the same bytes each time, or to nothing.
pub fn items(body: &[u8]) {
    let Ok(shape) = Shape::read(r#"{"products":{"fields":[{"from":"","to":""}]},"categories":{}}"#) else {
        unreachable!("a shape")
    };
    let document = json::read(body).map(|document| document.value);
    for kind in Kind::ALL {
        let Some(id) = document.as_ref().and_then(|document| kind.id_in(document)) else {
            continue;
        };
        for status in [200, 404, 500] {
            let read = answered(status, body).map(|answer| pim::entity(kind, &id, &answer));
            let Some(Ok(pim::Read::Found(entity))) = read else {
                continue;
            };
            assert_eq!(kind.id_in(&entity).as_deref(), Some(id.as_str()));
            let one = shape.apply(kind, &id, &entity, &Lookups::default());
            let other = shape.apply(kind, &id, &entity, &Lookups::default());
            assert_eq!(one, other);
            if let Shaped::Wanted(upsert) = one {
                assert!(json::read(json::write(upsert.body()).as_bytes()).is_some());
            }
        }
    }
}

/// An answer of a destination, behind a line with what a document says of answers: each has a meaning.
pub fn answers(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let document = json::read(&bytes[..at]).map_or(Value::Null, |document| document.value);
    let document = json!({ "answers": document });
    let flaws = Flaws::default();
    let mut answers = Answers::default();
    answers.amend(&Node::root(&document, &flaws));
    let body = &bytes[at..];
    for status in [200, 404, 409, 422, 503] {
        for act in [Act::Upsert, Act::Create, Act::Update, Act::Delete] {
            answers.meaning(act, status, body);
        }
    }
    let reason = answers.reason(body);
    assert!(
        reason.is_none_or(|reason| reason.len() <= body.len() * 6),
        "a reason longer than all that was said"
    );
}

/// A moment in any form: what is read is a moment that is written and read again.
pub fn dates(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for moment in [
        time::parse(&text),
        time::parse_date(&text),
        time::parse_value(&json!(text)),
    ]
    .into_iter()
    .flatten()
    {
        if moment <= time::LATEST_S {
            assert_eq!(time::parse(&time::text(moment)), Some(moment), "{text}");
        }
    }
    time::offset_s(&text);
}

/// A wait that is asked for: a day at most.
pub fn waits(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for now_ms in [0, 1_800_000_000_000, u64::MAX] {
        let wait_s = retry_after_s(&text, now_ms);
        assert!(wait_s.is_none_or(|wait_s| wait_s <= WAIT_MAX_S), "{text}: {wait_s:?}");
    }
}
