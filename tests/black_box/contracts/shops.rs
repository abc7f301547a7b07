//! Shops.

use super::held::Record;
use super::{Answer, Asked, PLAIN, Play, System, dashed, text};
use http::Method;
use serde_json::{Value, json};

pub(super) const SHOPWARE: System = System {
    name: "shopware-6",
    login: ("authorization", "Bearer secret"),
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
            Some("upsert") => held.put(dashed(&id), task["payload"][0].clone()),
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
    reason: "too long",
    ..PLAIN
};

pub(super) const MAGENTO: System = System {
    name: "magento-2",
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
    refused: || {
        let error = json!({ "field": ["input", "title"], "message": "Title is too long" });
        let body = json!({ "data": { "productSet": { "product": null, "userErrors": [error] } } });
        Answer(200, body, "shopify.dev/docs/api/admin-graphql: ProductSetUserError")
    },
    reason: "Title is too long",
    ..PLAIN
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
                    Answer(200, held.all(&wanted).map(shown).collect(), SOURCE)
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
    refused: || {
        let error = json!({ "code": "product_invalid_sku", "message": "Invalid or duplicated SKU." });
        Answer(400, error, "woocommerce/woocommerce: issue #33806")
    },
    reason: "Invalid or duplicated SKU",
    tells_by_400: true,
    ..PLAIN
};

pub(super) const BIGCOMMERCE: System = System {
    name: "bigcommerce-3",
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
                    let found: Vec<Value> = held.all(&wanted).map(shown).collect();
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
        ("x-rate-limit-time-reset-ms", "900"),
    ],
    refused: || {
        let error = json!({ "status": 409, "title": "The product sku is a duplicate" });
        Answer(
            409,
            error,
            "bigcommerce/docs: reference/catalog/products_catalog.v3.yml",
        )
    },
    reason: "sku is a duplicate",
    ..PLAIN
};

/// Whether a document of JSON:API has what it names in its relationships and makes along with itself.
fn includes(document: &Value, relationship: &str, of_type: &str) -> bool {
    let named = document["data"]["relationships"][relationship]["data"].clone();
    let named = match named {
        Value::Array(named) => named,
        one => vec![one],
    };
    let mut included = document["included"].as_array().into_iter().flatten();
    named.iter().all(|named| {
        let is_it = |made: &Value| made["type"] == named["type"] && made["id"] == named["id"];
        named["type"] == of_type && included.any(is_it)
    })
}

pub(super) const OROCOMMERCE: System = System {
    name: "orocommerce-6",
    endpoint: Some("/oauth2-token"),
    media_types: &["application/vnd.api+json"],
    answer: |held, asked| {
        const SOURCE: &str = "oroinc/orocommerce: src/Oro/Bundle/ProductBundle/Resources/doc/api/product.md, Tests/Functional/Api/RestJsonApi/ProductTest.php";
        const PRODUCTS: &str = "/admin/api/products";
        let fail = |status: u16, title: &str, detail: &str| {
            let error = json!({ "status": status.to_string(), "title": title, "detail": detail });
            Answer(status, json!({ "errors": [error] }), SOURCE)
        };
        let shown =
            |record: &Record| json!({ "type": "products", "id": record.id, "attributes": { "akeneo": record.uuid } });
        if asked.header("accept") != Some("application/vnd.api+json") {
            return fail(
                406,
                "not acceptable http exception",
                "Only JSON API representation is supported.",
            );
        }
        let (body, data) = (&asked.body, &asked.body["data"]);
        let uuid = text(&data["attributes"]["akeneo"]);
        let is_whole = data["type"] == "products"
            && data["attributes"]["sku"].is_string()
            && includes(body, "names", "productnames")
            && includes(body, "shortDescriptions", "productshortdescriptions");
        if asked.path == PRODUCTS {
            let is_new = data.get("id").is_none()
                && data["relationships"]["attributeFamily"]["data"]["type"] == "attributefamilies"
                && data["relationships"]["inventory_status"]["data"]["type"] == "prodinventorystatuses"
                && includes(body, "primaryUnitPrecision", "productunitprecisions")
                && includes(body, "unitPrecisions", "productunitprecisions");
            return match asked.method {
                Method::GET => {
                    let wanted = asked.parameter("filter[akeneo]").unwrap_or_default();
                    let found: Vec<Value> = held.all(&wanted).map(shown).collect();
                    Answer(200, json!({ "data": found }), SOURCE)
                }
                Method::POST if held.has(&uuid) => {
                    let detail = "Value for field \"akeneo\" must be unique";
                    fail(400, "unique entity constraint", detail)
                }
                Method::POST if is_whole && is_new && !uuid.is_empty() => {
                    Answer(201, json!({ "data": shown(held.make(&uuid, body)) }), SOURCE)
                }
                _ => fail(400, "not blank constraint", "This value should not be blank."),
            };
        }
        let id = asked.behind(PRODUCTS).unwrap_or_default();
        match (&asked.method, held.called(&id)) {
            (_, None) => {
                let detail = "An entity with the requested identifier does not exist.";
                fail(404, "not found http exception", detail)
            }
            (&Method::DELETE, Some(_)) => {
                held.remove_id(&id);
                Answer(204, Value::Null, SOURCE)
            }
            (&Method::PATCH, Some(record)) if is_whole && data["id"] == *id => {
                record.write(body);
                Answer(200, json!({ "data": shown(record) }), SOURCE)
            }
            _ => fail(
                409,
                "conflict constraint",
                "The identifiers in the path and in the body differ.",
            ),
        }
    },
    throttled: || Answer(503, Value::Null, "RFC 9110, section 15.6.4"),
    limits: &[("retry-after", "1")],
    refused: || {
        let pointer = json!({ "pointer": "/data/attributes/sku" });
        let error = json!({ "status": "400", "title": "unique entity constraint", "detail": "This value is already used.", "source": pointer });
        let source = "oroinc/orocommerce: src/Oro/Bundle/ProductBundle/Resources/config/validation.yml";
        Answer(400, json!({ "errors": [error] }), source)
    },
    reason: "already used",
    ..PLAIN
};

