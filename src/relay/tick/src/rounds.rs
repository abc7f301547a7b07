//! Round after round within a tick: batches of what waits, then reconciliation, until nothing is left or time is over.
//!
//! The rounds may assume the lease, and ask for it again before they go on. They leave reconciliation a quarter of the
//! tick while events wait, and keep what breakers have learned and what upstreams asked to wait for after every batch.
//! While a batch is pushed the list of the next one is read. Where none waits and a walk is under way, the walk goes on
//! meanwhile, and what it finds makes the next batch.

use crate::recover;
use batch::Pushes;
use batch::ahead::{Ahead, Next};
use config::WorkerConfig;
use desk::books::Books;
use desk::lookups;
use desk::session::Session;
use desk::stop::Stop;
use desk::tools::{Desk, Upstreams};
use futures_util::future::{Either, join, select};
use model::entity::{Entity, Kind};
use model::failure::{Class, Failure};
use queue::batches::Arrangement;
use queue::plan::Plan;
use records::pace::Came;
use serde_json::json;
use std::pin::pin;
use upstream::token;
use world::host::{Host, StoreError};

/// Lists the store, and says when, in seconds since the Unix epoch.
pub(crate) async fn list<H: Host>(host: &H, config: &WorkerConfig) -> Result<(Plan, u64), StoreError> {
    let now_s = host.now_ms() / 1000;
    Ok((Plan::of(&config.keys, host.keys().await?), now_s))
}

/// How much of a tick is reconciliation's while events wait: one in so many parts of its time.
const SHARE: u64 = 4;

/// Round after round: what waits, then reconciliation, then what has come to wait meanwhile. Says why it ended before
/// the work did, if something went wrong.
pub(crate) async fn run<H: Host>(session: &mut Session<'_, H>, end_ms: u64) -> Result<Option<String>, Stop> {
    let host = session.desk.host;
    let share_ms = session.desk.config.tick_s * 1000 / SHARE;
    let mut reconciled_ms = 0;
    if session.books.state.is_share_owed {
        reconciled_ms += reconcile(session, end_ms, share_ms).await?.0;
    }
    loop {
        let is_ready = reconcile::is_ready(session, false);
        let is_owed = reconcile::is_ready(session, true);
        let left_ms = share_ms.saturating_sub(reconciled_ms);
        let reserved_ms = if is_ready { left_ms } else { 0 };
        let (blocked, walked_ms) = batches(session, end_ms.saturating_sub(reserved_ms)).await?;
        let (took_ms, has_worked) = reconcile(session, end_ms, share_ms).await?;
        reconciled_ms += walked_ms + took_ms;
        let has_worked = has_worked || walked_ms > 0;
        // Reconciliation may have got no turn: calls of batches that began in time lasted until its end and longer, or
        // were the only probes.
        session.books.state.is_share_owed = is_owed && !has_worked;
        if !has_worked || blocked.is_some() || host.monotonic_ms() >= end_ms {
            return Ok(blocked);
        }
        session.desk.check_lease()?;
        let (plan, planned_s) = list(host, session.desk.config).await?;
        session.plan_anew(plan, planned_s);
    }
}

/// Reconciliation for as long as this, but not beyond the tick; says how long it took in milliseconds, and whether
/// there was anything to do.
async fn reconcile<H: Host>(session: &mut Session<'_, H>, end_ms: u64, for_ms: u64) -> Result<(u64, bool), Stop> {
    if !session.upstreams.is_reconciling() {
        return Ok((0, false));
    }
    session.desk.check_lease()?;
    session.upstreams.begin_until(end_ms);
    let begun_ms = session.desk.host.monotonic_ms();
    reconcile::begin(&session.desk, &mut session.books).await?;
    let has_worked = reconcile::run(session, end_ms.min(begun_ms + for_ms)).await?;
    keep_news(&session.desk, &session.upstreams, &session.books).await?;
    Ok((session.desk.host.monotonic_ms() - begun_ms, has_worked))
}

