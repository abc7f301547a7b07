//! Sylius.

use super::held::Record;
use super::token::{self, Asks};
use super::{Answer, Duplicate, Follows, PLAIN, System, Unique, text};
use http::Method;
use serde_json::{Value, json};

/// The address of a product's translation.
fn translation(code: &str) -> String {
    format!("/api/v2/admin/products/{code}/translations/en_US")
}

/// A product as Sylius shows it.
fn shown(record: &Record) -> Value {
    let named = json!({ "@id": translation(&record.uuid), "@type": "ProductTranslation", "slug": record.uuid });
    json!({ "@type": "Product", "code": record.uuid, "translations": { "en_US": named } })
}

/// What Sylius answers where a product breaks one of its rules.
fn violated(path: &str, said: &str, source: &'static str) -> Answer {
    let violation = json!({ "propertyPath": path, "message": said, "code": "23bd9dbf-6b9b-41cd-a99e-4844bcf3077f" });
    let error = json!({
        "@type": "ConstraintViolationList", "hydra:title": "An error occurred",
        "hydra:description": format!("{path}: {said}"), "violations": [violation],
    });
    Answer(422, error, source)
}

pub(super) const SYLIUS: System = System {
    name: "sylius-2",
    endpoint: Some("/api/v2/admin/administrators/token"),
    asks: Asks::Json,
    grants: token::of_sylius,
    media_types: &["application/ld+json"],
    answer: |held, asked| {
        const SOURCE: &str = "Sylius/Sylius: tests/Api/Admin/ProductsTest.php, tests/Api/Responses/admin/product, src/Sylius/Bundle/ApiBundle/Resources/config/api_platform/resources/admin/Product.xml";
        const PRODUCTS: &str = "/api/v2/admin/products";
        if asked.header("accept") != Some("application/ld+json") {
            return Answer(406, Value::Null, "api-platform/docs: core/content-negotiation.md");
        }
        let (body, named) = (&asked.body, &asked.body["translations"]["en_US"]);
        let has_name = text(&named["name"]).chars().count() >= 2;
        if asked.path == PRODUCTS && asked.method == Method::POST {
            let code = text(&body["code"]);
            if named.get("@id").is_some() || body["channels"][0] != "/api/v2/admin/channels/CHANNEL" {
                let error = json!({ "hydra:description": "Item not found for the address of a relation." });
                return Answer(400, error, SOURCE);
            }
            return match text(&named["slug"]).is_empty() || code.is_empty() || !has_name {
                true => violated("translations[en_US].name", "Please enter product name.", SOURCE),
                false => Answer(201, shown(held.make(&code, body)), SOURCE),
            };
        }
        let code = asked.behind(PRODUCTS).unwrap_or_default();
        let missing = || {
            Answer(
                404,
                json!({ "@type": "hydra:Error", "hydra:description": "Not Found" }),
                SOURCE,
            )
        };
        match asked.method {
            Method::GET => held
                .found(&code)
                .first()
                .map_or_else(missing, |record| Answer(200, shown(record), SOURCE)),
            Method::DELETE if held.remove(&code) => Answer(204, Value::Null, SOURCE),
            Method::PUT if held.has(&code) && named["@id"] != *translation(&code) => {
                // Whatever has no address of its own is taken for a further translation.
                let said = "A translation for the \"en_US\" locale code already exists.";
                violated("translations[en_US].locale", said, "Sylius/Sylius: issue #18124")
            }
            Method::PUT if has_name => held.of_mut(&code).map_or_else(missing, |record| {
                record.merge(body);
                Answer(200, shown(record), SOURCE)
            }),
            _ => missing(),
        }
    },
    writes: |held, asked| held.named(&asked.path, "").filter(|_| asked.method == Method::PUT),
    throttled: || Answer(503, Value::Null, "RFC 9110, section 15.6.4"),
    limits: &[("retry-after", "1")],
    wait_ms: 1000,
    duplicate: Duplicate::Refused(&[Unique {
        at: "/code",
        taken: |_| {
            let source = "Sylius/Sylius: src/Sylius/Bundle/ProductBundle/Resources/config/validation/Product.xml, translations/validators.en.yml";
            violated("code", "Product code must be unique.", source)
        },
        itself: Some(Follows::Adopted),
        another: None,
    }]),
    refused: || {
        let source = "Sylius/Sylius: src/Sylius/Bundle/ProductBundle/Resources/config/validation/ProductTranslation.xml, translations/validators.en.yml";
        let said = "Product name must not be longer than 255 characters.";
        violated("translations[en_US].name", said, source)
    },
    reason: "must not be longer than 255",
    ..PLAIN
};
