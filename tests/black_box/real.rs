//! Real systems, brought from package registries, each kept equal to a PIM by its document in `shapes/`, and asked itself
//! what it has.

mod django_oscar;
mod groonga;
mod killed;
mod pouchdb;
mod vendure;

use crate::admin::{ask, dead_letters};
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Change, EntityId};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tests::application::{Application, root};
use tests::servers::{free_port, turn};
use tests::world::{World, deliver_all, platform_deliveries};
use tokio::process::{Child, Command};
use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

/// The documents that real systems are spoken to by.
pub(crate) const DOCUMENTS: [&str; 4] = ["django-oscar", "groonga", "pouchdb", "vendure"];

/// What a system has, by what it calls it.
type Held = BTreeMap<String, Value>;

/// A real system.
trait Shop {
    /// All that it has, as it says itself.
    async fn held(&self) -> Held;

    /// What it is to call an entity, and to have of it.
    fn expected(&self, id: &EntityId, entity: &Value) -> (String, Value);
}

/// What the PIM says that a system is to have.
fn expected(shop: &impl Shop, world: &World) -> Held {
    world.pim.with(|pim| {
        let bodies = pim.bodies(None);
        bodies.map(|(id, body)| shop.expected(&id, &body)).collect()
    })
}

/// The data of an attribute in English and in the shop's channel; null if there is none.
fn data(entity: &Value, attribute: &str) -> Value {
    let is_of = |value: &Value, member: &str, wanted: &str| value[member].is_null() || value[member] == wanted;
    let values = entity["values"][attribute].as_array().into_iter().flatten();
    let mut meant = values.filter(|value| is_of(value, "locale", "en_US") && is_of(value, "scope", "ecommerce"));
    meant.next().map_or(Value::Null, |value| value["data"].clone())
}

/// The same of a text, which is empty where there is none.
fn text(entity: &Value, attribute: &str) -> Value {
    match data(entity, attribute) {
        Value::Null => json!(""),
        data => data,
    }
}

