//! PrestaShop.

use super::held::Record;
use super::play::{Of, Play};
use super::{Answer, Duplicate, NOT_WAITED_FOR, PLAIN, System, token};
use crate::admin::dead_letters;
use http::Method;
use serde_json::{Value, json};

pub(super) const PRESTASHOP: System = System {
    name: "prestashop-9",
    amended: NOT_WAITED_FOR,
    endpoint: Some("/admin-api/access_token"),
    grants: token::of_prestashop,
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
                    let found: Vec<Value> = held.found(&wanted).into_iter().map(shown).collect();
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
    wait_ms: 1000,
    duplicate: Duplicate::Replaced(
        "PrestaShop/PrestaShop: install-dev/data/db_structure.sql, PREFIX_product and PREFIX_product_lang",
    ),
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
    let play = Play::begin(&PRESTASHOP, Of::Products).await;
    play.make().await;
    play.application.tick_until_idle().await.unwrap();
    assert!((0..6).all(|at| is_updated(&play, at)));
    play.assert_no_dead_letter("an update follows each creation at once")
        .await;

    // What somebody took out is made by one try and updated by the next.
    let key = play.key(1);
    play.destination.with(|destination| destination.held.remove(&key));
    play.touch(1..2, 2).await;
    play.until("made", || play.is_whole()).await;
    play.application.tick_until_idle().await.unwrap();
    assert!(!is_updated(&play, 1));
    let letters = dead_letters(&play.application).await;
    assert!(matches!(&letters[..], [letter] if letter["code"] == key), "{letters:?}");
    play.touch(1..2, 3).await;
    play.until("updated", || is_updated(&play, 1)).await;
    play.application.tick_until_idle().await.unwrap();
    play.assert_no_dead_letter("it came about").await;
    assert!(play.is_whole());
    play.end();
}
