//! The destination: a plain HTTP JSON store of singular upserts. Any path is a resource; PUT, POST and PATCH replace
//! it, DELETE removes it, GET shows it. Files below `/media/` are apart: by PUT, of any type. Pure like the PIM.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fault::{Effect, Faults, Reply, error_body, respond, set_header, status_response};
use crate::meter::{Limits, Meter};

mod shop;

use shop::Done;
pub use shop::{PARENT, PREFIX, Reference, Shop, ShopConfig};

/// How the destination is set up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DestinationConfig {
    /// Bearer token that every call must carry, else 401; `None` takes all calls.
    pub token: Option<String>,
    /// Header that must hold the token alone, in place of `authorization: Bearer`.
    pub token_header: Option<String>,
    /// DELETE of what is not there: 404 instead of 204.
    pub unknown_delete_is_404: bool,
    /// Calls at once and a second; by default none.
    pub limits: Limits,
    /// Keep the body of every request in the log, not only its hash.
    pub keep_bodies: bool,
    /// Decides which calls a share of faults strikes.
    pub seed: u64,
}

/// A resource as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The JSON last sent, as sent: kept as text, which takes a tenth of the memory.
    pub json: String,
    /// The headers last sent, names in lower case; `authorization` left out.
    pub headers: Vec<(String, String)>,
    /// Upserts applied since it last did not exist.
    pub versions: u64,
    /// When the last one was applied, in Unix milliseconds.
    pub at_ms: u64,
}

impl Stored {
    /// The JSON last sent.
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}

/// A file as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its size, in bytes.
    pub bytes: usize,
    /// Hex SHA-256 of it.
    pub sha256: String,
    /// The `content-type` that it was sent with.
    pub content_type: Option<String>,
    /// How often it was sent.
    pub versions: u64,
}

/// What stands in the path of files alone.
const MEDIA: &str = "/media/";

fn is_file(request: &Request<Bytes>) -> bool {
    request.method() == Method::PUT && request.uri().path().contains(MEDIA)
}

/// A request as recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// When it arrived, in Unix milliseconds.
    pub at_ms: u64,
    /// The method.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The query as sent; empty where there is none.
    pub query: String,
    /// The headers, names in lower case; `authorization` left out.
    pub headers: Vec<(String, String)>,
    /// The status answered; 0 if the connection was cut.
    pub status: u16,
    /// Whether it had its effect when it arrived; one that lands late has not.
    pub applied: bool,
    /// It began beyond a limit.
    pub over_limit: bool,
    /// Hex SHA-256 of the body.
    pub body_sha256: String,
    /// The body, if it is to be kept and is text.
    pub body: Option<String>,
    /// The `Trackingid` of the answer.
    pub tracking_id: String,
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// How a refused entity is answered, time and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// The status, such as 422.
    pub status: u16,
    /// The error's message.
    pub message: String,
}

/// What upserts must be like: else they are refused with a 422 that says what is wrong.
#[derive(Clone)]
pub struct Check(pub Arc<Judge>);

/// Says what is wrong with a body.
pub type Judge = dyn Fn(&Value) -> Result<(), String> + Send + Sync;

impl fmt::Debug for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Check(..)")
    }
}

// A request whose effect is still to come.
#[derive(Clone, Debug)]
struct Late {
    due_ms: u64,
    request: Request<Bytes>,
}

/// A simulated destination.
#[derive(Clone, Debug)]
pub struct Destination {
    /// How it is set up; may be changed at any time.
    pub config: DestinationConfig,
    /// Faults in force.
    pub faults: Faults,
    /// Upserts refused for good: what the path must end with (the encoded id) and the answer. Deletions are not
    /// refused.
    pub rejections: BTreeMap<String, Rejection>,
    /// What the body of every upsert must be like.
    pub check: Option<Check>,
    /// How it is spoken to, if it is a shop.
    pub shop: Option<Shop>,
    /// What it holds, by path.
    pub state: BTreeMap<String, Stored>,
    /// The files that it holds, by path.
    pub media: BTreeMap<String, StoredFile>,
    /// Every request since the start or the last time it was emptied.
    pub log: Vec<Received>,
    /// Calls at once and a second, as seen.
    pub meter: Meter,
    late: Vec<Late>,
    answered: u64,
}

impl Destination {
    /// One that holds nothing.
    pub fn new(config: DestinationConfig) -> Self {
        Self {
            faults: Faults::new(config.seed),
            config,
            rejections: BTreeMap::new(),
            check: None,
            shop: None,
            state: BTreeMap::new(),
            media: BTreeMap::new(),
            log: Vec::new(),
            meter: Meter::default(),
            late: Vec::new(),
            answered: 0,
        }
    }

