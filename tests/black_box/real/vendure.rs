//! Vendure, a shop that is spoken to by GraphQL: every failure is a 200, and ids are its own.

use super::{
    Held, Process, Shop, announced, brought, document, given_up, killed, play, refused_login, renamed, set_up, settle,
    tell, text,
};
use crate::admin::dead_letters;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Catalogue, EntityId};
use std::collections::BTreeSet;
use tests::application::{Application, Setup};
use tests::client;
use tests::world::World;
use tokio::process::Command;

const USER: &str = "relay";
const PASSWORD: &str = "password of the test";

struct Vendure {
    process: Process,
    /// The API key that it gave.
    key: String,
}

/// Whether the shop itself sees to it that no two products have the same name of ours.
#[derive(Clone, Copy)]
enum Field {
    Unique,
    Any,
}

impl Vendure {
    async fn start(field: Field) -> Vendure {
        let place = Process::place().await;
        let mut command = Command::new("node");
        command
            .arg(set_up("vendure/shop.js"))
            .env("NODE_PATH", brought("VENDURE_MODULES"))
            .env("VENDURE_DISABLE_TELEMETRY", "true")
            .envs([("SHOP_USER", USER), ("SHOP_PASSWORD", PASSWORD)])
            .env("SHOP_UNIQUE", matches!(field, Field::Unique).to_string())
            .env("PORT", place.port.to_string());
        let mut vendure = Vendure {
            process: Process::start(command, place).await,
            key: String::new(),
        };
        vendure.key = vendure.new_key().await;
        vendure
    }

    /// An API key, as a person makes one.
    async fn new_key(&self) -> String {
        let login = "mutation($user: String!, $password: String!) { login(username: $user, password: $password) { __typename } }";
        let (_, session) = self
            .ask(&[], login, json!({ "user": USER, "password": PASSWORD }))
            .await;
        let headers = [("authorization".to_owned(), format!("Bearer {session}"))];
        let make = "mutation { createApiKey(input: { roleIds: [1], translations: [{ languageCode: en, name: \"relay\" }] }) { apiKey } }";
        let (made, _) = self.ask(&headers, make, json!({})).await;
        made["createApiKey"]["apiKey"].as_str().unwrap().to_owned()
    }

    /// Asks it; gives the data, and the token of a session that began.
    async fn ask(&self, headers: &[(String, String)], query: &str, variables: Value) -> (Value, String) {
        let json = ("content-type".to_owned(), "application/json".to_owned());
        let headers = [headers, &[json]].concat();
        let body = json!({ "query": query, "variables": variables }).to_string();
        let url = format!("{}/admin-api", self.process.url);
        let answer = client::request(Method::POST, &url, &headers, body).await.unwrap();
        let read = answer.json();
        assert!(read["errors"].is_null(), "{query}: {read}, {}", self.process.printed());
        let token = answer.header("vendure-auth-token").unwrap_or_default();
        (read["data"].clone(), token.to_owned())
    }

    async fn query(&self, query: &str, variables: Value) -> Value {
        let headers = [("vendure-api-key".to_owned(), self.key.clone())];
        self.ask(&headers, query, variables).await.0
    }

    /// All products, as it has them.
    async fn products(&self) -> Vec<Value> {
        let query = "query($skip: Int!) { products(options: { take: 1000, skip: $skip }) { totalItems items { id name description enabled customFields { akeneo } } } }";
        let mut all = Vec::new();
        loop {
            let page = self.query(query, json!({ "skip": all.len() })).await;
            all.extend(page["products"]["items"].as_array().unwrap().iter().cloned());
            if page["products"]["totalItems"] == all.len() {
                return all;
            }
        }
    }

    fn setup(&self, world: &World) -> Setup {
        let setup = world.setup().with("destination_url", &self.process.url);
        setup
            .with("destination_token", &self.key)
            .with("shape", &document("vendure"))
    }
}

impl Shop for Vendure {
    /// What somebody else made is not ours.
    async fn held(&self) -> Held {
        let products = self.products().await.into_iter().filter_map(|mut product| {
            let name = product["customFields"]["akeneo"].as_str()?.to_owned();
            product
                .as_object_mut()?
                .retain(|member, _| !["id", "customFields"].contains(&member.as_str()));
            Some((name, product))
        });
        products.collect()
    }

