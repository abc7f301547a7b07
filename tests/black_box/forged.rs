//! Deletions that whoever knows a webhook's secret can announce: the destination loses so many a day by them, and no more.

use crate::admin::{alerting, ask, causes, receiver};
use crate::reconciliation::{reconcile, walk};
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use tests::application::Application;
use tests::world::{World, deliver_all, platform_deliveries};
use uuid::Uuid;

/// Deletions of products that the PIM does not know, made of one that it does.
fn forged(like: &Change, first: u128, count: u128) -> Vec<Change> {
    let one = |number| Change {
        entity: EntityId::Product(Uuid::from_u128(number << 64)),
        ..like.clone()
    };
    (first..first + count).map(one).collect()
}

/// The index has none of them, so that it cannot be known whether the destination does: five go, the others are held.
/// Before the first walk has ended nobody is told, since an index that is not full yet lacks much; then people are.
#[tokio::test]
async fn announced_deletions_of_what_the_index_lacks_are_bounded() {
    let world = World::start(Catalogue::generate(20, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let application = Application::start(alerting(world.setup(), &receiver)).await.unwrap();
    let deleted = world.edit(&world.products()[0], Action::Delete).unwrap();
    let deliveries = platform_deliveries(&forged(&deleted[0], 1, 9), 2);
    deliver_all(&application, &deliveries).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("DELETE"), 5);
    assert_eq!(causes(&receiver), Vec::<Value>::new());
    reconcile(&application, json!({ "scan": "full" })).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!((world.differences(), world.pushes("DELETE")), (vec![], 5));
    let deliveries = platform_deliveries(&forged(&deleted[0], 10, 1), 3);
    deliver_all(&application, &deliveries).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.pushes("DELETE"), 5);
    assert_eq!(causes(&receiver), ["deletions-braked"]);
    let answer = ask(&application, Method::POST, "/admin/brake/release", json!(null)).await;
    assert_eq!(answer.status, 202, "{:?}", answer.json());
    application.tick_until_idle().await.unwrap();
    assert_eq!((world.differences(), world.pushes("DELETE")), (vec![], 10));
}

/// The deletions that arrive of nine, announced of products that the index lacks, where products go by the identity.
async fn deletions_by(identity: &str) -> usize {
    let shape = format!(
        r#"{{ "products": {{ "identity": {identity},
            "upsert": {{ "path": "/products/{{identity}}" }}, "delete": {{ "path": "/products/{{identity}}" }} }},
            "product-models": false }}"#
    );
    let world = World::start(Catalogue::generate(20, 0, 7)).await.unwrap();
    let application = Application::start(world.setup().with("shape", &shape)).await.unwrap();
    let deleted = world.edit(&world.products()[0], Action::Delete).unwrap();
    let deliveries = platform_deliveries(&forged(&deleted[0], 1, 9), 2);
    deliver_all(&application, &deliveries).await.unwrap();
    application.tick_until_idle().await.unwrap();
    world.pushes("DELETE")
}

/// Where the destination calls entities by an attribute, or by a prefix before their ids, nothing ties what the index
/// lacks to what may go by such a name there: nothing is sent.
#[tokio::test]
async fn an_announced_deletion_of_what_nothing_ties_to_the_destination_is_not_sent() {
    for identity in [
        r#"{ "form": "hex", "prefix": "pim-" }"#,
        r#"{ "form": "attribute", "attribute": "sku" }"#,
    ] {
        assert_eq!(deletions_by(identity).await, 0, "{identity}");
    }
}

/// Nothing but the entity goes by a hash of its id: as with the id itself, so many are sent as the brake lets through.
#[tokio::test]
async fn an_announced_deletion_of_what_goes_by_a_hash_is_bounded_as_by_the_id() {
    assert_eq!(deletions_by(r#"{ "form": "hash" }"#).await, 5);
}
