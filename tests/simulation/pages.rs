//! Pages of the PIM's lists that are too heavy for it, and entities that break every page that holds them.

use crate::acts::touch;
use model::entity::{Entity, Kind};
use queue::key::{DeadLetterKey, Key};
use queue::keyspace::Keyspace;
use records::reconciliation::{Figures, Rehearsal, Walk};
use serde_json::json;
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::compare::Difference;
use simulator::fault::{Effect, Fault};
use simulator::pim::PostSearch;
use std::collections::{BTreeMap, BTreeSet};
use tests::simulation::stage::Stage;
use world::mistake::Mistake;

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

const WALK: &str = r#"{"v":1,"do":"reconcile","scan":"full"}"#;

fn models(stage: &Stage) -> Vec<EntityId> {
    let world = stage.world();
    world
        .pim
        .catalogue
        .truth()
        .models(None)
        .map(|model| model.id.clone())
        .collect()
}

fn walk(stage: &mut Stage, within_ms: u64) -> Walk {
    let before_ms = stage.now_ms();
    stage.command(WALK);
    stage.run_until(within_ms, "a walk", |stage| {
        let walk = stage.reconciliation().walk;
        walk.began_ms >= before_ms && walk.step.is_none() && walk.raising.is_none()
    });
    stage.reconciliation().walk
}

/// How large the pages of a kind were that the PIM was asked for since the last time, by how often.
fn sizes(stage: &Stage, path: &str) -> BTreeMap<usize, usize> {
    let mut sizes = BTreeMap::new();
    for call in stage
        .world()
        .pim
        .calls
        .iter()
        .filter(|call| call.path.starts_with(path))
    {
        let limit = call.path.split(['?', '&']).find_map(|pair| pair.strip_prefix("limit="));
        if let Some(limit) = limit.and_then(|limit| limit.parse().ok()) {
            *sizes.entry(limit).or_default() += 1;
        }
    }
    sizes
}

/// Sets the name of a product to a text of so many bytes.
fn swell(product: &EntityId, bytes: usize) -> Edit {
    let set = Action::SetValue {
        attribute: "name".to_owned(),
        locale: Some("en_US".to_owned()),
        scope: None,
        data: json!("x".repeat(bytes)),
    };
    Edit::new(product.clone(), set)
}

/// Products of 520 KB: a page of a hundred is more than is read, one of 25 is not.
#[test]
fn a_page_that_is_too_large_is_asked_for_smaller() {
    for (heavy, seed) in [(100, 61), (30, 62)] {
        let mut stage = Stage::with(250, 0, seed, |_, _| {});
        for product in stage.products().iter().skip(100).take(heavy) {
            stage.edit(&swell(product, 52_000_000 / heavy));
        }
        walk(&mut stage, 3 * HOUR_MS);
        stage.run_for(HOUR_MS);
        assert_eq!(stage.differences(), []);
        assert_eq!(stage.reconciliation().lasting_trouble(stage.now_ms()), None);
    }
}

/// A page takes so long for each of its entities that only one of so many comes in time.
#[test]
fn a_page_that_takes_too_long_is_asked_for_smaller_and_the_size_that_comes_is_kept() {
    for (entity_ms, largest) in [(200, 25), (700, 5), (3500, 1)] {
        let mut stage = Stage::with(620, 0, 63, |world, _| world.pim.config.entity_ms = entity_ms);
        walk(&mut stage, 8 * HOUR_MS);
        stage.run_for(2 * HOUR_MS);
        assert_eq!(stage.differences(), [], "{entity_ms} ms an entity");
        stage.forget();
        walk(&mut stage, 8 * HOUR_MS);
        let asked = sizes(&stage, "/api/rest/v1/products-uuid/search");
        let failed: usize = asked.range(largest + 1..).map(|(_, count)| count).sum();
        let came: usize = asked.range(..=largest).map(|(_, count)| count).sum();
        assert!(failed * 2 <= came, "{entity_ms} ms an entity: {asked:?}");
        // It is well again: pages grow back.
        stage.world().pim.config.entity_ms = 0;
        for _ in 0..12 {
            walk(&mut stage, 2 * HOUR_MS);
        }
        stage.forget();
        walk(&mut stage, HOUR_MS);
        assert!(
            sizes(&stage, "/api/rest/v1/products-uuid/search").contains_key(&100),
            "{entity_ms} ms"
        );
    }
}

fn sizes_of(stage: &Stage) -> BTreeMap<usize, usize> {
    sizes(stage, "/api/rest/v1/")
}

