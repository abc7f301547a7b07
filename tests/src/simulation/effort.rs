//! Work without progress: calls and writes that nothing comes of. What is down may be probed; what is well must not be
//! worked at for nothing.

use model::entity::Entity;
use queue::key::{Hold, Key};
use queue::keyspace::Keyspace;
use std::collections::BTreeMap;

/// What is known of an entity in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    /// Events that wait.
    events: u32,
    /// Whether it is to be looked at again.
    is_rechecked: bool,
    /// Whether it is held: it looks gone and is looked at once more before it is deleted, or the brake holds it.
    is_held: bool,
    attempts: u32,
    dead_letters: u32,
}

/// What was done since something last came of it.
#[derive(Debug, Default)]
pub struct Effort {
    since_ms: u64,
    /// Calls of upstreams.
    calls: u64,
    /// Writes of the store.
    writes: u64,
    queue: BTreeMap<Entity, Standing>,
    /// The last body that the destination took, by path, and how often in a row.
    taken: BTreeMap<String, (String, u32)>,
    /// The most calls and writes for nothing so far, as shares of what is allowed.
    pub worst: (f64, f64),
    /// The most often that the destination took the same body in a row.
    pub most_alike: u32,
}

/// How often the destination may be sent the same body in a row: every attempt may have come through though nobody was
/// told, and every worker may have died before it kept that.
pub const ALIKE_MAX: u32 = 25;

/// How many calls may come to nothing: those under way when an upstream breaks, tries of single entities, and one search
/// for the place of what only seems to be unreadable, since pages failed by chance.
const CALLS: f64 = 600.0;

/// How many more for each entity that the PIM cannot render: the search for its place in two lists, halving by halving.
const CALLS_FOR_A_GAP: f64 = 400.0;

/// How many more in an hour: probes of every breaker of both upstreams, and a look at each kind.
const CALLS_AN_HOUR: f64 = 200.0;

/// How many writes go with a call: what is kept of it, and the records of a tick.
const WRITES_A_CALL: f64 = 20.0;

impl Effort {
    /// Something came of it.
    fn came_of_it(&mut self, now_ms: u64) {
        (self.since_ms, self.calls, self.writes) = (now_ms, 0, 0);
    }

    /// A call begins.
    pub(super) fn call(&mut self) {
        self.calls += 1;
    }

    /// A key is written.
    pub(super) fn write(&mut self) {
        self.writes += 1;
    }

    /// The destination took a body, or an entity away; says if it was the same too often: more than `most` times.
    pub(super) fn taken(&mut self, path: &str, what: &str, most: u32, now_ms: u64) -> Option<String> {
        let (known, times) = self.taken.entry(path.to_owned()).or_default();
        if *times > 0 && known == what {
            *times += 1;
            self.most_alike = self.most_alike.max(*times);
            return (*times == most + 1)
                .then(|| format!("{path} was pushed {times} times as it was, the last at {now_ms}"));
        }
        (*known, *times) = (what.to_owned(), 1);
        self.came_of_it(now_ms);
        None
    }

    /// A tick has ended; says if too much was done for nothing since anything came of it.
    pub(super) fn tick_ended(
        &mut self,
        store: &BTreeMap<String, Vec<u8>>,
        entities: usize,
        gaps: usize,
        has_read_pages: bool,
        now_ms: u64,
    ) -> Option<String> {
        let queue = queue(store);
        let has_moved = |(entity, was): (&Entity, &Standing)| {
            let is = queue.get(entity).copied().unwrap_or_default();
            is.events < was.events
                || (was.is_rechecked && !is.is_rechecked)
                || (is.is_held && !was.is_held)
                || is.attempts > was.attempts
                || is.dead_letters != was.dead_letters
        };
        let is_new = |(entity, is): (&Entity, &Standing)| {
            is.events > 0 && self.queue.get(entity).is_none_or(|was| was.events == 0)
        };
        if has_read_pages || self.queue.iter().any(has_moved) || queue.iter().any(is_new) {
            self.came_of_it(now_ms);
        }
        self.queue = queue;
        let hours = now_ms.saturating_sub(self.since_ms) as f64 / 3_600_000.0;
        let held = self.queue.values().filter(|standing| standing.is_held).count();
        let lone = 5.0 * entities as f64 + CALLS_FOR_A_GAP * gaps as f64 + 2.0 * held as f64;
        let calls = CALLS + CALLS_AN_HOUR * hours + lone;
        let (calls, writes) = (self.calls as f64 / calls, self.writes as f64 / (calls * WRITES_A_CALL));
        self.worst = (self.worst.0.max(calls), self.worst.1.max(writes));
        (calls > 1.0 || writes > 1.0).then(|| {
            format!(
                "{} calls and {} writes from {} to {now_ms}, and nothing came of them",
                self.calls, self.writes, self.since_ms
            )
        })
    }
}

fn queue(store: &BTreeMap<String, Vec<u8>>) -> BTreeMap<Entity, Standing> {
    let keys = Keyspace::new("main");
    let mut queue: BTreeMap<Entity, Standing> = BTreeMap::new();
    for key in store.keys() {
        match keys.parse(key) {
            Some(Key::Event(event)) => queue.entry(event.entity).or_default().events += 1,
            Some(Key::Retry(retry)) => {
                let (is_recheck, is_held) = (
                    retry.is_recheck(),
                    matches!(retry.hold, Some(Hold::Doubt | Hold::Brake)),
                );
                let standing = queue.entry(retry.entity).or_default();
                standing.attempts = standing.attempts.max(retry.attempts);
                standing.is_rechecked |= is_recheck;
                standing.is_held |= is_held;
            }
            Some(Key::DeadLetter(letter)) => queue.entry(letter.entity).or_default().dead_letters += 1,
            _ => {}
        }
    }
    queue
}
