//! Looking for dead letters, at what was sent, at what would be sent, and back over a month: by keyboard.

use crate::access::go_to;
use crate::driver::ENTER;
use crate::scene::Scene;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn what_a_search_finds_is_exported_shown_and_replayed_by_keyboard_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let products = scene.world.products();
    scene.refuse(&products[0], "there is no brand of this name");
    scene.refuse(&products[1], "there is no brand of that name");
    scene.refuse(&products[2], "there is no price");
    scene.deliver(&products[..4], 1).await;
    scene.application.tick_until_idle().await.unwrap();
    scene.sign_in().await;
    scene.counts("#dead-list > li[data-code]", 3).await;

    go_to(browser, "#dead-text").await;
    browser.write("NO BRAND").await;
    browser.press(ENTER).await;
    scene.counts("#dead-list > li[data-code]", 2).await;
    scene.reads("#dead-summary", "2 found, of 3").await;

    let folder = tempfile::tempdir().unwrap();
    browser.save_to(folder.path()).await;
    browser.run("document.activeElement.blur()").await;
    go_to(browser, "#dead-export").await;
    browser.press(ENTER).await;
    scene.reads("#told", "2 dead letters exported").await;
    let file = folder.path().join("dead-letters.jsonl");
    let lines = browser.saved(&file).await;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let tells = |line: &Value| line["reason"].as_str().unwrap().contains("no brand");
    assert!(lines.iter().all(tells), "{lines:?}");

    go_to(browser, "#dead-list .letter").await;
    browser.press(ENTER).await;
    let code = lines[0]["code"].as_str().unwrap();
    scene.reads(".opened", &format!("sent: PUT /products/{code}")).await;
    scene.counts(".opened pre[aria-label='What is sent']", 1).await;
    browser.picture("what-was-sent").await;
    assert_eq!(browser.violations().await, [""; 0]);

    scene
        .world
        .destination
        .with(|destination| destination.rejections.clear());
    browser.run("document.activeElement.blur()").await;
    go_to(browser, "#replay-all").await;
    scene.reads("#replay-all", "replay all found").await;
    browser.press(ENTER).await;
    scene.reads("#confirm", "replay all that the search finds").await;
    go_to(browser, "#confirm-yes").await;
    browser.press(ENTER).await;
    scene.reads("#told", "2 entities queued again").await;
    scene.application.tick_until_idle().await.unwrap();
    scene.counts("#dead-list > li[data-code]", 0).await;

    // The one that is left was given up neither in another century nor later.
    browser.fill("#dead-text", "").await;
    for (id, moment, count) in [
        ("dead-since", "2100-01-01T00:00", 0),
        ("dead-since", "", 1),
        ("dead-before", "2020-01-01T00:00", 0),
        ("dead-before", "2100-01-01T00:00", 1),
    ] {
        browser
            .run(&format!("document.getElementById('{id}').value = '{moment}'"))
            .await;
        browser.click("#dead-search button").await;
        scene.counts("#dead-list > li[data-code]", count).await;
    }
    browser.click("#discard-all").await;
    scene.reads("#confirm", "discard all that the search finds").await;
    browser.click("#confirm-yes").await;
    scene.reads("#told", "1 dead letter discarded").await;
    scene.counts("#dead-list > li[data-code]", 0).await;
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn an_entity_is_previewed_by_keyboard_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let product = scene.world.products()[5].clone();
    scene.sign_in().await;
    go_to(browser, "#entity-code").await;
    browser.write(&product.key()).await;
    browser.press(ENTER).await;
    scene.reads("#entity", "nothing waits for it").await;
    go_to(browser, "#entity .buttons button:last-child").await;
    browser.press(ENTER).await;
    scene
        .reads("#preview", "it would be sent: the index does not know")
        .await;
    scene
        .reads("#preview", &format!("upsert: PUT /products/{}", product.key()))
        .await;
    scene.reads("#preview pre", &product.key()).await;
    browser.picture("preview").await;
    assert_eq!(browser.violations().await, [""; 0]);
    assert!(scene.world.destination.with(|destination| destination.log.is_empty()));

    scene.deliver(std::slice::from_ref(&product), 1).await;
    scene.application.tick_until_idle().await.unwrap();
    browser.click("#entity .buttons button:last-child").await;
    scene
        .reads("#preview", "nothing would be done: just this was sent")
        .await;
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn a_month_is_shown_in_hours_by_keyboard_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    scene.deliver(&scene.world.products(), 1).await;
    scene.application.tick_until_idle().await.unwrap();
    scene.sign_in().await;
    scene.reads("#chart-throughput", "throughput in 5 min").await;
    go_to(browser, "#range button:last-child").await;
    browser.press(ENTER).await;
    scene.reads("#chart-throughput", "throughput in 1 h").await;
    scene.reads("#chart-throughput", "24 entities, 24 events").await;
    let bars = "document.querySelector('#chart-throughput svg').viewBox.baseVal.width";
    assert_eq!(browser.run(&format!("return {bars}")).await, json!(720));
    browser.click("#figures summary").await;
    scene.reads("#figures-table", "24").await;
    assert_eq!(browser.violations().await, [""; 0]);
    browser.click("#range button:first-child").await;
    scene.reads("#chart-throughput", "throughput in 5 min").await;
    scene.browser.end().await;
}
