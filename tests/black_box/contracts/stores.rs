//! Stores and bridges.

use super::{Answer, Duplicate, Follows, PLAIN, System, Unique, text, token};
use http::Method;
use serde_json::{Value, json};

pub(super) const KAFKA_REST: System = System {
    name: "kafka-rest",
    login: ("authorization", "Basic secret"),
    answer: |held, asked| {
        const SOURCE: &str = "confluentinc/kafka-rest: api/v3/openapi.yaml";
        if asked.path != "/v3/clusters/CLUSTER/topics/products/records" || asked.body["key"]["type"] != "STRING" {
            return Answer(400, json!({ "error_code": 400, "message": "Bad Request" }), SOURCE);
        }
        let key = text(&asked.body["key"]["data"]);
        match asked.body.get("value") {
            Some(value) => held.put(key, value["data"].clone()),
            None => held.remove(&key),
        };
        Answer(
            200,
            json!({ "error_code": 200, "topic_name": "products", "partition_id": 0, "offset": 7 }),
            SOURCE,
        )
    },
    duplicate: Duplicate::Replaced("kafka.apache.org/documentation, Log Compaction, the last record of a key stays"),
    throttled: || {
        let error = json!({ "error_code": 429, "message": "Request rate limit exceeded" });
        Answer(200, error, "confluentinc/kafka-rest: api/v3/openapi.yaml")
    },
    refused: || {
        let error = json!({ "error_code": 422, "message": "The record is too large" });
        Answer(200, error, "confluentinc/kafka-rest: api/v3/openapi.yaml")
    },
    reason: "record is too large",
    ..PLAIN
};

pub(super) const DATAVERSE: System = System {
    name: "dataverse",
    login: ("authorization", "Bearer secret"),
    endpoint: Some("/TENANT/oauth2/v2.0/token"),
    grants: |form| token::of_entra(form, "https://ORG.crm.dynamics.com"),
    answer: |held, asked| {
        const SOURCE: &str =
            "learn.microsoft.com, power-apps, Use Upsert to create or update a record, Delete table rows";
        let id = asked
            .path
            .strip_prefix("/api/data/v9.2/new_items(")
            .and_then(|rest| rest.strip_suffix(')'));
        let Some(id) = id else {
            return Answer(
                400,
                json!({ "error": { "code": "0x0", "message": "Resource not found for the segment" } }),
                SOURCE,
            );
        };
        match (&asked.method, held.has(id)) {
            (&Method::PATCH, _) => {
                held.put(id.to_owned(), asked.body.clone());
                Answer(204, Value::Null, SOURCE)
            }
            (_, true) => {
                held.remove(id);
                Answer(204, Value::Null, SOURCE)
            }
            (_, false) => {
                let error =
                    json!({ "error": { "code": "0x80040217", "message": "Entity 'new_item' With Id Does Not Exist" } });
                Answer(404, error, SOURCE)
            }
        }
    },
    duplicate: Duplicate::Replaced("learn.microsoft.com, power-apps, Use Upsert to create or update a record"),
    throttled: || {
        let error = json!({ "error": { "code": "0x80072322", "message": "Number of requests exceeded the limit" } });
        Answer(
            429,
            error,
            "learn.microsoft.com, power-apps, Service protection API limits",
        )
    },
    limits: &[("retry-after", "1")],
    wait_ms: 1000,
    refused: || {
        let error = json!({ "error": { "code": "0x80044331", "message": "The new_revision data value too large" } });
        Answer(400, error, "learn.microsoft.com, power-apps, Web service error codes")
    },
    reason: "value too large",
    ..PLAIN
};

