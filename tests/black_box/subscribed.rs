//! The subscription under deliveries that do not stop, changed by an application that is killed at any call, and ended by
//! Akeneo or by people; and the command that asks for all that.

use crate::connect::{NEW_SECRET, Scene, ask, connect, free_address, state};
use crate::preflight::run;
use http::Method;
use serde_json::{Value, json};
use simulator::deliveries::Delivery;
use simulator::event_platform::EventPlatform;
use simulator::times::now_ms;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tests::application::{ADMIN_TOKEN, Application, Setup};
use tests::client::{self, bearer};
use tests::store::Store;
use tests::world::PLATFORM_SECRET;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The time between two deliveries.
const EVERY: Duration = Duration::from_millis(20);

/// Deliveries that go on, by whatever acts at Akeneo, until nothing does or they are ended.
struct Deliveries {
    scene: Arc<Scene>,
    id: String,
    sent: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    sending: JoinHandle<BTreeSet<u16>>,
}

impl Deliveries {
    fn begin(scene: &Arc<Scene>) -> Deliveries {
        let id = scene.subscription()["id"].as_str().unwrap().to_owned();
        let (sent, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let sending = tokio::spawn(send(scene.clone(), id.clone(), sent.clone(), is_over.clone()));
        Deliveries {
            scene: scene.clone(),
            id,
            sent,
            is_over,
            sending,
        }
    }

    /// Waits for thirty more.
    async fn go_on(&self) {
        let before = self.sent.load(Ordering::Relaxed);
        while self.sent.load(Ordering::Relaxed) < before + 30 {
            assert!(!self.sending.is_finished(), "no delivery is sent any more");
            sleep(EVERY).await;
        }
    }

    /// Waits until deliveries go by what this holds of.
    async fn go_by(&self, holds: impl Fn(&Value) -> bool) {
        let acts = || {
            let platform = &self.scene.platform;
            platform.with(|platform| {
                platform
                    .acting(&self.id, now_ms())
                    .is_some_and(|acting| holds(&acting["config"]))
            })
        };
        while !acts() {
            sleep(EVERY).await;
        }
    }

    /// Ends them; gives all statuses.
    async fn end(self) -> BTreeSet<u16> {
        self.is_over.store(true, Ordering::Relaxed);
        self.sending.await.unwrap()
    }
}

/// Sends until it is told to stop, or no subscription acts; what was not taken is sent again before anything else, for the
/// Event Platform does not know either with which secret it will be signed by then.
async fn send(scene: Arc<Scene>, id: String, sent: Arc<AtomicUsize>, is_over: Arc<AtomicBool>) -> BTreeSet<u16> {
    let (mut again, mut statuses): (Option<Delivery>, _) = (None, BTreeSet::new());
    for seed in 0u64.. {
        sleep(EVERY).await;
        let acting = scene.platform.with(|platform| platform.acting(&id, now_ms()).cloned());
        let Some(acting) = acting.filter(|_| again.is_some() || !is_over.load(Ordering::Relaxed)) else {
            break;
        };
        let url = acting["config"]["url"].as_str().unwrap();
        let sign = || scene.signed(&acting["config"]["secret"], seed);
        let delivery = again.take().unwrap_or_else(sign);
        let answer = client::request(Method::POST, url, &delivery.headers, delivery.body.clone()).await;
        // For a relay that is down the proxies of `deploy/` answer this.
        let status = answer.map_or(429, |answer| answer.status.as_u16());
        scene.platform.with(|platform| platform.answered(&id, status, now_ms()));
        statuses.insert(status);
        match status {
            200 => drop(sent.fetch_add(1, Ordering::Relaxed)),
            _ => again = Some(delivery),
        }
    }
    statuses
}

/// A change takes half a second to act here, and the deliveries before and after it are signed otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_go_on_while_the_secret_is_changed_and_none_is_refused() {
    let scene = Arc::new(Scene::begin().await);
    let address = free_address();
    let mut application = Application::start_at(&address, state(), scene.setup(&address))
        .await
        .unwrap();
    connect(&application).await;
    scene.platform.with(|platform| platform.delay_ms = 500);
    let deliveries = Deliveries::begin(&scene);
    deliveries.go_on().await;
    let one = scene.setup(&address).with("event_platform_secret", NEW_SECRET);
    let both = one.clone().with("event_platform_secret_previous", PLATFORM_SECRET);
    let changing = json!({ "primary": NEW_SECRET, "secondary": PLATFORM_SECRET });
    for (setup, secrets) in [(both, changing), (one, json!({ "primary": NEW_SECRET }))] {
        let (state, _) = application.kill().await.unwrap();
        application = Application::start_at(&address, state, setup).await.unwrap();
        deliveries.go_on().await;
        let done = ask(&application, json!({ "do": "connect", "force": true }))
            .await
            .json()["done"]
            .clone();
        assert_eq!(done.as_array().unwrap().len(), 1, "{done}");
        deliveries.go_by(|config| config["secret"] == secrets).await;
        deliveries.go_on().await;
    }
    let statuses = deliveries.end().await;
    assert!(statuses.is_subset(&[200, 429].into()), "{statuses:?}");
    assert_eq!(scene.subscription()["status"], "active");
    application.tick_until_idle().await.unwrap();
    assert_eq!(scene.missing_products(), Vec::<String>::new());
}

