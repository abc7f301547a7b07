//! One batch: fetch, decide, send files, push, persist, clear, in this order.
//!
//! Outcomes are kept before anything is deleted, so that dying between any two calls leaves work to be repeated and
//! never work forgotten.

use crate::dead_letter::{self, DeadLetter, EVENTS_KEPT};
use crate::destination::Cargo;
use crate::entity::{Kind, Segment};
use crate::failure::{Class, Failure};
use crate::fanout;
use crate::history;
use crate::host::{self, Host, StoreError, delete_all};
use crate::in_flight::InFlightValue;
use crate::index::{Entry, Pages};
use crate::ingest::EventValue;
use crate::key::{Hold, Key, RetryKey};
use crate::media;
use crate::mistake::{Mistake, made};
use crate::pim::Read;
use crate::plan::{BATCH_MAX, RECHECK_S, Waiting};
use crate::retry::{ATTEMPTS_MAX, RetryValue, delay_s};
use crate::session::Session;
use crate::shape::{Refusal, Removal, Shaped, Upsert, source_hash};
use crate::time;
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use serde_json::Value;

/// How long an entity is held back whose call served as a probe, in seconds, so that the next probe is another's.
const PROBE_HOLD_S: u64 = 10;

/// How long a braked entity is held back, in seconds; a released brake lets it go at once.
const BRAKE_HOLD_S: u64 = 3600;

/// Why a batch, and with it the tick, goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The store failed: what was not kept is repeated.
    Store(StoreError),
    /// The lease has passed: another worker may be at it.
    Lease,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Store(error) => error.fmt(f),
            Stop::Lease => f.write_str("the lease passed before the work was through; it will be repeated"),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}

/// An entity of a batch and how far it has come.
pub(crate) struct Item {
    pub(crate) waiting: Waiting,
    pub(crate) code: String,
    /// How log lines and failures name it.
    pub(crate) name: String,
    /// Whether it was read from the database itself, past a search index that lags.
    by_id: bool,
    /// When it was about to be read, in seconds since the Unix epoch.
    read_s: u64,
    /// Whether the PIM has nothing of it.
    pub(crate) is_gone: bool,
    /// Whether the index has nothing of it.
    pub(crate) is_new: bool,
    /// The hash of a model as the PIM gives it, where the hash of what is sent does not tell its every change.
    pub(crate) source: Option<String>,
    pub(crate) stage: Stage,
}

pub(crate) enum Stage {
    /// Not looked at, or put off: its keys stay as they are.
    Waiting,
    /// Read.
    Found(Value),
    /// Gone, or hidden.
    Gone,
    /// To be upserted.
    Upsert {
        upsert: Upsert,
        hash: String,
        updated_s: u64,
        parent: bool,
    },
    /// To be deleted, like this.
    Delete(Removal),
    /// Upserted.
    Upserted { hash: String, updated_s: u64 },
    /// A model, upserted, not all of whose variants are marked yet: it comes again.
    Unmarked { updated_s: u64 },
    /// Deleted.
    Deleted,
    /// Nothing to do, and done.
    Done,
    /// The brake holds its deletion back.
    Braked,
    /// Failed; with the hash of what was refused.
    Failed(Failure, Option<String>),
}

impl Item {
    fn cargo(&self) -> Cargo<'_> {
        Cargo {
            kind: self.waiting.entity.kind,
            code: &self.code,
            name: &self.name,
            attempts: self.waiting.attempts(),
            newest_event: self.waiting.newest_event().unwrap_or_default(),
        }
    }

    /// Whether its push means that its variants may have changed. Not for a model that reconciliation found and that
    /// was never pushed before: reconciliation looks at its variants by itself.
    pub(crate) fn has_variants_to_mark(&self) -> bool {
        self.waiting.entity.kind == Kind::ProductModel && !(self.is_new && self.waiting.is_reconciliation())
    }

    fn is_to_be_pushed(&self) -> bool {
        matches!(self.stage, Stage::Upsert { .. } | Stage::Delete(_))
    }

    /// A failure as a stage: what no call was made for stays as it is.
    pub(crate) fn failed(failure: Failure, hash: Option<String>) -> Stage {
        if failure.class == Class::Held {
            Stage::Waiting
        } else {
            Stage::Failed(failure, hash)
        }
    }
}

