//! Groonga, a search engine: upserts by `POST` with a list as the body, deletion by a `POST` with a query.

use super::{Held, Process, Shop, brought, data, document, given_up, play, settle, tell, text};
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use tests::application::Application;
use tests::client;
use tests::world::World;
use tokio::process::Command;

/// The columns of its tables, with their types.
const COLUMNS: [(&str, &str, &str); 7] = [
    ("Products", "sku", "ShortText"),
    ("Products", "name", "ShortText"),
    ("Products", "description", "ShortText"),
    ("Products", "price", "Float"),
    ("Products", "enabled", "Bool"),
    ("Models", "name", "ShortText"),
    ("Models", "description", "ShortText"),
];

struct Groonga(Process);

impl Groonga {
    async fn start() -> Groonga {
        let place = Process::place().await;
        let database = place.folder.path().join("db");
        let program = brought("GROONGA");
        let made = Command::new(&program).arg("-n").arg(&database).arg("status").output();
        assert!(made.await.unwrap().status.success());
        let mut command = Command::new(program);
        command
            .args(["--protocol", "http", "--bind-address", "127.0.0.1"])
            .args(["--port", &place.port.to_string(), "-s"])
            .arg(&database);
        let groonga = Groonga(Process::start(command, place).await);
        for table in ["Products", "Models"] {
            let flags = "flags=TABLE_HASH_KEY&key_type=ShortText";
            groonga.call(&format!("table_create?name={table}&{flags}")).await;
        }
        for (table, name, kind) in COLUMNS {
            let column = format!("column_create?table={table}&name={name}&type={kind}&flags=COLUMN_SCALAR");
            groonga.call(&column).await;
        }
        groonga
    }

    async fn call(&self, what: &str) -> Value {
        let answer = client::request(Method::GET, &format!("{}/d/{what}", self.0.url), &[], "").await;
        let answer = answer.unwrap().json();
        assert_eq!(answer[0][0], 0, "{what}: {answer}");
        answer[1].clone()
    }

    async fn records(&self, table: &str, columns: &[&str]) -> Held {
        let names = columns.join(",");
        let found = self
            .call(&format!("select?table={table}&limit=-1&output_columns=_key,{names}"))
            .await;
        // How many there are, and the columns' names and types, stand before the records.
        let records = found[0].as_array().unwrap().iter().skip(2);
        let read = records.map(|record| {
            let members = columns.iter().zip(1..);
            let members = members.map(|(name, at)| ((*name).to_owned(), record[at].clone()));
            (format!("{table}/{}", record[0].as_str().unwrap()), members.collect())
        });
        read.collect()
    }
}

impl Shop for Groonga {
    async fn held(&self) -> Held {
        let columns = ["sku", "name", "description", "price", "enabled"];
        let mut held = self.records("Products", &columns).await;
        held.extend(self.records("Models", &columns[1..3]).await);
        held
    }

    fn expected(&self, id: &EntityId, entity: &Value) -> (String, Value) {
        let (name, description) = (text(entity, "name"), text(entity, "description"));
        if !id.is_product() {
            let model = json!({ "name": name, "description": description });
            return (format!("Models/{}", id.key()), model);
        }
        let product = json!({ "sku": text(entity, "sku"), "name": name, "description": description,
            "price": euros(entity), "enabled": entity["enabled"] });
        (format!("Products/{}", id.key()), product)
    }
}

fn euros(entity: &Value) -> f64 {
    let prices = data(entity, "price");
    let mut prices = prices.as_array().into_iter().flatten();
    let amount = prices
        .find(|price| price["currency"] == "EUR")
        .map(|price| &price["amount"]);
    amount.map_or(0.0, |amount| match amount {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    })
}

async fn application(world: &World, groonga: &Groonga) -> Application {
    let setup = world.setup().with("destination_token", "");
    let setup = setup.with("destination_url", &groonga.0.url);
    Application::start(setup.with("shape", &document("groonga")))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Groonga: `cargo xtask test --full`"]
async fn everything_is_made_edited_and_deleted() {
    let groonga = Groonga::start().await;
    let world = World::start(Catalogue::generate(300, 40, 21)).await.unwrap();
    let application = application(&world, &groonga).await;
    play(&groonga, &world, &application).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Groonga: `cargo xtask test --full`"]
async fn what_is_refused_is_given_up_in_its_own_words() {
    let groonga = Groonga::start().await;
    let world = World::start(Catalogue::generate(20, 0, 21)).await.unwrap();
    let application = application(&world, &groonga).await;
    let changes = world.touch_all().unwrap();
    tell(&application, &changes, 1).await;
    settle(&groonga, &world, &application).await;

    // A column that is gone is missed by whatever changes.
    groonga.call("column_remove?table=Products&name=description").await;
    let product = &world.products()[0];
    let changes = world.edit(product, Action::Enable { enabled: false }).unwrap();
    tell(&application, &changes, 2).await;
    let letters = given_up(&application).await;
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(reason.contains("nonexistent column: <description>"), "{reason}");
    assert_eq!(letters.len(), 1);
}
