//! Takes up what earlier workers left behind: pages of the index that several of them wrote, and batches in flight
//! whose end nobody saw.
//!
//! It may assume the lease, and that whatever was in flight for ten minutes has arrived or never will. Whatever is not
//! certain counts as never pushed and is read again, which costs work and loses nothing.

use config::WorkerConfig;
use desk::backlog::Backlog;
use desk::books::Books;
use desk::stop::Stop;
use desk::tools::Desk;
use index::claims::Claims;
use index::pages::Pages;
use model::entity::{Entity, Kind};
use model::time::SKEW_S;
use queue::in_flight::InFlightValue;
use queue::key::{Change, Extent, Key, PagePlace, Writer};
use queue::plan::Plan;
use records::pair::Pair;
use std::collections::BTreeMap;
use world::host::{self, Host, StoreError, delete_all, set_all};

/// Takes over an index of an earlier version, if it is one; says whether the listing is out of date. Pages that were split
/// before an earlier version worked here, which did not know them, tell nothing any more.
pub(crate) async fn take_over<H: Host>(
    host: &H,
    config: &WorkerConfig,
    plan: &Plan,
    pair: Option<&Pair>,
) -> Result<bool, StoreError> {
    let Some(renewed) = pair.and_then(Pair::renewed) else {
        return Ok(false);
    };
    // Nor did it know keys of more parts than a byte counts.
    let is_new = |writer: &Writer| writer.as_ref().is_some_and(|(_, number)| *number > u32::from(u8::MAX));
    let is_split = |(_, extent, writer): &PagePlace| *extent != Extent::around(extent.first) || is_new(writer);
    delete_all(host, &plan.pages(is_split)).await?;
    renewed.save(host, &config.keys).await?;
    Ok(true)
}

/// Makes one page of the index of those that several workers wrote. An entity of which they pushed different contents
/// is pushed anew.
pub(crate) async fn unite<H: Host>(desk: &Desk<'_, H>, backlog: &mut Backlog, books: &mut Books) -> Result<(), Stop> {
    for place in books.index.divided() {
        let (mut pages, unknown) = Pages::united(desk.host, &desk.config.keys, &books.index, place).await?;
        desk.check_lease()?;
        let raised: Vec<(String, Vec<u8>)> = unknown
            .iter()
            .map(|(entity, code)| desk.raise(entity.kind, code, Change::Recovered))
            .collect();
        set_all(desk.host, &raised).await?;
        books.note_raised(backlog, raised.len());
        books.save_pages(desk, &mut pages).await?;
    }
    Ok(())
}

