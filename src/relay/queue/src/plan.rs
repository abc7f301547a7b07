//! From one listing of the store to the work of a tick.
//!
//! A plan is made of keys alone: it reads no value, and passes keys of others over. A listing can be long, so a plan
//! holds little of each key and reads the rest when an entity's turn comes.

use crate::waiting::Waiting;

use crate::in_flight::InFlight;
use crate::key::{Change, DeadLetterKey, Hold, Key, ListKey, PagePlace, Record, RetryKey};
use crate::keyspace::Keyspace;
use model::by_kind::ByKind;
use model::entity::{Entity, Kind, Segment, uuid_bytes};
use model::gathering::sort;
use std::collections::BTreeSet;
use world::mistake::{Mistake, made};

/// What planning needs to know of a key that concerns an entity. The rest is read from its text when its turn comes.
#[derive(Debug, Clone, Copy)]
struct Item {
    /// The number of the key's text.
    text: u32,
    /// Where in the text the entity's code stands.
    from: u8,
    to: u8,
    kind: Kind,
    what: What,
    /// When it happened, is due, or failed, in seconds since the Unix epoch.
    time_s: u64,
}

/// What a key says, without texts and moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Event(Change),
    Retry { attempts: u8, hold: Option<Hold> },
    DeadLetter { attempts: u8, left: u8 },
}

/// What one listing says.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    keys: Option<Keyspace>,
    /// The keys of the listing that are the application's own.
    texts: Vec<String>,
    /// The keys that concern an entity, entity by entity.
    items: Vec<Item>,
    /// Where in `items` the keys of each entity begin.
    begins: Vec<u32>,
    /// Batches whose pushes had begun.
    pub in_flight: Vec<InFlight>,
    /// What people asked for, oldest first.
    pub commands: Vec<String>,
    /// Lists that the PIM said changed, with the texts of their keys.
    pub stale: Vec<(ListKey, String)>,
    /// The lists whose reading has not come to its end.
    pub unfinished: Vec<ListKey>,
    /// Where the pages of the index lie.
    pub index: Vec<PagePlace>,
    /// Where the pages of who holds which identity lie.
    pub claims: Vec<PagePlace>,
    /// Where the pages of the files lie that the destination has.
    pub files: Vec<PagePlace>,
    /// Whether somebody wants the lease, or wanted it once.
    pub is_lease_wanted: bool,
    /// When a damaged page of the index was last set aside, in seconds since the Unix epoch.
    pub set_aside_s: Option<u64>,
    /// Models of which it is noted how far their change has reached their variants.
    pub marking: BTreeSet<Entity>,
    /// How many events wait.
    pub depth: u64,
    /// How many of these events the PIM told.
    pub told: u64,
    /// How many of these events the relay raised itself, those of entities that are held left out.
    pub own: u64,
    /// How many of these events reconciliation raised, those of entities that are held left out.
    pub reconciling: u64,
    /// The time of the oldest event that reconciliation did not raise, in seconds since the Unix epoch.
    pub oldest_s: Option<u64>,
    /// How many entities wait for another try.
    pub retrying: u64,
    /// How many entities lie in the dead letters.
    pub dead: u64,
    /// How many deletions the brake holds back, by kind.
    pub braked: ByKind<u64>,
}

impl Plan {
    /// Reads a listing. Keys of others are passed over.
    pub fn of(keys: &Keyspace, listing: impl IntoIterator<Item = String>) -> Plan {
        let mut plan = Plan {
            keys: Some(keys.clone()),
            texts: listing.into_iter().filter(|text| keys.is_own(text)).collect(),
            ..Plan::default()
        };
        for number in 0..plan.texts.len() {
            plan.sort_in(keys, number);
        }
        sort(&mut plan.commands, String::cmp);
        let (texts, mut items) = (&plan.texts, std::mem::take(&mut plan.items));
        let order = |item: &Item| {
            (
                item.kind,
                segment(texts, item),
                item.what,
                item.time_s,
                &texts[item.text as usize],
            )
        };
        sort(&mut items, |one, other| order(one).cmp(&order(other)));
        let is_first = |at: usize| {
            let entity = |item: &Item| (item.kind, segment(texts, item));
            at == 0 || entity(&items[at - 1]) != entity(&items[at])
        };
        plan.begins = (0..items.len()).filter(|at| is_first(*at)).map(number_of).collect();
        plan.items = items;
        plan.count();
        plan
    }

