//! What the destination receives: every type of value, and wrong shapes that push nothing.

use relay::entity::Kind;
use relay::shape::{Lookups, Shape, Shaped};
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue};
use tests::application::Application;
use tests::fixtures;
use tests::world::{World, deliver_all, platform_deliveries};

fn body(shape: &Value, product: &Value) -> Value {
    let shape = Shape::read(&shape.to_string()).unwrap();
    match shape.apply(Kind::Product, "id", product, &Lookups::default()) {
        Shaped::Wanted(upsert) => upsert.body,
        other => panic!("{other:?}"),
    }
}

/// What the data of an example comes to, flattened for this channel and these locales.
const FLAT: [(&str, &str, &str, &str); 4] = [
    ("localizable.json", "", "de_DE fr_FR", "\"Tshirt manches longues\""),
    ("localizable.json", "", "it_IT", "null"),
    ("localizable-scopable.json", "print", "de_DE", "\"Akeneo Mug\""),
    ("localizable-scopable.json", "shop", "de_DE", "null"),
];

#[test]
fn every_example_of_a_value_is_sent_in_both_forms() {
    let examples = fixtures::payloads("rest/values");
    for (name, payload) in &examples {
        let example: Value = serde_json::from_slice(payload).unwrap();
        let values = example.get("values").unwrap_or(&example);
        let product = json!({ "values": values });
        assert_eq!(body(&json!({}), &product), product, "{name}, plain");
        let plain = json!({ "products": { "values": { "channel": "print", "locales": ["de_DE", "en_US"] } } });
        let flat =
            json!({ "products": { "values": { "form": "flat", "channel": "print", "locales": ["de_DE", "en_US"] } } });
        let (plain, flat) = (body(&plain, &product), body(&flat, &product));
        for (attribute, list) in values.as_object().unwrap() {
            let of_ours = |value: &&Value| {
                let is =
                    |member: &str, wanted: &[&str]| value[member].as_str().is_none_or(|text| wanted.contains(&text));
                is("scope", &["print"]) && is("locale", &["de_DE", "en_US"])
            };
            let ours: Vec<&Value> = list.as_array().unwrap().iter().filter(of_ours).collect();
            assert_eq!(plain["values"][attribute], json!(ours), "{name}, plain, of one channel");
            assert_eq!(flat["values"][attribute], ours[0]["data"], "{name}, flat");
        }
    }
    println!("{} examples, plain and flattened", examples.len());
    for (name, channel, locales, expected) in FLAT {
        let Some((_, payload)) = examples.iter().find(|(file, _)| file == name) else {
            continue;
        };
        let values: Value = serde_json::from_slice(payload).unwrap();
        let mut rules = json!({ "form": "flat", "locales": locales.split(' ').collect::<Vec<_>>() });
        if !channel.is_empty() {
            rules["channel"] = json!(channel);
        }
        let attribute = values.as_object().unwrap().keys().next().unwrap().clone();
        let flat = body(
            &json!({ "products": { "values": rules } }),
            &json!({ "values": values }),
        );
        assert_eq!(
            flat["values"][attribute].to_string(),
            expected,
            "{name} for {channel} {locales}"
        );
    }
}

/// Twelve wrong shapes: the place that must be named, and a word of the remedy.
fn wrong_shapes() -> Vec<(Value, &'static str, &'static str)> {
    let field = |field: Value| json!({ "products": { "values": { "form": "flat" }, "fields": [field] } });
    vec![
        (json!("{"), "the document", "must be an object"),
        (json!({ "product": {} }), "/product", "products"),
        (
            json!({ "products": { "upsert": { "path": "items/{id}" } } }),
            "/products/upsert/path",
            "begin with",
        ),
        (
            json!({ "products": { "delete": { "path": "/items/{sku}" } } }),
            "/products/delete/path",
            "{id} and {kind}",
        ),
        (
            json!({ "products": { "upsert": { "method": "SEND" } } }),
            "/products/upsert/method",
            "PUT, POST, PATCH",
        ),
        (
            json!({ "headers": { "Authorization": "Bearer x" } }),
            "/headers/Authorization",
            "destination_token",
        ),
        (
            json!({ "product-models": { "selection": { "enabled": true } } }),
            "/product-models/selection/enabled",
            "leave it out",
        ),
        (
            json!({ "products": { "selection": { "families": "mug" } } }),
            "/products/selection/families",
            "must be a list",
        ),
        (
            json!({ "products": { "values": { "form": "flattened" } } }),
            "/products/values/form",
            "akeneo, flat",
        ),
        (
            field(json!({ "to": "/a", "from": "values/name" })),
            "/products/fields/0/from",
            "begin it with",
        ),
        (
            field(json!({ "to": "/a", "from": "/family", "as": "label" })),
            "/products/fields/0/as",
            "locales",
        ),
        (
            field(json!({ "to": "/a", "template": "{name" })),
            "/products/fields/0/template",
            "{/values/name}",
        ),
    ]
}

#[tokio::test]
async fn a_wrong_shape_is_told_with_its_place_and_pushes_nothing() {
    let world = World::start(Catalogue::generate(5, 0, 7)).await.unwrap();
    let mut application = Application::start(world.setup()).await.unwrap();
    let changes: Vec<_> = world
        .products()
        .iter()
        .flat_map(|product| world.edit(product, Action::Touch).unwrap())
        .collect();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    let wrong = wrong_shapes();
    assert_eq!(wrong.len(), 12);
    for (shape, place, remedy) in wrong {
        let setup = world.setup().with("shape", &shape.to_string());
        application = application.restart_with(setup).await.unwrap();
        let report = application.tick().await.unwrap();
        assert_eq!(report["outcome"], "failed", "{shape}: {report}");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains("`shape`"), "{reason}");
        assert!(reason.contains(place) && reason.contains(remedy), "{reason}");
        println!("{reason}");
    }
    assert!(world.destination.with(|destination| destination.log.is_empty()));
    let application = application.restart_with(world.setup()).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
}
