//! How the document says that a destination is spoken to, in tables.

use super::*;
use http::Method;
use protocol::answers::Meaning;
use protocol::remote::{Given, Remote};
use serde_json::json;

#[test]
fn a_kind_takes_the_answers_of_all_kinds_on_and_may_change_them() {
    let shape = Shape::read(
        r#"{"answers": {"busy": [422, 460], "html": "done"}, "products": {"answers": {"busy": [400]}}, "product-models": {"answers": {"html": "unavailable"}}}"#,
    )
    .expect("a good shape");
    let statuses = [400, 409, 422, 423, 425, 460, 500];
    let passing = |kind| statuses.map(|status| shape.answers_of(kind, Act::Upsert).passes(status));
    assert_eq!(passing(Kind::Product), [true, true, false, true, true, false, false]);
    assert_eq!(
        passing(Kind::ProductModel),
        [false, true, true, true, true, true, false]
    );
    let page = |kind| {
        shape
            .answers_of(kind, Act::Delete)
            .meaning(Act::Delete, 200, b"<!doctype html>")
    };
    assert_eq!(
        Kind::ALL.map(page),
        [Meaning::Unavailable, Meaning::Done, Meaning::Done]
    );
    assert!(shape.sends_all_of(Kind::Product), "nothing of its content is left out");
}

/// A destination where making and changing are two things, archived by a request with a body.
const TWO: &str = r#"{"products": {
    "identity": { "form": "hex", "prefix": "pim" },
    "create": { "path": "/items", "answers": { "rules": [{ "status": 400, "at": "/taken", "means": "exists" }] } },
    "update": { "method": "PATCH", "path": "/items/{identity}", "headers": { "X-Mode": "change" } },
    "archive": { "method": "POST", "path": "/archive", "headers": { "X-Mode": "archive" }, "fields": [
        { "to": "/id", "template": "{identity}" }, { "to": "/was", "template": "{kind}/{id}" }, { "to": "/state", "constant": 0 }
    ] },
    "fields": [{ "from": "/uuid", "to": "/id" }, { "template": "{identity} of {kind}", "to": "/called" }, { "constant": "new", "to": "/slug", "only": "create" }]
}, "product-models": { "delete": false } }"#;

