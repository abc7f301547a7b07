//! One delivery, from its route to its answer: judged, verified, decoded, stored, acknowledged.
//!
//! A caller asks [`route`], then [`judge`] with the head, and only then reads the body, which it gives to [`receive`],
//! or what went wrong with it to [`unread`]. A delivery is answered with 200 only once all that is to be kept of it is
//! stored, and each one whose head was judged has a log line, but for what is forged: that has one a minute. How much
//! waits is known only from what the worker published, and as it ages, more is taken to have come in every second since.

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
use records::status::{SILENT_MS, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use world::host::{self, Clock, Log, Store, StoreError, set_all};
use world::log;

/// How many events are assumed to have come in every second since the worker last counted: more than either channel
/// sends (contract 1).
const ASSUMED_RATE: u64 = 120;

/// How old the worker's last count may seem, in milliseconds, before ingest asks for how long it has known of the
/// count.
const COUNTED_LATELY_MS: u64 = 60_000;

/// For how long events may wait in a store in which no tick has ever written, in milliseconds. An application that keeps its
/// store in memory has one in each of its processes, and what is acknowledged there the worker never sees.
const UNATTENDED_MS: u64 = 600_000;

/// How much of a delivery's `X-Correlation-ID`, the sender's own name for it (contract 3.6), is logged, in bytes.
const CORRELATION_KEPT: usize = 100;

/// What a request is for, by its method and path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A delivery by this channel: [`judge`] is to judge its head, and [`receive`] is to take its body.
    Delivery(Channel),
    /// Anything else, with its answer.
    Answered(Answer),
}

/// Finds the route of a request. Below `/webhooks/` no answer is ever a 404 or a redirect: the Event Platform suspends
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

/// Why a delivery is refused that is malformed and says that it is encoded.
const ENCODED: &str = "the body is not JSON, and its content-encoding says why: let no proxy compress deliveries";

/// Judges a delivery by its head, before a byte of its body is read. A delivery that is refused here is logged.
///
/// # Errors
/// The answer to a delivery whose body is not to be read.
pub async fn judge<'h, H: Store + Clock + Log>(
    host: &H,
    config: &IngestConfig<'_>,
    channel: Channel,
    headers: &'h HeaderMap,
) -> Result<Signed<'h>, Answer> {
    match Signed::of(config, channel, headers) {
        Ok(signed) => Ok(signed),
        Err(refusal) => {
            let (answer, is_told) = refusal.answer(host, config, channel).await;
            if is_told {
                tell(host, config, channel, headers, &answer, json!({}));
            }
            Err(answer)
        }
    }
}

/// The answer to a delivery whose body could not be read. It is logged.
pub fn unread<H: Clock + Log>(host: &H, config: &IngestConfig<'_>, signed: &Signed<'_>, why: Unread) -> Answer {
    let channel = signed.channel;
    let answer = match why {
        Unread::TooLarge => Answer::problem(413, &channel.too_large(signed.body_max)),
        // The Event Platform sends the delivery again (contract 3.3, 3.7). The Events API never does (contract 2.4).
        Unread::TooSlow => channel.unavailable("the body did not come in time"),
        Unread::BrokenOff => Answer::problem(400, "the body broke off before its end"),
    };
    tell(host, config, channel, signed.headers, &answer, json!({}));
    answer
}

/// Takes a delivery whose body was read whole, and answers it: with 200 only once all that is to be kept of it is in
/// the store.
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
        silent_ms: 0,
        ignored: Vec::new(),
        flawed: Vec::new(),
        own_authors: None,
        wants_categories: None,
    };
    let (answer, is_told) = match delivery.take(signed, body).await {
        Ok(()) => (Answer::done(), true),
        Err(Refusal::Malformed(_)) if headers.contains_key("content-encoding") => (Answer::problem(400, ENCODED), true),
        Err(refusal) => refusal.answer(host, config, channel).await,
    };
    if !is_told {
        return answer;
    }
    let fields = json!({
        "bytes": body.len(), "stored": delivery.stored,
        "ignored": (!delivery.ignored.is_empty()).then_some(&delivery.ignored),
        "flawed": (!delivery.flawed.is_empty()).then_some(&delivery.flawed),
        "silent": delivery.silence(),
        "ms": host.monotonic_ms().saturating_sub(started_ms),
    });
    tell(host, config, channel, headers, &answer, fields);
    answer
}

