//! The keys of the store. The queue is its keys: one listing plans a whole tick, and values are for people.
//!
//! Every key begins with the format (`r1`) and the application's instance. A key of another beginning, or of a form
//! that is not known here, belongs to somebody else and is left alone. A key is at most 200 bytes long.

use crate::retry::{DELAY_MAX_S, WAIT_MAX_S};
use model::entity::{Entity, Kind, Segment};
use model::time::{CLOCKS_S, SKEW_S};
use std::ops::Range;

/// The format of keys and values that this version writes and reads.
const FORMAT: &str = "r1";

/// The longest name of an instance, in bytes.
pub const INSTANCE_MAX: usize = 32;

/// How many pages there are: of a million files each holds about 35 KB.
pub const MEDIA_PAGES: u16 = 1024;

/// How long the search index is given to catch up, in seconds.
pub const RECHECK_S: u64 = 60;

/// How late the search index and the sender's clock may make an entity look, in seconds, where an event names no
/// `updated` of its own: the entity is good if it was updated at most this long before the event.
pub const UNTOLD_FLOOR_S: i64 = 5;

/// Why an entity is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The PIM said that it was created.
    Created,
    /// The PIM said that it was updated.
    Updated,
    /// The PIM said that it was deleted.
    Deleted,
    /// The PIM said that it became complete or incomplete, which `updated` does not tell (contract 3.4).
    Completeness,
    /// One of its models changed, which `updated` does not tell (contract 5).
    Inherited,
    /// A person asked for another try.
    Replayed,
    /// A push of it was under way when a worker died, or may still arrive.
    Recovered,
    /// Reconciliation found it different.
    Reconciled,
    /// A person asked for a push, changed or not.
    Forced,
}

impl Change {
    /// Every change, its letter in a key, and its name for people.
    const NAMES: [(Change, char, &str); 9] = [
        (Change::Created, 'c', "created"),
        (Change::Updated, 'u', "updated"),
        (Change::Deleted, 'd', "deleted"),
        (Change::Completeness, 'k', "completeness"),
        (Change::Inherited, 'i', "inherited"),
        (Change::Replayed, 'y', "replayed"),
        (Change::Recovered, 'f', "recovered"),
        (Change::Reconciled, 'r', "reconciled"),
        (Change::Forced, 'o', "forced"),
    ];

    fn letter(self) -> char {
        let found = Change::NAMES.into_iter().find(|(change, ..)| *change == self);
        found.map_or('?', |(_, letter, _)| letter)
    }

    fn of_letter(letter: char) -> Option<Change> {
        let found = Change::NAMES.into_iter().find(|(_, known, _)| *known == letter);
        found.map(|(change, ..)| change)
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        let found = Change::NAMES.into_iter().find(|(change, ..)| *change == self);
        found.map_or("", |(.., name)| name)
    }

    /// Whether reconciliation raised it: such events stand behind all others.
    pub fn is_reconciliation(self) -> bool {
        matches!(self, Change::Reconciled | Change::Forced)
    }

    /// Whether the PIM told it, rather than that the relay raised it.
    pub fn is_told(self) -> bool {
        matches!(
            self,
            Change::Created | Change::Updated | Change::Deleted | Change::Completeness
        )
    }

    /// Whether the entity's own `updated` may not have moved although its content did.
    pub fn leaves_updated_alone(self) -> bool {
        matches!(self, Change::Completeness | Change::Inherited)
    }
}

/// All that an event's key says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// When it happened by the sender's clock, in seconds since the Unix epoch; 0 where it did not say.
    pub time_s: u64,
    /// What happened.
    pub change: Change,
    /// How far before `time_s` the entity's `updated` must at least lie, in seconds (negative: after); none where
    /// the entity cannot be too old.
    pub floor_s: Option<i64>,
    /// The entity.
    pub entity: Entity,
    /// The event's own id.
    pub id: Segment,
}

impl EventKey {
    /// Whether `updated` cannot tell for certain that the entity reflects the event.
    pub fn is_vague(&self) -> bool {
        self.change.leaves_updated_alone() || self.floor_s == Some(UNTOLD_FLOOR_S)
    }

