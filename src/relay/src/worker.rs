//! One tick of the worker: list, plan, take the lease, then batch by batch until the time is used up.

use crate::alert;
use crate::batch::{self, Stop};
use crate::commands;
use crate::config::{DestinationConfig, WorkerConfig};
use crate::dead_letter;
use crate::destination;
use crate::enrichment;
use crate::entity::{Entity, Kind, digest};
use crate::failure::TIME_IS_UP;
use crate::governor::{Deadlines, Governor, GovernorState};
use crate::history::History;
use crate::host::{self, Host, StoreError, set_all};
use crate::in_flight::InFlightValue;
use crate::index::Pages;
use crate::key::{Change, Key, Record};
use crate::lease::Lease;
use crate::log;
use crate::meta::Meta;
use crate::mistake::{Mistake, made};
use crate::pace::Came;
use crate::pim;
use crate::plan::{Arrangement, Plan};
use crate::reconcile::{self, rehearsal};
use crate::reconciliation::Reconciliation;
use crate::report::Report;
use crate::session::{Parts, Session};
use crate::standstill;
use crate::state::State;
use crate::status::{self, Status};
use crate::time::SKEW_S;
use crate::token;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How long a PIM is taken to have no search by `POST` before it is tried again, in seconds.
const NO_POST_SEARCH_S: u64 = 86_400;

/// How long before its end the lease is not worked on any more, in milliseconds.
pub(crate) const LEASE_MARGIN_MS: u64 = 2000;

