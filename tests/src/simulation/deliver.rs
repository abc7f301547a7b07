//! Edits, their deliveries, and who takes them.

use super::host::SimHost;
use super::run::{Acknowledged, Alive, Run, introduce};
use bytes::Bytes;
use config::{IngestConfig, Variables};
use delivery::channel::Channel;
use delivery::ingest;
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::entity::{Entity, Kind};
use queue::key::Key;
use queue::keyspace::Keyspace;
use simulator::catalogue::{Change, ChangeKind, Edit, EntityId};
use simulator::deliveries::{Delivery, Format, Plan, Secrets};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use world::damage;

impl Run {
    /// Makes an edit and sends its events, each until it is acknowledged, some of them more than once.
    pub(super) fn announce(&self, edit: &Edit, script: &mut Rng) {
        let changes = self.edit(edit);
        for delivery in deliveries(&changes, self.executor.now_ms(), script) {
            let delays_ms = [Some(script.u64(..30_000)), script.bool().then(|| script.u64(..600_000))];
            for delay_ms in delays_ms.into_iter().flatten() {
                self.send(delivery.clone(), delay_ms, script.fork());
            }
        }
    }

    /// Sends the deliveries of changes at once.
    pub(super) fn tell_now(&self, changes: &[Change], script: &mut Rng) {
        self.tell(changes, true, script);
    }

    /// The same without deltas.
    pub(super) fn tell_plainly(&self, changes: &[Change], script: &mut Rng) {
        self.tell(changes, false, script);
    }

    fn tell(&self, changes: &[Change], delta: bool, script: &mut Rng) {
        let plan = Plan {
            delta,
            ..Plan::new(
                Format::EventPlatform(Secrets::primary("secret-of-the-simulation")),
                self.executor.now_ms() / 1000,
                script.u64(..),
            )
        };
        for delivery in plan.deliveries(changes) {
            self.send(delivery, 0, script.fork());
        }
    }

    /// Makes an edit and tells nobody.
    pub(super) fn edit(&self, edit: &Edit) -> Vec<Change> {
        let now_ms = self.executor.now_ms();
        let changes = self.shared.borrow_mut().pim.edit(edit, now_ms).unwrap_or_default();
        {
            let mut shared = self.shared.borrow_mut();
            shared.names.note_all(&changes);
            if let Some(shop) = &mut shared.destination.shop {
                changes.iter().for_each(|change| introduce(shop, &change.entity));
            }
            shared.note(now_ms, "edit", || format!("{} {:?}", edit.entity, edit.action));
        }
        let entities = changes.iter().map(|change| change.entity.clone());
        self.ever.borrow_mut().extend(entities);
        let deleted = changes.iter().filter(|change| change.kind == ChangeKind::Deleted);
        self.deleted
            .borrow_mut()
            .extend(deleted.map(|change| change.entity.clone()));
        changes
    }

    /// Makes an edit whose deliveries are lost by half, come twice in one of ten cases, and in any order.
    pub(super) fn tell_badly(&self, edit: &Edit, script: &mut Rng) {
        let changes = self.edit(edit);
        for delivery in deliveries(&changes, self.executor.now_ms(), script) {
            let times = usize::from(script.bool()) * (1 + usize::from(script.u8(..10) == 0));
            for _ in 0..times {
                let delay_ms = script.u64(..600_000);
                self.send(delivery.clone(), delay_ms, script.fork());
            }
        }
    }

    /// Sends a delivery until it is acknowledged.
    fn send(&self, delivery: Delivery, delay_ms: u64, mut chance: Rng) {
        let run = self.clone_handles();
        let sending = Alive::of([self.senders.clone()]);
        self.executor.spawn(async move {
            let _sending = sending;
            run.executor.sleep_ms(delay_ms).await;
            while run.deliver(&delivery, &mut chance).await != Some(200) {
                run.executor.sleep_ms(chance.u64(1000..120_000)).await;
            }
            if !run.told.borrow_mut().insert(delivery.body.clone()) {
                return;
            }
            let stored = run.stored.borrow()[&delivery.body].clone();
            let is_deletion = |text: &str| text.contains(".deleted") || text.contains(".removed");
            let is_deletion = is_deletion(&String::from_utf8_lossy(&delivery.body));
            let now_ms = run.executor.now_ms();
            let at_ms = |entity: &EntityId| stored.get(&entity_of(entity)).copied().unwrap_or(now_ms);
            let events = delivery.entities.iter().map(|entity| Acknowledged {
                at_ms: at_ms(entity),
                entity: entity.clone(),
                is_deletion,
            });
            run.acknowledged.borrow_mut().extend(events);
        });
    }

