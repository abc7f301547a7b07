//! The record of a rehearsal: what another shape would do, as far as it is counted.
//!
//! It is written after every page, so that a killed tick goes on where it was, and people read it. It is worth nothing
//! under another shape than the one that it names.

use super::scan::Scan;
use model::entity::Kind;
use queue::key::Record;
use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use world::host::{self, Store, StoreError};

/// How many entities would be pushed, deleted or left as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New at the destination, or different there.
    pub push: u64,
    /// Refused, and at the destination.
    pub delete: u64,
    /// As they are there already.
    pub skip: u64,
    /// Refused, and not at the destination.
    pub ignore: u64,
    /// Not to be sent at all: their ids, or what the selection asks for, are not there.
    pub unsendable: u64,
    /// Not known: the PIM does not give them, not even alone, or their list not to its end.
    #[serde(default)]
    pub unread: u64,
}

/// How far a rehearsal has come, kept after every page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rehearsal {
    v: u32,
    /// The shape.
    pub shape: String,
    /// How many kinds are done.
    pub kinds: usize,
    /// Where it is in the next one.
    pub scan: Scan,
    /// Since when the list of that kind has come in no size and from no place, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_since_ms: Option<u64>,
    /// What was found so far.
    pub counts: Counts,
}

impl Rehearsal {
    /// The beginning, for a shape.
    pub fn of(shape: &str) -> Rehearsal {
        Rehearsal {
            v: 1,
            shape: shape.to_owned(),
            ..Rehearsal::default()
        }
    }

    /// A kind is done with; what the shape does not speak of is passed over.
    pub fn end_kind(&mut self, kinds: &[Kind]) {
        (self.kinds, self.scan, self.stuck_since_ms) = (self.kinds + 1, Scan::default(), None);
        if self.kinds >= kinds.len() {
            self.kinds = Kind::ALL.len();
        }
    }

    /// Whether every entity was seen.
    pub fn is_done(&self) -> bool {
        self.kinds >= Kind::ALL.len()
    }

    /// Reads the record; a format that is not known reads as none.
    pub async fn read<H: Store>(host: &H, keys: &Keyspace) -> Result<Option<Rehearsal>, StoreError> {
        host::read_if(host, &keys.record(Record::Rehearsal), |known: &Rehearsal| known.v == 1).await
    }

    /// Writes the record.
    pub async fn save<H: Store>(&self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        host::write(host, &keys.record(Record::Rehearsal), self).await
    }
}
