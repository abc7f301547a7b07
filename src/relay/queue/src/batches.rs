//! The due entities of a plan, batch by batch. A batch is made when it is asked for, so that a long queue costs no more
//! memory than its listing.

use crate::plan::{Facts, Plan};
use crate::waiting::Waiting;
use model::entity::{BATCH_MAX, Entity, Kind, digest};
use model::gathering::sort;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// Among how many entities of one class a batch may choose its neighbours in the index.
const WINDOW: usize = 3000;

/// How the batches of a kind are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrangement {
    /// The most entities in one batch; with none the kind is left alone.
    pub size: usize,
    /// Whether entities come in an order of chance, by this number, rather than in that of the index: where many are
    /// refused, those that are not must not all stand behind them.
    pub scattered: Option<u64>,
    /// Whether entities that have been tried before share smaller batches each time: one of them may spoil the reading
    /// of a whole batch, if any reading failed of late.
    pub narrows: bool,
}

impl Default for Arrangement {
    fn default() -> Arrangement {
        Arrangement {
            size: BATCH_MAX,
            scattered: None,
            narrows: false,
        }
    }
}

/// How long ago an event is dated that stands behind those dated later, in seconds. Honest ones come within minutes.
const LONG_AGO_S: u64 = 3600;

/// Which entities stand before which: what was told before what reconciliation found, both before what is looked at
/// again, and behind all of them what served as a probe of an upstream that is down, and what was given up and has a
/// try of its own left. Those that have been tried before stand behind those that have not, so that none that fails
/// stands in the way of all others; and those of which all events are dated long ago behind those of one dated lately,
/// so that nobody goes before all others by a moment that is made up.
///
/// The class is one byte, the weightiest bit first: a long queue keeps one for each entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class(u8);

impl Class {
    fn of(facts: &Facts<'_>, now_s: u64) -> Class {
        let was_probe = facts.was_probe();
        let is_long_ago = || !facts.events().any(|(_, time_s)| is_lately(time_s, now_s));
        let bits = [
            facts.is_own_try(),
            was_probe,
            // Probes take turns, whatever else they are.
            !was_probe && facts.is_reconciliation(),
            !was_probe && (facts.attempts() > 0 || !facts.has_events()),
            !was_probe && facts.has_events() && is_long_ago(),
        ];
        Class(bits.into_iter().fold(0, |class, bit| class << 1 | u8::from(bit)))
    }

    fn was_probe(self) -> bool {
        self.0 & 0b01000 != 0
    }
}

/// The due entities of a plan.
#[derive(Debug)]
pub struct Due<'a> {
    plan: &'a Plan,
    /// Numbers of entities, in the order in which they are served.
    order: VecDeque<u32>,
    window: VecDeque<u32>,
    now_s: u64,
}

impl Plan {
    /// The due entities, to be taken batch by batch. `done_s` is when the destination last took anything, in seconds
    /// since the Unix epoch: what it refused before is worth a try of its own only since then.
    pub fn due(&self, now_s: u64, done_s: u64) -> Due<'_> {
        Due::of(self, now_s, done_s)
    }
}

impl<'a> Due<'a> {
    pub(super) fn of(plan: &'a Plan, now_s: u64, done_s: u64) -> Due<'a> {
        let mut due: Vec<(Class, u64, u32)> = Vec::new();
        for number in plan.numbers() {
            let facts = plan.facts(number);
            if facts.is_due(now_s, done_s) {
                due.push((Class::of(&facts, now_s), since_s(&facts, now_s), number));
            }
        }
        sort(&mut due, Ord::cmp);
        Due {
            plan,
            order: due.into_iter().map(|(.., number)| number).collect(),
            window: VecDeque::new(),
            now_s,
        }
    }

    /// All but these entities.
    #[must_use]
    pub fn without(mut self, is_left_out: impl Fn(&Entity) -> bool) -> Due<'a> {
        let plan = self.plan;
        self.order.retain(|number| !is_left_out(&plan.facts(*number).entity()));
        self
    }

    /// Whether no batch is left; what is of kinds that are left alone is passed over.
    pub fn is_over(&mut self, arrange: impl FnMut(Kind) -> Arrangement) -> bool {
        self.length_of_next(arrange).is_none()
    }

