//! Decides what each entity of a batch comes to: whether it is upserted, deleted, let go, held back, has failed, or
//! needs nothing.
//!
//! A decision may assume that the entity's page of the index was read, and that the lists in which shaping looks things
//! up are at hand; it makes no call and writes nothing to the store. What the destination has already is not pushed
//! again. Nothing is deleted because one request alone found it gone, and a deletion that nobody announced and that
//! lost permissions could look like has to pass the brake.

use crate::item::{Answer, Asked, Decided, Decision};
use desk::books::Books;
use desk::lookups;
use desk::session::Session;
use desk::tools::Desk;
use index::entry::{Entry, ShortDigest};
use index::pages::Pages;
use model::entity::{Kind, updated_s};
use model::failure::Class;
use serde_json::{Value, json};
use shape::{Farewell, Refusal, Shaped, source_hash};
use world::host::Host;

/// Why an entity fails where the attribute that is to give its identity has no value.
const NAMELESS: &str = "it has no value of the attribute by which the destination names it: `identity` in the shape";

/// Decides what each entity of a batch comes to; counts how many were shaped, and how long deciding took.
pub(crate) fn decide<H: Host>(session: &mut Session<'_, H>, asked: Vec<Asked>, pages: &Pages) -> Vec<Decided> {
    let began_ms = session.desk.host.monotonic_ms();
    let found = asked.iter().filter(|asked| matches!(asked.answer, Answer::Found(_)));
    let shaped = found.count() as u64;
    let items = asked
        .into_iter()
        .map(|asked| decide_one(session, asked, pages))
        .collect();
    let took_ms = session.desk.host.monotonic_ms() - began_ms;
    session.books.report(|report| {
        report.shaped += shaped;
        report.shaping_ms += took_ms;
    });
    items
}

fn decide_one<H: Host>(session: &mut Session<'_, H>, asked: Asked, pages: &Pages) -> Decided {
    let is_doubtful = asked.is_doubtful();
    let (mut item, answer) = Decided::of(asked);
    let entry = pages.get(&item.waiting.entity);
    item.is_new = entry.is_none();
    item.pushes = pages.pushes(&item.waiting.entity);
    item.pushed_s = entry.map(|entry| entry.updated_s);
    item.remote = entry.map(|entry| entry.remote.clone()).unwrap_or_default();
    let was_removed = pages.was_removed(&item.waiting.entity);
    item.what = match answer {
        Answer::None => Decision::PutOff,
        Answer::Needless => Decision::Done,
        Answer::Failed(failure) => Decision::Failed(failure, None),
        Answer::Found(entity) => decide_found(session, &mut item, entry, &entity),
        Answer::Gone { .. } => decide_gone(
            &session.desk,
            &mut session.books,
            &item,
            entry,
            is_doubtful,
            was_removed,
        ),
    };
    item
}

fn decide_gone<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    item: &Decided,
    entry: Option<&Entry>,
    is_doubtful: bool,
    was_removed: bool,
) -> Decision {
    let (entity, shape) = (&item.waiting.entity, &desk.config.shape);
    let may_be_there = entry.is_some() || item.waiting.may_be_there();
    let removal = match farewell(desk, item) {
        Some(_) if may_be_there && is_doubtful => return Decision::Doubted,
        Some(Farewell::Silent) if entry.is_some() => return Decision::LetGo,
        Some(Farewell::Sent(removal)) => removal,
        _ => return Decision::Done,
    };
    let is_announced = item.waiting.is_deletion_announced();
    let is_let_through = match entry {
        Some(_) if is_announced || item.went_with_a_model => true,
        Some(_) => books.brake_lets_through(desk, entity),
        // The destination may have the entity although the index has no entry: by a first push whose worker died or whose
        // answer told nothing, or by a push that landed after the deletion.
        None if item.waiting.is_recovered() => true,
        None if is_announced && (was_removed || item.waiting.was_made || item.may_arrive_until_s.is_some()) => true,
        None if item.waiting.was_made => books.brake_lets_unindexed_through(desk, entity),
        // The shape wants nothing of this kind, or nothing ties the entity to what may go by such a name there.
        None if !shape.wants(entity.kind) || !shape.ties_what_is_unknown(entity.kind) => return Decision::Done,
        // The index may have lost an entity that the destination has. But whoever knows the secret of a webhook can
        // announce any deletion, so the brake lets only so many of these through in a day.
        None if is_announced => books.brake_lets_unindexed_through(desk, entity),
        None => return Decision::Done,
    };
    match is_let_through {
        true => Decision::Delete(vec![*removal]),
        false => Decision::Braked,
    }
}

