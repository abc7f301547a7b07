//! Akeneo's management API of the Event Platform: subscribers and subscriptions, as its description tells (the contract's
//! part on kinds, 3.1 to 3.5), and what answers to deliveries do to a subscription (contract 3.3). Deliveries are sent by
//! whoever plays the platform's other half: [`EventPlatform::acting`] says how, and [`EventPlatform::answered`] is told
//! what came of one.

use std::collections::BTreeMap;

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};

use crate::control::Controlled;
use crate::fault::{Reply, respond};
use crate::server::Upstream;

/// How many subscribers a PIM may have, and how many subscriptions a subscriber.
const MOST: usize = 20;

/// How long a secret may be, in characters.
const SECRET: std::ops::RangeInclusive<usize> = 16..=256;

/// Over how long the success of deliveries is judged, in milliseconds.
const RATE_MS: u64 = 3_600_000;

/// From how many deliveries on success is judged. Akeneo does not say; a single one that fails cannot be meant.
const RATE_LEAST: usize = 20;

/// What stands in an answer in place of a secret.
const REDACTED: &str = "***redacted***";

/// A call as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path below `/api/v1`.
    pub path: String,
}

/// The API, for one PIM and one connection.
#[derive(Clone, Debug, Default)]
pub struct EventPlatform {
    /// The PIM that callers have to name.
    pub pim_url: String,
    /// The client id that callers have to name.
    pub client_id: String,
    /// Subscribers by id, secrets included.
    pub subscribers: BTreeMap<String, Value>,
    /// Subscriptions by id, secrets included.
    pub subscriptions: BTreeMap<String, Value>,
    /// All calls.
    pub calls: Vec<Call>,
    /// The call with this number, from 0, is cut off without an answer: before it has its effect, or after.
    pub cut: Option<(usize, bool)>,
    /// How long a cut takes, in milliseconds: whoever is killed meanwhile never hears of it.
    pub cut_after_ms: u64,
    /// How long a change takes until deliveries go by it, in milliseconds.
    pub delay_ms: u64,
    /// How often a subscription may be resumed before it is revoked; none for ever so often.
    pub resumes_max: Option<usize>,
    /// Whether lists have nothing yet of what can be read by its id.
    pub lists_lag: bool,
    /// The status for what is not there, 404 but where it is another connection's.
    pub not_there: Option<u16>,
    /// What is logged.
    pub logs: Vec<Value>,
    /// By subscription: what deliveries go by, from which moment on; nothing once it is deleted.
    acting: BTreeMap<String, Vec<(u64, Option<Value>)>>,
    /// By subscription: when deliveries were answered, and whether with success.
    outcomes: BTreeMap<String, Vec<(u64, bool)>>,
    resumes: BTreeMap<String, usize>,
    made: usize,
}

impl EventPlatform {
    /// An API where nothing is subscribed yet.
    pub fn new(pim_url: &str, client_id: &str) -> Self {
        Self {
            pim_url: pim_url.to_owned(),
            client_id: client_id.to_owned(),
            ..Self::default()
        }
    }

    /// How many calls have changed something.
    pub fn changes(&self) -> usize {
        self.calls.iter().filter(|call| call.method != Method::GET).count()
    }

    /// What deliveries of a subscription go by now; none where none are sent: it does not act yet, or no more, or it is
    /// suspended or revoked.
    pub fn acting(&self, id: &str, now_ms: u64) -> Option<&Value> {
        let known = self.subscriptions.get(id);
        if known.is_some_and(|known| known["status"] != "active") {
            return None;
        }
        let acting = self.acting.get(id)?.iter().rfind(|(from_ms, _)| *from_ms <= now_ms);
        acting?.1.as_ref()
    }

