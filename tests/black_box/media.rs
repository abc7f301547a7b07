//! Files: ahead of the entities that name them, once, bounded, and only where the shape says so.

use crate::admin::{adopt, ask, dead_letters};
use crate::reconciliation::walk;
use http::Method;
use model::entity::Kind;
use serde_json::{Value, json};
use shape::{Lookups, Shape, Shaped};
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::destination::{StoredFile, sha256};
use simulator::encode_segment;
use simulator::fault::{Effect, Fault};
use simulator::pim::{CallKind, content};
use tests::application::{Application, Setup};
use tests::fixtures;
use tests::world::{World, deliver_all, platform_deliveries};

const IMAGE: &str = "0/1/2/3/0123_lamp on.jpg";
const MANUAL: &str = "f/e/d/c/fedc_manual.pdf";

/// A catalogue whose PIM has these files, and an application between.
async fn started(files: &[(&str, usize)], shape: Value) -> (World, Application) {
    let world = World::start(Catalogue::generate(4, 0, 7)).await.unwrap();
    let files = files.iter().map(|(code, size)| ((*code).to_owned(), *size)).collect();
    world.pim.with(|pim| pim.config.media = files);
    let application = Application::start(setup(&world, shape)).await.unwrap();
    (world, application)
}

fn setup(world: &World, shape: Value) -> Setup {
    world.setup().with("shape", &shape.to_string())
}

/// Gives a product these files and says so.
async fn give(world: &World, application: &Application, product: &EntityId, files: &[(&str, &str)], seed: u64) {
    let mut changes = Vec::new();
    for (attribute, code) in files {
        let set = Action::SetValue {
            attribute: (*attribute).to_owned(),
            locale: None,
            scope: None,
            data: json!(code),
        };
        changes.extend(world.edit(product, set).unwrap());
    }
    deliver_all(application, &platform_deliveries(&changes, seed))
        .await
        .unwrap();
}

fn path(code: &str) -> String {
    format!("/media/{}", encode_segment(code))
}

fn file(world: &World, code: &str) -> Option<StoredFile> {
    world
        .destination
        .with(|destination| destination.media.get(&path(code)).cloned())
}

fn holds(world: &World, product: &EntityId) -> bool {
    let path = format!("/products/{}", product.key());
    world
        .destination
        .with(|destination| destination.state.contains_key(&path))
}

/// The paths of what the destination was sent, in order.
fn sent(world: &World) -> Vec<String> {
    world
        .destination
        .with(|destination| destination.log.iter().map(|request| request.path.clone()).collect())
}

#[tokio::test]
async fn files_go_ahead_of_their_product_and_once() {
    let sizes = [(IMAGE, 3_000_017), (MANUAL, 70_000)];
    let (world, application) = started(&sizes, json!({ "media": {} })).await;
    let products = world.products();
    give(
        &world,
        &application,
        &products[0],
        &[("packshot", IMAGE), ("manual", MANUAL)],
        1,
    )
    .await;
    let reports = application.tick_until_idle().await.unwrap();
    let product = format!("/products/{}", products[0].key());
    let order = sent(&world);
    assert_eq!(order.len(), 3, "{order:?}");
    assert_eq!(order[2], product, "the product comes last");
    for (code, size) in sizes {
        let expected = StoredFile {
            bytes: size,
            sha256: sha256(&content(code, size)),
            content_type: Some(if code == IMAGE { "image/jpeg" } else { "application/pdf" }.to_owned()),
            versions: 1,
        };
        assert_eq!(file(&world, code), Some(expected));
    }
    let lengths = world.destination.with(|destination| {
        let files = destination
            .log
            .iter()
            .filter(|request| request.path.contains("/media/"));
        files
            .filter_map(|request| request.header("content-length").map(str::to_owned))
            .count()
    });
    assert_eq!(lengths, 2, "what the PIM says of the length is passed on");
    let counted: u64 = reports.iter().filter_map(|report| report["files"].as_u64()).sum();
    assert_eq!(counted, 2);
    println!(
        "2 files, {} bytes, then their product",
        sizes.map(|(_, size)| size).iter().sum::<usize>()
    );

    // Another product with one of them, and the first one changed: nothing goes twice, also after a restart.
    let application = application.kill_and_restart().await.unwrap();
    give(&world, &application, &products[1], &[("packshot", IMAGE)], 2).await;
    let touched = world.edit(&products[0], Action::Touch).unwrap();
    deliver_all(&application, &platform_deliveries(&touched, 3))
        .await
        .unwrap();
    application.tick_until_idle().await.unwrap();
    assert!(holds(&world, &products[1]));
    assert_eq!(world.pim_calls(&[CallKind::Media]), 2);
    assert_eq!(file(&world, IMAGE).unwrap().versions, 1);
    assert!(dead_letters(&application).await.is_empty());
}

