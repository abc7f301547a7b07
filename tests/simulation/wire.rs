//! Answers that come packed or cut short, from either side.

use simulator::catalogue::{Action, Edit};
use simulator::fault::{Effect, Fault};
use tests::simulation::stage::Stage;

const SEEDS: u64 = 40;

#[test]
fn packed_and_cut_answers_delay_reads_and_repeat_no_push() {
    for seed in 0..SEEDS {
        let mut stage = Stage::with(12, 0, seed, |shared, _| {
            let cut = Fault::share(0.1, Effect::CutBody).path("/api/rest/");
            shared.pim.faults.add(cut);
            shared.pim.faults.add(Fault::always(Effect::Gzip));
            let share = (seed % 5) as f64 / 5.0;
            shared.destination.faults.add(Fault::share(share, Effect::CutBody));
            shared.destination.faults.add(Fault::share(share, Effect::Gzip));
        });
        let products = stage.products();
        for product in &products {
            stage.announce(&Edit::new(product.clone(), Action::Touch));
        }
        let arrived = |stage: &Stage| stage.world().destination.state.len() == products.len();
        stage.run_until(3_600_000, "every product arrives", arrived);
        stage.run_for(3_600_000);
        let pushed: Vec<u64> = stage
            .world()
            .destination
            .state
            .values()
            .map(|stored| stored.versions)
            .collect();
        assert_eq!(pushed, vec![1; products.len()], "seed {seed}");
    }
}
