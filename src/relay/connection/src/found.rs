//! The subscriber and the subscription that are there, as the management API tells (the contract's part on kinds, 3.2,
//! 3.3).

use serde_json::Value;
use std::collections::BTreeSet;

/// A subscriber.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The PIM's address, without a final slash.
    pub subject: String,
    /// Its status: `active` works.
    pub status: String,
    /// Where Akeneo writes to people.
    pub email: Option<String>,
    /// Where notifications are delivered, if they are.
    pub notification_url: Option<String>,
    /// Whether notifications are delivered at all, and not only written to people.
    pub notifies: bool,
}

/// A subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Its status: `active` works, `suspended` can be resumed, the others are final.
    pub status: String,
    /// Where it delivers to.
    pub url: String,
    /// The types of events that it delivers.
    pub events: BTreeSet<String>,
    /// Its filter, which drops events in silence.
    pub filter: Option<String>,
    /// Whether its events have the products' identifiers besides.
    pub sends_identifiers: bool,
    /// The names of headers that it adds; their values are not told.
    pub headers: Vec<String>,
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// An address as it is compared: some answers have a slash at its end.
pub fn address(text: &str) -> String {
    text.trim_end_matches('/').to_owned()
}

impl Subscriber {
    /// Reads what the API gives; none for what has no id.
    pub fn read(value: &Value) -> Option<Subscriber> {
        let contact = value.get("contact").unwrap_or(&Value::Null);
        let channels = contact.get("notification_channels").and_then(Value::as_array);
        let said = |name: &str| Some(text(contact, name)).filter(|said| !said.is_empty());
        let subscriber = Subscriber {
            id: text(value, "id"),
            name: text(value, "name"),
            subject: address(&text(value, "subject")),
            status: text(value, "status"),
            email: said("technical_email"),
            notification_url: said("notification_webhook_url"),
            notifies: channels.is_some_and(|channels| channels.iter().any(|channel| channel == "webhook")),
        };
        Some(subscriber).filter(|subscriber| !subscriber.id.is_empty())
    }
}

impl Subscription {
    /// Reads what the API gives; none for what has no id, or delivers otherwise than by HTTPS.
    pub fn read(value: &Value) -> Option<Subscription> {
        let events = value.get("events").and_then(Value::as_array).into_iter().flatten();
        let headers = value.pointer("/config/headers").and_then(Value::as_object);
        let subscription = Subscription {
            id: text(value, "id"),
            status: text(value, "status"),
            url: value
                .get("config")
                .map(|config| text(config, "url"))
                .unwrap_or_default(),
            events: events.filter_map(|event| event.as_str().map(str::to_owned)).collect(),
            filter: Some(text(value, "filter")).filter(|filter| !filter.is_empty()),
            sends_identifiers: value.get("send_product_identifier") == Some(&Value::Bool(true)),
            headers: headers.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        };
        Some(subscription).filter(|subscription| !subscription.id.is_empty() && text(value, "type") == "https")
    }

    /// Whether it can deliver, or can again.
    pub fn lives(&self) -> bool {
        matches!(self.status.as_str(), "active" | "suspended")
    }
}
