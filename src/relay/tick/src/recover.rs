//! What earlier workers left behind: pages of the index that several of them wrote, and batches whose end nobody saw.

use desk::session::Session;
use desk::stop::Stop;
use desk::tools::Desk;
use model::entity::Entity;
use model::time::SKEW_S;
use queue::in_flight::InFlightValue;
use queue::index::Pages;
use queue::key::{Change, Key};
use world::host::{self, Host, StoreError, set_all};

/// Pages of the index that several workers wrote become one; what they pushed of different contents is pushed anew.
pub(crate) async fn unite<H: Host>(session: &Session<'_, H>) -> Result<(), Stop> {
    let directory = session.books.index.borrow().clone();
    let (mut pages, unknown) = Pages::unite(session.desk.host, &session.desk.config.keys, &directory).await?;
    if !pages.has_changes() {
        return Ok(());
    }
    session.desk.check_lease()?;
    let raised: Vec<(String, Vec<u8>)> = unknown
        .iter()
        .map(|(entity, code)| session.desk.raise(entity.kind, code, Change::Recovered))
        .collect();
    set_all(session.desk.host, &raised).await?;
    session.books.note_raised(&session.backlog, raised.len());
    Ok(session.books.save_pages(&session.desk, &mut pages).await?)
}

/// What was in flight long enough to have settled counts as never pushed, and is looked at anew.
pub(crate) async fn settle<H: Host>(session: &Session<'_, H>) -> Result<(), Stop> {
    let due = session.backlog.plan.in_flight.iter();
    for batch in due.filter(|batch| batch.is_due(session.backlog.planned_s)) {
        let value: Option<InFlightValue> = host::read(session.desk.host, &batch.key).await?;
        if batch.is_ahead(session.backlog.planned_s) {
            // It settles from now on: what its writer's clock said is of no use.
            session.desk.check_lease()?;
            if let Some(value) = value {
                look_again(&session.desk, session.backlog.planned_s, value).await?;
            }
            session.desk.host.delete(&batch.key).await?;
            continue;
        }
        // What reads as nothing was looked at by another worker.
        let value = value.unwrap_or_else(|| InFlightValue {
            is_second: true,
            ..InFlightValue::of([])
        });
        let entities: Vec<(Entity, String)> = value
            .entities
            .iter()
            .map(|(kind, code)| (Entity::new(*kind, code), code.clone()))
            .collect();
        let mut pages = session
            .books
            .load_pages(&session.desk, entities.iter().map(|(entity, _)| entity))
            .await?;
        for (entity, code) in &entities {
            if let Some(updated_s) = pages.get(entity).map(|entry| entry.updated_s) {
                pages.set(entity, code, None, updated_s);
            }
        }
        session.desk.check_lease()?;
        session.books.save_pages(&session.desk, &mut pages).await?;
        let raised: Vec<(String, Vec<u8>)> = entities
            .iter()
            .map(|(entity, code)| session.desk.raise(entity.kind, code, Change::Recovered))
            .collect();
        session.books.note_raised(&session.backlog, raised.len());
        set_all(session.desk.host, &raised).await?;
        // By the clock of the worker that wrote it, it may not have settled yet; or by any clock but ours.
        if !value.is_second && (session.books.state.borrow().clocks_differ() || batch.is_old(session.backlog.planned_s))
        {
            let value = InFlightValue {
                is_second: true,
                ..value
            };
            look_again(&session.desk, session.backlog.planned_s + SKEW_S, value).await?;
        }
        session.desk.host.delete(&batch.key).await?;
        session.books.note_progress();
    }
    Ok(())
}

/// Lets a batch that may be in flight be looked at ten minutes after a moment, in seconds since the Unix epoch.
async fn look_again<H: Host>(desk: &Desk<'_, H>, at_s: u64, value: InFlightValue) -> Result<(), StoreError> {
    let key = Key::InFlight(desk.fresh_id(), at_s);
    desk.host.set(&desk.config.keys.encode(&key), &value.to_bytes()).await
}
