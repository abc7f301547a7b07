//! Files while workers are killed and paused, and the store, the PIM and the destination fail.

use shape::Shape;
use simulator::catalogue::{Action, Edit};
use simulator::door::{Form, Manners};
use simulator::encode_segment;
use simulator::fault::{Effect, Fault};
use simulator::pim::content;
use std::collections::BTreeSet;
use tests::simulation::doors::log_in;
use tests::simulation::host::Chances;
use tests::simulation::stage::Stage;

const SEEDS: u64 = 100;

const FILES: [&str; 4] = ["0/a.jpg", "1/b.jpg", "2/c.pdf", "3/d.pdf"];

/// A door that takes one token in ten away as it is shown.
const LOGIN: Manners = Manners {
    life_s: 60,
    taken_away: 0.1,
    down: 0.1,
    slow_ms: 500,
    form: Form::Body,
    rotates: true,
    too_small: 0.0,
};

fn path(code: &str) -> String {
    format!("/media/{}", encode_segment(code))
}

/// The files that the destination's entities name, and those that it lacks of them.
fn named(stage: &Stage) -> (BTreeSet<&'static str>, Vec<&'static str>) {
    let world = stage.world();
    let texts: String = world
        .destination
        .state
        .values()
        .map(|stored| stored.json.as_str())
        .collect();
    let named: BTreeSet<&str> = FILES.into_iter().filter(|code| texts.contains(code)).collect();
    let is_missing = |code: &&str| !world.destination.media.contains_key(&path(code));
    let missing = named.iter().copied().filter(is_missing).collect();
    (named, missing)
}

#[test]
fn no_entity_is_at_the_destination_before_its_files() {
    let (mut sent, mut killed, mut turned_away) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut stage = Stage::with(6, 0, seed, |shared, config| {
            config.shape = Shape::read(r#"{"media": {}}"#).unwrap();
            // Every second destination gives tokens that end, and takes some away in between.
            if seed % 2 == 1 {
                config.shape = Shape::read(r#"{"media": {}, "login": {"path": "/token"}}"#).unwrap();
                log_in(config);
                shared.nature.door = Some(LOGIN);
            }
            shared.pim.config.media = FILES.map(|code| (code.to_owned(), 5000)).into();
            shared.chances = Chances {
                kill: 0.01,
                pause: 0.002,
                store: 0.02,
                half: 0.05,
            };
            for applied in [true, false] {
                let fault = Fault::share(0.2, Effect::Cut { applied });
                shared.destination.faults.add(fault.clone().path("/media/"));
                shared.pim.faults.add(fault.path("/api/rest/v1/media-files/"));
            }
        });
        for (at, product) in stage.products().into_iter().enumerate() {
            for (attribute, code) in [("packshot", FILES[at % 2]), ("manual", FILES[2 + at % 2])] {
                let set = Action::SetValue {
                    attribute: attribute.to_owned(),
                    locale: None,
                    scope: None,
                    data: code.into(),
                };
                stage.announce(&Edit::new(product.clone(), set));
            }
        }
        for _ in 0..600 {
            stage.run_for(1000);
            assert_eq!(named(&stage).1, Vec::<&str>::new(), "seed {seed}");
        }
        {
            let mut world = stage.world();
            world.chances = Chances::default();
            world.nature.door.iter_mut().for_each(Manners::heal);
            world.pim.faults.clear();
            world.destination.faults.clear();
        }
        stage.run_until(6 * 3_600_000, "every file is named and there", |stage| {
            named(stage).0.len() == FILES.len()
        });
        assert_eq!(named(&stage).1, Vec::<&str>::new(), "seed {seed}");
        let world = stage.world();
        for code in FILES {
            let stored = &world.destination.media[&path(code)];
            assert_eq!(stored.sha256, simulator::destination::sha256(&content(code, 5000)));
            sent += stored.versions;
        }
        killed += world.killed;
        turned_away += world.doors.destination.turned_away;
    }
    assert!(turned_away > 50, "tokens were taken away {turned_away} times only");
    let files = SEEDS * FILES.len() as u64;
    println!("{SEEDS} seeds, {killed} kills: {files} files, sent {sent} times in all");
}

/// The destination asks for a pause before the next file in a way of its own, which the shape tells.
#[test]
fn a_wait_that_is_told_otherwise_is_kept_to_for_files_too() {
    const WAIT_MS: u64 = 900_000;
    let mut stage = Stage::with(4, 0, 9, |shared, config| {
        let limits = r#"{ "media": {}, "limits": { "reset": { "header": "x-reset-ms", "unit": "milliseconds" } } }"#;
        config.shape = Shape::read(limits).expect("a good shape");
        shared.pim.config.media = FILES.map(|code| (code.to_owned(), 5000)).into();
    });
    stage.walk();
    let busy = Effect::Status {
        status: 429,
        headers: vec![("x-reset-ms".to_owned(), WAIT_MS.to_string())],
        body: None,
    };
    stage
        .world()
        .destination
        .faults
        .add(Fault::next(1, busy).path("/media/"));
    let product = stage.products()[0].clone();
    let set = Action::SetValue {
        attribute: "packshot".to_owned(),
        locale: None,
        scope: None,
        data: FILES[0].into(),
    };
    stage.forget();
    stage.tell(&Edit::new(product, set));
    stage.run_until(3_600_000, "the file", |stage| {
        named(stage) == (BTreeSet::from([FILES[0]]), Vec::new())
    });
    let world = stage.world();
    let puts = world.destination.log.iter().filter(|request| request.method == "PUT");
    let at_ms: Vec<u64> = puts.map(|request| request.at_ms).collect();
    assert!(at_ms.windows(2).any(|two| two[1] - two[0] >= WAIT_MS), "{at_ms:?}");
}
