//! What shapes make of entities, in tables: bodies, paths, headers, and the hashes of all that.
//!
//! What says the same has the same hash, and hashes stay as earlier versions kept them.

use super::samples::*;
use super::*;
use http::Method;
use serde_json::json;

#[test]
fn without_a_document_an_entity_is_sent_as_it_is() {
    for text in ["", "  \n", "{}", "{\"products\": {}}"] {
        let shape = Shape::read(text).expect(text);
        let sent = upsert(
            &shape,
            Kind::ProductModel,
            &json!({ "code": "x", "_links": 1, "values": [] }),
        );
        assert_eq!(
            (sent.change.method.as_str(), &*sent.change.shown_path()),
            ("PUT", "/product-models/the%20id")
        );
        assert_eq!(sent.body(), &json!({ "code": "x", "values": [] }));
        assert!(shape.sends_all_of(Kind::Product));
    }
    assert_eq!(Shape::read("").expect("none").name(), "identity");
    assert_eq!(Shape::read("{}").expect("empty").name(), "identity");
    assert_ne!(Shape::read("{\"products\": false}").expect("one").name(), "identity");
}

#[test]
fn categories_are_wanted_only_where_the_document_says_so() {
    let category = json!({ "code": "mugs", "parent": "kitchen", "labels": { "de_DE": "Becher" },
        "values": { "text|1|shop|de_DE": { "data": "Alle Becher" } } });
    for (text, are_read, is_wanted) in [
        ("", false, false),
        ("{\"products\": {}}", false, false),
        ("{\"categories\": false}", true, false),
        ("{\"categories\": {}}", true, true),
    ] {
        let shape = Shape::read(text).expect(text);
        assert_eq!(shape.kinds().contains(&Kind::Category), are_read, "{text}");
        assert_eq!(wants_categories(text), are_read, "{text}");
        let shaped = shape.apply(Kind::Category, "mugs", &category, &lookups());
        assert_eq!(matches!(shaped, Shaped::Wanted(_)), is_wanted, "{text}: {shaped:?}");
    }
    assert!(wants_categories("{") && !wants_categories(" ") && !wants_categories("[\"categories\"]"));
    let whole = upsert(&shape(&json!({ "categories": {} })), Kind::Category, &category);
    assert_eq!(
        (&*whole.change.shown_path(), whole.body()),
        ("/categories/the%20id", &category)
    );
    let fields =
        json!([{ "from": "/values/text|1|shop|de_DE/data", "to": "/text" }, { "from": "/parent", "to": "/in" }]);
    let of_fields = shape(&json!({ "categories": { "fields": fields } }));
    assert_eq!(
        upsert(&of_fields, Kind::Category, &category).body(),
        &json!({ "text": "Alle Becher", "in": "kitchen" })
    );
    for (tree, is_in) in [("master", true), ("mugs", true), ("about", false)] {
        let shape = shape(&json!({ "categories": { "selection": { "categories": [tree] } } }));
        let shaped = shape.apply(Kind::Category, "mugs", &category, &lookups());
        assert_eq!(matches!(shaped, Shaped::Wanted(_)), is_in, "{tree}");
        assert!(shape.needs(Kind::Product).is_empty() && shape.needs(Kind::Category).len() == 1);
    }
    // A category that the list does not hold yet.
    let elements = lookups().lists[2].1.clone();
    assert!(!Need::Categories.misses(Kind::Category, &category, &elements));
    assert!(Need::Categories.misses(Kind::Category, &json!({ "code": "cups" }), &elements));
}

