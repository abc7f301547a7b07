//! What products are made of: channels, locales, currencies, categories, families, attributes and options. Small and fixed.

use serde_json::{Value, json};

/// Attribute code, type, localizable, scopable.
pub(super) const ATTRIBUTES: [(&str, &str, bool, bool); 13] = [
    ("base", "pim_catalog_simpleselect", false, false),
    ("description", "pim_catalog_textarea", true, true),
    ("dimmable", "pim_catalog_boolean", false, false),
    ("finish", "pim_catalog_simpleselect", false, false),
    ("name", "pim_catalog_text", true, false),
    ("price", "pim_catalog_price_collection", false, false),
    ("range_revision", "pim_catalog_number", false, false),
    ("revision", "pim_catalog_number", false, false),
    ("rooms", "pim_catalog_multiselect", false, false),
    ("series_revision", "pim_catalog_number", false, false),
    ("sku", "pim_catalog_identifier", false, false),
    ("wattage", "pim_catalog_number", false, false),
    ("weight", "pim_catalog_metric", false, false),
];

/// Options of the select attributes.
pub(super) const OPTIONS: [(&str, &[&str]); 3] = [
    ("base", &["clamp", "floor", "table"]),
    ("finish", &["brass", "chrome", "ivory", "matt_black"]),
    ("rooms", &["bedroom", "hallway", "kitchen", "study"]),
];

/// Family codes.
pub(super) const FAMILIES: [&str; 3] = ["bicycle", "lamp", "teapot"];
/// Category codes with their parent; those without one are the roots of the channels' trees.
pub(super) const CATEGORIES: [(&str, Option<&str>); 7] = [
    ("brochure", None),
    ("cycling", Some("master")),
    ("lighting", Some("master")),
    ("master", None),
    ("seasonal", Some("brochure")),
    ("tea_time", Some("master")),
    ("workshop", Some("cycling")),
];
/// Channel code, root of its category tree, locales.
pub(super) const CHANNELS: [(&str, &str, &[&str]); 2] = [
    ("catalogue_print", "brochure", &["en_US"]),
    ("ecommerce", "master", &["en_US", "fr_FR"]),
];
pub(super) const LOCALES: [&str; 2] = ["en_US", "fr_FR"];
/// Currency codes, and whether a channel has them.
const CURRENCIES: [(&str, bool); 3] = [("EUR", true), ("GBP", false), ("USD", true)];

/// The structural entities in the form of the REST API, sorted by code.
#[derive(Clone, Debug)]
pub struct Structure {
    /// `GET /attributes`.
    pub attributes: Vec<Value>,
    /// `GET /attributes/{code}/options`, of all attributes.
    pub options: Vec<Value>,
    /// `GET /families`.
    pub families: Vec<Value>,
    /// `GET /categories`.
    pub categories: Vec<Value>,
    /// `GET /channels`.
    pub channels: Vec<Value>,
    /// `GET /locales`.
    pub locales: Vec<Value>,
    /// `GET /currencies`.
    pub currencies: Vec<Value>,
}

impl Default for Structure {
    fn default() -> Self {
        let options = OPTIONS.iter().flat_map(|(attribute, codes)| {
            codes
                .iter()
                .enumerate()
                .map(|(index, code)| option(attribute, code, index + 1))
        });
        Self {
            attributes: ATTRIBUTES
                .iter()
                .map(|(code, kind, loc, scope)| attribute(code, kind, *loc, *scope))
                .collect(),
            options: options.collect(),
            families: FAMILIES.iter().map(|code| family(code)).collect(),
            categories: CATEGORIES
                .iter()
                .map(|(code, parent)| category(code, *parent))
                .collect(),
            channels: CHANNELS
                .iter()
                .map(|(code, tree, locales)| channel(code, tree, locales))
                .collect(),
            locales: LOCALES
                .iter()
                .map(|code| json!({ "code": code, "enabled": true }))
                .collect(),
            currencies: CURRENCIES
                .iter()
                .map(|(code, enabled)| json!({ "code": code, "enabled": enabled }))
                .collect(),
        }
    }
}

impl Structure {
    /// Whether one of the categories lies in the channel's tree: what a `scope` parameter asks (contract 4.3).
    pub fn in_channel(&self, categories: &[String], channel: &str) -> bool {
        let Some((_, tree, _)) = CHANNELS.iter().find(|(code, ..)| *code == channel) else {
            return false;
        };
        categories.iter().any(|category| root(category) == *tree)
    }

    /// Whether there is such a channel.
    pub fn has_channel(&self, channel: &str) -> bool {
        CHANNELS.iter().any(|(code, ..)| *code == channel)
    }
}

fn root(category: &str) -> &str {
    let parent = CATEGORIES
        .iter()
        .find(|(code, _)| *code == category)
        .and_then(|(_, parent)| *parent);
    parent.map_or(category, root)
}

/// Labels in both locales, made from a code.
pub(super) fn labels(code: &str) -> Value {
    let words = code.replace('_', " ");
    json!({ "en_US": words, "fr_FR": format!("{words} (fr)") })
}

fn attribute(code: &str, kind: &str, localizable: bool, scopable: bool) -> Value {
    json!({
        "code": code, "type": kind, "group": "general", "group_labels": labels("general"),
        "unique": code == "sku", "is_main_identifier": code == "sku", "useable_as_grid_filter": true,
        "localizable": localizable, "scopable": scopable, "available_locales": [], "allowed_extensions": [],
        "metric_family": (kind == "pim_catalog_metric").then_some("Weight"),
        "default_metric_unit": (kind == "pim_catalog_metric").then_some("KILOGRAM"),
        "reference_data_name": null, "decimals_allowed": code == "weight" || code == "price",
        "number_min": null, "number_max": null, "max_file_size": null, "labels": labels(code), "sort_order": 1,
    })
}

fn option(attribute: &str, code: &str, sort_order: usize) -> Value {
    json!({ "code": code, "attribute": attribute, "sort_order": sort_order, "labels": labels(code) })
}

fn family(code: &str) -> Value {
    let attributes: Vec<&str> = ATTRIBUTES.iter().map(|(code, ..)| *code).collect();
    json!({
        "code": code, "attributes": attributes, "attribute_as_label": "name", "attribute_as_image": null,
        "attribute_requirements": { "catalogue_print": ["sku"], "ecommerce": ["sku", "name"] },
        "labels": labels(code), "parent": null,
    })
}

pub(super) fn category(code: &str, parent: Option<&str>) -> Value {
    json!({
        "code": code, "parent": parent, "updated": "2021-03-01T09:00:00+00:00", "position": 1, "labels": labels(code),
    })
}

fn channel(code: &str, tree: &str, locales: &[&str]) -> Value {
    json!({
        "code": code, "currencies": ["EUR", "USD"], "locales": locales, "category_tree": tree,
        "conversion_units": {}, "labels": labels(code),
    })
}
