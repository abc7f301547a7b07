//! Medusa.

use super::held::Record;
use super::{Answer, Asked, Duplicate, Follows, PLAIN, System, Unique, text};
use http::Method;
use serde_json::{Value, json};

const PRODUCTS: &str = "/admin/products";

/// A product as Medusa shows it. It has one variant.
fn shown(record: &Record) -> Value {
    json!({ "id": record.id, "external_id": record.uuid, "variants": [{ "id": variant(record) }] })
}

/// What Medusa calls the variant of a product.
fn variant(record: &Record) -> String {
    format!("variant_{}", record.id)
}

/// Whether this is all that a new product needs: an option, and a variant with a value of it and with a list of prices.
fn is_whole(body: &Value) -> bool {
    let (option, variant) = (&body["options"][0], &body["variants"][0]);
    let value = &variant["options"][text(&option["title"])];
    let has_value = value.is_string() && value == &option["values"][0];
    has_value && variant["id"].is_null() && variant["title"].is_string() && variant["prices"].is_array()
}

/// What Medusa answers where a value is to be unique and is not: its database tells, and is understood as a mistake in
/// what was sent.
fn taken_in_medusa(said: &str) -> Answer {
    let error = json!({ "type": "invalid_data", "message": said });
    Answer(
        400,
        error,
        "medusajs/medusa: packages/core/utils/src/dal/mikro-orm/db-error-mapper.ts, packages/core/framework/src/http/middlewares/error-handler.ts, integration-tests/http/__tests__/product/admin/product.spec.ts",
    )
}

pub(super) const MEDUSA: System = System {
    name: "medusa-2",
    login: ("authorization", "Basic sk_secret"),
    token: "sk_secret",
    answer: |held, asked| {
        const SOURCE: &str = "medusajs/medusa: packages/medusa/src/api/admin/products/route.ts, [id]/route.ts, validators.ts, query-config.ts";
        let fail = |status, kind: &str, said: &str| Answer(status, json!({ "type": kind, "message": said }), SOURCE);
        let body = &asked.body;
        let uuid = text(&body["external_id"]);
        if asked.path == PRODUCTS {
            return match asked.method {
                Method::GET => {
                    let wanted = asked.parameter("external_id").unwrap_or_default();
                    let found: Vec<Value> = held.found(&wanted).into_iter().map(shown).collect();
                    Answer(
                        200,
                        json!({ "count": found.len(), "offset": 0, "limit": 50, "products": found }),
                        SOURCE,
                    )
                }
                Method::POST if is_whole(body) && body["title"].is_string() && body["handle"] == *uuid => {
                    Answer(200, json!({ "product": shown(held.make(&uuid, body)) }), SOURCE)
                }
                _ => fail(400, "invalid_data", "Product options are not provided for: [Mug]."),
            };
        }
        let id = asked.behind(PRODUCTS).unwrap_or_default();
        // What a change does not name stays as it is; of the variants, those alone stay that it names.
        let variants = body["variants"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_for = |record: &Record| matches!(variants, [named] if named["id"] == variant(record));
        let is_change = ["options", "handle", "status"]
            .iter()
            .all(|name| body.get(*name).is_none());
        match (&asked.method, held.called(&id)) {
            (_, None) => fail(404, "not_found", "Product with id \"prod\" not found"),
            (&Method::DELETE, Some(_)) => {
                held.remove_id(&id);
                Answer(200, json!({ "id": id, "object": "product", "deleted": true }), SOURCE)
            }
            (&Method::POST, Some(record)) if is_change && is_for(record) => {
                record.merge(body);
                Answer(200, json!({ "product": shown(record) }), SOURCE)
            }
            _ => fail(400, "invalid_data", "a variant or its price would be lost"),
        }
    },
    writes: |held, asked| {
        let id = asked.behind(PRODUCTS).unwrap_or_default();
        held.uuid_of(&id).filter(|_| asked.method == Method::POST)
    },
    makes: |asked: &Asked| asked.method == Method::POST && asked.path == PRODUCTS,
    throttled: || Answer(503, Value::Null, "RFC 9110, section 15.6.4"),
    limits: &[("retry-after", "1")],
    wait_ms: 1000,
    duplicate: Duplicate::Refused(&[
        Unique {
            at: "/handle",
            taken: |_| taken_in_medusa("Product with handle: mug, already exists."),
            itself: Some(Follows::Adopted),
            another: None,
        },
        Unique {
            at: "/variants/0/sku",
            taken: |_| taken_in_medusa("Product variant with sku: SKU, already exists."),
            itself: None,
            another: Some(Follows::Told("Product variant with sku")),
        },
    ]),
    refused: || {
        let said = "Invalid request: Expected type: 'string' for field 'title', got: 'number'";
        let error = json!({ "type": "invalid_data", "message": said });
        Answer(
            400,
            error,
            "medusajs/medusa: packages/core/framework/src/zod/zod-helpers.ts",
        )
    },
    reason: "for field 'title'",
    ..PLAIN
};
