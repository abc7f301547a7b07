//! What was last pushed, in a fixed number of pages.
//!
//! Products lie in ranges of their UUIDs, so that neighbours share a page and a walk in the PIM's order closes one page
//! after the other; whatever has no UUID lies by its hash.

use crate::entity::{Entity, Kind, Segment, uuid_bytes};
use crate::host::{self, Store, StoreError};
use crate::key::{Key, Keyspace};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How many pages a kind has: at 100,000 products a page is about 50 KB.
pub const PAGES: u8 = 128;

/// What is known of an entity at the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The hash of what was pushed; none where what lies there is not known.
    #[serde(rename = "h", skip_serializing_if = "Option::is_none", default)]
    pub hash: Option<String>,
    /// Its `updated`, in seconds since the Unix epoch.
    #[serde(rename = "u")]
    pub updated_s: u64,
    /// Its code, where the key holds only a hash of it.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// The first walk over the catalogue that did not meet it, by its number; none once one has met it.
    #[serde(rename = "m", skip_serializing_if = "Option::is_none", default)]
    pub missed_by: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Page {
    v: u32,
    entries: BTreeMap<Segment, Entry>,
}

/// The page of an entity.
pub fn page_of(entity: &Entity) -> u8 {
    let first = match entity.segment.code().as_deref().and_then(uuid_bytes) {
        Some(uuid) if entity.kind == Kind::Product => return page_of_uuid(&uuid),
        _ => Sha256::digest(entity.segment.as_str())[0],
    };
    first / (u8::MAX / PAGES + 1)
}

/// The page of products whose UUIDs begin like this.
pub fn page_of_uuid(uuid: &[u8; 16]) -> u8 {
    uuid[0] / (u8::MAX / PAGES + 1)
}

/// The pages that a batch needs, read once and written back where they changed.
#[derive(Debug, Default)]
pub struct Pages {
    pages: BTreeMap<(Kind, u8), Page>,
    changed: BTreeSet<(Kind, u8)>,
    added: i64,
}

impl Pages {
    /// Reads the pages of these entities.
    pub async fn load<'a, H: Store>(
        host: &H,
        keys: &Keyspace,
        entities: impl IntoIterator<Item = &'a Entity>,
    ) -> Result<Pages, StoreError> {
        let mut pages = Pages::default();
        for entity in entities {
            pages.read(host, keys, entity.kind, page_of(entity)).await?;
        }
        Ok(pages)
    }

    /// Reads a page, unless it was read.
    pub async fn read<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        kind: Kind,
        number: u8,
    ) -> Result<(), StoreError> {
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.pages.entry((kind, number)) {
            let value = host.get(&keys.encode(&Key::IndexPage(kind, number))).await?;
            vacant.insert(read_page(value.as_deref())?);
        }
        Ok(())
    }

    /// The entries of a page that was read.
    pub fn entries(&self, kind: Kind, number: u8) -> impl Iterator<Item = (&Segment, &Entry)> {
        self.pages
            .get(&(kind, number))
            .into_iter()
            .flat_map(|page| &page.entries)
    }

    /// Notes that a walk did not meet an entity whose page was read.
    pub fn miss(&mut self, entity: &Entity, walk: u64) {
        let place = (entity.kind, page_of(entity));
        let entry = self
            .pages
            .get_mut(&place)
            .and_then(|page| page.entries.get_mut(&entity.segment));
        if let Some(entry) = entry.filter(|entry| entry.missed_by.is_none()) {
            entry.missed_by = Some(walk);
            self.changed.insert(place);
        }
    }

    /// Notes that a walk met an entity whose page was read.
    pub fn meet(&mut self, entity: &Entity) {
        let place = (entity.kind, page_of(entity));
        let page = self.pages.get_mut(&place);
        let entry = page.and_then(|page| page.entries.get_mut(&entity.segment));
        if entry.is_some_and(|entry| entry.missed_by.take().is_some()) {
            self.changed.insert(place);
        }
    }

    /// The entry of an entity whose page was read.
    pub fn get(&self, entity: &Entity) -> Option<&Entry> {
        self.pages
            .get(&(entity.kind, page_of(entity)))?
            .entries
            .get(&entity.segment)
    }

    /// Sets the entry of an entity whose page was read.
    pub fn set(&mut self, entity: &Entity, code: &str, hash: Option<String>, updated_s: u64) {
        let place = (entity.kind, page_of(entity));
        let code = entity.segment.code().is_none().then(|| code.to_owned());
        let entry = Entry {
            hash,
            updated_s,
            code,
            missed_by: None,
        };
        let page = self.pages.entry(place).or_default();
        match page.entries.insert(entity.segment.clone(), entry.clone()) {
            Some(known) if known == entry => return,
            Some(_) => {}
            None => self.added += 1,
        }
        self.changed.insert(place);
    }

    /// Removes the entry of an entity whose page was read.
    pub fn remove(&mut self, entity: &Entity) {
        let place = (entity.kind, page_of(entity));
        if self
            .pages
            .entry(place)
            .or_default()
            .entries
            .remove(&entity.segment)
            .is_some()
        {
            self.added -= 1;
            self.changed.insert(place);
        }
    }

    /// Whether there is anything to write back.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Writes the changed pages; says by how many entries the index grew.
    pub async fn save<H: Store>(&mut self, host: &H, keys: &Keyspace) -> Result<i64, StoreError> {
        for place in std::mem::take(&mut self.changed) {
            let Some(page) = self.pages.get_mut(&place) else {
                continue;
            };
            page.v = 1;
            host::write(host, &keys.encode(&Key::IndexPage(place.0, place.1)), page).await?;
        }
        Ok(std::mem::take(&mut self.added))
    }
}

fn read_page(value: Option<&[u8]>) -> Result<Page, StoreError> {
    let Some(value) = value else { return Ok(Page::default()) };
    match host::decoded::<Page>(value) {
        Some(page) if page.v == 1 => Ok(page),
        // Taking it for empty would forget what lies at the destination.
        _ => Err(StoreError(
            "a page of the index is not in a format that this version reads".to_owned(),
        )),
    }
}