    /// Refuses upserts of this entity with a 422 from now on. The id is encoded as it would be in a path.
    pub fn reject(&mut self, id: &str, message: &str) {
        let rejection = Rejection {
            status: 422,
            message: message.to_owned(),
        };
        self.rejections
            .insert(format!("/{}", crate::encode_segment(id)), rejection);
    }

    /// Answers a call that is over at once. Waits are left out, and a cut connection appears as a 503.
    pub fn respond(&mut self, request: &Request<Bytes>, now_ms: u64) -> Response<Bytes> {
        let reply = self.handle(request, now_ms);
        self.finish();
        reply.into_response()
    }

    /// Begins a call: counted as open until [`Destination::finish`], which the caller owes when the reply has been
    /// waited for.
    pub fn handle(&mut self, request: &Request<Bytes>, now_ms: u64) -> Reply {
        self.settle(now_ms);
        let within = self.meter.begin(&self.config.limits, now_ms);
        self.answered += 1;
        let tracking_id = format!("sim-{:08}", self.answered);
        let plain = self.plainly(request);
        let (mut reply, applied) = self.reply(request, now_ms, within);
        if let Some(response) = &mut reply.response {
            set_header(response, "trackingid", &tracking_id);
        }
        self.log.push(Received {
            at_ms: now_ms,
            method: plain.method().to_string(),
            path: plain.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: headers(request),
            status: reply.response.as_ref().map_or(0, |response| response.status().as_u16()),
            applied,
            over_limit: !within,
            body_sha256: sha256(request.body()),
            body: (self.config.keep_bodies && !is_file(request))
                .then(|| String::from_utf8_lossy(request.body()).into_owned()),
            tracking_id,
        });
        reply
    }

    /// A request as it is made of a destination that is no shop.
    pub fn plainly(&self, request: &Request<Bytes>) -> Request<Bytes> {
        let plain = self.shop.as_ref().and_then(|shop| shop.plainly(request));
        plain.unwrap_or_else(|| request.clone())
    }

    /// Ends a call begun by [`Destination::handle`].
    pub fn finish(&mut self) {
        self.meter.end();
    }

    /// Applies what was to land late and is due. Every call does this first.
    pub fn settle(&mut self, now_ms: u64) {
        let (mut due, later): (Vec<_>, Vec<_>) = self.late.drain(..).partition(|late| late.due_ms <= now_ms);
        self.late = later;
        due.sort_by_key(|late| late.due_ms);
        for late in due {
            self.apply(&late.request, late.due_ms);
        }
    }

    /// Requests that have not landed yet.
    pub fn landing(&self) -> usize {
        self.late.len()
    }

    // The reply, and whether the request had its effect.
    fn reply(&mut self, request: &Request<Bytes>, now_ms: u64, within: bool) -> (Reply, bool) {
        if !within && self.config.limits.enforce {
            let mut response = respond(429, &error_body(429, "Too many requests."));
            if let Some(seconds) = self.config.limits.retry_after_s {
                set_header(&mut response, "retry-after", &seconds.to_string());
            }
            return (Reply::now(response), false);
        }
        match self.faults.strike(request) {
            None | Some(Effect::EmptyPage | Effect::NoNext) => self.answer(request, now_ms),
            Some(Effect::Slow { ms }) => {
                let (reply, applied) = self.answer(request, now_ms);
                (reply.after(ms), applied)
            }
            Some(Effect::Disguised { status }) => {
                let (_, applied) = self.answer(request, now_ms);
                (Reply::now(status_response(status, &[], None)), applied)
            }
            Some(Effect::Gzip) => {
                let (reply, applied) = self.answer(request, now_ms);
                (reply.packed(), applied)
            }
            Some(Effect::CutBody) => {
                let (reply, applied) = self.answer(request, now_ms);
                (reply.cut_in_its_body(), applied)
            }
            Some(Effect::Status { status, headers, body }) => {
                (Reply::now(status_response(status, &headers, body.as_ref())), false)
            }
            Some(Effect::Text { text }) => (Reply::now(crate::fault::text(text)), false),
            Some(Effect::Hang { ms }) => (Reply::cut(ms), false),
            Some(Effect::Cut { applied }) => {
                let applied = applied && self.answer(request, now_ms).1;
                (Reply::cut(0), applied)
            }
            Some(Effect::LandLate { after_ms }) => {
                if self.refusal(request).is_none() {
                    self.late.push(Late {
                        due_ms: now_ms + after_ms,
                        request: request.clone(),
                    });
                }
                (Reply::cut(after_ms), false)
            }
        }
    }

