//! The documents of `shapes/`, each against a small destination that answers as the system's documentation says: made,
//! changed, known already, missing, refused, throttled, deleted.
//!
//! Every answer names its source. What these destinations check of a request is what the system would refuse.

use crate::admin::dead_letters;
use bytes::Bytes;
use http::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::control::Controlled;
use simulator::fault::Reply;
use simulator::server::{Server, Upstream};
use std::collections::{BTreeMap, BTreeSet};
use tests::application::{Application, Setup, root};
use tests::world::{World, deliver_all, platform_deliveries};

/// What a system answers, and where its documentation says so.
struct Answer(u16, Value, &'static str);

/// What a system holds, by the name that it gives a product.
type Held = BTreeMap<String, Value>;

/// A system: its document, and what it answers.
struct System {
    name: &'static str,
    /// What the header with the token holds.
    login: &'static str,
    /// Where a token is had, for those whose document has a `login`.
    endpoint: Option<&'static str>,
    answer: fn(&mut Held, &Asked) -> Answer,
    /// What it answers when it is called too often.
    throttled: fn() -> Answer,
    /// What it answers to what it does not take.
    refused: fn() -> Answer,
}

/// A request, read.
struct Asked {
    method: Method,
    path: String,
    query: String,
    body: Value,
}

impl Asked {
    /// The last part of the path behind this beginning.
    fn behind(&self, beginning: &str) -> Option<String> {
        let name = self.path.strip_prefix(beginning)?.strip_prefix('/')?;
        Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
    }
}

struct Destination {
    system: &'static System,
    held: Held,
    /// How many calls are throttled from now on.
    throttles: usize,
    /// Requests that name this are refused.
    refuses: Option<String>,
    asked: Vec<String>,
    /// What was wrong with a request.
    wrong: Vec<String>,
}

impl Controlled for Destination {
    fn control(&mut self, _: &Method, _: &str, _: Value, _: u64) -> anyhow::Result<Option<Value>> {
        Ok(None)
    }
}

impl Upstream for Destination {
    fn handle(&mut self, request: &Request<Bytes>, _now_ms: u64) -> Reply {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        if self.system.endpoint == Some(request.uri().path()) {
            // RFC 6749, sections 4.4.2 and 5.1.
            let form = String::from_utf8_lossy(request.body()).into_owned();
            if !form.starts_with("grant_type=client_credentials&client_id=id&client_secret=key") {
                self.wrong.push(format!("the login is {form}"));
            }
            let token = json!({ "access_token": "secret", "token_type": "Bearer" }).to_string();
            return Reply::now(Response::new(Bytes::from(token)));
        }
        if header("authorization") != Some(self.system.login) {
            self.wrong.push(format!("the login is {:?}", header("authorization")));
        }
        if !request.body().is_empty() && header("content-type") != Some("application/json") {
            self.wrong.push(format!("a body of type {:?}", header("content-type")));
        }
        let asked = Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            body,
        };
        let names = |id: &String| {
            let (body, hex) = (asked.body.to_string(), id.replace('-', ""));
            asked.path.contains(id.as_str()) || body.contains(id.as_str()) || body.contains(&hex)
        };
        let Answer(status, body, source) = if self.throttles > 0 {
            self.throttles -= 1;
            (self.system.throttled)()
        } else if self.refuses.as_ref().is_some_and(names)
            && asked.method != Method::DELETE
            && asked.body["relay"]["action"] != "delete"
        {
            (self.system.refused)()
        } else {
            (self.system.answer)(&mut self.held, &asked)
        };
        assert!(
            source.contains('/') || source.contains('.'),
            "{}: an answer without a source",
            self.system.name
        );
        self.asked.push(format!("{} {} {status}", asked.method, asked.path));
        if status == 400 && self.refuses.is_none() && self.system.name != "payload" {
            self.wrong.push(format!("{} {}: {body}", asked.method, asked.path));
        }
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        Reply::now(Response::builder().status(status).body(body).unwrap())
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _now_ms: u64) {}
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

const ELASTICSEARCH: System = System {
    name: "elasticsearch",
    login: "ApiKey secret",
    endpoint: None,
    answer: |held, asked| {
        const SOURCE: &str =
            "elastic/elasticsearch-specification: specification/_global/index, specification/_global/delete";
        let Some(id) = asked.behind("/products/_doc") else {
            return Answer(
                400,
                json!({ "error": { "reason": "no handler found for uri" }, "status": 400 }),
                SOURCE,
            );
        };
        match (&asked.method, held.contains_key(&id)) {
            (&Method::PUT, was_there) => {
                held.insert(id, asked.body.clone());
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
    throttled: || {
        let error = json!({ "error": { "type": "es_rejected_execution_exception", "reason": "rejected execution" }, "status": 429 });
        Answer(429, error, "elastic.co, guide, Rejected requests")
    },
    refused: || {
        let error =
            json!({ "error": { "type": "document_parsing_exception", "reason": "failed to parse field [revision]" } });
        Answer(400, error, "elastic.co, guide, Mapping, ignore_malformed")
    },
};

const ERPNEXT: System = System {
    name: "erpnext",
    login: "token secret",
    endpoint: None,
    answer: |held, asked| {
        const SOURCE: &str = "frappe/frappe: frappe/api/v2.py, frappe/exceptions.py";
        let fail = |status, what: &str| {
            let error = json!({ "errors": [{ "type": what, "message": format!("{what} of Item") }] });
            Answer(status, error, SOURCE)
        };
        if asked.path == "/api/v2/document/Item" && asked.method == Method::POST {
            let name = text(&asked.body["name"]);
            if asked.body["item_group"].is_null() {
                return fail(417, "MandatoryError");
            }
            if held.contains_key(&name) {
                return fail(409, "DuplicateEntryError");
            }
            held.insert(name, asked.body.clone());
            return Answer(200, json!({ "data": asked.body }), SOURCE);
        }
        let Some(name) = asked.behind("/api/v2/document/Item") else {
            return Answer(400, json!({ "errors": [{ "message": "no such method" }] }), SOURCE);
        };
        match (&asked.method, held.contains_key(&name)) {
            (_, false) => fail(404, "DoesNotExistError"),
            (&Method::PUT, _) => {
                held.insert(name, asked.body.clone());
                Answer(200, json!({ "data": asked.body }), SOURCE)
            }
            _ => {
                held.remove(&name);
                Answer(202, json!({ "data": "ok" }), SOURCE)
            }
        }
    },
    throttled: || {
        let error = json!({ "errors": [{ "type": "RateLimitExceededError", "message": "Too many requests" }] });
        Answer(429, error, "frappe/frappe: frappe/rate_limiter.py")
    },
    refused: || {
        let error = json!({ "errors": [{ "type": "ValidationError", "message": "Description is too long" }] });
        Answer(417, error, "frappe/frappe: frappe/exceptions.py")
    },
};

const PAYLOAD: System = System {
    name: "payload",
    login: "users secret",
    endpoint: None,
    answer: |held, asked| {
        const SOURCE: &str = "payloadcms/payload: docs/rest-api/overview.mdx, docs/fields/overview.mdx";
        if asked.path == "/api/products" && asked.method == Method::POST {
            let id = text(&asked.body["id"]);
            if held.contains_key(&id) {
                let taken = json!({ "errors": [{ "name": "ValidationError", "message": "The following field is invalid: id",
                    "data": { "errors": [{ "path": "id", "message": "Value must be unique" }] } }] });
                return Answer(400, taken, SOURCE);
            }
            held.insert(id, asked.body.clone());
            return Answer(
                201,
                json!({ "doc": asked.body, "message": "Product successfully created." }),
                SOURCE,
            );
        }
        let id = asked.behind("/api/products").unwrap_or_default();
        match (&asked.method, held.contains_key(&id)) {
            (_, false) => Answer(404, json!({ "errors": [{ "message": "Not Found" }] }), SOURCE),
            (&Method::PATCH, _) => {
                held.insert(id, asked.body.clone());
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
};

const SOLR: System = System {
    name: "solr",
    login: "Basic secret",
    endpoint: None,
    answer: |held, asked| {
        const SOURCE: &str = "solr.apache.org/guide, Indexing with Update Handlers";
        let done = Answer(200, json!({ "responseHeader": { "status": 0, "QTime": 3 } }), SOURCE);
        let fail = |said: &str| Answer(400, json!({ "error": { "msg": said, "code": 400 } }), SOURCE);
        match (asked.path.as_str(), asked.query.as_str()) {
            ("/solr/products/update/json/docs", "commitWithin=1000") => match asked.body["id"].as_str() {
                Some(id) => {
                    held.insert(id.to_owned(), asked.body.clone());
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
    throttled: || {
        let error = json!({ "error": { "msg": "Too many requests for this request type", "code": 429 } });
        Answer(429, error, "solr.apache.org/guide, Rate limiters")
    },
    refused: || {
        let error = json!({ "error": { "msg": "Error adding field 'revision_i'", "code": 400 } });
        Answer(400, error, "solr.apache.org/guide, Indexing with Update Handlers")
    },
};

const KAFKA_REST: System = System {
    name: "kafka-rest",
    login: "Basic secret",
    endpoint: None,
    answer: |held, asked| {
        const SOURCE: &str = "confluentinc/kafka-rest: api/v3/openapi.yaml";
        if asked.path != "/v3/clusters/CLUSTER/topics/products/records" || asked.body["key"]["type"] != "STRING" {
            return Answer(400, json!({ "error_code": 400, "message": "Bad Request" }), SOURCE);
        }
        let key = text(&asked.body["key"]["data"]);
        match asked.body.get("value") {
            Some(value) => held.insert(key, value["data"].clone()),
            None => held.remove(&key),
        };
        Answer(
            200,
            json!({ "error_code": 200, "topic_name": "products", "partition_id": 0, "offset": 7 }),
            SOURCE,
        )
    },
    throttled: || {
        let error = json!({ "error_code": 429, "message": "Request rate limit exceeded" });
        Answer(200, error, "confluentinc/kafka-rest: api/v3/openapi.yaml")
    },
    refused: || {
        let error = json!({ "error_code": 422, "message": "The record is too large" });
        Answer(200, error, "confluentinc/kafka-rest: api/v3/openapi.yaml")
    },
};

const SALESFORCE: System = System {
    name: "salesforce",
    login: "Bearer secret",
    endpoint: Some("/services/oauth2/token"),
    answer: |held, asked| {
        const SOURCE: &str = "developer.salesforce.com, REST API guide, dome_upsert and resources_sobject_upsert";
        let id = asked.behind("/services/data/v62.0/sobjects/Product2/Akeneo_Uuid__c");
        let Some(id) = id.filter(|_| asked.body["Akeneo_Uuid__c"].is_null()) else {
            return Answer(
                400,
                json!([{ "errorCode": "INVALID_FIELD", "message": "the id stands in the path" }]),
                SOURCE,
            );
        };
        match (&asked.method, held.contains_key(&id)) {
            (&Method::PATCH, was_there) => {
                held.insert(id, asked.body.clone());
                match was_there {
                    true => Answer(204, Value::Null, SOURCE),
                    false => Answer(
                        201,
                        json!({ "id": "01t000000000001", "success": true, "errors": [] }),
                        SOURCE,
                    ),
                }
            }
            (_, true) => {
                held.remove(&id);
                Answer(204, Value::Null, SOURCE)
            }
            (_, false) => Answer(
                404,
                json!([{ "errorCode": "NOT_FOUND", "message": "does not exist" }]),
                SOURCE,
            ),
        }
    },
    throttled: || {
        let error = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded." }]);
        Answer(403, error, "developer.salesforce.com, REST API guide, errorcodes")
    },
    refused: || {
        let error = json!([{ "errorCode": "STRING_TOO_LONG", "message": "Description: data value too large" }]);
        Answer(400, error, "developer.salesforce.com, REST API guide, errorcodes")
    },
};

const DATAVERSE: System = System {
    name: "dataverse",
    login: "Bearer secret",
    endpoint: Some("/TENANT/oauth2/v2.0/token"),
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
        match (&asked.method, held.contains_key(id)) {
            (&Method::PATCH, _) => {
                held.insert(id.to_owned(), asked.body.clone());
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
    throttled: || {
        let error = json!({ "error": { "code": "0x80072322", "message": "Number of requests exceeded the limit" } });
        Answer(
            429,
            error,
            "learn.microsoft.com, power-apps, Service protection API limits",
        )
    },
    refused: || {
        let error = json!({ "error": { "code": "0x80044331", "message": "The new_revision data value too large" } });
        Answer(400, error, "learn.microsoft.com, power-apps, Web service error codes")
    },
};

const SHOPWARE: System = System {
    name: "shopware-6",
    login: "Bearer secret",
    endpoint: Some("/api/oauth/token"),
    answer: |held, asked| {
        const SOURCE: &str = "shopware/shopware: SyncController.php, SyncService.php, Uuid.php";
        let fail = |detail: &str| {
            let error = json!({ "errors": [{ "status": "400", "code": "FRAMEWORK__WRITE_CONSTRAINT_VIOLATION", "detail": detail }] });
            Answer(400, error, SOURCE)
        };
        let task = &asked.body["relay"];
        let is_known = asked.method == Method::POST && asked.path == "/api/_action/sync" && task["entity"] == "product";
        let id = text(&task["payload"][0]["id"]);
        if !is_known
            || id.len() != 32
            || !id
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            return fail("Value is not a valid UUID");
        }
        match task["action"].as_str() {
            Some("upsert") => held.insert(dashed(&id), task["payload"][0].clone()),
            Some("delete") => held.remove(&dashed(&id)),
            _ => return fail("no such action"),
        };
        Answer(
            200,
            json!({ "data": { "product": [id] }, "notFound": [], "deleted": [] }),
            SOURCE,
        )
    },
    throttled: || {
        let error = json!({ "errors": [{ "status": "429", "code": "FRAMEWORK__RATE_LIMIT_EXCEEDED" }] });
        Answer(
            429,
            error,
            "shopware/docs: guides/hosting/infrastructure/rate-limiter.md",
        )
    },
    refused: || {
        let error = json!({ "errors": [{ "status": "400", "detail": "This value is too long", "source": { "pointer": "/relay/0/name" } }] });
        Answer(400, error, "shopware/shopware: WriteConstraintViolationException.php")
    },
};

/// A UUID with its dashes.
fn dashed(hex: &str) -> String {
    hex.parse::<uuid::Uuid>()
        .map(|uuid| uuid.hyphenated().to_string())
        .unwrap_or_default()
}

const SYSTEMS: [&System; 8] = [
    &ELASTICSEARCH,
    &ERPNEXT,
    &PAYLOAD,
    &SOLR,
    &KAFKA_REST,
    &SALESFORCE,
    &DATAVERSE,
    &SHOPWARE,
];

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("shapes/{name}.json"))).unwrap()
}

fn setup(world: &World, url: &str, system: &System) -> Setup {
    let setup = world.setup().with("destination_url", url);
    let setup = match system.endpoint {
        Some(_) => {
            let setup = setup.with("destination_token", "");
            setup.with("login_id", "id").with("login_secret", "key")
        }
        None => setup.with("destination_token", "secret"),
    };
    setup.with("shape", &document(system.name))
}

async fn play(system: &'static System) {
    let name = system.name;
    let world = World::start(Catalogue::generate(6, 0, 11)).await.unwrap();
    let destination = Destination {
        system,
        held: Held::new(),
        throttles: 0,
        refuses: None,
        asked: Vec::new(),
        wrong: Vec::new(),
    };
    let destination = Server::start(destination, "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let application = Application::start(setup(&world, &destination.url(), system))
        .await
        .unwrap();
    let products = world.products();
    let keys: BTreeSet<String> = products.iter().map(EntityId::key).collect();
    let held = || destination.with(|destination| destination.held.keys().cloned().collect::<BTreeSet<_>>());
    let content = |id: &EntityId| destination.with(|destination| destination.held.get(&id.key()).cloned());

    world.touch(&application, &products, 1).await.unwrap();
    application.until(|| held() == keys).await.unwrap();

    let before = content(&products[0]);
    world.touch(&application, &products, 2).await.unwrap();
    application.until(|| content(&products[0]) != before).await.unwrap();
    application.tick_until_idle().await.unwrap();

    // Somebody else took one out, and the store is lost: it is made again, and the others are known there already.
    destination.with(|destination| destination.held.remove(&products[1].key()));
    world.touch(&application, &products[1..2], 3).await.unwrap();
    application.until(|| held() == keys).await.unwrap();
    drop(application);
    let application = Application::start(setup(&world, &destination.url(), system))
        .await
        .unwrap();
    let before = content(&products[2]);
    world.touch(&application, &products, 4).await.unwrap();
    application.until(|| content(&products[2]) != before).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(dead_letters(&application).await, Vec::<Value>::new(), "{name}");

    destination.with(|destination| destination.throttles = 1);
    let before = content(&products[3]);
    world.touch(&application, &products[3..4], 5).await.unwrap();
    application.until(|| content(&products[3]) != before).await.unwrap();
    assert_eq!(
        dead_letters(&application).await,
        Vec::<Value>::new(),
        "{name}: being busy is no refusal"
    );

    destination.with(|destination| destination.refuses = Some(products[4].key()));
    let before = content(&products[4]);
    world.touch(&application, &products[4..6], 6).await.unwrap();
    let mut letters = Vec::new();
    for _ in 0..100 {
        application.tick().await.unwrap();
        letters = dead_letters(&application).await;
        if !letters.is_empty() {
            break;
        }
    }
    let Answer(_, said, _) = (system.refused)();
    let reason = letters[0]["reason"].as_str().unwrap();
    let words = [
        "failed to parse",
        "too long",
        "invalid: sku",
        "Error adding field",
        "record is too large",
        "value too large",
    ];
    assert!(
        words.iter().any(|word| reason.contains(word)),
        "{name}: {reason}, of {said}"
    );
    assert_eq!((letters.len(), content(&products[4])), (1, before), "{name}");

    destination.with(|destination| destination.refuses = None);
    let gone = world.edit(&products[5], Action::Delete).unwrap();
    deliver_all(&application, &platform_deliveries(&gone, 7)).await.unwrap();
    application
        .until(|| !held().contains(&products[5].key()))
        .await
        .unwrap();
    let wrong = destination.with(|destination| (destination.wrong.clone(), destination.asked.clone()));
    assert_eq!(wrong.0, Vec::<String>::new(), "{name}: {:?}", wrong.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_system_is_spoken_to_as_its_documentation_says() {
    futures_util::future::join_all(SYSTEMS.map(play)).await;
}

#[test]
fn every_document_has_a_contract_and_says_what_it_is_for() {
    let played: BTreeSet<String> = SYSTEMS.iter().map(|system| system.name.to_owned()).collect();
    let files = std::fs::read_dir(root().join("shapes")).unwrap();
    let names: BTreeSet<String> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, played);
    for name in names {
        let document = document(&name);
        shape::Shape::read(&document).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        let about: Value = serde_json::from_str(&document).unwrap();
        assert!(about["about"].as_str().unwrap().len() > 50, "{name}");
    }
}
