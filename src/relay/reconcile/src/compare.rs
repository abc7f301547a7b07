//! Compares what a list of the PIM gave with what was last pushed, and queues what differs.
//!
//! It may assume that the backlog has room for a page. It queues no entity that waits already, nor one of which just
//! the same lies refused in the dead letters, unless a person has forced all. Nothing is pushed or deleted here.

use desk::backlog::Backlog;
use desk::books::Books;
use desk::lookups;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::Desk;
use index::entry::{mark_of, name_of_push};
use model::entity::{Entity, Kind, updated_s};
use queue::dead_letter::DeadLetter;
use queue::key::Change;
use serde_json::Value;
use shape::{Refusal, Shaped};
use world::host::{self, Host, StoreError, set_all};

/// An entity as a list gave it.
pub(super) struct Listed<'a> {
    pub(super) entity: Entity,
    pub(super) code: String,
    body: &'a Value,
}

/// The entities of a page; what has no id is left out.
pub(super) fn listed(kind: Kind, items: &[Value]) -> Vec<Listed<'_>> {
    let listed = items.iter().filter_map(|body| {
        let code = kind.id_in(body)?;
        let entity = Entity::new(kind, &code);
        Some(Listed { entity, code, body })
    });
    listed.collect()
}

/// The offset from UTC that the newest `updated` of a page was written with, in seconds, and that `updated` in seconds
/// since the Unix epoch.
pub(super) fn newest(items: &[Value]) -> Option<(u64, Option<i64>)> {
    let newest = items.iter().max_by_key(|body| updated_s(body))?;
    let offset_s = newest
        .get("updated")
        .and_then(Value::as_str)
        .and_then(model::time::offset_s);
    Some((updated_s(newest), offset_s))
}

/// What an entity comes to, against what was last pushed.
pub(super) enum Verdict {
    /// New, or different; with what a dead letter of just this would hold.
    Push(String),
    /// Refused by the selection, and at the destination.
    Delete,
    /// As it was pushed.
    Skip,
    /// Refused by the selection, and not at the destination.
    Ignore,
    /// The entity cannot be sent, or lacks the attribute that says what it is called.
    Unsendable,
}

/// What each entity of a page comes to.
pub(super) async fn judge<H: Host>(
    session: &mut Session<'_, H>,
    kind: Kind,
    listed: &[Listed<'_>],
) -> Result<Vec<Verdict>, Halt> {
    let bodies: Vec<&Value> = listed.iter().map(|listed| listed.body).collect();
    lookups::bring(session, kind, &bodies).await?;
    let mut pages = session
        .books
        .load_pages(&session.desk, listed.iter().map(|listed| &listed.entity))
        .await?;
    let shape = &session.desk.config.shape;
    let (names_of_parents, has_changing_identities) =
        (shape.names_of_parents(kind), shape.has_changing_identities(kind));
    if !names_of_parents.is_empty() {
        for parent in listed.iter().filter_map(|listed| kind.parent_in(listed.body)) {
            session.books.read_page_of(&session.desk, &mut pages, &parent).await?;
        }
    }
    let of_parent = |body: &Value| {
        let parent = kind.parent_in(body).filter(|_| !names_of_parents.is_empty())?;
        let mut remote = pages.get(&parent).map(|entry| entry.remote.clone()).unwrap_or_default();
        remote.retain(|name, _| names_of_parents.contains(&name.as_str()));
        Some(mark_of(&remote))
    };
    let verdict = |listed: &Listed<'_>| {
        let entry = pages.get(&listed.entity);
        match session.lists.shape(&session.desk, kind, &listed.code, listed.body) {
            Shaped::Wanted(upsert) => {
                let hash = session.desk.config.shape.hash(kind, &upsert);
                // What an entity is called, and what was given of its parent, may be in no part of what counts for the hash.
                let identity = Some(&upsert.identity).filter(|_| has_changing_identities);
                let of_parent = of_parent(listed.body);
                let of_parent = of_parent.as_deref();
                match entry.is_some_and(|entry| entry.is_of(&hash, of_parent, identity)) {
                    true => Verdict::Skip,
                    false => Verdict::Push(name_of_push(&hash, of_parent, identity)),
                }
            }
            Shaped::Unwanted(_) if entry.is_some() => Verdict::Delete,
            Shaped::Unwanted(Refusal::Identity) => Verdict::Unsendable,
            Shaped::Unwanted(_) => Verdict::Ignore,
            Shaped::Unsendable(_) => Verdict::Unsendable,
        }
    };
    Ok(listed.iter().map(verdict).collect())
}

