//! The circuit breaker: what is down is probed, not drained against.

use serde::{Deserialize, Serialize};

/// How many failures in a row open it.
const FAILURES: u32 = 5;

/// How many different entities refused in a row say that it is not the entities' fault.
const REFUSED: usize = 10;

/// How long it stays open at first, in milliseconds; every failed probe doubles it.
const FIRST_MS: u64 = 10_000;

/// How long it stays open at most, in milliseconds.
const LONGEST_MS: u64 = 300_000;

/// Its state, kept between ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    failures: u32,
    /// What failed last, and whether anything else did: one entity that always fails is its own fault.
    subject: String,
    several: bool,
    refused: Vec<String>,
    /// Whether it opened because everything is refused, rather than because nothing answers.
    refusing: bool,
    /// Whether what failed last was the configuration.
    #[serde(default)]
    misconfigured: bool,
    probes: u32,
    /// Since when it has been open, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// When the next probe may go, in milliseconds since the Unix epoch.
    pub probe_ms: u64,
    /// Why it opened.
    pub reason: String,
}

impl Breaker {
    /// Whether it is open: calls are not made, but for single probes.
    pub fn is_open(&self) -> bool {
        self.since_ms.is_some()
    }

    /// A call came through.
    pub fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// A call failed in a way that may be the upstream's. `subject` is the entity that it was for; none where it was
    /// for no single one.
    pub fn failed(&mut self, subject: Option<&str>, reason: &str, now_ms: u64, chance: u64) {
        if self.is_open() {
            return self.open(reason, now_ms, chance);
        }
        self.several |= self.failures > 0 && subject.is_none_or(|subject| self.subject != subject);
        subject.unwrap_or_default().clone_into(&mut self.subject);
        self.failures += 1;
        if self.failures >= FAILURES && self.several {
            self.open(reason, now_ms, chance);
        }
    }

    /// An entity was refused, and so the upstream answers. Many different ones refused in a row are a sign that
    /// something else is wrong.
    pub fn refused(&mut self, subject: &str, reason: &str, now_ms: u64, chance: u64) {
        if self.is_open() && self.refusing {
            return self.open(reason, now_ms, chance);
        }
        let mut refused = std::mem::take(&mut self.refused);
        *self = Breaker::default();
        if !refused.iter().any(|known| known == subject) {
            refused.push(subject.to_owned());
        }
        if refused.len() >= REFUSED {
            self.refusing = true;
            self.open(
                &format!("{REFUSED} entities refused in a row; the last: {reason}"),
                now_ms,
                chance,
            );
        }
        self.refused = refused;
    }

    /// Opens it for a reason that waiting will not mend.
    pub fn open_for_a_person(&mut self, reason: &str, now_ms: u64, chance: u64) {
        self.misconfigured = true;
        self.open(reason, now_ms, chance);
    }

    /// Whether it is open for a reason that only a person can mend.
    pub fn needs_a_person(&self) -> bool {
        self.is_open() && (self.misconfigured || self.refusing)
    }

    /// Opens it, or keeps it open for longer.
    pub fn open(&mut self, reason: &str, now_ms: u64, chance: u64) {
        self.since_ms.get_or_insert(now_ms);
        reason.clone_into(&mut self.reason);
        let wait_ms = FIRST_MS.saturating_mul(1 << self.probes.min(16)).min(LONGEST_MS);
        self.probes += 1;
        // Between three quarters and all of it, so that several applications do not probe in step.
        self.probe_ms = now_ms + wait_ms - chance % (wait_ms / 4 + 1);
    }
}