/// Lets the entities of a batch that was in flight long enough to have settled count as never pushed, and queues them.
pub(crate) async fn settle<H: Host>(desk: &Desk<'_, H>, backlog: &mut Backlog, books: &mut Books) -> Result<(), Stop> {
    let (plan, planned_s) = (backlog.plan.clone(), backlog.planned_s);
    let due = plan.in_flight.iter();
    for batch in due.filter(|batch| batch.is_due(planned_s)) {
        let value = desk.host.get(&batch.key).await?;
        let is_there = value.is_some();
        let value: Option<InFlightValue> = value.as_deref().and_then(host::decoded);
        if is_there && value.is_none() {
            // Nothing tells whose pushes were under way: whatever the index has may be what the destination has not.
            books.set_aside(desk, &[&batch.key], true).await?;
            continue;
        }
        if batch.is_ahead(planned_s) {
            // The batch was written by a clock that was wrong, so its moment does not tell when pushes began: the ten
            // minutes in which it settles begin now.
            desk.check_lease()?;
            if let Some(value) = value {
                look_again(desk, planned_s, value.clone()).await?;
                backlog.note_moved(planned_s, value);
            }
            desk.host.delete(&batch.key).await?;
            continue;
        }
        // Where the value reads as nothing, another worker has taken the batch up.
        let value = value.unwrap_or_else(|| InFlightValue {
            is_second: true,
            ..InFlightValue::of([])
        });
        let entities: Vec<(Entity, String)> = value
            .entities
            .iter()
            .map(|(kind, code)| (Entity::new(*kind, code), code.clone()))
            .collect();
        let mut pages = books
            .load_pages(desk, entities.iter().map(|(entity, _)| entity))
            .await?;
        let mut under: BTreeMap<(Kind, String), Vec<String>> = BTreeMap::new();
        for (entity, tried) in value.clone().into_tried() {
            under.entry(entity).or_default().extend(tried.identity);
        }
        for (entity, code) in &entities {
            let under = under.remove(&(entity.kind, code.clone())).unwrap_or_default();
            let updated_s = pages.get(entity).map(|entry| entry.updated_s);
            // Once this key is gone, only the index can tell under which identities the entity may lie.
            if let Some(updated_s) = updated_s.or((!under.is_empty()).then_some(0)) {
                let mut known = pages
                    .get(entity)
                    .map(|entry| entry.identities.clone())
                    .unwrap_or_default();
                known.extend(
                    under
                        .into_iter()
                        .filter(|identity| !known.contains(identity))
                        .collect::<Vec<_>>(),
                );
                pages.set(entity, code, None, updated_s);
                pages.set_identities(entity, known);
            }
        }
        let others = who_has_it_by_now(desk, books, &value, &mut pages).await?;
        desk.check_lease()?;
        books.save_pages(desk, &mut pages).await?;
        let raised: Vec<(String, Vec<u8>)> = entities
            .iter()
            .chain(&others)
            .map(|(entity, code)| desk.raise(entity.kind, code, Change::Recovered))
            .collect();
        books.note_raised(backlog, raised.len());
        set_all(desk.host, &raised).await?;
        // Where clocks differ, the batch may not have settled by the clock of the worker that wrote it, or by any clock
        // but ours. So it is looked at once more, an hour later.
        if !value.is_second && (books.state.clocks_differ() || batch.is_old(planned_s)) {
            if books.state.clocks_differ() {
                // Nor may this tick take a creation for one that has arrived or never will.
                backlog.note_moved(batch.time_s, value.clone());
            }
            let value = InFlightValue {
                is_second: true,
                ..value
            };
            look_again(desk, planned_s + SKEW_S, value).await?;
        }
        desk.host.delete(&batch.key).await?;
        books.note_progress();
    }
    Ok(())
}

/// The other entities that lie by now under identities of the batch: a push that arrived late may have overwritten such
/// an entity, or a deletion may have taken it away.
async fn who_has_it_by_now<H: Host>(
    desk: &Desk<'_, H>,
    books: &Books,
    value: &InFlightValue,
    pages: &mut Pages,
) -> Result<Vec<(Entity, String)>, StoreError> {
    let (mut claims, mut others) = (Claims::default(), Vec::new());
    for ((kind, code), tried) in value.clone().into_tried() {
        for identity in tried.identities() {
            books.read_claim(desk, &mut claims, kind, identity).await?;
            for other in claims.others(kind, identity, &code) {
                let entity = Entity::new(kind, other);
                books.read_page_of(desk, pages, &entity).await?;
                let entry = pages.get(&entity);
                let entry = entry.filter(|entry| entry.identities.contains(identity));
                if let Some(updated_s) = entry.map(|entry| entry.updated_s) {
                    pages.set(&entity, other, None, updated_s);
                    others.push((entity, other.to_owned()));
                }
            }
        }
    }
    Ok(others)
}

/// Lets a batch that may be in flight be looked at ten minutes after a moment, in seconds since the Unix epoch.
async fn look_again<H: Host>(desk: &Desk<'_, H>, at_s: u64, value: InFlightValue) -> Result<(), StoreError> {
    let key = Key::InFlight(desk.fresh_id(), at_s);
    desk.host.set(&desk.config.keys.encode(&key), &value.to_bytes()).await
}