    /// Notes what a delivery was answered, 0 where it was not, and suspends the subscription where Akeneo does: at the first
    /// 404 or redirect, or where less than nine of ten succeed. 429 does no harm.
    pub fn answered(&mut self, id: &str, status: u16, now_ms: u64) {
        let outcomes = self.outcomes.entry(id.to_owned()).or_default();
        if status != 429 {
            outcomes.push((now_ms, status == 200));
        }
        outcomes.retain(|(at_ms, _)| at_ms + RATE_MS > now_ms);
        let good = outcomes.iter().filter(|(_, is_good)| *is_good).count();
        let is_bad = outcomes.len() >= RATE_LEAST && good * 10 < outcomes.len() * 9;
        if !is_bad && !matches!(status, 404 | 300..=399) {
            return;
        }
        if let Some(known) = self
            .subscriptions
            .get_mut(id)
            .filter(|known| known["status"] == "active")
        {
            known["status"] = json!("suspended");
            let subscriber = known["subscriber_id"].clone();
            self.logs.push(json!({
                "log_id": format!("log-{}", self.logs.len()), "log_type": "error",
                "timestamp": jiff::Timestamp::from_millisecond(now_ms.cast_signed()).unwrap_or_default().to_string(),
                "operation": "failed_to_deliver_event", "subscriber_id": subscriber, "subscription_id": id,
                "error_type": "failed_delivery", "error_code": status, "error_message": "the subscription is suspended",
            }));
        }
    }

    /// The connection is removed in the PIM, or loses its permission for good.
    pub fn revoke(&mut self) {
        for known in self.subscribers.values_mut().chain(self.subscriptions.values_mut()) {
            known["status"] = json!("revoked");
        }
    }

    fn acts(&mut self, id: &str, now_ms: u64) {
        let (from_ms, known) = (now_ms + self.delay_ms, self.subscriptions.get(id).cloned());
        self.acting.entry(id.to_owned()).or_default().push((from_ms, known));
    }

    fn answer(&mut self, request: &Request<Bytes>, now_ms: u64) -> Response<Bytes> {
        let result = self.carry_out(request, now_ms);
        let (status, body) =
            result.unwrap_or_else(|(status, message)| (status, json!({ "errors": [{ "message": message }] })));
        let status = self.not_there.filter(|_| status == 404).unwrap_or(status);
        respond(status, &body)
    }

    fn carry_out(&mut self, request: &Request<Bytes>, now_ms: u64) -> Result<(u16, Value), (u16, String)> {
        let says = |name: &str, what: &str| request.headers().get(name).is_some_and(|value| value == what);
        let has_token = request
            .headers()
            .get("x-pim-token")
            .is_some_and(|token| !token.is_empty());
        if !says("x-pim-url", &self.pim_url) || !says("x-pim-client-id", &self.client_id) || !has_token {
            return Err((401, "tenant context not found or invalid credentials".to_owned()));
        }
        let path = request
            .uri()
            .path()
            .strip_prefix("/api/v1")
            .unwrap_or_default()
            .to_owned();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let body = || serde_json::from_slice::<Value>(request.body()).map_err(|_| (400, "no JSON".to_owned()));
        match (request.method().as_str(), &parts[..]) {
            ("GET", ["logs"]) => Ok((200, json!(self.logs))),
            ("GET", ["subscribers"]) => Ok((
                200,
                list(&self.subscribers, |known| {
                    !self.lists_lag && known["status"] == "active"
                }),
            )),
            ("GET", ["subscribers", id]) => Ok((200, shown(self.subscribers.get(*id).ok_or_else(missing)?))),
            ("POST", ["subscribers"]) => self.make_subscriber(body()?),
            ("PATCH", ["subscribers", id]) => {
                let sent = body()?;
                check_contact(&sent)?;
                let known = there(self.subscribers.get_mut(*id))?;
                (known["name"], known["contact"]) = (sent["name"].clone(), sent["contact"].clone());
                Ok((200, shown(known)))
            }
            ("DELETE", ["subscribers", id]) => Ok((200, shown(&self.subscribers.remove(*id).ok_or_else(missing)?))),
            (_, ["subscribers", id, "subscriptions", ..]) if !self.subscribers.contains_key(*id) => Err(missing()),
            ("GET", ["subscribers", id, "subscriptions"]) => {
                let is_of_it = |known: &Value| known["subscriber_id"] == *id && known["status"] != "revoked";
                let is_listed = |known: &Value| !self.lists_lag && is_of_it(known);
                Ok((200, list(&self.subscriptions, is_listed)))
            }
            ("GET", [.., "subscriptions", id]) => Ok((200, shown(self.subscriptions.get(*id).ok_or_else(missing)?))),
            ("POST", ["subscribers", id, "subscriptions"]) => self.make_subscription(id, body()?, now_ms),
            ("PATCH", [.., "subscriptions", id]) => {
                let sent = body()?;
                check_subscription(&sent)?;
                let known = there(self.subscriptions.get_mut(*id))?;
                for (name, value) in sent.as_object().into_iter().flatten() {
                    known[name] = value.clone();
                }
                let answer = shown(known);
                self.acts(id, now_ms);
                Ok((200, answer))
            }
            ("DELETE", [.., "subscriptions", id]) => {
                let known = self.subscriptions.remove(*id).ok_or_else(missing)?;
                self.acts(id, now_ms);
                Ok((200, shown(&known)))
            }
            ("POST", [.., "subscriptions", id, what @ ("suspend" | "resume")]) => self.switch(id, *what == "resume"),
            _ => Err(missing()),
        }
    }