/// Runs one tick and says what it did. Whatever fails costs no event: it stays for the next tick.
pub async fn tick<H: Host>(host: &H, config: &WorkerConfig) -> Report {
    let started_ms = host.monotonic_ms();
    let mut report = match begin(host, config, started_ms).await {
        Ok(report) => report,
        Err(error) => Report::failed(error.to_string()),
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
    let (plan, now_s) = list(host, config).await?;
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

async fn list<H: Host>(host: &H, config: &WorkerConfig) -> Result<(Plan, u64), StoreError> {
    let now_s = host.now_ms() / 1000;
    Ok((Plan::of(&config.keys, host.keys().await?), now_s))
}

async fn publish<H: Host>(
    host: &H,
    config: &WorkerConfig,
    plan: &Plan,
    worked: Option<&State>,
) -> Result<bool, StoreError> {
    status::publish(host, &config.keys, plan, worked, Meta::of(config), None).await
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
    let (mut plan, mut planned_s) = list(host, config).await?;
    let mut state = State::load(host, &config.keys).await?;
    publish(host, config, &plan, Some(&state)).await?;
    state.compare_clocks(host.now_ms());
    let mut history = History::load(host, &config.keys).await?;
    history.note_listing(&plan, planned_s);
    if commands::carry_out(host, config, lease, &plan, &mut state).await? {
        (plan, planned_s) = list(host, config).await?;
    }
    let meta = Meta::load(host, &config.keys).await?;
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
        meta: meta.clone(),
    });
    let stop = match rehearse_or_work(&mut session, meta, deadlines.begin_ms).await {
        Ok(reason) => reason,
        Err(stop) => Some(stop.to_string()),
    };
    let work = session.work();
    let (mut report, mut state, mut history) = session.finish();
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
        let (plan, _) = list(host, config).await?;
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
    known: Option<Meta>,
    end_ms: u64,
) -> Result<Option<String>, Stop> {
    match (known, Meta::of(session.config)) {
        (Some(known), Some(configured)) if known.is_of_other_shape(&configured) => {
            rehearsal::run(session, known).await.map(Some)
        }
        (Some(known), Some(configured)) if known != configured => Ok(known.denies(&configured)),
        _ => {
            rehearsal::end(session).await?;
            rounds(session, end_ms).await
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
        let upstream = format!("{}\n{}\n{token}", destination.origin, destination.path);
        fingerprint(config, &upstream)
    };
    config.destination.as_ref().map(of).unwrap_or_default()
}

/// How much of a tick is reconciliation's while events wait: one in so many parts of its time.
const SHARE: u64 = 4;

/// Round after round: what waits, then reconciliation, then what has come to wait meanwhile. Says why it ended before
/// the work did, if something went wrong.
async fn rounds<H: Host>(session: &mut Session<'_, H>, end_ms: u64) -> Result<Option<String>, Stop> {
    let host = session.host;
    let share_ms = session.config.tick_s * 1000 / SHARE;
    let mut reconciled_ms = 0;
    if session.state.borrow().is_share_owed {
        reconciled_ms += reconcile(session, end_ms, share_ms).await?.0;
    }
    loop {
        let is_ready = reconcile::is_ready(session, false);
        let is_owed = reconcile::is_ready(session, true);
        let left_ms = share_ms.saturating_sub(reconciled_ms);
        let reserved_ms = if is_ready { left_ms } else { 0 };
        let blocked = batches(session, end_ms.saturating_sub(reserved_ms)).await?;
        let (took_ms, has_worked) = reconcile(session, end_ms, share_ms).await?;
        reconciled_ms += took_ms;
        // Calls that began in time may have lasted until its end, and longer; or those of batches were the only probes.
        session.state.borrow_mut().is_share_owed = is_owed && !has_worked;
        if !has_worked || blocked.is_some() || host.monotonic_ms() >= end_ms {
            return Ok(blocked);
        }
        session.check_lease()?;
        let (plan, planned_s) = list(host, session.config).await?;
        session.plan_anew(plan, planned_s);
    }
}

/// Reconciliation for as long as this, but not beyond the tick; says how long it took in milliseconds, and whether
/// there was anything to do.
async fn reconcile<H: Host>(session: &Session<'_, H>, end_ms: u64, for_ms: u64) -> Result<(u64, bool), Stop> {
    if !session.is_reconciling() {
        return Ok((0, false));
    }
    session.check_lease()?;
    session.begin_until(end_ms);
    let begun_ms = session.host.monotonic_ms();
    reconcile::begin(session).await?;
    let has_worked = reconcile::run(session, end_ms.min(begun_ms + for_ms)).await?;
    session.keep_news().await?;
    Ok((session.host.monotonic_ms() - begun_ms, has_worked))
}

/// A batch that was begun may make its calls for so long after the tick's end, as a part of the longest that a call may
/// take: what was read is pushed, however long the reading took.
const GRACE: u64 = 2;

/// Batch by batch; says which upstream is left alone, if one is, or why the tick cannot go on.
async fn batches<H: Host>(session: &Session<'_, H>, until_ms: u64) -> Result<Option<String>, Stop> {
    unite(session).await?;
    recover(session).await?;
    enrichment::refresh(session).await?;
    let grace_ms = session.config.call_timeout_s * 1000 / GRACE;
    let held: RefCell<BTreeMap<Kind, String>> = RefCell::default();
    let done_s = session.state.borrow().done_s;
    let mut due = session.plan.due(session.planned_s, done_s);
    loop {
        session.begin_until(until_ms);
        if session.host.monotonic_ms() >= until_ms {
            break;
        }
        let arrange = |kind| match session.admits(kind) {
            Ok(arrangement) => arrangement,
            Err(reason) => {
                held.borrow_mut().entry(kind).or_insert(reason);
                Arrangement {
                    size: 0,
                    ..Arrangement::default()
                }
            }
        };
        let Some(batch) = due.next(arrange) else { break };
        let Some(kind) = batch.first().map(|waiting| waiting.entity.kind) else {
            continue;
        };
        session.note_begun(&batch);
        session.begin_until(until_ms + grace_ms);
        let came = batch::run(session, kind, batch).await;
        session.keep_news().await?;
        session.note_came(kind, came?);
    }
    let blocked = || {
        session
            .pim_governor
            .blocked()
            .or_else(|| session.destination_governor.blocked())
    };
    let mut held = held.into_inner().into_values();
    Ok(held.find(|reason| reason != TIME_IS_UP).or_else(blocked))
}

/// Pages of the index that several workers wrote become one; what they pushed of different contents is pushed anew.
async fn unite<H: Host>(session: &Session<'_, H>) -> Result<(), Stop> {
    let directory = session.index.borrow().clone();
    let (mut pages, unknown) = Pages::unite(session.host, &session.config.keys, &directory).await?;
    if !pages.has_changes() {
        return Ok(());
    }
    session.check_lease()?;
    let raised: Vec<(String, Vec<u8>)> = unknown
        .iter()
        .map(|(entity, code)| session.raise(entity.kind, code, Change::Recovered))
        .collect();
    set_all(session.host, &raised).await?;
    session.note_raised(raised.len());
    Ok(session.save_pages(&mut pages).await?)
}

/// What was in flight long enough to have settled counts as never pushed, and is looked at anew.
async fn recover<H: Host>(session: &Session<'_, H>) -> Result<(), Stop> {
    let due = session.plan.in_flight.iter();
    for batch in due.filter(|batch| batch.is_due(session.planned_s)) {
        let value: Option<InFlightValue> = host::read(session.host, &batch.key).await?;
        if batch.is_ahead(session.planned_s) {
            // It settles from now on: what its writer's clock said is of no use.
            session.check_lease()?;
            if let Some(value) = value {
                look_again(session, session.planned_s, value).await?;
            }
            session.host.delete(&batch.key).await?;
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
        let mut pages = session.load_pages(entities.iter().map(|(entity, _)| entity)).await?;
        for (entity, code) in &entities {
            if let Some(updated_s) = pages.get(entity).map(|entry| entry.updated_s) {
                pages.set(entity, code, None, updated_s);
            }
        }
        session.check_lease()?;
        session.save_pages(&mut pages).await?;
        let raised: Vec<(String, Vec<u8>)> = entities
            .iter()
            .map(|(entity, code)| session.raise(entity.kind, code, Change::Recovered))
            .collect();
        session.note_raised(raised.len());
        set_all(session.host, &raised).await?;
        // By the clock of the worker that wrote it, it may not have settled yet; or by any clock but ours.
        if !value.is_second && (session.state.borrow().clocks_differ() || batch.is_old(session.planned_s)) {
            let value = InFlightValue {
                is_second: true,
                ..value
            };
            look_again(session, session.planned_s + SKEW_S, value).await?;
        }
        session.host.delete(&batch.key).await?;
        session.note_progress();
    }
    Ok(())
}

/// Lets a batch that may be in flight be looked at ten minutes after a moment, in seconds since the Unix epoch.
async fn look_again<H: Host>(session: &Session<'_, H>, at_s: u64, value: InFlightValue) -> Result<(), StoreError> {
    let key = Key::InFlight(session.fresh_id(), at_s);
    session
        .host
        .set(&session.config.keys.encode(&key), &value.to_bytes())
        .await
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

impl<H: Host> Session<'_, H> {
    /// How batches of a kind are made now: of single entities while an upstream is being probed; or why none is.
    fn admits(&self, kind: Kind) -> Result<Arrangement, String> {
        let (pim, destination) = (&self.pim_governor, &self.destination_governor);
        let held = pim
            .held(token::CIRCUIT)
            .or_else(|| pim.held(kind.name()))
            .or_else(|| {
                let lists = enrichment::circuits(&self.config.shape, kind);
                lists.into_iter().find_map(|list| pim.held(&list))
            })
            .or_else(|| destination.held(kind.name()));
        if let Some(reason) = held {
            return Err(reason);
        }
        let probing =
            pim.is_probing(token::CIRCUIT) || pim.is_probing(kind.name()) || destination.is_probing(kind.name());
        let opened_of_late = pim.opened_of_late(kind.name()) || destination.opened_of_late(kind.name());
        Ok(Arrangement {
            size: if probing {
                1
            } else {
                self.state.borrow().pace.size(kind)
            },
            narrows: pim.failed_of_late(kind.name()),
            scattered: (opened_of_late && !made(Mistake::ProbeTheSame)).then_some(self.planned_s),
        })
    }

    /// Takes note of how far a batch came, unless an upstream kept it from its end.
    fn note_came(&self, kind: Kind, came: Came) {
        if came.through > 0 {
            self.note_progress();
        }
        self.note_at(|| format!("{} of {} {} were put off", came.of - came.through, came.of, kind.name()));
        // Models whose marking goes on in the next tick must be of one batch again.
        let is_halved_for_nothing = self.is_hampered() || came.has_advanced;
        if !is_halved_for_nothing || came.through >= came.of {
            self.state.borrow_mut().pace.note(kind, came);
        }
    }

    /// What the tick was at, and whether anything came of it.
    fn work(&self) -> Work {
        let report = self.done();
        Work {
            at: self.at(),
            has_progressed: self.has_progressed() || report.pages > 0,
            is_hampered: self.is_hampered(),
        }
    }

    /// Keeps what a killed tick must not forget: a wait that an upstream asked for, and what a breaker learned.
    async fn keep_news(&self) -> Result<(), StoreError> {
        let news = [self.pim_governor.has_news(), self.destination_governor.has_news()];
        if !news.contains(&true) || !self.lease.holds(self.host) {
            return Ok(());
        }
        let (pim, destination) = (self.pim_governor.state(), self.destination_governor.state());
        for (upstream, governor) in [("pim", &pim), ("destination", &destination)] {
            for open in governor.open() {
                let fields = json!({ "upstream": upstream, "circuit": open.circuit, "reason": open.breaker.reason });
                self.log_failure("blocked", fields);
            }
        }
        self.save_state().await
    }

    fn begin_until(&self, until_ms: u64) {
        self.pim_governor.begin_until(until_ms);
        self.destination_governor.begin_until(until_ms);
    }

    fn finish(self) -> (Report, State, History) {
        let has_post_search = self.pim.has_post_search.get();
        let now_s = self.now_s();
        let sizes = self.pim.sizes.take();
        let (report, mut state, history) = self.into_report();
        state.page_sizes = sizes;
        if !has_post_search && state.no_post_search_until_s <= now_s {
            state.no_post_search_until_s = now_s + NO_POST_SEARCH_S;
        }
        (report, state, history)
    }
}

/// A report as the answer to whoever asked for the tick.
pub fn answer(report: &Report) -> Value {
    json!(report)
}
