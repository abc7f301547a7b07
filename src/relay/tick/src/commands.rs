//! Carries out what people have asked for, in a tick that holds the lease.
//!
//! Commands are carried out oldest first. The key of one goes only once it was carried out, or was refused for a reason
//! that stands in the log: a tick that dies before that leaves the command to be done again.

use config::WorkerConfig;
use model::time;
use queue::key::{Key, Record, RetryKey};
use queue::lease::Lease;
use queue::plan::Plan;
use queue::retry::DELAY_MAX_S;
use records::command::{self, Command, ScanKind};
use records::pair::Pair;
use records::reconciliation::{Reconciliation, Rehearsal};
use records::state::State;
use serde_json::json;
use world::damage;
use world::host::{Host, MANY, StoreError, delete_all, set_all};
use world::log;

/// Carries out what was asked for, oldest first; says whether there was anything, and so the plan is out of date. Each
/// command's key is deleted last: whoever dies before that leaves it to be done again.
pub(crate) async fn carry_out<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    plan: &Plan,
    state: &mut State,
) -> Result<bool, StoreError> {
    for key in &plan.commands {
        if !lease.holds(host) {
            break;
        }
        let Some(value) = host.get(key).await? else { continue };
        let is_done = match command::read(&value) {
            Some(Command::Adopt {
                empty_index,
                configured,
            }) => adopt(host, config, plan, state, empty_index, configured).await?,
            Some(Command::Reconcile { scan, since_s, force }) => {
                reconcile(host, config, scan, since_s, force).await?;
                true
            }
            Some(Command::ReleaseBrake) => release_brake(host, config, lease, plan, state).await?,
            Some(Command::EndWaits) => end_waits(host, config, lease, plan, state).await?,
            Some(Command::Pause) => {
                let since_s = state.paused_s.unwrap_or(host.now_ms() / 1000);
                pause(host, config, state, Some(since_s)).await?
            }
            Some(Command::Resume) => pause(host, config, state, None).await?,
            None => {
                let reason = "not in a format that this version reads: dropped";
                log::write(
                    host,
                    config.log,
                    "command",
                    true,
                    json!({ "key": key, "reason": reason }),
                );
                damage::note(host, key, value);
                true
            }
        };
        if is_done {
            host.delete(key).await?;
        }
    }
    Ok(!plan.commands.is_empty())
}

async fn adopt<H: Host>(
    host: &H,
    config: &WorkerConfig,
    plan: &Plan,
    state: &mut State,
    empty_index: bool,
    configured: Option<Pair>,
) -> Result<bool, StoreError> {
    let refuse = |reason: &str| {
        let fields = json!({ "do": "adopt", "meant": configured, "reason": reason });
        log::write(host, config.log, "command", true, fields);
        Ok(true)
    };
    let Some(pair) = Pair::of(config) else {
        return refuse("there is no destination to adopt: set `destination_url`");
    };
    match &configured {
        None => {
            return refuse("it does not say which pair and shape are meant: see GET /admin/status, and adopt again");
        }
        Some(meant) if *meant != pair => {
            return refuse(
                "what is configured is another pair or shape than was meant: see GET /admin/status, and adopt again",
            );
        }
        Some(_) => {}
    }
    let known = Reconciliation::read(host, &config.keys).await?.unwrap_or_default();
    if empty_index {
        delete_all(host, &plan.pages(|_| true)).await?;
        delete_all(host, &plan.file_pages()).await?;
        state.indexed = 0;
        state.save(host, &config.keys).await?;
    } else {
        prepare_for_shape(host, config, state, &pair).await?;
    }
    // Whatever was read of the PIM was compared with the old index.
    let mut anew = Reconciliation::of(Some(pair.clone()));
    anew.emptied_s = if empty_index {
        host.now_ms() / 1000
    } else {
        known.emptied_s
    };
    anew.walk.ask(false);
    anew.save(host, &config.keys).await?;
    // The record of the pair is written last: until the old index is gone, nothing may be pushed or deleted by it.
    pair.save(host, &config.keys).await?;
    let fields = json!({ "do": "adopt", "empty_index": empty_index, "pim": pair.pim, "destination": pair.destination });
    log::write(host, config.log, "command", false, fields);
    Ok(true)
}

async fn reconcile<H: Host>(
    host: &H,
    config: &WorkerConfig,
    scan: ScanKind,
    since_s: Option<u64>,
    force: bool,
) -> Result<(), StoreError> {
    let reason = match (Pair::of(config), known_pair(host, config).await?) {
        (None, _) => Some("there is no destination to keep equal: set `destination_url`"),
        (Some(configured), Some(known)) if configured != known => Some("adopt the configured pair first"),
        _ => None,
    };
    if let Some(reason) = reason {
        let fields = json!({ "do": "reconcile", "reason": reason });
        log::write(host, config.log, "command", true, fields);
        return Ok(());
    }
    let mut record = Reconciliation::load(host, config).await?;
    match scan {
        ScanKind::Recent => record.ask_recent(config.shape.kinds(), since_s),
        ScanKind::Full => record.walk.ask(force),
    }
    record.save(host, &config.keys).await?;
    let fields = json!({ "do": "reconcile", "scan": scan, "since": since_s.map(time::text), "force": force });
    log::write(host, config.log, "command", false, fields);
    Ok(())
}

