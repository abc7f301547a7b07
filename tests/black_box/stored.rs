//! A store that one version has left is taken over by another, with every kind of key in it.
//!
//! `stores/` holds what earlier versions left. `RELAY_STORE` names a file: `leaves` writes what this version leaves there,
//! and `takes` takes over what is there, so that two versions can be tried against each other either way.

use crate::admin::ask;
use crate::reconciliation::{reconcile, walk};
use http::Method;
use model::entity::Kind;
use queue::key::{Key, Record};
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::deliveries::{Delivery, Secrets, notification};
use simulator::fault::{Effect, Fault};
use simulator::times::now_ms;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tests::application::{ADMIN_TOKEN, Application, Setup, root};
use tests::client::{self, bearer};
use tests::store::Store;
use tests::world::{NOTIFICATION_SECRET, PLATFORM_SECRET, World, deliver_all};

const SEED: u64 = 17;

const IMAGE: &str = "0/1/2/3/0123_lamp.jpg";

/// What stands in a dump for the origins that the PIM and the destination had.
const ORIGINS: [&str; 2] = ["http://pim.example", "http://destination.example"];

/// Keys and values.
type Dump = BTreeMap<String, String>;

fn shape() -> Value {
    json!({
        "media": {}, "categories": {},
        "products": {
            "values": { "form": "flat", "locales": ["en_US"], "channel": "ecommerce" },
            "fields": [
                { "from": "/categories", "as": "label", "to": "/places" },
                { "from": "/values/revision", "to": "/revision" },
                { "from": "/values/packshot", "to": "/picture" },
            ],
        },
    })
}

/// The same PIM each time: so many categories that their list has two pages, and a product with a picture.
async fn world() -> World {
    let world = World::start(Catalogue::generate(12, 4, SEED)).await.unwrap();
    world
        .pim
        .with(|pim| pim.config.media = BTreeMap::from([(IMAGE.to_owned(), 20_000)]).into_iter().collect());
    for number in 0..130 {
        let category = EntityId::Category(format!("shelf_{number:03}"));
        world.edit(&category, Action::create_below("workshop")).unwrap();
    }
    let picture = Action::SetValue {
        attribute: "packshot".to_owned(),
        locale: None,
        scope: None,
        data: json!(IMAGE),
    };
    world.edit(&world.products()[0], picture).unwrap();
    // What is younger than two minutes is not yet judged by a walk.
    world.pim.with(|pim| {
        for category in &mut pim.catalogue.structure.categories {
            category["updated"] = json!("2021-03-01T09:00:00+00:00");
        }
    });
    world
}

fn setup(world: &World) -> Setup {
    world.setup().with("shape", &shape().to_string())
}

/// Walks once over everything, until all of it is at the destination.
async fn filled(world: &World) -> Application {
    shape::Shape::read(&shape().to_string()).unwrap();
    let application = Application::start(setup(world)).await.unwrap();
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    application
}

/// An event of the Event Platform that a category has changed.
fn category_changed(id: u32) -> Delivery {
    let event = json!({
        "specversion": "1.0", "id": format!("0f4b2f2c-5b0e-4c8e-9e15-3f5a8a5c{id:04}"), "source": "pim", "subject": "s",
        "type": "com.akeneo.pim.v1.category.updated", "time": "2026-01-01T00:00:00Z",
        "data": { "category": { "code": "shelf_001" } },
    });
    Delivery::event_platform(&event, &Secrets::primary(PLATFORM_SECRET), Vec::new())
}