    fn sort_in(&mut self, keys: &Keyspace, number: usize) {
        let text = &self.texts[number];
        let (entity, what, time_s) = match keys.parse(text) {
            Some(Key::Event(event)) => (event.entity, What::Event(event.change), event.time_s),
            Some(Key::Retry(retry)) => {
                let attempts = small(retry.attempts);
                let hold = retry.hold;
                (retry.entity, What::Retry { attempts, hold }, retry.due_s)
            }
            Some(Key::DeadLetter(letter)) => {
                let (attempts, left) = (small(letter.attempts), small(letter.left));
                (letter.entity, What::DeadLetter { attempts, left }, letter.failed_s)
            }
            Some(Key::InFlight(_, time_s)) => {
                return self.in_flight.push(InFlight {
                    time_s,
                    key: text.clone(),
                });
            }
            Some(Key::Command(..)) => return self.commands.push(text.clone()),
            Some(Key::Reading(list)) => return self.unfinished.push(list),
            Some(Key::Stale(list, _)) => {
                self.depth += 1;
                return self.stale.push((list, text.clone()));
            }
            Some(Key::IndexPage(kind, extent, writer)) => return self.index.push((kind, extent, writer)),
            Some(Key::ClaimPage(kind, extent, writer)) => return self.claims.push((kind, extent, writer)),
            Some(Key::FilePage(extent, writer)) => return self.files.push((Kind::Product, extent, writer)),
            Some(Key::SetAside(time_s, _)) => {
                self.set_aside_s = self.set_aside_s.max(Some(time_s));
                return;
            }
            Some(Key::Record(Record::Wanted)) => {
                self.is_lease_wanted = true;
                return;
            }
            Some(Key::Fanout(entity)) => {
                self.marking.insert(entity);
                return;
            }
            _ => return,
        };
        let part = keys.entity_part(text);
        self.items.push(Item {
            text: number_of(number),
            from: small(number_of(part.start)),
            to: small(number_of(part.end)),
            kind: entity.kind,
            what,
            time_s,
        });
    }

    /// Counts what people and limits want to know.
    fn count(&mut self) {
        let mut braked = ByKind::default();
        let (mut told, mut own, mut reconciling, mut retrying, mut dead) = (0, 0, 0, 0, 0);
        let mut oldest_s: Option<u64> = None;
        let mut depth = 0;
        for number in self.numbers() {
            let facts = self.facts(number);
            let is_held = facts.retries().any(|(_, hold, _)| hold.is_some());
            for (change, time_s) in facts.events() {
                depth += 1;
                told += u64::from(change.is_told());
                own += u64::from(!change.is_told() && !is_held);
                reconciling += u64::from(change.is_reconciliation() && !is_held);
                if time_s > 0 && !change.is_reconciliation() {
                    oldest_s = Some(oldest_s.map_or(time_s, |oldest| oldest.min(time_s)));
                }
            }
            retrying += u64::from(facts.attempts() > 0 && !facts.is_own_try());
            dead += u64::from(facts.is_dead());
            if facts.is_braked() {
                *braked.at(facts.kind()) += 1;
            }
        }
        self.depth += depth;
        (self.told, self.own, self.reconciling) = (told, own, reconciling);
        (self.retrying, self.dead, self.oldest_s, self.braked) = (retrying, dead, oldest_s, braked);
    }

