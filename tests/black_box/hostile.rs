//! An upstream or a sender that has gone mad: it costs what it can be asked for, and stops nobody.

use crate::admin::{alerting, ask, causes, receiver};
use crate::deliveries::platform_product;
use crate::reconciliation::reconcile;
use http::Method;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::deliveries::{Delivery, Secrets};
use simulator::fault::{Effect, Fault};
use simulator::pim::CallKind;
use tests::application::Application;
use tests::world::{PLATFORM_SECRET, World, deliver_all, platform_deliveries};

const SEARCH: &str = "/api/rest/v1/products-uuid/search";

/// What the process of an application may take at most while upstreams answer what they like, in bytes. The embedded
/// runtime alone, with all components compiled, takes a good part of it.
const PEAK_MAX: usize = 640 << 20;

fn is_told(application: &Application, words: &str) -> bool {
    let lines = application.log_lines("worker");
    lines.iter().any(|line| line.to_string().contains(words))
}

/// Whoever knows a secret can date events as they like. What is dated long ago is not worked on before what was told
/// just now: here that is listed, pushed and done before anything is read for the others.
#[tokio::test]
async fn events_that_are_dated_long_ago_stand_behind_all_others() {
    let world = World::start(Catalogue::generate(5, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    for n in 0..20 {
        let mut event: Value =
            serde_json::from_slice(&platform_product(&format!("{n:08}-9a44-4e0f-8d31-c06e77f2a901"), n)).unwrap();
        event["time"] = json!("1970-01-02T00:00:00Z");
        let delivery = Delivery::event_platform(&event, &Secrets::primary(PLATFORM_SECRET), Vec::new());
        assert_eq!(application.deliver(&delivery).await.unwrap().status, 200);
    }
    let honest = world.products().pop().unwrap();
    world
        .touch(&application, std::slice::from_ref(&honest), 1)
        .await
        .unwrap();
    application.tick().await.unwrap();
    let calls = world.pim.with(|pim| pim.calls.clone());
    let is_read = |call: &simulator::pim::Call| call.method == "GET" && call.path.contains("-9a44-4e0f-8d31-");
    let first_read = calls.iter().position(is_read).unwrap();
    let searches = calls[..first_read]
        .iter()
        .filter(|call| call.path.starts_with(SEARCH))
        .count();
    assert_eq!((searches, world.pushes("PUT")), (2, 1), "{calls:?}");
}

/// Pages that lead from one to the other and back are followed once round, and told at once.
#[tokio::test]
async fn pages_in_a_circle_are_noticed() {
    let world = World::start(Catalogue::generate(5, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let page = |next: &str| {
        let next = json!({ "next": { "href": format!("{SEARCH}?search_after={next}&limit=100") } });
        let body = json!({ "_links": next, "_embedded": { "items": [] } });
        let effect = Effect::Status {
            status: 200,
            headers: Vec::new(),
            body: Some(body),
        };
        Fault::always(effect).path(SEARCH)
    };
    world.pim.with(|pim| {
        for (at, next) in [("b", "c"), ("c", "d"), ("d", "b")] {
            pim.faults.add(page(next).entity(&format!("search_after={at}&")));
        }
        pim.faults.add(page("b"));
    });
    reconcile(&application, json!({ "scan": "recent" })).await;
    application
        .until(|| is_told(&application, "leads back to itself or to one before it"))
        .await
        .unwrap();
    let calls = world
        .pim
        .with(|pim| pim.calls.iter().filter(|call| call.path.starts_with(SEARCH)).count());
    assert!((4..12).contains(&calls), "{calls}");
    // The list is sound again, and the look begins anew from where it was.
    world.pim.with(|pim| pim.faults.clear());
    world.touch_all().unwrap();
    reconcile(&application, json!({ "scan": "full" })).await;
    crate::reconciliation::walk(&application).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
}

/// A token that no header can carry is a login that failed: people are told, no event is used up, and no tick ends in a
/// trap.
#[tokio::test]
async fn a_token_that_is_longer_than_headers_is_told_and_not_used() {
    let world = World::start(Catalogue::generate(5, 0, 7)).await.unwrap();
    let receiver = receiver().await;
    let application = Application::start(alerting(world.setup(), &receiver)).await.unwrap();
    let granted = json!({ "access_token": "t".repeat(200_000), "refresh_token": "r", "expires_in": 3600 });
    let effect = Effect::Status {
        status: 200,
        headers: Vec::new(),
        body: Some(granted),
    };
    world
        .pim
        .with(|pim| pim.faults.add(Fault::always(effect).path("/api/oauth/v1/token")));
    deliver_all(&application, &platform_deliveries(&world.touch_all().unwrap(), 1))
        .await
        .unwrap();
    let report = application.tick().await.unwrap();
    assert_eq!(report["outcome"], "stopped", "{report}");
    let status = ask(&application, Method::GET, "/admin/status", json!(null))
        .await
        .json();
    assert!(
        status["reasons"].to_string().contains("16 KiB"),
        "{}",
        status["reasons"]
    );
    assert_eq!(causes(&receiver), ["pim-blocked"]);
    assert_eq!(status["queue"]["dead"], json!(0), "{status}");
    world.pim.with(|pim| pim.faults.clear());
    world.settle(&application, 0).await.unwrap();
    assert_eq!(world.pim_calls(&[CallKind::Token]), 2);
}

/// No address holds a code of seventy thousand letters, so neither the PIM nor the destination can be asked for its
/// entity: that one is given up, and all others of the walk arrive.
#[tokio::test]
async fn a_code_that_no_address_holds_costs_its_entity_alone() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let endless = EntityId::Model("endless".repeat(10_000));
    world.edit(&endless, Action::create()).unwrap();
    reconcile(&application, json!({ "scan": "full" })).await;
    application.tick_until_idle().await.unwrap();
    let letters = ask(&application, Method::GET, "/admin/dead-letters", json!(null))
        .await
        .json();
    let items = letters["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{letters}");
    assert!(
        items[0]["reason"].as_str().unwrap().contains("cannot be formed"),
        "{letters}"
    );
    let missing = world.differences();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].to_string().contains("endless"), "{missing:?}");
}

/// A member or an element is a few bytes of text and some hundred of a tree. Such an answer is refused before a tree is
/// made of it, by list and by id, and whatever waits beside it arrives.
#[tokio::test]
async fn an_answer_that_explodes_in_a_tree_costs_its_entity_alone() {
    let world = World::start(Catalogue::generate(30, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let hostile: Vec<EntityId> = world.products()[..4].to_vec();
    let pieces = [r#"{"a":0},"#, "[],", "0,", r#"{"a":{"b":{}}},"#];
    world.pim.with(|pim| {
        for (product, piece) in hostile.iter().zip(pieces) {
            let nest = piece.repeat((40 << 20) / piece.len());
            let text = format!(
                r#"{{"uuid":"{}","values":[{nest}0],"_embedded":{{"items":[]}}}}"#,
                product.key()
            );
            pim.faults.add(
                Fault::always(Effect::Text { text })
                    .path("/api/rest/v1/products-uuid")
                    .entity(&product.key()),
            );
        }
    });
    deliver_all(&application, &platform_deliveries(&world.touch_all().unwrap(), 1))
        .await
        .unwrap();
    application
        .until(|| world.differences().len() == hostile.len())
        .await
        .unwrap();
    let dead = || async {
        ask(&application, Method::GET, "/admin/dead-letters", json!(null))
            .await
            .json()
    };
    for _ in 0..100 {
        if dead().await["items"].as_array().unwrap().len() == hostile.len() {
            break;
        }
        application.tick().await.unwrap();
    }
    let letters = dead().await;
    assert_eq!(letters["items"].as_array().unwrap().len(), hostile.len(), "{letters}");
    assert!(letters.to_string().contains("larger than the limit"), "{letters}");
    let peak = application.peak_bytes().unwrap();
    println!("peak of the process: {} MB", peak >> 20);
    assert!(peak < PEAK_MAX, "{peak}");
}

/// Answers of which each is just small enough: a batch holds as many as fit, and the others come with the next one.
#[tokio::test]
async fn large_answers_are_worked_through_a_few_at_a_time() {
    let world = World::start(Catalogue::generate(20, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let nest = r#"{"a":0},"#.repeat(80_000);
    world.pim.with(|pim| {
        pim.faults.add(Fault::always(Fault::status(413)).path(SEARCH));
        for product in pim
            .catalogue
            .truth()
            .products(None)
            .map(|product| product.id.key())
            .collect::<Vec<_>>()
        {
            let text = format!(r#"{{"uuid":"{product}","values":{{}},"nest":[{nest}0]}}"#);
            let path = format!("/api/rest/v1/products-uuid/{product}");
            pim.faults.add(Fault::always(Effect::Text { text }).path(&path));
        }
    });
    deliver_all(&application, &platform_deliveries(&world.touch_all().unwrap(), 1))
        .await
        .unwrap();
    application.until(|| world.pushes("PUT") == 20).await.unwrap();
    let peak = application.peak_bytes().unwrap();
    println!("peak of the process: {} MB", peak >> 20);
    assert!(peak < PEAK_MAX, "{peak}");
}
