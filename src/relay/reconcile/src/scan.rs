//! A scan over a list of the PIM: page after page, to an end that is certain.
//!
//! Looks and walks take no page for the last one at first sight. Whoever scans may assume that a page which leads back
//! to itself, or to one before it, comes back as a failure, and that what the PIM does not give is counted and logged as
//! `unread`.

use akeneo::paging::{List, Turned};
use akeneo::pim::Page;
use akeneo::query::is_same_place;
use desk::backlog::Backlog;
use desk::books::Books;
use desk::session::Session;
use desk::stop::Halt;
use desk::tools::Desk;
use index::entry::place_of_bytes;
use model::entity::{Kind, uuid_bytes};
use model::failure::Class;
use model::gap::Gap;
use queue::key::Extent;
use records::reconciliation::Scan;
use serde_json::json;
use world::host::{Host, StoreError};

/// How many pages of the index are looked through for what is known behind a product.
const NEAR: usize = 3;

/// What a scan reads after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next one.
    On,
    /// The same one again, in a minute: it may not be the last.
    Again,
    /// Nothing: it was the last.
    End,
}

/// Whether a page leads to itself, or to one that was passed: following it would never end.
fn is_stuck_at(scan: &Scan, page: &Page) -> bool {
    let Some(next) = page.next.as_deref() else { return false };
    let known = [&scan.cursor, &scan.passed].into_iter().flatten();
    known.into_iter().any(|known| is_same_place(next, known))
}

/// Takes note of a page whose entities have been dealt with.
pub(super) fn turn(scan: &mut Scan, page: &Page, now_ms: u64) -> Turn {
    if scan.pages == 0 && scan.short_ms.is_none() {
        scan.date_s = page.date_s;
    }
    if page.next.is_none() && scan.short_ms.is_none() {
        scan.short_ms = Some(now_ms);
        return Turn::Again;
    }
    scan.pages += 1;
    scan.seen += page.items.len() as u64;
    scan.short_ms = None;
    match &page.next {
        Some(next) => {
            scan.cursor = Some(next.clone());
            if scan.pages.is_power_of_two() {
                scan.passed = scan.cursor.clone();
            }
            Turn::On
        }
        None => Turn::End,
    }
}

/// Asks for the next page of a scan, once.
pub(super) async fn ask<H: Host>(
    session: &mut Session<'_, H>,
    kind: Kind,
    list: List<'_>,
    scan: &mut Scan,
) -> Result<Turned, Halt> {
    if let Some(uuid) = scan.gap.as_deref().and_then(Gap::wants_hint) {
        let known = next_known(&session.desk, &session.backlog, &session.books, uuid).await?;
        if let (Some(gap), Some(known)) = (&mut scan.gap, known) {
            gap.hint(known);
        }
    }
    let turned = session
        .upstreams
        .pim
        .turn(kind, list, &mut scan.cursor, &mut scan.gap)
        .await?;
    match &turned {
        Turned::Page(page) if is_stuck_at(scan, page) => {
            let reason = "a page of the PIM's list leads back to itself or to one before it";
            let fields = json!({ "kind": kind.name(), "pages": scan.pages, "reason": reason });
            session.desk.log_failure("scan", fields);
            return Err(session.upstreams.pim_failure(Class::Permanent, reason).into());
        }
        Turned::Page(page) => {
            session.books.report(|report| report.pages += 1);
            if page.nameless > 0 {
                scan.unread += page.nameless as u64;
                let reason = "the ids of so many in the PIM are no Unicode: enter them anew there";
                let fields = json!({ "kind": kind.name(), "nameless": page.nameless, "reason": reason });
                session.desk.log_failure("unread", fields);
            }
        }
        Turned::PassedOver(ids) => {
            scan.unread += ids.len().max(1) as u64;
            session.desk.log_unread(kind, ids);
        }
        _ => {}
    }
    Ok(turned)
}

