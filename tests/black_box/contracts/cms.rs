//! Content management.

use super::held::Record;
use super::{Answer, Duplicate, Follows, NOT_WAITED_FOR, PLAIN, System, Unique, text};
use http::Method;
use serde_json::{Value, json};

/// What Payload answers where a field of this name is to be unique and is not.
fn taken_in_payload(field: &str) -> Answer {
    let error = json!({ "message": "Value must be unique", "path": field });
    let message = format!("The following field is invalid: {field}");
    let errors = json!([{ "name": "ValidationError", "message": message, "data": { "errors": [error] } }]);
    Answer(
        400,
        json!({ "errors": errors }),
        "payloadcms/payload: packages/db-mongodb/src/utilities/handleError.ts, packages/drizzle/src/upsertRow",
    )
}

/// No two products of Payload have the same SKU, where its collection says so.
const SKU_IN_PAYLOAD: Unique = Unique {
    at: "/sku",
    taken: |_| taken_in_payload("sku"),
    itself: None,
    another: Some(Follows::Told("The following field is invalid: sku")),
};

/// On PostgreSQL the key has the name that it has in what is sent, and on MongoDB another one.
pub(super) const PAYLOAD_ON_POSTGRES: System = System {
    duplicate: Duplicate::Refused(&[
        Unique {
            at: "/id",
            taken: |_| taken_in_payload("id"),
            itself: Some(Follows::Adopted),
            another: None,
        },
        SKU_IN_PAYLOAD,
    ]),
    ..PAYLOAD
};

pub(super) const PAYLOAD: System = System {
    name: "payload",
    login: ("authorization", "users secret"),
    answer: |held, asked| {
        const SOURCE: &str = "payloadcms/payload: docs/rest-api/overview.mdx, docs/fields/overview.mdx";
        if asked.path == "/api/products" && asked.method == Method::POST {
            let id = text(&asked.body["id"]);
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
    duplicate: Duplicate::Refused(&[
        Unique {
            at: "/id",
            taken: |_| taken_in_payload("_id"),
            itself: Some(Follows::Adopted),
            another: None,
        },
        SKU_IN_PAYLOAD,
    ]),
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

/// What Strapi answers where a field of this name is to be unique and is not.
fn taken_in_strapi(field: &str) -> Answer {
    let said = "This attribute must be unique";
    let details = json!({ "errors": [{ "path": [field], "message": said, "name": "ValidationError" }] });
    let error = json!({ "status": 400, "name": "ValidationError", "message": said, "details": details });
    Answer(
        400,
        json!({ "data": null, "error": error }),
        "strapi/strapi: packages/core/core/src/services/entity-validator/validators.ts",
    )
}

pub(super) const STRAPI: System = System {
    name: "strapi-5",
    amended: NOT_WAITED_FOR,
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
                    let found: Vec<Value> = held.found(&wanted).into_iter().map(shown).collect();
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
    duplicate: Duplicate::Refused(&[
        Unique {
            at: "/data/akeneo",
            taken: |_| taken_in_strapi("akeneo"),
            itself: Some(Follows::Adopted),
            another: None,
        },
        Unique {
            at: "/data/sku",
            taken: |_| taken_in_strapi("sku"),
            itself: None,
            another: Some(Follows::Told("This attribute must be unique")),
        },
    ]),
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

/// What Directus answers where something is to be unique and is not, with what its database tells of the field.
fn taken_in_directus(told: Value) -> Answer {
    let mut error = json!({ "message": "Value has to be unique.", "extensions": told });
    error["extensions"]["code"] = json!("RECORD_NOT_UNIQUE");
    error["extensions"]["collection"] = json!("products");
    Answer(
        400,
        json!({ "errors": [error] }),
        "directus/directus: packages/errors/src/errors/record-not-unique.ts, api/src/database/errors/dialects",
    )
}

/// No two products of Directus have the same SKU, where its field says so.
const SKU_IN_DIRECTUS: Unique = Unique {
    at: "/sku",
    taken: |_| taken_in_directus(json!({ "field": "sku", "primaryKey": false })),
    itself: None,
    another: Some(Follows::Told("Value has to be unique")),
};

/// MySQL and MariaDB name no field where the key is taken.
pub(super) const DIRECTUS_ON_MYSQL: System = System {
    duplicate: Duplicate::Refused(&[
        Unique {
            at: "/id",
            taken: |_| taken_in_directus(json!({ "field": null, "primaryKey": true })),
            itself: Some(Follows::Adopted),
            another: None,
        },
        SKU_IN_DIRECTUS,
    ]),
    ..DIRECTUS
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
    wait_ms: 1000,
    duplicate: Duplicate::Refused(&[
        Unique {
            at: "/id",
            taken: |_| taken_in_directus(json!({ "field": "id", "primaryKey": false })),
            itself: Some(Follows::Adopted),
            another: None,
        },
        SKU_IN_DIRECTUS,
    ]),
    refused: || {
        let error =
            json!({ "errors": [{ "message": "Value is too long.", "extensions": { "code": "VALUE_TOO_LONG" } }] });
        Answer(400, error, "directus/directus: packages/errors")
    },
    reason: "Value is too long",
    tells_by_400: true,
    ..PLAIN
};
