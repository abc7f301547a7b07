//! Mistakes that show at the seam between the relay and its host: what the relay asks for is done as a relay would have
//! asked that makes them.

use super::host::{SimHost, kind_of};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};
use world::host::{Clock, StoreError};
use world::mistake::{Mistake, made};

/// What a process is known to have done, for mistakes that depend on it.
#[derive(Default)]
pub(super) struct Past {
    /// The lease as it last wrote it.
    lease: RefCell<Option<Vec<u8>>>,
    /// Whether it has read it since it first did.
    has_read_back: Cell<bool>,
    /// What is written once something is deleted.
    put_off: RefCell<Vec<(String, Vec<u8>)>>,
}

/// Changes that the relay tells itself of (`queue::key::Change`).
const OWN: [char; 4] = ['i', 'f', 'r', 'o'];

impl SimHost {
    /// Under which key something is written, or read; none if it is not written at all.
    pub(super) fn mistaken_key(&self, key: &str) -> Option<String> {
        match kind_of(key) {
            "in flight" if made(Mistake::NoInFlightKey) => None,
            "fan-out" if made(Mistake::ForgetMarking) => None,
            "in flight" if made(Mistake::ForgetLatePushes) && self.has_lost_its_lease() => None,
            "index" if made(Mistake::SharedPages) => Some(key.split('.').take(5).collect::<Vec<_>>().join(".")),
            "event" if made(Mistake::ReuseKey) => Some(reused(key)),
            _ => Some(key.to_owned()),
        }
    }

    /// Whether a key is one that is not deleted: shared by all workers, it would be what was just written.
    pub(super) fn is_kept_by_mistake(key: &str) -> bool {
        made(Mistake::SharedPages) && kind_of(key) == "index"
    }

    /// Whether a write waits until something was deleted: outcomes come behind what they are the outcomes of.
    pub(super) fn is_put_off(&self, key: &str, value: &[u8]) -> bool {
        let is_outcome = matches!(kind_of(key), "index" | "retry" | "dead letter");
        let is_put_off = made(Mistake::DeleteBeforePersisting) && self.is_worker && is_outcome;
        if is_put_off {
            self.past.put_off.borrow_mut().push((key.to_owned(), value.to_owned()));
        }
        is_put_off
    }

    /// What was put off is to be written now.
    pub(super) fn take_put_off(&self) -> Vec<(String, Vec<u8>)> {
        self.past.put_off.take()
    }

    /// Takes note of a write.
    pub(super) fn note_for_mistakes(&self, key: &str, value: &[u8]) {
        if kind_of(key) == "lease" {
            *self.past.lease.borrow_mut() = Some(value.to_owned());
        }
    }

    /// What is read: of a lease that is not read back what was written.
    pub(super) fn mistaken_value(&self, key: &str, value: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let written = self.past.lease.borrow().clone();
        if made(Mistake::NoReadBack)
            && kind_of(key) == "lease"
            && written.is_some()
            && !self.past.has_read_back.replace(true)
        {
            return written;
        }
        if made(Mistake::LeaseByItsMoment) && kind_of(key) == "lease" && written.is_none() {
            return value.filter(|value| !self.is_over(value));
        }
        value
    }

    /// Whether the moment that is written in a lease has passed by this process's clock.
    fn is_over(&self, lease: &[u8]) -> bool {
        let lease: Value = serde_json::from_slice(lease).unwrap_or_default();
        lease["until_ms"]
            .as_u64()
            .is_some_and(|until_ms| until_ms <= self.now_ms())
    }

    fn has_lost_its_lease(&self) -> bool {
        let shared = self.shared.borrow();
        let token = |value: &Vec<u8>| serde_json::from_slice::<Value>(value).ok()?.get("token").cloned();
        let own = self.past.lease.borrow().as_ref().and_then(token);
        let held = shared.store.iter().find(|(key, _)| kind_of(key) == "lease");
        own.is_some() && held.and_then(|(_, value)| token(value)) != own
    }

    /// What else is deleted: of every event all that waits for its entity, listed or not.
    pub(super) fn deleted_by_mistake(store: &BTreeMap<String, Vec<u8>>, keys: &[String]) -> Vec<String> {
        if !made(Mistake::DeleteUnlisted) {
            return Vec::new();
        }
        let entity = |key: &str| {
            let parts: Vec<&str> = key.split('.').collect();
            let kind = parts.get(4).and_then(|what| what.chars().next());
            (kind_of(key) == "event").then(|| (kind, parts.get(5).map(|entity| (*entity).to_owned())))
        };
        let done: Vec<_> = keys.iter().filter_map(|key| entity(key)).collect();
        let is_of_them = |key: &&String| entity(key).is_some_and(|entity| done.contains(&entity));
        store.keys().filter(is_of_them).cloned().collect()
    }

