//! From one listing of the store to the work of a tick.

use crate::entity::{Entity, Kind, Segment, uuid_bytes};
use crate::key::{Change, EventKey, Hold, Key, Keyspace, ListKey, RetryKey};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The most entities in one batch: what the PIM gives in one page (contract 4.4).
pub const BATCH_MAX: usize = 100;

/// Among how many of the oldest entities a batch may choose its neighbours in the index.
const WINDOW: usize = 3000;

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
}

impl Waiting {
    fn new(entity: Entity) -> Waiting {
        Waiting {
            entity,
            events: Vec::new(),
            retries: Vec::new(),
            dead_letters: Vec::new(),
        }
    }

    /// The retry that counts: a worker that died may have left an older one.
    fn retry(&self) -> Option<&RetryKey> {
        let blocking = self
            .retries
            .iter()
            .map(|(retry, _)| retry)
            .filter(|retry| !retry.is_recheck());
        blocking.max_by_key(|retry| (retry.attempts, retry.due_s))
    }

    /// Attempts used up.
    pub fn attempts(&self) -> u32 {
        self.retry().map_or(0, |retry| retry.attempts)
    }

    /// Whether there is something to do at this time.
    fn is_due(&self, now_s: u64) -> bool {
        match self.retry() {
            // The brake holds what nobody announced.
            Some(retry) if retry.hold == Some(Hold::Brake) && self.is_deletion_announced() => true,
            Some(retry) => retry.due_s <= now_s,
            None => !self.events.is_empty() || self.retries.iter().any(|(recheck, _)| recheck.due_s <= now_s),
        }
    }

    /// Whether it is held back for a reason that is not its own.
    fn is_held(&self) -> bool {
        self.retries.iter().any(|(retry, _)| retry.hold.is_some())
    }

    /// Whether the brake holds its deletion.
    pub fn is_braked(&self) -> bool {
        self.retries.iter().any(|(retry, _)| retry.hold == Some(Hold::Brake))
    }

    fn oldest_s(&self) -> u64 {
        self.events.iter().map(|(event, _)| event.time_s).min().unwrap_or(0)
    }

    /// Whether reconciliation alone asked for it: then it stands behind what the PIM told.
    pub fn is_reconciliation(&self) -> bool {
        !self.events.is_empty() && self.events.iter().all(|(event, _)| event.change.is_reconciliation())
    }

    /// Whether the PIM told that it was deleted.
    pub fn is_deletion_announced(&self) -> bool {
        self.events.iter().any(|(event, _)| event.change == Change::Deleted)
    }

    /// An entity for which nothing waits.
    pub(crate) fn of_nothing(entity: Entity) -> Waiting {
        Waiting::new(entity)
    }

    /// Takes on what waits for the same entity under another spelling.
    pub(crate) fn join(&mut self, other: Waiting) {
        self.events.extend(other.events);
        self.retries.extend(other.retries);
        self.dead_letters.extend(other.dead_letters);
    }

    /// Whether the destination may have it although the index does not say so.
    pub(crate) fn may_be_there(&self) -> bool {
        self.is_deletion_announced() || self.is_recovered()
    }

    /// Whether a push of it was under way when a worker died, or may still have arrived later.
    pub fn is_recovered(&self) -> bool {
        self.events.iter().any(|(event, _)| event.change == Change::Recovered)
    }

    /// Whether it is to be pushed even where the index says that nothing changed.
    pub fn is_forced(&self) -> bool {
        self.forced_s().is_some()
    }

    /// When that was last asked for, in seconds since the Unix epoch.
    pub fn forced_s(&self) -> Option<u64> {
        let forced = self.events.iter().filter(|(event, _)| event.change == Change::Forced);
        forced.map(|(event, _)| event.time_s).max()
    }

    /// When something was last told of it, in seconds since the Unix epoch.
    pub fn newest_s(&self) -> Option<u64> {
        self.events.iter().map(|(event, _)| event.time_s).max()
    }

    /// The oldest `updated` that reflects all its events, in seconds since the Unix epoch.
    pub fn oldest_updated_s(&self) -> Option<u64> {
        self.events
            .iter()
            .filter_map(|(event, _)| event.oldest_updated_s())
            .max()
    }

