//! Whatever others write is shown as text.

use crate::scene::Scene;
use simulator::catalogue::{Action, EntityId};

/// Would set `window.struck` if it were taken for markup.
const MARKUP: &str = "<img src=x onerror=struck=1><script>struck=1</script><b>bold</b>";
const CODE: &str = "\"><svg onload=struck=1>&amp;";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn markup_in_ids_errors_and_payloads_is_text_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let model = EntityId::Model(CODE.to_owned());
    scene.world.edit(&model, Action::create()).unwrap();
    scene.refuse(&model, MARKUP);
    scene.deliver(std::slice::from_ref(&model), 1).await;
    scene.application.tick_until_idle().await.unwrap();
    scene.sign_in().await;
    scene.reads("#dead-list .code", CODE).await;
    scene.reads("#dead-list .reason", MARKUP).await;
    browser.click("#dead-list .letter").await;
    scene.reads(".opened .attempt", MARKUP).await;
    // The payload is JSON, in which a quotation mark is escaped.
    scene.reads(".opened pre", "<svg onload=struck=1>").await;
    browser.click(".opened .danger").await;
    scene.reads("#confirm-title", CODE).await;
    browser.click("#confirm button[value=no]").await;
    browser.click(".opened .buttons button:last-child").await;
    scene.reads("#entity", CODE).await;
    scene.reads("#entity", MARKUP).await;
    let own = "document.querySelectorAll('#app img, #app script, #app b, #app svg:not(.plot svg)').length";
    assert_eq!(browser.run(&format!("return {own}")).await, 0);
    assert_eq!(browser.run("return typeof struck").await, "undefined");
    browser.picture("markup-is-text").await;
    scene.browser.end().await;
}

/// A text that turns its direction half-way would be read as another one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn what_turns_the_direction_of_text_is_shown_by_its_number_in_the_browser() {
    let scene = Scene::begin().await;
    let model = EntityId::Model("a\u{202e}tac\u{2066}".to_owned());
    scene.world.edit(&model, Action::create()).unwrap();
    scene.refuse(&model, "no\u{2029}\u{200f}thing");
    scene.deliver(std::slice::from_ref(&model), 1).await;
    scene.application.tick_until_idle().await.unwrap();
    scene.sign_in().await;
    scene.reads("#dead-list .code", "a\\u202etac\\u2066").await;
    scene.reads("#dead-list .reason", "no\\u2029\\u200fthing").await;
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn the_policy_lets_no_other_script_run_in_the_browser() {
    let scene = Scene::begin().await;
    let inject = "const script = document.createElement('script');\
        try { script.textContent = 'window.struck = 1'; document.body.append(script) } catch {}\
        try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.struck=1>') } catch {}\
        return typeof window.struck";
    assert_eq!(scene.browser.run(inject).await, "undefined");
    let outside = "return fetch('http://127.0.0.2:9/').then(() => 'let through', error => error.message)";
    assert_ne!(scene.browser.run(outside).await, "let through");
    scene.browser.end().await;
}