/// Runs one batch of one kind.
pub(crate) async fn run<H: Host>(session: &Session<'_, H>, batch: Vec<Waiting>) -> Result<(), Stop> {
    let Some(kind) = batch.first().map(|waiting| waiting.entity.kind) else {
        return Ok(());
    };
    let mut items = name_all(session, batch).await?;
    if session.config.shape.kinds().contains(&kind) {
        fetch(session, kind, &mut items).await;
    } else {
        // What came before the shape was taken away that wanted it.
        items.iter_mut().for_each(|item| item.stage = Stage::Done);
    }
    let mut pages = Pages::load(
        session.host,
        &session.config.keys,
        items.iter().map(|item| &item.waiting.entity),
    )
    .await?;
    reread_what_the_index_denies(session, kind, &mut items, &pages).await;
    enrich(session, kind, &mut items).await?;
    decide(session, &mut items, &pages);
    if session.destination.is_none() {
        dry_run(session, &mut items);
    }
    media::put_off(session, &mut items).await?;
    session.keep_brake().await?;
    let in_flight = write_in_flight(session, &items).await?;
    keep_too_early(session, &items, &mut pages).await?;
    // A model's variants are marked before its own hash is kept, whatever the destination says to the model itself.
    let unmarked = fanout::mark_all(session, &mut items).await?;
    media::send_all(session, &mut items).await?;
    push_all(session, &mut items).await;
    for at in unmarked {
        items[at].stage = match items[at].stage {
            Stage::Upserted { updated_s, .. } => Stage::Unmarked { updated_s },
            Stage::Done => Stage::Waiting,
            _ => continue,
        };
    }
    session.check_lease()?;
    if made(Mistake::DeleteBeforePersisting) {
        clear(session, &items, None).await?;
    }
    persist(session, &mut items, &mut pages, in_flight.as_deref()).await?;
    session.check_lease()?;
    clear(session, &items, in_flight).await
}

/// Two mistakes that keep an outcome before there is one.
async fn keep_too_early<H: Host>(
    session: &Session<'_, H>,
    items: &[Item],
    pages: &mut Pages,
) -> Result<(), StoreError> {
    let is_kept = |item: &Item| match item.waiting.entity.kind {
        Kind::ProductModel => made(Mistake::HashBeforeVariants) || made(Mistake::IndexBeforePush),
        _ => made(Mistake::IndexBeforePush),
    };
    for item in items.iter().filter(|item| is_kept(item)) {
        if let Stage::Upsert { hash, updated_s, .. } = &item.stage {
            pages.set(&item.waiting.entity, &item.code, Some(hash.clone()), *updated_s);
        }
    }
    if pages.has_changes() {
        pages.save(session.host, &session.config.keys).await?;
    }
    Ok(())
}

/// Gives every entity its code. One whose code cannot be read any more was cleared by somebody else meanwhile.
async fn name_all<H: Host>(session: &Session<'_, H>, batch: Vec<Waiting>) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::with_capacity(batch.len());
    for waiting in batch {
        let code = match waiting.entity.segment.code() {
            Some(code) => Some(code),
            None => code_in_values(session, &waiting).await?,
        };
        if let Some(code) = code {
            let name = format!("{}/{code}", waiting.entity.kind.name());
            items.push(Item {
                waiting,
                code,
                name,
                by_id: false,
                read_s: session.now_s(),
                is_gone: false,
                is_new: false,
                source: None,
                stage: Stage::Waiting,
            });
        }
    }
    Ok(items)
}

async fn code_in_values<H: Host>(session: &Session<'_, H>, waiting: &Waiting) -> Result<Option<String>, StoreError> {
    let keys = waiting
        .events
        .iter()
        .map(|(_, key)| key)
        .chain(waiting.retries.iter().map(|(_, key)| key));
    for key in keys {
        let value: Option<Value> = host::read(session.host, key).await?;
        let code = value
            .as_ref()
            .and_then(|value| value.get("code"))
            .and_then(Value::as_str);
        if let Some(code) = code.filter(|code| Segment::of(code) == waiting.entity.segment) {
            return Ok(Some(code.to_owned()));
        }
    }
    Ok(None)
}

