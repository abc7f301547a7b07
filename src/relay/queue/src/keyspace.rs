//! The keys of one application, as texts, and read back.
//!
//! Every key begins with the format (`r1`) and the application's instance. A key of another beginning, or of a form
//! that is not known here, belongs to somebody else and is left alone.

use crate::key::{Change, DeadLetterKey, EventKey, Extent, Hold, Key, ListKey, Record, RetryKey, Writer};
use model::entity::{Entity, Kind, Segment};
use std::ops::Range;

/// The format of keys and values that this version writes and reads.
const FORMAT: &str = "r1";

/// The longest name of an instance, in bytes.
pub const INSTANCE_MAX: usize = 32;

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

    /// A key that a look at the store writes and takes away again. It is no key of the queue's, and left alone.
    pub fn preflight(&self, id: &Segment) -> String {
        format!("{}preflight.{}", self.prefix, id.as_str())
    }

    /// The key of what was sent to the Event Platform's management API. It is no key of the queue's, either.
    pub fn connection(&self) -> String {
        format!("{}connection", self.prefix)
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
            Key::IndexPage(kind, page, writer) => page_of('i', *kind, *page, writer),
            Key::ClaimPage(kind, page, writer) => page_of('j', *kind, *page, writer),
            Key::SetAside(time_s, key) => format!("x.{time_s}.{}", key.as_str()),
            Key::FilePage(page, None) => format!("m.{}", page.number_of_old_files()),
            Key::FilePage(page, writer) => written(format!("m.{}", page.text()), writer),
            Key::Command(time_s, id) => format!("c.{time_s:010}.{}", id.as_str()),
            Key::Journal(time_s, id) => format!("l.{time_s:010}.{}", id.as_str()),
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
                attempts: attempts
                    .trim_end_matches(Hold::LETTERS.map(|(_, letter)| letter))
                    .parse()
                    .ok()?,
                hold: Hold::LETTERS
                    .into_iter()
                    .find(|(_, letter)| attempts.ends_with(*letter))
                    .map(|(hold, _)| hold),
                due_s: parse_s(due)?,
            }),
            ["d", kind, segment, failed] => Key::DeadLetter(parse_letter(kind, segment, failed, "0", "0")?),
            ["d", kind, segment, failed, attempts, left] => {
                let letter = parse_letter(kind, segment, failed, attempts, left)?;
                // One that used up no attempt has none left, and its key ends with the time.
                Key::DeadLetter(Some(letter).filter(|letter| letter.attempts > 0)?)
            }
            ["f", token, time] => Key::InFlight(Segment::parse(token)?, parse_s(time)?),
            ["n", kind, segment] => Key::Fanout(parse_entity(kind, segment)?),
            ["i", kind, page, ref writer @ ..] => {
                Key::IndexPage(parse_kind(kind)?, Extent::parse(page)?, parse_writer(writer)?)
            }
            ["j", kind, page, ref writer @ ..] => {
                Key::ClaimPage(parse_kind(kind)?, Extent::parse(page)?, parse_writer(writer)?)
            }
            ["x", time, key] => Key::SetAside(parse_s(time)?, Segment::parse(key)?),
            ["m", page] => Key::FilePage(Extent::of_old_files(page.parse().ok()?)?, None),
            ["m", page, ref writer @ ..] => Key::FilePage(Extent::parse(page)?, parse_writer(writer)?),
            ["c", time, id] => Key::Command(parse_s(time)?, Segment::parse(id)?),
            ["l", time, id] => Key::Journal(parse_s(time)?, Segment::parse(id)?),
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

/// A page by its letter, as a worker wrote it.
fn page_of(letter: char, kind: Kind, extent: Extent, writer: &Writer) -> String {
    written(format!("{letter}.{}.{}", kind.letter(), extent.text()), writer)
}

/// A page, as a worker wrote it.
fn written(page: String, writer: &Writer) -> String {
    match writer {
        None => page,
        Some((worker, 0)) => format!("{page}.{}", worker.as_str()),
        Some((worker, part)) => format!("{page}.{}.{part}", worker.as_str()),
    }
}

fn parse_writer(parts: &[&str]) -> Option<Writer> {
    Some(match parts {
        [] => None,
        [worker] => Some((Segment::parse(worker)?, 0)),
        [worker, part] => Some((Segment::parse(worker)?, part.parse().ok().filter(|part| *part > 0)?)),
        _ => return None,
    })
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

/// A moment, in seconds since the Unix epoch; none for one so far ahead that no clock tells it in milliseconds.
fn parse_s(text: &str) -> Option<u64> {
    text.parse().ok().filter(|moment_s| *moment_s <= u64::MAX / 1000)
}

fn parse_letter(kind: &str, segment: &str, failed: &str, attempts: &str, left: &str) -> Option<DeadLetterKey> {
    Some(DeadLetterKey {
        entity: parse_entity(kind, segment)?,
        failed_s: parse_s(failed)?,
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
        time_s: parse_s(time)?,
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
        fn a_segment_is_read_if_a_code_has_it(text in prop_oneof![
            "[utxh]?[A-Za-z0-9_.-]{0,45}",
            "[uh][A-Za-z0-9_-]{21}[AQgw]",
            any_code().prop_map(|code| Segment::of(&code).as_str().to_owned()),
            any_code().prop_map(|code| format!("t{code}")),
        ]) {
            let parsed = Segment::parse(&text);
            if let Some(code) = Segment::known(&text).code() {
                prop_assert_eq!(parsed.is_some(), Segment::of(&code).as_str() == text);
            } else {
                // A digest in 22 letters, of whose last one only two bits count.
                let is_digest = text.len() == 23 && text.starts_with('h') && text.ends_with(['A', 'Q', 'g', 'w']);
                prop_assert_eq!(parsed.is_some(), is_digest && !text.contains('.'));
            }
        }

        #[test]
        fn the_other_keys_read_back(
            kind in any_kind(), code in any_code(), attempts in 0..9u32, hold in 0..5usize, time in 0..=9_999_999_999u64, first in any::<u128>(), other in any::<u128>(), part in any::<u32>(), files in 0..1024u16,
        ) {
            let keys = Keyspace::new("main");
            let entity = Entity::new(kind, &code);
            let hold = [None, Some(Hold::Probe), Some(Hold::Brake), Some(Hold::Doubt), Some(Hold::Unindexed)][hold];
            for key in [
                Key::Retry(RetryKey { entity: entity.clone(), attempts, hold, due_s: time }),
                Key::DeadLetter(DeadLetterKey { entity: entity.clone(), failed_s: time, attempts, left: if attempts == 0 { 0 } else { 2 } }),
                Key::Fanout(entity),
                Key::InFlight(Segment::of(&code), time),
                Key::IndexPage(kind, Extent::around(first), None),
                Key::ClaimPage(kind, Extent::around(first), Some((Segment::of(&code), 0))),
                Key::IndexPage(kind, Extent { first: first.min(other), last: first.max(other) }, Some((Segment::of(&code), part))),
                Key::SetAside(time, Segment::of(&code)),
                Key::FilePage(Extent::of_old_files(files).expect("a page"), None),
                Key::FilePage(Extent { first: first.min(other), last: first.max(other) }, Some((Segment::of(&code), part))),
                Key::Command(time, Segment::of(&code)),
                Key::Journal(time, Segment::of(&code)),
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
