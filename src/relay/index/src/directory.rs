//! Where the pages of the index lie, as one listing of the store's keys tells.
//!
//! An extent that no key names is a page as well, with nothing in it. Extents overlap where a worker was killed while it
//! split a page, or was paused for so long that another one split it meanwhile: then all that overlap are one page,
//! until somebody writes it.

use crate::page::{Page, read_files, read_page};
use model::entity::{Kind, Segment};
use model::gathering::sort;
use queue::key::{Extent, Key, PagePlace, Writer};
use queue::keyspace::Keyspace;
use std::ops::Range;
use world::host::StoreError;

/// By what the entries of pages are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By entity: what was last pushed of it.
    #[default]
    Entities,
    /// By identity: which entity holds it.
    Identities,
    /// By the digest of a file's path: when the file went.
    Files,
}

/// A part of a page: its extent, and who wrote it.
pub(crate) type Part = (Extent, Writer);

/// A page: what lies at the places of its extent, in as many parts as were written of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) kind: Kind,
    pub(crate) extent: Extent,
    pub(crate) parts: Vec<Part>,
}

impl Listed {
    pub(crate) fn new(kind: Kind, extent: Extent, parts: Vec<Part>) -> Listed {
        Listed { kind, extent, parts }
    }

    /// Whether its parts are of several workers or of several extents.
    fn is_divided(&self) -> bool {
        let whose = |(extent, writer): &Part| (*extent, writer.as_ref().map(|(worker, _)| worker.clone()));
        let first = self.parts.first().map(whose);
        self.parts.iter().any(|part| Some(whose(part)) != first)
    }
}

/// Where the pages lie: by which worker each was written.
#[derive(Debug, Clone)]
pub struct Directory {
    order: Order,
    /// How many entries a page may have before it is split.
    pub(crate) entries_max: usize,
    /// In order, and without overlaps.
    pages: Vec<Listed>,
    /// The number of the next part that is written: greater than that of any part before.
    written: u32,
}

impl Directory {
    /// A directory of pages that lie at these places, and that are split once they have more than so many entries.
    pub fn of(order: Order, entries_max: usize, mut places: Vec<PagePlace>) -> Directory {
        sort(&mut places, Ord::cmp);
        let mut directory = Directory {
            order,
            entries_max,
            pages: Vec::new(),
            written: 0,
        };
        for (kind, extent, writer) in places {
            let number = writer.as_ref().map_or(0, |(_, number)| *number);
            directory.written = directory.written.max(number.saturating_add(1));
            directory.append(kind, (extent, writer));
        }
        directory
    }

    /// Goes on with another listing: no key is used that was used before it.
    pub fn follow(&mut self, before: &Directory) {
        self.written = self.written.max(before.written);
    }

    /// Adds a part that begins behind the beginnings of all others.
    fn append(&mut self, kind: Kind, part: Part) {
        let extent = part.0;
        match self.pages.last_mut() {
            Some(last) if last.kind == kind && extent.first <= last.extent.last => {
                last.extent.last = last.extent.last.max(extent.last);
                last.parts.push(part);
            }
            _ => self.pages.push(Listed::new(kind, extent, vec![part])),
        }
    }

    /// The key of a part.
    pub(crate) fn key(&self, keys: &Keyspace, kind: Kind, (extent, writer): &Part) -> String {
        let writer = writer.clone();
        keys.encode(&match self.order {
            Order::Entities => Key::IndexPage(kind, *extent, writer),
            Order::Identities => Key::ClaimPage(kind, *extent, writer),
            Order::Files => Key::FilePage(*extent, writer),
        })
    }

    /// Reads the value of a page's key; none for a page of files that is damaged.
    pub(crate) fn read_page(&self, key: &str, value: &[u8]) -> Result<Option<Page>, StoreError> {
        match self.order {
            Order::Files => Ok(read_files(value)),
            Order::Entities | Order::Identities => read_page(key, value).map(Some),
        }
    }

    /// The numbers of the pages that overlap an extent.
    fn overlapping(&self, kind: Kind, extent: Extent) -> Range<usize> {
        let begin = self
            .pages
            .partition_point(|page| (page.kind, page.extent.last) < (kind, extent.first));
        let end = self
            .pages
            .partition_point(|page| (page.kind, page.extent.first) <= (kind, extent.last));
        begin..end
    }

    /// The page that holds a place.
    pub(crate) fn page_at(&self, kind: Kind, place: u128) -> Listed {
        let at = Extent {
            first: place,
            last: place,
        };
        let found = self.overlapping(kind, at);
        if let [page] = &self.pages[found.clone()] {
            return page.clone();
        }
        // Nothing lies there: the page that was never split, as far as others leave it.
        let mut extent = Extent::around(place);
        let is_near = |page: &&Listed| page.kind == kind;
        if let Some(before) = self.pages[..found.start].last().filter(is_near) {
            extent.first = extent.first.max(before.extent.last + 1);
        }
        if let Some(after) = self.pages[found.end..].first().filter(is_near) {
            extent.last = extent.last.min(after.extent.first - 1);
        }
        Listed::new(kind, extent, Vec::new())
    }

    /// The extent of the page that holds a place.
    pub fn extent_at(&self, kind: Kind, place: u128) -> Extent {
        self.page_at(kind, place).extent
    }

    /// The extents of all pages of a kind, in order, from the one that holds a place: together they hold every place
    /// behind it. Pages with nothing in them are among them.
    pub fn extents(&self, kind: Kind, from: u128) -> impl Iterator<Item = Extent> {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            let extent = self.extent_at(kind, next?);
            next = extent.last.checked_add(1);
            Some(extent)
        })
    }

    /// The pages of a kind of which anything is written.
    pub(crate) fn written(&self, kind: Kind) -> impl Iterator<Item = Extent> {
        let pages = self.pages.iter().filter(move |page| page.kind == kind);
        pages.map(|page| page.extent)
    }

    /// The pages whose parts are to be made one, by kind and extent: those that several workers have written, or that one
    /// was splitting when it was stopped.
    pub fn divided(&self) -> Vec<(Kind, Extent)> {
        let divided = self.pages.iter().filter(|page| page.is_divided());
        divided.map(|page| (page.kind, page.extent)).collect()
    }

    /// A part that is to be written by this worker, under a key that it has used for none before.
    pub(crate) fn part(&mut self, extent: Extent, worker: &Segment) -> Part {
        let number = self.written;
        self.written = number.wrapping_add(1);
        (extent, Some((worker.clone(), number)))
    }

    /// Puts parts in the place of those of a page.
    pub(crate) fn replace(&mut self, page: &Listed, new: Vec<Part>) {
        let found = self.overlapping(page.kind, page.extent);
        let known = self.pages[found.clone()].iter().flat_map(|page| &page.parts);
        // What another one wrote meanwhile stays.
        let others = known.filter(|part| !page.parts.contains(part) && !new.contains(part));
        let places = others
            .chain(&new)
            .map(|(extent, writer)| (page.kind, *extent, writer.clone()));
        let new = Directory::of(self.order, self.entries_max, places.collect());
        self.pages.splice(found, new.pages);
    }
}
