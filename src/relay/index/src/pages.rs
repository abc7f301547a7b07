//! What was last pushed, in pages of neighbours.
//!
//! **No worker writes what another one wrote.** The stores have no compare-and-swap, and the lease is advisory, so a
//! write of a worker that was paused can land at any time. Each worker therefore writes a page under a key of its own
//! and then deletes those from which it made it. As a rule a page has one key; where two workers were at it, it has
//! several until the next one merges them, entry by entry. A page that has grown splits when it is written: its halves
//! first, then the deletion of the whole.

use crate::directory::{Directory, Listed};
use crate::entry::{Entry, ShortDigest, place_of};
use crate::page::{Page, in_order, missing};
use model::entity::{Entity, Kind, Segment};
use protocol::remote::Remote;
use queue::key::Extent;
use queue::keyspace::Keyspace;
use world::damage;
use world::host::{Clock, Store, StoreError, delete_all};
use world::mistake::{Mistake, made};

/// How long it is remembered that an entity was removed, in seconds: a page that was written late must not bring it
/// back, and the daily walk finds what went with a model.
const REMOVED_S: u64 = 2 * 86_400;

/// How many generations of models a product can have above it (contract 4.6).
const GENERATIONS: usize = 2;

/// The pages that a batch needs, read once and written back where they changed.
#[derive(Debug, Default)]
pub struct Pages {
    /// In the order of their places.
    pages: Vec<Loaded>,
    added: i64,
    /// Entities of which two workers pushed different contents.
    unknown: Vec<(Entity, Option<String>)>,
}

/// A page that was read.
#[derive(Debug)]
struct Loaded {
    listed: Listed,
    page: Page,
    is_changed: bool,
}

impl Loaded {
    fn new(listed: Listed, page: Page) -> Loaded {
        Loaded {
            listed,
            page,
            is_changed: false,
        }
    }
}

impl Pages {
    /// One page with nothing in it yet, in place of whatever is written there.
    pub(crate) fn anew(listed: Listed) -> Pages {
        let page = Loaded {
            is_changed: true,
            ..Loaded::new(listed, Page::default())
        };
        Pages {
            pages: vec![page],
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
            pages.read(host, keys, directory, entity.kind, place_of(entity)).await?;
        }
        Ok(pages)
    }

    /// Where the page of a place is, or was to be.
    fn find(&self, kind: Kind, place: u128) -> Result<usize, usize> {
        let at = self.pages.partition_point(|page| {
            let Listed { kind: of, extent, .. } = &page.listed;
            (*of, extent.last) < (kind, place)
        });
        let page = self.pages.get(at).map(|page| &page.listed);
        match page.is_some_and(|page| page.kind == kind && page.extent.contains(place)) {
            true => Ok(at),
            false => Err(at),
        }
    }

    fn page(&self, kind: Kind, place: u128) -> Option<&Loaded> {
        self.pages.get(self.find(kind, place).ok()?)
    }

    fn page_mut(&mut self, entity: &Entity) -> Option<&mut Loaded> {
        let at = self.find(entity.kind, place_of(entity)).ok()?;
        self.pages.get_mut(at)
    }

