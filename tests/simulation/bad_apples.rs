//! What fails alone, with whatever status, however many there are and wherever they stand, keeps the others waiting for
//! no longer than a probe takes.

use crate::acts::{HOUR_MS, MINUTE_MS, SECOND_MS, become_equal, by_events_alone, tell_all, touch, until_pushed};
use shape::Shape;
use simulator::catalogue::{Action, Catalogue, Edit, EntityId};
use simulator::destination::Rejection;
use simulator::fault::{Effect, Fault};
use simulator::pim::PostSearch;
use tests::simulation::host::Shared;
use tests::simulation::stage::Stage;
use world::mistake::Mistake;

/// One of twenty products is answered so; the others change one by one.
fn one_alone(of_pim: bool, status: u16, at: usize) {
    let mut stage = Stage::with(20, 0, 40 + at as u64, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    let products = stage.products();
    stage.fail_alone(of_pim, &products[at], status);
    stage.tell(&touch(&products[at]));
    stage.run_for(20 * MINUTE_MS);
    for step in [1, 7, 13, 18] {
        let (other, told_ms) = (products[(at + step) % 20].clone(), stage.now_ms());
        stage.tell(&touch(&other));
        let what = format!("number {at} of 20 is answered {status}, at the PIM: {of_pim}");
        until_pushed(&mut stage, &[other], told_ms, 5 * MINUTE_MS, &what);
        stage.run_for(11 * MINUTE_MS);
    }
}

#[test]
fn one_entity_that_the_destination_answers_so_holds_up_no_other() {
    for status in [301, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503] {
        for at in [0, 9, 19] {
            one_alone(false, status, at);
        }
    }
}

#[test]
fn one_entity_that_the_pim_answers_so_holds_up_no_other() {
    for status in [301, 403, 404, 405, 406, 422, 429, 500, 503] {
        for at in [0, 9, 19] {
            one_alone(true, status, at);
        }
    }
}

/// Whether eight healthy products come within five minutes while these other ones are tried again and again, each of which
/// alone is answered so.
fn come_beside(seed: u64, failing: usize, status: u16, mistake: Option<Mistake>) -> bool {
    let mut stage = Stage::with(20, 0, seed, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    stage.make(mistake);
    let products = stage.products();
    let (healthy, failing) = (&products[..8], &products[12..12 + failing]);
    for product in failing {
        stage.fail_alone(false, product, status);
    }
    tell_all(&mut stage, failing);
    stage.run_for(20 * MINUTE_MS);
    let told_ms = stage.now_ms();
    tell_all(&mut stage, healthy);
    stage.run_for(5 * MINUTE_MS);
    stage.make(None);
    healthy.iter().all(|product| stage.lag_ms(product, told_ms).is_some())
}

#[test]
fn several_that_fail_alone_hold_up_no_other() {
    for status in [401, 403, 404, 429, 500, 502, 503] {
        for failing in [1, 3, 8] {
            assert!(
                come_beside(70, failing, status, None),
                "{failing} are answered {status}"
            );
        }
    }
}

/// The same ones would be the probes, time and again, before another one has its turn, unless chance lets it in between.
#[test]
fn the_mistake_of_probing_the_same_is_seen() {
    for (failing, status) in [(3, 500), (8, 502)] {
        let all_come = |seed: &u64| come_beside(*seed, failing, status, Some(Mistake::ProbeTheSame));
        let seen: Vec<u64> = (70..90).filter(|seed| !all_come(seed)).collect();
        println!("{failing} with {status}: seen by {seen:?}");
        assert!(!seen.is_empty(), "{failing} with {status}");
    }
}

/// A family of models of two levels, with two variants below each of the lower one.
fn family(catalogue: &mut Catalogue, name: &str, random: &mut fastrand::Rng) {
    // What is created in one second cannot be told apart where one of it cannot be read.
    let mut made_ms = 1_000_000;
    let mut make = |id: EntityId, parent: Option<&str>| {
        let action = parent.map_or_else(Action::create, Action::create_below);
        made_ms += 1000;
        catalogue.edit(&Edit::new(id, action), made_ms).expect("it is new");
    };
    make(EntityId::Model(name.to_owned()), None);
    for number in 0..6 {
        let sub_model = format!("{name} no {number}");
        make(EntityId::Model(sub_model.clone()), Some(name));
        for _ in 0..2 {
            make(
                EntityId::Product(uuid::Uuid::from_u128(random.u128(..))),
                Some(&sub_model),
            );
        }
    }
}

/// All that is of families and not of these sub-models: their roots and what inherits from them.
fn inheriting(stage: &Stage, without: &[&str]) -> Vec<EntityId> {
    let world = stage.world();
    let truth = world.pim.catalogue.truth();
    let is_other = |model: &str| model.contains(" family") && !without.contains(&model);
    let is_of_it = |entity: &&simulator::catalogue::Entity| match &entity.id {
        EntityId::Model(code) => is_other(code),
        _ => entity.parent.as_deref().is_some_and(is_other),
    };
    truth
        .entities()
        .filter(is_of_it)
        .map(|entity| entity.id.clone())
        .collect()
}

/// Whatever names a sub-model is answered so, also what asks for the variants of its whole family.
#[test]
fn a_sub_model_that_the_pim_answers_so_holds_up_neither_its_family_nor_another() {
    for (seed, status) in [(60, 302), (61, 403), (62, 404), (63, 422), (64, 500)] {
        let mut stage = Stage::with(20, 0, seed, |shared, worker| {
            by_events_alone(worker);
            let mut random = fastrand::Rng::with_seed(seed);
            for name in ["a family", "the family"] {
                family(&mut shared.pim.catalogue, name, &mut random);
            }
        });
        become_equal(&mut stage);
        let bad = ["a family no 3", "the family no 0"];
        let (all, told_ms) = (inheriting(&stage, &bad), stage.now_ms());
        assert_eq!(all.len(), 2 * (1 + 5 + 10));
        for sub_model in bad {
            stage.fail_alone(true, &EntityId::Model(sub_model.to_owned()), status);
        }
        for root in ["a family", "the family"] {
            stage.tell(&touch(&EntityId::Model(root.to_owned())));
        }
        let what = format!("two sub-models are answered {status}");
        until_pushed(&mut stage, &all, told_ms, 30 * MINUTE_MS, &what);
        // What lies below the others comes when they do; what no list could show, with the next walk.
        stage.mend();
        if status == 500 {
            stage.walk();
        }
        stage.run_until(8 * HOUR_MS, &format!("the rest of {status} comes"), |stage| {
            stage.dead_letters() > 0 || stage.differences().is_empty()
        });
    }
}

/// The search for the variants of one sub-model alone goes like this.
fn search_below(sub_model: &str, effect: Effect) -> Fault {
    Fault::always(effect)
        .path("/api/rest/v1/products-uuid")
        .entity(sub_model)
}

fn with_a_family(seed: u64, change: impl FnOnce(&mut Shared, &mut fastrand::Rng)) -> Stage {
    Stage::with(20, 0, seed, |shared, worker| {
        by_events_alone(worker);
        let mut random = fastrand::Rng::with_seed(seed);
        family(&mut shared.pim.catalogue, "a family", &mut random);
        change(shared, &mut random);
    })
}

#[test]
fn a_search_that_fails_for_one_sub_model_holds_up_no_family() {
    let effects = [
        Fault::status(403),
        Fault::status(422),
        Fault::status(500),
        Fault::status(504),
        Effect::Slow { ms: 100_000 },
    ];
    for effect in effects {
        let mut stage = with_a_family(82, |_, _| {});
        become_equal(&mut stage);
        let bad = "a family no 3";
        let (all, told_ms) = (inheriting(&stage, &[bad]), stage.now_ms());
        let what = format!("the search below one sub-model: {effect:?}");
        stage.world().pim.faults.add(search_below(bad, effect));
        stage.tell(&touch(&EntityId::Model("a family".to_owned())));
        until_pushed(&mut stage, &all, told_ms, 30 * MINUTE_MS, &what);
    }
}

/// Of a PIM without a search by `POST` a cursor holds the filter, and so all models that it was made for.
#[test]
fn a_cursor_that_holds_the_filter_blames_nobody_else() {
    let mut stage = with_a_family(83, |shared, random| {
        for number in 0..120 {
            let id = EntityId::Product(uuid::Uuid::from_u128(random.u128(..)));
            let action = Action::create_below(&format!("a family no {}", number % 6));
            let made = Edit::new(id, action);
            shared
                .pim
                .catalogue
                .edit(&made, 2_000_000 + number * 1000)
                .expect("it is new");
        }
        shared.pim.config.post_search = PostSearch::MethodNotAllowed;
    });
    become_equal(&mut stage);
    let bad = "a family no 3";
    let (all, told_ms) = (inheriting(&stage, &[bad]), stage.now_ms());
    // The first page comes, and none behind it.
    stage
        .world()
        .pim
        .faults
        .add(search_below(bad, Fault::status(422)).after(1));
    stage
        .world()
        .pim
        .faults
        .add(search_below("a+family+no+3", Fault::status(422)));
    stage.tell(&touch(&EntityId::Model("a family".to_owned())));
    until_pushed(&mut stage, &all, told_ms, 30 * MINUTE_MS, "all but one sub-model's");
    stage.run_for(HOUR_MS);
    assert_eq!(stage.dead_letters(), 1);
}

/// A sub-model that was never pushed is passed over: whatever becomes of it, its variants come or people see why not.
#[test]
fn a_new_sub_model_that_is_passed_over_keeps_its_variants() {
    let mut stage = with_a_family(81, |_, _| {});
    let bad = "a family no 3";
    stage.world().destination.reject(bad, "no");
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
    stage.run_for(30 * MINUTE_MS);
    stage.world().destination.rejections.clear();
    stage.world().pim.faults.add(search_below(bad, Fault::status(422)));
    stage.tell(&touch(&EntityId::Model("a family".to_owned())));
    stage.run_for(5 * MINUTE_MS);
    stage.world().pim.faults.clear();
    stage.run_for(2 * HOUR_MS);
    let differences = stage.differences();
    assert!(
        stage.dead_letters() > 0 || differences.is_empty(),
        "nothing says why: {differences:?}"
    );
}

/// While another one succeeds every now and then, it is known to be the entity's own.
#[test]
fn one_entity_that_is_forbidden_ends_in_the_dead_letters() {
    for (of_pim, status) in [(false, 403), (false, 404), (true, 403), (true, 500)] {
        let mut stage = Stage::with(20, 0, 44, |_, worker| by_events_alone(worker));
        become_equal(&mut stage);
        let products = stage.products();
        stage.fail_alone(of_pim, &products[4], status);
        tell_all(&mut stage, &products);
        let until_ms = stage.now_ms() + 12 * HOUR_MS;
        while stage.dead_letters() == 0 {
            let what = format!("{status} at the PIM: {of_pim}");
            assert!(stage.now_ms() < until_ms, "{what}: it is not given up");
            stage.run_for(10 * MINUTE_MS);
            stage.tell(&touch(&products[12]));
        }
        stage.run_for(HOUR_MS);
        assert_eq!(stage.differences().len(), 1, "{status} at the PIM: {of_pim}");
    }
}

/// Which of all are refused.
#[derive(Debug, Clone, Copy)]
enum Refused {
    First,
    Last,
    Anywhere,
}

/// Refuses a share of all products and lets all be pushed; the others must be within the time that is allowed.
fn refused(count: usize, percent: usize, which: Refused, seed: u64) {
    let mut stage = Stage::with(count, 0, seed, |_, worker| by_events_alone(worker));
    let mut bad = stage.products();
    match which {
        Refused::First => {}
        Refused::Last => bad.reverse(),
        Refused::Anywhere => stage.random.shuffle(&mut bad),
    }
    let good = bad.split_off(count * percent / 100);
    for product in &bad {
        let end = format!("/{}", product.key());
        let refusal = Rejection {
            status: 422,
            message: "no price".to_owned(),
        };
        stage.world().destination.rejections.insert(end, refusal);
    }
    let begun_ms = stage.now_ms();
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
    // A page of a hundred in a second or two, and pushes meanwhile.
    let most_ms = 5 * MINUTE_MS + count as u64 * 50;
    let what = format!("{percent}% of {count} refused, {which:?}, seed {seed}");
    until_pushed(&mut stage, &good, begun_ms, most_ms, &what);
    // Each is given up soon, and none goes round.
    stage.run_until(4 * HOUR_MS, &what, |stage| stage.dead_letters() == bad.len());
}

#[test]
fn up_to_seven_of_ten_that_are_refused_hold_up_no_other() {
    for (count, percent) in [(60, 20), (200, 20), (200, 50), (120, 70), (1000, 35)] {
        for (seed, which) in [(1, Refused::First), (2, Refused::Anywhere), (3, Refused::Last)] {
            refused(count, percent, which, seed);
        }
    }
}

/// Beyond that a healthy one waits ten seconds at most for each bad one before it.
#[test]
fn of_those_that_are_refused_each_costs_ten_seconds_at_most() {
    let mut stage = Stage::with(60, 0, 5, |_, worker| by_events_alone(worker));
    let products = stage.products();
    let (bad, good) = products.split_at(57);
    for product in bad {
        stage.world().destination.reject(&product.key(), "no price");
    }
    let begun_ms = stage.now_ms();
    tell_all(&mut stage, &products);
    let most_ms = 5 * MINUTE_MS + bad.len() as u64 * 10 * SECOND_MS;
    until_pushed(&mut stage, good, begun_ms, most_ms, "nearly all are refused");
}

/// A page of the PIM's list that cannot be had because of one entity is asked for in smaller pieces.
#[test]
fn a_product_that_the_pim_cannot_show_does_not_stop_a_walk() {
    for (at, status) in [(0, 500), (130, 500), (249, 503), (130, 422)] {
        let mut stage = Stage::with(250, 4, 60 + at as u64, |_, worker| by_events_alone(worker));
        let products = stage.products();
        stage.fail_alone(true, &products[at], status);
        stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        let all_but_one = format!("all but the one that is answered {status}");
        stage.run_until(2 * HOUR_MS, &all_but_one, |stage| stage.differences().len() <= 1);
        stage.run_until(2 * HOUR_MS, "the walk's end", |stage| {
            stage.reconciliation().walk.finished_ms > 0
        });
        assert_eq!(stage.pushes("DELETE"), 0);
        stage.mend();
        stage.walk();
        assert_eq!(stage.differences(), []);
    }
}

/// The pages of the look at recent changes, too.
#[test]
fn a_product_that_the_pim_cannot_show_does_not_stop_a_look() {
    let mut stage = Stage::with(250, 0, 61, |_, worker| worker.reconciliation.walk_s = None);
    become_equal(&mut stage);
    let products = stage.products();
    stage.fail_alone(true, &products[100], 500);
    for product in &products {
        stage.edit(&touch(product));
    }
    stage.run_until(2 * HOUR_MS, "all but one", |stage| stage.differences().len() <= 1);
    stage.mend();
    stage.run_until(4 * HOUR_MS, "all", |stage| stage.differences().is_empty());
}

#[test]
fn a_page_that_is_larger_than_what_is_read_is_read_in_pieces() {
    for times in [1.1, 5.0, 60.0] {
        let mut stage = Stage::with(250, 0, 34, |_, worker| by_events_alone(worker));
        let first_page: usize = {
            let world = stage.world();
            world
                .pim
                .bodies(None)
                .take(100)
                .map(|(_, body)| body.to_string().len())
                .sum()
        };
        stage.world().nature.bulk = times * f64::from(48 << 20) / first_page as f64;
        stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
        stage.run_until(2 * HOUR_MS, "all is there", |stage| stage.differences().is_empty());
        let what = "the walk's end";
        stage.run_until(HOUR_MS, what, |stage| stage.reconciliation().walk.finished_ms > 0);
    }
}

/// A fan-out asks for whole bodies or for less, but for no more than can be read.
#[test]
fn variants_whose_page_is_too_large_are_marked_all_the_same() {
    const SHAPE: &str =
        r#"{"product-models": {"fields": [{"from": "/code", "to": "/id"}, {"from": "/updated", "to": "/updated"}]}}"#;
    let mut stage = Stage::with(400, 1, 35, |_, worker| {
        by_events_alone(worker);
        worker.shape = Shape::read(SHAPE).expect("a good shape");
    });
    stage.command(r#"{"v":1,"do":"reconcile","scan":"full"}"#);
    stage.run_for(30 * MINUTE_MS);
    stage.forget();
    let variants: Vec<EntityId> = {
        let world = stage.world();
        let products = world.pim.catalogue.truth().products(None);
        let variants = products.filter(|product| product.parent.is_some());
        variants.map(|product| product.id.clone()).collect()
    };
    assert!(variants.len() > 20);
    let body = {
        let world = stage.world();
        let largest = world.pim.bodies(None).map(|(_, body)| body.to_string().len()).max();
        largest.unwrap_or(1)
    };
    // Five at a time.
    stage.world().nature.bulk = f64::from(48 << 20) / (6 * body) as f64;
    let (model, told_ms) = (stage.models()[0].clone(), stage.now_ms());
    stage.tell(&touch(&model));
    until_pushed(&mut stage, &variants, told_ms, HOUR_MS, "variants");
}

/// The only one that was never tried before, a page of HTML in answer to it, and others that have failed once: as probes
/// they take turns.
#[test]
fn those_that_have_failed_before_get_their_turn_as_probes() {
    for (seed, status) in [(70, 503), (71, 502), (72, 404)] {
        let mut stage = Stage::with(20, 0, seed, |_, worker| by_events_alone(worker));
        become_equal(&mut stage);
        let products = stage.products();
        // An outage costs some of them an attempt before it is known to be one.
        stage.world().destination.faults.add(Fault::always(Fault::status(500)));
        tell_all(&mut stage, &products[..8]);
        stage.run_for(MINUTE_MS);
        stage.answer_alone_with_a_page(&products[15], status);
        stage.tell(&touch(&products[15]));
        stage.run_for(MINUTE_MS);
        stage.world().destination.faults.clear();
        let healthy_ms = stage.now_ms();
        until_pushed(&mut stage, &products[..8], healthy_ms, 20 * MINUTE_MS, "all but one");
    }
}