    /// The oldest `updated` that reflects the event, in seconds since the Unix epoch.
    pub fn oldest_updated_s(&self) -> Option<u64> {
        self.floor_s
            .map(|floor| self.time_s.saturating_add_signed(floor.saturating_neg()))
    }
}

/// Why an entity is held back that is not at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// Its call served as a probe of an upstream that is down; the next probe is to be another's.
    Probe,
    /// The brake holds its deletion.
    Brake,
    /// The PIM has nothing of it by its id, and its list does not lack it: a minute later that decides.
    Doubt,
}

impl Hold {
    const LETTERS: [(Hold, char); 3] = [(Hold::Probe, 'h'), (Hold::Brake, 'b'), (Hold::Doubt, 'd')];
}

/// All that a retry's key says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RetryKey {
    /// The entity.
    pub entity: Entity,
    /// Attempts used up; 0 is a recheck.
    pub attempts: u32,
    /// Held back for a reason that is not the entity's own: its events wait, and no attempt is used.
    pub hold: Option<Hold>,
    /// When to look again, in seconds since the Unix epoch.
    pub due_s: u64,
}

impl RetryKey {
    /// Whether all went well, and it is only to be looked at again.
    pub fn is_recheck(&self) -> bool {
        self.attempts == 0 && self.hold.is_none()
    }

    /// Whether it is over once the entity was worked on: a recheck yet to come is not.
    pub fn is_over(&self, now_s: u64) -> bool {
        !self.is_recheck() || self.is_due(now_s)
    }

    /// Whether its time has come.
    pub fn is_due(&self, now_s: u64) -> bool {
        RetryKey::is_due_at(self.attempts, self.hold, self.due_s, now_s)
    }

    /// Whether a moment has come, for a key that says the rest. One that lies further ahead than any such key can ask
    /// to wait is of a clock that was wrong, and counts as come.
    pub fn is_due_at(attempts: u32, hold: Option<Hold>, due_s: u64, now_s: u64) -> bool {
        let longest_s = match (hold, attempts) {
            (Some(_), _) => DELAY_MAX_S,
            // Made later where the clocks of hosts are known to differ.
            (None, 0) => RECHECK_S + 2 * SKEW_S,
            (None, _) => WAIT_MAX_S,
        };
        due_s <= now_s || due_s > now_s + longest_s + CLOCKS_S
    }
}

/// All that a dead letter's key says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeadLetterKey {
    /// The entity.
    pub entity: Entity,
    /// When it was given up, in seconds since the Unix epoch.
    pub failed_s: u64,
    /// Attempts used up.
    pub attempts: u32,
    /// How many tries it is still given without anybody asking.
    pub left: u32,
}

/// How long after it was given up an entity is tried again by itself, in seconds: the first time and the second.
/// The first comes behind all that waits, and so at the end of the load that it was refused in; a tick comes up to ten
/// seconds later, and within a minute people would look.
const OWN_TRIES_S: [u64; 2] = [30, 3600];

impl DeadLetterKey {
    /// One that only people try again.
    pub fn new(entity: Entity, failed_s: u64) -> DeadLetterKey {
        DeadLetterKey {
            entity,
            failed_s,
            attempts: 0,
            left: 0,
        }
    }

    /// How many tries what was just refused is given without anybody asking.
    pub const OWN_TRIES: u32 = OWN_TRIES_S.len() as u32;

    /// When an entity that has so many tries of its own left is tried again, in seconds since the Unix epoch.
    pub fn due_s(left: u32, failed_s: u64) -> Option<u64> {
        let after_s = OWN_TRIES_S.iter().rev().nth((left as usize).checked_sub(1)?)?;
        Some(failed_s + after_s)
    }
}

/// A list of the PIM in which shapes look things up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListKey {
    /// The attributes.
    Attributes,
    /// The families.
    Families,
    /// The category trees.
    Categories,
    /// The options of an attribute.
    Options(Segment),
}

impl ListKey {
    /// The options of an attribute, in whichever letter case it is named.
    pub fn options(attribute: &str) -> ListKey {
        ListKey::Options(Segment::of(&attribute.to_ascii_lowercase()))
    }

