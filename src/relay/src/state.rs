//! What the worker keeps between ticks.

use crate::brake::Brake;
use crate::entity::Kind;
use crate::governor::GovernorState;
use crate::host::{self, Clock, Store, StoreError};
use crate::key::{Keyspace, Record};
use crate::pace::Pace;
use crate::paging::PageSizes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// By how much the record may have been written in a reader's future before clocks count as different, in milliseconds.
const SKEW_MS: u64 = 60_000;

/// For how many ticks that is remembered.
const SKEWED_TICKS: u32 = 10_000;

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
    /// When the destination last took anything, in seconds since the Unix epoch.
    pub done_s: u64,
    /// How large batches may be, and whether work comes to anything.
    pub pace: Pace,
    /// When this record was last written, by the writer's clock, in milliseconds since the Unix epoch.
    pub saved_ms: u64,
    /// For how many more ticks the clocks of hosts are taken to differ, since one found this record written in its future.
    pub skewed_ticks: u32,
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

    /// A tick begins: learns whether the clocks of hosts differ.
    pub(crate) fn compare_clocks(&mut self, now_ms: u64) {
        self.skewed_ticks = if self.saved_ms > now_ms + SKEW_MS {
            SKEWED_TICKS
        } else {
            self.skewed_ticks.saturating_sub(1)
        };
    }

    /// Writes the record.
    pub async fn save<H: Store + Clock>(&mut self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        self.v = 1;
        self.saved_ms = host.now_ms();
        host::write(host, &keys.record(Record::State), self).await
    }
}