/// Both addresses answer until deliveries go to the new one alone; after a removal some come late.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_go_on_while_the_address_is_changed_and_nothing_is_suspended() {
    let scene = Arc::new(Scene::begin().await);
    let old = scene.application().await;
    connect(&old).await;
    scene.platform.with(|platform| platform.delay_ms = 500);
    let deliveries = Deliveries::begin(&scene);
    deliveries.go_on().await;
    let address = free_address();
    let new = Application::start_at(&address, old.state(), scene.setup(&address))
        .await
        .unwrap();
    assert_eq!(connect(&new).await.len(), 2);
    let is_new = |config: &Value| config["url"].as_str().unwrap().contains(&address);
    deliveries.go_by(is_new).await;
    // One may be under way to the old address still.
    deliveries.go_on().await;
    old.kill().await.unwrap();
    deliveries.go_on().await;
    assert_eq!(scene.subscription()["status"], "active");
    let done = ask(&new, json!({ "do": "remove" })).await.json()["done"].clone();
    assert_eq!(done.as_array().unwrap().len(), 2, "{done}");
    let statuses = deliveries.sending.await.unwrap();
    assert_eq!(statuses, [200].into());
    new.tick_until_idle().await.unwrap();
    assert_eq!(scene.missing_products(), Vec::<String>::new());
}

