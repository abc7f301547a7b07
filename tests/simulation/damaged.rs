//! Every kind of record that the store can hold, damaged in every way: each costs what it held, and no more.

use crate::acts::{HOUR_MS, MINUTE_MS, SECOND_MS, tell_all, touch};
use crate::identities::{BY_SKU, call, is_equal, stage_of};
use model::entity::{Kind, Segment};
use queue::in_flight::InFlightValue;
use queue::key::{Key, Record};
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use std::panic::catch_unwind;
use tests::shaped;
use tests::simulation::stage::Stage;

/// Names what can lie under a key. A kind that is new does not compile here before it has a name, and the tests fail before
/// it has a place in [`KINDS`].
macro_rules! names {
    ($($name:literal => $pattern:pat),+ $(,)?) => {
        const NAMES: &[&str] = &[$($name),+];

        fn name_of(key: &Key) -> &'static str {
            match key { $($pattern => $name),+ }
        }
    };
}

names! {
    "event" => Key::Event(_),
    "retry" => Key::Retry(_),
    "dead letter" => Key::DeadLetter(_),
    "in flight" => Key::InFlight(..),
    "marking" => Key::Fanout(_),
    "page of the index" => Key::IndexPage(..),
    "page of identities" => Key::ClaimPage(..),
    "set aside" => Key::SetAside(..),
    "page of files" => Key::FilePage(..),
    "command" => Key::Command(..),
    "journal" => Key::Journal(..),
    "token" => Key::Token(_),
    "list" => Key::List(_),
    "reading" => Key::Reading(_),
    "changed list" => Key::Stale(..),
    "lease" => Key::Record(Record::Lease),
    "state" => Key::Record(Record::State),
    "history" => Key::Record(Record::History),
    "month" => Key::Record(Record::Month),
    "status" => Key::Record(Record::Status),
    "pair" => Key::Record(Record::Pair),
    "rehearsal" => Key::Record(Record::Rehearsal),
    "refused" => Key::Record(Record::Refused),
    "notification" => Key::Record(Record::Notification),
    "reconciliation" => Key::Record(Record::Reconciliation),
    "guess" => Key::Record(Record::Guess),
    "counted" => Key::Record(Record::Counted),
    "wanted" => Key::Record(Record::Wanted),
    "successor" => Key::Record(Record::Successor),
}

/// How people are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// The log names the key, and the status says that something was set aside, until a walk has ended.
    Aside,
    /// The log names the key. What lay there is of use to nobody, or a secret.
    Logged,
    /// The worker stands still, and says which record it is.
    Still,
    /// Nobody reads what lies there: it costs nothing.
    Unread,
}

/// A kind of record: how people are told, what has one lie there, and what has it read.
type Row = (&'static str, Told, fn() -> Scene, fn(&mut Scene), fn(&mut Scene));

const KINDS: &[Row] = &[
    ("event", Told::Aside, catalogue, an_event_of_a_long_code, nothing),
    ("retry", Told::Aside, catalogue, a_retry, nothing),
    ("dead letter", Told::Aside, catalogue, a_dead_letter, all_are_told),
    ("in flight", Told::Aside, catalogue, a_batch_of_a_dead_worker, nothing),
    (
        "marking",
        Told::Aside,
        catalogue,
        a_model_whose_variants_are_marked,
        nothing,
    ),
    ("page of the index", Told::Aside, catalogue, nothing, all_are_told),
    ("page of identities", Told::Aside, by_sku, nothing, most_are_renamed),
    ("set aside", Told::Unread, catalogue, something_set_aside, a_walk),
    ("page of files", Told::Aside, catalogue, nothing, all_are_told),
    ("command", Told::Aside, catalogue, a_command, nothing),
    (
        "journal",
        Told::Unread,
        catalogue,
        an_entry_of_the_journal,
        all_are_told,
    ),
    ("token", Told::Logged, catalogue, nothing, all_are_told),
    ("list", Told::Aside, catalogue, nothing, all_are_told),
    (
        "reading",
        Told::Aside,
        catalogue,
        a_reading_without_a_list,
        all_are_told,
    ),
    ("changed list", Told::Unread, catalogue, a_label_is_changed, nothing),
    ("lease", Told::Aside, catalogue, a_lease_of_a_dead_worker, all_are_told),
    ("state", Told::Aside, catalogue, nothing, all_are_told),
    ("history", Told::Aside, catalogue, nothing, all_are_told),
    ("month", Told::Aside, catalogue, a_month, all_are_told),
    ("status", Told::Aside, catalogue, nothing, nothing),
    ("pair", Told::Still, catalogue, nothing, all_are_told),
    ("rehearsal", Told::Aside, catalogue, a_rehearsal, nothing),
    ("refused", Told::Aside, catalogue, a_refused_delivery, nothing),
    ("notification", Told::Aside, catalogue, a_notification, nothing),
    ("reconciliation", Told::Aside, catalogue, nothing, nothing),
    ("guess", Told::Unread, catalogue, a_guess, all_are_told),
    ("counted", Told::Logged, catalogue, a_count_that_is_gone, all_are_told),
    ("wanted", Told::Aside, staying, somebody_who_wanted_the_lease, nothing),
    (
        "successor",
        Told::Aside,
        staying,
        somebody_who_waited_for_the_lease,
        nothing,
    ),
];

/// A stage, how it is judged, and its products.
struct Scene {
    stage: Stage,
    is_equal: fn(&Stage) -> bool,
    products: Vec<EntityId>,
}

/// Sends whole values, a file and labels, so that lists are looked things up in.
const SHAPE: &str = r#"{
    "media": {},
    "products": {
        "values": { "form": "flat", "locales": ["en_US"] },
        "fields": [
            { "from": "/uuid", "to": "/id" }, { "from": "/values", "to": "/values" },
            { "from": "/categories", "as": "label", "to": "/shelves" }
        ]
    }
}"#;

