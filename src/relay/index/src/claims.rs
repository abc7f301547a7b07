//! Which entity holds which identity at the destination, where identities are no function of ids.
//!
//! The pages are of the same form as those of the index and are written in the same way, entry by entry, but lie in the
//! order of identities. An identity is claimed before an entity is pushed under it and let go once nothing of the
//! entity lies there any more. A claim alone proves nothing: whoever holds it has to lie there, as the index tells.

use crate::directory::Directory;
use crate::entry::Entry;
use crate::entry::place_of;
use crate::pages::Pages;
use model::entity::{Entity, Kind, Segment};
use queue::key::Extent;
use queue::keyspace::Keyspace;
use world::host::{Clock, Store, StoreError};

/// How many entities are remembered that wait for one identity.
const WAITING_MAX: usize = 50;

/// How many entities are remembered that may lie under one identity beside its holder.
const FORMER_MAX: usize = 20;

/// The pages of the identities that a batch touches.
#[derive(Debug, Default)]
pub struct Claims {
    pages: Pages,
}

impl Claims {
    /// Reads the page of an identity, unless it was read.
    pub async fn read<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        (kind, identity): (Kind, &str),
    ) -> Result<(), StoreError> {
        let place = place_of(&called(kind, identity));
        self.pages.read(host, keys, directory, kind, place).await.map(|_| ())
    }

    /// The page of identities at an extent as the index tells it: whoever lies under one of them holds it. Reads every
    /// page of the kind in the index, one after the other. Who waits for an identity the index does not tell, nor what pushes in flight
    /// claimed. Saved, the page takes the place of what was written there, also of what is written late.
    pub async fn remade<H: Store + Clock>(
        host: &H,
        keys: &Keyspace,
        (index, directory): (&Directory, &Directory),
        (kind, extent): (Kind, Extent),
    ) -> Result<Claims, StoreError> {
        let page = directory.page_at(kind, extent.first);
        let is_here = |identity: &String| page.extent.contains(place_of(&called(kind, identity)));
        let mut claims = Claims {
            pages: Pages::anew(page.clone()),
        };
        for of_index in index.written(kind) {
            let mut pages = Pages::default();
            pages.read(host, keys, index, kind, of_index.first).await?;
            for (_, segment, entry) in pages.entries(kind, of_index.first) {
                let Some(code) = segment.code().or(entry.code.clone()) else {
                    continue;
                };
                let identities = entry.identities.iter().enumerate();
                for (at, identity) in identities.filter(|(_, identity)| is_here(identity)) {
                    // The first identity is the one that the entity was last brought under.
                    let holder = claims.holder(kind, identity).cloned();
                    claims.claim(kind, identity, &code);
                    if let Some(holder) = holder.filter(|_| at > 0) {
                        claims.claim(kind, identity, &holder);
                    }
                }
            }
        }
        let now_s = host.now_ms() / 1000;
        let known: Vec<(Segment, Entry)> = claims
            .pages
            .entries(kind, extent.first)
            .into_iter()
            .map(|(_, identity, entry)| (identity.clone(), entry.clone()))
            .collect();
        for (identity, entry) in known {
            let pushes = now_s + entry.pushes;
            claims
                .pages
                .put(&Entity::of(kind, &identity), Entry { pushes, ..entry });
        }
        Ok(claims)
    }

    fn entry(&self, kind: Kind, identity: &str) -> Option<&Entry> {
        self.pages.get(&called(kind, identity))
    }

    /// The code of the entity that was the last to claim an identity whose page was read.
    pub fn holder(&self, kind: Kind, identity: &str) -> Option<&String> {
        self.entry(kind, identity)?.hash.as_ref()
    }

    /// Whether an entity holds an identity whose page was read, or held it before and may lie there still.
    pub fn is_held_by(&self, kind: Kind, identity: &str, code: &str) -> bool {
        let entry = self.entry(kind, identity);
        entry.is_some_and(|entry| entry.hash.iter().chain(&entry.former).any(|holder| holder == code))
    }

    /// The codes of the entities, other than one, that hold an identity or held it before and may lie there still.
    pub fn others(&self, kind: Kind, identity: &str, code: &str) -> impl Iterator<Item = &str> {
        let entry = self.entry(kind, identity);
        let codes = entry
            .into_iter()
            .flat_map(|entry| entry.hash.iter().chain(&entry.former));
        codes.map(String::as_str).filter(move |known| *known != code)
    }

    /// An entity holds an identity from now on; who held it before is remembered until that one lets it go.
    pub fn claim(&mut self, kind: Kind, identity: &str, code: &str) {
        let known = self.entry(kind, identity).cloned().unwrap_or_default();
        if known.hash.as_deref() == Some(code) && !known.waiting.iter().any(|waiting| waiting == code) {
            return;
        }
        let before = known.hash.filter(|holder| holder != code);
        let waiting = known.waiting.into_iter().filter(|waiting| waiting != code);
        let mut former = known.former;
        former.extend(before);
        former.retain(|former| former != code);
        former.truncate(FORMER_MAX);
        let entry = Entry {
            hash: Some(code.to_owned()),
            code: Some(code.to_owned()),
            pushes: self.pages.pushes(&called(kind, identity)) + 1,
            waiting: waiting.collect(),
            former,
            ..Entry::default()
        };
        self.pages.put(&called(kind, identity), entry);
    }

    /// An entity wants an identity that another one holds, or held and lies under still.
    pub fn wait(&mut self, kind: Kind, identity: &str, code: &str, holder: &str) {
        let known = self.entry(kind, identity).cloned();
        let mut entry = known.unwrap_or_else(|| Entry {
            hash: Some(holder.to_owned()),
            code: Some(holder.to_owned()),
            pushes: self.pages.pushes(&called(kind, identity)) + 1,
            ..Entry::default()
        });
        if !entry.waiting.iter().any(|waiting| waiting == code) && entry.waiting.len() < WAITING_MAX {
            entry.waiting.push(code.to_owned());
            self.pages.put(&called(kind, identity), entry);
        }
    }

    /// Nothing of an entity lies under an identity any more; gives the codes of those that wait for it. What another
    /// one holds by now stays its own.
    pub fn let_go(&mut self, kind: Kind, identity: &str, code: &str, now_s: u64) -> Vec<String> {
        let Some(mut entry) = self.entry(kind, identity).cloned() else {
            return Vec::new();
        };
        let mut holders = entry.hash.iter().chain(&entry.former).peekable();
        if holders.peek().is_some() && !holders.any(|holder| holder == code) {
            // Other entities hold the identity, and whoever waits for it waits for those.
            return Vec::new();
        }
        let waiting = std::mem::take(&mut entry.waiting);
        entry.former.retain(|former| former != code);
        if entry.hash.as_deref() == Some(code) {
            // Whoever held the identity before may lie there still.
            entry.hash = entry.former.pop();
            entry.code.clone_from(&entry.hash);
        }
        if entry.hash.is_none() && entry.former.is_empty() {
            self.pages.remove(&called(kind, identity), now_s, false);
        } else {
            entry.pushes += 1;
            self.pages.put(&called(kind, identity), entry);
        }
        waiting
    }

    /// Whether there is anything to write back.
    pub fn has_changes(&self) -> bool {
        self.pages.has_changes()
    }

    /// Writes the changed pages under keys of this worker's.
    pub async fn save<H: Store + Clock>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &mut Directory,
        worker: &Segment,
    ) -> Result<(), StoreError> {
        self.pages.save(host, keys, directory, worker).await.map(|_| ())
    }
}

