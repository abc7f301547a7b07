//! A backup of the store as `docs/operate.md` says it, taken while the application works on it, and restored elsewhere.

use crate::reconciliation::{reconcile, walk};
use rusqlite::Connection;
use serde_json::json;
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::compare::Difference;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tests::application::Application;
use tests::store::Store;
use tests::world::World;
use tokio::time::sleep;
use uuid::Uuid;

/// The file of the store in its folder.
const FILE: &str = "sqlite_key_value.db";

/// Edits, delivers and ticks until it is told to stop.
async fn work(world: Arc<World>, application: Arc<Application>, edited: Arc<AtomicUsize>, is_over: Arc<AtomicBool>) {
    let products = world.products();
    let deliveries = async {
        for (number, product) in (0u64..).zip(products.iter().cycle()) {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let product = std::slice::from_ref(product);
            world.touch(&application, product, number).await.unwrap();
            edited.fetch_add(1, Ordering::Relaxed);
        }
    };
    let ticks = async {
        while !is_over.load(Ordering::Relaxed) {
            application.tick().await.unwrap();
        }
    };
    tokio::join!(deliveries, ticks);
}

async fn until(edited: &AtomicUsize, count: usize) {
    while edited.load(Ordering::Relaxed) < count {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Copies the store while others write into it, and switches the copy's write-ahead log on, which a copy begins without.
fn back_up(from: &Path, to: &Path) {
    let store = Connection::open(from.join(FILE)).unwrap();
    let copy = to.join(FILE);
    store.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    let copy = Connection::open(copy).unwrap();
    let said = |pragma: &str| copy.query_row(pragma, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(said("PRAGMA journal_mode=WAL"), "wal");
    assert_eq!(said("PRAGMA integrity_check"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_restored_elsewhere_is_equal_after_a_walk_but_for_what_it_never_knew() {
    let world = Arc::new(World::start(Catalogue::generate(150, 0, 9)).await.unwrap());
    let application = Arc::new(Application::start(world.setup()).await.unwrap());
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);

    let (edited, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let working = tokio::spawn(work(
        world.clone(),
        application.clone(),
        edited.clone(),
        is_over.clone(),
    ));
    until(&edited, 50).await;
    let restored = Arc::new(TempDir::new().unwrap());
    let (from, to) = (application.state(), restored.clone());
    let before = edited.load(Ordering::Relaxed);
    tokio::task::spawn_blocking(move || back_up(from.path(), to.path()))
        .await
        .unwrap();
    until(&edited, before + 50).await;
    is_over.store(true, Ordering::Relaxed);
    working.await.unwrap();

    // After the backup one comes up that is pushed, and is deleted together with another one before anybody restores.
    let later = EntityId::Product(Uuid::from_u128(0x5eed));
    let create = Action::Create {
        identifier: None,
        family: Some("lamp".to_owned()),
        parent: None,
        categories: Vec::new(),
    };
    world.edit(&later, create).unwrap();
    world
        .touch(&application, std::slice::from_ref(&later), 1)
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
    let known = world.products().into_iter().find(|product| *product != later).unwrap();
    Arc::into_inner(application).unwrap().kill().await.unwrap();
    for gone in [&later, &known] {
        world.edit(gone, Action::Delete).unwrap();
    }
    let untold = world.products()[0].clone();
    world.edit(&untold, Action::Touch).unwrap();

    // Whoever worked when the backup was taken had the lease, which would pass by itself within a minute and a half.
    Store::open(restored.path()).delete("r1.main.lease");
    let application = Application::start_on(restored, world.setup()).await.unwrap();
    reconcile(&application, json!({"scan": "full"})).await;
    walk(&application).await;
    application.tick_until_idle().await.unwrap();
    let EntityId::Product(uuid) = later else {
        panic!("it is a product")
    };
    let path = format!("/products/{uuid}");
    assert_eq!(
        world.differences(),
        [Difference::Extra { path }],
        "the index never knew it"
    );
}
