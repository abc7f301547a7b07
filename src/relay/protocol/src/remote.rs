//! What the destination gave of an entity: an id that it assigned, a version, an ETag.
//! The index keeps these values of every entity, so they are few and short, and a value that is too long is not taken.

use crate::condition::pointer;
use crate::header_name::named;
use crate::place::at;
use http::{HeaderMap, HeaderName};
use model::document::Node;
use model::gathering::gathered;
use model::number;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the destination gave of an entity, by name.
pub type Remote = BTreeMap<String, String>;

/// The most values of an entity that are kept.
pub(crate) const NAMES_MAX: usize = 4;

/// The longest value that is kept, in bytes: every entry of the index holds them.
const VALUE_MAX: usize = 200;

/// How places begin that stand for what was given of the entity itself.
const OWN: &str = "remote.";

/// How places begin that stand for what was given of the entity's parent.
const OF_PARENT: &str = "parent.remote.";

/// The name of a value given of the entity itself, where a place stands for one.
pub fn own_name(place: &str) -> Option<&str> {
    place.strip_prefix(OWN)
}

/// The name of a value given of the entity's parent, where a place stands for one.
pub fn name_at_parent(place: &str) -> Option<&str> {
    place.strip_prefix(OF_PARENT)
}

/// Whether a place is filled only when a request is sent.
pub fn is_late(place: &str) -> bool {
    own_name(place).or(name_at_parent(place)).is_some()
}

/// What was given of an entity that a request is for, and of its parent.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Of the entity.
    pub own: &'a Remote,
    /// Of its parent.
    pub parent: &'a Remote,
}

impl Given<'_> {
    /// What stands for a place; none if it was not given.
    pub fn of(&self, place: &str) -> Option<&str> {
        let value = match own_name(place) {
            Some(name) => self.own.get(name),
            None => name_at_parent(place).and_then(|name| self.parent.get(name)),
        };
        value.map(String::as_str)
    }
}

/// Where answers have what is to be remembered: the member `remember`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remember(Vec<(String, Vec<Source>)>);

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Place(Vec<String>),
    Header(HeaderName),
}

impl Remember {
    /// Takes on what the document says; what it does not say stays.
    pub fn amend(&mut self, node: &Node<'_>) {
        let Some(node) = node.member("remember") else { return };
        if node.object().is_none() {
            return;
        }
        for (name, node) in node.members() {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
                node.wrong("its name can have small letters and digits only, such as id");
            }
            let sources = sources(&node);
            self.0.retain(|(known, _)| known != name);
            self.0.push((name.clone(), sources));
        }
        if self.0.len() > NAMES_MAX {
            node.wrong(format!(
                "names more than {NAMES_MAX} values: every entry of the index holds them"
            ));
        }
    }

    /// The names of what is remembered.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Whether what is to be remembered cannot be told without the whole of a body.
    pub fn needs_bodies(&self) -> bool {
        let mut sources = self.0.iter().flat_map(|(_, sources)| sources);
        sources.any(|source| matches!(source, Source::Place(_)))
    }

    /// What an answer gives. What is too long, neither text nor number, or no Unicode, is not taken.
    pub fn take(&self, headers: &HeaderMap, body: Option<&Value>) -> Remote {
        let taken = self.0.iter().filter_map(|(name, sources)| {
            let value = sources.iter().find_map(|source| source.value(headers, body))?;
            Some((name.clone(), value))
        });
        gathered(taken)
    }
}

impl Source {
    fn value(&self, headers: &HeaderMap, body: Option<&Value>) -> Option<String> {
        let value = match self {
            Source::Header(name) => headers.get(name)?.to_str().ok()?.to_owned(),
            Source::Place(place) => number::said(at(body?, place)?)?,
        };
        (!value.is_empty() && value.len() <= VALUE_MAX).then_some(value)
    }
}

