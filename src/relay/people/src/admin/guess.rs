//! Tokens and keys that were refused, so that people see when somebody guesses.
//!
//! They are told in the log, once a minute at most: whoever guesses can neither fill the log nor wear the store out.

use config::answer::Answer;
use http::HeaderMap;
use queue::key::Record;
use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use serde_json::json;
use world::host::{self, Clock, Log, Store};
use world::log::{self, LogLevel};

/// How long after a refused token the next one is told at the earliest, in milliseconds.
const EVERY_MS: u64 = 60_000;

/// How much of the path is told that a token was to open, in bytes.
const PATH_KEPT: usize = 100;

/// The record `guess`: when a refused token was last told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Guess {
    v: u32,
    at_ms: u64,
}

/// Whether a request that was answered so bore a token or a key, which was the wrong one.
pub fn is_one(answer: &Answer, query: &str, headers: &HeaderMap) -> bool {
    answer.status == 401 && (headers.contains_key("authorization") || query.contains("key="))
}

/// Tells of a refused token, unless one was told a moment ago. If the store fails nothing is told, since it could not be
/// known how often that was.
pub async fn tell<H: Store + Clock + Log>(host: &H, keys: &Keyspace, path: &str) {
    let key = keys.record(Record::Guess);
    let now_ms = host.now_ms();
    let Ok(known) = host::read::<_, Guess>(host, &key).await else {
        return;
    };
    if known.is_some_and(|known| now_ms.abs_diff(known.at_ms) < EVERY_MS) {
        return;
    }
    if host::write(host, &key, &Guess { v: 1, at_ms: now_ms }).await.is_ok() {
        let fields = json!({ "path": log::cut(path, PATH_KEPT) });
        log::write(host, LogLevel::Failures, "refused-token", true, fields);
    }
}
