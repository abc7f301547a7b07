//! The way in: verify, decode, look at the published depth, write, acknowledge. No outbound call and no listing.

use crate::channel::Channel;
use crate::event::{self, Author, Decoded, Malformed};
use crate::head::Signed;
use crate::refusal::Refusal;
use config::answer::{Answer, Unread};
use config::{ConfigError, IngestConfig};
use http::{HeaderMap, Method};
use model::text;
use queue::key::{Key, Record};
use queue::raise::EventValue;
use records::notification;
use records::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use world::host::{self, Clock, Log, Store, StoreError, set_all};
use world::log;

/// How many events are assumed to have come in every second since the worker last counted: more than either channel
/// sends (contract 1).
const ASSUMED_RATE: u64 = 120;

/// How old the worker's last count may seem, in milliseconds, before ingest looks how long it has known of it.
const COUNTED_LATELY_MS: u64 = 60_000;

/// How much of the sender's own name for a delivery is told, in bytes.
const CORRELATION_KEPT: usize = 100;

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

const ENCODED: &str = "the body is not JSON, and its content-encoding says why: let no proxy compress deliveries";

/// Judges a delivery by its head, before a byte of its body is read; gives the answer where that is reason enough.
///
/// # Errors
/// The answer to what is not to be read.
pub async fn judge<'h, H: Store + Clock + Log>(
    host: &H,
    config: &IngestConfig<'_>,
    channel: Channel,
    headers: &'h HeaderMap,
) -> Result<Signed<'h>, Answer> {
    match Signed::of(config, channel, headers) {
        Ok(signed) => Ok(signed),
        Err(refusal) => {
            let answer = refusal.answer(host, config, channel).await;
            tell(host, config, channel, headers, &answer, json!({}));
            Err(answer)
        }
    }
}

/// The answer to a delivery whose body could not be read.
pub fn unread<H: Clock + Log>(host: &H, config: &IngestConfig<'_>, signed: &Signed<'_>, why: Unread) -> Answer {
    let channel = signed.channel;
    let answer = match why {
        Unread::TooLarge => Answer::problem(413, &channel.too_large(signed.body_max)),
        // Whoever sends honestly sends it again.
        Unread::TooSlow => channel.unavailable("the body did not come in time"),
        Unread::BrokenOff => Answer::problem(400, "the body broke off before its end"),
    };
    tell(host, config, channel, signed.headers, &answer, json!({}));
    answer
}

/// Takes one delivery whose body was read whole. Answers 200 only once all of it is in the store.
pub async fn receive<H: Store + Clock + Log>(
    host: &H,
    config: &IngestConfig<'_>,
    signed: &Signed<'_>,
    body: &[u8],
) -> Answer {
    let started_ms = host.monotonic_ms();
    let (channel, headers) = (signed.channel, signed.headers);
    let mut delivery = Delivery {
        host,
        config,
        stored: 0,
        ignored: Vec::new(),
        flawed: Vec::new(),
        own_authors: None,
        wants_categories: None,
    };
    let answer = match delivery.take(signed, body).await {
        Ok(()) => Answer::done(),
        Err(Refusal::Malformed(_)) if headers.contains_key("content-encoding") => Answer::problem(400, ENCODED),
        Err(refusal) => refusal.answer(host, config, channel).await,
    };
    let fields = json!({
        "bytes": body.len(), "stored": delivery.stored,
        "ignored": (!delivery.ignored.is_empty()).then_some(&delivery.ignored),
        "flawed": (!delivery.flawed.is_empty()).then_some(&delivery.flawed),
        "ms": host.monotonic_ms().saturating_sub(started_ms),
    });
    tell(host, config, channel, headers, &answer, fields);
    answer
}

/// Writes the line of a delivery.
fn tell<H: Clock + Log>(
    host: &H,
    config: &IngestConfig<'_>,
    channel: Channel,
    headers: &HeaderMap,
    answer: &Answer,
    mut fields: Value,
) {
    let is_refused = answer.status != 200;
    let has_failed = is_refused || fields.get("flawed").is_some_and(|flawed| !flawed.is_null());
    let correlation = headers.get("x-correlation-id").and_then(|id| id.to_str().ok());
    fields["channel"] = json!(channel.name());
    fields["status"] = json!(answer.status);
    fields["problem"] = json!(is_refused.then(|| String::from_utf8_lossy(&answer.body)));
    fields["correlation"] = json!(correlation.map(|id| log::cut(id, CORRELATION_KEPT)));
    log::write(host, config.log, "delivery", has_failed, fields);
}

struct Delivery<'a, H> {
    host: &'a H,
    config: &'a IngestConfig<'a>,
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
    async fn take(&mut self, signed: &Signed<'_>, body: &[u8]) -> Result<(), Refusal> {
        signed.verify(self.config, body, self.host.now_ms() / 1000)?;
        match signed.channel {
            Channel::EventPlatform => {
                let text = text::mended(body);
                let event = event::of_event_platform(&text)?;
                self.take_events(vec![(event, &text)]).await
            }
            Channel::EventsApi => {
                let text = text::mended(body);
                self.take_events(event::of_events_api(&text)?).await
            }
            Channel::Notifications => {
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
