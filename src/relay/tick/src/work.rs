//! A piece of work under the lease, and the looks between: what a tick that stays does again and again, and others once.
//!
//! It may assume the lease, but for the looks. Each piece of work is told in the log, kept in the history and published.

use crate::commands;
use crate::damage;
use crate::recover;
use crate::rounds;
use akeneo::pim;
use config::{DestinationConfig, WorkerConfig};
use desk::books::Books;
use desk::session::{Parts, Session};
use desk::stop::Stop;
use desk::tools::Upstreams;
use model::entity::digest;
use model::time;
use queue::dead_letter;
use queue::key::Record;
use queue::lease::{LEASE_MS, Lease};
use queue::plan::Plan;
use reconcile::{self, rehearsal};
use records::history::History;
use records::month::Month;
use records::pair::Pair;
use records::reconciliation::Reconciliation;
use records::report::Report;
use records::state::{PAUSED, State};
use records::status::{self, Status};
use serde_json::json;
use upstream::governor::{Deadlines, Governor, Starts};
use upstream::governor_state::GovernorState;
use world::host::{self, Host, StoreError};
use world::log;

/// How long a PIM is taken to have no search by `POST` before it is tried again, in seconds.
const NO_POST_SEARCH_S: u64 = 86_400;

/// Tells of a report in the log.
pub(crate) fn told<H: Host>(host: &H, config: &WorkerConfig, report: Report) -> Report {
    let is_failure = matches!(report.outcome, "failed" | "stopped");
    log::write(host, config.log, "tick", is_failure, json!(report));
    report
}

/// What a look at the store told.
pub(crate) struct Look {
    pub(crate) plan: Plan,
    /// Whether nothing is to be done now.
    pub(crate) is_idle: bool,
    /// How long the listing took, in milliseconds.
    pub(crate) listing_ms: u64,
}

/// Lists the store, and says whether anything is to be done.
pub(crate) async fn look<H: Host>(host: &H, config: &WorkerConfig) -> Result<Look, StoreError> {
    let began_ms = host.monotonic_ms();
    let (plan, now_s) = rounds::list(host, config).await?;
    let listing_ms = host.monotonic_ms() - began_ms;
    let done_s = if plan.dead > 0 {
        last_done_s(host, config).await?
    } else {
        0
    };
    let is_idle = plan.is_idle(now_s, done_s)
        && !reconcile::is_due(host, config).await?
        && !rehearsal::is_due(host, config).await?;
    Ok(Look {
        plan,
        is_idle,
        listing_ms,
    })
}

/// When the destination last took anything, in seconds since the Unix epoch.
async fn last_done_s<H: Host>(host: &H, config: &WorkerConfig) -> Result<u64, StoreError> {
    let status: Option<Status> = host::read(host, &config.keys.record(Record::Status)).await?;
    Ok(status.map_or(0, |status| status.done_s))
}

pub(crate) async fn publish<H: Host>(
    host: &H,
    config: &WorkerConfig,
    plan: &Plan,
    worked: Option<&State>,
) -> Result<bool, StoreError> {
    status::publish(host, &config.keys, plan, worked, Pair::of(config), None).await
}

/// What a tick does while nothing is to be done: it publishes, now and then, and tells people what they must know, under
/// the lease only if there is anything. That is the lease of a tick that stays, or one for this alone.
pub(crate) async fn idle<H: Host>(
    host: &H,
    config: &WorkerConfig,
    plan: &Plan,
    held: Option<&Lease>,
) -> Result<(), StoreError> {
    if publish(host, config, plan, None).await? {
        note_aftermath(host, config, look_around(host, config, plan, held).await);
    }
    Ok(())
}

async fn look_around<H: Host>(
    host: &H,
    config: &WorkerConfig,
    plan: &Plan,
    held: Option<&Lease>,
) -> Result<(), StoreError> {
    if !alert::is_due(host, config, plan).await? {
        return Ok(());
    }
    let own = match held {
        Some(held) => {
            held.renew(host, &config.keys, LEASE_MS).await?;
            None
        }
        None => Lease::take(host, &config.keys, 0).await?.ours(),
    };
    if let Some(lease) = held.or(own.as_ref()).filter(|lease| lease.holds(host)) {
        let mut state = State::load(host, &config.keys).await?;
        look_after(host, config, lease, plan, &mut state).await?;
    }
    match own {
        Some(own) => own.give_back(host, &config.keys).await,
        None => Ok(()),
    }
}

