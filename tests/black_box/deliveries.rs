//! Every delivery that Akeneo sends is accepted and becomes the right entity.

use model::entity::{Entity, Kind};
use queue::key::{Change, Key};
use queue::keyspace::Keyspace;
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
    // It does nothing without a PIM, and publishes that. Until a tick has, deliveries note since when they wait for one.
    application.tick().await.unwrap();
    let of_ingest = || {
        let mut operations = application.store_operations().unwrap();
        operations.retain(|operation| operation["component"] == "ingest");
        operations
    };
    let body = platform_product("5a6d7c02-9a44-4e0f-8d31-c06e77f2a901", 1);
    let headers = event_platform_headers(&body, &Secrets::primary(PLATFORM_SECRET));
    let delivery = Delivery {
        path: Channel::EventPlatform.path().to_owned(),
        headers,
        body,
        entities: Vec::new(),
    };
    for _ in 0..2 {
        application.forgets().await;
        assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
    }
    let operations = of_ingest();
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
    let ten = Delivery::events_api(&events, LEGACY_SECRET, now_ms() / 1000, Vec::new());
    application.forgets().await;
    assert_eq!(application.deliver(&ten).await.unwrap().status, 200);
    let operations = of_ingest();
    let ops: Vec<&str> = operations[4..]
        .iter()
        .map(|operation| operation["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops, ["get", "set-many"], "ten events are one write");
    assert_eq!(operations[5]["keys"].as_array().map(Vec::len), Some(10));

    // On WASI 0.3 the published depth is read once a second, and not for every delivery.
    application.forgets().await;
    for _ in 0..20 {
        assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
    }
    let reads = of_ingest()[6..]
        .iter()
        .filter(|operation| operation["op"] == "get")
        .count();
    let expected = if application.is_on_p3() { 1..20 } else { 20..21 };
    assert!(expected.contains(&reads), "{reads} reads");
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

/// Delivers a body as it is, well signed, and gives the status.
async fn deliver(application: &Application, channel: Channel, body: Vec<u8>) -> u16 {
    let headers = match channel {
        Channel::EventPlatform => event_platform_headers(&body, &Secrets::primary(PLATFORM_SECRET)),
        Channel::EventsApi => events_api_headers(&body, LEGACY_SECRET, now_ms() / 1000),
        Channel::Notifications => event_platform_headers(&body, &Secrets::primary(NOTIFICATION_SECRET)),
    };
    let delivery = Delivery {
        path: channel.path().to_owned(),
        headers,
        body,
        entities: Vec::new(),
    };
    application.deliver(&delivery).await.unwrap().status.as_u16()
}

fn uuid(n: usize) -> String {
    format!("7a6d7c02-9a44-4e0f-8d31-{n:012}")
}

fn legacy_event(n: usize) -> String {
    json!({
        "action": "product.updated", "event_id": format!("0d931d13-8eae-4f4a-bf37-{n:012}"),
        "event_datetime": "2026-02-03T04:05:06+00:00", "author": "julia", "author_type": "ui",
        "data": {"resource": {"uuid": uuid(n)}},
    })
    .to_string()
}

#[tokio::test]
async fn an_event_that_is_not_understood_costs_none_of_its_neighbours_and_is_told() {
    let application = Application::start(secrets().with("log", "failures")).await.unwrap();
    let updated = |resource: &str| format!(r#"{{"action":"product.updated","event_id":"x","data":{resource}}}"#);
    let bad = [
        "null".to_owned(),
        "\"product.updated\"".to_owned(),
        "[[]]".to_owned(),
        "{}".to_owned(),
        updated("{}"),
        updated("null"),
        updated(r#"{"resource":null}"#),
        updated(r#"{"resource":[]}"#),
    ];
    let mut expected = Vec::new();
    for (at, bad) in bad.iter().enumerate() {
        let (first, count) = (at * 20, 2 + at);
        let numbers = first..first + count;
        let mut events: Vec<String> = numbers.clone().map(legacy_event).collect();
        expected.extend(numbers.map(|n| (Entity::new(Kind::Product, &uuid(n)), Change::Updated)));
        events.insert(at % (count + 1), bad.clone());
        let body = format!("{{\"events\":[{}]}}", events.join(","));
        assert_eq!(
            deliver(&application, Channel::EventsApi, body.into_bytes()).await,
            200,
            "{bad}"
        );
        let line = application.log_lines("ingest").pop().unwrap();
        let place = format!("event {} of {}: ", at % (count + 1) + 1, count + 1);
        assert_eq!(
            (&line["log"], &line["ok"], &line["stored"]),
            (&json!("delivery"), &json!(false), &json!(count))
        );
        assert_eq!(line["flawed"].as_array().map(Vec::len), Some(1), "{line}");
        assert!(line["flawed"][0].as_str().unwrap().starts_with(&place), "{line}");
    }
    // Whose entity is named although its action is not.
    let told = format!(
        r#"{{"events":[{{"action":7,"data":{{"resource":{{"uuid":"{}"}}}}}}]}}"#,
        uuid(999)
    );
    assert_eq!(deliver(&application, Channel::EventsApi, told.into_bytes()).await, 200);
    expected.push((Entity::new(Kind::Product, &uuid(999)), Change::Updated));
    let mut found = queued(&application);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    let all = format!("{{\"events\":[{}]}}", bad.join(","));
    assert_eq!(deliver(&application, Channel::EventsApi, all.into_bytes()).await, 400);
    assert_eq!(queued(&application).len(), expected.len());
}

#[tokio::test]
async fn text_that_is_cut_inside_a_character_costs_no_event() {
    let application = Application::start(secrets()).await.unwrap();
    // As bytes and as escapes; at the end and in the midst of a text; before a quote and before the other half.
    let cuts: [&[u8]; 9] = [
        b"Mug \\ud83d",
        b"Mug \\uDBFF",
        b"\\ude00 Mug",
        b"\\ude00\\ud83d",
        b"Mug \\ud83d\\n",
        b"Mug \\\\\\ud83d",
        b"Mug \xf0\x9f\x98",
        b"Mug \xc3",
        b"\xff\xfe",
    ];
    let mut expected = Vec::new();
    for (n, cut) in cuts.iter().enumerate() {
        let mark: &[u8] = if n % 2 == 0 { b"\xef\xbb\xbf" } else { b"" };
        let with = |body: String| {
            let (before, after) = body.split_once("@@").unwrap();
            [mark, before.as_bytes(), cut, after.as_bytes()].concat()
        };
        let event = json!({
            "id": format!("p-{n}"), "type": "com.akeneo.pim.v1.product.updated.delta", "time": "2026-02-03 04:05:06+0100",
            "data": {"product": {"uuid": uuid(n), "changes": {"values": {"name": [{"previous": null, "new": "@@"}]}}}},
        });
        let status = deliver(&application, Channel::EventPlatform, with(event.to_string())).await;
        assert_eq!(status, 200, "{:?}", String::from_utf8_lossy(cut));
        let model = json!({"events": [{
            "action": "product_model.created", "event_id": format!("m-{n}"), "author": "@@",
            "data": {"resource": {"code": format!("model-{n}"), "values": {}}},
        }]});
        let status = deliver(&application, Channel::EventsApi, with(model.to_string())).await;
        assert_eq!(status, 200, "{:?}", String::from_utf8_lossy(cut));
        let told = json!({"notification_type": "subscription.suspended.system", "reason": "@@"});
        let status = deliver(&application, Channel::Notifications, with(told.to_string())).await;
        assert_eq!(status, 200, "{:?}", String::from_utf8_lossy(cut));
        expected.push((Entity::new(Kind::Product, &uuid(n)), Change::Updated));
        expected.push((Entity::new(Kind::ProductModel, &format!("model-{n}")), Change::Created));
    }
    assert_eq!(queued(&application), expected);
}

#[tokio::test]
async fn the_last_of_two_members_counts() {
    let application = Application::start(secrets()).await.unwrap();
    let platform = format!(
        r#"{{"type":"com.akeneo.pim.v1.product.updated","id":"1","data":{{"product":{{"uuid":"{}"}}}},"data":{{"product":{{"uuid":"x","uuid":"{}"}}}}}}"#,
        uuid(1),
        uuid(2),
    );
    assert_eq!(
        deliver(&application, Channel::EventPlatform, platform.into_bytes()).await,
        200
    );
    let legacy = format!(r#"{{"events":[],"events":[{}]}}"#, legacy_event(3));
    assert_eq!(
        deliver(&application, Channel::EventsApi, legacy.into_bytes()).await,
        200
    );
    let expected = [2, 3].map(|n| (Entity::new(Kind::Product, &uuid(n)), Change::Updated));
    assert_eq!(queued(&application), expected);
}

/// An id that no PIM gives is acknowledged, so that nothing is sent again, and told in the log; nothing of it is kept.
/// The longest code that a PIM gives is one of 255 characters, of however many bytes.
#[tokio::test]
async fn ids_that_no_pim_gives_are_acknowledged_and_not_kept() {
    let application = Application::start(secrets()).await.unwrap();
    let (longest, longer) = ("é".repeat(255), "é".repeat(256));
    let platform = |kind: &str, entity: Value| {
        let data = json!({ kind: entity });
        json!({ "id": "1", "type": format!("com.akeneo.pim.v1.{}.deleted", kind.replace('_', "-")), "data": data })
    };
    let legacy = |kind: &str, resource: Value| {
        let event = json!({ "action": format!("{kind}.removed"), "event_id": "1", "data": { "resource": resource } });
        json!({ "events": [event] })
    };
    for (product, model) in [("123", longer.as_str()), ("../orders/5", &longer), (&longer, &longer)] {
        for (channel, body) in [
            (Channel::EventPlatform, platform("product", json!({ "uuid": product }))),
            (
                Channel::EventPlatform,
                platform("product_model", json!({ "code": model })),
            ),
            (Channel::EventsApi, legacy("product", json!({ "uuid": product }))),
            (Channel::EventsApi, legacy("product_model", json!({ "code": model }))),
        ] {
            let status = deliver(&application, channel, body.to_string().into_bytes()).await;
            let line = application.log_lines("ingest").pop().unwrap();
            assert_eq!((status, &line["stored"]), (200, &json!(0)), "{body}");
            let told = line["ignored"][0].as_str().unwrap();
            assert!(told.contains("no UUID") || told.contains("255 characters"), "{told}");
        }
    }
    assert_eq!(queued(&application), []);
    let body = platform("product_model", json!({ "code": longest })).to_string();
    let status = deliver(&application, Channel::EventPlatform, body.into_bytes()).await;
    let expected = (Entity::new(Kind::ProductModel, &longest), Change::Deleted);
    assert_eq!((status, queued(&application)), (200, vec![expected]));
}
