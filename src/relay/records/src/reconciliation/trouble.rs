//! What keeps a scan from going on.

use serde::{Deserialize, Serialize};

/// How long a scan that failed is left alone, in milliseconds.
const PUT_OFF_MS: u64 = 30_000;

/// How long a scan may fail before people hear of it, in milliseconds.
pub const STALLED_MS: u64 = 3_600_000;

/// How long ago its last failure may be, in milliseconds, for it to be failing still.
const LATELY_MS: u64 = 600_000;

/// The failures of a scan that is under way: the first, the last, and why. A page that comes ends it, unless the scan began
/// anew because of it: then only its end does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When it first failed, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When it last did, in milliseconds since the Unix epoch.
    pub last_ms: u64,
    /// Why.
    pub reason: String,
    /// Whether the scan began anew for it: then only its end is the end of the trouble, for its first pages come well.
    #[serde(default)]
    pub is_anew: bool,
}

impl Trouble {
    /// Whether it has lasted so long, and lasts, that people hear of it and a walk goes on without what it is about.
    pub fn is_lasting(&self, now_ms: u64) -> bool {
        let age_ms = |moment_ms: u64| now_ms.saturating_sub(moment_ms);
        age_ms(self.since_ms) >= STALLED_MS && age_ms(self.last_ms) < LATELY_MS
    }
}

/// A page came: a trouble that was before it is over.
pub fn page_came(trouble: &mut Option<Trouble>) {
    trouble.take_if(|trouble| !trouble.is_anew);
}

/// When a scan goes on that is due at one moment and may have failed lately, in milliseconds since the Unix epoch.
pub(super) fn after_trouble(due_ms: u64, trouble: Option<&Trouble>, now_ms: u64) -> u64 {
    // A failure that lies ahead is of a clock that was wrong.
    let failed_ms = trouble
        .map(|trouble| trouble.last_ms)
        .filter(|last_ms| *last_ms <= now_ms);
    due_ms.max(failed_ms.map_or(0, |last_ms| last_ms + PUT_OFF_MS))
}
