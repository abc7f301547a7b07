//! What is kept, or set by somebody: keys of a store that others write to, documents of shape and protocol, texts.

use model::entity::Segment;
use model::{html, json, text};
use queue::batches::Arrangement;
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use serde_json::json;
use shape::{Lookups, Shape};

/// Keys of a store, a line each: whatever is one of ours is written as it was read, and a plan of them all is worked
/// through to its end.
pub fn keys(bytes: &[u8]) {
    let listing = String::from_utf8_lossy(bytes);
    let keys = Keyspace::new("main");
    let lines = || listing.lines().map(|line| format!("r1.main.{line}"));
    for line in lines() {
        if let Some(key) = keys.parse(&line) {
            assert_eq!(keys.parse(&keys.encode(&key)), Some(key), "{line}");
        }
        let segment = Segment::of(&line);
        assert_eq!(Segment::parse(segment.as_str()).as_ref(), Some(&segment), "{line}");
        assert!(segment.code().is_none_or(|code| code == line), "{line}");
    }
    let plan = Plan::of(&keys, lines());
    for now_s in [0, 1_800_000_000, u64::from(u32::MAX) * 2] {
        plan.is_idle(now_s, now_s);
        let (mut due, mut left) = (plan.due(now_s, now_s), plan.names().count());
        while let Some(batch) = due.next(|_| Arrangement::default()) {
            assert!(!batch.is_empty() && batch.len() <= left, "an entity comes twice");
            left -= batch.len();
        }
    }
}

/// A document of shape and protocol: a shape, or told mistakes. A shape shapes anything.
pub fn shapes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    shape::wants_categories(&text);
    match Shape::read(&text) {
        Ok(shape) => {
            let entity = json!({
                "uuid": "25566245-55c3-42ce-86d9-8610ac459fa8", "code": "a", "family": "mug", "enabled": true,
                "parent": "b", "categories": ["c"], "updated": "2026-02-03T04:05:06+00:00",
                "values": {
                    "sku": [{ "locale": null, "scope": null, "data": "S-1" }],
                    "price": [{ "locale": null, "scope": "shop", "data": [{ "amount": "1.50", "currency": "EUR" }] }],
                },
            });
            for kind in shape.kinds() {
                let one = shape.apply(*kind, "a", &entity, &Lookups::default());
                assert_eq!(one, shape.apply(*kind, "a", &entity, &Lookups::default()));
                shape.farewell(*kind, "a", Some("S-1"));
                shape.needs(*kind);
            }
        }
        Err(mistakes) => assert!(!mistakes.is_empty(), "refused, and not told why"),
    }
}

/// Any text: mended it is Unicode, and its members are where a library finds them.
pub fn texts(bytes: &[u8]) {
    let mended = text::mended(bytes);
    html::is_page(bytes);
    text::unescaped(&mended);
    let library = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&mended);
    if let (Ok(library), Some(members)) = (library, text::members(mended.trim_ascii())) {
        assert!(members.keys().eq(library.keys()), "other members: {mended}");
    }
    if let Some(document) = json::read(bytes) {
        // What is damaged may be gone all the same: of two members of one name the last one counts.
        assert!(document.is_damaged || !json::is_damaged(&document.value));
    }
}
