//! A destination as shops are: it makes things by one request and changes them by another, gives them ids of its own, finds
//! them late, and may say inside of a 200 that it did nothing.
//!
//! | request | what it does |
//! |---|---|
//! | `POST /shop/{kind}?ref={id}` | makes one; a second one of the same reference, too, unless references are unique |
//! | `PUT /shop/{kind}/{its id}`, also with `?ref={id}` | changes one, also its reference; makes it, where ids are references and the shop upserts |
//! | `DELETE /shop/{kind}/{its id}` | takes one away |
//! | `POST /shop/{kind}/gone` | takes one away, by the `id` in its body |
//! | `PUT /shop/{kind}/{its id}/archived` | puts one away: it is found, and a change brings it back |
//! | `GET /shop/{kind}?ref={id}` | finds what has this reference, and was made long enough ago; what is like it, too, if it searches so |
//! | `POST /shop/{kind}/found` | the same by the `ref` in its body |
//!
//! What it holds lies in the destination's state at `/{kind}/{id}`, whatever its id here is, and its log names that path.

use bytes::Bytes;
use http::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::sha256;
use crate::encode_segment;
use crate::fault::{respond, set_header};

/// What references are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reference {
    /// The UUID or code itself.
    #[default]
    Id,
    /// The UUID of a product without its dashes.
    Hex,
    /// The UUID or code behind a text of its own.
    Prefixed,
    /// The first half of the SHA-256 of kind, slash and UUID or code, in hex.
    Hashed,
}

/// What stands before a reference that has something before it.
pub const PREFIX: &str = "our-";

impl Reference {
    /// The reference of an entity, as it stands in an address.
    pub fn of(self, kind: &str, id: &str) -> String {
        match self {
            Reference::Hex if kind == "products" => id.replace('-', ""),
            Reference::Id | Reference::Hex => encode_segment(id),
            Reference::Prefixed => format!("{PREFIX}{}", encode_segment(id)),
            Reference::Hashed => sha256(format!("{kind}/{id}").as_bytes())[..32].to_owned(),
        }
    }
}

/// How many others a search finds that finds what is like the one.
const ALIKE: usize = 2;

/// The member of a body that may name a product's model by its id here; others do so by the header `x-parent`, or by
/// `parent` in the query.
pub const PARENT: &str = "parent_id";

/// How a shop does it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShopConfig {
    /// What references are made of.
    pub reference: Reference,
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
    /// Whether one entity may have the name that another one had, so that beside what is archived another one may be made.
    pub passes_names_on: bool,
    /// Whether what is to be changed and is not there is made.
    pub upserts: bool,
    /// Whether a search finds what is like the one, too: a few others of its kind, before it.
    pub finds_alike: bool,
}

/// A shop, and what it has given ids to.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    config: ShopConfig,
    things: BTreeMap<String, Thing>,
    made: u64,
    /// The ids of entities as they stand in addresses, by kind and reference.
    ids: BTreeMap<(String, String), String>,
    /// The paths of all that it has ever given an id to.
    paths: BTreeMap<String, String>,
    /// By its id here, the references that a thing had before.
    former: BTreeMap<String, Vec<String>>,
    /// The paths of what it was made to have twice.
    pub doubled: Vec<String>,
    /// What it was told that is not so: the model of a product, or what it is to take away.
    pub mistold: Vec<String>,
}

/// A thing in the shop.
#[derive(Clone, Debug)]
struct Thing {
    path: String,
    reference: String,
    made_ms: u64,
    version: u64,
    is_archived: bool,
    /// The id here of the model that it was last said to be of.
    parent: Option<String>,
}

