//! Random edits, as a team at work would make them.

use fastrand::Rng;
use serde_json::json;
use uuid::Uuid;

use super::{Action, Catalogue, Edit, Entity, EntityId, generate};

impl Catalogue {
    /// An edit that can be made now. Mostly updates of products; of a hundred about five delete a product, one deletes
    /// a model, and six create something.
    pub fn random_edit(&self, random: &mut Rng) -> Edit {
        let (product, model) = (self.random_product(random), self.random_model(random));
        let dice = random.u8(..100);
        let edit = match (dice, product, model) {
            (0..55, Some(product), _) => (product.id.clone(), Action::Touch),
            (55..65, Some(product), _) => (product.id.clone(), name(random)),
            (65..70, Some(product), _) => (
                product.id.clone(),
                Action::Enable {
                    enabled: !product.enabled,
                },
            ),
            (70..75, Some(product), _) => {
                let code = if random.bool() { "lighting" } else { "seasonal" };
                (
                    product.id.clone(),
                    Action::SetCategories {
                        categories: vec![code.to_owned()],
                    },
                )
            }
            (75..80, Some(product), _) => (product.id.clone(), Action::Delete),
            (80..93, _, Some(model)) => (model.id.clone(), Action::Touch),
            (93, _, Some(model)) => (model.id.clone(), Action::Delete),
            (94..96, _, model) => {
                let parent = model
                    .filter(|model| model.two_levels)
                    .map(|model| model.code().to_owned());
                let code = || EntityId::Model(format!("new_{:012x}", random.u64(..1 << 48)));
                (self.unknown(code), created(None, parent))
            }
            (_, _, model) => {
                let id = self.unknown(|| EntityId::Product(generate::uuid(random)));
                let parent = model
                    .filter(|model| !model.two_levels)
                    .map(|model| model.code().to_owned());
                let identifier = format!("NEW-{}", &id.key().replace('-', "")[..12]);
                (id, created(Some(identifier), parent))
            }
        };
        Edit::new(edit.0, edit.1)
    }

    // An id that nothing has yet: with the same seed the same ones come once more.
    fn unknown(&self, mut any: impl FnMut() -> EntityId) -> EntityId {
        loop {
            let id = any();
            if self.truth().get(&id).is_none() {
                return id;
            }
        }
    }

    // The first one after a random place, so that it costs no walk.
    fn random_product(&self, random: &mut Rng) -> Option<&Entity> {
        let place = Uuid::from_u128(random.u128(..));
        self.truth()
            .products(Some(place))
            .next()
            .or_else(|| self.truth().products(None).next())
    }

    fn random_model(&self, random: &mut Rng) -> Option<&Entity> {
        let place = random.u64(..self.next_number());
        self.truth()
            .models(Some(place))
            .next()
            .or_else(|| self.truth().models(None).next())
    }
}

fn name(random: &mut Rng) -> Action {
    Action::SetValue {
        attribute: "name".to_owned(),
        locale: Some("en_US".to_owned()),
        scope: None,
        data: json!(format!("Renamed {}", random.u16(..))),
    }
}

fn created(identifier: Option<String>, parent: Option<String>) -> Action {
    let categories = vec!["lighting".to_owned()];
    Action::Create {
        identifier,
        family: Some("lamp".to_owned()),
        parent,
        categories,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_edits_once_more_make_other_entities() {
        let mut catalogue = Catalogue::generate(20, 6, 1);
        for round in 0..2 {
            let mut random = Rng::with_seed(1);
            for _ in 0..600 {
                let edit = catalogue.random_edit(&mut random);
                let made = catalogue.edit(&edit, 1_000_000);
                assert!(made.is_ok(), "round {round}: {edit:?}: {made:?}");
            }
        }
    }
}
