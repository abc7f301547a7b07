//! What comes in by webhook: signed by somebody who knows the secret and means no good, or not signed at all.

use config::answer::Answer;
use config::{IngestConfig, ProviderFailed, Variables};
use delivery::channel::Channel;
use delivery::ingest::{judge, receive};
use futures_util::FutureExt;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use queue::key::{Key, Record};
use queue::raise::EventValue;
use serde_json::Value;
use sha2::Sha256;
use std::cell::RefCell;
use std::collections::BTreeMap;
use world::host::{Clock, Log, Store, StoreError, decoded};

const SECRET: &str = "known to the sender";

/// Now, in seconds since the Unix epoch.
const NOW_S: u64 = 1_800_000_000;

/// The longest key that any backend takes, in bytes.
const KEY_MAX: usize = 200;

/// A store, a clock that stands still, and a log whose lines must be JSON.
#[derive(Default)]
struct Memory(RefCell<BTreeMap<String, Vec<u8>>>);

impl Store for Memory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.0.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.borrow_mut().remove(key);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        self.0.borrow_mut().extend(entries.iter().cloned());
        Ok(())
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.0.borrow_mut().retain(|key, _| !keys.contains(key));
        Ok(())
    }
}

impl Clock for Memory {
    fn now_ms(&self) -> u64 {
        NOW_S * 1000
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }

    async fn sleep_ms(&self, _: u64) {}
}

impl Log for Memory {
    fn line(&self, line: &str) {
        assert!(
            serde_json::from_str::<Value>(line).is_ok(),
            "a line that is no JSON: {line}"
        );
        assert!(
            !line.contains(char::is_control),
            "a line that a terminal obeys: {line:?}"
        );
        assert!(!line.contains(SECRET), "the secret stands in the log");
    }
}

/// The variables of an application that has every channel, and whose shape wants categories.
fn variable(name: &str) -> Result<Option<String>, ProviderFailed> {
    Ok(match name {
        "event_platform_secret" | "events_api_secret" | "notification_secret" => Some(SECRET.to_owned()),
        "own_authors" => Some("ourselves".to_owned()),
        "shape" => Some(r#"{"categories":{}}"#.to_owned()),
        _ => None,
    })
}

/// Delivers, and gives the answer, and what is kept.
fn deliver(channel: Channel, headers: &HeaderMap, body: &[u8]) -> (Answer, BTreeMap<String, Vec<u8>>) {
    let host = Memory::default();
    let variables = Variables(&variable);
    let Ok(config) = IngestConfig::read(&variables) else {
        unreachable!("the variables make sense")
    };
    let delivered = async {
        match judge(&host, &config, channel, headers).await {
            Ok(signed) => receive(&host, &config, &signed, body).await,
            Err(answer) => answer,
        }
    };
    let answer = delivered.now_or_never();
    let answer = answer.unwrap_or_else(|| unreachable!("nothing here waits"));
    let told = String::from_utf8_lossy(&answer.body);
    assert!(!told.contains(SECRET), "the secret stands in the answer");
    let is_own = |key: &String| config.keys.parse(key).is_some() && key.len() <= KEY_MAX;
    assert!(
        host.0.borrow().keys().all(is_own),
        "a key that is nobody's: {:?}",
        host.0
    );
    (answer, host.0.take())
}

/// The headers of a delivery that is signed as its channel wants it.
fn signed(channel: Channel, body: &[u8]) -> HeaderMap {
    let timestamp = NOW_S.to_string();
    let (name, parts) = match channel {
        Channel::EventsApi => ("x-akeneo-request-signature", vec![timestamp.as_bytes(), b".", body]),
        Channel::EventPlatform | Channel::Notifications => ("x-akeneo-signature-primary", vec![body]),
    };
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).map(|mac| {
        let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
        mac.finalize().into_bytes()
    });
    let hex: String = mac.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    let pairs = [
        (name, hex.as_str()),
        ("x-akeneo-signature-algorithm", "HmacSHA256"),
        ("x-akeneo-request-timestamp", &timestamp),
    ];
    let pairs = pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value)));
    pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.ok()?)))
        .collect()
}

/// A signed delivery of either channel: it is acknowledged or malformed. Each event that is kept is one of an entity that
/// a PIM can have, under the key of that entity, and of what is refused nothing is kept.
pub fn deliveries(body: &[u8]) {
    for channel in [Channel::EventPlatform, Channel::EventsApi] {
        let (answer, kept) = deliver(channel, &signed(channel, body), body);
        assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
        assert!(answer.status == 200 || kept.is_empty(), "{kept:?}");
        let keys = queue::keyspace::Keyspace::new("main");
        for (key, value) in kept {
            match keys.parse(&key) {
                Some(Key::Event(event)) => {
                    let value: Option<EventValue> = decoded(&value);
                    let Some(value) = value else {
                        panic!("a value that is not read: {key}")
                    };
                    let entity = model::entity::Entity::new(event.entity.kind, &value.code);
                    assert_eq!(entity, event.entity, "{}", value.code);
                    assert!(value.code.chars().count() <= 255, "{}", value.code);
                }
                // No tick has run here, and a delivery notes since when that is so.
                Some(Key::Stale(..) | Key::Record(Record::Counted)) => {}
                _ => panic!("a delivery made {key}"),
            }
        }
    }
}

/// A signed notification: it is taken or malformed, and what is kept of it outlasts nothing that is said later.
pub fn notifications(body: &[u8]) {
    let channel = Channel::Notifications;
    let (answer, kept) = deliver(channel, &signed(channel, body), body);
    assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
    for value in kept.values() {
        let known: Option<Value> = decoded(value);
        assert!(known.is_some(), "a record that is not read");
    }
    let later = br#"{"notification_type":"subscription.suspended.user"}"#;
    let Ok(later) = records::notification::read(later, (NOW_S + 86_400) * 1000) else {
        unreachable!("a notification")
    };
    for value in kept.values() {
        assert!(
            records::notification::merged(Some(value), later.clone()).is_some(),
            "it hides what comes later"
        );
    }
}

/// The names of the headers that a fuzzer may choose from.
const HEADERS: [&str; 6] = [
    "x-akeneo-signature-primary",
    "x-akeneo-signature-secondary",
    "x-akeneo-signature-algorithm",
    "x-akeneo-request-signature",
    "x-akeneo-request-timestamp",
    "content-length",
];

/// A head of any of Akeneo's headers, a line each that begins with which one it is, and behind an empty line a body.
/// Nobody who does not know the secret is acknowledged, and nothing is kept but that somebody tried.
pub fn signatures(bytes: &[u8]) {
    let (head, body) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &b""[..]),
    };
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(20) {
        let Some((which, value)) = line.split_first() else {
            continue;
        };
        let name = HEADERS[usize::from(*which) % HEADERS.len()];
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    for channel in [Channel::EventPlatform, Channel::EventsApi, Channel::Notifications] {
        let (answer, kept) = deliver(channel, &headers, body);
        assert!(matches!(answer.status, 401 | 413), "{}", answer.status);
        let refused = queue::keyspace::Keyspace::new("main").record(Record::Refused);
        assert!(kept.keys().all(|key| *key == refused), "{kept:?}");
    }
}
