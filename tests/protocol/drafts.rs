//! Requests: what of an entity and of what the destination gave stands in them, and how.

use super::any::{ACTS, good_document, kinds, text, visit};
use http::{HeaderName, Method, Uri};
use model::entity::Kind;
use model::json;
use model::template::{Piece, pieces};
use percent_encoding::percent_decode_str;
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;
use protocol::draft::{self, Draft, Late};
use protocol::place::tokens;
use protocol::remote::{Given, Remote};
use protocol::request::Act;
use serde_json::{Value, json};
use shape::{Farewell, Lookups, Shape, Shaped};

const NAMES: [&str; 4] = ["id", "version", "etag", "rev"];

/// What can be kept of an answer.
fn kept() -> impl Strategy<Value = String> {
    let value = prop_oneof![3 => text(), 1 => "-?[0-9]{1,30}(\\.[0-9]{1,3})?"];
    value.prop_filter("is never kept", |text| (1..=200).contains(&text.len()))
}

fn remote() -> impl Strategy<Value = Remote> {
    btree_map(select(&NAMES[..]).prop_map(str::to_owned), kept(), 0..5)
}

/// What gives every name the same.
fn all(value: &str) -> Remote {
    NAMES
        .iter()
        .map(|name| ((*name).to_owned(), value.to_owned()))
        .collect()
}

/// The requests for an entity, with what they do.
fn drafts(shape: &Shape, kind: Kind, id: &str) -> Vec<(Act, Draft)> {
    let value = |data: &str| json!([{ "locale": null, "scope": null, "data": data }]);
    let entity = json!({
        "uuid": id, "code": id, "family": "mug", "parent": "mugs", "enabled": true, "categories": ["mugs"],
        "values": { "sku": value(id), "name": value("Mug") },
    });
    let mut drafts = Vec::new();
    if let Shaped::Wanted(upsert) = shape.apply(kind, id, &entity, &Lookups::default()) {
        drafts.extend(upsert.create.map(|draft| (Act::Create, draft)));
        drafts.extend(upsert.find.map(|draft| (Act::Find, draft)));
        drafts.push((if drafts.is_empty() { Act::Upsert } else { Act::Update }, upsert.change));
    }
    if let Some(Farewell::Sent(removal)) = shape.farewell(kind, id, Some(id)) {
        drafts.push((Act::Delete, removal.delete));
    }
    drafts
}

/// How many of the signs that part a path there are in it.
fn parts(path: &str) -> [usize; 5] {
    ['/', '?', '#', '&', '='].map(|sign| path.matches(sign).count())
}

/// Whether a document has a text that only looks like a place.
fn has_braces_in_constants(document: &Value) -> bool {
    let mut has = false;
    visit(document, &mut Vec::new(), &mut |place, value| {
        let is_constant = place.iter().any(|name| name == "constant" || name == "default");
        has |= is_constant
            && (value.as_str().is_some_and(|text| text.contains('{')) || place.iter().any(|name| name.contains('{')));
    });
    has
}

/// What stands for a part of a body; an error where that cannot be told, such as a number where none was given.
fn expected(late: &Late, given: Given<'_>) -> Result<Value, ()> {
    let text = late.pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.as_str(),
        Piece::Place(place) => given.of(place).unwrap(),
    });
    let text: String = text.collect();
    if !late.is_number {
        return Ok(Value::String(text));
    }
    let read = json::read(text.as_bytes()).map(|read| read.value);
    read.filter(|read| read.is_number() || json::written(read).is_some())
        .ok_or(())
}

/// The body as it is shown, with what was given in the places of what stands in for it.
fn filled(shown: &Value, late: &[Late], given: Given<'_>) -> Result<Value, ()> {
    match shown {
        Value::Array(list) => list
            .iter()
            .map(|value| filled(value, late, given))
            .collect::<Result<Vec<_>, ()>>()
            .map(Value::Array),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Ok((name.clone(), filled(value, late, given)?)));
            members.collect::<Result<_, ()>>().map(Value::Object)
        }
        Value::String(text) => {
            let mut stand_here = late.iter().filter(|late| draft::shown(&late.pieces) == *text);
            let Some(first) = stand_here.next() else {
                return Ok(shown.clone());
            };
            // Which of several is meant, one as a text and one as a number, does not tell.
            let is_one = stand_here.all(|other| other.is_number == first.is_number);
            if is_one { expected(first, given) } else { Err(()) }
        }
        other => Ok(other.clone()),
    }
}

