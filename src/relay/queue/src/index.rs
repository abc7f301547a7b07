//! What was last pushed, in a fixed number of pages.
//!
//! Products lie in ranges of their UUIDs, so that neighbours share a page and a walk in the PIM's order closes one page
//! after the other; whatever has no UUID lies by its hash.
//!
//! **No worker writes what another one wrote.** The stores have no compare-and-swap, and the lease is advisory, so a
//! write of a worker that was paused can land at any time. Each worker therefore writes a page under a key of its own
//! and then deletes those from which it made it. As a rule a page has one key; where two workers were at it, it has
//! several until the next one merges them, entry by entry.

mod page;

use crate::entry::{Entry, ShortDigest, page_of_digest};
use crate::key::{Key, Writer};
use crate::keyspace::Keyspace;
use model::entity::{Entity, Kind, Segment, uuid_bytes};
use page::{Page, missing, read_page};
use protocol::remote::Remote;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use world::host::{Clock, Store, StoreError, delete_all};

/// How long it is remembered that an entity was removed, in seconds: a page that was written late must not bring it
/// back, and the daily walk finds what went with a model.
const REMOVED_S: u64 = 2 * 86_400;

/// How many generations of models a product can have above it (contract 4.6).
const GENERATIONS: usize = 2;

/// The page of an entity.
pub fn page_of(entity: &Entity) -> u8 {
    let first = match entity.segment.code().as_deref().and_then(uuid_bytes) {
        Some(uuid) if entity.kind == Kind::Product => return page_of_uuid(&uuid),
        _ => Sha256::digest(entity.segment.as_str())[0],
    };
    page_of_digest(first)
}

/// The page of products whose UUIDs begin like this.
pub fn page_of_uuid(uuid: &[u8; 16]) -> u8 {
    page_of_digest(uuid[0])
}

/// By what the entries of pages are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By entity: what was last pushed of it.
    #[default]
    Entities,
    /// By identity: which entity holds it.
    Identities,
}

/// Under which keys the pages lie, as one listing tells: by which worker each was written.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    order: Order,
    writers: BTreeMap<(Kind, u8), Vec<Writer>>,
}

impl Directory {
    /// A directory of pages in this order, of which none is known.
    pub fn of(order: Order) -> Directory {
        Directory {
            order,
            ..Directory::default()
        }
    }

    fn key(&self, kind: Kind, page: u8, writer: Writer) -> Key {
        match self.order {
            Order::Entities => Key::IndexPage(kind, page, writer),
            Order::Identities => Key::ClaimPage(kind, page, writer),
        }
    }

    /// Takes note of a page's key.
    pub fn add(&mut self, kind: Kind, page: u8, writer: Writer) {
        self.writers.entry((kind, page)).or_default().push(writer);
    }

    /// The keys of a page.
    fn keys(&self, keys: &Keyspace, kind: Kind, page: u8) -> Vec<String> {
        let writers = self.writers.get(&(kind, page)).into_iter().flatten();
        writers
            .map(|writer| keys.encode(&self.key(kind, page, writer.clone())))
            .collect()
    }

    /// The keys of all pages.
    pub fn all_keys(&self, keys: &Keyspace) -> Vec<String> {
        let places = self.writers.keys();
        places.flat_map(|(kind, page)| self.keys(keys, *kind, *page)).collect()
    }

    /// The pages of a kind.
    pub(crate) fn pages(&self, kind: Kind) -> impl Iterator<Item = u8> {
        let places = self.writers.keys().filter(move |(other, _)| *other == kind);
        places.map(|(_, page)| *page)
    }

    /// The pages that several workers have written, and that are to be merged.
    pub fn divided(&self) -> Vec<(Kind, u8)> {
        let worker = |writer: &Writer| writer.as_ref().map(|(worker, _)| worker.clone());
        let is_divided = |writers: &Vec<Writer>| {
            let first = writers.first().map(worker);
            writers.iter().any(|writer| Some(worker(writer)) != first)
        };
        let divided = self.writers.iter().filter(|(_, writers)| is_divided(writers));
        divided.map(|(place, _)| *place).collect()
    }
}

