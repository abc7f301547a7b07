//! How large the pages of a list are asked for: as large as come through.

use crate::entity::BATCH_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sizes of pages. Each divides the one before, so that numbered pages can be cut in the middle of a list.
pub const SIZES: [usize; 4] = [BATCH_MAX, 25, 5, 1];

/// How many pages must come before a larger one is tried, at least: together they hold as much.
const PATIENCE: u16 = 4;

/// And at most: each time that the larger one fails soon, it is four times as many.
const PATIENCE_MAX: u16 = 256;

/// How large pages of one kind are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct PageSize {
    /// Which of the sizes, the largest being 0.
    rung: usize,
    /// Whether it has grown to this size.
    has_grown: bool,
    /// How many pages must come before it grows.
    patience: u16,
    /// Pages of this size that came.
    good: u16,
}

/// It is kept as one number.
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

/// The sizes of pages, by what the breaker guards.
pub type PageSizes = BTreeMap<String, PageSize>;

impl PageSize {
    /// How many entities a page may have.
    pub fn limit(&self) -> usize {
        SIZES.get(self.rung).copied().unwrap_or(1)
    }

    fn patience(&self) -> u16 {
        self.patience.max(PATIENCE)
    }

    /// A page came.
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

    /// A page of so many failed; says whether a smaller one may come.
    pub fn failed(&mut self, asked: usize) -> bool {
        if self.has_grown && self.good < self.patience() {
            self.patience = (self.patience() * 4).min(PATIENCE_MAX);
        }
        (self.good, self.has_grown) = (0, false);
        let smaller = SIZES.iter().position(|size| *size < asked);
        self.rung = smaller.unwrap_or(SIZES.len() - 1);
        smaller.is_some()
    }

    /// What failed alone was passed over: it is not the size that does not suit the PIM.
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
            // As it is kept between ticks.
            size = serde_json::from_value(json!(size)).expect("a size");
        }
        assert!(asked[&100] < 10, "{asked:?}");
        assert_eq!(asked.len(), 2, "{asked:?}");
        // All come again.
        let came = std::iter::from_fn(|| {
            size.came();
            (size != PageSize::default()).then_some(())
        });
        assert!(came.take(10_000).count() <= 2 * PATIENCE_MAX as usize);
    }
}
