//! One delivery body of every kind that Akeneo sends: the 38 event types of the platform's list and
//! `asset.updated.delta` (contract 3.4), the six legacy actions (2.1) and the four notifications (3.7). Ids and texts
//! are this project's own.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::catalogue::{ChangeKind, EntityId};
use crate::deliveries::{
    Author, Channel, Delivery, Secrets, cloud_event, legacy_batch, legacy_event, notification, php_json, sign,
};

// 2026-02-03T04:05:06Z, when all of them happened.
const TIME_MS: u64 = 1_770_091_506_000;
const PRODUCT: Uuid = Uuid::from_u128(0x5b1d_7c02_9a44_4e0f_8d31_c06e_77f2_a915);
const MODEL: &str = "teapot/range é-7";

/// A delivery's body and what a receiver should make of it.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The event type without its common beginning, the legacy action, or the notification type.
    pub name: String,
    /// By which channel it comes.
    pub channel: Channel,
    /// The bytes to sign and send.
    pub body: Vec<u8>,
    /// The product or product model that it says has changed, and how; `None` for all that concerns neither directly.
    pub expect: Option<(EntityId, ChangeKind)>,
}

impl Payload {
    /// The body as a signed delivery. `timestamp_s` is the time of sending, in Unix seconds, which the Events API signs;
    /// it and the notifications use the primary secret alone.
    pub fn sign(&self, secrets: &Secrets, timestamp_s: u64) -> Delivery {
        let headers = match self.channel {
            Channel::EventPlatform => sign::event_platform(&self.body, secrets),
            Channel::EventsApi => sign::events_api(&self.body, &secrets.primary, timestamp_s),
            Channel::Notifications => sign::event_platform(&self.body, &Secrets::primary(&secrets.primary)),
        };
        let entities = self.expect.iter().map(|(entity, _)| entity.clone()).collect();
        Delivery {
            path: self.channel.path().to_owned(),
            headers,
            body: self.body.clone(),
            entities,
        }
    }
}

/// All of them.
pub fn all() -> Vec<Payload> {
    let mut all = Vec::new();
    let mut event = |name: &str, data: Value, expect: Option<(EntityId, ChangeKind)>| {
        let id = Uuid::from_u128(0x0193_0b00_0000_7000_8000_0000_0000_0000 + all.len() as u128);
        let body = cloud_event(id, name, TIME_MS, &data).to_string().into_bytes();
        all.push(Payload {
            name: name.to_owned(),
            channel: Channel::EventPlatform,
            body,
            expect,
        });
    };
    for (name, data, change) in products() {
        event(name, data, Some((EntityId::Product(PRODUCT), change)));
    }
    for (name, data, change) in models() {
        event(name, data, Some((EntityId::Model(MODEL.to_owned()), change)));
    }
    for (name, data) in others() {
        event(&name, data, None);
    }
    all.extend(legacy());
    all.extend(notifications());
    all
}

fn authored(mut data: Value, identifier: &str, kind: &str) -> Value {
    data["author"] = json!({ "identifier": identifier, "type": kind });
    data
}

fn products() -> Vec<(&'static str, Value, ChangeKind)> {
    let plain = || authored(json!({ "product": { "uuid": PRODUCT } }), "odile", "user");
    let delta = json!({ "product": {
        "uuid": PRODUCT,
        "updated_at": { "date": "2026-02-03 04:05:06.000000", "timezone": "UTC" },
        "changes": {
            "enabled": { "previous": false, "new": true },
            "family": { "previous": null, "new": "teapot" },
            "parent": { "previous": MODEL, "new": null },
            "categories": { "added": ["tea_time"], "removed": [] },
            "groups": { "added": [], "removed": ["clearance"] },
            "values": values_delta(),
            "associations": { "PACK": {
                "added": { "products": [], "product_models": [MODEL], "groups": [] },
                "removed": { "products": [], "product_models": [], "groups": [] },
            } },
        },
    } });
    let pairs = json!([{ "locale": "fr_FR", "scope": "ecommerce" }]);
    let complete = json!({ "product": { "uuid": PRODUCT, "complete_on": pairs } });
    let incomplete = json!({ "product": { "uuid": PRODUCT, "incomplete_on": pairs } });
    vec![
        ("product.created", plain(), ChangeKind::Created),
        ("product.updated", plain(), ChangeKind::Updated),
        (
            "product.updated.delta",
            authored(delta, "1_simulated", "api"),
            ChangeKind::Updated,
        ),
        ("product.deleted", plain(), ChangeKind::Deleted),
        ("product.became-complete", complete, ChangeKind::Updated),
        ("product.became-incomplete", incomplete, ChangeKind::Updated),
    ]
}