fn decide_found<H: Host>(
    session: &mut Session<'_, H>,
    item: &mut Decided,
    entry: Option<&Entry>,
    entity: &Value,
) -> Decision {
    let kind = item.waiting.entity.kind;
    item.updated_s = updated_s(entity);
    item.parent = entity.get("parent").and_then(Value::as_str).map(ShortDigest::of_code);
    if kind == Kind::ProductModel && !session.desk.config.shape.sends_all_of(kind) {
        item.source = Some(source_hash(entity));
    }
    match session.lists.shape(&session.desk, kind, &item.code, entity) {
        Shaped::Wanted(upsert) => {
            let hash = session.desk.config.shape.hash(kind, &upsert);
            let of_parent = item.mark_of_parent();
            let has_changing_identity = session.desk.config.shape.has_changing_identities(kind);
            item.wanted = Some(upsert.identity.clone()).filter(|_| has_changing_identity);
            let lies_under_it = item.wanted.is_none() || item.under.iter().eq(&item.wanted);
            item.lies_there = lies_under_it && entry.is_some_and(|entry| entry.hash.is_some());
            // Only the entry counts, and no identity of a push that is in flight: like contents, these are compared
            // once the push has settled.
            let is_there = entry.is_some_and(|entry| entry.is_of(&hash, of_parent.as_deref(), item.wanted.as_ref()));
            if is_there && !item.waiting.is_forced() {
                session.books.report(|report| report.unchanged += 1);
                return Decision::Done;
            }
            Decision::Upsert {
                upsert,
                hash,
                updated_s: updated_s(entity),
                leaving: Vec::new(),
            }
        }
        // The entity lies in a category that may have come up after the list of categories was read. A list younger
        // than a minute is not read anew for an element that it lacks, so until then nothing is decided.
        Shaped::Unwanted(Refusal::Categories)
            if lookups::is_ahead_of_categories(
                &mut session.backlog,
                &mut session.lists,
                kind,
                entity,
                item.waiting.newest_s().unwrap_or(0).max(updated_s(entity)),
            ) =>
        {
            Decision::PutOff
        }
        // As far as is known, nothing lies at the destination that could be deleted: people are told by a failure.
        Shaped::Unwanted(Refusal::Identity)
            if item.under.is_empty() || (entry.is_none() && !item.waiting.is_recovered()) =>
        {
            Decision::Failed(session.upstreams.pim_failure(Class::Permanent, NAMELESS), None)
        }
        Shaped::Unwanted(refusal) => decide_unwanted(&session.desk, &mut session.books, item, entry, refusal),
        Shaped::Unsendable(why) => Decision::Failed(session.upstreams.pim_failure(Class::Permanent, why), None),
    }
}

/// Decides on an entity that the shape does not want: it is deleted if the destination may have it. The deletion counts
/// towards the brake where lost permissions could look like this refusal (contract 4.10).
fn decide_unwanted<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    item: &mut Decided,
    entry: Option<&Entry>,
    refusal: Refusal,
) -> Decision {
    books.note_unwanted();
    item.comes_back = refusal == Refusal::Identity;
    let may_be_there = entry.is_some() || item.waiting.is_recovered() || item.waiting.was_made;
    let removal = match farewell(desk, item).filter(|_| may_be_there) {
        Some(Farewell::Sent(removal)) => removal,
        Some(Farewell::Silent) => return Decision::LetGo,
        None => return Decision::Done,
    };
    desk.log("unwanted", json!({ "entity": item.name, "for": refusal.name() }));
    if refusal.is_certain() || books.brake_lets_through(desk, &item.waiting.entity) {
        Decision::Delete(vec![*removal])
    } else {
        Decision::Braked
    }
}

/// What the shape has sent for an entity that the destination is to have no more, by the first identity that the entity
/// lies under there.
fn farewell(desk: &Desk<'_, impl Host>, item: &Decided) -> Option<Farewell> {
    let (kind, identity) = (item.waiting.entity.kind, item.under.first().map(String::as_str));
    desk.config.shape.farewell(kind, &item.code, identity)
}

/// Logs what would be pushed, where no destination is configured; nothing is to be done then.
pub(crate) fn dry_run<H: Host>(desk: &Desk<'_, H>, items: &mut [Decided]) {
    for item in items.iter_mut().filter(|item| item.is_to_be_pushed()) {
        let action = if matches!(item.what, Decision::Delete(..)) {
            "delete"
        } else {
            "upsert"
        };
        desk.log("dry-run", json!({ "entity": item.name, "would": action }));
        item.what = Decision::Done;
    }
}
