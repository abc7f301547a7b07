//! How the application is, as one document.
//!
//! It is made of what worker and ingest have published, and lists and calls nothing, so that it may be asked for often.
//! Metrics are made of it, too, and cannot say anything else.

use alert::health::{self, Facts};
use config::ConsoleConfig;
use model::entity::{Kind, uuid_bytes};
use model::time;
use queue::key::Record;
use records::history::{BUCKET_S, Bucket, Counts, History, LastTick};
use records::month::{HOUR_S, Month};
use records::notification::Notification;
use records::pair::Pair;
use records::reconciliation::{Look, Reconciliation, Rehearsal, Step, UNORDERED, Walk};
use records::refused::Refused;
use records::state::State;
use records::status::Status;
use serde_json::{Map, Value, json};
use upstream::governor_state::GovernorState;
use world::host::{self, Clock, Store, StoreError};

/// Reads all that is published, eight records in all, and lists nothing. What nobody has written yet is null.
pub(super) async fn read<H: Store + Clock>(host: &H, config: &ConsoleConfig) -> Result<Value, StoreError> {
    let keys = &config.keys;
    let now_ms = host.now_ms();
    let status: Option<Status> = host::read(host, &keys.record(Record::Status)).await?;
    let notification: Option<Notification> = host::read(host, &keys.record(Record::Notification)).await?;
    let refused: Option<Refused> = host::read(host, &keys.record(Record::Refused)).await?;
    let pair: Option<Pair> = host::read(host, &keys.record(Record::Pair)).await?;
    let rehearsal = Rehearsal::read(host, keys).await?;
    let state = State::load(host, keys).await?;
    let history = History::load(host, keys).await?;
    let known = Reconciliation::read(host, keys).await?.unwrap_or_default();
    let reasons = health::judge(&Facts {
        status: status.as_ref(),
        state: &state,
        last_tick: history.last_tick.as_ref(),
        refused: refused.as_ref(),
        notification: notification.as_ref(),
        reconciliation: &known,
        high_water: config.high_water,
        now_ms,
    });
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": keys.instance(),
        "now": time::text(now_ms / 1000),
        "state": health::level(&reasons),
        "reasons": reasons,
        "queue": status.as_ref().map(|status| queue(status, config.high_water, now_ms / 1000)),
        "last_tick": history.last_tick.as_ref().map(last_tick),
        "last_hour": counts(&history.within(HOUR_S, now_ms / 1000)),
        "last_day": counts(&history.within(24 * HOUR_S, now_ms / 1000)),
        "since_the_beginning": since_the_beginning(&history.totals),
        "shape": pair.as_ref().map(|pair| &pair.shape),
        "rehearsal": rehearsal.map(|rehearsal| {
            json!({ "shape": rehearsal.shape, "done": rehearsal.is_done(), "would": rehearsal.counts })
        }),
        "configured": status.as_ref().and_then(|status| status.configured.as_ref()),
        "pair": pair.map(|pair| json!({ "pim": pair.pim, "destination": pair.destination })),
        "indexed": state.indexed,
        "unwanted": state.unwanted,
        "reconciliation": reconciliation(&known, &state, &status.clone().unwrap_or_default(), host.now_ms()),
        "upstreams": {
            "pim": upstream(&state.pim),
            "destination": upstream(&state.destination),
            "alert": upstream(&state.alert),
        },
        "paused_since": state.paused_s.map(time::text),
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

/// A moment in seconds since the Unix epoch; zero is none.
fn moment(seconds: u64) -> Option<String> {
    (seconds > 0).then(|| time::text(seconds))
}

fn queue(status: &Status, high_water: u64, now_s: u64) -> Value {
    json!({
        "depth": status.depth,
        "high_water_mark": high_water,
        "oldest": status.oldest_s.map(time::text),
        "oldest_age_seconds": status.oldest_s.map(|oldest_s| now_s.saturating_sub(oldest_s)),
        "retrying": status.retrying,
        "dead": status.dead,
        "braked": status.braked(),
        "listed_at": moment(status.listed_ms / 1000),
        "worked_at": moment(status.worked_ms / 1000),
    })
}

/// The report of the last tick that had work, with when it ended.
fn last_tick(tick: &LastTick) -> Value {
    let mut document = tick.report.clone();
    if let Value::Object(members) = &mut document {
        members.insert("at".to_owned(), json!(time::text(tick.at_s)));
    }
    document
}

fn counts(counts: &Counts) -> Value {
    json!({
        "events": counts.events,
        "entities": counts.entities,
        "upserts": counts.upserts,
        "deletes": counts.deletes,
        "unchanged": counts.unchanged,
        "retries": counts.retries,
        "dead_letters": counts.dead_letters,
        "ticks": counts.ticks,
        "ticks_seconds": counts.ticks_ms as f64 / 1000.0,
        "lag": {
            "events": counts.lags.count(),
            "median_seconds": counts.lags.quantile_s(0.5),
            "p95_seconds": counts.lags.quantile_s(0.95),
        },
    })
}

/// The counts since the beginning, with the lag as a histogram, which metrics are made of.
fn since_the_beginning(totals: &Counts) -> Value {
    let mut document = counts(totals);
    let buckets: Vec<(u64, u64)> = totals.lags.cumulative().collect();
    document["lag"]["seconds"] = json!(totals.lags.sum_s);
    document["lag"]["at_most_seconds"] = json!(buckets);
    document
}

/// The last day in five minutes, in columns, for charts. Where there was no work nothing is there.
pub(super) async fn history<H: Store + Clock>(host: &H, config: &ConsoleConfig) -> Result<Value, StoreError> {
    let history = History::load(host, &config.keys).await?;
    Ok(columns(&history.buckets, BUCKET_S, host.now_ms() / 1000))
}

/// The last month in hours, in the same form.
pub(super) async fn month<H: Store + Clock>(host: &H, config: &ConsoleConfig) -> Result<Value, StoreError> {
    let now_s = host.now_ms() / 1000;
    let month = Month::load(host, &config.keys).await?;
    // Read after the month: an hour that is kept meanwhile is in both, and counts once.
    let history = History::load(host, &config.keys).await?;
    Ok(columns(&month.with(&history, now_s).hours, HOUR_S, now_s))
}

fn columns(buckets: &[Bucket], bucket_s: u64, now_s: u64) -> Value {
    let column = |value: fn(&Bucket) -> Value| buckets.iter().map(value).collect::<Vec<_>>();
    json!({
        "now": time::text(now_s),
        "bucket_seconds": bucket_s,
        "begin": column(|bucket| json!(bucket.begin_s)),
        "depth_max": column(|bucket| json!(bucket.depth)),
        "depth_left": column(|bucket| json!(bucket.left)),
        "events": column(|bucket| json!(bucket.counts.events)),
        "entities": column(|bucket| json!(bucket.counts.entities)),
        "upserts": column(|bucket| json!(bucket.counts.upserts)),
        "deletes": column(|bucket| json!(bucket.counts.deletes)),
        "dead_letters": column(|bucket| json!(bucket.counts.dead_letters)),
        "lag_median_seconds": column(|bucket| json!(bucket.counts.lags.quantile_s(0.5))),
        "lag_p95_seconds": column(|bucket| json!(bucket.counts.lags.quantile_s(0.95))),
    })
}

fn upstream(state: &GovernorState) -> Value {
    let open = state.open().map(|open| {
        let fields = json!({
            "since": time::text(open.since_ms / 1000), "reason": open.breaker.reason,
            "next_probe": moment(open.breaker.probe_ms / 1000), "needs_a_person": open.breaker.needs_a_person(),
        });
        (open.circuit.to_owned(), fields)
    });
    json!({
        "left_alone": open.collect::<Map<_, _>>(),
        "asked_to_wait_until": moment(state.not_before_ms / 1000),
        "slowed_to_per_second": state.slowed_to(),
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
    // Categories are there only where the shape wants them, which is not known here.
    let is_kept = |kind: &Kind| {
        *kind != Kind::Category || known.looks.get(*kind).is_some() || known.walk.last.get(*kind).is_some()
    };
    let kinds = Kind::ALL.into_iter().filter(is_kept).map(|kind| {
        let look = known.looks.get(kind).cloned().unwrap_or_default();
        let missing = known.walk.last.get(kind).map_or(0, |last| last.missing);
        let withheld = if known.walk.withheld > 0 { missing } else { 0 };
        let fields = json!({
            "recent": looks(&look),
            "walk": walk(&known.walk, kind),
            "deleted": state.deleted.count(kind),
            "braked": status.braked.count(kind) + withheld,
            "lag_seconds": look.last.as_ref().map(|last| now_ms.saturating_sub(last.began_ms) / 1000),
            "blocked": blocked(&look, &known.walk, kind),
        });
        (kind.name().to_owned(), fields)
    });
    json!({
        "walk_began": moment(known.walk.began_ms / 1000),
        "walk_finished": moment(known.walk.finished_ms / 1000),
        "is_walking": known.walk.step.is_some(),
        "next_walk": moment(known.walk.next_ms / 1000),
        "withheld": known.walk.withheld,
        "kinds": kinds.collect::<Map<_, _>>(),
    })
}

fn blocked(look: &Look, walk: &Walk, kind: Kind) -> Option<String> {
    let trouble = look.trouble.as_ref().or(walk.trouble.as_ref());
    let unordered = (walk.is_unordered && kind == Kind::Product).then_some(UNORDERED);
    trouble
        .map(|trouble| trouble.reason.clone())
        .or(unordered.map(str::to_owned))
}

fn looks(look: &Look) -> Value {
    let shown = look.scan.as_ref().or(look.last.as_ref());
    json!({
        "finished_at": moment(look.finished_ms / 1000),
        "watermark": look.watermark_s.map(time::text),
        "running": look.scan.is_some(),
        "cursor": look.scan.as_ref().and_then(|scan| scan.cursor.clone()),
        "pages": shown.map_or(0, |scan| scan.pages),
        "seen": shown.map_or(0, |scan| scan.seen),
        "found": shown.map_or(0, |scan| scan.found),
        "unread": shown.map_or(0, |scan| scan.unread),
    })
}

fn walk(walk: &Walk, kind: Kind) -> Value {
    let last = walk.last.get(kind).cloned().unwrap_or_default();
    let mut under_way = walk.step.iter().flat_map(|step| [step].into_iter().chain(&walk.unsure));
    let running = under_way.find_map(|step| match step {
        Step::List {
            kind: at, scan, passed, ..
        } if *at == kind => Some((scan, passed)),
        _ => None,
    });
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
        "unread": running.map_or(last.unread, |(scan, _)| scan.unread),
        "left_before_its_end": last.cut,
    })
}
