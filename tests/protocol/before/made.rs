//! What is made of a document: of each entity its requests, of each kind what it looks up and what answers mean to it.

use super::ear::{BASE, asked};
use destination::Cargo;
use http::Request;
use model::entity::Kind;
use model::failure::{Class, Failure};
use model::json;
use protocol::remote::Remote;
use serde_json::{Map, Value, json};
use shape::{Farewell, File, Lookups, Need, Removal, Shape, Shaped, Upsert, source_hash, wants_categories};
use std::collections::BTreeMap;

/// An entity of the PIM.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) entity: Value,
}

/// Statuses of answers.
const STATUSES: [u16; 21] = [
    200, 201, 204, 301, 400, 401, 403, 404, 405, 408, 409, 410, 415, 422, 423, 425, 429, 460, 500, 503, 599,
];

/// Bodies of answers. A list of `errors` that has any is not among them: a good answer with such a list has come to be
/// a refusal, as the changelog says.
const BODIES: [&str; 8] = [
    "",
    "ok",
    "{\"message\": \"No such product\", \"errors\": []}",
    "[1.50]",
    "Not found.",
    "no healthy upstream",
    "<!doctype html><title>Shop</title>",
    "\u{feff}<!-- x --><HTML>",
];

/// What came of asking the destination: why it failed, if so, and what was asked.
type Came = (Option<Class>, Vec<Request<Vec<u8>>>);

/// All that is made of a document.
pub(super) async fn made(document: &str, samples: &[Sample], lookups: &Lookups) -> Value {
    let shape = Shape::read(document).unwrap_or_else(|flaws| panic!("{flaws:?}: {document}"));
    let (mut kinds, mut entities) = (Map::new(), Map::new());
    for kind in Kind::ALL {
        let of_kind: Vec<&Sample> = samples.iter().filter(|sample| sample.kind == kind).collect();
        kinds.insert(
            kind.name().to_owned(),
            of_kind_made(&shape, kind, &of_kind, lookups).await,
        );
    }
    for sample in samples {
        entities.insert(sample.name.clone(), of_entity_made(&shape, sample, lookups).await);
    }
    let media = shape.media.as_ref();
    json!({
        "name": shape.name(),
        "reads": shape.kinds().iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "wants_categories": wants_categories(document),
        "asks_completenesses": shape.asks_completenesses(),
        "media": media.map(|media| json!([media.method().as_str(), media.max_bytes])),
        "kinds": kinds,
        "entities": entities,
    })
}

async fn of_kind_made(shape: &Shape, kind: Kind, samples: &[&Sample], lookups: &Lookups) -> Value {
    let needs = shape.needs(kind).into_iter().map(|(need, locales)| match need {
        Need::Options(attribute) => json!([format!("options of {attribute}"), locales]),
        need => json!([format!("{need:?}").to_lowercase(), locales]),
    });
    let to_upsert = samples
        .iter()
        .find_map(|sample| Some((sample, wanted(shape, sample, lookups)?)));
    let to_delete = samples
        .iter()
        .find_map(|sample| Some((sample, removal(shape, sample)?)));
    let after_upserts = async |answer: (u16, &'static str)| match &to_upsert {
        Some((sample, upsert)) => Some(upserted(shape, sample, upsert, answer).await),
        None => None,
    };
    let after_deletions = async |answer: (u16, &'static str)| match &to_delete {
        Some((sample, removal)) => Some(deleted(shape, sample, removal, answer).await),
        None => None,
    };
    json!({
        "needs": needs.collect::<Vec<Value>>(),
        "is_whole": shape.sends_all_of(kind),
        "after_upserts": meanings(after_upserts).await,
        "after_deletions": meanings(after_deletions).await,
    })
}