    /// The key of its newest event.
    pub fn newest_event(&self) -> Option<&str> {
        self.events
            .iter()
            .max_by_key(|(event, key)| (event.time_s, key))
            .map(|(_, key)| key.as_str())
    }

    /// When to look again although all went well, in seconds since the Unix epoch: the search index may have been
    /// behind, and `updated` could not tell (contract 6, traps 9 and 11).
    pub fn recheck_s(&self, now_s: u64) -> Option<u64> {
        let vague = self.events.iter().filter(|(event, _)| event.is_vague());
        vague
            .map(|(event, _)| event.time_s + RECHECK_S)
            .filter(|due_s| *due_s > now_s)
            .max()
    }

    /// Whether it is to be looked at again, now or later, although all went well.
    pub fn has_recheck(&self) -> bool {
        self.retries.iter().any(|(retry, _)| retry.is_recheck())
    }

    /// When the recheck that is due now was to be, in seconds since the Unix epoch.
    pub fn due_recheck_s(&self, now_s: u64) -> Option<u64> {
        let rechecks = self.retries.iter().map(|(retry, _)| retry);
        let due = rechecks.filter(|retry| retry.is_recheck() && retry.due_s <= now_s);
        due.map(|retry| retry.due_s).min()
    }

    /// The keys that are done with once the entity is: all that were listed, but for a recheck yet to come.
    pub fn done_keys(&self, now_s: u64) -> impl Iterator<Item = &String> {
        let retries = self.retries.iter().filter(move |(retry, _)| retry.is_over(now_s));
        let events = self.events.iter().map(|(_, key)| key);
        events.chain(retries.map(|(_, key)| key)).chain(&self.dead_letters)
    }
}

/// How long the search index is given to catch up, in seconds.
pub(crate) const RECHECK_S: u64 = 60;

/// A batch whose pushes had begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// When it was written, in seconds since the Unix epoch.
    pub time_s: u64,
    /// Its key.
    pub key: String,
}

/// What one listing says.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Every entity that anything waits for, dead letters included.
    pub entities: BTreeMap<Entity, Waiting>,
    /// Batches whose pushes had begun.
    pub in_flight: Vec<InFlight>,
    /// What people asked for, oldest first.
    pub commands: Vec<String>,
    /// Lists that the PIM said changed, with the texts of their keys.
    pub stale: Vec<(ListKey, String)>,
    /// The lists whose reading has not come to its end.
    pub unfinished: Vec<ListKey>,
    /// How many events wait.
    pub depth: u64,
    /// How many of them reconciliation raised, those that are held back left out.
    pub reconciling: u64,
    /// The time of the oldest event that others told, in seconds since the Unix epoch.
    pub oldest_s: Option<u64>,
    /// How many entities wait for another try.
    pub retrying: u64,
    /// How many entities lie in the dead letters.
    pub dead: u64,
    /// How many deletions the brake holds back, by kind.
    pub braked: BTreeMap<Kind, u64>,
}

impl Plan {
    /// Reads a listing. Keys of others are passed over.
    pub fn of(keys: &Keyspace, listing: impl IntoIterator<Item = String>) -> Plan {
        let mut plan = Plan::default();
        for text in listing {
            match keys.parse(&text) {
                Some(Key::Event(event)) => {
                    plan.depth += 1;
                    if event.time_s > 0 && !event.change.is_reconciliation() {
                        plan.oldest_s = Some(plan.oldest_s.map_or(event.time_s, |oldest| oldest.min(event.time_s)));
                    }
                    plan.waiting(&event.entity).events.push((event, text));
                }
                Some(Key::Retry(retry)) => plan.waiting(&retry.entity).retries.push((retry, text)),
                Some(Key::DeadLetter(entity, _)) => plan.waiting(&entity).dead_letters.push(text),
                Some(Key::InFlight(_, time_s)) => plan.in_flight.push(InFlight { time_s, key: text }),
                Some(Key::Command(..)) => {
                    let at = plan.commands.partition_point(|known| *known < text);
                    plan.commands.insert(at, text);
                }
                Some(Key::Reading(list)) => plan.unfinished.push(list),
                Some(Key::Stale(list, _)) => {
                    plan.depth += 1;
                    plan.stale.push((list, text));
                }
                _ => {}
            }
        }
        let count =
            |holds: fn(&Waiting) -> bool| plan.entities.values().filter(|waiting| holds(waiting)).count() as u64;
        plan.retrying = count(|waiting| waiting.attempts() > 0);
        plan.dead = count(|waiting| !waiting.dead_letters.is_empty());
        let queued = plan.entities.values().filter(|waiting| !waiting.is_held());
        let queued = queued.flat_map(|waiting| &waiting.events);
        plan.reconciling = queued.filter(|(event, _)| event.change.is_reconciliation()).count() as u64;
        for entity in plan
            .entities
            .values()
            .filter(|waiting| waiting.is_braked())
            .map(|waiting| &waiting.entity)
        {
            *plan.braked.entry(entity.kind).or_default() += 1;
        }
        plan
    }

