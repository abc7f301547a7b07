//! The walk over everything, by default once a day: categories first, if the shape wants them, then models, then
//! products, then what none of them has met.
//!
//! It finds what `updated` does not tell, such as a variant that changed through its model, and what was deleted
//! without a word. Products come in the order of their UUIDs, as the index has them: between one page and the next,
//! whatever the index has and the PIM did not name was missed. Models come in an order of the PIM's own, and the pages of
//! categories shift when one is deleted meanwhile, so those that the index has are asked for by their codes. A walk that
//! does not come to its end deletes nothing.

use super::compare::{Listed, listed, queue_different};
use super::deletions::{self, Raising};
use super::scan::{Scan, Turn};
use super::{Trouble, after_trouble};
use crate::batch::Stop;
use crate::config::ReconciliationConfig;
use crate::entity::{Entity, Kind, Segment, uuid_bytes, uuid_text};
use crate::failure::{Class, Failure};
use crate::host::{Host, StoreError};
use crate::index::{Entry, PAGES, Pages, page_of, page_of_uuid};
use crate::pim::Page;
use crate::plan::BATCH_MAX;
use crate::session::Session;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much time lies between two pages at least, in milliseconds: the PIM has more to do than this.
const PACE_MS: u64 = 1000;

/// How young an entity may be, by its `updated`, for the PIM's search index not to know it yet, in seconds.
const YOUNG_S: u64 = 120;

/// The walk: the one under way, and the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Walk {
    /// The number of the walk, by which the index marks what it missed; each is greater than the one before.
    pub number: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// Where it is; none if none is under way.
    pub step: Option<Step>,
    /// Whether it pushes everything, changed or not.
    pub is_forced: bool,
    /// Whether products do not come in the order of their UUIDs: then nothing is known to be missing.
    pub is_unordered: bool,
    /// Another one, right after, and whether that is forced.
    pub asked: Option<bool>,
    /// When the last page was read, in milliseconds since the Unix epoch.
    pub page_ms: u64,
    /// When the last one came to its end, in milliseconds since the Unix epoch.
    pub finished_ms: u64,
    /// When the next one is due, for people, in milliseconds since the Unix epoch; 0 if only somebody's asking begins it.
    pub next_ms: u64,
    /// What the last one saw of each kind.
    pub last: BTreeMap<Kind, Figures>,
    /// The number of the last one that was judged.
    pub judged: u64,
    /// How many entities that it missed the brake keeps from being looked at.
    pub withheld: u64,
    /// What it missed and is being queued.
    pub raising: Option<Raising>,
    /// What keeps it from its end.
    pub trouble: Option<Trouble>,
}

/// What a walk saw of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// When its list came to its end, in milliseconds since the Unix epoch.
    pub finished_ms: u64,
    /// Pages read.
    pub pages: u64,
    /// Entities seen.
    pub seen: u64,
    /// Entities queued.
    pub found: u64,
    /// Entities of the index that the PIM did not name.
    pub missing: u64,
}

/// Where a walk is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Reading all of a kind.
    List {
        /// The kind.
        kind: Kind,
        /// How far.
        scan: Scan,
        /// The last UUID that was passed.
        passed: Option<String>,
    },
    /// Asking for the models or categories that the index has, from this page of it on, behind this entry.
    Verify {
        /// The kind.
        #[serde(default = "models")]
        kind: Kind,
        /// The page.
        page: u8,
        /// The entry.
        after: Option<Segment>,
    },
    /// Judging what was missed.
    Judge,
}

/// What older records do not say.
fn models() -> Kind {
    Kind::ProductModel
}

impl Walk {
    /// Asks for a walk: behind the one under way, which may have passed what it is asked for.
    pub(crate) fn ask(&mut self, is_forced: bool) {
        self.asked = Some(is_forced || self.asked == Some(true));
    }

    /// When there is something to do, in milliseconds since the Unix epoch.
    pub(super) fn due_ms(&self, periods: &ReconciliationConfig, now_ms: u64) -> Option<u64> {
        // A moment that lies ahead is of a clock that was wrong.
        let page_ms = if self.page_ms <= now_ms { self.page_ms } else { 0 };
        let due_ms = match &self.step {
            Some(Step::List { scan, .. }) => scan.due_ms(now_ms).max(page_ms + PACE_MS),
            Some(Step::Verify { .. }) => page_ms + PACE_MS,
            Some(Step::Judge) => 0,
            None if self.asked.is_some() => 0,
            None if self.finished_ms > 0 && self.began_ms <= now_ms => self.began_ms + periods.walk_s? * 1000,
            None => periods.walk_s.map(|_| 0)?,
        };
        Some(after_trouble(due_ms, self.trouble.as_ref(), now_ms))
    }

    fn begin(&mut self, kinds: &[Kind], now_ms: u64) {
        self.number = now_ms.max(self.number + 1);
        self.began_ms = now_ms;
        self.is_forced = self.asked.take().unwrap_or(false);
        self.is_unordered = false;
        let is_first = |kind: &&Kind| **kind == Kind::Category;
        let first = kinds.iter().find(is_first).copied().unwrap_or(Kind::ProductModel);
        self.step = Some(Step::list(first, now_ms));
    }