pub(super) const POSTGREST: System = System {
    name: "postgrest",
    upserts: true,
    answer: |held, asked| {
        const SOURCE: &str = "PostgREST/postgrest: docs/references/api/tables_views.rst";
        let key = asked.parameter("uuid").unwrap_or_default();
        let columns = ["uuid", "sku", "name", "enabled", "revision", "attributes"];
        let is_whole = columns.iter().all(|column| asked.body.get(column).is_some());
        match (&asked.method, key.strip_prefix("eq."), asked.path.as_str()) {
            (&Method::PUT, Some(id), "/products") if is_whole && asked.body["uuid"] == *id => {
                let was_there = held.put(id.to_owned(), asked.body.clone());
                Answer(if was_there { 204 } else { 201 }, Value::Null, SOURCE)
            }
            (&Method::DELETE, Some(id), "/products") => {
                held.remove(id);
                Answer(204, Value::Null, SOURCE)
            }
            _ => {
                let error =
                    json!({ "code": "PGRST105", "message": "Filters must include all and only primary key columns" });
                Answer(400, error, "PostgREST/postgrest: docs/references/errors.rst")
            }
        }
    },
    // A table of one's own, in which no two rows have the same SKU.
    duplicate: Duplicate::Refused(&[Unique {
        at: "/sku",
        taken: |_| {
            let error = json!({
                "code": "23505", "details": "Key (sku)=(SKU) already exists.", "hint": null,
                "message": "duplicate key value violates unique constraint \"products_sku_key\"",
            });
            Answer(409, error, "PostgREST/postgrest: docs/references/errors.rst")
        },
        itself: None,
        another: Some(Follows::Passes),
    }]),
    throttled: || {
        let error = json!({ "code": "PGRST001", "message": "Database client error. Retrying the connection." });
        Answer(
            503,
            error,
            "PostgREST/postgrest: docs/references/errors.rst, pull request #1916",
        )
    },
    limits: &[("retry-after", "1")],
    wait_ms: 1000,
    refused: || {
        let error = json!({ "code": "23514", "message": "new row violates check constraint \"short\"" });
        Answer(400, error, "PostgREST/postgrest: docs/references/errors.rst")
    },
    reason: "violates check constraint",
    ..PLAIN
};

pub(super) const DATA_API_BUILDER: System = System {
    name: "data-api-builder",
    upserts: true,
    login: ("x-api-key", "secret"),
    answer: |held, asked| {
        const SOURCE: &str = "learn.microsoft.com, data-api-builder, Use Data API builder with REST";
        let fail = |status: u16, code: &str, message: &str| {
            let error = json!({ "error": { "code": code, "message": message, "status": status } });
            Answer(status, error, SOURCE)
        };
        let Some(id) = asked.path.strip_prefix("/api/products/uuid/") else {
            return fail(404, "EntityNotFound", "No entity of that path");
        };
        // The key stands in the path, and may not stand in the body.
        let has_columns = ["sku", "name", "revision", "enabled"]
            .iter()
            .all(|column| asked.body.get(column).is_some());
        match (&asked.method, held.has(id)) {
            (&Method::PUT, was_there) if has_columns && asked.body.get("uuid").is_none() => {
                held.put(id.to_owned(), asked.body.clone());
                Answer(
                    if was_there { 200 } else { 201 },
                    json!({ "value": [asked.body] }),
                    SOURCE,
                )
            }
            (&Method::DELETE, true) => {
                held.remove(id);
                Answer(204, Value::Null, SOURCE)
            }
            (&Method::DELETE, false) => fail(404, "ItemNotFound", "Could not find item"),
            _ => fail(
                400,
                "BadRequest",
                "Invalid request body. Contained unexpected fields in body",
            ),
        }
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/sku",
        taken: |_| {
            let message = "While processing your request the database ran into an error.";
            let error = json!({ "error": { "code": "DatabaseOperationFailed", "message": message, "status": 409 } });
            Answer(
                409,
                error,
                "Azure/data-api-builder: src/Core/Resolvers/MsSqlDbExceptionParser.cs",
            )
        },
        itself: None,
        another: Some(Follows::Passes),
    }]),
    throttled: || {
        let error = json!({ "error": { "code": "UnexpectedError", "message": "timeout", "status": 503 } });
        Answer(
            503,
            error,
            "learn.microsoft.com, data-api-builder, Use Data API builder with REST",
        )
    },
    refused: || {
        let error = json!({ "error": { "code": "BadRequest", "message": "Invalid value provided for field: name", "status": 400 } });
        Answer(
            400,
            error,
            "learn.microsoft.com, data-api-builder, Use Data API builder with REST",
        )
    },
    reason: "Invalid value provided",
    ..PLAIN
};

