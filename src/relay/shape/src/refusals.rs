//! What the selection refuses, and what is told of wrong shapes.
//!
//! A family, categories or completenesses that the PIM did not give refuse nothing, and whatever is wrong in a shape is
//! told with its place.

use super::samples::{lookups, mug, shape};
use super::*;
use serde_json::json;

#[test]
fn selection_refuses_for_a_reason() {
    let refusal = |selection: Value, product: &Value| {
        let shape = shape(&json!({ "products": { "selection": selection } }));
        match shape.apply(Kind::Product, "id", product, &lookups()) {
            Shaped::Unwanted(refusal) => Ok(Some(refusal)),
            Shaped::Wanted(_) => Ok(None),
            Shaped::Unsendable(why) => Err(why),
        }
    };
    let with = |member: &str, value: Value| {
        let mut product = mug();
        product[member] = value;
        product
    };
    let complete = json!({ "completeness": { "channel": "shop", "locale": "en_US", "at_least": 80 } });
    let elsewhere = json!({ "completeness": { "channel": "shop", "locale": "de_DE", "at_least": 1 } });
    for (selection, product, expected) in [
        (json!({ "families": ["mug"] }), mug(), None),
        (json!({ "families": ["cup"] }), mug(), Some(Refusal::Family)),
        (
            json!({ "families": ["mug"] }),
            with("family", json!(null)),
            Some(Refusal::Family),
        ),
        (
            json!({ "enabled": true }),
            with("enabled", json!(false)),
            Some(Refusal::Disabled),
        ),
        (json!({ "categories": ["mugs"] }), mug(), None),
        (json!({ "categories": ["master"] }), mug(), None),
        (json!({ "categories": ["garden"] }), mug(), Some(Refusal::Categories)),
        (
            json!({ "categories": ["master"] }),
            with("categories", json!([])),
            Some(Refusal::Categories),
        ),
        (
            json!({ "categories": ["master"] }),
            with("categories", json!(["round"])),
            Some(Refusal::Categories),
        ),
        (complete.clone(), mug(), None),
        (
            complete.clone(),
            with(
                "completenesses",
                json!([{ "scope": "shop", "locale": "en_US", "data": 79 }]),
            ),
            Some(Refusal::Completeness),
        ),
        (
            complete.clone(),
            with("completenesses", json!({})),
            Some(Refusal::Completeness),
        ),
        (elsewhere, mug(), Some(Refusal::Completeness)),
        (json!({ "attributes": ["sku", "name"] }), mug(), None),
        (json!({ "attributes": ["empty"] }), mug(), Some(Refusal::Attributes)),
        (json!({ "attributes": ["nothing"] }), mug(), Some(Refusal::Attributes)),
        (json!({ "attributes": ["gone"] }), mug(), Some(Refusal::Attributes)),
    ] {
        assert_eq!(refusal(selection.clone(), &product), Ok(expected), "{selection}");
    }
    for (selection, member) in [
        (complete, "completenesses"),
        (json!({ "enabled": true }), "enabled"),
        (json!({ "families": ["mug"] }), "family"),
        (json!({ "categories": ["mugs"] }), "categories"),
    ] {
        let mut unasked = mug();
        unasked.as_object_mut().expect("an object").remove(member);
        assert!(
            refusal(selection, &unasked).is_err(),
            "{member}: what was not given says nothing"
        );
    }
    let model = json!({ "code": "mugs", "family": "mug", "parent": null });
    let of_tree = shape(&json!({ "product-models": { "selection": { "categories": ["mugs"] } } }));
    let shaped = of_tree.apply(Kind::ProductModel, "mugs", &model, &lookups());
    assert!(
        matches!(shaped, Shaped::Unsendable(_)),
        "its code is no category: {shaped:?}"
    );
    let none = shape(&json!({ "product-models": false }));
    assert_eq!(
        none.apply(Kind::ProductModel, "m", &json!({}), &lookups()),
        Shaped::Unwanted(Refusal::Kind)
    );
}

/// Wrong shapes: the place that is named, and a word of the remedy.
const WRONG_SHAPES: &str = include_str!("wrong_shapes.json");

#[test]
fn a_wrong_shape_is_told_with_its_place_and_the_remedy() {
    let wrong: Vec<Value> = serde_json::from_str(WRONG_SHAPES).expect("a list");
    for wrong in wrong {
        let mistakes = Shape::read(&wrong["shape"].to_string()).expect_err(&wrong.to_string());
        assert_eq!(mistakes.len(), 1, "{wrong}: {mistakes:?}");
        assert_eq!(mistakes[0].place, wrong["place"], "{wrong}");
        let remedy = wrong["remedy"].as_str().expect("a text");
        assert!(mistakes[0].remedy.contains(remedy), "{wrong}: {}", mistakes[0]);
    }
    let several = json!({ "x": 1, "products": { "values": { "form": 1, "locales": "en_US" }, "fields": [{}] } });
    let places: Vec<String> = Shape::read(&several.to_string())
        .expect_err("four mistakes")
        .into_iter()
        .map(|mistake| mistake.place)
        .collect();
    assert_eq!(
        places,
        [
            "/x",
            "/products/values/form",
            "/products/values/locales",
            "/products/fields/0"
        ]
    );
    let broken = Shape::read("{\n  \"products\": }").expect_err("no JSON");
    assert_eq!(broken[0].to_string(), "the document: is not JSON (line 2, column 15)");
}
