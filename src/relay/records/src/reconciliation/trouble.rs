//! What keeps a scan from going on: its failures, from the first to the last.
//!
//! A scan that failed is left alone for half a minute. People hear of one that has failed for an hour and fails still.
//! A failure that lies ahead is of a clock that was wrong, and puts nothing off.

use serde::{Deserialize, Serialize};

/// How long a scan that failed is left alone, in milliseconds.
const PUT_OFF_MS: u64 = 30_000;

/// How long a scan may fail before people hear of it, in milliseconds.
pub const STALLED_MS: u64 = 3_600_000;

/// How long ago the last failure of a scan may be, in milliseconds, for the scan to be failing still.
const LATELY_MS: u64 = 600_000;

/// The failures of a scan that is under way: the first, the last, and why. A page that comes ends the trouble, unless
/// the scan began anew because of it: then only the end of the scan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When it first failed, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When it last failed, in milliseconds since the Unix epoch.
    pub last_ms: u64,
    /// Why.
    pub reason: String,
    /// Whether the scan began anew because of the trouble. Its first pages come well then, so only its end proves that
    /// the trouble is over.
    #[serde(default)]
    pub is_anew: bool,
}

impl Trouble {
    /// Whether the trouble has lasted for so long, and lasts still, that people hear of it and a walk goes on without
    /// the list that does not come.
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
