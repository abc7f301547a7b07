//! What the worker keeps between ticks.

use crate::brake::Brake;
use crate::entity::Kind;
use crate::governor::GovernorState;
use crate::host::{self, Store, StoreError};
use crate::key::{Keyspace, Record};
use crate::paging::PageSizes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Version of this format.
    pub v: u32,
    /// The governor of the PIM.
    pub pim: GovernorState,
    /// The governor of the destination.
    pub destination: GovernorState,
    /// The governor of the alerts.
    pub alert: GovernorState,
    /// Until when the PIM is taken to have no search by `POST`, in seconds since the Unix epoch.
    pub no_post_search_until_s: u64,
    /// How large pages of the PIM's lists are asked for, by what its breakers guard.
    pub page_sizes: PageSizes,
    /// Deletions that nobody announced.
    pub brake: Brake,
    /// How many entities the index holds.
    pub indexed: i64,
    /// Whether the last tick had no time left for reconciliation: the next one begins with it.
    pub is_share_owed: bool,
    /// How many deletions that nobody announced came through, by kind.
    pub deleted: BTreeMap<Kind, u64>,
    /// How often the selection refused an entity.
    pub unwanted: u64,
    /// When each cause was last alerted, in seconds since the Unix epoch.
    pub alerts: BTreeMap<String, u64>,
    /// Dead letters up to this one have been thinned: when it failed, in seconds since the Unix epoch.
    pub thinned_s: u64,
    /// Of those that failed in that very second, up to this key.
    pub thinned_key: String,
}

impl State {
    /// Reads the record; a format that is not known reads as none.
    pub async fn load<H: Store>(host: &H, keys: &Keyspace) -> Result<State, StoreError> {
        let state = host::read(host, &keys.record(Record::State)).await?;
        Ok(state.filter(|state: &State| state.v == 1).unwrap_or_default())
    }

    /// Writes the record.
    pub async fn save<H: Store>(&mut self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        self.v = 1;
        host::write(host, &keys.record(Record::State), self).await
    }
}
