//! The application's variables, read and checked.

use crate::alert::Template;
use crate::entity::digest;
use crate::key::{Keyspace, is_instance};
use crate::shape::{self, Shape};
use http::Uri;
use std::str::FromStr;

/// What an address is where none is set. Spin wants every allowed host to be an origin, so it cannot be empty.
pub const UNSET_ORIGIN: &str = "https://unset.invalid";

/// A variable that is missing or makes no sense; the text names it and says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Where variables come from. An unset one is empty, as Spin's defaults are.
pub struct Variables<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn text(&self, name: &str) -> String {
        (self.0)(name).unwrap_or_default().trim().to_owned()
    }

    /// A secret is taken to the letter.
    fn secret(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn secrets(&self, names: [&str; 2]) -> Vec<String> {
        names.iter().filter_map(|name| self.secret(name)).collect()
    }

    fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        default: T,
        least: T,
        most: T,
    ) -> Result<T, ConfigError> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(default);
        }
        match text.parse() {
            Ok(number) if number >= least && number <= most => Ok(number),
            _ => Err(ConfigError(format!(
                "variable `{name}` must be a number from {least} to {most}; it is `{text}`"
            ))),
        }
    }

    fn origin(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let text = self.text(name);
        let text = text.strip_suffix('/').unwrap_or(&text);
        if text.is_empty() || text == UNSET_ORIGIN {
            return Ok(None);
        }
        let uri = Uri::from_str(text).ok();
        let is_origin = uri.as_ref().is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri
                    .authority()
                    .is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.path() == "/"
                && uri.query().is_none()
        });
        if is_origin {
            return Ok(Some(text.to_owned()));
        }
        Err(ConfigError(format!(
            "variable `{name}` must be an origin such as https://host.example.com or http://127.0.0.1:8080: scheme, host and, where it needs one, port; no path"
        )))
    }

    fn path(&self, name: &str) -> Result<String, ConfigError> {
        path(&self.text(name)).ok_or_else(|| {
            ConfigError(format!(
                "variable `{name}` must be a path such as /api/v1, percent-encoded, without a query"
            ))
        })
    }

    /// A path with a query, as webhooks of chats have it.
    fn target(&self, name: &str) -> Result<String, ConfigError> {
        let text = self.text(name);
        let target = match text.split_once('?') {
            None => path(&text),
            Some((before, query)) => path(before)
                .filter(|_| query.chars().all(|c| is_of_paths(c) || c == '?'))
                .map(|path| format!("{}?{query}", if path.is_empty() { "/" } else { &path })),
        };
        target.ok_or_else(|| {
            ConfigError(format!(
                "variable `{name}` must be a path such as /v1/messages?key=..., percent-encoded: what follows the host in the address that the receiver gave you"
            ))
        })
    }

    fn choice(&self, name: &str, choices: &[&str]) -> Result<String, ConfigError> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(choices[0].to_owned());
        }
        if choices.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(ConfigError(format!(
            "variable `{name}` must be one of {}; it is `{text}`",
            choices.join(", ")
        )))
    }

    fn instance(&self) -> Result<Keyspace, ConfigError> {
        let text = self.text("instance");
        let name = if text.is_empty() { "main" } else { &text };
        if is_instance(name) {
            return Ok(Keyspace::new(name));
        }
        Err(ConfigError(
            "variable `instance` must be 1 to 32 of a-z, 0-9 and `-`".to_owned(),
        ))
    }
}

/// What stands unencoded in a path (RFC 3986 3.3), or is encoded.
fn is_of_paths(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%/".contains(c)
}

/// A path with a leading and no trailing slash; empty where there is none.
fn path(text: &str) -> Option<String> {
    let text = text.trim_matches('/');
    text.chars().all(is_of_paths).then(|| {
        if text.is_empty() {
            String::new()
        } else {
            format!("/{text}")
        }
    })
}

/// Which log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// One line per delivery, per call and per tick.
    All,
    /// Only what failed.
    Failures,
}

fn log_level(variables: &Variables) -> Result<LogLevel, ConfigError> {
    Ok(if variables.choice("log", &["all", "failures"])? == "all" {
        LogLevel::All
    } else {
        LogLevel::Failures
    })
}

/// What ingest needs to know.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// The application's keys.
    pub keys: Keyspace,
    /// Secrets of the Event Platform's subscription, the current one first.
    pub event_platform_secrets: Vec<String>,
    /// Secrets of the Events API's connection, the current one first.
    pub events_api_secrets: Vec<String>,
    /// The secret of the Event Platform's notifications.
    pub notification_secrets: Vec<String>,
    /// Authors whose events are this integration's own writes.
    pub own_authors: Vec<String>,
    /// Whether the shape wants categories. What it says of them is the worker's to read.
    pub wants_categories: bool,
    /// How far the timestamp of a delivery of the Events API may be from now, in seconds, either way.
    pub tolerance_s: u64,
    /// How many events may wait before deliveries are put off.
    pub high_water: u64,
    /// Which log lines are written.
    pub log: LogLevel,
}