    /// Reads the page of a place, unless it was read; gives its extent. One that several workers wrote is merged.
    pub async fn read<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        kind: Kind,
        place: u128,
    ) -> Result<Extent, StoreError> {
        let at = match self.find(kind, place) {
            Ok(at) => return Ok(self.pages[at].listed.extent),
            Err(at) => at,
        };
        let (listed, mut page) = (directory.page_at(kind, place), Page::default());
        for part in &listed.parts {
            let key = directory.key(keys, kind, part);
            let value = host.get(&key).await?.ok_or_else(|| missing(&key))?;
            match directory.read_page(&key, &value)? {
                Some(part) => self.merge(kind, &mut page, part),
                None => damage::note(host, &key, value),
            }
        }
        let extent = listed.extent;
        self.pages.insert(at, Loaded::new(listed, page));
        Ok(extent)
    }

    /// Reads those pages again that were written since they were read. One that is to be written itself stays as it is:
    /// whoever reads the page next merges the two.
    pub async fn read_again<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
    ) -> Result<(), StoreError> {
        let is_old = |page: &Loaded| {
            let Listed { kind, extent, .. } = page.listed;
            !page.is_changed && directory.page_at(kind, extent.first) != page.listed
        };
        let (old, rest): (Vec<Loaded>, Vec<Loaded>) = std::mem::take(&mut self.pages).into_iter().partition(is_old);
        self.pages = rest;
        for Listed { kind, extent, .. } in old.into_iter().map(|page| page.listed) {
            let mut next = Some(extent.first);
            while let Some(place) = next.filter(|place| *place <= extent.last) {
                next = self.read(host, keys, directory, kind, place).await?.last.checked_add(1);
            }
        }
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

    /// Reads a page that several workers have written, to be saved as one; gives the entities of which the workers pushed
    /// different contents, with their codes.
    pub async fn united<H: Store>(
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        (kind, extent): (Kind, Extent),
    ) -> Result<(Pages, Vec<(Entity, String)>), StoreError> {
        let mut pages = Pages::default();
        pages.read(host, keys, directory, kind, extent.first).await?;
        pages.pages.iter_mut().for_each(|page| page.is_changed = true);
        let unknown = std::mem::take(&mut pages.unknown).into_iter();
        let unknown = unknown.filter_map(|(entity, code)| Some((entity.segment.code().or(code)?, entity)));
        let unknown = unknown.map(|(code, entity)| (entity, code)).collect();
        Ok((pages, unknown))
    }

    /// The entries of the page of a place that was read, in the order of their places.
    pub fn entries(&self, kind: Kind, place: u128) -> Vec<(u128, &Segment, &Entry)> {
        let entries = self.page(kind, place).into_iter().flat_map(|page| &page.page.entries);
        in_order(kind, entries.filter(|(_, entry)| entry.removed_s.is_none()))
    }

    /// Notes that a walk did not meet an entity whose page was read.
    pub fn miss(&mut self, entity: &Entity, walk: u64) {
        let Some(page) = self.page_mut(entity) else { return };
        let entry = page.page.entries.get_mut(&entity.segment);
        if let Some(entry) = entry.filter(|entry| entry.removed_s.is_none() && entry.missed_by.is_none()) {
            entry.missed_by = Some(walk);
            page.is_changed = true;
        }
    }

    /// Notes that a walk met an entity whose page was read.
    pub fn meet(&mut self, entity: &Entity) {
        let Some(page) = self.page_mut(entity) else { return };
        let entry = page.page.entries.get_mut(&entity.segment);
        if entry.is_some_and(|entry| entry.missed_by.take().is_some()) {
            page.is_changed = true;
        }
    }

    fn known(&self, entity: &Entity) -> Option<&Entry> {
        let page = self.page(entity.kind, place_of(entity))?;
        page.page.entries.get(&entity.segment)
    }

    /// The entry of an entity whose page was read.
    pub fn get(&self, entity: &Entity) -> Option<&Entry> {
        self.known(entity).filter(|entry| entry.removed_s.is_none())
    }

    /// The entry of what an entity inherits from, be it removed of late; reads the pages on which it may lie.
    async fn parent<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        kind: Kind,
        mark: Option<ShortDigest>,
    ) -> Result<Option<&Entry>, StoreError> {
        let Some((mark, extent)) = mark.and_then(|mark| Some((mark.clone(), mark.extent()?))) else {
            return Ok(None);
        };
        let mut place = extent.first;
        // As a rule this is one page.
        while let Some(next) = self.read(host, keys, directory, kind, place).await?.last.checked_add(1) {
            if next > extent.last {
                break;
            }
            place = next;
        }
        let of_kind = self.pages.iter().filter(|page| page.listed.kind == kind);
        let near = of_kind.filter(|page| {
            let Extent { first, last } = page.listed.extent;
            first <= extent.last && extent.first <= last
        });
        let mut entries = near.flat_map(|page| &page.page.entries);
        let parent = entries.find(|(segment, _)| ShortDigest::of(segment) == mark);
        Ok(parent.map(|(_, parent)| parent))
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
        let kind = entity.kind.of_parents();
        let parent = self.parent(host, keys, directory, kind, mark).await?;
        Ok(parent.map(|parent| parent.remote.clone()))
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
            let model = self.parent(host, keys, directory, Kind::ProductModel, parent).await?;
            let Some(model) = model else { return Ok(false) };
            if model.removed_s.is_some() && model.was_announced {
                return Ok(true);
            }
            parent = model.parent.clone();
        }
        Ok(false)
    }

    /// Puts an entry in the place of what is known of an entity. Where its page was not read, the entry is written beside
    /// that, and whoever reads the page next merges the two.
    pub(crate) fn put(&mut self, entity: &Entity, entry: Entry) {
        let was_there = self.get(entity).is_some();
        let is_there = entry.removed_s.is_none();
        let place = place_of(entity);
        let at = self.find(entity.kind, place).unwrap_or_else(|at| {
            let beside = Listed::new(
                entity.kind,
                Extent {
                    first: place,
                    last: place,
                },
                Vec::new(),
            );
            self.pages.insert(at, Loaded::new(beside, Page::default()));
            at
        });
        let page = &mut self.pages[at];
        let known = page.page.entries.insert(entity.segment.clone(), entry.clone());
        page.is_changed |= known.as_ref() != Some(&entry);
        self.added += i64::from(is_there) - i64::from(was_there);
    }

    /// Whether there is anything to write back.
    pub fn has_changes(&self) -> bool {
        self.pages.iter().any(|page| page.is_changed)
    }

    /// Writes the changed pages under keys of this worker's, and then deletes those that they were made of; says by how
    /// many entries the index grew. A page with too many entries is split.
    pub async fn save<H: Store + Clock>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &mut Directory,
        worker: &Segment,
    ) -> Result<i64, StoreError> {
        let (new, old) = self.changes(keys, directory, worker, host.now_ms() / 1000);
        if made(Mistake::DeleteWholeFirst) {
            delete_all(host, &old).await?;
        }
        // One by one, and a write that fails ends it: where it lands late after all, this worker must not have gone on and
        // replaced the page meanwhile.
        for (key, value) in new {
            host.set(&key, &value).await?;
        }
        delete_all(host, &old).await?;
        Ok(std::mem::take(&mut self.added))
    }

    /// What is to be written of the changed pages, and the keys that are to be deleted then.
    fn changes(
        &mut self,
        keys: &Keyspace,
        directory: &mut Directory,
        worker: &Segment,
        now_s: u64,
    ) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
        let is_young = |removed_s: u64| removed_s.abs_diff(now_s) < REMOVED_S;
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for loaded in self.pages.iter_mut().filter(|page| page.is_changed) {
            let Loaded {
                listed,
                page,
                is_changed,
            } = loaded;
            page.v = 1;
            page.entries.retain(|_, entry| entry.removed_s.is_none_or(is_young));
            let mut parts = Vec::new();
            for (extent, value) in page.values(listed.kind, listed.extent, directory.entries_max) {
                let part = directory.part(extent, worker);
                new.push((directory.key(keys, listed.kind, &part), value));
                parts.push(part);
            }
            if made(Mistake::LosePart) && parts.len() > 1 {
                new.pop();
            }
            let left = listed.parts.iter().filter(|part| !parts.contains(part));
            old.extend(left.map(|part| directory.key(keys, listed.kind, part)));
            directory.replace(listed, parts.clone());
            // In memory the page stays one.
            (listed.parts, *is_changed) = (parts, false);
        }
        (new, old)
    }
}

#[cfg(test)]
pub(crate) mod tests;