const FILE: &str = "0/a.jpg";

fn catalogue() -> Scene {
    catalogue_whose_ticks_stay(0)
}

fn staying() -> Scene {
    catalogue_whose_ticks_stay(50)
}

fn catalogue_whose_ticks_stay(watch_s: u64) -> Scene {
    let mut stage = Stage::with(5, 2, 24, |world, worker| {
        worker.shape = Shape::read(SHAPE).expect("a good shape");
        worker.watch_s = watch_s;
        world.pim.config.media = [(FILE.to_owned(), 5000)].into();
    });
    let products = stage.products();
    stage.edit(&file(&products[0]));
    stage.walk();
    stage.run_for(5 * MINUTE_MS);
    let is_equal = |stage: &Stage| {
        let shape = Shape::read(SHAPE).expect("a good shape");
        let world = stage.world();
        shaped::differences(&world.pim, &world.destination, &shape).is_empty()
    };
    assert!(is_equal(&stage) && stage.world().destination.media.len() == 1);
    Scene {
        stage,
        is_equal,
        products,
    }
}

fn by_sku() -> Scene {
    let (stage, products) = stage_of(6, 24, BY_SKU);
    Scene {
        stage,
        is_equal,
        products,
    }
}

/// Gives a product a file.
fn file(product: &EntityId) -> Edit {
    let set = Action::SetValue {
        attribute: "packshot".to_owned(),
        locale: None,
        scope: None,
        data: FILE.into(),
    };
    Edit::new(product.clone(), set)
}

fn nothing(_: &mut Scene) {}

fn a_walk(scene: &mut Scene) {
    scene.stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
}

fn all_are_told(scene: &mut Scene) {
    let all = scene.stage.products().into_iter().chain(scene.stage.models());
    let all: Vec<EntityId> = all.collect();
    tell_all(&mut scene.stage, &all);
}

/// As many are renamed as the brake lets go from their old names; the damaged page is that of one of them.
fn most_are_renamed(scene: &mut Scene) {
    for (number, product) in scene.products.iter().take(5).enumerate() {
        scene.stage.tell(&call(product, &format!("RENAMED-{number}")));
    }
}

/// A model whose code is too long for a key: only the value tells it.
fn an_event_of_a_long_code(scene: &mut Scene) {
    let model = EntityId::Model(format!("{}-end", "a-code-that-no-key-holds".repeat(3)));
    scene.stage.tell(&Edit::new(model, Action::create()));
    until_there(scene, "event");
}

fn a_retry(scene: &mut Scene) {
    scene.stage.fail_alone(false, &scene.products[0], 503);
    scene.stage.tell(&touch(&scene.products[0]));
    until_there(scene, "retry");
}

