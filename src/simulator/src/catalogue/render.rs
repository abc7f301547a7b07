//! Entities as the REST API gives them (contract 4.6).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::structure::{CHANNELS, labels};
use super::values::{self, Values};
use super::{Entity, EntityId, View};
use crate::times;

/// What a call asked to see of an entity. The default is all of it, read by id.
#[derive(Clone, Debug, Default)]
pub struct Rendering {
    /// Part of a list; there some empty maps are `[]` which by id are `{}` (contract 6, trap 14).
    pub listed: bool,
    /// Offset of `created` and `updated`, in minutes east of UTC.
    pub offset_minutes: i32,
    /// Only these attributes.
    pub attributes: Option<BTreeSet<String>>,
    /// Only these locales, and values without one.
    pub locales: Option<BTreeSet<String>>,
    /// Only this channel, and values without one.
    pub scope: Option<String>,
    /// `linked_data` for select values.
    pub with_attribute_options: bool,
    /// `completenesses`; products only.
    pub with_completenesses: bool,
    /// `quality_scores`.
    pub with_quality_scores: bool,
    /// `root_parent`; products only.
    pub with_root_parent: bool,
}

impl View<'_> {
    /// The entity's body, with what it inherits as of this instant, without `_links`.
    pub fn render(&self, entity: &Entity, asked: &Rendering) -> Value {
        let mut body = Map::new();
        let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
        match &entity.id {
            EntityId::Product(uuid) => {
                put("uuid", json!(uuid));
                put("enabled", json!(entity.enabled));
                put("groups", json!([]));
            }
            EntityId::Model(code) => {
                put("code", json!(code));
                put("family_variant", json!(self.family_variant(entity)));
            }
            EntityId::Category(_) => {}
        }
        put("family", json!(entity.family));
        put("parent", json!(entity.parent));
        put("categories", json!(entity.categories));
        put("values", php_map(self.values(entity, asked), false));
        put("created", json!(times::iso(entity.created_ms, asked.offset_minutes)));
        put("updated", json!(times::iso(entity.updated_ms, asked.offset_minutes)));
        let array_if_empty = asked.listed && !entity.seed.is_multiple_of(3);
        put("associations", php_map(entity.associations.clone(), array_if_empty));
        put(
            "quantified_associations",
            php_map(entity.quantified_associations.clone(), array_if_empty),
        );
        self.render_extras(entity, asked, &mut body);
        Value::Object(body)
    }

    fn render_extras(&self, entity: &Entity, asked: &Rendering, body: &mut Map<String, Value>) {
        if asked.with_root_parent && entity.id.is_product() {
            let root = self.ancestors(entity).last().map(|model| model.code().to_owned());
            body.insert("root_parent".to_owned(), json!(root));
        }
        let pairs = |data: &dyn Fn(usize, &str) -> Value| -> Value {
            let all = CHANNELS
                .iter()
                .flat_map(|(scope, _, locales)| locales.iter().map(move |locale| (scope, locale)));
            let list = all
                .enumerate()
                .map(|(n, (scope, locale))| json!({ "scope": scope, "locale": locale, "data": data(n, locale) }));
            list.collect()
        };
        // A product without a family has neither, and PHP then shows a map.
        let empty = entity.family.is_none();
        if asked.with_completenesses && entity.id.is_product() {
            // Without a name it is less complete than any other.
            let names = self
                .values(entity, &Rendering::default())
                .remove("name")
                .unwrap_or_default();
            let has_name = |locale: &str| {
                names
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|name| name["locale"] == locale)
            };
            let share = |n: usize, locale: &str| {
                let share = 100 - (entity.seed as usize + n) % 3 * 25;
                json!(if has_name(locale) { share } else { 25 })
            };
            body.insert(
                "completenesses".to_owned(),
                if empty { json!({}) } else { pairs(&share) },
            );
        }
        if asked.with_quality_scores {
            let grade = |n: usize, _: &str| json!(["A", "B", "C", "D", "E"][(entity.seed as usize + n) % 5]);
            body.insert(
                "quality_scores".to_owned(),
                if empty { json!({}) } else { pairs(&grade) },
            );
        }
    }

    fn family_variant(&self, model: &Entity) -> String {
        let two_levels = model.two_levels || model.parent.is_some();
        let axes = if two_levels { "base_and_finish" } else { "finish" };
        format!("{}_by_{axes}", model.family.as_deref().unwrap_or("none"))
    }

    fn values(&self, entity: &Entity, asked: &Rendering) -> Map<String, Value> {
        let mut all = Values::new();
        for model in self.ancestors(entity).iter().rev() {
            all.extend(values::own(model));
        }
        all.extend(values::own(entity));
        let wanted = all
            .into_iter()
            .filter(|(code, _)| asked.attributes.as_ref().is_none_or(|only| only.contains(code)));
        let shown = wanted.map(|(code, list)| {
            let list: Vec<Value> = list.into_iter().filter(|value| asked.shows(value)).collect();
            let list = if asked.with_attribute_options {
                link(&code, list)
            } else {
                list
            };
            (code, Value::Array(list))
        });
        shown
            .filter(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty()))
            .collect()
    }
}

impl Rendering {
    fn shows(&self, value: &Value) -> bool {
        let locale_shown = match (&self.locales, value["locale"].as_str()) {
            (Some(only), Some(locale)) => only.contains(locale),
            _ => true,
        };
        let scope_shown = match (&self.scope, value["scope"].as_str()) {
            (Some(only), Some(scope)) => only == scope,
            _ => true,
        };
        locale_shown && scope_shown
    }
}

// An empty map, as PHP may write it.
fn php_map(map: Map<String, Value>, array_if_empty: bool) -> Value {
    if map.is_empty() && array_if_empty {
        json!([])
    } else {
        Value::Object(map)
    }
}

fn link(attribute: &str, mut list: Vec<Value>) -> Vec<Value> {
    let option = |code: &str| json!({ "attribute": attribute, "code": code, "labels": labels(code) });
    for value in &mut list {
        let linked = match (value["attribute_type"].as_str(), &value["data"]) {
            (Some("pim_catalog_simpleselect"), Value::String(code)) => option(code),
            (Some("pim_catalog_multiselect"), Value::Array(codes)) => {
                let codes = codes.iter().filter_map(Value::as_str);
                php_map(codes.map(|code| (code.to_owned(), option(code))).collect(), true)
            }
            _ => continue,
        };
        value["linked_data"] = linked;
    }
    list
}
