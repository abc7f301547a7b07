//! Lists of the PIM in which shapes look things up, and what a tick knows of each.

mod reading;

use crate::tools::Desk;
use model::entity::Kind;
use serde_json::Value;
use shape::Need;
use shape::{Lookups, Shaped};
use world::host::Host;

pub use reading::{bring, circuits, elements, is_ahead_of_categories, key_of, refresh};

/// How long a list is taken to be as it was, in seconds, if no event tells otherwise.
const TTL_S: u64 = 3600;

/// What a tick knows of a list.
#[derive(Debug, Clone)]
pub struct Known {
    need: Need,
    /// When its reading began and ended, in seconds since the Unix epoch.
    began_s: u64,
    read_s: u64,
    digest: String,
    /// Whether its elements are at hand.
    is_at_hand: bool,
    is_endless: bool,
}

impl Known {
    /// Whether it was found without an end so lately that it is not read again.
    fn is_endless_still(&self, now_s: u64) -> bool {
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
    /// What an entity comes to; what it looks up is to be at hand ([`bring`]).
    pub fn shape(&self, desk: &Desk<'_, impl Host>, kind: Kind, code: &str, entity: &Value) -> Shaped {
        desk.config.shape.apply(kind, code, entity, &self.lookups)
    }
}