/// What the index was built for; none where the record that says so is damaged: then whoever adopts a pair says it.
async fn known_pair<H: Host>(host: &H, config: &WorkerConfig) -> Result<Option<Pair>, StoreError> {
    match Pair::load(host, &config.keys).await {
        Err(StoreError::Damaged(_)) => Ok(None),
        known => known,
    }
}

/// Prepares for another shape of the same pair, which is to reach all entities: where a rehearsal has told people how
/// many of them it deletes, the brake is released.
async fn prepare_for_shape<H: Host>(
    host: &H,
    config: &WorkerConfig,
    state: &mut State,
    pair: &Pair,
) -> Result<(), StoreError> {
    let known = known_pair(host, config).await?;
    if !known.is_some_and(|known| known.is_of_other_shape(pair)) {
        return Ok(());
    }
    let rehearsal = Rehearsal::read(host, &config.keys).await?;
    if rehearsal.is_some_and(|rehearsal| rehearsal.shape == pair.shape && rehearsal.is_done()) {
        state.brake.release(host.now_ms() / 1000);
        state.save(host, &config.keys).await?;
    }
    host.delete(&config.keys.record(Record::Rehearsal)).await
}

/// Releases the brake, and lets every deletion go that it holds back; says whether it came to the end.
async fn release_brake<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    plan: &Plan,
    state: &mut State,
) -> Result<bool, StoreError> {
    let now_s = host.now_ms() / 1000;
    state.brake.release(now_s);
    state.save(host, &config.keys).await?;
    let held: Vec<(RetryKey, &String)> = held_back(plan, now_s).collect();
    let_come(host, config, lease, &held, "release-brake").await
}

/// Lets all upstreams be called again at their configured rates, and what waits for longer than an entity waits by
/// itself be tried again; says whether it came to the end.
async fn end_waits<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    plan: &Plan,
    state: &mut State,
) -> Result<bool, StoreError> {
    let now_s = host.now_ms() / 1000;
    for upstream in [&mut state.pim, &mut state.destination, &mut state.alert] {
        upstream.end_waits();
    }
    state.save(host, &config.keys).await?;
    let put_off: Vec<(RetryKey, &String)> = plan.put_off_beyond(now_s + DELAY_MAX_S).collect();
    let_come(host, config, lease, &put_off, "end-waits").await
}

/// Lets retries be due now, as this command asks; says whether it came to the end.
async fn let_come<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    retries: &[(RetryKey, &String)],
    command: &str,
) -> Result<bool, StoreError> {
    let now_s = host.now_ms() / 1000;
    for chunk in retries.chunks(MANY) {
        if !lease.holds(host) {
            return Ok(false);
        }
        let mut due = Vec::new();
        for (retry, key) in chunk {
            if let Some(value) = host.get(key).await? {
                let retry = RetryKey {
                    due_s: now_s,
                    ..retry.clone()
                };
                due.push((config.keys.encode(&Key::Retry(retry)), value));
            }
        }
        set_all(host, &due).await?;
        let old: Vec<String> = chunk.iter().map(|(_, key)| (*key).clone()).collect();
        delete_all(host, &old).await?;
    }
    let fields = json!({ "do": command, "released": retries.len() });
    log::write(host, config.log, "command", false, fields);
    Ok(true)
}

/// Pauses the worker, since when is given, or lets it go on.
async fn pause<H: Host>(
    host: &H,
    config: &WorkerConfig,
    state: &mut State,
    since_s: Option<u64>,
) -> Result<bool, StoreError> {
    state.paused_s = since_s;
    state.save(host, &config.keys).await?;
    let what = if since_s.is_some() { "pause" } else { "resume" };
    log::write(host, config.log, "command", false, json!({ "do": what }));
    Ok(true)
}

/// The retries of a plan that are held back beyond now.
pub(crate) fn held_back(plan: &Plan, now_s: u64) -> impl Iterator<Item = (RetryKey, &String)> {
    plan.held_back().filter(move |(retry, _)| retry.due_s > now_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use queue::keyspace::Keyspace;

    #[test]
    fn only_what_is_held_back_is_let_go() {
        let listing = [
            "r.p.ta.0b.500",
            "r.p.tb.2.500",
            "r.p.tc.0b.50",
            "r.p.td.0.500",
            "r.p.te.0h.500",
        ];
        let plan = Plan::of(&Keyspace::new("main"), listing.map(|key| format!("r1.main.{key}")));
        let keys: Vec<&String> = held_back(&plan, 100).map(|(_, key)| key).collect();
        assert_eq!(keys, ["r1.main.r.p.ta.0b.500"]);
    }
}