/// Some PIMs, and proxies before them, take no page of a hundred.
#[test]
fn a_pim_that_refuses_large_pages_gets_smaller_ones() {
    for most in [50, 10, 2] {
        let mut stage = Stage::with(60, 12, 64, |world, worker| {
            world.pim.config.page_max = Some(most);
            worker.shape = Shape::read(r#"{"categories": {}}"#).expect("a good shape");
        });
        walk(&mut stage, 6 * HOUR_MS);
        stage.run_for(HOUR_MS);
        assert_eq!(stage.differences(), [], "at most {most}");
        let product = stage.products()[7].clone();
        stage.edit(&Edit::new(product, Action::Touch));
        stage.run_for(HOUR_MS);
        assert_eq!(stage.differences(), [], "at most {most}: {:?}", sizes_of(&stage));
    }
}

/// Takes some entities for unreadable; gives what ought to be missing at the destination.
fn spoil(stage: &Stage, ids: impl IntoIterator<Item = EntityId>) -> BTreeSet<String> {
    let ids: BTreeSet<EntityId> = ids.into_iter().collect();
    let keys = ids.iter().map(EntityId::key).collect();
    stage.world().pim.config.unreadable = ids;
    keys
}

fn missing(stage: &Stage) -> BTreeSet<String> {
    let differences = stage.differences().into_iter();
    let missing = differences.filter_map(|difference| match difference {
        Difference::Missing { path } => path.splitn(3, '/').nth(2).map(str::to_owned),
        other => panic!("{other:?}"),
    });
    missing.collect()
}

/// Nothing was pushed yet, so nothing is known of what cannot be read: first, last, side by side, far apart.
#[test]
fn what_breaks_every_page_is_passed_over_and_all_others_arrive() {
    let places: [&[usize]; 5] = [&[6], &[0], &[129], &[40, 41, 42], &[3, 50, 52, 53, 99, 128]];
    for post_search in [PostSearch::Available, PostSearch::MethodNotAllowed] {
        for places in places {
            let mut stage = Stage::with(130, 30, 65, |world, _| world.pim.config.post_search = post_search);
            let (products, models) = (stage.products(), models(&stage));
            let models = places.iter().filter_map(|place| models.get(place % 40)).cloned();
            let broken = spoil(
                &stage,
                places.iter().map(|place| products[*place].clone()).chain(models),
            );
            println!("{places:?} by {post_search:?}");
            let last = walk(&mut stage, 6 * HOUR_MS).last;
            stage.run_for(4 * HOUR_MS);
            assert_eq!(missing(&stage), broken, "{places:?}");
            let unread = |kind: Kind| last.get(kind).map_or(0, |figures: &Figures| figures.unread);
            assert_eq!(unread(Kind::Product), places.len() as u64, "{places:?}");
            assert!(
                unread(Kind::ProductModel) > 0 || broken.len() == places.len(),
                "{places:?}"
            );
            let told = stage.reconciliation().lasting_trouble(stage.now_ms());
            assert!(told.is_some_and(|told| told.contains("passed over")), "{places:?}");
            // Each product that is known by name ends where people see it, once.
            let dead = stage.world().store.keys().filter(|key| key.contains(".d.p.")).count();
            assert_eq!(dead, places.len(), "{places:?}");
            // It is mended: found by itself.
            stage.world().pim.config.unreadable.clear();
            walk(&mut stage, HOUR_MS);
            stage.run_for(HOUR_MS);
            assert_eq!(stage.differences(), [], "{places:?}");
            assert_eq!(
                stage.reconciliation().lasting_trouble(stage.now_ms()),
                None,
                "{places:?}"
            );
        }
    }
}

/// So many cannot be read that one that is looked for hides others, with good ones between them.
#[test]
fn what_lies_between_two_that_cannot_be_read_arrives() {
    for (one_in, seed) in [(3, 72), (4, 73), (3, 74), (2, 75)] {
        let mut stage = Stage::with(24, 0, seed, |_, _| {});
        let products = stage.products();
        let mut chance = stage.random.fork();
        let broken = spoil(&stage, products.into_iter().filter(|_| chance.u8(..one_in) == 0));
        walk(&mut stage, 20 * HOUR_MS);
        stage.run_for(4 * HOUR_MS);
        assert_eq!(missing(&stage), broken, "one in {one_in}");
    }
}

/// What was pushed already and breaks pages now is not taken for deleted, and neither are its neighbours; what is gone
/// elsewhere is.
#[test]
fn nothing_is_concluded_of_what_cannot_be_read() {
    let mut stage = Stage::new(300, 40, 66);
    stage.walk();
    assert_eq!(stage.differences(), []);
    let (products, models) = (stage.products(), models(&stage));
    let broken = [
        products[77].clone(),
        products[200].clone(),
        models[5].clone(),
        models[6].clone(),
    ];
    let gone = [products[10].clone(), products[299].clone()];
    spoil(&stage, broken);
    for product in &gone {
        stage.edit(&Edit::new(product.clone(), Action::Delete));
    }
    stage.run_for(5 * MINUTE_MS);
    let last = walk(&mut stage, 3 * HOUR_MS).last;
    // Models are listed, and then asked for by their codes.
    assert_eq!(
        (
            last.get(Kind::Product).unwrap().unread,
            last.get(Kind::ProductModel).unwrap().unread
        ),
        (2, 4)
    );
    stage.run_for(HOUR_MS);
    let world = stage.world();
    let deleted = world.destination.log.iter().filter(|push| push.method == "DELETE");
    let deleted: BTreeSet<String> = deleted.map(|push| push.path.clone()).collect();
    assert_eq!(
        deleted,
        gone.iter().map(|gone| format!("/products/{}", gone.key())).collect()
    );
    drop(world);
    // It is mended as it was: nothing is pushed, and nobody is told of it any more.
    let letters = |stage: &Stage| stage.world().store.keys().filter(|key| key.contains(".d.p.")).count();
    assert_eq!(letters(&stage), 2);
    stage.world().pim.config.unreadable.clear();
    stage.forget();
    stage.walk();
    assert_eq!((letters(&stage), stage.pushes("PUT")), (0, 0));
}

/// Changes every model, and tells of it at once.
fn change_models(stage: &mut Stage) {
    for model in models(stage) {
        let changes = stage.edit(&touch(&model));
        stage.tell_now(&changes);
    }
}

/// A model whose variants cannot all be read still has the others marked.
#[test]
fn a_change_of_a_model_reaches_the_variants_that_can_be_read() {
    let mut stage = Stage::with(300, 6, 67, |_, worker| {
        (worker.reconciliation.recent_s, worker.reconciliation.walk_s) = (None, None);
    });
    stage.walk();
    assert_eq!(stage.differences(), []);
    stage.world().pim.config.page_max = Some(5);
    change_models(&mut stage);
    stage.run_for(2 * HOUR_MS);
    assert_eq!(stage.differences(), []);
}

/// Variants that no list gives are told of when their model changes, and not passed over in silence.
#[test]
fn a_variant_that_cannot_be_read_is_told_when_its_model_changes() {
    let mut stage = Stage::with(120, 3, 76, |_, worker| {
        (worker.reconciliation.recent_s, worker.reconciliation.walk_s) = (None, None);
    });
    stage.walk();
    assert_eq!(stage.differences(), []);
    let variant = {
        let world = stage.world();
        let mut products = world.pim.catalogue.truth().products(None);
        let variant = products.find(|product| product.parent.is_some());
        variant.expect("a variant").id.clone()
    };
    spoil(&stage, [variant.clone()]);
    change_models(&mut stage);
    stage.run_for(6 * HOUR_MS);
    assert_eq!(dead(&stage), [variant.key()]);
    stage.world().pim.config.unreadable.clear();
    stage.tell(&touch(&variant));
    stage.run_for(HOUR_MS);
    assert_eq!((dead(&stage).len(), stage.differences()), (0, Vec::new()));
}

/// The codes of the products that are given up.
fn dead(stage: &Stage) -> Vec<String> {
    let keys = Keyspace::new("main");
    let world = stage.world();
    let letters = world.store.keys().filter_map(|key| match keys.parse(key) {
        Some(Key::DeadLetter(letter)) if letter.entity.kind == Kind::Product => letter.entity.segment.code(),
        _ => None,
    });
    letters.collect()
}

/// The search for what cannot be read may find a later one first: the one before it is told of, too.
#[test]
fn each_of_several_that_cannot_be_read_is_told() {
    for seed in 80..92 {
        let mut stage = Stage::new(24, 0, seed);
        let products = stage.products();
        let broken = spoil(&stage, [7, 9, 10, 12, 20].map(|place| products[place].clone()));
        let last = walk(&mut stage, 6 * HOUR_MS).last;
        stage.run_for(6 * HOUR_MS);
        assert_eq!(missing(&stage), broken, "{seed}");
        assert_eq!(last.get(Kind::Product).unwrap().unread, broken.len() as u64, "{seed}");
        assert_eq!(dead(&stage).into_iter().collect::<BTreeSet<_>>(), broken, "{seed}");
    }
}

/// While the PIM is down for everything, nothing is passed over, however long that is.
#[test]
fn an_outage_is_not_taken_for_something_that_cannot_be_read() {
    for (effect, hours) in [(Fault::status(500), 3), (Effect::Hang { ms: 60_000 }, 2)] {
        let mut stage = Stage::new(230, 20, 68);
        stage.run_for(20 * SECOND_MS);
        stage
            .world()
            .pim
            .faults
            .add(Fault::always(effect).path("/api/rest/v1/"));
        stage.run_for(hours * HOUR_MS);
        let record = stage.reconciliation();
        assert!(record.walk.step.is_some());
        let told = record.lasting_trouble(stage.now_ms());
        assert!(
            told.as_ref().is_some_and(|told| told.contains("has failed since")),
            "{told:?} {record:?}"
        );
        stage.world().pim.faults.clear();
        stage.run_for(2 * HOUR_MS);
        assert_eq!(stage.differences(), []);
        let record = stage.reconciliation();
        assert!(
            record
                .walk
                .last
                .iter()
                .all(|(_, figures)| figures.unread == 0 && figures.cut.is_none())
        );
    }
}

/// A list that does not come at all, although the PIM answers other searches, does not keep the walk from the others.
#[test]
fn a_list_that_never_comes_is_left_after_an_hour_and_told() {
    let mut stage = Stage::with(60, 20, 69, |_, worker| worker.reconciliation.recent_s = None);
    let broken = Fault::always(Fault::status(500)).path("/api/rest/v1/product-models");
    let only_scans = Fault {
        entity: Some("search={}".to_owned()),
        ..broken
    };
    stage.world().pim.faults.add(only_scans);
    let filtered = Fault::always(Fault::status(500)).path("/api/rest/v1/product-models");
    stage.world().pim.faults.add(Fault {
        entity: Some("created".to_owned()),
        ..filtered
    });
    let last = walk(&mut stage, 3 * HOUR_MS);
    stage.run_for(HOUR_MS);
    assert!(last.last.get(Kind::ProductModel).unwrap().cut.is_some());
    assert!(
        stage.differences().iter().all(
            |difference| matches!(difference, Difference::Missing { path } if path.starts_with("/product-models/"))
        )
    );
    let told = stage.reconciliation().lasting_trouble(stage.now_ms());
    assert!(told.is_some_and(|told| told.contains("before its end")));
    stage.world().pim.faults.clear();
    walk(&mut stage, HOUR_MS);
    stage.run_for(HOUR_MS);
    assert_eq!(stage.differences(), []);
}

/// The other shape is rehearsed to its end all the same.
#[test]
fn a_rehearsal_passes_over_what_cannot_be_read() {
    let mut first = Stage::new(130, 10, 70);
    first.walk();
    let store = first.world().store.clone();
    drop(first);
    let mut stage = Stage::with(130, 10, 70, |world, worker| {
        world.store = store;
        worker.shape = Shape::read(r#"{"products": {"values": {"form": "flat"}}}"#).expect("a good shape");
    });
    let products = stage.products();
    spoil(&stage, [products[30].clone(), products[31].clone()]);
    stage.run_for(HOUR_MS);
    let record = stage.world().store["r1.main.rehearsal"].clone();
    let rehearsal: Rehearsal = serde_json::from_slice(&record).expect("a rehearsal");
    assert!(rehearsal.is_done());
    assert_eq!(rehearsal.counts.unread, 2, "{rehearsal:?}");
    assert_eq!(rehearsal.counts.push, products.len() as u64 - 2);
}

/// A page that is asked for in one size only would end every walk.
#[test]
fn the_mistake_of_never_asking_for_less_is_seen() {
    let mut stage = Stage::with(130, 0, 71, |_, _| {});
    let products = stage.products();
    spoil(&stage, [products[20].clone()]);
    stage.make(Some(Mistake::NeverNarrow));
    stage.command(WALK);
    stage.run_for(12 * HOUR_MS);
    stage.make(None);
    assert!(missing(&stage).len() > 1, "nothing past the page that holds it");
    let key = Keyspace::new("main").encode(&Key::DeadLetter(DeadLetterKey::new(
        Entity::new(Kind::Product, &products[20].key()),
        0,
    )));
    let name = key.trim_end_matches('0').to_owned();
    assert!(!stage.world().store.keys().any(|key| key.starts_with(&name)));
}
