//! How the application is, as one document.

use crate::entity::{Kind, uuid_bytes};
use crate::governor::GovernorState;
use crate::host::{Clock, Store, StoreError};
use crate::ingest::Refused;
use crate::key::{Keyspace, Record};
use crate::meta::Meta;
use crate::notification::Notification;
use crate::reconciliation::{Recent, Reconciliation, Step, UNORDERED, Walk};
use crate::state::State;
use crate::status::Status;
use crate::time;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Reads all that is published. What nobody has written yet is null.
pub(super) async fn read<H: Store + Clock>(host: &H, keys: &Keyspace) -> Result<Value, StoreError> {
    let status: Option<Status> = record(host, keys, Record::Status).await?;
    let notification: Option<Notification> = record(host, keys, Record::Notification).await?;
    let refused: Option<Refused> = record(host, keys, Record::Refused).await?;
    let meta: Option<Meta> = record(host, keys, Record::Meta).await?;
    let state = State::load(host, keys).await?;
    let known = Reconciliation::read(host, keys).await?.unwrap_or_default();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": keys.instance(),
        "now": time::text(host.now_ms() / 1000),
        "queue": status.as_ref().map(queue),
        "pair": meta.map(|meta| json!({ "pim": meta.pim, "destination": meta.destination })),
        "indexed": state.indexed,
        "reconciliation": reconciliation(&known, &state, &status.clone().unwrap_or_default(), host.now_ms()),
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
        "subscription": notification.as_ref().map(|told| subscription(told, known.told_ms == told.at_ms)),
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

fn subscription(notification: &Notification, is_looked_back_to: bool) -> Value {
    json!({
        "state": notification.state,
        "kind": notification.kind,
        "reason": notification.reason,
        "id": notification.subscription,
        "sent_at": time::text(notification.sent_s),
        "taken_at": time::text(notification.at_ms / 1000),
        "missing_since": notification.missing_since_s.filter(|_| !is_looked_back_to).map(time::text),
    })
}

fn reconciliation(known: &Reconciliation, state: &State, status: &Status, now_ms: u64) -> Value {
    let kinds = Kind::ALL.into_iter().map(|kind| {
        let recent = known.recent.get(&kind).cloned().unwrap_or_default();
        let missing = known.walk.last.get(&kind).map_or(0, |last| last.missing);
        let withheld = if known.walk.withheld > 0 { missing } else { 0 };
        let fields = json!({
            "recent": looks(&recent),
            "walk": walk(&known.walk, kind),
            "deleted": state.deleted.get(&kind).copied().unwrap_or(0),
            "braked": status.braked.get(&kind).copied().unwrap_or(0) + withheld,
            "lag_seconds": recent.last.as_ref().map(|last| now_ms.saturating_sub(last.began_ms) / 1000),
            "blocked": blocked(&recent, &known.walk, kind),
        });
        (kind.name().to_owned(), fields)
    });
    json!({
        "walk_began": moment(known.walk.began_ms / 1000),
        "walk_finished": moment(known.walk.finished_ms / 1000),
        "is_walking": known.walk.step.is_some(),
        "withheld": known.walk.withheld,
        "kinds": kinds.collect::<Map<_, _>>(),
    })
}

fn blocked(recent: &Recent, walk: &Walk, kind: Kind) -> Option<String> {
    let trouble = recent.trouble.as_ref().or(walk.trouble.as_ref());
    let unordered = (walk.is_unordered && kind == Kind::Product).then_some(UNORDERED);
    trouble
        .map(|trouble| trouble.reason.clone())
        .or(unordered.map(str::to_owned))
}

fn looks(recent: &Recent) -> Value {
    let shown = recent.scan.as_ref().or(recent.last.as_ref());
    json!({
        "finished_at": moment(recent.finished_ms / 1000),
        "watermark": recent.watermark_s.map(time::text),
        "running": recent.scan.is_some(),
        "cursor": recent.scan.as_ref().and_then(|scan| scan.cursor.clone()),
        "pages": shown.map_or(0, |scan| scan.pages),
        "seen": shown.map_or(0, |scan| scan.seen),
        "found": shown.map_or(0, |scan| scan.found),
    })
}

fn walk(walk: &Walk, kind: Kind) -> Value {
    let last = walk.last.get(&kind).cloned().unwrap_or_default();
    let running = match &walk.step {
        Some(Step::List { kind: at, scan, passed }) if *at == kind => Some((scan, passed)),
        _ => None,
    };
    // Products come in the order of their UUIDs, which are spread evenly; models are counted against the last walk.
    let progress = running.map(|(scan, passed)| match passed.as_deref().and_then(uuid_bytes) {
        Some(uuid) => f64::from(u16::from_be_bytes([uuid[0], uuid[1]])) / 65_536.0,
        None if last.seen > 0 => (scan.seen as f64 / last.seen as f64).min(1.0),
        None => 0.0,
    });
    let (pages, seen, found) = match running {
        Some((scan, _)) => (scan.pages, scan.seen, scan.found),
        None => (last.pages, last.seen, last.found),
    };
    json!({
        "finished_at": moment(last.finished_ms / 1000),
        "running": running.is_some(),
        "cursor": running.and_then(|(scan, _)| scan.cursor.clone()),
        "progress": progress,
        "pages": pages,
        "seen": seen,
        "found": found,
        "missing": last.missing,
    })
}
