//! The way in: verify, decode, look at the published depth, write, acknowledge. No outbound call and no listing.

use crate::event::{self, Author, Decoded, Malformed};
use crate::signature;
use config::answer::Answer;
use config::{ConfigError, EVENT_PLATFORM_SECRET, EVENTS_API_SECRET, IngestConfig, NOTIFICATION_SECRET, SecretNames};
use http::{HeaderMap, Method};
use model::text;
use queue::key::{Key, Record};
use queue::raise::EventValue;
use records::notification;
use records::refused::Refused;
use records::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::json;
use world::host::{self, Clock, Log, Store, StoreError, set_all};
use world::log;

/// The largest delivery that is read, in bytes.
pub const BODY_MAX: usize = 16 << 20;

/// How many events are assumed to have come in every second since the worker last counted: more than either channel
/// sends (contract 1).
const ASSUMED_RATE: u64 = 120;

/// How old the worker's last count may seem, in milliseconds, before ingest looks how long it has known of it.
const COUNTED_LATELY_MS: u64 = 60_000;

/// How often a refused signature is written down at most, in milliseconds.
const REFUSED_EVERY_MS: u64 = 60_000;

/// The channels that Akeneo pushes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The Event Platform's deliveries (contract 3.1).
    EventPlatform,
    /// The Events API's deliveries (contract 2.1).
    EventsApi,
    /// The Event Platform's notifications about a subscription (contract 3.7).
    Notifications,
}

impl Channel {
    /// The channel's name in its path and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Channel::EventPlatform => "event-platform",
            Channel::EventsApi => "events-api",
            Channel::Notifications => "notifications",
        }
    }

    /// What to answer when nothing can be taken now. The Event Platform counts a 5xx towards suspension and a 429
    /// not (contract 3.3); the Events API only logs the status, so there the honest one goes out.
    fn unavailable(self, detail: &str) -> Answer {
        Answer::problem(if self == Channel::EventPlatform { 429 } else { 503 }, detail)
    }
}

/// What a request is for, by its method and path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A delivery, to be read and given to [`receive`].
    Delivery(Channel),
    /// Answered already.
    Answered(Answer),
}

/// Finds the route of a request. Below `/webhooks/` nothing is ever a 404 or a redirect: the Event Platform suspends
/// a subscription on the first one (contract 3.3).
pub fn route(method: &Method, path: &str) -> Route {
    let path = path.trim_end_matches('/');
    if path == "/healthz" {
        return Route::Answered(match *method {
            Method::GET => Answer::json(200, &json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })),
            Method::HEAD => Answer::done(),
            _ => Answer::problem(405, "health is read by GET").with("allow", "GET, HEAD"),
        });
    }
    let channels = [Channel::EventPlatform, Channel::EventsApi, Channel::Notifications];
    let name = path.strip_prefix("/webhooks/akeneo/");
    match channels.into_iter().find(|channel| name == Some(channel.name())) {
        Some(channel) if method == Method::POST => Route::Delivery(channel),
        Some(_) => Route::Answered(Answer::problem(405, "deliveries come by POST").with("allow", "POST")),
        None if path.starts_with("/webhooks") => Route::Answered(Answer::problem(
            400,
            "no webhook is here; the paths are /webhooks/akeneo/event-platform, /webhooks/akeneo/events-api and /webhooks/akeneo/notifications",
        )),
        None => Route::Answered(Answer::problem(404, "nothing is here")),
    }
}

/// The answer to a body over [`BODY_MAX`].
pub fn too_large() -> Answer {
    Answer::problem(413, "a delivery may be 16 MiB at most")
}

/// The answer to a delivery that cannot be taken because the configuration makes no sense.
pub fn misconfigured<H: Log + Clock>(host: &H, channel: Channel, error: &ConfigError) -> Answer {
    log::write(
        host,
        world::log::LogLevel::All,
        "configuration",
        true,
        json!({ "reason": error.0 }),
    );
    channel.unavailable(&error.0)
}

/// The answer to a delivery when the store cannot be opened.
pub fn store_failed<H: Log + Clock>(host: &H, channel: Channel, error: &StoreError) -> Answer {
    log::write(
        host,
        world::log::LogLevel::All,
        "store",
        true,
        json!({ "reason": error.0 }),
    );
    channel.unavailable(STORE_FAILED)
}

const ENCODED: &str = "the body is not JSON, and its content-encoding says why: let no proxy compress deliveries";

const STORE_FAILED: &str = "the key-value store failed; send it again";