/// What answers mean: one letter for each of the bodies, and the statuses with which the bodies mean that.
async fn meanings(ask: impl AsyncFn((u16, &'static str)) -> Option<Came>) -> Value {
    let mut statuses: BTreeMap<String, Vec<u16>> = BTreeMap::new();
    for status in STATUSES {
        let mut letters = String::new();
        for body in BODIES {
            letters.extend(ask((status, body)).await.as_ref().map(letter));
        }
        statuses.entry(letters).or_default().push(status);
    }
    json!(statuses)
}

/// The first letter of what an answer means, in lower case; `d` for what is done. Whatever it means, no other request
/// than the first may follow.
fn letter((class, requests): &Came) -> String {
    let first = shown(&requests[0]);
    assert!(requests.iter().all(|request| shown(request) == first), "{requests:?}");
    let class = class.map_or_else(|| json!("done"), |class| json!(class));
    class.as_str().unwrap()[..1].to_owned()
}

async fn of_entity_made(shape: &Shape, sample: &Sample, lookups: &Lookups) -> Value {
    let mut made = match shape.apply(sample.kind, &sample.id, &sample.entity, lookups) {
        Shaped::Unwanted(refusal) => json!({ "unwanted": refusal.name() }),
        Shaped::Unsendable(why) => json!({ "unsendable": why }),
        Shaped::Wanted(upsert) => {
            let (_, requests) = upserted(shape, sample, &upsert, (200, "")).await;
            json!({
                "upsert": shown(&requests[0]),
                "hash": shape.hash(sample.kind, &upsert),
                "files": files(shape, &upsert.files).await,
            })
        }
    };
    made["source_hash"] = json!(source_hash(&sample.entity));
    made["delete"] = match removal(shape, sample) {
        Some(removal) => shown(&deleted(shape, sample, &removal, (200, "")).await.1[0]),
        None => Value::Null,
    };
    made
}

/// A request in the form of a document, without what is the same in all requests.
fn shown(request: &Request<Vec<u8>>) -> Value {
    let is_common = |header: &String| {
        header.starts_with("user-agent: akeneo-relay/")
            || ["accept: application/json", "accept-encoding: identity"].contains(&header.as_str())
    };
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let mut headers: Vec<String> = headers.filter(|header| !is_common(header)).collect();
    headers.sort();
    let path = request.uri().path_and_query().unwrap().as_str();
    let mut shown = json!({
        "method": request.method().as_str(),
        "path": path.strip_prefix(BASE).unwrap(),
        "headers": headers,
    });
    if !request.body().is_empty() {
        shown["body"] = json::read(request.body()).unwrap().value;
        assert_eq!(
            json::write(&shown["body"]).as_bytes(),
            request.body(),
            "nothing is lost"
        );
    }
    shown
}

async fn files(shape: &Shape, files: &[File]) -> Vec<Value> {
    let Some(media) = &shape.media else {
        return Vec::new();
    };
    let mut sent = Vec::new();
    for file in files {
        for forced_s in [None, Some(1_800_000_000)] {
            let (request, _) = asked(shape, (200, ""), async |destination| {
                let token = destination.token().await.unwrap();
                destination.file("media", media.method(), &file.path, forced_s, token.as_deref())
            })
            .await;
            sent.push(json!([file.code, shown(&request.unwrap())]));
        }
    }
    sent
}

fn wanted(shape: &Shape, sample: &Sample, lookups: &Lookups) -> Option<Box<Upsert>> {
    match shape.apply(sample.kind, &sample.id, &sample.entity, lookups) {
        Shaped::Wanted(upsert) => Some(upsert),
        _ => None,
    }
}

fn removal(shape: &Shape, sample: &Sample) -> Option<Box<Removal>> {
    match shape.farewell(sample.kind, &sample.id, None)? {
        Farewell::Sent(removal) => Some(removal),
        Farewell::Silent => panic!("{} stays", sample.name),
    }
}

fn cargo(sample: &Sample) -> Cargo<'_> {
    Cargo {
        kind: sample.kind,
        code: &sample.id,
        name: &sample.name,
        attempts: 0,
        cause: "r1.main.e.1",
        pushes: 3,
        changes: 1,
        is_last_resort: false,
        remote: None,
        of_parent: None,
        may_arrive_until_s: None,
        former: None,
        under: &[],
    }
}

/// The same entity on its way, of which the index knows that the destination has it.
fn indexed(sample: &Sample) -> Cargo<'_> {
    static NOTHING: Remote = Remote::new();
    Cargo {
        remote: Some(&NOTHING),
        ..cargo(sample)
    }
}

async fn upserted(shape: &Shape, sample: &Sample, upsert: &Upsert, answer: (u16, &str)) -> Came {
    let push = async |cargo| {
        let (came, heard) = asked(shape, answer, async |destination| {
            destination.upsert(cargo, upsert).await
        })
        .await;
        came.iter().for_each(|given| assert!(given.is_empty(), "{given:?}"));
        (class(came.err()), heard)
    };
    same(push(cargo(sample)).await, push(indexed(sample)).await)
}

async fn deleted(shape: &Shape, sample: &Sample, removal: &Removal, answer: (u16, &str)) -> Came {
    let delete = async |cargo| {
        let (came, heard) = asked(shape, answer, async |destination| {
            destination.delete(cargo, removal).await
        })
        .await;
        came.iter().for_each(|is_gone| assert!(is_gone));
        (class(came.err()), heard)
    };
    same(delete(cargo(sample)).await, delete(indexed(sample)).await)
}

fn class(failure: Option<Failure>) -> Option<Class> {
    failure.map(|failure| failure.class)
}

/// What came of it whether or not the index knows the entity, which is to make no difference.
fn same(one: Came, other: Came) -> Came {
    let shown = |(class, requests): &Came| (*class, requests.iter().map(shown).collect::<Vec<_>>());
    assert_eq!(shown(&one), shown(&other));
    one
}
