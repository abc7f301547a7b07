//! The walk over everything, by default once a day: categories first, if the shape wants them, then models, then
//! products, then the ends of these lists once more, then what none of them has met.
//!
//! It finds what `updated` does not tell, such as a variant that changed through its model, and what was deleted
//! without a word. Products come in the order of their UUIDs, as the index has them: between one page and the next,
//! whatever the index has and the PIM did not name was missed. Models come in an order of the PIM's own, and the pages
//! of categories shift when one is deleted meanwhile, so those that the index has are asked for by their codes. A walk
//! that does not come to its end deletes nothing.

use super::compare::{Listed, listed, queue, queue_different, queue_unread};
use super::deletions;
use super::scan::{self, Turn};
use super::sweep::sweep;
use akeneo::paging::{List, Turned};
use akeneo::pim::Page;
use desk::backlog::Backlog;
use desk::books::Books;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::{Desk, Upstreams};
use index::entry::{Entry, place_of, place_of_bytes};
use index::pages::Pages;
use model::entity::{Entity, Kind, Segment, uuid_bytes, uuid_text};
use model::failure::Class;
use model::time::CLOCKS_S;
use queue::key::{Change, Extent};
use records::reconciliation::{Figures, Scan, Step, Walk, page_came};
use serde_json::json;
use world::host::{Host, StoreError};

/// How young an entity may be, by its `updated`, for the PIM's search index not to know it yet, in seconds.
const YOUNG_S: u64 = 120;

/// Reads one page, or does what comes after the last.
pub(super) async fn step<H: Host>(session: &mut Session<'_, H>) -> Result<(), Halt> {
    let now_ms = session.desk.host.now_ms();
    let mut walk = {
        let known = &mut session.books.reconciliation.walk;
        if known.step.is_none() {
            known.begin(session.desk.config.shape.kinds(), now_ms);
        }
        known.clone()
    };
    let Some(step) = walk.step.take() else {
        return Ok(());
    };
    let next = match step.clone() {
        step @ Step::List { .. } => list(session, &mut walk, step).await.map(Some),
        step @ Step::Verify { .. } => {
            let (desk, upstreams) = (&session.desk, &mut session.upstreams);
            verify(desk, upstreams, &mut session.books, &mut walk, step)
                .await
                .map(Some)
        }
        Step::Judge => {
            let is_judged = deletions::judge(session, &mut walk).await?;
            walk.page_ms = now_ms;
            if is_judged {
                sweep(&session.desk, &session.upstreams, &session.backlog, walk.began_ms).await?;
                (walk.finished_ms, walk.trouble) = (now_ms, None);
                let period_s = session.desk.config.reconciliation.walk_s;
                walk.next_ms = period_s.map_or(0, |period_s| walk.began_ms + period_s * 1000);
            }
            Ok((!is_judged).then_some(Step::Judge))
        }
    };
    let result = match next {
        Ok(step) => {
            walk.step = step;
            Ok(())
        }
        Err(Halt::Stop(stop)) => return Err(stop.into()),
        // A cursor that is refused is not tried for ever: the walk begins anew.
        Err(Halt::Failure(failure)) if failure.class == Class::Permanent => {
            walk.ask(walk.is_forced);
            Err(failure.into())
        }
        Err(Halt::Failure(failure)) => {
            walk.step.get_or_insert(step);
            Err(failure.into())
        }
    };
    let known = &mut session.books.reconciliation.walk;
    // A list for lookups that was read meanwhile, and was found changed, has asked for another walk.
    if let Some(is_forced) = known.asked {
        walk.ask(is_forced);
    }
    *known = walk;
    result
}

