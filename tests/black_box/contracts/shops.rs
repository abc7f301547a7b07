//! Shops.

use super::held::Record;
use super::{Answer, Asked, Duplicate, Follows, NOT_WAITED_FOR, PLAIN, System, Unique, dashed, text, token};
use http::Method;
use serde_json::{Value, json};

pub(super) const SHOPWARE: System = System {
    name: "shopware-6",
    login: ("authorization", "Bearer secret"),
    endpoint: Some("/api/oauth/token"),
    grants: token::of_shopware,
    upserts: true,
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
            Some("upsert") => held.put(dashed(&id), asked.body.clone()),
            Some("delete") => held.remove(&dashed(&id)),
            _ => return fail("no such action"),
        };
        Answer(
            200,
            json!({ "data": { "product": [id] }, "notFound": [], "deleted": [] }),
            SOURCE,
        )
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/relay/payload/0/productNumber",
        taken: |_| {
            let error = json!({
                "status": "400", "code": "CONTENT__DUPLICATE_PRODUCT_NUMBER", "title": "Bad Request",
                "detail": "Product with number \"SKU\" already exists.", "meta": { "parameters": { "number": "SKU" } },
            });
            let source = "shopware/shopware: DuplicateProductNumberException.php, ProductExceptionHandler.php";
            Answer(400, json!({ "errors": [error] }), source)
        },
        itself: None,
        another: Some(Follows::Told("already exists")),
    }]),
    throttled: || {
        let error = json!({
            "status": "429", "code": "FRAMEWORK__RATE_LIMIT_EXCEEDED", "title": "Too Many Requests",
            "detail": "Too many requests, try again in 1 seconds.", "meta": { "parameters": { "seconds": 1 } },
        });
        let source = "shopware/shopware: src/Core/Framework/RateLimiter/Exception/RateLimitExceededException.php";
        Answer(429, json!({ "errors": [error] }), source)
    },
    wait_ms: 1000,
    refused: || {
        let error = json!({ "errors": [{ "status": "400", "detail": "This value is too long", "source": { "pointer": "/relay/0/name" } }] });
        Answer(400, error, "shopware/shopware: WriteConstraintViolationException.php")
    },
    reason: "too long",
    ..PLAIN
};

pub(super) const MAGENTO: System = System {
    name: "magento-2",
    upserts: true,
    answer: |held, asked| {
        const SOURCE: &str = "magento/magento2: app/code/Magento/Catalog/etc/webapi.xml, Model/ProductRepository.php";
        let id = asked.behind("/rest/all/V1/products").unwrap_or_default();
        let product = &asked.body["product"];
        match asked.method {
            Method::PUT if !id.is_empty() && product["name"].is_string() && product["type_id"] == "simple" => {
                held.put(id.clone(), asked.body.clone());
                Answer(200, json!({ "id": 7, "sku": id }), SOURCE)
            }
            Method::DELETE if held.remove(&id) => Answer(200, json!(true), SOURCE),
            Method::DELETE => {
                let error = json!({ "message": "The product that was requested doesn't exist." });
                Answer(404, error, SOURCE)
            }
            _ => Answer(400, json!({ "message": "\"%1\" is required." }), SOURCE),
        }
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/product/custom_attributes/0/value",
        taken: |_| {
            let error = json!({ "message": "URL key for specified store already exists." });
            Answer(400, error, "magento/magento2: app/code/Magento/CatalogUrlRewrite")
        },
        itself: None,
        another: Some(Follows::Told("URL key for specified store")),
    }]),
    throttled: || Answer(503, Value::Null, "magento/magento2: pub/errors/processor.php"),
    refused: || {
        let error = json!({ "message": "URL key for specified store already exists." });
        Answer(400, error, "magento/magento2: app/code/Magento/CatalogUrlRewrite")
    },
    reason: "URL key for specified store",
    ..PLAIN
};

/// The product that a request of Shopify's is for.
fn custom_id(asked: &Asked) -> Option<String> {
    let id = &asked.body["variables"]["identifier"]["customId"];
    let is_ours = id["namespace"] == "akeneo" && id["key"] == "uuid";
    Some(text(&id["value"])).filter(|uuid| is_ours && !uuid.is_empty())
}

