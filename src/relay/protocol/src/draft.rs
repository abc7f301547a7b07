//! A request that lacks only what the destination gave: it is made of an entity alone, and filled when it is sent.
//!
//! So a shape stays pure, and what was given counts for nothing in a hash. A path is never sent with a part missing, or
//! with one that leads to another path.

use crate::place::{Body, index};
use crate::remote::{Given, Remote, is_late};
use http::{HeaderName, HeaderValue, Method};
use model::json;
use model::path::path_segment;
use model::template::Piece;
use serde_json::Value;
use std::borrow::Cow;

/// A request to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The method.
    pub method: Method,
    /// The path, percent-encoded, below the destination's own.
    pub path: Vec<Piece>,
    /// The body; none where it has no body. Places of lists that are filled later are `null` in it.
    pub body: Option<Value>,
    /// Parts of the body that are filled when it is sent.
    pub late: Vec<Late>,
}

/// A part of a body that is filled when it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Late {
    /// Its place in the body.
    pub to: Vec<String>,
    /// What stands there.
    pub pieces: Vec<Piece>,
    /// Whether it is written as a number.
    pub is_number: bool,
    /// What stands there where something was not given; none leaves it out.
    pub default: Option<Value>,
}

/// A request with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The path, percent-encoded, below the destination's own.
    pub path: String,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Draft {
    /// What its path needs and was not given; none if nothing is missing.
    pub fn lacks(&self, given: Given<'_>) -> Option<&str> {
        places(&self.path).find(|place| given.of(place).is_none())
    }

    /// What was not given and is needed by the path, or by a part of the body that has no default; none if nothing is
    /// missing.
    pub fn lacks_anywhere(&self, given: Given<'_>) -> Option<&str> {
        let needed = self.late.iter().filter(|late| late.default.is_none());
        let mut needed = places(&self.path).chain(needed.flat_map(|late| places(&late.pieces)));
        needed.find(|place| given.of(place).is_none())
    }

    /// What is missing where the body must be whole: also what was given and is no number where a number is to stand.
    pub fn lacks_in_any_form(&self, given: Given<'_>) -> Option<&str> {
        let unformed = || self.late.iter().find(|late| late.value(given).is_none());
        let lacking = self.lacks_anywhere(given);
        lacking.or_else(|| places(&unformed()?.pieces).next())
    }

    /// The request as it is sent.
    ///
    /// # Errors
    /// What its path needs and was not given.
    pub fn ready(&self, given: Given<'_>) -> Result<Ready, &str> {
        let path = self.path.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Place(place) => given.of(place).map(path_segment).ok_or(place.as_str()),
        });
        let path = path.collect::<Result<String, &str>>()?;
        if let (true, Some(place)) = (leads_elsewhere(&path), places(&self.path).next()) {
            return Err(place);
        }
        Ok(Ready {
            path,
            body: self
                .body_of(given)
                .map(|body| json::write(&body).into_bytes())
                .unwrap_or_default(),
        })
    }

    fn body_of(&self, given: Given<'_>) -> Option<Cow<'_, Value>> {
        self.body.as_ref().map(|body| match self.late[..] {
            [] => Cow::Borrowed(body),
            _ => Cow::Owned(self.with(body.clone(), |late| late.value(given))),
        })
    }

    fn with(&self, body: Value, value: impl Fn(&Late) -> Option<Value>) -> Value {
        let mut built = Body::Leaf(body);
        for late in &self.late {
            if let Some(value) = value(late) {
                built.put(&late.to, value);
            }
        }
        built.finish()
    }

    /// The path with its places as they stand in the document.
    pub fn shown_path(&self) -> String {
        shown(&self.path)
    }

    /// The body with what is filled later as it stands in the document.
    pub fn shown_body(&self) -> Option<Cow<'_, Value>> {
        let shown = |late: &Late| Some(Value::String(shown(&late.pieces)));
        self.body.as_ref().map(|body| match self.late[..] {
            [] => Cow::Borrowed(body),
            _ => Cow::Owned(self.with(body.clone(), shown)),
        })
    }

    /// The places that are filled when it is sent.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        places(&self.path).chain(self.late.iter().flat_map(|late| places(&late.pieces)))
    }
}

impl Late {
    /// What stands there where nothing has to be given.
    pub fn now(&self) -> Option<Value> {
        let is_whole = places(&self.pieces).next().is_none();
        let none = Remote::new();
        let given = Given {
            own: &none,
            parent: &none,
        };
        is_whole.then(|| self.value(given).unwrap_or(Value::Null))
    }

    /// Keeps its place in a body: what stands in a list has a number, and its gaps are closed.
    pub fn reserve(self, body: &mut Body, late: &mut Vec<Late>) {
        if self.to.iter().any(|token| index(token).is_some()) {
            body.put(&self.to, Value::Null);
        }
        late.push(self);
    }

