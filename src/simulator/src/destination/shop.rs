//! A destination as shops are: it makes things by one request and changes them by another, gives them ids of its own, finds
//! them late, and may say inside of a 200 that it did nothing.
//!
//! | request | what it does |
//! |---|---|
//! | `POST /shop/{kind}?ref={id}` | makes one; a second one of the same reference, too, unless references are unique |
//! | `PUT /shop/{kind}/{its id}`, also with `?ref={id}` | changes one, also its reference |
//! | `DELETE /shop/{kind}/{its id}` | takes one away |
//! | `GET /shop/{kind}?ref={id}` | finds what has this reference, and was made long enough ago |
//!
//! What it holds lies in the destination's state at `/{kind}/{id}`, whatever its id here is, and its log names that path.

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::fault::{respond, set_header};

/// How a shop does it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShopConfig {
    /// How long after it was made something is found, in milliseconds.
    pub lag_ms: u64,
    /// Whether it refuses a second one of the same reference, and says which id the first has.
    pub is_unique: bool,
    /// Whether ids are the references.
    pub takes_ids: bool,
    /// Whether a change must name the version that is there.
    pub wants_versions: bool,
    /// Whether it answers 200 whatever it did, with the errors inside.
    pub is_always_well: bool,
}

/// A shop, and what it has given ids to.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    config: ShopConfig,
    things: BTreeMap<String, Thing>,
    made: u64,
    /// The paths of all that it has ever given an id to.
    paths: BTreeMap<String, String>,
    /// The paths of what it was made to have twice.
    pub doubled: Vec<String>,
}

/// A thing in the shop.
#[derive(Clone, Debug)]
struct Thing {
    path: String,
    made_ms: u64,
    version: u64,
}

/// What is to be done to the state.
pub(super) enum Done {
    /// Nothing.
    Nothing(Response<Bytes>),
    /// What lies at this path is now what was sent.
    Put(String, Response<Bytes>),
    /// What lay at the first path lies at the second, and is what was sent.
    Moved(String, String, Response<Bytes>),
    /// What lies at this path is gone.
    Gone(String, Response<Bytes>),
}

fn fail(status: u16, message: &str, id: Option<&str>) -> Response<Bytes> {
    let errors = [json!({ "code": status, "message": message, "id": id })];
    respond(status, &json!({ "errors": errors }))
}

impl Shop {
    /// One that has nothing.
    pub fn new(config: ShopConfig) -> Shop {
        Shop {
            config,
            ..Shop::default()
        }
    }

    /// The same request as one of a destination that takes upserts at the paths of its state; none of another form.
    pub fn plainly(&self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        let (kind, id) = parts(request)?;
        let path = match (id, reference(request)) {
            (Some(_), Some(reference)) if request.method() == Method::PUT => format!("/{kind}/{reference}"),
            (Some(id), _) => {
                let known = self.paths.get(id).cloned();
                known.unwrap_or_else(|| format!("/{kind}/{id}"))
            }
            (None, Some(reference)) => format!("/{kind}/{reference}"),
            (None, None) => return None,
        };
        let mut plain = request.clone();
        if request.method() == Method::POST {
            *plain.method_mut() = Method::PUT;
        }
        *plain.uri_mut() = path.parse().ok()?;
        Some(plain)
    }

    pub(super) fn apply(&mut self, request: &Request<Bytes>, at_ms: u64) -> Done {
        let missing = || Done::Nothing(fail(404, "There is no such thing.", None));
        let Some((kind, id)) = parts(request) else {
            return missing();
        };
        if let (&Method::PUT, Some(id), Some(reference)) = (request.method(), id, reference(request)) {
            return self.rename(id, version(request), format!("/{kind}/{reference}"));
        }
        match (request.method(), id, reference(request)) {
            (&Method::POST, None, Some(reference)) => self.make(&format!("/{kind}/{reference}"), reference, at_ms),
            (&Method::GET, None, Some(reference)) => Done::Nothing(self.find(&format!("/{kind}/{reference}"), at_ms)),
            (&Method::PUT, Some(id), _) => match self.things.get_mut(id) {
                None => missing(),
                Some(thing) if self.config.wants_versions && version(request) != Some(thing.version) => {
                    Done::Nothing(fail(412, "It has another version.", Some(id)))
                }
                Some(thing) => {
                    thing.version += 1;
                    let (path, version) = (thing.path.clone(), thing.version);
                    Done::Put(path, answer(200, id, version))
                }
            },
            (&Method::DELETE, Some(id), _) => match self.things.remove(id) {
                None => missing(),
                Some(thing) => {
                    self.things.retain(|_, other| other.path != thing.path);
                    Done::Gone(thing.path, respond(200, &json!({})))
                }
            },
            _ => missing(),
        }
    }

