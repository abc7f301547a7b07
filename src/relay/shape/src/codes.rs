//! Codes in another letter case than the shape has them, which for Akeneo are the same, and as integers, as PHP writes
//! them.

use super::samples::{lookups, mug, shape};
use super::*;
use serde_json::json;

fn shaped(rules: Value, product: &Value) -> Shaped {
    shape(&json!({ "products": rules })).apply(Kind::Product, "the id", product, &lookups())
}

fn body(rules: Value, product: &Value) -> Value {
    match shaped(rules, product) {
        Shaped::Wanted(upsert) => upsert.body().clone(),
        other => panic!("{other:?}"),
    }
}

fn flat(fields: Value) -> Value {
    json!({ "values": { "form": "flat", "locales": ["en_US"], "channel": "SHOP" }, "fields": fields })
}

#[test]
fn a_label_is_found_in_whichever_case_the_code_is() {
    let mut product = mug();
    product["family"] = json!("MUG");
    product["categories"] = json!(["Mugs", "KITCHEN", "Unknown"]);
    product["values"]["colour"][0]["data"] = json!("RED");
    product["values"]["colours"][0]["data"] = json!(["Red", "BLUE", "violet"]);
    let label = |from: &str, to: &str| json!({ "from": from, "as": "label", "to": to });
    let fields = json!([
        label("/family", "/family"),
        label("/categories", "/categories"),
        label("/values/Colour", "/colour"),
        { "from": "/values/COLOUR", "as": "attribute-label", "to": "/name" },
    ]);
    assert_eq!(
        body(flat(fields), &product),
        json!({ "family": "Mugs", "categories": ["Mugs", "Kitchen", "Unknown"], "colour": "Red", "name": "Colour" })
    );
}

#[test]
fn attributes_channels_and_locales_are_found_in_whichever_case_they_are() {
    let fields = json!([{ "from": "/values/SKU", "to": "/sku" }, { "from": "/values/Text", "to": "/text" }]);
    assert_eq!(body(flat(fields), &mug()), json!({ "sku": "mug-1", "text": "sold" }));
    let rules = json!({ "values": { "form": "flat", "attributes": ["Sku", "WEIGHT"] }, "fields": [{ "from": "/values", "to": "/v" }] });
    assert_eq!(
        body(rules, &mug()),
        json!({ "v": { "sku": "mug-1", "weight": { "amount": "0.3500", "unit": "KILOGRAM" } } })
    );
    let rules = json!({ "fields": [{ "from": "/values/Sku/0/data", "to": "/sku" }] });
    assert_eq!(body(rules, &mug()), json!({ "sku": "mug-1" }));
}

#[test]
fn selection_takes_codes_in_whichever_case_they_are() {
    for selection in [
        json!({ "families": ["Mug"] }),
        json!({ "categories": ["MASTER"] }),
        json!({ "categories": ["Mugs"] }),
        json!({ "attributes": ["SKU"] }),
        json!({ "completeness": { "channel": "Shop", "locale": "en_us", "at_least": 80 } }),
    ] {
        let shaped = shaped(json!({ "selection": selection }), &mug());
        assert!(matches!(shaped, Shaped::Wanted(_)), "{selection}: {shaped:?}");
    }
}

#[test]
fn integers_are_codes_where_codes_are_usual() {
    let mut product = mug();
    product["family"] = json!(7);
    product["categories"] = json!([7, "mugs"]);
    product["values"]["size"] = json!([{ "locale": null, "scope": null, "data": 42 }]);
    let mut lookups = lookups();
    let of = |code: &str, label: &str, parent: Option<&str>| -> (String, Element) {
        let labels = vec![("en_US".to_owned(), label.to_owned())];
        let parent = parent.map(str::to_owned);
        (code.to_owned(), Element { labels, parent })
    };
    for (need, element) in [
        (Need::Families, of("7", "Seven", None)),
        (Need::Categories, of("7", "Seventh", Some("8"))),
        (Need::Options("size".to_owned()), of("42", "Large", None)),
    ] {
        lookups.lists.retain(|(known, _)| *known != need);
        lookups.lists.push((need, [element].into_iter().collect()));
    }
    let label = |from: &str, to: &str| json!({ "from": from, "as": "label", "to": to });
    let mut rules = flat(json!([
        label("/family", "/f"),
        label("/categories", "/c"),
        label("/values/size", "/s")
    ]));
    rules["selection"] = json!({ "families": ["7"], "categories": ["8"] });
    let shape = shape(&json!({ "products": rules }));
    let Shaped::Wanted(upsert) = shape.apply(Kind::Product, "the id", &product, &lookups) else {
        panic!("not wanted");
    };
    assert_eq!(
        upsert.body(),
        &json!({ "f": "Seven", "c": ["Seventh", "mugs"], "s": "Large" })
    );
    let elements = |need: &Need| lookups.list(need).cloned().unwrap_or_default();
    for need in [Need::Families, Need::Options("SIZE".to_owned())] {
        let list = elements(&if need == Need::Families {
            Need::Families
        } else {
            Need::Options("size".to_owned())
        });
        assert!(!need.misses(Kind::Product, &product, &list), "{need:?}");
    }
    assert!(Need::Families.misses(Kind::Product, &product, &Elements::default()));
}

#[test]
fn a_list_is_kept_under_the_codes_as_the_pim_spells_them() {
    let element = Element::default();
    let elements: Elements = [("Red".to_owned(), element.clone()), ("blue".to_owned(), element)]
        .into_iter()
        .collect();
    let kept = json!(elements);
    assert_eq!(
        kept,
        json!({ "Red": { "l": [], "p": null }, "blue": { "l": [], "p": null } })
    );
    assert_eq!(serde_json::from_value::<Elements>(kept).expect("a list"), elements);
    assert_eq!(elements.count(), 2);
    assert!(elements.get("red").is_some() && elements.get("BLUE").is_some() && elements.get("re").is_none());
}

#[test]
fn what_is_no_unicode_is_not_sent() {
    let mut product = mug();
    product["_unreadable"] = json!(true);
    assert!(matches!(shaped(json!({}), &product), Shaped::Unsendable(why) if why.contains("Unicode")));
    // Nor is such a product deleted, though the selection would refuse it.
    assert!(matches!(shaped(json!(false), &product), Shaped::Unsendable(_)));
}
