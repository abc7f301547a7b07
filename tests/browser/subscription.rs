//! The subscription at Akeneo, made and removed from the console.

use crate::driver::{ENTER, ESCAPE};
use crate::scene::Scene;
use serde_json::json;
use simulator::event_platform::EventPlatform;
use simulator::server::Server;
use tests::application::Application;

/// A console whose application comes to Akeneo's platform, and Akeneo to it.
async fn begin() -> (Scene, Server<EventPlatform>) {
    let Scene {
        world,
        application,
        browser,
    } = Scene::begin().await;
    let client_id = world.pim.with(|pim| pim.config.client_id.clone());
    let platform = EventPlatform::new(&world.pim.url(), &client_id);
    let platform = Server::start(platform, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = application.url.clone();
    let (state, setup) = application.kill().await.unwrap();
    let setup = setup
        .with("public_url", &url)
        .with("event_platform_url", &platform.url());
    let address = url.trim_start_matches("http://");
    let application = Application::start_at(address, state, setup).await.unwrap();
    let scene = Scene {
        world,
        application,
        browser,
    };
    (scene, platform)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn what_would_be_done_at_akeneo_is_shown_before_it_is_done_in_the_browser() {
    let (scene, platform) = begin().await;
    let browser = &scene.browser;
    let there = || platform.with(|platform| (platform.subscribers.len(), platform.subscriptions.len()));
    scene.sign_in().await;
    browser.fill("#email", "ops@example.com").await;
    // By keyboard: looked at, and left.
    browser.run("document.querySelector('#connect').focus()").await;
    browser.press(ENTER).await;
    scene.reads("#confirm-text", "make the subscriber").await;
    scene.reads("#confirm-text", "make the subscription").await;
    browser.picture("connect").await;
    browser.press(ESCAPE).await;
    browser.until("!document.querySelector('#confirm').open").await;
    browser.until("document.activeElement.id === 'connect'").await;
    assert_eq!(there(), (0, 0), "nothing was done");
    browser.press(ENTER).await;
    scene.reads("#confirm-text", "make the subscription").await;
    browser.click("#confirm-yes").await;
    scene
        .reads("#told", "done: make the subscriber; make the subscription")
        .await;
    assert_eq!(there(), (1, 1));
    let email = platform.with(|platform| json!(platform.subscribers).to_string().contains("ops@example.com"));
    assert!(email);

    // Again nothing is left to do, and nobody is asked.
    browser.click("#connect").await;
    scene.reads("#told", "nothing is left to do").await;
    scene.reads("#subscription", "it is active and delivers to").await;

    // Suspended, it is resumed.
    platform.with(|platform| {
        for subscription in platform.subscriptions.values_mut() {
            subscription["status"] = json!("suspended");
        }
    });
    browser.click("#connect").await;
    scene.reads("#confirm-text", "resume the subscription").await;
    browser.click("#confirm-yes").await;
    scene.reads("#told", "done: resume the subscription").await;

    // Removed, and told which.
    browser.click("#remove").await;
    scene.reads("#confirm-text", "event-platform").await;
    browser.click("#confirm-yes").await;
    scene.reads("#told", "done: ").await;
    browser.until("!document.querySelector('#confirm').open").await;
    let lives = platform.with(|platform| {
        let subscriptions = platform.subscriptions.values();
        subscriptions
            .filter(|subscription| subscription["status"] == "active")
            .count()
    });
    assert_eq!(lives, 0);
    browser.click("#journal summary").await;
    scene.reads("#journal-list", "connect to the event platform").await;
    assert_eq!(browser.violations().await, [""; 0]);
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn a_new_secret_is_shown_once_and_kept_nowhere_in_the_browser() {
    let (scene, _platform) = begin().await;
    let browser = &scene.browser;
    scene.sign_in().await;
    browser.click("#secret").await;
    scene.reads("#confirm-title", "a new secret").await;
    let text = browser.text("#confirm-text").await;
    let secret: String = text.chars().take_while(char::is_ascii_hexdigit).collect();
    assert_eq!(secret.len(), 64, "{text}");
    browser.click("#confirm-yes").await;
    browser.until("!document.querySelector('#confirm').open").await;
    browser
        .until("document.querySelector('#confirm-text').textContent === ''")
        .await;
    let kept = browser
        .run(
            "return document.documentElement.outerHTML + JSON.stringify(sessionStorage) + JSON.stringify(localStorage)",
        )
        .await;
    assert!(!kept.to_string().contains(&secret));
    scene.browser.end().await;
}