    fn switch(&mut self, id: &str, is_resumed: bool) -> Result<(u16, Value), (u16, String)> {
        let known = there(self.subscriptions.get_mut(id))?;
        if known["status"] == "revoked" {
            return Err((409, "the subscription is revoked".to_owned()));
        }
        let times = self.resumes.entry(id.to_owned()).or_default();
        *times += usize::from(is_resumed);
        let is_too_often = self.resumes_max.is_some_and(|most| *times > most);
        known["status"] = json!(match (is_resumed, is_too_often) {
            (true, true) => "revoked",
            (true, false) => "active",
            (false, _) => "suspended",
        });
        // What failed before is no reason to suspend it again.
        self.outcomes.remove(id);
        Ok((202, shown(known)))
    }

    fn fresh_id(&mut self) -> String {
        self.made += 1;
        format!("018e1ec5-29da-78ad-aae6-{:012}", self.made)
    }

    fn make_subscriber(&mut self, sent: Value) -> Result<(u16, Value), (u16, String)> {
        check_contact(&sent)?;
        if self.subscribers.len() >= MOST {
            return Err((409, "maximum number of subscribers reached".to_owned()));
        }
        let id = self.fresh_id();
        // The PIM's address comes back with a slash at its end.
        let made = json!({
            "id": id, "subject": format!("{}/", self.pim_url), "status": "active",
            "name": sent["name"], "contact": sent["contact"], "createdAt": "2026-01-01T00:00:00Z",
        });
        self.subscribers.insert(id, made.clone());
        Ok((201, shown(&made)))
    }

    fn make_subscription(&mut self, subscriber: &str, sent: Value, now_ms: u64) -> Result<(u16, Value), (u16, String)> {
        check_subscription(&sent)?;
        let of_it = self
            .subscriptions
            .values()
            .filter(|known| known["subscriber_id"] == subscriber);
        if of_it.count() >= MOST {
            return Err((409, "maximum number of subscriptions reached".to_owned()));
        }
        let id = self.fresh_id();
        let mut made = sent;
        (made["id"], made["subscriber_id"], made["status"]) = (json!(id), json!(subscriber), json!("active"));
        self.subscriptions.insert(id.clone(), made.clone());
        self.acts(&id, now_ms);
        Ok((201, shown(&made)))
    }
}

fn missing() -> (u16, String) {
    (404, "not found".to_owned())
}

fn there(known: Option<&mut Value>) -> Result<&mut Value, (u16, String)> {
    known.ok_or_else(missing)
}

fn check_contact(sent: &Value) -> Result<(), (u16, String)> {
    let contact = &sent["contact"];
    let wants_webhook = contact["notification_channels"]
        .as_array()
        .is_some_and(|channels| channels.contains(&json!("webhook")));
    let has_webhook =
        contact["notification_webhook_url"].is_string() && is_secret(&contact["notification_webhook_secret"]);
    match (sent["name"].is_string(), contact["technical_email"].is_string()) {
        (true, true) if !wants_webhook || has_webhook => Ok(()),
        _ => Err((400, "the subscriber is not valid".to_owned())),
    }
}

fn check_subscription(sent: &Value) -> Result<(), (u16, String)> {
    let secret = &sent["config"]["secret"];
    let has_secrets =
        is_secret(&secret["primary"]) && (secret.get("secondary").is_none() || is_secret(&secret["secondary"]));
    let has_events = sent["events"].as_array().is_some_and(|events| !events.is_empty());
    match sent["source"] == "pim" && sent["type"] == "https" && sent["config"]["url"].is_string() {
        true if has_secrets && has_events => Ok(()),
        _ => Err((400, "the subscription is not valid".to_owned())),
    }
}

