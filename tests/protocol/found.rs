//! What a `find` has found: compared with a plain reading of the document.

use super::any::{TEXTS, any_json, good_document, kinds, number, text};
use super::recipe::recipe;
use http::HeaderMap;
use model::entity::Kind;
use model::json;
use model::number;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use protocol::find::Found;
use protocol::request::{Act, Names};
use serde_json::{Value, json};
use shape::Shape;

/// An element, and whether it is one that is called so.
#[derive(Debug, Clone)]
enum Element {
    Meant,
    /// Called so by a number, where the identity looks like one.
    ByNumber,
    OfOtherKind,
    Alike(usize),
    Other(Value),
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        2 => Just(Element::Meant),
        1 => Just(Element::ByNumber),
        1 => Just(Element::OfOtherKind),
        3 => (0..8_usize).prop_map(Element::Alike),
        2 => any_json().prop_map(Element::Other),
    ]
}

impl Element {
    /// What it looks like as the one with this number, and whether it is meant.
    fn of(&self, at: usize, identity: &str) -> (Value, bool) {
        let value = |sku: Value| json!({ "id": at, "sku": sku, "of": "products" });
        match self {
            Element::Meant => (value(json!(identity)), true),
            Element::ByNumber => match json::read(identity.as_bytes()).map(|read| read.value) {
                Some(read) if number::text(&read).as_deref() == Some(identity) => (value(read), true),
                _ => (value(json!([identity])), false),
            },
            Element::OfOtherKind => (json!({ "id": at, "sku": identity, "of": "product-models" }), false),
            Element::Alike(how) => {
                let alike = match how {
                    0 => json!(format!("{identity}-2")),
                    1 => json!(format!(" {identity}")),
                    2 => json!(identity.to_uppercase() + "x"),
                    3 => json!(&identity[..identity.char_indices().last().map_or(0, |(at, _)| at)]),
                    4 => json!([identity]),
                    5 => json!({ "sku": identity }),
                    6 => Value::Null,
                    _ => json!(format!("{identity}\0")),
                };
                (value(alike), false)
            }
            Element::Other(Value::Object(_)) => (json!({ "id": at }), false),
            Element::Other(other) => (other.clone(), false),
        }
    }
}

fn document(place: &str, takes_first: bool) -> Shape {
    let several = if takes_first { "first" } else { "refused" };
    let find = json!({
        "path": "/items?sku={identity}", "list": place, "several": several,
        "matching": { "/sku": "{identity}", "/of": "{kind}" }, "remember": { "id": "/id" },
    });
    Shape::read(&json!({ "products": { "find": find } }).to_string()).unwrap()
}

fn names(identity: &str) -> Names<'_> {
    Names {
        kind: "products",
        id: "its id",
        identity,
    }
}

proptest! {
    #[test]
    fn what_is_found_is_called_so(
        identity in prop_oneof![
            select(&TEXTS[1..]).prop_map(str::to_owned),
            "[a-zA-Z0-9é. -]{1,9}",
            "[1-9][0-9]{0,40}",
            number().prop_filter_map("no text", |number| number::text(&number)),
        ],
        elements in vec(element(), 0..6),
        is_deep: bool,
        takes_first: bool,
    ) {
        let place = if is_deep { "/data/items" } else { "" };
        let find = document(place, takes_first);
        let find = find.find_of(Kind::Product).unwrap();
        let (list, is_meant): (Vec<Value>, Vec<bool>) =
            elements.iter().enumerate().map(|(at, element)| element.of(at, &identity)).unzip();
        let body = if is_deep { json!({ "data": { "items": list } }) } else { Value::Array(list) };
        let found = find.found(&names(&identity), &HeaderMap::new(), json::write(&body).as_bytes());
        let meant: Vec<usize> = is_meant.iter().enumerate().filter(|(_, is_meant)| **is_meant).map(|(at, _)| at).collect();
        let expected = match meant[..] {
            [] => Found::None,
            [first, ..] if meant.len() == 1 || takes_first => Found::One([("id".to_owned(), first.to_string())].into()),
            _ => Found::Several(meant.len()),
        };
        prop_assert_eq!(found, expected);
    }

    /// By any document, of any answer: the same twice, and nothing of what says nothing.
    #[test]
    fn any_answer_finds_one_or_none_or_several((document, shape) in good_document(), recipe in recipe(), identity in text()) {
        let (headers, body) = (recipe.headers(&document), recipe.body(&document));
        for (kind, find) in kinds(&shape).filter_map(|kind| Some((kind, shape.find_of(kind)?))) {
            let names = Names { kind: kind.name(), ..names(&identity) };
            let found = find.found(&names, &headers, &body);
            prop_assert_eq!(&found, &find.found(&names, &headers, &body));
            match &found {
                Found::One(remote) => prop_assert!(remote.keys().all(|name| shape.operation(kind, Act::Find).remember.names().any(|known| known == name))),
                Found::Several(count) => prop_assert!((2..=body.len()).contains(count)),
                Found::None | Found::Unreadable => {}
            }
            if json::read(&body).is_none() {
                prop_assert_eq!(&found, &Found::Unreadable);
            }
            prop_assert!(find.settle_s <= 480);
        }
    }
}
