//! The least and the most that variables may be: everything arrives with them.

use simulator::catalogue::{Action, Edit, EntityId};
use tests::simulation::stage::Stage;

const MINUTE_MS: u64 = 60_000;

fn touch(entity: &EntityId) -> Edit {
    Edit::new(entity.clone(), Action::Touch)
}

#[test]
fn the_shortest_and_the_longest_tick_and_call_do_all_the_work() {
    for (tick_s, call_timeout_s) in [(3, 1), (3, 25), (25, 1), (25, 25)] {
        let mut stage = Stage::with(40, 10, 29, |_, worker| {
            worker.tick_s = tick_s;
            worker.call_timeout_s = call_timeout_s;
        });
        for product in stage.products() {
            let changes = stage.edit(&touch(&product));
            stage.tell_now(&changes);
        }
        stage.run_until(10 * MINUTE_MS, "all that was told of", |stage| {
            stage.pushes("PUT") >= 40 && stage.is_quiet()
        });
        stage.walk();
        assert_eq!(stage.differences(), []);
    }
}

/// Ingest adds to the last count what can have come since, so an idle worker has to count often.
#[test]
fn a_low_mark_puts_nothing_off_while_nothing_waits() {
    for mark in [4000, 10_000] {
        let mut stage = Stage::with(20, 0, 28, |_, worker| worker.high_water = mark);
        stage.ingest_high_water(mark);
        stage.walk();
        for product in stage.products() {
            stage.run_for(5 * MINUTE_MS + 7000);
            let changes = stage.edit(&touch(&product));
            stage.tell_now(&changes);
            stage.run_for(MINUTE_MS / 2);
            assert_eq!(stage.differences(), [], "mark {mark}");
        }
    }
}
