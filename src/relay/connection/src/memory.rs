//! What was sent to Akeneo, remembered: ids, and digests of secrets, which Akeneo never gives back.

use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use world::host::{self, Store, StoreError};

/// What was sent last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The form's version.
    pub v: u32,
    /// The subscriber's id.
    pub subscriber: String,
    /// The subscription's id.
    pub subscription: String,
    /// A digest of the subscription's secret.
    pub primary: String,
    /// A digest of the one that it had before, while that is taken; empty where none was sent.
    pub secondary: String,
    /// When these were sent, in seconds since the Unix epoch.
    pub sent_s: u64,
    /// A digest of the secret of notifications; empty where none was sent.
    pub notification: String,
}

impl Memory {
    /// What is remembered; nothing where nothing was sent, or it cannot be read.
    ///
    /// # Errors
    /// The store fails.
    pub async fn load<H: Store>(host: &H, keys: &Keyspace) -> Result<Memory, StoreError> {
        Ok(host::read(host, &keys.connection()).await?.unwrap_or_default())
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn save<H: Store>(&self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        let kept = Memory { v: 1, ..self.clone() };
        host::write(host, &keys.connection(), &kept).await
    }
}
