//! Every delivery that Akeneo sends is accepted and becomes the right entity.

use relay::entity::{Entity, Kind};
use relay::key::{Change, Key, Keyspace};
use serde_json::{Value, json};
use simulator::catalogue::{ChangeKind, EntityId};
use simulator::deliveries::{Channel, Delivery, Secrets, event_platform_headers, events_api_headers};
use simulator::payloads;
use simulator::times::now_ms;
use tests::application::Application;
use tests::fixtures;
use tests::world::{LEGACY_SECRET, NOTIFICATION_SECRET, PLATFORM_SECRET, secrets};

/// An event of the platform about one product.
pub(crate) fn platform_product(uuid: &str, n: u32) -> Vec<u8> {
    let event = json!({
        "specversion": "1.0", "id": format!("0193cd50-c8c7-75e4-8eaa-{n:012}"), "source": "akeneo-event-platform",
        "type": "com.akeneo.pim.v1.product.updated", "subject": "0193b40e-13a9-7fb4-b78d-9d0f8ee3f0c5",
        "datacontenttype": "application/json", "time": "2026-02-03T04:05:06Z",
        "data": {"product": {"uuid": uuid}, "author": {"identifier": "julia", "type": "user"}},
    });
    event.to_string().into_bytes()
}

/// The events that are queued, by what their keys say.
pub(crate) fn queued(application: &Application) -> Vec<(Entity, Change)> {
    let keys = Keyspace::new("main");
    let mut queued: Vec<(Entity, Change)> = Vec::new();
    for operation in application.store_operations().unwrap() {
        if operation["op"] != "set" && operation["op"] != "set-many" {
            continue;
        }
        for key in operation["keys"].as_array().unwrap() {
            if let Some(Key::Event(event)) = keys.parse(key.as_str().unwrap()) {
                queued.push((event.entity, event.change));
            }
        }
    }
    queued
}

fn entity(id: &EntityId) -> Entity {
    let kind = match id {
        EntityId::Product(_) => Kind::Product,
        EntityId::Model(_) => Kind::ProductModel,
        EntityId::Category(_) => Kind::Category,
    };
    Entity::new(kind, &id.key())
}

#[tokio::test]
async fn a_payload_of_every_type_is_accepted_and_queued_for_its_entity() {
    let application = Application::start(secrets()).await.unwrap();
    let payloads = payloads::all();
    assert!(payloads.len() >= 39 + 6 + 4, "one for every type of the contract");
    let mut expected = Vec::new();
    for payload in &payloads {
        let secret = match payload.channel {
            Channel::EventPlatform => PLATFORM_SECRET,
            Channel::EventsApi => LEGACY_SECRET,
            Channel::Notifications => NOTIFICATION_SECRET,
        };
        let answer = application
            .deliver(&payload.sign(&Secrets::primary(secret), now_ms() / 1000))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}: {:?}", payload.name, answer.json());
        if let Some((id, change)) = &payload.expect {
            let change = match change {
                _ if payload.name.contains("became") => Change::Completeness,
                ChangeKind::Created => Change::Created,
                ChangeKind::Updated => Change::Updated,
                ChangeKind::Deleted => Change::Deleted,
            };
            expected.push((entity(id), change));
        }
    }
    assert_eq!(queued(&application), expected);
}

/// What a fixture of the Event Platform should become, by its own type.
fn expected_of_platform(event: &Value) -> Option<(Entity, Change)> {
    let name = event["type"].as_str()?.strip_prefix("com.akeneo.pim.v1.")?;
    let (kind, code) = match name.split('.').next()? {
        "product" => (Kind::Product, event["data"]["product"]["uuid"].as_str()?),
        "product-model" => (Kind::ProductModel, event["data"]["product_model"]["code"].as_str()?),
        _ => return None,
    };
    let change = match name.split('.').nth(1)? {
        "created" => Change::Created,
        "updated" => Change::Updated,
        "deleted" => Change::Deleted,
        _ => Change::Completeness,
    };
    Some((Entity::new(kind, code), change))
}

