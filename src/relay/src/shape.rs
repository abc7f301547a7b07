//! What the destination is sent of an entity: one pure function, and the hash of its result.

use crate::entity::{Kind, digest};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// A request to the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upsert {
    /// The method.
    pub method: Method,
    /// The path, percent-encoded, below the destination's own.
    pub path: String,
    /// The body.
    pub body: Value,
}

/// What an entity comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shaped {
    /// It is wanted, like this.
    Wanted(Upsert),
    /// It cannot be sent; why.
    Unsendable(&'static str),
}

/// What stands unencoded in a segment of a path (RFC 3986, unreserved).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A code as a segment of a path.
pub fn path_segment(code: &str) -> String {
    utf8_percent_encode(code, UNRESERVED).to_string()
}

/// The path of an entity at the destination; none for ids that a server may take for something else.
pub fn path(kind: Kind, code: &str) -> Option<String> {
    (!matches!(code, "" | "." | "..")).then(|| format!("/{}/{}", kind.name(), path_segment(code)))
}

/// Shapes an entity: as the PIM gives it, without the links of its own API.
pub fn shape(kind: Kind, code: &str, entity: &Value) -> Shaped {
    let Some(path) = path(kind, code) else {
        return Shaped::Unsendable("its id cannot stand in a path");
    };
    let mut body = entity.clone();
    if let Value::Object(members) = &mut body {
        members.remove("_links");
    }
    Shaped::Wanted(Upsert {
        method: Method::PUT,
        path,
        body,
    })
}

/// The hash of a request: over its method, its path and its body in canonical form.
pub fn hash(upsert: &Upsert) -> String {
    digest(format!("{}\n{}\n{}", upsert.method, upsert.path, canonical(&upsert.body)).as_bytes())
}

/// Members that Akeneo writes as `{}` or as `[]` when they are empty (contract 6, trap 14).
const MAPS: [&str; 7] = [
    "values",
    "associations",
    "quantified_associations",
    "labels",
    "quality_scores",
    "completenesses",
    "linked_data",
];

/// A document in canonical form: members sorted, links left out, empty maps written in one way.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().filter(|(name, _)| *name != "_links").collect();
            sorted.sort_by_key(|(name, _)| *name);
            let members = sorted.into_iter().map(|(name, value)| {
                let is_empty_list = value.as_array().is_some_and(Vec::is_empty);
                let value = if is_empty_list && MAPS.contains(&name.as_str()) {
                    Value::Object(Map::new())
                } else {
                    canonical(value)
                };
                (name.clone(), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash_of(entity: &Value) -> String {
        match shape(Kind::Product, "p", entity) {
            Shaped::Wanted(upsert) => hash(&upsert),
            Shaped::Unsendable(why) => panic!("{why}"),
        }
    }

    #[test]
    fn what_says_the_same_has_the_same_hash() {
        let one = json!({"uuid": "p", "values": {}, "associations": {"X": {"products": []}}, "quality_scores": []});
        let other = json!({"quality_scores": {}, "associations": {"X": {"products": []}}, "values": [], "uuid": "p",
            "_links": {"self": {"href": "http://elsewhere.test/"}}});
        assert_eq!(hash_of(&one), hash_of(&other));
        for different in [
            json!({"uuid": "p"}),
            json!({"uuid": "p", "values": {"a": []}}),
            json!({"uuid": "p", "values": null}),
        ] {
            assert_ne!(hash_of(&one), hash_of(&different), "{different}");
        }
    }

    #[test]
    fn an_id_is_encoded_into_its_path_or_refused() {
        assert_eq!(
            path(Kind::ProductModel, "a/b ?é.x").as_deref(),
            Some("/product-models/a%2Fb%20%3F%C3%A9.x")
        );
        for refused in ["", ".", ".."] {
            assert_eq!(path(Kind::Product, refused), None);
            assert!(matches!(
                shape(Kind::Product, refused, &json!({})),
                Shaped::Unsendable(_)
            ));
        }
    }
}
