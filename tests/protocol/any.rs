//! Any document.

use model::entity::Kind;
use model::json;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use protocol::request::Act;
use serde_json::{Value, json};
use shape::Shape;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

pub(crate) const ACTS: [Act; 5] = [Act::Upsert, Act::Create, Act::Update, Act::Delete, Act::Find];

/// Documents that are good: those that are given out, and one that says what they do not.
pub(crate) static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shapes");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let texts = paths.iter().map(|path| fs::read_to_string(path).unwrap());
    let own = [super::given::SHOP, RICH].map(str::to_owned);
    let documents = texts.chain(own).map(|text| json::read(text.as_bytes()).unwrap().value);
    documents.collect()
});

/// A document that uses what the others do not.
const RICH: &str = r#"{
    "authentication": { "header": "X-Key", "scheme": "Key" },
    "headers": { "X-Version": "1.50" },
    "limits": { "left": "X-Left", "reset": { "at": "/error/until", "unit": "moment" }, "ratelimit": true },
    "login": { "path": "/token", "credentials": "basic", "parameters": { "scope": "all" }, "expires": "/data/lasts", "lasts": 600 },
    "media": { "upsert": { "path": "/files/{id}" }, "max_bytes": 1000 },
    "answers": { "busy": [422], "html": "done", "errors": "done", "required": "/data", "reason": "/error/text", "rules": [
        { "status": [400, "5xx"], "at": "/error/code", "equals": 12345678901234567890123, "means": "busy", "wait": { "at": "/error/wait", "unit": "milliseconds" } },
        { "at": "/error/code", "one-of": [1.50, "taken", null, [1, { "a": 2.0 }]], "means": "exists" },
        { "at": "/error/list", "empty": false, "means": "missing" }, { "at": "/error/list", "type": "number", "means": "refused" },
        { "status": 429, "at": "/error", "there": false, "means": "busy", "wait": { "header": "X-Wait", "unit": "moment" } }
    ] },
    "product-models": {
        "identity": { "form": "hash", "prefix": "m-", "unique": true },
        "remember": { "id": ["/data/id", "/id", { "header": "Location" }], "version": { "header": "ETag" } },
        "create": { "method": "PUT", "path": "/models/{identity}" }, "update": { "path": "/models/{remote.id}/v{remote.version}?of={id}", "headers": { "If-Match": "W/{remote.version}" } },
        "archive": { "method": "POST", "path": "/gone", "fields": [{ "template": "{remote.id}", "as": "number", "to": "/ids/0" }] },
        "find": { "method": "GET", "path": "/models/{identity}", "one": "/data", "several": "first" }
    },
    "products": {
        "identity": { "form": "attribute", "attribute": "sku", "prefix": "p.", "renames": false },
        "remember": { "id": "/id", "version": "/version" },
        "find": { "path": "/items?sku={identity}", "list": "/items", "matching": { "/sku": "{identity}", "/of": "{kind}" }, "settle_seconds": 3 },
        "create": { "path": "/in/{parent.remote.id}/items" }, "update": { "path": "/items/{remote.id}" },
        "values": { "form": "flat" },
        "fields": [
            { "template": "{remote.id}-{parent.remote.version}", "to": "/a/0", "default": 1.50 },
            { "template": "{parent.remote.id}", "as": "number", "to": "/a/1" }, { "template": "{identity}/{/family}", "to": "/b" },
            { "constant": { "x": [12345678901234567890123] }, "to": "/c", "only": "create" }
        ]
    },
    "categories": {
        "remember": { "id": "/id", "version": { "header": "ETag" } },
        "upsert": { "path": "/categories/{id}" }, "delete": false, "fields": [{ "from": "", "to": "" }, { "template": "{parent.remote.id}", "to": "/up", "default": null }]
    }
}"#;