    fn encode(&self) -> String {
        match self {
            ListKey::Attributes => "a".to_owned(),
            ListKey::Families => "f".to_owned(),
            ListKey::Categories => "c".to_owned(),
            ListKey::Options(attribute) => format!("o.{}", attribute.as_str()),
        }
    }

    fn parse(parts: &[&str]) -> Option<ListKey> {
        match parts {
            ["a"] => Some(ListKey::Attributes),
            ["f"] => Some(ListKey::Families),
            ["c"] => Some(ListKey::Categories),
            ["o", attribute] => Segment::parse(attribute).map(ListKey::Options),
            _ => None,
        }
    }
}

/// A key, understood.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// An event that waits.
    Event(EventKey),
    /// When and how often an entity was tried.
    Retry(RetryKey),
    /// An entity given up.
    DeadLetter(DeadLetterKey),
    /// A batch whose pushes have begun: the worker's token, and when (seconds since the Unix epoch).
    InFlight(Segment, u64),
    /// How far a model's change has reached its variants.
    Fanout(Entity),
    /// A page of what was last pushed, as one worker wrote it: by that worker's token, and which part of it. One without is
    /// of a version that had no others.
    IndexPage(Kind, u8, Option<(Segment, u8)>),
    /// A page of the files that the destination has.
    MediaPage(u16),
    /// Something a person asked the worker to do: when (seconds since the Unix epoch), and an id.
    Command(u64, Segment),
    /// A PIM's token, by a digest of the credentials.
    Token(Segment),
    /// A list of the PIM, as it was last read.
    List(ListKey),
    /// A reading of a list that has not come to its end.
    Reading(ListKey),
    /// The PIM said that a list changed; with the event's own id.
    Stale(ListKey, Segment),
    /// One of the single records.
    Record(Record),
}

/// The single records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// Who works.
    Lease,
    /// What the worker keeps between ticks.
    State,
    /// What the worker did, for people.
    History,
    /// What the worker publishes: the depth of the queue for ingest, and figures for people.
    Status,
    /// What the index was built for.
    Meta,
    /// What a shape that is not adopted yet would do.
    Rehearsal,
    /// The last refused delivery.
    Refused,
    /// What the Event Platform last said of the subscription.
    Notification,
    /// How far reconciliation has come.
    Reconciliation,
    /// Since when ingest has known the worker's last count, by its own clock.
    Counted,
}

impl Record {
    const NAMES: [(Record, &str); 10] = [
        (Record::Lease, "lease"),
        (Record::State, "state"),
        (Record::History, "history"),
        (Record::Status, "status"),
        (Record::Meta, "meta"),
        (Record::Rehearsal, "rehearsal"),
        (Record::Refused, "refused"),
        (Record::Notification, "notification"),
        (Record::Reconciliation, "reconciliation"),
        (Record::Counted, "counted"),
    ];
}

/// The keys of one application: an instance in a store that others may share.
#[derive(Debug, Clone)]
pub struct Keyspace {
    prefix: String,
}

impl Keyspace {
    /// The keys of this instance: 1 to [`INSTANCE_MAX`] of `a-z`, `0-9` and `-`, as the configuration checks.
    pub fn new(instance: &str) -> Keyspace {
        debug_assert!(is_instance(instance));
        Keyspace {
            prefix: format!("{FORMAT}.{instance}."),
        }
    }

    /// The instance's name.
    pub fn instance(&self) -> &str {
        self.prefix.split('.').nth(1).unwrap_or_default()
    }

