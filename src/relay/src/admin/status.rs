//! How the application is, as one document.

use crate::governor::GovernorState;
use crate::host::{Clock, Store, StoreError};
use crate::ingest::Refused;
use crate::key::{Keyspace, Record};
use crate::meta::Meta;
use crate::notification::Notification;
use crate::state::State;
use crate::status::Status;
use crate::survey::Progress;
use crate::time;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Reads all that is published. What nobody has written yet is null.
pub(super) async fn read<H: Store + Clock>(host: &H, keys: &Keyspace) -> Result<Value, StoreError> {
    let status: Option<Status> = record(host, keys, Record::Status).await?;
    let notification: Option<Notification> = record(host, keys, Record::Notification).await?;
    let refused: Option<Refused> = record(host, keys, Record::Refused).await?;
    let meta: Option<Meta> = record(host, keys, Record::Meta).await?;
    let rehearsal = Progress::load(host, keys, Record::Rehearsal).await?;
    let state = State::load(host, keys).await?;
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": keys.instance(),
        "now": time::text(host.now_ms() / 1000),
        "queue": status.as_ref().map(queue),
        "shape": meta.as_ref().map(|meta| &meta.shape),
        "rehearsal": rehearsal.map(|progress| {
            json!({ "shape": progress.shape, "done": progress.is_done(), "would": progress.counts })
        }),
        "pair": meta.map(|meta| json!({ "pim": meta.pim, "destination": meta.destination })),
        "indexed": state.indexed,
        "unwanted": state.unwanted,
        "upstreams": {
            "pim": upstream(&state.pim),
            "destination": upstream(&state.destination),
            "alert": upstream(&state.alert),
        },
        "brake": {
            "holding_since": moment(state.brake.holding_since_s.unwrap_or(0)),
            "released_until": moment(state.brake.released_until_s),
        },
        "alerts": state.alerts.iter().map(|(cause, at_s)| (cause.clone(), json!(time::text(*at_s)))).collect::<Map<_, _>>(),
        "subscription": notification.as_ref().map(subscription),
        "refused": refused.map(|refused| json!({
            "at": time::text(refused.at_ms / 1000), "channel": refused.channel, "reason": refused.reason,
        })),
    }))
}

async fn record<H: Store, T: DeserializeOwned>(
    host: &H,
    keys: &Keyspace,
    record: Record,
) -> Result<Option<T>, StoreError> {
    let value = host.get(&keys.record(record)).await?;
    Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
}

/// A moment in seconds since the Unix epoch; zero is none.
fn moment(seconds: u64) -> Option<String> {
    (seconds > 0).then(|| time::text(seconds))
}

fn queue(status: &Status) -> Value {
    json!({
        "depth": status.depth,
        "oldest": status.oldest_s.map(time::text),
        "retrying": status.retrying,
        "dead": status.dead,
        "listed_at": moment(status.listed_ms / 1000),
        "worked_at": moment(status.worked_ms / 1000),
    })
}

fn upstream(state: &GovernorState) -> Value {
    let open = state.breakers.iter().filter_map(|(circuit, breaker)| {
        let since_ms = breaker.since_ms?;
        let fields = json!({
            "since": time::text(since_ms / 1000), "reason": breaker.reason, "next_probe": moment(breaker.probe_ms / 1000),
        });
        Some((circuit.clone(), fields))
    });
    json!({
        "left_alone": open.collect::<Map<_, _>>(),
        "asked_to_wait_until": moment(state.not_before_ms / 1000),
        "retries_left": state.budget.left(),
        "calls": state.calls,
        "errors": state.errors,
        "throttled": state.throttled,
    })
}

fn subscription(notification: &Notification) -> Value {
    json!({
        "state": notification.state,
        "kind": notification.kind,
        "reason": notification.reason,
        "id": notification.subscription,
        "sent_at": time::text(notification.sent_s),
        "taken_at": time::text(notification.at_ms / 1000),
        "missing_since": notification.missing_since_s.map(time::text),
    })
}