// Values in a delta have forms of their own (contract 3.5).
fn values_delta() -> Value {
    let step = |previous: Value, new: Value, kind: &str| json!([{ "previous": previous, "new": new, "type": kind, "locale": null, "scope": null }]);
    let grams = |data: &str| json!({ "data": data, "unit": "GRAM", "base_data": data, "base_unit": "GRAM", "family": "Weight" });
    json!({
        "weight": step(grams("400.5"), grams("410"), "pim_catalog_metric"),
        "price": step(Value::Null, json!({ "amount": "18.90", "currency": "EUR" }), "pim_catalog_price_collection"),
        "finish": step(json!("brass"), Value::Null, "pim_catalog_simpleselect"),
    })
}

fn models() -> Vec<(&'static str, Value, ChangeKind)> {
    let plain = || authored(json!({ "product_model": { "code": MODEL } }), "odile", "user");
    let delta = json!({ "product_model": {
        "code": MODEL,
        "updated_at": "2026-02-03T04:05:06+00:00",
        "changes": { "values": values_delta() },
    } });
    vec![
        ("product-model.created", plain(), ChangeKind::Created),
        ("product-model.updated", plain(), ChangeKind::Updated),
        (
            "product-model.updated.delta",
            authored(delta, "nightly_import", "job"),
            ChangeKind::Updated,
        ),
        ("product-model.deleted", plain(), ChangeKind::Deleted),
    ]
}

fn others() -> Vec<(String, Value)> {
    let entities = [
        ("family", json!({ "family": { "code": "teapot" } })),
        ("attribute", json!({ "attribute": { "code": "spout_angle" } })),
        (
            "attribute-option",
            json!({ "attribute_option": { "code": "chrome", "attribute": { "code": "finish" } } }),
        ),
        (
            "attribute-group",
            json!({ "attribute_group": { "code": "dimensions" } }),
        ),
        ("category", json!({ "category": { "code": "tea_time" } })),
        (
            "asset",
            json!({ "asset": { "code": "teapot_side_view", "asset_family": { "code": "photographs" } } }),
        ),
        (
            "reference-entity-record",
            json!({ "reference_entity_record": { "code": "kiln_no_9", "reference_entity": { "code": "potteries" } } }),
        ),
    ];
    let mut all = Vec::new();
    for (entity, data) in entities {
        for what in ["created", "updated", "deleted"] {
            all.push((format!("{entity}.{what}"), authored(data.clone(), "system", "system")));
        }
    }
    let label = json!([{ "previous": "Side", "new": "Side view", "type": "text", "locale": "en_US", "channel": null }]);
    let asset = json!({ "asset": {
        "code": "teapot_side_view", "asset_family": { "code": "photographs" }, "changes": { "values": { "label": label } },
    } });
    all.push(("asset.updated.delta".to_owned(), authored(asset, "odile", "user")));
    all.extend(jobs());
    all.extend(workflow());
    for (entity, client) in [("connection", "7_retired"), ("app", "c0ffee00-app")] {
        let data = authored(json!({ entity: { "client_id": client } }), "odile", "user");
        all.push((format!("{entity}.deleted"), data));
    }
    all
}

fn jobs() -> Vec<(String, Value)> {
    let job = |kind: &str, rest: Value| {
        let mut job = json!({
            "execution_id": 512, "code": format!("nightly_{kind}"), "name": "nightly", "label": "Every night",
            "status": "completed", "start_time": "2026-02-03T04:00:00+00:00", "end_time": null,
        });
        for (name, value) in rest.as_object().into_iter().flatten() {
            job[name] = value.clone();
        }
        (
            format!("job.{kind}.status-changed"),
            authored(json!({ "job": job }), "odile", "user"),
        )
    };
    vec![
        job("export", json!({ "total_rows": 88 })),
        job(
            "import",
            json!({ "total_rows": 88, "total_rows_processed": 87, "total_rows_skipped": 1, "total_warnings": 1 }),
        ),
        job("mass-edit", json!({ "read": 88 })),
    ]
}

