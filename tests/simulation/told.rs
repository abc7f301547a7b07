//! What is said to follow from an answer does follow: the words of `cargo xtask shape`, and what the worker does.

use crate::acts::{HOUR_MS, MINUTE_MS, by_events_alone, delete, touch};
use model::entity::Kind;
use protocol::answers::Meaning;
use protocol::request::Act;
use serde_json::json;
use shape::Shape;
use simulator::catalogue::EntityId;
use simulator::destination::{Shop, ShopConfig};
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;

/// What the documents below say that these two statuses mean.
const MISSING: u16 = 460;
const EXISTS: u16 = 461;

const UPSERT: &str = r#"{ "delete": { "path": "/products/{id}" } }"#;

/// Whatever is made is changed under the name that it was made under.
const MAKES: &str = r#"{
    "identity": { "form": "id", "unique": true },
    "create": { "path": "/shop/products?ref={id}" }, "update": { "method": "PUT", "path": "/shop/products/{id}" },
    "delete": { "path": "/shop/products/{id}" }
}"#;

/// Whatever is made is given an id.
const FINDS: &str = r#"{
    "remember": { "id": "/id" },
    "find": { "path": "/shop/products?ref={id}", "list": "/found", "settle_seconds": 20 },
    "create": { "path": "/shop/products?ref={id}" },
    "update": { "method": "PUT", "path": "/shop/products/{remote.id}" },
    "delete": { "path": "/shop/products/{remote.id}" }
}"#;