    fn waiting(&mut self, entity: &Entity) -> &mut Waiting {
        self.entities
            .entry(entity.clone())
            .or_insert_with(|| Waiting::new(entity.clone()))
    }

    /// The due entities in batches of one kind: what the PIM told before what reconciliation found, oldest first,
    /// but within a few thousand so that neighbours in the index share a batch.
    pub fn batches(&self, now_s: u64) -> Vec<Vec<Waiting>> {
        let mut due: Vec<&Waiting> = self.entities.values().filter(|waiting| waiting.is_due(now_s)).collect();
        due.sort_by_key(|waiting| (waiting.is_reconciliation(), waiting.oldest_s()));
        let mut batches = Vec::new();
        for window in due.chunks_mut(WINDOW) {
            window.sort_by_cached_key(|waiting| {
                let kind = Reverse(waiting.entity.kind);
                (
                    waiting.is_reconciliation(),
                    kind,
                    batch_max(waiting.attempts()),
                    place(&waiting.entity.segment),
                )
            });
            let alike = window.chunk_by(|one, other| {
                let group = |waiting: &Waiting| {
                    (
                        waiting.is_reconciliation(),
                        waiting.entity.kind,
                        batch_max(waiting.attempts()),
                    )
                };
                group(one) == group(other)
            });
            for group in alike {
                let size = group.first().map_or(BATCH_MAX, |waiting| batch_max(waiting.attempts()));
                batches.extend(
                    group
                        .chunks(size)
                        .map(|batch| batch.iter().map(|waiting| (*waiting).clone()).collect()),
                );
            }
        }
        // What the PIM told first; of that, and of the rest, fresh entities first: one that has failed before must not
        // stand in the way of all others.
        let class = |batch: &Vec<Waiting>| {
            let first = batch.first();
            first.map(|waiting| (waiting.is_reconciliation(), waiting.attempts() > 0))
        };
        let mut sorted = Vec::with_capacity(batches.len());
        for next in [(false, false), (false, true), (true, false), (true, true)] {
            sorted.extend(batches.extract_if(.., |batch| class(batch) == Some(next)));
        }
        sorted
    }

    /// Whether anything is to be done at this time.
    pub fn is_idle(&self, now_s: u64) -> bool {
        self.commands.is_empty()
            && self.stale.is_empty()
            && self.unfinished.is_empty()
            && !self
                .in_flight
                .iter()
                .any(|batch| batch.time_s + crate::in_flight::SETTLED_S <= now_s)
            && !self.entities.values().any(|waiting| waiting.is_due(now_s))
    }
}

/// How many entities may share a batch after this many attempts: fewer each time, so that one that spoils a whole
/// batch soon stands alone.
fn batch_max(attempts: u32) -> usize {
    match attempts {
        0 => BATCH_MAX,
        1 => 25,
        2 => 5,
        _ => 1,
    }
}

/// Where an entity stands in the order of the index.
fn place(segment: &Segment) -> (Option<[u8; 16]>, Segment) {
    (segment.code().as_deref().and_then(uuid_bytes), segment.clone())
}