async fn list<H: Host>(session: &mut Session<'_, H>, walk: &mut Walk, step: Step) -> Result<Step, Halt> {
    let Step::List {
        kind,
        mut scan,
        passed,
        is_broken,
    } = step
    else {
        return Ok(step);
    };
    let now_ms = session.desk.host.now_ms();
    let is_lasting = walk.trouble.as_ref().is_some_and(|trouble| trouble.is_lasting(now_ms));
    let asked = match scan::ask(session, kind, List::All, &mut scan).await {
        Ok(Turned::Stuck(failure)) if !is_lasting => Err(failure.into()),
        asked => asked,
    };
    let page = match asked {
        Ok(Turned::Page(page)) => page,
        Ok(Turned::Again) => {
            return Ok(Step::List {
                kind,
                scan,
                passed,
                is_broken,
            });
        }
        Ok(Turned::PassedOver(codes)) => {
            queue_unread(&session.desk, &mut session.backlog, &mut session.books, kind, &codes).await?;
            // Nothing is concluded of what lies between here and what was read last.
            let is_broken = is_broken || codes.is_empty();
            let passed = codes.into_iter().max().or(passed);
            return Ok(Step::List {
                kind,
                scan,
                passed,
                is_broken,
            });
        }
        Ok(Turned::Stuck(failure)) => {
            // One list that does not come must not keep the walk from the others.
            session.desk.log_failure(
                "walk",
                json!({ "kind": kind.name(), "left": scan.seen, "reason": failure.reason }),
            );
            walk.trouble = None;
            return Ok(end_list(walk, kind, &scan, now_ms, Some(failure.reason)));
        }
        Err(Halt::Stop(stop)) => return Err(stop.into()),
        Err(Halt::Failure(failure)) => {
            // What the scan learned on the way is kept, or the same answer would be judged for ever.
            walk.step = Some(Step::List {
                kind,
                scan,
                passed,
                is_broken,
            });
            return Err(failure.into());
        }
    };
    walk.page_ms = now_ms;
    let listed = listed(kind, &page.items);
    // A page that is read again, to be sure that it is the last one, was forced at its first sight.
    let is_forced = walk.is_forced && scan.short_ms.is_none();
    scan.found += queue_different(session, kind, &listed, is_forced).await?;
    page_came(&mut walk.trouble);
    let turn = scan::turn(&mut scan, &page, now_ms);
    let is_broken = is_broken || page.nameless > 0;
    let is_closing = kind == Kind::Product && turn != Turn::Again;
    let passed = if is_closing {
        let stretch = Stretch {
            passed,
            is_broken,
            is_end: turn == Turn::End,
        };
        let (backlog, books) = (&mut session.backlog, &mut session.books);
        close(&session.desk, (backlog, books), walk, stretch, &listed, &page).await?
    } else {
        passed
    };
    let is_broken = is_broken && turn == Turn::Again;
    if turn == Turn::End {
        return Ok(end_list(walk, kind, &scan, now_ms, None));
    }
    let step = Step::List {
        kind,
        scan,
        passed,
        is_broken,
    };
    if turn == Turn::Again {
        // The minute until the page is read again is used for the next list.
        walk.unsure.push(step);
        return Ok(walk.after(kind, now_ms));
    }
    Ok(step)
}

/// The list of a kind has come to its end, or is left before it for a reason; says what is next.
fn end_list(walk: &mut Walk, kind: Kind, scan: &Scan, now_ms: u64, cut: Option<String>) -> Step {
    let figures = Figures {
        finished_ms: now_ms,
        pages: scan.pages,
        seen: scan.seen,
        found: scan.found,
        missing: 0,
        unread: scan.unread,
        cut,
    };
    walk.last.set(kind, Some(figures));
    match kind {
        Kind::Product => walk.after(kind, now_ms),
        kind => Step::Verify {
            kind,
            after: None,
            is_doubted: false,
        },
    }
}

/// What lies between two pages of products.
struct Stretch {
    /// The last UUID of the page before.
    passed: Option<String>,
    /// Whether something in it was passed over, at a UUID that is not known.
    is_broken: bool,
    /// Whether it reaches to the end of the list.
    is_end: bool,
}