#[test]
fn what_says_the_same_has_the_same_hash() {
    let shape = Shape::default();
    let hash_of = |entity: &Value| shape.hash(Kind::Product, &upsert(&shape, Kind::Product, entity));
    let one = json!({"uuid": "p", "values": {}, "associations": {"X": {"products": []}}, "quality_scores": []});
    let other = json!({"quality_scores": {}, "associations": {"X": {"products": []}}, "values": [], "uuid": "p",
        "_links": {"self": {"href": "http://elsewhere.test/"}}});
    assert_eq!(hash_of(&one), hash_of(&other));
    for different in [
        json!({"uuid": "p"}),
        json!({"uuid": "p", "values": {"a": []}}),
        json!({"uuid": "p", "values": null}),
    ] {
        assert_ne!(hash_of(&one), hash_of(&different), "{different}");
    }
    // The hash is the one that an earlier version kept in its index.
    assert_eq!(
        hash_of(&json!({ "uuid": "p" })),
        digest(b"PUT\n/products/the%20id\n{\"uuid\":\"p\"}")
    );
}

#[test]
fn a_kind_has_the_headers_of_all_and_its_own() {
    let own = shape(&json!({
        "authentication": { "header": "X-Key" }, "headers": { "X-Store": "main", "X-Source": "akeneo" },
        "product-models": { "authentication": { "scheme": "Token" }, "headers": { "x-store": "models" } },
    }));
    let told = |headers: &Headers| {
        let others = headers.others.iter();
        let others = others.map(|(name, value)| format!("{name}: {}", value.to_str().expect("a text")));
        let authentication = &headers.authentication;
        let token = format!("{}: {}", authentication.header, authentication.scheme);
        [vec![token], others.collect()].concat()
    };
    let of_all = ["x-key: ", "x-source: akeneo", "x-store: main"];
    assert_eq!(told(&own.headers), of_all);
    assert_eq!(told(own.headers_of(Kind::Product, Act::Upsert)), of_all);
    assert_eq!(
        told(own.headers_of(Kind::ProductModel, Act::Upsert)),
        ["authorization: Token", "x-source: akeneo", "x-store: models"]
    );
    let hash = |document: Value, kind: Kind| {
        let shape = shape(&document);
        shape.hash(kind, &upsert(&shape, kind, &json!({})))
    };
    for (kind, is_other) in [(Kind::ProductModel, true), (Kind::Product, false)] {
        let with = json!({ "product-models": { "headers": { "X-Store": "main" } } });
        assert_eq!(hash(with, kind) != hash(json!({}), kind), is_other, "{kind:?}");
    }
}

#[test]
fn a_channel_and_locales_hold_for_fields_of_either_form() {
    let rules = json!({ "values": { "channel": "shop", "locales": ["en_US", "fr_FR"] }, "fields": [
        { "from": "/values/text", "to": "/text" }, { "from": "/values/text/1/data", "to": "/second" },
        { "from": "/values/name", "to": "/name" },
    ] });
    let sold = (Some("en_US"), Some("shop"), json!("sold"));
    let sent = (Some("fr_FR"), Some("shop"), json!("vendu"));
    assert_eq!(
        body(&rules, &mug()),
        json!({ "text": in_places(&[sold, sent]), "second": "vendu", "name": in_places(&[(Some("en_US"), None, json!("Mug"))]) })
    );
}

#[test]
fn links_of_values_count_for_nothing_and_those_of_the_destination_do() {
    let hash = |rules: Value, product: &Value| {
        let shape = shape(&json!({ "products": rules }));
        shape.hash(Kind::Product, &upsert(&shape, Kind::Product, product))
    };
    let linked = |host: &str| {
        let mut product = mug();
        product["values"]["sku"][0]["_links"] = json!({ "download": { "href": host } });
        product["_links"] = json!({ "self": { "href": host } });
        product
    };
    assert_eq!(hash(json!({}), &linked("a")), hash(json!({}), &linked("b")));
    assert_eq!(source_hash(&linked("a")), source_hash(&linked("b")));
    let link = |to: &str| json!({ "fields": [{ "constant": to, "to": "/_links/self/href" }] });
    assert_ne!(hash(link("/a"), &mug()), hash(link("/b"), &mug()));
}