pub(super) const WEBHOOK: System = System {
    name: "webhook",
    login: ("x-webhook-token", "secret"),
    answer: |held, asked| {
        const SOURCE: &str = "docs.n8n.io, Webhook node, Respond to Webhook node";
        let id = asked
            .path
            .strip_prefix("/webhook/akeneo/")
            .and_then(|rest| rest.split_once('/'));
        let Some((_, id)) = id else {
            let error = json!({ "code": 404, "message": "The requested webhook is not registered." });
            return Answer(404, error, SOURCE);
        };
        match asked.method {
            Method::PUT => drop(held.put(id.to_owned(), asked.body.clone())),
            _ => drop(held.remove(id)),
        }
        Answer(200, json!({ "message": "done" }), SOURCE)
    },
    duplicate: Duplicate::Replaced("docs.n8n.io, Webhook node: a workflow keeps nothing of what it was sent"),
    limits: &[("retry-after", "1")],
    wait_ms: 1000,
    refused: || {
        let error = json!({ "code": 422, "message": "the workflow refuses this name" });
        Answer(
            422,
            error,
            "docs.n8n.io, Respond to Webhook node: a response code of one's own",
        )
    },
    reason: "refuses this name",
    ..PLAIN
};

pub(super) const COUCHDB: System = System {
    name: "couchdb",
    login: ("authorization", "Basic dXNlcjpwYXNzd29yZA=="),
    token: "user:password",
    answer: |held, asked| {
        const SOURCE: &str = "apache/couchdb: src/docs/src/api/document/common.rst";
        let fail =
            |status, error: &str, reason: &str| Answer(status, json!({ "error": error, "reason": reason }), SOURCE);
        let Some(id) = asked.behind("/catalogue") else {
            return fail(400, "bad_request", "no such document");
        };
        let is = match asked.method {
            Method::GET => held.found(&id).first().map(|record| record.revision()),
            _ => held.of(&id).map(|record| record.revision()),
        };
        let known = match asked.method {
            Method::DELETE => asked.parameter("rev"),
            _ => asked.body["_rev"].as_str().map(str::to_owned),
        };
        match (&asked.method, &is) {
            (&Method::GET | &Method::DELETE, None) => fail(404, "not_found", "missing"),
            (&Method::GET, Some(rev)) => Answer(200, json!({ "_id": id, "_rev": rev, "type": "product" }), SOURCE),
            _ if known != is => fail(409, "conflict", "Document update conflict."),
            (&Method::DELETE, _) => {
                held.remove(&id);
                Answer(200, json!({ "ok": true, "id": id, "rev": "9-x" }), SOURCE)
            }
            _ => {
                held.put(id.clone(), asked.body.clone());
                let rev = held.of(&id).map(|record| record.revision());
                Answer(201, json!({ "ok": true, "id": id, "rev": rev }), SOURCE)
            }
        }
    },
    // What is put without the revision that is there is a conflict, and so is what is put as if nothing were there.
    duplicate: Duplicate::OfPath {
        status: 409,
        follows: Follows::Adopted,
    },
    throttled: || {
        let error = json!({ "error": "too_many_requests", "reason": "You've exceeded your current limit" });
        Answer(429, error, "cloud.ibm.com/docs/Cloudant, HTTP status codes")
    },
    refused: || {
        let error = json!({ "error": "document_too_large", "reason": "the document is too large" });
        Answer(
            413,
            error,
            "apache/couchdb: src/docs/src/config/couchdb.rst, max_document_size",
        )
    },
    reason: "document is too large",
    ..PLAIN
};

