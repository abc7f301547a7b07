//! One tick of the worker: list, plan, take the lease, then batch by batch until the time is used up.

use crate::commands;
use crate::damage;
use crate::rounds;
use crate::standstill;
use akeneo::pim;
use config::{DestinationConfig, WorkerConfig};
use desk::books::Books;
use desk::session::{Parts, Session};
use desk::stop::Stop;
use desk::tools::Upstreams;
use model::entity::digest;
use people::alert;
use queue::dead_letter;
use queue::key::Record;
use queue::lease::{LEASE_MARGIN_MS, Lease};
use queue::plan::Plan;
use reconcile::{self, rehearsal};
use records::history::History;
use records::pair::Pair;
use records::reconciliation::Reconciliation;
use records::report::Report;
use records::state::State;
use records::status::{self, Status};
use serde_json::{Value, json};
use upstream::governor::{Deadlines, Governor};
use upstream::governor_state::GovernorState;
use world::host::{self, Host, StoreError};
use world::log;

/// How long a PIM is taken to have no search by `POST` before it is tried again, in seconds.
const NO_POST_SEARCH_S: u64 = 86_400;

/// Runs one tick and says what it did. Whatever fails costs no event: it stays for the next tick.
pub async fn tick<H: Host>(host: &H, config: &WorkerConfig) -> Report {
    let started_ms = host.monotonic_ms();
    let mut report = match begin(host, config, started_ms).await {
        Ok(report) => report,
        Err(error) => {
            standstill::tell_of_damage(host, config, &error).await;
            Report::failed(error.to_string())
        }
    };
    report.ms = host.monotonic_ms() - started_ms;
    let is_failure = matches!(report.outcome, "failed" | "stopped");
    log::write(host, config.log, "tick", is_failure, json!(report));
    report
}

async fn begin<H: Host>(host: &H, config: &WorkerConfig, started_ms: u64) -> Result<Report, StoreError> {
    if let Some(error) = standstill::denied_dry_run(host, config).await? {
        standstill::count_and_tell(host, &config.telling(), &error).await;
        return Ok(standstill::misconfigured(host, &error));
    }
    run(host, config, started_ms).await
}

async fn run<H: Host>(host: &H, config: &WorkerConfig, started_ms: u64) -> Result<Report, StoreError> {
    let (plan, now_s) = rounds::list(host, config).await?;
    let done_s = if plan.dead > 0 {
        last_done_s(host, config).await?
    } else {
        0
    };
    let is_idle = plan.is_idle(now_s, done_s)
        && !reconcile::is_due(host, config).await?
        && !rehearsal::is_due(host, config).await?;
    if is_idle {
        if publish(host, config, &plan, None).await? {
            look_around(host, config, &plan).await;
        }
        return Ok(Report {
            outcome: "idle",
            depth: plan.depth,
            ..Report::default()
        });
    }
    let Some(lease) = Lease::take(host, &config.keys).await? else {
        // The worker that has the lease may have died, and ingest lives on the figures of a fresh listing.
        if host.monotonic_ms() - started_ms < FRESH_MS {
            publish(host, config, &plan, None).await?;
        }
        return Ok(Report {
            outcome: "busy",
            depth: plan.depth,
            ..Report::default()
        });
    };
    let working = work(host, config, &lease, started_ms);
    let result = lease.while_working(host, &config.keys, working).await;
    // A failure here only makes the next tick wait for the lease to pass.
    let given_back = lease.give_back(host, &config.keys).await;
    let report = result?;
    given_back?;
    Ok(report)
}

/// How old a listing may be that is published, in milliseconds.
const FRESH_MS: u64 = 1000;

/// When the destination last took anything, in seconds since the Unix epoch.
async fn last_done_s<H: Host>(host: &H, config: &WorkerConfig) -> Result<u64, StoreError> {
    let status: Option<Status> = host::read(host, &config.keys.record(Record::Status)).await?;
    Ok(status.map_or(0, |status| status.done_s))
}

async fn publish<H: Host>(
    host: &H,
    config: &WorkerConfig,
    plan: &Plan,
    worked: Option<&State>,
) -> Result<bool, StoreError> {
    status::publish(host, &config.keys, plan, worked, Pair::of(config), None).await
}

/// What a tick without work does when it publishes: tells people what they must know, under the lease only if there is
/// anything.
async fn look_around<H: Host>(host: &H, config: &WorkerConfig, plan: &Plan) {
    let looked = async {
        if !alert::is_due(host, config, plan).await? {
            return Ok(());
        }
        let Some(lease) = Lease::take(host, &config.keys).await? else {
            return Ok(());
        };
        let mut state = State::load(host, &config.keys).await?;
        let told = look_after(host, config, &lease, plan, &mut state).await;
        lease.give_back(host, &config.keys).await?;
        told
    };
    note_aftermath(host, config, looked.await);
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
    let end_ms = lease.until_monotonic_ms - LEASE_MARGIN_MS;
    let told = alert::tell(host, config, lease, plan, state, end_ms).await?;
    if (thinned || told) && lease.holds(host) {
        state.save(host, &config.keys).await?;
    }
    Ok(())
}

fn note_aftermath<H: Host>(host: &H, config: &WorkerConfig, result: Result<(), StoreError>) {
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

async fn work<H: Host>(host: &H, config: &WorkerConfig, lease: &Lease, started_ms: u64) -> Result<Report, StoreError> {
    // Listed anew: what was there before the lease was taken may have been worked on.
    let (mut plan, mut planned_s) = rounds::list(host, config).await?;
    let mut state = State::load(host, &config.keys).await?;
    publish(host, config, &plan, Some(&state)).await?;
    state.compare_clocks(host.now_ms());
    let mut history = History::load(host, &config.keys).await?;
    history.note_listing(&plan, planned_s);
    if commands::carry_out(host, config, lease, &plan, &mut state).await? {
        (plan, planned_s) = rounds::list(host, config).await?;
    }
    let pair = Pair::load(host, &config.keys).await?;
    let lease_ms = lease.until_monotonic_ms - LEASE_MARGIN_MS;
    let tick_ms = started_ms + config.tick_s * 1000;
    let deadlines = Deadlines {
        lease,
        begin_ms: tick_ms.min(lease_ms),
        // A call that begins at the tick's end may take as long as any.
        end_ms: (tick_ms + config.call_timeout_s * 1000).min(lease_ms),
    };
    let (timeout_ms, tracking) = (config.call_timeout_s * 1000, &config.tracking_header);
    let governor = |limits, state: &GovernorState, fingerprint| {
        Governor::new(
            host,
            limits,
            config.log,
            tracking,
            deadlines,
            state.clone(),
            fingerprint,
        )
    };
    let pim_governor = governor(pim::limits(timeout_ms), &state.pim, pim_fingerprint(config));
    let destination_limits = destination::limits(timeout_ms, config.destination_rate);
    let destination_governor = governor(destination_limits, &state.destination, destination_fingerprint(config));
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
    Ok(report)
}

/// Works for the pair and the shape that were adopted. For others it says why it does not, and what another shape would
/// do.
async fn rehearse_or_work<H: Host>(
    session: &mut Session<'_, H>,
    known: Option<Pair>,
    end_ms: u64,
) -> Result<Option<String>, Stop> {
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

/// A report as the answer to whoever asked for the tick.
pub fn answer(report: &Report) -> Value {
    json!(report)
}