    /// The numbers of the entities.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        0..number_of(self.begins.len())
    }

    pub(crate) fn facts(&self, number: u32) -> Facts<'_> {
        let at = number as usize;
        let begin = self.begins[at] as usize;
        let end = self.begins.get(at + 1).map_or(self.items.len(), |end| *end as usize);
        Facts {
            plan: self,
            items: &self.items[begin..end],
        }
    }

    /// An entity with all that waits for it, read from its keys.
    pub(crate) fn waiting(&self, number: u32) -> Waiting {
        let facts = self.facts(number);
        let mut waiting = Waiting::new(facts.entity());
        for item in facts.items {
            let text = &self.texts[item.text as usize];
            match self.keys.as_ref().and_then(|keys| keys.parse(text)) {
                Some(Key::Event(event)) => waiting.events.push((event, text.clone())),
                Some(Key::Retry(retry)) => waiting.retries.push((retry, text.clone())),
                Some(Key::DeadLetter(letter)) => {
                    let is_newest = waiting
                        .own_try
                        .as_ref()
                        .is_none_or(|known| known.failed_s < letter.failed_s);
                    if is_newest && facts.is_own_try() {
                        waiting.own_try = Some(letter);
                    }
                    waiting.dead_letters.push(text.clone());
                }
                _ => {}
            }
        }
        waiting
    }

    /// Everything that waits for one entity.
    pub fn find(&self, entity: &Entity) -> Option<Waiting> {
        Some(self.waiting(self.number(entity)?))
    }

    /// Whether anything waits for an entity, a dead letter included.
    pub fn has(&self, entity: &Entity) -> bool {
        self.number(entity).is_some()
    }

    fn number(&self, entity: &Entity) -> Option<u32> {
        let wanted = (entity.kind, entity.segment.as_str());
        let of = |begin: &u32| {
            let item = &self.items[*begin as usize];
            (item.kind, segment(&self.texts, item)).cmp(&wanted)
        };
        self.begins.binary_search_by(of).ok().map(number_of)
    }

    /// Every entity that anything waits for, dead letters included.
    pub fn names(&self) -> impl Iterator<Item = Entity> {
        self.numbers().map(|number| self.facts(number).entity())
    }

    /// The entities that lie in the dead letters.
    pub fn dead(&self) -> impl Iterator<Item = Waiting> {
        let dead = self.numbers().filter(|number| self.facts(*number).is_dead());
        dead.map(|number| self.waiting(number))
    }

    /// The keys of those pages of the index that are meant, and of those that say who holds which identity.
    pub fn pages(&self, is_meant: impl Fn(&PagePlace) -> bool) -> Vec<String> {
        let of_index = self.index.iter().map(|place| (place, true));
        let all = of_index.chain(self.claims.iter().map(|place| (place, false)));
        let key = |((kind, extent, writer), is_of_index): (&PagePlace, bool)| match is_of_index {
            true => Key::IndexPage(*kind, *extent, writer.clone()),
            false => Key::ClaimPage(*kind, *extent, writer.clone()),
        };
        let keys = all.filter(|(place, _)| is_meant(place)).map(key);
        keys.filter_map(|key| Some(self.keys.as_ref()?.encode(&key))).collect()
    }

    /// The keys of the pages of the files that the destination has.
    pub fn file_pages(&self) -> Vec<String> {
        let pages = self
            .files
            .iter()
            .map(|(_, extent, writer)| Key::FilePage(*extent, writer.clone()));
        pages.filter_map(|key| Some(self.keys.as_ref()?.encode(&key))).collect()
    }

    /// The keys of all dead letters.
    pub fn dead_letters(&self) -> impl Iterator<Item = &String> {
        let letters = self
            .items
            .iter()
            .filter(|item| matches!(item.what, What::DeadLetter { .. }));
        letters.map(|item| &self.texts[item.text as usize])
    }

    /// The retries that the brake holds back, with their keys.
    pub fn held_back(&self) -> impl Iterator<Item = (RetryKey, &String)> {
        self.retries_that(|hold, _| hold.is_some_and(Hold::is_of_brake))
    }

    /// The retries that are due after a moment, in seconds since the Unix epoch, with their keys.
    pub fn put_off_beyond(&self, moment_s: u64) -> impl Iterator<Item = (RetryKey, &String)> {
        self.retries_that(move |hold, due_s| hold.is_none() && due_s > moment_s)
    }

    fn retries_that(&self, is_meant: impl Fn(Option<Hold>, u64) -> bool) -> impl Iterator<Item = (RetryKey, &String)> {
        let is_meant = move |item: &&Item| match item.what {
            What::Retry { hold, .. } => is_meant(hold, item.time_s),
            _ => false,
        };
        let keys = self
            .items
            .iter()
            .filter(is_meant)
            .map(|item| &self.texts[item.text as usize]);
        keys.filter_map(|text| match self.keys.as_ref()?.parse(text) {
            Some(Key::Retry(retry)) => Some((retry, text)),
            _ => None,
        })
    }

    /// Whether anything but dead letters waits for an entity.
    pub fn has_work(&self) -> bool {
        self.items
            .iter()
            .any(|item| !matches!(item.what, What::DeadLetter { .. }))
    }

    /// Whether anything is to be done at this time.
    pub fn is_idle(&self, now_s: u64, done_s: u64) -> bool {
        self.commands.is_empty()
            && self.stale.is_empty()
            && self.unfinished.is_empty()
            && !self.in_flight.iter().any(|batch| batch.is_due(now_s))
            && !self.numbers().any(|number| self.facts(number).is_due(now_s, done_s))
    }
}

/// What planning knows of an entity.
pub(crate) struct Facts<'a> {
    plan: &'a Plan,
    items: &'a [Item],
}

impl<'a> Facts<'a> {
    pub(crate) fn kind(&self) -> Kind {
        self.items[0].kind
    }

