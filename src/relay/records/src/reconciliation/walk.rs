//! The walk over everything: where it is, and what the last one saw.
//!
//! All that a walk needs to go on is in it. Each walk has a greater number than the one before, whatever clocks say,
//! and one that is asked for while another is under way comes after that.

use super::scan::Scan;
use super::trouble::{Trouble, after_trouble};
use config::ReconciliationConfig;
use model::by_kind::ByKind;
use model::entity::{Kind, Segment, uuid_bytes, uuid_text};
use model::time::SKEW_S;
use serde::{Deserialize, Serialize};

/// How much time lies between two pages at least, in milliseconds: the PIM has more to do than to serve a walk.
const PACE_MS: u64 = 1000;

/// Why deletions among products cannot be told.
pub const UNORDERED: &str =
    "the PIM does not list products in the order of their UUIDs, so those that it deleted cannot be told";

/// The walk: the one under way, and the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Walk {
    /// The number of the walk, by which the index marks what it missed; each is greater than the one before.
    pub number: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// Where it is; none if none is under way.
    pub step: Option<Step>,
    /// Lists whose last page is to be read once more before they count as ended, in the order of their kinds: meanwhile
    /// the walk reads the next ones.
    pub unsure: Vec<Step>,
    /// Whether the list of every kind has been read, so that only unsure ends are left.
    pub is_listed: bool,
    /// Whether it pushes everything, changed or not.
    pub is_forced: bool,
    /// Whether products do not come in the order of their UUIDs: then nothing is known to be missing.
    pub is_unordered: bool,
    /// Where another walk is asked for, right after this one, whether that one is forced.
    pub asked: Option<bool>,
    /// When the last page was read, in milliseconds since the Unix epoch.
    pub page_ms: u64,
    /// When the last one came to its end, in milliseconds since the Unix epoch.
    pub finished_ms: u64,
    /// When the next one is due, for people, in milliseconds since the Unix epoch; 0 if only somebody's asking begins
    /// it.
    pub next_ms: u64,
    /// What the last one saw of each kind.
    pub last: ByKind<Figures>,
    /// How far the judging of what the walk missed has come, while it goes on.
    pub judging: Option<Judging>,
    /// The number of the last one that was judged.
    pub judged: u64,
    /// How many entities the walk missed that the brake keeps from being looked at.
    pub withheld: u64,
    /// How far the queueing of what the walk missed has come, while it goes on.
    pub raising: Option<Raising>,
    /// What keeps it from its end.
    pub trouble: Option<Trouble>,
}

/// What a walk saw of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// When its list came to its end, in milliseconds since the Unix epoch.
    pub finished_ms: u64,
    /// Pages read.
    pub pages: u64,
    /// Entities seen.
    pub seen: u64,
    /// Entities queued.
    pub found: u64,
    /// Entities of the index that the PIM did not name.
    pub missing: u64,
    /// Entities that the PIM did not give, not even alone, and that were passed over.
    pub unread: u64,
    /// Why its list was left before its end, if it was.
    pub cut: Option<String>,
}

/// Where a walk is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Reading all of a kind.
    List {
        /// The kind.
        kind: Kind,
        /// How far.
        scan: Scan,
        /// The last UUID that was passed.
        passed: Option<String>,
        /// Whether an entity was passed over since then, at a UUID that is not known.
        #[serde(default)]
        is_broken: bool,
    },
    /// Asking for the models or categories that the index has, behind this one in its order.
    Verify {
        /// The kind.
        #[serde(default = "models")]
        kind: Kind,
        /// The last one that was asked for.
        after: Option<Segment>,
        /// Whether the PIM did not answer for the next one alone.
        #[serde(default)]
        is_doubted: bool,
    },
    /// Judging what was missed.
    Judge,
}

/// The kind of a step that verifies, in older records, which do not say it.
fn models() -> Kind {
    Kind::ProductModel
}

impl Walk {
    /// Asks for a walk: behind the one under way, which may have passed by now what the new one is to find.
    pub fn ask(&mut self, is_forced: bool) {
        self.asked = Some(is_forced || self.asked == Some(true));
    }

