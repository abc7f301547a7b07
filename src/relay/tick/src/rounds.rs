//! Round after round within a tick: batches of what waits, then reconciliation, until nothing is left or time is over.
//!
//! The rounds may assume the lease, and ask for it again before they go on. They leave reconciliation a quarter of the
//! tick while events wait, and keep what breakers have learned and what upstreams asked to wait for after every batch.
//! While a batch is pushed the list of the next one is read. While the last batch of a listing is pushed a walk that is
//! under way goes on, and what it finds makes the next batch.

use crate::recover;
use batch::Pushes;
use batch::ahead::Next;
use config::WorkerConfig;
use desk::books::Books;
use desk::lookups;
use desk::session::Session;
use desk::stop::Stop;
use desk::tools::{Desk, Upstreams};
use futures_util::future::{Either, select};
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

/// While a batch is pushed the store is not listed where a listing takes longer than the longest time of a call, divided
/// by this. On Spin nothing else goes on in the worker meanwhile, and pushes that are answered would come too late.
const LISTINGS: u64 = 10;

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
    let mut held: Vec<(Kind, Failure)> = Vec::new();
    let (mut ahead, mut walked_ms, mut may_walk) = (None, 0, true);
    'listings: loop {
        recover::unite(&session.desk, &mut session.backlog, &mut session.books).await?;
        recover::settle(&session.desk, &mut session.backlog, &mut session.books).await?;
        lookups::refresh(session).await?;
        held.clear();
        let (plan, planned_s) = (session.backlog.plan.clone(), session.backlog.planned_s);
        let mut due = session.backlog.due(&plan, session.books.state.done_s);
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
            let is_last = next.is_none() && due.is_over(&mut arrange);
            // An entity may have been read with an earlier batch already, since it held an identity that was wanted there.
            batch.retain(|waiting| !session.backlog.is_begun(&waiting.entity));
            let Some(kind) = batch.first().map(|waiting| waiting.entity.kind) else {
                continue;
            };
            let under_way: Vec<Entity> = batch.iter().map(|waiting| waiting.entity.clone()).collect();
            session.backlog.note_begun(under_way.iter().cloned());
            let next = next.map(|(kind, codes)| Next { kind, codes, until_ms });
            // Who has an identity is known by the index and by what was in flight at the listing.
            let may_walk_now = may_walk && is_last && !session.desk.config.shape.has_changing_identities(kind);
            let beside = async |session: &mut Session<'_, H>, pushes: Pushes<'_>| {
                if !may_walk_now {
                    return (Ok(Walked::default()), next);
                }
                let walked = walk_beside(session, pushes, under_way, until_ms).await;
                let has_listed = matches!(&walked, Ok(walked) if walked.listing_ms.is_some());
                let next = if has_listed { foreseen(session, until_ms) } else { None };
                (walked, next)
            };
            let came = batch::run(session, kind, batch, (ahead.take(), until_ms), beside).await;
            keep_news(&session.desk, &session.upstreams, &session.books).await?;
            let (came, walked, read) = came?;
            note_came(&session.upstreams, &mut session.books, kind, came);
            let walked = walked?;
            ahead = read;
            walked_ms += walked.ms;
            match walked.listing_ms {
                Some(listing_ms) => {
                    may_walk = listing_ms * LISTINGS <= session.desk.config.call_timeout_s * 1000;
                    continue 'listings;
                }
                // What the walk found is in no listing yet.
                None if walked.ms > 0 => break 'listings,
                None => {}
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

/// How far the walk went on while a batch was pushed.
#[derive(Default)]
struct Walked {
    /// How long that took, in milliseconds; 0 where it did not go on.
    ms: u64,
    /// How long it took to list the store anew, in milliseconds; none where that was not done.
    listing_ms: Option<u64>,
}

/// Has the walk read its next page while the last batch of a listing is pushed, if that page is due before the pushes
/// end. Unless they have ended by then, the store is listed, so that what the walk found makes the next batch.
async fn walk_beside<H: Host>(
    session: &mut Session<'_, H>,
    mut pushes: Pushes<'_>,
    under_way: Vec<Entity>,
    until_ms: u64,
) -> Result<Walked, Stop> {
    let host = session.desk.host;
    let mut walked = Walked::default();
    let Some(wait_ms) = reconcile::walks_on_in_ms(session, until_ms) else {
        return Ok(walked);
    };
    if let Either::Left(_) = select(pushes.as_mut(), pin!(host.sleep_ms(wait_ms))).await {
        return Ok(walked);
    }
    let begun_ms = host.monotonic_ms();
    session.upstreams.pim_governor.begin_until(until_ms);
    session.backlog.note_under_way(under_way.iter().cloned());
    let (result, is_over) = along(pushes.as_mut(), reconcile::walk_on(session)).await;
    session.backlog.note_under_way([]);
    result?;
    walked.ms = (host.monotonic_ms() - begun_ms).max(1);
    if is_over {
        return Ok(walked);
    }
    let begun_ms = host.monotonic_ms();
    let (listed, _) = along(pushes.as_mut(), list(host, session.desk.config)).await;
    let (plan, planned_s) = listed?;
    walked.listing_ms = Some(host.monotonic_ms() - begun_ms);
    session.plan_anew(plan, planned_s);
    session.backlog.note_begun(under_way);
    // Before the batch reads pages again that several workers wrote.
    let unite = recover::unite(&session.desk, &mut session.backlog, &mut session.books);
    along(pushes, unite).await.0?;
    Ok(walked)
}

/// Does something while a batch is pushed; says whether the pushes have ended meanwhile.
async fn along<T>(pushes: Pushes<'_>, work: impl Future<Output = T>) -> (T, bool) {
    match select(pushes, pin!(work)).await {
        Either::Left(((), work)) => (work.await, true),
        Either::Right((given, _)) => (given, false),
    }
}

/// Of what the next batch is likely to be, by the last listing.
fn foreseen<H: Host>(session: &Session<'_, H>, until_ms: u64) -> Option<Next> {
    let (backlog, planned_s) = (&session.backlog, session.backlog.planned_s);
    let mut due = backlog.due(&backlog.plan, session.books.state.done_s);
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
