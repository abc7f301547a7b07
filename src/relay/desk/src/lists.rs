//! Lists of the PIM in which shapes look things up, and what a tick knows of each.
//!
//! What is here lives as long as the tick. `lookups` brings lists to hand, out of the store or from the PIM;
//! [`Lists::shape`] reads them and may assume that it has done so.

use crate::tools::Desk;
use model::entity::Kind;
use serde_json::Value;
use shape::Need;
use shape::{Lookups, Shaped};
use world::host::Host;

/// How long a list that was read is used, in seconds, if no event says that it changed.
pub(crate) const TTL_S: u64 = 3600;

/// What a tick knows of a list.
#[derive(Debug, Clone)]
pub struct KnownList {
    /// Which list.
    pub(crate) need: Need,
    /// When its reading began, in seconds since the Unix epoch.
    pub(crate) began_s: u64,
    /// When its reading ended, in seconds since the Unix epoch.
    pub(crate) read_s: u64,
    /// A digest of its elements, which tells whether it changed.
    pub(crate) digest: String,
    /// Whether its elements are at hand, among [`Lists::lookups`].
    pub(crate) is_at_hand: bool,
    /// Whether it has more elements than are read of any list.
    pub(crate) is_endless: bool,
}

impl KnownList {
    /// Whether the list was found to have too many elements within the last hour, so that it is not read again.
    pub(crate) fn is_endless_still(&self, now_s: u64) -> bool {
        self.is_endless && now_s.abs_diff(self.read_s) < TTL_S
    }
}

/// Lists of the PIM in which shapes look things up.
#[derive(Default)]
pub struct Lists {
    /// The lists that are at hand.
    pub lookups: Lookups,
    /// What is known of each list that this tick has asked for.
    pub known: Vec<KnownList>,
}

impl Lists {
    /// What an entity comes to under the shape. The caller has brought what the shape looks up
    /// ([`crate::lookups::bring`]).
    pub fn shape(&self, desk: &Desk<'_, impl Host>, kind: Kind, code: &str, entity: &Value) -> Shaped {
        desk.config.shape.apply(kind, code, entity, &self.lookups)
    }
}
