//! Lists of the PIM in which shapes look things up, and what a tick knows of each.

use crate::tools::Desk;
use model::entity::Kind;
use serde_json::Value;
use shape::Need;
use shape::{Lookups, Shaped};
use world::host::Host;

/// How long a list is taken to be as it was, in seconds, if no event tells otherwise.
pub(crate) const TTL_S: u64 = 3600;

/// What a tick knows of a list.
#[derive(Debug, Clone)]
pub struct Known {
    pub(crate) need: Need,
    /// When its reading began and ended, in seconds since the Unix epoch.
    pub(crate) began_s: u64,
    pub(crate) read_s: u64,
    pub(crate) digest: String,
    /// Whether its elements are at hand.
    pub(crate) is_at_hand: bool,
    pub(crate) is_endless: bool,
}

impl Known {
    /// Whether it was found without an end so lately that it is not read again.
    pub(crate) fn is_endless_still(&self, now_s: u64) -> bool {
        self.is_endless && now_s.abs_diff(self.read_s) < TTL_S
    }
}

/// Lists of the PIM in which shapes look things up.
#[derive(Default)]
pub struct Lists {
    /// What shapes look things up in.
    pub lookups: Lookups,
    /// What is known of the lists that were asked for.
    pub known: Vec<Known>,
}

impl Lists {
    /// What an entity comes to; what it looks up is to be at hand ([`crate::lookups::bring`]).
    pub fn shape(&self, desk: &Desk<'_, impl Host>, kind: Kind, code: &str, entity: &Value) -> Shaped {
        desk.config.shape.apply(kind, code, entity, &self.lookups)
    }
}
