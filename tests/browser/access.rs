//! For everybody: by keyboard alone, in dark and light, on a phone, and by axe-core's rules.

use crate::driver::{Browser, ENTER, ESCAPE, TAB};
use crate::scene::Scene;
use serde_json::json;
use simulator::catalogue::Action;
use tests::application::{ADMIN_TOKEN, root};

/// An application with a bit of everything on its page.
async fn busy() -> Scene {
    let scene = Scene::begin().await;
    let products = scene.world.products();
    for (product, message) in products.iter().step_by(5).zip([
        "422: the attribute \"brand\" has no value in the channel of the shop",
        "422: this tax class is unknown",
        "422: the price is no number",
        "422: this picture is larger than ten megabytes",
    ]) {
        scene.refuse(product, message);
    }
    scene.deliver(&scene.world.models(), 1).await;
    scene.deliver(&products, 2).await;
    scene.application.tick_until_idle().await.unwrap();
    // Gone without a word: more than the brake lets through.
    let gone = &products[16..];
    scene.deliver(gone, 3).await;
    for product in gone {
        scene.world.edit(product, Action::Delete).unwrap();
    }
    scene.application.tick_until_idle().await.unwrap();
    scene.sign_in().await;
    scene.counts("#dead-list > li[data-code]", 4).await;
    scene
}

/// How much of the page the README's picture shows, in points.
const README_HEIGHT: u64 = 1180;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn no_serious_violation_in_light_and_dark_on_desk_and_phone_in_the_browser() {
    let scene = busy().await;
    let browser = &scene.browser;
    let products = scene.world.products();
    browser.click("#dead-list .letter").await;
    scene.reads(".opened", "failed try").await;
    browser.fill("#entity-code", &products[0].key()).await;
    browser.click("#entity-form button").await;
    scene.reads("#entity", "at the destination").await;
    browser.click("#figures summary").await;
    let mut found = Vec::new();
    for (name, scheme, width, is_phone) in [
        ("light", "light", 1280, false),
        ("dark", "dark", 1280, false),
        ("phone-light", "light", 390, true),
        ("phone-dark", "dark", 390, true),
    ] {
        browser.prefer(scheme).await;
        browser.resize(width, is_phone).await;
        browser
            .until(&format!(
                "innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches"
            ))
            .await;
        browser.picture(name).await;
        if name == "light" {
            // The README's picture is this one; figures and moments differ from run to run, and nothing else does.
            let picture = browser.picture_of_the_beginning("console", README_HEIGHT).await;
            let shown = std::fs::read(root().join("docs/console.png")).unwrap();
            let size = |picture: &[u8]| picture.get(..24).map(<[u8]>::to_vec);
            let is_like = size(&picture) == size(&shown) && shown.len().abs_diff(picture.len()) * 10 < picture.len();
            assert!(
                is_like,
                "the console looks otherwise now: copy target/screenshots/console.png to docs/console.png"
            );
        }
        let overflow = browser
            .run("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
            .await;
        assert_eq!(overflow, json!(false), "{name} is wider than its screen");
        found.extend(
            browser
                .violations()
                .await
                .into_iter()
                .map(|one| format!("{name}: {one}")),
        );
    }
    assert_eq!(found, [""; 0]);
    browser.click("#discard-all").await;
    scene.reads("#confirm", "discard all 4 dead letters").await;
    browser.picture("question").await;
    assert_eq!(browser.violations().await, [""; 0]);
    scene.browser.end().await;
}

/// Goes on with the tabulator until the focus is there.
pub(crate) async fn go_to(browser: &Browser, selector: &str) {
    let is_there = format!("return Boolean(document.activeElement?.matches({}))", json!(selector));
    for _ in 0..120 {
        if browser.run(&is_there).await == json!(true) {
            let seen = browser
                .run("return document.activeElement.matches(':focus-visible')")
                .await;
            assert_eq!(seen, json!(true), "the focus on {selector} is not to be seen");
            return;
        }
        browser.press(TAB).await;
    }
    panic!("the tabulator does not reach {selector}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn everything_goes_by_keyboard_alone_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let product = scene.world.products()[0].clone();
    scene.refuse(&product, "not this one");
    scene.deliver(std::slice::from_ref(&product), 1).await;
    scene.application.tick_until_idle().await.unwrap();
    browser.until("document.activeElement?.id === 'token'").await;
    browser.write(ADMIN_TOKEN).await;
    browser.press(ENTER).await;
    scene.counts("#dead-list > li[data-code]", 1).await;
    for reached in [
        "#range button",
        "#figures summary",
        "#replay-all",
        "#discard-all",
        "#dead-text",
        "#dead-kind",
    ] {
        go_to(browser, reached).await;
    }
    go_to(browser, "#dead-list .letter").await;
    browser.press(ENTER).await;
    scene.reads(".opened", "not this one").await;
    go_to(browser, ".opened .track button").await;
    go_to(browser, ".opened .danger").await;
    browser.press(ENTER).await;
    scene.reads("#confirm", "discard").await;
    browser.press(ESCAPE).await;
    browser.until("!document.querySelector('#confirm').open").await;
    // The question gives the focus back.
    browser
        .until("document.activeElement?.matches('.opened .danger')")
        .await;
    for reached in [
        "#entity-kind",
        "#entity-code",
        "#reconcile-recent",
        "#reconcile-full",
        "#brake-release",
        "#adopt-empty",
        "#adopt",
    ] {
        go_to(browser, reached).await;
    }
    browser.press(ENTER).await;
    scene.reads("#confirm", "adopt the configured pair").await;
    browser.press(ESCAPE).await;
    browser.run("document.activeElement.blur()").await;
    go_to(browser, ".opened .danger").await;
    browser.press(ENTER).await;
    go_to(browser, "#confirm-yes").await;
    browser.press(ENTER).await;
    scene.counts("#dead-list > li[data-code]", 0).await;
    scene.browser.end().await;
}
