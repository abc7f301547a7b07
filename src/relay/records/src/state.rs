//! What the worker keeps between ticks: what governors have learned, the brake, the pace, and what people were told.
//!
//! Nothing in it grows with time, and no event is lost with it: a record that cannot be read begins anew. Moments in it
//! may be of a clock that was wrong, so whoever reads one compares it with now.

use crate::brake::Brake;
use crate::pace::Pace;
use model::by_kind::ByKind;
use model::page_size::PageSizes;
use model::time::SKEW_S;
use queue::key::{RECHECK_S, Record};
use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use upstream::governor_state::GovernorState;
use world::host::{self, Clock, Store, StoreError};

/// By how much the clocks of hosts may differ before people hear of it, in seconds.
const SKEW_TOLD_S: u64 = 60;

/// How the reason begins of a tick that did nothing since a person has paused the worker.
pub const PAUSED: &str = "paused by a person";

/// For how many ticks it is remembered that they differ.
const SKEWED_TICKS: u32 = 10_000;

/// What has become of what people were alerted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alarm {
    /// It lasts.
    Lasts,
    /// It is gone since this moment, in seconds since the Unix epoch, and people have not heard of that.
    GoneSince(u64),
    /// It is gone, and people have heard of that.
    Over,
}

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
    /// For how many more ticks the clocks of hosts are taken to differ, since one found this record written in its
    /// future.
    pub skewed_ticks: u32,
    /// By how much at least they differ, in seconds.
    pub skew_s: u64,
    /// By how much at least they differ, in seconds, but for clocks that were further off than they may be.
    pub near_skew_s: u64,
    /// How many deletions that nobody announced came through, by kind.
    pub deleted: ByKind<u64>,
    /// How often the selection refused an entity.
    pub unwanted: u64,
    /// When each cause was last alerted, in seconds since the Unix epoch.
    pub alerts: BTreeMap<String, u64>,
    /// Of each cause that people were alerted of, whether it lasts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alarms: BTreeMap<String, Alarm>,
    /// Since when a person has paused the worker, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_s: Option<u64>,
    /// Dead letters up to this one have been thinned: when it failed, in seconds since the Unix epoch.
    pub thinned_s: u64,
    /// Of the dead letters of that very second, those up to this key have been thinned.
    pub thinned_key: String,
}

impl State {
    /// Reads the record; a format that is not known reads as none.
    pub async fn load<H: Store>(host: &H, keys: &Keyspace) -> Result<State, StoreError> {
        let state = host::read_if(host, &keys.record(Record::State), |state: &State| state.v == 1).await?;
        Ok(state.unwrap_or_default())
    }

    /// A tick begins: learns by how much the clocks of hosts differ.
    pub fn compare_clocks(&mut self, now_ms: u64) {
        let ahead_s = self.saved_ms.saturating_sub(now_ms).div_ceil(1000);
        if ahead_s > 1 {
            (self.skewed_ticks, self.skew_s) = (SKEWED_TICKS, self.skew_s.max(ahead_s.min(SKEW_S)));
            if ahead_s < SKEW_S {
                self.near_skew_s = self.near_skew_s.max(ahead_s);
            }
        } else {
            self.skewed_ticks = self.skewed_ticks.saturating_sub(1);
        }
        if self.skewed_ticks == 0 {
            (self.skew_s, self.near_skew_s) = (0, 0);
        }
    }

    /// Whether the clocks of hosts differ by more than people should leave them.
    pub fn clocks_differ(&self) -> bool {
        self.skew_s > SKEW_TOLD_S
    }

    /// By how much the clocks of hosts are known to differ, in seconds: a moment that another host wrote may be off by it.
    /// Of a clock that was further off nothing is known, for it may have been put right since.
    pub fn skew_s(&self) -> u64 {
        // Earlier versions kept the larger of the two alone.
        let of_before = Some(self.skew_s).filter(|skew_s| *skew_s < SKEW_S);
        self.near_skew_s.max(of_before.unwrap_or(0))
    }

    /// How long after a reading its recheck is made, in seconds: by then the PIM's search index has caught up,
    /// whichever host makes the recheck by its own clock.
    pub fn recheck_s(&self) -> u64 {
        RECHECK_S + self.skew_s
    }

    /// Writes the record.
    pub async fn save<H: Store + Clock>(&mut self, host: &H, keys: &Keyspace) -> Result<(), StoreError> {
        self.v = 1;
        self.saved_ms = host.now_ms();
        host::write(host, &keys.record(Record::State), self).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_years_ahead_hides_no_difference_of_today() {
        const NOW_MS: u64 = 1_770_000_000_000;
        let mut state = State::default();
        for (ahead_s, known_s) in [(0, 0), (40, 40), (365 * 86_400, 40), (150, 150), (90, 150), (0, 150)] {
            state.saved_ms = NOW_MS + ahead_s * 1000;
            state.compare_clocks(NOW_MS);
            assert_eq!(state.skew_s(), known_s, "{ahead_s} s ahead");
        }
        assert!(state.recheck_s() >= SKEW_S);
        let of_before = State {
            skew_s: 70,
            ..State::default()
        };
        assert_eq!(of_before.skew_s(), 70);
        state.skewed_ticks = 1;
        state.compare_clocks(NOW_MS);
        assert_eq!(state.skew_s(), 0, "it is forgotten with the rest");
    }
}