pub(super) const PRESTASHOP: System = System {
    name: "prestashop-9",
    endpoint: Some("/admin-api/access_token"),
    media_types: &["application/json", "application/merge-patch+json"],
    answer: |held, asked| {
        const SOURCE: &str = "PrestaShop/ps_apiresources: src/ApiPlatform/Resources/Product/Product.php, ProductList.php, tests/Integration/ApiPlatform/ProductEndpointTest.php";
        const PRODUCTS: &str = "/admin-api/products";
        let fail = |status: u16, said: &str| {
            let error =
                json!({ "type": "about:blank", "title": "An error occurred", "status": status, "detail": said });
            Answer(status, error, SOURCE)
        };
        let names = &asked.body["names"];
        let is_merge = asked.header("content-type") == Some("application/merge-patch+json");
        if asked.path == PRODUCTS {
            let is_new = asked.body["type"] == "standard" && names["en-US"].is_string();
            return match (&asked.method, names["xx-XX"].as_str()) {
                (&Method::GET, _) if asked.parameter("langId").as_deref() == Some("LANG") => {
                    let wanted = asked.parameter("filters[name]").unwrap_or_default();
                    let shown =
                        |record: &Record| json!({ "productId": record.number(), "name": record.uuid, "enabled": true });
                    let found: Vec<Value> = held.all(&wanted).map(shown).collect();
                    Answer(200, json!({ "totalItems": found.len(), "items": found }), SOURCE)
                }
                // A creation takes the type and the names, and passes over whatever else is there.
                (&Method::POST, Some(uuid)) if is_new => {
                    let made = held.make(uuid, &json!({ "names": names }));
                    Answer(201, json!({ "productId": made.number(), "names": names }), SOURCE)
                }
                _ => fail(422, "The type and the names of a product are needed"),
            };
        }
        let id = asked.behind(PRODUCTS).unwrap_or_default();
        match (&asked.method, held.called(&id)) {
            (_, None) => fail(404, "Product was not found"),
            (&Method::DELETE, Some(_)) => {
                held.remove_id(&id);
                Answer(204, Value::Null, SOURCE)
            }
            // What a change does not name stays as it is.
            (&Method::PATCH, Some(record)) if is_merge && names.get("xx-XX").is_none() => {
                record.write(&asked.body);
                Answer(200, json!({ "productId": record.number(), "names": names }), SOURCE)
            }
            _ => fail(422, "the name by which the product is found again would be lost"),
        }
    },
    writes: |held, asked| {
        let id = asked.behind("/admin-api/products").unwrap_or_default();
        held.uuid_of(&id).filter(|_| asked.method == Method::PATCH)
    },
    throttled: || Answer(503, Value::Null, "RFC 9110, section 15.6.4"),
    limits: &[("retry-after", "1")],
    refused: || {
        let said = "The type of the \"reference\" attribute must be \"string\" (\"int\" given).";
        let error = json!({ "title": "An error occurred", "status": 400, "detail": said });
        Answer(400, error, "api-platform/docs: core/errors.md, exception_to_status")
    },
    reason: "The type of the",
    ..PLAIN
};

/// Whether the update of a product has come to PrestaShop, which took its type and its names when it was made.
fn is_updated(play: &Play, at: usize) -> bool {
    play.content(at).is_some_and(|content| content["reference"].is_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_creation_does_not_take_is_sent_by_an_update() {
    let play = Play::begin(&PRESTASHOP).await;
    play.make().await;
    play.application.tick_until_idle().await.unwrap();
    assert!((0..6).all(|at| is_updated(&play, at)));
    play.assert_no_dead_letter("an update follows each creation at once")
        .await;

    // What somebody took out is made by one try and updated by the next.
    let key = play.products[1].key();
    play.destination.with(|destination| destination.held.remove(&key));
    play.touch(1..2, 2).await;
    play.until("made", || play.is_whole()).await;
    play.application.tick_until_idle().await.unwrap();
    assert!(!is_updated(&play, 1));
    let letters = crate::admin::dead_letters(&play.application).await;
    assert!(matches!(&letters[..], [letter] if letter["code"] == key), "{letters:?}");
    play.touch(1..2, 3).await;
    play.until("updated", || is_updated(&play, 1)).await;
    play.application.tick_until_idle().await.unwrap();
    play.assert_no_dead_letter("it came about").await;
    assert!(play.is_whole());
}
