//! What the index was built for. Another PIM, another destination or another shape must not inherit it unasked.

use crate::config::WorkerConfig;
use crate::host::{self, Store, StoreError};
use crate::key::{Keyspace, Record};
use serde::{Deserialize, Serialize};

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of this format.
    pub v: u32,
    /// The PIM's origin.
    pub pim: String,
    /// The destination's origin and path.
    pub destination: String,
    /// The shape.
    pub shape: String,
}

/// The name of the only shape there is.
const IDENTITY: &str = "identity";

impl Meta {
    /// What the configuration says; none for a dry run.
    pub fn of(config: &WorkerConfig) -> Option<Meta> {
        let destination = config.destination.as_ref()?;
        Some(Meta {
            v: 1,
            pim: config.pim.origin.clone(),
            destination: format!("{}{}", destination.origin, destination.path),
            shape: IDENTITY.to_owned(),
        })
    }

    /// Reads the record.
    pub async fn load<H: Store>(host: &H, keys: &Keyspace) -> Result<Option<Meta>, StoreError> {
        match host.get(&keys.record(Record::Meta)).await? {
            None => Ok(None),
            Some(value) => serde_json::from_slice(&value)
                .map(Some)
                .map_err(|_| StoreError("the meta record is not in a format that this version reads".to_owned())),
        }
    }

    /// Writes the record.
    pub async fn save<H: Store>(&self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        host::write(host, &keys.record(Record::Meta), self).await
    }
}