    /// One delivery to one ingest, which may be killed over it. It may be stored and yet not be acknowledged: what then
    /// follows from its keys has followed from the events, which its repetition tells no more of.
    async fn deliver(&self, delivery: &Delivery, chance: &mut Rng) -> Option<u16> {
        let clocks_ms = self.shared.borrow().nature.clocks_ms;
        let ahead_ms = self.shared.borrow().ingest_ahead_ms;
        let skew_ms = chance.i64(-clocks_ms..=clocks_ms) + ahead_ms;
        let host = SimHost::new(&self.executor, &self.shared, "ingest", false, skew_ms);
        let (task, answer, set) = (host.task(), Rc::new(Cell::new(None)), host.keys_set());
        let (settings, sent, given) = (self.ingest, delivery.clone(), answer.clone());
        task.set(self.executor.spawn(async move {
            let channel = if sent.path.ends_with("events-api") {
                Channel::EventsApi
            } else {
                Channel::EventPlatform
            };
            let headers = headers(&sent);
            let body = Bytes::from(sent.body);
            let variable = |name: &str| settings.variable(name);
            let variables = Variables(&variable);
            let config = IngestConfig::read(&variables).expect("the variables are good");
            let answer = match ingest::judge(&host, &config, channel, &headers).await {
                Ok(signed) => ingest::receive(&host, &config, &signed, &body).await,
                Err(answer) => answer,
            };
            damage::told(&host);
            given.set(Some(answer.status));
        }));
        for _ in 0..50 {
            self.executor.sleep_ms(20).await;
            if answer.get().is_some() {
                break;
            }
        }
        let keys = Keyspace::new("main");
        let mut written = BTreeMap::new();
        for (key, at_ms) in set.borrow().iter() {
            if let Some(Key::Event(event)) = keys.parse(key) {
                written.entry(event.entity).or_insert(*at_ms);
            }
        }
        if answer.get() == Some(200) {
            self.check_that_it_is_written(delivery, &written);
        }
        let mut stored = self.stored.borrow_mut();
        let known = stored.entry(delivery.body.clone()).or_default();
        for (entity, at_ms) in written {
            known.entry(entity).or_insert(at_ms);
        }
        answer.get()
    }

    /// Whoever acknowledges a delivery has written a key for each of its events. Those of categories may not be wanted.
    fn check_that_it_is_written(&self, delivery: &Delivery, written: &BTreeMap<Entity, u64>) {
        let events = delivery.entities.iter();
        let wanted = events.filter(|entity| !matches!(entity, EntityId::Category(_)));
        let lost = wanted.filter(|entity| !written.contains_key(&entity_of(entity)));
        let now_ms = self.executor.now_ms();
        let told = lost.map(|entity| format!("an event of {entity} was acknowledged at {now_ms} and is not written"));
        self.shared.borrow_mut().violations.extend(told);
    }
}

/// An entity as the relay knows it.
pub(super) fn entity_of(id: &EntityId) -> Entity {
    let kind = match id {
        EntityId::Product(_) => Kind::Product,
        EntityId::Model(_) => Kind::ProductModel,
        EntityId::Category(_) => Kind::Category,
    };
    Entity::new(kind, &id.key())
}

fn headers(delivery: &Delivery) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &delivery.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn deliveries(changes: &[Change], now_ms: u64, script: &mut Rng) -> Vec<Delivery> {
    let secret = "secret-of-the-simulation";
    let platform = Secrets::primary(secret);
    let format = match script.u8(..3) {
        0 => Format::EventPlatform(platform),
        1 => Format::EventsApi(secret.to_owned()),
        _ => Format::Both(platform, secret.to_owned()),
    };
    Plan {
        delta: script.bool(),
        ..Plan::new(format, now_ms / 1000, script.u64(..))
    }
    .deliveries(changes)
}