    /// What an ingest that does not look is told of its write.
    pub(super) fn mistaken_write(&self, is_worker: bool, written: Result<(), StoreError>) -> Result<(), StoreError> {
        if made(Mistake::AcknowledgeBeforeWrite) && !is_worker {
            return Ok(());
        }
        written
    }

    /// What is sent: to the destination the token of the PIM, if that mistake is to be made.
    pub(super) fn mistaken_request(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let is_destination = request.uri().host() == Some("destination.test");
        let token = self.shared.borrow().doors.any_of_pim();
        if let (true, true, Some(token)) = (is_destination, made(Mistake::SendTokenOfPim), token) {
            let value = format!("Bearer {token}").parse().expect("a token is a header's value");
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        request
    }

    /// What is kept of a page of the index: nothing that the destination gave, if that mistake is to be made.
    pub(super) fn mistaken_page(&self, key: &str, value: Vec<u8>) -> Vec<u8> {
        if !made(Mistake::ForgetIds) || kind_of(key) != "index" {
            return value;
        }
        let mut page: Value = serde_json::from_slice(&value).unwrap_or_default();
        for entry in page["entries"]
            .as_object_mut()
            .into_iter()
            .flat_map(|entries| entries.values_mut())
        {
            entry.as_object_mut().map(|entry| entry.remove("r"));
        }
        page.to_string().into_bytes()
    }

    /// What of the destination's answer a relay takes in.
    fn mistaken_answer_of_destination(&self, request: &Request<Bytes>, response: Response<Bytes>) -> Response<Bytes> {
        // Whoever has just died may have made something whose id nobody has.
        let is_lookup = request.method() == Method::GET || request.uri().path().ends_with("/found");
        if made(Mistake::SkipFind) && is_lookup && self.shared.borrow().killed > 0 {
            return response.map(|_| Bytes::from_static(br#"{"found":[]}"#));
        }
        if made(Mistake::BelieveErrors) && response.status() == StatusCode::OK {
            return response.map(|body| match serde_json::from_slice::<Value>(&body) {
                Ok(Value::Object(mut members)) => {
                    members.remove("errors");
                    Bytes::from(Value::Object(members).to_string())
                }
                _ => body,
            });
        }
        response
    }

    /// What of an upstream's answer a relay takes in.
    pub(super) fn mistaken_answer(
        &self,
        is_pim: bool,
        request: &Request<Bytes>,
        mut response: Response<Bytes>,
    ) -> Response<Bytes> {
        if made(Mistake::IgnoreRetryAfter) {
            response.headers_mut().remove(header::RETRY_AFTER);
        }
        if made(Mistake::OwnClockAsWatermark) && response.headers().contains_key(header::DATE) {
            let now = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(self.now_ms()));
            let now = now.parse().expect("a date is a header's value");
            response.headers_mut().insert(header::DATE, now);
        }
        if request.uri().host() == Some("destination.test") {
            return self.mistaken_answer_of_destination(request, response);
        }
        let asked = is_pim.then(|| request.uri().path().rsplit('/').next()).flatten();
        let is_by_id = request.uri().query().is_none_or(|query| !query.contains("limit="));
        let Some(asked) = asked.filter(|asked| is_by_id && !matches!(*asked, "search" | "token")) else {
            return response;
        };
        let asked = percent_decode_str(asked).decode_utf8_lossy();
        if made(Mistake::BelieveAnyAbsence) && response.status() == StatusCode::NOT_FOUND {
            let said = json!({ "code": 404, "message": format!("Product \"{asked}\" does not exist.") });
            return response.map(|_| Bytes::from(said.to_string()));
        }
        if made(Mistake::TakeAnyItem) && response.status() == StatusCode::OK {
            return response.map(|body| match serde_json::from_slice::<Value>(&body) {
                Ok(mut item) if item.is_object() => {
                    let id = if item.get("uuid").is_some() { "uuid" } else { "code" };
                    item[id] = json!(asked);
                    Bytes::from(item.to_string())
                }
                _ => body,
            });
        }
        response
    }
}

/// The key of an event of the relay's own that was there before.
fn reused(key: &str) -> String {
    let mut parts: Vec<&str> = key.split('.').collect();
    let is_own = parts.len() == 7 && parts[4].chars().nth(1).is_some_and(|change| OWN.contains(&change));
    if is_own {
        (parts[3], parts[6]) = ("1", "tagain");
    }
    parts.join(".")
}