/// Marks the products of the index that lie between the last page and the end of this one and are not on it; says what
/// was passed. Those among them that are being pushed are queued, since no mark of theirs would stay.
async fn close<H: Host>(
    desk: &Desk<'_, H>,
    (backlog, books): (&mut Backlog, &mut Books),
    walk: &mut Walk,
    stretch: Stretch,
    listed: &[Listed<'_>],
    page: &Page,
) -> Result<Option<String>, Stop> {
    let uuids: Vec<[u8; 16]> = listed.iter().filter_map(|listed| uuid_bytes(&listed.code)).collect();
    let passed = stretch.passed.as_deref().and_then(uuid_bytes);
    let is_ordered =
        uuids.is_sorted_by(|one, other| one < other) && uuids.first().is_none_or(|first| passed < Some(*first));
    walk.is_unordered |= !is_ordered;
    let last = uuids.last().copied();
    // Of a stretch in which something was passed over, only what lies on this page and between is known.
    let from = if stretch.is_broken {
        uuids.first().copied()
    } else {
        passed
    };
    let is_unknown = last.is_none() && (stretch.is_broken || !stretch.is_end);
    if walk.is_unordered || is_unknown {
        return Ok(stretch.passed);
    }
    let to = last.filter(|_| !stretch.is_end);
    let uuid_of = |segment: &Segment| segment.code().as_deref().and_then(uuid_bytes);
    let is_listed = |segment: &Segment| uuid_of(segment).is_some_and(|uuid| uuids.binary_search(&uuid).is_ok());
    let is_passed =
        |segment: &Segment| uuid_of(segment).is_some_and(|uuid| from < Some(uuid) && to.is_none_or(|to| uuid <= to));
    let under_way = backlog.under_way().iter().filter(|entity| entity.kind == Kind::Product);
    let unmet = under_way.filter(|entity| is_passed(&entity.segment) && !is_listed(&entity.segment));
    let unmet: Vec<(Entity, String)> = unmet
        .filter_map(|entity| Some((entity.clone(), entity.segment.code()?)))
        .collect();
    let unmet: Vec<(&Entity, &str)> = unmet.iter().map(|(entity, code)| (entity, code.as_str())).collect();
    queue(desk, backlog, books, &unmet, Change::Reconciled).await?;
    let date_s = page.date_s.unwrap_or_else(|| desk.now_s());
    let begin = from.map_or(0, |from| place_of_bytes(&from));
    let end = to.map_or(u128::MAX, |to| place_of_bytes(&to));
    let mut next = Some(begin);
    while let Some(place) = next.filter(|place| *place <= end) {
        next = books.index.extent_at(Kind::Product, place).last.checked_add(1);
        let mut pages = books.load_page(desk, Kind::Product, place).await?;
        let (mut missed, mut met) = (Vec::new(), Vec::new());
        for (_, segment, entry) in pages.entries(Kind::Product, place) {
            if is_listed(segment) {
                met.push(Entity::of(Kind::Product, segment));
            } else if is_passed(segment) && !is_young(entry, date_s) {
                missed.push(Entity::of(Kind::Product, segment));
            }
        }
        note_misses(desk, books, walk.number, &mut pages, &missed, &met).await?;
    }
    Ok(last.map(|last| uuid_text(&last)).or(stretch.passed))
}

/// Whether the PIM's search index may not know an entity yet. An `updated` that lies far ahead tells nothing: some PIMs
/// write it with an offset that is not the one of its digits.
fn is_young(entry: &Entry, date_s: u64) -> bool {
    (date_s.saturating_sub(YOUNG_S - 1)..=date_s + CLOCKS_S).contains(&entry.updated_s)
}

/// Notes what a walk missed, and takes the notes from what it met, in index pages that were read just now.
async fn note_misses<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    walk: u64,
    pages: &mut Pages,
    missed: &[Entity],
    met: &[Entity],
) -> Result<(), Stop> {
    for entity in missed {
        pages.miss(entity, walk);
    }
    for entity in met {
        pages.meet(entity);
    }
    desk.check_lease()?;
    Ok(books.save_pages(desk, pages).await?)
}

