//! A page of the index as it is stored: in one value, or in several where it is large.

use crate::entry::Entry;
use model::entity::Segment;
use model::gathering::gathered;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use world::host::StoreError;

/// How large a part of a page is at most, in bytes: a page of a million products is larger than a value of every store
/// may be (DynamoDB takes 400 KB), and so lies in several.
pub(super) const PART_MAX: usize = 300_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) v: u32,
    pub(super) entries: BTreeMap<Segment, Entry>,
}

impl Page {
    /// The values that the page is written as: one, or as many as it takes. Whoever reads it unites them, however many.
    pub(super) fn parts(&self) -> Vec<Vec<u8>> {
        let whole = json!(self).to_string().into_bytes();
        // Some more than need be, since no two entries are of one size.
        let count = match whole.len() {
            ..=PART_MAX => return vec![whole],
            bytes => bytes / (PART_MAX - PART_MAX / 5) + 1,
        };
        let entries: Vec<(&Segment, &Entry)> = self.entries.iter().collect();
        let parts = entries.chunks(entries.len().div_ceil(count).max(1));
        let part = |entries: &[(&Segment, &Entry)]| {
            let entries: BTreeMap<&Segment, &Entry> = gathered(entries.iter().copied());
            json!({ "v": self.v, "entries": entries }).to_string().into_bytes()
        };
        parts.map(part).collect()
    }
}

/// The failure of a store whose reads lag behind its listing. Taking the page for empty would forget what lies at the
/// destination; the next tick lists anew.
pub(super) fn missing(key: &str) -> StoreError {
    StoreError::Failed(format!(
        "the store lists {key} and reads nothing there; if that stays so, delete the key"
    ))
}

/// Reads the value of a page's key.
pub(super) fn read_page(key: &str, value: &[u8]) -> Result<Page, StoreError> {
    let page: Value = serde_json::from_slice(value).unwrap_or_default();
    if page.get("v").and_then(Value::as_u64).is_some_and(|version| version > 1) {
        return Err(StoreError::Failed(format!("{key} is of a newer version than this one")));
    }
    // Taking a damaged page for empty would forget what lies at the destination.
    serde_json::from_value(page).map_err(|_| StoreError::Damaged(key.to_owned()))
}
