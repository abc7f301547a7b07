//! Something that there is once for each kind of entity, or not.
//!
//! It is kept as an object with a member for each kind that has one, as a map would be, and takes a fraction of a map's
//! code.

use crate::entity::Kind;
use serde::{Deserialize, Serialize};

/// Values by kind; a kind may have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ByKind<T> {
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    product: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    product_model: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    category: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> Default for ByKind<T> {
    fn default() -> Self {
        ByKind {
            product: None,
            product_model: None,
            category: None,
        }
    }
}

impl<T> ByKind<T> {
    /// Nothing for any kind but this.
    pub fn of(kind: Kind, value: T) -> Self {
        let mut by_kind = ByKind::default();
        by_kind.set(kind, Some(value));
        by_kind
    }

    /// The value of a kind, if it has one.
    pub fn get(&self, kind: Kind) -> Option<&T> {
        match kind {
            Kind::Product => &self.product,
            Kind::ProductModel => &self.product_model,
            Kind::Category => &self.category,
        }
        .as_ref()
    }

    fn place(&mut self, kind: Kind) -> &mut Option<T> {
        match kind {
            Kind::Product => &mut self.product,
            Kind::ProductModel => &mut self.product_model,
            Kind::Category => &mut self.category,
        }
    }

    /// Gives a kind a value in place of the one that it had, or takes that away.
    pub fn set(&mut self, kind: Kind, value: Option<T>) {
        *self.place(kind) = value;
    }

    /// The kinds that have a value, with it.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &T)> + Clone {
        let kinds = [Kind::Product, Kind::ProductModel, Kind::Category];
        kinds.into_iter().filter_map(|kind| Some((kind, self.get(kind)?)))
    }

    /// The values of those kinds that have one, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let places = [&mut self.product, &mut self.product_model, &mut self.category];
        places.into_iter().flatten()
    }

    /// Whether no kind has a value.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<T: Default> ByKind<T> {
    /// The value of a kind, to be changed; a new one where the kind had none.
    pub fn at(&mut self, kind: Kind) -> &mut T {
        self.place(kind).get_or_insert_default()
    }
}

impl ByKind<u64> {
    /// How many there are of a kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.get(kind).copied().unwrap_or(0)
    }

    /// How many there are of all kinds.
    pub fn sum(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn it_is_kept_as_a_map_is_and_reads_what_a_map_was_kept_as() {
        let mut counts = ByKind::of(Kind::ProductModel, 3u64);
        *counts.at(Kind::Category) += 1;
        let map: BTreeMap<Kind, u64> = [(Kind::ProductModel, 3), (Kind::Category, 1)].into();
        assert_eq!(json!(counts), json!(map));
        let read = |value| serde_json::from_value::<ByKind<u64>>(value).ok();
        assert_eq!(read(json!(map)), Some(counts.clone()));
        assert_eq!(read(json!({})), Some(ByKind::default()));
        assert_eq!((counts.count(Kind::Product), counts.sum()), (0, 4));
        counts.set(Kind::Category, None);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(Kind::ProductModel, &3)]);
    }
}
