//! Products that the destination knows by their SKU, which can change: the components, their store and real HTTP.

use crate::admin::dead_letters;
use serde_json::json;
use simulator::catalogue::{Action, Catalogue, EntityId};
use tests::application::Application;
use tests::world::{World, deliver_all, platform_deliveries};

const BY_SKU: &str = r#"{
    "products": {
        "identity": { "form": "attribute", "attribute": "sku" },
        "upsert": { "path": "/products/{identity}" }, "delete": { "path": "/products/{identity}" }
    },
    "product-models": false
}"#;

/// Which product lies under which path.
fn held(world: &World) -> Vec<(String, String)> {
    world.destination.with(|destination| {
        let of = |(path, stored): (&String, &simulator::destination::Stored)| {
            let uuid = stored.body()["uuid"].as_str().unwrap_or_default().to_owned();
            (path.clone(), uuid)
        };
        destination.state.iter().map(of).collect()
    })
}

/// Gives a product another SKU, and delivers what the PIM tells of it.
async fn call(world: &World, application: &Application, product: &EntityId, sku: &str) {
    let action = Action::SetValue {
        attribute: "sku".to_owned(),
        locale: None,
        scope: None,
        data: json!(sku),
    };
    let changes = world.edit(product, action).unwrap();
    deliver_all(application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_otherwise_moves_in_one_tick_and_two_never_share_a_sku() {
    let world = World::start(Catalogue::generate(6, 0, 7)).await.unwrap();
    let setup = world.setup().with("shape", BY_SKU);
    let application = Application::start(setup).await.unwrap();
    let products = world.products();
    for (product, sku) in products.iter().zip(["a", "b", "c", "d", "e", "f"]) {
        call(&world, &application, product, sku).await;
    }
    application.tick_until_idle().await.unwrap();
    let at = |path: &str| {
        let found = held(&world).into_iter().find(|(known, _)| known == path);
        found.map(|(_, uuid)| uuid)
    };
    assert_eq!(held(&world).len(), 6);
    assert_eq!(at("/products/a"), Some(products[0].key()));

    call(&world, &application, &products[0], "new").await;
    application.tick().await.unwrap();
    assert_eq!(
        (at("/products/a"), at("/products/new")),
        (None, Some(products[0].key()))
    );

    // Two swap theirs.
    call(&world, &application, &products[1], "c").await;
    call(&world, &application, &products[2], "b").await;
    application
        .until(|| at("/products/b") == Some(products[2].key()))
        .await
        .unwrap();
    assert_eq!((held(&world).len(), at("/products/c")), (6, Some(products[1].key())));

    // A second one wants what another one has: people are told, and it comes once that is free.
    call(&world, &application, &products[3], "e").await;
    let mut letters = Vec::new();
    for _ in 0..600 {
        application.tick().await.unwrap();
        letters = dead_letters(&application).await;
        if !letters.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let reason = letters[0]["reason"].as_str().unwrap_or_default();
    let names_both = [products[3].key(), products[4].key()]
        .iter()
        .all(|key| letters[0].to_string().contains(key));
    assert!(names_both && reason.contains("has `e` already"), "{letters:?}");
    assert_eq!(at("/products/e"), Some(products[4].key()));
    call(&world, &application, &products[4], "free").await;
    application
        .until(|| at("/products/e") == Some(products[3].key()))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!((held(&world).len(), at("/products/d")), (6, None));
    assert_eq!(dead_letters(&application).await, Vec::<serde_json::Value>::new());
}
