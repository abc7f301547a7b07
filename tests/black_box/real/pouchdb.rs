//! PouchDB Server: CouchDB's protocol, by version.

use super::{Held, Process, Shop, brought, data, document, play, renamed, settle, tell};
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use tests::application::Application;
use tests::client;
use tests::world::World;
use tokio::process::Command;

struct Pouch(Process);

impl Pouch {
    async fn start() -> Pouch {
        let place = Process::place().await;
        let mut command = Command::new("node");
        command.arg(brought("POUCHDB_SERVER"));
        command
            .args(["--in-memory", "--no-stdout-logs", "--host", "127.0.0.1"])
            .args(["--port", &place.port.to_string()]);
        let pouch = Pouch(Process::start(command, place).await);
        pouch.call(Method::PUT, "", Value::Null).await;
        pouch
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        let url = format!("{}/catalogue{path}", self.0.url);
        let answer = client::request(method, &url, &headers, body).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.json()
    }

    /// Somebody else edits a document: with the revision that it has, as everybody must.
    async fn edited_by_another(&self, id: &EntityId, name: &str) {
        let path = format!("/{}", id.key());
        let mut document = self.call(Method::GET, &path, Value::Null).await;
        document["name"] = json!(name);
        self.call(Method::PUT, &path, document).await;
    }
}

impl Shop for Pouch {
    async fn held(&self) -> Held {
        let all = self
            .call(Method::GET, "/_all_docs?include_docs=true", Value::Null)
            .await;
        let rows = all["rows"].as_array().unwrap().iter();
        let documents = rows.map(|row| {
            let mut document = row["doc"].clone();
            document
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !name.starts_with('_'));
            (row["id"].as_str().unwrap().to_owned(), document)
        });
        documents.collect()
    }

    fn expected(&self, id: &EntityId, entity: &Value) -> (String, Value) {
        let mut document = json!({ "name": data(entity, "name"), "description": data(entity, "description") });
        if id.is_product() {
            document["kind"] = json!("product");
            document["sku"] = data(entity, "sku");
            document["enabled"] = entity["enabled"].clone();
            return (id.key(), document);
        }
        document["kind"] = json!("model");
        document["code"] = entity["code"].clone();
        (format!("model:{}", id.key()), document)
    }
}

async fn application(world: &World, pouch: &Pouch) -> Application {
    let setup = world.setup().with("destination_url", &pouch.0.url);
    // Without an administrator, PouchDB Server lets everybody in.
    let setup = setup.with("destination_token", "");
    Application::start(setup.with("shape", &document("pouchdb")))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PouchDB Server: `cargo xtask test --full`"]
async fn everything_is_made_edited_and_deleted_by_version() {
    let pouch = Pouch::start().await;
    let world = World::start(Catalogue::generate(300, 40, 22)).await.unwrap();
    let application = application(&world, &pouch).await;
    play(&pouch, &world, &application).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PouchDB Server: `cargo xtask test --full`"]
async fn what_somebody_else_edited_is_overwritten_and_deleted_by_its_new_version() {
    let pouch = Pouch::start().await;
    let world = World::start(Catalogue::generate(20, 0, 22)).await.unwrap();
    let application = application(&world, &pouch).await;
    tell(&application, &world.touch_all().unwrap(), 1).await;
    settle(&pouch, &world, &application).await;

    let products = world.products();
    for product in &products[..10] {
        pouch.edited_by_another(product, "somebody else's").await;
        pouch.edited_by_another(product, "somebody else's once more").await;
    }
    let mut changes = Vec::new();
    for product in &products[..5] {
        changes.extend(world.edit(product, renamed("ours")).unwrap());
    }
    for product in &products[5..10] {
        changes.extend(world.edit(product, Action::Delete).unwrap());
    }
    tell(&application, &changes, 2).await;
    settle(&pouch, &world, &application).await;

    // Somebody else deletes one, which is made again, and the relay loses its index: what is there is taken over.
    let document = pouch
        .call(Method::GET, &format!("/{}", products[0].key()), Value::Null)
        .await;
    let path = format!("/{}?rev={}", products[0].key(), document["_rev"].as_str().unwrap());
    pouch.call(Method::DELETE, &path, Value::Null).await;
    tell(
        &application,
        &world.edit(&products[0], renamed("ours again")).unwrap(),
        3,
    )
    .await;
    settle(&pouch, &world, &application).await;
    let application = Application::start(application.setup()).await.unwrap();
    let changes: Vec<_> = world
        .products()
        .iter()
        .flat_map(|id| world.edit(id, renamed("anew")).unwrap())
        .collect();
    tell(&application, &changes, 4).await;
    settle(&pouch, &world, &application).await;
    assert_eq!(crate::admin::dead_letters(&application).await, Vec::<Value>::new());
    println!("5 overwritten and 5 deleted by their new versions, one made again, 15 taken over without an index");
}
