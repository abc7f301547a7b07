//! What other entities have under an identity that one of them leaves.

use crate::item::Decided;
use model::entity::{Entity, Kind};
use queue::claims::Claims;
use queue::index::Pages;
use shape::Shape;
use std::collections::{BTreeMap, BTreeSet};

/// Under which identities entities may lie besides, by their codes, since pushes under these are in flight.
pub(crate) type InFlight = BTreeMap<String, BTreeSet<String>>;

/// What is known of where entities lie.
pub(crate) struct Others<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) pages: &'a Pages,
    pub(crate) in_flight: &'a InFlight,
    pub(crate) claims: &'a Claims,
}

impl Others<'_> {
    /// Whether what lies under an identity that an entity leaves is another one's, or may be.
    pub(crate) fn have(&self, item: &Decided, identity: &str) -> bool {
        let kind = item.waiting.entity.kind;
        let goes_by_identity = self.shape.deletes_by_identity(kind) || !item.is_known_under(identity);
        let may_come = |other: &str| self.in_flight.get(other).is_some_and(|under| under.contains(identity));
        let is_there = |other: &str| lies_under(self.pages, kind, other, identity) || may_come(other);
        // Found under its new name, and taken over, while this one still was to go from there.
        let has_taken_it = |other: &str| {
            let entry = self.pages.get(&Entity::new(kind, other));
            entry.is_some_and(|entry| self.shape.is_of_one(kind, &entry.remote, &item.remote))
        };
        let is_its = |other: &str| is_there(other) && (goes_by_identity || has_taken_it(other));
        self.claims.others(kind, identity, &item.code).any(is_its)
    }
}

/// Whether an entity lies under an identity, as the index tells of it.
pub(crate) fn lies_under(pages: &Pages, kind: Kind, code: &str, identity: &str) -> bool {
    let entry = pages.get(&Entity::new(kind, code));
    entry.is_some_and(|entry| entry.identities.iter().any(|known| known == identity))
}
