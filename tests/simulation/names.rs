//! SKUs that go from one product to another while something else goes wrong.

use crate::acts::{HOUR_MS, MINUTE_MS, delete, touch};
use crate::identities::{
    BY_SKU, SHOP, call, held, is_equal, set_sku, shop_that_makes_anew, sku, stage, stage_at, stage_of,
};
use bytes::Bytes;
use http::Request;
use model::entity::{Entity, Kind, Segment};
use queue::key::{Extent, Key};
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::destination::{Rejection, ShopConfig};
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;

fn shapes() -> [String; 3] {
    [BY_SKU.to_owned(), SHOP.to_owned(), shop_that_makes_anew()]
}

/// Lets the destination answer this to whatever is brought under an SKU.
fn refuse(stage: &Stage, sku: &str, status: u16) {
    let message = "not now".to_owned();
    let rejections = &mut stage.world().destination.rejections;
    rejections.insert(format!("/{sku}"), Rejection { status, message });
}

/// The path of what has an SKU, and the UUID of the product that lies there.
pub(crate) fn lies_at(stage: &Stage, sku: &str) -> Option<String> {
    held(stage).remove(&format!("/products/{sku}"))
}

#[test]
fn what_has_no_sku_any_more_goes_and_is_told_and_its_sku_is_free() {
    for shape in shapes() {
        let (mut stage, products) = stage_of(6, 81, &shape);
        let old = sku(&stage, &products[0]);
        stage.tell(&set_sku(&products[0], Value::Null));
        stage.run_until(10 * MINUTE_MS, "a dead letter", |stage| stage.dead_letters() == 1);
        assert_eq!(lies_at(&stage, &old), None);
        stage.tell(&call(&products[1], &old));
        stage.run_until(10 * MINUTE_MS, "its SKU is another's", |stage| {
            stage.is_quiet() && lies_at(stage, &old) == Some(products[1].key())
        });
        stage.tell(&call(&products[0], "GIVEN-ANEW"));
        stage.run_until(10 * MINUTE_MS, "both", is_equal);
        assert_eq!(stage.dead_letters(), 0);
    }
}

/// A page that tells who holds which SKU can be told again by the index: two products with one SKU are kept apart as
/// before, and an SKU that is let go is another's, also of one that waited for it when the page was damaged.
#[test]
fn a_damaged_page_of_who_holds_which_sku_is_made_anew() {
    type How = fn(&[u8]) -> Vec<u8>;
    let ways: [How; 4] = [
        |value| value[..value.len() - 20].to_vec(),
        |_| Vec::new(),
        |value| vec![0; value.len()],
        |_| br#"{"v": 1, "entries": [7]}"#.to_vec(),
    ];
    for (shape, how) in shapes().iter().flat_map(|shape| ways.map(|how| (shape, how))) {
        let (mut stage, products) = stage_of(6, 83, shape);
        let old = sku(&stage, &products[0]);
        let waited_for = sku(&stage, &products[2]);
        stage.tell(&call(&products[3], &waited_for));
        stage.run_until(HOUR_MS, "one waits", |stage| stage.dead_letters() == 1);
        let keys: Vec<String> = stage
            .world()
            .store
            .keys()
            .filter(|key| key.contains(".j.p."))
            .cloned()
            .collect();
        assert!(!keys.is_empty());
        for key in &keys {
            let value = how(&stage.world().store[key]);
            stage.world().store.insert(key.clone(), value);
        }
        stage.tell(&call(&products[1], &old));
        stage.run_until(HOUR_MS, "both wait for their SKUs", |stage| {
            stage.is_quiet() && stage.dead_letters() == 2
        });
        assert_eq!(lies_at(&stage, &old), Some(products[0].key()));
        assert_eq!(lies_at(&stage, &waited_for), Some(products[2].key()));
        stage.tell(&call(&products[0], "FREE"));
        stage.tell(&call(&products[2], "FREE-TOO"));
        stage.run_until(HOUR_MS, "all", is_equal);
        assert_eq!(stage.dead_letters(), 0);
    }
}