#[tokio::test]
async fn every_fixture_that_is_a_delivery_is_accepted_and_queued_for_its_entity() {
    let application = Application::start(secrets()).await.unwrap();
    let mut expected = Vec::new();
    for (name, body) in fixtures::payloads("event-platform") {
        if name.starts_with("management.") {
            continue;
        }
        let value: Value = serde_json::from_slice(&body).unwrap();
        let delivery = if name.starts_with("notification.") {
            let headers = event_platform_headers(&body, &Secrets::primary(NOTIFICATION_SECRET));
            Delivery {
                path: Channel::Notifications.path().to_owned(),
                headers,
                body,
                entities: Vec::new(),
            }
        } else {
            expected.extend(expected_of_platform(&value));
            let headers = event_platform_headers(&body, &Secrets::primary(PLATFORM_SECRET));
            Delivery {
                path: Channel::EventPlatform.path().to_owned(),
                headers,
                body,
                entities: Vec::new(),
            }
        };
        let answer = application.deliver(&delivery).await.unwrap();
        assert_eq!(answer.status, 200, "{name}: {:?}", answer.json());
    }
    for (name, body) in fixtures::payloads("events-api") {
        let value: Value = serde_json::from_slice(&body).unwrap();
        let event = &value["events"][0];
        let resource = &event["data"]["resource"];
        let action = event["action"].as_str().unwrap();
        let change = match action.split_once('.').unwrap().1 {
            "created" => Change::Created,
            "updated" => Change::Updated,
            _ => Change::Deleted,
        };
        if action.starts_with("product_model.") {
            expected.push((
                Entity::new(Kind::ProductModel, resource["code"].as_str().unwrap()),
                change,
            ));
        } else if let Some(uuid) = resource["uuid"].as_str() {
            expected.push((Entity::new(Kind::Product, uuid), change));
        }
        let headers = events_api_headers(&body, LEGACY_SECRET, now_ms() / 1000);
        let delivery = Delivery {
            path: Channel::EventsApi.path().to_owned(),
            headers,
            body,
            entities: Vec::new(),
        };
        let answer = application.deliver(&delivery).await.unwrap();
        assert_eq!(answer.status, 200, "{name}: {:?}", answer.json());
    }
    assert_eq!(queued(&application), expected);
    if fixtures::folder("events-api").is_some() {
        assert_eq!(
            expected.len(),
            17,
            "11 of the platform's fixtures and 6 of the Events API's concern an entity"
        );
    }
}

#[tokio::test]
async fn one_delivery_is_one_write_and_the_same_twice_is_one_key() {
    let application = Application::start(secrets()).await.unwrap();
    let body = platform_product("5a6d7c02-9a44-4e0f-8d31-c06e77f2a901", 1);
    let headers = event_platform_headers(&body, &Secrets::primary(PLATFORM_SECRET));
    let delivery = Delivery {
        path: Channel::EventPlatform.path().to_owned(),
        headers,
        body,
        entities: Vec::new(),
    };
    for _ in 0..2 {
        assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
    }
    let operations = application.store_operations().unwrap();
    let ops: Vec<&str> = operations
        .iter()
        .map(|operation| operation["op"].as_str().unwrap())
        .collect();
    assert_eq!(
        ops,
        ["get", "set", "get", "set"],
        "one read of the published depth and one write each"
    );
    assert_eq!(operations[1]["keys"], operations[3]["keys"]);

    let events: Vec<Value> = (0..10)
        .map(|n| {
            json!({"action": "product.updated", "event_id": format!("0d931d13-8eae-4f4a-bf37-{n:012}"),
                "event_datetime": "2026-02-03T04:05:06+00:00", "author": "julia", "author_type": "ui",
                "data": {"resource": {"uuid": format!("7a6d7c02-9a44-4e0f-8d31-{n:012}")}}})
        })
        .collect();
    let delivery = Delivery::events_api(&events, LEGACY_SECRET, now_ms() / 1000, Vec::new());
    assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
    let operations = application.store_operations().unwrap();
    let ops: Vec<&str> = operations[4..]
        .iter()
        .map(|operation| operation["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops, ["get", "set-many"], "ten events are one write");
    assert_eq!(operations[5]["keys"].as_array().map(Vec::len), Some(10));
}

#[tokio::test]
async fn own_writes_are_dropped_by_author_and_type() {
    let application = Application::start(secrets().with("own_authors", "other, b238e9f7-fcec-45bd-9431-d43cd624b244"))
        .await
        .unwrap();
    let event = |n: u32, author: Value| {
        let mut event: Value =
            serde_json::from_slice(&platform_product(&format!("5a6d7c02-9a44-4e0f-8d31-{n:012}"), n)).unwrap();
        event["data"]["author"] = author;
        event
    };
    let own = "b238e9f7-fcec-45bd-9431-d43cd624b244";
    for (n, author) in [
        json!({"identifier": own, "type": "api"}),
        json!({"identifier": own, "type": "user"}),
        json!({"identifier": "x", "type": "api"}),
        json!(null),
    ]
    .into_iter()
    .enumerate()
    {
        let n = u32::try_from(n).unwrap();
        let delivery = Delivery::event_platform(&event(n, author), &Secrets::primary(PLATFORM_SECRET), Vec::new());
        assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
    }
    let queued: Vec<Entity> = queued(&application).into_iter().map(|(entity, _)| entity).collect();
    let expected: Vec<Entity> = (1..4)
        .map(|n| Entity::new(Kind::Product, &format!("5a6d7c02-9a44-4e0f-8d31-{n:012}")))
        .collect();
    assert_eq!(queued, expected);
}
