//! Why a delivery is not taken, and what is answered then.
//!
//! An answer is in words of our own and quotes nothing of what was sent. A delivery that cannot be taken for a reason
//! that lies on our side is answered 429 or 503, so that a sender which repeats deliveries repeats this one.

use crate::channel::Channel;
use crate::event::Malformed;
use config::answer::Answer;
use config::{ConfigError, IngestConfig};
use queue::key::Record;
use records::refused::Refused;
use serde_json::json;
use world::host::{Clock, Log, Store, StoreError};
use world::log::{self, LogLevel};

/// How long after a refused signature the next one is written down at the earliest, in milliseconds.
const REFUSED_EVERY_MS: u64 = 60_000;

const STORE_FAILED: &str = "the key-value store failed; send it again";

pub(crate) enum Refusal {
    /// Nothing in the head may be a signature. Anybody may send that, so nobody is alerted.
    Unsigned(&'static str),
    /// The signature does not match, the timestamp is too far from now, or some of Akeneo's headers are there and
    /// others are missing or say something else. People are alerted.
    Forged(&'static str),
    /// The body is announced as larger than the channel allows.
    TooLarge(String),
    /// The delivery is signed, and yet it is not what its channel sends.
    Malformed(String),
    /// The channel's secret is not set.
    Unconfigured(&'static str),
    /// A variable that the delivery needs makes no sense or cannot be read.
    Misconfigured(ConfigError),
    /// As many events wait as may.
    Backlog,
    /// No tick has ever run on this store, and events have waited in it for long.
    Unattended,
    /// The store failed. Some of the delivery may be in it.
    Store(StoreError),
}

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Refusal {
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

impl Refusal {
    /// The answer to the delivery, and whether the delivery is to be logged. Notes a forged one for people, and logs what
    /// failed here.
    pub(crate) async fn answer<H: Store + Clock + Log>(
        self,
        host: &H,
        config: &IngestConfig<'_>,
        channel: Channel,
    ) -> (Answer, bool) {
        let mut is_told = true;
        let answer = match self {
            Refusal::Unsigned(reason) => Answer::problem(401, reason),
            Refusal::Forged(reason) => {
                is_told = note(host, config, channel, reason).await;
                Answer::problem(401, reason)
            }
            Refusal::TooLarge(reason) => Answer::problem(413, &reason),
            Refusal::Malformed(reason) => Answer::problem(400, &reason),
            Refusal::Unconfigured(reason) => channel.unavailable(reason),
            Refusal::Misconfigured(error) => misconfigured(host, channel, &error),
            Refusal::Backlog => Answer::problem(429, "too many events wait; nothing of this delivery was stored"),
            Refusal::Unattended => channel.unavailable(
                "no tick has ever written into this store, so nobody would work on it: see that ticks run, and that all processes share one store (--state-dir)",
            ),
            Refusal::Store(error) => {
                log::write(host, config.log, "store", true, json!({ "reason": error.to_string() }));
                channel.unavailable(STORE_FAILED)
            }
        };
        (answer, is_told)
    }
}

/// Notes a refused signature for people, at most once in [`REFUSED_EVERY_MS`]; says whether it was not noted a moment ago
/// already. They must hear of it, since a wrong secret suspends the subscription within the hour (contract 3.3); but a
/// forger must be able neither to wear the store out nor to fill the log.
async fn note<H: Store + Clock>(host: &H, config: &IngestConfig<'_>, channel: Channel, reason: &str) -> bool {
    let key = config.keys.record(Record::Refused);
    let now_ms = host.now_ms();
    let Ok(known) = host.get(&key).await else { return true };
    let known = known.and_then(|value| serde_json::from_slice::<Refused>(&value).ok());
    if known.is_some_and(|known| now_ms.abs_diff(known.at_ms) < REFUSED_EVERY_MS) {
        return false;
    }
    let refused = Refused {
        v: 1,
        at_ms: now_ms,
        channel: channel.name().to_owned(),
        reason: reason.to_owned(),
    };
    // If the note cannot be written, the log line of this delivery still tells.
    let _ = host.set(&key, &json!(refused).to_string().into_bytes()).await;
    true
}

/// The answer to a delivery that cannot be taken because the configuration makes no sense. The reason is logged.
pub fn misconfigured<H: Log + Clock>(host: &H, channel: Channel, error: &ConfigError) -> Answer {
    log::write(host, LogLevel::All, "configuration", true, json!({ "reason": error.0 }));
    channel.unavailable(&error.0)
}

/// The answer to a delivery when the store cannot be opened. The reason is logged.
pub fn store_failed<H: Log + Clock>(host: &H, channel: Channel, error: &StoreError) -> Answer {
    log::write(
        host,
        LogLevel::All,
        "store",
        true,
        json!({ "reason": error.to_string() }),
    );
    channel.unavailable(STORE_FAILED)
}