/// The names of members of documents, and what stood under each: what can stand in its place in another one.
static MEMBERS: LazyLock<BTreeMap<String, Vec<Value>>> = LazyLock::new(|| {
    fn gather(value: &Value, members: &mut BTreeMap<String, Vec<Value>>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            members.entry(name.clone()).or_default().push(value.clone());
            gather(value, members);
        }
        for value in value.as_array().into_iter().flatten() {
            gather(value, members);
        }
    }
    let mut members = BTreeMap::new();
    DOCUMENTS.iter().for_each(|document| gather(document, &mut members));
    members
});

/// Numbers as they are written: large, small, below nothing, of many digits, beyond doubles.
pub(crate) const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "-1",
    "4",
    "7",
    "1.0",
    "1.50",
    "1e3",
    "1e999",
    "-1e999",
    "1e-999",
    "200",
    "429",
    "86401",
    "1800000000",
    "1800000007500",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "12345678901234567890123",
    "0.1000000000000000055511151231257827",
];

/// Texts that mean something somewhere, or are meant to do harm.
pub(crate) const TEXTS: [&str; 58] = [
    "",
    " ",
    ".",
    "..",
    "...",
    "/",
    "//",
    "/..",
    "../x",
    "a/b",
    "a?b=c&d",
    "#",
    "%2F",
    "%",
    "x\r\nX-Evil: 1",
    "\0",
    "\t",
    "\u{7f}",
    "\u{85}",
    "é",
    "😀",
    "\u{202e}",
    "{",
    "{}",
    "{id}",
    "{identity}",
    "{remote.id}",
    "{remote.}",
    "{parent.remote.id}",
    "{remote.id}.{identity}",
    "/{remote.id}",
    "/v{remote.version}/..{remote.id}",
    "/./{id}",
    "/{kind}/{id}?of={identity}",
    "\\",
    "\\{remote.id\\}",
    "NaN",
    "inf",
    "-inf",
    "-1",
    "1e999",
    "99999999999999999999999",
    "0x1F",
    "+5",
    "1_000",
    "~",
    "/~2",
    "/0/a",
    "2xx",
    "658xx",
    "9999xx",
    "+4xx",
    "xx",
    "done",
    "busy",
    "moment",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "2027-01-15T08:00:09Z",
];

/// Every text and number, and one of each other type.
pub(crate) fn anything() -> impl Iterator<Item = Value> {
    let numbers = NUMBERS
        .iter()
        .map(|number| json::read(number.as_bytes()).unwrap().value);
    let others = [
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!([[]]),
        json!({ "": {} }),
    ];
    TEXTS.iter().map(|text| Value::from(*text)).chain(numbers).chain(others)
}

pub(crate) fn number() -> impl Strategy<Value = Value> {
    select(&NUMBERS[..]).prop_map(|number| json::read(number.as_bytes()).unwrap().value)
}

/// A text: one that means something, any, or one that is too long to be kept.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&TEXTS[..]).prop_map(str::to_owned),
        2 => "[a-z0-9/{}.:-]{0,12}",
        1 => any::<String>().prop_map(|text| text.replace(['\u{fffe}', '\u{ffff}'], "")),
        1 => (190..210_usize).prop_map(|length| "x".repeat(length)),
    ]
}

pub(crate) fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        2 => number(),
        4 => text().prop_map(Value::from),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known: Vec<String> = MEMBERS.keys().cloned().collect();
    prop_oneof![6 => select(known), 1 => text()]
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name(), inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What is done to a part of a document.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Remove,
    Replace(Value),
    /// By what another document has under the same name.
    Swap(Index),
    /// As another type, with as much of it as can be kept.
    Retype(Index),
    Add(String, Value),
}

fn edit() -> impl Strategy<Value = Edit> {
    let kept = (name(), any::<Index>()).prop_map(|(name, which)| Edit::Add(name.clone(), known(&name, which)));
    prop_oneof![
        2 => Just(Edit::Remove),
        3 => leaf().prop_map(Edit::Replace),
        1 => any_json().prop_map(Edit::Replace),
        4 => any::<Index>().prop_map(Edit::Swap),
        2 => any::<Index>().prop_map(Edit::Retype),
        1 => (name(), any_json()).prop_map(|(name, value)| Edit::Add(name, value)),
        2 => kept,
    ]
}

