//! A system, and the application that speaks to it: what the PIM does, and what must have come of it.

use super::destination::Destination;
use super::system::System;
use super::{document, text};
use crate::admin::dead_letters;
use serde_json::Value;
use simulator::catalogue::{Action, Catalogue, EntityId};
use simulator::server::Server;
use std::ops::Range;
use std::time::Duration;
use tests::application::{Application, Setup};
use tests::world::{World, deliver_all, platform_deliveries};
use tokio::time::sleep;

fn setup(world: &World, url: &str, system: &System) -> Setup {
    let setup = world.setup().with("destination_url", url);
    let setup = match system.endpoint {
        Some(_) => {
            let setup = setup.with("destination_token", "");
            setup.with("login_id", "id").with("login_secret", "key")
        }
        None => setup.with("destination_token", system.token),
    };
    setup.with("shape", &document(system).to_string())
}

/// What of the PIM is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Products,
    /// Models that stand for themselves.
    Models,
}

impl Of {
    fn catalogue(self) -> Catalogue {
        match self {
            Of::Products => Catalogue::generate(6, 0, 11),
            Of::Models => Catalogue::generate(0, 18, 11),
        }
    }

    /// Six of them. Of three models the last has none above it and none below.
    fn entities(self, world: &World) -> Vec<EntityId> {
        match self {
            Of::Products => world.products(),
            Of::Models => world.models().into_iter().skip(2).step_by(3).collect(),
        }
    }
}

/// A system, and the application that speaks to it.
pub(super) struct Play {
    pub(super) system: &'static System,
    of: Of,
    world: World,
    pub(super) destination: Server<Destination>,
    pub(super) application: Application,
    entities: Vec<EntityId>,
}

impl Play {
    pub(super) async fn begin(system: &'static System, of: Of) -> Play {
        let world = World::start(of.catalogue()).await.unwrap();
        let destination = Server::start(Destination::of(system), "127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let application = Application::start(setup(&world, &destination.url(), system))
            .await
            .unwrap();
        let entities = of.entities(&world);
        assert_eq!(entities.len(), 6);
        Play {
            system,
            of,
            world,
            destination,
            application,
            entities,
        }
    }

    /// What is played, for whoever reads a failure.
    pub(super) fn name(&self) -> String {
        format!("{}, {:?}", self.system.name, self.of)
    }

    /// What the PIM calls one of them.
    pub(super) fn key(&self, at: usize) -> String {
        self.entities[at].key()
    }

    /// The application's store is lost.
    pub(super) async fn lose_the_store(&mut self) {
        let setup = setup(&self.world, &self.destination.url(), self.system);
        self.application = Application::start(setup).await.unwrap();
    }

    /// What is in sight: the entities, each as often as it is held, and what they are called.
    pub(super) fn in_sight(&self) -> Vec<(String, String)> {
        self.destination.with(|destination| destination.held.in_sight())
    }

    /// Whether all entities are in sight, each once.
    pub(super) fn is_whole(&self) -> bool {
        let mut keys: Vec<String> = self.entities.iter().map(EntityId::key).collect();
        keys.sort();
        self.in_sight().into_iter().map(|(key, _)| key).eq(keys)
    }

    /// What was sent of an entity last.
    pub(super) fn content(&self, at: usize) -> Option<Value> {
        let key = self.key(at);
        self.destination
            .with(|destination| Some(destination.held.of(&key)?.body.clone()))
    }

    pub(super) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        if self.application.until(holds).await.is_err() {
            let asked = self.destination.with(|destination| destination.asked.clone());
            let letters = dead_letters(&self.application).await;
            panic!("{}: {what}: {asked:?}, {letters:?}", self.name());
        }
    }

    /// The PIM changes these.
    pub(super) async fn touch(&self, entities: Range<usize>, seed: u64) {
        let entities = &self.entities[entities];
        self.world.touch(&self.application, entities, seed).await.unwrap();
    }

    /// The PIM changes these, and the first of them is not what it was.
    async fn change(&self, entities: Range<usize>, seed: u64, what: &str) {
        let (first, before) = (entities.start, self.content(entities.start));
        self.touch(entities, seed).await;
        self.until(what, || self.content(first) != before).await;
        self.application.tick_until_idle().await.unwrap();
    }

