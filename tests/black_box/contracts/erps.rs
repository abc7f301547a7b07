//! Resource planning and customer relations.

use super::held::Record;
use super::{Answer, Duplicate, Follows, NOT_WAITED_FOR, PLAIN, System, Unique, dashed, text, token};
use http::Method;
use serde_json::{Value, json};

pub(super) const ERPNEXT: System = System {
    name: "erpnext",
    login: ("authorization", "token secret"),
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
            held.put(name, asked.body.clone());
            return Answer(200, json!({ "data": asked.body }), SOURCE);
        }
        let Some(name) = asked.behind("/api/v2/document/Item") else {
            return Answer(400, json!({ "errors": [{ "message": "no such method" }] }), SOURCE);
        };
        match (&asked.method, held.has(&name)) {
            (_, false) => fail(404, "DoesNotExistError"),
            (&Method::PUT, _) => {
                held.put(name, asked.body.clone());
                Answer(200, json!({ "data": asked.body }), SOURCE)
            }
            _ => {
                held.remove(&name);
                Answer(202, json!({ "data": "ok" }), SOURCE)
            }
        }
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/name",
        taken: |_| {
            let error = json!({ "errors": [{ "type": "DuplicateEntryError", "message": "Item SKU already exists" }] });
            Answer(
                409,
                error,
                "frappe/frappe: frappe/exceptions.py, frappe/model/base_document.py",
            )
        },
        itself: Some(Follows::Adopted),
        another: None,
    }]),
    throttled: || {
        let error = json!({ "errors": [{ "type": "RateLimitExceededError", "message": "Too many requests" }] });
        Answer(429, error, "frappe/frappe: frappe/rate_limiter.py")
    },
    limits: &[("retry-after", "1"), ("x-ratelimit-reset", "1")],
    wait_ms: 1000,
    refused: || {
        let error = json!({ "errors": [{ "type": "ValidationError", "message": "Description is too long" }] });
        Answer(417, error, "frappe/frappe: frappe/exceptions.py")
    },
    reason: "too long",
    ..PLAIN
};

pub(super) const SALESFORCE: System = System {
    name: "salesforce",
    login: ("authorization", "Bearer secret"),
    endpoint: Some("/services/oauth2/token"),
    grants: token::of_salesforce,
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
        match (&asked.method, held.has(&id)) {
            (&Method::PATCH, was_there) => {
                held.put(id, asked.body.clone());
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
    duplicate: Duplicate::Replaced("developer.salesforce.com, REST API guide, resources_sobject_upsert"),
    throttled: || {
        let error = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded." }]);
        Answer(403, error, "developer.salesforce.com, REST API guide, errorcodes")
    },
    refused: || {
        let error = json!([{ "errorCode": "STRING_TOO_LONG", "message": "Description: data value too large" }]);
        Answer(400, error, "developer.salesforce.com, REST API guide, errorcodes")
    },
    reason: "value too large",
    ..PLAIN
};

pub(super) const BUSINESS_CENTRAL: System = System {
    name: "business-central",
    amended: NOT_WAITED_FOR,
    endpoint: Some("/TENANT/oauth2/v2.0/token"),
    grants: |form| token::of_entra(form, "https://api.businesscentral.dynamics.com"),
    answer: |held, asked| {
        const SOURCE: &str = "MicrosoftDocs/dynamics365smb-devitpro-pb: api-reference/v2.0, item";
        const ITEMS: &str = "/v2.0/TENANT/ENVIRONMENT/api/v2.0/companies(COMPANY)/items";
        let fail = |status, code: &str| {
            let error = json!({ "error": { "code": code, "message": format!("{code} of the item") } });
            Answer(status, error, SOURCE)
        };
        let shown =
            |record: &Record| json!({ "@odata.etag": record.etag(), "id": record.id, "displayName2": record.uuid });
        let uuid = text(&asked.body["displayName2"]);
        match (&asked.method, asked.path.strip_prefix(ITEMS)) {
            (&Method::GET, Some("")) => {
                let filter = asked.parameter("$filter").unwrap_or_default();
                let wanted = filter
                    .strip_prefix("displayName2 eq '")
                    .and_then(|rest| rest.strip_suffix('\''));
                let found: Vec<Value> = held.found(wanted.unwrap_or_default()).into_iter().map(shown).collect();
                Answer(200, json!({ "value": found }), SOURCE)
            }
            (&Method::POST, Some("")) if asked.body["number"].is_string() && !uuid.is_empty() => {
                Answer(201, shown(held.make(&uuid, &asked.body)), SOURCE)
            }
            (&Method::PATCH, Some(rest)) => {
                let id = rest.trim_matches(['(', ')']);
                match held.called(id) {
                    None => fail(404, "Internal_RecordNotFound"),
                    Some(_) if asked.body.get("number").is_some() => fail(400, "Application_FieldValidationException"),
                    Some(record) if asked.header("if-match") != Some(&record.etag()) => {
                        fail(409, "Request_EntityChanged")
                    }
                    Some(record) => {
                        match asked.body["blocked"] == true {
                            true => record.archive(),
                            false => record.merge(&asked.body),
                        }
                        Answer(200, shown(record), SOURCE)
                    }
                }
            }
            _ => fail(400, "BadRequest"),
        }
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/number",
        taken: |_| {
            let said = "The Item already exists. Identification fields and values: No.='SKU'";
            let error = json!({ "error": { "code": "Internal_EntityWithSameKeyExists", "message": said } });
            let source = "MicrosoftDocs/dynamics365smb-devitpro-pb: api-reference/v2.0/dynamics-error-codes.md";
            Answer(400, error, source)
        },
        itself: Some(Follows::Adopted),
        another: Some(Follows::Told("The Item already exists")),
    }]),
    throttled: || {
        let error = json!({ "error": { "code": "Application_TooManyRequests", "message": "Too many requests" } });
        Answer(
            429,
            error,
            "learn.microsoft.com, Working with API limits in Dynamics 365 Business Central",
        )
    },
    refused: || {
        let error =
            json!({ "error": { "code": "Application_StringExceededLength", "message": "The GTIN is too long" } });
        Answer(400, error, "learn.microsoft.com, Business Central, error codes")
    },
    reason: "The GTIN is too long",
    ..PLAIN
};

