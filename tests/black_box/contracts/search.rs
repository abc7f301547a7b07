//! Search engines.

use super::{Answer, Duplicate, PLAIN, System};
use http::Method;
use serde_json::json;

pub(super) const ELASTICSEARCH: System = System {
    name: "elasticsearch",
    login: ("authorization", "ApiKey secret"),
    answer: |held, asked| {
        const SOURCE: &str =
            "elastic/elasticsearch-specification: specification/_global/index, specification/_global/delete";
        // An index for each kind, whose documents name themselves as the path does.
        let id = [("/products/_doc", "uuid"), ("/product-models/_doc", "code")]
            .iter()
            .find_map(|(index, name)| Some((asked.behind(index)?, *name)))
            .filter(|(id, name)| asked.method == Method::DELETE || asked.body[*name] == *id);
        let Some((id, _)) = id else {
            return Answer(
                400,
                json!({ "error": { "reason": "no handler found for uri" }, "status": 400 }),
                SOURCE,
            );
        };
        match (&asked.method, held.has(&id)) {
            (&Method::PUT, was_there) => {
                held.put(id, asked.body.clone());
                let (status, result) = if was_there { (200, "updated") } else { (201, "created") };
                Answer(status, json!({ "result": result }), SOURCE)
            }
            (_, true) => {
                held.remove(&id);
                Answer(200, json!({ "result": "deleted" }), SOURCE)
            }
            (_, false) => Answer(404, json!({ "result": "not_found" }), SOURCE),
        }
    },
    duplicate: Duplicate::Replaced(
        "elastic/elasticsearch-specification: specification/_global/index, a document of the id is replaced",
    ),
    throttled: || {
        let error = json!({ "error": { "type": "es_rejected_execution_exception", "reason": "rejected execution" }, "status": 429 });
        Answer(429, error, "elastic.co, guide, Rejected requests")
    },
    refused: || {
        let error =
            json!({ "error": { "type": "document_parsing_exception", "reason": "failed to parse field [revision]" } });
        Answer(400, error, "elastic.co, guide, Mapping, ignore_malformed")
    },
    reason: "failed to parse",
    ..PLAIN
};

pub(super) const SOLR: System = System {
    name: "solr",
    login: ("authorization", "Basic secret"),
    answer: |held, asked| {
        const SOURCE: &str = "solr.apache.org/guide, Indexing with Update Handlers";
        let done = Answer(200, json!({ "responseHeader": { "status": 0, "QTime": 3 } }), SOURCE);
        let fail = |said: &str| Answer(400, json!({ "error": { "msg": said, "code": 400 } }), SOURCE);
        match (asked.path.as_str(), asked.query.as_str()) {
            ("/solr/products/update/json/docs", "commitWithin=1000") => match asked.body["id"].as_str() {
                Some(id) => {
                    held.put(id.to_owned(), asked.body.clone());
                    done
                }
                None => fail("Document is missing mandatory uniqueKey field: id"),
            },
            ("/solr/products/update", "commitWithin=1000") => match asked.body["delete"]["id"].as_str() {
                Some(id) => {
                    held.remove(id);
                    done
                }
                None => fail("Unknown command"),
            },
            _ => fail("no such handler"),
        }
    },
    duplicate: Duplicate::Replaced("solr.apache.org/guide, Indexing with Update Handlers, overwrite"),
    throttled: || {
        let error = json!({ "error": { "msg": "Too many requests for this request type", "code": 429 } });
        Answer(429, error, "solr.apache.org/guide, Rate limiters")
    },
    refused: || {
        let error = json!({ "error": { "msg": "Error adding field 'revision_i'", "code": 400 } });
        Answer(400, error, "solr.apache.org/guide, Indexing with Update Handlers")
    },
    reason: "Error adding field",
    ..PLAIN
};