#[test]
fn links_that_the_shape_puts_into_a_body_count() {
    let hash = |fields: Value, mug: &Value| {
        let shape = shape(&json!({ "products": { "fields": fields } }));
        shape.hash(Kind::Product, &upsert(&shape, Kind::Product, mug))
    };
    let mut other = mug();
    other["family"] = json!("cup");
    let data = json!({ "from": "/enabled", "to": "/data" });
    for to in ["/_links/self/href", "/_links", "/a/_links/self", "/list/0/_links/self"] {
        let data = json!({ "from": "/enabled", "to": to.split("/_links").next().map(|above| format!("{above}/data")) });
        let fields = json!([data, { "from": "/family", "to": to }]);
        assert_ne!(hash(fields.clone(), &mug()), hash(fields, &other), "{to}");
    }
    for to in ["/_links/self", "/it"] {
        let constant = |href: &str| match to {
            "/it" => json!({ "data": 1, "_links": { "self": href } }),
            _ => json!(href),
        };
        let fields = |href: &str| json!([data, { "constant": constant(href), "to": to }]);
        assert_ne!(hash(fields("a"), &mug()), hash(fields("b"), &mug()), "{to}");
    }
    // The links of Akeneo's own values do not count, wherever a shape puts the values.
    let mut linked = mug();
    linked["values"]["sku"][0]["_links"] = json!({ "self": "http://elsewhere/" });
    for fields in [
        json!([{ "from": "/values", "to": "/values" }, { "from": "/family", "to": "/_links/self" }]),
        json!([{ "from": "/values", "to": "/_links/values" }, data]),
        json!([{ "from": "", "to": "" }, { "constant": 1, "to": "/_links/self" }]),
    ] {
        assert_eq!(hash(fields.clone(), &mug()), hash(fields, &linked));
    }
}

#[test]
fn completenesses_are_asked_for_where_a_field_or_the_selection_reads_them() {
    for (rules, asks) in [
        (json!({}), false),
        (
            json!({ "fields": [{ "from": "/completenesses/0/data", "to": "/share" }] }),
            true,
        ),
        (
            json!({ "fields": [{ "template": "{/completenesses/0/data} %", "to": "/share" }] }),
            true,
        ),
        (
            json!({ "selection": { "completeness": { "channel": "a", "locale": "b", "at_least": 1 } } }),
            true,
        ),
    ] {
        assert_eq!(
            shape(&json!({ "products": rules })).asks_completenesses(),
            asks,
            "{rules}"
        );
    }
}

#[test]
fn an_id_is_encoded_into_its_path_or_refused() {
    let own = shape(&json!({ "products": {
        "upsert": { "method": "POST", "path": "/{kind}/upsert?sku={ id }&by=relay" }, "delete": { "path": "/x/{id}/y" },
    } }));
    let path = |shape: &Shape, code: &str| match shape.farewell(Kind::Product, code, None) {
        Some(Farewell::Sent(removal)) => Some(removal.delete.shown_path()),
        _ => None,
    };
    assert_eq!(path(&own, "a/b ?é.x").as_deref(), Some("/x/a%2Fb%20%3F%C3%A9.x/y"));
    assert_eq!(path(&Shape::default(), "a&b").as_deref(), Some("/products/a%26b"));
    let sent = upsert(&own, Kind::Product, &json!({}));
    assert_eq!(
        (&sent.change.method, &*sent.change.shown_path()),
        (&Method::POST, "/products/upsert?sku=the%20id&by=relay")
    );
    for refused in ["", ".", ".."] {
        assert_eq!(path(&own, refused), None);
        let shaped = own.apply(Kind::Product, refused, &json!({}), &lookups());
        assert!(matches!(shaped, Shaped::Unsendable(_)));
    }
}

