//! The subscriber and the subscription that are wanted, by the variables and the shape.

use crate::found::Subscription;
use config::{Credentials, WorkerConfig};
use hmac::{Hmac, Mac};
use model::entity::{Kind, digest};
use serde_json::{Value, json};
use sha2::Sha256;
use shape::Need;
use std::collections::BTreeSet;

/// What every type of the Event Platform begins with (contract 3.4).
const PREFIX: &str = "com.akeneo.pim.v1.";

/// The paths at which the relay takes events and notifications.
pub const EVENTS: &str = "/webhooks/akeneo/event-platform";
const NOTIFICATIONS: &str = "/webhooks/akeneo/notifications";

/// The secrets that Akeneo signs with, as the variables have them.
#[derive(Clone)]
pub struct Secrets {
    /// The subscription's primary secret.
    pub primary: String,
    /// The one that it had before, while that is still taken.
    pub secondary: Option<String>,
    /// The subscriber's secret for notifications, if they are taken.
    pub notification: Option<String>,
}

/// What is wanted.
#[derive(Clone)]
pub struct Wanted {
    /// The subscriber's name: it tells this relay's from others'.
    pub name: String,
    /// The PIM's address.
    pub subject: String,
    /// Where Akeneo writes to people; none leaves it as it is.
    pub email: Option<String>,
    /// The origin at which Akeneo comes to the relay.
    pub origin: String,
    /// The types of events.
    pub events: BTreeSet<String>,
    /// The filter, empty for none; unset leaves it as it is.
    pub filter: Option<String>,
    /// What deliveries are signed with.
    pub secrets: Secrets,
    /// A secret of the PIM's, without which nobody can tell by their digests which secrets were sent.
    key: String,
}

impl Wanted {
    /// What is wanted by this configuration, at this public address.
    pub fn of(config: &WorkerConfig, origin: &str, secrets: Secrets) -> Wanted {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        let key = match &config.pim.credentials {
            Credentials::Connection { client_secret, .. } => client_secret,
            Credentials::App(token) => token,
        };
        Wanted {
            key: key.clone(),
            // Another relay on the same connection has another address.
            name: format!("akeneo-relay {} at {host}", config.keys.instance()),
            subject: config.pim.origin.clone(),
            email: None,
            filter: None,
            origin: origin.to_owned(),
            events: events(config),
            secrets,
        }
    }

    /// Where events are delivered.
    pub fn url(&self) -> String {
        format!("{}{EVENTS}", self.origin)
    }

    /// The subscriber's contact, with its secret; the address of people as it is known already where none is wanted.
    fn contact(&self, known: Option<&str>) -> Value {
        let mut contact = json!({ "notification_channels": ["email"] });
        if let Some(email) = self.email.as_deref().or(known) {
            contact["technical_email"] = json!(email);
        }
        if let Some(secret) = &self.secrets.notification {
            contact["notification_channels"] = json!(["email", "webhook"]);
            contact["notification_webhook_url"] = json!(format!("{}{NOTIFICATIONS}", self.origin));
            contact["notification_webhook_secret"] = json!(secret);
        }
        contact
    }

    /// The subscriber as it is sent: whole, since whether an absent member is kept is not said (the contract's part on
    /// kinds, 3.2).
    pub fn subscriber(&self, known_email: Option<&str>) -> Value {
        json!({ "name": self.name, "contact": self.contact(known_email) })
    }

    /// Where notifications are delivered, if they are.
    pub fn notification_url(&self) -> Option<String> {
        let secret = self.secrets.notification.as_ref();
        secret.map(|_| format!("{}{NOTIFICATIONS}", self.origin))
    }

    /// The subscription as it is sent: whole, secrets included, of which none is ever one that was read back. What people
    /// have set there besides is sent as it is known.
    pub fn subscription(&self, known: Option<&Subscription>) -> Value {
        let mut secret = json!({ "primary": self.secrets.primary });
        if let Some(secondary) = &self.secrets.secondary {
            secret["secondary"] = json!(secondary);
        }
        let mut sent = json!({
            "source": "pim",
            "subject": self.subject,
            "type": "https",
            "events": self.events,
            "config": { "url": self.url(), "secret": secret },
        });
        // Without a word of it there is none; what is there goes by being sent empty.
        let filter = self
            .filter_over(known)
            .filter(|filter| known.is_some() || !filter.is_empty());
        if let Some(filter) = filter {
            sent["filter"] = json!(filter);
        }
        if known.is_some_and(|known| known.sends_identifiers) {
            sent["send_product_identifier"] = json!(true);
        }
        sent
    }

    /// The filter that is there in the end: the one that is wanted, else the one that is known.
    pub fn filter_over<'a>(&'a self, known: Option<&'a Subscription>) -> Option<&'a String> {
        self.filter.as_ref().or(known.and_then(|known| known.filter.as_ref()))
    }

    /// A digest that tells a secret from all others.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is kept and compared is a digest of it, of a secret that the relay has anyway"
    )]
    pub fn mark(&self, secret: &str) -> String {
        let keyed = Hmac::<Sha256>::new_from_slice(self.key.as_bytes());
        keyed.map_or_else(
            |_| String::new(),
            |mac| digest(&mac.chain_update(secret).finalize().into_bytes()),
        )
    }

    /// What is remembered of the subscription's secrets: the present one, and the one that it had before.
    pub fn marks(&self) -> (String, String) {
        let secondary = self.secrets.secondary.as_deref();
        (
            self.mark(&self.secrets.primary),
            secondary.map_or_else(String::new, |secret| self.mark(secret)),
        )
    }

    /// What is remembered of the secret of notifications; empty where there is none.
    pub fn mark_of_notification(&self) -> String {
        let secret = self.secrets.notification.as_deref();
        secret.map_or_else(String::new, |secret| self.mark(secret))
    }
}

/// The types of events that the shape needs: of the kinds that are sent, of completeness where entities are chosen by it,
/// and of the lists in which it looks things up.
fn events(config: &WorkerConfig) -> BTreeSet<String> {
    let shape = &config.shape;
    let mut types: Vec<String> = Vec::new();
    let mut three = |noun: &str, updated: &str| {
        types.extend(["created", updated, "deleted"].map(|what| format!("{PREFIX}{noun}.{what}")));
    };
    if shape.wants(Kind::Product) {
        three("product", "updated.delta");
    }
    // A product inherits from its models, whether these are sent or not.
    if shape.wants(Kind::Product) || shape.wants(Kind::ProductModel) {
        three("product-model", "updated.delta");
    }
    if shape.wants(Kind::Category) {
        three("category", "updated");
    }
    let needs = shape.kinds().iter().flat_map(|kind| shape.needs(*kind));
    for (need, _) in needs {
        match need {
            Need::Attributes => three("attribute", "updated"),
            Need::Families => three("family", "updated"),
            Need::Categories => three("category", "updated"),
            Need::Options(_) => three("attribute-option", "updated"),
        }
    }
    if shape.asks_completenesses() {
        types.extend(["became-complete", "became-incomplete"].map(|what| format!("{PREFIX}product.{what}")));
    }
    types.into_iter().collect()
}