/// The same, where answers to creations do not tell ids.
fn finds_alone() -> String {
    FINDS.replace(r#""create": {"#, r#""create": { "remember": { "id": "/nowhere" },"#)
}

fn shape(products: &str) -> Shape {
    let rules = [(MISSING, "missing"), (EXISTS, "exists")];
    let rules = rules.map(|(status, means)| json!({ "status": status, "means": means }));
    let products: serde_json::Value = serde_json::from_str(products).unwrap();
    let document = json!({ "answers": { "rules": rules }, "products": products, "product-models": false });
    Shape::read(&document.to_string()).expect("a good shape")
}

/// A stage at a shop that makes things under this shape, and its first product, of which the destination knows nothing.
fn begin(products: &str, seed: u64) -> (Stage, EntityId) {
    let config = ShopConfig {
        is_unique: products.contains("find"),
        takes_ids: products == MAKES,
        ..ShopConfig::default()
    };
    let stage = Stage::with(3, 0, seed, |world, worker| {
        by_events_alone(worker);
        worker.shape = shape(products);
        world.destination.shop = Some(Shop::new(config)).filter(|_| products != UPSERT);
    });
    let product = stage.products()[0].clone();
    (stage, product)
}

/// The requests that were made so far, as the shop understands them, and how they were answered. What it makes or
/// changes is a PUT to it.
fn requests(stage: &Stage) -> Vec<String> {
    let world = stage.world();
    let log = world.destination.log.iter();
    log.map(|received| format!("{} {}", received.method, received.status))
        .collect()
}

/// The product lies at the destination, and was settled long ago.
fn settled(products: &str, seed: u64) -> (Stage, EntityId) {
    let (mut stage, product) = begin(products, seed);
    stage.tell(&touch(&product));
    stage.run_until(HOUR_MS, "it is made", Stage::is_quiet);
    stage.run_for(5 * MINUTE_MS);
    stage.forget();
    (stage, product)
}

/// The index is lost.
fn lose_the_index(stage: &Stage) {
    let is_index = |key: &String| key.contains(".i.") || key.contains(".j.");
    stage.world().store.retain(|key, _| !is_index(key));
}

/// Lets the next request of this act be answered with this status, and gives what is sent after it, and the number of
/// dead letters.
fn played(products: &str, act: Act, status: u16) -> (Vec<String>, usize) {
    let (mut stage, product) = settled(products, 7);
    let (method, edit) = match act {
        Act::Delete => ("DELETE", delete(&product)),
        Act::Create => ("POST", touch(&product)),
        _ => ("PUT", touch(&product)),
    };
    if act == Act::Create {
        lose_the_index(&stage);
        hide(&stage, Some(1));
    }
    let fault = Fault::next(1, Fault::status(status)).method(method);
    stage.world().destination.faults.add(fault);
    stage.tell(&edit);
    stage.run_for(MINUTE_MS / 2);
    let requests = requests(&stage);
    let struck = requests
        .iter()
        .position(|request| request.ends_with(&status.to_string()));
    let struck = struck.unwrap_or_else(|| panic!("{products} {act:?}: {requests:?}"));
    (requests[struck + 1..].to_vec(), stage.dead_letters())
}

/// Each line: the document, the act and the meaning; what is said, and what is seen after such an answer.
#[test]
fn what_is_said_to_follow_from_an_answer_follows() {
    for (products, act, meaning, said, follows, dead_letters) in [
        (UPSERT, Act::Upsert, Meaning::Missing, "dead letter", &[][..], 1),
        (UPSERT, Act::Upsert, Meaning::Exists, "dead letter", &[], 1),
        (UPSERT, Act::Delete, Meaning::Missing, "done", &[], 0),
        (UPSERT, Act::Delete, Meaning::Exists, "dead letter", &[], 1),
        (MAKES, Act::Create, Meaning::Missing, "dead letter", &[], 1),
        (MAKES, Act::Create, Meaning::Exists, "it is changed", &["PUT 200"], 0),
        (MAKES, Act::Update, Meaning::Missing, "it is made", &["PUT 201"], 0),
        (MAKES, Act::Update, Meaning::Exists, "sent once more", &["PUT 200"], 0),
        (
            FINDS,
            Act::Update,
            Meaning::Missing,
            "looked up, changed if it is found",
            &["GET 200", "PUT 200"],
            0,
        ),
        (
            FINDS,
            Act::Update,
            Meaning::Exists,
            "looked up, and sent once more",
            &["GET 200", "PUT 200"],
            0,
        ),
        (
            FINDS,
            Act::Create,
            Meaning::Exists,
            "looked up and changed",
            &["GET 200", "PUT 200"],
            0,
        ),
        (
            FINDS,
            Act::Delete,
            Meaning::Exists,
            "looked up, and sent once more",
            &["GET 200", "DELETE 200"],
            0,
        ),
    ] {
        let told = shape(products).told(Kind::Product, act);
        let status = if meaning == Meaning::Missing { MISSING } else { EXISTS };
        let line = told.iter().find(|(which, _)| *which == status.to_string());
        let (_, words) = line.expect("the rule is told");
        assert!(words.contains(said), "{products} {act:?} {meaning:?}: {words}");
        let (sent, letters) = played(products, act, status);
        let is_so = sent == follows && letters == dead_letters;
        assert!(
            is_so,
            "{products} {act:?} {meaning:?}: {words}: {sent:?}, {letters} dead letters"
        );
    }
}

/// Nothing is found so many times, or from now on.
fn hide(stage: &Stage, times: Option<u32>) {
    let effect = Effect::Status {
        status: 200,
        headers: Vec::new(),
        body: Some(json!({ "found": [] })),
    };
    stage.world().destination.faults.add(Fault {
        times,
        ..Fault::always(effect).method("GET")
    });
}

/// The shop has the product, of which the index knows nothing, and its search does not know it for so long.
fn lagging(ms: u64) -> (Stage, Vec<String>) {
    let (mut stage, product) = settled(&finds_alone(), 9);
    lose_the_index(&stage);
    hide(&stage, None);
    stage.tell(&touch(&product));
    stage.run_for(ms);
    stage.world().destination.faults.clear();
    stage.run_for(10 * MINUTE_MS);
    let requests = requests(&stage);
    (stage, requests)
}

#[test]
fn what_a_shop_has_and_does_not_find_yet_is_taken_on_once_it_is_found() {
    let (stage, requests) = lagging(10_000);
    assert!(stage.is_quiet() && stage.dead_letters() == 0, "{requests:?}");
    assert_eq!(requests, ["GET 200", "PUT 409", "GET 200", "GET 200", "PUT 200"]);
    assert_eq!(stage.world().destination.state.len(), 1);
}

#[test]
fn what_a_shop_says_to_have_and_never_finds_is_given_up_after_one_more_try() {
    let (stage, requests) = lagging(10 * MINUTE_MS);
    assert_eq!(stage.dead_letters(), 1, "{requests:?}");
    let once = ["GET 200", "PUT 409", "GET 200"];
    assert_eq!(requests, [once, once].concat());
}

/// Something else has the SKU there: what is refused for that is not taken for the product's own, and stays when the
/// product goes.
#[test]
fn what_a_shop_says_to_have_is_not_the_products_own_for_that() {
    let by_sku = FINDS
        .replace(
            r#""remember": {"#,
            r#""identity": { "form": "attribute", "attribute": "sku" }, "remember": {"#,
        )
        .replace(
            r#""delete": { "path": "/shop/products/{remote.id}" }"#,
            r#""delete": { "path": "/shop/products/{identity}" }"#,
        );
    let (mut stage, product) = begin(&by_sku, 11);
    let fault = Fault::always(Fault::status(EXISTS)).method("POST");
    stage.world().destination.faults.add(fault);
    stage.tell(&touch(&product));
    stage.run_for(10 * MINUTE_MS);
    assert_eq!(stage.dead_letters(), 1, "{:?}", requests(&stage));
    stage.tell(&delete(&product));
    stage.run_for(10 * MINUTE_MS);
    let requests = requests(&stage);
    assert!(
        requests.iter().all(|request| !request.starts_with("DELETE")),
        "{requests:?}"
    );
}
