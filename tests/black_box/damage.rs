//! Records in the store that something has damaged: each costs what it held, and no more.

use crate::admin::{adopt, ask};
use crate::reconciliation::{reconcile, walk};
use http::Method;
use serde_json::json;
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::fault::Fault;
use tests::application::Application;
use tests::store::Store;
use tests::world::{World, deliver_all, platform_deliveries};

/// An application whose destination has everything.
async fn equal(products: usize) -> (World, Application) {
    let world = World::start(Catalogue::generate(products, 0, 11)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let changes = world.touch_all().unwrap();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
    (world, application)
}

async fn causes(application: &Application) -> Vec<String> {
    let status = ask(application, Method::GET, "/admin/status", json!(null)).await.json();
    let reasons = status["reasons"].as_array().unwrap().iter();
    reasons
        .map(|reason| reason["cause"].as_str().unwrap().to_owned())
        .collect()
}

/// What becomes of a value.
type How = fn(Vec<u8>) -> Vec<u8>;

/// Damages the first key that begins so; gives it.
fn damage(application: &Application, begin: &str, how: How) -> String {
    let store = Store::open(application.state().path());
    let key = store.keys(begin).remove(0);
    store.set(&key, &how(store.get(&key).unwrap()));
    key
}

/// The ways in which a record may be damaged.
const WAYS: [(&str, How); 4] = [
    ("cut", |value| value[..value.len() - 20].to_vec()),
    ("empty", |_| Vec::new()),
    ("of zeros", |value| vec![0; value.len()]),
    ("of another form", |_| br#"{"v": 1, "entries": [7]}"#.to_vec()),
];

fn set_aside(application: &Application) -> Vec<String> {
    Store::open(application.state().path()).keys("r1.main.x.")
}

/// A walk finds again what a page held, and deletes nothing of it; all others are as if nothing were.
#[tokio::test]
async fn a_damaged_page_of_the_index_stops_nobody() {
    for (way, how) in WAYS {
        let (world, application) = equal(60).await;
        let key = damage(&application, "r1.main.i.p.", how);
        let deleted = world.products()[3].clone();
        // Nobody tells of it; if the page held it, nobody can know of it any more.
        world.edit(&deleted, Action::Delete).unwrap();
        let all = world.products();
        world.touch(&application, &all, 5).await.unwrap();
        let lines = || application.log_lines("worker");
        let is_set_aside = || {
            lines()
                .iter()
                .any(|line| line["log"] == "set-aside" && line["key"] == json!(key))
        };
        application.until(is_set_aside).await.unwrap();
        walk(&application).await;
        assert_eq!(set_aside(&application), [""; 0], "{way}: the walk has ended");
        application.tick_until_idle().await.unwrap();
        let stopped = lines().iter().filter(|line| line["outcome"] == "stopped").count();
        assert_eq!(stopped, 1, "{way}");
        let different = world.differences();
        assert!(
            different.len() <= 1 && different.iter().all(|one| one.to_string().contains(&deleted.key())),
            "{way}: {different:?}"
        );
        assert!(world.pushes("DELETE") <= 1, "{way}");
        assert_eq!(causes(&application).await, [""; 0], "{way}");
    }
}

/// While the walk has not ended, people hear of it, and the page lies where it can be looked into.
#[tokio::test]
async fn people_hear_of_a_damaged_page() {
    let (world, application) = equal(60).await;
    damage(&application, "r1.main.i.p.", |_| b"mud".to_vec());
    world.pim.with(|pim| {
        let list = Fault::always(Fault::status(503)).path("/api/rest/v1/products-uuid?");
        pim.faults.add(list);
    });
    let all = world.products();
    world.touch(&application, &all, 5).await.unwrap();
    application.until(|| !set_aside(&application).is_empty()).await.unwrap();
    application.tick().await.unwrap();
    let store = Store::open(application.state().path());
    assert_eq!(store.get(&set_aside(&application)[0]).unwrap(), b"mud");
    assert!(causes(&application).await.contains(&"index-damaged".to_owned()));
}

/// The record of what the index was built for: until a person says it, nothing is pushed, and people are told.
#[tokio::test]
async fn a_damaged_record_of_the_pair_is_told_and_mended_by_adopting() {
    for (way, how) in WAYS {
        let (world, application) = equal(10).await;
        damage(&application, "r1.main.meta", how);
        let changes: Vec<_> = world.touch_all().unwrap();
        deliver_all(&application, &platform_deliveries(&changes, 3))
            .await
            .unwrap();
        let pushes = world.pushes("PUT");
        let report = application.tick().await.unwrap();
        assert_eq!(report["outcome"], "failed", "{way}: {report}");
        assert_eq!(causes(&application).await[0], "misconfigured", "{way}");
        assert_eq!(world.pushes("PUT"), pushes, "{way}");
        // What cannot be carried out keeps nothing behind it.
        reconcile(&application, json!({"scan": "full"})).await;
        adopt(&application, false).await;
        application.tick_until_idle().await.unwrap();
        assert_eq!(world.differences(), [], "{way}");
        assert_eq!(causes(&application).await, [""; 0], "{way}");
        let kept: Vec<EntityId> = world.products();
        assert_eq!(kept.len(), 10);
    }
}

/// A model whose code is too long for a key: only the values of its keys tell it.
fn long_code() -> EntityId {
    EntityId::Model(format!("{}-end", "a-code-that-no-key-holds".repeat(3)))
}

fn shows(lines: &[serde_json::Value], key: &str) -> bool {
    lines
        .iter()
        .any(|line| line["log"] == "set-aside" && line["key"] == json!(key) && line["ok"] == json!(false))
}

/// An event whose value alone tells which entity it is of. Whatever waits beside it goes on; people are told, the value
/// lies where they can look into it, and a walk finds the entity.
#[tokio::test]
async fn a_damaged_event_of_a_long_code_stops_nobody_and_its_entity_arrives() {
    for (way, how) in WAYS {
        let (world, application) = equal(10).await;
        let created = world.edit(&long_code(), Action::create()).unwrap();
        deliver_all(&application, &platform_deliveries(&created, 3))
            .await
            .unwrap();
        let key = damage(&application, "r1.main.e.", how);
        world.touch(&application, &world.products()[..2], 5).await.unwrap();
        application
            .until(|| shows(&application.log_lines("worker"), &key))
            .await
            .unwrap();
        application.tick().await.unwrap();
        let store = Store::open(application.state().path());
        assert_eq!((store.get(&key), set_aside(&application).len()), (None, 1), "{way}");
        assert!(
            causes(&application).await.contains(&"index-damaged".to_owned()),
            "{way}"
        );
        assert!(world.differences().len() <= 1, "{way}: all others arrived");
        walk(&application).await;
        application.tick_until_idle().await.unwrap();
        assert_eq!(
            (world.differences(), set_aside(&application)),
            (vec![], vec![]),
            "{way}"
        );
        assert_eq!(causes(&application).await, [""; 0], "{way}");
    }
}

/// What was in flight when a worker died. Nothing tells whose pushes those were, so a walk pushes all once more, even
/// what by the index is there already.
#[tokio::test]
async fn a_damaged_record_of_what_was_in_flight_has_all_pushed_again() {
    for (way, how) in WAYS {
        let (world, application) = equal(10).await;
        let key = "r1.main.f.tdied.1700000000";
        let value = json!({ "v": 1, "entities": [["product", world.products()[0].key()]], "is_second": false });
        let mut store = Store::open(application.state().path());
        store.set_all([(key.to_owned(), how(value.to_string().into_bytes()))].into_iter());
        world.forget_calls();
        application
            .until(|| shows(&application.log_lines("worker"), key))
            .await
            .unwrap();
        assert!(store.get(key).is_none(), "{way}");
        walk(&application).await;
        application.tick_until_idle().await.unwrap();
        assert_eq!((world.pushes("PUT"), world.pushes("DELETE")), (10, 0), "{way}");
        assert_eq!(
            (world.differences(), causes(&application).await),
            (vec![], vec![]),
            "{way}"
        );
    }
}

/// In place of what the worker keeps for itself it begins anew; what it was lies where people can look into it, and they are
/// told of each. `tests/simulation/damaged.rs` does so with every kind of record.
#[tokio::test]
async fn what_the_worker_keeps_may_be_damaged_and_is_set_aside() {
    let (world, application) = equal(10).await;
    let product = world.products()[0].clone();
    let refused = Fault::always(Fault::status(422)).entity(&product.key());
    world.destination.with(|destination| destination.faults.add(refused));
    world
        .touch(&application, std::slice::from_ref(&product), 3)
        .await
        .unwrap();
    application
        .until(|| !Store::open(application.state().path()).keys("r1.main.d.").is_empty())
        .await
        .unwrap();
    let asked = ask(
        &application,
        Method::POST,
        "/admin/reconcile",
        json!({ "scan": "full" }),
    )
    .await;
    assert_eq!(asked.status, 202);
    application.tick().await.unwrap();
    let begins = ["state", "history", "reconciliation", "d.", "l."];
    let keys = begins.map(|begin| damage(&application, &format!("r1.main.{begin}"), |_| b"mud".to_vec()));
    let all = world.products();
    world.touch(&application, &all, 5).await.unwrap();
    let lines = || application.log_lines("worker");
    let of_worker = &keys[..4];
    application
        .until(|| of_worker.iter().all(|key| shows(&lines(), key)))
        .await
        .unwrap();
    let aside = set_aside(&application);
    let store = Store::open(application.state().path());
    assert!(
        aside.len() >= 4 && aside.iter().all(|key| store.get(key).unwrap() == b"mud"),
        "{aside:?}"
    );
    assert!(causes(&application).await.contains(&"index-damaged".to_owned()));
    // What people asked for they alone read.
    let journal = ask(&application, Method::GET, "/admin/journal", json!(null))
        .await
        .json();
    assert!(
        journal["items"][0]["asked"].as_str().unwrap().contains("damaged"),
        "{journal}"
    );
    let told = application.log_lines("console");
    assert!(
        told.iter()
            .any(|line| line["log"] == "damaged" && line["key"] == json!(keys[4])),
        "{told:?}"
    );

    world.destination.with(|destination| destination.faults.clear());
    world.touch(&application, &[product], 7).await.unwrap();
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!((world.differences(), set_aside(&application)), (vec![], vec![]));
    assert_eq!((world.pushes("DELETE"), causes(&application).await), (0, vec![]));
}
