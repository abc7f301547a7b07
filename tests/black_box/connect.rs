//! The subscription at Akeneo, made and kept as the variables say, against a management API that is simulated.

use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue};
use simulator::deliveries::{Delivery, Format, Plan, Secrets};
use simulator::event_platform::EventPlatform;
use simulator::fault::Fault;
use simulator::server::Server;
use simulator::times::now_ms;
use std::net::TcpListener;
use std::sync::Arc;
use tempfile::TempDir;
use tests::application::{ADMIN_TOKEN, Application, Setup};
use tests::client::{Answer, bearer};
use tests::world::{NOTIFICATION_SECRET, PLATFORM_SECRET, World};

pub(crate) const NEW_SECRET: &str = "another-secret-of-the-subscription";

/// A PIM and Akeneo's platform beside it.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) platform: Server<EventPlatform>,
}

impl Scene {
    pub(crate) async fn begin() -> Scene {
        let world = World::start(Catalogue::generate(10, 2, 5)).await.unwrap();
        let client_id = world.pim.with(|pim| pim.config.client_id.clone());
        let platform = EventPlatform::new(&world.pim.url(), &client_id);
        Scene {
            platform: Server::start(platform, "127.0.0.1:0".parse().unwrap()).await.unwrap(),
            world,
        }
    }

    /// The setup of an application at an address that Akeneo comes to.
    pub(crate) fn setup(&self, address: &str) -> Setup {
        self.world
            .setup()
            .with("public_url", &format!("http://{address}"))
            .with("event_platform_url", &self.platform.url())
    }

    /// The products that the destination does not have as they are; no delivery told of any other kind.
    pub(crate) fn missing_products(&self) -> Vec<String> {
        let differences = self.world.differences().into_iter();
        let told = differences.map(|difference| format!("{difference:?}"));
        told.filter(|told| told.contains("/products/")).collect()
    }

    pub(crate) async fn application(&self) -> Application {
        let address = free_address();
        Application::start_at(&address, state(), self.setup(&address))
            .await
            .unwrap()
    }

    /// The one subscription that is there.
    pub(crate) fn subscription(&self) -> Value {
        self.platform.with(|platform| {
            assert_eq!((platform.subscribers.len(), platform.subscriptions.len()), (1, 1));
            platform.subscriptions.values().next().cloned().unwrap()
        })
    }

    fn changes(&self) -> usize {
        self.platform.with(|platform| platform.changes())
    }

    /// A delivery as Akeneo would sign it now.
    fn delivery(&self, seed: u64) -> Delivery {
        self.signed(&self.subscription()["config"]["secret"], seed)
    }

    /// A delivery signed with these secrets.
    pub(crate) fn signed(&self, secrets: &Value, seed: u64) -> Delivery {
        let text = |name: &str| secrets[name].as_str().map(str::to_owned);
        let products = self.world.products();
        let product = &products[seed as usize % products.len()];
        let changes = self.world.edit(product, Action::Touch).unwrap();
        let secrets = Secrets {
            primary: text("primary").unwrap(),
            secondary: text("secondary"),
        };
        let plan = Plan::new(Format::EventPlatform(secrets), now_ms() / 1000, seed);
        plan.deliveries(&changes).remove(0)
    }
}

pub(crate) fn state() -> Arc<TempDir> {
    Arc::new(TempDir::new().unwrap())
}

/// An address that nobody listens at yet.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub(crate) async fn ask(application: &Application, body: Value) -> Answer {
    let path = "/admin/connect?wait_seconds=20";
    let answer = application
        .request(Method::POST, path, &[bearer(ADMIN_TOKEN)], body.to_string())
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer
}

