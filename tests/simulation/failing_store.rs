//! A store that fails one call in ten for an hour, whoever makes it: nothing is lost, and nothing is acknowledged that is
//! not written.

use crate::acts::{HOUR_MS, SECOND_MS, become_equal, by_events_alone};
use simulator::fault::Fault;
use tests::simulation::seeds::{Until, search};
use tests::simulation::stage::Stage;
use world::mistake::Mistake;

/// Which share of the store's calls fails.
const FAILING: f64 = 0.1;

/// Which share of the destination's answers is 503, so that there are retries to be kept.
const BUSY: f64 = 0.1;

/// How many hours there are, each by a seed of its own.
const HOURS: u64 = 10;

/// The longest time between two edits.
const PAUSE_MAX_MS: u64 = 20 * SECOND_MS;

/// What came of an hour.
struct Hour {
    broken: Vec<String>,
    /// Deliveries that were acknowledged while the store failed, and pushes that were done.
    acknowledged: usize,
    pushed: usize,
    /// Store calls that failed, of ingests and of workers.
    failed: (u64, u64),
    dead_letters: usize,
}

/// An hour of edits that are told of until they are acknowledged, two hosts that tick, and no reconciliation, which would
/// find what was lost. Then the store is well again.
fn hour(seed: u64, mistake: Option<Mistake>) -> Hour {
    let mut stage = Stage::on_hosts(&[0, 400], 30, 6, 700 + seed, |_, worker| by_events_alone(worker));
    become_equal(&mut stage);
    stage.make(mistake);
    stage.fail_the_store(FAILING);
    stage
        .world()
        .destination
        .faults
        .add(Fault::share(BUSY, Fault::status(503)));
    let until_ms = stage.now_ms() + HOUR_MS;
    while stage.now_ms() < until_ms {
        let mut script = stage.random.fork();
        let edit = stage.world().pim.catalogue.random_edit(&mut script);
        stage.announce(&edit);
        stage.run_for(script.u64(SECOND_MS..PAUSE_MAX_MS));
    }
    let (acknowledged, failed) = (stage.acknowledged(), stage.world().failed);
    let pushed = stage.world().destination.log.iter().filter(|push| push.applied).count();
    stage.fail_the_store(0.0);
    stage.world().destination.faults.clear();
    stage.make(None);
    Hour {
        broken: stage.broken_rules(),
        acknowledged,
        pushed,
        failed: (failed.of_ingests, failed.of_workers),
        dead_letters: stage.dead_letters(),
    }
}

#[test]
fn an_hour_on_a_store_that_fails_one_call_in_ten_loses_nothing() {
    for (seed, hour) in search(HOURS, Until::AllAreRun, |seed| Some(hour(seed, None))) {
        let (of_ingests, of_workers) = hour.failed;
        println!(
            "hour {seed}: {} events acknowledged, {} pushes; {of_ingests} calls of ingests failed, {of_workers} of workers",
            hour.acknowledged, hour.pushed
        );
        assert_eq!(hour.broken, Vec::<String>::new(), "hour {seed}");
        assert_eq!(hour.dead_letters, 0, "hour {seed}");
        // Both failed often, and the work went on all the same.
        assert!(of_ingests > 50 && of_workers > 50, "hour {seed}");
        assert!(hour.acknowledged > 100 && hour.pushed > 0, "hour {seed}");
    }
}

/// An ingest that acknowledges before it knows what became of its write, and a worker that deletes what waited before it
/// has kept what came of it.
#[test]
fn the_mistakes_of_not_looking_whether_it_was_written_are_seen() {
    for (mistake, told) in [
        (Mistake::AcknowledgeBeforeWrite, "and is not written"),
        (Mistake::DeleteBeforePersisting, ""),
    ] {
        let broken = |seed| Some(hour(seed, Some(mistake)).broken).filter(|broken| !broken.is_empty());
        let found = search(HOURS, Until::OneIsFound, broken);
        let (seed, broken) = found.first().unwrap_or_else(|| panic!("{mistake:?} is not seen"));
        println!("{mistake:?}: hour {seed}: {}", broken[0]);
        assert!(broken[0].contains(told), "{broken:?}");
    }
}
