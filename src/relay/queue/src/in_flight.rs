//! Batches whose pushes have begun, written down so that neither a kill nor a late arrival can go unnoticed.
//!
//! The key is there from before the first push until every outcome is known and kept. One that stays tells of pushes
//! whose end nobody saw: once they have settled, their entities count as never pushed and are looked at anew.

use crate::retry::Tried;
use model::entity::Kind;
use model::time::SKEW_S;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// After how long whatever was under way has arrived or never will, in seconds.
pub const SETTLED_S: u64 = 600;

/// A batch whose pushes had begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// When it was written, in seconds since the Unix epoch.
    pub time_s: u64,
    /// Its key.
    pub key: String,
}

impl InFlight {
    /// Whether there is anything to do about the batch: all that was under way has arrived or never will, or its moment
    /// is wrong.
    pub fn is_due(&self, now_s: u64) -> bool {
        self.is_settled(now_s) || self.is_ahead(now_s)
    }

    /// Whether all that was under way has arrived or never will.
    pub fn is_settled(&self, now_s: u64) -> bool {
        self.time_s + SETTLED_S <= now_s
    }

    /// Whether the batch's moment is so far ahead that the clock that told it was wrong.
    pub fn is_ahead(&self, now_s: u64) -> bool {
        self.time_s > now_s + 2 * SKEW_S + SETTLED_S
    }

    /// Whether the batch has been there for so long that either nobody worked for hours, or the reader's own clock is
    /// wrong.
    pub fn is_old(&self, now_s: u64) -> bool {
        self.time_s + 2 * SKEW_S + SETTLED_S < now_s
    }
}

/// The value of an in-flight key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlightValue {
    /// Version of this format.
    pub v: u32,
    /// The entities, by kind and code.
    pub entities: Vec<(Kind, String)>,
    /// What the push of each of them was to bring, in the same order; of older versions none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Option<Tried>>,
    /// Whether the entities were queued once already, and this key is there because the clocks of hosts differ: by
    /// another clock the first time may have come too early.
    #[serde(default)]
    pub is_second: bool,
}

impl InFlightValue {
    /// Of entities whose pushes are about to begin, or have begun, and what each is to bring.
    pub fn of(entities: impl IntoIterator<Item = (Kind, String, Option<Tried>)>) -> InFlightValue {
        let entities = entities.into_iter().map(|(kind, code, tried)| ((kind, code), tried));
        let (entities, tried) = entities.unzip();
        InFlightValue {
            v: 1,
            entities,
            tried,
            is_second: false,
        }
    }

    /// What was to be brought to whom, where it is known.
    pub fn into_tried(self) -> impl Iterator<Item = ((Kind, String), Tried)> {
        let known = self.entities.into_iter().zip(self.tried);
        known.filter_map(|(entity, tried)| Some((entity, tried?)))
    }

    /// The bytes in the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        json!(self).to_string().into_bytes()
    }
}