    pub(crate) fn segment(&self) -> &'a str {
        segment(&self.plan.texts, &self.items[0])
    }

    pub(crate) fn entity(&self) -> Entity {
        Entity {
            kind: self.kind(),
            segment: Segment::known(self.segment()),
        }
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (Change, u64)> + use<'a> {
        self.items.iter().filter_map(|item| match item.what {
            What::Event(change) => Some((change, item.time_s)),
            _ => None,
        })
    }

    pub(crate) fn retries(&self) -> impl Iterator<Item = (u8, Option<Hold>, u64)> + use<'a> {
        self.items.iter().filter_map(|item| match item.what {
            What::Retry { attempts, hold } => Some((attempts, hold, item.time_s)),
            _ => None,
        })
    }

    /// Its newest dead letter: attempts used up, tries of its own that are left, and when it failed.
    pub(crate) fn letter(&self) -> Option<(u8, u8, u64)> {
        let letters = self.items.iter().filter_map(|item| match item.what {
            What::DeadLetter { attempts, left } => Some((attempts, left, item.time_s)),
            _ => None,
        });
        letters.max_by_key(|(.., failed_s)| *failed_s)
    }

    pub(crate) fn has_events(&self) -> bool {
        self.events().next().is_some()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.letter().is_some()
    }

    /// The retry that counts: a worker that died may have left an older one.
    pub(crate) fn retry(&self) -> Option<(u8, Option<Hold>, u64)> {
        let blocking = self
            .retries()
            .filter(|(attempts, hold, _)| *attempts > 0 || hold.is_some());
        blocking.max_by_key(|(attempts, _, due_s)| (*attempts, *due_s))
    }

    pub(crate) fn attempts(&self) -> u32 {
        match (self.retry(), self.letter()) {
            (Some((attempts, ..)), _) => attempts.into(),
            (None, Some((attempts, ..))) if self.is_own_try() => attempts.into(),
            _ => 0,
        }
    }

    pub(crate) fn is_braked(&self) -> bool {
        self.retries().any(|(_, hold, _)| hold.is_some_and(Hold::is_of_brake))
    }

    /// Whether the entity's call was the probe of an upstream that is down.
    pub(crate) fn was_probe(&self) -> bool {
        self.retries().any(|(_, hold, _)| hold == Some(Hold::Probe)) && !made(Mistake::ProbeTheSame)
    }

    pub(crate) fn is_reconciliation(&self) -> bool {
        self.has_events() && self.events().all(|(change, _)| change.is_reconciliation())
    }

    /// Whether nothing waits for the entity but a dead letter.
    pub(crate) fn is_own_try(&self) -> bool {
        self.items
            .iter()
            .all(|item| matches!(item.what, What::DeadLetter { .. }))
    }

    /// Whether there is something to do at this time.
    pub(crate) fn is_due(&self, now_s: u64, done_s: u64) -> bool {
        if self.is_own_try() {
            let due = |(_, left, failed_s): (u8, u8, u64)| {
                DeadLetterKey::due_s(left.into(), failed_s).is_some_and(|due_s| due_s <= now_s && failed_s <= done_s)
            };
            return self.letter().is_some_and(due);
        }
        match self.retry() {
            // The brake holds only deletions that nobody announced, and an event has announced this one since.
            Some((_, Some(Hold::Brake), _)) if self.events().any(|(change, _)| change == Change::Deleted) => true,
            // The entity was in flight, so the destination may have it although the index does not know that.
            Some((_, Some(Hold::Unindexed), _)) if self.events().any(|(change, _)| change == Change::Recovered) => true,
            Some((attempts, hold, due_s)) => RetryKey::is_due_at(attempts.into(), hold, due_s, now_s),
            None => {
                self.has_events()
                    || self
                        .retries()
                        .any(|(_, _, due_s)| RetryKey::is_due_at(0, None, due_s, now_s))
            }
        }
    }

    /// Where the entity stands in the order of the index: products by their UUIDs, all else behind them by its segment.
    pub(crate) fn place(&self) -> Vec<u8> {
        let segment = self.segment();
        match Segment::known(segment).code().as_deref().and_then(uuid_bytes) {
            Some(uuid) => uuid.to_vec(),
            None => [&[u8::MAX; 17][..], segment.as_bytes()].concat(),
        }
    }
}

fn segment<'a>(texts: &'a [String], item: &Item) -> &'a str {
    texts[item.text as usize]
        .get(item.from.into()..item.to.into())
        .unwrap_or_default()
}

fn number_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
