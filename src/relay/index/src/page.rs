//! A page of the index as it is stored, and how it splits where it has grown.

use crate::entry::{Entry, file, place_of};
use model::entity::{Entity, Kind, Segment};
use model::gathering::sort;
use queue::key::Extent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use world::host::StoreError;
use world::record;

/// How large a page's value is at most, in bytes, so that every store takes it (DynamoDB: 400 KB).
pub(crate) const VALUE_MAX: usize = 300_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) v: u32,
    pub(crate) entries: BTreeMap<Segment, Entry>,
}

impl Page {
    /// The values that the page of an extent is written as, each with its extent: one, or, where the page has more than
    /// so many entries or is larger than a value may be, as many as it takes; none where it has no entry.
    pub(crate) fn values(&self, kind: Kind, extent: Extent, entries_max: usize) -> Vec<(Extent, Vec<u8>)> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let whole = json!(self).to_string().into_bytes();
        let count = match self.entries.len() > entries_max {
            // What was just split is not full at once.
            true => 4 * self.entries.len() / (3 * entries_max) + 1,
            false => 1,
        };
        // Some more than need be, since no two entries are of one size.
        let count = match whole.len() > VALUE_MAX {
            true => count.max(whole.len() / (VALUE_MAX - VALUE_MAX / 5) + 1),
            false => count,
        };
        if count == 1 {
            return vec![(extent, whole)];
        }
        let entries = in_order(kind, &self.entries);
        let most = entries.len().div_ceil(count);
        let (mut values, mut first, mut begin) = (Vec::new(), extent.first, 0);
        while begin < entries.len() {
            let mut end = (begin + most).min(entries.len());
            // Two at one place stay together.
            while end < entries.len() && entries[end].0 == entries[end - 1].0 {
                end += 1;
            }
            let last = match entries.get(end) {
                Some((behind, ..)) => beginning(entries[end - 1].0, *behind) - 1,
                None => extent.last,
            };
            let mut part = Page {
                v: self.v,
                ..Page::default()
            };
            for (_, segment, entry) in &entries[begin..end] {
                part.entries.insert((*segment).clone(), (*entry).clone());
            }
            values.push((Extent { first, last }, json!(part).to_string().into_bytes()));
            (begin, first) = (end, last.wrapping_add(1));
        }
        values
    }
}

/// Entries of a kind in the order of their places.
pub(crate) fn in_order<'p>(
    kind: Kind,
    entries: impl IntoIterator<Item = (&'p Segment, &'p Entry)>,
) -> Vec<(u128, &'p Segment, &'p Entry)> {
    let place = |segment: &Segment| place_of(&Entity::of(kind, segment));
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|(segment, entry)| (place(segment), segment, entry))
        .collect();
    sort(&mut entries, |(one, ..), (other, ..)| one.cmp(other));
    entries
}

/// The place with the fewest digits behind a place and not behind another one, which is greater: keys stay short.
fn beginning(before: u128, behind: u128) -> u128 {
    let same = (before ^ behind).leading_zeros() / 4 * 4;
    behind & !(u128::MAX >> 4 >> same)
}

/// The failure of a store whose reads lag behind its listing. Taking the page for empty would forget what lies at the
/// destination; the next tick lists anew.
pub(crate) fn missing(key: &str) -> StoreError {
    StoreError::Failed(format!(
        "the store lists {key} and reads nothing there; if that stays so, delete the key"
    ))
}

/// The format of pages of files of an earlier version. By the first one files lay in other pages.
const OLD_FILES: u64 = 2;

/// Reads the value of a key of a page of files, be it of an earlier version; none where it is damaged.
pub(crate) fn read_files(value: &[u8]) -> Option<Page> {
    let value: Value = serde_json::from_slice(value).unwrap_or_default();
    let Some(files) = value["files"].as_object() else {
        let page: Option<Page> = record::read(&value);
        return page.filter(|page| page.v == 1);
    };
    if value["v"] != OLD_FILES {
        return value["v"].as_u64().filter(|v| *v < OLD_FILES).map(|_| Page::default());
    }
    let entry = |(digest, sent_s): (&String, &Value)| {
        let updated_s = sent_s.as_u64()?;
        Some((
            file(digest)?.segment,
            Entry {
                updated_s,
                ..Entry::default()
            },
        ))
    };
    Some(Page {
        v: 1,
        entries: files.iter().filter_map(entry).collect(),
    })
}

/// Reads the value of a page's key.
pub(crate) fn read_page(key: &str, value: &[u8]) -> Result<Page, StoreError> {
    let page: Value = serde_json::from_slice(value).unwrap_or_default();
    if page.get("v").and_then(Value::as_u64).is_some_and(|version| version > 1) {
        return Err(StoreError::Failed(format!("{key} is of a newer version than this one")));
    }
    // Taking a damaged page for empty would forget what lies at the destination.
    record::read(&page).ok_or_else(|| StoreError::Damaged(key.to_owned()))
}