/// The product of an external id.
fn of_external_id(id: &str) -> String {
    let hex = id.strip_prefix("__akeneo__.").unwrap_or(id);
    dashed(hex.strip_prefix("product_").unwrap_or_default())
}

pub(super) const ODOO: System = System {
    name: "odoo-19",
    answer: |held, asked| {
        const SOURCE: &str = "odoo/documentation: content/developer/reference/external_api.rst; odoo/odoo: load";
        let fail = |status, said: &str| Answer(status, json!({ "name": "odoo.exceptions", "message": said }), SOURCE);
        let body = &asked.body;
        if asked.method != Method::POST || asked.header("x-odoo-database") != Some("DATABASE") {
            return fail(404, "Did you mean POST /json/2/<model>/<method>?");
        }
        match asked.path.as_str() {
            "/json/2/product.template/load" => {
                let (fields, row) = (body["fields"].as_array(), body["data"][0].as_array());
                if fields.map(Vec::len) != row.map(Vec::len) || body["fields"][0] != "id" || body["ids"].is_array() {
                    return fail(400, "the data do not fit the fields");
                }
                let uuid = of_external_id(body["data"][0][0].as_str().unwrap_or_default());
                held.put(uuid.clone(), body.clone());
                let ids: Vec<u64> = held.of(&uuid).map(|record| record.number()).into_iter().collect();
                Answer(200, json!({ "ids": ids, "messages": [], "nextrow": 0 }), SOURCE)
            }
            "/json/2/ir.model.data/search_read" => {
                let name = text(&body["domain"][2][2]);
                let shown = |record: &Record| json!({ "id": 1, "name": name, "res_id": record.number() });
                let found: Vec<Value> = held.found(&of_external_id(&name)).into_iter().map(shown).collect();
                Answer(200, json!(found), SOURCE)
            }
            "/json/2/product.template/write" if body["vals"] == json!({ "active": false }) => {
                match held.called(&body["ids"][0].to_string()) {
                    Some(record) => record.archive(),
                    None => return fail(404, "Record does not exist or has been deleted."),
                }
                Answer(200, json!(true), SOURCE)
            }
            _ => fail(400, "no such method"),
        }
    },
    writes: |held, asked| {
        let is_write = asked.path.ends_with("/load");
        held.named("", &asked.body["data"].to_string()).filter(|_| is_write)
    },
    duplicate: Duplicate::Replaced("odoo/odoo: load, in models: what has the external id is written to"),
    refused: || {
        let messages = json!([{ "type": "error", "message": "No matching record found for the name" }]);
        Answer(
            200,
            json!({ "ids": false, "messages": messages }),
            "odoo/odoo: load, in models",
        )
    },
    reason: "No matching record found",
    ..PLAIN
};