fn a_dead_letter(scene: &mut Scene) {
    scene.stage.fail_alone(false, &scene.products[0], 422);
    scene.stage.tell(&touch(&scene.products[0]));
    until_there(scene, "dead letter");
}

fn a_model_whose_variants_are_marked(scene: &mut Scene) {
    let model = scene.stage.models().remove(0);
    scene.stage.fail_alone(false, &model, 503);
    scene.stage.tell(&touch(&model));
    until_there(scene, "marking");
    // The tick that wrote it is over, so that it writes nothing over what is damaged now.
    scene.stage.run_for(15 * SECOND_MS);
}

fn a_label_is_changed(scene: &mut Scene) {
    let category = EntityId::Category("workshop".to_owned());
    scene
        .stage
        .tell(&Edit::new(category, Action::label("en_US", "Workbench")));
    until_there(scene, "changed list");
}

fn a_batch_of_a_dead_worker(scene: &mut Scene) {
    let product = (Kind::Product, scene.products[0].key(), None);
    let value = InFlightValue::of([product]).to_bytes();
    let key = Key::InFlight(Segment::of("died"), scene.stage.now_ms() / 1000 - 700);
    lay(scene, &key, value);
}

fn something_set_aside(scene: &mut Scene) {
    let key = Key::SetAside(scene.stage.now_ms() / 1000, Segment::of("r1.main.i.p.17.tx81"));
    lay(scene, &key, b"{\"v\": 1, \"entries\": [7]}".to_vec());
}

fn a_command(scene: &mut Scene) {
    let key = Key::Command(scene.stage.now_ms() / 1000, Segment::of("asked"));
    lay_json(scene, &key, &json!({ "v": 1, "do": "reconcile", "scan": "recent" }));
}

fn an_entry_of_the_journal(scene: &mut Scene) {
    let key = Key::Journal(scene.stage.now_ms() / 1000, Segment::of("asked"));
    lay_json(
        scene,
        &key,
        &json!({ "v": 1, "at": "2026-01-01T00:00:00Z", "by": "admin_token", "asked": "pause" }),
    );
}

/// The list itself is gone, so that it is read anew.
fn a_reading_without_a_list(scene: &mut Scene) {
    let list = find(&scene.stage, "list").expect("a list");
    scene.stage.world().store.remove(&list);
    let Some(Key::List(list)) = keys().parse(&list) else {
        unreachable!()
    };
    let began_s = scene.stage.now_ms() / 1000;
    let value = json!({
        "v": 1, "locales": ["en_US"], "began_s": began_s, "earlier": null, "readings": 0, "pages": 0, "seen": 0,
        "elements": {}, "cursor": null,
    });
    lay_json(scene, &Key::Reading(list), &value);
}

fn a_lease_of_a_dead_worker(scene: &mut Scene) {
    let until_ms = scene.stage.now_ms() + 30 * SECOND_MS;
    let value = json!({ "v": 1, "token": "died", "until_ms": until_ms, "beats": 3 });
    lay_json(scene, &Key::Record(Record::Lease), &value);
}

/// What was adopted is another shape than is configured, which is rehearsed until a person adopts it.
fn a_rehearsal(scene: &mut Scene) {
    let pair = keys().record(Record::Pair);
    let mut value: Value = serde_json::from_slice(&scene.stage.world().store[&pair]).expect("a pair");
    value["shape"] = "another".into();
    lay_json(scene, &Key::Record(Record::Pair), &value);
    until_there(scene, "rehearsal");
}

fn a_refused_delivery(scene: &mut Scene) {
    let value = json!({ "v": 1, "at_ms": scene.stage.now_ms(), "channel": "events-api", "reason": "wrong" });
    lay_json(scene, &Key::Record(Record::Refused), &value);
}

fn a_notification(scene: &mut Scene) {
    let value = json!({
        "v": 1, "state": "suspended", "kind": "subscription.suspended", "reason": null, "subscription": "s",
        "sent_s": scene.stage.now_ms() / 1000, "at_ms": scene.stage.now_ms(), "missing_since_s": null,
    });
    lay_json(scene, &Key::Record(Record::Notification), &value);
}

fn a_guess(scene: &mut Scene) {
    let value = json!({ "v": 1, "at_ms": scene.stage.now_ms() });
    lay_json(scene, &Key::Record(Record::Guess), &value);
}