/// Plays until every kind of key is there, and is killed while it works.
async fn leave(world: &World) -> Dump {
    let application = filled(world).await;
    let (products, model) = (world.products(), world.models()[0].clone());
    // One is given up, one is tried again, of one nobody knows what became, and a model is refused once its variants are
    // marked.
    world.destination.with(|destination| {
        let faults = &mut destination.faults;
        faults.add(Fault::always(Fault::status(422)).entity(&products[1].key()));
        faults.add(Fault::always(Fault::status(503)).entity(&products[2].key()));
        faults.add(Fault::always(Effect::Cut { applied: true }).entity(&products[3].key()));
        faults.add(Fault::always(Fault::status(503)).entity(&model.key()));
    });
    world
        .touch(
            &application,
            &[products[1].clone(), products[2].clone(), products[3].clone()],
            1,
        )
        .await
        .unwrap();
    world
        .touch(&application, std::slice::from_ref(&model), 2)
        .await
        .unwrap();
    // The list of categories does not come to its end.
    let later_pages = Fault::always(Fault::status(503))
        .path("/api/rest/v1/categories")
        .entity("page=");
    world.pim.with(|pim| pim.faults.add(later_pages));
    deliver_all(&application, &[category_changed(1)]).await.unwrap();
    let state = application.state();
    let store = Store::open(state.path());
    for kind in ["d", "r", "f", "n", "w"] {
        application
            .until(|| !store.keys(&format!("r1.main.{kind}.")).is_empty())
            .await
            .unwrap();
    }
    let told = notification("subscription.suspended.system", now_ms(), Some("too many failures"));
    let told = Delivery::notification(&told, NOTIFICATION_SECRET);
    assert_eq!(application.deliver(&told).await.unwrap().status, 200);
    let forged = Delivery::notification(&json!({}), "guessed");
    assert_eq!(application.deliver(&forged).await.unwrap().status, 401);

    // Under another shape everything is counted, and the worker is killed at the second page of it.
    world.pim.with(|pim| pim.faults.clear());
    let slow = Fault::always(Effect::Slow { ms: 60_000 }).path("/api/rest/v1/products");
    world.pim.with(|pim| pim.faults.add(slow));
    let other = world.setup().with(
        "shape",
        r#"{"categories": {}, "products": {"values": {"form": "akeneo"}}}"#,
    );
    let application = application.restart_with(other).await.unwrap();
    let url = format!("{}/worker/tick", application.url);
    let ticks = tokio::spawn(async move {
        while let Ok(answer) = client::request(Method::POST, &url, &[bearer(ADMIN_TOKEN)], "").await {
            assert_ne!(answer.json()["outcome"], "failed", "{}", answer.json());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    while store.keys("r1.main.rehearsal").is_empty() || store.keys("r1.main.lease").is_empty() {
        assert!(!ticks.is_finished(), "nothing is counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.touch(&application, &[products[4].clone()], 3).await.unwrap();
    deliver_all(&application, &[category_changed(2)]).await.unwrap();
    reconcile(&application, json!({"scan": "full"})).await;
    let (_state, _) = application.kill().await.unwrap();
    world.pim.with(|pim| pim.faults.clear());
    world.destination.with(|destination| destination.faults.clear());

    let origins = [world.pim.url(), world.destination.url()];
    let entry = |key: String| {
        let mut value = String::from_utf8(store.get(&key).unwrap()).unwrap();
        for (origin, stands_for) in origins.iter().zip(ORIGINS) {
            value = value.replace(origin.trim_end_matches('/'), stands_for);
        }
        (key, value)
    };
    let dump: Dump = store.keys("r1.main.").into_iter().map(entry).collect();
    assert_eq!(lacking(&dump), BTreeSet::new(), "{:?}", dump.keys());
    dump
}

/// The kinds of key that are not there.
fn lacking(dump: &Dump) -> BTreeSet<String> {
    let keys = Keyspace::new("main");
    let kind = |key: &String| match keys.parse(key) {
        Some(Key::Record(record)) => format!("{record:?}"),
        Some(Key::IndexPage(kind, ..)) => format!("index of {}", kind.name()),
        Some(key) => {
            let key = format!("{key:?}");
            key.split(['(', ' ']).next().unwrap_or_default().to_owned()
        }
        None => format!("unknown: {key}"),
    };
    let kinds: BTreeSet<String> = dump.keys().map(kind).collect();
    assert!(!kinds.iter().any(|kind| kind.starts_with("unknown")), "{kinds:?}");
    let records = [
        Record::Lease,
        Record::State,
        Record::History,
        Record::Status,
        Record::Pair,
        Record::Rehearsal,
        Record::Refused,
        Record::Notification,
        Record::Reconciliation,
        // Not `Counted`, which only an ingest writes whose clock is ahead of the worker's.
    ];
    let records = records.map(|record| format!("{record:?}")).into_iter();
    let index = Kind::ALL.map(|kind| format!("index of {}", kind.name())).into_iter();
    let others = "Event Retry DeadLetter InFlight Fanout FilePage Command Token List Reading Stale".split(' ');
    let all = records.chain(index).chain(others.map(str::to_owned));
    all.filter(|kind| !kinds.contains(kind)).collect()
}

/// Goes on with what another has left. What waits of a minute or more is made due.
async fn take_over(dump: Dump) {
    let world = world().await;
    drop(filled(&world).await);
    world.forget_calls();
    let (products, models) = (world.products(), world.models());
    let state = Arc::new(TempDir::new().unwrap());
    let empty = Application::start_on(state, setup(&world)).await.unwrap();
    ask(&empty, Method::GET, "/admin/status", json!(null)).await;
    let (state, _) = empty.kill().await.unwrap();
    let mut store = Store::open(state.path());
    store.keys("").iter().for_each(|key| store.delete(key));
    let origins = [world.pim.url(), world.destination.url()];
    store.set_all(dump.into_iter().map(|(key, mut value)| {
        for (origin, stands_for) in origins.iter().zip(ORIGINS) {
            value = value.replace(stands_for, origin.trim_end_matches('/'));
        }
        (aged(key), value.into_bytes())
    }));
    // Stands for the minute after which a dead worker's lease has passed.
    store.delete("r1.main.lease");
    let was_in_flight = store.keys("r1.main.f.");

    let application = Application::start_on(state, setup(&world)).await.unwrap();
    let letters = ask(&application, Method::GET, "/admin/dead-letters", json!(null))
        .await
        .json();
    assert_eq!(letters["items"][0]["code"], json!(products[1].key()), "{letters}");
    assert!(
        letters["items"][0]["reason"].as_str().unwrap().contains("422"),
        "{letters}"
    );
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert_eq!(status["subscription"]["state"], "suspended", "{status}");
    assert_eq!(
        status["rehearsal"]["would"]["push"].as_u64().map(|push| push > 0),
        Some(true),
        "{status}"
    );

    application
        .until(|| {
            let left = ["e", "n", "w", "v", "c"].map(|kind| store.keys(&format!("r1.main.{kind}.")));
            // A push of its own whose end is not known stays in flight for ten minutes.
            let in_flight = store.keys("r1.main.f.");
            let is_settled = !in_flight.iter().any(|key| was_in_flight.contains(key));
            left.concat().is_empty() && is_settled && store.keys("r1.main.rehearsal").is_empty()
        })
        .await
        .unwrap();
    walk(&application).await;
    let replay = ask(
        &application,
        Method::POST,
        "/admin/dead-letters/replay",
        json!({"all": true}),
    )
    .await;
    assert_eq!(replay.status, 200, "{:?}", replay.json());
    application.until(|| store.keys("r1.main.d.").is_empty()).await.unwrap();
    application.until(|| store.keys("r1.main.e.").is_empty()).await.unwrap();

    let pushed: Vec<String> = world
        .destination
        .with(|destination| destination.log.iter().map(|request| request.path.clone()).collect());
    let is_pushed = |entity: &EntityId| pushed.iter().any(|path| path.contains(&entity.key()));
    // What was given up is here as it was before it was refused.
    for product in &products[2..4] {
        assert!(is_pushed(product), "{} was on its way: {pushed:?}", product.key());
    }
    assert!(is_pushed(&models[0]), "{pushed:?}");
    let variants_of_others = products[5..].iter().filter(|product| is_pushed(product)).count();
    assert!(variants_of_others < products.len() - 5, "the index is read: {pushed:?}");
    assert!(
        !pushed.iter().any(|path| path.starts_with("/media/")),
        "files went before: {pushed:?}"
    );
    let shape = shape::Shape::read(&shape().to_string()).unwrap();
    assert_eq!(world.shaped_differences(&shape), Vec::<String>::new());
}

/// A key of a time that has passed: what is in flight is settled, and what is tried again is due.
fn aged(key: String) -> String {
    match key.rsplit_once('.') {
        Some((rest, time)) if rest.starts_with("r1.main.f.") || rest.starts_with("r1.main.r.") => {
            format!("{rest}.{}", time.parse::<u64>().unwrap() - 3600)
        }
        _ => key,
    }
}

fn read(path: &Path) -> Dump {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn named_file() -> Option<PathBuf> {
    std::env::var_os("RELAY_STORE").map(PathBuf::from)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_leaves_it_takes_over() {
    let dump = leave(&world().await).await;
    if let Some(file) = named_file() {
        std::fs::write(file, serde_json::to_vec_pretty(&dump).unwrap()).unwrap();
    }
    take_over(dump).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_versions_left_is_taken_over() {
    let folder = root().join("tests/black_box/stores");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    for file in files.chain(named_file()) {
        println!("{}", file.display());
        take_over(read(&file)).await;
    }
}