    /// When there is something to do, in milliseconds since the Unix epoch.
    pub fn due_ms(&self, periods: &ReconciliationConfig, now_ms: u64) -> Option<u64> {
        // A moment that lies ahead is of a clock that was wrong.
        let page_ms = if self.page_ms <= now_ms { self.page_ms } else { 0 };
        let due_ms = match &self.step {
            Some(Step::List { scan, .. }) => scan.due_ms(now_ms).max(page_ms + PACE_MS),
            Some(Step::Verify { .. }) => page_ms + PACE_MS,
            // Looks that are due go between two of its steps.
            Some(Step::Judge) => page_ms,
            None if self.asked.is_some() => 0,
            None if self.finished_ms > 0 && self.began_ms <= now_ms + SKEW_S * 1000 => {
                self.began_ms + periods.walk_s? * 1000
            }
            None => periods.walk_s.map(|_| 0)?,
        };
        Some(after_trouble(due_ms, self.trouble.as_ref(), now_ms))
    }

    /// Whether the walk is at a page of a list.
    pub fn is_listing(&self) -> bool {
        matches!(self.step, Some(Step::List { .. }))
    }

    /// The kind that the walk asks the PIM for next, once it has begun.
    pub fn kind(&self) -> Option<Kind> {
        match &self.step {
            Some(Step::List { kind, .. } | Step::Verify { kind, .. }) => Some(*kind),
            Some(Step::Judge) | None => None,
        }
    }

    /// Begins a walk with the first of these kinds.
    pub fn begin(&mut self, kinds: &[Kind], now_ms: u64) {
        self.number = now_ms.max(self.number + 1);
        self.began_ms = now_ms;
        self.is_forced = self.asked.take().unwrap_or(false);
        self.is_unordered = false;
        self.judging = None;
        (self.unsure, self.is_listed) = (Vec::new(), false);
        let is_first = |kind: &&Kind| **kind == Kind::Category;
        let first = kinds.iter().find(is_first).copied().unwrap_or(Kind::ProductModel);
        self.step = Some(Step::list(first, now_ms));
    }

    /// What comes after the list of a kind, whether it has ended or is unsure of that: the list of the next kind, then the
    /// lists whose ends are unsure, then the judging.
    pub fn after(&mut self, kind: Kind, now_ms: u64) -> Step {
        let next = match kind {
            Kind::Category => Some(Kind::ProductModel),
            Kind::ProductModel => Some(Kind::Product),
            Kind::Product => None,
        };
        if let Some(next) = next.filter(|_| !self.is_listed) {
            return Step::list(next, now_ms);
        }
        self.is_listed = true;
        match self.unsure.is_empty() {
            true => Step::Judge,
            false => self.unsure.remove(0),
        }
    }

    /// Where the brake is released, lets what was withheld be queued; says whether there was anything.
    pub fn let_go(&mut self, is_released: bool) -> bool {
        if !is_released || self.withheld == 0 || self.raising.is_some() {
            return false;
        }
        self.withheld = 0;
        self.raising = Some(Raising::of(self.judged));
        true
    }
}

impl Step {
    /// The beginning of the list of a kind.
    pub fn list(kind: Kind, now_ms: u64) -> Step {
        Step::List {
            kind,
            scan: Scan::begin(now_ms),
            passed: None,
            is_broken: false,
        }
    }
}

/// How far the index is counted, of which a walk may have missed something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Judging {
    /// From where on it is not counted yet.
    pub from: Option<Place>,
    /// How many entities were counted.
    pub indexed: u64,
    /// How many of those that the walk missed are to be deleted, and no event announced it.
    pub unannounced: u64,
}

/// A place in the order of the index, one kind after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(Kind, String);

impl Place {
    /// A place among those of a kind.
    pub fn of(kind: Kind, place: u128) -> Place {
        Place(kind, uuid_text(&place.to_be_bytes()))
    }

    /// The kind, and the place; none if that cannot be read.
    pub fn get(&self) -> Option<(Kind, u128)> {
        Some((self.0, u128::from_be_bytes(uuid_bytes(&self.1)?)))
    }
}

/// What a walk missed, on its way into the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Raising {
    /// The walk's number.
    pub walk: u64,
    /// From where on nothing is queued yet. Older versions kept something else, and then it begins anew.
    pub from: Option<Place>,
}

impl Raising {
    /// The beginning, of what this walk missed.
    pub fn of(walk: u64) -> Raising {
        Raising {
            walk,
            ..Raising::default()
        }
    }
}