pub(super) const KINTO: System = System {
    name: "kinto",
    login: ("authorization", "Basic dXNlcjpwYXNzd29yZA=="),
    token: "user:password",
    answer: |held, asked| {
        const SOURCE: &str = "Kinto/kinto: docs/api/1.x/records.rst, docs/api/1.x/errors.rst";
        let fail = |status, errno: u16, said: &str| {
            let error = json!({ "code": status, "errno": errno, "error": said, "message": said });
            Answer(status, error, SOURCE)
        };
        if asked.path == "/v1/buckets/akeneo" {
            return Answer(200, json!({ "data": { "id": "akeneo" }, "permissions": {} }), SOURCE);
        }
        let in_collection = |name| asked.behind(&format!("/v1/buckets/akeneo/collections/{name}/records"));
        let (product, model) = (in_collection("products"), in_collection("models"));
        let Some(id) = product.clone().or(model) else {
            return fail(404, 111, "The resource you are looking for could not be found.");
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !id.chars().all(is_name) {
            return fail(400, 107, "path: Invalid object id");
        }
        if asked.method == Method::DELETE {
            return match held.remove_id(&id) {
                true => Answer(200, json!({ "data": { "id": id, "deleted": true } }), SOURCE),
                false => fail(404, 110, "The resource you are looking for could not be found."),
            };
        }
        if !asked.body["data"].is_object() {
            return fail(400, 107, "data: Required");
        }
        let name = product.unwrap_or_else(|| text(&asked.body["data"]["code"]));
        let was_there = held.put(name.clone(), asked.body.clone());
        if let Some(record) = held.of_mut(&name) {
            record.id.clone_from(&id);
        }
        let answered = json!({ "data": { "id": id }, "permissions": {} });
        Answer(if was_there { 200 } else { 201 }, answered, SOURCE)
    },
    duplicate: Duplicate::Replaced("Kinto/kinto: docs/api/1.x/records.rst, a PUT replaces what is there"),
    throttled: || {
        let error =
            json!({ "code": 503, "errno": 201, "error": "Service Unavailable", "message": "Service unavailable" });
        Answer(503, error, "Kinto/kinto: docs/api/1.x/errors.rst, Retry-After")
    },
    limits: &[("retry-after", "1")],
    wait_ms: 1000,
    refused: || {
        let said = "data in body: 'price' is not of type 'number'";
        let error = json!({ "code": 400, "errno": 107, "error": "Invalid parameters", "message": said });
        Answer(
            400,
            error,
            "Kinto/kinto: docs/api/1.x/collections.rst, a schema of records",
        )
    },
    reason: "not of type",
    ..PLAIN
};

pub(super) const PARSE_SERVER: System = System {
    name: "parse-server-9",
    login: ("x-parse-master-key", "secret"),
    answer: |held, asked| {
        const SOURCE: &str = "parse-community/parse-server: src/Routers/ClassesRouter.js, src/middlewares.js";
        const PRODUCTS: &str = "/parse/classes/Product";
        let fail = |status, code: u16, said: &str| Answer(status, json!({ "code": code, "error": said }), SOURCE);
        if asked.header("x-parse-application-id") != Some("APPID") {
            return Answer(403, json!({ "error": "unauthorized" }), SOURCE);
        }
        let columns = ["sku", "name", "revision", "enabled", "price"];
        let is_whole = columns.iter().all(|column| asked.body.get(column).is_some());
        if asked.path == PRODUCTS && asked.method == Method::POST {
            let id = text(&asked.body["objectId"]);
            if id.is_empty() || !is_whole {
                return fail(400, 104, "objectId must not be empty, null or undefined");
            }
            held.put(id.clone(), asked.body.clone());
            let made = json!({ "objectId": id, "createdAt": "2026-01-01T00:00:00.000Z" });
            return Answer(201, made, SOURCE);
        }
        let Some(id) = asked.behind(PRODUCTS) else {
            return fail(400, 103, "Invalid classname");
        };
        match (&asked.method, held.of_mut(&id)) {
            (&Method::PUT | &Method::DELETE, None) => fail(404, 101, "Object not found."),
            // What a change does not name stays as it is.
            (&Method::PUT, Some(record)) if is_whole => {
                record.merge(&asked.body);
                Answer(200, json!({ "updatedAt": "2026-01-01T00:00:00.000Z" }), SOURCE)
            }
            (&Method::DELETE, Some(_)) => {
                held.remove(&id);
                Answer(200, json!({}), SOURCE)
            }
            _ => fail(400, 107, "a part of the object is missing"),
        }
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/objectId",
        taken: |_| {
            let said = "A duplicate value for a field with unique values was provided";
            let source = "parse-community/parse-server: src/Adapters/Storage/Postgres/PostgresStorageAdapter.js, src/Adapters/Storage/Mongo/MongoStorageAdapter.js, createObject";
            Answer(400, json!({ "code": 137, "error": said }), source)
        },
        itself: Some(Follows::Adopted),
        another: None,
    }]),
    throttled: || {
        let error = json!({ "code": 100, "error": "Too many requests." });
        Answer(
            429,
            error,
            "parse-community/parse-server: src/middlewares.js, handleRateLimit",
        )
    },
    limits: &[("retry-after", "1")],
    wait_ms: 1000,
    refused: || {
        let said = "schema mismatch for Product.revision; expected Number but got String";
        let source = "parse-community/parse-server: src/Controllers/SchemaController.js";
        Answer(400, json!({ "code": 111, "error": said }), source)
    },
    reason: "schema mismatch",
    ..PLAIN
};