fn known(name: &str, which: Index) -> Value {
    let values = MEMBERS.get(name).map_or(&[][..], Vec::as_slice);
    let value = (!values.is_empty()).then(|| which.get(values));
    value.cloned().unwrap_or_default()
}

/// A document that was good, and of which some parts were changed.
pub(crate) fn any_document() -> impl Strategy<Value = Value> {
    let edits = vec((any::<Index>(), edit()), 0..4);
    (select(&DOCUMENTS[..]), edits).prop_map(|(mut document, edits)| {
        for (at, edit) in edits {
            let mut places = Vec::new();
            visit(&document, &mut Vec::new(), &mut |place, _| places.push(place.to_vec()));
            apply(&mut document, &places[at.index(places.len())], edit);
        }
        document
    })
}

/// One that is good for all that was changed in it.
pub(crate) fn good_document() -> impl Strategy<Value = (Value, Shape)> {
    any_document().prop_filter_map("is no shape", |document| {
        let shape = Shape::read(&json::write(&document)).ok()?;
        Some((document, shape))
    })
}

/// Every value of a document, with its place.
pub(crate) fn visit<'a>(value: &'a Value, place: &mut Vec<String>, see: &mut impl FnMut(&[String], &'a Value)) {
    see(place, value);
    let named = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value));
    let counted = value.as_array().into_iter().flatten().enumerate();
    for (token, value) in named.chain(counted.map(|(at, value)| (at.to_string(), value))) {
        place.push(token);
        visit(value, place, see);
        place.pop();
    }
}

pub(crate) fn apply(document: &mut Value, place: &[String], edit: Edit) {
    let Some((last, parents)) = place.split_last() else {
        if let (Edit::Add(name, value), Some(members)) = (edit, document.as_object_mut()) {
            members.insert(name, value);
        }
        return;
    };
    let parent = parents.iter().fold(document, |value, token| match value {
        Value::Array(list) => &mut list[token.parse::<usize>().unwrap()],
        other => &mut other[token.as_str()],
    });
    let place = (last.as_str(), last.parse::<usize>().unwrap_or_default());
    if matches!(edit, Edit::Remove) {
        match parent {
            Value::Array(list) => drop(list.remove(place.1)),
            other => drop(other.as_object_mut().unwrap().remove(place.0)),
        }
        return;
    }
    let value = match parent {
        Value::Array(list) => &mut list[place.1],
        other => &mut other[place.0],
    };
    match edit {
        Edit::Replace(new) => *value = new,
        Edit::Swap(which) if MEMBERS.contains_key(last) => *value = known(last, which),
        Edit::Swap(_) => *value = Value::Null,
        Edit::Retype(to) => *value = retyped(value, to.index(6)),
        Edit::Add(name, new) => match value {
            Value::Object(members) => drop(members.insert(name, new)),
            Value::Array(list) => list.push(new),
            other => *other = json!({ name: new }),
        },
        Edit::Remove => {}
    }
}

fn retyped(value: &Value, to: usize) -> Value {
    match to {
        0 => Value::Null,
        1 => json!([value]),
        2 => json!({ "a": value }),
        3 => Value::String(json::write(value)),
        4 => json::read(value.as_str().unwrap_or("7").as_bytes()).map_or(json!(7), |read| read.value),
        _ => Value::Bool(value.as_bool() != Some(true)),
    }
}

/// Whether a text is what somebody wrote: without the marks that stand in texts for numbers and for what is no Unicode.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(['\u{fffe}', '\u{ffff}'])
}

/// The kinds whose entities a shape sends at all.
pub(crate) fn kinds(shape: &Shape) -> impl Iterator<Item = Kind> + '_ {
    Kind::ALL.into_iter().filter(|kind| shape.wants(*kind))
}
