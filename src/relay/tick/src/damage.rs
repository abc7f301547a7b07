//! Mends the index where one of its pages is damaged, so that the damage stops one tick and not all that follow.
//!
//! The page is kept under another key. A walk finds again what a page of entities held; a page of identities is made anew
//! of what the entities' pages tell, and whatever was given up is tried once more, since who waited for an identity stood
//! in that page alone. What waits and what was in flight is set aside where it is read. Any other damage is left as it is:
//! what such a record said only a person can say.

use desk::backlog::Backlog;
use desk::books::Books;
use desk::stop::Stop;
use desk::tools::Desk;
use model::entity::Kind;
use queue::dead_letter::DeadLetter;
use queue::key::{Change, Key};
use world::host::{self, Host, StoreError, set_all};

/// Sets a page of the index aside that a tick was stopped by, and asks for a walk that finds again what a page of entities
/// held. Until then nothing of that is deleted: a walk misses only what the index has. A page of identities is made anew
/// once nothing is in flight, which is ten minutes after the last push at most: what pushes in flight claimed stood in it.
///
/// # Errors
/// If the store fails; the next tick comes upon the page again.
pub(crate) async fn mend<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    books: &mut Books,
    stop: &Stop,
) -> Result<(), StoreError> {
    let Stop::Store(StoreError::Damaged(key)) = stop else {
        return Ok(());
    };
    let keys = &desk.config.keys;
    let place = match keys.parse(key) {
        Some(Key::IndexPage(..)) => None,
        Some(Key::ClaimPage(kind, extent, _)) => Some((kind, extent)),
        _ => return Ok(()),
    };
    if !desk.lease.holds(desk.host) || (place.is_some() && !backlog.plan.in_flight.is_empty()) {
        return Ok(());
    }
    // The walk is asked for first: a tick that is killed after that costs a walk too many, and never one too few.
    books.reconciliation.walk.ask(false);
    books.reconciliation.save(desk.host, keys).await?;
    match place {
        None => desk.set_aside(key).await,
        Some(place) => match books.remade_claims(desk, place).await {
            // The index is mended first; the next tick comes upon this page again.
            Err(StoreError::Damaged(other)) => desk.set_aside(&other).await,
            Err(error) => Err(error),
            // Reading the index took too long: the next tick comes upon the page again.
            Ok(_) if !desk.lease.holds(desk.host) => Ok(()),
            Ok(mut claims) => {
                desk.keep_aside(key).await?;
                let count = try_once_more(desk, backlog, place.0).await?;
                books.note_raised(backlog, count);
                books.save_claims(desk, &mut claims).await
            }
        },
    }
}

/// Queues every entity of a kind that was given up; says how many there are.
async fn try_once_more<H: Host>(desk: &Desk<'_, H>, backlog: &Backlog, kind: Kind) -> Result<usize, StoreError> {
    let mut raised = Vec::new();
    for waiting in backlog.plan.dead().filter(|waiting| waiting.entity.kind == kind) {
        let Some(key) = waiting.dead_letters.last() else {
            continue;
        };
        let letter: Option<DeadLetter> = host::read(desk.host, key).await?;
        raised.extend(letter.map(|letter| desk.raise(kind, &letter.code, Change::Reconciled)));
    }
    set_all(desk.host, &raised).await?;
    Ok(raised.len())
}
