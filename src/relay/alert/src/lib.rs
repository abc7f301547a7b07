//! Whether all is well, and telling people what only they can mend: one line in the log and, where an address is
//! configured, one `POST`; for every cause at most once an hour while it lasts, and once when it is over.
//!
//! It reads records and the plan, and writes nothing but when an alert went out. It calls nobody but the receiver of
//! alerts.
//!
//! | where | what |
//! |---|---|
//! | [`health`] | `ok`, `degraded` or `down`, and why |
//! | `facts` | what is told without being asked |
//! | `told` | what an alert consists of |
//! | `alarms` | how often, and when it counts as over |
//! | here | sending it |

mod alarms;
mod facts;
pub mod health;
mod told;

use config::{AlertConfig, Telling, WorkerConfig};
use facts::Facts;
use http::{Method, Request, Response};
use model::entity::digest;
use model::failure::{Class, Failure};
use queue::lease::Lease;
use queue::plan::Plan;
use records::state::{Alarm, State};
use serde_json::json;
use told::{About, Alert};
use upstream::governor::{Call, Deadlines, Governor, Limits};
use upstream::retry_after::transient;
use world::host::{Host, StoreError};
use world::log;
use world::log::LogLevel;

/// The longest that one alert may take, in milliseconds.
const TIMEOUT_MS: u64 = 5000;

/// The one circuit of alerts.
const CIRCUIT: &str = "alerts";

const LIMITS: Limits = Limits {
    name: "alert",
    at_once: 1,
    per_second: 5,
    timeout_ms: TIMEOUT_MS,
    writes: true,
};

/// Whether anything is to be told: all that an otherwise idle tick needs to know.
pub async fn is_due<H: Host>(host: &H, config: &WorkerConfig, plan: &Plan) -> Result<bool, StoreError> {
    let state = State::load(host, &config.keys).await?;
    let facts = Facts::gather(host, config, plan, &state).await?;
    let (noted, over) = facts.endings();
    Ok(!facts.alerts().is_empty() || !noted.is_empty() || !over.is_empty())
}

/// Tells all that is to be told; says whether the state has changed by it. The first alert that cannot be sent leaves
/// the rest to the next tick.
pub async fn tell<H: Host>(
    host: &H,
    config: &WorkerConfig,
    lease: &Lease,
    plan: &Plan,
    state: &mut State,
    end_ms: u64,
) -> Result<bool, StoreError> {
    let facts = Facts::gather(host, config, plan, state).await?;
    let (mut alerts, (noted, over)) = (facts.alerts(), facts.endings());
    alerts.extend(over);
    if alerts.is_empty() && noted.is_empty() {
        return Ok(false);
    }
    state.alarms.extend(noted);
    if !alerts.is_empty() {
        send(host, &config.telling(), lease, alerts, state, end_ms).await;
    }
    Ok(true)
}

/// The cause of a worker that stands still because of its configuration.
const MISCONFIGURED: &str = "misconfigured";

/// Whether people did not hear within the hour that the worker stands still because of its configuration.
pub fn may_tell_misconfigured<H: Host>(host: &H, state: &State) -> bool {
    !alarms::is_quiet(state, MISCONFIGURED, host.now_ms() / 1000)
}

/// Tells why the worker stands still, where nothing else is known.
pub async fn tell_misconfigured<H: Host>(
    host: &H,
    telling: &Telling,
    lease: &Lease,
    why: &str,
    state: &mut State,
    end_ms: u64,
) {
    let alert = Alert {
        cause: MISCONFIGURED.to_owned(),
        is_over: false,
        text: format!("the worker stands still: {why}"),
        about: About::default(),
    };
    send(host, telling, lease, vec![alert], state, end_ms).await;
}

async fn send<H: Host>(host: &H, telling: &Telling, lease: &Lease, alerts: Vec<Alert>, state: &mut State, end_ms: u64) {
    let now_s = host.now_ms() / 1000;
    let deadlines = Deadlines {
        lease,
        begin_ms: end_ms,
        end_ms,
    };
    let receiver = telling
        .alert
        .as_ref()
        .map(|alert| Receiver::new(host, telling, alert, deadlines, state));
    for alert in alerts {
        let result = match &receiver {
            Some(receiver) => receiver.send(&alert, telling.keys.instance()).await.map(|()| true),
            None => Ok(false),
        };
        note(host, &alert, &result);
        if result.is_err() {
            break;
        }
        let alarm = if alert.is_over { Alarm::Over } else { Alarm::Lasts };
        if alarm == Alarm::Lasts {
            state.alerts.insert(alert.cause.clone(), now_s);
        }
        state.alarms.insert(alert.cause, alarm);
    }
    if let Some(receiver) = receiver {
        state.alert = receiver.governor.state();
    }
}

/// An alert's line in the log, whatever the log's level: that it was sent, or why not. Of a call that was not even made
/// there is no line.
fn note<H: Host>(host: &H, alert: &Alert, result: &Result<bool, Failure>) {
    if matches!(result, Err(failure) if failure.was_not_called()) {
        return;
    }
    let reason = match result {
        Ok(true) => None,
        Ok(false) => Some("no `alert_url` is set"),
        Err(failure) => Some(failure.reason.as_str()),
    };
    let is_sent = matches!(result, Ok(true));
    let fields = json!({
        "cause": alert.cause, "text": alert.text, "status": alert.about.status, "class": alert.about.class,
        "entity": alert.about.entities.first(), "over": alert.is_over, "sent": is_sent, "reason": reason,
    });
    log::write(host, LogLevel::All, "alert", true, fields);
}

/// Where alerts go, behind a governor of its own.
struct Receiver<'a, H> {
    governor: Governor<'a, H>,
    config: &'a AlertConfig,
}

impl<'a, H: Host> Receiver<'a, H> {
    fn new(host: &'a H, telling: &Telling, alert: &'a AlertConfig, deadlines: Deadlines<'a>, state: &State) -> Self {
        let fingerprint = digest(format!("{}\n{}\n{:?}", alert.origin, alert.target, alert.template).as_bytes());
        let tracking = &telling.tracking_header;
        let governor = Governor::new(
            host,
            LIMITS,
            telling.log,
            tracking,
            deadlines,
            state.alert.clone(),
            fingerprint,
        );
        governor.keep_secrets(&telling.secrets);
        governor.keep_secret(&alert.target);
        // A pager's key stands in what is posted.
        let words = alert.template.words();
        words.into_iter().for_each(|word| governor.keep_secret(word));
        Receiver {
            governor,
            config: alert,
        }
    }

    async fn send(&self, alert: &Alert, instance: &str) -> Result<(), Failure> {
        let values = alert.values(instance, self.config.link.as_deref());
        let body = self.config.template.filled(values.each_ref().map(String::as_str));
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{}", self.config.origin, self.config.target))
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .map_err(|error| self.governor.unformed(CIRCUIT, &error))?;
        let mut judge = |response: &Response<Vec<u8>>| match response.status().as_u16() {
            200..=299 => None,
            300..=399 | 400 | 401 | 403 | 404 | 405 | 410 | 415 | 422 => Some(Class::Misconfigured),
            _ => transient(response.status()).or(Some(Class::Permanent)),
        };
        let call = Call {
            shown_path: Some("(hidden)"),
            ..Call::of(CIRCUIT, request)
        };
        self.governor.call(call, &mut judge).await.map(|_| ())
    }
}