/// Reads every entity: by list, and by id what the list cannot be trusted with.
async fn fetch<H: Host>(session: &Session<'_, H>, kind: Kind, items: &mut [Item]) {
    // A batch that is refused whole is halved until the culprit stands alone.
    let everything = 0..items.len();
    let mut ranges = vec![everything];
    let mut by_id = Vec::new();
    while let Some(range) = ranges.pop() {
        if range.is_empty() {
            continue;
        }
        let middle = range.start + range.len() / 2;
        let codes: Vec<&str> = items[range.clone()].iter().map(|item| item.code.as_str()).collect();
        if session.pim.is_too_long(kind, &codes) {
            ranges.extend([range.start..middle, middle..range.end]);
            continue;
        }
        let attempts = items[range.start].waiting.attempts();
        match session.pim.list(kind, &codes, attempts).await {
            Ok(found) => by_id.extend(sort_out(kind, items, range, found)),
            Err(failure) if failure.class == Class::Permanent && range.len() > 1 => {
                ranges.extend([range.start..middle, middle..range.end]);
            }
            Err(failure) if failure.class == Class::Permanent => by_id.push(range.start),
            Err(failure) => {
                for item in &mut items[range] {
                    item.stage = Item::failed(failure.clone(), None);
                }
            }
        }
    }
    read_by_id(session, kind, items, by_id).await;
}

/// Gives the listed entities to their items; says which items must be read by id.
fn sort_out(kind: Kind, items: &mut [Item], range: std::ops::Range<usize>, found: Vec<Value>) -> Vec<usize> {
    for entity in found {
        let code = kind.id_in(&entity);
        let item = items[range.clone()]
            .iter_mut()
            .find(|item| Some(&item.code) == code.as_ref());
        if let Some(item) = item {
            item.stage = Stage::Found(entity);
        }
    }
    range.filter(|at| !is_fresh(&items[*at])).collect()
}

/// Whether what a list gave reflects all events: the search index lags, and a deleted entity may still stand in it.
fn is_fresh(item: &Item) -> bool {
    let Stage::Found(entity) = &item.stage else {
        return false;
    };
    let is_old = item
        .waiting
        .oldest_updated_s()
        .is_some_and(|oldest_s| updated_s(entity) < oldest_s);
    !is_old && !item.waiting.is_deletion_announced()
}

pub(crate) fn updated_s(entity: &Value) -> u64 {
    entity.get("updated").and_then(time::parse_value).unwrap_or(0)
}

async fn read_by_id<H: Host>(session: &Session<'_, H>, kind: Kind, items: &mut [Item], by_id: Vec<usize>) {
    let reads: Vec<(usize, Result<Read, Failure>)> = {
        let items = &*items;
        let read = |at: usize| async move {
            let item: &Item = &items[at];
            (
                at,
                session
                    .pim
                    .by_id(kind, &item.code, &item.name, item.waiting.attempts())
                    .await,
            )
        };
        stream::iter(by_id)
            .map(read)
            .buffer_unordered(session.pim_at_once)
            .collect()
            .await
    };
    for (at, read) in reads {
        items[at].by_id = true;
        items[at].is_gone = matches!(read, Ok(Read::Gone));
        items[at].stage = match read {
            Ok(Read::Found(entity)) => Stage::Found(entity),
            Ok(Read::Gone) => Stage::Gone,
            Err(failure) => Item::failed(failure, None),
        };
    }
}

/// What is older than what was pushed before comes from an index that lags, and so may what was deleted a moment ago.
async fn reread_what_the_index_denies<H: Host>(
    session: &Session<'_, H>,
    kind: Kind,
    items: &mut [Item],
    pages: &Pages,
) {
    let is_denied = |item: &Item| match (&item.stage, pages.get(&item.waiting.entity)) {
        (Stage::Found(entity), Some(entry)) => updated_s(entity) < entry.updated_s,
        (Stage::Found(_), None) => !item.by_id && item.waiting.has_recheck(),
        _ => false,
    };
    let denied = (0..items.len()).filter(|at| is_denied(&items[*at])).collect();
    read_by_id(session, kind, items, denied).await;
}

/// Brings what shaping looks up; without it nothing that was read can be shaped.
async fn enrich<H: Host>(session: &Session<'_, H>, kind: Kind, items: &mut [Item]) -> Result<(), Stop> {
    let found = items.iter().filter_map(|item| match &item.stage {
        Stage::Found(entity) => Some(entity),
        _ => None,
    });
    let found: Vec<&Value> = found.collect();
    if let Err(failure) = session.enrich(kind, &found).await? {
        for item in items.iter_mut().filter(|item| matches!(item.stage, Stage::Found(_))) {
            item.stage = Item::failed(failure.clone(), None);
        }
    }
    Ok(())
}

