//! What people ask of a running application: to see its state and its dead letters, to replay or discard these, to
//! adopt another pair of PIM and destination, to release the brake, to end waits, to reconcile now.
//!
//! Everything is behind the administration's token. What the worker alone may change is asked of it by a
//! [`records::command`].

mod dead_letters;
mod entity;
pub mod guess;
pub mod journal;
mod metrics;
mod status;

use config::ConsoleConfig;
use config::access::{Access, AdminConfig, authorize, only_reads};
use config::answer::{Answer, Unread};
use http::{HeaderMap, Method};
use model::entity::{Entity, Kind};
use model::time;
use percent_encoding::percent_decode_str;
use queue::key::{Change, Key};
use queue::raise;
use records::command::{self, Command, ScanKind};
use records::pair::Pair;
use serde::Deserialize;
use serde_json::json;
use world::host::{Clock, Log, Random, Store, StoreError, set_all};
use world::log;

pub use dead_letters::{Export, Query};

/// The largest request that is read, in bytes.
pub const BODY_MAX: usize = 1 << 20;

/// What an admitted request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A page of the dead letters.
    List(Query),
    /// All of them, a line each.
    Export(Query),
    /// Another try for those that the body names.
    Replay,
    /// The end of one dead letter.
    DiscardOne(Kind, String),
    /// The end of those that the body names.
    Discard,
    /// How the application is.
    Status,
    /// How the application is, for Prometheus.
    Metrics,
    /// What the worker did in the last day.
    History,
    /// What the worker did in the last month.
    Month,
    /// All that is known of an entity.
    Entity(Kind, String),
    /// The index is from now on one of the configured pair.
    Adopt,
    /// Deletions that are held back may go.
    ReleaseBrake,
    /// Waits that upstreams asked for end.
    EndWaits,
    /// Reconciliation is to look now.
    Reconcile,
    /// Nothing is to be pushed until somebody says so.
    Pause,
    /// Pushing is to go on.
    Resume,
    /// One entity is to be pushed now, changed or not.
    Push(Kind, String),
    /// What people asked for.
    Journal,
}

impl Route {
    /// Whether it only tells how the application is.
    fn is_reading(&self) -> bool {
        matches!(
            self,
            Route::Status | Route::Metrics | Route::History | Route::Month | Route::Entity(..)
        )
    }

    /// What people asked for, for the journal; none of what changes nothing.
    fn asked(&self) -> Option<String> {
        Some(match self {
            Route::List(_) | Route::Export(_) | Route::Journal => return None,
            Route::Status | Route::Metrics | Route::History | Route::Month | Route::Entity(..) => return None,
            Route::Replay => "replay dead letters".to_owned(),
            Route::Discard => "discard dead letters".to_owned(),
            Route::DiscardOne(kind, code) => format!("discard the dead letter of {}/{code}", kind.name()),
            Route::Adopt => "adopt".to_owned(),
            Route::ReleaseBrake => "release the brake".to_owned(),
            Route::EndWaits => "end waits".to_owned(),
            Route::Reconcile => "reconcile".to_owned(),
            Route::Pause => "pause".to_owned(),
            Route::Resume => "resume".to_owned(),
            Route::Push(kind, code) => format!("push {}/{code}", kind.name()),
        })
    }
}

/// Who asks: the name of the variable that has the token.
pub type Who = &'static str;

