//! Makes the pushes of a batch, and says what became of every entity.
//!
//! It may assume that everything is decided, and that files and marked variants went before. Pushes are written down
//! under an in-flight key before the first begins, and once more where the lease passed meanwhile, so that neither a
//! kill nor a late arrival goes unnoticed. Deletions go before upserts, and an upsert is not made where what was to be
//! deleted before it was not. Nothing is written to the index here.

use crate::item::{Decided, Decision, Left, Outcome, Pushed};
use crate::turns;
use desk::books::Books;
use desk::tools::Desk;
use destination::Destination;
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use model::failure::{Class, Failure};
use protocol::remote::Remote;
use queue::in_flight::InFlightValue;
use queue::key::Key;
use shape::{Removal, Shape};
use std::cell::RefCell;
use std::rc::Rc;
use upstream::governor::Governor;
use world::host::{Host, StoreError};

/// Writes down which entities are about to be pushed and what their pushes are to bring; says under which key, or none
/// where nothing is to be pushed.
pub(crate) async fn write_in_flight<H: Host>(
    desk: &Desk<'_, H>,
    items: &[Decided],
) -> Result<Option<String>, StoreError> {
    let begun = items.iter().filter(|item| item.is_to_be_pushed());
    keep_in_flight(desk, InFlightValue::of(begun.map(Decided::in_flight))).await
}

async fn keep_in_flight<H: Host>(desk: &Desk<'_, H>, value: InFlightValue) -> Result<Option<String>, StoreError> {
    if value.entities.is_empty() {
        return Ok(None);
    }
    let key = Key::InFlight(desk.fresh_id(), desk.now_s());
    let key = desk.config.keys.encode(&key);
    desk.host.set(&key, &value.to_bytes()).await?;
    Ok(Some(key))
}

/// Writes down once more what was pushed, where the lease passed meanwhile: this worker may have been paused for so
/// long that others have pushed since, and that they count its first in-flight key as settled.
pub(crate) async fn note_late_pushes<H: Host>(desk: &Desk<'_, H>, items: &[Pushed]) -> Result<(), StoreError> {
    let is_pushed = |item: &&Pushed| {
        let is_sent = matches!(
            item.what,
            Outcome::Upserted { .. } | Outcome::Deleted | Outcome::Failed(..)
        );
        is_sent || item.left.has_any
    };
    let pushed = items.iter().filter(is_pushed);
    keep_in_flight(desk, InFlightValue::of(pushed.map(Pushed::in_flight))).await?;
    Ok(())
}

/// The number of an item, and what came of its push, with what the destination gave.
type Over = (usize, Result<Remote, Failure>);

/// A push under way.
pub(crate) type Push<'a> = LocalBoxFuture<'a, Over>;

/// Makes pushes, at most `count` of them at once, until all are through. They are boxed so that this is compiled once.
pub(crate) async fn at_once(pushes: Vec<Push<'_>>, count: usize) -> Vec<Over> {
    stream::iter(pushes).buffer_unordered(count).collect().await
}