/// Asks the PIM for the next models or categories of the index, a hundred or as many as come at once, and marks those
/// that it does not name. Where it does not answer even for one alone, nothing is concluded of that one.
async fn verify<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &mut Upstreams<'_, H>,
    books: &mut Books,
    walk: &mut Walk,
    step: Step,
) -> Result<Step, Halt> {
    let Step::Verify {
        kind,
        after,
        is_doubted,
    } = step
    else {
        return Ok(step);
    };
    let again = |is_doubted| Step::Verify {
        kind,
        after: after.clone(),
        is_doubted,
    };
    let most = if is_doubted {
        1
    } else {
        upstreams.pim.page_size(kind.name())
    };
    let mut asked = next_of_index(desk, books, kind, after.as_ref(), most).await?;
    let is_too_long = |asked: &[(Entity, String)]| {
        let codes: Vec<&str> = asked.iter().map(|(_, code)| code.as_str()).collect();
        upstreams.pim.is_too_long(kind, &codes)
    };
    while is_too_long(&asked) {
        asked.truncate(asked.len() / 2);
    }
    let Some((last, _)) = asked.last() else {
        return Ok(walk.after(kind, desk.host.now_ms()));
    };
    let next = Step::Verify {
        kind,
        after: Some(last.segment.clone()),
        is_doubted: false,
    };
    walk.page_ms = desk.host.now_ms();
    if is_doubted {
        return match upstreams.pim.answers(kind).await {
            Ok(()) => {
                walk.last.at(kind).unread += 1;
                let codes: Vec<&String> = asked.iter().map(|(_, code)| code).collect();
                desk.log_failure("unread", json!({ "kind": kind.name(), "ids": codes }));
                Ok(next)
            }
            Err(failure) => {
                // The entity is asked for again: where the PIM answers nobody, its silence says nothing of one entity.
                walk.step = (!failure.was_not_called()).then(|| again(false));
                Err(failure.into())
            }
        };
    }
    let codes: Vec<&str> = asked.iter().map(|(_, code)| code.as_str()).collect();
    let found = match upstreams.pim.list(kind, &codes, 0).await {
        Ok(found) => found,
        Err(failure) if upstreams.pim.page_narrows(kind.name(), codes.len(), &failure) => {
            return Ok(again(false));
        }
        Err(failure) if failure.is_for_size() && codes.len() == 1 => return Ok(again(true)),
        Err(failure) => return Err(failure.into()),
    };
    upstreams.pim.page_came(kind.name());
    page_came(&mut walk.trouble);
    let found = listed(kind, &found);
    let is_named = |entity: &Entity| found.iter().any(|listed| listed.entity == *entity);
    let asked = asked.into_iter().map(|(entity, _)| entity);
    let (met, missing): (Vec<Entity>, Vec<Entity>) = asked.partition(is_named);
    // The pages are read only now: the index may have changed while the PIM was asked.
    let mut pages = books.load_pages(desk, met.iter().chain(&missing)).await?;
    let now_s = desk.now_s();
    let is_old = |entity: &&Entity| pages.get(entity).is_some_and(|entry| !is_young(entry, now_s));
    let missed: Vec<Entity> = missing.iter().filter(is_old).cloned().collect();
    note_misses(desk, books, walk.number, &mut pages, &missed, &met).await?;
    Ok(next)
}

/// Up to so many entities of the index, behind one in the order of their places.
async fn next_of_index<H: Host>(
    desk: &Desk<'_, H>,
    books: &Books,
    kind: Kind,
    after: Option<&Segment>,
    most: usize,
) -> Result<Vec<(Entity, String)>, StoreError> {
    let after = after.map(|after| place_of(&Entity::of(kind, after)));
    let mut next = Vec::new();
    for Extent { first, .. } in books.index.extents(kind, after.unwrap_or(0)) {
        let pages = books.load_page(desk, kind, first).await?;
        for (place, segment, entry) in pages.entries(kind, first) {
            if Some(place) <= after {
                continue;
            }
            if next.len() == most {
                return Ok(next);
            }
            if let Some(code) = segment.code().or_else(|| entry.code.clone()) {
                next.push((Entity::of(kind, segment), code));
            }
        }
    }
    Ok(next)
}
