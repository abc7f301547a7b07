//! A test of every record, and of the values that wait: what is kept is read back to the last digit.
//!
//! A sample for each of them stands here, with numbers that no double holds.

use crate::history::History;
use crate::month::Month;
use crate::notification::Notification;
use crate::pair::Pair;
use crate::reconciliation::{Raising, Reconciliation, Rehearsal, Step};
use crate::refused::Refused;
use crate::state::State;
use crate::status::Status;
use queue::dead_letter::DeadLetter;
use queue::in_flight::InFlightValue;
use queue::raise::EventValue;
use queue::retry::RetryValue;
use serde_json::{Value, json};
use world::host::decoded;
use world::testing::reads_back;

/// A count that no double holds.
const MANY: u64 = (1 << 53) + 1;

fn failure() -> Value {
    json!({
        "at_s": MANY, "upstream": "pim", "class": "transient", "status": 503, "reason": "503: no", "tracking_id": "t",
        "tries": 2, "unsettled": true, "retry_after_s": MANY,
    })
}

fn governor() -> Value {
    json!({
        "fingerprint": "f", "not_before_ms": MANY, "wait_ms": 7, "calls": MANY, "errors": 1, "throttled": 2,
        "breakers": { "products": {
            "failures": 3, "subject": "products/x", "several": true, "refused": ["a"], "refusing": false,
            "misconfigured": true, "probes": 4, "since_ms": MANY, "probe_ms": MANY, "reason": "down",
        } },
    })
}

#[test]
fn what_the_worker_keeps_is_read_back() {
    reads_back::<State>(json!({
        "v": 1, "pim": governor(), "destination": governor(), "alert": governor(), "no_post_search_until_s": MANY,
        "indexed": -9_007_199_254_740_993_i64, "deleted": { "product": MANY }, "unwanted": 5,
        "alerts": { "backlog": MANY },
        "alarms": { "backlog": "lasts", "clocks": { "gone-since": MANY }, "subscription": "over" },
        "thinned_s": MANY, "thinned_key": "k",
    }));
    reads_back::<Status>(json!({
        "v": 1, "depth": MANY, "listed_ms": MANY, "oldest_s": MANY, "retrying": 1, "dead": 2,
        "braked": { "product-model": 3 }, "worked_ms": MANY,
    }));
    reads_back::<History>(
        json!({ "v": 1, "totals": { "n": MANY }, "buckets": [{ "t": MANY, "d": 1 }], "depth": MANY }),
    );
    reads_back::<Month>(json!({ "v": 1, "hours": [{ "t": MANY, "d": 1, "c": { "n": MANY } }], "until_s": MANY }));
    let scan =
        json!({ "began_ms": MANY, "date_s": MANY, "cursor": "c", "short_ms": 1, "pages": 2, "seen": 3, "found": 4 });
    let trouble = json!({ "since_ms": MANY, "last_ms": MANY, "reason": "r" });
    for step in [
        json!({ "list": { "kind": "product", "scan": scan, "passed": "u" } }),
        json!({ "verify": { "kind": "product-model", "after": "tx" } }),
        json!("judge"),
    ] {
        reads_back::<Reconciliation>(json!({
            "v": 1, "told_ms": MANY, "told_s": MANY,
            "recent": { "product": {
                "watermark_s": MANY, "offset_s": -7200, "scan": scan, "newest_s": 1, "since_s": MANY, "last": scan,
                "finished_ms": MANY, "trouble": trouble,
            } },
            "walk": {
                "number": MANY, "step": step, "unsure": [step], "is_listed": true, "asked": true,
                "last": { "product": { "finished_ms": MANY, "seen": 1 } },
                "raising": { "walk": MANY, "from": ["product", "0a1b2c3d-0000-4000-8000-00000000000a"] }, "trouble": trouble,
                "judging": { "from": ["category", "0a1b2c3d-0000-4000-8000-00000000000a"], "indexed": MANY, "unannounced": MANY },
            },
        }));
    }
    reads_back::<Rehearsal>(json!({
        "v": 1, "shape": "s", "kinds": 1, "scan": scan,
        "counts": { "push": MANY, "delete": 1, "skip": 2, "ignore": 3, "unsendable": 4 },
    }));
    reads_back::<Pair>(json!({ "v": 1, "pim": "p", "destination": "d", "shape": "identity" }));
}

#[test]
fn what_waits_is_read_back() {
    reads_back::<EventValue>(json!({ "v": 1, "code": "1", "at_ms": MANY, "event": "{\"price\":1.50}" }));
    reads_back::<RetryValue>(json!({ "v": 1, "code": "c", "failures": [failure()] }));
    reads_back::<RetryValue>(json!({ "v": 1, "code": "c", "failures": [], "tried": { "content": "h", "changes": 2 } }));
    reads_back::<DeadLetter>(json!({
        "v": 1, "kind": "product", "code": "c", "failed_s": MANY, "reason": "r", "failures": [failure(), failure()],
        "events": ["{}"], "hash": "h", "thinned": true,
    }));
    let mut with_request = failure();
    with_request["request"] = json!({ "method": "PUT", "path": "/products/c", "body": "{}", "bytes": MANY });
    reads_back::<DeadLetter>(json!({
        "v": 1, "kind": "product", "code": "c", "failed_s": MANY, "reason": "r", "failures": [with_request],
        "events": [], "hash": null, "thinned": false,
    }));
    reads_back::<InFlightValue>(json!({ "v": 1, "entities": [["product", "a"], ["category", "1"]] }));
    reads_back::<InFlightValue>(json!({
        "v": 1, "entities": [["product", "a"], ["category", "1"]], "tried": [null, { "content": "c", "changes": MANY }],
    }));
    reads_back::<Refused>(json!({ "v": 1, "at_ms": MANY, "channel": "events-api", "reason": "r" }));
    reads_back::<Notification>(json!({
        "v": 1, "state": "suspended", "kind": "k", "reason": "r", "subscription": "s", "sent_s": MANY, "at_ms": MANY,
        "missing_since_s": MANY,
    }));
}

/// What an earlier version kept of a walk on its way is read, and what cannot be gone on with begins anew.
#[test]
fn a_walk_of_an_earlier_version_goes_on() {
    let kept = json!({
        "v": 1, "walk": {
            "number": 3, "step": { "verify": { "kind": "product-model", "page": 127, "after": "tx" } },
            "raising": { "walk": 2, "pages": 3, "after": "tx", "behind": ["product", "tx"] },
        },
    });
    let read: Reconciliation = decoded(kept.to_string().as_bytes()).expect("a record");
    assert!(matches!(read.walk.step, Some(Step::Verify { after: Some(_), .. })));
    assert_eq!(read.walk.raising, Some(Raising::of(2)));
}