/// Takes one delivery whose body was read whole. Answers 200 only once all of it is in the store.
pub async fn receive<H: Store + Clock + Log>(
    host: &H,
    config: &IngestConfig<'_>,
    channel: Channel,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    let started_ms = host.monotonic_ms();
    let mut delivery = Delivery {
        host,
        config,
        channel,
        stored: 0,
        ignored: Vec::new(),
        flawed: Vec::new(),
        own_authors: None,
        wants_categories: None,
    };
    let answer = match delivery.take(headers, body).await {
        Ok(()) => Answer::done(),
        Err(Refusal::Malformed(_)) if headers.contains_key("content-encoding") => Answer::problem(400, ENCODED),
        Err(refusal) => delivery.refuse(refusal).await,
    };
    let failed = answer.status != 200 || !delivery.flawed.is_empty();
    let reason = (answer.status != 200).then(|| String::from_utf8_lossy(&answer.body).into_owned());
    let fields = json!({
        "channel": channel.name(), "status": answer.status, "bytes": body.len(), "stored": delivery.stored,
        "ignored": (!delivery.ignored.is_empty()).then_some(&delivery.ignored),
        "flawed": (!delivery.flawed.is_empty()).then_some(&delivery.flawed), "problem": reason,
        "correlation": headers.get("x-correlation-id").and_then(|id| id.to_str().ok()),
        "ms": host.monotonic_ms().saturating_sub(started_ms),
    });
    log::write(host, config.log, "delivery", failed, fields);
    answer
}