/// Batch by batch; says which upstream is left alone, if one is, or why the tick cannot go on, and for how long the walk
/// went on meanwhile, in milliseconds.
async fn batches<H: Host>(session: &mut Session<'_, H>, until_ms: u64) -> Result<(Option<String>, u64), Stop> {
    recover::unite(&session.desk, &mut session.backlog, &mut session.books).await?;
    recover::settle(&session.desk, &mut session.backlog, &mut session.books).await?;
    lookups::refresh(session).await?;
    let mut held: Vec<(Kind, Failure)> = Vec::new();
    let (mut ahead, mut walked_ms) = (None, 0);
    'listings: loop {
        let (plan, planned_s) = (session.backlog.plan.clone(), session.backlog.planned_s);
        let mut due = plan.due(planned_s, session.books.state.done_s);
        if walked_ms > 0 {
            due = due.without(|entity| session.backlog.is_begun(entity));
        }
        loop {
            session.upstreams.begin_until(until_ms);
            if session.desk.host.monotonic_ms() >= until_ms {
                break 'listings;
            }
            let mut arrange = |kind| arrangement(session, planned_s, kind, &mut held);
            let Some(mut batch) = due.next(&mut arrange) else {
                break 'listings;
            };
            let next = due.foreseen(&mut arrange);
            // An entity may have been read with an earlier batch already, since it held an identity that was wanted there.
            batch.retain(|waiting| !session.backlog.is_begun(&waiting.entity));
            let Some(kind) = batch.first().map(|waiting| waiting.entity.kind) else {
                continue;
            };
            session.backlog.note_begun(&batch);
            let under_way: Vec<Entity> = batch.iter().map(|waiting| waiting.entity.clone()).collect();
            let next = next.map(|(kind, codes)| Next { kind, codes, until_ms });
            let read = (ahead.take(), until_ms);
            let meanwhile = async |session: &mut Session<'_, H>, pushes: Pushes<'_>| {
                beside(session, pushes, (kind, under_way), next, until_ms).await
            };
            let came = batch::run(session, kind, batch, read, meanwhile).await;
            keep_news(&session.desk, &session.upstreams, &session.books).await?;
            let (came, beside) = came?;
            note_came(&session.upstreams, &mut session.books, kind, came);
            let beside = beside?;
            ahead = beside.ahead;
            if beside.walked_ms > 0 {
                walked_ms += beside.walked_ms;
                continue 'listings;
            }
        }
    }
    let blocked = || {
        session
            .upstreams
            .pim_governor
            .blocked()
            .or_else(|| session.upstreams.destination_governor.blocked())
    };
    let by_an_upstream = held
        .into_iter()
        .filter(|(_, failure)| failure.class == Class::NotCalled);
    let first = by_an_upstream.min_by_key(|(kind, _)| *kind);
    Ok((first.map(|(_, failure)| failure.reason).or_else(blocked), walked_ms))
}

/// What was done while a batch was pushed.
#[derive(Default)]
struct Beside {
    /// The list of the next batch.
    ahead: Option<Ahead>,
    /// For how long the walk went on, in milliseconds. If it did, the store was listed anew.
    walked_ms: u64,
}

/// What is done while a batch of a kind is pushed: the list of the next one is read. Where none waits the walk goes on
/// first, if it may do so before the pushes have ended, and the store is listed, so that what it found makes the next
/// batch. Where entities can change their identities nothing is listed meanwhile, since others must know then under what
/// those lie that are under way.
async fn beside<H: Host>(
    session: &mut Session<'_, H>,
    mut pushes: Pushes<'_>,
    (kind, under_way): (Kind, Vec<Entity>),
    next: Option<Next>,
    until_ms: u64,
) -> Result<Beside, Stop> {
    let may_walk = next.is_none() && !session.desk.config.shape.has_changing_identities(kind);
    let wait_ms = reconcile::walks_on_in_ms(session, until_ms).filter(|_| may_walk);
    if let Some(wait_ms) = wait_ms {
        let pause = pin!(session.desk.host.sleep_ms(wait_ms));
        if let Either::Right(_) = select(pause, pushes.as_mut()).await {
            return Ok(Beside::default());
        }
    }
    let work = async {
        let mut beside = Beside::default();
        let next = match wait_ms {
            Some(_) => {
                let begun_ms = session.desk.host.monotonic_ms();
                reconcile::walk_on(session).await?;
                let (plan, planned_s) = list(session.desk.host, session.desk.config).await?;
                session.plan_anew(plan, planned_s);
                session.backlog.note_under_way(under_way);
                beside.walked_ms = (session.desk.host.monotonic_ms() - begun_ms).max(1);
                foreseen(session, until_ms)
            }
            None => next,
        };
        beside.ahead = Ahead::read(session.desk, &mut session.upstreams.pim, next).await;
        Ok(beside)
    };
    join(pushes, work).await.1
}