    /// What a released brake lets go of what was withheld; says whether there was anything.
    pub(super) fn let_go(&mut self, is_released: bool) -> bool {
        if !is_released || self.withheld == 0 || self.raising.is_some() {
            return false;
        }
        self.withheld = 0;
        self.raising = Some(Raising::of(self.judged));
        true
    }
}

impl Step {
    fn list(kind: Kind, now_ms: u64) -> Step {
        Step::List {
            kind,
            scan: Scan::begin(now_ms),
            passed: None,
        }
    }
}

/// Reads one page, or does what comes after the last.
pub(super) async fn step<H: Host>(session: &Session<'_, H>) -> Result<Result<(), Failure>, Stop> {
    let now_ms = session.host.now_ms();
    let mut walk = {
        let known = &mut session.reconciliation.borrow_mut().walk;
        if known.step.is_none() {
            known.begin(session.config.shape.kinds(), now_ms);
        }
        known.clone()
    };
    let Some(step) = walk.step.take() else {
        return Ok(Ok(()));
    };
    let next = match step.clone() {
        Step::List { kind, scan, passed } => list(session, &mut walk, kind, scan, passed).await?,
        Step::Verify { kind, page, after } => verify(session, &mut walk, kind, page, after).await?,
        Step::Judge => {
            deletions::judge(session, &mut walk).await?;
            (walk.finished_ms, walk.trouble) = (now_ms, None);
            let period_s = session.config.reconciliation.walk_s;
            walk.next_ms = period_s.map_or(0, |period_s| walk.began_ms + period_s * 1000);
            Ok(None)
        }
    };
    let result = match next {
        Ok(step) => {
            walk.step = step;
            Ok(())
        }
        // A cursor that is refused is not tried for ever: the walk begins anew.
        Err(failure) if failure.class == Class::Permanent => {
            walk.ask(walk.is_forced);
            Err(failure)
        }
        Err(failure) => {
            walk.step = Some(step);
            Err(failure)
        }
    };
    let known = &mut session.reconciliation.borrow_mut().walk;
    // A list that was read meanwhile, and has changed, asks for the next one.
    if let Some(is_forced) = known.asked {
        walk.ask(is_forced);
    }
    *known = walk;
    Ok(result)
}

async fn list<H: Host>(
    session: &Session<'_, H>,
    walk: &mut Walk,
    kind: Kind,
    mut scan: Scan,
    passed: Option<String>,
) -> Result<Result<Option<Step>, Failure>, Stop> {
    let now_ms = session.host.now_ms();
    walk.page_ms = now_ms;
    let page = match session.read_page(kind, None, &scan).await {
        Ok(page) => page,
        Err(failure) => return Ok(Err(failure)),
    };
    let listed = listed(kind, &page.items);
    // What is read again to be sure of the end was pushed at its first sight.
    let is_forced = walk.is_forced && scan.short_ms.is_none();
    scan.found += match queue_different(session, kind, &listed, is_forced).await? {
        Ok(found) => found,
        Err(failure) => return Ok(Err(failure)),
    };
    let turn = scan.turn(&page, now_ms);
    let passed = match (kind, turn) {
        (Kind::Product, Turn::On | Turn::End) => close(session, walk, passed, &listed, &page, turn).await?,
        _ => passed,
    };
    if turn != Turn::End {
        return Ok(Ok(Some(Step::List { kind, scan, passed })));
    }
    let figures = Figures {
        finished_ms: now_ms,
        pages: scan.pages,
        seen: scan.seen,
        found: scan.found,
        missing: 0,
    };
    walk.last.insert(kind, figures);
    Ok(Ok(Some(match kind {
        Kind::Product => Step::Judge,
        kind => Step::Verify {
            kind,
            page: 0,
            after: None,
        },
    })))
}