pub(super) const SHOPIFY: System = System {
    name: "shopify",
    login: ("x-shopify-access-token", "secret"),
    endpoint: Some("/admin/oauth/access_token"),
    grants: token::of_shopify,
    answer: |held, asked| {
        const SOURCE: &str = "shopify.dev/docs/api/admin-graphql: productSet, productUpdate";
        let wrong = || Answer(400, json!({ "errors": { "query": "is missing" } }), SOURCE);
        let done = |mutation: &str, product: Value, errors: Value| {
            Answer(
                200,
                json!({ "data": { mutation: { "product": product, "userErrors": errors } } }),
                SOURCE,
            )
        };
        let (query, variables) = (text(&asked.body["query"]), &asked.body["variables"]);
        let Some(uuid) = custom_id(asked).filter(|_| asked.path == "/admin/api/2026-04/graphql.json") else {
            return wrong();
        };
        if query.contains(" productSet(") {
            let input = &variables["input"];
            if input["metafields"][0]["value"] != uuid || input["variants"][0]["optionValues"][0]["name"].is_null() {
                return wrong();
            }
            held.put(uuid.clone(), asked.body.clone());
            let id = held
                .of(&uuid)
                .map(|record| format!("gid://shopify/Product/{}", record.id));
            return done("productSet", json!({ "id": id }), json!([]));
        }
        if !query.contains(" productUpdate(") || variables["product"] != json!({ "status": "ARCHIVED" }) {
            return wrong();
        }
        match held.of_mut(&uuid) {
            Some(record) => {
                record.archive();
                done("productUpdate", json!({ "id": record.id }), json!([]))
            }
            None => {
                let error = json!({ "field": ["id"], "message": "Product does not exist" });
                done("productUpdate", Value::Null, json!([error]))
            }
        }
    },
    throttled: || {
        let error = json!({ "message": "Throttled", "extensions": { "code": "THROTTLED" } });
        let source = "shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits";
        Answer(200, json!({ "errors": [error] }), source)
    },
    // The answer tells how fast calls come back, and the document says how long that is.
    wait_ms: 2000,
    duplicate: Duplicate::Replaced("shopify.dev/docs/api/admin-graphql: productSet, identifier"),
    refused: || {
        let error = json!({ "field": ["input", "title"], "message": "Title is too long" });
        let body = json!({ "data": { "productSet": { "product": null, "userErrors": [error] } } });
        Answer(200, body, "shopify.dev/docs/api/admin-graphql: ProductSetUserError")
    },
    reason: "Title is too long",
    ..PLAIN
};

/// What WooCommerce answers where a SKU is this product's.
fn taken_in_woocommerce(by: &Record) -> Answer {
    let data = json!({ "status": 400, "resource_id": by.number(), "unique_sku": "SKU-1" });
    let error = json!({ "code": "product_invalid_sku", "message": "Invalid or duplicated SKU.", "data": data });
    Answer(400, error, "woocommerce/woocommerce: issue #33806, pull request #36612")
}

/// With the rule that its document speaks of, by which a product is known again by its SKU.
pub(super) const WOOCOMMERCE_BY_SKU: System = System {
    amended: &[(
        "/products/create/answers",
        r#"{ "rules": [{ "at": "/code", "equals": "product_invalid_sku", "means": "exists" }] }"#,
    )],
    duplicate: Duplicate::Refused(&[Unique {
        at: "/sku",
        taken: taken_in_woocommerce,
        itself: Some(Follows::Adopted),
        another: None,
    }]),
    ..WOOCOMMERCE
};

pub(super) const WOOCOMMERCE: System = System {
    name: "woocommerce-3",
    login: ("authorization", "Basic a2V5OnNlY3JldA=="),
    token: "key:secret",
    answer: |held, asked| {
        const SOURCE: &str = "woocommerce/woocommerce-rest-api-docs: wp-api-v3; class-wc-rest-crud-controller.php";
        const PRODUCTS: &str = "/wp-json/wc/v3/products";
        let fail = |status, code: &str, said: &str| {
            Answer(
                status,
                json!({ "code": code, "message": said, "data": { "status": status } }),
                SOURCE,
            )
        };
        let shown = |record: &Record| json!({ "id": record.number(), "slug": record.uuid });
        if asked.path == PRODUCTS {
            let slug = text(&asked.body["slug"]);
            return match asked.method {
                Method::GET => {
                    let wanted = asked.parameter("slug").unwrap_or_default();
                    Answer(200, held.found(&wanted).into_iter().map(shown).collect(), SOURCE)
                }
                _ if !slug.is_empty() => Answer(201, shown(held.make(&slug, &asked.body)), SOURCE),
                _ => fail(422, "rest_missing_callback_param", "Missing parameter(s): slug"),
            };
        }
        let id = asked.behind(PRODUCTS).unwrap_or_default();
        let is_forced = asked.parameter("force").as_deref() == Some("true");
        match (&asked.method, held.called(&id)) {
            (&Method::DELETE, Some(_)) if is_forced => {
                held.remove_id(&id);
                Answer(200, json!({ "id": 1 }), SOURCE)
            }
            (&Method::DELETE, None) => fail(404, "woocommerce_rest_product_invalid_id", "Invalid ID."),
            (&Method::PUT, Some(record)) if asked.body.get("slug").is_none() => {
                record.write(&asked.body);
                Answer(200, shown(record), SOURCE)
            }
            (&Method::PUT, None) => fail(400, "woocommerce_rest_product_invalid_id", "Invalid ID."),
            _ => fail(422, "rest_invalid_param", "Invalid parameter(s): slug"),
        }
    },
    writes: |held, asked| {
        let id = asked.behind("/wp-json/wc/v3/products").unwrap_or_default();
        held.uuid_of(&id).filter(|_| asked.method == Method::PUT)
    },
    duplicate: Duplicate::Refused(&[Unique {
        at: "/sku",
        taken: taken_in_woocommerce,
        itself: Some(Follows::Told("Invalid or duplicated SKU")),
        another: Some(Follows::Told("Invalid or duplicated SKU")),
    }]),
    refused: || {
        let data = json!({ "status": 400, "params": { "regular_price": "is not of type string." } });
        let error =
            json!({ "code": "rest_invalid_param", "message": "Invalid parameter(s): regular_price", "data": data });
        Answer(
            400,
            error,
            "WordPress/WordPress: wp-includes/rest-api/class-wp-rest-request.php",
        )
    },
    reason: "Invalid parameter(s)",
    tells_by_400: true,
    ..PLAIN
};