    fn value(&self, given: Given<'_>) -> Option<Value> {
        let text = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Place(place) => given.of(place),
        });
        let text: Option<String> = text.collect();
        let value = text.and_then(|text| match self.is_number {
            true => json::read(text.as_bytes()).map(|read| read.value).filter(is_number),
            false => Some(Value::String(text)),
        });
        value.or_else(|| self.default.clone())
    }
}

fn is_number(value: &Value) -> bool {
    value.is_number() || json::written(value).is_some()
}

/// A header whose value is filled when the request is sent; none where something in it was not given.
pub fn header(name: &HeaderName, pieces: &[Piece], given: Given<'_>) -> Option<(HeaderName, HeaderValue)> {
    let text = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Place(place) => given.of(place),
    });
    let value = HeaderValue::try_from(text.collect::<Option<String>>()?).ok()?;
    Some((name.clone(), value))
}

/// The places of a template that are filled when a request is sent.
pub fn places(pieces: &[Piece]) -> impl Iterator<Item = &str> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Place(place) if is_late(place) => Some(place.as_str()),
        _ => None,
    })
}

/// A text with its places as they stand in the document.
pub fn shown(pieces: &[Piece]) -> String {
    let pieces = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Place(place) => format!("{{{place}}}"),
    });
    pieces.collect()
}

/// Whether a part of a path is `.` or `..`: whoever sends the path, or takes it, may go to another one.
pub(crate) fn leads_elsewhere(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.split('/').any(|part| matches!(part, "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::tokens;
    use crate::remote::Remote;
    use model::template::pieces;
    use serde_json::json;

    fn late(to: &str, template: &str, is_number: bool, default: Option<Value>) -> Late {
        Late {
            to: tokens(to).expect("a place"),
            pieces: pieces(template).expect("a template"),
            is_number,
            default,
        }
    }

    #[test]
    fn what_was_given_is_filled_in_and_what_was_not_is_left_out() {
        let draft = Draft {
            method: Method::PUT,
            path: pieces("/items/{remote.id}").expect("a path"),
            body: Some(json!({ "name": "Mug" })),
            late: vec![
                late("/id", "{remote.id}", true, None),
                late("/in/model", "m-{parent.remote.id}", false, Some(json!(null))),
                late("/rev", "{remote.rev}", false, None),
            ],
        };
        let (own, none) = (Remote::from([("id".to_owned(), "1/2".to_owned())]), Remote::new());
        let parent = Remote::from([("id".to_owned(), "9".to_owned())]);
        assert_eq!(
            draft.ready(Given {
                own: &none,
                parent: &none
            }),
            Err("remote.id")
        );
        assert_eq!(
            draft.lacks(Given {
                own: &none,
                parent: &none
            }),
            Some("remote.id")
        );
        let lacking = draft.lacks_anywhere(Given {
            own: &own,
            parent: &parent,
        });
        assert_eq!((lacking, draft.places().count()), (Some("remote.rev"), 4));
        let ready = draft
            .ready(Given {
                own: &own,
                parent: &none,
            })
            .expect("ready");
        assert_eq!(ready.path, "/items/1%2F2");
        assert_eq!(
            ready.body, br#"{"in":{"model":null},"name":"Mug"}"#,
            "no number is no number"
        );
        let own = Remote::from([("id".to_owned(), "12".to_owned()), ("rev".to_owned(), "3-a".to_owned())]);
        let ready = draft
            .ready(Given {
                own: &own,
                parent: &parent,
            })
            .expect("ready");
        assert_eq!(
            ready.body,
            br#"{"id":12,"in":{"model":"m-9"},"name":"Mug","rev":"3-a"}"#
        );
        let named = |id: &str| Remote::from([("id".to_owned(), id.to_owned()), ("rev".to_owned(), "3".to_owned())]);
        for (id, lacking, is_ready) in [
            ("12", None, true),
            ("1/2", Some("remote.id"), true),
            ("..", Some("remote.id"), false),
        ] {
            let (own, parent) = (named(id), &parent);
            let given = Given { own: &own, parent };
            assert_eq!(draft.lacks_anywhere(given), None, "{id}");
            assert_eq!(
                draft.lacks_in_any_form(given),
                lacking,
                "{id}: it is to stand as a number"
            );
            assert_eq!(
                draft.ready(given).is_ok(),
                is_ready,
                "{id}: a path without it is another one"
            );
        }
        assert_eq!(draft.shown_path(), "/items/{remote.id}");
        assert_eq!(
            draft.shown_body().map(Cow::into_owned),
            Some(
                json!({ "name": "Mug", "id": "{remote.id}", "in": { "model": "m-{parent.remote.id}" }, "rev": "{remote.rev}" })
            )
        );
        let empty = Draft {
            body: None,
            late: vec![],
            ..draft
        };
        assert_eq!(
            empty
                .ready(Given {
                    own: &own,
                    parent: &none
                })
                .expect("ready")
                .body,
            b""
        );
    }
}