    /// The text of a key.
    pub fn encode(&self, key: &Key) -> String {
        let rest = match key {
            Key::Event(event) => {
                let floor = event.floor_s.map(|floor| floor.to_string()).unwrap_or_default();
                format!(
                    "e.{:010}.{}{}{floor}.{}.{}",
                    event.time_s,
                    event.entity.kind.letter(),
                    event.change.letter(),
                    event.entity.segment.as_str(),
                    event.id.as_str()
                )
            }
            Key::Retry(retry) => {
                let letter = |hold| Hold::LETTERS.into_iter().find(|(known, _)| *known == hold);
                let hold = retry
                    .hold
                    .and_then(letter)
                    .map(|(_, letter)| letter.to_string())
                    .unwrap_or_default();
                format!("r.{}.{}{hold}.{}", retry.entity.key(), retry.attempts, retry.due_s)
            }
            Key::DeadLetter(letter) if letter.attempts == 0 => {
                format!("d.{}.{}", letter.entity.key(), letter.failed_s)
            }
            Key::DeadLetter(letter) => {
                let entity = letter.entity.key();
                format!("d.{entity}.{}.{}.{}", letter.failed_s, letter.attempts, letter.left)
            }
            Key::InFlight(token, time_s) => format!("f.{}.{time_s}", token.as_str()),
            Key::Fanout(of) => format!("n.{}", of.key()),
            Key::IndexPage(kind, page, None) => format!("i.{}.{page}", kind.letter()),
            Key::IndexPage(kind, page, Some((worker, 0))) => format!("i.{}.{page}.{}", kind.letter(), worker.as_str()),
            Key::IndexPage(kind, page, Some((worker, part))) => {
                format!("i.{}.{page}.{}.{part}", kind.letter(), worker.as_str())
            }
            Key::MediaPage(page) => format!("m.{page}"),
            Key::Command(time_s, id) => format!("c.{time_s:010}.{}", id.as_str()),
            Key::Token(credentials) => format!("t.{}", credentials.as_str()),
            Key::List(list) => format!("k.{}", list.encode()),
            Key::Reading(list) => format!("w.{}", list.encode()),
            Key::Stale(list, id) => format!("v.{}.{}", list.encode(), id.as_str()),
            Key::Record(record) => {
                let name = Record::NAMES
                    .into_iter()
                    .find(|(known, _)| known == record)
                    .map_or("", |(_, name)| name);
                name.to_owned()
            }
        };
        format!("{}{rest}", self.prefix)
    }

    /// The key behind a text, if it is one of ours.
    pub fn parse(&self, text: &str) -> Option<Key> {
        let rest = text.strip_prefix(&self.prefix)?;
        if let Some((record, _)) = Record::NAMES.into_iter().find(|(_, name)| *name == rest) {
            return Some(Key::Record(record));
        }
        let parts: Vec<&str> = rest.split('.').collect();
        Some(match parts[..] {
            ["e", time, what, segment, id] => Key::Event(parse_event(time, what, segment, id)?),
            ["r", kind, segment, attempts, due] => Key::Retry(RetryKey {
                entity: parse_entity(kind, segment)?,
                attempts: attempts.trim_end_matches(['h', 'b', 'd']).parse().ok()?,
                hold: Hold::LETTERS
                    .into_iter()
                    .find(|(_, letter)| attempts.ends_with(*letter))
                    .map(|(hold, _)| hold),
                due_s: due.parse().ok()?,
            }),
            ["d", kind, segment, failed] => Key::DeadLetter(parse_letter(kind, segment, failed, "0", "0")?),
            ["d", kind, segment, failed, attempts, left] => {
                Key::DeadLetter(parse_letter(kind, segment, failed, attempts, left)?)
            }
            ["f", token, time] => Key::InFlight(Segment::parse(token)?, time.parse().ok()?),
            ["n", kind, segment] => Key::Fanout(parse_entity(kind, segment)?),
            ["i", kind, page] => Key::IndexPage(parse_kind(kind)?, page.parse().ok()?, None),
            ["i", kind, page, worker] => {
                let writer = Some((Segment::parse(worker)?, 0));
                Key::IndexPage(parse_kind(kind)?, page.parse().ok()?, writer)
            }
            ["i", kind, page, worker, part] => {
                let writer = Some((Segment::parse(worker)?, part.parse().ok().filter(|part| *part > 0)?));
                Key::IndexPage(parse_kind(kind)?, page.parse().ok()?, writer)
            }
            ["m", page] => Key::MediaPage(page.parse().ok()?),
            ["c", time, id] => Key::Command(time.parse().ok()?, Segment::parse(id)?),
            ["t", credentials] => Key::Token(Segment::parse(credentials)?),
            ["k", ref list @ ..] => Key::List(ListKey::parse(list)?),
            ["w", ref list @ ..] => Key::Reading(ListKey::parse(list)?),
            ["v", ref list @ .., id] => Key::Stale(ListKey::parse(list)?, Segment::parse(id)?),
            _ => return None,
        })
    }