/// A place, a header, or a list of these, of which the first that is there counts.
fn sources(node: &Node<'_>) -> Vec<Source> {
    match node.value {
        Value::Array(_) => node.list().iter().flat_map(sources).collect(),
        Value::Object(_) => Vec::from_iter(header(node).map(Source::Header)),
        _ => Vec::from_iter(pointer(node).map(Source::Place)),
    }
}

fn header(node: &Node<'_>) -> Option<HeaderName> {
    if !node.is_object_of(&["header"]) || !node.has_all(&["header"]) {
        return None;
    }
    named(&node.member("header")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::document::Flaws;
    use serde_json::json;

    fn read(document: &Value) -> (Remember, Vec<String>) {
        let (mut remember, flaws) = (Remember::default(), Flaws::default());
        remember.amend(&Node::root(document, &flaws));
        let places = flaws.into_inner().into_iter().map(|flaw| flaw.place).collect();
        (remember, places)
    }

    #[test]
    fn ids_and_versions_are_taken_out_of_answers() {
        let (remember, flaws) = read(&json!({ "remember": {
            "id": ["/data/id", "/id"], "version": "/version", "etag": { "header": "ETag" }, "flag": "/flag",
        } }));
        assert_eq!(flaws, Vec::<String>::new());
        let mut headers = HeaderMap::new();
        headers.insert("etag", "W/\"7\"".parse().expect("a value"));
        let taken = |body: Value| remember.take(&headers, Some(&body));
        let etag = ("etag".to_owned(), "W/\"7\"".to_owned());
        let of = |id: &str| Remote::from([("id".to_owned(), id.to_owned()), etag.clone()]);
        assert_eq!(
            taken(json!({ "id": 12345678901234567890u64, "flag": true })),
            of("12345678901234567890")
        );
        assert_eq!(taken(json!({ "data": { "id": "a" }, "id": 2, "flag": {} })), of("a"));
        let digits = "12345678901234567890123";
        let read_json = |text: &[u8]| model::json::read(text).expect("JSON").value;
        assert_eq!(taken(read_json(format!("{{\"id\":{digits}}}").as_bytes())), of(digits));
        let none = Remote::from([etag.clone()]);
        for body in [
            json!({ "id": "" }),
            json!({ "id": "x".repeat(VALUE_MAX + 1) }),
            read_json(b"{\"id\":\"caf\xe9\"}"),
            json!([]),
            json!(null),
        ] {
            assert_eq!(taken(body), none);
        }
        assert_eq!(remember.take(&HeaderMap::new(), None), Remote::new());
        assert!(remember.needs_bodies());
        assert!(
            !read(&json!({ "remember": { "etag": { "header": "ETag" } } }))
                .0
                .needs_bodies()
        );
    }

    #[test]
    fn what_cannot_be_remembered_is_told() {
        for (document, place) in [
            (json!({ "remember": [] }), "/remember"),
            (json!({ "remember": { "Id": "/id" } }), "/remember/Id"),
            (json!({ "remember": { "id": "id" } }), "/remember/id"),
            (json!({ "remember": { "id": [] } }), "/remember/id"),
            (
                json!({ "remember": { "id": { "header": "no header" } } }),
                "/remember/id/header",
            ),
            (
                json!({ "remember": { "a": "/a", "b": "/b", "c": "/c", "d": "/d", "e": "/e" } }),
                "/remember",
            ),
        ] {
            assert_eq!(read(&document).1, [place], "{document}");
        }
    }

    #[test]
    fn places_say_whose_value_is_meant() {
        let (own, parent) = (
            Remote::from([("id".to_owned(), "1".to_owned())]),
            Remote::from([("id".to_owned(), "2".to_owned())]),
        );
        let given = Given {
            own: &own,
            parent: &parent,
        };
        for (place, value) in [
            ("remote.id", Some("1")),
            ("parent.remote.id", Some("2")),
            ("remote.x", None),
            ("id", None),
        ] {
            assert_eq!(given.of(place), value, "{place}");
            assert_eq!(is_late(place), place != "id");
        }
    }
}
