//! One batch: read, decide, send files, push, keep, clear, in this order.
//!
//! Outcomes are kept before anything is deleted, so that dying between any two calls leaves work to be repeated and
//! never work forgotten.
//!
//! | where | what |
//! |---|---|
//! | this file | the order of the steps |
//! | `item` | an entity of a batch: a type for each stage of its way |
//! | `reading` | `Asked`: read by list, and by id what a list cannot be trusted with |
//! | `decision` | `Decided`: what each entity comes to |
//! | `identities` | who holds which identity at the destination, where that can change |
//! | `fanout`, `progress` | a changed model's variants are marked, and how far that has come |
//! | `media` | files that go ahead |
//! | `push` | `Pushed`: written down before it is made, and what came of it |
//! | `keeping` | `Kept`: retries, dead letters, rechecks, the index; then what is done with is deleted |
//! | `mistaken` | two mistakes that the simulation has this room make |

mod decision;
mod fanout;
mod identities;
mod item;
mod keeping;
mod media;
mod mistaken;
mod progress;
mod push;
mod reading;

use decision::{decide, dry_run};
use desk::lookups;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::Desk;
use item::{Answer, Asked};
use keeping::{clear, keep_all};
use model::entity::{Kind, Segment};
use push::{note_late_pushes, push_all, write_in_flight};
use queue::claims::Claims;
use queue::index::Pages;
use queue::waiting::Waiting;
use reading::{fetch, reread_what_the_index_denies};
use records::pace::Came;
use serde_json::Value;
use world::host::{self, Host, StoreError};

/// Runs one batch of one kind. What of a batch of one was put off is held back for a moment, so that it does not stand
/// in the way of others.
pub async fn run<H: Host>(session: &mut Session<'_, H>, kind: Kind, batch: Vec<Waiting>) -> Result<Came, Stop> {
    let began_ms = session.desk.host.monotonic_ms();
    let mut pages = Pages::default();
    let asked = ask(session, kind, batch, &mut pages).await?;
    let mut decided = decide(session, asked, &pages);
    let mut claims = Claims::default();
    if session.desk.config.shape.has_changing_identities(kind) {
        identities::bring_holders(session, kind, &mut decided, &mut pages, &mut claims).await?;
        identities::settle(
            &session.desk,
            &session.upstreams,
            &mut session.books,
            (&mut decided, &pages),
            &mut claims,
        );
    }
    if session.upstreams.destination.is_none() {
        dry_run(&session.desk, &mut decided);
    }
    media::put_off(&session.desk, &session.upstreams, &mut decided).await?;
    session.desk.check_lease()?;
    session.books.keep_brake(&session.desk, &session.upstreams).await?;
    keeping::note_tried(&session.desk, &mut session.backlog, &mut decided).await?;
    let in_flight = write_in_flight(&session.desk, &decided).await?;
    session.books.save_claims(&session.desk, &mut claims).await?;
    mistaken::keep_too_early(&session.desk, &mut session.books, &decided, &mut pages).await?;
    // A model's variants are marked before its own hash is kept, whatever the destination says to the model itself.
    let has_advanced = fanout::mark_all(session, &mut decided).await?;
    media::send_all(&session.desk, &session.upstreams, &mut session.books, &mut decided).await?;
    let pushed = push_all(&session.desk, &session.upstreams, &mut session.books, decided).await;
    if let Err(stop) = session.desk.check_lease() {
        note_late_pushes(&session.desk, &pushed).await?;
        return Err(stop);
    }
    let (mut kept, settled) = keep_all(session, pushed, (&mut pages, &mut claims), in_flight).await?;
    session.desk.check_lease()?;
    clear(&session.desk, &session.backlog, &mut session.books, &kept, settled).await?;
    let through = keeping::through(&kept);
    if let ([item], 0) = (&mut kept[..], through) {
        keeping::stand_back(&session.desk, &session.upstreams, &session.books, item, began_ms).await?;
    }
    Ok(Came {
        of: kept.len(),
        through,
        has_advanced,
    })
}