/// Connects, and gives what was done.
pub(crate) async fn connect(application: &Application) -> Vec<String> {
    let answer = ask(application, json!({ "do": "connect", "email": "ops@example.com" })).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let done = answer.json()["done"].as_array().unwrap().clone();
    done.iter().map(|step| step.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn connecting_makes_both_and_a_second_time_changes_nothing() {
    let scene = Scene::begin().await;
    // Somebody else's, of another name, is nobody's business.
    let foreign = json!({ "id": "f1", "name": "translations", "status": "active", "subject": scene.world.pim.url() });
    scene
        .platform
        .with(|platform| platform.subscribers.insert("f1".to_owned(), foreign.clone()));
    let application = scene.application().await;

    let shown = ask(&application, json!({})).await.json();
    assert_eq!(shown["would"], json!(["make the subscriber", "make the subscription"]));
    assert_eq!(scene.changes(), 0);
    let stale = json!({ "do": "connect", "email": "ops@example.com", "seen": ["make the subscription"] });
    let stale = ask(&application, stale).await;
    assert_eq!((stale.status.as_u16(), scene.changes()), (502, 0));
    assert!(
        stale.json()["detail"]
            .as_str()
            .unwrap()
            .contains("something else by now"),
        "{:?}",
        stale.body
    );
    let without = ask(&application, json!({ "do": "connect" })).await;
    assert_eq!(without.status, 502);
    assert!(
        without.json()["detail"].as_str().unwrap().contains("`email`"),
        "{:?}",
        without.body
    );

    assert_eq!(
        connect(&application).await,
        ["make the subscriber", "make the subscription"]
    );
    assert_eq!(
        scene.platform.with(|platform| platform.subscribers.remove("f1")),
        Some(foreign)
    );
    let made = scene.subscription();
    let public = application.url.clone();
    assert_eq!(
        made["config"]["url"],
        json!(format!("{public}/webhooks/akeneo/event-platform"))
    );
    assert_eq!(made["config"]["secret"], json!({ "primary": PLATFORM_SECRET }));
    let expected: Vec<String> = ["product", "product-model"]
        .iter()
        .flat_map(|noun| ["created", "deleted", "updated.delta"].map(|what| format!("com.akeneo.pim.v1.{noun}.{what}")))
        .collect();
    let mut events: Vec<String> = serde_json::from_value(made["events"].clone()).unwrap();
    events.sort();
    let mut expected = expected;
    expected.sort();
    assert_eq!(events, expected);
    let contact = scene
        .platform
        .with(|platform| platform.subscribers.values().next().unwrap()["contact"].clone());
    assert_eq!(
        contact["notification_webhook_url"],
        json!(format!("{public}/webhooks/akeneo/notifications"))
    );
    assert_eq!(contact["notification_webhook_secret"], NOTIFICATION_SECRET);

    let changes = scene.changes();
    assert_eq!(connect(&application).await, Vec::<String>::new());
    let again = ask(&application, json!({ "do": "connect" })).await.json();
    assert_eq!((again["done"].clone(), scene.changes()), (json!([]), changes));
    assert_eq!(application.deliver(&scene.delivery(1)).await.unwrap().status, 200);
    // The event that proved the address led to nothing.
    application.tick_until_idle().await.unwrap();
    assert_eq!(scene.world.pushes("PUT"), 1);
    let journal = application
        .request(Method::GET, "/admin/journal", &[bearer(ADMIN_TOKEN)], "")
        .await
        .unwrap();
    assert!(journal.json().to_string().contains("connect to the Event Platform"));
}

/// The new secret is set beside the old one, Akeneo is told of both, and later of the new one alone: whatever it signs with
/// in between is taken. What would have deliveries refused is not done, unless somebody insists.
#[tokio::test]
async fn a_secret_is_changed_under_deliveries_and_none_is_refused() {
    let scene = Scene::begin().await;
    let address = free_address();
    let mut application = Application::start_at(&address, state(), scene.setup(&address))
        .await
        .unwrap();
    connect(&application).await;
    let one = scene.setup(&address).with("event_platform_secret", NEW_SECRET);
    let both = one.clone().with("event_platform_secret_previous", PLATFORM_SECRET);
    let before = json!({ "primary": PLATFORM_SECRET });
    let changing = json!({ "primary": NEW_SECRET, "secondary": PLATFORM_SECRET });
    let after = json!({ "primary": NEW_SECRET });
    for (number, (setup, says, secrets)) in [
        (one.clone(), Some("in neither variable"), before),
        (both, None, changing.clone()),
        (one, Some("for 60 minutes more"), changing),
    ]
    .into_iter()
    .enumerate()
    {
        let (state, _) = application.kill().await.unwrap();
        application = Application::start_at(&address, state, setup).await.unwrap();
        let answer = ask(&application, json!({ "do": "connect" })).await;
        match says {
            Some(says) => {
                assert_eq!(answer.status, 502);
                assert!(
                    answer.json()["detail"].as_str().unwrap().contains(says),
                    "{:?}",
                    answer.body
                );
            }
            None => assert_eq!(answer.json()["done"].as_array().unwrap().len(), 1),
        }
        assert_eq!(scene.subscription()["config"]["secret"], secrets);
        if says.is_none() {
            let delivery = scene.delivery(number as u64);
            assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
            assert_eq!(connect(&application).await, Vec::<String>::new());
        }
    }
    ask(&application, json!({ "do": "connect", "force": true })).await;
    assert_eq!(scene.subscription()["config"]["secret"], after);
    assert_eq!(connect(&application).await, Vec::<String>::new());
    assert_eq!(application.deliver(&scene.delivery(9)).await.unwrap().status, 200);
}

/// Two relays on one connection, and a subscription that somebody made by hand.
#[tokio::test]
async fn each_relay_keeps_its_own_and_takes_what_delivers_to_it() {
    let scene = Scene::begin().await;
    let (production, staging) = (scene.application().await, scene.application().await);
    for application in [&production, &staging] {
        assert_eq!(connect(application).await.len(), 2);
    }
    for application in [&production, &staging] {
        assert_eq!(connect(application).await, Vec::<String>::new());
    }
    ask(&staging, json!({ "do": "remove" })).await;
    let left = scene.subscription();
    assert_eq!(
        left["config"]["url"],
        json!(format!("{}/webhooks/akeneo/event-platform", production.url))
    );

    // By hand, under another name, with a slash at the end and a filter: it is this relay's all the same.
    let subscriber = left["subscriber_id"].as_str().unwrap().to_owned();
    scene.platform.with(|platform| {
        platform.subscribers.get_mut(&subscriber).unwrap()["name"] = json!("made by hand");
        let known = platform.subscriptions.values_mut().next().unwrap();
        known["config"]["url"] = json!(format!("{}/webhooks/akeneo/event-platform/", production.url));
        known["filter"] = json!("not user_type=\"api\"");
    });
    let (address, _) = (
        production.url.trim_start_matches("http://").to_owned(),
        production.kill().await.unwrap(),
    );
    let again = Application::start_at(&address, state(), scene.setup(&address))
        .await
        .unwrap();
    assert_eq!(connect(&again).await.len(), 2);
    assert_eq!(scene.subscription()["filter"], "not user_type=\"api\"");
    let shown = ask(&again, json!({})).await.json();
    assert_eq!(shown["would"], json!([]));
    assert!(shown["warnings"].to_string().contains("dropped in silence"), "{shown}");
}

/// Types of events by the shape: a product inherits from models that are not sent themselves.
#[tokio::test]
async fn the_types_of_events_follow_from_the_shape() {
    let scene = Scene::begin().await;
    let address = free_address();
    let shape = r#"{
        "products": { "selection": { "categories": ["master"],
            "completeness": { "channel": "ecommerce", "locale": "en_US", "at_least": 1 } } },
        "product-models": false
    }"#;
    let setup = scene.setup(&address).with("shape", shape);
    let application = Application::start_at(&address, state(), setup).await.unwrap();
    connect(&application).await;
    let events = scene.subscription()["events"].to_string();
    for wanted in [
        "product.created",
        "product-model.updated.delta",
        "category.updated",
        "product.became-incomplete",
    ] {
        assert!(
            events.contains(&format!("com.akeneo.pim.v1.{wanted}\"")),
            "{wanted}: {events}"
        );
    }
    assert!(!events.contains("attribute"), "{events}");
}

#[tokio::test]
async fn another_address_is_told_while_the_old_one_goes_on_answering() {
    let scene = Scene::begin().await;
    let old = scene.application().await;
    connect(&old).await;
    let address = free_address();
    let new = Application::start_at(&address, old.state(), scene.setup(&address))
        .await
        .unwrap();
    let done = connect(&new).await;
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(
        done[1].contains(&format!("events go to http://{address}/webhooks/akeneo/event-platform")),
        "{done:?}"
    );
    assert_eq!(
        scene.subscription()["config"]["url"],
        json!(format!("http://{address}/webhooks/akeneo/event-platform"))
    );
    for application in [&old, &new] {
        assert_eq!(application.deliver(&scene.delivery(7)).await.unwrap().status, 200);
    }
    assert_eq!(connect(&new).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_suspended_is_resumed_and_what_is_removed_is_gone() {
    let scene = Scene::begin().await;
    let application = scene.application().await;
    connect(&application).await;
    assert_eq!(
        ask(&application, json!({ "do": "resume" })).await.json()["done"],
        json!([])
    );
    scene.platform.with(|platform| {
        platform
            .subscriptions
            .values_mut()
            .for_each(|known| known["status"] = json!("suspended"));
    });
    assert_eq!(
        ask(&application, json!({})).await.json()["subscription"]["status"],
        "suspended"
    );
    let done = ask(&application, json!({ "do": "resume" })).await.json()["done"].clone();
    assert_eq!(
        (done, &scene.subscription()["status"]),
        (json!(["resume the subscription"]), &json!("active"))
    );

    let done = ask(&application, json!({ "do": "remove" })).await.json()["done"].clone();
    assert_eq!(done, json!(["delete the subscription", "delete the subscriber"]));
    assert!(
        scene
            .platform
            .with(|platform| platform.subscribers.is_empty() && platform.subscriptions.is_empty())
    );
    assert_eq!(
        ask(&application, json!({ "do": "remove" })).await.json()["done"],
        json!([])
    );
    assert_eq!(connect(&application).await.len(), 2, "and again");
}

/// Nobody knows whether a call that was cut off had its effect: the next run finds out, and makes nothing twice.
#[tokio::test]
async fn cut_off_at_any_call_the_next_run_mends_it() {
    let scene = Scene::begin().await;
    let mut application = scene.application().await;
    let address = application.url.trim_start_matches("http://").to_owned();
    connect(&application).await;
    let calls = scene.platform.with(|platform| platform.calls.len());
    assert!(calls >= 3);
    for number in 0..calls {
        for has_effect in [false, true] {
            application.kill().await.unwrap();
            scene.platform.with(|platform| {
                *platform = EventPlatform::new(&platform.pim_url, &platform.client_id);
                platform.cut = Some((number, has_effect));
            });
            application = Application::start_at(&address, state(), scene.setup(&address))
                .await
                .unwrap();
            let cut = ask(&application, json!({ "do": "connect", "email": "ops@example.com" })).await;
            assert_eq!(cut.status, 502, "{number}: {:?}", cut.body);
            connect(&application).await;
            assert_eq!(
                scene.subscription()["config"]["secret"],
                json!({ "primary": PLATFORM_SECRET }),
                "{number}"
            );
            assert_eq!(connect(&application).await, Vec::<String>::new(), "{number}");
        }
    }
}

/// Akeneo would suspend a subscription whose address does not take what it signs.
#[tokio::test]
async fn nothing_is_told_before_the_address_takes_what_is_signed() {
    let scene = Scene::begin().await;
    let address = free_address();
    // Another relay, which does not know the secret.
    let other = scene.world.setup().with("event_platform_secret", NEW_SECRET);
    let _other = Application::start_at(&address, state(), other).await.unwrap();
    let application = Application::start(scene.setup(&address)).await.unwrap();
    let answer = ask(&application, json!({ "do": "connect", "email": "ops@example.com" })).await;
    assert_eq!((answer.status.as_u16(), scene.changes()), (502, 0));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("401") && detail.contains("Akeneo was told nothing"),
        "{detail}"
    );
}

#[tokio::test]
async fn what_is_missing_or_refused_is_told_with_what_to_do() {
    let scene = Scene::begin().await;
    let address = free_address();
    for (name, says) in [
        ("event_platform_url", "event.prd.sdk"),
        ("public_url", "relay.example.com"),
        ("event_platform_secret", "secret"),
    ] {
        let value = if name == "event_platform_secret" {
            ""
        } else {
            "https://unset.invalid"
        };
        let application = Application::start(scene.setup(&address).with(name, value))
            .await
            .unwrap();
        let answer = ask(&application, json!({})).await;
        assert_eq!(answer.status, 409);
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(says),
            "{:?}",
            answer.body
        );
    }
    let open = scene.setup(&address).with("public_url", "http://relay.example.com");
    let answer = ask(&Application::start(open).await.unwrap(), json!({})).await;
    assert_eq!(answer.status, 409);
    assert!(answer.json()["detail"].as_str().unwrap().contains("https alone"));
    let application = scene.application().await;
    for body in [
        r#"{"do":"connect","filter":"not not not not not not not not not not not user=\"a\""}"#,
        r#"{"do":"connect","filter":1}"#,
        r#"{"do":"everything"}"#,
        r#"{"url":"x"}"#,
        "{",
    ] {
        let answer = application
            .request(Method::POST, "/admin/connect", &[bearer(ADMIN_TOKEN)], body)
            .await
            .unwrap();
        assert_eq!(answer.status, 400, "{body}");
    }
    scene
        .platform
        .with(|platform| platform.client_id = "another".to_owned());
    let refused = ask(&application, json!({})).await;
    assert_eq!(refused.status, 502);
    assert!(
        refused.json()["detail"].as_str().unwrap().contains("pim_client_id"),
        "{:?}",
        refused.body
    );
    scene
        .world
        .pim
        .with(|pim| pim.faults.add(Fault::always(Fault::status(422)).path("/api/oauth")));
    let (answer, secrets) = (ask(&application, json!({})).await, scene.world.setup());
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    for name in [
        "pim_client_secret",
        "pim_password",
        "event_platform_secret",
        "notification_secret",
    ] {
        assert!(!told.contains(secrets.variable(name)), "{name}");
    }
}

#[tokio::test]
async fn a_secret_is_made_and_kept_nowhere() {
    let scene = Scene::begin().await;
    let application = scene.application().await;
    let made = ask(&application, json!({ "do": "secret" })).await.json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = ask(&application, json!({ "do": "secret" })).await.json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(made.len() == 64 && made.chars().all(|c| c.is_ascii_hexdigit()) && made != other);
    connect(&application).await;
    let state = application.state();
    let secrets = [made.as_str(), PLATFORM_SECRET, NOTIFICATION_SECRET];
    drop(application);
    let mut folders = vec![state.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(
                secrets.iter().all(|secret| !content.contains(secret)),
                "{}",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn only_the_administration_may_connect() {
    let scene = Scene::begin().await;
    let application = Application::start(scene.world.setup().with("read_token", "reads"))
        .await
        .unwrap();
    for (headers, expected) in [
        (vec![], 401),
        (vec![bearer("wrong")], 401),
        (vec![bearer("reads")], 403),
    ] {
        let answer = application
            .request(Method::POST, "/admin/connect", &headers, "{}")
            .await
            .unwrap();
        assert_eq!(answer.status, expected);
    }
    assert_eq!(scene.platform.with(|platform| platform.calls.len()), 0);
}
