//! What Akeneo has logged: actions of people and of the platform, and deliveries that failed (the contract's part on
//! kinds, 3.5).

use serde_json::{Value, json};

/// How many entries are told.
const TOLD_MAX: usize = 50;

/// Where a list may stand in an answer: Akeneo's description of it is not public.
const PLACES: [&str; 6] = ["", "/items", "/logs", "/data", "/results", "/_embedded/items"];

/// The entries of an answer; none where it has no list.
pub fn entries(said: &Value) -> Option<&Vec<Value>> {
    PLACES.iter().find_map(|place| said.pointer(place)?.as_array())
}

/// Whether an entry is of one of these subscriptions, or of one of these subscribers and no subscription, all by their ids.
pub fn is_of(entry: &Value, subscribers: &[Option<&String>], subscriptions: &[Option<&String>]) -> bool {
    let names = |name: &str| entry.get(name).and_then(Value::as_str).filter(|id| !id.is_empty());
    let is_one = |own: &[Option<&String>], id: &str| own.iter().flatten().any(|own| *own == id);
    match names("subscription_id") {
        Some(id) => is_one(subscriptions, id),
        None => names("subscriber_id").is_some_and(|id| is_one(subscribers, id)),
    }
}

/// Entries as people are told them, the newest first; `cut` shortens what Akeneo says of a failure, without secrets.
pub fn told(entries: Vec<&Value>, cut: impl Fn(&str) -> String) -> Value {
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(&cut);
    let mut entries = entries;
    // Moments of one form sort as texts.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.get("timestamp").and_then(Value::as_str).map(str::to_owned)));
    let told = entries.into_iter().take(TOLD_MAX).map(|entry| {
        json!({
            "at": text(entry, "timestamp"),
            "type": text(entry, "log_type"),
            "operation": text(entry, "operation"),
            "reason": text(entry, "error_reason"),
            "code": entry.get("error_code").and_then(Value::as_u64),
            "message": text(entry, "error_message"),
        })
    });
    told.collect()
}
