//! What people asked for: by whose token, when, and what. The newest five hundred are kept, each under a key of its own,
//! so that two that ask at once lose neither.

use model::text;
use model::time;
use queue::key::Key;
use queue::keyspace::Keyspace;
use queue::raise;
use serde_json::{Map, Value, json};
use world::damage;
use world::host::{self, Clock, Random, Store, StoreError, delete_all};
use world::log::cut;

/// How many are kept.
const KEPT: usize = 500;

/// How much of what was sent is kept, in bytes.
const BODY_KEPT: usize = 1000;

/// Notes that somebody asked for something, and forgets what is too old.
pub async fn note<H: Store + Clock + Random>(
    host: &H,
    keys: &Keyspace,
    who: &str,
    asked: &str,
    body: &[u8],
) -> Result<(), StoreError> {
    let now_s = host.now_ms() / 1000;
    let sent = text::mended(body);
    let value = json!({
        "v": 1, "at": time::text(now_s), "by": who, "asked": asked,
        "sent": (!sent.is_empty()).then(|| cut(&sent, BODY_KEPT)),
    });
    let key = keys.encode(&Key::Journal(now_s, raise::fresh_id(host)));
    host::write(host, &key, &value).await?;
    let mut known = known(host, keys).await?;
    known.truncate(known.len().saturating_sub(KEPT));
    delete_all(host, &known).await
}

/// The keys of the journal, oldest first.
async fn known<H: Store>(host: &H, keys: &Keyspace) -> Result<Vec<String>, StoreError> {
    let is_journal = |key: &String| matches!(keys.parse(key), Some(Key::Journal(..)));
    let mut known: Vec<String> = host.keys().await?.into_iter().filter(is_journal).collect();
    known.sort();
    Ok(known)
}

/// The journal, newest first.
pub(super) async fn read<H: Store>(host: &H, keys: &Keyspace) -> Result<Value, StoreError> {
    let mut items = Vec::new();
    for key in known(host, keys).await?.iter().rev().take(KEPT) {
        let Some(value) = host.get(key).await? else { continue };
        let entry: Option<Map<String, Value>> = host::decoded(&value);
        if let Some(mut entry) = entry {
            entry.remove("v");
            items.push(Value::Object(entry));
        } else {
            items.push(unreadable(keys, key));
            damage::note(host, key, value);
        }
    }
    Ok(json!({ "items": items }))
}

/// What is shown of an entry that was damaged: when it was, which its key tells.
fn unreadable(keys: &Keyspace, key: &str) -> Value {
    let at = match keys.parse(key) {
        Some(Key::Journal(time_s, _)) => Some(time::text(time_s)),
        _ => None,
    };
    json!({ "at": at, "by": "somebody", "asked": "the entry of this moment was damaged and cannot be read" })
}
