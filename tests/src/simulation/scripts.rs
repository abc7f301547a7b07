//! What happens in each kind of world, before it heals.

use super::run::{Run, WorldKind};
use fastrand::Rng;
use simulator::catalogue::{Action, Edit};
use simulator::fault::{Effect, Fault};

impl Run {
    /// The script of a world.
    pub(super) fn play(&self, world: &WorldKind, random: &mut Rng) {
        match world {
            WorldKind::Random => self.random_script(random),
            WorldKind::Week => self.week_script(random),
            WorldKind::Small(_) => self.small_script(random),
            WorldKind::Unread(_) => self.unread_script(random),
            WorldKind::Wait { of_pim } => self.wait_script(*of_pim, random),
            WorldKind::Outage { of_pim, events } => self.outage_script(*of_pim, *events, random),
            WorldKind::Stage { .. } => {}
        }
    }

    fn random_script(&self, random: &mut Rng) {
        let edits = random.usize(5..40);
        let (mut script, run) = (random.fork(), self.clone_handles());
        self.executor.spawn(async move {
            for _ in 0..edits {
                run.executor.sleep_ms(script.u64(..25_000)).await;
                run.edit_at_random(&mut script);
            }
            run.stop.set(true);
        });
        let stop = self.stop.clone();
        self.executor.run(random, || stop.get());
        self.stop.set(false);
        // A part of the deliveries and of the work is still in the faulty world.
        let more_ms = random.u64(..300_000);
        self.run_for(more_ms, random);
    }

    /// A week of edits whose deliveries are lost by half and come in any order.
    fn week_script(&self, random: &mut Rng) {
        let pause_max_ms = 2 * WEEK_MS / random.u64(30..80);
        let until_ms = self.executor.now_ms() + WEEK_MS;
        let (mut script, run) = (random.fork(), self.clone_handles());
        self.executor.spawn(async move {
            loop {
                run.executor.sleep_ms(script.u64(..pause_max_ms)).await;
                if run.executor.now_ms() >= until_ms {
                    break;
                }
                let edit = run.shared.borrow().pim.catalogue.random_edit(&mut script);
                run.tell_badly(&edit, &mut script);
            }
        });
        self.run_for(WEEK_MS, random);
    }

    fn small_script(&self, random: &mut Rng) {
        let products = self.products();
        {
            let mut shared = self.shared.borrow_mut();
            let failing = Fault::next(1, Fault::status(503)).entity(&products[1].key());
            shared.destination.faults.add(failing);
            shared.destination.reject(&products[2].key(), "refused");
        }
        self.touch_all(random);
        self.run_for(900_000, random);
    }

    fn unread_script(&self, random: &mut Rng) {
        let failing = Fault::always(Fault::status(422)).path("/api/rest/v1/products-uuid");
        self.shared.borrow_mut().pim.faults.add(failing);
        self.touch_all(random);
        self.run_for(900_000, random);
    }

    fn wait_script(&self, of_pim: bool, random: &mut Rng) {
        {
            let mut shared = self.shared.borrow_mut();
            let headers = vec![("retry-after".to_owned(), "30".to_owned())];
            let wait = Effect::Status {
                status: 429,
                headers,
                body: None,
            };
            let (pim, destination) = (Fault::next(1, wait.clone()).path("/api/rest"), Fault::next(1, wait));
            if of_pim {
                shared.pim.faults.add(pim)
            } else {
                shared.destination.faults.add(destination)
            }
        }
        self.touch_all(random);
        self.run_for(300_000, random);
    }

    fn touch_all(&self, random: &mut Rng) {
        let run = self.clone_handles();
        let mut script = random.fork();
        for product in self.products() {
            run.announce(&Edit::new(product, Action::Touch), &mut script);
        }
    }

    fn outage_script(&self, of_pim: bool, events: usize, random: &mut Rng) {
        let products = self.products();
        {
            let mut shared = self.shared.borrow_mut();
            let fault = Fault::always(Fault::status(503));
            if of_pim {
                shared.pim.faults.add(fault)
            } else {
                shared.destination.faults.add(fault)
            }
        }
        let run = self.clone_handles();
        let mut script = random.fork();
        for n in 0..events {
            run.announce(
                &Edit::new(products[n % products.len()].clone(), Action::Touch),
                &mut script,
            );
        }
        self.run_for(8 * 3_600_000, random);
        let shared = self.shared.borrow();
        let calls = if of_pim {
            shared.pim.calls.len()
        } else {
            shared.destination.log.len()
        };
        self.calls_in_outage.set(calls);
    }
}

const WEEK_MS: u64 = 7 * 86_400_000;
