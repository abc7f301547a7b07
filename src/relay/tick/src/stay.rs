//! A tick that stays: under one lease it works, waits for news and works again, until its time is over.
//!
//! It may assume the lease. While it only waits, it takes the lease for a short time at once, so that after a kill others
//! need not wait long. It leaves as soon as work comes to nothing: what an upstream keeps it from is tried by the next
//! tick, as if none had stayed.

use crate::work::{self, Handed};
use config::WorkerConfig;
use queue::handover;
use queue::lease::{LEASE_MS, Lease, Taken};
use queue::succession::{Successor, WAIT_MS};
use records::report::Report;
use world::host::{Host, StoreError};

/// For how long a worker that waits takes the lease at once, in milliseconds.
const WAITING_LEASE_MS: u64 = 10_000;

/// The first pause between two looks at the store, in milliseconds. While nothing comes, each is twice as long as the one
/// before.
const PAUSE_MS: u64 = 250;

/// The longest such pause, in milliseconds.
const PAUSE_MAX_MS: u64 = 1000;

/// A pause is at least so many times as long as the last listing took.
const LISTINGS: u64 = 10;

/// How long such a pause may be, in milliseconds: as long as lies between two ticks of the cron trigger. Where listings
/// take so long that it would be longer, ticks end with their work.
const LISTINGS_PAUSE_MAX_MS: u64 = 10_000;

/// How long news is left to gather before it is worked on, in milliseconds, so that it makes one batch.
const LINGER_MS: u64 = 200;

/// How long before another tick's time is over its successor may come and wait, in milliseconds: a little more than lies
/// between two ticks of the cron trigger.
const SUCCESSION_MS: u64 = 11_000;

/// How often a successor looks whether the lease is free, in milliseconds.
const SUCCESSOR_PAUSE_MS: u64 = 250;

/// Takes the lease for a tick that means to stay for so many milliseconds from then on, and gives it with the moment of
/// the monotonic clock at which that time is over, in milliseconds; none while another tick has the lease. Shortly before
/// the time of a tick that stays is over, this one waits to be handed the lease, unless another one does, so that there is
/// no gap.
pub(crate) async fn take<H: Host>(
    host: &H,
    config: &WorkerConfig,
    stays_ms: u64,
) -> Result<Option<(Lease, u64)>, StoreError> {
    let mut successor = None;
    let taken = wait(host, config, stays_ms, &mut successor).await;
    if let Some(successor) = successor {
        // A failure here costs nothing: the record passes before this tick's time is over.
        drop(successor.leave(host, &config.keys).await);
    }
    taken
}

async fn wait<H: Host>(
    host: &H,
    config: &WorkerConfig,
    stays_ms: u64,
    successor: &mut Option<Successor>,
) -> Result<Option<(Lease, u64)>, StoreError> {
    let give_up_ms = host.monotonic_ms() + WAIT_MS;
    loop {
        let until_ms = host.monotonic_ms() + stays_ms;
        match Lease::take(host, &config.keys, stays_ms).await? {
            Taken::Ours(lease) => return Ok(Some((lease, until_ms))),
            Taken::Held(holder) if successor.as_ref().is_some_and(|own| own.token == holder.token) => {
                let lease = Lease::inherit(host, &config.keys, holder.token, stays_ms).await?;
                return Ok(lease.map(|lease| (lease, until_ms)));
            }
            Taken::Held(holder) if holder.stays_until_ms > host.now_ms() + SUCCESSION_MS => return Ok(None),
            Taken::Held(holder) if successor.is_none() => {
                // A tick of a short stay, such as one that is asked for by HTTP, would wait longer than it stays.
                if holder.stays_until_ms == 0 || stays_ms <= WAIT_MS {
                    return Ok(None);
                }
                *successor = Successor::announce(host, &config.keys).await?;
                if successor.is_none() {
                    return Ok(None);
                }
            }
            Taken::Held(_) | Taken::Not => {}
        }
        if host.monotonic_ms() >= give_up_ms {
            return Ok(None);
        }
        host.sleep_ms(SUCCESSOR_PAUSE_MS).await;
    }
}

/// Works whenever there is anything to do, until `until_ms`, a moment of the monotonic clock in milliseconds; a tick that
/// does not stay, for which it is 0, works once, and its time counts from `started_ms`. Gives the report of the last work;
/// none where there was nothing to do.
pub(crate) async fn run<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    (started_ms, until_ms): (u64, u64),
) -> Result<Option<Report>, StoreError> {
    let stays = until_ms > 0;
    let (mut report, mut handed, mut pause_ms) = (None, Handed::default(), PAUSE_MS);
    let mut begins_ms = started_ms;
    while lease.holds(host) {
        if stays {
            let look = work::look(host, config).await?;
            let is_wanted = look.plan.is_lease_wanted && handover::is_wanted(host, &config.keys).await?;
            let is_over = is_wanted || host.monotonic_ms() >= until_ms;
            let listings_ms = LISTINGS * look.listing_ms;
            if look.is_idle {
                work::idle(host, config, &look.plan, Some(lease)).await?;
                if is_over || listings_ms > LISTINGS_PAUSE_MAX_MS {
                    break;
                }
                lease.last(WAITING_LEASE_MS);
                host.sleep_ms(pause_ms.max(listings_ms)).await;
                pause_ms = (2 * pause_ms).min(PAUSE_MAX_MS);
                continue;
            }
            if is_over && report.is_some() {
                break;
            }
            host.sleep_ms(LINGER_MS).await;
            if !lease.renew(host, &config.keys, LEASE_MS).await? {
                break;
            }
            begins_ms = host.monotonic_ms();
        }
        let worked = work::work(host, config, lease, begins_ms, &mut handed).await?;
        report = Some(worked.report);
        if !stays || !worked.goes_on {
            break;
        }
        pause_ms = PAUSE_MS;
    }
    Ok(report)
}