/// Queues the entities of a page that differ from what was last pushed, or all of them if the walk is forced; says how
/// many.
pub(super) async fn queue_different<H: Host>(
    session: &mut Session<'_, H>,
    kind: Kind,
    listed: &[Listed<'_>],
    is_forced: bool,
) -> Result<u64, Halt> {
    let change = if is_forced { Change::Forced } else { Change::Reconciled };
    let verdicts = judge(session, kind, listed).await?;
    let mut different = Vec::new();
    for (listed, verdict) in listed.iter().zip(&verdicts) {
        // The index is about to tell something else of what is being pushed.
        if is_forced
            || session.backlog.under_way().contains(&listed.entity)
            || is_to_be_queued(&session.desk, &session.backlog, &session.books, &listed.entity, verdict).await?
        {
            different.push((&listed.entity, listed.code.as_str()));
        }
    }
    let (backlog, books) = (&mut session.backlog, &mut session.books);
    Ok(queue(&session.desk, backlog, books, &different, change).await?)
}

/// Queues entities that do not wait already; says how many.
pub(super) async fn queue<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    books: &mut Books,
    entities: &[(&Entity, &str)],
    change: Change,
) -> Result<u64, Stop> {
    let new: Vec<_> = entities
        .iter()
        .filter(|(entity, _)| !backlog.is_waiting(entity, change))
        .collect();
    let raised: Vec<(String, Vec<u8>)> = new
        .iter()
        .map(|(entity, code)| desk.raise(entity.kind, code, change))
        .collect();
    desk.check_lease()?;
    set_all(desk.host, &raised).await?;
    books.note_raised(backlog, new.len());
    backlog.note_queued(new.iter().map(|(entity, _)| (*entity).clone()));
    Ok(raised.len() as u64)
}

/// Queues entities that a list did not give and that were passed over there: read by its id such an entity may come,
/// and if it does not, it ends in the dead letters, where people see it.
pub(super) async fn queue_unread<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    books: &mut Books,
    kind: Kind,
    codes: &[String],
) -> Result<(), Stop> {
    for code in codes {
        let entity = Entity::new(kind, code);
        if !is_refused(desk, backlog, books, &entity, &Verdict::Unsendable).await? {
            queue(desk, backlog, books, &[(&entity, code)], Change::Reconciled).await?;
        }
    }
    Ok(())
}

/// Whether an entity is not as it was last pushed, and is worth another try.
async fn is_to_be_queued<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    books: &Books,
    entity: &Entity,
    verdict: &Verdict,
) -> Result<bool, StoreError> {
    Ok(match verdict {
        Verdict::Ignore => false,
        // A dead letter says that the entity could not be read. Now it can be, and the dead letter goes once it was.
        Verdict::Skip => is_refused(desk, backlog, books, entity, &Verdict::Unsendable).await?,
        Verdict::Push(_) | Verdict::Delete | Verdict::Unsendable => {
            !is_refused(desk, backlog, books, entity, verdict).await?
        }
    })
}

/// Whether a dead letter of the entity is of this very verdict, so that queueing it would only fail again.
pub(super) async fn is_refused<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    books: &Books,
    entity: &Entity,
    verdict: &Verdict,
) -> Result<bool, StoreError> {
    let is_of = |letter: &DeadLetter, upstream: &str| {
        letter.hash.is_none() && letter.failures.last().is_some_and(|last| *last.upstream == *upstream)
    };
    // A dead letter from before the index was emptied is of a former destination, and tells nothing of the new one.
    let emptied_s = books.reconciliation.emptied_s(desk.now_s());
    let is_just_this = |letter: DeadLetter| match verdict {
        _ if letter.failed_s < emptied_s => false,
        Verdict::Push(name) => letter.hash.as_ref() == Some(name),
        // A dead letter has no hash where the destination refused a deletion, which then failed last, or where the
        // entity could not even be read: then the PIM failed last.
        Verdict::Delete => is_of(&letter, "destination"),
        _ => is_of(&letter, "pim"),
    };
    let letters = backlog.plan.find(entity).map(|waiting| waiting.dead_letters);
    for key in letters.into_iter().flatten() {
        let letter: Option<DeadLetter> = host::read(desk.host, &key).await?;
        if letter.is_some_and(is_just_this) {
            return Ok(true);
        }
    }
    Ok(false)
}
