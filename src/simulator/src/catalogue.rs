//! The PIM's catalogue in memory: products by UUID and product models by primary key, each with a short history, so
//! that a search index that lags behind can be played. Pure: time is handed in.
//!
//! An entity keeps only what makes it different: generated values are computed from its seed when it is read, and a
//! variant's inherited values from its models as they are then. So a catalogue of any size fits in memory, and a
//! model's edit changes the values of its variants without touching their `updated` (contract 6, trap 9).

mod category;
mod edit;
mod entity;
mod generate;
mod random;
mod render;
mod structure;
mod values;
mod versions;

pub use edit::{Action, Change, ChangeKind, Edit, EditError};
pub use entity::{Entity, EntityId};
pub(crate) use generate::uuid as random_uuid;
pub use render::Rendering;
pub use structure::Structure;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use uuid::Uuid;
use versions::Versions;

// How much history edits keep, at least; a longer lag keeps more.
const HISTORY_MS: u64 = 600_000;

/// All entities, as they are and as they lately were.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    // In UUID order, which is the order of their primary key.
    products: BTreeMap<Uuid, Versions>,
    // By primary key. A code that is deleted and created again has a second one.
    models: BTreeMap<u64, Versions>,
    numbers: BTreeMap<String, Vec<u64>>,
    // Everything that has, or had, a model as its direct parent: a superset, to be checked against the entity.
    variants: BTreeMap<String, BTreeSet<Uuid>>,
    sub_models: BTreeMap<String, BTreeSet<u64>>,
    /// Families, attributes, options, categories and channels.
    pub structure: Structure,
    /// How far back the history must reach, in milliseconds.
    pub lag_ms: u64,
    /// How far the clock that edits are stamped by is ahead of the one that the history is kept by, in milliseconds. A
    /// PIM's clock may jump; that its search index lags has nothing to do with that.
    pub clock_skew_ms: i64,
}

impl Catalogue {
    /// The truth: what a read by id sees.
    pub fn truth(&self) -> View<'_> {
        View {
            catalogue: self,
            at_ms: u64::MAX,
        }
    }

    /// The catalogue as it was: what an index sees that lags behind. History reaches back ten minutes, or `lag_ms` if
    /// that is longer.
    pub fn at(&self, at_ms: u64) -> View<'_> {
        View { catalogue: self, at_ms }
    }

    fn versions(&self, id: &EntityId) -> Option<&Versions> {
        match id {
            EntityId::Product(uuid) => self.products.get(uuid),
            EntityId::Model(code) => self
                .numbers
                .get(code)?
                .last()
                .and_then(|number| self.models.get(number)),
            EntityId::Category(_) => None,
        }
    }

    fn in_history_ms(&self, at_ms: u64) -> u64 {
        at_ms.saturating_add_signed(self.clock_skew_ms.saturating_neg())
    }

    // Puts an entity in place of what has its id and remembers whose child it is.
    fn put(&mut self, entity: Entity, at_ms: u64) {
        let at_ms = self.in_history_ms(at_ms);
        if let Some(parent) = entity.parent.clone() {
            match &entity.id {
                EntityId::Product(uuid) => self.variants.entry(parent).or_default().insert(*uuid),
                _ => self.sub_models.entry(parent).or_default().insert(entity.number),
            };
        }
        let keep_ms = self.lag_ms.max(HISTORY_MS);
        match &entity.id {
            EntityId::Product(uuid) => {
                self.products
                    .entry(*uuid)
                    .or_default()
                    .set(Some(entity), at_ms, keep_ms);
            }
            EntityId::Model(code) => {
                let numbers = self.numbers.entry(code.clone()).or_default();
                if !numbers.contains(&entity.number) {
                    numbers.push(entity.number);
                }
                self.models
                    .entry(entity.number)
                    .or_default()
                    .set(Some(entity), at_ms, keep_ms);
            }
            EntityId::Category(_) => {}
        }
    }

    fn remove(&mut self, id: &EntityId, at_ms: u64) {
        let at_ms = self.in_history_ms(at_ms);
        let keep_ms = self.lag_ms.max(HISTORY_MS);
        let versions = match id {
            EntityId::Product(uuid) => self.products.get_mut(uuid),
            EntityId::Model(code) => self
                .numbers
                .get(code)
                .and_then(|numbers| numbers.last())
                .and_then(|number| self.models.get_mut(number)),
            EntityId::Category(_) => None,
        };
        if let Some(versions) = versions {
            versions.set(None, at_ms, keep_ms);
        }
    }

    // One beyond the highest ever given: primary keys are not used twice.
    fn next_number(&self) -> u64 {
        self.models.last_key_value().map_or(1, |(number, _)| number + 1)
    }
}

