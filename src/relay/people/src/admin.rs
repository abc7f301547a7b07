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

pub use dead_letters::Query;

/// The largest request that is read, in bytes.
pub const BODY_MAX: usize = 1 << 20;

/// What an admitted request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A page of the dead letters.
    List(Query),
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
            Route::Status | Route::Metrics | Route::History | Route::Entity(..)
        )
    }

    /// What people asked for, for the journal; none of what changes nothing.
    fn asked(&self) -> Option<String> {
        Some(match self {
            Route::List(_) | Route::Status | Route::Metrics | Route::History | Route::Entity(..) | Route::Journal => {
                return None;
            }
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
    let route = route(method, path, query);
    match (access, &route) {
        (Access::All(who), _) => Ok((route?, who)),
        (Access::Reading, Ok(reading)) if reading.is_reading() => Ok((route?, "read_token")),
        // Whoever may only read learns nothing of what else there is.
        (Access::Reading, _) => Err(only_reads()),
    }
}

/// What a request that is let in asks for; or the answer to one that makes no sense.
fn route(method: &Method, path: &str, query: &str) -> Result<Route, Answer> {
    let path = path.strip_prefix("/admin").unwrap_or(path).trim_end_matches('/');
    match path {
        "/dead-letters" => match *method {
            Method::GET => Query::read(query)
                .map(Route::List)
                .map_err(|detail| Answer::bad(&detail)),
            Method::DELETE => Ok(Route::Discard),
            _ => Err(not_allowed("GET, DELETE")),
        },
        "/dead-letters/replay" => only(method, &Method::POST, Route::Replay),
        "/status" => only(method, &Method::GET, Route::Status),
        "/metrics" => only(method, &Method::GET, Route::Metrics),
        "/history" => only(method, &Method::GET, Route::History),
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

/// Does what was asked for, and notes in the journal who asked for it.
pub async fn answer<H: Store + Clock + Log + Random>(
    host: &H,
    config: &ConsoleConfig,
    (route, who): (Route, Who),
    body: &[u8],
) -> Answer {
    let asked = route.asked();
    let result = carry_out(host, config, route, body).await;
    let result = match (result, asked) {
        (Ok(answer), Some(asked)) if answer.status < 300 => {
            let noted = journal::note(host, &config.keys, who, &asked, body).await;
            noted.map(|()| answer)
        }
        (result, _) => result,
    };
    result.unwrap_or_else(|error| {
        log::write(host, config.log, "store", true, json!({ "reason": error.to_string() }));
        store_failed(&error)
    })
}

async fn carry_out<H: Store + Clock + Log + Random>(
    host: &H,
    config: &ConsoleConfig,
    route: Route,
    body: &[u8],
) -> Result<Answer, StoreError> {
    match route {
        Route::List(query) => dead_letters::list(host, config, &query).await,
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
mod tests {
    use super::*;

    fn asked_with(token: &str, method: Method, target: &str) -> Result<Route, u16> {
        let config = AdminConfig {
            tokens: vec![
                (Access::All("admin_token"), "open".to_owned()),
                (Access::Reading, "read".to_owned()),
            ],
            tick_key: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let admitted = admit(&config, &method, path, query, &headers);
        admitted.map(|(route, _)| route).map_err(|answer| answer.status)
    }

    fn asked(method: Method, target: &str) -> Result<Route, u16> {
        asked_with("open", method, target)
    }

    #[test]
    fn every_route_has_its_method() {
        assert_eq!(asked(Method::GET, "/admin/status"), Ok(Route::Status));
        assert_eq!(
            asked(Method::GET, "/admin/dead-letters/"),
            Ok(Route::List(Query::default()))
        );
        assert_eq!(asked(Method::POST, "/admin/dead-letters/replay"), Ok(Route::Replay));
        assert_eq!(asked(Method::DELETE, "/admin/dead-letters"), Ok(Route::Discard));
        assert_eq!(asked(Method::GET, "/admin/metrics"), Ok(Route::Metrics));
        assert_eq!(asked(Method::GET, "/admin/history"), Ok(Route::History));
        assert_eq!(
            asked(Method::GET, "/admin/entities/products/a%2Fb"),
            Ok(Route::Entity(Kind::Product, "a/b".to_owned()))
        );
        assert_eq!(asked(Method::POST, "/admin/adopt"), Ok(Route::Adopt));
        assert_eq!(asked(Method::POST, "/admin/brake/release"), Ok(Route::ReleaseBrake));
        assert_eq!(asked(Method::POST, "/admin/waits/end"), Ok(Route::EndWaits));
        assert_eq!(asked(Method::POST, "/admin/reconcile"), Ok(Route::Reconcile));
        assert_eq!(
            asked(Method::DELETE, "/admin/dead-letters/product-models/a%2Fb%20c"),
            Ok(Route::DiscardOne(Kind::ProductModel, "a/b c".to_owned()))
        );
        for (method, path) in [
            (Method::PUT, "/admin/dead-letters"),
            (Method::GET, "/admin/dead-letters/replay"),
            (Method::GET, "/admin/dead-letters/products/x"),
            (Method::POST, "/admin/status"),
            (Method::POST, "/admin/metrics"),
            (Method::DELETE, "/admin/entities/products/x"),
            (Method::GET, "/admin/adopt"),
            (Method::GET, "/admin/brake/release"),
        ] {
            assert_eq!(asked(method, path), Err(405), "{path}");
        }
        for path in [
            "/admin",
            "/admin/other",
            "/admin/dead-letters/families/x",
            "/admin/dead-letters/products",
            "/admin/entities/families/x",
        ] {
            assert_eq!(asked(Method::GET, path), Err(404), "{path}");
        }
        assert_eq!(asked(Method::GET, "/admin/dead-letters?limit=many"), Err(400));
    }

    /// Every route, with every method: whoever has `read_token` is let in at four of them, and learns nothing of others.
    #[test]
    fn who_may_read_alone_changes_nothing() {
        let readable = [
            "/admin/status",
            "/admin/metrics",
            "/admin/history",
            "/admin/entities/products/x",
        ];
        let others = [
            "/admin/dead-letters",
            "/admin/dead-letters/replay",
            "/admin/dead-letters/products/x",
            "/admin/adopt",
            "/admin/brake/release",
            "/admin/waits/end",
            "/admin/reconcile",
            "/admin/pause",
            "/admin/resume",
            "/admin/entities/products/x/push",
            "/admin/journal",
            "/admin/other",
        ];
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD] {
            for path in readable {
                let admitted = asked_with("read", method.clone(), path);
                assert_eq!(admitted.is_ok(), method == Method::GET, "{method} {path}");
            }
            for path in others {
                assert_eq!(asked_with("read", method.clone(), path), Err(403), "{method} {path}");
            }
        }
        assert_eq!(asked_with("wrong", Method::GET, "/admin/status"), Err(401));
        assert_eq!(
            asked(Method::POST, "/admin/entities/product-models/a%2Fb/push"),
            Ok(Route::Push(Kind::ProductModel, "a/b".to_owned()))
        );
    }

    #[test]
    fn reconciliation_is_asked_for_in_a_few_ways() {
        let command = |scan, since_s, force| Ok(Command::Reconcile { scan, since_s, force });
        for (body, expected) in [
            ("", command(ScanKind::Recent, None, false)),
            (r#"{"scan":"recent"}"#, command(ScanKind::Recent, None, false)),
            (r#"{"scan":"full"}"#, command(ScanKind::Full, None, false)),
            (r#"{"scan":"full","force":true}"#, command(ScanKind::Full, None, true)),
            (
                r#"{"since":"2026-02-02T02:40:00Z"}"#,
                command(ScanKind::Recent, Some(1_770_000_000), false),
            ),
        ] {
            assert_eq!(reconciliation(body.as_bytes()), expected, "{body}");
        }
        for body in [
            "{",
            r#"{"scan":"some"}"#,
            r#"{"since":"yesterday"}"#,
            r#"{"force":true}"#,
            r#"{"scan":"full","since":"2026-02-02T02:40:00Z"}"#,
            r#"{"scan":"full","forced":true}"#,
        ] {
            assert!(reconciliation(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn whoever_adopts_says_what() {
        let pair = r#"{"v":1,"pim":"https://pim.example","destination":"https://shop.example","shape":"identity"}"#;
        let good = format!(r#"{{"empty_index":false,"configured":{pair}}}"#);
        let command = adoption(good.as_bytes()).expect("a command");
        assert!(matches!(command, Command::Adopt { configured: Some(pair), .. } if pair.pim == "https://pim.example"));
        for bad in [
            "",
            "{}",
            r#"{"empty_index":true}"#,
            &format!(r#"{{"configured":{pair}}}"#),
            &good.replace("shape", "form"),
        ] {
            assert!(adoption(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_is_told_anything_without_the_token() {
        for tokens in [vec![], vec![(Access::All("admin_token"), "open".to_owned())]] {
            let config = AdminConfig { tokens, tick_key: None };
            for path in ["/admin/status", "/admin/other", "/admin/dead-letters"] {
                let answer = admit(&config, &Method::GET, path, "", &HeaderMap::new()).expect_err("a refusal");
                assert_eq!(answer.status, 401, "{path}");
            }
        }
    }
}