/// Of what the next batch is likely to be, by the last listing.
fn foreseen<H: Host>(session: &Session<'_, H>, until_ms: u64) -> Option<Next> {
    let (backlog, planned_s) = (&session.backlog, session.backlog.planned_s);
    let due = backlog.plan.due(planned_s, session.books.state.done_s);
    let mut due = due.without(|entity| backlog.is_begun(entity));
    let foreseen = due.foreseen(|kind| arrangement(session, planned_s, kind, &mut Vec::new()));
    foreseen.map(|(kind, codes)| Next { kind, codes, until_ms })
}

/// How batches of a kind are made now; of one that is left alone none is, and `held` says why.
fn arrangement<H: Host>(
    session: &Session<'_, H>,
    planned_s: u64,
    kind: Kind,
    held: &mut Vec<(Kind, Failure)>,
) -> Arrangement {
    match admits(&session.desk, &session.upstreams, (&session.books, planned_s), kind) {
        Ok(arrangement) => arrangement,
        Err(failure) => {
            if held.iter().all(|(known, _)| *known != kind) {
                held.push((kind, failure));
            }
            Arrangement {
                size: 0,
                ..Arrangement::default()
            }
        }
    }
}

/// How batches of a kind are made now: of single entities while an upstream is being probed; or why none is.
fn admits<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    (books, planned_s): (&Books, u64),
    kind: Kind,
) -> Result<Arrangement, Failure> {
    let (pim, destination) = (&upstreams.pim_governor, &upstreams.destination_governor);
    let held = pim
        .held(token::CIRCUIT)
        .or_else(|| pim.held(kind.name()))
        .or_else(|| {
            let lists = lookups::circuits(&desk.config.shape, kind);
            lists.into_iter().find_map(|list| pim.held(&list))
        })
        .or_else(|| destination.held(token::CIRCUIT))
        .or_else(|| destination.held(kind.name()));
    if let Some(held) = held {
        return Err(held);
    }
    let circuits = [token::CIRCUIT, kind.name()];
    let probing = circuits
        .iter()
        .any(|circuit| pim.is_probing(circuit) || destination.is_probing(circuit));
    let opened_of_late = pim.opened_of_late(kind.name()) || destination.opened_of_late(kind.name());
    Ok(Arrangement {
        size: if probing { 1 } else { books.state.pace.size(kind) },
        narrows: pim.failed_of_late(kind.name()),
        scattered: opened_of_late.then_some(planned_s),
    })
}

/// Takes note of how far a batch came.
fn note_came<H: Host>(upstreams: &Upstreams<'_, H>, books: &mut Books, kind: Kind, came: Came) {
    if came.through > 0 {
        books.note_progress();
    }
    books.note_at(|| format!("{} of {} {} were put off", came.of - came.through, came.of, kind.name()));
    let pace = &mut books.state.pace;
    match came.through >= came.of {
        true => pace.note(kind, came),
        // Models whose marking goes on in the next tick must be of one batch again.
        false if came.has_advanced => {}
        false if upstreams.pim_governor.is_hampered() => pace.note_held(kind, came),
        false if upstreams.is_hampered() => {}
        false => pace.note(kind, came),
    }
}

/// Keeps what a killed tick must not forget: a wait that an upstream asked for, and what a breaker learned.
async fn keep_news<H: Host>(desk: &Desk<'_, H>, upstreams: &Upstreams<'_, H>, books: &Books) -> Result<(), StoreError> {
    let news = [
        upstreams.pim_governor.has_news(),
        upstreams.destination_governor.has_news(),
    ];
    if !news.contains(&true) || !desk.lease.holds(desk.host) {
        return Ok(());
    }
    let (pim, destination) = (upstreams.pim_governor.state(), upstreams.destination_governor.state());
    for (upstream, governor) in [("pim", &pim), ("destination", &destination)] {
        for open in governor.open() {
            let fields = json!({ "upstream": upstream, "circuit": open.circuit, "reason": open.breaker.reason });
            desk.log_failure("blocked", fields);
        }
    }
    books.save_state(desk, upstreams).await
}