/// What BigCommerce answers where a value is to be unique and is not.
fn taken_in_bigcommerce(said: &str) -> Answer {
    let error = json!({ "status": 409, "title": said, "type": "", "errors": {} });
    Answer(
        409,
        error,
        "bigcommerce/docs: reference/catalog/products_catalog.v3.yml",
    )
}

pub(super) const BIGCOMMERCE: System = System {
    name: "bigcommerce-3",
    amended: NOT_WAITED_FOR,
    login: ("x-auth-token", "secret"),
    answer: |held, asked| {
        const SOURCE: &str = "bigcommerce/docs: reference/catalog/products_catalog.v3.yml";
        const PRODUCTS: &str = "/stores/STORE/v3/catalog/products";
        let fail =
            |status, said: &str| Answer(status, json!({ "status": status, "title": said, "errors": {} }), SOURCE);
        let shown = |record: &Record| json!({ "id": record.number(), "mpn": record.uuid });
        let body = &asked.body;
        if asked.path == PRODUCTS {
            let is_whole = ["mpn", "name", "type", "weight", "price"]
                .iter()
                .all(|name| !body[name].is_null());
            return match asked.method {
                Method::GET => {
                    let wanted = asked.parameter("mpn").unwrap_or_default();
                    let found: Vec<Value> = held.found(&wanted).into_iter().map(shown).collect();
                    Answer(200, json!({ "data": found, "meta": {} }), SOURCE)
                }
                _ if is_whole => {
                    let record = held.make(&text(&body["mpn"]), body);
                    Answer(200, json!({ "data": shown(record), "meta": {} }), SOURCE)
                }
                _ => fail(400, "The required field(s) are missing"),
            };
        }
        let id = asked.behind(PRODUCTS).unwrap_or_default();
        match (&asked.method, held.called(&id)) {
            (&Method::DELETE, _) => {
                held.remove_id(&id);
                Answer(204, Value::Null, SOURCE)
            }
            (_, Some(record)) => {
                record.write(body);
                Answer(200, json!({ "data": shown(record), "meta": {} }), SOURCE)
            }
            (_, None) => fail(404, "The product does not exist"),
        }
    },
    throttled: || {
        let error = json!({ "status": 429, "title": "Too many requests" });
        Answer(
            429,
            error,
            "bigcommerce/docs: docs/api-docs/getting-started/api-rate-limits.mdx",
        )
    },
    limits: &[
        ("x-rate-limit-requests-left", "0"),
        ("x-rate-limit-time-reset-ms", "1500"),
    ],
    // Longer than the second for which the relay waits where it is not told until when no call is left.
    wait_ms: 1500,
    duplicate: Duplicate::Refused(&[
        Unique {
            at: "/sku",
            taken: |_| taken_in_bigcommerce("The product sku is a duplicate"),
            itself: Some(Follows::Adopted),
            another: Some(Follows::Told("The product sku is a duplicate")),
        },
        Unique {
            at: "/name",
            taken: |_| taken_in_bigcommerce("The product name is a duplicate"),
            itself: None,
            another: Some(Follows::Told("The product name is a duplicate")),
        },
    ]),
    refused: || {
        let error = json!({ "status": 422, "title": "The price must be a number", "type": "", "errors": {} });
        Answer(
            422,
            error,
            "bigcommerce/docs: reference/catalog/products_catalog.v3.yml",
        )
    },
    reason: "must be a number",
    ..PLAIN
};