/// Lets a request in and says who asks for what, by its head alone; or gives the answer to one that is not let in.
pub fn admit(
    config: &AdminConfig,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<(Route, Who), Answer> {
    let access = authorize(config, headers)?;
    let route = route(method, path, query).map(|route| as_accepted(route, headers));
    match (access, &route) {
        (Access::All(who), _) => Ok((route?, who)),
        (Access::Reading, Ok(reading)) if reading.is_reading() => Ok((route?, "read_token")),
        // Whoever may only read learns nothing of what else there is.
        (Access::Reading, _) => Err(only_reads()),
    }
}

/// Whoever accepts lines of JSON gets the dead letters so.
fn as_accepted(route: Route, headers: &HeaderMap) -> Route {
    let accepted = headers.get("accept").and_then(|accepted| accepted.to_str().ok());
    match route {
        Route::List(query) if accepted.is_some_and(|accepted| accepted.contains("application/x-ndjson")) => {
            Route::Export(query)
        }
        route => route,
    }
}

/// What a request that is let in asks for; or the answer to one that makes no sense.
fn route(method: &Method, path: &str, query: &str) -> Result<Route, Answer> {
    let path = path.strip_prefix("/admin").unwrap_or(path).trim_end_matches('/');
    match path {
        "/dead-letters" => match *method {
            Method::GET => match Query::read(query) {
                Ok(query) if query.is_export => Ok(Route::Export(query)),
                Ok(query) => Ok(Route::List(query)),
                Err(detail) => Err(Answer::bad(&detail)),
            },
            Method::DELETE => Ok(Route::Discard),
            _ => Err(not_allowed("GET, DELETE")),
        },
        "/dead-letters/replay" => only(method, &Method::POST, Route::Replay),
        "/status" => only(method, &Method::GET, Route::Status),
        "/metrics" => only(method, &Method::GET, Route::Metrics),
        "/history" => only(method, &Method::GET, Route::History),
        "/history/month" => only(method, &Method::GET, Route::Month),
        "/adopt" => only(method, &Method::POST, Route::Adopt),
        "/brake/release" => only(method, &Method::POST, Route::ReleaseBrake),
        "/waits/end" => only(method, &Method::POST, Route::EndWaits),
        "/reconcile" => only(method, &Method::POST, Route::Reconcile),
        "/pause" => only(method, &Method::POST, Route::Pause),
        "/resume" => only(method, &Method::POST, Route::Resume),
        "/journal" => only(method, &Method::GET, Route::Journal),
        _ => {
            if let Some((kind, code)) = path
                .strip_suffix("/push")
                .and_then(|path| entity_of(path, "/entities/"))
            {
                only(method, &Method::POST, Route::Push(kind, code))
            } else if let Some((kind, code)) = entity_of(path, "/dead-letters/") {
                only(method, &Method::DELETE, Route::DiscardOne(kind, code))
            } else if let Some((kind, code)) = entity_of(path, "/entities/") {
                only(method, &Method::GET, Route::Entity(kind, code))
            } else {
                Err(Answer::problem(404, "nothing is here"))
            }
        }
    }
}

fn entity_of(path: &str, below: &str) -> Option<(Kind, String)> {
    let (kind, code) = path.strip_prefix(below)?.split_once('/')?;
    let code = percent_decode_str(code).decode_utf8().ok()?;
    Some((Kind::of_name(kind)?, code.into_owned()))
}

fn only(method: &Method, allowed: &Method, route: Route) -> Result<Route, Answer> {
    if method == allowed {
        Ok(route)
    } else {
        Err(not_allowed(allowed.as_str()))
    }
}

fn not_allowed(allowed: &str) -> Answer {
    Answer::problem(405, &format!("only {allowed} is understood here")).with("allow", allowed)
}

/// The answer to a request whose body could not be read.
pub fn unread(why: Unread) -> Answer {
    match why {
        Unread::TooLarge => Answer::problem(413, "a request may be 1 MiB at most"),
        Unread::TooSlow => Answer::problem(408, "the body did not come in time"),
        Unread::BrokenOff => Answer::bad("the body broke off before its end"),
    }
}

/// The answer when the store fails; nothing that was asked for is sure to have been done.
pub fn store_failed(error: &StoreError) -> Answer {
    Answer::problem(503, &format!("{error}; ask again"))
}

/// An answer, and the lines that follow it, if it is not whole.
pub type Given = (Answer, Option<Export>);

/// Does what was asked for, and notes in the journal who asked for it.
pub async fn answer<H: Store + Clock + Log + Random>(
    host: &H,
    config: &ConsoleConfig,
    (route, who): (Route, Who),
    body: &[u8],
) -> Given {
    let asked = route.asked();
    let result = match route {
        Route::Export(query) => Export::begin(host, config, query).await,
        route => carry_out(host, config, route, body).await.map(|answer| (answer, None)),
    };
    let result = match (result, asked) {
        (Ok(given), Some(asked)) if given.0.status < 300 => {
            let noted = journal::note(host, &config.keys, who, &asked, body).await;
            noted.map(|()| given)
        }
        (result, _) => result,
    };
    result.unwrap_or_else(|error| {
        tell_store(host, config, &error);
        (store_failed(&error), None)
    })
}

/// Tells in the log that the store has failed.
pub fn tell_store<H: Clock + Log>(host: &H, config: &ConsoleConfig, error: &StoreError) {
    log::write(host, config.log, "store", true, json!({ "reason": error.to_string() }));
}

async fn carry_out<H: Store + Clock + Log + Random>(
    host: &H,
    config: &ConsoleConfig,
    route: Route,
    body: &[u8],
) -> Result<Answer, StoreError> {
    match route {
        Route::List(query) | Route::Export(query) => dead_letters::list(host, config, query).await,
        Route::Replay => dead_letters::replay(host, config, body).await,
        Route::Discard => dead_letters::discard(host, config, body).await,
        Route::DiscardOne(kind, code) => dead_letters::discard_one(host, config, kind, &code).await,
        Route::Status => status::read(host, config)
            .await
            .map(|status| Answer::json(200, &status)),
        Route::Metrics => status::read(host, config).await.map(|status| metrics::answer(&status)),
        Route::History => status::history(host, config)
            .await
            .map(|history| Answer::json(200, &history)),
        Route::Month => status::month(host, config).await.map(|month| Answer::json(200, &month)),
        Route::Entity(kind, code) => entity::read(host, config, kind, &code)
            .await
            .map(|entity| Answer::json(200, &entity)),
        Route::Adopt => match adoption(body) {
            Ok(command) => ask(host, config, command).await,
            Err(detail) => Ok(Answer::bad(&detail)),
        },
        Route::ReleaseBrake => ask(host, config, Command::ReleaseBrake).await,
        Route::EndWaits => ask(host, config, Command::EndWaits).await,
        Route::Reconcile => match reconciliation(body) {
            Ok(command) => ask(host, config, command).await,
            Err(detail) => Ok(Answer::bad(&detail)),
        },
        Route::Pause => ask(host, config, Command::Pause).await,
        Route::Resume => ask(host, config, Command::Resume).await,
        Route::Push(kind, code) => push(host, config, kind, &code).await,
        Route::Journal => journal::read(host, &config.keys)
            .await
            .map(|journal| Answer::json(200, &journal)),
    }
}

/// Queues an entity to be pushed now, changed or not: one event takes it before all that is only looked at again, the
/// other one says that it goes out in any case.
async fn push<H: Store + Clock + Log + Random>(
    host: &H,
    config: &ConsoleConfig,
    kind: Kind,
    code: &str,
) -> Result<Answer, StoreError> {
    let events = [Change::Replayed, Change::Forced].map(|change| {
        let (key, value) = raise::raised(host, Entity::new(kind, code), code, change);
        (config.keys.encode(&Key::Event(key)), value.to_bytes())
    });
    set_all(host, &events).await?;
    log::write(
        host,
        config.log,
        "admin",
        false,
        json!({ "asked": "push", "kind": kind.name(), "code": code }),
    );
    Ok(Answer::json(
        202,
        &json!({ "queued": { "kind": kind.name(), "code": code } }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adoption {
    empty_index: bool,
    configured: Pair,
}

/// Reads what a person adopts: the pair that the person saw, so that no other one is adopted that comes to be
/// configured meanwhile.
fn adoption(body: &[u8]) -> Result<Command, String> {
    let adoption: Adoption = serde_json::from_slice(body).map_err(|_| {
        "send {\"empty_index\": false, \"configured\": ...} with what GET /admin/status shows as `configured`, or {\"empty_index\": true, ...}".to_owned()
    })?;
    Ok(Command::Adopt {
        empty_index: adoption.empty_index,
        configured: Some(adoption.configured),
    })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reconciliation {
    scan: Option<ScanKind>,
    since: Option<String>,
    force: bool,
}

/// Reads what reconciliation is asked for; an empty body asks for recent changes.
fn reconciliation(body: &[u8]) -> Result<Command, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    let asked: Reconciliation = serde_json::from_slice(body).map_err(|_| {
        "send {\"scan\": \"recent\"}, {\"scan\": \"full\"}, {\"scan\": \"full\", \"force\": true} or {\"since\": \"2026-01-31T12:00:00Z\"}".to_owned()
    })?;
    let since_s = match asked.since.as_deref() {
        None => None,
        Some(since) => Some(time::parse(since).ok_or("`since` must be a moment such as 2026-01-31T12:00:00Z")?),
    };
    let scan = asked.scan.unwrap_or(ScanKind::Recent);
    match (scan, since_s, asked.force) {
        (ScanKind::Full, Some(_), _) => Err("`since` goes with recent changes; a full scan sees everything".to_owned()),
        (ScanKind::Recent, _, true) => Err("`force` goes with {\"scan\": \"full\"} only".to_owned()),
        (scan, since_s, force) => Ok(Command::Reconcile { scan, since_s, force }),
    }
}

/// Leaves a command for the worker, whose next tick carries it out.
async fn ask<H: Store + Clock + Log + Random>(
    host: &H,
    config: &ConsoleConfig,
    command: Command,
) -> Result<Answer, StoreError> {
    command::leave(host, &config.keys, &command).await?;
    log::write(host, config.log, "admin", false, json!({ "asked": command }));
    Ok(Answer::json(202, &json!({ "accepted": command })))
}

#[cfg(test)]
mod tests;