/// Decides what each entity comes to.
fn decide<H: Host>(session: &Session<'_, H>, items: &mut [Item], pages: &Pages) {
    let began_ms = session.host.monotonic_ms();
    let found = items.iter().filter(|item| matches!(item.stage, Stage::Found(_)));
    let shaped = found.count() as u64;
    for item in items.iter_mut() {
        let entry = pages.get(&item.waiting.entity);
        item.is_new = entry.is_none();
        let kind = item.waiting.entity.kind;
        let stage = std::mem::replace(&mut item.stage, Stage::Waiting);
        item.stage = match stage {
            Stage::Found(entity) => decide_found(session, item, entry, &entity),
            Stage::Gone => match session.config.shape.removal(kind, &item.code) {
                // Announced: deleted in any case, since an index may have lost what the destination has.
                Some(removal) if item.waiting.is_deletion_announced() => Stage::Delete(removal),
                // Pushed by us, perhaps, and not in the index: what came late after its deletion, or was never finished.
                Some(removal) if entry.is_none() && item.waiting.is_recovered() => Stage::Delete(removal),
                Some(removal) if entry.is_some() => {
                    if session.brake_lets_through(&item.waiting.entity) {
                        Stage::Delete(removal)
                    } else {
                        Stage::Braked
                    }
                }
                _ => Stage::Done,
            },
            other => other,
        };
    }
    let took_ms = session.host.monotonic_ms() - began_ms;
    session.report(|report| {
        report.shaped += shaped;
        report.shaping_ms += took_ms;
    });
}

fn decide_found<H: Host>(session: &Session<'_, H>, item: &mut Item, entry: Option<&Entry>, entity: &Value) -> Stage {
    let kind = item.waiting.entity.kind;
    if kind == Kind::ProductModel && !session.config.shape.sends_all_of(kind) {
        item.source = Some(source_hash(entity));
    }
    match session.shape(kind, &item.code, entity) {
        Shaped::Wanted(upsert) => {
            let hash = session.config.shape.hash(&upsert);
            let is_there = entry.is_some_and(|entry| entry.hash.as_ref() == Some(&hash));
            if is_there && !item.waiting.is_forced() {
                session.report(|report| report.unchanged += 1);
                return Stage::Done;
            }
            Stage::Upsert {
                upsert,
                hash,
                updated_s: updated_s(entity),
                parent: entity.get("parent").is_some_and(|parent| !parent.is_null()),
            }
        }
        Shaped::Unwanted(refusal) => decide_unwanted(session, item, entry, refusal),
        Shaped::Unsendable(why) => Stage::Failed(session.pim_failure(Class::Permanent, why), None),
    }
}

/// What the destination is not to have is deleted if it may have it. That counts towards the brake where lost
/// permissions could look like it.
fn decide_unwanted<H: Host>(session: &Session<'_, H>, item: &Item, entry: Option<&Entry>, refusal: Refusal) -> Stage {
    session.note_unwanted();
    let removal = session.config.shape.removal(item.waiting.entity.kind, &item.code);
    let Some(removal) = removal.filter(|_| entry.is_some() || item.waiting.is_recovered()) else {
        return Stage::Done;
    };
    session.log(
        "unwanted",
        serde_json::json!({ "entity": item.name, "for": refusal.name() }),
    );
    if refusal.is_certain() || session.brake_lets_through(&item.waiting.entity) {
        Stage::Delete(removal)
    } else {
        Stage::Braked
    }
}

/// Nothing is configured to push to: says what would be pushed.
fn dry_run<H: Host>(session: &Session<'_, H>, items: &mut [Item]) {
    for item in items.iter_mut().filter(|item| item.is_to_be_pushed()) {
        let action = if matches!(item.stage, Stage::Delete(..)) {
            "delete"
        } else {
            "upsert"
        };
        session.log("dry-run", serde_json::json!({ "entity": item.name, "would": action }));
        item.stage = Stage::Done;
    }
}

