//! Judges what a whole walk did not meet: such entities were deleted in the PIM, or are hidden from this connection,
//! and the two look alike (contract 5).
//!
//! If they are no more than the brake would let through, they are queued: each is read by its id, and deleted if it is
//! gone. If they are more, none is even looked at before a person has released the brake, or a later walk meets it
//! again.

use super::compare::{Verdict, is_refused, queue};
use desk::backlog::Backlog;
use desk::books::Books;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::Desk;
use index::entry::place_of;
use index::pages::Pages;
use model::entity::{BATCH_MAX, Entity, Kind};
use queue::key::Change;
use records::reconciliation::{Raising, UNORDERED, Walk};
use serde_json::json;
use world::host::{Host, StoreError};

/// Every page of the index of these kinds, from an entity's on, by the first of its places.
fn pages_of(books: &Books, kinds: &[Kind], from: Option<&Entity>) -> Vec<(Kind, u128)> {
    let behind = from.and_then(|from| kinds.iter().position(|kind| *kind == from.kind));
    let kinds = kinds.iter().skip(behind.unwrap_or(0));
    let begin = |kind: &Kind| from.filter(|from| from.kind == *kind).map_or(0, place_of);
    let of = |kind: &Kind| {
        let extents = books.index.extents(*kind, begin(kind));
        extents.map(|extent| (*kind, extent.first)).collect::<Vec<_>>()
    };
    kinds.flat_map(of).collect()
}

/// Judges what a walk that has come to its end did not meet; and counts the index.
pub(super) async fn judge<H: Host>(session: &mut Session<'_, H>, walk: &mut Walk) -> Result<(), Stop> {
    let (mut indexed, mut missing, mut unannounced) = (0, 0, 0);
    for figures in walk.last.values_mut() {
        figures.missing = 0;
    }
    for (kind, place) in pages_of(&session.books, session.desk.config.shape.kinds(), None) {
        let mut pages = session.books.load_page(&session.desk, kind, place).await?;
        let missed = missed_on(
            &session.desk,
            &session.backlog,
            &session.books,
            &pages,
            walk.number,
            (kind, place),
            None,
        )
        .await?;
        indexed += pages.entries(kind, place).len();
        if kind == Kind::Product && walk.is_unordered {
            continue;
        }
        walk.last.at(kind).missing += missed.len() as u64;
        missing += missed.len();
        // Where the shape removes nothing from the destination, a missed entity is only let go, and no brake need hold
        // it.
        if !session.desk.config.shape.removes(kind) {
            continue;
        }
        for (entity, _) in &missed {
            unannounced += usize::from(
                !session
                    .books
                    .went_with_a_model(&session.desk, &mut pages, entity)
                    .await?,
            );
        }
    }
    let now_s = session.desk.now_s();
    (walk.judged, walk.withheld, walk.raising) = (walk.number, 0, None);
    let let_through = {
        let state = &mut session.books.state;
        state.indexed = i64::try_from(indexed).unwrap_or(i64::MAX);
        let let_through = state.brake.left(indexed, now_s);
        if unannounced > let_through {
            walk.withheld = missing as u64;
            state.brake.hold(now_s);
        } else {
            walk.raising = (missing > 0).then(|| Raising::of(walk.number));
            if session.backlog.plan.braked.is_empty() {
                state.brake.holding_since_s = None;
            }
        }
        let_through
    };
    if walk.withheld > 0 {
        let fields = json!({ "missing": missing, "indexed": indexed, "let_through": let_through });
        session.desk.log_failure("deletions-withheld", fields);
    }
    if walk.is_unordered {
        session.desk.log_failure("walk", json!({ "reason": UNORDERED }));
    }
    session.desk.check_lease()?;
    session.books.save_state(&session.desk, &session.upstreams).await?;
    Ok(())
}

/// The entities of a page of the index, behind one of them, that a walk did not meet, with their codes. What the
/// destination refused to delete is left to people.
async fn missed_on<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    books: &Books,
    pages: &Pages,
    walk: u64,
    (kind, place): (Kind, u128),
    behind: Option<&Entity>,
) -> Result<Vec<(Entity, String)>, StoreError> {
    let mut missed = Vec::new();
    let after = behind.filter(|behind| behind.kind == kind).map(place_of);
    for (place, segment, entry) in pages.entries(kind, place) {
        let is_behind = Some(place) > after;
        let Some(code) = segment.code().or_else(|| entry.code.clone()) else {
            continue;
        };
        let entity = Entity::of(kind, segment);
        // The note names the first walk that missed the entity. It counts up to the walk that was judged: a later walk
        // that has met the entity has taken the note away.
        let is_missed = entry.missed_by.is_some_and(|missed_by| missed_by <= walk);
        if is_missed && is_behind && !is_refused(desk, backlog, books, &entity, &Verdict::Delete).await? {
            missed.push((entity, code));
        }
    }
    Ok(missed)
}

/// Queues what was missed, a hundred at a time.
pub(super) async fn raise<H: Host>(desk: &Desk<'_, H>, backlog: &mut Backlog, books: &mut Books) -> Result<(), Halt> {
    let Some(mut raising) = books.reconciliation.walk.raising.clone() else {
        return Ok(());
    };
    let mut missed: Vec<(Entity, String)> = Vec::new();
    let kinds = desk.config.shape.kinds();
    let behind = raising
        .behind
        .as_ref()
        .map(|(kind, segment)| Entity::of(*kind, segment));
    let mut is_end = true;
    for (kind, place) in pages_of(books, kinds, behind.as_ref()) {
        let pages = books.load_page(desk, kind, place).await?;
        let more = missed_on(
            desk,
            backlog,
            books,
            &pages,
            raising.walk,
            (kind, place),
            behind.as_ref(),
        )
        .await?;
        let room = BATCH_MAX - missed.len();
        is_end = more.len() <= room;
        missed.extend(more.into_iter().take(room));
        if !is_end {
            raising.behind = missed.last().map(|(last, _)| (last.kind, last.segment.clone()));
            break;
        }
    }
    let entities: Vec<(&Entity, &str)> = missed.iter().map(|(entity, code)| (entity, code.as_str())).collect();
    queue(desk, backlog, books, &entities, Change::Reconciled).await?;
    books.reconciliation.walk.raising = (!is_end).then_some(raising);
    Ok(())
}