#[tokio::test]
async fn a_file_of_unknown_length_gets_one_unless_it_is_large() {
    let sizes = [("1/empty.txt", 0), ("2/small.jpg", 70_000), ("3/large.jpg", 5_000_000)];
    let (world, application) = started(&sizes, json!({ "media": {} })).await;
    world.pim.with(|pim| pim.config.media_in_chunks = true);
    let products = world.products();
    for (at, (code, _)) in sizes.iter().enumerate() {
        give(
            &world,
            &application,
            &products[at],
            &[("packshot", code)],
            at as u64 + 1,
        )
        .await;
    }
    application.tick_until_idle().await.unwrap();
    for (code, size) in sizes {
        assert_eq!(
            file(&world, code).unwrap().sha256,
            sha256(&content(code, size)),
            "{code}"
        );
        let length = world.destination.with(|destination| {
            let mut all = destination.log.iter();
            let request = all.find(|request| request.path == path(code)).unwrap();
            request.header("content-length").map(str::to_owned)
        });
        let told = (size < 1_000_000).then(|| size.to_string());
        assert_eq!(length, told, "{code}");
    }
}

#[tokio::test]
async fn a_large_file_of_unknown_length_that_turns_out_too_large_is_broken_off() {
    let size = 9_000_000;
    let (world, application) = started(&[(IMAGE, size)], json!({ "media": { "max_bytes": size - 1 } })).await;
    world.pim.with(|pim| pim.config.media_in_chunks = true);
    give(&world, &application, &world.products()[0], &[("packshot", IMAGE)], 1).await;
    application.tick_until_idle().await.unwrap();
    assert_eq!(file(&world, IMAGE), None);
    let letters = dead_letters(&application).await;
    assert!(
        letters[0]["reason"].as_str().unwrap().contains("larger than"),
        "{letters:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_too_large_buries_its_product_and_leaves_nothing() {
    let shape = |max: usize| json!({ "media": { "max_bytes": max } });
    let sizes = [(IMAGE, 400_000), (MANUAL, 400_000)];
    let (world, application) = started(&sizes, shape(399_999)).await;
    let products = world.products();
    give(&world, &application, &products[0], &[("packshot", IMAGE)], 1).await;
    give(&world, &application, &products[1], &[("name", "no file")], 2).await;
    application.tick_until_idle().await.unwrap();
    // The PIM says how large it is, and it is not even begun.
    assert_eq!(sent(&world).len(), 1);
    // Where it does not, the request is broken off.
    world.pim.with(|pim| pim.config.media_in_chunks = true);
    give(&world, &application, &products[2], &[("manual", MANUAL)], 3).await;
    application.tick_until_idle().await.unwrap();
    assert!(holds(&world, &products[1]), "others go on");
    assert!(!holds(&world, &products[0]) && !holds(&world, &products[2]));
    assert_eq!((file(&world, IMAGE), file(&world, MANUAL)), (None, None));
    let letters = dead_letters(&application).await;
    assert_eq!(letters.len(), 2);
    for (letter, code) in letters.iter().zip([MANUAL, IMAGE]) {
        let reason = letter["reason"].as_str().unwrap();
        println!("{reason}");
        assert!(
            letters
                .iter()
                .any(|letter| letter["reason"].as_str().unwrap().contains(code))
        );
        assert!(
            reason.contains("larger than 399999 bytes") && reason.contains("max_bytes"),
            "{reason}"
        );
    }
    // As large as it may be is not too large, in chunks or not.
    let application = application.restart_with(setup(&world, shape(400_000))).await.unwrap();
    adopt(&application, false).await;
    application.tick().await.unwrap();
    ask(
        &application,
        Method::POST,
        "/admin/dead-letters/replay",
        json!({ "all": true }),
    )
    .await;
    application
        .until(|| holds(&world, &products[0]) && holds(&world, &products[2]))
        .await
        .unwrap();
    for code in [IMAGE, MANUAL] {
        assert_eq!(file(&world, code).unwrap().sha256, sha256(&content(code, 400_000)));
    }
}

#[tokio::test]
async fn what_fails_for_now_comes_through_later() {
    let files = ["1/a.jpg", "2/b.jpg", "3/c.jpg", "4/d.jpg"];
    let (world, application) = started(&files.map(|code| (code, 200_000)), json!({ "media": {} })).await;
    let products = world.products();
    // The destination is down, goes away, and took it without saying so; the PIM goes away.
    let faults = [
        Fault::status(503),
        Effect::Cut { applied: false },
        Effect::Cut { applied: true },
        Effect::Cut { applied: false },
    ];
    for (at, (effect, code)) in faults.into_iter().zip(files).enumerate() {
        let fault = Fault::next(1, effect);
        if at < 3 {
            let fault = fault.path(&path(code));
            world.destination.with(|destination| destination.faults.add(fault));
        } else {
            let fault = fault.path(&format!("/api/rest/v1/media-files/{code}"));
            world.pim.with(|pim| pim.faults.add(fault));
        }
        give(
            &world,
            &application,
            &products[at],
            &[("packshot", code)],
            at as u64 + 1,
        )
        .await;
    }
    let first = application.tick().await.unwrap();
    assert_eq!(
        (&first["retries"], &first["upserts"]),
        (&json!(4), &json!(0)),
        "{first}"
    );
    application
        .until(|| products.iter().all(|product| holds(&world, product)))
        .await
        .unwrap();
    for code in files {
        assert_eq!(file(&world, code).unwrap().sha256, sha256(&content(code, 200_000)));
    }
    let uploads: u64 = files.iter().map(|code| file(&world, code).unwrap().versions).sum();
    println!(
        "4 files, {} calls of the PIM, {uploads} uploads that took effect",
        world.pim_calls(&[CallKind::Media])
    );

    // What the PIM does not have yet is asked for again; what it sends with a token that ended, with a new one.
    give(&world, &application, &products[1], &[("manual", MANUAL)], 9).await;
    let missing = application.tick().await.unwrap();
    assert_eq!(missing["retries"], 1, "{missing}");
    world.pim.with(|pim| {
        pim.config.media.insert(MANUAL.to_owned(), 5);
        let fault = Fault::next(1, Fault::status(401));
        pim.faults.add(fault.path("/api/rest/v1/media-files/"));
    });
    application.until(|| file(&world, MANUAL).is_some()).await.unwrap();
    assert_eq!(file(&world, MANUAL).unwrap().bytes, 5);
    assert!(dead_letters(&application).await.is_empty());
}

#[tokio::test]
async fn a_file_that_is_refused_for_good_buries_its_product() {
    let (world, application) = started(&[(IMAGE, 10)], json!({ "media": {} })).await;
    let products = world.products();
    world
        .destination
        .with(|destination| destination.reject(IMAGE, "No pictures of lamps."));
    give(&world, &application, &products[0], &[("packshot", IMAGE)], 1).await;
    application.tick_until_idle().await.unwrap();
    assert!(!holds(&world, &products[0]));
    let letters = dead_letters(&application).await;
    let reason = letters[0]["reason"].as_str().unwrap();
    println!("{reason}");
    assert!(reason.contains(IMAGE) && reason.contains("No pictures of lamps.") && reason.contains("replay"));
}

#[tokio::test]
async fn a_type_that_is_refused_is_one_files_fault_and_a_missing_path_holds_up_files_alone() {
    let (world, application) = started(&[(IMAGE, 10), (MANUAL, 10)], json!({ "media": {} })).await;
    let products = world.products();
    let answer = |status: u16, path: &str| {
        let fault = Fault::always(Fault::status(status)).path(path);
        world.destination.with(|destination| destination.faults.add(fault));
    };
    answer(415, &path(IMAGE));
    give(&world, &application, &products[0], &[("packshot", IMAGE)], 1).await;
    give(&world, &application, &products[1], &[("manual", MANUAL)], 2).await;
    application.until(|| holds(&world, &products[1])).await.unwrap();
    let letters = dead_letters(&application).await;
    assert!(letters[0]["reason"].as_str().unwrap().contains(IMAGE), "{letters:?}");

    world.destination.with(|destination| destination.faults.clear());
    answer(404, "/media");
    let other = "4/other.jpg";
    world.pim.with(|pim| pim.config.media.insert(other.to_owned(), 10));
    give(&world, &application, &products[2], &[("packshot", other)], 3).await;
    for _ in 0..3 {
        application.tick().await.unwrap();
    }
    give(&world, &application, &products[3], &[("name", "no file")], 4).await;
    application.tick().await.unwrap();
    assert!(holds(&world, &products[3]) && !holds(&world, &products[2]));
    let waiting = ask(
        &application,
        Method::GET,
        &format!("/admin/entities/products/{}", products[2].key()),
        json!(null),
    )
    .await;
    assert_eq!(
        waiting.json()["retries"][0]["why"],
        "upstream-down",
        "{:?}",
        waiting.json()
    );
    assert_eq!(dead_letters(&application).await.len(), 1);
}

#[tokio::test]
async fn files_stay_where_they_are_until_they_are_asked_for_and_then_all_go() {
    let (world, application) = started(&[(IMAGE, 1000)], json!({})).await;
    let products = world.products();
    give(&world, &application, &products[0], &[("packshot", IMAGE)], 1).await;
    application.tick_until_idle().await.unwrap();
    assert!(holds(&world, &products[0]));
    assert_eq!((world.pim_calls(&[CallKind::Media]), file(&world, IMAGE)), (0, None));
    assert_eq!(sent(&world).len(), 1);

    // A walk that follows the new shape finds what names a file, unchanged as it is.
    let application = application
        .restart_with(setup(&world, json!({ "media": {} })))
        .await
        .unwrap();
    adopt(&application, false).await;
    walk(&application).await;
    application.until(|| file(&world, IMAGE).is_some()).await.unwrap();
    // Another destination has none of them.
    application.tick_until_idle().await.unwrap();
    world.destination.with(|destination| destination.media.clear());
    adopt(&application, true).await;
    walk(&application).await;
    application.until(|| file(&world, IMAGE).is_some()).await.unwrap();
}

#[test]
fn the_files_of_every_example_are_found() {
    let shape = Shape::read(r#"{"media": {}}"#).unwrap();
    let mut found = Vec::new();
    for (name, payload) in fixtures::payloads("rest/values") {
        let example: Value = serde_json::from_slice(&payload).unwrap();
        let product = json!({ "values": example.get("values").unwrap_or(&example) });
        if let Shaped::Wanted(upsert) = shape.apply(Kind::Product, "id", &product, &Lookups::default()) {
            found.extend(upsert.files.into_iter().map(|file| (name.clone(), file.code)));
        }
    }
    println!("{found:?}");
    assert!(
        found.is_empty() || found.iter().all(|(name, _)| name == "media.json"),
        "{found:?}"
    );
}
