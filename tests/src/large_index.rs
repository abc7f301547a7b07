//! An index as it is after a walk over so many products, without the walk.

use config::PAGE_ENTRIES;
use fastrand::Rng;
use model::entity::{Kind, Segment};
use queue::key::{Extent, Key};
use queue::keyspace::Keyspace;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What is known of a product today, whose id at the destination is the PIM's own.
pub fn entry() -> Value {
    json!({ "h": "QW1kTnJ6VGs3aU5mNG1pbg", "u": 1_790_000_000, "n": 3, "p": "QW1kTnJ6" })
}

/// The keys and values of the pages of so many products, of whom so much is known each: three quarters full, since those
/// that are split in order have been filled since.
pub fn pages(products: u32, entry: &Value) -> Vec<(String, Vec<u8>)> {
    let mut random = Rng::with_seed(12);
    let mut uuids: Vec<u128> = (0..products).map(|_| random.u128(..)).collect();
    uuids.sort_unstable();
    let keys = Keyspace::new("main");
    let mut first = 0;
    let pages = uuids.chunks(PAGE_ENTRIES * 3 / 4).map(|uuids| {
        let last = uuids[uuids.len() - 1] | u128::MAX >> 64;
        let entries: Map<String, Value> = uuids.iter().map(|uuid| (segment(*uuid), entry.clone())).collect();
        let key = Key::IndexPage(Kind::Product, Extent { first, last }, Some((Segment::of("before"), 0)));
        first = last + 1;
        let page = json!({ "v": 1, "entries": entries });
        (keys.encode(&key), page.to_string().into_bytes())
    });
    pages.collect()
}

fn segment(uuid: u128) -> String {
    Segment::of(&Uuid::from_u128(uuid).to_string()).as_str().to_owned()
}
