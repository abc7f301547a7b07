//! One batch: fetch, decide, send files, push, persist, clear, in this order.
//!
//! Outcomes are kept before anything is deleted, so that dying between any two calls leaves work to be repeated and
//! never work forgotten.
//!
//! | where | what |
//! |---|---|
//! | this file | the order of the steps |
//! | `item` | an entity of a batch, and how far it has come |
//! | `reading` | fetch: by list, and by id what a list cannot be trusted with |
//! | `decide` | what each entity comes to |
//! | `fanout`, `progress` | a changed model's variants are marked, and how far that has come |
//! | `media` | files that go ahead |
//! | `push` | pushes, written down before they are made |
//! | `outcome` | persist and clear: retries, dead letters, rechecks, the index |

mod decide;
mod fanout;
mod item;
mod media;
mod outcome;
mod progress;
mod push;
mod reading;

use decide::{decide, dry_run};
use desk::books::Books;
use desk::enrichment;
use desk::session::Session;
use desk::stop::Stop;
use desk::tools::Desk;
use item::{Item, Stage};
use model::entity::{Kind, Segment};
use push::{note_late_pushes, push_all, write_in_flight};
use queue::index::Pages;
use queue::waiting::Waiting;
use records::pace::Came;
use serde_json::Value;
use world::host::{self, Host, StoreError};
use world::mistake::{Mistake, made};

use outcome::{clear, persist};
use reading::{fetch, reread_what_the_index_denies};

/// Runs one batch of one kind. What of a batch of one was put off is held back for a moment, so that it does not stand
/// in the way of others.
pub async fn run<H: Host>(session: &mut Session<'_, H>, kind: Kind, batch: Vec<Waiting>) -> Result<Came, Stop> {
    let began_ms = session.desk.host.monotonic_ms();
    let mut items = name_all(&session.desk, batch).await?;
    if session.desk.config.shape.kinds().contains(&kind) {
        fetch(&session.upstreams, kind, &mut items).await;
    } else {
        // What came before the shape was taken away that wanted it.
        items.iter_mut().for_each(|item| item.stage = Stage::Done);
    }
    let spellings = |item| {
        let item: &Item = item;
        [Some(&item.waiting.entity), item.other_spelling.as_ref()]
    };
    let entities = items.iter().flat_map(spellings).flatten();
    let mut pages = session.books.load_pages(&session.desk, entities).await?;
    reading::unite_spellings(&mut items, &mut pages);
    reread_what_the_index_denies(&session.upstreams, kind, &mut items, &pages).await;
    enrich(session, kind, &mut items).await?;
    for item in items.iter_mut().filter(|item| matches!(item.stage, Stage::Gone)) {
        item.went_with_a_model = session
            .books
            .went_with_a_model(&session.desk, &mut pages, &item.waiting.entity)
            .await?;
    }
    decide(session, &mut items, &pages);
    if session.upstreams.destination.is_none() {
        dry_run(&session.desk, &mut items);
    }
    media::put_off(&session.desk, &session.upstreams, &mut items).await?;
    session.desk.check_lease()?;
    session.books.keep_brake(&session.desk, &session.upstreams).await?;
    outcome::note_tried(&session.desk, &mut session.backlog, &mut items).await?;
    let in_flight = write_in_flight(&session.desk, &items).await?;
    keep_too_early(&session.desk, &mut session.books, &items, &mut pages).await?;
    // A model's variants are marked before its own hash is kept, whatever the destination says to the model itself.
    let has_advanced = fanout::mark_all(session, &mut items).await?;
    media::send_all(&session.desk, &session.upstreams, &mut session.books, &mut items).await?;
    push_all(&session.desk, &session.upstreams, &mut session.books, &mut items).await;
    if let Err(stop) = session.desk.check_lease() {
        note_late_pushes(&session.desk, &items).await?;
        return Err(stop);
    }
    if made(Mistake::DeleteBeforePersisting) {
        clear(&session.desk, &session.backlog, &mut session.books, &items, None).await?;
    }
    persist(session, &mut items, &mut pages, in_flight.as_deref()).await?;
    session.desk.check_lease()?;
    clear(&session.desk, &session.backlog, &mut session.books, &items, in_flight).await?;
    let through = items
        .iter()
        .filter(|item| !matches!(item.stage, Stage::Waiting))
        .count();
    if let ([item], 0) = (&mut items[..], through) {
        outcome::stand_back(&session.desk, &session.upstreams, &session.books, item, began_ms).await?;
    }
    Ok(Came {
        of: items.len(),
        through,
        has_advanced,
    })
}

/// Two mistakes that keep an outcome before there is one.
async fn keep_too_early<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
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
        books.save_pages(desk, pages).await?;
    }
    Ok(())
}

/// Gives every entity its code. One whose code cannot be read any more was cleared by somebody else meanwhile.
async fn name_all<H: Host>(desk: &Desk<'_, H>, batch: Vec<Waiting>) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::with_capacity(batch.len());
    for waiting in batch {
        let code = match waiting.entity.segment.code() {
            Some(code) => Some(code),
            None => code_in_values(desk, &waiting).await?,
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
                read_s: desk.now_s(),
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

async fn code_in_values<H: Host>(desk: &Desk<'_, H>, waiting: &Waiting) -> Result<Option<String>, StoreError> {
    let keys = waiting
        .events
        .iter()
        .map(|(_, key)| key)
        .chain(waiting.retries.iter().map(|(_, key)| key))
        .chain(&waiting.dead_letters);
    for key in keys {
        let value: Option<Value> = host::read(desk.host, key).await?;
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
async fn enrich<H: Host>(session: &mut Session<'_, H>, kind: Kind, items: &mut [Item]) -> Result<(), Stop> {
    let found = items.iter().filter_map(|item| match &item.stage {
        Stage::Found(entity) => Some(entity),
        _ => None,
    });
    let found: Vec<&Value> = found.collect();
    if let Err(failure) = enrichment::enrich(session, kind, &found).await? {
        for item in items.iter_mut().filter(|item| matches!(item.stage, Stage::Found(_))) {
            item.stage = Item::failed(failure.clone(), None);
        }
    }
    Ok(())
}
