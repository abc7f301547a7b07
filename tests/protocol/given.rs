//! What documents say of ids that the destination gives.

use http::HeaderMap;
use model::entity::Kind;
use protocol::find::Found;
use protocol::remote::{Given, Remote};
use protocol::request::{Act, Names};
use serde_json::{Value, json};
use shape::{Farewell, Lookups, Shape, Shaped, Upsert};

/// A shop that gives ids of its own, is asked for them, and wants a version with every change.
pub(crate) const SHOP: &str = r#"{
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

fn upsert_of(shape: &Shape, kind: Kind, id: &str, entity: &Value) -> Upsert {
    match shape.apply(kind, id, entity, &Lookups::default()) {
        Shaped::Wanted(upsert) => *upsert,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_found_is_told_from_what_is_like_it() {
    let shape = Shape::read(SHOP).expect("a good shape");
    let found = |kind, identity: &str, body: Value| {
        let find = shape.find_of(kind).expect("a request that looks it up");
        let names = Names {
            kind: kind.name(),
            id: "its id",
            identity,
        };
        find.found(&names, &HeaderMap::new(), body.to_string().as_bytes())
    };
    let model = |codes: &[&str]| {
        let found: Vec<Value> = codes
            .iter()
            .enumerate()
            .map(|(id, code)| json!({ "id": id, "code": code }))
            .collect();
        json!({ "found": found })
    };
    let of_model = |body| found(Kind::ProductModel, "lamps", body);
    assert_eq!(of_model(model(&[])), Found::None);
    assert_eq!(of_model(model(&["lamps-2", "lamp"])), Found::None);
    assert_eq!(
        of_model(model(&["lamps-2", "lamps"])),
        Found::One(remote(&[("id", "1")]))
    );
    assert_eq!(of_model(model(&["lamps", "x", "lamps"])), Found::Several(2));
    for body in [json!({}), json!({ "found": null }), json!("text")] {
        assert_eq!(of_model(body), Found::Unreadable);
    }
    let several = json!({ "items": [{ "data": { "id": "a" } }, { "id": "b" }] });
    assert_eq!(found(Kind::Product, "x", several), Found::One(remote(&[("id", "a")])));
}

#[test]
fn what_can_never_work_with_ids_of_the_destination_is_told() {
    let with = |mut kind: Value, rest: Value| {
        for (name, value) in rest.as_object().expect("members") {
            kind[name] = value.clone();
        }
        json!({ "products": kind })
    };
    let two = |rest: Value| {
        let kind =
            json!({ "create": { "path": "/items" }, "update": { "path": "/items/{remote.id}" }, "delete": false });
        with(kind, rest)
    };
    let find = json!({ "path": "/items?ref={identity}", "remember": { "id": "/id" } });
    let by_bodies = |rest: Value| {
        let kind = json!({
            "create": { "path": "/graphql", "remember": { "id": "/data/id" } },
            "update": { "method": "POST", "path": "/graphql" },
            "delete": false,
            "fields": [{ "template": "{remote.id}", "to": "/variables/id" }],
        });
        with(kind, rest)
    };
    let unique = json!({ "identity": { "form": "id", "unique": true } });
    let flaws = |document: &Value| Shape::read(&document.to_string()).err().unwrap_or_default();
    assert_eq!(flaws(&by_bodies(unique)), [], "the destination refuses a second one");
    for (document, place) in [
        (by_bodies(json!({})), "/products"),
        (two(json!({})), "/products"),
        (two(json!({ "remember": { "id": "/id" } })), "/products"),
        (
            two(json!({ "find": { "path": "/items" }, "remember": { "id": "/id" } })),
            "/products/find/path",
        ),
        (
            two(json!({ "find": { "path": "/items/{remote.id}" }, "remember": { "id": "/id" } })),
            "/products",
        ),
        (
            two(json!({ "find": find, "fields": [{ "template": "{remote.rev}", "to": "/rev" }] })),
            "/products",
        ),
        (
            two(json!({ "find": find, "fields": [{ "template": "{parent.remote.id}", "to": "/model" }] })),
            "/products",
        ),
        (
            two(json!({ "find": find, "create": { "path": "/items/{remote.id}" } })),
            "/products",
        ),
        (
            json!({ "products": { "upsert": { "path": "/items/{remote.id}" }, "remember": { "id": "/id" }, "find": find } }),
            "/products",
        ),
        (
            json!({ "media": { "upsert": { "path": "/files/{remote.id}" } } }),
            "/media/upsert",
        ),
    ] {
        let mistakes = Shape::read(&document.to_string()).expect_err("a wrong shape");
        assert!(
            mistakes.iter().any(|mistake| mistake.place == place),
            "{document}: {mistakes:?}"
        );
    }
    for good in [
        two(json!({ "find": find })),
        two(json!({ "identity": { "unique": true }, "remember": { "id": ["/id", "/error/id"] } })),
        json!({ "products": { "remember": { "rev": "/rev" }, "fields": [{ "template": "{remote.rev}", "to": "/_rev" }] } }),
    ] {
        Shape::read(&good.to_string()).unwrap_or_else(|mistakes| panic!("{good}: {mistakes:?}"));
    }
}

#[test]
fn what_the_destination_gave_stands_in_paths_headers_and_bodies() {
    let shape = Shape::read(SHOP).expect("a good shape");
    let id = "2fe40b0b-cde9-47f3-9796-41d03b956c27";
    let product = json!({ "uuid": id, "family": "lamp", "parent": "lamps" });
    let upsert = upsert_of(&shape, Kind::Product, id, &product);
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
        other.hash(Kind::Product, &upsert_of(&other, Kind::Product, id, &product))
    );
}