/// A copy of a store that nobody works on.
fn copied(state: &Path) -> Arc<TempDir> {
    let copy = TempDir::new().unwrap();
    for file in std::fs::read_dir(state).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("sqlite_key_value.db") {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    Arc::new(copy)
}

/// What is there at Akeneo.
fn there(platform: &EventPlatform) -> [Vec<Value>; 2] {
    [&platform.subscribers, &platform.subscriptions].map(|known| known.values().cloned().collect())
}

/// Has an application that was set up in one way before do what is asked in another, and kills it at each call to Akeneo:
/// before it has its effect, and after. The next run leads to what one that was not killed leads to. Gives the calls.
async fn killed_at_every_call(scene: &Scene, before: Setup, (address, after): (&str, Setup), asked: Value) -> usize {
    let first = before.variable("public_url").trim_start_matches("http://").to_owned();
    let application = Application::start_at(&first, state(), before).await.unwrap();
    connect(&application).await;
    let (connected, _) = application.kill().await.unwrap();
    let snapshot = scene.platform.with(|platform| platform.clone());

    let application = Application::start_at(address, copied(connected.path()), after.clone())
        .await
        .unwrap();
    let answer = ask(&application, asked.clone()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    application.kill().await.unwrap();
    let (calls, expected) = scene
        .platform
        .with(|platform| (platform.calls.split_off(snapshot.calls.len()), there(platform)));
    for (number, call) in calls.iter().enumerate() {
        for has_effect in [false, true] {
            if has_effect && call.method == Method::GET {
                continue;
            }
            let at = snapshot.calls.len() + number;
            scene.platform.with(|platform| {
                *platform = snapshot.clone();
                (platform.cut, platform.cut_after_ms) = (Some((at, has_effect)), 600_000);
            });
            let application = Application::start_at(address, copied(connected.path()), after.clone())
                .await
                .unwrap();
            let (url, body) = (format!("{}/admin/connect", application.url), asked.to_string());
            let asking =
                tokio::spawn(async move { client::request(Method::POST, &url, &[bearer(ADMIN_TOKEN)], body).await });
            while scene.platform.with(|platform| platform.calls.len()) <= at {
                sleep(Duration::from_millis(5)).await;
            }
            let (state, _) = application.kill().await.unwrap();
            assert!(asking.await.unwrap().is_err(), "{call:?}");
            // The lease that was left passes by itself, within half a minute.
            Store::open(state.path()).delete("r1.main.lease");
            scene.platform.with(|platform| platform.cut = None);

            let application = Application::start_at(address, state, after.clone()).await.unwrap();
            let answer = ask(&application, asked.clone()).await;
            assert_eq!(answer.status, 200, "{call:?} {has_effect}: {:?}", answer.body);
            assert_eq!(
                scene.platform.with(|platform| there(platform)),
                expected,
                "{call:?} {has_effect}"
            );
            let again = ask(&application, asked.clone()).await.json();
            assert_eq!(again["done"], json!([]), "{call:?} {has_effect}");
            application.kill().await.unwrap();
        }
    }
    calls.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_call_while_the_secret_is_changed_the_next_run_mends_it() {
    let (scene, address) = (Scene::begin().await, free_address());
    let before = scene.setup(&address);
    let after = before.clone().with("event_platform_secret", NEW_SECRET);
    let after = after.with("event_platform_secret_previous", PLATFORM_SECRET);
    let calls = killed_at_every_call(&scene, before, (&address, after), json!({ "do": "connect" })).await;
    assert_eq!(calls, 3, "two lists and a change");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_call_while_the_address_is_changed_the_next_run_mends_it() {
    let (scene, old, new) = (Scene::begin().await, free_address(), free_address());
    let (before, after) = (scene.setup(&old), scene.setup(&new));
    let calls = killed_at_every_call(&scene, before, (&new, after), json!({ "do": "connect" })).await;
    assert_eq!(calls, 4, "two lists and two changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_call_while_all_is_removed_the_next_run_mends_it() {
    let (scene, address) = (Scene::begin().await, free_address());
    let setup = scene.setup(&address);
    let calls = killed_at_every_call(&scene, setup.clone(), (&address, setup), json!({ "do": "remove" })).await;
    assert_eq!(calls, 5, "three lists and two deletions");
}

/// What Akeneo suspends is told with the reason that it logs, and resuming too often ends it.
#[tokio::test]
async fn what_akeneo_logs_is_told_and_what_it_revokes_is_made_anew() {
    let scene = Scene::begin().await;
    let application = scene.application().await;
    connect(&application).await;
    let id = scene.subscription()["id"].as_str().unwrap().to_owned();
    scene.platform.with(|platform| {
        platform.resumes_max = Some(1);
        platform
            .logs
            .push(json!({ "subscription_id": "another", "log_type": "action" }));
        platform.answered(&id, 404, now_ms());
        platform.logs[1]["error_message"] = json!(format!("sent with {PLATFORM_SECRET}"));
    });
    let logged = ask(&application, json!({ "do": "logs" })).await.json()["logs"].clone();
    assert_eq!(logged.as_array().unwrap().len(), 1, "{logged}");
    assert_eq!(
        (&logged[0]["operation"], &logged[0]["code"]),
        (&json!("failed_to_deliver_event"), &json!(404))
    );
    assert!(!logged.to_string().contains(PLATFORM_SECRET), "{logged}");

    for expected in ["active", "revoked"] {
        let done = ask(&application, json!({ "do": "resume" })).await.json()["done"].clone();
        assert_eq!(done, json!(["resume the subscription"]));
        assert_eq!(scene.subscription()["status"], expected);
        scene.platform.with(|platform| platform.answered(&id, 308, now_ms()));
    }
    let logged = ask(&application, json!({ "do": "logs" })).await.json()["logs"].to_string();
    assert!(
        logged.contains("308"),
        "what was logged of a revoked one is told: {logged}"
    );
    let shown = ask(&application, json!({})).await.json();
    assert_eq!(shown["would"], json!(["make the subscription"]));
    assert!(
        shown["warnings"]
            .to_string()
            .contains("subscription that was made is revoked"),
        "{shown}"
    );
    assert_eq!(connect(&application).await, ["make the subscription"]);
    assert_eq!(connect(&application).await, Vec::<String>::new());
}

/// Neither is in a list: by its id each tells what became of it.
#[tokio::test]
async fn what_was_revoked_is_told_from_what_was_deleted_and_from_what_a_list_does_not_have_yet() {
    let scene = Scene::begin().await;
    let application = scene.application().await;
    connect(&application).await;
    scene.platform.with(|platform| platform.lists_lag = true);
    assert_eq!(connect(&application).await, Vec::<String>::new());
    scene.platform.with(|platform| platform.lists_lag = false);
    let delete = |platform: &mut EventPlatform| {
        platform.subscribers.clear();
        platform.subscriptions.clear();
    };
    for (word, end, not_there) in [
        ("revoked", EventPlatform::revoke as fn(&mut EventPlatform), None),
        ("deleted", delete, None),
        // What is another connection's is refused.
        ("deleted", delete, Some(401)),
        ("deleted", delete, Some(403)),
    ] {
        scene.platform.with(end);
        scene.platform.with(|platform| platform.not_there = not_there);
        let shown = ask(&application, json!({})).await.json();
        assert_eq!(shown["would"], json!(["make the subscriber", "make the subscription"]));
        let warnings = shown["warnings"].to_string();
        assert!(
            warnings.contains(&format!("subscriber that was made is {word}")),
            "{warnings}"
        );
        assert_eq!(connect(&application).await.len(), 2);
        assert_eq!(connect(&application).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_filter_is_set_only_if_asked_for_and_what_it_drops_is_told_first() {
    let scene = Scene::begin().await;
    let application = scene.application().await;
    connect(&application).await;
    let filter = "locale=\"de_DE\"";
    let shown = ask(&application, json!({ "filter": filter })).await.json();
    assert_eq!(
        shown["would"],
        json!([format!("change the subscription: its filter becomes `{filter}`")])
    );
    let warnings = shown["warnings"].to_string();
    assert!(
        warnings.contains("dropped in silence") && warnings.contains("drops com.akeneo.pim.v1.product-model.created")
    );
    assert_eq!(scene.subscription().get("filter"), None);
    for (asked, expected) in [
        (json!({ "filter": filter }), filter),
        (json!({}), filter),
        (json!({ "filter": "" }), ""),
    ] {
        let mut asked = asked;
        asked["do"] = json!("connect");
        let answer = ask(&application, asked).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(scene.subscription()["filter"], expected);
    }
    let shown = ask(&application, json!({})).await.json();
    assert_eq!((&shown["would"], &shown["warnings"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn the_command_shows_before_it_acts_and_writes_a_secret_that_nobody_else_reads() {
    let scene = Scene::begin().await;
    let application = scene.application().await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("secret.txt");
    let command = async |more: &[&str]| {
        let told = run(env!("CARGO_BIN_EXE_connecting"), &application.url, more).await;
        let text = [told.stdout, told.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat();
        (told.status.success(), text)
    };
    let path = file.to_str().unwrap();
    let (made, text) = command(&["--new-secret", path]).await;
    assert!(made && text.contains("event_platform_secret"), "{text}");
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(secret.len() == 64 && !text.contains(&secret));
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap()) & 0o777,
        0o600
    );
    let (overwritten, text) = command(&["--new-secret", path]).await;
    assert!(!overwritten && text.contains("cannot make"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);

    for (more, expected, says) in [
        (&[][..], true, "run this again with --yes"),
        (&["--yes"], false, "`email`"),
        (
            &["--email", "ops@example.com", "--yes"],
            true,
            "done: make the subscription",
        ),
        (&[], true, "nothing is to be done"),
        (&["--filter", "scope=\"shop\""], true, "dropped in silence"),
        (&["--logs"], true, "[]"),
        (&["--resume", "--yes"], true, "nothing was to be done"),
        (&["--remove"], true, "run this again with --yes"),
        (&["--remove", "--yes"], true, "done: delete the subscriber"),
    ] {
        let (is_well, text) = command(more).await;
        assert!(is_well == expected && text.contains(says), "{more:?}: {text}");
    }
    assert!(scene.platform.with(|platform| platform.subscriptions.is_empty()));
}
