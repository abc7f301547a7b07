//! Workers that stand still: wherever they do, and for however long, everything is equal afterwards without a person.

use crate::acts::{HOUR_MS, LITTLE, MINUTE_MS, SECOND_MS, by_events_alone, delete, enabled, page_of, touch};
use model::entity::Kind;
use queue::key::Key;
use queue::keyspace::Keyspace;
use shape::Shape;
use simulator::catalogue::{Action, Edit, EntityId};
use simulator::fault::{Effect, Fault};
use tests::simulation::host::Stall;
use tests::simulation::stage::Stage;
use world::mistake::Mistake;

/// A worker stands still before its next call of this text.
fn stall(stage: &Stage, call: String, ms: u64, is_suspension: bool) {
    let stall = Stall {
        call,
        passing: 0,
        ms,
        is_suspension,
    };
    stage.world().stalls.push(stall);
}

fn until_it_stands_still(stage: &mut Stage) {
    stage.run_until(5 * MINUTE_MS, "it stands still", |stage| {
        stage.world().stalls.is_empty()
    });
}

fn equal(products: usize, seed: u64) -> Stage {
    let mut stage = Stage::with(products, 0, seed, |_, _| {});
    stage.walk();
    assert_eq!(stage.differences(), []);
    stage
}

/// While it stands still before a push, others push what is newer; then its own comes.
#[test]
fn a_worker_that_stands_still_while_it_pushes_leaves_nothing_old_behind() {
    for (seed, minutes, is_suspension) in [
        (39, 2, false),
        (40, 11, true),
        (41, 15, false),
        (42, 15, true),
        (43, 180, true),
    ] {
        let mut stage = equal(60, seed);
        // Two of one batch, of which the worker pushes the other one after it wakes, too.
        let products = stage.products();
        let (one, other) = (&products[7], &products[8]);
        let push = format!("PUT http://destination.test/products/{}", one.key());
        stall(&stage, push, minutes * MINUTE_MS, is_suspension);
        stage.tell(&touch(one));
        stage.tell(&touch(other));
        until_it_stands_still(&mut stage);
        stage.tell(&touch(one));
        stage.tell(&touch(other));
        stage.run_for(minutes * MINUTE_MS + MINUTE_MS);
        stage.run_until(HOUR_MS, "equal", |stage| {
            stage.is_quiet() && stage.differences().is_empty()
        });
    }
}

/// Had it told nobody what it pushed last, that would stay.
#[test]
fn the_mistake_of_forgetting_late_pushes_is_seen() {
    let mut stage = equal(60, 42);
    let products = stage.products();
    let (one, other) = (&products[7], &products[8]);
    let push = format!("PUT http://destination.test/products/{}", one.key());
    stage.make(Some(Mistake::ForgetLatePushes));
    stall(&stage, push, 15 * MINUTE_MS, true);
    stage.tell(&touch(one));
    stage.tell(&touch(other));
    until_it_stands_still(&mut stage);
    stage.tell(&touch(one));
    stage.tell(&touch(other));
    stage.run_for(12 * HOUR_MS);
    stage.make(None);
    assert_ne!(stage.differences(), []);
}

/// The last push of one that stood still is of what has been deleted meanwhile.
#[test]
fn what_was_deleted_meanwhile_does_not_come_back() {
    for (seed, minutes, is_suspension) in [(44, 3, false), (45, 20, true)] {
        let mut stage = equal(60, seed);
        let product = stage.products()[11].clone();
        let push = format!("PUT http://destination.test/products/{}", product.key());
        stall(&stage, push, minutes * MINUTE_MS, is_suspension);
        stage.tell(&touch(&product));
        until_it_stands_still(&mut stage);
        stage.tell(&delete(&product));
        stage.run_for(minutes * MINUTE_MS + MINUTE_MS);
        stage.run_until(HOUR_MS, "it is gone", |stage| {
            stage.is_quiet() && stage.differences().is_empty()
        });
    }
}