    /// The next batch, of one kind; entities of kinds that are left alone are passed over.
    pub fn next(&mut self, arrange: impl FnMut(Kind) -> Arrangement) -> Option<Vec<Waiting>> {
        let count = self.length_of_next(arrange)?;
        let batch = self.window.drain(..count);
        Some(batch.map(|number| self.plan.waiting(number)).collect())
    }

    /// Of what the next batch would be if it were made now; none where nothing is left, where something has been tried
    /// before, or where a code stands in no key.
    pub fn foreseen(&mut self, arrange: impl FnMut(Kind) -> Arrangement) -> Option<(Kind, Vec<String>)> {
        let count = self.length_of_next(arrange)?;
        let foreseen = self.window.iter().take(count).map(|number| self.plan.facts(*number));
        let codes = foreseen.clone().filter(|facts| facts.attempts() == 0);
        let codes: Vec<String> = codes.filter_map(|facts| facts.entity().segment.code()).collect();
        let kind = foreseen.clone().next()?.kind();
        (codes.len() == count).then_some((kind, codes))
    }

    /// How many of the window make the next batch.
    fn length_of_next(&mut self, mut arrange: impl FnMut(Kind) -> Arrangement) -> Option<usize> {
        loop {
            if self.window.is_empty() && !self.open_window(&mut arrange) {
                return None;
            }
            let first = self.plan.facts(*self.window.front()?);
            let arrangement = arrange(first.kind());
            let most = |facts: &Facts<'_>| batch_max(if arrangement.narrows { facts.attempts() } else { 0 });
            let like = |facts: &Facts<'_>| (facts.kind(), Class::of(facts, self.now_s), most(facts));
            let size = arrangement.size.min(most(&first));
            let is_alike = |number: &&u32| like(&self.plan.facts(**number)) == like(&first);
            let alike = self.window.iter().take_while(is_alike).count();
            if size == 0 {
                self.window.drain(..alike);
                continue;
            }
            return Some(alike.min(size));
        }
    }

    /// Takes the next few thousand of one class, and puts those into the order of the index that may share a batch;
    /// says whether there were any.
    fn open_window(&mut self, arrange: &mut impl FnMut(Kind) -> Arrangement) -> bool {
        let Some(first) = self.order.front() else { return false };
        let (plan, now_s) = (self.plan, self.now_s);
        let class = Class::of(&plan.facts(*first), now_s);
        let is_alike = |number: &&u32| Class::of(&plan.facts(**number), now_s) == class;
        let count = self.order.iter().take(WINDOW).take_while(is_alike).count();
        let window: Vec<u32> = self.order.drain(..count).collect();
        if class.was_probe() {
            // The probe that was tried longest ago is first, wherever it stands in the index.
            self.window = window.into();
            return true;
        }
        let mut stands = |number: &u32| {
            let facts = plan.facts(*number);
            let place = match arrange(facts.kind()).scattered {
                Some(seed) => digest(format!("{seed}{}", facts.segment()).as_bytes()).into_bytes(),
                None => facts.place(),
            };
            (Reverse(facts.kind()), batch_max(facts.attempts()), place)
        };
        let mut window: Vec<_> = window.into_iter().map(|number| (stands(&number), number)).collect();
        sort(&mut window, Ord::cmp);
        self.window = window.into_iter().map(|(_, number)| number).collect();
        true
    }
}

/// Whether a moment is not so long ago that nobody honest tells of it now.
fn is_lately(time_s: u64, now_s: u64) -> bool {
    time_s.saturating_add(LONG_AGO_S) >= now_s
}

/// Since when an entity has waited, in seconds since the Unix epoch: what was told of it first, or what was due first. A
/// moment long ago counts only where there is no other.
fn since_s(facts: &Facts<'_>, now_s: u64) -> u64 {
    let told = || facts.events().map(|(_, time_s)| time_s);
    let told_s = told()
        .filter(|time_s| is_lately(*time_s, now_s))
        .min()
        .or_else(|| told().min());
    // Of probes the one that was tried longest ago is first.
    let told_s = told_s.filter(|_| !facts.was_probe());
    told_s
        .or_else(|| facts.retries().map(|(.., due_s)| due_s).min())
        .unwrap_or(0)
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
