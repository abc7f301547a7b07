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
use records::reconciliation::{Judging, Place, Raising, UNORDERED, Walk};
use serde_json::json;
use world::host::{Host, StoreError};

/// How long pages of the index are read in one step, in milliseconds: a step is to end long before the lease does, however
/// slow the store is and however large the index.
const STEP_MS: u64 = 1000;

/// Every page of the index of these kinds that holds something from a place on, by the first of its places.
fn pages_of(books: &Books, kinds: &[Kind], from: Option<(Kind, u128)>) -> Vec<(Kind, u128)> {
    let behind = from.and_then(|(from, _)| kinds.iter().position(|kind| *kind == from));
    let kinds = kinds.iter().skip(behind.unwrap_or(0));
    let of = |kind: &Kind| {
        let extents = books.index.extents(*kind, begin_of(*kind, from));
        extents.map(|extent| (*kind, extent.first)).collect::<Vec<_>>()
    };
    kinds.flat_map(of).collect()
}

/// The first place of a kind that counts, from a place on.
fn begin_of(kind: Kind, from: Option<(Kind, u128)>) -> u128 {
    from.filter(|(from, _)| *from == kind).map_or(0, |(_, place)| place)
}

/// Judges what a walk that has come to its end did not meet; and counts the index. Says whether it is done, or has more
/// pages to read.
pub(super) async fn judge<H: Host>(session: &mut Session<'_, H>, walk: &mut Walk) -> Result<bool, Stop> {
    let mut judging = walk.judging.take().unwrap_or_else(|| {
        walk.last.values_mut().for_each(|figures| figures.missing = 0);
        Judging::default()
    });
    let from = judging.from.as_ref().and_then(Place::get);
    let end_ms = session.desk.host.monotonic_ms() + STEP_MS;
    let pages = pages_of(&session.books, session.desk.config.shape.kinds(), from);
    for (at, (kind, place)) in pages.into_iter().enumerate() {
        if at > 0 && session.desk.host.monotonic_ms() >= end_ms {
            session.books.note_progress();
            judging.from = Some(Place::of(kind, place));
            walk.judging = Some(judging);
            return Ok(false);
        }
        let mut pages = session.books.load_page(&session.desk, kind, place).await?;
        let (desk, backlog) = (&session.desk, &session.backlog);
        let missed = missed_on(desk, backlog, &session.books, &pages, walk.number, (kind, place), from).await?;
        let begin = begin_of(kind, from);
        let entries = pages.entries(kind, place);
        judging.indexed += entries.iter().filter(|(place, ..)| *place >= begin).count() as u64;
        if kind == Kind::Product && walk.is_unordered {
            continue;
        }
        walk.last.at(kind).missing += missed.len() as u64;
        // Where the shape removes nothing from the destination, a missed entity is only let go, and no brake need hold
        // it.
        if !session.desk.config.shape.removes(kind) {
            continue;
        }
        for (entity, _) in &missed {
            let books = &session.books;
            judging.unannounced += u64::from(!books.went_with_a_model(&session.desk, &mut pages, entity).await?);
        }
    }
    let missing: u64 = walk.last.iter().map(|(_, figures)| figures.missing).sum();
    let indexed = usize::try_from(judging.indexed).unwrap_or(usize::MAX);
    let now_s = session.desk.now_s();
    (walk.judged, walk.withheld, walk.raising) = (walk.number, 0, None);
    let let_through = {
        let state = &mut session.books.state;
        state.indexed = i64::try_from(indexed).unwrap_or(i64::MAX);
        let let_through = state.brake.left(indexed, now_s);
        if judging.unannounced > let_through as u64 {
            walk.withheld = missing;
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
    Ok(true)
}

/// The entities of a page of the index, from a place on, that a walk did not meet, with their codes. What the
/// destination refused to delete is left to people.
async fn missed_on<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    books: &Books,
    pages: &Pages,
    walk: u64,
    (kind, place): (Kind, u128),
    from: Option<(Kind, u128)>,
) -> Result<Vec<(Entity, String)>, StoreError> {
    let mut missed = Vec::new();
    let begin = begin_of(kind, from);
    for (place, segment, entry) in pages.entries(kind, place) {
        let Some(code) = segment.code().or_else(|| entry.code.clone()) else {
            continue;
        };
        let entity = Entity::of(kind, segment);
        // The note names the first walk that missed the entity. It counts up to the walk that was judged: a later walk
        // that has met the entity has taken the note away.
        let is_missed = entry.missed_by.is_some_and(|missed_by| missed_by <= walk);
        if is_missed && place >= begin && !is_refused(desk, backlog, books, &entity, &Verdict::Delete).await? {
            missed.push((entity, code));
        }
    }
    Ok(missed)
}

/// Queues what was missed, a hundred at a time.
pub(super) async fn raise<H: Host>(desk: &Desk<'_, H>, backlog: &mut Backlog, books: &mut Books) -> Result<(), Halt> {
    let Some(Raising { walk, from }) = books.reconciliation.walk.raising.clone() else {
        return Ok(());
    };
    let from = from.as_ref().and_then(Place::get);
    let (mut missed, mut next): (Vec<(Entity, String)>, Option<Place>) = Default::default();
    let end_ms = desk.host.monotonic_ms() + STEP_MS;
    let pages = pages_of(books, desk.config.shape.kinds(), from);
    for (at, (kind, place)) in pages.into_iter().enumerate() {
        if at > 0 && desk.host.monotonic_ms() >= end_ms {
            books.note_progress();
            next = Some(Place::of(kind, place));
            break;
        }
        let pages = books.load_page(desk, kind, place).await?;
        let more = missed_on(desk, backlog, books, &pages, walk, (kind, place), from).await?;
        let room = BATCH_MAX - missed.len();
        next = more.get(room).map(|(entity, _)| Place::of(kind, place_of(entity)));
        missed.extend(more.into_iter().take(room));
        if next.is_some() {
            break;
        }
    }
    let entities: Vec<(&Entity, &str)> = missed.iter().map(|(entity, code)| (entity, code.as_str())).collect();
    queue(desk, backlog, books, &entities, Change::Reconciled).await?;
    let from = next.is_some().then_some(next);
    books.reconciliation.walk.raising = from.map(|from| Raising { walk, from });
    Ok(())
}