/// Data of every type of value: flattened it stands alone, and in Akeneo's own form it stays as it is.
#[test]
fn every_type_of_value_is_sent_in_both_forms() {
    for (kind, data) in [
        ("text", json!("Mug")),
        ("textarea", json!("<p>Mug</p>\n")),
        ("identifier", json!("mug-1")),
        ("simple select", json!("red")),
        ("multi select", json!(["red", "blue"])),
        ("number", json!(12)),
        ("decimal number", json!("12.5000")),
        ("boolean", json!(false)),
        ("date", json!("2026-01-31T00:00:00+00:00")),
        ("metric", json!({ "amount": "1.5", "unit": "KILOGRAM", "symbol": "kg" })),
        ("price", json!([{ "amount": 15, "currency": "EUR" }])),
        ("file", json!("a/b/c/d/abcd_mug.pdf")),
        ("image", json!("a/b/c/d/abcd_mug.png")),
        ("asset collection", json!(["front", "back"])),
        ("reference entity", json!("bauhaus")),
        ("reference entity collection", json!(["bauhaus", "ulm"])),
        (
            "product link",
            json!({ "type": "product", "id": "25566245-55c3-42ce-86d9-8610ac459fa8" }),
        ),
        ("table", json!([{ "part": "handle", "share": "12.5", "glazed": true }])),
    ] {
        let list = json!([{ "locale": null, "scope": null, "data": data, "attribute_type": kind,
            "linked_data": { "code": "x", "labels": {} } }]);
        let product = json!({ "values": { "it": list } });
        let sent = |form: &str| body(&json!({ "values": { "form": form } }), &product)["values"]["it"].clone();
        assert_eq!((kind, sent("flat")), (kind, data));
        assert_eq!((kind, sent("akeneo")), (kind, list));
    }
}

#[test]
fn channel_and_locales_are_chosen_and_fall_back() {
    let flat = |rules: Value, attribute: &str| {
        let mut rules = rules;
        rules["form"] = json!("flat");
        body(&json!({ "values": rules }), &mug())["values"][attribute].clone()
    };
    for (rules, attribute, expected) in [
        (json!({ "locales": ["de_DE", "en_US"] }), "name", json!("Becher")),
        (json!({ "locales": ["fr_FR", "en_US"] }), "name", json!("Mug")),
        (json!({ "locales": ["fr_FR"] }), "name", Value::Null),
        (json!({}), "name", Value::Null),
        (json!({ "locales": ["en_US"] }), "text", Value::Null),
        (
            json!({ "channel": "shop", "locales": ["de_DE", "fr_FR"] }),
            "text",
            json!("vendu"),
        ),
        (
            json!({ "channel": "print", "locales": ["fr_FR", "en_US"] }),
            "text",
            json!("printed"),
        ),
        (json!({ "channel": "app", "locales": ["en_US"] }), "text", Value::Null),
        (json!({ "channel": "app", "locales": ["xx_XX"] }), "sku", json!("mug-1")),
        (json!({ "attributes": ["sku"] }), "sku", json!("mug-1")),
        (json!({ "attributes": ["name"] }), "sku", Value::Null),
        (json!({}), "nothing", Value::Null),
        (json!({}), "empty", json!([])),
    ] {
        assert_eq!(flat(rules.clone(), attribute), expected, "{attribute} under {rules}");
    }
    let plain = |rules: Value| body(&json!({ "values": rules }), &mug())["values"].clone();
    let shop = plain(json!({ "channel": "shop", "locales": ["fr_FR"], "attributes": ["text", "name", "sku"] }));
    assert_eq!(
        shop,
        json!({ "sku": value(json!("mug-1")), "text": in_places(&[(Some("fr_FR"), Some("shop"), json!("vendu"))]) })
    );
    assert_eq!(plain(json!({})), mug()["values"]);
}

