//! One batch: fetch, decide, send files, push, persist, clear, in this order.
//!
//! Outcomes are kept before anything is deleted, so that dying between any two calls leaves work to be repeated and
//! never work forgotten.

mod fanout;
mod media;
mod outcome;
mod reading;

use desk::session::Session;
use desk::stop::Stop;
use destination::Cargo;
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use model::entity::updated_s;
use model::entity::{Entity, Kind, Segment};
use model::failure::{Class, Failure};
use queue::in_flight::InFlightValue;
use queue::index::{Entry, Mark, Pages};
use queue::key::{Hold, Key};
use queue::plan::Waiting;
use queue::retry::Tried;
use records::pace::Came;
use serde_json::{Value, json};
use shape::{Refusal, Removal, Shaped, Upsert, source_hash};
use world::host::{self, Host, StoreError};
use world::mistake::{Mistake, made};

use outcome::{clear, persist};
use reading::{fetch, reread_what_the_index_denies};

/// An entity of a batch and how far it has come.
pub(crate) struct Item {
    pub(crate) waiting: Waiting,
    pub(crate) code: String,
    /// How log lines and failures name it.
    pub(crate) name: String,
    /// What its keys say that it is, if the PIM spells its code in another way.
    other_spelling: Option<Entity>,
    /// Whether the list that was asked for it had it; none if there was no such list.
    is_listed: Option<bool>,
    /// Whether it was read from the database itself, past a search index that lags.
    by_id: bool,
    /// When it was about to be read, in seconds since the Unix epoch.
    read_s: u64,
    /// Whether the PIM has nothing of it.
    pub(crate) is_gone: bool,
    /// Whether it is gone together with a model of which an event said that it is deleted.
    went_with_a_model: bool,
    /// The model that it inherits from, as it was read.
    pub(crate) parent: Option<Mark>,
    /// Whether the index has nothing of it.
    pub(crate) is_new: bool,
    /// The hash of a model as the PIM gives it, where the hash of what is sent does not tell its every change.
    pub(crate) source: Option<String>,
    /// Of a model, the change whose variants are all marked.
    pub(crate) marked: Option<fanout::Marked>,
    /// How often it was pushed or removed, as far as the index knows.
    pushes: u64,
    /// What its push is to bring.
    tried: Option<Tried>,
    /// When what was pushed before was updated, in seconds since the Unix epoch; none if nothing was.
    pushed_s: Option<u64>,
    /// Its `updated` as it was read now, in seconds since the Unix epoch.
    updated_s: u64,
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
    },
    /// To be deleted, like this.
    Delete(Removal),
    /// Upserted.
    Upserted { hash: String, updated_s: u64 },
    /// Deleted.
    Deleted,
    /// Nothing to do, and done.
    Done,
    /// The brake holds its deletion back.
    Braked,
    /// Gone by its id alone: looked at once more before it is deleted.
    Doubted,
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
            cause: self.waiting.cause(),
            pushes: self.pushes,
            changes: self.tried.as_ref().map_or(0, |tried| tried.changes),
            is_last_resort: self.waiting.own_try().is_some(),
        }
    }

    /// What is written down of its push.
    fn in_flight(&self) -> (Kind, String, Option<Tried>) {
        (self.waiting.entity.kind, self.code.clone(), self.tried.clone())
    }

    /// Whether its push means that its variants may have changed. Not for a model that reconciliation found and that
    /// was never pushed before: reconciliation looks at its variants by itself.
    pub(crate) fn has_variants_to_mark(&self) -> bool {
        self.waiting.entity.kind == Kind::ProductModel && !(self.is_new && self.waiting.is_reconciliation())
    }

    /// Takes on the code as the PIM spells it, to which letter case makes no difference: its keys, its entry of the index
    /// and its path are of that spelling.
    fn respell(&mut self, code: String) {
        if self.code != code {
            let kind = self.waiting.entity.kind;
            let other = std::mem::replace(&mut self.waiting.entity, Entity::new(kind, &code));
            self.other_spelling.get_or_insert(other);
            self.name = format!("{}/{code}", kind.name());
            self.code = code;
        }
    }

    /// Whether only one request says that it is gone: the list that was asked for it does not lack it, and it was not
    /// looked at for that reason before.
    fn is_doubtful(&self) -> bool {
        let was_doubted = self
            .waiting
            .retries
            .iter()
            .any(|(retry, _)| retry.hold == Some(Hold::Doubt));
        self.is_listed != Some(false) && !was_doubted
    }

    /// Whether an event said that it is deleted, or that a model is with which it went.
    fn is_deletion_announced(&self) -> bool {
        self.waiting.is_deletion_announced() || self.went_with_a_model
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

/// Runs one batch of one kind. What of a batch of one was put off is held back for a moment, so that it does not stand
/// in the way of others.
pub async fn run<H: Host>(session: &Session<'_, H>, kind: Kind, batch: Vec<Waiting>) -> Result<Came, Stop> {
    let began_ms = session.host.monotonic_ms();
    let mut items = name_all(session, batch).await?;
    if session.config.shape.kinds().contains(&kind) {
        fetch(session, kind, &mut items).await;
    } else {
        // What came before the shape was taken away that wanted it.
        items.iter_mut().for_each(|item| item.stage = Stage::Done);
    }
    let spellings = |item| {
        let item: &Item = item;
        [Some(&item.waiting.entity), item.other_spelling.as_ref()]
    };
    let entities = items.iter().flat_map(spellings).flatten();
    let mut pages = session.load_pages(entities).await?;
    reading::unite_spellings(&mut items, &mut pages);
    reread_what_the_index_denies(session, kind, &mut items, &pages).await;
    enrich(session, kind, &mut items).await?;
    for item in items.iter_mut().filter(|item| matches!(item.stage, Stage::Gone)) {
        item.went_with_a_model = session.went_with_a_model(&mut pages, &item.waiting.entity).await?;
    }
    decide(session, &mut items, &pages);
    if session.destination.is_none() {
        dry_run(session, &mut items);
    }
    media::put_off(session, &mut items).await?;
    session.check_lease()?;
    session.keep_brake().await?;
    outcome::note_tried(session, &mut items).await?;
    let in_flight = write_in_flight(session, &items).await?;
    keep_too_early(session, &items, &mut pages).await?;
    // A model's variants are marked before its own hash is kept, whatever the destination says to the model itself.
    let has_advanced = fanout::mark_all(session, &mut items).await?;
    media::send_all(session, &mut items).await?;
    push_all(session, &mut items).await;
    if let Err(stop) = session.check_lease() {
        note_late_pushes(session, &items).await?;
        return Err(stop);
    }
    if made(Mistake::DeleteBeforePersisting) {
        clear(session, &items, None).await?;
    }
    persist(session, &mut items, &mut pages, in_flight.as_deref()).await?;
    session.check_lease()?;
    clear(session, &items, in_flight).await?;
    let through = items
        .iter()
        .filter(|item| !matches!(item.stage, Stage::Waiting))
        .count();
    if let ([item], 0) = (&mut items[..], through) {
        outcome::stand_back(session, item, began_ms).await?;
    }
    Ok(Came {
        of: items.len(),
        through,
        has_advanced,
    })
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
        session.save_pages(pages).await?;
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
                other_spelling: None,
                is_listed: None,
                by_id: false,
                read_s: session.now_s(),
                is_gone: false,
                went_with_a_model: false,
                parent: None,
                is_new: false,
                source: None,
                marked: None,
                pushes: 0,
                tried: None,
                pushed_s: None,
                updated_s: 0,
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
        .chain(waiting.retries.iter().map(|(_, key)| key))
        .chain(&waiting.dead_letters);
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
        item.pushes = pages.pushes(&item.waiting.entity);
        item.pushed_s = entry.map(|entry| entry.updated_s);
        let kind = item.waiting.entity.kind;
        let stage = std::mem::replace(&mut item.stage, Stage::Waiting);
        item.stage = match stage {
            Stage::Found(entity) => decide_found(session, item, entry, &entity),
            Stage::Gone => match session.config.shape.removal(kind, &item.code) {
                Some(_) if (entry.is_some() || item.waiting.may_be_there()) && item.is_doubtful() => Stage::Doubted,
                // Announced: deleted in any case, since an index may have lost what the destination has.
                Some(removal) if item.waiting.is_deletion_announced() => Stage::Delete(removal),
                // Pushed by us, perhaps, and not in the index: what came late after its deletion, or was never finished.
                Some(removal) if entry.is_none() && item.waiting.is_recovered() => Stage::Delete(removal),
                Some(removal) if entry.is_some() => {
                    if item.went_with_a_model || session.brake_lets_through(&item.waiting.entity) {
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
    item.updated_s = updated_s(entity);
    item.parent = entity.get("parent").and_then(Value::as_str).map(Mark::of_model);
    if kind == Kind::ProductModel && !session.config.shape.sends_all_of(kind) {
        item.source = Some(source_hash(entity));
    }
    match session.shape(kind, &item.code, entity) {
        Shaped::Wanted(upsert) => {
            let hash = session.config.shape.hash(kind, &upsert);
            let is_there = entry.is_some_and(|entry| entry.hash.as_ref() == Some(&hash));
            if is_there && !item.waiting.is_forced() {
                session.report(|report| report.unchanged += 1);
                return Stage::Done;
            }
            Stage::Upsert {
                upsert,
                hash,
                updated_s: updated_s(entity),
            }
        }
        // A list younger than a minute is not read anew for an element that it lacks: until then nothing is decided.
        Shaped::Unwanted(Refusal::Categories)
            if session.is_ahead_of_categories(
                kind,
                entity,
                item.waiting.newest_s().unwrap_or(0).max(updated_s(entity)),
            ) =>
        {
            Stage::Waiting
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
    session.log("unwanted", json!({ "entity": item.name, "for": refusal.name() }));
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
        session.log("dry-run", json!({ "entity": item.name, "would": action }));
        item.stage = Stage::Done;
    }
}

/// Writes down whose pushes are about to begin; says under which key.
async fn write_in_flight<H: Host>(session: &Session<'_, H>, items: &[Item]) -> Result<Option<String>, StoreError> {
    keep_in_flight(session, items.iter().filter(|item| item.is_to_be_pushed())).await
}

async fn keep_in_flight<H: Host>(
    session: &Session<'_, H>,
    items: impl Iterator<Item = &Item>,
) -> Result<Option<String>, StoreError> {
    let value = InFlightValue::of(items.map(Item::in_flight));
    if value.entities.is_empty() || made(Mistake::NoInFlightKey) {
        return Ok(None);
    }
    let key = Key::InFlight(session.fresh_id(), session.now_s());
    let key = session.config.keys.encode(&key);
    session.host.set(&key, &value.to_bytes()).await?;
    Ok(Some(key))
}

/// The lease passed while this worker was pushing: it may have been paused for so long that others have pushed since, and
/// that they count its own key of what is in flight as settled. So it writes what it pushed down once more.
async fn note_late_pushes<H: Host>(session: &Session<'_, H>, items: &[Item]) -> Result<(), StoreError> {
    if made(Mistake::ForgetLatePushes) {
        return Ok(());
    }
    let is_pushed = |item: &&Item| matches!(item.stage, Stage::Upserted { .. } | Stage::Deleted | Stage::Failed(..));
    keep_in_flight(session, items.iter().filter(is_pushed))
        .await
        .map(|_| ())
}

/// A push under way: its number, and what came of it.
pub(crate) type Push<'a> = LocalBoxFuture<'a, (usize, Result<(), Failure>)>;

/// Lets so many pushes at once be under way, until all are through. Boxed, so that there is one such code.
pub(crate) async fn at_once(pushes: Vec<Push<'_>>, count: usize) -> Vec<(usize, Result<(), Failure>)> {
    stream::iter(pushes).buffer_unordered(count).collect().await
}

/// Deletes, and then upserts: what was deleted may have had what another one wants, such as its SKU.
async fn push_all<H: Host>(session: &Session<'_, H>, items: &mut [Item]) {
    push_those(session, items, |item| matches!(item.stage, Stage::Delete(_))).await;
    push_those(session, items, |item| matches!(item.stage, Stage::Upsert { .. })).await;
}

async fn push_those<H: Host>(session: &Session<'_, H>, items: &mut [Item], is_meant: impl Fn(&Item) -> bool) {
    let Some(destination) = &session.destination else {
        return;
    };
    let results = {
        let mut pushes: Vec<Push<'_>> = Vec::new();
        for (at, item) in items.iter().enumerate().filter(|(_, item)| is_meant(item)) {
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
                session.note_done();
                Stage::Upserted { hash, updated_s }
            }
            (Ok(()), _) => {
                session.report(|report| report.deletes += 1);
                if !items[at].is_deletion_announced() {
                    session.note_unannounced(&items[at].waiting.entity);
                }
                session.note_done();
                Stage::Deleted
            }
            (Err(failure), Stage::Upsert { hash, .. }) => Item::failed(failure, Some(hash)),
            (Err(failure), _) => Item::failed(failure, None),
        };
    }
}
