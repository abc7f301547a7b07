//! What the index was built for. Another PIM, another destination or another shape must not inherit it unasked.
//!
//! Whoever works compares this record with the configuration first, and where they differ does nothing before a person
//! has adopted what is configured. A record that is damaged, or of a newer version, stops the work, since nothing else
//! tells what the index is for.

use config::WorkerConfig;
use queue::key::Record;
use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use world::host::{self, Store, StoreError};

/// Which version of the index this one writes: since 2 its pages split. A worker of an earlier version knows no pages that
/// were split, takes the record for that of another pair, and so does nothing.
const VERSION: u32 = 2;

/// The record; and what is configured, in the same form, as people see it and say it when they adopt.
#[derive(Debug, Clone, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Version of the index.
    pub v: u32,
    /// The PIM's origin.
    pub pim: String,
    /// The destination's origin and path.
    pub destination: String,
    /// The shape, by its name.
    pub shape: String,
}

/// Two pairs are one whatever version wrote their index.
impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        (&self.pim, &self.destination, &self.shape) == (&other.pim, &other.destination, &other.shape)
    }
}

/// How the reason begins for which nothing at all is done.
pub const NOT_ADOPTED: &str = "nothing is pushed or deleted";

impl Pair {
    /// What the configuration says; none for a dry run.
    pub fn of(config: &WorkerConfig) -> Option<Pair> {
        let destination = config.destination.as_ref()?;
        Some(Pair {
            v: VERSION,
            pim: config.pim.origin.clone(),
            destination: format!("{}{}", destination.origin, destination.path),
            shape: config.shape.name().to_owned(),
        })
    }

    /// The same pair with an index of this version, if it has one of an earlier version.
    pub fn renewed(&self) -> Option<Pair> {
        (self.v < VERSION).then(|| Pair {
            v: VERSION,
            ..self.clone()
        })
    }

    /// Whether another one differs from this by its shape alone.
    pub fn is_of_other_shape(&self, other: &Pair) -> bool {
        self.shape != other.shape && (&self.pim, &self.destination) == (&other.pim, &other.destination)
    }

    /// Why nothing is done under another configuration than this, and what to do.
    pub fn denies(&self, configured: &Pair) -> Option<String> {
        if self.is_of_other_shape(configured) {
            return Some(format!(
                "{NOT_ADOPTED}: the shape is another one than before; see in GET /admin/status what it would do, then mend it, or adopt it"
            ));
        }
        (self != configured).then(|| {
            format!(
                "{NOT_ADOPTED}: the index was built for {} and {}, the configuration says {} and {}; mend it, or adopt the new pair",
                self.pim, self.destination, configured.pim, configured.destination
            )
        })
    }

    /// Why a run without a destination does nothing on the store of this one, and what to do.
    pub fn denies_dry_run(&self) -> String {
        format!(
            "variable `destination_url` is unset, but what waits here is for {}: set it again, or give another `instance` for a dry run; until then no event is used up",
            self.destination
        )
    }

    /// Reads the record.
    pub async fn load<H: Store>(host: &H, keys: &Keyspace) -> Result<Option<Pair>, StoreError> {
        let key = keys.record(Record::Pair);
        match host.get(&key).await? {
            None => Ok(None),
            Some(value) => {
                let pair = host::decoded(&value).filter(|pair: &Pair| pair.v <= VERSION);
                pair.map(Some).ok_or(StoreError::Damaged(key))
            }
        }
    }

    /// Writes the record.
    pub async fn save<H: Store>(&self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        host::write(host, &keys.record(Record::Pair), self).await
    }
}
