//! Catalogues of any size from a seed.

use fastrand::Rng;
use serde_json::{Map, json};
use uuid::{Builder, Uuid};

use super::structure::FAMILIES;
use super::versions::Versions;
use super::{Catalogue, Entity, EntityId};

// 2021-03-01T09:00:00Z: all that is generated was created in the 300 days after it.
const FIRST_MS: u64 = 1_614_589_200_000;
const SPAN_S: u64 = 300 * 86_400;

impl Catalogue {
    /// A catalogue of this many products and product models. A tenth of the products are variants, if there are
    /// models to hang them on; of three models one is a root with sub-models, one its sub-model, one a root without.
    /// Some products have no identifier, no family or no category. The same arguments give the same catalogue.
    pub fn generate(products: usize, models: usize, seed: u64) -> Self {
        let mut catalogue = Self::default();
        let mut random = Rng::with_seed(seed);
        let mut leaves = Vec::new();
        for index in 0..models {
            let model = model(index, models, &mut random);
            if !model.two_levels {
                leaves.push((model.code().to_owned(), model.family.clone()));
            }
            catalogue.put_always(model);
        }
        let mut last = None;
        for index in 0..products {
            let mut product = product(index, last, &mut random);
            if index % 10 == 3 && !leaves.is_empty() {
                let (code, family) = &leaves[index / 10 % leaves.len()];
                product.parent = Some(code.clone());
                product.family.clone_from(family);
            }
            last = Some(product.uuid());
            catalogue.put_always(product);
        }
        catalogue
    }

    fn put_always(&mut self, entity: Entity) {
        if let Some(parent) = entity.parent.clone() {
            match &entity.id {
                EntityId::Product(uuid) => self.variants.entry(parent).or_default().insert(*uuid),
                _ => self.sub_models.entry(parent).or_default().insert(entity.number),
            };
        }
        match &entity.id {
            EntityId::Product(uuid) => {
                self.products.insert(*uuid, Versions::always(entity));
            }
            EntityId::Model(code) => {
                self.numbers.insert(code.clone(), vec![entity.number]);
                self.models.insert(entity.number, Versions::always(entity));
            }
            EntityId::Category(_) => {}
        }
    }
}

/// A random UUID of version 4.
pub(crate) fn uuid(random: &mut Rng) -> Uuid {
    Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid()
}

fn entity(id: EntityId, random: &mut Rng) -> Entity {
    let created_ms = FIRST_MS + random.u64(..SPAN_S / 2) * 1000;
    let mut entity = Entity::new(id, random.u64(..), created_ms);
    entity.updated_ms = created_ms + random.u64(..SPAN_S / 2) * 1000;
    entity
}

fn model(index: usize, models: usize, random: &mut Rng) -> Entity {
    let family = FAMILIES[index / 3 % FAMILIES.len()];
    // Codes may hold what a path must encode.
    let code = match index % 3 {
        0 => format!("{family}-range-{index}"),
        1 => format!("{family}-range-{}/series é {index}", index - 1),
        _ => format!("{family}_{index}"),
    };
    let mut model = entity(EntityId::Model(code), random);
    model.number = index as u64 + 1;
    model.family = Some(family.to_owned());
    // A lone root at the end has no sub-model to come.
    model.two_levels = index.is_multiple_of(3) && index + 1 < models;
    model.parent = (index % 3 == 1).then(|| format!("{family}-range-{}", index - 1));
    model.categories = categories(random);
    model
}

fn product(index: usize, earlier: Option<Uuid>, random: &mut Rng) -> Entity {
    let mut product = entity(EntityId::Product(uuid(random)), random);
    product.identifier = (index % 50 != 49).then(|| format!("SKU-{index:06}"));
    product.enabled = random.u8(..10) > 0;
    product.family = (random.u8(..10) > 0).then(|| FAMILIES[random.usize(..FAMILIES.len())].to_owned());
    product.categories = categories(random);
    if let Some(other) = earlier.filter(|_| index.is_multiple_of(8)) {
        let pack = json!({ "products": [other], "product_models": [], "groups": [] });
        product.associations = Map::from_iter([("PACK".to_owned(), pack)]);
        let set = json!({ "products": [{ "uuid": other, "quantity": 2 }], "product_models": [] });
        product.quantified_associations = Map::from_iter([("SET".to_owned(), set)]);
    }
    product
}

fn categories(random: &mut Rng) -> Vec<String> {
    let choice: &[&str] = match random.u8(..10) {
        0 => &[],
        1 => &["seasonal"],
        2 | 3 => &["cycling", "workshop"],
        4..7 => &["lighting"],
        _ => &["seasonal", "tea_time"],
    };
    choice.iter().map(|code| (*code).to_owned()).collect()
}