/// Makes the deletions of a batch and then its upserts, wave by wave: what was deleted may have had what another entity
/// wants, such as an SKU. Without a destination nothing is sent. Nothing but the destination is touched meanwhile.
pub(crate) async fn push_all<H: Host>(
    desk: Desk<'_, H>,
    (destination, at_once_max): (Option<Rc<Destination<'_, H>>>, usize),
    governor: &Governor<'_, H>,
    items: Vec<Decided>,
) -> Vec<Pushed> {
    let mut came: Results = items.iter().map(|_| None).collect();
    let mut left = vec![Left::default(); items.len()];
    if let Some(destination) = destination.as_deref() {
        let (renames, gone) = (turns::renames(&desk, &items), RefCell::default());
        let deleted = at_once(deletions(destination, &items, &gone), at_once_max).await;
        for (at, identity) in gone.take() {
            let is_gone = |(other, item): &(usize, &Decided)| match *other == at {
                true => item.is_to_be_upserted(),
                // Whoever left it to this one has nothing there any more either, whatever becomes of it.
                false => {
                    let left_it = item.leaves(renames).contains(identity) && !item.deletes(identity);
                    left_it && items[at].goes_by_identity(&desk.config.shape, identity)
                }
            };
            for (other, _) in items.iter().enumerate().filter(is_gone) {
                left[other].gone.push(identity.clone());
            }
        }
        // Where something was to be deleted before an upsert and was not, the upsert is not made.
        let is_over = |(at, result): &(usize, _)| Result::is_err(result) || !items[*at].is_to_be_upserted();
        let over: Vec<_> = deleted.into_iter().filter(is_over).collect();
        let unsent = over
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| items[*at].is_to_be_upserted());
        unsent.for_each(|at| left[at].is_unsent = true);
        take_note(&mut came, over);
        let waves = items.iter().map(|item| item.turn.wave + 1).max().unwrap_or(0);
        for wave in 0..waves {
            let (pushes, late) = upserts(governor, destination, (&items, &left, renames), &came, wave);
            let results = at_once(pushes, at_once_max).await;
            take_note(&mut came, results);
            late.iter().for_each(|(at, _)| left[*at].is_unsent = true);
            take_note(&mut came, late);
        }
    }
    for (at, item) in items.iter().enumerate() {
        let has_come = |by: &usize| matches!(came[*by], Some(Ok(_)));
        for (identity, by) in &item.overwritten {
            let left = &mut left[at];
            let over = if has_come(by) { &mut left.gone } else { &mut left.still };
            over.push(identity.clone());
        }
        if let (Decision::Delete(_), [_, ..]) = (&item.what, &left[at].still[..]) {
            let reason = "it lies where another one was to come that has not".to_owned();
            came[at] = Some(Err(late_for(governor, reason)));
        }
    }
    let ended = items.into_iter().zip(left.into_iter().zip(came));
    ended.map(|(item, (left, came))| pushed(item, left, came)).collect()
}

/// The deletions of a batch: of entities, and of what its upserts leave under earlier identities. Each adds to `gone` under
/// which identity nothing of which item lies any more.
fn deletions<'a, H: Host>(
    destination: &'a Destination<'a, H>,
    items: &'a [Decided],
    gone: &'a RefCell<Vec<(usize, &'a String)>>,
) -> Vec<Push<'a>> {
    let mut pushes: Vec<Push<'_>> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let removals = item.removals();
        if removals.is_empty() && item.is_to_be_upserted() || !item.is_to_be_pushed() {
            continue;
        }
        pushes.push(Box::pin(async move {
            for removal in removals {
                match destination.delete(item.cargo_under(&removal.identity), removal).await {
                    Ok(true) => gone.borrow_mut().push((at, &removal.identity)),
                    Ok(false) => {}
                    Err(failure) => return (at, Err(failure)),
                }
            }
            (at, Ok(Remote::new()))
        }));
    }
    pushes
}