/// Ticks until a system has what it is to have; asks it only where a tick found nothing to do.
async fn settle(shop: &impl Shop, world: &World, application: &Application) {
    let mut last = Value::Null;
    for _ in 0..300 {
        last = application.tick().await.unwrap();
        if last["outcome"] != "idle" {
            continue;
        }
        if shop.held().await == expected(shop, world) {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
    let (held, wanted) = (shop.held().await, expected(shop, world));
    let names = held.keys().chain(wanted.keys());
    let differs: Vec<String> = names
        .filter(|name| held.get(*name) != wanted.get(*name))
        .map(|name| format!("{name}: {:?} for {:?}", held.get(name), wanted.get(name)))
        .collect();
    let letters = dead_letters(application).await;
    panic!(
        "{} differ: {:?}; dead letters {letters:?}; the last tick {last}",
        differs.len(),
        &differs[..3.min(differs.len())]
    );
}

/// Everything that the PIM has, told once.
fn announced(world: &World) -> Vec<Change> {
    let entities = world.models().into_iter().chain(world.products());
    let changes = entities.map(|entity| world.edit(&entity, Action::Touch).unwrap());
    changes.flatten().collect()
}

async fn tell(application: &Application, changes: &[Change], seed: u64) {
    deliver_all(application, &platform_deliveries(changes, seed))
        .await
        .unwrap();
}

/// Renames an entity.
fn renamed(name: &str) -> Action {
    Action::SetValue {
        attribute: "name".to_owned(),
        locale: Some("en_US".to_owned()),
        scope: None,
        data: if name.is_empty() { Value::Null } else { json!(name) },
    }
}

/// Makes everything in a system, edits it, deletes of it, and makes again what was deleted; after each it is equal.
async fn play(shop: &impl Shop, world: &World, application: &Application) {
    tell(application, &announced(world), 1).await;
    settle(shop, world, application).await;
    let made = shop.held().await.len();

    let (products, models) = (world.products(), world.models());
    let mut changes = Vec::new();
    for (at, id) in products.iter().chain(&models).enumerate() {
        let action = match at % 4 {
            0 => renamed(&format!("No. {at} \"quoted\" théière ☕\nline")),
            1 => renamed(""),
            2 if id.is_product() => Action::Enable { enabled: false },
            _ => continue,
        };
        changes.extend(world.edit(id, action).unwrap());
    }
    tell(application, &changes, 2).await;
    settle(shop, world, application).await;

    // With a model goes what is below it.
    let gone: Vec<&EntityId> = products
        .iter()
        .step_by(5)
        .chain(models.iter().rev().step_by(9))
        .collect();
    let mut deletions = Vec::new();
    for id in &gone {
        // It may have gone with another one.
        deletions.extend(world.edit(id, Action::Delete).unwrap_or_default());
    }
    tell(application, &deletions, 3).await;
    settle(shop, world, application).await;
    let left = shop.held().await.len();

    let again = Action::Create {
        identifier: Some("made-again".to_owned()),
        family: None,
        parent: None,
        categories: Vec::new(),
    };
    let back = world.edit(&products[0], again).unwrap();
    tell(application, &back, 4).await;
    settle(shop, world, application).await;
    assert_eq!(dead_letters(application).await, Vec::<Value>::new());
    assert_eq!(shop.held().await.len(), left + 1);
    println!(
        "{made} made, {} changes, {} gone, one back: equal each time",
        changes.len(),
        made - left
    );
}

/// Ticks with a login that the system refuses: nothing counts as pushed, nobody is given up, and people are told in the
/// system's own words.
async fn refused_login(shop: &impl Shop, world: &World, application: &Application, words: &str) {
    tell(application, &announced(world), 1).await;
    let mut upserts = 0;
    for _ in 0..5 {
        upserts += application.tick().await.unwrap()["upserts"].as_u64().unwrap();
    }
    assert_eq!((upserts, shop.held().await), (0, Held::new()));
    let status = ask(application, Method::GET, "/admin/status", json!(null)).await.json();
    assert_eq!(status["state"], "down", "{status}");
    assert!(status.to_string().contains(words), "{status}");
    assert_eq!(dead_letters(application).await, Vec::<Value>::new());
}

/// Ticks until something was given up; gives what it is.
async fn given_up(application: &Application) -> Vec<Value> {
    for _ in 0..300 {
        let letters = dead_letters(application).await;
        if !letters.is_empty() {
            return letters;
        }
        application.tick().await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let lines = application.log_lines("worker").into_iter();
    let failed: Vec<Value> = lines.filter(|line| line["ok"] == false).collect();
    panic!("nothing was given up: {failed:#?}");
}

/// The document of a system.
fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("shapes/{name}.json"))).unwrap()
}

/// Where a system's set-up is.
fn set_up(file: &str) -> std::path::PathBuf {
    root().join("tests/black_box/real").join(file)
}

/// What a variable names that `cargo xtask test --full` sets.
fn brought(variable: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: `cargo xtask test --full` does"))
}

/// Where a system is to run: a folder, and a port that is free.
struct Place {
    folder: TempDir,
    port: u16,
    _turn: SemaphorePermit<'static>,
}

/// A system's process. Dropping it ends it.
struct Process {
    child: Child,
    place: Place,
    url: String,
}

impl Process {
    /// A place for it, once one of those that run has ended.
    async fn place() -> Place {
        Place {
            _turn: turn().await.unwrap(),
            folder: TempDir::new().unwrap(),
            port: free_port().unwrap(),
        }
    }

    /// Starts it, and waits until it listens.
    async fn start(mut command: Command, place: Place) -> Process {
        let (folder, port) = (&place.folder, place.port);
        let output = std::fs::File::create(folder.path().join("output")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .current_dir(folder.path())
            .kill_on_drop(true);
        let program = command.as_std().get_program().to_owned();
        let child = command.spawn();
        let mut process = Process {
            child: child.unwrap_or_else(|error| panic!("{}: {error}", Path::new(&program).display())),
            place,
            url: format!("http://127.0.0.1:{port}"),
        };
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert_eq!(process.child.try_wait().unwrap(), None, "{}", process.printed());
            sleep(Duration::from_millis(50)).await;
        }
        process
    }

    /// What it has printed.
    fn printed(&self) -> String {
        std::fs::read_to_string(self.place.folder.path().join("output")).unwrap_or_default()
    }
}