/// Writes the log line of a delivery. It counts as a failure if the delivery is refused, an event in it is flawed, or no
/// tick has run for a while.
fn tell<H: Clock + Log>(
    host: &H,
    config: &IngestConfig<'_>,
    channel: Channel,
    headers: &HeaderMap,
    answer: &Answer,
    mut fields: Value,
) {
    let is_refused = answer.status != 200;
    let is_told = |name: &str| fields.get(name).is_some_and(|told| !told.is_null());
    let has_failed = is_refused || is_told("flawed") || is_told("silent");
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
    /// How many keys were written.
    stored: usize,
    /// For how long no tick has written its status into this store, as far as ingest knows, in milliseconds.
    silent_ms: u64,
    /// Why nothing is to be done about some of the events.
    ignored: Vec<String>,
    /// What is wrong with those events that are not what their channel sends.
    flawed: Vec<String>,
    /// The authors whose events are the integration's own writes, once the variable was read.
    own_authors: Option<Vec<String>>,
    /// Whether the shape wants categories, once the variable was read.
    wants_categories: Option<bool>,
}

impl<H: Store + Clock + Log> Delivery<'_, H> {
    /// Verifies a delivery and keeps what it says.
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

    /// Queues the events of a delivery. A flawed event costs none of the others; the delivery is refused only if each
    /// of its events is flawed and names no entity.
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

    /// Adds the keys and values to which an event leads, if it leads to any, to `entries`.
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

    /// Whether an event comes of a write of the integration's own. The Event Platform sends those back (contract 6,
    /// trap 7), and the Events API those of another connection of the same integration (contract 2.4).
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

    /// Writes the keys and values of a delivery, unless as many events wait as may.
    async fn store(&mut self, mut entries: Vec<(String, Vec<u8>)>) -> Result<(), Refusal> {
        // An event that stands twice in a delivery makes one key, and a backend may refuse a key named twice in one
        // statement.
        entries.sort();
        entries.dedup_by(|one, other| one.0 == other.0);
        if entries.is_empty() {
            return Ok(());
        }
        let backlog = self.backlog().await?;
        if self.config.is_full(backlog)? {
            return Err(Refusal::Backlog);
        }
        set_all(self.host, &entries).await?;
        self.stored = entries.len();
        Ok(())
    }

    /// How many events wait at most: as many as the worker last counted, and [`ASSUMED_RATE`] for every second since.
    /// Without a count that can be read none are taken to wait, for as long as there may be none.
    async fn backlog(&mut self) -> Result<u64, Refusal> {
        let value = self.host.get(&self.config.keys.record(Record::Status)).await?;
        let status = value.as_deref().and_then(Status::read);
        let listed_ms = status.as_ref().map_or(0, |status| status.listed_ms);
        let mut since_ms = self.host.now_ms().saturating_sub(listed_ms);
        if since_ms > COUNTED_LATELY_MS {
            since_ms = since_ms.min(self.known_for_ms(listed_ms).await?);
        }
        self.silent_ms = since_ms;
        match status {
            Some(status) => {
                let come_since = (since_ms / 1000).saturating_mul(ASSUMED_RATE);
                Ok(status.depth.saturating_add(come_since))
            }
            None if since_ms >= UNATTENDED_MS && !self.has_worked().await? => Err(Refusal::Unattended),
            None => Ok(0),
        }
    }

    /// Whether a tick has ever worked on this store, whatever has become of its status.
    async fn has_worked(&self) -> Result<bool, StoreError> {
        let state = self.host.get(&self.config.keys.record(Record::State)).await?;
        Ok(state.is_some())
    }

    /// What people are to hear where no tick has written its status for a while.
    fn silence(&self) -> Option<String> {
        (self.silent_ms > SILENT_MS).then(|| {
            format!(
                "no tick has written its status into this store for {} minutes: see that ticks run, and that all processes share one store (--state-dir)",
                self.silent_ms / 60_000
            )
        })
    }

    /// For how long ingest has known the worker's last count, in milliseconds; notes a count that it meets for the
    /// first time. The moment in the count does not tell: to a host whose clock is ahead of the worker's, every count
    /// seems to be old.
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

/// The record `counted`: since when ingest has known the worker's last count.
#[derive(Serialize, Deserialize)]
struct Counted {
    v: u32,
    /// Which count: its moment by the worker's clock, in milliseconds since the Unix epoch; 0 where there is none yet.
    listed_ms: u64,
    /// When an ingest first met that count, by the clock of its host, in milliseconds since the Unix epoch.
    at_ms: u64,
}