/// An identity as pages know it: as an entity of that id.
fn called(kind: Kind, identity: &str) -> Entity {
    Entity::new(kind, identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind::Product;

    #[test]
    fn who_waits_for_an_identity_is_woken_by_who_holds_it_and_by_nobody_else() {
        let mut claims = Claims::default();
        claims.claim(KIND, "sku", "holder");
        claims.wait(KIND, "sku", "waiting", "holder");
        assert_eq!(claims.let_go(KIND, "sku", "another", 1), Vec::<String>::new());
        assert!(claims.is_held_by(KIND, "sku", "holder"));
        assert_eq!(claims.let_go(KIND, "sku", "holder", 1), ["waiting"]);
        assert!(!claims.is_held_by(KIND, "sku", "holder"));
    }

    #[test]
    fn whoever_held_an_identity_may_lie_there_until_it_lets_go() {
        let mut claims = Claims::default();
        for code in ["first", "second", "third"] {
            claims.claim(KIND, "sku", code);
        }
        let others = |claims: &Claims| {
            claims
                .others(KIND, "sku", "third")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(others(&claims), ["first", "second"]);
        claims.let_go(KIND, "sku", "first", 1);
        assert_eq!(others(&claims), ["second"]);
        claims.let_go(KIND, "sku", "third", 1);
        assert!(claims.is_held_by(KIND, "sku", "second") && !claims.is_held_by(KIND, "sku", "third"));
    }
}
