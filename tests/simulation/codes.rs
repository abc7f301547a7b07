//! Codes in another letter case than the PIM's, and codes that only one request says are gone.

use index::entry::place_of;
use model::entity::{Entity, Kind, Segment};
use model::path::path_segment;
use queue::key::{Change, EventKey, Extent, Key};
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::{Effect, Fault};
use std::collections::BTreeMap;
use tests::simulation::stage::Stage;

const MINUTE_MS: u64 = 60_000;

/// A stage whose destination is equal to the PIM already, and that hears of nothing but what a test tells.
fn equal(models: usize, seed: u64) -> Stage {
    let mut stage = Stage::with(5, models, seed, |_, worker| {
        worker.reconciliation.recent_s = None;
        worker.reconciliation.walk_s = None;
    });
    stage.walk();
    assert_eq!(stage.differences(), []);
    stage
}

fn models(stage: &Stage) -> Vec<String> {
    let world = stage.world();
    let models = world.pim.catalogue.truth().models(None);
    models.map(|model| model.id.key()).collect()
}

/// Leaves an event of a model as deliveries do, under this spelling of its code.
fn tell(stage: &Stage, code: &str, change: Change, id: &str) {
    let event = EventKey {
        time_s: stage.now_ms() / 1000,
        change,
        floor_s: None,
        entity: Entity::new(Kind::ProductModel, code),
        id: Segment::of(id),
    };
    let key = Keyspace::new("main").encode(&Key::Event(event));
    let value = json!({ "v": 1, "code": code, "at_ms": stage.now_ms(), "event": "" });
    stage.world().store.insert(key, value.to_string().into_bytes());
}

fn touch(code: &str) -> Edit {
    Edit::new(EntityId::Model(code.to_owned()), Action::Touch)
}

/// The pages of the index that hold models, by their keys.
fn pages(stage: &Stage) -> BTreeMap<String, Value> {
    let keys = Keyspace::new("main");
    let world = stage.world();
    let of_models = |key: &String| matches!(keys.parse(key), Some(Key::IndexPage(Kind::ProductModel, ..)));
    let pages = world.store.iter().filter(|(key, _)| of_models(key));
    pages
        .map(|(key, value)| (key.clone(), serde_json::from_slice(value).unwrap()))
        .collect()
}

/// The codes of models in the index, those left out that it knows to be removed.
fn indexed(stage: &Stage) -> Vec<String> {
    let mut codes = Vec::new();
    for page in pages(stage).values() {
        let entries = page["entries"].as_object().into_iter().flatten();
        let entries = entries.filter(|(_, entry)| entry.get("g").is_none());
        codes.extend(entries.filter_map(|(segment, _)| Segment::parse(segment)?.code()));
    }
    codes.sort();
    codes
}

/// Every path of a request to the destination that names a model.
fn pushed(stage: &Stage, method: &str) -> Vec<String> {
    let world = stage.world();
    let requests = world.destination.log.iter().filter(|request| request.method == method);
    let mut paths: Vec<String> = requests.map(|request| request.path.clone()).collect();
    paths.retain(|path| path.contains("/product-models/"));
    paths
}

#[test]
fn a_model_is_known_by_the_spelling_of_the_pim() {
    for (models_count, seed) in [(1, 41), (4, 42), (7, 43)] {
        let mut stage = equal(models_count, seed);
        let codes = models(&stage);
        stage.forget();
        for (n, code) in codes.iter().enumerate() {
            stage.edit(&touch(code));
            tell(
                &stage,
                &code.to_ascii_uppercase(),
                Change::Updated,
                &format!("upper {n}"),
            );
            // Some wait under two spellings at once.
            if n % 2 == 0 {
                tell(&stage, code, Change::Updated, &format!("own {n}"));
            }
        }
        stage.run_until(10 * MINUTE_MS, "nothing waits", Stage::is_quiet);
        assert_eq!(stage.differences(), []);
        let path = |code: &String| format!("/product-models/{}", path_segment(code));
        let mut expected: Vec<String> = codes.iter().map(path).collect();
        let mut paths = pushed(&stage, "PUT");
        expected.sort();
        paths.sort();
        assert_eq!(paths, expected);
        let mut known = codes.clone();
        known.sort();
        assert_eq!(indexed(&stage), known);
    }
}

#[test]
fn an_entry_under_another_spelling_is_moved() {
    let mut stage = equal(3, 44);
    let code = models(&stage).remove(1);
    let (own, other) = (
        Entity::new(Kind::ProductModel, &code),
        Entity::new(Kind::ProductModel, &code.to_ascii_uppercase()),
    );
    let mut entry = None;
    for (key, mut page) in pages(&stage) {
        let entries = page["entries"].as_object_mut().unwrap();
        if let Some(found) = entries.remove(own.segment.as_str()) {
            entry = Some(found);
            stage.world().store.insert(key, page.to_string().into_bytes());
        }
    }
    // As another worker would have written it: a page may lie under several keys.
    let writer = Some((Segment::of("another"), 0));
    let key = Keyspace::new("main").encode(&Key::IndexPage(
        Kind::ProductModel,
        Extent::around(place_of(&other)),
        writer,
    ));
    let page = json!({ "v": 1, "entries": { other.segment.as_str(): entry.unwrap() } });
    stage.world().store.insert(key, page.to_string().into_bytes());
    assert!(indexed(&stage).contains(&code.to_ascii_uppercase()));
    stage.forget();
    stage.walk();
    stage.walk();
    assert_eq!(stage.differences(), []);
    assert_eq!(pushed(&stage, "DELETE"), [""; 0]);
    let mut known = models(&stage);
    known.sort();
    assert_eq!(indexed(&stage), known);
}

#[test]
fn what_one_request_alone_says_is_gone_is_not_deleted() {
    for (seconds, change) in [(20, Change::Updated), (45, Change::Deleted), (20, Change::Deleted)] {
        let mut stage = equal(3, 45);
        let code = models(&stage).remove(2);
        stage.forget();
        let message = format!("Product model \"{code}\" does not exist or you do not have permission to access it.");
        let absent = Effect::Status {
            status: 404,
            headers: Vec::new(),
            body: Some(json!({ "code": 404, "message": message })),
        };
        let path = format!("/api/rest/v1/product-models/{code}");
        stage.world().pim.faults.add(Fault::always(absent).path(&path));
        // The list shows it, but too old for what was told.
        let event = EventKey {
            time_s: stage.now_ms() / 1000,
            change,
            floor_s: Some(0),
            entity: Entity::new(Kind::ProductModel, &code),
            id: Segment::of("told"),
        };
        let key = Keyspace::new("main").encode(&Key::Event(event));
        let value = json!({ "v": 1, "code": code, "at_ms": stage.now_ms(), "event": "" });
        stage.world().store.insert(key, value.to_string().into_bytes());
        stage.run_for(seconds * 1000);
        assert_eq!(pushed(&stage, "DELETE"), [""; 0]);
        stage.world().pim.faults.clear();
        stage.run_until(30 * MINUTE_MS, "nothing waits", Stage::is_quiet);
        assert_eq!(pushed(&stage, "DELETE"), [""; 0]);
        assert_eq!(stage.differences(), []);
    }
}
