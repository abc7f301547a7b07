//! What each entity of a batch comes to.

use crate::item::{Item, Stage};
use desk::books::Books;
use desk::enrichment;
use desk::session::Session;
use desk::tools::Desk;
use model::entity::{Kind, updated_s};
use model::failure::Class;
use queue::entry::{Entry, Mark};
use queue::index::Pages;
use serde_json::{Value, json};
use shape::{Refusal, Shaped, source_hash};
use world::host::Host;

/// Decides what each entity comes to.
pub(crate) fn decide<H: Host>(session: &mut Session<'_, H>, items: &mut [Item], pages: &Pages) {
    let began_ms = session.desk.host.monotonic_ms();
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
            Stage::Gone => match session.desk.config.shape.removal(kind, &item.code) {
                Some(_) if (entry.is_some() || item.waiting.may_be_there()) && item.is_doubtful() => Stage::Doubted,
                // Announced: deleted in any case, since an index may have lost what the destination has.
                Some(removal) if item.waiting.is_deletion_announced() => Stage::Delete(removal),
                // The destination may have it although the index has no entry: a push that landed after the deletion, or a
                // first push whose worker died. It is deleted to be sure.
                Some(removal) if entry.is_none() && item.waiting.is_recovered() => Stage::Delete(removal),
                Some(removal) if entry.is_some() => {
                    if item.went_with_a_model || session.books.brake_lets_through(&session.desk, &item.waiting.entity) {
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
    let took_ms = session.desk.host.monotonic_ms() - began_ms;
    session.books.report(|report| {
        report.shaped += shaped;
        report.shaping_ms += took_ms;
    });
}

fn decide_found<H: Host>(
    session: &mut Session<'_, H>,
    item: &mut Item,
    entry: Option<&Entry>,
    entity: &Value,
) -> Stage {
    let kind = item.waiting.entity.kind;
    item.updated_s = updated_s(entity);
    item.parent = entity.get("parent").and_then(Value::as_str).map(Mark::of_model);
    if kind == Kind::ProductModel && !session.desk.config.shape.sends_all_of(kind) {
        item.source = Some(source_hash(entity));
    }
    match session.lists.shape(&session.desk, kind, &item.code, entity) {
        Shaped::Wanted(upsert) => {
            let hash = session.desk.config.shape.hash(kind, &upsert);
            let is_there = entry.is_some_and(|entry| entry.hash.as_ref() == Some(&hash));
            if is_there && !item.waiting.is_forced() {
                session.books.report(|report| report.unchanged += 1);
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
            if enrichment::is_ahead_of_categories(
                &mut session.backlog,
                &mut session.lists,
                kind,
                entity,
                item.waiting.newest_s().unwrap_or(0).max(updated_s(entity)),
            ) =>
        {
            Stage::Waiting
        }
        Shaped::Unwanted(refusal) => decide_unwanted(&session.desk, &mut session.books, item, entry, refusal),
        Shaped::Unsendable(why) => Stage::Failed(session.upstreams.pim_failure(Class::Permanent, why), None),
    }
}

/// What the destination is not to have is deleted if it may have it. That counts towards the brake where lost
/// permissions could look like it.
fn decide_unwanted<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    item: &Item,
    entry: Option<&Entry>,
    refusal: Refusal,
) -> Stage {
    books.note_unwanted();
    let removal = desk.config.shape.removal(item.waiting.entity.kind, &item.code);
    let Some(removal) = removal.filter(|_| entry.is_some() || item.waiting.is_recovered()) else {
        return Stage::Done;
    };
    desk.log("unwanted", json!({ "entity": item.name, "for": refusal.name() }));
    if refusal.is_certain() || books.brake_lets_through(desk, &item.waiting.entity) {
        Stage::Delete(removal)
    } else {
        Stage::Braked
    }
}

/// Nothing is configured to push to: says what would be pushed.
pub(crate) fn dry_run<H: Host>(desk: &Desk<'_, H>, items: &mut [Item]) {
    for item in items.iter_mut().filter(|item| item.is_to_be_pushed()) {
        let action = if matches!(item.stage, Stage::Delete(..)) {
            "delete"
        } else {
            "upsert"
        };
        desk.log("dry-run", json!({ "entity": item.name, "would": action }));
        item.stage = Stage::Done;
    }
}
