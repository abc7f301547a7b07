//! All of it, in the order in which one thing rests on another.

use crate::finding::Findings;
use crate::mentions::{self, Mentions};
use crate::variables::{Judged, Taken};
use crate::{address, calls, destination, names, pim, store, variables};
use ::destination::Destination;
use akeneo::pim::Pim;
use config::{Variables, WorkerConfig};
use model::time;
use queue::handover;
use queue::lease::Lease;
use serde_json::{Value, json};
use upstream::governor::{Deadlines, Governor, Limits};
use upstream::governor_state::GovernorState;
use world::host::Host;

/// How long one call may take, in milliseconds.
const CALL_MS: u64 = 10_000;

/// How long all calls of one upstream may take, in milliseconds.
const UPSTREAM_MS: u64 = 40_000;

/// Looks at everything; waits up to `wait_ms` milliseconds for the lease, without which the PIM is not asked.
pub async fn check<H: Host>(host: &H, variables: &Variables<'_>, document: &str, wait_ms: u64) -> Value {
    let began_ms = host.monotonic_ms();
    let mut findings = Findings::default();
    let judged = variables::judge(variables, &mut findings);
    let mut seen = None;
    if let Some(config) = judged.worker.as_ref().filter(|_| judged.is_right(&["instance"])) {
        store::look(host, &config.keys, &mut findings).await;
        let is_free = judged.is_right(&variables::ADDRESSES) && !judged.is_misread;
        if !is_free {
            findings.error(
                "address",
                "nobody was asked: Spin denies every call while one of the addresses makes no sense",
                "mend the addresses that are told, and ask again",
            );
        }
        if is_free {
            look_outside(host, variables, &judged, (config, document), &mut findings).await;
        }
        if is_free && judged.knows_the_pim() {
            let told = (Taken::read(variables), &mut findings);
            seen = look_at_the_pim(host, config, document, wait_ms, told).await;
        }
    }
    json!({
        "v": 1,
        "at": time::text(host.now_ms() / 1000),
        "ready": findings.is_ready(),
        "findings": findings.document(),
        "pim": seen.map(|seen| json!({ "version": seen.version, "edition": seen.edition })),
        "took_ms": host.monotonic_ms() - began_ms,
    })
}

/// The destination and the public address: neither needs the lease. All addresses make sense.
async fn look_outside<H: Host>(
    host: &H,
    variables: &Variables<'_>,
    judged: &Judged,
    (config, document): (&WorkerConfig, &str),
    findings: &mut Findings,
) {
    let alone = Lease::alone();
    let is_right = judged.is_right(&[
        "destination_path",
        "destination_token",
        "login_id",
        "login_secret",
        "shape",
    ]);
    if let Some(known) = config.destination.as_ref().filter(|_| is_right) {
        let governor = governor(host, config, &alone, calls::limits("destination", CALL_MS));
        let destination = Destination::new(host, &governor, &config.keys, known, &config.shape);
        let probe = mentions::probe(document);
        let named = (known, &config.shape, probe.as_deref());
        destination::look(host, &destination, &governor, named, findings).await;
    }
    let governor = governor(host, config, &alone, calls::limits("public address", CALL_MS));
    let origin = variables.public_url().ok().flatten();
    address::look(&governor, origin.as_deref(), findings).await;
}

/// The PIM, asked by the holder of the lease alone, so that it is never asked more at once than it bears.
async fn look_at_the_pim<H: Host>(
    host: &H,
    config: &WorkerConfig,
    document: &str,
    wait_ms: u64,
    (taken, findings): (Taken, &mut Findings),
) -> Option<pim::Seen> {
    let Ok(Some(lease)) = handover::take(host, &config.keys, wait_ms).await else {
        findings.error(
            "pim",
            "ticks were at work all the time, so the PIM was not looked at",
            "ask again, with ?wait_seconds= for longer; a tick hands over between two pieces of work",
        );
        return None;
    };
    let look = ask_the_pim(host, config, document, &lease, (taken, findings));
    let seen = lease.while_working(host, &config.keys, look).await;
    // A lease that is not given back passes by itself.
    drop(lease.give_back(host, &config.keys).await);
    seen
}

async fn ask_the_pim<H: Host>(
    host: &H,
    config: &WorkerConfig,
    document: &str,
    lease: &Lease,
    (taken, findings): (Taken, &mut Findings),
) -> Option<pim::Seen> {
    let governor = governor(host, config, lease, akeneo::pim::limits(CALL_MS));
    let mut pim = Pim::new(host, &governor, &config.keys, &config.pim, true);
    let mentions = Mentions::of(document);
    let named = names::lists_named(&mentions);
    let told = (taken, &mut *findings);
    let seen = pim::look(host, &pim, (config, &config.shape), &named, told).await?;
    names::look(&mut pim, &mentions, &seen.readable, findings).await;
    Some(seen)
}

/// A governor that knows nothing of what was before.
pub fn governor<'a, H: Host>(host: &'a H, config: &WorkerConfig, lease: &'a Lease, limits: Limits) -> Governor<'a, H> {
    let end_ms = host.monotonic_ms() + UPSTREAM_MS;
    let deadlines = Deadlines {
        lease,
        begin_ms: end_ms,
        end_ms: end_ms + CALL_MS,
    };
    let state = GovernorState::default();
    let governor = Governor::new(
        host,
        limits,
        config.log,
        &config.tracking_header,
        deadlines,
        state,
        String::new(),
    );
    governor.keep_secrets(&config.secrets);
    governor
}