enum Refusal {
    Unsigned(&'static str),
    Malformed(String),
    Unconfigured(&'static str),
    Misconfigured(ConfigError),
    Backlog,
    Store(StoreError),
}

impl From<event::Malformed> for Refusal {
    fn from(error: event::Malformed) -> Refusal {
        Refusal::Malformed(error.0)
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Refusal {
        Refusal::Misconfigured(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

struct Delivery<'a, H> {
    host: &'a H,
    config: &'a IngestConfig<'a>,
    channel: Channel,
    stored: usize,
    /// Why events are of no concern.
    ignored: Vec<String>,
    /// What is wrong with events.
    flawed: Vec<String>,
    /// Authors whose events are our own writes, once that was asked.
    own_authors: Option<Vec<String>>,
    /// Whether the shape wants categories, once that was asked.
    wants_categories: Option<bool>,
}

impl<H: Store + Clock + Log> Delivery<'_, H> {
    async fn take(&mut self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        match self.channel {
            Channel::EventPlatform => {
                self.verify_platform(
                    headers,
                    EVENT_PLATFORM_SECRET,
                    "variable `event_platform_secret` is not set: give the subscription's primary secret",
                    body,
                )?;
                let text = text::mended(body);
                let event = event::of_event_platform(&text)?;
                self.take_events(vec![(event, &text)]).await
            }
            Channel::EventsApi => {
                self.verify_legacy(headers, body)?;
                let text = text::mended(body);
                self.take_events(event::of_events_api(&text)?).await
            }
            Channel::Notifications => {
                self.verify_platform(
                    headers,
                    NOTIFICATION_SECRET,
                    "variable `notification_secret` is not set: give the subscriber's notification_webhook_secret",
                    body,
                )?;
                let record = notification::read(body, self.host.now_ms()).map_err(Malformed)?;
                let key = self.config.keys.record(Record::Notification);
                let known = self.host.get(&key).await?;
                if let Some(value) = notification::merged(known.as_deref(), record) {
                    self.host.set(&key, &value).await?;
                    self.stored = 1;
                }
                Ok(())
            }
        }
    }

    /// Queues what events say. One that is not understood costs none of the others; only where none is, the delivery is
    /// refused.
    async fn take_events(&mut self, events: Vec<(Decoded, &str)>) -> Result<(), Refusal> {
        let (mut entries, mut first_lost) = (Vec::new(), None);
        let (count, mut lost) = (events.len(), 0);
        for (number, (decoded, text)) in (1..).zip(events) {
            if let Decoded::Flawed(what, event) = &decoded {
                self.flawed.push(format!("event {number} of {count}: {}", what.0));
                if event.is_none() {
                    lost += 1;
                    first_lost.get_or_insert(what.clone());
                }
            }
            self.enter(decoded, text, &mut entries)?;
        }
        match first_lost.filter(|_| lost == count) {
            Some(what) => Err(what.into()),
            None => self.store(entries).await,
        }
    }

    /// The keys and values of what is to be queued of an event.
    fn enter(&mut self, decoded: Decoded, text: &str, entries: &mut Vec<(String, Vec<u8>)>) -> Result<(), ConfigError> {
        let event = match decoded {
            Decoded::Event(event) => event,
            Decoded::Stale(list, id, event) => {
                let key = self.config.keys.encode(&Key::Stale(list, id));
                entries.push((key, json!({ "v": 1 }).to_string().into_bytes()));
                match event {
                    Some(event) if self.wants_categories()? => event,
                    _ => return Ok(()),
                }
            }
            Decoded::Ignored(why) => {
                self.ignored.push(why);
                return Ok(());
            }
            Decoded::Flawed(_, Some(event)) => event,
            Decoded::Flawed(_, None) => return Ok(()),
        };
        if self.is_own_write(event.author.as_ref())? {
            self.ignored.push("own write".to_owned());
            return Ok(());
        }
        let value = EventValue::new(&event.code, self.host.now_ms(), text).to_bytes();
        entries.push((self.config.keys.encode(&Key::Event(event.key)), value));
        Ok(())
    }

    /// Events of the connector's own writes come back on the Event Platform (contract 6, trap 7).
    fn is_own_write(&mut self, author: Option<&Author>) -> Result<bool, ConfigError> {
        let Some(author) = author.filter(|author| author.is_api) else {
            return Ok(false);
        };
        if self.own_authors.is_none() {
            self.own_authors = Some(self.config.own_authors()?);
        }
        let own = self.own_authors.iter().flatten();
        Ok(own.into_iter().any(|known| *known == author.identifier))
    }

    fn wants_categories(&mut self) -> Result<bool, ConfigError> {
        match self.wants_categories {
            Some(wants) => Ok(wants),
            None => Ok(*self.wants_categories.insert(self.config.wants_categories()?)),
        }
    }

    async fn store(&mut self, mut entries: Vec<(String, Vec<u8>)>) -> Result<(), Refusal> {
        // One event twice in a batch is one key, and a backend may refuse a key named twice in one statement.
        entries.sort();
        entries.dedup_by(|one, other| one.0 == other.0);
        if entries.is_empty() {
            return Ok(());
        }
        if self.config.is_full(self.backlog().await?)? {
            return Err(Refusal::Backlog);
        }
        if let [(key, value)] = &entries[..] {
            self.host.set(key, value).await?;
        } else {
            set_all(self.host, &entries).await?;
        }
        self.stored = entries.len();
        Ok(())
    }

    /// How many events wait, at most: what the worker last counted and what can have come since.
    async fn backlog(&self) -> Result<u64, StoreError> {
        let value = self.host.get(&self.config.keys.record(Record::Status)).await?;
        let Some(status) = value.as_deref().and_then(Status::read) else {
            return Ok(0);
        };
        let mut since_ms = self.host.now_ms().saturating_sub(status.listed_ms);
        if since_ms > COUNTED_LATELY_MS {
            since_ms = since_ms.min(self.known_for_ms(status.listed_ms).await?);
        }
        Ok(status
            .depth
            .saturating_add((since_ms / 1000).saturating_mul(ASSUMED_RATE)))
    }

    /// How long the worker's last count has been known here, in milliseconds by this host's own clock: where that is ahead
    /// of the worker's, every count seems to be old.
    async fn known_for_ms(&self, listed_ms: u64) -> Result<u64, StoreError> {
        let key = self.config.keys.record(Record::Counted);
        let known: Option<Counted> = host::read(self.host, &key).await?;
        let now_ms = self.host.now_ms();
        match known.filter(|known| known.listed_ms == listed_ms) {
            Some(known) => Ok(now_ms.saturating_sub(known.at_ms)),
            None => {
                let counted = Counted {
                    v: 1,
                    listed_ms,
                    at_ms: now_ms,
                };
                host::write(self.host, &key, &counted).await?;
                Ok(0)
            }
        }
    }

    fn verify_legacy(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let signatures = values(headers, "x-akeneo-request-signature");
        let mut timestamps = values(headers, "x-akeneo-request-timestamp");
        timestamps.dedup();
        let (is_signed, timestamp) = match (signatures.is_empty(), &timestamps[..]) {
            (false, [timestamp]) => (true, *timestamp),
            _ => (false, &b""[..]),
        };
        let flaw = (!is_signed).then_some(
            "x-akeneo-request-signature or x-akeneo-request-timestamp is missing, or there are two timestamps",
        );
        self.verify(
            EVENTS_API_SECRET,
            "variable `events_api_secret` is not set: give the connection's secret",
            flaw,
            (&signatures, &[timestamp, b".", body]),
        )?;
        let sent_s = std::str::from_utf8(timestamp)
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        let now_s = self.host.now_ms() / 1000;
        match sent_s {
            Some(sent_s) if sent_s.abs_diff(now_s) <= self.config.tolerance_s()? => Ok(()),
            _ => Err(Refusal::Unsigned(
                "the timestamp is too far from now: compare the clocks",
            )),
        }
    }

    /// Any signature header may match any secret that is known, so that either side may change first (contract 3.2).
    fn verify_platform(
        &self,
        headers: &HeaderMap,
        secrets: SecretNames,
        unset: &'static str,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let is_ours = |algorithm: &&[u8]| algorithm.eq_ignore_ascii_case(b"HmacSHA256");
        let is_known = values(headers, "x-akeneo-signature-algorithm").iter().all(is_ours);
        let mut signatures = values(headers, "x-akeneo-signature-primary");
        signatures.extend(values(headers, "x-akeneo-signature-secondary"));
        let flaw = match (is_known, signatures.is_empty()) {
            (false, _) => Some("x-akeneo-signature-algorithm is not HmacSHA256"),
            (true, true) => Some("x-akeneo-signature-primary is missing"),
            (true, false) => None,
        };
        self.verify(secrets, unset, flaw, (&signatures, &[body]))
    }

    /// Whether one of the signatures is the message's under one of the secrets, the present one first. A flaw of the headers
    /// is told where there is a secret.
    fn verify(
        &self,
        secrets: SecretNames,
        unset: &'static str,
        flaw: Option<&'static str>,
        (signatures, message): (&[&[u8]], &[&[u8]]),
    ) -> Result<(), Refusal> {
        let mut refusal = Refusal::Unconfigured(unset);
        for secret in self.config.secrets(secrets) {
            let secret = secret?;
            if let Some(flaw) = flaw {
                return Err(Refusal::Unsigned(flaw));
            }
            if signature::verifies(signatures, &secret, message) {
                return Ok(());
            }
            refusal = Refusal::Unsigned("the signature does not match");
        }
        Err(refusal)
    }

    async fn refuse(&self, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::Unsigned(reason) => {
                self.note_refused(reason).await;
                Answer::problem(401, reason)
            }
            Refusal::Malformed(reason) => Answer::problem(400, &reason),
            Refusal::Unconfigured(reason) => self.channel.unavailable(reason),
            Refusal::Misconfigured(error) => misconfigured(self.host, self.channel, &error),
            Refusal::Backlog => Answer::problem(429, "too many events wait; nothing of this delivery was stored"),
            Refusal::Store(error) => {
                log::write(self.host, self.config.log, "store", true, json!({ "reason": error.0 }));
                self.channel.unavailable(STORE_FAILED)
            }
        }
    }

    /// Leaves word of a refused signature. A wrong secret suspends the subscription within the hour (contract 3.3),
    /// so people must hear of it; but a forger must not be able to wear the store out.
    async fn note_refused(&self, reason: &str) {
        let key = self.config.keys.record(Record::Refused);
        let now_ms = self.host.now_ms();
        let Ok(known) = self.host.get(&key).await else { return };
        let known = known.and_then(|value| serde_json::from_slice::<Refused>(&value).ok());
        if known.is_some_and(|known| now_ms.abs_diff(known.at_ms) < REFUSED_EVERY_MS) {
            return;
        }
        let refused = Refused {
            v: 1,
            at_ms: now_ms,
            channel: self.channel.name().to_owned(),
            reason: reason.to_owned(),
        };
        // If it fails, the log line of this delivery still tells.
        let _ = self.host.set(&key, &json!(refused).to_string().into_bytes()).await;
    }
}

/// The values of a header, of which a proxy may have made several, or one line of several (RFC 9110 5.3).
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let lines = headers.get_all(name).into_iter().map(|value| value.as_bytes());
    let values = lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    values.filter(|value| !value.is_empty()).collect()
}

/// Since when the worker's last count has been known.
#[derive(Serialize, Deserialize)]
struct Counted {
    v: u32,
    /// Which count, by the worker's clock, in milliseconds since the Unix epoch.
    listed_ms: u64,
    /// When an ingest first met it, by its own clock, in milliseconds since the Unix epoch.
    at_ms: u64,
}