/// Whether variants are as their model was changed last, where one worker stood still before it deleted what it had done,
/// and the next ones before they push what was queued meanwhile.
fn variants_are_equal(mistake: Option<Mistake>) -> bool {
    let mut stage = Stage::with(40, 2, 47, |_, worker| by_events_alone(worker));
    stage.walk();
    stage.make(mistake);
    let model = stage.models()[0].clone();
    // The only calls that name events of variants are those that delete them.
    stall(&stage, ".pi.".to_owned(), 10 * MINUTE_MS, true);
    stage.tell(&touch(&model));
    until_it_stands_still(&mut stage);
    for _ in 0..12 {
        stall(&stage, "get r1.main.i.p.".to_owned(), 20 * MINUTE_MS, true);
    }
    stage.tell(&touch(&model));
    stage.run_for(12 * MINUTE_MS);
    stage.world().stalls.clear();
    // A recheck would find it, too, if there is one.
    stage.world().store.retain(|key, _| !key.contains(".r.p."));
    stage.run_for(12 * HOUR_MS);
    stage.make(None);
    stage.differences().is_empty()
}

/// An event of our own never has the key of an earlier one, which a slower worker may yet delete.
#[test]
fn what_a_slower_worker_deletes_is_nothing_that_came_since() {
    assert!(variants_are_equal(None));
    assert!(
        !variants_are_equal(Some(Mistake::ReuseKey)),
        "the mistake of reusing keys is not seen"
    );
}

/// A destination that has what little is sent, and is told of changes by events alone.
fn little() -> Stage {
    let mut stage = Stage::with(60, 0, 46, |_, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(LITTLE).expect("a good shape");
    });
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
    stage.run_for(10 * MINUTE_MS);
    stage.forget();
    stage
}

/// Two workers stand still with their pushes done and nothing kept of that; then the first one's content comes again.
#[test]
fn a_content_that_comes_back_has_a_key_of_its_own_though_nobody_kept_what_was_pushed() {
    let mut stage = little();
    let product = EntityId::Product(uuid::Uuid::from_u128(7 << 64));
    let enable = |enabled: bool| Edit::new(product.clone(), Action::Enable { enabled });
    let was_enabled = |stage: &Stage| enabled(stage, &product);
    stall(&stage, write_of_the_index(&product), 3 * HOUR_MS, true);
    stage.tell(&Edit::new(product.clone(), Action::create()));
    until_it_stands_still(&mut stage);
    let first = was_enabled(&stage).expect("it is pushed");
    for (content, is_last) in [(!first, false), (first, true)] {
        if !is_last {
            stall(&stage, write_of_the_index(&product), 3 * HOUR_MS, true);
        }
        stage.edit(&enable(content));
        stage.run_until(5 * MINUTE_MS, "it is pushed", |stage| {
            was_enabled(stage) == Some(content)
        });
    }
    stage.run_for(4 * HOUR_MS);
    assert_eq!(stage.keys_that_came_back(), Vec::<String>::new());
    assert_eq!(was_enabled(&stage), Some(first));
}

/// The same once what was in flight has settled, and is forgotten: also where the event names a moment that lies ahead.
#[test]
fn a_key_does_not_come_back_once_what_was_in_flight_has_settled() {
    for ahead_ms in [0, 30 * MINUTE_MS] {
        let mut stage = little();
        let product = EntityId::Product(uuid::Uuid::from_u128(7 << 64));
        let enable = |enabled: bool| Edit::new(product.clone(), Action::Enable { enabled });
        stall(&stage, write_of_the_index(&product), 6 * HOUR_MS, true);
        let mut changes = stage.edit(&Edit::new(product.clone(), Action::create()));
        changes.iter_mut().for_each(|change| change.time_ms += ahead_ms);
        stage.tell_now(&changes);
        until_it_stands_still(&mut stage);
        let first = enabled(&stage, &product).expect("it is pushed");
        stall(&stage, write_of_the_index(&product), 6 * HOUR_MS, true);
        stage.edit(&enable(!first));
        stage.run_until(5 * MINUTE_MS, "it is pushed", |stage| {
            enabled(stage, &product) == Some(!first)
        });
        let wait = Effect::Status {
            status: 503,
            headers: vec![("retry-after".to_owned(), "1500".to_owned())],
            body: None,
        };
        stage.world().pim.faults.add(Fault::always(wait));
        stage.run_for(20 * MINUTE_MS);
        stage.edit(&enable(first));
        stage.world().pim.faults.clear();
        stage.run_for(30 * MINUTE_MS);
        assert_eq!(enabled(&stage, &product), Some(first), "{ahead_ms}");
        assert_eq!(stage.keys_that_came_back(), Vec::<String>::new(), "{ahead_ms}");
    }
}

