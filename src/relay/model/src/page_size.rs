//! How large the pages of a list are asked for: as large as come through.
//!
//! A size shrinks at once when a page fails for it, and grows by one step after some pages have come. Each time that a
//! grown size fails soon, four times as many must come before the next try. Whoever asks tells which failures are for
//! the size ([`crate::failure::Failure::is_for_size`]), and keeps the size between ticks.

use crate::entity::BATCH_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sizes of pages, in entities. Each divides the one before, so that in the middle of a list a numbered page can be
/// asked for in smaller ones.
pub const SIZES: [usize; 4] = [BATCH_MAX, 25, 5, 1];

/// How many pages must come, at least, before a larger one is tried.
const PATIENCE: u16 = 4;

/// How many pages must come, at most, before a larger one is tried, however often that has failed.
const PATIENCE_MAX: u16 = 256;

/// How large the pages of a list are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct PageSize {
    /// The place of the present size in [`SIZES`].
    rung: usize,
    /// Whether the present size was reached by growing.
    has_grown: bool,
    /// How many pages must come before the size grows; fewer than [`PATIENCE`] count as that.
    patience: u16,
    /// How many pages of the present size have come.
    good: u16,
}

/// The size is kept as one number, a byte or two for each member.
impl From<u64> for PageSize {
    fn from(number: u64) -> PageSize {
        let [.., rung, has_grown, high, low, good_high, good_low] = number.to_be_bytes();
        PageSize {
            rung: rung.into(),
            has_grown: has_grown > 0,
            patience: u16::from_be_bytes([high, low]),
            good: u16::from_be_bytes([good_high, good_low]),
        }
    }
}

impl From<PageSize> for u64 {
    fn from(size: PageSize) -> u64 {
        let grown = u64::from(size.has_grown) << 32;
        (size.rung as u64) << 40 | grown | u64::from(size.patience) << 16 | u64::from(size.good)
    }
}

/// The sizes of pages, by the name of the breaker that guards their calls: one for each kind, and one for each list of
/// lookups.
pub type PageSizes = BTreeMap<String, PageSize>;

impl PageSize {
    /// How many entities a page may have.
    pub fn limit(&self) -> usize {
        SIZES.get(self.rung).copied().unwrap_or(1)
    }

    /// How many pages must come before the size grows.
    fn patience(&self) -> u16 {
        self.patience.max(PATIENCE)
    }

    /// Notes that a page came: after enough of them the size grows, and at the largest size what failed before is
    /// forgotten.
    pub fn came(&mut self) {
        self.good = self.good.saturating_add(1);
        if self.good < self.patience() {
            return;
        }
        if self.rung == 0 {
            *self = PageSize::default();
        } else {
            (self.rung, self.good, self.has_grown) = (self.rung - 1, 0, true);
        }
    }

    /// Notes that a page of `asked` entities failed for its size. From now on the next smaller size is asked for; says
    /// whether there is one.
    pub fn failed(&mut self, asked: usize) -> bool {
        if self.has_grown && self.good < self.patience() {
            self.patience = (self.patience() * 4).min(PATIENCE_MAX);
        }
        (self.good, self.has_grown) = (0, false);
        let smaller = SIZES.iter().position(|size| *size < asked);
        self.rung = smaller.unwrap_or(SIZES.len() - 1);
        smaller.is_some()
    }

    /// Notes that an entity was passed over which failed even alone. It was that entity, and not the size, that did not
    /// suit the PIM, so the size may soon grow again.
    pub fn passed_over(&mut self) {
        (self.good, self.patience) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_size_shrinks_at_once_and_grows_again_ever_more_slowly() {
        let mut size = PageSize::default();
        let mut asked = BTreeMap::new();
        // Pages of more than 25 fail.
        for _ in 0..1000 {
            let limit = size.limit();
            *asked.entry(limit).or_insert(0) += 1;
            if limit > 25 {
                size.failed(limit);
            } else {
                size.came();
            }
            // The size is kept like this between ticks.
            size = serde_json::from_value(json!(size)).expect("a size");
        }
        assert!(asked[&100] < 10, "{asked:?}");
        assert_eq!(asked.len(), 2, "{asked:?}");
        // From now on pages of every size come.
        let came = std::iter::from_fn(|| {
            size.came();
            (size != PageSize::default()).then_some(())
        });
        assert!(came.take(10_000).count() <= 2 * PATIENCE_MAX as usize);
    }
}
