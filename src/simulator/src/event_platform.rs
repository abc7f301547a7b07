//! Akeneo's management API of the Event Platform: subscribers and subscriptions, as its description tells (the contract's
//! part on kinds, 3.1 to 3.3).

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
#[derive(Debug, Default)]
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

    fn answer(&mut self, request: &Request<Bytes>) -> Response<Bytes> {
        let result = self.carry_out(request);
        let (status, body) =
            result.unwrap_or_else(|(status, message)| (status, json!({ "errors": [{ "message": message }] })));
        respond(status, &body)
    }

    fn carry_out(&mut self, request: &Request<Bytes>) -> Result<(u16, Value), (u16, String)> {
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
            ("GET", ["subscribers"]) => Ok((200, list(&self.subscribers, |_| true))),
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
                Ok((200, list(&self.subscriptions, |known| known["subscriber_id"] == *id)))
            }
            ("POST", ["subscribers", id, "subscriptions"]) => self.make_subscription(id, body()?),
            ("PATCH", [.., "subscriptions", id]) => {
                let sent = body()?;
                check_subscription(&sent)?;
                let known = there(self.subscriptions.get_mut(*id))?;
                for (name, value) in sent.as_object().into_iter().flatten() {
                    known[name] = value.clone();
                }
                Ok((200, shown(known)))
            }
            ("DELETE", [.., "subscriptions", id]) => {
                Ok((200, shown(&self.subscriptions.remove(*id).ok_or_else(missing)?)))
            }
            ("POST", [.., "subscriptions", id, what @ ("suspend" | "resume")]) => {
                let known = there(self.subscriptions.get_mut(*id))?;
                known["status"] = json!(if *what == "resume" { "active" } else { "suspended" });
                Ok((202, shown(known)))
            }
            _ => Err(missing()),
        }
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

    fn make_subscription(&mut self, subscriber: &str, sent: Value) -> Result<(u16, Value), (u16, String)> {
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
        self.subscriptions.insert(id, made.clone());
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
    fn handle(&mut self, request: &Request<Bytes>, _: u64) -> Reply {
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
            Some((at, false)) if at == number => Reply::cut(0),
            Some((at, true)) if at == number => {
                self.answer(request);
                Reply::cut(0)
            }
            _ => Reply::now(self.answer(request)),
        }
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _: u64) {}
}