#[test]
fn fields_are_converted_and_put_into_their_places() {
    let from = |field: Value| {
        let mut field = field;
        field["to"] = json!("/it");
        let rules = json!({ "values": { "form": "flat", "channel": "shop", "locales": ["de_DE", "en_US"] }, "fields": [field] });
        body(&rules, &mug()).get("it").cloned()
    };
    for (field, expected) in [
        (json!({ "from": "/uuid" }), Some(mug()["uuid"].clone())),
        (json!({ "from": "/values/name" }), Some(json!("Becher"))),
        (
            json!({ "from": "/values/name", "locales": ["en_US"] }),
            Some(json!("Mug")),
        ),
        (
            json!({ "from": "/values/text", "channel": "print" }),
            Some(json!("printed")),
        ),
        (json!({ "from": "/values/weight/unit" }), Some(json!("KILOGRAM"))),
        (
            json!({ "from": "/values/weight", "as": "number" }),
            Some(written("0.3500")),
        ),
        (
            json!({ "from": "/values/weight/amount", "as": "text" }),
            Some(json!("0.3500")),
        ),
        (
            json!({ "from": "/values/price", "currency": "EUR" }),
            Some(json!("25.50")),
        ),
        (
            json!({ "from": "/values/price", "currency": "EUR", "as": "number" }),
            Some(written("25.50")),
        ),
        (
            json!({ "from": "/values/price", "currency": "USD", "as": "text" }),
            Some(json!("30")),
        ),
        (
            json!({ "from": "/values/price", "currency": "CHF", "as": "number" }),
            None,
        ),
        (json!({ "from": "/values/price", "currency": "GBP" }), None),
        (
            json!({ "from": "/values/price", "currency": "CHF", "default": null }),
            Some(json!(null)),
        ),
        (json!({ "from": "/values/price", "as": "number" }), None),
        (json!({ "from": "/values/sku", "as": "number" }), None),
        (json!({ "from": "/values/odd", "as": "number" }), None),
        (json!({ "from": "/values/colour", "as": "label" }), Some(json!("Rot"))),
        (
            json!({ "from": "/values/colour", "as": "label", "locales": ["fr_FR"] }),
            Some(json!("red")),
        ),
        (
            json!({ "from": "/values/colours", "as": "label" }),
            Some(json!(["red", "violet"])),
        ),
        (
            json!({ "from": "/values/colour", "as": "attribute-label" }),
            Some(json!("Farbe")),
        ),
        (
            json!({ "from": "/values/colours", "as": "attribute-label" }),
            Some(json!("colours")),
        ),
        (json!({ "from": "/values/nothing", "as": "attribute-label" }), None),
        (json!({ "from": "/family", "as": "label" }), Some(json!("Becher"))),
        (
            json!({ "from": "/categories", "as": "label" }),
            Some(json!(["Mugs", "unknown"])),
        ),
        (json!({ "from": "/categories/0", "as": "label" }), Some(json!("Mugs"))),
        (json!({ "from": "/parent" }), None),
        (json!({ "from": "/parent", "default": "none" }), Some(json!("none"))),
        (json!({ "from": "/enabled", "as": "text" }), Some(json!("true"))),
        (json!({ "from": "/completenesses/0/data" }), Some(json!(80))),
        (json!({ "constant": { "a": [1] } }), Some(json!({ "a": [1] }))),
        (
            json!({ "template": "{/values/sku}: {/values/name} \\{{/family}\\}" }),
            Some(json!("mug-1: Becher {mug}")),
        ),
        (json!({ "template": "{/values/gone}!" }), None),
        (
            json!({ "template": "{/values/gone}!", "default": "-" }),
            Some(json!("-")),
        ),
        (json!({ "template": "{/categories}" }), None),
    ] {
        assert_eq!(from(field.clone()), expected, "{field}");
    }
    let rules = json!({ "values": { "form": "flat", "attributes": ["sku"] }, "fields": [
        { "from": "", "to": "" },
        { "from": "/values/weight", "as": "number", "to": "/values/measures/0/kg" },
        { "constant": "mug", "to": "/type" },
    ] });
    let mut expected = mug();
    for member in ["_links", "completenesses"] {
        expected.as_object_mut().expect("an object").remove(member);
    }
    expected["values"] = json!({ "sku": "mug-1", "measures": [{ "kg": written("0.3500") }] });
    expected["type"] = json!("mug");
    assert_eq!(body(&rules, &mug()), expected);
}

#[test]
fn what_a_document_says_aside_makes_no_other_shape() {
    let aside = Shape::read(r#"{ "about": "nothing else", "probe": "/api/me" }"#).expect("a shape");
    assert!(aside.is_identity());
    let flaws = Shape::read(r#"{ "probe": ["/api/me"] }"#).expect_err("no text");
    assert_eq!(flaws.len(), 1, "{flaws:?}");
}