pub(super) const ALGOLIA: System = System {
    name: "algolia",
    login: ("x-algolia-api-key", "secret"),
    answer: |held, asked| {
        const SOURCE: &str = "algolia/api-clients-automation: specs/search/paths/objects/object.yml";
        let id = asked.behind("/1/indexes/products");
        let Some(id) = id.filter(|_| asked.header("x-algolia-application-id").is_some()) else {
            return Answer(400, json!({ "message": "Bad Request", "status": 400 }), SOURCE);
        };
        if asked.method == Method::DELETE {
            held.remove(&id);
            return Answer(200, json!({ "deletedAt": "2026-01-01T00:00:00Z", "taskID": 8 }), SOURCE);
        }
        held.put(id.clone(), asked.body.clone());
        let queued = json!({ "updatedAt": "2026-01-01T00:00:00Z", "taskID": 7, "objectID": id });
        Answer(200, queued, SOURCE)
    },
    duplicate: Duplicate::Replaced(
        "algolia/api-clients-automation: specs/search/paths/objects/object.yml, addOrUpdateObject",
    ),
    throttled: || {
        let error = json!({ "message": "Too Many Requests", "status": 429 });
        Answer(429, error, "algolia/api-clients-automation: specs/common/responses")
    },
    refused: || {
        let error = json!({ "message": "Record is too big size=10240 bytes", "status": 400 });
        Answer(400, error, "algolia.com/doc, Reducing object size")
    },
    reason: "Record is too big",
    ..PLAIN
};

pub(super) const TYPESENSE: System = System {
    name: "typesense",
    login: ("x-typesense-api-key", "secret"),
    answer: |held, asked| {
        const SOURCE: &str = "typesense/typesense-website: docs-site/content/30.2/api/documents.md";
        let fail = |status, said: &str| Answer(status, json!({ "message": said }), SOURCE);
        if asked.method == Method::POST {
            let id = asked.body["id"].as_str().unwrap_or_default().to_owned();
            let is_upsert = asked.parameter("action").as_deref() == Some("upsert");
            if asked.path != "/collections/products/documents" || !is_upsert || !asked.body["name"].is_string() {
                return fail(
                    400,
                    "Field `name` has been declared in the schema, but is not found in the document.",
                );
            }
            held.put(id, asked.body.clone());
            return Answer(201, asked.body.clone(), SOURCE);
        }
        let id = asked.behind("/collections/products/documents").unwrap_or_default();
        match held.remove(&id) {
            true => Answer(200, json!({ "id": id }), SOURCE),
            false => fail(404, "Could not find a document with this id"),
        }
    },
    duplicate: Duplicate::Replaced(
        "typesense/typesense-website: docs-site/content/30.2/api/documents.md, action=upsert",
    ),
    throttled: || {
        let error = json!({ "message": "Not Ready or Lagging" });
        Answer(
            503,
            error,
            "typesense/typesense-website: docs-site/content/30.2/api/api-errors.md",
        )
    },
    refused: || {
        let error = json!({ "message": "Field `revision` must be an int32." });
        Answer(
            400,
            error,
            "typesense/typesense-website: docs-site/content/30.2/api/documents.md",
        )
    },
    reason: "must be an int32",
    ..PLAIN
};

pub(super) const MEILISEARCH: System = System {
    name: "meilisearch",
    answer: |held, asked| {
        const SOURCE: &str = "meilisearch/documentation: capabilities/indexing/tasks_and_batches/async_operations.mdx";
        let task = |what: &str| {
            let task = json!({ "taskUid": 1, "indexUid": "products", "status": "enqueued", "type": what });
            Answer(202, task, SOURCE)
        };
        if asked.method == Method::DELETE {
            held.remove(&asked.behind("/indexes/products/documents").unwrap_or_default());
            return task("documentDeletion");
        }
        let documents = asked.body.as_array().map(Vec::as_slice).unwrap_or_default();
        let has_key = asked.parameter("primaryKey").as_deref() == Some("id");
        let [document] = documents else {
            return Answer(
                400,
                json!({ "message": "not one document", "code": "malformed_payload" }),
                SOURCE,
            );
        };
        if asked.method != Method::POST || asked.path != "/indexes/products/documents" || !has_key {
            return Answer(
                400,
                json!({ "message": "no primary key", "code": "bad_request" }),
                SOURCE,
            );
        }
        let id = document["id"].as_str().unwrap_or_default().to_owned();
        held.put(id, document.clone());
        task("documentAdditionOrUpdate")
    },
    duplicate: Duplicate::Replaced("meilisearch.com/docs/reference/api/documents, Add or replace documents"),
    throttled: || {
        let error = json!({
            "message": "the limit of the task database has been reached", "code": "no_space_left_on_device",
        });
        Answer(
            422,
            error,
            "meilisearch/meilisearch: crates/index-scheduler/src/error.rs",
        )
    },
    refused: || {
        let error = json!({ "message": "The provided payload reached the size limit", "code": "payload_too_large" });
        Answer(413, error, "meilisearch.com/docs, reference/errors")
    },
    reason: "reached the size limit",
    ..PLAIN
};
