//! What happens in each kind of world, before it heals.

use super::nature::Dimension;
use super::run::Run;
use super::scenario::WorldKind;
use fastrand::Rng;
use simulator::catalogue::{Action, Edit, EntityId};
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
        self.jump_at_random();
        self.edit_families_at_once();
        self.executor.spawn(async move {
            for _ in 0..edits {
                run.executor.sleep_ms(script.u64(..25_000)).await;
                run.edit_at_random(&mut script).await;
            }
            run.stop.set(true);
        });
        let (stop, are_named) = (self.stop.clone(), self.change_identities());
        self.executor.run(random, || stop.get() && are_named.get());
        self.stop.set(false);
        // A part of the deliveries and of the work is still in the faulty world.
        let more_ms = random.u64(..300_000);
        self.run_for(more_ms, random);
    }

    /// An edit as a team would make it; in some worlds one that goes back to what was, or one that has another at its
    /// heels.
    async fn edit_at_random(&self, script: &mut Rng) {
        let (reverts, is_hasty) = {
            let nature = &self.shared.borrow().nature;
            (nature.has(Dimension::Reverts), nature.has(Dimension::Hasty))
        };
        let edit = if reverts && script.bool() {
            self.edit_back(script)
        } else {
            self.shared.borrow().pim.catalogue.random_edit(script)
        };
        self.announce(&edit, script);
        if is_hasty && script.bool() {
            self.executor.sleep_ms(script.u64(..1000)).await;
            let again = if reverts {
                edit
            } else {
                Edit::new(edit.entity, Action::Touch)
            };
            let again = match again.action {
                Action::Enable { enabled } => Edit::new(again.entity, Action::Enable { enabled: !enabled }),
                _ => again,
            };
            self.announce(&again, script);
        }
    }

    /// One of the first entities, changed between two contents.
    fn edit_back(&self, script: &mut Rng) -> Edit {
        let shared = self.shared.borrow();
        let truth = shared.pim.catalogue.truth();
        let model = truth.models(None).next().filter(|_| script.u8(..4) == 0);
        let product = truth.products(None).nth(script.usize(..3));
        match (model, product) {
            (Some(model), _) => {
                let is_lit = model.categories == ["lighting"];
                let category = if is_lit { "seasonal" } else { "lighting" };
                let categories = vec![category.to_owned()];
                Edit::new(model.id.clone(), Action::SetCategories { categories })
            }
            (None, Some(product)) => {
                let enabled = !product.enabled;
                Edit::new(product.id.clone(), Action::Enable { enabled })
            }
            (None, None) => shared.pim.catalogue.random_edit(script),
        }
    }

    /// Lets the PIM's clock jump, by up to an hour either way.
    fn jump_at_random(&self) {
        let Some(mut random) = self.shared.borrow().nature.random(Dimension::PimClock) else {
            return;
        };
        let run = self.clone_handles();
        self.executor.spawn(async move {
            for _ in 0..random.u8(1..4) {
                run.executor.sleep_ms(random.u64(..300_000)).await;
                run.shared.borrow_mut().pim.config.clock_skew_ms = random.i64(-HOUR_MS..=HOUR_MS);
            }
        });
    }

    /// Changes most models at once, as an import does.
    fn edit_families_at_once(&self) {
        let Some(mut random) = self.shared.borrow().nature.random(Dimension::Families) else {
            return;
        };
        let run = self.clone_handles();
        self.executor.spawn(async move {
            run.executor.sleep_ms(random.u64(..120_000)).await;
            let mut models: Vec<EntityId> = {
                let shared = run.shared.borrow();
                let models = shared.pim.catalogue.truth().models(None);
                models.map(|model| model.id.clone()).collect()
            };
            random.shuffle(&mut models);
            let count = models.len() * random.usize(5..=10) / 10;
            for model in models.into_iter().take(count) {
                run.announce(&Edit::new(model, Action::Touch), &mut random);
            }
        });
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

const HOUR_MS: i64 = 3_600_000;

const WEEK_MS: u64 = 7 * 86_400_000;
