//! What tests of shapes are made of: an entity with every form of value, the lists to look things up in, and short ways
//! to a shape and to what it makes of an entity.

use super::*;
use serde_json::json;

/// A shape that is good.
pub(super) fn shape(document: &Value) -> Shape {
    Shape::read(&document.to_string()).expect("a good shape")
}

pub(super) fn upsert(shape: &Shape, kind: Kind, entity: &Value) -> Upsert {
    upsert_of(shape, kind, "the id", entity)
}

pub(super) fn upsert_of(shape: &Shape, kind: Kind, id: &str, entity: &Value) -> Upsert {
    match shape.apply(kind, id, entity, &lookups()) {
        Shaped::Wanted(upsert) => *upsert,
        other => panic!("{other:?}"),
    }
}

/// The body of a product whose kind has these rules.
pub(super) fn body(rules: &Value, product: &Value) -> Value {
    upsert(&shape(&json!({ "products": rules })), Kind::Product, product)
        .body()
        .clone()
}

pub(super) fn element(labels: Value, parent: Option<&str>) -> Element {
    let labels = labels.as_object().expect("labels").iter();
    Element {
        labels: labels
            .map(|(locale, label)| (locale.clone(), label.as_str().expect("a label").to_owned()))
            .collect(),
        parent: parent.map(str::to_owned),
    }
}

pub(super) fn lookups() -> Lookups {
    let list = |elements: Vec<(&str, Element)>| -> Elements {
        elements
            .into_iter()
            .map(|(code, element)| (code.to_owned(), element))
            .collect()
    };
    let lists = [
        (
            Need::Attributes,
            list(vec![(
                "colour",
                element(json!({ "en_US": "Colour", "de_DE": "Farbe" }), None),
            )]),
        ),
        (
            Need::Families,
            list(vec![(
                "mug",
                element(json!({ "en_US": "Mugs", "de_DE": "Becher" }), None),
            )]),
        ),
        (
            Need::Categories,
            list(vec![
                ("master", element(json!({}), None)),
                ("kitchen", element(json!({ "en_US": "Kitchen" }), Some("master"))),
                ("mugs", element(json!({ "en_US": "Mugs" }), Some("kitchen"))),
                ("round", element(json!({}), Some("about"))),
                ("about", element(json!({}), Some("round"))),
            ]),
        ),
        (
            Need::Options("colour".to_owned()),
            list(vec![
                ("red", element(json!({ "en_US": "Red", "de_DE": "Rot" }), None)),
                ("blue", element(json!({ "en_US": "Blue" }), None)),
            ]),
        ),
    ];
    Lookups { lists: lists.into() }
}

pub(super) fn value(data: Value) -> Value {
    json!([{ "locale": null, "scope": null, "data": data }])
}

/// A number with these digits.
pub(super) fn written(number: &str) -> Value {
    json::read(number.as_bytes()).expect("a number").value
}

pub(super) fn in_places(values: &[(Option<&str>, Option<&str>, Value)]) -> Value {
    let value = |(locale, scope, data): &(Option<&str>, Option<&str>, Value)| json!({ "locale": locale, "scope": scope, "data": data });
    values.iter().map(value).collect()
}

pub(super) fn mug() -> Value {
    json!({
        "uuid": "25566245-55c3-42ce-86d9-8610ac459fa8",
        "enabled": true, "family": "mug", "parent": null, "categories": ["mugs", "unknown"], "groups": [],
        "values": {
            "sku": value(json!("mug-1")),
            "name": in_places(&[(Some("en_US"), None, json!("Mug")), (Some("de_DE"), None, json!("Becher"))]),
            "text": in_places(&[
                (Some("en_US"), Some("print"), json!("printed")), (Some("en_US"), Some("shop"), json!("sold")),
                (Some("fr_FR"), Some("shop"), json!("vendu")),
            ]),
            "price": value(json!([{ "amount": "25.50", "currency": "EUR" }, { "amount": 30, "currency": "USD" },
                { "amount": null, "currency": "GBP" }])),
            "weight": value(json!({ "amount": "0.3500", "unit": "KILOGRAM" })),
            "colour": value(json!("red")),
            "colours": value(json!(["red", "violet"])),
            "odd": value(json!("inf")),
            "empty": value(json!([])),
            "nothing": value(json!(null)),
        },
        "completenesses": [{ "scope": "shop", "locale": "en_US", "data": 80 }],
        "_links": { "self": { "href": "http://pim.test/" } },
    })
}
