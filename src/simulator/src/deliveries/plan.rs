//! From changes to deliveries, with the losses, repeats and disorder asked for. Pure data, decided by a seed.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::Value;
use uuid::Uuid;

use super::events::{Author, legacy_batch, legacy_change, platform_event};
use super::{Channel, Secrets, php, sign};
use crate::catalogue::{Change, EntityId};

/// One request to the receiver, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The receiver's route.
    pub path: String,
    /// Signature headers and `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The exact bytes that were signed.
    pub body: Vec<u8>,
    /// The entities that its events name.
    pub entities: Vec<EntityId>,
}

impl Delivery {
    /// A signed delivery of the Event Platform.
    pub fn event_platform(event: &Value, secrets: &Secrets, entities: Vec<EntityId>) -> Self {
        let body = event.to_string().into_bytes();
        let headers = sign::event_platform(&body, secrets);
        Self {
            path: Channel::EventPlatform.path().to_owned(),
            headers,
            body,
            entities,
        }
    }

    /// A signed delivery of the Events API. `timestamp_s` is the time of sending, in Unix seconds.
    pub fn events_api(events: &[Value], secret: &str, timestamp_s: u64, entities: Vec<EntityId>) -> Self {
        let body = php::encode(&legacy_batch(events));
        let headers = sign::events_api(&body, secret, timestamp_s);
        Self {
            path: Channel::EventsApi.path().to_owned(),
            headers,
            body,
            entities,
        }
    }

    /// A signed notification.
    pub fn notification(body: &Value, secret: &str) -> Self {
        let body = body.to_string().into_bytes();
        let headers = sign::event_platform(&body, &Secrets::primary(secret));
        Self {
            path: Channel::Notifications.path().to_owned(),
            headers,
            body,
            entities: Vec::new(),
        }
    }

    /// The test that the legacy screens make: a signed empty body (contract 2.2).
    pub fn reachability_test(secret: &str, timestamp_s: u64) -> Self {
        let mut headers = sign::events_api(&[], secret, timestamp_s);
        headers.push(("User-Agent".to_owned(), "AkeneoPIM/7.0.0".to_owned()));
        Self {
            path: Channel::EventsApi.path().to_owned(),
            headers,
            body: Vec::new(),
            entities: Vec::new(),
        }
    }
}

/// In which formats changes are announced.
#[derive(Clone, Debug)]
pub enum Format {
    /// The Event Platform alone.
    EventPlatform(Secrets),
    /// The Events API alone, with its secret.
    EventsApi(String),
    /// Both, each change by both.
    Both(Secrets, String),
}

/// How changes become deliveries.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In which formats.
    pub format: Format,
    /// Updates as `updated.delta`, otherwise as `updated`.
    pub delta: bool,
    /// Name the product's identifier beside its UUID, as `send_product_identifier` does (contract 3.4).
    pub send_identifier: bool,
    /// Who made the changes.
    pub author: Author,
    /// Share of deliveries that are sent twice, 0 to 1.
    pub repeat_share: f64,
    /// Share of deliveries that are lost, 0 to 1.
    pub lose_share: f64,
    /// How many places a delivery may come too late; 0 keeps the order.
    pub shuffle_window: usize,
    /// Events in a legacy delivery, 1 to 10 (contract 2.1).
    pub batch_size: usize,
    /// The signed time of legacy deliveries, in Unix seconds.
    pub timestamp_s: u64,
    /// Decides ids, losses, repeats and order.
    pub seed: u64,
}

impl Plan {
    /// Every change once, in order, legacy ones by ten.
    pub fn new(format: Format, timestamp_s: u64, seed: u64) -> Self {
        Self {
            format,
            delta: true,
            send_identifier: false,
            author: Author::default(),
            repeat_share: 0.0,
            lose_share: 0.0,
            shuffle_window: 0,
            batch_size: 10,
            timestamp_s,
            seed,
        }
    }

    /// The deliveries of these changes; silent ones have none.
    pub fn deliveries(&self, changes: &[Change]) -> Vec<Delivery> {
        let mut random = Rng::with_seed(self.seed);
        let announced: Vec<&Change> = changes.iter().filter(|change| !change.silent).collect();
        let mut all = Vec::new();
        let size = self.batch_size.clamp(1, 10);
        for batch in announced.chunks(size) {
            if let Format::EventPlatform(secrets) | Format::Both(secrets, _) = &self.format {
                all.extend(batch.iter().map(|change| self.platform(change, secrets, &mut random)));
            }
            if let Format::EventsApi(secret) | Format::Both(_, secret) = &self.format {
                // The Events API tells nothing of categories (contract 2.1).
                let told = batch.iter().copied();
                let told: Vec<&Change> = told
                    .filter(|change| !matches!(change.entity, EntityId::Category(_)))
                    .collect();
                if !told.is_empty() {
                    all.push(self.legacy(&told, secret, &mut random));
                }
            }
        }
        self.disturb(all, &mut random)
    }

    fn platform(&self, change: &Change, secrets: &Secrets, random: &mut Rng) -> Delivery {
        let event = platform_event(change, uuid(random), &self.author, self.delta, self.send_identifier);
        Delivery::event_platform(&event, secrets, vec![change.entity.clone()])
    }

    fn legacy(&self, batch: &[&Change], secret: &str, random: &mut Rng) -> Delivery {
        let events: Vec<Value> = batch
            .iter()
            .map(|change| legacy_change(change, uuid(random), &self.author))
            .collect();
        let entities: BTreeSet<EntityId> = batch.iter().map(|change| change.entity.clone()).collect();
        Delivery::events_api(&events, secret, self.timestamp_s, entities.into_iter().collect())
    }

    fn disturb(&self, all: Vec<Delivery>, random: &mut Rng) -> Vec<Delivery> {
        let mut placed = Vec::new();
        for (place, delivery) in all.into_iter().enumerate() {
            if random.f64() < self.lose_share {
                continue;
            }
            if random.f64() < self.repeat_share {
                placed.push((place + random.usize(..=self.shuffle_window), delivery.clone()));
            }
            placed.push((place + random.usize(..=self.shuffle_window), delivery));
        }
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, delivery)| delivery).collect()
    }
}

fn uuid(random: &mut Rng) -> Uuid {
    crate::catalogue::random_uuid(random)
}
