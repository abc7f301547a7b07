//! How a document says that a destination is spoken to, in tables: what requests it makes of an entity, and which of
//! its members make no sense.

use super::*;
use http::Method;
use protocol::answers::Meaning;
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
