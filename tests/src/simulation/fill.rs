//! What a world begins with besides a small catalogue: families of models, a queue that is nearly full, a page of the
//! index that is nearly as large as a value may be, bodies as large as what is read at most.

use super::host::{Shared, VALUE_MAX};
use super::nature::log_uniform;
use fastrand::Rng;
use index::entry::place_of;
use model::entity::{Entity, Kind, Segment};
use queue::key::{Change, EventKey, Extent, Key, RetryKey};
use queue::keyspace::Keyspace;
use queue::raise::EventValue;
use serde_json::{Map, json};
use simulator::catalogue::{Action, Catalogue, Edit, EntityId};

/// When what is there from the beginning was made, in milliseconds since the Unix epoch.
const MADE_MS: u64 = 1_000_000;

/// How long what fills the queue waits, in seconds: longer than healthy entities may take.
const AWAY_S: u64 = 4 * 3600;

/// The largest answer that is read, in bytes; see `governor.rs`.
const ANSWER_MAX: f64 = (48 << 20) as f64;

/// Gives the catalogue families of models by the dozen, of one or two levels.
pub(super) fn families(catalogue: &mut Catalogue, random: &mut Rng) {
    let mut make = |id: EntityId, parent: Option<&str>| {
        let action = parent.map_or_else(Action::create, Action::create_below);
        catalogue.edit(&Edit::new(id, action), MADE_MS).is_ok()
    };
    let models = log_uniform(random, 30, 150);
    let mut made = 0;
    while made < models {
        let root = format!("family {made}/é");
        make(EntityId::Model(root.clone()), None);
        made += 1;
        let mut above = vec![root.clone()];
        if random.bool() {
            let below = random.u64(1..6);
            above = (0..below).map(|number| format!("{root} no {number}")).collect();
            for code in &above {
                make(EntityId::Model(code.clone()), Some(&root));
            }
            made += below;
        }
        for model in above {
            for _ in 0..random.u8(..3) {
                let uuid = uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
                make(EntityId::Product(uuid), Some(&model));
            }
        }
    }
}

/// Gives the catalogue products that share a page of the index.
pub(super) fn crowd(catalogue: &mut Catalogue, random: &mut Rng) {
    let first = random.u8(..);
    for _ in 0..random.u8(5..15) {
        let mut bytes = random.u128(..).to_be_bytes();
        bytes[0] = first;
        let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let edit = Edit::new(EntityId::Product(uuid), Action::create());
        catalogue.edit(&edit, MADE_MS).expect("it is new");
    }
}

/// Gives the catalogue more products than a page of the PIM's holds.
pub(super) fn pages(catalogue: &mut Catalogue, random: &mut Rng) {
    for _ in 0..random.u8(110..150) {
        let uuid = uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
        let edit = Edit::new(EntityId::Product(uuid), Action::create());
        catalogue.edit(&edit, MADE_MS).expect("it is new");
    }
}

/// How many times as large as they are the PIM's answers must count so that a page of all products is between a third and
/// thrice what is read at most.
pub(super) fn bulk(shared: &Shared, random: &mut Rng) -> f64 {
    let products = shared.pim.bodies(None).take(100);
    let bytes: Vec<usize> = products.map(|(_, body)| body.to_string().len() + 200).collect();
    let (all, largest) = (bytes.iter().sum::<usize>(), bytes.iter().max().copied().unwrap_or(1));
    let wanted = ANSWER_MAX * (random.f64() * 2.7 + 0.3) / all as f64;
    // One alone can be read.
    wanted.min(0.9 * ANSWER_MAX / (2 * largest) as f64)
}

/// Fills the queue with events of one product, which is returned: up to the mark, but mostly a little over a quarter of it,
/// where the relay's own events are put off; then its next try is hours away.
pub(super) fn brim(shared: &mut Shared, now_ms: u64, random: &mut Rng) -> Option<EntityId> {
    let product = shared.pim.catalogue.truth().products(None).next()?.id.clone();
    let high_water = shared.nature.settings.high_water;
    let count = if random.u8(..8) == 0 {
        // What the script tells of goes in on top of it.
        high_water - random.u64(1000..1500)
    } else {
        high_water / 4 + random.u64(1..100)
    };
    let keys = Keyspace::new("main");
    if count < high_water / 2 {
        let retry = RetryKey {
            entity: Entity::new(Kind::Product, &product.key()),
            attempts: 1,
            hold: None,
            due_s: now_ms / 1000 + AWAY_S,
        };
        let value = json!({ "v": 1, "code": product.key(), "failures": [] }).to_string();
        shared.store.insert(keys.encode(&Key::Retry(retry)), value.into_bytes());
    }
    for number in 0..count {
        let event = EventKey {
            time_s: now_ms / 1000,
            change: Change::Updated,
            floor_s: None,
            entity: Entity::new(Kind::Product, &product.key()),
            id: Segment::of(&format!("brim{number}")),
        };
        let value = EventValue {
            v: 1,
            code: product.key(),
            at_ms: now_ms,
            event: String::new(),
        };
        shared.store.insert(keys.encode(&Key::Event(event)), value.to_bytes());
    }
    Some(product)
}

/// Lets the index page of a product be nearly as large as a value may be, by what was pushed long ago; gives these
/// products, which the PIM has no more.
pub(super) fn values(shared: &mut Shared, random: &mut Rng) -> Vec<EntityId> {
    let mut gone = Vec::new();
    let Some(product) = shared.pim.catalogue.truth().products(None).next() else {
        return gone;
    };
    let product = product.id.key();
    let page = Extent::around(place_of(&Entity::new(Kind::Product, &product)));
    let mut entries = Map::new();
    let wanted = VALUE_MAX - random.usize(1000..100_000);
    let mut bytes = 30;
    while bytes < wanted {
        let digits: String = (0..30).map(|_| random.digit(16)).collect();
        let uuid = format!("{}{}", &product[..2], digits);
        let Ok(uuid) = uuid.parse::<uuid::Uuid>() else {
            return gone;
        };
        gone.push(EntityId::Product(uuid));
        let segment = Entity::new(Kind::Product, &uuid.to_string()).segment;
        let entry = json!({ "h": digits, "u": 1_700_000_000 });
        bytes += segment.as_str().len() + 4 + entry.to_string().len();
        entries.insert(segment.as_str().to_owned(), entry);
    }
    let key = Keyspace::new("main").encode(&Key::IndexPage(Kind::Product, page, None));
    let value = json!({ "v": 1, "entries": entries });
    shared.store.insert(key, value.to_string().into_bytes());
    gone
}