/// Of the products on the page of the index where a UUID belongs, and of those that anything waits for, the first one
/// behind that UUID.
async fn next_known<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    books: &Books,
    after: [u8; 16],
) -> Result<Option<[u8; 16]>, StoreError> {
    let mut entries = Vec::new();
    for Extent { first, .. } in books.index.extents(Kind::Product, place_of_bytes(&after)).take(NEAR) {
        let pages = books.load_page(desk, Kind::Product, first).await?;
        let on_page = pages.entries(Kind::Product, first).into_iter();
        entries.extend(on_page.map(|(_, segment, _)| segment.clone()));
    }
    let waiting = backlog.plan.names().filter(|entity| entity.kind == Kind::Product);
    let known = entries.into_iter().chain(waiting.map(|entity| entity.segment));
    let uuids = known.filter_map(|segment| uuid_bytes(&segment.code()?));
    Ok(uuids.filter(|uuid| *uuid > after).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(next: Option<&str>, date_s: u64) -> Page {
        Page {
            items: vec![serde_json::json!({})],
            next: next.map(str::to_owned),
            date_s: Some(date_s),
            ..Page::default()
        }
    }

    #[test]
    fn a_page_without_a_next_one_ends_it_when_it_is_so_again_a_minute_later() {
        let mut scan = Scan::begin(5);
        assert_eq!(turn(&mut scan, &page(Some("a"), 100), 10), Turn::On);
        assert_eq!(turn(&mut scan, &page(None, 101), 20), Turn::Again);
        assert_eq!(scan.due_ms(30), 60_020);
        assert_eq!(scan.cursor.as_deref(), Some("a"));
        // The list was short for a moment only.
        assert_eq!(turn(&mut scan, &page(Some("b"), 161), 60_020), Turn::On);
        assert_eq!(scan.due_ms(60_030), 0);
        assert_eq!(turn(&mut scan, &page(None, 162), 60_040), Turn::Again);
        assert_eq!(turn(&mut scan, &page(None, 230), 120_040), Turn::End);
        assert_eq!((scan.pages, scan.seen, scan.date_s), (3, 3, Some(100)));
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_hold_it_up() {
        let mut scan = Scan::begin(5_000_000);
        turn(&mut scan, &page(None, 100), 5_000_000);
        assert_eq!(scan.due_ms(1000), 0);
    }

    #[test]
    fn a_page_that_leads_to_itself_is_noticed() {
        let mut scan = Scan::begin(5);
        assert!(!is_stuck_at(&scan, &page(None, 1)));
        turn(&mut scan, &page(Some("limit=100&search_after=a"), 100), 10);
        assert!(is_stuck_at(&scan, &page(Some("search_after=a&limit=5"), 1)));
        assert!(!is_stuck_at(&scan, &page(Some("limit=100&search_after=b"), 1)));
        turn(&mut scan, &page(Some("page=3&limit=100"), 100), 10);
        assert!(is_stuck_at(&scan, &page(Some("page=9&limit=25"), 1)));
        assert!(!is_stuck_at(&scan, &page(Some("page=10&limit=25"), 1)));
    }

    #[test]
    fn a_circle_of_any_length_is_noticed_wherever_it_begins() {
        for (before, length) in [(0, 2), (0, 3), (1, 2), (5, 2), (3, 7), (40, 11), (2, 64)] {
            let place = |number: usize| format!("search_after={number}&limit=100");
            let (mut scan, mut number) = (Scan::begin(5), 0);
            let noticed = loop {
                number += 1;
                let next = if number < before {
                    number
                } else {
                    before + (number - before) % length
                };
                let page = page(Some(&place(next)), 1);
                if is_stuck_at(&scan, &page) {
                    break number;
                }
                assert!(number < 4 * (before + length) + 4, "{before} {length}");
                turn(&mut scan, &page, 1);
            };
            assert!(noticed > before, "{before} {length}: a list that goes on is none");
        }
        let mut scan = Scan::begin(5);
        for number in 0..1000 {
            let page = page(Some(&format!("search_after={number}&limit=100")), 1);
            assert!(!is_stuck_at(&scan, &page), "{number}");
            turn(&mut scan, &page, 1);
        }
    }
}