/// Writes down whose pushes are about to begin; says under which key.
async fn write_in_flight<H: Host>(session: &Session<'_, H>, items: &[Item]) -> Result<Option<String>, StoreError> {
    let entities: Vec<(Kind, String)> = items
        .iter()
        .filter(|item| item.is_to_be_pushed())
        .map(|item| (item.waiting.entity.kind, item.code.clone()))
        .collect();
    if entities.is_empty() || made(Mistake::NoInFlightKey) {
        return Ok(None);
    }
    let key = session
        .config
        .keys
        .encode(&Key::InFlight(session.fresh_id(), session.now_s()));
    session
        .host
        .set(&key, &InFlightValue { v: 1, entities }.to_bytes())
        .await?;
    Ok(Some(key))
}

/// A push under way: its number, and what came of it.
pub(crate) type Push<'a> = LocalBoxFuture<'a, (usize, Result<(), Failure>)>;

/// Lets so many pushes at once be under way, until all are through. Boxed, so that there is one such code.
pub(crate) async fn at_once(pushes: Vec<Push<'_>>, count: usize) -> Vec<(usize, Result<(), Failure>)> {
    stream::iter(pushes).buffer_unordered(count).collect().await
}

async fn push_all<H: Host>(session: &Session<'_, H>, items: &mut [Item]) {
    let Some(destination) = &session.destination else {
        return;
    };
    let results = {
        let mut pushes: Vec<Push<'_>> = Vec::new();
        for (at, item) in items.iter().enumerate().filter(|(_, item)| item.is_to_be_pushed()) {
            pushes.push(Box::pin(async move {
                let result = match &item.stage {
                    Stage::Upsert { upsert, .. } => destination.upsert(item.cargo(), upsert).await,
                    Stage::Delete(removal) => destination.delete(item.cargo(), removal).await,
                    _ => Ok(()),
                };
                (at, result)
            }));
        }
        at_once(pushes, session.destination_at_once).await
    };
    for (at, result) in results {
        let stage = std::mem::replace(&mut items[at].stage, Stage::Waiting);
        items[at].stage = match (result, stage) {
            (Ok(()), Stage::Upsert { hash, updated_s, .. }) => {
                session.report(|report| report.upserts += 1);
                Stage::Upserted { hash, updated_s }
            }
            (Ok(()), _) => {
                session.report(|report| report.deletes += 1);
                session.note_deleted(&items[at].waiting);
                Stage::Deleted
            }
            (Err(failure), Stage::Upsert { hash, .. }) => Item::failed(failure, Some(hash)),
            (Err(failure), _) => Item::failed(failure, None),
        };
    }
}

/// Keeps every outcome: the index, retries, dead letters, rechecks, and what is still unsettled.
async fn persist<H: Host>(
    session: &Session<'_, H>,
    items: &mut [Item],
    pages: &mut Pages,
    in_flight: Option<&str>,
) -> Result<(), StoreError> {
    for item in items.iter() {
        let entity = &item.waiting.entity;
        match &item.stage {
            Stage::Upserted { hash, updated_s } => pages.set(entity, &item.code, Some(hash.clone()), *updated_s),
            Stage::Deleted => pages.remove(entity),
            // What lies there now is not known: no later content may be taken for it.
            Stage::Unmarked { updated_s } => pages.set(entity, &item.code, None, *updated_s),
            Stage::Failed(failure, Some(_)) if failure.class != Class::Permanent => {
                if let Some(updated_s) = pages.get(entity).map(|entry| entry.updated_s) {
                    pages.set(entity, &item.code, None, updated_s);
                }
            }
            _ => {}
        }
    }
    if pages.has_changes() {
        session.know_the_pair().await?;
    }
    let added = pages.save(session.host, &session.config.keys).await?;
    session.note_indexed(added);
    for item in items.iter_mut() {
        match &item.stage {
            Stage::Failed(..) => keep_failure(session, item).await?,
            Stage::Braked => hold(session, item, Vec::new(), Hold::Brake).await?,
            Stage::Upserted { .. } | Stage::Deleted | Stage::Done => recheck_later(session, item).await?,
            _ => {}
        }
    }
    let unsettled: Vec<(Kind, String)> = items
        .iter()
        .filter(|item| is_unsettled(item))
        .map(|item| (item.waiting.entity.kind, item.code.clone()))
        .collect();
    if let (Some(key), false) = (in_flight, unsettled.is_empty()) {
        session
            .host
            .set(
                key,
                &InFlightValue {
                    v: 1,
                    entities: unsettled,
                }
                .to_bytes(),
            )
            .await?;
    }
    Ok(())
}

