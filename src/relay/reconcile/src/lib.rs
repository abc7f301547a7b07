//! Reconciliation finds what no webhook told, by reading the PIM's lists.
//!
//! - [`look`]: every few minutes, what the PIM says was updated since the last look.
//! - [`walk`]: once a day, all of it: what `updated` does not tell, and what the index has and the PIM has not.
//! - [`deletions`]: what a whole walk did not meet, judged by the brake.
//! - [`rehearsal`]: all of it, under a shape that is not adopted yet, which only counts.
//! - `scan`: a page of any of these lists, and their ends; `compare`: a page beside the index; `sweep`: keys that
//!   nobody needs, after a walk.
//!
//! All but rehearsals go by the index of what was last pushed, and queue what differs as events of the relay's own,
//! behind those of the PIM. One path does the work: whatever is queued is read again before anything is pushed or
//! deleted. How far each has come is kept after every page, so that a killed tick goes on where it was.

mod compare;
mod deletions;
mod look;
pub mod rehearsal;
mod scan;
mod sweep;
mod walk;

use config::WorkerConfig;
use desk::books::Books;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::Desk;
use model::failure::Class;
use queue::key::Record;
use records::brake::Brake;
use records::notification::Notification;
use records::reconciliation::{Reconciliation, Task};
use records::state::State;
use world::host::{self, Clock, Host, Store, StoreError};

/// Whether a tick has anything to do for reconciliation.
pub async fn is_due<H: Store + Clock>(host: &H, config: &WorkerConfig) -> Result<bool, StoreError> {
    if config.destination.is_none() {
        return Ok(false);
    }
    let mut record = Reconciliation::load(host, config).await?;
    let notification: Option<Notification> = host::read(host, &config.keys.record(Record::Notification)).await?;
    let now_ms = host.now_ms();
    // The state is large; most ticks need not read it.
    let brake = match record.walk.withheld {
        0 => Brake::default(),
        _ => State::load(host, &config.keys).await?.brake,
    };
    let is_released = brake.is_released(now_ms / 1000);
    let kinds = config.shape.kinds();
    let overlap_s = config.reconciliation.overlap_s;
    let looks_back = record.look_back(notification.as_ref(), overlap_s, kinds, now_ms / 1000);
    Ok(looks_back
        || record.walk.let_go(is_released)
        || brake.is_released_ahead(now_ms / 1000)
        || record
            .next(config, now_ms, |_| false)
            .is_some_and(|(due_ms, _)| due_ms <= now_ms))
}

/// Begins reconciliation's share of a tick: takes note of a notification and of a released brake, where there is one.
pub async fn begin<H: Host>(desk: &Desk<'_, H>, books: &mut Books) -> Result<(), StoreError> {
    let notification: Option<Notification> =
        host::read(desk.host, &desk.config.keys.record(Record::Notification)).await?;
    let is_changed = {
        let record = &mut books.reconciliation;
        let overlap_s = desk.config.reconciliation.overlap_s;
        let looks_back = record.look_back(
            notification.as_ref(),
            overlap_s,
            desk.config.shape.kinds(),
            desk.now_s(),
        );
        let is_released = {
            let brake = &mut books.state.brake;
            brake.forget_ahead(desk.now_s());
            brake.is_released(desk.now_s())
        };
        record.walk.let_go(is_released) || looks_back
    };
    if is_changed {
        books.save_reconciliation(desk).await?;
    }
    Ok(())
}

/// Whether something is due right now; of what a breaker holds nothing counts, unless `even_if_held`.
pub fn is_ready<H: Host>(session: &mut Session<'_, H>, even_if_held: bool) -> bool {
    let now_ms = session.desk.host.now_ms();
    let is_held = |kind| !even_if_held && session.upstreams.is_held_at_the_pim(kind);
    let next = session.books.reconciliation.next(session.desk.config, now_ms, is_held);
    session.upstreams.is_reconciling()
        && session.backlog.has_room(&session.desk)
        && next.is_some_and(|(due_ms, _)| due_ms <= now_ms)
}

/// Goes on with what is due, until a moment of the monotonic clock; says whether there was anything.
pub async fn run<H: Host>(session: &mut Session<'_, H>, until_ms: u64) -> Result<bool, Stop> {
    let mut has_worked = false;
    while let Some(task) = next_task(session, until_ms).await {
        has_worked = true;
        if !carry_out(session, task).await? {
            break;
        }
    }
    Ok(has_worked)
}

/// In how many milliseconds the next page of a walk's list may be read beside other work; none where something else of
/// reconciliation comes next, or where that is not before a moment of the monotonic clock.
pub fn walks_on_in_ms<H: Host>(session: &Session<'_, H>, until_ms: u64) -> Option<u64> {
    let (due_ms, task) = next(session)?;
    let wait_ms = due_ms.saturating_sub(session.desk.host.now_ms());
    let is_listing = matches!(task, Task::Walk) && session.books.reconciliation.walk.is_listing();
    (is_listing && session.desk.host.monotonic_ms() + wait_ms < until_ms).then_some(wait_ms)
}

/// Reads the next page of a walk's list beside other work.
pub async fn walk_on<H: Host>(session: &mut Session<'_, H>) -> Result<(), Stop> {
    carry_out(session, Task::Walk).await.map(|_| ())
}

/// Carries a task out, and keeps how far it came; says whether there was time for it.
async fn carry_out<H: Host>(session: &mut Session<'_, H>, task: Task) -> Result<bool, Stop> {
    let result = match task {
        Task::Look(kind) => look::step(session, kind).await,
        Task::Walk => walk::step(session).await,
        Task::Raise => deletions::raise(&session.desk, &mut session.backlog, &mut session.books).await,
    };
    match result {
        Ok(()) => {}
        Err(Halt::Stop(stop)) => return Err(stop),
        Err(Halt::Failure(failure)) if failure.class == Class::TimeIsUp => return Ok(false),
        Err(Halt::Failure(failure)) => {
            let now_ms = session.desk.host.now_ms();
            session.books.reconciliation.put_off(task, &failure, now_ms);
        }
    }
    session.desk.check_lease()?;
    session.books.save_reconciliation(&session.desk).await?;
    Ok(true)
}

/// The next piece of work, and when it is due, in milliseconds since the Unix epoch; none where none may be done.
fn next<H: Host>(session: &Session<'_, H>) -> Option<(u64, Task)> {
    if !session.upstreams.is_reconciling()
        || !session.backlog.has_room(&session.desk)
        || !session.desk.lease.holds(session.desk.host)
    {
        return None;
    }
    // A task that a breaker holds stays due, and is next once a probe may go.
    let is_held = |kind| session.upstreams.is_held_at_the_pim(kind);
    let (config, now_ms) = (session.desk.config, session.desk.host.now_ms());
    session.books.reconciliation.next(config, now_ms, is_held)
}

/// The next piece of work that is due, or will be before the time is over; waits until it is due.
async fn next_task<H: Host>(session: &Session<'_, H>, until_ms: u64) -> Option<Task> {
    let (due_ms, task) = next(session)?;
    let now_ms = session.desk.host.now_ms();
    let wait_ms = due_ms.saturating_sub(now_ms);
    // While a whole batch waits, there is something better to do than to wait for the next page.
    let is_better_used = wait_ms > 0 && session.backlog.has_queued_a_batch();
    if is_better_used || session.desk.host.monotonic_ms() + wait_ms >= until_ms {
        return None;
    }
    session.desk.host.sleep_ms(wait_ms).await;
    Some(task)
}
