//! The documents of `shapes/`, each against a small destination that answers as the system's documentation says: made,
//! changed, known already, missing, refused, throttled, deleted or archived; and what is there already is told to whoever
//! makes it once more.
//!
//! Every answer names its source. What these destinations check of a request is what the system would refuse.
//!
//! `system` is what a system is here; `search`, `stores`, `erps`, `cms`, `shops`, `medusa`, `orocommerce`, `prestashop`,
//! `saleor` and `sylius` are the systems, and `token` is their logins. `asked`, `held` and `destination` play one;
//! `play` and `duplicates` are what is played.

mod asked;
mod cms;
mod destination;
mod duplicates;
mod erps;
mod held;
mod medusa;
mod orocommerce;
mod play;
mod prestashop;
mod saleor;
mod search;
mod shops;
mod stores;
mod sylius;
mod system;
mod token;

use asked::{Asked, dashed, decoded, text};
use bytes::Bytes;
use destination::Destination;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request};
use model::entity::Kind;
use play::{Of, Play};
use protocol::answers::Meaning;
use protocol::request::Act;
use serde_json::Value;
use simulator::server::Upstream;
use std::collections::BTreeSet;
use system::{Answer, Duplicate, Follows, NOT_WAITED_FOR, PLAIN, System, Unique, is_source};
use tests::application::root;
use token::Asks;

const SYSTEMS: [&System; 30] = [
    &search::ELASTICSEARCH,
    &search::SOLR,
    &search::ALGOLIA,
    &search::TYPESENSE,
    &search::MEILISEARCH,
    &stores::KAFKA_REST,
    &stores::DATAVERSE,
    &stores::POSTGREST,
    &stores::DATA_API_BUILDER,
    &stores::WEBHOOK,
    &stores::COUCHDB,
    &stores::KINTO,
    &stores::PARSE_SERVER,
    &erps::ERPNEXT,
    &erps::SALESFORCE,
    &erps::BUSINESS_CENTRAL,
    &erps::ODOO,
    &cms::PAYLOAD,
    &cms::STRAPI,
    &cms::DIRECTUS,
    &shops::SHOPWARE,
    &shops::MAGENTO,
    &shops::SHOPIFY,
    &shops::WOOCOMMERCE,
    &shops::BIGCOMMERCE,
    &orocommerce::OROCOMMERCE,
    &prestashop::PRESTASHOP,
    &medusa::MEDUSA,
    &sylius::SYLIUS,
    &saleor::SALEOR,
];

/// Systems in another set-up than the first of their name, in which they tell otherwise of what is there already.
const OTHERWISE: [&System; 4] = [
    &cms::PAYLOAD_ON_POSTGRES,
    &cms::DIRECTUS_ON_MYSQL,
    &shops::WOOCOMMERCE_BY_SKU,
    &orocommerce::OROCOMMERCE_BY_FIELD,
];

/// The document of a system, with what it has otherwise here.
fn document(system: &System) -> Value {
    let file = root().join(format!("shapes/{}.json", system.name));
    let mut document: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for (place, value) in system.amended {
        let (parent, name) = place.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = serde_json::from_str(value).unwrap();
    }
    document
}