fn is_unsettled(item: &Item) -> bool {
    matches!(&item.stage, Stage::Failed(failure, _) if failure.unsettled && failure.upstream == "destination")
}

async fn recheck_later<H: Host>(session: &Session<'_, H>, item: &Item) -> Result<(), StoreError> {
    let now_s = session.now_s();
    // The list of a model's variants lags, too: it is read once more when the search index has caught up.
    let is_marked_unchanged = item.source.is_some() && !item.waiting.events.is_empty();
    let is_marked = matches!(item.stage, Stage::Upserted { .. }) || is_marked_unchanged;
    let for_variants = item.has_variants_to_mark() && is_marked;
    // And it still shows what is gone, or not wanted any more, to an event that comes late: until then this key says not
    // to believe it.
    let is_news = (item.is_gone || matches!(item.stage, Stage::Deleted)) && !item.waiting.events.is_empty();
    let due_s = if for_variants || is_news {
        Some(now_s + RECHECK_S)
    } else {
        // By the time of reading: pushing may have taken long, and the search index was behind before it.
        item.waiting.recheck_s(item.read_s).filter(|_| !item.by_id)
    };
    let Some(due_s) = due_s else { return Ok(()) };
    let retry = RetryKey {
        entity: item.waiting.entity.clone(),
        attempts: 0,
        hold: None,
        due_s,
    };
    let value = RetryValue {
        v: 1,
        code: item.code.clone(),
        failures: Vec::new(),
    };
    session
        .host
        .set(&session.config.keys.encode(&Key::Retry(retry)), &value.to_bytes())
        .await
}

/// Keeps a failure: another try later, or a dead letter.
async fn keep_failure<H: Host>(session: &Session<'_, H>, item: &mut Item) -> Result<(), StoreError> {
    let Stage::Failed(failure, hash) = &item.stage else {
        return Ok(());
    };
    let mut failures = earlier_failures(session, &item.waiting).await?;
    failures.push(failure.clone());
    if failure.cost() == 0 {
        return hold(session, item, failures, Hold::Probe).await;
    }
    let attempts = item.waiting.attempts() + failure.cost();
    if failure.class == Class::Permanent || attempts >= ATTEMPTS_MAX {
        let (reason, hash) = (failure.reason.clone(), hash.clone());
        return bury(session, item, reason, failures, hash).await;
    }
    let due_s = session.now_s() + delay_s(attempts, session.chance(), failure.retry_after_s);
    let retry = RetryKey {
        entity: item.waiting.entity.clone(),
        attempts,
        hold: None,
        due_s,
    };
    let value = RetryValue {
        v: 1,
        code: item.code.clone(),
        failures,
    };
    session.report(|report| report.retries += 1);
    replace_retry(session, item, retry, &value).await
}

async fn earlier_failures<H: Host>(session: &Session<'_, H>, waiting: &Waiting) -> Result<Vec<Failure>, StoreError> {
    let latest = waiting
        .retries
        .iter()
        .max_by_key(|(retry, _)| (retry.attempts, retry.due_s));
    let Some((_, key)) = latest else { return Ok(Vec::new()) };
    let value: Option<RetryValue> = host::read(session.host, key).await?;
    let mut failures = value.map(|value| value.failures).unwrap_or_default();
    // What cost nothing may have happened often.
    failures.retain(|failure| failure.cost() > 0);
    Ok(failures)
}

/// Holds an entity back for a while without using an attempt.
async fn hold<H: Host>(
    session: &Session<'_, H>,
    item: &mut Item,
    failures: Vec<Failure>,
    why: Hold,
) -> Result<(), StoreError> {
    let failures = if failures.is_empty() {
        earlier_failures(session, &item.waiting).await?
    } else {
        failures
    };
    let for_s = match why {
        Hold::Probe => PROBE_HOLD_S,
        Hold::Brake => BRAKE_HOLD_S,
    };
    let due_s = session.now_s() + for_s;
    let retry = RetryKey {
        entity: item.waiting.entity.clone(),
        attempts: item.waiting.attempts(),
        hold: Some(why),
        due_s,
    };
    let value = RetryValue {
        v: 1,
        code: item.code.clone(),
        failures,
    };
    replace_retry(session, item, retry, &value).await
}

