//! Faults on demand, one piece of code for the PIM and the destination.

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Read;

/// What happens to a call that a fault strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Answered with this status; nothing is applied.
    Status {
        /// The status code.
        status: u16,
        /// Extra headers, such as `Retry-After`.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body; by default an error object in Akeneo's form.
        #[serde(default)]
        body: Option<Value>,
    },
    /// Answered well (200) with this text, whatever it is; nothing is applied.
    Text {
        /// The body.
        text: String,
    },
    /// Held open this long, then cut without an answer; nothing is applied.
    Hang {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Handled at once, answered only after this time.
    Slow {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// The connection is cut without an answer.
    Cut {
        /// Whether the request had its effect before the cut.
        #[serde(default)]
        applied: bool,
    },
    /// Handled at once, and answered with this status all the same: what a proxy does whose patience ends.
    Disguised {
        /// The status code.
        status: u16,
    },
    /// Handled at once, answered with the body packed by gzip, whatever the caller accepts.
    Gzip,
    /// Handled at once; the connection is cut in the middle of the answer's body.
    CutBody,
    /// Never answered, yet applied after this time: what a client's timeout can leave behind. Reads are just held.
    LandLate {
        /// How long after its arrival the request takes effect, in milliseconds.
        after_ms: u64,
    },
    /// PIM lists only: the page is empty, its `next` link in place.
    EmptyPage,
    /// PIM lists only: the page lacks its last item and its `next` link, as when an item vanished between index and
    /// database (contract 4.4).
    NoNext,
}

/// An effect, and the calls it strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Only this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only paths that begin so.
    #[serde(default)]
    pub path: Option<String>,
    /// Only requests that name this text in the path, the query (both decoded) or the body: an entity's id.
    #[serde(default)]
    pub entity: Option<String>,
    /// Only requests without this header: `content-length` by 411, `user-agent` by 403, and who else insists on one.
    #[serde(default)]
    pub lacking: Option<String>,
    /// Lets this many matching calls pass first.
    #[serde(default)]
    pub skip: u32,
    /// Strikes this many calls and is then gone; `None` strikes until removed.
    #[serde(default)]
    pub times: Option<u32>,
    /// Strikes only this share of the matching calls, 0 to 1.
    #[serde(default)]
    pub share: Option<f64>,
    /// What happens.
    #[serde(flatten)]
    pub effect: Effect,
}

impl Fault {
    /// Strikes every call until removed.
    pub fn always(effect: Effect) -> Self {
        Self {
            method: None,
            path: None,
            entity: None,
            lacking: None,
            skip: 0,
            times: None,
            share: None,
            effect,
        }
    }

    /// Strikes the next `times` matching calls.
    pub fn next(times: u32, effect: Effect) -> Self {
        Self {
            times: Some(times),
            ..Self::always(effect)
        }
    }

    /// Strikes a random share of the matching calls, 0 to 1.
    pub fn share(share: f64, effect: Effect) -> Self {
        Self {
            share: Some(share),
            ..Self::always(effect)
        }
    }

    /// An answer with this status and nothing else to it.
    pub fn status(status: u16) -> Effect {
        Effect::Status {
            status,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Narrowed to a method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Narrowed to paths that begin so.
    #[must_use]
    pub fn path(mut self, prefix: &str) -> Self {
        self.path = Some(prefix.to_owned());
        self
    }

    /// Narrowed to requests that name this entity.
    #[must_use]
    pub fn entity(mut self, id: &str) -> Self {
        self.entity = Some(id.to_owned());
        self
    }

    /// Narrowed to requests without this header.
    #[must_use]
    pub fn lacking(mut self, header: &str) -> Self {
        self.lacking = Some(header.to_owned());
        self
    }

    /// Lets this many matching calls pass first.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    fn matches(&self, request: &Request<Bytes>) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| request.method() == method.as_str())
            && self
                .path
                .as_ref()
                .is_none_or(|path| request.uri().path().starts_with(path.as_str()))
            && self.entity.as_ref().is_none_or(|id| names(request, id))
            && self
                .lacking
                .as_ref()
                .is_none_or(|header| !request.headers().contains_key(header.as_str()))
    }
}

fn names(request: &Request<Bytes>, id: &str) -> bool {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    percent_decode_str(target).decode_utf8_lossy().contains(id) || String::from_utf8_lossy(request.body()).contains(id)
}

/// The faults in force, in order; the first that strikes decides.
#[derive(Clone, Debug)]
pub struct Faults {
    list: Vec<Fault>,
    random: fastrand::Rng,
    struck: u64,
}

impl Faults {
    /// None in force. The seed decides which calls a share strikes.
    pub fn new(seed: u64) -> Self {
        Self {
            list: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            struck: 0,
        }
    }

    /// Puts one in force.
    pub fn add(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Those in force.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// How many calls were struck so far.
    pub fn struck(&self) -> u64 {
        self.struck
    }

    /// The effect on this call, if any; uses up the fault's count.
    pub fn strike(&mut self, request: &Request<Bytes>) -> Option<Effect> {
        let hit = (0..self.list.len()).find(|&index| self.hits(index, request))?;
        self.struck += 1;
        let fault = &mut self.list[hit];
        let effect = fault.effect.clone();
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.list.remove(hit);
            }
        }
        Some(effect)
    }