    fn expected(&self, id: &EntityId, entity: &Value) -> (String, Value) {
        let enabled = if id.is_product() {
            entity["enabled"].clone()
        } else {
            json!(true)
        };
        let product =
            json!({ "name": text(entity, "name"), "description": text(entity, "description"), "enabled": enabled });
        (called(id), product)
    }
}

/// What the shop calls an entity.
fn called(id: &EntityId) -> String {
    let prefix = if id.is_product() { "" } else { "model:" };
    format!("{prefix}{}", id.key())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Vendure: `cargo xtask test --full`"]
async fn everything_is_made_edited_and_deleted() {
    let vendure = Vendure::start(Field::Unique).await;
    let world = World::start(Catalogue::generate(300, 40, 23)).await.unwrap();
    let application = Application::start(vendure.setup(&world)).await.unwrap();
    play(&vendure, &world, &application).await;
    assert_eq!(
        vendure.products().await.len(),
        vendure.held().await.len(),
        "nothing else is there"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Vendure: `cargo xtask test --full`"]
async fn a_wrong_key_is_a_persons_matter() {
    let vendure = Vendure::start(Field::Unique).await;
    let world = World::start(Catalogue::generate(30, 4, 23)).await.unwrap();
    let setup = vendure.setup(&world).with("destination_token", "another key");
    let application = Application::start(setup).await.unwrap();
    let words = "You are not currently authorized to perform this action";
    refused_login(&vendure, &world, &application, words).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Vendure: `cargo xtask test --full`"]
async fn what_it_refuses_as_a_duplicate_is_given_up_alone() {
    let vendure = Vendure::start(Field::Unique).await;
    let world = World::start(Catalogue::generate(60, 6, 23)).await.unwrap();
    let application = Application::start(vendure.setup(&world)).await.unwrap();
    let products = world.products();
    tell(&application, &announced(&world), 1).await;
    settle(&vendure, &world, &application).await;

    // Somebody deletes one in the shop, which hides it but keeps its name of ours taken.
    let find = "query($name: String!) { products(options: { filter: { akeneo: { eq: $name } } }) { items { id } } }";
    let found = vendure.query(find, json!({ "name": called(&products[7]) })).await;
    let id = &found["products"]["items"][0]["id"];
    vendure
        .query(
            "mutation($id: ID!) { deleteProduct(id: $id) { result } }",
            json!({ "id": id }),
        )
        .await;

    let changes = products.iter().flat_map(|id| world.edit(id, renamed("new")).unwrap());
    tell(&application, &changes.collect::<Vec<_>>(), 2).await;
    let letters = given_up(&application).await;
    application.tick_until_idle().await.unwrap();
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("UNIQUE constraint failed: product.customFieldsAkeneo"),
        "{reason}"
    );
    assert_eq!(dead_letters(&application).await.len(), 1);
    let mut wanted = super::expected(&vendure, &world);
    wanted.remove(&called(&products[7]));
    assert_eq!(vendure.held().await, wanted, "all others are as they are to be");
}

/// The shop takes two products of one name here, so that it is the relay alone that makes none twice.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Vendure: `cargo xtask test --full`"]
async fn thirty_kills_while_it_is_filled_make_nothing_twice() {
    let vendure = Vendure::start(Field::Any).await;
    let world = World::start(Catalogue::generate(260, 40, 23)).await.unwrap();
    // What is under way has arrived, or never will, after a tick and two calls.
    let setup = vendure
        .setup(&world)
        .with("tick_seconds", "3")
        .with("call_timeout_seconds", "5");
    let application = Application::start(setup).await.unwrap();
    tell(&application, &announced(&world), 1).await;
    let application = killed::while_filling(&vendure, &world, application).await;
    settle(&vendure, &world, &application).await;
    let products = vendure.products().await;
    let names: BTreeSet<&str> = products
        .iter()
        .filter_map(|product| product["customFields"]["akeneo"].as_str())
        .collect();
    assert_eq!((products.len(), names.len()), (300, 300), "each once");
    assert_eq!(dead_letters(&application).await, Vec::<Value>::new());
}