/// The catalogue at one instant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    catalogue: &'a Catalogue,
    at_ms: u64,
}

impl<'a> View<'a> {
    /// One product or product model, if it exists at this instant.
    pub fn get(&self, id: &EntityId) -> Option<&'a Entity> {
        match id {
            EntityId::Product(uuid) => self.product(*uuid),
            EntityId::Model(code) => self.model(code),
            EntityId::Category(_) => None,
        }
    }

    /// One product.
    pub fn product(&self, uuid: Uuid) -> Option<&'a Entity> {
        self.catalogue.products.get(&uuid)?.at(self.at_ms)
    }

    /// One product model, in whichever letter case its code is named.
    pub fn model(&self, code: &str) -> Option<&'a Entity> {
        let numbers = &self.catalogue.numbers;
        let same = || numbers.iter().find(|(known, _)| known.eq_ignore_ascii_case(code));
        let numbers = numbers.get(code).or_else(|| same().map(|(_, numbers)| numbers))?;
        numbers
            .iter()
            .rev()
            .find_map(|number| self.catalogue.models.get(number)?.at(self.at_ms))
    }

    /// Products in UUID order, beginning after one of them.
    pub fn products(&self, after: Option<Uuid>) -> impl Iterator<Item = &'a Entity> + use<'a> {
        let (start, at_ms) = (after.map_or(Bound::Unbounded, Bound::Excluded), self.at_ms);
        self.catalogue
            .products
            .range((start, Bound::Unbounded))
            .filter_map(move |(_, versions)| versions.at(at_ms))
    }

    /// Product models in the order of their primary key, beginning after one of them.
    pub fn models(&self, after: Option<u64>) -> impl Iterator<Item = &'a Entity> + use<'a> {
        let (start, at_ms) = (after.map_or(Bound::Unbounded, Bound::Excluded), self.at_ms);
        self.catalogue
            .models
            .range((start, Bound::Unbounded))
            .filter_map(move |(_, versions)| versions.at(at_ms))
    }

    /// Products and product models, all of them.
    pub fn entities(&self) -> impl Iterator<Item = &'a Entity> + use<'a> {
        self.products(None).chain(self.models(None))
    }

    /// The models above an entity, nearest first.
    pub fn ancestors(&self, entity: &Entity) -> Vec<&'a Entity> {
        let mut above: Vec<&'a Entity> = Vec::new();
        let mut parent = entity.parent.as_deref();
        // Two levels of models are the most there can be (contract 4.6); the bound also ends a loop.
        while let Some(model) = parent.and_then(|code| self.model(code)).filter(|_| above.len() < 2) {
            above.push(model);
            parent = model.parent.as_deref();
        }
        above
    }

    /// The models directly below a model.
    pub fn sub_models(&self, code: &str) -> Vec<&'a Entity> {
        let numbers = self.catalogue.sub_models.get(code).into_iter().flatten();
        let entities = numbers.filter_map(|number| self.catalogue.models.get(number)?.at(self.at_ms));
        entities
            .filter(|entity| entity.parent.as_deref() == Some(code))
            .collect()
    }

    /// The products directly below a model, in UUID order.
    pub fn variants(&self, code: &str) -> Vec<&'a Entity> {
        let uuids = self.catalogue.variants.get(code).into_iter().flatten();
        uuids
            .filter_map(|uuid| self.product(*uuid))
            .filter(|entity| entity.parent.as_deref() == Some(code))
            .collect()
    }

    /// The products below a model at any depth, in UUID order.
    pub fn descendants(&self, code: &str) -> Vec<&'a Entity> {
        let mut products = self.variants(code);
        for model in self.sub_models(code) {
            products.extend(self.variants(model.code()));
        }
        products.sort_by_key(|product| product.uuid());
        products
    }

    /// The catalogue's structure.
    pub fn structure(&self) -> &'a Structure {
        &self.catalogue.structure
    }
}
