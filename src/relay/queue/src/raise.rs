//! Events as they wait in the store, and those that the relay raises itself.
//!
//! Nothing is planned by the value of an event's key: it holds the code, where the key cannot, and what people may want
//! to see. A key that the relay makes itself was never there before, so no slow worker can delete it.

use crate::key::{Change, EventKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::entity::{Entity, Segment};
use serde::{Deserialize, Serialize};
use serde_json::json;
use world::host::{Clock, Random};
use world::log;

/// How much of an event is kept with its key, in bytes.
const EVENT_KEPT: usize = 64 << 10;

/// The value of an event's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventValue {
    /// Version of this format.
    pub v: u32,
    /// The entity's code, which the key may hold only a hash of.
    pub code: String,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The event as received, cut at 64 KiB; empty for what the relay raises itself.
    pub event: String,
}

impl EventValue {
    /// The value of an event of the entity with this code, which came as this text.
    pub fn new(code: &str, at_ms: u64, text: &str) -> EventValue {
        EventValue {
            v: 1,
            code: code.to_owned(),
            at_ms,
            event: log::cut(text, EVENT_KEPT).to_owned(),
        }
    }

    /// The bytes in the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        json!(self).to_string().into_bytes()
    }
}

/// An id that nobody has had before.
pub fn fresh_id<H: Random>(host: &H) -> Segment {
    Segment::of(&URL_SAFE_NO_PAD.encode(host.bytes()))
}

/// The key and value of an event that the relay raises itself. Its id is fresh: a key that a slower worker is about to
/// delete must never be set again.
pub fn raised<H: Random + Clock>(host: &H, entity: Entity, code: &str, change: Change) -> (EventKey, EventValue) {
    let now_ms = host.now_ms();
    let key = EventKey {
        time_s: now_ms / 1000,
        change,
        floor_s: None,
        entity,
        id: fresh_id(host),
    };
    (key, EventValue::new(code, now_ms, ""))
}