/// The pages that a batch needs, read once and written back where they changed.
#[derive(Debug, Default)]
pub struct Pages {
    pages: BTreeMap<(Kind, u8), Page>,
    changed: BTreeSet<(Kind, u8)>,
    added: i64,
    /// Entities of which two workers pushed different contents.
    unknown: Vec<(Entity, Option<String>)>,
}

impl Pages {
    /// One page with nothing in it yet, in place of whatever is written there.
    pub(crate) fn anew(kind: Kind, number: u8) -> Pages {
        let place = (kind, number);
        Pages {
            pages: [(place, Page::default())].into(),
            changed: [place].into(),
            ..Pages::default()
        }
    }

    /// Reads the pages of these entities.
    pub async fn load<'a, H: Store>(
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        entities: impl IntoIterator<Item = &'a Entity>,
    ) -> Result<Pages, StoreError> {
        let mut pages = Pages::default();
        for entity in entities {
            pages.read(host, keys, directory, entity.kind, page_of(entity)).await?;
        }
        Ok(pages)
    }

    /// Reads a page, unless it was read. One that several workers wrote is merged.
    pub async fn read<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        kind: Kind,
        number: u8,
    ) -> Result<(), StoreError> {
        if self.pages.contains_key(&(kind, number)) {
            return Ok(());
        }
        let mut page = Page::default();
        for key in directory.keys(keys, kind, number) {
            let value = host.get(&key).await?.ok_or_else(|| missing(&key))?;
            self.merge(kind, &mut page, read_page(&key, &value)?);
        }
        self.pages.insert((kind, number), page);
        Ok(())
    }

    fn merge(&mut self, kind: Kind, page: &mut Page, other: Page) {
        if page.entries.is_empty() {
            page.entries = other.entries;
            return;
        }
        for (segment, entry) in other.entries {
            match page.entries.remove(&segment) {
                None => drop(page.entries.insert(segment, entry)),
                Some(known) => {
                    let was_known = known.is_known() && entry.is_known();
                    let mut codes = vec![known.code.clone().or(entry.code.clone())];
                    if known.code != entry.code {
                        codes.push(entry.code.clone());
                    }
                    let merged = known.merged(entry);
                    if was_known && !merged.is_known() {
                        for code in codes {
                            self.unknown.push((Entity::of(kind, &segment), code));
                        }
                    }
                    page.entries.insert(segment, merged);
                }
            }
        }
    }

    /// Reads the pages that several workers have written, to be saved as one; gives the entities of which the workers
    /// pushed different contents, with their codes.
    pub async fn unite<H: Store>(
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
    ) -> Result<(Pages, Vec<(Entity, String)>), StoreError> {
        let mut pages = Pages::default();
        for (kind, number) in directory.divided() {
            pages.read(host, keys, directory, kind, number).await?;
            pages.changed.insert((kind, number));
        }
        let unknown = std::mem::take(&mut pages.unknown).into_iter();
        let unknown = unknown.filter_map(|(entity, code)| Some((entity.segment.code().or(code)?, entity)));
        let unknown = unknown.map(|(code, entity)| (entity, code)).collect();
        Ok((pages, unknown))
    }

    /// The entries of a page that was read.
    pub fn entries(&self, kind: Kind, number: u8) -> impl Iterator<Item = (&Segment, &Entry)> {
        let entries = self
            .pages
            .get(&(kind, number))
            .into_iter()
            .flat_map(|page| &page.entries);
        entries.filter(|(_, entry)| entry.removed_s.is_none())
    }

    /// Notes that a walk did not meet an entity whose page was read.
    pub fn miss(&mut self, entity: &Entity, walk: u64) {
        let place = (entity.kind, page_of(entity));
        let entry = self
            .pages
            .get_mut(&place)
            .and_then(|page| page.entries.get_mut(&entity.segment));
        if let Some(entry) = entry.filter(|entry| entry.removed_s.is_none() && entry.missed_by.is_none()) {
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

    fn known(&self, entity: &Entity) -> Option<&Entry> {
        self.pages
            .get(&(entity.kind, page_of(entity)))?
            .entries
            .get(&entity.segment)
    }

    /// The entry of an entity whose page was read.
    pub fn get(&self, entity: &Entity) -> Option<&Entry> {
        self.known(entity).filter(|entry| entry.removed_s.is_none())
    }

    /// What the destination gave of an entity's parent, also of one that was removed of late; reads the parent's page.
    pub async fn remote_of_parent<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        entity: &Entity,
    ) -> Result<Option<Remote>, StoreError> {
        let mark = self.known(entity).and_then(|entry| entry.parent.clone());
        let Some((mark, page)) = mark.and_then(|mark| Some((mark.clone(), mark.page()?))) else {
            return Ok(None);
        };
        let kind = match entity.kind {
            Kind::Category => Kind::Category,
            Kind::Product | Kind::ProductModel => Kind::ProductModel,
        };
        self.read(host, keys, directory, kind, page).await?;
        let entries = self.pages.get(&(kind, page));
        let mut entries = entries.into_iter().flat_map(|page| &page.entries);
        let parent = entries.find(|(segment, _)| ShortDigest::of(segment) == mark);
        Ok(parent.map(|(_, parent)| parent.remote.clone()))
    }

    /// Whether an entity was removed of late.
    pub fn was_removed(&self, entity: &Entity) -> bool {
        self.known(entity).is_some_and(|entry| entry.removed_s.is_some())
    }

    /// How often an entity was pushed or removed.
    pub fn pushes(&self, entity: &Entity) -> u64 {
        self.known(entity).map_or(0, |entry| entry.pushes)
    }

    /// Sets the entry of an entity whose page was read: pushed, with the hash of what; or, without one, of unknown
    /// content. What it inherits from and what the destination gave stay.
    pub fn set(&mut self, entity: &Entity, code: &str, hash: Option<String>, updated_s: u64) {
        let code = entity.segment.code().is_none().then(|| code.to_owned());
        let pushes = self.pushes(entity) + u64::from(hash.is_some());
        let known = self.get(entity).cloned().unwrap_or_default();
        let entry = Entry {
            hash,
            updated_s,
            code,
            pushes,
            parent: known.parent,
            remote: known.remote,
            of_parent: known.of_parent,
            identities: known.identities,
            ..Entry::default()
        };
        self.put(entity, entry);
    }

    /// Moves the entry of an entity, if it has one, to another spelling of its code, `to`, unless there is one already.
    pub fn respell(&mut self, entity: &Entity, to: &Entity, code: &str, now_s: u64) {
        let Some(entry) = self.get(entity).cloned() else { return };
        self.remove(entity, now_s, false);
        if self.get(to).is_none() {
            // Under the new spelling no identity is claimed yet: the entity is pushed once more, which claims it.
            let entry = Entry {
                hash: entry.hash.filter(|_| entry.identities.is_empty()),
                code: to.segment.code().is_none().then(|| code.to_owned()),
                pushes: self.pushes(to) + 1,
                missed_by: None,
                ..entry
            };
            self.put(to, entry);
        }
    }

    /// Notes what an entity that has an entry inherits from.
    pub fn set_parent(&mut self, entity: &Entity, parent: Option<ShortDigest>) {
        if let Some(entry) = self.get(entity).cloned() {
            self.put(entity, Entry { parent, ..entry });
        }
    }

    /// Notes what the destination gave of an entity that has an entry, and the digest of what it had given of its
    /// parent.
    pub fn set_remote(&mut self, entity: &Entity, remote: Remote, of_parent: Option<String>) {
        if let Some(entry) = self.get(entity).cloned() {
            let entry = Entry {
                remote,
                of_parent,
                ..entry
            };
            self.put(entity, entry);
        }
    }

    /// Notes under which identities an entity that has an entry lies at the destination, or may lie: the first is the
    /// one that it was last brought under.
    pub fn set_identities(&mut self, entity: &Entity, identities: Vec<String>) {
        if let Some(entry) = self.get(entity).cloned() {
            self.put(entity, Entry { identities, ..entry });
        }
    }

    /// Notes that an entity whose page was read is removed, and whether an event had announced that. An entity without
    /// an entry is noted, too: a worker that was paused may have pushed it, and that entry may yet come.
    pub fn remove(&mut self, entity: &Entity, now_s: u64, was_announced: bool) {
        let known = self.known(entity);
        let parent = known.and_then(|entry| entry.parent.clone());
        // What was announced once stays so, although a later deletion was not.
        let was_announced = was_announced || known.is_some_and(|entry| entry.was_announced);
        let entry = Entry {
            pushes: self.pushes(entity) + 1,
            removed_s: Some(now_s),
            parent,
            was_announced,
            // Whatever lies below a model at the destination is deleted by what the destination gave of the model.
            remote: known.map(|entry| entry.remote.clone()).unwrap_or_default(),
            ..Entry::default()
        };
        self.put(entity, entry);
    }

    /// Whether an entity went with a model of which an event said that it is deleted; reads the pages of the models
    /// that it inherits from. A category goes with none.
    pub async fn went_with_a_model<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        entity: &Entity,
    ) -> Result<bool, StoreError> {
        let known = self.known(entity).filter(|_| entity.kind != Kind::Category);
        let mut parent = known.and_then(|entry| entry.parent.clone());
        for _ in 0..GENERATIONS {
            let Some((mark, page)) = parent.and_then(|mark| Some((mark.clone(), mark.page()?))) else {
                return Ok(false);
            };
            self.read(host, keys, directory, Kind::ProductModel, page).await?;
            let entries = self.pages.get(&(Kind::ProductModel, page));
            let mut entries = entries.into_iter().flat_map(|page| &page.entries);
            let Some((_, model)) = entries.find(|(segment, _)| ShortDigest::of(segment) == mark) else {
                return Ok(false);
            };
            if model.removed_s.is_some() && model.was_announced {
                return Ok(true);
            }
            parent = model.parent.clone();
        }
        Ok(false)
    }

    pub(crate) fn put(&mut self, entity: &Entity, entry: Entry) {
        let place = (entity.kind, page_of(entity));
        let was_there = self.get(entity).is_some();
        let is_there = entry.removed_s.is_none();
        let page = self.pages.entry(place).or_default();
        let known = page.entries.insert(entity.segment.clone(), entry.clone());
        if known.as_ref() != Some(&entry) {
            self.changed.insert(place);
        }
        self.added += i64::from(is_there) - i64::from(was_there);
    }

    /// Whether there is anything to write back.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Writes the changed pages under keys of this worker's, and then deletes those that they were made of; says by how
    /// many entries the index grew.
    pub async fn save<H: Store + Clock>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &mut Directory,
        worker: &Segment,
    ) -> Result<i64, StoreError> {
        let now_s = host.now_ms() / 1000;
        for place in std::mem::take(&mut self.changed) {
            let Some(page) = self.pages.get_mut(&place) else {
                continue;
            };
            page.v = 1;
            page.entries.retain(|_, entry| {
                entry
                    .removed_s
                    .is_none_or(|removed_s| removed_s.abs_diff(now_s) < REMOVED_S)
            });
            let (mut own, mut writers) = (Vec::new(), Vec::new());
            for (number, part) in (0..).zip(page.parts()) {
                let writer = Some((worker.clone(), number));
                let key = keys.encode(&directory.key(place.0, place.1, writer.clone()));
                host.set(&key, &part).await?;
                own.push(key);
                writers.push(writer);
            }
            let old = directory.keys(keys, place.0, place.1);
            let old: Vec<String> = old.into_iter().filter(|key| !own.contains(key)).collect();
            directory.writers.insert(place, writers);
            delete_all(host, &old).await?;
        }
        Ok(std::mem::take(&mut self.added))
    }
}

#[cfg(test)]
mod tests;