/// One after the other: who holds which SKU is told by pages of the index that have to be readable first.
#[test]
fn damaged_pages_of_both_kinds_stop_ticks_for_a_while_alone() {
    let (mut stage, products) = stage(6, 90);
    for (key, value) in stage.world().store.iter_mut() {
        if [".i.p.", ".j.p."].iter().any(|begin| key.contains(begin)) {
            value.truncate(20);
        }
    }
    for product in &products {
        stage.tell(&touch(product));
    }
    stage.tell(&call(&products[0], "NEW"));
    stage.run_until(HOUR_MS, "all are pushed again", |stage| {
        stage.is_quiet() && lies_at(stage, "NEW") == Some(products[0].key())
    });
}

#[test]
fn what_may_not_have_its_sku_does_not_keep_another_one_from_the_one_it_had() {
    for shape in shapes() {
        let (mut stage, products) = stage_of(6, 82, &shape);
        let skus = [0, 1].map(|at| sku(&stage, &products[at]));
        stage.tell(&call(&products[1], &skus[0]));
        stage.tell(&call(&products[2], &skus[1]));
        stage.run_until(HOUR_MS, "the one that is called so alone", |stage| {
            stage.is_quiet() && stage.dead_letters() == 1 && lies_at(stage, &skus[1]) == Some(products[2].key())
        });
        assert_eq!(lies_at(&stage, &skus[0]), Some(products[0].key()));
        stage.tell(&call(&products[1], "FREE"));
        stage.run_until(10 * MINUTE_MS, "all", is_equal);
        assert_eq!(stage.dead_letters(), 0);
    }
}

/// What the destination gave is of what lies under the name that it was last brought under, and of nothing else.
#[test]
fn what_was_made_while_its_answer_was_lost_is_found_and_not_taken_for_another_one() {
    for shape in [SHOP.to_owned(), shop_that_makes_anew()] {
        let (mut stage, products) = stage_of(6, 83, &shape);
        let lost = Fault::next(1, Effect::Cut { applied: true }).method("POST");
        stage.world().destination.faults.add(lost);
        let new = make(&mut stage, "FIRST");
        stage.run_until(MINUTE_MS, "it is made", |stage| lies_at(stage, "FIRST").is_some());
        stage.tell(&call(&new, "SECOND"));
        stage.run_until(HOUR_MS, "under its name alone", is_equal);
        stage.forget();
        stage.tell(&touch(&new));
        stage.run_for(2 * MINUTE_MS);
        assert_eq!(stage.pushes("DELETE"), 0, "it lies there and stays");
        assert!(products.len() == 6 && is_equal(&stage));
    }
}

/// The destination asks it to come less often, for as long as it likes.
#[test]
fn what_was_deleted_for_another_name_is_deleted_once() {
    let (mut stage, products) = stage(6, 84);
    let busy = Fault::always(Fault::status(429)).method("PUT");
    stage.world().destination.faults.add(busy);
    stage.tell(&call(&products[0], "SECOND"));
    stage.run_for(30 * MINUTE_MS);
    assert_eq!(stage.pushes("DELETE"), 1);
    stage.world().destination.faults.clear();
    stage.run_until(2 * HOUR_MS, "under its name", is_equal);
}