/// The upserts of a wave; and the failures of those that are not made, since what holds their identity has not let it
/// go.
fn upserts<'a, H: Host>(
    governor: &Governor<'_, H>,
    destination: &'a Destination<'a, H>,
    (items, left, renames): (&'a [Decided], &[Left], bool),
    came: &Results,
    wave: usize,
) -> (Vec<Push<'a>>, Vec<Over>) {
    let (mut pushes, mut late): (Vec<Push<'_>>, Vec<Over>) = Default::default();
    for (at, item) in items.iter().enumerate() {
        let Decision::Upsert { upsert, leaving, .. } = &item.what else {
            continue;
        };
        if item.turn.wave != wave || came[at].is_some() {
            continue;
        }
        let is_late = |first: &usize| {
            let holder = &items[*first];
            let has_let_go = item.wanted.iter().any(|wanted| left[*first].gone.contains(wanted));
            !has_let_go && (!holder.is_to_be_pushed() || matches!(came[*first], Some(Err(_))))
        };
        let first = item.turn.after.filter(is_late);
        if let Some(first) = first {
            let reason = format!("it waits until {} has let its identity go", items[first].name);
            late.push((at, Err(late_for(governor, reason))));
            continue;
        }
        let is_gone = leaving.iter().any(|removal| item.is_known_under(&removal.identity));
        // What it has under its earlier identity was deleted, or is another's by now.
        let stays_behind = !renames && item.lies_elsewhere();
        let is_made_anew = is_gone || stays_behind || (!leaving.is_empty() && item.remote.is_empty());
        pushes.push(Box::pin(async move {
            let cargo = if is_made_anew { item.cargo_anew() } else { item.cargo() };
            (at, destination.upsert(cargo, upsert).await)
        }));
    }
    (pushes, late)
}

/// The failure of a push that is not made, since something else has to come before it. It costs an attempt.
fn late_for<H: Host>(governor: &Governor<'_, H>, reason: String) -> Failure {
    let failure = governor.failed(Class::Transient, reason);
    Failure {
        upstream: "destination".into(),
        ..failure
    }
}

/// What came of the pushes of a batch, by the numbers of its items.
type Results = Vec<Option<Result<Remote, Failure>>>;

fn take_note(came: &mut Results, over: Vec<Over>) {
    over.into_iter().for_each(|(at, result)| came[at] = Some(result));
}

/// What became of an entity, by what came of its push, if there was one.
fn pushed(decided: Decided, mut left: Left, came: Option<Result<Remote, Failure>>) -> Pushed {
    let is_leaving = matches!(&decided.what, Decision::Upsert { leaving, .. } if !leaving.is_empty());
    left.has_any = is_leaving || !left.gone.is_empty();
    let item = decided.item;
    let what = match (decided.what, came) {
        (Decision::Upsert { hash, updated_s, .. }, Some(Ok(remote))) => Outcome::Upserted {
            hash,
            updated_s,
            remote,
            has_left: is_leaving,
        },
        (Decision::Delete(_), Some(Ok(_))) => Outcome::Deleted,
        (Decision::Upsert { .. } | Decision::Delete(_), Some(Err(failure))) if failure.was_not_called() => {
            Outcome::PutOff
        }
        (Decision::Upsert { hash, .. }, Some(Err(failure))) => Outcome::Failed(failure, Some(item.name_of_push(&hash))),
        (Decision::Delete(_), Some(Err(failure))) => Outcome::Failed(failure, None),
        (Decision::PutOff | Decision::Upsert { .. } | Decision::Delete(_), _) => Outcome::PutOff,
        (Decision::LetGo, _) => Outcome::LetGo,
        (Decision::Done, _) => Outcome::Done,
        (Decision::Braked, _) => Outcome::Braked,
        (Decision::Doubted, _) => Outcome::Doubted,
        (Decision::Failed(failure, name), _) => Outcome::Failed(failure, name),
    };
    Pushed {
        item,
        what,
        left,
        has_waited: decided.turn.after.is_some(),
        comes_back: decided.comes_back,
        marked: decided.marked,
        tried: decided.tried,
    }
}

/// Takes note in the books of what the destination took.
pub(crate) fn note_all<H: Host>(desk: &Desk<'_, H>, books: &mut Books, items: &[Pushed]) {
    let is_taken = |item: &Pushed| matches!(item.what, Outcome::Upserted { .. } | Outcome::Deleted);
    if items.iter().any(|item| is_taken(item) || !item.left.gone.is_empty()) {
        books.note_done(desk);
    }
    items.iter().for_each(|item| note(books, item));
}

fn note(books: &mut Books, item: &Pushed) {
    match item.what {
        Outcome::Upserted { has_left, .. } => {
            books.report(|report| report.upserts += 1);
            if has_left {
                books.note_unannounced(&item.waiting.entity);
            }
        }
        Outcome::Deleted => {
            books.report(|report| report.deletes += 1);
            match item.is_deletion_announced() {
                true => books.note_unindexed(&item.waiting.entity),
                false => books.note_unannounced(&item.waiting.entity),
            }
        }
        _ => {}
    }
}

impl Decided {
    /// What is to be deleted of the entity.
    pub(crate) fn removals(&self) -> &[Removal] {
        match &self.what {
            Decision::Upsert { leaving: removals, .. } | Decision::Delete(removals) => removals,
            _ => &[],
        }
    }

    /// Whether a deletion of the entity under an identity takes whatever lies there, be it its own or another one's.
    pub(crate) fn goes_by_identity(&self, shape: &Shape, identity: &str) -> bool {
        shape.deletes_by_identity(self.waiting.entity.kind) || !self.is_known_under(identity)
    }

    /// Whether the entity itself is to be deleted under an identity.
    fn deletes(&self, identity: &str) -> bool {
        self.removals().iter().any(|removal| removal.identity == identity)
    }
}
