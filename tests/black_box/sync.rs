//! From deliveries to a destination that equals the PIM.

use http::Method;
use serde_json::json;
use simulator::catalogue::{Action, Catalogue, Change, Edit, EntityId};
use simulator::compare::Difference;
use simulator::fault::{Effect, Fault};
use simulator::pim::{CallKind, PimConfig, PostSearch};
use tests::application::{ADMIN_TOKEN, Application};
use tests::client::bearer;
use tests::world::{World, deliver_all, legacy_deliveries, platform_deliveries};

const SEARCHES: [CallKind; 2] = [CallKind::ProductSearch, CallKind::ProductList];

/// Touches these entities; gives the changes in turn.
fn touch(world: &World, entities: &[EntityId]) -> Vec<Change> {
    entities
        .iter()
        .flat_map(|entity| world.edit(entity, Action::Touch).unwrap())
        .collect()
}

/// Lets the destination catch up with a whole catalogue, in deliveries of the Events API.
async fn catch_up(world: &World, application: &Application) {
    let all: Vec<EntityId> = world.models().into_iter().chain(world.products()).collect();
    deliver_all(application, &legacy_deliveries(&touch(world, &all), 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
}

#[tokio::test]
async fn many_events_over_few_products_cost_few_calls_and_a_second_round_costs_no_upsert() {
    let world = World::start(Catalogue::generate(300, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    let mut changes = touch(&world, &products);
    changes.extend(touch(&world, &products[..200]));
    assert_eq!(changes.len(), 500);
    let deliveries = platform_deliveries(&changes, 1);
    deliver_all(&application, &deliveries).await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
    let (searches, by_id, upserts) = (
        world.pim_calls(&SEARCHES),
        world.pim_calls(&[CallKind::ProductById]),
        world.pushes("PUT"),
    );
    println!("500 events over 300 products: {searches} searches, {by_id} reads by id, {upserts} upserts");
    assert!(searches <= 3, "{searches} searches");
    assert_eq!((by_id, upserts), (0, 300));

    world.forget_calls();
    deliver_all(&application, &platform_deliveries(&changes, 2))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(
        (
            world.pim_calls(&SEARCHES),
            world.pim_calls(&[CallKind::ProductById]),
            world.pushes("PUT")
        ),
        (3, 0, 0)
    );
}

#[tokio::test]
async fn an_index_that_lags_is_read_past() {
    let world = World::start(Catalogue::generate(20, 2, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    catch_up(&world, &application).await;
    world.pim.with(|pim| {
        pim.config.lag_ms = 300_000;
        pim.catalogue.lag_ms = 300_000;
    });
    let products = world.products();
    let fresh = EntityId::Product(simulator_uuid("c0ffee00-9a44-4e0f-8d31-c06e77f2a901"));
    let mut changes = touch(&world, &products[..3]);
    changes.extend(world.edit(&fresh, Action::create()).unwrap());
    changes.extend(world.edit(&products[5], Action::Delete).unwrap());
    world.forget_calls();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    // What the index still lists is gone by the word of two requests only, the second a minute later.
    let deleted = Difference::Extra {
        path: format!("/products/{}", products[5].key()),
    };
    assert_eq!(world.differences(), [deleted]);
    assert_eq!(
        world.pim_calls(&[CallKind::ProductById]),
        5,
        "the three stale, the missing and the deleted one"
    );
}

fn simulator_uuid(text: &str) -> uuid::Uuid {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_models_edit_reaches_its_variants() {
    let world = World::start(Catalogue::generate(400, 12, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    catch_up(&world, &application).await;
    // A root with sub-models, so that both levels below it inherit.
    let root = world.pim.with(|pim| {
        let truth = pim.catalogue.truth();
        let root = truth
            .models(None)
            .find(|model| !truth.sub_models(model.code()).is_empty() && !truth.descendants(model.code()).is_empty());
        root.map(|root| (root.id.clone(), truth.descendants(root.code()).len()))
            .unwrap()
    });
    world.forget_calls();
    let set = Action::SetValue {
        attribute: "name".to_owned(),
        locale: Some("en_US".to_owned()),
        scope: None,
        data: json!("a new name for all below"),
    };
    let changes = world.edit(&root.0, set).unwrap();
    assert_ne!(world.differences(), [], "the variants inherit the value");
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    for _ in 0..3 {
        application.tick().await.unwrap();
    }
    assert_eq!(world.differences(), []);
    println!(
        "one model event, {} descendants, {} upserts",
        root.1,
        world.pushes("PUT")
    );
}

/// An import: every model of many changes at once, at a PIM and a destination that take as long as real ones.
#[tokio::test]
async fn four_hundred_models_of_ten_variants_each_change_at_once() {
    const MODELS: usize = 400;
    let mut catalogue = Catalogue::generate(0, 0, 7);
    for number in 0..MODELS {
        let model = format!("import {number}");
        let root = Edit::new(EntityId::Model(model.clone()), Action::create());
        catalogue.edit(&root, 1_000_000).unwrap();
        for variant in 0..10 {
            let uuid = uuid::Builder::from_random_bytes(
                ((number * 10 + variant) as u128)
                    .wrapping_mul(u128::MAX / 4001)
                    .to_be_bytes(),
            );
            let variant = Edit::new(EntityId::Product(uuid.into_uuid()), Action::create_below(&model));
            catalogue.edit(&variant, 1_000_000).unwrap();
        }
    }
    let world = World::start(catalogue).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    catch_up(&world, &application).await;
    world.forget_calls();
    let slow = |ms| Fault::always(Effect::Slow { ms });
    world.pim.with(|pim| pim.faults.add(slow(200).path("/api/rest/v1/")));
    world.destination.with(|destination| destination.faults.add(slow(50)));
    let mut changes = Vec::new();
    for model in world.models() {
        let set = Action::SetValue {
            attribute: "name".to_owned(),
            locale: Some("en_US".to_owned()),
            scope: None,
            data: json!("imported"),
        };
        changes.extend(world.edit(&model, set).unwrap());
    }
    assert_eq!(world.differences().len(), MODELS * 11);
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    let (began, before, mut ticks) = (std::time::Instant::now(), world.pushes("PUT"), 0);
    while !world.differences().is_empty() {
        let report = application.tick().await.unwrap();
        assert!(report["outcome"] == "worked" && ticks < 60, "tick {ticks}: {report}");
        ticks += 1;
    }
    let calls: usize = world.pim.with(|pim| pim.calls.len());
    println!(
        "{MODELS} models with ten variants each: {} pushes and {calls} calls of the PIM in {ticks} ticks and {} s",
        world.pushes("PUT") - before,
        began.elapsed().as_secs()
    );
    assert!(calls <= 3 * MODELS, "{calls} calls of the PIM");
}

#[tokio::test]
async fn a_pim_without_search_by_post_is_read_by_get() {
    for post_search in [PostSearch::MethodNotAllowed, PostSearch::NotFound] {
        let world = World::with(
            Catalogue::generate(150, 3, 7),
            PimConfig {
                post_search,
                ..PimConfig::default()
            },
        )
        .await
        .unwrap();
        let application = Application::start(world.setup()).await.unwrap();
        catch_up(&world, &application).await;
        assert_eq!(
            world.pim_calls(&[CallKind::ProductSearch]),
            1,
            "tried once, then remembered"
        );
    }
}

#[tokio::test]
async fn tokens_are_renewed_and_an_app_token_works() {
    let config = PimConfig {
        app_token: Some("token-of-an-app".to_owned()),
        access_lifetime_s: 2,
        ..PimConfig::default()
    };
    let world = World::with(Catalogue::generate(30, 2, 7), config).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    catch_up(&world, &application).await;
    world.pim.with(simulator::pim::Pim::expire_access_tokens);
    catch_up(&world, &application).await;
    world.pim.with(|pim| {
        pim.expire_access_tokens();
        pim.expire_refresh_tokens();
    });
    catch_up(&world, &application).await;
    let setup = application
        .setup()
        .with("pim_app_token", "token-of-an-app")
        .with("pim_password", "");
    let application = application.restart_with(setup).await.unwrap();
    world.forget_calls();
    catch_up(&world, &application).await;
    assert_eq!(world.pim_calls(&[CallKind::Token]), 0);
}

#[tokio::test]
async fn a_deletion_is_carried_out_and_a_late_one_is_checked() {
    let world = World::start(Catalogue::generate(20, 2, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    catch_up(&world, &application).await;
    let product = world.products()[3].clone();
    let deleted = world.edit(&product, Action::Delete).unwrap();
    deliver_all(&application, &platform_deliveries(&deleted, 1))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!((world.differences(), world.pushes("DELETE")), (vec![], 1));

    world.edit(&product, Action::create()).unwrap();
    deliver_all(&application, &platform_deliveries(&deleted, 2))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(
        (world.differences(), world.pushes("DELETE")),
        (vec![], 1),
        "it is there again, and so it is upserted"
    );
}

#[tokio::test]
async fn what_fails_for_now_is_tried_again_and_what_is_refused_is_given_up() {
    let world = World::start(Catalogue::generate(12, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let products = world.products();
    let (flaky, refused) = (products[2].key(), products[5].key());
    world.destination.with(|destination| {
        destination
            .faults
            .add(Fault::next(2, Fault::status(503)).path(&format!("/products/{flaky}")));
        destination.reject(&refused, "this colour is unknown");
    });
    deliver_all(&application, &platform_deliveries(&touch(&world, &products), 1))
        .await
        .unwrap();
    let report = application.tick().await.unwrap();
    assert_eq!(report["dead_letters"], 1, "{report}");
    assert_eq!(
        report["upserts"].as_u64().unwrap() + report["retries"].as_u64().unwrap() + 1,
        12,
        "{report}"
    );
    // The schedule's first delays are seconds; the condition is the destination's state.
    world.settle(&application, 1).await.unwrap();
    let differences = world.differences();
    assert!(differences[0].to_string().contains(&refused), "{differences:?}");
    let dead: Vec<_> = application
        .log_lines("worker")
        .into_iter()
        .filter(|line| line["log"] == "dead-letter")
        .collect();
    assert_eq!(dead.len(), 1);
    assert!(dead[0]["reason"].as_str().unwrap().contains("422"), "{dead:?}");
    let tries = world.destination.with(|destination| {
        destination
            .log
            .iter()
            .filter(|request| request.path.ends_with(&refused))
            .count()
    });
    assert_eq!(tries, 1, "a permanent refusal is not repeated");
}

#[tokio::test]
async fn the_same_change_keeps_its_idempotency_key_over_retries_and_the_next_has_another() {
    let world = World::start(Catalogue::generate(3, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let product = world.products()[0].clone();
    world
        .destination
        .with(|destination| destination.faults.add(Fault::next(1, Fault::status(500))));
    for _ in 0..2 {
        deliver_all(
            &application,
            &platform_deliveries(&world.edit(&product, Action::Touch).unwrap(), 1),
        )
        .await
        .unwrap();
        world.settle(&application, 2).await.unwrap();
    }
    let keys: Vec<String> = world.destination.with(|destination| {
        let puts = destination.log.iter().filter(|request| request.method == "PUT");
        puts.map(|request| request.header("idempotency-key").unwrap().to_owned())
            .collect()
    });
    assert_eq!(keys.len(), 3, "a failure, its retry, and the next change");
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2]);
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_costs_a_retry() {
    let world = World::start(Catalogue::generate(10, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    world
        .destination
        .with(|destination| destination.faults.add(Fault::next(1, Effect::Cut { applied: false })));
    deliver_all(&application, &platform_deliveries(&touch(&world, &world.products()), 1))
        .await
        .unwrap();
    world.settle(&application, 0).await.unwrap();
    assert!(world.pushes("PUT") >= 11);
}

#[tokio::test]
async fn a_tick_is_started_only_by_those_who_may() {
    let application = Application::start(tests::world::secrets().with("tick_key", "key of the scheduler"))
        .await
        .unwrap();
    let tick = async |method: Method, path: &str, token: Option<&str>| {
        let headers: Vec<_> = token.map(bearer).into_iter().collect();
        application
            .request(method, path, &headers, "")
            .await
            .unwrap()
            .status
            .as_u16()
    };
    assert_eq!(tick(Method::POST, "/worker/tick", None).await, 401);
    assert_eq!(tick(Method::POST, "/worker/tick", Some("guessed")).await, 401);
    assert_eq!(
        tick(Method::POST, "/worker/tick?key=key%20of%20the%20scheduler", None).await,
        401
    );
    assert_eq!(tick(Method::GET, "/worker/tick", None).await, 401);
    assert_eq!(tick(Method::GET, "/worker/tick?key=guessed", None).await, 401);
    assert_eq!(tick(Method::GET, "/worker/tick", Some(ADMIN_TOKEN)).await, 401);
    assert_eq!(tick(Method::DELETE, "/worker/tick", Some(ADMIN_TOKEN)).await, 405);
    // Let in; what it lacks is a PIM.
    assert_eq!(tick(Method::POST, "/worker/tick", Some(ADMIN_TOKEN)).await, 503);
    assert_eq!(
        tick(Method::GET, "/worker/tick?key=key%20of%20the%20scheduler", None).await,
        503
    );
}