#[test]
fn an_entity_is_made_and_changed_by_requests_of_their_own() {
    let shape = Shape::read(TWO).expect("a good shape");
    let id = "2fe40b0b-cde9-47f3-9796-41d03b956c27";
    let product = json!({ "uuid": id, "family": "lamp" });
    let Shaped::Wanted(upsert) = shape.apply(Kind::Product, id, &product, &Lookups::default()) else {
        panic!("it is wanted");
    };
    assert_eq!(upsert.change.shown_path(), "/items/pim2fe40b0bcde947f3979641d03b956c27");
    let called = "pim2fe40b0bcde947f3979641d03b956c27 of products";
    assert_eq!(
        (&upsert.change.method, upsert.body()),
        (&Method::PATCH, &json!({ "id": id, "called": called }))
    );
    let create = upsert.create.as_ref().expect("a request that makes it");
    assert_eq!(
        (&create.method, create.shown_path().as_str()),
        (&Method::POST, "/items")
    );
    assert_eq!(
        create.body.clone(),
        Some(json!({ "id": id, "called": called, "slug": "new" }))
    );
    let other = TWO.replace(r#""constant": "new""#, r#""constant": "newer""#);
    let other = Shape::read(&other).expect("a good shape");
    assert_eq!(
        shape.hash(Kind::Product, &upsert),
        other.hash(Kind::Product, &upsert),
        "made before, and not pushed again"
    );
    let Some(Farewell::Sent(removal)) = shape.farewell(Kind::Product, id, None) else {
        panic!("it is archived");
    };
    assert_eq!(
        (&removal.delete.method, removal.delete.shown_path().as_str()),
        (&Method::POST, "/archive")
    );
    let named = json!({ "id": "pim2fe40b0bcde947f3979641d03b956c27", "was": format!("products/{id}"), "state": 0 });
    assert_eq!(removal.delete.shown_body().as_deref(), Some(&named));
    let mode = |act| {
        let others = &shape.headers_of(Kind::Product, act).others;
        others.first().map(|(_, value)| value.clone())
    };
    let modes = [Act::Create, Act::Update, Act::Delete].map(mode);
    assert_eq!(
        modes,
        [None, Some("change"), Some("archive")].map(|mode| mode.map(http::HeaderValue::from_static))
    );
    let answers = |act| {
        shape
            .answers_of(Kind::Product, act)
            .meaning(act, 400, br#"{"taken":1}"#)
    };
    assert_eq!(
        [answers(Act::Create), answers(Act::Update)],
        [Meaning::Exists, Meaning::Refused]
    );
    assert_eq!(
        shape.farewell(Kind::ProductModel, "shirt", None),
        Some(Farewell::Silent)
    );
    assert!(shape.removes(Kind::Product) && !shape.removes(Kind::ProductModel));
}

#[test]
fn operations_that_make_no_sense_are_told() {
    for (document, place) in [
        (r#"{"products": {"create": {}}}"#, "/products/create"),
        (r#"{"products": {"update": {}, "upsert": {}}}"#, "/products/upsert"),
        (
            r#"{"products": {"create": {"path": "/a/{sku}"}, "update": {}}}"#,
            "/products/create/path",
        ),
        (
            r#"{"products": {"create": {}, "update": {"path": "/a"}}}"#,
            "/products/update/path",
        ),
        (r#"{"products": {"delete": {}, "archive": {}}}"#, "/products/delete"),
        (
            r#"{"products": {"delete": {"method": "POST", "path": "/gone"}}}"#,
            "/products/delete/path",
        ),
        (
            r#"{"products": {"delete": {"method": "POST", "path": "/gone", "fields": [{"to": "/a", "template": "{/uuid}"}]}}}"#,
            "/products/delete/fields/0/template",
        ),
        (
            r#"{"products": {"delete": {"fields": [{"to": "/a", "from": "/uuid"}]}}}"#,
            "/products/delete/fields/0/from",
        ),
        (
            r#"{"product-models": {"identity": {"form": "hex"}}}"#,
            "/product-models/identity/form",
        ),
        (
            r#"{"products": {"fields": [{"to": "/a", "constant": 1, "only": "create"}]}}"#,
            "/products",
        ),
        (r#"{"media": {"upsert": {"fields": []}}}"#, "/media/upsert/fields"),
    ] {
        let told = Shape::read(document).expect_err(document);
        assert!(
            told.iter().any(|mistake| mistake.place == place),
            "{document}: {told:?}"
        );
    }
}

/// A shop that gives ids of its own, is asked for them, and wants a version with every change.
const SHOP: &str = r#"{
    "limits": { "left": "X-Left" },
    "product-models": {
        "remember": { "id": "/id" },
        "create": { "path": "/models" }, "update": { "path": "/models/{remote.id}" }, "delete": { "path": "/models/{remote.id}" },
        "find": { "path": "/models?code={identity}", "list": "/found", "matching": { "/code": "{identity}" } }
    },
    "products": {
        "identity": { "form": "hex" },
        "remember": { "id": ["/data/id", "/id"], "etag": { "header": "ETag" } },
        "find": {
            "method": "POST", "path": "/search", "list": "/items", "several": "first", "settle_seconds": 5,
            "fields": [{ "template": "{identity}", "to": "/ref" }]
        },
        "create": { "path": "/items" },
        "update": { "method": "PATCH", "path": "/items/{remote.id}?of={id}", "headers": { "If-Match": "{remote.etag}" } },
        "delete": { "method": "POST", "path": "/delete", "fields": [{ "template": "{remote.id}", "as": "number", "to": "/ids/0" }] },
        "fields": [
            { "template": "{identity}", "to": "/ref" },
            { "template": "{parent.remote.id}", "as": "number", "to": "/model", "default": null },
            { "template": "{/family}-{remote.id}", "to": "/slug" }
        ]
    }
}"#;

fn remote(pairs: &[(&str, &str)]) -> Remote {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    pairs.collect()
}

#[test]
fn what_the_destination_gave_stands_in_paths_headers_and_bodies() {
    let shape = Shape::read(SHOP).expect("a good shape");
    let id = "2fe40b0b-cde9-47f3-9796-41d03b956c27";
    let product = json!({ "uuid": id, "family": "lamp", "parent": "lamps" });
    let upsert = samples::upsert_of(&shape, Kind::Product, id, &product);
    let (none, own, of_parent) = (
        Remote::new(),
        remote(&[("id", "7"), ("etag", "\"3\"")]),
        remote(&[("id", "12")]),
    );
    let given = Given {
        own: &own,
        parent: &of_parent,
    };
    let change = upsert.change.ready(given).expect("ready");
    assert_eq!(change.path, format!("/items/7?of={id}"));
    assert_eq!(
        change.body,
        br#"{"model":12,"ref":"2fe40b0bcde947f3979641d03b956c27","slug":"lamp-7"}"#
    );
    let create = upsert.create.as_ref().expect("a request that makes it");
    let first = create
        .ready(Given {
            own: &none,
            parent: &none,
        })
        .expect("ready");
    assert_eq!(first.path, "/items");
    assert_eq!(
        first.body,
        br#"{"model":null,"ref":"2fe40b0bcde947f3979641d03b956c27"}"#
    );
    assert_eq!(
        upsert.change.ready(Given {
            own: &none,
            parent: &of_parent
        }),
        Err("remote.id")
    );
    let find = upsert
        .find
        .as_ref()
        .expect("a request that looks it up")
        .ready(given)
        .expect("ready");
    assert_eq!(
        (find.path.as_str(), find.body),
        ("/search", br#"{"ref":"2fe40b0bcde947f3979641d03b956c27"}"#.to_vec())
    );
    let (name, pieces) = &shape.headers_of(Kind::Product, Act::Update).late[0];
    let header = |given| protocol::draft::header(name, pieces, given).map(|(_, value)| value);
    assert_eq!(header(given), Some("\"3\"".parse().expect("a value")));
    assert_eq!(
        header(Given {
            own: &none,
            parent: &none
        }),
        None
    );
    let Some(Farewell::Sent(removal)) = shape.farewell(Kind::Product, id, None) else {
        panic!("it is deleted");
    };
    assert_eq!(removal.delete.ready(given).expect("ready").body, br#"{"ids":[7]}"#);
    assert_eq!(
        (
            shape.names_of_parents(Kind::Product),
            shape.names_of_parents(Kind::ProductModel)
        ),
        (vec!["id"], vec![])
    );
    // Ids are no content: an entity is as it was, whatever it is called there.
    let other = Shape::read(&SHOP.replace("remote.id}?of", "remote.id}?by")).expect("a good shape");
    assert_ne!(
        shape.hash(Kind::Product, &upsert),
        other.hash(Kind::Product, &samples::upsert_of(&other, Kind::Product, id, &product))
    );
}