    /// Whether a key begins as this application's keys do.
    pub fn is_own(&self, text: &str) -> bool {
        text.starts_with(&self.prefix)
    }

    /// Where the entity's code stands in the text of an event's, a retry's or a dead letter's key.
    pub fn entity_part(&self, text: &str) -> Range<usize> {
        let rest = text.get(self.prefix.len()..).unwrap_or_default();
        let before = if rest.starts_with("e.") { 3 } else { 2 };
        let mut from = self.prefix.len();
        for part in rest.split('.').take(before) {
            from += part.len() + 1;
        }
        let length = text.get(from..).and_then(|rest| rest.find('.')).unwrap_or(0);
        from..from + length
    }

    /// The text of a single record's key.
    pub fn record(&self, record: Record) -> String {
        self.encode(&Key::Record(record))
    }
}

/// Whether an instance's name can stand in a key.
pub fn is_instance(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= INSTANCE_MAX && name.chars().all(allowed)
}

fn parse_kind(text: &str) -> Option<Kind> {
    let mut letters = text.chars();
    let kind = Kind::of_letter(letters.next()?)?;
    letters.next().is_none().then_some(kind)
}

fn parse_entity(kind: &str, segment: &str) -> Option<Entity> {
    Some(Entity {
        kind: parse_kind(kind)?,
        segment: Segment::parse(segment)?,
    })
}

fn parse_letter(kind: &str, segment: &str, failed: &str, attempts: &str, left: &str) -> Option<DeadLetterKey> {
    Some(DeadLetterKey {
        entity: parse_entity(kind, segment)?,
        failed_s: failed.parse().ok()?,
        attempts: attempts.parse().ok()?,
        left: left.parse().ok()?,
    })
}