impl IngestConfig {
    /// Reads the variables; the first that makes no sense is named.
    pub fn read(variables: &Variables) -> Result<IngestConfig, ConfigError> {
        Ok(IngestConfig {
            keys: variables.instance()?,
            event_platform_secrets: variables.secrets(["event_platform_secret", "event_platform_secret_previous"]),
            events_api_secrets: variables.secrets(["events_api_secret", "events_api_secret_previous"]),
            notification_secrets: variables.secret("notification_secret").into_iter().collect(),
            own_authors: list(&variables.text("own_authors")),
            wants_categories: shape::wants_categories(&variables.text("shape")),
            tolerance_s: variables.number("timestamp_tolerance_seconds", 300, 1, 86_400)?,
            high_water: high_water(variables)?,
            log: log_level(variables)?,
        })
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn high_water(variables: &Variables) -> Result<u64, ConfigError> {
    variables.number("high_water_mark", 400_000, 400, 1_000_000)
}

/// How the PIM lets us in (contract 4.2).
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A connection: client id, client secret, user name, password.
    Connection {
        /// The connection's client id.
        client_id: String,
        /// The connection's secret.
        client_secret: String,
        /// The connection's user.
        username: String,
        /// That user's password.
        password: String,
    },
    /// An App's token, which never expires but can be revoked.
    App(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Credentials {
    /// A digest that tells credentials apart and gives nothing of them away.
    pub fn fingerprint(&self) -> String {
        match self {
            Credentials::Connection {
                client_id,
                client_secret,
                username,
                password,
            } => digest(format!("{client_id}\n{client_secret}\n{username}\n{password}").as_bytes()),
            Credentials::App(token) => digest(token.as_bytes()),
        }
    }
}

/// The PIM and how it is called.
#[derive(Debug, Clone)]
pub struct PimConfig {
    /// Scheme, host and port.
    pub origin: String,
    /// How it lets us in.
    pub credentials: Credentials,
}

/// The destination and how it is called.
#[derive(Clone)]
pub struct DestinationConfig {
    /// Scheme, host and port.
    pub origin: String,
    /// What stands before `/{kind}/{id}`; empty, or with a leading and no trailing slash.
    pub path: String,
    /// The token, if it wants one.
    pub token: Option<String>,
}

/// Where alerts go.
#[derive(Clone)]
pub struct AlertConfig {
    /// Scheme, host and port.
    pub origin: String,
    /// The path, with a query if there is one. It often holds the secret of a chat's webhook, and so is kept out of logs.
    pub target: String,
    /// What is posted.
    pub template: Template,
}

/// What the worker needs to know.
#[derive(Clone)]
pub struct WorkerConfig {
    /// The application's keys.
    pub keys: Keyspace,
    /// The PIM.
    pub pim: PimConfig,
    /// The destination; none makes every run a dry one.
    pub destination: Option<DestinationConfig>,
    /// What it receives.
    pub shape: Shape,
    /// Where alerts go; none leaves them to the log.
    pub alert: Option<AlertConfig>,
    /// How long one tick works, in seconds; the call under way then is finished.
    pub tick_s: u64,
    /// The longest that one outbound call may take, in seconds.
    pub call_timeout_s: u64,
    /// The most calls a second to the destination.
    pub destination_rate: usize,
    /// How many events may wait before deliveries are put off.
    pub high_water: u64,
    /// How reconciliation goes about.
    pub reconciliation: ReconciliationConfig,
    /// The header in which upstreams name a call, for their support.
    pub tracking_header: String,
    /// Which log lines are written.
    pub log: LogLevel,
}

/// How often reconciliation looks, and how far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconciliationConfig {
    /// How often recent changes are looked for, in seconds; none does not by itself.
    pub recent_s: Option<u64>,
    /// How far before the last look the next one begins, in seconds: it covers what the search index is behind by.
    pub overlap_s: u64,
    /// How often the whole catalogue is walked, in seconds; none does not by itself.
    pub walk_s: Option<u64>,
}

impl ReconciliationConfig {
    fn read(variables: &Variables) -> Result<ReconciliationConfig, ConfigError> {
        let some = |seconds: u64| (seconds > 0).then_some(seconds);
        Ok(ReconciliationConfig {
            recent_s: some(variables.number("recent_seconds", 300, 0, 86_400)?),
            overlap_s: variables.number("recent_overlap_seconds", 600, 60, 86_400)?,
            walk_s: some(variables.number("walk_hours", 24, 0, 8760)? * 3600),
        })
    }
}

impl WorkerConfig {
    /// Reads the variables; the first that is missing or makes no sense is named.
    pub fn read(variables: &Variables) -> Result<WorkerConfig, ConfigError> {
        let destination = variables.origin("destination_url")?;
        let shape = read_shape(variables)?;
        let destination_path = variables.path("destination_path")?;
        let alert_target = variables.target("alert_path")?;
        let alert_template = read_alert_template(variables)?;
        let tracking_header = variables.text("tracking_header");
        Ok(WorkerConfig {
            keys: variables.instance()?,
            pim: PimConfig {
                origin: variables.origin("pim_url")?.ok_or_else(|| {
                    ConfigError(
                        "variable `pim_url` is not set: give the PIM's origin, such as https://my-pim.cloud.akeneo.com"
                            .to_owned(),
                    )
                })?,
                credentials: credentials(variables)?,
            },
            destination: destination.map(|origin| DestinationConfig {
                origin,
                path: destination_path,
                token: variables.secret("destination_token"),
            }),
            shape,
            alert: variables.origin("alert_url")?.map(|origin| AlertConfig {
                origin,
                target: alert_target,
                template: alert_template,
            }),
            tick_s: variables.number("tick_seconds", 20, 1, 25)?,
            call_timeout_s: variables.number("call_timeout_seconds", 15, 1, 25)?,
            destination_rate: variables.number("destination_calls_per_second", 50, 1, 1000)?,
            high_water: high_water(variables)?,
            reconciliation: ReconciliationConfig::read(variables)?,
            tracking_header: if tracking_header.is_empty() {
                "trackingid".to_owned()
            } else {
                tracking_header.to_ascii_lowercase()
            },
            log: log_level(variables)?,
        })
    }
}

/// What the destination receives.
fn read_shape(variables: &Variables) -> Result<Shape, ConfigError> {
    Shape::read(&variables.text("shape")).map_err(|mistakes| wrong_document("shape", &mistakes))
}

/// What alerts are as JSON.
fn read_alert_template(variables: &Variables) -> Result<Template, ConfigError> {
    Template::read(&variables.text("alert_template")).map_err(|mistakes| wrong_document("alert_template", &mistakes))
}

/// All that is wrong in a document is told at once.
fn wrong_document(name: &str, mistakes: &[shape::Mistake]) -> ConfigError {
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    ConfigError(format!("variable `{name}` makes no sense: {}", told.join("; ")))
}

fn credentials(variables: &Variables) -> Result<Credentials, ConfigError> {
    if let Some(token) = variables.secret("pim_app_token") {
        return Ok(Credentials::App(token));
    }
    let needed = |name: &str| {
        variables.secret(name).ok_or_else(|| {
            ConfigError(format!(
                "variable `{name}` is not set: a connection needs pim_client_id, pim_client_secret, pim_username and pim_password; an App needs pim_app_token alone"
            ))
        })
    };
    Ok(Credentials::Connection {
        client_id: needed("pim_client_id")?,
        client_secret: needed("pim_client_secret")?,
        username: needed("pim_username")?,
        password: needed("pim_password")?,
    })
}

/// What the console needs to know.
#[derive(Debug, Clone)]
pub struct ConsoleConfig {
    /// The application's keys.
    pub keys: Keyspace,
    /// How many events may wait before deliveries are put off.
    pub high_water: u64,
    /// Which log lines are written.
    pub log: LogLevel,
}

impl ConsoleConfig {
    /// Reads the variables; the first that makes no sense is named.
    pub fn read(variables: &Variables) -> Result<ConsoleConfig, ConfigError> {
        Ok(ConsoleConfig {
            keys: variables.instance()?,
            high_water: high_water(variables)?,
            log: log_level(variables)?,
        })
    }
}

/// Who may use the administration and start a tick.
#[derive(Clone)]
pub struct AdminConfig {
    /// The bearer tokens that open it, the current one first; none closes it.
    pub tokens: Vec<String>,
    /// The key with which a bare `GET` starts a tick; none refuses that.
    pub tick_key: Option<String>,
}

impl AdminConfig {
    /// Reads the variables.
    pub fn read(variables: &Variables) -> AdminConfig {
        AdminConfig {
            tokens: variables.secrets(["admin_token", "admin_token_previous"]),
            tick_key: variables.secret("tick_key"),
        }
    }
}