/// Ingest notes since when it has known a count, also that there is none.
fn a_count_that_is_gone(scene: &mut Scene) {
    scene.stage.world().store.remove(&keys().record(Record::Status));
    let value = json!({ "v": 1, "listed_ms": 0, "at_ms": scene.stage.now_ms() });
    lay_json(scene, &Key::Record(Record::Counted), &value);
}

fn somebody_who_wanted_the_lease(scene: &mut Scene) {
    let value = json!({ "v": 1, "until_ms": scene.stage.now_ms() + 20 * SECOND_MS });
    lay_json(scene, &Key::Record(Record::Wanted), &value);
}

fn somebody_who_waited_for_the_lease(scene: &mut Scene) {
    let value = json!({ "v": 1, "token": "dead", "until_ms": scene.stage.now_ms() + 20 * SECOND_MS });
    lay_json(scene, &Key::Record(Record::Successor), &value);
}

fn a_month(scene: &mut Scene) {
    let value = json!({ "v": 1, "hours": [], "until_s": 0 });
    lay_json(scene, &Key::Record(Record::Month), &value);
}

fn keys() -> Keyspace {
    Keyspace::new("main")
}

fn lay(scene: &Scene, key: &Key, value: Vec<u8>) {
    scene.stage.world().store.insert(keys().encode(key), value);
}

fn lay_json(scene: &Scene, key: &Key, value: &Value) {
    lay(scene, key, value.to_string().into_bytes());
}

/// The first key of a kind; a recheck, whose value nobody needs, is no retry here.
fn find(stage: &Stage, name: &str) -> Option<String> {
    let is_it = |text: &&String| match keys().parse(text) {
        Some(Key::Retry(retry)) if retry.is_recheck() => false,
        Some(key) => name_of(&key) == name,
        None => false,
    };
    stage.world().store.keys().find(is_it).cloned()
}

fn until_there(scene: &mut Scene, name: &str) {
    let until_ms = scene.stage.now_ms() + MINUTE_MS;
    while find(&scene.stage, name).is_none() {
        assert!(scene.stage.now_ms() < until_ms, "no {name} came");
        scene.stage.run_for(50);
    }
}

/// What becomes of a value.
type Way = fn(&[u8]) -> Vec<u8>;

fn empty(_: &[u8]) -> Vec<u8> {
    Vec::new()
}

fn cut(value: &[u8]) -> Vec<u8> {
    value[..value.len() / 2].to_vec()
}

fn no_text(value: &[u8]) -> Vec<u8> {
    value.iter().map(|byte| byte | 0x80).collect()
}

fn of_another_form(_: &[u8]) -> Vec<u8> {
    br#"[{"v": 1, "entries": [7]}]"#.to_vec()
}

fn of_a_newer_version(_: &[u8]) -> Vec<u8> {
    br#"{"v": 99, "holds": "what is not known yet"}"#.to_vec()
}

/// Until when people must have been told, in milliseconds: a tick begins every ten seconds, and one that stays lasts fifty.
fn told_within_ms(kind: &str) -> u64 {
    match kind {
        // A tick that stays reads it at its end.
        "wanted" => 75 * SECOND_MS,
        // The next one reads it when it comes, and tells at its own end.
        "successor" => 150 * SECOND_MS,
        // It is read once the model's own push is tried again.
        "marking" => 10 * MINUTE_MS,
        // Nobody reads the month before an hour is over.
        "month" => 65 * MINUTE_MS,
        _ => 25 * SECOND_MS,
    }
}

fn damage_each(way: Way) {
    let names: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, NAMES, "each kind of record has a row");
    // Each is judged, also where an earlier one has failed.
    let is_borne = |row: &&Row| catch_unwind(|| damage_one(row, way)).is_ok();
    let not_borne: Vec<&str> = KINDS
        .iter()
        .filter(|row| !is_borne(row))
        .map(|(name, ..)| *name)
        .collect();
    assert_eq!(
        not_borne, [""; 0],
        "of these more is lost than they held, or people are not told"
    );
}

