//! Saleor.

use super::{Answer, Duplicate, Follows, PLAIN, System, Unique, text};
use serde_json::{Value, json};

/// What Saleor answers to a mutation that it has read: always a 200, with the product and with what was wrong.
fn done(mutation: &str, product: Option<&str>, errors: Value, source: &'static str) -> Answer {
    let product = product.map(|id| json!({ "id": id }));
    let data = json!({ mutation: { "product": product, "errors": errors } });
    Answer(
        200,
        json!({ "data": data, "extensions": { "cost": { "requestedQueryCost": 10, "maximumAvailable": 50000 } } }),
        source,
    )
}

/// What Saleor answers to a mutation that it does not carry out.
fn failed(mutation: &str, (field, code, said): (&str, &str, &str), source: &'static str) -> Answer {
    let error = json!({ "field": field, "message": said, "code": code });
    done(mutation, None, json!([error]), source)
}

pub(super) const SALEOR: System = System {
    name: "saleor",
    answer: |held, asked| {
        const SOURCE: &str = "saleor/saleor: saleor/graphql/schema.graphql, saleor/graphql/core/mutations.py, saleor/graphql/product/tests/mutations";
        let (query, variables) = (text(&asked.body["query"]), &asked.body["variables"]);
        let uuid = text(&variables["id"]);
        let missing = |mutation: &str| {
            let said = format!("Couldn't resolve to a node: {uuid}");
            failed(mutation, ("externalReference", "NOT_FOUND", &said), SOURCE)
        };
        if asked.path != "/graphql/" || uuid.is_empty() {
            let error = json!({ "message": "Must provide a query string." });
            return Answer(
                400,
                json!({ "errors": [error] }),
                "saleor/saleor: saleor/graphql/views.py",
            );
        }
        if query.contains(" productDelete(externalReference: $id)") {
            return match held.remove(&uuid) {
                true => done("productDelete", Some("UHJvZHVjdDox"), json!([]), SOURCE),
                false => missing("productDelete"),
            };
        }
        let is_known = query.contains(" productCreate(") && query.contains(" productUpdate(externalReference: $id,");
        let metadata = variables["metadata"].as_array().into_iter().flatten();
        let is_whole = variables["type"] == "PRODUCT_TYPE"
            && variables["name"].is_string()
            && metadata
                .clone()
                .all(|item| item["key"].is_string() && item["value"].is_string());
        if !is_known || !is_whole {
            let error = json!({ "message": "Variable \"$name\" got invalid value null." });
            return Answer(
                400,
                json!({ "errors": [error] }),
                "saleor/saleor: saleor/graphql/views.py",
            );
        }
        if variables["new"] == true {
            let id = held.make(&uuid, &asked.body).id.clone();
            return done("productCreate", Some(&id), json!([]), SOURCE);
        }
        match held.of_mut(&uuid) {
            Some(record) => {
                record.write(&asked.body);
                done("productUpdate", Some(&record.id), json!([]), SOURCE)
            }
            None => missing("productUpdate"),
        }
    },
    makes: |asked| asked.body["variables"]["new"] == true,
    throttled: || {
        let source = "docs.saleor.io/api-usage/usage-limits";
        Answer(429, Value::Null, source)
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/variables/id",
        taken: |_| {
            let said = "Product with this External reference already exists.";
            let source = "saleor/saleor: saleor/graphql/product/tests/mutations/test_product_create.py, test_create_product_with_non_unique_external_reference";
            failed("productCreate", ("externalReference", "UNIQUE", said), source)
        },
        itself: Some(Follows::Adopted),
        another: None,
    }]),
    refused: || {
        let said = "Ensure this value has at most 250 characters (it has 300).";
        let source =
            "saleor/saleor: saleor/product/models.py, saleor/graphql/core/mutations.py, validation_error_to_error_type";
        failed("productUpdate", ("name", "INVALID", said), source)
    },
    reason: "at most 250 characters",
    ..PLAIN
};