/// Reads a batch, and what the index knows of it.
async fn ask<H: Host>(
    session: &mut Session<'_, H>,
    kind: Kind,
    batch: Vec<Waiting>,
    pages: &mut Pages,
) -> Result<Vec<Asked>, Stop> {
    let mut asked = name_all(&session.desk, batch).await?;
    if session.desk.config.shape.kinds().contains(&kind) {
        fetch(&session.upstreams, kind, &mut asked).await;
    } else {
        // What came before the shape was taken away that wanted it.
        asked.iter_mut().for_each(|asked| asked.answer = Answer::Needless);
    }
    for entity in asked.iter().flat_map(Asked::spellings) {
        session.books.read_page_of(&session.desk, pages, entity).await?;
    }
    reading::unite_spellings(&mut asked, pages);
    reread_what_the_index_denies(&session.upstreams, kind, &mut asked, pages).await;
    for asked in &mut asked {
        let may_arrive = session.backlog.may_arrive_until_s(&session.desk, kind, &asked.code);
        asked.may_arrive_until_s = may_arrive.await?;
    }
    if session.desk.config.shape.has_changing_identities(kind) {
        identities::tell_what_they_lie_under(&session.desk, &mut session.backlog, &mut asked, pages).await?;
    }
    let names_of_parents = session.desk.config.shape.names_of_parents(kind);
    if !names_of_parents.is_empty() {
        for asked in &mut asked {
            asked.of_parent = match (asked.parent(), &asked.answer) {
                (Some(parent), _) => {
                    session.books.read_page_of(&session.desk, pages, &parent).await?;
                    let parent = pages.get(&parent);
                    Some(parent.map(|entry| entry.remote.clone()).unwrap_or_default())
                }
                (None, Answer::Gone { .. }) => {
                    let entity = &asked.waiting.entity;
                    session.books.remote_of_model(&session.desk, pages, entity).await?
                }
                (None, _) => None,
            };
            // What else it gave of that makes no difference here.
            let needed = |name: &String, _: &mut String| names_of_parents.contains(&name.as_str());
            asked.of_parent.iter_mut().for_each(|remote| remote.retain(needed));
        }
    }
    enrich(session, kind, &mut asked).await?;
    for asked in &mut asked {
        if let Answer::Gone { with_a_model } = &mut asked.answer {
            let entity = &asked.waiting.entity;
            *with_a_model = session.books.went_with_a_model(&session.desk, pages, entity).await?;
        }
    }
    Ok(asked)
}

/// Gives every entity its code. One whose code cannot be read any more was cleared by somebody else meanwhile.
async fn name_all<H: Host>(desk: &Desk<'_, H>, batch: Vec<Waiting>) -> Result<Vec<Asked>, StoreError> {
    let mut asked = Vec::with_capacity(batch.len());
    for waiting in batch {
        let code = match waiting.entity.segment.code() {
            Some(code) => Some(code),
            None => code_in_values(desk, &waiting).await?,
        };
        asked.extend(code.map(|code| Asked::new(waiting, code, desk.now_s())));
    }
    Ok(asked)
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
async fn enrich<H: Host>(session: &mut Session<'_, H>, kind: Kind, asked: &mut [Asked]) -> Result<(), Stop> {
    let found = asked.iter().filter_map(|asked| match &asked.answer {
        Answer::Found(entity) => Some(entity),
        _ => None,
    });
    let found: Vec<&Value> = found.collect();
    match lookups::bring(session, kind, &found).await {
        Ok(()) => Ok(()),
        Err(Halt::Stop(stop)) => Err(stop),
        Err(Halt::Failure(failure)) => {
            let found = |asked: &&mut Asked| matches!(asked.answer, Answer::Found(_));
            asked
                .iter_mut()
                .filter(found)
                .for_each(|asked| asked.fail(failure.clone()));
            Ok(())
        }
    }
}
