//! What a destination holds against what the PIM would show: the judge of whether a relay did its work.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::EntityId;
use crate::destination::Destination;
use crate::pim::Pim;

// Maps that PHP writes as `{}` or as `[]` when they are empty (contract 6, trap 14).
const PHP_MAPS: [&str; 7] = [
    "values",
    "associations",
    "quantified_associations",
    "labels",
    "quality_scores",
    "completenesses",
    "linked_data",
];

/// Where the destination keeps an entity: `{prefix}/{kind}/{encoded id}`.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Path before the kind, without a slash at its end; may be empty.
    pub prefix: String,
    /// Path segment of products.
    pub products: String,
    /// Path segment of product models.
    pub models: String,
    /// Path segment of categories; none leaves them out.
    pub categories: Option<String>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            products: "products".to_owned(),
            models: "product-models".to_owned(),
            categories: None,
        }
    }
}

impl Mapping {
    /// The default kinds below this path.
    pub fn below(prefix: &str) -> Self {
        Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            ..Self::default()
        }
    }

    /// The path of an entity.
    pub fn path(&self, id: &EntityId) -> String {
        let kind = match id {
            EntityId::Product(_) => &self.products,
            EntityId::Model(_) => &self.models,
            EntityId::Category(_) => self.categories.as_deref().unwrap_or("categories"),
        };
        format!("{}/{kind}/{}", self.prefix, crate::encode_segment(&id.key()))
    }
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// In the PIM, not at the destination.
    Missing {
        /// Its decoded path at the destination.
        path: String,
    },
    /// At the destination, not in the PIM.
    Extra {
        /// Its decoded path at the destination.
        path: String,
    },
    /// In both, unequal.
    Unequal {
        /// Its decoded path at the destination.
        path: String,
        /// The members of the body that differ.
        members: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(formatter, "missing  {path}"),
            Self::Extra { path } => write!(formatter, "extra    {path}"),
            Self::Unequal { path, members } => {
                write!(formatter, "unequal  {path}: {}", members.join(", "))
            }
        }
    }
}

/// The differences between what the PIM shows its connection now and what the destination holds, sorted.
pub fn differences(pim: &Pim, destination: &Destination, mapping: &Mapping) -> Vec<Difference> {
    let held = destination
        .state
        .iter()
        .map(|(path, stored)| (path.as_str(), stored.json.as_str()));
    let mut comparison = Comparison::new(held, mapping.clone());
    let categories = mapping.categories.iter().flat_map(|_| pim.catalogue.categories());
    for (id, body) in pim.bodies(None).chain(categories) {
        comparison.entity(&id, body);
    }
    comparison.finish()
}

/// A comparison entity by entity, for those who get them by and by.
#[derive(Debug)]
pub struct Comparison<T> {
    mapping: Mapping,
    // What the destination holds and no entity has claimed yet: JSON by decoded path.
    held: BTreeMap<String, T>,
    found: Vec<Difference>,
}

impl<T: AsRef<str>> Comparison<T> {
    /// Begins with the paths and the JSON texts that the destination holds.
    pub fn new<P: AsRef<str>>(held: impl Iterator<Item = (P, T)>, mapping: Mapping) -> Self {
        let held = held.map(|(path, json)| (decode(path.as_ref()), json)).collect();
        Self {
            mapping,
            held,
            found: Vec::new(),
        }
    }

    /// Compares one entity of the PIM; each may come once.
    pub fn entity(&mut self, id: &EntityId, body: Value) {
        let path = decode(&self.mapping.path(id));
        let Some(json) = self.held.remove(&path) else {
            self.found.push(Difference::Missing { path });
            return;
        };
        let members = unequal_members(body, serde_json::from_str(json.as_ref()).unwrap_or_default());
        if !members.is_empty() {
            self.found.push(Difference::Unequal { path, members });
        }
    }

    /// The differences, sorted; what no entity has claimed is extra.
    pub fn finish(mut self) -> Vec<Difference> {
        self.found
            .extend(self.held.into_keys().map(|path| Difference::Extra { path }));
        self.found.sort();
        self.found
    }
}

fn decode(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn unequal_members(mut one: Value, mut other: Value) -> Vec<String> {
    normalize(&mut one);
    normalize(&mut other);
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
        return vec!["(not an object)".to_owned()];
    };
    let names: BTreeSet<&String> = one
        .keys()
        .chain(other.keys())
        .filter(|name| *name != "_links")
        .collect();
    names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .cloned()
        .collect()
}

// Makes equal what PHP writes in two ways.
fn normalize(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, each) in map.iter_mut() {
                if PHP_MAPS.contains(&key.as_str()) && each.as_array().is_some_and(Vec::is_empty) {
                    *each = Value::Object(serde_json::Map::new());
                }
                normalize(each);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(normalize),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::destination::{DestinationConfig, Stored};
    use crate::pim::PimConfig;
    use serde_json::json;

    fn copied(pim: &Pim, mapping: &Mapping) -> Destination {
        let mut destination = Destination::new(DestinationConfig::default());
        for (id, body) in pim.bodies(None) {
            let stored = Stored {
                json: body.to_string(),
                headers: Vec::new(),
                versions: 1,
                at_ms: 0,
            };
            destination.state.insert(mapping.path(&id), stored);
        }
        destination
    }

    #[test]
    fn a_copy_has_no_difference_and_each_kind_is_told() {
        let pim = Pim::new(Catalogue::generate(20, 6, 1), PimConfig::default());
        let mapping = Mapping::below("/shop/");
        let mut destination = copied(&pim, &mapping);
        assert_eq!(differences(&pim, &destination, &mapping), []);

        let paths: Vec<String> = destination.state.keys().cloned().collect();
        for stored in destination.state.values_mut() {
            for member in ["associations", "quantified_associations"] {
                let mut body = stored.body();
                if body[member] == json!({}) {
                    body[member] = json!([]);
                    stored.json = body.to_string();
                }
            }
        }
        assert_eq!(differences(&pim, &destination, &mapping), []);

        destination.state.remove(&paths[0]);
        if let Some(stored) = destination.state.get_mut(&paths[1]) {
            let mut body = stored.body();
            body["enabled"] = json!("perhaps");
            stored.json = body.to_string();
        }
        let extra = Stored {
            json: "{}".to_owned(),
            headers: Vec::new(),
            versions: 1,
            at_ms: 0,
        };
        destination.state.insert("/shop/products/unknown".to_owned(), extra);
        let found = differences(&pim, &destination, &mapping);
        assert_eq!(found.len(), 3);
        assert!(matches!(&found[0], Difference::Missing { path } if *path == decode(&paths[0])));
        assert!(matches!(&found[1], Difference::Extra { path } if path == "/shop/products/unknown"));
        assert!(matches!(&found[2], Difference::Unequal { members, .. } if members == &["enabled"]));
    }

    #[test]
    fn what_is_hidden_is_not_expected() {
        let mut pim = Pim::new(Catalogue::generate(20, 0, 1), PimConfig::default());
        let destination = copied(&pim, &Mapping::default());
        pim.config.hidden_share = 0.5;
        let found = differences(&pim, &destination, &Mapping::default());
        assert!(!found.is_empty() && found.iter().all(|each| matches!(each, Difference::Extra { .. })));
    }
}
