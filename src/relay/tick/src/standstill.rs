//! A worker that stands still because of its configuration: neither the PIM nor the destination is called and no event
//! is used up, but what waits is still counted, since ingest lives on that figure, and people are told.

use config::{ConfigError, Telling, WorkerConfig};
use queue::key::Record;
use queue::lease::Lease;
use queue::plan::Plan;
use records::pair::Pair;
use records::report::Report;
use records::state::State;
use records::status;
use serde_json::json;
use world::host::{Clock, Host, Log, StoreError};
use world::log;
use world::log::LogLevel;

/// The report of a tick that could not begin, with the one line that says why.
pub fn misconfigured<H: Log + Clock>(host: &H, error: &ConfigError) -> Report {
    log::write(host, LogLevel::All, "configuration", true, json!({ "reason": error.0 }));
    Report::failed(error.0.clone())
}

/// Why a dry run may not begin: it uses up the events that it logs, and so must not on a store whose events are for a
/// destination.
pub(crate) async fn denied_dry_run<H: Host>(
    host: &H,
    config: &WorkerConfig,
) -> Result<Option<ConfigError>, StoreError> {
    if config.destination.is_some() {
        return Ok(None);
    }
    let known = Pair::load(host, &config.keys).await?;
    Ok(known.map(|known| ConfigError(known.denies_dry_run())))
}

/// What a tick that cannot begin does all the same: it publishes how many events wait, and why, and sends an alert.
pub async fn count_and_tell<H: Host>(host: &H, telling: &Telling, error: &ConfigError) {
    count_and_tell_of(host, telling, None, error).await;
}

async fn count_and_tell_of<H: Host>(host: &H, telling: &Telling, configured: Option<Pair>, error: &ConfigError) {
    if let Err(error) = try_to_count_and_tell(host, telling, configured, &error.0).await {
        let reason = json!({ "reason": error.to_string() });
        log::write(host, telling.log, "aftermath", true, reason);
    }
}

/// Tells people why a tick was stopped, where the damaged record is the one that says what the index was built for.
pub(crate) async fn tell_of_damage<H: Host>(host: &H, config: &WorkerConfig, error: &StoreError) {
    let key = config.keys.record(Record::Pair);
    if *error == StoreError::Damaged(key.clone()) {
        let why = format!(
            "the record {key}, which says what the index was built for, is damaged or of a newer version than this one: nothing is pushed or deleted until a person says by POST /admin/adopt that it is what is configured"
        );
        count_and_tell_of(host, &config.telling(), Pair::of(config), &ConfigError(why)).await;
    }
}

async fn try_to_count_and_tell<H: Host>(
    host: &H,
    telling: &Telling,
    configured: Option<Pair>,
    why: &str,
) -> Result<(), StoreError> {
    let plan = Plan::of(&telling.keys, host.keys().await?);
    status::publish(host, &telling.keys, &plan, None, configured, Some(why)).await?;
    if !alert::may_tell_misconfigured(host, &State::load(host, &telling.keys).await?) {
        return Ok(());
    }
    let Some(lease) = Lease::take(host, &telling.keys, 0).await?.ours() else {
        return Ok(());
    };
    let mut state = State::load(host, &telling.keys).await?;
    let end_ms = lease.end_ms();
    alert::tell_misconfigured(host, telling, &lease, why, &mut state, end_ms).await;
    if lease.holds(host) {
        state.save(host, &telling.keys).await?;
    }
    lease.give_back(host, &telling.keys).await
}
