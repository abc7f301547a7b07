//! django-oscar with django-oscar-api, a REST shop on Django: ids of its own, an update that finds by what stands in the
//! body, and a login by user and password.

use super::{
    Held, Process, Shop, announced, brought, data, document, given_up, killed, play, refused_login, renamed, set_up,
    settle, tell, text,
};
use crate::admin::dead_letters;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change, EntityId};
use simulator::destination::sha256;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;
use tests::application::{Application, Setup};
use tests::client;
use tests::world::World;
use tokio::process::Command;
use tokio::sync::OnceCell;

const USER: &str = "relay";
const PASSWORD: &str = "password of the test";

/// The database of an empty shop, which takes long to make.
static EMPTY: OnceCell<TempDir> = OnceCell::const_new();

const DATABASE: &str = "shop.sqlite3";

struct Oscar(Process);

impl Oscar {
    async fn start() -> Oscar {
        let empty = EMPTY.get_or_init(Oscar::prepare).await;
        let place = Process::place().await;
        std::fs::copy(empty.path().join(DATABASE), place.folder.path().join(DATABASE)).unwrap();
        let mut command = Oscar::command(place.folder.path());
        command.args(["serve", &place.port.to_string()]);
        Oscar(Process::start(command, place).await)
    }

    async fn prepare() -> TempDir {
        let folder = TempDir::new().unwrap();
        let mut command = Oscar::command(folder.path());
        command
            .arg("prepare")
            .envs([("SHOP_USER", USER), ("SHOP_PASSWORD", PASSWORD)]);
        let made = command.output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder
    }

    fn command(folder: &Path) -> Command {
        let mut command = Command::new(brought("DJANGO_OSCAR"));
        command
            .arg(set_up("django/shop.py"))
            .env("SHOP_FOLDER", folder)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let headers = [
            ("content-type".to_owned(), "application/json".to_owned()),
            (
                "authorization".to_owned(),
                format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))),
            ),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let url = format!("{}/api/admin/products/{path}", self.0.url);
        let answer = client::request(method, &url, &headers, body).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {answer:?}, {}", self.0.printed());
        answer.json()
    }

    /// All products, as it has them.
    async fn products(&self) -> Vec<Value> {
        let all = self.call(Method::GET, "", &Value::Null).await;
        all.as_array().unwrap().clone()
    }

    fn setup(&self, world: &World) -> Setup {
        let setup = world.setup().with("destination_url", &self.0.url);
        setup
            .with("destination_token", &format!("{USER}:{PASSWORD}"))
            .with("shape", &document("django-oscar"))
    }
}

impl Shop for Oscar {
    async fn held(&self) -> Held {
        let products = self.products().await.into_iter().map(|product| {
            let name = product["code"]
                .as_str()
                .map_or_else(|| format!("without a code: {product}"), str::to_owned);
            let members =
                ["upc", "title", "description", "is_public"].map(|name| (name.to_owned(), product[name].clone()));
            (name, Value::Object(members.into_iter().collect()))
        });
        products.collect()
    }

    fn expected(&self, id: &EntityId, entity: &Value) -> (String, Value) {
        let (upc, is_public) = match id.is_product() {
            true => (text(entity, "sku"), entity["enabled"].clone()),
            false => (json!(""), json!(true)),
        };
        let product = json!({ "upc": upc, "title": text(entity, "name"), "description": text(entity, "description"),
            "is_public": is_public });
        (called(id), product)
    }
}

/// What the shop calls an entity.
fn called(id: &EntityId) -> String {
    let key = id.key();
    match id.is_product() {
        true => key,
        false => format!("model-{}", &sha256(format!("product-models/{key}").as_bytes())[..32]),
    }
}

