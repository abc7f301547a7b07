//! Properties of shapes, over any entity and any document.
//!
//! Any entity is shaped to the same bytes on every host, and any document is a shape or has its flaws told.

use super::samples::{lookups, mug, shape};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Numbers whose text is read back to the last bit.
        any::<i32>().prop_map(|cents| Value::from(f64::from(cents) / 100.0)),
        "[a-z_A-Z/~{}0-9]{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that mean something in an entity or in a shape, and others.
fn name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 28] = [
        "values",
        "sku",
        "price",
        "colour",
        "data",
        "locale",
        "scope",
        "amount",
        "currency",
        "family",
        "categories",
        "completenesses",
        "enabled",
        "products",
        "fields",
        "from",
        "to",
        "as",
        "selection",
        "upsert",
        "path",
        "template",
        "constant",
        "form",
        "locales",
        "headers",
        "authentication",
        "_links",
    ];
    prop_oneof![
        proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        "[a-z0-9]{0,3}"
    ]
}

/// An entity in which anything may stand anywhere.
fn any_entity() -> impl Strategy<Value = Value> {
    let value = (any_json(), any_json(), any_json())
        .prop_map(|(locale, scope, data)| json!([{ "locale": locale, "scope": scope, "data": data }]));
    let values = proptest::collection::btree_map(name(), prop_oneof![value, any_json()], 0..6);
    (
        any_json(),
        values,
        proptest::collection::btree_map(name(), any_json(), 0..4),
    )
        .prop_map(|(whole, values, more)| {
            let mut entity = if whole.is_object() { whole } else { mug() };
            for (name, value) in values {
                if let Some(values) = entity.get_mut("values").and_then(Value::as_object_mut) {
                    values.insert(name, value);
                }
            }
            if let Some(members) = entity.as_object_mut() {
                members.extend(more);
            }
            entity
        })
}

/// A shape that uses everything.
fn rich() -> Shape {
    shape(&json!({ "products": {
        "selection": { "families": ["mug"], "categories": ["kitchen"], "attributes": ["sku"] },
        "values": { "form": "flat", "channel": "shop", "locales": ["de_DE", "en_US"] },
        "fields": [
            { "from": "", "to": "" },
            { "from": "/values", "to": "/own/values" },
            { "from": "/values/price", "currency": "EUR", "as": "number", "to": "/own/prices/0/eur" },
            { "from": "/values/colour", "as": "label", "to": "/own/colour" },
            { "from": "/values/sku/data/amount", "as": "text", "to": "/own/deep/er" },
            { "from": "/categories", "as": "label", "to": "/categories" },
            { "template": "{/values/sku}-{/family}", "to": "/slug", "default": null },
        ],
    }, "product-models": { "values": { "channel": "shop", "locales": ["en_US"] } } }))
}

proptest! {
    #[test]
    fn any_entity_is_shaped_and_always_to_the_same_bytes(entity in any_entity()) {
        let shape = rich();
        for kind in Kind::ALL {
            let one = shape.apply(kind, "id", &entity, &lookups());
            // Another host reads the entity from other bytes: members in another order.
            let read: Value = serde_json::from_str(&reordered(&entity)).expect("JSON");
            let other = shape.apply(kind, "id", &read, &lookups());
            prop_assert_eq!(&one, &other);
            if let (Shaped::Wanted(one), Shaped::Wanted(other)) = (one, other) {
                prop_assert_eq!(one.body().to_string(), other.body().to_string());
                prop_assert_eq!(shape.hash(kind, &one), shape.hash(kind, &other));
            }
        }
    }

    #[test]
    fn any_document_is_a_shape_or_told(document in any_json(), text in any::<String>(), entity in any_entity()) {
        for text in [text, document.to_string(), json!({ "products": document }).to_string(),
            json!({ "products": { "fields": [document] } }).to_string()] {
            match Shape::read(&text) {
                Ok(shape) => drop(shape.apply(Kind::Product, "id", &entity, &Lookups::default())),
                Err(mistakes) => prop_assert!(!mistakes.is_empty()),
            }
        }
    }
}

/// The document with the members of every object the other way round.
fn reordered(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .rev()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), reordered(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(reordered).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