/// The text of a write of the index that has this entity's place, whichever worker's.
fn write_of_the_index(product: &EntityId) -> String {
    let page = page_of(product);
    format!(
        "set {}",
        Keyspace::new("main").encode(&Key::IndexPage(Kind::Product, page, None))
    )
}

fn neighbours(stage: &Stage) -> (EntityId, EntityId) {
    let products = stage.products();
    let pair = products
        .iter()
        .zip(&products[1..])
        .find(|(one, other)| page_of(one) == page_of(other));
    pair.map(|(one, other)| (one.clone(), other.clone()))
        .expect("neighbours")
}

/// One entry of an index page is pushed by another worker meanwhile, and then changed back to what it was.
#[test]
fn a_worker_that_stands_still_while_it_writes_the_index_takes_nobodys_entry_back() {
    for (seed, seconds, is_suspension) in [(25, 130, false), (26, 130, true), (27, 1200, true)] {
        let mut stage = Stage::with(300, 0, seed, |_, worker| {
            worker.shape = Shape::read(LITTLE).expect("a good shape");
        });
        stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        stage.run_for(30 * MINUTE_MS);
        let (one, other) = neighbours(&stage);
        let flip = |id: &EntityId, enabled: bool| Edit::new(id.clone(), Action::Enable { enabled });
        let (was, other_was) = (
            enabled(&stage, &one).expect("it is there"),
            enabled(&stage, &other).expect("it is there"),
        );
        stall(&stage, write_of_the_index(&other), seconds * SECOND_MS, is_suspension);
        stage.tell(&flip(&other, !other_was));
        until_it_stands_still(&mut stage);
        stage.tell(&flip(&one, !was));
        stage.run_until(3 * MINUTE_MS, "another worker has pushed the first one", |stage| {
            enabled(stage, &one) == Some(!was)
        });
        stage.run_for(seconds * SECOND_MS);
        stage.tell(&flip(&one, was));
        stage.run_until(HOUR_MS, "it is as it was", |stage| enabled(stage, &one) == Some(was));
    }
}

/// A new entity's entry, too: it is then deleted without a word, and must be found missing.
#[test]
fn what_another_worker_pushed_first_stays_in_the_index() {
    for (seed, seconds) in [(40, 130), (41, 600)] {
        let mut stage = equal(300, seed);
        let other = stage.products()[10].clone();
        // A new one on the same page of the index: the last digits differ.
        let mut key = other.key();
        let last = if key.ends_with('0') { '1' } else { '0' };
        key.pop();
        key.push(last);
        let fresh = EntityId::Product(key.parse().expect("a UUID"));
        stall(&stage, write_of_the_index(&other), seconds * SECOND_MS, false);
        stage.tell(&touch(&other));
        until_it_stands_still(&mut stage);
        stage.tell(&Edit::new(fresh.clone(), Action::create()));
        stage.run_for(seconds * SECOND_MS + MINUTE_MS);
        assert_eq!(stage.differences(), []);
        stage.edit(&delete(&fresh));
        stage.run_for(30 * MINUTE_MS);
        stage.walk();
        stage.walk();
        assert_eq!(stage.differences(), []);
    }
}

/// It stands still as it gives up the first of two entities that the destination refuses. Meanwhile the destination takes
/// both, so the second is not given up.
#[test]
fn a_worker_that_stands_still_while_it_keeps_outcomes_gives_nobody_up_afterwards() {
    for (seed, is_suspension) in [(61, false), (62, true)] {
        let mut stage = equal(60, seed);
        let products = stage.products();
        let refused = Fault::always(Fault::status(422)).method("PUT");
        stage.world().destination.faults.add(refused);
        stall(&stage, "set r1.main.d.".to_owned(), 15 * MINUTE_MS, is_suspension);
        stage.tell(&touch(&products[7]));
        stage.tell(&touch(&products[8]));
        until_it_stands_still(&mut stage);
        stage.world().destination.faults.clear();
        stage.tell(&touch(&products[7]));
        stage.tell(&touch(&products[8]));
        stage.run_until(10 * MINUTE_MS, "another one pushes them", |stage| {
            stage.differences().is_empty()
        });
        stage.run_until(HOUR_MS, "it goes on", |stage| stage.dead_letters() > 0);
        stage.run_for(SECOND_MS);
        assert_eq!(stage.dead_letters(), 1, "seed {seed}");
        stage.run_until(HOUR_MS, "equal", |stage| stage.differences().is_empty());
    }
}