    fn make(&mut self, path: &str, reference: &str, at_ms: u64) -> Done {
        let known = self.things.iter().find(|(_, thing)| thing.path == path);
        if let Some((id, _)) = known {
            if self.config.is_unique {
                return Done::Nothing(fail(409, "There is one already.", Some(id)));
            }
            self.doubled.push(path.to_owned());
        }
        self.made += 1;
        let id = match self.config.takes_ids {
            true => reference.to_owned(),
            false => (1000 + self.made).to_string(),
        };
        let thing = Thing {
            path: path.to_owned(),
            made_ms: at_ms,
            version: 1,
        };
        self.paths.insert(id.clone(), path.to_owned());
        self.things.insert(id.clone(), thing);
        Done::Put(path.to_owned(), answer(201, &id, 1))
    }

    fn rename(&mut self, id: &str, version: Option<u64>, path: String) -> Done {
        let is_taken = self
            .things
            .iter()
            .any(|(other, thing)| other != id && thing.path == path);
        let Some(thing) = self.things.get_mut(id) else {
            return Done::Nothing(fail(404, "There is no such thing.", None));
        };
        if self.config.wants_versions && version != Some(thing.version) {
            return Done::Nothing(fail(412, "It has another version.", Some(id)));
        }
        if is_taken && self.config.is_unique {
            return Done::Nothing(fail(422, "There is one already.", None));
        }
        if is_taken {
            self.doubled.push(path.clone());
        }
        thing.version += 1;
        let (old, version) = (std::mem::replace(&mut thing.path, path.clone()), thing.version);
        self.paths.insert(id.to_owned(), path.clone());
        Done::Moved(old, path, answer(200, id, version))
    }

    fn find(&self, path: &str, at_ms: u64) -> Response<Bytes> {
        let is_found = |thing: &Thing| thing.path == path && thing.made_ms + self.config.lag_ms <= at_ms;
        let found = self.things.iter().filter(|(_, thing)| is_found(thing));
        let found: Vec<Value> = found
            .map(|(id, thing)| json!({ "id": id, "version": thing.version }))
            .collect();
        respond(200, &json!({ "found": found }))
    }

    /// An answer as this shop gives it.
    pub(super) fn told(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        let is_error = response.status().as_u16() >= 400 && response.status() != 401;
        if self.config.is_always_well && is_error {
            let read: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            if read.get("errors").is_none() {
                let errors = [json!({ "code": response.status().as_u16(), "message": read["message"] })];
                *response.body_mut() = Bytes::from(json!({ "errors": errors }).to_string());
            }
            *response.status_mut() = http::StatusCode::OK;
        }
        response
    }
}

fn answer(status: u16, id: &str, version: u64) -> Response<Bytes> {
    let mut response = respond(status, &json!({ "id": id, "version": version }));
    set_header(&mut response, "etag", &version.to_string());
    response
}

/// The kind, and the id if there is one.
fn parts(request: &Request<Bytes>) -> Option<(&str, Option<&str>)> {
    let rest = request.uri().path().strip_prefix("/shop/")?;
    Some(match rest.split_once('/') {
        Some((kind, id)) => (kind, Some(id)),
        None => (rest, None),
    })
}

fn reference(request: &Request<Bytes>) -> Option<&str> {
    request.uri().query()?.strip_prefix("ref=")
}

fn version(request: &Request<Bytes>) -> Option<u64> {
    request.headers().get("if-match")?.to_str().ok()?.parse().ok()
}