    pub(super) async fn assert_no_dead_letter(&self, what: &str) {
        let letters = dead_letters(&self.application).await;
        assert_eq!(letters, Vec::<Value>::new(), "{}: {what}", self.name());
    }

    /// Ticks until there are dead letters, and says why there are.
    pub(super) async fn told(&self) -> Vec<String> {
        let mut letters = Vec::new();
        for _ in 0..300 {
            self.application.tick().await.unwrap();
            letters = dead_letters(&self.application).await;
            if !letters.is_empty() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        letters.iter().map(|letter| text(&letter["reason"])).collect()
    }

    /// One dead letter says this.
    pub(super) async fn assert_told(&self, reason: &str) {
        let said = self.told().await;
        let is_so = matches!(&said[..], [said] if said.contains(reason));
        assert!(is_so, "{}: {said:?}", self.name());
    }

    pub(super) async fn make(&self) {
        self.touch(0..6, 1).await;
        self.until("made", || self.is_whole()).await;
    }

    /// Somebody else writes there as well, so that versions are not what they were, and takes one out.
    pub(super) async fn meddle(&self) {
        self.destination.with(|destination| destination.held.touch());
        self.change(0..6, 2, "changed").await;
        let key = self.key(1);
        self.destination.with(|destination| destination.held.remove(&key));
        self.touch(1..2, 3).await;
        self.until("missing", || self.is_whole()).await;
        self.application.tick_until_idle().await.unwrap();
    }

    /// Nothing is made a second time, although the index knows of nothing.
    pub(super) async fn adopt(&mut self) {
        let known = self.in_sight();
        self.lose_the_store().await;
        self.change(0..6, 4, "known already").await;
        self.assert_no_dead_letter("what is there is taken on").await;
        assert_eq!(self.in_sight(), known, "{}", self.name());
    }

    /// One is told to come later. The destination notes whoever comes before that.
    pub(super) async fn throttle(&self) {
        self.destination.with(|destination| destination.throttles = 1);
        self.change(3..4, 5, "throttled").await;
        self.assert_no_dead_letter("being busy is no refusal").await;
    }

    /// One is refused, which is told in the system's own words, and the other is not held up.
    pub(super) async fn refuse(&self) {
        let refused = self.key(4);
        self.destination
            .with(|destination| destination.refuses = Some(refused.clone()));
        let before = self.content(4);
        self.touch(4..6, 6).await;
        self.assert_told(self.system.reason).await;
        assert_eq!(self.content(4), before, "{}", self.name());
        self.destination.with(|destination| destination.refuses = None);
    }

    /// The PIM deletes one that somebody else has taken out already, which is as well.
    pub(super) async fn delete_what_is_gone(&self, at: usize, seed: u64) {
        let key = self.key(at);
        let asked = |destination: &mut Destination| {
            destination.held.remove(&key);
            destination.asked.len()
        };
        let before = self.destination.with(asked);
        self.send_deletion(at, seed).await;
        self.until("asked", || self.destination.with(asked) > before).await;
        self.application.tick_until_idle().await.unwrap();
        let letters = dead_letters(&self.application).await;
        let (name, is_of_another) = (self.name(), |letter: &Value| letter["code"] != key);
        assert!(letters.iter().all(is_of_another), "{name}: {letters:?}");
        assert!(self.in_sight().iter().all(|(held, _)| *held != key), "{name}");
    }

    async fn send_deletion(&self, at: usize, seed: u64) {
        let gone = self.world.edit(&self.entities[at], Action::Delete).unwrap();
        let deliveries = platform_deliveries(&gone, seed);
        deliver_all(&self.application, &deliveries).await.unwrap();
    }

    /// The PIM deletes one, which is out of sight then, and no other.
    pub(super) async fn delete(&self, at: usize, seed: u64) {
        let key = self.key(at);
        let mut left = self.in_sight();
        left.retain(|(held, _)| *held != key);
        self.send_deletion(at, seed).await;
        self.until("gone", || self.in_sight() == left).await;
    }

    /// Nothing was asked that the system would not have taken.
    pub(super) fn end(self) {
        let (wrong, asked) = self
            .destination
            .with(|destination| (destination.wrong.clone(), destination.asked.clone()));
        assert_eq!(wrong, Vec::<String>::new(), "{}: {asked:?}", self.name());
    }
}
