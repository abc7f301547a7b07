//! What people do with the console.

use crate::driver::ENTER;
use crate::scene::Scene;
use http::Method;
use serde_json::{Value, json};
use simulator::encode_segment;
use simulator::fault::Fault;
use tests::application::{ADMIN_TOKEN, Application};
use tests::client::bearer;

const NOT_SO: &str = "this brand is unknown in the shop";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn a_wrong_token_is_refused_and_the_right_one_stays_in_the_tab_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    for wrong in ["guessed", "with a space", "ünïcode"] {
        browser.fill("#token", wrong).await;
        browser.click("#sign-in-form button").await;
        browser
            .until("document.querySelector('#sign-in-error').innerText")
            .await;
        assert_eq!(browser.run("return sessionStorage.length").await, 0, "{wrong}");
        browser
            .run("document.querySelector('#sign-in-error').textContent = ''")
            .await;
    }
    browser.picture("sign-in").await;
    assert_eq!(browser.violations().await, [""; 0]);
    scene.sign_in().await;
    let kept = browser
        .run("return [localStorage.length, sessionStorage.length, document.cookie]")
        .await;
    assert_eq!(kept, json!([0, 1, ""]));
    assert!(
        !browser
            .run("return location.href")
            .await
            .to_string()
            .contains(ADMIN_TOKEN)
    );
    browser.open(&format!("{}/console", scene.application.url)).await;
    scene.reads("#live", "live").await;
    browser.click("#sign-out").await;
    assert_eq!(browser.run("return sessionStorage.length").await, 0);
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn a_dead_letter_is_opened_replayed_and_gone_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    browser.allow_copying().await;
    let products = scene.world.products();
    scene.refuse(&products[3], NOT_SO);
    scene.refuse(&products[5], "that price is no number");
    scene.sign_in().await;
    scene.reads("#state", "has not run yet").await;
    scene.deliver(&products, 1).await;
    scene.application.tick_until_idle().await.unwrap();
    scene.reads("#state-title", "needs attention").await;
    scene.counts("#dead-list > li[data-code]", 2).await;

    // Searched for, opened, looked at.
    browser.fill("#dead-text", "BRAND IS UNKNOWN").await;
    browser.click("#dead-search button").await;
    scene.counts("#dead-list > li[data-code]", 1).await;
    browser.click("#dead-list .letter").await;
    scene.reads(".opened", NOT_SO).await;
    scene.reads(".opened", "destination answered 422").await;
    scene
        .reads(".opened pre[aria-label='Event as received']", &products[3].key())
        .await;
    browser.click(".opened .track button").await;
    scene.reads("#told", "copied").await;
    let shown = browser.text(".opened .track code").await;
    let copied = browser.run("return navigator.clipboard.readText()").await;
    assert_eq!(copied, shown.as_str());

    // Everything that is known of it.
    browser.click(".opened .buttons button:last-child").await;
    scene.reads("#entity", "given up").await;

    // Mended and replayed.
    scene
        .world
        .destination
        .with(|destination| destination.rejections.clear());
    browser.click("#replay-all").await;
    scene.reads("#confirm", "replay all that the search finds").await;
    browser.click("#confirm-yes").await;
    scene.reads("#told", "1 entity queued again").await;
    scene.application.tick_until_idle().await.unwrap();
    scene.counts("#dead-list > li[data-code]", 0).await;
    browser.fill("#dead-text", "").await;
    browser.click("#dead-search button").await;
    scene.counts("#dead-list > li[data-code]", 1).await;

    // The other one is discarded, after a question.
    browser.click("#dead-list .letter").await;
    browser.click(".opened .danger").await;
    browser.click("#confirm button[value=no]").await;
    scene.counts("#dead-list > li[data-code]", 1).await;
    browser.click(".opened .danger").await;
    browser.click("#confirm-yes").await;
    scene.counts("#dead-list > li[data-code]", 0).await;
    scene.application.tick_until_idle().await.unwrap();
    scene.reads("#state-title", "all is well").await;
    let (models, discarded) = (scene.world.models().len(), 1);
    assert_eq!(scene.world.differences().len(), models + discarded);
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn charts_and_figures_move_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    scene.sign_in().await;
    let line = "document.querySelector('#chart-throughput path')?.getAttribute('d')";
    scene.application.tick().await.unwrap();
    browser.until(&format!("{line} !== undefined")).await;
    let before = browser.run(&format!("return {line}")).await;
    scene.deliver(&scene.world.products(), 1).await;
    scene.application.tick_until_idle().await.unwrap();
    browser.until(&format!("{line} !== {before}")).await;
    scene.reads("#chart-throughput", "24 entities, 24 events").await;
    scene.reads("#chart-backlog", "24 events at most").await;
    scene.reads("#tiles", "24 in 24 h").await;
    scene.reads("#worker", "24 upserts").await;
    browser.click("#range button:last-child").await;
    scene.counts("#range button:last-child[aria-pressed=true]", 1).await;
    browser.click("#figures summary").await;
    scene.reads("#figures-table", "lag, p95").await;
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn a_lost_connection_is_told_and_found_again_in_the_browser() {
    let scene = Scene::begin().await;
    scene.application.tick().await.unwrap();
    scene.sign_in().await;
    let address = scene.application.url.trim_start_matches("http://").to_owned();
    let (state, setup) = scene.application.kill().await.unwrap();
    let browser = &scene.browser;
    browser
        .until("document.querySelector('#lost')?.checkVisibility()")
        .await;
    assert!(
        browser.text("#lost").await.contains("lost"),
        "{}",
        browser.text("#lost").await
    );
    assert!(browser.text("#state-title").await.contains("not known"));
    assert!(
        browser
            .run("return document.title")
            .await
            .as_str()
            .unwrap()
            .contains("lost")
    );
    browser.picture("lost-connection").await;
    let _again = Application::start_at(&address, state, setup).await.unwrap();
    browser
        .until("!document.querySelector('#lost').checkVisibility()")
        .await;
    browser
        .until("document.querySelector('#state-title').innerText === 'All is well'")
        .await;
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn reconcile_now_runs_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let product = scene.world.products()[0].clone();
    // A change that no event tells.
    scene.world.edit(&product, simulator::catalogue::Action::Touch).unwrap();
    scene.sign_in().await;
    browser.click("#reconcile-recent").await;
    scene.reads("#told", "the next tick looks through recent changes").await;
    // That one arrives; whatever lay unchanged for long is the walk's.
    let unchanged = scene.world.differences().len() - 1;
    scene.world.settle(&scene.application, unchanged).await.unwrap();
    assert_eq!(scene.world.pushes("PUT"), 1);
    scene.reads("#reconciliation", "Products").await;
    browser.click("#reconcile-full").await;
    browser.click("#confirm-yes").await;
    scene.reads("#told", "the next tick begins a walk").await;
    scene.application.tick().await.unwrap();
    scene.reads("#reconciliation", "walking").await;
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn an_upstream_that_is_down_the_brake_and_an_entity_are_shown_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let products = scene.world.products();
    scene.deliver(&products, 1).await;
    scene.application.tick_until_idle().await.unwrap();
    scene.sign_in().await;
    scene.reads("#upstreams", "healthy").await;
    browser.fill("#entity-code", &products[0].key()).await;
    browser.click("#entity-form button").await;
    scene.reads("#entity", "at the destination\nsent").await;
    browser.fill("#entity-code", "nobody/knows it").await;
    browser.click("#entity-form button").await;
    scene.reads("#entity", "nothing waits for it").await;

    scene.world.destination.with(|destination| {
        destination.faults.add(Fault::always(Fault::status(403)));
    });
    scene.deliver(&products, 2).await;
    scene.application.tick().await.unwrap();
    scene.reads("#state-title", "not doing its work").await;
    scene.reads("#reasons", "destination has been left alone").await;
    scene.reads("#upstreams", "left alone").await;

    for (button, route) in [("#brake-release", "lets the deletions go"), ("#adopt", "adopts it")] {
        browser.click(button).await;
        browser.click("#confirm-yes").await;
        scene.reads("#told", route).await;
    }
    scene.application.tick().await.unwrap();
    scene.reads("#brake", "released until").await;
    let path = format!("/admin/entities/products/{}", encode_segment(&products[0].key()));
    let known = scene
        .application
        .request(Method::GET, &path, &[bearer(ADMIN_TOKEN)], "")
        .await
        .unwrap();
    assert_eq!(known.json()["events"]["total"], 1, "{}", known.json());
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn a_shape_that_waits_is_counted_and_adopted_in_the_browser() {
    let mut scene = Scene::begin().await;
    scene.deliver(&scene.world.products(), 1).await;
    scene.application.tick_until_idle().await.unwrap();
    let setup = scene.world.setup().with("shape", r#"{"product-models": false}"#);
    scene.application = scene.application.restart_with(setup).await.unwrap();
    let browser = &scene.browser;
    browser.open(&format!("{}/console", scene.application.url)).await;
    scene.sign_in().await;
    scene
        .reads("#adopt-text", "after the pim, the destination or the shape")
        .await;
    scene.reads("#adopt", "adopt the configured pair").await;
    scene.application.tick().await.unwrap();
    scene.reads("#state-title", "not doing its work").await;
    scene.reads("#reasons", "the shape is another one than before").await;
    scene
        .reads("#adopt-text", "push 0, delete 0, leave 24 as they are, pass over")
        .await;
    scene.reads("#adopt", "adopt the shape").await;
    scene.reads("#more", "alert: not-adopted").await;
    browser.click("#adopt").await;
    scene.reads("#confirm", "lets every deletion through").await;
    browser.click("#confirm-yes").await;
    scene.reads("#told", "adopts it").await;
    scene.application.tick().await.unwrap();
    scene.reads("#adopt", "adopt the configured pair").await;
    scene.reads("#brake", "released until").await;
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn what_reconciliation_publishes_is_shown_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    scene.application.tick().await.unwrap();
    let rest = json!({ "finished_at": "2026-11-20T03:12:45Z", "running": false, "cursor": null, "progress": null,
        "pages": 3, "seen": 240, "found": 2, "missing": 1 });
    let walking = json!({ "finished_at": null, "running": true, "cursor": "a", "progress": 0.37,
        "pages": 37, "seen": 3700, "found": 12, "missing": 0 });
    let recent = json!({ "finished_at": "2026-11-20T03:12:45Z", "watermark": "2026-11-20T03:12:40Z",
        "running": false, "cursor": null, "seen": 3, "found": 1 });
    let kind = |walk: &Value, blocked: Value| json!({ "recent": recent, "walk": walk, "deleted": 1, "braked": 0, "lag_seconds": 65, "blocked": blocked });
    let published = json!({ "next_walk": "2126-11-20T00:00:00Z", "withheld": 4, "kinds": {
        "products": kind(&walking, json!(null)), "product-models": kind(&rest, json!("the PIM answers <b>403</b>")) } });
    // As a status has it once there is anything to tell.
    let answer = format!(
        "const ask = window.fetch; window.fetch = async (path, request) => {{\
            const answer = await ask(path, request); if (!path.endsWith('/status')) return answer;\
            return Response.json({{ ...await answer.json(), reconciliation: {published} }}) }}"
    );
    browser.run(&answer).await;
    scene.sign_in().await;
    scene.counts("#reconciliation progress[value='37']", 1).await;
    scene.reads("#reconciliation", "the pim answers <b>403</b>").await;
    scene.reads("#reconciliation", "4 deletions are withheld").await;
    browser.picture("reconciliation").await;
    assert_eq!(browser.violations().await, [""; 0]);
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn pushing_is_paused_and_resumed_one_is_pushed_and_the_journal_tells_of_it_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let products = scene.world.products();
    scene.sign_in().await;
    scene.deliver(&products, 1).await;
    scene.application.tick_until_idle().await.unwrap();
    let pushes = || scene.world.destination.with(|destination| destination.log.len());
    let before = pushes();

    browser.click("#pause").await;
    scene.reads("#told", "nothing is sent").await;
    scene.application.tick().await.unwrap();
    scene.reads("#pause-text", "paused").await;
    scene.reads("#reasons", "paused by a person").await;
    scene.deliver(&products[..1], 2).await;
    scene.application.tick().await.unwrap();
    assert_eq!(pushes(), before);
    browser.click("#pause").await;
    scene.reads("#told", "goes on").await;
    scene.application.tick_until_idle().await.unwrap();
    scene.reads("#pause", "pause pushing").await;
    let before = pushes();

    browser.fill("#entity-code", &products[2].key()).await;
    browser.click("#entity-form button").await;
    scene.reads("#entity", "at the destination").await;
    browser.click("#entity .buttons button").await;
    browser.click("#confirm-yes").await;
    scene.reads("#told", "pushed when").await;
    scene.application.tick_until_idle().await.unwrap();
    assert_eq!(pushes(), before + 1);

    browser.click("#journal summary").await;
    scene.counts("#journal-list > li", 3).await;
    scene
        .reads("#journal-list", &format!("push products/{}", products[2].key()))
        .await;
    assert_eq!(browser.violations().await, [""; 0]);
    scene.browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `cargo xtask test --full`"]
async fn the_set_up_is_checked_by_keyboard_in_the_browser() {
    let scene = Scene::begin().await;
    let browser = &scene.browser;
    let forbidden = Fault::always(Fault::status(403)).path("/api/rest/v1/product-models");
    scene.world.pim.with(|pim| pim.faults.add(forbidden));
    scene.sign_in().await;
    browser.run("document.querySelector('#check').focus()").await;
    browser.press(ENTER).await;
    scene.reads("#findings", "tick `List products`").await;
    scene.reads("#findings .down", "rights").await;
    browser.picture("set-up").await;
    assert_eq!(browser.violations().await, [""; 0]);
    scene.world.pim.with(|pim| pim.faults.clear());
    browser.click("#check").await;
    browser.until("!document.querySelector('#findings .down')").await;
    scene.browser.end().await;
}