fn is_secret(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|secret| SECRET.contains(&secret.chars().count()))
}

/// What an answer has of it: no secret.
fn shown(known: &Value) -> Value {
    let mut shown = known.clone();
    for place in ["/config/secret/primary", "/config/secret/secondary"] {
        if let Some(secret) = shown.pointer_mut(place) {
            *secret = json!(REDACTED);
        }
    }
    if let Some(contact) = shown.get_mut("contact").and_then(Value::as_object_mut) {
        contact.remove("notification_webhook_secret");
    }
    shown
}

fn list(known: &BTreeMap<String, Value>, is_wanted: impl Fn(&Value) -> bool) -> Value {
    known.values().filter(|known| is_wanted(known)).map(shown).collect()
}

impl Controlled for EventPlatform {
    fn control(&mut self, _: &Method, _: &str, _: Value, _: u64) -> Result<Option<Value>> {
        Ok(None)
    }
}

impl Upstream for EventPlatform {
    fn handle(&mut self, request: &Request<Bytes>, now_ms: u64) -> Reply {
        let number = self.calls.len();
        self.calls.push(Call {
            method: request.method().clone(),
            path: request
                .uri()
                .path()
                .strip_prefix("/api/v1")
                .unwrap_or_default()
                .to_owned(),
        });
        match self.cut {
            Some((at, false)) if at == number => Reply::cut(self.cut_after_ms),
            Some((at, true)) if at == number => {
                self.answer(request, now_ms);
                Reply::cut(self.cut_after_ms)
            }
            _ => Reply::now(self.answer(request, now_ms)),
        }
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_one() -> EventPlatform {
        let mut platform = EventPlatform::default();
        let known = json!({ "status": "active", "subscriber_id": "s" });
        platform.subscriptions.insert("one".to_owned(), known);
        platform.acts("one", 0);
        platform
    }

    fn is_active(platform: &EventPlatform) -> bool {
        platform.subscriptions["one"]["status"] == "active"
    }

    #[test]
    fn a_404_or_a_redirect_suspends_at_once_and_a_429_never() {
        for (status, suspends) in [
            (404, true),
            (301, true),
            (308, true),
            (429, false),
            (500, false),
            (401, false),
        ] {
            let mut platform = with_one();
            platform.answered("one", status, 1);
            assert_eq!(is_active(&platform), !suspends, "{status}");
            assert_eq!(platform.logs.len(), usize::from(suspends), "{status}");
        }
    }

    #[test]
    fn less_than_nine_of_ten_within_an_hour_suspends() {
        for (failures, busy, suspends) in [(2, 100, false), (3, 0, true)] {
            let mut platform = with_one();
            (0..busy).for_each(|_| platform.answered("one", 429, 1));
            (0..18).for_each(|_| platform.answered("one", 200, 1));
            (0..failures).for_each(|_| platform.answered("one", 0, 2));
            assert_eq!(is_active(&platform), !suspends, "{failures}");
            // An hour later nothing of it counts.
            let mut later = with_one();
            (0..19).for_each(|_| later.answered("one", 500, 1));
            later.answered("one", 200, RATE_MS + 1);
            assert!(is_active(&later));
        }
    }

    #[test]
    fn a_change_acts_after_a_while_and_who_is_resumed_too_often_is_revoked() {
        let mut platform = EventPlatform {
            delay_ms: 100,
            resumes_max: Some(1),
            ..with_one()
        };
        platform
            .subscriptions
            .insert("one".to_owned(), json!({ "status": "active", "changed": true }));
        platform.acts("one", 50);
        let is_changed =
            |platform: &EventPlatform, now_ms| platform.acting("one", now_ms).map(|acting| acting["changed"] == true);
        assert_eq!(
            (is_changed(&platform, 149), is_changed(&platform, 150)),
            (Some(false), Some(true))
        );
        for (resumed, expected) in [(false, "suspended"), (true, "active"), (true, "revoked")] {
            let answer = platform.switch("one", resumed).expect("it is switched");
            assert_eq!((answer.0, &answer.1["status"]), (202, &json!(expected)));
        }
        assert_eq!(platform.acting("one", 1000), None);
        assert!(platform.switch("one", true).is_err());
    }
}