/// What arrives late may overwrite whoever has the name by then, or take it away.
#[test]
fn who_has_a_name_by_now_is_looked_at_once_what_was_in_flight_has_arrived() {
    for method in ["PUT", "DELETE"] {
        let (mut stage, products) = stage(6, 85);
        let old = sku(&stage, &products[0]);
        let late = Fault::next(1, Effect::LandLate { after_ms: 200_000 }).method(method);
        stage.world().destination.faults.add(late);
        let edit = if method == "PUT" {
            touch(&products[0])
        } else {
            call(&products[0], "SECOND")
        };
        stage.tell(&edit);
        stage.run_for(MINUTE_MS);
        stage.tell(&call(&products[0], "THIRD"));
        stage.tell(&call(&products[1], &old));
        stage.run_until(4 * MINUTE_MS, "another one has it", |stage| {
            lies_at(stage, &old) == Some(products[1].key())
        });
        // A call lets what is due arrive.
        stage.run_for(5 * MINUTE_MS);
        stage.tell(&touch(&products[3]));
        stage.run_until(HOUR_MS, "both under their names", is_equal);
        assert_eq!(stage.world().destination.landing(), 0);
    }
}

#[test]
fn what_is_overwritten_by_one_that_does_not_come_goes_all_the_same() {
    for is_deleted in [true, false] {
        let (mut stage, products) = stage(6, 86);
        let old = sku(&stage, &products[0]);
        refuse(&stage, &old, 422);
        stage.edit(&call(&products[1], &old));
        let edit = if is_deleted {
            delete(&products[0])
        } else {
            call(&products[0], "SECOND")
        };
        stage.tell(&edit);
        stage.tell(&touch(&products[1]));
        stage.run_until(HOUR_MS, "nothing under what it is called no more", |stage| {
            stage.is_quiet() && lies_at(stage, &old) != Some(products[0].key())
        });
        stage.world().destination.rejections.clear();
        stage.tell(&touch(&products[1]));
        stage.run_until(HOUR_MS, "all", is_equal);
    }
}

/// It failed eight times and is people's. That another one wants its name begins no ninth try of the old count.
#[test]
fn a_dead_letter_that_holds_a_name_is_asked_for_as_if_somebody_had_replayed_it() {
    let (mut stage, products) = stage(6, 87);
    let old = sku(&stage, &products[0]);
    refuse(&stage, "SECOND", 503);
    stage.tell(&call(&products[0], "SECOND"));
    stage.run_until(8 * HOUR_MS, "it is given up", |stage| stage.dead_letters() == 1);
    stage.tell(&call(&products[1], &old));
    stage.run_for(10 * MINUTE_MS);
    assert_eq!(stage.world().violations, Vec::<String>::new());
    stage.world().destination.rejections.clear();
    stage.tell(&touch(&products[0]));
    stage.run_until(2 * HOUR_MS, "both", is_equal);
}

/// Changes an entry of the index: of what was pushed (`i`), or of who holds a name (`j`).
fn amend(stage: &Stage, order: char, entity: &Entity, mut change: impl FnMut(&mut Value)) {
    let mut world = stage.world();
    let begin = format!("r1.main.{order}.p.");
    for (_, page) in world.store.iter_mut().filter(|(key, _)| key.starts_with(&begin)) {
        let mut value: Value = serde_json::from_slice(page).unwrap();
        if let Some(entry) = value["entries"].get_mut(entity.segment.as_str()) {
            change(entry);
            *page = value.to_string().into_bytes();
        }
    }
}

/// Has the index tell that a product may lie under a name, too, since nobody saw how a push ended.
fn may_lie_under(stage: &Stage, product: &EntityId, name: &str) {
    let product = Entity::new(Kind::Product, &product.key());
    amend(stage, 'i', &product, |entry| {
        entry["i"].as_array_mut().unwrap().push(json!(name));
    });
}

/// The same of a name that another product holds.
fn may_lie_beside(stage: &Stage, product: &EntityId, name: &str) {
    may_lie_under(stage, product, name);
    amend(stage, 'j', &Entity::new(Kind::Product, name), |entry| {
        entry["f"] = json!([product.key()]);
    });
}

