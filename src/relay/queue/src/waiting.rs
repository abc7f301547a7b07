//! An entity and all that waits for it: events, retries and dead letters, as their keys tell.
//!
//! Only keys of one listing are in it. So whoever is done with the entity and deletes them deletes no key that came
//! later.

use crate::key::{Change, DeadLetterKey, EventKey, RetryKey};
use model::entity::Entity;

/// An entity and all that waits for it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The entity.
    pub entity: Entity,
    /// Its events, with the texts of their keys.
    pub events: Vec<(EventKey, String)>,
    /// Its retries, with the texts of their keys.
    pub retries: Vec<(RetryKey, String)>,
    /// The keys of its dead letters.
    pub dead_letters: Vec<String>,
    /// Whether a push of the entity failed in such a way that the destination may have it all the same, as the values of
    /// its retries and dead letters tell.
    pub was_made: bool,
    /// The dead letter whose own next try this is; none where anything else waits.
    pub(super) own_try: Option<DeadLetterKey>,
}

impl Waiting {
    pub(super) fn new(entity: Entity) -> Waiting {
        Waiting {
            entity,
            events: Vec::new(),
            retries: Vec::new(),
            dead_letters: Vec::new(),
            was_made: false,
            own_try: None,
        }
    }

    /// Attempts used up.
    pub fn attempts(&self) -> u32 {
        let blocking = self
            .retries
            .iter()
            .map(|(retry, _)| retry)
            .filter(|retry| !retry.is_recheck());
        let retry = blocking.max_by_key(|retry| (retry.attempts, retry.due_s));
        match (retry, &self.own_try) {
            (Some(retry), _) => retry.attempts,
            (None, Some(letter)) => letter.attempts,
            (None, None) => 0,
        }
    }

    /// The dead letter whose own next try this is.
    pub fn own_try(&self) -> Option<&DeadLetterKey> {
        self.own_try.as_ref()
    }

    /// Whether reconciliation alone asked for the entity, which then stands behind what the PIM told.
    pub fn is_reconciliation(&self) -> bool {
        !self.events.is_empty() && self.events.iter().all(|(event, _)| event.change.is_reconciliation())
    }

    /// Whether the PIM told that the entity was deleted.
    pub fn is_deletion_announced(&self) -> bool {
        self.events.iter().any(|(event, _)| event.change == Change::Deleted)
    }

    /// An entity for which nothing waits.
    pub fn of_nothing(entity: Entity) -> Waiting {
        Waiting::new(entity)
    }

    /// The same entity, read for the sake of another one: such a reading neither needs nor uses up one of a dead
    /// letter's own tries.
    #[must_use]
    pub fn asked_for_another(self) -> Waiting {
        Waiting { own_try: None, ..self }
    }

    /// Takes on what waits for the same entity under another spelling.
    pub fn join(&mut self, other: Waiting) {
        self.events.extend(other.events);
        self.retries.extend(other.retries);
        self.dead_letters.extend(other.dead_letters);
    }

    /// Whether the destination may have the entity although the index does not say so.
    pub fn may_be_there(&self) -> bool {
        self.is_deletion_announced() || self.is_recovered() || self.was_made
    }

    /// Whether a push of the entity was under way when a worker died, or may still have arrived later.
    pub fn is_recovered(&self) -> bool {
        self.events.iter().any(|(event, _)| event.change == Change::Recovered)
    }

    /// Whether the entity is to be pushed even where the index says that nothing changed.
    pub fn is_forced(&self) -> bool {
        self.forced_s().is_some()
    }

    /// When a forced push was last asked for, in seconds since the Unix epoch.
    pub fn forced_s(&self) -> Option<u64> {
        let forced = self.events.iter().filter(|(event, _)| event.change == Change::Forced);
        forced.map(|(event, _)| event.time_s).max()
    }

    /// When something was last told of the entity, in seconds since the Unix epoch.
    pub fn newest_s(&self) -> Option<u64> {
        self.events.iter().map(|(event, _)| event.time_s).max()
    }

    /// The oldest `updated` that reflects all its events, in seconds since the Unix epoch.
    pub fn oldest_updated_s(&self) -> Option<u64> {
        self.named_s().max()
    }

    /// The moments that its events name, in seconds since the Unix epoch: of each the oldest `updated` that reflects it.
    fn named_s(&self) -> impl Iterator<Item = u64> {
        self.events.iter().filter_map(|(event, _)| event.oldest_updated_s())
    }

    /// Whether one of its events names this `updated`, in seconds since the Unix epoch.
    pub fn names(&self, updated_s: u64) -> bool {
        self.named_s().any(|named_s| named_s == updated_s)
    }

    /// Of the entity's events that are meant, the key of the newest one.
    fn newest(&self, is_meant: impl Fn(&EventKey) -> bool) -> Option<&str> {
        let meant = self.events.iter().filter(|(event, _)| is_meant(event));
        meant
            .max_by_key(|(event, key)| (event.time_s, key))
            .map(|(_, key)| key.as_str())
    }

    /// The key of what the entity is pushed for: its newest event, or the dead letter that it is tried again for.
    pub fn cause(&self) -> &str {
        let letter = self.own_try().and(self.dead_letters.last());
        // Once a batch in flight has settled, nothing tells any more under which cause its pushes went. So the event
        // that it left behind is the cause, whatever other event names a later moment: that moment may lie ahead, and
        // the same cause might repeat an idempotency key.
        let recovered = self.newest(|event| event.change == Change::Recovered);
        let newest = recovered.or_else(|| self.newest(|_| true));
        newest.or(letter.map(String::as_str)).unwrap_or_default()
    }

    /// The key of the newest event for which the variants of a model are marked. An event that the marking of a model
    /// above raised does not count: that marking reaches all below by itself.
    pub fn newest_told_event(&self) -> Option<&str> {
        self.newest(|event| event.change != Change::Inherited)
    }

    /// Whether `updated` cannot tell that what a list gave reflects all events (contract 6, traps 9 and 11). It tells
    /// seconds: of two edits in one second the list may show the first only, and then two events name that second. And
    /// where the list gives what was pushed before, an event that names no later moment is an old one, or of a PIM
    /// whose clock was put back. The events for which the entity became a dead letter are gone with what they named.
    pub fn is_vague(&self, updated_s: u64, pushed_s: Option<u64>) -> bool {
        let is_pushed = pushed_s == Some(updated_s);
        self.named_s().filter(|named_s| *named_s == updated_s).count() > 1
            || (is_pushed && self.named_s().any(|named_s| named_s <= updated_s))
            || self.events.iter().any(|(event, _)| event.is_vague())
            || !self.dead_letters.is_empty()
    }

    /// Whether the entity has a recheck, now or later.
    pub fn has_recheck(&self) -> bool {
        self.retries.iter().any(|(retry, _)| retry.is_recheck())
    }

    /// When the recheck that is due now was to be, in seconds since the Unix epoch.
    pub fn due_recheck_s(&self, now_s: u64) -> Option<u64> {
        let rechecks = self.retries.iter().map(|(retry, _)| retry);
        let due = rechecks.filter(|retry| retry.is_recheck() && retry.is_due(now_s));
        due.map(|retry| retry.due_s).min()
    }

    /// The keys that are done with once the entity is: all that were listed, but for a recheck yet to come.
    pub fn done_keys(&self, now_s: u64) -> impl Iterator<Item = &String> {
        let retries = self.retries.iter().filter(move |(retry, _)| retry.is_over(now_s));
        let events = self.events.iter().map(|(_, key)| key);
        events.chain(retries.map(|(_, key)| key)).chain(&self.dead_letters)
    }
}
