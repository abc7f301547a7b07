//! Content management.

use super::held::Record;
use super::{Answer, PLAIN, System, text};
use http::Method;
use serde_json::{Value, json};

pub(super) const PAYLOAD: System = System {
    name: "payload",
    login: ("authorization", "users secret"),
    answer: |held, asked| {
        const SOURCE: &str = "payloadcms/payload: docs/rest-api/overview.mdx, docs/fields/overview.mdx";
        if asked.path == "/api/products" && asked.method == Method::POST {
            let id = text(&asked.body["id"]);
            if held.has(&id) {
                let taken = json!({ "errors": [{ "name": "ValidationError", "message": "The following field is invalid: id",
                    "data": { "errors": [{ "path": "id", "message": "Value must be unique" }] } }] });
                return Answer(400, taken, SOURCE);
            }
            held.put(id, asked.body.clone());
            return Answer(
                201,
                json!({ "doc": asked.body, "message": "Product successfully created." }),
                SOURCE,
            );
        }
        let id = asked.behind("/api/products").unwrap_or_default();
        match (&asked.method, held.has(&id)) {
            (_, false) => Answer(404, json!({ "errors": [{ "message": "Not Found" }] }), SOURCE),
            (&Method::PATCH, _) => {
                held.put(id, asked.body.clone());
                Answer(
                    200,
                    json!({ "doc": asked.body, "message": "Updated successfully." }),
                    SOURCE,
                )
            }
            _ => {
                held.remove(&id);
                Answer(200, json!({ "message": "Deleted successfully." }), SOURCE)
            }
        }
    },
    throttled: || {
        Answer(
            503,
            json!({ "errors": [{ "message": "Service unavailable" }] }),
            "RFC 9110, section 15.6.4",
        )
    },
    refused: || {
        let error = json!({ "errors": [{ "name": "ValidationError", "message": "The following field is invalid: sku",
            "data": { "errors": [{ "path": "sku" }] } }] });
        Answer(400, error, "payloadcms/payload: docs/fields/overview.mdx")
    },
    reason: "invalid: sku",
    tells_by_400: true,
    ..PLAIN
};

pub(super) const STRAPI: System = System {
    name: "strapi-5",
    answer: |held, asked| {
        const SOURCE: &str = "docs.strapi.io, REST API; strapi/strapi: core-api/controller/collection-type.ts";
        let fail = |status, name: &str, said: &str| {
            let error = json!({ "status": status, "name": name, "message": said });
            Answer(status, json!({ "data": null, "error": error }), SOURCE)
        };
        let shown = |record: &Record| json!({ "documentId": record.id, "akeneo": record.uuid });
        let uuid = text(&asked.body["data"]["akeneo"]);
        if asked.path == "/api/products" {
            return match asked.method {
                Method::GET => {
                    let wanted = asked.parameter("filters[akeneo][$eq]").unwrap_or_default();
                    let found: Vec<Value> = held.all(&wanted).map(shown).collect();
                    Answer(200, json!({ "data": found, "meta": {} }), SOURCE)
                }
                Method::POST if !uuid.is_empty() => Answer(
                    201,
                    json!({ "data": shown(held.make(&uuid, &asked.body)), "meta": {} }),
                    SOURCE,
                ),
                _ => fail(400, "ValidationError", "Missing \"data\" payload in the request body"),
            };
        }
        let id = asked.behind("/api/products").unwrap_or_default();
        match (&asked.method, held.called(&id)) {
            (&Method::DELETE, _) => {
                held.remove_id(&id);
                Answer(204, Value::Null, SOURCE)
            }
            (_, None) => fail(404, "NotFoundError", "Not Found"),
            (_, Some(record)) => {
                record.write(&asked.body);
                Answer(200, json!({ "data": shown(record), "meta": {} }), SOURCE)
            }
        }
    },
    refused: || {
        let error = json!({ "status": 400, "name": "ValidationError", "message": "sku must be at most 8 characters" });
        Answer(
            400,
            json!({ "data": null, "error": error }),
            "docs.strapi.io, Error handling",
        )
    },
    reason: "at most 8 characters",
    ..PLAIN
};

pub(super) const DIRECTUS: System = System {
    name: "directus",
    answer: |held, asked| {
        const SOURCE: &str = "directus/directus: api/src/controllers/items.ts, api/src/services/items.ts";
        let fail = |status, code: &str, said: &str| {
            let error = json!({ "errors": [{ "message": said, "extensions": { "code": code } }] });
            Answer(status, error, SOURCE)
        };
        if asked.path == "/items/products" && asked.method == Method::DELETE {
            return match asked.body["query"]["filter"]["id"]["_eq"].as_str() {
                Some(id) => {
                    held.remove(id);
                    Answer(204, Value::Null, SOURCE)
                }
                None => fail(400, "INVALID_PAYLOAD", "\"keys\" is required"),
            };
        }
        if asked.path == "/items/products" && asked.method == Method::POST {
            let id = text(&asked.body["id"]);
            if held.has(&id) {
                return fail(400, "RECORD_NOT_UNIQUE", "Value has to be unique.");
            }
            held.put(id, asked.body.clone());
            return Answer(200, json!({ "data": asked.body }), SOURCE);
        }
        let id = asked.behind("/items/products").unwrap_or_default();
        match (&asked.method, held.has(&id)) {
            // As an administrator; others are answered 403.
            (&Method::PATCH, false) => Answer(204, Value::Null, SOURCE),
            (&Method::PATCH, true) => {
                held.put(id, asked.body.clone());
                Answer(200, json!({ "data": asked.body }), SOURCE)
            }
            _ => fail(400, "ROUTE_NOT_FOUND", "Route doesn't exist."),
        }
    },
    throttled: || {
        let error =
            json!({ "errors": [{ "message": "Too many requests", "extensions": { "code": "REQUESTS_EXCEEDED" } }] });
        Answer(429, error, "directus/directus: api/src/middleware/rate-limiter-ip.ts")
    },
    limits: &[("retry-after", "1")],
    refused: || {
        let error =
            json!({ "errors": [{ "message": "Value is too long.", "extensions": { "code": "VALUE_TOO_LONG" } }] });
        Answer(400, error, "directus/directus: packages/errors")
    },
    reason: "Value is too long",
    tells_by_400: true,
    ..PLAIN
};