    fn hits(&mut self, index: usize, request: &Request<Bytes>) -> bool {
        let fault = &mut self.list[index];
        if !fault.matches(request) || fault.share.is_some_and(|share| self.random.f64() >= share) {
            return false;
        }
        let passes = fault.skip > 0;
        fault.skip = fault.skip.saturating_sub(1);
        !passes
    }
}

/// How a call ends for the caller.
#[derive(Debug)]
pub struct Reply {
    /// How long the caller waits for it, in milliseconds.
    pub after_ms: u64,
    /// The answer; `None` if the connection is cut instead.
    pub response: Option<Response<Bytes>>,
    /// Whether the connection is cut in the middle of the answer's body.
    pub is_cut: bool,
}

impl Reply {
    /// An answer at once.
    pub fn now(response: Response<Bytes>) -> Self {
        Self {
            after_ms: 0,
            response: Some(response),
            is_cut: false,
        }
    }

    /// A cut after this time.
    pub fn cut(after_ms: u64) -> Self {
        Self {
            after_ms,
            response: None,
            is_cut: false,
        }
    }

    /// The same after this time.
    #[must_use]
    pub fn after(mut self, ms: u64) -> Self {
        self.after_ms = ms;
        self
    }

    /// The same with the answer packed by gzip.
    #[must_use]
    pub(crate) fn packed(mut self) -> Self {
        if let Some(response) = self.response.as_mut().filter(|response| !response.body().is_empty()) {
            *response.body_mut() = gzip(response.body());
            set_header(response, "content-encoding", "gzip");
        }
        self
    }

    /// The same with the answer's body cut.
    #[must_use]
    pub(crate) fn cut_in_its_body(mut self) -> Self {
        self.is_cut = true;
        self
    }

    /// The answer without the wait; a cut connection appears as a 503, as it would behind a gateway.
    pub fn into_response(self) -> Response<Bytes> {
        self.response
            .unwrap_or_else(|| respond(503, &error_body(503, "The connection was cut.")))
    }
}

fn gzip(body: &[u8]) -> Bytes {
    let mut packed = Vec::new();
    // Memory takes all that is written.
    let _ = GzEncoder::new(body, Compression::default()).read_to_end(&mut packed);
    packed.into()
}

/// Akeneo's error object (contract 4.7).
pub fn error_body(status: u16, message: &str) -> Value {
    json!({ "code": status, "message": message })
}

/// An answer with a JSON body.
pub fn respond(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set_header(&mut response, "content-type", "application/json");
    response
}

/// Sets a header; one that is no valid header is left out.
pub fn set_header(response: &mut Response<Bytes>, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}

/// The answer of an [`Effect::Text`].
pub(crate) fn text(text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    set_header(&mut response, "content-type", "application/json");
    response
}

/// The answer of an [`Effect::Status`].
pub(crate) fn status_response(status: u16, headers: &[(String, String)], body: Option<&Value>) -> Response<Bytes> {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let default = error_body(status, reason);
    let mut response = respond(status, body.unwrap_or(&default));
    for (name, value) in headers {
        set_header(&mut response, name, value);
    }
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str) -> Request<Bytes> {
        Request::builder().method(method).uri(path).body(Bytes::new()).unwrap()
    }

    #[test]
    fn counts_and_narrowing() {
        let mut faults = Faults::new(1);
        faults.add(
            Fault::next(2, Fault::status(503))
                .method("PUT")
                .path("/items")
                .entity("a b")
                .after(1),
        );
        let hit = request("PUT", "/items/a%20b");
        assert_eq!(faults.strike(&request("GET", "/items/a%20b")), None);
        assert_eq!(faults.strike(&request("PUT", "/other/a%20b")), None);
        assert_eq!(faults.strike(&hit), None, "the first one passes");
        assert!(faults.strike(&hit).is_some());
        assert!(faults.strike(&hit).is_some());
        assert_eq!(faults.strike(&hit), None);
        assert_eq!(faults.struck(), 2);
    }

    #[test]
    fn only_requests_without_a_header_are_struck() {
        let mut faults = Faults::new(1);
        faults.add(Fault::always(Fault::status(411)).lacking("Content-Length"));
        let mut measured = request("PUT", "/items/1");
        measured.headers_mut().insert("content-length", 0.into());
        assert_eq!(faults.strike(&measured), None);
        assert!(faults.strike(&request("PUT", "/items/1")).is_some());
    }

    #[test]
    fn a_share_follows_the_seed() {
        let strikes = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(Fault::share(0.3, Effect::Cut { applied: false }));
            (0..1000)
                .map(|_| faults.strike(&request("GET", "/")).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(strikes(7), strikes(7));
        assert_ne!(strikes(7), strikes(8));
        let count = strikes(7).iter().filter(|struck| **struck).count();
        assert!((200..400).contains(&count), "{count}");
    }

    #[test]
    fn a_fault_reads_as_json() {
        let fault: Fault =
            serde_json::from_str(r#"{"effect":"status","status":429,"headers":[["retry-after","3"]],"times":2}"#)
                .unwrap();
        assert_eq!(fault.times, Some(2));
        assert!(matches!(fault.effect, Effect::Status { status: 429, .. }));
    }
}
