//! A product or a product model, and the ids of whatever is announced.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Which entity: products are known by UUID, product models and categories by code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityId {
    /// A product, simple or variant.
    Product(Uuid),
    /// A product model of either level.
    #[serde(rename = "product_model")]
    Model(String),
    /// A category; these are kept with the structure.
    Category(String),
}

impl EntityId {
    /// The UUID or the code, as it stands in a path (before encoding) and in an event.
    pub fn key(&self) -> String {
        match self {
            Self::Product(uuid) => uuid.to_string(),
            Self::Model(code) | Self::Category(code) => code.clone(),
        }
    }

    /// Whether it is a product.
    pub fn is_product(&self) -> bool {
        matches!(self, Self::Product(_))
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Product(uuid) => write!(formatter, "product {uuid}"),
            Self::Model(code) => write!(formatter, "product model {code}"),
            Self::Category(code) => write!(formatter, "category {code}"),
        }
    }
}

/// What makes an entity different from the others; its full body is made when it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Its immutable id.
    pub id: EntityId,
    /// Primary key of a model, which orders the lists; 0 for products, which their UUID orders.
    pub number: u64,
    /// Value of the main identifier attribute, `sku`; products only, optional (contract 4.6).
    pub identifier: Option<String>,
    /// Products only.
    pub enabled: bool,
    /// Family code.
    pub family: Option<String>,
    /// Code of the model above it.
    pub parent: Option<String>,
    /// Category codes; none means unclassified.
    pub categories: Vec<String>,
    /// Root models only: whether sub-models stand between it and its variants.
    pub two_levels: bool,
    /// Values set by edits, over the generated ones; an empty list hides a generated value.
    pub values: BTreeMap<String, Vec<Value>>,
    /// By association type, in the form of the REST API.
    pub associations: Map<String, Value>,
    /// By association type, in the form of the REST API.
    pub quantified_associations: Map<String, Value>,
    /// Edits so far; shown as a number value, which the variants of a model inherit.
    pub revision: u32,
    /// Decides the generated values.
    pub seed: u64,
    /// Unix milliseconds; shown in whole seconds.
    pub created_ms: u64,
    /// Unix milliseconds; shown in whole seconds.
    pub updated_ms: u64,
}

impl Entity {
    /// One that has nothing yet but its id and the values its seed gives.
    pub fn new(id: EntityId, seed: u64, at_ms: u64) -> Self {
        Self {
            id,
            number: 0,
            identifier: None,
            enabled: true,
            family: None,
            parent: None,
            categories: Vec::new(),
            two_levels: false,
            values: BTreeMap::new(),
            associations: Map::new(),
            quantified_associations: Map::new(),
            revision: 0,
            seed,
            created_ms: at_ms,
            updated_ms: at_ms,
        }
    }

    /// The code of a model; empty for a product.
    pub fn code(&self) -> &str {
        match &self.id {
            EntityId::Model(code) => code,
            _ => "",
        }
    }

    /// The UUID of a product; nil for a model.
    pub fn uuid(&self) -> Uuid {
        match &self.id {
            EntityId::Product(uuid) => *uuid,
            _ => Uuid::nil(),
        }
    }
}