/// A PIM of so many products, all of which have SKUs, and so many models.
async fn pim(products: usize, models: usize) -> World {
    let world = World::start(Catalogue::generate(products, models, 24)).await.unwrap();
    let bodies: Vec<Value> = world.pim.with(|pim| pim.bodies(None).map(|(_, body)| body).collect());
    for product in world.products() {
        let body = bodies.iter().find(|body| body["uuid"] == product.key()).unwrap();
        if data(body, "sku").is_null() {
            call(&world, &product, &format!("SKU of {}", product.key()));
        }
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs django-oscar: `cargo xtask test --full`"]
async fn everything_is_made_edited_and_deleted() {
    let oscar = Oscar::start().await;
    let world = pim(300, 40).await;
    let application = Application::start(oscar.setup(&world)).await.unwrap();
    play(&oscar, &world, &application).await;
    assert_eq!(
        oscar.products().await.len(),
        oscar.held().await.len(),
        "nothing is there twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs django-oscar: `cargo xtask test --full`"]
async fn a_wrong_password_is_a_persons_matter() {
    let oscar = Oscar::start().await;
    let world = pim(30, 4).await;
    let setup = oscar.setup(&world).with("destination_token", "relay:another");
    let application = Application::start(setup).await.unwrap();
    refused_login(&oscar, &world, &application, "Invalid username/password.").await;
}

/// The shop has them already, under their SKUs and with paths of their own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs django-oscar: `cargo xtask test --full`"]
async fn two_hundred_products_that_it_has_under_their_skus_are_taken_over() {
    let oscar = Oscar::start().await;
    let world = pim(300, 0).await;
    let skus: Vec<String> = world.pim.with(|pim| {
        let bodies = pim.bodies(None);
        bodies
            .filter_map(|(_, body)| Some(data(&body, "sku").as_str()?.to_owned()))
            .take(200)
            .collect()
    });
    assert_eq!(skus.len(), 200);
    let mut ids = BTreeSet::new();
    for sku in &skus {
        let product = json!({ "upc": sku, "title": "as it was", "slug": "as-it-was", "product_class": "goods" });
        ids.insert(oscar.call(Method::POST, "", &product).await["id"].as_u64().unwrap());
    }
    let application = Application::start(oscar.setup(&world)).await.unwrap();
    tell(&application, &announced(&world), 1).await;
    settle(&oscar, &world, &application).await;
    let products = oscar.products().await;
    let kept = products
        .iter()
        .filter(|product| ids.contains(&product["id"].as_u64().unwrap()));
    let kept: Vec<&Value> = kept.collect();
    assert_eq!(
        (products.len(), kept.len()),
        (300, 200),
        "each once, and those that were there are the same"
    );
    assert!(
        kept.iter()
            .all(|product| product["slug"] == "as-it-was" && product["title"] != "as it was")
    );

    // And they go by the ids that it gave.
    let all = world.products();
    let gone: Vec<_> = all[..50]
        .iter()
        .flat_map(|id| world.edit(id, Action::Delete).unwrap())
        .collect();
    tell(&application, &gone, 2).await;
    settle(&oscar, &world, &application).await;
    assert_eq!(
        (oscar.products().await.len(), dead_letters(&application).await.len()),
        (250, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs django-oscar: `cargo xtask test --full`"]
async fn what_it_refuses_is_given_up_alone_and_a_sku_may_pass_to_another_product() {
    let oscar = Oscar::start().await;
    let world = pim(40, 0).await;
    let application = Application::start(oscar.setup(&world)).await.unwrap();
    let products = world.products();
    tell(&application, &announced(&world), 1).await;
    settle(&oscar, &world, &application).await;

    // One is too long for it, and another one is called otherwise.
    let long = "x".repeat(300);
    let sku = |id: &EntityId, sku: &str| call(&world, id, sku);
    let mut changes = world.edit(&products[3], renamed(&long)).unwrap();
    changes.extend(sku(&products[4], "passed on"));
    tell(&application, &changes, 2).await;
    let letters = given_up(&application).await;
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("Ensure this field has no more than 255 characters"),
        "{reason}"
    );
    application.tick_until_idle().await.unwrap();
    assert_eq!(dead_letters(&application).await.len(), 1, "that one alone is given up");
    others_are_equal(&oscar, &world, &products[3]).await;
    let mut changes = sku(&products[4], "a new one");
    changes.extend(sku(&products[5], "passed on"));
    changes.extend(world.edit(&products[3], renamed("short")).unwrap());
    tell(&application, &changes, 3).await;
    settle(&oscar, &world, &application).await;
    assert_eq!(
        (oscar.products().await.len(), dead_letters(&application).await.len()),
        (40, 0)
    );
}

/// All products but this one are as they are to be.
async fn others_are_equal(oscar: &Oscar, world: &World, one: &EntityId) {
    let of_others = |mut held: super::Held| {
        held.remove(&called(one));
        held
    };
    let (held, expected) = (oscar.held().await, super::expected(oscar, world));
    assert_eq!(of_others(held), of_others(expected));
}

/// A product is called by this SKU.
fn call(world: &World, id: &EntityId, sku: &str) -> Vec<Change> {
    set_sku(world, id, json!(sku))
}

fn set_sku(world: &World, id: &EntityId, data: Value) -> Vec<Change> {
    let action = Action::SetValue {
        attribute: "sku".to_owned(),
        locale: None,
        scope: None,
        data,
    };
    world.edit(id, action).unwrap()
}

/// Two products are given one SKU: the second alone is refused, and comes by itself once the first is called otherwise.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs django-oscar: `cargo xtask test --full`"]
async fn a_sku_that_another_product_has_is_refused_and_stops_nothing_else() {
    let oscar = Oscar::start().await;
    let world = pim(40, 0).await;
    let products = world.products();
    call(&world, &products[4], "wanted");
    let application = Application::start(oscar.setup(&world)).await.unwrap();
    tell(&application, &announced(&world), 1).await;
    settle(&oscar, &world, &application).await;

    for (seed, second) in [(2, &products[5]), (3, &products[6])] {
        if seed == 3 {
            // The shop has lost it, so that by its SKU it would find the first one in its place.
            let lost = oscar.products().await;
            let lost = lost.iter().find(|product| product["code"] == called(second));
            let lost = format!("{}/", lost.unwrap()["id"]);
            oscar.call(Method::DELETE, &lost, &Value::Null).await;
        }
        let mut changes = call(&world, second, "wanted");
        changes.extend(world.edit(&products[7], Action::Touch).unwrap());
        tell(&application, &changes, seed).await;
        let letters = given_up(&application).await;
        assert_eq!(
            (letters.len(), &letters[0]["code"]),
            (1, &json!(second.key())),
            "{letters:?}"
        );
        let reason = letters[0]["reason"].as_str().unwrap();
        assert!(
            reason.contains("wanted") && reason.contains(&products[4].key()),
            "{reason}"
        );
        application.tick_until_idle().await.unwrap();
        others_are_equal(&oscar, &world, second).await;
        tell(&application, &call(&world, second, &format!("free {seed}")), seed + 10).await;
        settle(&oscar, &world, &application).await;
        assert_eq!(dead_letters(&application).await.len(), 0);
    }

    // One has none any more: it goes, and is told alone.
    tell(&application, &set_sku(&world, &products[8], Value::Null), 15).await;
    let letters = given_up(&application).await;
    assert_eq!(
        (letters.len(), &letters[0]["code"]),
        (1, &json!(products[8].key())),
        "{letters:?}"
    );
    application.tick_until_idle().await.unwrap();
    others_are_equal(&oscar, &world, &products[8]).await;
    tell(&application, &call(&world, &products[8], "again"), 16).await;
    settle(&oscar, &world, &application).await;

    // It is passed on, and two are swapped.
    tell(&application, &call(&world, &products[5], "wanted"), 20).await;
    given_up(&application).await;
    tell(&application, &call(&world, &products[4], "let go"), 21).await;
    settle(&oscar, &world, &application).await;
    let mut changes = call(&world, &products[4], "wanted");
    changes.extend(call(&world, &products[5], "let go"));
    tell(&application, &changes, 22).await;
    settle(&oscar, &world, &application).await;
    assert_eq!(
        (oscar.products().await.len(), dead_letters(&application).await.len()),
        (40, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs django-oscar: `cargo xtask test --full`"]
async fn thirty_kills_while_it_is_filled_make_nothing_twice() {
    let oscar = Oscar::start().await;
    let world = pim(400, 40).await;
    let setup = oscar
        .setup(&world)
        .with("tick_seconds", "3")
        .with("call_timeout_seconds", "5");
    let application = Application::start(setup).await.unwrap();
    tell(&application, &announced(&world), 1).await;
    let application = killed::while_filling(&oscar, &world, application).await;
    settle(&oscar, &world, &application).await;
    let products = oscar.products().await;
    assert_eq!((products.len(), oscar.held().await.len()), (440, 440), "each once");
    assert_eq!(dead_letters(&application).await, Vec::<Value>::new());
}