async fn play(system: &'static System, of: Of) {
    let mut play = Play::begin(system, of).await;
    play.make().await;
    play.meddle().await;
    play.adopt().await;
    play.duplicate().await;
    play.throttle().await;
    play.refuse().await;
    play.delete(5, 7).await;
    play.delete_what_is_gone(3, 9).await;
    // What is deleted now is known by its UUID or code alone.
    play.lose_the_store().await;
    play.delete(0, 8).await;
    play.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_system_is_spoken_to_as_its_documentation_says() {
    // Most of the time is waits, so that ten at once burden nobody.
    stream::iter(SYSTEMS)
        .for_each_concurrent(10, |system| play(system, Of::Products))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_spoken_of_as_products_are() {
    let with_models: Vec<_> = SYSTEMS.iter().filter(|system| sends_models(system)).collect();
    let names: Vec<&str> = with_models.iter().map(|system| system.name).collect();
    assert_eq!(names, ["elasticsearch", "webhook", "kinto"]);
    futures_util::future::join_all(with_models.iter().map(|system| play(system, Of::Models))).await;
}

fn sends_models(system: &System) -> bool {
    document(system)["product-models"].is_object()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_told_in_every_form() {
    let played = OTHERWISE.map(|system| async {
        let mut play = Play::begin(system, Of::Products).await;
        play.make().await;
        play.duplicate().await;
        play.end();
    });
    futures_util::future::join_all(played).await;
}

/// A request for something, with the token.
fn request(path: &str) -> Request<Bytes> {
    let request = Request::get(path).header("authorization", "Bearer secret");
    request.body(Bytes::new()).unwrap()
}

/// The check itself can fail.
#[test]
fn an_answer_without_a_source_is_told() {
    let mut destination = Destination::of(&PLAIN);
    destination.handle(&request("/any"), 0);
    assert_eq!(destination.wrong, ["an answer of 404 without a source: \"\""]);
    assert!(is_source("RFC 6585, section 4") && is_source("owner/name: a/file.md"));
    assert!(!is_source("owner/name") && !is_source("e.g.") && !is_source("by heart, mostly"));
}

/// The check itself can fail.
#[test]
fn whoever_comes_before_the_wait_is_over_is_told() {
    let mut destination = Destination::of(&cms::DIRECTUS);
    destination.throttles = 1;
    destination.handle(&request("/items/products/1"), 0);
    assert_eq!(destination.wrong, Vec::<String>::new());
    destination.handle(&request("/items/products/1"), 0);
    assert!(
        destination.wrong[0].contains("before it may"),
        "{:?}",
        destination.wrong
    );
}

/// How long a system's document has the relay wait after being throttled, in milliseconds.
fn waited_ms(system: &System) -> u64 {
    let Answer(status, body, _) = (system.throttled)();
    let pairs = system
        .limits
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let headers: HeaderMap = pairs.collect();
    if let Some(told) = headers.get("retry-after") {
        return told.to_str().unwrap().parse::<u64>().unwrap() * 1000;
    }
    let shape = shape::Shape::read(&document(system).to_string()).unwrap();
    let answers = &shape.operation(Kind::Product, Act::Upsert).answers;
    let body = body.to_string().into_bytes();
    let meaning = answers.meaning(Act::Upsert, status, &body);
    assert_eq!(meaning, Meaning::Busy, "{}", system.name);
    let told_s = answers.wait_s(&shape.limits, meaning, (status, &headers), &body, 0);
    told_s.unwrap_or_default() * 1000
}

/// A wait that an answer tells is the one that is played, to the second above.
#[test]
fn every_wait_that_is_told_is_played() {
    for system in SYSTEMS {
        let (told_ms, wait_ms) = (waited_ms(system), system.wait_ms);
        assert_eq!(told_ms, wait_ms.next_multiple_of(1000), "{}", system.name);
    }
}

/// The members that a system's document asks for a token with.
fn form(system: &System) -> Vec<(String, String)> {
    let document = document(system);
    if system.asks == Asks::Json {
        let fields = document["login"]["fields"].as_array().unwrap().iter();
        let value = |field: &Value| match field["variable"].as_str() {
            Some("login_id") => "id".to_owned(),
            Some(_) => "key".to_owned(),
            None => text(&field["constant"]),
        };
        let member = |field: &Value| (text(&field["to"]).replacen('/', "", 1), value(field));
        return fields.map(member).collect();
    }
    let parameters = document["login"]["parameters"].as_object().cloned().unwrap_or_default();
    let known = [
        ("grant_type", "client_credentials"),
        ("client_id", "id"),
        ("client_secret", "key"),
    ];
    let mut form: Vec<_> = known.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    form.extend(parameters.into_iter().map(|(name, value)| (name, text(&value))));
    form
}

/// Whether a system gives a token for these members.
fn is_let_in(system: &'static System, form: &[(String, String)]) -> bool {
    let body = Bytes::from(system.asks.written(form));
    let request = Request::post(system.endpoint.unwrap()).header("content-type", system.asks.media_type());
    let mut destination = Destination::of(system);
    destination.handle(&request.body(body).unwrap(), 0);
    destination.wrong.is_empty()
}

/// The check itself can fail: each member of a login is looked at, where a system has one.
#[test]
fn no_token_is_had_without_all_that_a_system_asks_for() {
    let with_login: Vec<_> = SYSTEMS.iter().filter(|system| system.endpoint.is_some()).collect();
    assert!(!with_login.is_empty());
    for system in with_login {
        let form = form(system);
        assert!(is_let_in(system, &form), "{}", system.name);
        for at in 0..form.len() {
            let (mut without, mut otherwise, mut twice) = (form.clone(), form.clone(), form.clone());
            without.remove(at);
            otherwise[at].1.push('x');
            twice.push(form[at].clone());
            let mut wrong = vec![without, otherwise];
            // An object has no member twice: readers take the last of them.
            wrong.extend((system.asks == Asks::Form).then_some(twice));
            for wrong in wrong {
                assert!(!is_let_in(system, &wrong), "{}: {wrong:?}", system.name);
            }
        }
    }
}

#[test]
fn every_document_has_a_contract_and_says_what_it_is_for() {
    let mut played: BTreeSet<String> = SYSTEMS.iter().map(|system| system.name.to_owned()).collect();
    played.extend(crate::real::DOCUMENTS.map(str::to_owned));
    let files = std::fs::read_dir(root().join("shapes")).unwrap();
    let names: BTreeSet<String> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, played);
    for name in names {
        let document = std::fs::read_to_string(root().join(format!("shapes/{name}.json"))).unwrap();
        shape::Shape::read(&document).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        let about: Value = serde_json::from_str(&document).unwrap();
        let about = about["about"].as_str().unwrap();
        assert!(about.len() > 50, "{name}");
        // What it was checked against, and what not.
        assert!(
            about.contains("hecked against") || about.contains("erified"),
            "{name}: {about}"
        );
    }
}

#[test]
fn a_login_is_played_where_the_document_has_one() {
    for system in SYSTEMS {
        let has_login = document(system).get("login").is_some();
        assert_eq!(has_login, system.endpoint.is_some(), "{}", system.name);
    }
}