/// What is done last and fails no tick: the oldest dead letters are thinned, people are told.
async fn look_after<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    plan: &Plan,
    state: &mut State,
) -> Result<(), StoreError> {
    let now_s = host.now_ms() / 1000;
    let last = (state.thinned_s, state.thinned_key.as_str());
    let last = dead_letter::thin_oldest(host, &config.keys, plan, last, now_s).await?;
    let thinned = last.is_some();
    if let Some(last) = last {
        (state.thinned_s, state.thinned_key) = last;
    }
    let end_ms = lease.end_ms();
    let told = alert::tell(host, config, lease, plan, state, end_ms).await?;
    if (thinned || told) && lease.holds(host) {
        state.save(host, &config.keys).await?;
    }
    Ok(())
}

pub(crate) fn note_aftermath<H: Host>(host: &H, config: &WorkerConfig, result: Result<(), StoreError>) {
    if let Err(error) = result {
        log::write(
            host,
            config.log,
            "aftermath",
            true,
            json!({ "reason": error.to_string() }),
        );
    }
}

/// A piece of work under the lease, told in the log.
pub(crate) struct Worked {
    pub(crate) report: Report,
    /// Whether there may be more to do, and nothing keeps the worker from doing it.
    pub(crate) goes_on: bool,
}

/// What one piece of work hands on to the next one under the same lease.
#[derive(Default)]
pub(crate) struct Handed {
    works: u64,
    pim_starts: Starts,
    destination_starts: Starts,
}

/// Works until nothing is left to do or a tick's time is over, which began at `started_ms`, a moment of the monotonic
/// clock in milliseconds.
pub(crate) async fn work<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    started_ms: u64,
    handed: &mut Handed,
) -> Result<Worked, StoreError> {
    // Listed anew: what was there before the lease was taken may have been worked on.
    let (mut plan, mut planned_s) = rounds::list(host, config).await?;
    let mut state = State::load(host, &config.keys).await?;
    publish(host, config, &plan, Some(&state)).await?;
    if handed.works == 0 {
        // Under one lease no other host has saved the state.
        state.compare_clocks(host.now_ms());
    }
    let mut history = History::load(host, &config.keys).await?;
    Month::keep(host, &config.keys, &mut history, planned_s).await?;
    history.note_listing(&plan, planned_s);
    if commands::carry_out(host, config, lease, &plan, &mut state).await? {
        (plan, planned_s) = rounds::list(host, config).await?;
    }
    let pair = Pair::load(host, &config.keys).await?;
    if recover::take_over(host, config, &plan, pair.as_ref()).await? {
        (plan, planned_s) = rounds::list(host, config).await?;
    }
    let lease_ms = lease.end_ms();
    let tick_ms = started_ms + config.tick_s * 1000;
    let deadlines = Deadlines {
        lease,
        begin_ms: tick_ms.min(lease_ms),
        // A call that begins at the tick's end may take as long as any.
        end_ms: (tick_ms + config.call_timeout_s * 1000).min(lease_ms),
    };
    let (timeout_ms, tracking) = (config.call_timeout_s * 1000, &config.tracking_header);
    handed.works += 1;
    let governor = |limits, state: &GovernorState, fingerprint, starts| {
        let state = state.clone();
        let mut governor = Governor::new(host, limits, config.log, tracking, deadlines, state, fingerprint);
        governor.follow(starts);
        governor.keep_secrets(&config.secrets);
        governor
    };
    let pim_governor = governor(
        pim::limits(timeout_ms),
        &state.pim,
        pim_fingerprint(config),
        &handed.pim_starts,
    );
    let destination_limits = destination::limits(timeout_ms, config.destination_rate);
    let destination_governor = governor(
        destination_limits,
        &state.destination,
        destination_fingerprint(config),
        &handed.destination_starts,
    );
    let mut session = Session::new(Parts {
        host,
        config,
        lease,
        plan,
        planned_s,
        pim_governor: &pim_governor,
        destination_governor: &destination_governor,
        state,
        history,
        reconciliation: Reconciliation::load(host, config).await?,
        pair: pair.clone(),
    });
    let stop = match rehearse_or_work(&mut session, pair, deadlines.begin_ms).await {
        Ok(reason) => reason,
        Err(stop) => {
            damage::mend(&session.desk, &mut session.backlog, &mut session.books, &stop).await?;
            Some(stop.to_string())
        }
    };
    let work = work_of(&session.upstreams, &session.books);
    let (mut report, mut state, mut history) = finish(session);
    (report.outcome, report.reason) = match stop {
        Some(reason) => ("stopped", Some(reason)),
        None => ("worked", None),
    };
    state.pim = pim_governor.state();
    state.destination = destination_governor.state();
    note_pace(host, config, &mut state, &work);
    let took_ms = host.monotonic_ms() - started_ms;
    history.note_tick(&report, took_ms, host.now_ms() / 1000);
    if lease.holds(host) {
        state.save(host, &config.keys).await?;
        history.save(host, &config.keys).await?;
        let (plan, _) = rounds::list(host, config).await?;
        publish(host, config, &plan, Some(&state)).await?;
        let result = look_after(host, config, lease, &plan, &mut state).await;
        note_aftermath(host, config, result);
    }
    report.ms = host.monotonic_ms() - started_ms;
    let goes_on = work.has_progressed && report.outcome == "worked";
    Ok(Worked {
        report: told(host, config, report),
        goes_on,
    })
}

