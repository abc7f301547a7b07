//! The keys of the store. The queue is its keys: one listing plans a whole tick, and values are for people.
//!
//! Every key begins with the format (`r1`) and the application's instance. A key of another beginning, or of a form
//! that is not known here, belongs to somebody else and is left alone. A key is at most 200 bytes long.

use crate::retry::{DELAY_MAX_S, WAIT_MAX_S};
use model::entity::{Entity, Kind, Segment};
use model::time::{CLOCKS_S, SKEW_S};

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
    pub(crate) const NAMES: [(Change, char, &str); 9] = [
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

    pub(crate) fn letter(self) -> char {
        let found = Change::NAMES.into_iter().find(|(change, ..)| *change == self);
        found.map_or('?', |(_, letter, _)| letter)
    }

    pub(crate) fn of_letter(letter: char) -> Option<Change> {
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
    /// How far before `time_s` the entity's `updated` may lie at most, in seconds (negative: after); none where
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
    /// The brake holds its deletion, which was announced: the index does not know that the destination has it.
    Unindexed,
}

impl Hold {
    pub(crate) const LETTERS: [(Hold, char); 4] = [
        (Hold::Probe, 'h'),
        (Hold::Brake, 'b'),
        (Hold::Doubt, 'd'),
        (Hold::Unindexed, 'u'),
    ];

    /// Whether the brake holds it.
    pub fn is_of_brake(self) -> bool {
        matches!(self, Hold::Brake | Hold::Unindexed)
    }
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

    pub(crate) fn encode(&self) -> String {
        match self {
            ListKey::Attributes => "a".to_owned(),
            ListKey::Families => "f".to_owned(),
            ListKey::Categories => "c".to_owned(),
            ListKey::Options(attribute) => format!("o.{}", attribute.as_str()),
        }
    }

    pub(crate) fn parse(parts: &[&str]) -> Option<ListKey> {
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
    IndexPage(Kind, Extent, Writer),
    /// A page of who holds which identity at the destination, as one worker wrote it.
    ClaimPage(Kind, Extent, Writer),
    /// A page of the index that was damaged: when it was set aside (seconds since the Unix epoch), and the key that it had.
    SetAside(u64, Segment),
    /// A page of the files that the destination has, as one worker wrote it. One without a worker is of a version that had
    /// 1,024 such pages, whatever lay in them.
    FilePage(Extent, Writer),
    /// Something a person asked the worker to do: when (seconds since the Unix epoch), and an id.
    Command(u64, Segment),
    /// Something a person asked for, to be read later: when (seconds since the Unix epoch), and an id.
    Journal(u64, Segment),
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

/// Which worker wrote a page, and how many parts of pages it had written before: it uses no key twice, so that no write or
/// deletion of its own that lands late hits what it wrote since. None is of an older version.
pub type Writer = Option<(Segment, u32)>;

/// Which places of the index a page holds: from the first to the last, both included. A place is a UUID or the
/// beginning of a hash, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// The first place.
    pub first: u128,
    /// The last place.
    pub last: u128,
}

impl Extent {
    /// By how many bits places differ that a page has which was never split: there are 128 such pages, as older versions
    /// had them, which split none.
    const BITS: u32 = 121;

    /// The page of a place, before it is ever split.
    pub fn around(place: u128) -> Extent {
        let first = place >> Extent::BITS << Extent::BITS;
        let last = first | ((1 << Extent::BITS) - 1);
        Extent { first, last }
    }

    /// By how many bits places differ that a page of files had of a version which split none: there were 1,024.
    const OLD_FILES_BITS: u32 = 118;

    /// The page of files of this number, as versions had them that split none.
    pub(crate) fn of_old_files(number: u16) -> Option<Extent> {
        let first = u128::from(number) << Extent::OLD_FILES_BITS;
        let last = first | ((1 << Extent::OLD_FILES_BITS) - 1);
        (number < 1024).then_some(Extent { first, last })
    }

    /// The number of that page.
    pub(crate) fn number_of_old_files(self) -> u16 {
        (self.first >> Extent::OLD_FILES_BITS) as u16
    }

    /// Whether a place lies in it.
    pub fn contains(&self, place: u128) -> bool {
        (self.first..=self.last).contains(&place)
    }

    /// Its text in a key: the number of a page that was never split; else the first digits of both ends.
    pub(crate) fn text(self) -> String {
        if self == Extent::around(self.first) {
            return ((self.first >> Extent::BITS) as u8).to_string();
        }
        let (first, last) = (format!("{:032x}", self.first), format!("{:032x}", self.last));
        format!("{}-{}", first.trim_end_matches('0'), last.trim_end_matches('f'))
    }

    /// Reads an end of an extent, of which the digits that are left out are all this one.
    fn end(text: &str, left_out: u32) -> Option<u128> {
        if text.len() > 32 {
            return None;
        }
        let mut digits = text.chars();
        let mut place = 0;
        for _ in 0..32 {
            let digit = digits.next().map_or(Some(left_out), |digit| digit.to_digit(16))?;
            place = place << 4 | u128::from(digit);
        }
        Some(place)
    }

    /// Reads the text of an extent; none where it is of another form than [`Extent::text`] gives.
    pub(crate) fn parse(text: &str) -> Option<Extent> {
        let extent = match text.split_once('-') {
            None => {
                let number: u8 = text.parse().ok()?;
                Extent::around(u128::from(number) << Extent::BITS)
            }
            Some((first, last)) => Extent {
                first: Extent::end(first, 0)?,
                last: Extent::end(last, 15)?,
            },
        };
        (extent.first <= extent.last && extent.text() == text).then_some(extent)
    }
}

/// Where a page of the index lies: its kind, its extent, and by whom it was written.
pub type PagePlace = (Kind, Extent, Writer);

/// The single records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// Who works.
    Lease,
    /// What the worker keeps between ticks.
    State,
    /// What the worker did, for people.
    History,
    /// What the worker did in a month, for people.
    Month,
    /// What the worker publishes: the depth of the queue for ingest, and figures for people.
    Status,
    /// What the index was built for.
    Pair,
    /// What a shape that is not adopted yet would do.
    Rehearsal,
    /// The last refused delivery.
    Refused,
    /// What the Event Platform last said of the subscription.
    Notification,
    /// How far reconciliation has come.
    Reconciliation,
    /// When a refused token of the administration's was last told.
    Guess,
    /// Since when ingest has known the worker's last count, by its own clock.
    Counted,
    /// Until when somebody wants the lease of the worker that has it.
    Wanted,
    /// Who waits to be handed the lease of a tick whose stay is over soon.
    Successor,
}

impl Record {
    pub(crate) const NAMES: [(Record, &str); 14] = [
        (Record::Lease, "lease"),
        (Record::State, "state"),
        (Record::History, "history"),
        (Record::Month, "month"),
        (Record::Status, "status"),
        (Record::Pair, "meta"),
        (Record::Rehearsal, "rehearsal"),
        (Record::Refused, "refused"),
        (Record::Notification, "notification"),
        (Record::Reconciliation, "reconciliation"),
        (Record::Guess, "guess"),
        (Record::Counted, "counted"),
        (Record::Wanted, "wanted"),
        (Record::Successor, "successor"),
    ];
}
