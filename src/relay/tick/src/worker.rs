//! One tick of the worker: list, plan, take the lease, then batch by batch until the time is used up. One that stays goes
//! on from there (`stay`).

use crate::damage;
use crate::rounds;
use crate::standstill;
use crate::stay;
use crate::work::{self, Look, note_aftermath, publish, told};
use config::WorkerConfig;
use queue::lease::Lease;
use queue::succession;
use records::report::Report;
use records::status;
use serde_json::{Value, json};
use world::host::{Host, StoreError};

/// How old a listing may be that is published, in milliseconds.
const FRESH_MS: u64 = 1000;

/// Runs one tick and says what it did. Whatever fails costs no event: it stays for the next tick. A tick that stays
/// tells of each of its works in the log, and gives the report of the last one.
pub async fn tick<H: Host>(host: &H, config: &WorkerConfig) -> Report {
    let report = told_tick(host, config).await;
    // What a tick found that worked is cleared away already, under its lease.
    note_aftermath(host, config, damage::clear_away(host, config, None).await);
    report
}

async fn told_tick<H: Host>(host: &H, config: &WorkerConfig) -> Report {
    let started_ms = host.monotonic_ms();
    let report = match begin(host, config, started_ms).await {
        Ok(Ended::Told(report)) => return report,
        Ok(Ended::Untold(report)) => report,
        Err(error) => {
            standstill::tell_of_damage(host, config, &error).await;
            Report::failed(error.to_string())
        }
    };
    let ms = host.monotonic_ms() - started_ms;
    told(host, config, Report { ms, ..report })
}

/// How a tick ended: with a piece of work that was told in the log, or otherwise.
enum Ended {
    Told(Report),
    Untold(Report),
}

async fn begin<H: Host>(host: &H, config: &WorkerConfig, started_ms: u64) -> Result<Ended, StoreError> {
    if let Some(error) = standstill::denied_dry_run(host, config).await? {
        standstill::count_and_tell(host, &config.telling(), &error).await;
        return Ok(Ended::Untold(standstill::misconfigured(host, &error)));
    }
    run(host, config, started_ms).await
}

async fn run<H: Host>(host: &H, config: &WorkerConfig, started_ms: u64) -> Result<Ended, StoreError> {
    let stays_ms = config.watch_s * 1000;
    let (mut outcome, mut depth, mut taken) = ("busy", 0, None);
    if stays_ms > 0 {
        taken = stay::take(host, config, stays_ms).await?;
        // As below: a worker that died while it worked publishes nothing.
        if taken.is_none() && status::is_old(host, &config.keys).await? {
            let (plan, _) = rounds::list(host, config).await?;
            publish(host, config, &plan, None).await?;
        }
    } else {
        let Look { plan, is_idle, .. } = work::look(host, config).await?;
        depth = plan.depth;
        if is_idle {
            outcome = "idle";
            work::idle(host, config, &plan, None).await?;
        } else if let Some(lease) = Lease::take(host, &config.keys, 0).await?.ours() {
            taken = Some((lease, 0));
        } else if host.monotonic_ms() - started_ms < FRESH_MS {
            // The worker that has the lease may have died, and ingest lives on the figures of a fresh listing.
            publish(host, config, &plan, None).await?;
        }
    }
    let mut report = None;
    if let Some((lease, until_ms)) = taken {
        outcome = "idle";
        let working = stay::run(host, config, &lease, (started_ms, until_ms));
        let result = lease.while_working(host, &config.keys, working).await;
        note_aftermath(host, config, damage::clear_away(host, config, Some(&lease)).await);
        // A failure here only makes the next tick wait for the lease to pass.
        let given_back = match until_ms {
            0 => lease.give_back(host, &config.keys).await,
            _ => succession::hand_over(host, &config.keys, lease).await,
        };
        report = result?;
        given_back?;
    }
    Ok(match report {
        Some(report) => Ended::Told(report),
        None => Ended::Untold(Report {
            outcome,
            depth,
            ..Report::default()
        }),
    })
}

/// A report as the answer to whoever asked for the tick.
pub fn answer(report: &Report) -> Value {
    json!(report)
}