/// Works for the pair and the shape that were adopted. For others it says why it does not, and what another shape would
/// do.
async fn rehearse_or_work<H: Host>(
    session: &mut Session<'_, H>,
    known: Option<Pair>,
    end_ms: u64,
) -> Result<Option<String>, Stop> {
    if let Some(since_s) = session.books.state.paused_s {
        return Ok(Some(format!("{PAUSED} since {}", time::text(since_s))));
    }
    match (known, Pair::of(session.desk.config)) {
        (Some(known), Some(configured)) if known.is_of_other_shape(&configured) => {
            rehearsal::run(session, known).await.map(Some)
        }
        (Some(known), Some(configured)) if known != configured => Ok(known.denies(&configured)),
        _ => {
            rehearsal::end(&session.desk, &mut session.books).await?;
            rounds::run(session, end_ms).await
        }
    }
}

/// What the configuration says of an upstream, as a digest. A mended shape is a mended configuration, too; without one
/// the digest is what it was before there were shapes.
fn fingerprint(config: &WorkerConfig, upstream: &str) -> String {
    let shape = &config.shape;
    if shape.is_identity() {
        return digest(upstream.as_bytes());
    }
    digest(format!("{upstream}\n{}", shape.name()).as_bytes())
}

fn pim_fingerprint(config: &WorkerConfig) -> String {
    let pim = &config.pim;
    fingerprint(config, &format!("{}\n{}", pim.origin, pim.credentials.fingerprint()))
}

fn destination_fingerprint(config: &WorkerConfig) -> String {
    let of = |destination: &DestinationConfig| {
        let token = destination.token.as_deref().unwrap_or_default();
        let mut upstream = format!("{}\n{}\n{token}", destination.origin, destination.path);
        if let Some(login) = &destination.login {
            upstream.push_str(&login.fingerprint());
        }
        fingerprint(config, &upstream)
    };
    config.destination.as_ref().map(of).unwrap_or_default()
}

/// What a tick was at, and whether anything came of it.
struct Work {
    at: Option<String>,
    has_progressed: bool,
    is_hampered: bool,
}

/// Takes note of whether a tick with work came to anything. Where an upstream keeps it from that, people hear of that.
fn note_pace<H: Host>(host: &H, config: &WorkerConfig, state: &mut State, work: &Work) {
    if work.is_hampered && !work.has_progressed {
        return;
    }
    let now_s = host.now_ms() / 1000;
    if state.pace.note_tick(work.has_progressed, work.at.as_deref(), now_s) {
        let fields = json!({ "at": state.pace.at, "ticks": state.pace.stalled });
        log::write(host, config.log, "no-progress", true, fields);
    }
}

/// What the tick was at, and whether anything came of it.
fn work_of<H: Host>(upstreams: &Upstreams<'_, H>, books: &Books) -> Work {
    let report = books.done();
    Work {
        at: books.at(),
        has_progressed: books.has_progressed() || report.pages > 0,
        is_hampered: upstreams.is_hampered(),
    }
}

fn finish<H: Host>(mut session: Session<'_, H>) -> (Report, State, History) {
    let has_post_search = session.upstreams.pim.has_post_search;
    let now_s = session.desk.now_s();
    let sizes = std::mem::take(&mut session.upstreams.pim.sizes);
    let (report, mut state, history) = session.books.close();
    state.page_sizes = sizes;
    if !has_post_search && state.no_post_search_until_s <= now_s {
        state.no_post_search_until_s = now_s + NO_POST_SEARCH_S;
    }
    (report, state, history)
}