/// Marks the products of the index that lie between the last page and the end of this one and are not on it; says what
/// was passed.
async fn close<H: Host>(
    session: &Session<'_, H>,
    walk: &mut Walk,
    passed: Option<String>,
    listed: &[Listed<'_>],
    page: &Page,
    turn: Turn,
) -> Result<Option<String>, Stop> {
    let uuids: Vec<[u8; 16]> = listed.iter().filter_map(|listed| uuid_bytes(&listed.code)).collect();
    let from = passed.as_deref().and_then(uuid_bytes);
    let is_ordered =
        uuids.is_sorted_by(|one, other| one < other) && uuids.first().is_none_or(|first| from < Some(*first));
    walk.is_unordered |= !is_ordered;
    let (is_end, last) = (turn == Turn::End, uuids.last().copied());
    if walk.is_unordered || (last.is_none() && !is_end) {
        return Ok(passed);
    }
    let to = last.filter(|_| !is_end);
    let is_passed = |segment: &Segment| {
        let uuid = segment.code().as_deref().and_then(uuid_bytes);
        uuid.is_some_and(|uuid| {
            from < Some(uuid) && to.is_none_or(|to| uuid <= to) && uuids.binary_search(&uuid).is_err()
        })
    };
    let date_s = page.date_s.unwrap_or_else(|| session.now_s());
    for number in from.map_or(0, |from| page_of_uuid(&from))..=to.map_or(PAGES - 1, |to| page_of_uuid(&to)) {
        let mut pages = session.load_page(Kind::Product, number).await?;
        let entries = pages.entries(Kind::Product, number);
        let missed = entries.filter(|(segment, entry)| is_passed(segment) && !is_young(entry, date_s));
        let missed: Vec<Entity> = missed.map(|(segment, _)| Entity::of(Kind::Product, segment)).collect();
        mark(session, walk.number, &mut pages, &missed).await?;
    }
    Ok(last.map(|last| uuid_text(&last)).or(passed))
}

/// Whether the PIM's search index may not know an entity yet.
fn is_young(entry: &Entry, date_s: u64) -> bool {
    entry.updated_s + YOUNG_S > date_s
}

/// Marks what a walk did not meet, in index pages that were read just now.
async fn mark<H: Host>(session: &Session<'_, H>, walk: u64, pages: &mut Pages, missed: &[Entity]) -> Result<(), Stop> {
    for entity in missed {
        pages.miss(entity, walk);
    }
    session.check_lease()?;
    Ok(session.save_pages(pages).await?)
}

/// Asks for the next hundred of the models or categories that the index has, and marks those that the PIM does not name.
async fn verify<H: Host>(
    session: &Session<'_, H>,
    walk: &mut Walk,
    kind: Kind,
    page: u8,
    after: Option<Segment>,
) -> Result<Result<Option<Step>, Failure>, Stop> {
    let asked = next_of_index(session, kind, page, after).await?;
    let Some((last, _)) = asked.last() else {
        let next = match kind {
            Kind::Category => Kind::ProductModel,
            _ => Kind::Product,
        };
        return Ok(Ok(Some(Step::list(next, session.host.now_ms()))));
    };
    let next = Step::Verify {
        kind,
        page: page_of(last),
        after: Some(last.segment.clone()),
    };
    walk.page_ms = session.host.now_ms();
    let missing = match missing(session, kind, &asked).await {
        Ok(missing) => missing,
        Err(failure) => return Ok(Err(failure)),
    };
    // Read now: the index may have changed while the PIM was asked.
    let mut pages = session.load_pages(&missing).await?;
    let now_s = session.now_s();
    let is_old = |entity: &&Entity| pages.get(entity).is_some_and(|entry| !is_young(entry, now_s));
    let missed: Vec<Entity> = missing.iter().filter(is_old).cloned().collect();
    mark(session, walk.number, &mut pages, &missed).await?;
    Ok(Ok(Some(next)))
}

/// Those that the PIM does not name when it is asked for them. A list that is refused whole is halved; what is refused
/// alone counts as named.
async fn missing<H: Host>(
    session: &Session<'_, H>,
    kind: Kind,
    asked: &[(Entity, String)],
) -> Result<Vec<Entity>, Failure> {
    let mut missing = Vec::new();
    let mut parts = vec![asked];
    while let Some(part) = parts.pop() {
        let codes: Vec<&str> = part.iter().map(|(_, code)| code.as_str()).collect();
        let result = if session.pim.is_too_long(kind, &codes) {
            None
        } else {
            match session.pim.list(kind, &codes, 0).await {
                Err(failure) if failure.class == Class::Permanent => None,
                result => Some(result?),
            }
        };
        match result {
            Some(found) => {
                let found = listed(kind, &found);
                let is_named = |entity: &Entity| found.iter().any(|listed| listed.entity == *entity);
                let unnamed = part.iter().filter(|(entity, _)| !is_named(entity));
                missing.extend(unnamed.map(|(entity, _)| entity.clone()));
            }
            None if part.len() > 1 => {
                let (one, other) = part.split_at(part.len() / 2);
                parts.extend([one, other]);
            }
            None => {}
        }
    }
    Ok(missing)
}

/// Up to a hundred entities of the index, from a page on and behind an entry.
async fn next_of_index<H: Host>(
    session: &Session<'_, H>,
    kind: Kind,
    from: u8,
    mut after: Option<Segment>,
) -> Result<Vec<(Entity, String)>, StoreError> {
    let mut next = Vec::new();
    for number in from..PAGES {
        let pages = session.load_page(kind, number).await?;
        for (segment, entry) in pages.entries(kind, number) {
            if after.as_ref().is_some_and(|after| segment <= after) {
                continue;
            }
            if next.len() == BATCH_MAX {
                return Ok(next);
            }
            if let Some(code) = segment.code().or_else(|| entry.code.clone()) {
                next.push((Entity::of(kind, segment), code));
            }
        }
        after = None;
    }
    Ok(next)
}
