//! The documents of `shapes/`, each against a small destination that answers as the system's documentation says: made,
//! changed, known already, missing, refused, throttled, deleted or archived.
//!
//! Every answer names its source. What these destinations check of a request is what the system would refuse.

mod cms;
mod erps;
mod held;
mod search;
mod shops;
mod stores;

use crate::admin::dead_letters;
use bytes::Bytes;
use held::Held;
use http::{HeaderMap, Method, Request, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::control::Controlled;
use simulator::fault::Reply;
use simulator::server::{Server, Upstream};
use std::collections::BTreeSet;
use tests::application::{Application, Setup, root};
use tests::world::{World, deliver_all, platform_deliveries};

/// What a system answers, and where its documentation says so.
struct Answer(u16, Value, &'static str);

/// A system: its document, and what it answers.
struct System {
    name: &'static str,
    /// The header with the token, and what it holds.
    login: (&'static str, &'static str),
    /// What people put into the variable with the token.
    token: &'static str,
    /// Where a token is had, for those whose document has a `login`.
    endpoint: Option<&'static str>,
    /// What it takes for the type of a body.
    media_types: &'static [&'static str],
    answer: fn(&mut Held, &Asked) -> Answer,
    /// The product that a request writes; none for one that looks something up.
    writes: fn(&Held, &Asked) -> Option<String>,
    /// What it answers when it is called too often.
    throttled: fn() -> Answer,
    /// Headers of that answer.
    limits: &'static [(&'static str, &'static str)],
    /// What it answers to what it does not take.
    refused: fn() -> Answer,
    /// What people read of that.
    reason: &'static str,
    /// Whether it says by a 400 that it has a product already, or has none.
    tells_by_400: bool,
}

/// What most systems have in common: a token as a bearer, and the PIM's names of products in what writes to them.
const PLAIN: System = System {
    name: "",
    login: ("authorization", "Bearer secret"),
    token: "secret",
    endpoint: None,
    media_types: &["application/json"],
    answer: |_, _| Answer(404, Value::Null, ""),
    writes: |held, asked| {
        let is_read = [Method::GET, Method::DELETE].contains(&asked.method);
        held.named(&asked.path, &asked.body.to_string()).filter(|_| !is_read)
    },
    throttled: || Answer(429, json!({ "message": "Too Many Requests" }), "RFC 6585, section 4"),
    limits: &[],
    refused: || Answer(400, Value::Null, ""),
    reason: "",
    tells_by_400: false,
};

const SYSTEMS: [&System; 26] = [
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
    &shops::OROCOMMERCE,
    &shops::PRESTASHOP,
];

/// A request, read.
struct Asked {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Value,
}

impl Asked {
    /// The last part of the path behind this beginning.
    fn behind(&self, beginning: &str) -> Option<String> {
        let name = self.path.strip_prefix(beginning)?.strip_prefix('/')?;
        Some(decoded(name))
    }

    /// The value of a parameter.
    fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(known, _)| decoded(known) == name).map(|(_, value)| value);
        value.map(decoded)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A UUID with its dashes.
fn dashed(hex: &str) -> String {
    hex.parse::<uuid::Uuid>()
        .map(|uuid| uuid.hyphenated().to_string())
        .unwrap_or_default()
}

struct Destination {
    system: &'static System,
    held: Held,
    /// How many calls are throttled from now on.
    throttles: usize,
    /// What writes to this is refused.
    refuses: Option<String>,
    asked: Vec<String>,
    /// What was wrong with a request.
    wrong: Vec<String>,
}

impl Controlled for Destination {
    fn control(&mut self, _: &Method, _: &str, _: Value, _: u64) -> anyhow::Result<Option<Value>> {
        Ok(None)
    }
}

impl Destination {
    fn of(system: &'static System) -> Destination {
        Destination {
            system,
            held: Held::default(),
            throttles: 0,
            refuses: None,
            asked: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// RFC 6749, sections 4.4.2 and 5.1.
    fn token(&mut self, form: &[u8]) -> Reply {
        let form = String::from_utf8_lossy(form).into_owned();
        if !form.starts_with("grant_type=client_credentials&client_id=id&client_secret=key") {
            self.wrong.push(format!("the login is {form}"));
        }
        let token = json!({ "access_token": "secret", "token_type": "Bearer" }).to_string();
        Reply::now(Response::new(Bytes::from(token)))
    }

    /// What every system would refuse.
    fn check(&mut self, asked: &Asked, body: &[u8]) {
        let (name, value) = self.system.login;
        if asked.header(name) != Some(value) {
            self.wrong.push(format!("the login is {:?}", asked.header(name)));
        }
        let media_type = asked.header("content-type").unwrap_or_default();
        if !body.is_empty() && !self.system.media_types.contains(&media_type) {
            self.wrong.push(format!("a body of type {media_type:?}"));
        }
    }

    /// What is answered, and with which headers.
    fn answer(&mut self, asked: &Asked) -> (Answer, &'static [(&'static str, &'static str)]) {
        let system = self.system;
        if self.throttles > 0 {
            self.throttles -= 1;
            return ((system.throttled)(), system.limits);
        }
        let is_refused = self.refuses.is_some() && (system.writes)(&self.held, asked) == self.refuses;
        let answer = match is_refused {
            true => (system.refused)(),
            false => (system.answer)(&mut self.held, asked),
        };
        (answer, &[])
    }
}

/// Whether an answer says where it comes from: a site, a repository or a document of the IETF, and what in it.
fn is_source(source: &str) -> bool {
    let is_page = source.contains('.') && source.split('/').count() > 2;
    let (place, what) = source.split_once([':', ',']).unwrap_or_default();
    let is_place = place.contains(['/', '.']) || place.starts_with("RFC ");
    is_page || (is_place && !what.trim().is_empty())
}

impl Upstream for Destination {
    fn handle(&mut self, request: &Request<Bytes>, _now_ms: u64) -> Reply {
        if self.system.endpoint == Some(request.uri().path()) {
            return self.token(request.body());
        }
        let asked = Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
        };
        self.check(&asked, request.body());
        let (Answer(status, body, source), headers) = self.answer(&asked);
        if !is_source(source) {
            self.wrong
                .push(format!("an answer of {status} without a source: {source:?}"));
        }
        self.asked.push(format!("{} {} {status}", asked.method, asked.path));
        if status == 400 && self.refuses.is_none() && !self.system.tells_by_400 {
            self.wrong.push(format!("{} {}: {body}", asked.method, asked.path));
        }
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let response = Response::builder().status(status);
        let response = headers
            .iter()
            .fold(response, |response, (name, value)| response.header(*name, *value));
        Reply::now(response.body(body).unwrap())
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _now_ms: u64) {}
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("shapes/{name}.json"))).unwrap()
}

