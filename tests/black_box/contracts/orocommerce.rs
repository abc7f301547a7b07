//! OroCommerce.

use super::held::Record;
use super::{Answer, Duplicate, Follows, NOT_WAITED_FOR, PLAIN, System, Unique, text, token};
use http::Method;
use serde_json::{Value, json};

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

/// What OroCommerce answers where something is to be unique and is not: by its own rules with 400, and by a rule of its
/// database with 409.
fn taken_in_orocommerce(status: u16, title: &str, detail: &str, source: &'static str) -> Answer {
    let error = json!({ "status": status.to_string(), "title": title, "detail": detail });
    Answer(status, json!({ "errors": [error] }), source)
}

/// What was given another SKU in the shop is told by the field of one's own, which only the database looks at.
pub(super) const OROCOMMERCE_BY_FIELD: System = System {
    duplicate: Duplicate::Refused(&[Unique {
        at: "/data/attributes/akeneo",
        taken: |_| {
            let source = "oroinc/platform: src/Oro/Bundle/ApiBundle/Processor/Create/SaveEntity.php, src/Oro/Bundle/EntityExtendBundle/Tools/DumperExtensions/IndexEntityConfigDumperExtension.php";
            taken_in_orocommerce(409, "conflict constraint", "The entity already exists.", source)
        },
        itself: Some(Follows::Adopted),
        another: None,
    }]),
    ..OROCOMMERCE
};

pub(super) const OROCOMMERCE: System = System {
    name: "orocommerce-6",
    amended: NOT_WAITED_FOR,
    endpoint: Some("/oauth2-token"),
    grants: token::of_orocommerce,
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
                    let found: Vec<Value> = held.found(&wanted).into_iter().map(shown).collect();
                    Answer(200, json!({ "data": found }), SOURCE)
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
    wait_ms: 1000,
    // Before the database is asked, the SKU is looked for, and its owner is not told.
    duplicate: Duplicate::Refused(&[Unique {
        at: "/data/attributes/sku",
        taken: |_| {
            let source =
                "oroinc/orocommerce: src/Oro/Bundle/ProductBundle/Resources/config/validation.yml, UniqueEntity";
            taken_in_orocommerce(400, "unique entity constraint", "This value is already used.", source)
        },
        itself: Some(Follows::Told("already used")),
        another: Some(Follows::Told("already used")),
    }]),
    refused: || {
        let said = "This value is too short. It should have 3 characters or more.";
        let pointer = json!({ "pointer": "/data/attributes/sku" });
        let error = json!({ "status": "400", "title": "length constraint", "detail": said, "source": pointer });
        let source = "oroinc/orocommerce: src/Oro/Bundle/ProductBundle/Resources/config/validation.yml, Length";
        Answer(400, json!({ "errors": [error] }), source)
    },
    reason: "too short",
    ..PLAIN
};