fn workflow() -> Vec<(String, Value)> {
    let id = |last: u128| Uuid::from_u128(0x0193_0c00_0000_7000_9000_0000_0000_0000 + last);
    let task = |task: Value, subject: (&str, Value)| {
        let mut data = json!({ "task": task, "workflow": { "uuid": id(2) }, "step": { "uuid": id(3) } });
        data[subject.0] = subject.1;
        authored(data, "system", "system")
    };
    vec![
        (
            "workflow.task.created".to_owned(),
            task(
                json!({ "uuid": id(1), "rejected": false }),
                ("product", json!({ "uuid": PRODUCT })),
            ),
        ),
        (
            "workflow.task.completed".to_owned(),
            task(json!({ "uuid": id(1) }), ("product_model", json!({ "code": MODEL }))),
        ),
    ]
}

fn legacy() -> Vec<Payload> {
    let values = json!({
        "sku": [{ "locale": null, "scope": null, "data": "TEA-7/a" }],
        "name": [{ "locale": "fr_FR", "scope": null, "data": "Théière « été »" }],
    });
    let common = json!({
        "enabled": true, "family": "teapot", "categories": ["tea_time"], "parent": null, "values": values,
        "created": "2025-11-30T10:00:00+01:00", "updated": "2026-02-03T05:05:06+01:00",
        "associations": {}, "quantified_associations": [], "metadata": { "workflow_status": "working_copy" },
    });
    let with = |members: Value| {
        let mut resource = common.clone();
        for (name, value) in members.as_object().into_iter().flatten() {
            resource[name] = value.clone();
        }
        resource
    };
    let product = with(json!({ "uuid": PRODUCT, "identifier": "TEA-7/a", "groups": [] }));
    let model = with(json!({ "code": MODEL, "family_variant": "teapot_by_finish" }));
    let removed = json!({ "uuid": PRODUCT, "identifier": "TEA-7/a" });
    let (product_id, model_id) = (EntityId::Product(PRODUCT), EntityId::Model(MODEL.to_owned()));
    let all = [
        (
            "product.created",
            product.clone(),
            product_id.clone(),
            ChangeKind::Created,
        ),
        ("product.updated", product, product_id.clone(), ChangeKind::Updated),
        ("product.removed", removed, product_id, ChangeKind::Deleted),
        (
            "product_model.created",
            model.clone(),
            model_id.clone(),
            ChangeKind::Created,
        ),
        ("product_model.updated", model, model_id.clone(), ChangeKind::Updated),
        (
            "product_model.removed",
            json!({ "code": MODEL }),
            model_id,
            ChangeKind::Deleted,
        ),
    ];
    let payloads = all
        .into_iter()
        .enumerate()
        .map(|(index, (action, resource, entity, change))| {
            let id = Uuid::from_u128(0x7a1c_0000_0000_4000_8000_0000_0000_0000 + index as u128);
            let event = legacy_event(id, action, TIME_MS, &Author::default(), &resource);
            Payload {
                name: action.to_owned(),
                channel: Channel::EventsApi,
                body: php_json(&legacy_batch(&[event])),
                expect: Some((entity, change)),
            }
        });
    payloads.collect()
}

fn notifications() -> Vec<Payload> {
    let all = [
        (
            "subscription.suspended.system",
            Some("Too few deliveries were answered with 200."),
        ),
        ("subscription.suspended.user", None),
        ("subscription.revoked", Some("The connection was removed.")),
        ("subscription.resumed", None),
    ];
    let payloads = all.map(|(name, reason)| Payload {
        name: name.to_owned(),
        channel: Channel::Notifications,
        body: notification(name, TIME_MS, reason).to_string().into_bytes(),
        expect: None,
    });
    payloads.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_is_one_of_each() {
        let all = all();
        let count = |channel| all.iter().filter(|payload| payload.channel == channel).count();
        assert_eq!(count(Channel::EventPlatform), 39);
        assert_eq!(count(Channel::EventsApi), 6);
        assert_eq!(count(Channel::Notifications), 4);
        let names: BTreeSet<_> = all
            .iter()
            .map(|payload| (payload.channel.path(), &payload.name))
            .collect();
        assert_eq!(names.len(), all.len());
        for payload in &all {
            let body: Value = serde_json::from_slice(&payload.body).unwrap();
            let authorless = payload.name.starts_with("product.became");
            if payload.channel == Channel::EventPlatform {
                assert_eq!(body["data"]["author"].is_null(), authorless, "{}", payload.name);
            }
        }
    }
}