fn setup(world: &World, url: &str, system: &System) -> Setup {
    let setup = world.setup().with("destination_url", url);
    let setup = match system.endpoint {
        Some(_) => {
            let setup = setup.with("destination_token", "");
            setup.with("login_id", "id").with("login_secret", "key")
        }
        None => setup.with("destination_token", system.token),
    };
    setup.with("shape", &document(system.name))
}

/// A system, and the application that speaks to it.
struct Play {
    system: &'static System,
    world: World,
    destination: Server<Destination>,
    application: Application,
    products: Vec<EntityId>,
}

impl Play {
    async fn begin(system: &'static System) -> Play {
        let world = World::start(Catalogue::generate(6, 0, 11)).await.unwrap();
        let destination = Server::start(Destination::of(system), "127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let application = Application::start(setup(&world, &destination.url(), system))
            .await
            .unwrap();
        let products = world.products();
        Play {
            system,
            world,
            destination,
            application,
            products,
        }
    }

    /// The application's store is lost.
    async fn lose_the_store(&mut self) {
        let setup = setup(&self.world, &self.destination.url(), self.system);
        self.application = Application::start(setup).await.unwrap();
    }

    /// What is in sight: the products, each as often as it is held, and what they are called.
    fn in_sight(&self) -> Vec<(String, String)> {
        self.destination.with(|destination| destination.held.in_sight())
    }

    /// Whether all products are in sight, each once.
    fn is_whole(&self) -> bool {
        let mut keys: Vec<String> = self.products.iter().map(EntityId::key).collect();
        keys.sort();
        self.in_sight().into_iter().map(|(uuid, _)| uuid).eq(keys)
    }

    /// What was sent of a product last.
    fn content(&self, at: usize) -> Option<Value> {
        let key = self.products[at].key();
        self.destination
            .with(|destination| Some(destination.held.of(&key)?.body.clone()))
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        if self.application.until(holds).await.is_err() {
            let asked = self.destination.with(|destination| destination.asked.clone());
            panic!("{}: {what}: {asked:?}", self.system.name);
        }
    }

    /// The PIM changes these.
    async fn touch(&self, products: std::ops::Range<usize>, seed: u64) {
        let products = &self.products[products];
        self.world.touch(&self.application, products, seed).await.unwrap();
    }

    /// The PIM changes these, and the first of them is not what it was.
    async fn change(&self, products: std::ops::Range<usize>, seed: u64, what: &str) {
        let (first, before) = (products.start, self.content(products.start));
        self.touch(products, seed).await;
        self.until(what, || self.content(first) != before).await;
        self.application.tick_until_idle().await.unwrap();
    }

    async fn assert_no_dead_letter(&self, what: &str) {
        let letters = dead_letters(&self.application).await;
        assert_eq!(letters, Vec::<Value>::new(), "{}: {what}", self.system.name);
    }

    async fn make(&self) {
        self.touch(0..6, 1).await;
        self.until("made", || self.is_whole()).await;
    }

    /// Somebody else writes there as well, so that versions are not what they were, and takes one out.
    async fn meddle(&self) {
        self.destination.with(|destination| destination.held.touch());
        self.change(0..6, 2, "changed").await;
        let key = self.products[1].key();
        self.destination.with(|destination| destination.held.remove(&key));
        self.touch(1..2, 3).await;
        self.until("missing", || self.is_whole()).await;
        self.application.tick_until_idle().await.unwrap();
    }

    /// Nothing is made a second time, although the index knows of nothing.
    async fn adopt(&mut self) {
        let known = self.in_sight();
        self.lose_the_store().await;
        self.change(0..6, 4, "known already").await;
        self.assert_no_dead_letter("what is there is taken on").await;
        assert_eq!(self.in_sight(), known, "{}", self.system.name);
    }

    async fn throttle(&self) {
        self.destination.with(|destination| destination.throttles = 1);
        self.change(3..4, 5, "throttled").await;
        self.assert_no_dead_letter("being busy is no refusal").await;
    }

    /// One is refused, which is told in the system's own words, and the other is not held up.
    async fn refuse(&self) {
        let refused = self.products[4].key();
        self.destination
            .with(|destination| destination.refuses = Some(refused.clone()));
        let before = self.content(4);
        self.touch(4..6, 6).await;
        let mut letters = Vec::new();
        for _ in 0..100 {
            self.application.tick().await.unwrap();
            letters = dead_letters(&self.application).await;
            if !letters.is_empty() {
                break;
            }
        }
        let name = self.system.name;
        let said: Vec<String> = letters.iter().map(|letter| text(&letter["reason"])).collect();
        assert!(
            matches!(&said[..], [said] if said.contains(self.system.reason)),
            "{name}: {said:?}"
        );
        assert_eq!(self.content(4), before, "{name}");
        self.destination.with(|destination| destination.refuses = None);
    }

    /// The PIM deletes one that somebody else has taken out already, which is as well.
    async fn delete_what_is_gone(&self, at: usize, seed: u64) {
        let key = self.products[at].key();
        let asked = |destination: &mut Destination| {
            destination.held.remove(&key);
            destination.asked.len()
        };
        let before = self.destination.with(asked);
        self.send_deletion(at, seed).await;
        self.until("asked", || self.destination.with(asked) > before).await;
        self.application.tick_until_idle().await.unwrap();
        let letters = dead_letters(&self.application).await;
        let (name, is_of_another) = (self.system.name, |letter: &Value| letter["code"] != key);
        assert!(letters.iter().all(is_of_another), "{name}: {letters:?}");
        assert!(self.in_sight().iter().all(|(uuid, _)| *uuid != key), "{name}");
    }

    async fn send_deletion(&self, at: usize, seed: u64) {
        let gone = self.world.edit(&self.products[at], Action::Delete).unwrap();
        let deliveries = platform_deliveries(&gone, seed);
        deliver_all(&self.application, &deliveries).await.unwrap();
    }

    /// The PIM deletes one, which is out of sight then, and no other.
    async fn delete(&self, at: usize, seed: u64) {
        let key = self.products[at].key();
        let mut left = self.in_sight();
        left.retain(|(uuid, _)| *uuid != key);
        self.send_deletion(at, seed).await;
        self.until("gone", || self.in_sight() == left).await;
    }
}

async fn play(system: &'static System) {
    let mut play = Play::begin(system).await;
    play.make().await;
    play.meddle().await;
    play.adopt().await;
    play.throttle().await;
    play.refuse().await;
    play.delete(5, 7).await;
    play.delete_what_is_gone(3, 9).await;
    // What is deleted now is known by its UUID alone.
    play.lose_the_store().await;
    play.delete(0, 8).await;
    let (wrong, asked) = play
        .destination
        .with(|destination| (destination.wrong.clone(), destination.asked.clone()));
    assert_eq!(wrong, Vec::<String>::new(), "{}: {asked:?}", system.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_system_is_spoken_to_as_its_documentation_says() {
    for systems in SYSTEMS.chunks(7) {
        futures_util::future::join_all(systems.iter().map(|system| play(system))).await;
    }
}

/// The check itself can fail.
#[test]
fn an_answer_without_a_source_is_told() {
    let request = Request::get("/any").header("authorization", "Bearer secret");
    let mut destination = Destination::of(&PLAIN);
    destination.handle(&request.body(Bytes::new()).unwrap(), 0);
    assert_eq!(destination.wrong, ["an answer of 404 without a source: \"\""]);
    assert!(is_source("RFC 6585, section 4") && is_source("owner/name: a/file.md"));
    assert!(!is_source("owner/name") && !is_source("e.g.") && !is_source("by heart, mostly"));
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
        let document = document(&name);
        shape::Shape::read(&document).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        let about: Value = serde_json::from_str(&document).unwrap();
        assert!(about["about"].as_str().unwrap().len() > 50, "{name}");
    }
}