fn parse_event(time: &str, what: &str, segment: &str, id: &str) -> Option<EventKey> {
    let mut letters = what.chars();
    let kind = Kind::of_letter(letters.next()?)?;
    let change = Change::of_letter(letters.next()?)?;
    let floor_s = match letters.as_str() {
        "" => None,
        floor => Some(floor.parse().ok()?),
    };
    Some(EventKey {
        time_s: time.parse().ok()?,
        change,
        floor_s,
        entity: Entity {
            kind,
            segment: Segment::parse(segment)?,
        },
        id: Segment::parse(id)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_change() -> impl Strategy<Value = Change> {
        (0..Change::NAMES.len()).prop_map(|n| Change::NAMES[n].0)
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        (0..Kind::ALL.len()).prop_map(|n| Kind::ALL[n])
    }

    /// Codes of every form: any text, long text, UUIDs in either case, and what looks like an encoded segment.
    fn any_code() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[A-Za-z0-9_.-]{0,60}",
            "[utxh][A-Za-z0-9_-]{0,24}",
            any::<[u8; 16]>().prop_map(|bytes| model::entity::uuid_text(&bytes)),
            any::<[u8; 16]>().prop_map(|bytes| model::entity::uuid_text(&bytes).to_uppercase()),
        ]
    }

    prop_compose! {
        fn any_event()(
            time_s in 0..=9_999_999_999u64,
            change in any_change(),
            floor_s in proptest::option::of(-9_999_999_999i64..=9_999_999_999),
            kind in any_kind(),
            code in any_code(),
            id in any_code(),
        ) -> EventKey {
            EventKey { time_s, change, floor_s, entity: Entity::new(kind, &code), id: Segment::of(&id) }
        }
    }

    fn well_formed(key: &str) -> bool {
        key.len() <= 200 && key.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
    }

    proptest! {
        #[test]
        fn an_event_key_reads_back(event in any_event(), instance in "[a-z0-9-]{1,32}") {
            let keys = Keyspace::new(&instance);
            let text = keys.encode(&Key::Event(event.clone()));
            prop_assert!(well_formed(&text), "{}", text);
            prop_assert_eq!(keys.parse(&text), Some(Key::Event(event)));
        }

        #[test]
        fn different_events_never_share_a_key(one in any_event(), other in any_event()) {
            let keys = Keyspace::new("main");
            let same = keys.encode(&Key::Event(one.clone())) == keys.encode(&Key::Event(other.clone()));
            prop_assert_eq!(same, one == other);
        }

        #[test]
        fn a_code_reads_back_and_has_one_segment(code in any_code(), other in any_code()) {
            let segment = Segment::of(&code);
            prop_assert_eq!(Segment::parse(segment.as_str()), Some(segment.clone()));
            if let Some(read) = segment.code() {
                prop_assert_eq!(&read, &code);
            } else {
                prop_assert!(code.len() > 40);
            }
            prop_assert_eq!(segment == Segment::of(&other), code == other);
        }

        #[test]
        fn the_other_keys_read_back(
            kind in any_kind(), code in any_code(), attempts in 0..9u32, hold in 0..4usize, time in 0..=9_999_999_999u64, page in 0..128u8, files in 0..1024u16,
        ) {
            let keys = Keyspace::new("main");
            let entity = Entity::new(kind, &code);
            let hold = [None, Some(Hold::Probe), Some(Hold::Brake), Some(Hold::Doubt)][hold];
            for key in [
                Key::Retry(RetryKey { entity: entity.clone(), attempts, hold, due_s: time }),
                Key::DeadLetter(DeadLetterKey { entity: entity.clone(), failed_s: time, attempts, left: if attempts == 0 { 0 } else { 2 } }),
                Key::Fanout(entity),
                Key::InFlight(Segment::of(&code), time),
                Key::IndexPage(kind, page, None),
                Key::IndexPage(kind, page, Some((Segment::of(&code), page))),
                Key::MediaPage(files),
                Key::Command(time, Segment::of(&code)),
                Key::Token(Segment::of(&code)),
                Key::List(ListKey::Attributes),
                Key::List(ListKey::Families),
                Key::Reading(ListKey::Options(Segment::of(&code))),
                Key::List(ListKey::Options(Segment::of(&code))),
                Key::Stale(ListKey::Categories, Segment::of(&code)),
                Key::Stale(ListKey::Options(Segment::of(&code)), Segment::of(&code)),
            ] {
                let text = keys.encode(&key);
                prop_assert!(well_formed(&text), "{}", text);
                prop_assert_eq!(keys.parse(&text), Some(key));
            }
        }

        #[test]
        fn any_text_is_parsed_or_left_alone(text in any::<String>(), tail in "[eridfnctkvsm]?[A-Za-z0-9._-]{0,80}") {
            let keys = Keyspace::new("main");
            keys.parse(&text);
            let text = format!("r1.main.{tail}");
            if let Some(key @ (Key::Fanout(_) | Key::Token(_))) = keys.parse(&text) {
                prop_assert_eq!(keys.encode(&key), text);
            }
        }
    }

    #[test]
    fn a_typical_event_key_is_short() {
        let event = EventKey {
            time_s: 1_732_190_400,
            change: Change::Updated,
            floor_s: Some(5),
            entity: Entity::new(Kind::Product, "25566245-55c3-42ce-86d9-8610ac459fa8"),
            id: Segment::of("a6b9c3f0-7b32-4c4e-9d1a-0c0a5a1f3e55"),
        };
        let text = Keyspace::new("main").encode(&Key::Event(event));
        assert!(text.len() <= 72, "{} bytes: {text}", text.len());
    }

    #[test]
    fn records_read_back_and_others_keys_are_left_alone() {
        let keys = Keyspace::new("main");
        for (record, _) in Record::NAMES {
            assert_eq!(keys.parse(&keys.record(record)), Some(Key::Record(record)));
        }
        for foreign in [
            "r2.main.lease",
            "r1.other.lease",
            "r1.main.leases",
            "r1.main.e.1.pu.x",
            "session:1",
            "",
        ] {
            assert_eq!(keys.parse(foreign), None, "{foreign}");
        }
    }
}