    fn answer(&mut self, request: &Request<Bytes>, now_ms: u64) -> (Reply, bool) {
        let (response, applied) = match self.refusal(request) {
            Some(response) => (response, false),
            None => {
                let response = self.apply(request, now_ms);
                let is_done = response.status().is_success() || self.shop.is_none();
                (response, is_done && self.plainly(request).method() != Method::GET)
            }
        };
        let response = match &self.shop {
            Some(shop) => shop.told(response),
            None => response,
        };
        (Reply::now(response), applied)
    }

    fn refusal(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if let Some(token) = &self.config.token {
            let (header, expected) = match &self.config.token_header {
                Some(header) => (header.as_str(), token.clone()),
                None => (AUTHORIZATION.as_str(), format!("Bearer {token}")),
            };
            let given = request.headers().get(header).and_then(|value| value.to_str().ok());
            if given != Some(&expected) {
                return Some(respond(401, &error_body(401, "A valid token is required.")));
            }
        }
        let plain = self.plainly(request);
        if !upsert(&plain) {
            return None;
        }
        let path = plain.uri().path();
        if let Some((_, rejection)) = self.rejections.iter().find(|(end, _)| path.ends_with(end.as_str())) {
            return Some(respond(
                rejection.status,
                &error_body(rejection.status, &rejection.message),
            ));
        }
        if is_file(request) {
            return None;
        }
        let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
            return Some(respond(400, &error_body(400, "The body is not JSON.")));
        };
        let wrong = self.check.as_ref().and_then(|check| (check.0)(&body).err());
        wrong.map(|wrong| respond(422, &error_body(422, &wrong)))
    }

    fn apply(&mut self, request: &Request<Bytes>, at_ms: u64) -> Response<Bytes> {
        let path = request.uri().path().to_owned();
        if is_file(request) {
            return self.apply_file(request, path);
        }
        if let Some(shop) = &mut self.shop {
            return match shop.apply(request, at_ms) {
                Done::Nothing(response) => response,
                Done::Put(path, response) => {
                    self.put(path, request, at_ms);
                    response
                }
                Done::Moved(old, path, response) => {
                    self.state.remove(&old);
                    self.put(path, request, at_ms);
                    response
                }
                Done::Gone(path, response) => {
                    self.state.remove(&path);
                    response
                }
            };
        }
        if upsert(request) {
            let versions = self.put(path, request, at_ms);
            return respond(if versions == 1 { 201 } else { 200 }, &json!({ "version": versions }));
        }
        let missing = || respond(404, &error_body(404, "There is no such resource."));
        match *request.method() {
            Method::DELETE => match self.state.remove(&path) {
                None if self.config.unknown_delete_is_404 => missing(),
                _ => no_content(),
            },
            Method::GET => self
                .state
                .get(&path)
                .map_or_else(missing, |stored| respond(200, &stored.body())),
            _ => respond(405, &error_body(405, "This method is not allowed here.")),
        }
    }
}

impl Destination {
    /// Keeps a body; says how often one was kept there.
    fn put(&mut self, path: String, request: &Request<Bytes>, at_ms: u64) -> u64 {
        let json = String::from_utf8_lossy(request.body()).into_owned();
        let versions = self.state.get(&path).map_or(0, |stored| stored.versions) + 1;
        let stored = Stored {
            json,
            headers: headers(request),
            versions,
            at_ms,
        };
        self.state.insert(path, stored);
        versions
    }

    fn apply_file(&mut self, request: &Request<Bytes>, path: String) -> Response<Bytes> {
        let versions = self.media.get(&path).map_or(0, |stored| stored.versions) + 1;
        let of_type = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let stored = StoredFile {
            bytes: request.body().len(),
            sha256: sha256(request.body()),
            content_type: of_type.map(str::to_owned),
            versions,
        };
        self.media.insert(path, stored);
        respond(if versions == 1 { 201 } else { 200 }, &json!({ "version": versions }))
    }
}

fn upsert(request: &Request<Bytes>) -> bool {
    [Method::PUT, Method::POST, Method::PATCH].contains(request.method())
}

fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    response
}

fn headers(request: &Request<Bytes>) -> Vec<(String, String)> {
    let all = request.headers().iter().filter(|(name, _)| *name != AUTHORIZATION);
    all.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// The SHA-256 of this, in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