/// Writes the new retry key; the old ones go when the batch is cleared.
async fn replace_retry<H: Host>(
    session: &Session<'_, H>,
    item: &mut Item,
    retry: RetryKey,
    value: &RetryValue,
) -> Result<(), StoreError> {
    let key = session.config.keys.encode(&Key::Retry(retry));
    session.host.set(&key, &value.to_bytes()).await?;
    item.waiting.retries.retain(|(_, known)| *known != key);
    Ok(())
}

/// Gives an entity up.
async fn bury<H: Host>(
    session: &Session<'_, H>,
    item: &mut Item,
    reason: String,
    failures: Vec<Failure>,
    hash: Option<String>,
) -> Result<(), StoreError> {
    let mut left: Vec<&(crate::key::EventKey, String)> = item.waiting.events.iter().collect();
    let mut events = Vec::new();
    for _ in 0..EVENTS_KEPT {
        let newest = (0..left.len()).max_by_key(|at| left[*at].0.time_s);
        let Some((_, key)) = newest.map(|at| left.swap_remove(at)) else {
            break;
        };
        let value: Option<EventValue> = host::read(session.host, key).await?;
        events.extend(
            value
                .map(|value| dead_letter::cut(&value.event, dead_letter::EVENT_KEPT).to_owned())
                .filter(|event| !event.is_empty()),
        );
    }
    let entity = item.waiting.entity.clone();
    let failed_s = session.now_s();
    let letter = DeadLetter {
        v: 1,
        kind: entity.kind,
        code: item.code.clone(),
        failed_s,
        reason,
        failures,
        events,
        hash,
        thinned: false,
    };
    let key = session.config.keys.encode(&Key::DeadLetter(entity, failed_s));
    session.host.set(&key, &letter.to_bytes()).await?;
    item.waiting.dead_letters.retain(|known| *known != key);
    session.log_failure(
        "dead-letter",
        serde_json::json!({ "entity": item.name, "reason": letter.reason }),
    );
    session.report(|report| report.dead_letters += 1);
    Ok(())
}

/// Deletes what is done with: only keys that were listed before the fetch. The in-flight key goes last.
async fn clear<H: Host>(session: &Session<'_, H>, items: &[Item], in_flight: Option<String>) -> Result<(), Stop> {
    let now_s = session.planned_s;
    let mut keys: Vec<String> = Vec::new();
    let mut is_settled = true;
    for item in items {
        is_settled &= !is_unsettled(item);
        match &item.stage {
            Stage::Upserted { .. } | Stage::Deleted | Stage::Done => {
                keys.extend(item.waiting.done_keys(now_s).cloned())
            }
            Stage::Failed(failure, _) if is_buried(item, failure) => {
                keys.extend(item.waiting.done_keys(now_s).cloned())
            }
            Stage::Failed(..) | Stage::Braked => {
                let old = item.waiting.retries.iter().filter(|(retry, _)| retry.is_over(now_s));
                keys.extend(old.map(|(_, key)| key.clone()));
            }
            _ => {}
        }
    }
    if made(Mistake::DeleteUnlisted) {
        keys.extend(unlisted(session, items).await?);
    }
    delete_all(session.host, &keys).await?;
    if let (Some(key), true) = (in_flight, is_settled) {
        session.host.delete(&key).await?;
    }
    history::note_cleared(session, items);
    session.report(|report| {
        report.entities += items
            .iter()
            .filter(|item| !matches!(item.stage, Stage::Waiting))
            .count() as u64
    });
    Ok(())
}

/// Events that came after the listing.
async fn unlisted<H: Host>(session: &Session<'_, H>, items: &[Item]) -> Result<Vec<String>, StoreError> {
    let keys = session.host.keys().await?;
    let is_ours = |key: &String| match session.config.keys.parse(key) {
        Some(Key::Event(event)) => items.iter().any(|item| item.waiting.entity == event.entity),
        _ => false,
    };
    Ok(keys.into_iter().filter(is_ours).collect())
}

pub(crate) fn is_buried(item: &Item, failure: &Failure) -> bool {
    failure.class == Class::Permanent
        || (failure.cost() > 0 && item.waiting.attempts() + failure.cost() >= ATTEMPTS_MAX)
}

const _: () = assert!(BATCH_MAX <= 100, "Akeneo gives a hundred in a page");
