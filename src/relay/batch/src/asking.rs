//! Asks for all that the decisions of a batch need: the entities as the PIM has them, and what the index and pushes in
//! flight tell of each.
//!
//! It may assume that all entities are of one kind and that their keys were listed before. Afterwards the pages of the
//! index are read for each of them, unless the PIM answered nothing at all, and the lists in which shaping looks things
//! up are at hand, or what was found has failed. No key of what waits is written or deleted here.

use crate::ahead::Ahead;
use crate::item::{Answer, Asked};
use crate::reading::{self, fetch, reread_what_the_index_denies};
use desk::backlog::Backlog;
use desk::books::Books;
use desk::lookups;
use desk::naming;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::Desk;
use desk::tried;
use index::pages::Pages;
use model::entity::Kind;
use queue::waiting::Waiting;
use serde_json::Value;
use world::host::{Host, StoreError};

/// Reads the entities of a batch, and what the index knows of them; adds the pages of the index to `pages`. An entity
/// whose code cannot be read is left out.
pub(crate) async fn ask<H: Host>(
    session: &mut Session<'_, H>,
    kind: Kind,
    batch: Vec<Waiting>,
    ahead: Option<Ahead>,
    pages: &mut Pages,
) -> Result<Vec<Asked>, Stop> {
    let mut asked = name_all(&session.desk, &mut session.books, batch).await?;
    if session.desk.config.shape.kinds().contains(&kind) {
        fetch(&mut session.upstreams, kind, &mut asked, ahead).await;
    } else {
        // These entities came to wait while another shape wanted this kind; the present one does not speak of it.
        asked.iter_mut().for_each(|asked| asked.answer = Answer::Needless);
    }
    // While the retry budget is used up, thousands of entities may wait: no page of the index is read for each of them.
    // But where identities can change, others must know what an entity lies under, whether the PIM answers or not.
    if asked.iter().all(Asked::is_unanswered) && !session.desk.config.shape.has_changing_identities(kind) {
        return Ok(asked);
    }
    for entity in asked.iter().flat_map(Asked::spellings) {
        session.books.read_page_of(&session.desk, pages, entity).await?;
    }
    reading::unite_spellings(&mut asked, pages);
    reread_what_the_index_denies(&session.upstreams, kind, &mut asked, pages).await;
    let emptied_s = session.books.reconciliation.emptied_s(session.desk.now_s());
    for asked in &mut asked {
        let may_arrive = session.backlog.may_arrive_until_s(&session.desk, kind, &asked.code);
        // Whichever host wrote the moment, this one believes it by its own clock.
        let skew_s = session.books.state.skew_s();
        let in_flight_s = may_arrive.await?.map(|until_s| until_s + skew_s);
        asked.may_arrive_until_s = in_flight_s;
        if matches!(asked.answer, Answer::Found(_) | Answer::Gone { .. }) {
            // A failure from before the index was emptied is of a former destination.
            let made_s = tried::made_s(&session.desk, &asked.waiting).await?;
            let made_s = made_s.filter(|made_s| *made_s >= emptied_s);
            asked.waiting.was_made = made_s.is_some();
            let arrives_s = made_s.and_then(|made_s| tried::may_arrive_until_s(&session.desk, made_s, skew_s));
            asked.may_arrive_until_s = in_flight_s.max(arrives_s);
        }
    }
    if session.desk.config.shape.has_changing_identities(kind) {
        tell_what_they_lie_under(&session.desk, &mut session.backlog, &mut asked, pages).await?;
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
                    session.books.remote_of_parent(&session.desk, pages, entity).await?
                }
                (None, _) => None,
            };
            // Only values that requests name count: whatever else the destination gave of a parent makes no difference.
            let needed = |name: &String, _: &mut String| names_of_parents.contains(&name.as_str());
            asked.of_parent.iter_mut().for_each(|remote| remote.retain(needed));
        }
    }
    bring_lists(session, kind, &mut asked).await?;
    for asked in &mut asked {
        if let Answer::Gone { with_a_model } = &mut asked.answer {
            let entity = &asked.waiting.entity;
            *with_a_model = session.books.went_with_a_model(&session.desk, pages, entity).await?;
        }
    }
    Ok(asked)
}

/// Gives every entity its code. One whose code nothing tells any more is left out.
async fn name_all<H: Host>(desk: &Desk<'_, H>, books: &mut Books, batch: Vec<Waiting>) -> Result<Vec<Asked>, Stop> {
    let mut asked = Vec::with_capacity(batch.len());
    for waiting in batch {
        let code = naming::code_of(desk, books, &waiting).await?;
        asked.extend(code.map(|code| Asked::new(waiting, code, desk.now_s())));
    }
    Ok(asked)
}

/// Brings the lists in which shaping looks things up. Where one does not come, all that was found fails, since nothing
/// can be shaped without it.
async fn bring_lists<H: Host>(session: &mut Session<'_, H>, kind: Kind, asked: &mut [Asked]) -> Result<(), Stop> {
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

/// Notes with every entity the identities that it lies or may lie under: first those that the index knows, then those
/// that pushes in flight were to bring it under.
async fn tell_what_they_lie_under<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    asked: &mut [Asked],
    pages: &Pages,
) -> Result<(), StoreError> {
    for asked in asked {
        let entity = &asked.waiting.entity;
        let entry = pages.get(entity);
        asked.under = entry.map(|entry| entry.identities.clone()).unwrap_or_default();
        for tried in backlog.tried_in_flight(desk, entity.kind, &asked.code).await? {
            let new = tried.identity.filter(|identity| !asked.under.contains(identity));
            asked.under.extend(new);
        }
    }
    Ok(())
}
