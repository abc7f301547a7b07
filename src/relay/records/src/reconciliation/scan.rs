//! How far a scan over a list of the PIM has come, as looks, walks and rehearsals keep it between pages.
//!
//! All that the next page needs is in it, so that any worker can go on. A moment that lies ahead is of a clock that was
//! wrong, and puts nothing off.

use model::gap::Gap;
use serde::{Deserialize, Serialize};

/// How long after its first sight a page without a next one is read again, in milliseconds. It can be short because
/// items vanished from it between the PIM's search index and its database (contract 4.4).
const AGAIN_MS: u64 = 60_000;

/// How far a scan has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scan {
    /// When it began by this host's clock, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// What the PIM's clock showed at its first answer, in seconds since the Unix epoch.
    pub date_s: Option<u64>,
    /// The page that is next; none is the first.
    pub cursor: Option<String>,
    /// A page that was passed: one that leads to it again closes a circle. It moves on whenever twice as many pages were
    /// read as there were then, so that every circle comes round to it (Brent's algorithm).
    pub passed: Option<String>,
    /// What is known of a gap there, if the PIM does not give what comes next.
    pub gap: Option<Box<Gap>>,
    /// Entities that could not be read, not even alone, and were passed over.
    pub unread: u64,
    /// When the next page was first seen to be the last one, in milliseconds since the Unix epoch.
    pub short_ms: Option<u64>,
    /// Pages read.
    pub pages: u64,
    /// Entities seen.
    pub seen: u64,
    /// Entities queued.
    pub found: u64,
}

impl Scan {
    /// The beginning, at this moment in milliseconds since the Unix epoch.
    pub fn begin(now_ms: u64) -> Scan {
        Scan {
            began_ms: now_ms,
            ..Scan::default()
        }
    }

    /// When its next page may be read, in milliseconds since the Unix epoch.
    pub fn due_ms(&self, now_ms: u64) -> u64 {
        // A moment that lies ahead is of a clock that was wrong.
        self.short_ms
            .filter(|short_ms| *short_ms <= now_ms)
            .map_or(0, |short_ms| short_ms + AGAIN_MS)
    }
}