/// What a request asks for, of a thing by its id here or by its reference.
enum Asked<'a> {
    Make(&'a str),
    Find(String),
    Change(&'a str),
    Rename(&'a str, &'a str),
    Leave(String),
    Archive(&'a str),
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
    let mut response = respond(status, &json!({ "errors": errors }));
    if let Some(id) = id {
        set_header(&mut response, "x-id", id);
    }
    response
}

impl Shop {
    /// One that has nothing.
    pub fn new(config: ShopConfig) -> Shop {
        Shop {
            config,
            ..Shop::default()
        }
    }

    /// Tells it of an entity, so that it knows whose a reference is.
    pub fn introduce(&mut self, kind: &str, id: &str) {
        let reference = self.config.reference.of(kind, id);
        self.ids.insert((kind.to_owned(), reference), encode_segment(id));
    }

    /// The path in the destination's state of what has a reference.
    fn path(&self, kind: &str, reference: &str) -> String {
        let known = self.ids.get(&(kind.to_owned(), reference.to_owned()));
        format!("/{kind}/{}", known.map_or(reference, String::as_str))
    }

    /// The path of what has an id here, or had.
    fn path_of_thing(&self, kind: &str, id: &str) -> String {
        let known = self.paths.get(id).cloned();
        known.unwrap_or_else(|| self.path(kind, id))
    }

    /// The same request as one of a destination that takes upserts at the paths of its state; none of another form.
    pub fn plainly(&self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        let (kind, asked) = asked(request)?;
        let (method, path) = match asked {
            Asked::Make(reference) | Asked::Rename(_, reference) => (Method::PUT, self.path(kind, reference)),
            Asked::Find(reference) => (Method::GET, self.path(kind, &reference)),
            Asked::Change(id) => (Method::PUT, self.path_of_thing(kind, id)),
            Asked::Leave(id) => (Method::DELETE, self.path_of_thing(kind, &id)),
            Asked::Archive(id) => (Method::DELETE, self.path_of_thing(kind, id)),
        };
        let mut plain = request.clone();
        *plain.method_mut() = method;
        *plain.uri_mut() = path.parse().ok()?;
        Some(plain)
    }

    pub(super) fn apply(&mut self, request: &Request<Bytes>, at_ms: u64) -> Done {
        let Some((kind, asked)) = asked(request) else {
            return Done::Nothing(missing());
        };
        let told = self.told_parent(kind, request);
        let done = self.carry_out(kind, asked, request, at_ms);
        if let Done::Put(path, _) | Done::Moved(_, path, _) = &done {
            let put = self.things.values_mut().filter(|thing| thing.path == *path);
            put.for_each(|thing| thing.parent.clone_from(&told));
        }
        done
    }

    fn carry_out(&mut self, kind: &str, asked: Asked<'_>, request: &Request<Bytes>, at_ms: u64) -> Done {
        match asked {
            Asked::Make(reference) => self.make(&self.path(kind, reference), reference, at_ms),
            Asked::Find(reference) => Done::Nothing(self.find(&self.path(kind, &reference), at_ms)),
            Asked::Change(id) if self.config.upserts && !self.things.contains_key(id) => {
                self.make(&self.path(kind, id), id, at_ms)
            }
            Asked::Change(id) => self.change(id, version(request)),
            Asked::Rename(id, reference) => self.rename(id, version(request), (self.path(kind, reference), reference)),
            Asked::Leave(id) => {
                self.note_farewell(kind, request);
                self.leave(&id)
            }
            Asked::Archive(id) => self.archive(id),
        }
    }

    fn change(&mut self, id: &str, version: Option<u64>) -> Done {
        let Some(thing) = self.things.get_mut(id) else {
            return Done::Nothing(missing());
        };
        if self.config.wants_versions && version != Some(thing.version) {
            return Done::Nothing(fail(412, "It has another version.", Some(id)));
        }
        thing.version += 1;
        thing.is_archived = false;
        let (path, version) = (thing.path.clone(), thing.version);
        Done::Put(path, answer(200, id, version))
    }

    fn leave(&mut self, id: &str) -> Done {
        let Some(thing) = self.things.remove(id) else {
            return Done::Nothing(missing());
        };
        self.things.retain(|_, other| other.path != thing.path);
        Done::Gone(thing.path, respond(200, &json!({})))
    }

    fn archive(&mut self, id: &str) -> Done {
        let Some(path) = self.things.get(id).map(|thing| thing.path.clone()) else {
            return Done::Nothing(missing());
        };
        for thing in self.things.values_mut().filter(|thing| thing.path == path) {
            thing.is_archived = true;
            thing.version += 1;
        }
        Done::Gone(path, respond(200, &json!({ "id": id })))
    }

    fn make(&mut self, path: &str, reference: &str, at_ms: u64) -> Done {
        let is_known = |thing: &Thing| thing.path == path && !(thing.is_archived && self.config.passes_names_on);
        let known = self.things.iter().find(|(_, thing)| is_known(thing));
        if let Some((id, _)) = known {
            if self.config.is_unique {
                return Done::Nothing(fail(409, "There is one already.", Some(id)));
            }
            self.doubled.push(path.to_owned());
        }
        // What is archived gives its name to the new one.
        let gives_way = |thing: &Thing| thing.path == path && thing.is_archived && self.config.passes_names_on;
        self.things.retain(|_, thing| !gives_way(thing));
        self.made += 1;
        let id = match self.config.takes_ids {
            true => reference.to_owned(),
            false => (1000 + self.made).to_string(),
        };
        let thing = Thing {
            path: path.to_owned(),
            reference: reference.to_owned(),
            made_ms: at_ms,
            version: 1,
            is_archived: false,
            parent: None,
        };
        self.paths.insert(id.clone(), path.to_owned());
        self.things.insert(id.clone(), thing);
        Done::Put(path.to_owned(), answer(201, &id, 1))
    }

    fn rename(&mut self, id: &str, version: Option<u64>, (path, reference): (String, &str)) -> Done {
        // What is archived lets a name go once another one wants it.
        let is_taken = self
            .things
            .iter()
            .any(|(other, thing)| other != id && thing.path == path && !thing.is_archived);
        let Some(thing) = self.things.get_mut(id) else {
            return Done::Nothing(missing());
        };
        if self.config.wants_versions && version != Some(thing.version) {
            return Done::Nothing(fail(412, "It has another version.", Some(id)));
        }
        if is_taken && self.config.is_unique {
            return Done::Nothing(fail(422, "There is one already.", None));
        }
        if is_taken && thing.path != path {
            self.doubled.push(path.clone());
        }
        thing.version += 1;
        thing.is_archived = false;
        let former = std::mem::replace(&mut thing.reference, reference.to_owned());
        self.former.entry(id.to_owned()).or_default().push(decoded(&former));
        let (old, version) = (std::mem::replace(&mut thing.path, path.clone()), thing.version);
        self.things
            .retain(|other, thing| other == id || thing.path != path || !thing.is_archived);
        self.paths.insert(id.to_owned(), path.clone());
        Done::Moved(old, path, answer(200, id, version))
    }

    fn find(&self, path: &str, at_ms: u64) -> Response<Bytes> {
        let kind = path.rsplit_once('/').map_or(path, |(kind, _)| kind);
        let settled = |thing: &Thing| thing.made_ms + self.config.lag_ms <= at_ms;
        let (mut meant, mut alike) = (Vec::new(), Vec::new());
        for (id, thing) in self.things.iter().filter(|(_, thing)| settled(thing)) {
            let found = json!({ "id": id, "version": thing.version, "ref": decoded(&thing.reference) });
            match thing.path == path {
                true => meant.push(found),
                false if alike.len() < ALIKE && thing.path.starts_with(kind) => alike.push(found),
                false => {}
            }
        }
        if self.config.finds_alike {
            meant.splice(..0, alike);
        }
        respond(200, &json!({ "found": meant }))
    }

    /// The id here of the model that a product names, if it does so; it is to be that of the model that the body names.
    fn told_parent(&mut self, kind: &str, request: &Request<Bytes>) -> Option<String> {
        let body = body(request);
        let header = request.headers().get("x-parent").and_then(|value| value.to_str().ok());
        let told = header.or(queried(request, "parent")).or(body[PARENT].as_str());
        let parent = told.filter(|_| kind == "products")?;
        let named = body["parent"].as_str();
        let known = self.paths.get(parent).map(String::as_str);
        let is_it = named.is_none_or(|code| known == Some(&path_of_model(code)));
        if !is_it || !known.is_some_and(|path| path.starts_with("/product-models/")) {
            self.mistold
                .push(format!("{parent} is said to be the model {named:?}, and is {known:?}"));
        }
        Some(parent.to_owned())
    }

    /// Products of which was last said, by an id that is not so or by none, which model of those here they inherit from:
    /// all that the state holds, by path.
    pub fn orphans<'a>(&self, state: impl Iterator<Item = (&'a String, Value)>) -> Vec<String> {
        let here = |path: &str| {
            let is_it = |thing: &&Thing| thing.path == path && !thing.is_archived;
            self.things.iter().find(|(_, thing)| is_it(thing))
        };
        let products = state.filter(|(path, _)| path.starts_with("/products/"));
        let orphans = products.filter_map(|(path, body)| {
            let (_, product) = here(path)?;
            let (id, _) = here(&path_of_model(body["parent"].as_str()?))?;
            let told = &product.parent;
            (told.as_ref() != Some(id)).then(|| format!("{path} is of the model {id}, and was said to be of {told:?}"))
        });
        orphans.collect()
    }

    /// Where a deletion says in its body what is to go, all of it is to be of one entity.
    fn note_farewell(&mut self, kind: &str, request: &Request<Bytes>) {
        let Some(said) = body_of_farewell(request) else {
            return;
        };
        let text = |member: &str| said[member].as_str().unwrap_or_default().to_owned();
        let (id, of) = (encode_segment(&text("id")), text("of"));
        let path = self.path_of_thing(kind, &id);
        let is_of_it = path == format!("/{kind}/{}", encode_segment(&of));
        let reference = encode_segment(&text("ref"));
        let is_called_so = reference == self.config.reference.of(kind, &of);
        // A product that is called by its SKU lies at a path of that.
        let is_at_its_name = self.config.passes_names_on && path == format!("/{kind}/{reference}");
        // It may have another name by a change whose answer was lost.
        let former = self.former.get(&id);
        let was_called_so = former.is_some_and(|former| former.contains(&text("ref")));
        if text("kind") != kind || !(is_at_its_name || was_called_so || (is_of_it && is_called_so)) {
            self.mistold.push(format!("{path} is to go by {said}"));
        }
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
    set_header(&mut response, "x-id", id);
    response
}

fn missing() -> Response<Bytes> {
    fail(404, "There is no such thing.", None)
}

/// The kind of what a request is about, and what it asks for.
fn asked(request: &Request<Bytes>) -> Option<(&str, Asked<'_>)> {
    let rest = request.uri().path().strip_prefix("/shop/")?;
    let (kind, id) = match rest.split_once('/') {
        Some((kind, id)) => (kind, Some(id)),
        None => (rest, None),
    };
    let asked = match (request.method(), id, reference(request)) {
        (&Method::POST, Some("gone"), _) => Asked::Leave(encode_segment(body_of_farewell(request)?["id"].as_str()?)),
        (&Method::POST, Some("found"), _) => Asked::Find(encode_segment(body(request)["ref"].as_str()?)),
        (&Method::POST, None, Some(reference)) => Asked::Make(reference),
        (&Method::GET, None, Some(reference)) => Asked::Find(reference.to_owned()),
        (&Method::DELETE, Some(id), _) => Asked::Leave(id.to_owned()),
        (&Method::PUT, Some(id), reference) => match (id.strip_suffix("/archived"), reference) {
            (Some(id), _) => Asked::Archive(id),
            (None, Some(reference)) => Asked::Rename(id, reference),
            (None, None) => Asked::Change(id),
        },
        _ => return None,
    };
    Some((kind, asked))
}

/// The path in the destination's state of a model.
fn path_of_model(code: &str) -> String {
    format!("/product-models/{}", encode_segment(code))
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap_or_default()
}

/// What a deletion says in its body.
fn body_of_farewell(request: &Request<Bytes>) -> Option<Value> {
    let is_farewell = request.method() == Method::POST && request.uri().path().ends_with("/gone");
    is_farewell.then(|| body(request))
}

/// A reference as it is, and not as it stands in an address.
fn decoded(reference: &str) -> String {
    percent_decode_str(reference).decode_utf8_lossy().into_owned()
}

fn reference(request: &Request<Bytes>) -> Option<&str> {
    queried(request, "ref")
}

/// A value of the query, as it stands there.
fn queried<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let members = request.uri().query()?.split('&');
    let mut members = members.filter_map(|member| member.split_once('='));
    members.find_map(|(known, value)| (known == name).then_some(value))
}

fn version(request: &Request<Bytes>) -> Option<u64> {
    request.headers().get("if-match")?.to_str().ok()?.parse().ok()
}
