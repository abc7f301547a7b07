//! Places in documents, as JSON Pointers name them: reading what stands there, and building a document place by place.
//! Any text is a pointer or is none. A built document comes out the same on every host, and its lists have no gaps.

use serde_json::{Map, Value};

/// The most tokens of a place that a document names: a body is built one call deeper for each.
pub const DEPTH_MAX: usize = 32;

/// The tokens of a JSON Pointer (RFC 6901); none for what is not one.
pub fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    rest.split('/').map(unescaped).collect()
}

fn unescaped(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        text.push(match part.chars().next()? {
            '0' => '~',
            '1' => '/',
            _ => return None,
        });
        text.push_str(&part[1..]);
    }
    Some(text)
}

/// What stands in a place below a value.
pub fn at<'a>(value: &'a Value, tokens: &[String]) -> Option<&'a Value> {
    tokens.iter().try_fold(value, |value, token| match value {
        Value::Array(list) => list.get(index(token)?),
        Value::Object(members) => members.get(token),
        _ => None,
    })
}

/// A place as people are told of it.
pub fn shown(tokens: &[String]) -> String {
    match tokens {
        [] => "the whole".to_owned(),
        tokens => tokens.iter().map(|token| format!("/{token}")).collect(),
    }
}

/// A token that names an element of a list.
pub fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || (!token.starts_with('0') && token.chars().all(|c| c.is_ascii_digit()));
    is_plain.then(|| token.parse().ok()).flatten()
}

/// A document under construction. A number as a token makes a list, whose gaps are closed in the end.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing was put.
    #[default]
    Nothing,
    /// A value.
    Leaf(Value),
    /// Members, in the order in which they were put.
    Object(Vec<(String, Body)>),
    /// By index, in order.
    List(Vec<(usize, Body)>),
}

impl Body {
    /// Puts a value into a place, whatever stood there before.
    pub fn put(&mut self, tokens: &[String], value: Value) {
        let Some((token, rest)) = tokens.split_first() else {
            *self = Body::Leaf(value);
            return;
        };
        self.open(index(token).is_some());
        match self {
            Body::Object(members) => {
                let at = members.iter().position(|(name, _)| name == token);
                let at = at.unwrap_or_else(|| {
                    members.push((token.clone(), Body::Nothing));
                    members.len() - 1
                });
                members[at].1.put(rest, value);
            }
            Body::List(elements) => {
                let Some(number) = index(token) else { return };
                let at = elements.partition_point(|(known, _)| *known < number);
                if elements.get(at).is_none_or(|(known, _)| *known != number) {
                    elements.insert(at, (number, Body::Nothing));
                }
                elements[at].1.put(rest, value);
            }
            Body::Nothing | Body::Leaf(_) => {}
        }
    }

    /// Makes an object or a list of it, keeping what members or elements there are.
    fn open(&mut self, as_list: bool) {
        *self = match std::mem::take(self) {
            Body::Leaf(Value::Object(members)) => {
                let members = members.into_iter().map(|(name, value)| (name, Body::Leaf(value)));
                Body::Object(members.collect())
            }
            Body::Leaf(Value::Array(list)) if as_list => {
                Body::List(list.into_iter().map(Body::Leaf).enumerate().collect())
            }
            Body::Object(members) => Body::Object(members),
            Body::List(elements) if as_list => Body::List(elements),
            _ if as_list => Body::List(Vec::new()),
            _ => Body::Object(Vec::new()),
        };
    }

    /// The finished document; an empty object if nothing was put.
    pub fn finish(self) -> Value {
        match self {
            Body::Nothing => Value::Object(Map::new()),
            Body::Leaf(value) => value,
            Body::Object(members) => {
                let mut finished = Map::new();
                for (name, body) in members {
                    finished.insert(name, body.finish());
                }
                Value::Object(finished)
            }
            Body::List(elements) => elements.into_iter().map(|(_, body)| body.finish()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_are_read_as_the_rfc_says() {
        assert_eq!(tokens(""), Some(vec![]));
        assert_eq!(
            tokens("/a~1b/m~0n/0/"),
            Some(vec!["a/b".to_owned(), "m~n".to_owned(), "0".to_owned(), String::new()])
        );
        for wrong in ["a", "/~", "/~2", "/a~"] {
            assert_eq!(tokens(wrong), None, "{wrong}");
        }
        let document = json!({ "a/b": [{ "m~n": 1 }], "": 2 });
        for (pointer, found) in [
            ("/a~1b/0/m~0n", Some(json!(1))),
            ("/", Some(json!(2))),
            ("/a~1b/00", None),
            ("/a~1b/-", None),
            ("/a~1b/1", None),
            ("/x/y", None),
        ] {
            assert_eq!(
                at(&document, &tokens(pointer).expect(pointer)).cloned(),
                found,
                "{pointer}"
            );
        }
    }

    #[test]
    fn a_document_is_built_place_by_place() {
        let mut body = Body::default();
        for (pointer, value) in [
            ("", json!({ "kept": { "deep": 1 }, "list": ["x"] })),
            ("/kept/more", json!(2)),
            ("/list/3/code", json!("later")),
            ("/new/2", json!("c")),
            ("/new/0", json!("a")),
            ("/kept/deep/under", json!(3)),
        ] {
            body.put(&tokens(pointer).expect(pointer), value);
        }
        assert_eq!(
            body.finish(),
            json!({ "kept": { "deep": { "under": 3 }, "more": 2 }, "list": ["x", { "code": "later" }], "new": ["a", "c"] })
        );
        assert_eq!(Body::default().finish(), json!({}));
    }
}
