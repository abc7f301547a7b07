//! The list of the next batch is read while the present one is pushed and kept, so that neither upstream waits for the other.
//!
//! It may assume that the keys of the next batch were listed before. What it brings counts for a batch of just these
//! entities, as the first list that is read for them, and from when it was asked for.

use akeneo::pim::Pim;
use desk::tools::Desk;
use model::entity::Kind;
use model::failure::Failure;
use serde_json::Value;
use world::host::Host;

/// The entities that the next batch is likely to be of.
pub struct Next {
    /// Their kind.
    pub kind: Kind,
    /// Their codes.
    pub codes: Vec<String>,
    /// Until when the list may be asked for, a moment of the monotonic clock in milliseconds.
    pub until_ms: u64,
}

impl Next {
    fn codes(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().map(String::as_str)
    }
}

/// A list that was read ahead.
pub struct Ahead {
    next: Next,
    /// When it was asked for, in seconds since the Unix epoch.
    pub(crate) begun_s: u64,
    /// What it brought, or why it did not come.
    pub(crate) found: Result<Vec<Value>, Failure>,
}

impl Ahead {
    /// Reads the list; none where there is no time for that, or one list cannot be of all of them.
    pub(crate) async fn read<H: Host>(desk: Desk<'_, H>, pim: &mut Pim<'_, H>, next: Option<Next>) -> Option<Ahead> {
        let next = next?;
        let codes: Vec<&str> = next.codes().collect();
        let is_wanted = desk.config.shape.kinds().contains(&next.kind);
        if !is_wanted || pim.is_too_long(next.kind, &codes) || desk.host.monotonic_ms() >= next.until_ms {
            return None;
        }
        let begun_s = desk.now_s();
        let found = pim.list(next.kind, &codes, 0).await;
        Some(Ahead { next, begun_s, found })
    }

    /// Whether it was asked for just these entities.
    pub(crate) fn is_of<'a>(&self, kind: Kind, codes: impl Iterator<Item = &'a str>) -> bool {
        self.next.kind == kind && codes.eq(self.next.codes())
    }
}