/// Of two that want one name, and that may both lie there since nobody saw how their pushes ended, one gets it. Not where
/// a change tells the shop a new name: the thing of the one may be called so already, and is not to become the other's.
#[test]
fn of_two_that_may_both_lie_under_the_name_they_want_one_gets_it() {
    for shape in [BY_SKU.to_owned(), shop_that_makes_anew()] {
        let (mut stage, products) = stage_of(6, 88, &shape);
        let name = Entity::new(Kind::Product, "BOTH");
        products[..2]
            .iter()
            .for_each(|product| may_lie_under(&stage, product, "BOTH"));
        let codes = [0, 1].map(|at| products[at].key());
        let holder = json!({ "h": codes[0], "u": 0, "c": codes[0], "n": 1, "f": [codes[1]] });
        let page = json!({ "v": 1, "entries": { name.segment.as_str(): holder } });
        let writer = Some((Segment::of("another"), 0));
        let key = Key::ClaimPage(Kind::Product, Extent::around(index::entry::place_of(&name)), writer);
        let key = Keyspace::new("main").encode(&key);
        stage.world().store.insert(key, page.to_string().into_bytes());

        stage.edit(&call(&products[0], "BOTH"));
        stage.tell(&call(&products[1], "BOTH"));
        stage.tell(&touch(&products[0]));
        stage.run_until(HOUR_MS, "one has it, and the other waits", |stage| {
            stage.is_quiet() && stage.dead_letters() == 1 && lies_at(stage, "BOTH").is_some()
        });
        assert_eq!(
            lies_at(&stage, "BOTH").as_ref(),
            Some(&codes[0]),
            "it claimed the name last"
        );
        stage.tell(&call(&products[1], "ALONE"));
        stage.run_until(HOUR_MS, "both", is_equal);
        assert_eq!(stage.dead_letters(), 0);
    }
}

/// What another one may lie under, too, is not deleted by its name; but it does not come along to the new name either.
#[test]
fn what_leaves_a_name_to_another_one_is_made_anew() {
    let by_body = r#""delete": { "method": "POST", "path": "/shop/products/gone", "fields": [
        { "to": "/id", "template": "{remote.id}" }, { "to": "/ref", "template": "{identity}" },
        { "to": "/of", "template": "{id}" }, { "to": "/kind", "template": "{kind}" }] }"#;
    let shape = shop_that_makes_anew().replace(r#""delete": { "path": "/shop/products/{remote.id}" }"#, by_body);
    let (mut stage, products) = stage_of(6, 89, &shape);
    let old = sku(&stage, &products[0]);
    may_lie_beside(&stage, &products[1], &old);
    stage.tell(&call(&products[0], "NEW"));
    stage.run_until(HOUR_MS, "it lies under its new name", |stage| {
        stage.is_quiet() && lies_at(stage, "NEW") == Some(products[0].key())
    });
    // Nobody tells of the other one: it is looked at since it may lie there.
    stage.run_until(HOUR_MS, "nothing lies under the old one", is_equal);
}

/// Two that may both lie under one name leave it in the same moment: each is not to leave it to the other one.
#[test]
fn what_two_leave_in_one_batch_is_deleted_by_one_of_them() {
    for shape in shapes() {
        for first in [0, 1] {
            let (mut stage, products) = stage_of(6, 93, &shape);
            let (there, maybe) = (&products[first], &products[1 - first]);
            let old = sku(&stage, there);
            may_lie_beside(&stage, maybe, &old);
            stage.edit(&call(there, "NEW"));
            stage.tell(&call(maybe, "NEW-TOO"));
            stage.tell(&touch(there));
            stage.run_until(HOUR_MS, "nothing lies under the old one", is_equal);
        }
    }
}