fn damage_one((name, told, scene, lays, reads): &Row, way: Way) {
    let mut scene = scene();
    lays(&mut scene);
    // Nobody tells of this change. Nothing may keep it from being found.
    scene.stage.edit(&touch(&scene.products[4]));
    let key = find(&scene.stage, name).unwrap_or_else(|| panic!("no {name} lies there"));
    let value = scene.stage.world().store[&key].clone();
    let damaged = way(&value);
    scene.stage.world().store.insert(key.clone(), damaged.clone());
    scene.stage.forget();
    reads(&mut scene);
    let is_page = matches!(*name, "page of the index" | "page of identities");
    if is_page && damaged == of_a_newer_version(&value) {
        until_stopped_by(&mut scene, &key);
        // The version that wrote it works again.
        scene.stage.world().store.insert(key, value);
    } else {
        until_told(&mut scene, name, *told, &key, &damaged);
    }
    until_mended(&mut scene, name);
}

/// Waits until people were told, and sees that the value is kept where they can look into it.
fn until_told(scene: &mut Scene, name: &str, told: Told, key: &str, damaged: &[u8]) {
    let stage = &mut scene.stage;
    let status = |stage: &Stage| {
        let status = stage.world().store.get(&keys().record(Record::Status)).cloned();
        status
            .and_then(|status| serde_json::from_slice::<Value>(&status).ok())
            .unwrap_or_default()
    };
    let is_told = |stage: &Stage| match told {
        Told::Aside => stage.world().damaged.contains(key) && !status(stage)["set_aside_s"].is_null(),
        Told::Logged => stage.world().damaged.contains(key),
        Told::Still => status(stage)["misconfigured"]
            .as_str()
            .is_some_and(|why| why.contains(key)),
        Told::Unread => true,
    };
    let until_ms = stage.now_ms() + told_within_ms(name);
    while !is_told(stage) {
        assert!(stage.now_ms() < until_ms, "{name}: people are not told of {key}");
        stage.run_for(500);
    }
    if told == Told::Aside {
        let is_copy = |(aside, value): (&String, &Vec<u8>)| {
            matches!(keys().parse(aside), Some(Key::SetAside(_, of)) if of == Segment::of(key)) && value == damaged
        };
        assert!(
            stage.world().store.iter().any(is_copy),
            "{name}: it lies aside as it was"
        );
    }
}

/// A page that a newer version has written is neither taken for damaged nor for empty: whoever went back to this version by
/// mistake loses nothing.
fn until_stopped_by(scene: &mut Scene, key: &str) {
    let is_stopped = |stage: &Stage| {
        let history = stage.world().store.get(&keys().record(Record::History)).cloned();
        history
            .is_some_and(|history| String::from_utf8_lossy(&history).contains(&format!("{key} is of a newer version")))
    };
    scene
        .stage
        .run_until(25 * SECOND_MS, "it is told which page stops the tick", is_stopped);
    scene.stage.run_for(MINUTE_MS);
}

/// Lets people do what they were told to do, and waits until all is well.
fn until_mended(scene: &mut Scene, name: &str) {
    let is_equal = scene.is_equal;
    let stage = &mut scene.stage;
    stage.run_for(MINUTE_MS);
    stage.mend();
    // What was given up is tried once more when something is told of it.
    stage.tell(&touch(&scene.products[0]));
    if matches!(name, "pair" | "rehearsal") {
        let status = stage.world().store[&keys().record(Record::Status)].clone();
        let status: Value = serde_json::from_slice(&status).expect("a status");
        let adopt = json!({ "v": 1, "do": "adopt", "empty_index": false, "configured": status["configured"] });
        stage.command(&adopt.to_string());
    }
    stage.run_until(3 * HOUR_MS, &format!("{name}: all is well"), |stage| {
        stage.is_quiet() && is_equal(stage) && stage.dead_letters() == 0 && find(stage, "set aside").is_none()
    });
    // What is called otherwise now is deleted under its old name.
    let has_left = name == "page of identities";
    assert!(
        has_left || stage.pushes("DELETE") == 0,
        "{name}: nothing was gone from the PIM"
    );
}

#[test]
fn each_record_may_be_empty() {
    damage_each(empty);
}

#[test]
fn each_record_may_be_cut() {
    damage_each(cut);
}

#[test]
fn each_record_may_be_no_text() {
    damage_each(no_text);
}

#[test]
fn each_record_may_be_json_of_another_form() {
    damage_each(of_another_form);
}

#[test]
fn each_record_may_be_of_a_newer_version() {
    damage_each(of_a_newer_version);
}