proptest! {
    /// Whatever an entity is called and the destination gave, a path has as many parts as with the plainest names, all of
    /// it in ASCII, and no part that leads elsewhere.
    #[test]
    fn what_was_given_adds_no_part_to_a_path((_, shape) in good_document(), id in text(), own in remote(), parent in remote()) {
        let (plain, given) = (all("1"), Given { own: &own, parent: &parent });
        for kind in kinds(&shape) {
            let plain_drafts = drafts(&shape, kind, "x");
            for (act, draft) in drafts(&shape, kind, &id) {
                let Ok(ready) = draft.ready(given) else { continue };
                prop_assert_eq!(Ok(ready.clone()), draft.ready(given));
                let path = &ready.path;
                prop_assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}\"<>\\^`|#".contains(&byte)), "{}", path);
                let own_path = path.split('?').next().unwrap();
                prop_assert!(!own_path.split('/').any(|part| matches!(part, "." | "..")), "{} leads elsewhere", path);
                let uri: Uri = format!("https://shop.example{path}").parse().unwrap();
                prop_assert_eq!(uri.path_and_query().map(|path| path.as_str()), Some(path.as_str()));
                if let Some((_, like)) = plain_drafts.iter().find(|(known, _)| *known == act) {
                    let like = like.ready(Given { own: &plain, parent: &plain }).unwrap();
                    prop_assert_eq!(parts(path), parts(&like.path), "{} is not as {}", path, like.path);
                }
            }
        }
    }

    /// A body says what the document says, with what was given to the letter; what was not given is told before.
    #[test]
    fn what_was_given_stands_in_a_body_to_the_letter((document, shape) in good_document(), id in "[a-z0-9]{1,9}", own in remote(), parent in remote()) {
        let given = Given { own: &own, parent: &parent };
        for (_, draft) in kinds(&shape).flat_map(|kind| drafts(&shape, kind, &id)) {
            let lacks_for_path = draft::places(&draft.path).any(|place| given.of(place).is_none());
            prop_assert_eq!(draft.lacks(given).is_some(), lacks_for_path);
            for lacking in [draft.lacks(given), draft.lacks_anywhere(given), draft.lacks_in_any_form(given)].into_iter().flatten() {
                prop_assert!(draft.places().any(|place| place == lacking));
            }
            if draft.lacks(given).is_some() {
                prop_assert!(draft.ready(given).is_err());
            }
            let Ok(ready) = draft.ready(given) else { continue };
            prop_assert_eq!(ready.body.is_empty(), draft.body.is_none());
            let Some(shown) = draft.shown_body() else { continue };
            let body = json::read(&ready.body).map(|read| read.value);
            prop_assert!(body.is_some(), "{}", String::from_utf8_lossy(&ready.body));
            let is_all_given = draft.places().all(|place| given.of(place).is_some());
            let expected = is_all_given.then(|| filled(&shown, &draft.late, given));
            if let (Some(Ok(expected)), false) = (expected, has_braces_in_constants(&document)) {
                prop_assert_eq!(body, Some(expected));
                prop_assert_eq!(draft.lacks_in_any_form(given), None);
            }
            if draft.lacks_in_any_form(given).is_none() {
                let mut needed = draft.late.iter().filter(|late| late.default.is_none());
                let is_given = needed.all(|late| draft::places(&late.pieces).all(|place| given.of(place).is_some()));
                prop_assert!(is_given);
            }
        }
    }

    /// A deletion that names what it deletes by a number has that number, or is told to lack it.
    #[test]
    fn a_number_is_one_or_lacking(id in kept()) {
        let draft = Draft {
            method: Method::POST,
            path: vec![Piece::Text("/gone".to_owned())],
            body: Some(json!({ "ids": [null] })),
            late: vec![Late {
                to: tokens("/ids/0").unwrap(),
                pieces: pieces("{remote.id}").unwrap(),
                is_number: true,
                default: None,
            }],
        };
        let (own, parent) = (Remote::from([("id".to_owned(), id.clone())]), Remote::new());
        let given = Given { own: &own, parent: &parent };
        let body = String::from_utf8(draft.ready(given).unwrap().body).unwrap();
        match draft.lacks_in_any_form(given) {
            None => prop_assert_eq!(body, format!("{{\"ids\":[{}]}}", id.trim())),
            Some(place) => prop_assert_eq!((place, body.as_str()), ("remote.id", "{\"ids\":[null]}")),
        }
    }

    /// A header holds what was given to the letter, or is left out: never two lines, and nothing that no header can hold.
    #[test]
    fn a_header_is_one_line((_, shape) in good_document(), own in remote(), parent in remote()) {
        let given = Given { own: &own, parent: &parent };
        for (kind, act) in kinds(&shape).flat_map(|kind| ACTS.map(|act| (kind, act))) {
            let headers = shape.headers_of(kind, act);
            for (name, value) in &headers.others {
                prop_assert!(value.as_bytes().iter().all(is_of_a_line), "{}: {:?}", name, value);
            }
            for (name, pieces) in &headers.late {
                let header = draft::header(name, pieces, given);
                prop_assert_eq!(&header, &draft::header(name, pieces, given));
                let Some((_, value)) = header else { continue };
                prop_assert!(value.as_bytes().iter().all(is_of_a_line), "{}: {:?}", name, value);
                prop_assert!(draft::places(pieces).all(|place| given.of(place).is_some()));
            }
            let mut names: Vec<&HeaderName> = headers.others.iter().map(|(name, _)| name).chain(headers.late.iter().map(|(name, _)| name)).collect();
            names.push(&headers.authentication.header);
            let count = names.len();
            names.sort_by_key(|name| name.as_str());
            names.dedup();
            prop_assert_eq!(names.len(), count, "a header stands twice: {:?}", names);
        }
    }

    /// What an entity is called stands in one part of a path, whatever form it has, and no two are called the same.
    #[test]
    fn an_identity_is_one_part_of_a_path(
        form in select(&["id", "hex", "hash", "attribute"][..]),
        prefix in proptest::option::of("[a-z.:/?é -]{1,5}"),
        ids in (text(), text()),
        uuids in any::<(u128, u128)>(),
    ) {
        let mut identity = json!({ "form": form });
        if let Some(prefix) = &prefix {
            identity["prefix"] = json!(prefix);
        }
        if form == "attribute" {
            identity["attribute"] = json!("sku");
        }
        let kind = json!({ "identity": identity, "upsert": { "path": "/items/{identity}" }, "values": { "form": "flat" } });
        let shape = Shape::read(&json!({ "products": kind }).to_string()).unwrap();
        let ids = if form == "hex" { [uuids.0, uuids.1].map(|uuid| uuid::Uuid::from_u128(uuid).to_string()) } else { [ids.0, ids.1] };
        let called = |id: &str| {
            let entity = json!({ "uuid": id, "values": { "sku": [{ "locale": null, "scope": null, "data": id }] } });
            match shape.apply(Kind::Product, id, &entity, &Lookups::default()) {
                Shaped::Wanted(upsert) => Some((upsert.identity, upsert.change.shown_path())),
                _ => None,
            }
        };
        let calleds = [called(&ids[0]), called(&ids[1])];
        for (id, called) in ids.iter().zip(&calleds) {
            let Some((identity, path)) = called else {
                // Nothing, or what leads elsewhere.
                prop_assert!(matches!(id.trim(), "" | "." | ".."), "{:?}", id);
                continue;
            };
            let part = path.strip_prefix("/items/").unwrap();
            prop_assert!(!part.contains(['/', '?', '#']), "{}", path);
            prop_assert_eq!(percent_decode_str(part).decode_utf8().unwrap(), identity.as_str());
            let name = identity.strip_prefix(prefix.as_deref().unwrap_or("")).unwrap();
            match form {
                "hex" | "hash" => prop_assert!(name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{}", name),
                "attribute" => prop_assert_eq!(name, id.trim()),
                _ => prop_assert_eq!(name, id),
            }
        }
        if let [Some((one, _)), Some((other, _))] = &calleds {
            let is_same = if form == "attribute" { ids[0].trim() == ids[1].trim() } else { ids[0] == ids[1] };
            prop_assert_eq!(one == other, is_same);
        }
    }
}

fn is_of_a_line(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}