/// Somebody renames a thing in the shop, whose search lags: the shop says that it has another version, and finds nothing.
/// Until the search had time for it, that is not believed, and so nothing is made a second time.
#[test]
fn what_somebody_else_renamed_is_not_made_twice_while_the_search_lags() {
    let shape = SHOP
        .replace(r#""id": "/id""#, r#""id": "/id", "version": "/version""#)
        .replace(r#""settle_seconds": 1"#, r#""settle_seconds": 480"#)
        .replace(r#""unique": true, "#, "")
        .replace(
            r#""update": {"#,
            r#""answers": { "rules": [{ "status": 412, "means": "exists" }] },
               "update": { "headers": { "If-Match": "{remote.version}" },"#,
        );
    let shop = ShopConfig {
        wants_versions: true,
        lag_ms: 480_000,
        ..ShopConfig::default()
    };
    let (mut stage, _) = stage_at(6, 91, &shape, Some(shop));
    let new = make(&mut stage, "FIRST");
    stage.run_until(MINUTE_MS, "it is made", |stage| lies_at(stage, "FIRST").is_some());
    // The seventh thing of the shop.
    rename_by_hand(&stage, "1007", "SECOND");
    stage.tell(&call(&new, "SECOND"));
    stage.run_until(HOUR_MS, "under its name", is_equal);
    assert_eq!(stage.dead_letters(), 0);
    assert_eq!(doubled(&stage), Vec::<String>::new());
}

/// A change may have told the shop a second name although its answer was lost. While the shop refuses the third one, the
/// thing still goes by the second, which is no other's then; and whoever waited for it so long that it was given up comes
/// by itself.
#[test]
fn a_name_that_the_thing_may_have_by_a_lost_answer_is_let_go_only_with_the_next_one() {
    let looked_up = SHOP.replace(r#""unique": true, "#, "");
    let find = r#""find": { "path": "/shop/products?ref={identity}", "list": "/found", "settle_seconds": 1 },"#;
    let never_looked_up = SHOP.replace(find, "");
    assert!(looked_up != SHOP && never_looked_up != SHOP);
    for (shape, is_unique) in [(looked_up, false), (never_looked_up, true)] {
        let shop = ShopConfig {
            is_unique,
            ..ShopConfig::default()
        };
        let (mut stage, products) = stage_at(6, 94, &shape, Some(shop));
        let of_the_first = |effect| Fault::always(effect).method("PUT").entity(&products[0].key());
        let lost = Fault {
            times: Some(1),
            ..of_the_first(Effect::Cut { applied: true })
        };
        stage.world().destination.faults.add(lost);
        stage.world().destination.faults.add(of_the_first(Fault::status(503)));
        stage.tell(&call(&products[0], "SECOND"));
        stage.run_until(MINUTE_MS, "its end is not known", |stage| {
            lies_at(stage, "SECOND").is_some()
        });
        stage.tell(&call(&products[0], "THIRD"));
        stage.tell(&call(&products[1], "SECOND"));
        stage.run_until(24 * HOUR_MS, "both are given up", |stage| stage.dead_letters() == 2);
        assert_eq!(lies_at(&stage, "SECOND"), Some(products[0].key()));
        assert_eq!(doubled(&stage), Vec::<String>::new());

        stage.world().destination.faults.clear();
        stage.tell(&touch(&products[0]));
        stage.run_until(3 * HOUR_MS, "each under its name", is_equal);
        assert_eq!((stage.dead_letters(), doubled(&stage)), (0, Vec::new()));
    }
}

/// Two change their names with each other. Nobody saw how the creation of the first ended, and the deletion fails that is to
/// break the ring: so the second was never sent under the name of the first, and what the first may have there goes before
/// the second comes.
#[test]
fn what_was_not_sent_under_a_name_lets_nobody_leave_there_what_is_his() {
    for seed in 0..4 {
        let shape = SHOP.replace(r#""unique": true, "#, "");
        let (mut stage, products) = stage_at(6, 95 + seed, &shape, Some(ShopConfig::default()));
        let old = sku(&stage, &products[0]);
        let lost = Fault {
            times: Some(1),
            ..Fault::always(Effect::Cut { applied: true }).method("POST")
        };
        stage.world().destination.faults.add(lost);
        let new = make(&mut stage, "FIRST");
        stage.run_until(MINUTE_MS, "its end is not known", |stage| {
            lies_at(stage, "FIRST").is_some()
        });
        for method in ["DELETE", "GET", "PUT"] {
            stage
                .world()
                .destination
                .faults
                .add(Fault::always(Fault::status(503)).method(method));
        }
        stage.edit(&call(&new, &old));
        stage.tell(&call(&products[0], "FIRST"));
        stage.tell(&touch(&new));
        stage.run_until(HOUR_MS, "a deletion is tried", |stage| stage.pushes("DELETE") > 0);
        stage.world().destination.faults.clear();
        stage.run_until(24 * HOUR_MS, "each under its name", is_equal);
        assert_eq!((stage.dead_letters(), doubled(&stage)), (0, Vec::new()));
    }
}

/// An index from before `remember` was of the shape knows nothing that the destination gave, and other entries do: what is
/// known of neither is found by its name, so that a change and a deletion reach it, and the entry has it from then on.
#[test]
fn entries_with_and_without_what_the_destination_gave_stand_in_one_index() {
    let identity = r#""identity": { "form": "attribute", "attribute": "sku", "unique": true, "renames": true },"#;
    let shape = SHOP.replace(identity, "");
    let (mut stage, products) = stage_at(6, 92, &shape, Some(ShopConfig::default()));
    let known = |stage: &Stage, product: &EntityId| {
        let mut id = None;
        amend(stage, 'i', &Entity::new(Kind::Product, &product.key()), |entry| {
            let is_gone = entry.get("g").is_some();
            id = entry["r"]["id"].as_str().filter(|_| !is_gone).map(str::to_owned);
        });
        id
    };
    let before: Vec<Option<String>> = products.iter().map(|product| known(&stage, product)).collect();
    assert!(before.iter().all(Option::is_some));
    for product in &products[..3] {
        amend(&stage, 'i', &Entity::new(Kind::Product, &product.key()), |entry| {
            entry.as_object_mut().unwrap().remove("r");
        });
    }
    for at in [0, 3] {
        stage.tell(&set_sku(&products[at], json!(format!("CHANGED-{at}"))));
        stage.tell(&delete(&products[at + 1]));
    }
    stage.run_until(HOUR_MS, "all is as in the PIM", |stage| {
        stage.is_quiet() && stage.differences().is_empty()
    });
    for at in [0, 3] {
        assert_eq!(
            known(&stage, &products[at]),
            before[at],
            "the same thing, and known by now"
        );
        assert_eq!(known(&stage, &products[at + 1]), None, "it is gone");
    }
    assert_eq!(known(&stage, &products[2]), None, "nobody pushed it");
    assert_eq!(doubled(&stage), Vec::<String>::new());
}

/// The paths of what the shop was made to have twice.
fn doubled(stage: &Stage) -> Vec<String> {
    let world = stage.world();
    world.destination.shop.as_ref().expect("a shop").doubled.clone()
}

/// Makes a product of this SKU.
fn make(stage: &mut Stage, sku: &str) -> EntityId {
    let uuid = "0a1b2c3d-0000-4000-8000-00000000000a".parse().expect("a UUID");
    let new = EntityId::Product(uuid);
    let action = Action::Create {
        identifier: Some(sku.to_owned()),
        family: None,
        parent: None,
        categories: Vec::new(),
    };
    stage.tell(&Edit::new(new.clone(), action));
    new
}

/// Somebody gives the thing of this id in the shop another SKU: its second version.
fn rename_by_hand(stage: &Stage, id: &str, sku: &str) {
    let now_ms = stage.now_ms();
    let request = Request::put(format!("/shop/products/{id}?ref={sku}"))
        .header("if-match", "1")
        .body(Bytes::from_static(b"{}"));
    let response = stage.world().destination.respond(&request.expect("a request"), now_ms);
    assert_eq!(response.status(), 200);
}
