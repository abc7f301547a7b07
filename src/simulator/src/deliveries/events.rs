//! The bodies of events (contract 2.1, 2.3, 3.1, 3.4, 3.5 and 3.7).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::catalogue::{Change, ChangeKind, EntityId};
use crate::times;

/// Who acted, in a form for both channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// A user name, or a connection's `client_id`.
    pub identifier: String,
    /// `user`, `api`, `job` or `system`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Default for Author {
    fn default() -> Self {
        Self {
            identifier: "odile".to_owned(),
            kind: "user".to_owned(),
        }
    }
}

/// A CloudEvent around `data`. `name` is the type without `com.akeneo.pim.v1.`.
pub fn cloud_event(id: Uuid, name: &str, time_ms: u64, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "akeneo-event-platform",
        "type": format!("com.akeneo.pim.v1.{name}"),
        "subject": "01930a4c-5f0e-7c55-9d6e-2f1b8a7c4d10",
        "datacontenttype": "application/json",
        "dataschema": format!("https://event.prd.sdk.akeneo.cloud/spec/com.akeneo.pim.v1.{name}.schema.json"),
        "time": times::rfc3339(time_ms),
        "data": data,
    })
}

/// A change as an event of the Event Platform; `delta` chooses `updated.delta` for updates.
pub(super) fn platform_event(change: &Change, id: Uuid, author: &Author, delta: bool, identifier: bool) -> Value {
    let (entity, key) = match &change.entity {
        EntityId::Product(uuid) => ("product", json!({ "uuid": uuid })),
        EntityId::Model(code) => ("product-model", json!({ "code": code })),
        EntityId::Category(code) => ("category", json!({ "code": code })),
    };
    // Categories have no delta event (contract 3.4).
    let what = match (change.kind, delta && entity != "category") {
        (ChangeKind::Created, _) => "created",
        (ChangeKind::Updated, true) => "updated.delta",
        (ChangeKind::Updated, false) => "updated",
        (ChangeKind::Deleted, _) => "deleted",
    };
    let mut body = key;
    if let Some(identifier) = change.identifier.as_ref().filter(|_| identifier) {
        body["identifier"] = json!(identifier);
    }
    if what == "updated.delta" {
        body["updated_at"] = json!({ "date": times::php_date(change.time_ms), "timezone": "UTC" });
        body["changes"] = change.delta.clone();
    }
    let data = json!({ entity.replace('-', "_"): body, "author": author });
    cloud_event(id, &format!("{entity}.{what}"), change.time_ms, &data)
}

/// One legacy event. `action` is such as `product.updated`.
pub fn legacy_event(id: Uuid, action: &str, time_ms: u64, author: &Author, resource: &Value) -> Value {
    json!({
        "action": action,
        "event_id": id,
        "event_datetime": times::iso(time_ms, 0),
        "author": author.identifier,
        "author_type": if author.kind == "api" { "api" } else { "ui" },
        "pim_source": "https://pim.example.test",
        "data": { "resource": resource },
    })
}

/// The body of a legacy delivery, which holds 1 to 10 events.
pub fn legacy_batch(events: &[Value]) -> Value {
    json!({ "events": events })
}

/// A change as a legacy event, which carries the whole entity.
pub(super) fn legacy_change(change: &Change, id: Uuid, author: &Author) -> Value {
    let entity = if change.entity.is_product() {
        "product"
    } else {
        "product_model"
    };
    let what = match change.kind {
        ChangeKind::Created => "created",
        ChangeKind::Updated => "updated",
        ChangeKind::Deleted => "removed",
    };
    let resource = match (&change.entity, change.kind) {
        (EntityId::Product(uuid), ChangeKind::Deleted) => {
            json!({ "identifier": change.identifier, "uuid": uuid })
        }
        (EntityId::Model(code) | EntityId::Category(code), ChangeKind::Deleted) => json!({ "code": code }),
        (EntityId::Product(_), _) => {
            let mut resource = change.resource.clone();
            resource["identifier"] = json!(change.identifier);
            resource
        }
        _ => change.resource.clone(),
    };
    legacy_event(id, &format!("{entity}.{what}"), change.time_ms, author, &resource)
}

/// A notification about a subscription. `what` is such as `subscription.resumed`.
pub fn notification(what: &str, time_ms: u64, reason: Option<&str>) -> Value {
    let mut body = json!({
        "notification_type": what,
        "timestamp": times::rfc3339(time_ms),
        "subscription_id": "01930a4c-5f0e-7c55-9d6e-2f1b8a7c4d10",
        "subscriber_id": "01930a4c-11aa-7b3d-8c21-6e0d94b7f355",
        "destination": "https://relay.example.test/webhooks/akeneo/event-platform",
        "events": ["com.akeneo.pim.v1.product.updated.delta", "com.akeneo.pim.v1.product.deleted"],
        "subject": "https://pim.example.test",
    });
    if let Some(reason) = reason {
        body["reason"] = json!(reason);
    }
    body
}
