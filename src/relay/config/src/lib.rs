//! The application's variables, read and checked; and the answers of our own endpoints, which depend on them.
//!
//! What is read can be used as it stands: numbers lie within their bounds, addresses have one form, and documents are
//! whole. A variable that is missing or makes no sense is an error whose text names it, says what to do, and quotes no
//! secret.
//!
//! | where | what |
//! |---|---|
//! | this file | what ingest, worker and console need to know, with every default and bound |
//! | `variables` | how a variable is read, whatever it is about |
//! | `template` | the document that gives alerts their form |
//! | [`access`] | who may ask what of the administration, and who may start a tick |
//! | [`answer`] | answers to callers |
//! | [`head`] | what a request says before its body, and what its body may be |

pub mod access;
pub mod answer;
pub mod head;
mod template;
mod variables;

use model::entity::digest;
use protocol::login::Login;
use queue::keyspace::Keyspace;
use shape::Shape;
pub use template::{PLACES, Template};
pub use variables::{ConfigError, ProviderFailed, SECRETS, UNSET_ORIGIN, Variables};
use world::log::LogLevel;

fn log_level(variables: &Variables) -> Result<LogLevel, ConfigError> {
    Ok(if variables.choice("log", &["all", "failures"])? == "all" {
        LogLevel::All
    } else {
        LogLevel::Failures
    })
}

/// What ingest needs to know. Reading a variable is a call of the host and costs a tenth of a delivery, so each is read
/// only when a delivery needs it.
pub struct IngestConfig<'v> {
    variables: &'v Variables<'v>,
    /// The application's keys.
    pub keys: Keyspace,
    /// Which log lines are written.
    pub log: LogLevel,
}

/// The variables of a secret: the one that has it as it is now and, for some, the one that has it as it was before.
pub type SecretNames = &'static [&'static str];

/// The variables of the secret of the Event Platform's subscription (contract 3.2).
pub const EVENT_PLATFORM_SECRET: SecretNames = &["event_platform_secret", "event_platform_secret_previous"];
/// The variables of the secret of the Events API's connection (contract 2.2).
pub const EVENTS_API_SECRET: SecretNames = &["events_api_secret", "events_api_secret_previous"];
/// The variable of the secret of the Event Platform's notifications (contract 3.7).
pub const NOTIFICATION_SECRET: SecretNames = &["notification_secret"];

/// The variable that says how large the body of a delivery may be, and its default, in bytes.
pub type SizeLimit = (&'static str, usize);

/// The limit for the Event Platform's deliveries, of one event each (contract 3.1).
pub const EVENT_PLATFORM_SIZE: SizeLimit = ("event_platform_max_bytes", 4 << 20);
/// The limit for the Events API's deliveries: ten whole products, with every text escaped (contract 2.1, 2.2).
pub const EVENTS_API_SIZE: SizeLimit = ("events_api_max_bytes", 16 << 20);
/// The limit for the Event Platform's notifications (contract 3.7).
pub const NOTIFICATION_SIZE: SizeLimit = ("notification_max_bytes", SIZE_LEAST);

/// The least that these limits can be, in bytes: the body of any delivery may be so large.
const SIZE_LEAST: usize = 64 << 10;

/// The most that these limits can be, in bytes: the memory of a component has room for some thirty bodies of that size.
const SIZE_MOST: usize = 64 << 20;

impl<'v> IngestConfig<'v> {
    /// Reads what every delivery needs. The error names the first variable that makes no sense.
    pub fn read(variables: &'v Variables<'v>) -> Result<IngestConfig<'v>, ConfigError> {
        Ok(IngestConfig {
            variables,
            keys: variables.instance()?,
            log: log_level(variables)?,
        })
    }

    /// The secrets in these variables, as far as they are set, each read when it is asked for.
    pub fn secrets(&self, names: SecretNames) -> impl Iterator<Item = Result<String, ConfigError>> {
        names.iter().filter_map(|name| self.variables.set(name).transpose())
    }

    /// How many bytes of a delivery's body are read at most. `announced` is how many the delivery says that it has:
    /// where they are few, the variable is not even read.
    pub fn body_max(&self, (name, default): SizeLimit, announced: Option<usize>) -> Result<usize, ConfigError> {
        match announced {
            Some(..=SIZE_LEAST) => Ok(SIZE_LEAST),
            _ => self.variables.number(name, default, SIZE_LEAST, SIZE_MOST),
        }
    }

    /// The authors whose events are this integration's own writes.
    pub fn own_authors(&self) -> Result<Vec<String>, ConfigError> {
        self.variables.list("own_authors")
    }

    /// Whether the shape wants categories. What it says of them is read by the worker alone.
    pub fn wants_categories(&self) -> Result<bool, ConfigError> {
        Ok(shape::wants_categories(&self.variables.text("shape")?))
    }

    /// How far the timestamp of a delivery of the Events API may be from now, in seconds, either way (contract 2.2).
    pub fn tolerance_s(&self) -> Result<u64, ConfigError> {
        self.variables.number("timestamp_tolerance_seconds", 300, 1, 86_400)
    }

    /// Whether so many events wait that deliveries are put off.
    pub fn is_full(&self, waiting: u64) -> Result<bool, ConfigError> {
        Ok(waiting >= HIGH_WATER_LEAST && waiting >= high_water(self.variables)?)
    }
}

/// The least high-water mark, in events. Between two listings of the worker's, up to a minute apart, ingest assumes 120
/// events a second: with a lower mark it would put deliveries off while nothing waits at all.
const HIGH_WATER_LEAST: u64 = 10_000;

/// How long a tick may stay, in seconds.
const WATCH_MAX_S: u64 = 300;

fn high_water(variables: &Variables) -> Result<u64, ConfigError> {
    variables.number("high_water_mark", 400_000, HIGH_WATER_LEAST, 1_000_000)
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
    /// How the PIM lets us in.
    pub credentials: Credentials,
}

/// The destination and how it is called.
#[derive(Clone)]
pub struct DestinationConfig {
    /// Scheme, host and port.
    pub origin: String,
    /// The path below which all requests go; empty, or with a leading and no trailing slash.
    pub path: String,
    /// The token, if the destination wants one.
    pub token: Option<String>,
    /// How a token is had, if the destination wants one that ends.
    pub login: Option<LoginConfig>,
}

/// How a token of the destination is had.
#[derive(Clone)]
pub struct LoginConfig {
    /// Scheme, host and port of the token endpoint.
    pub origin: String,
    /// The id, or the name of a user.
    pub id: String,
    /// The secret, or a password.
    pub secret: String,
    /// The form of the request and of its answer.
    pub form: Login,
}

impl LoginConfig {
    /// A digest that tells this login from every other and gives nothing of its secret away.
    pub fn fingerprint(&self) -> String {
        let parts = [&self.origin, &self.id, &self.secret].map(String::as_str);
        digest(format!("{}\n{:?}", parts.join("\n"), self.form).as_bytes())
    }
}

impl DestinationConfig {
    /// Reads the variables; none where no destination is configured.
    fn read(variables: &Variables, shape: &Shape) -> Result<Option<DestinationConfig>, ConfigError> {
        let (origin, path) = (
            variables.origin("destination_url")?,
            variables.path("destination_path")?,
        );
        let token = variables.token("destination_token")?;
        let login_origin = variables.origin("login_url")?;
        let (id, secret) = (variables.set("login_id")?, variables.set("login_secret")?);
        let Some(origin) = origin else { return Ok(None) };
        let wrong = |text: &str| Err(ConfigError(text.to_owned()));
        let needed = |name: &str, value: Option<String>| {
            value.ok_or_else(|| {
                ConfigError(format!(
                    "variable `{name}` is not set: the `login` of the shape needs login_id and login_secret"
                ))
            })
        };
        let login = match &shape.login {
            None if secret.is_some() => {
                return wrong(
                    "variable `login_secret` is set, and the shape has no `login` that uses it: say there how to log in, or leave it out",
                );
            }
            None => None,
            Some(_) if token.is_some() => {
                return wrong(
                    "variable `destination_token` is set, and the shape has a `login`, which brings a token of its own: leave one of them out",
                );
            }
            Some(form) => Some(LoginConfig {
                origin: login_origin.unwrap_or_else(|| origin.clone()),
                id: needed("login_id", id)?,
                secret: needed("login_secret", secret)?,
                form: form.clone(),
            }),
        };
        Ok(Some(DestinationConfig {
            origin,
            path,
            token,
            login,
        }))
    }
}

/// Where alerts go.
#[derive(Clone)]
pub struct AlertConfig {
    /// Scheme, host and port.
    pub origin: String,
    /// The path, with a query if there is one. It often holds the secret of a chat's webhook, and so is kept out of
    /// logs.
    pub target: String,
    /// The document that is posted.
    pub template: Template,
    /// Where people look: the console, where it is known under which address they come to it.
    pub link: Option<String>,
}

impl AlertConfig {
    fn read(variables: &Variables) -> Result<Option<AlertConfig>, ConfigError> {
        let target = variables.target("alert_path")?;
        let template = read_alert_template(variables)?;
        let origin = variables.origin("alert_url")?;
        let link = variables.public_url().ok().flatten();
        if template.has_link() && link.is_none() {
            // A receiver may refuse a link that leads nowhere, and with it every alert.
            return Err(ConfigError(
                "variable `alert_template` makes no sense: {link} is the address of the console, which needs public_url: set it, or leave {link} out".to_owned(),
            ));
        }
        Ok(origin.map(|origin| AlertConfig {
            origin,
            target,
            template,
            link: link.map(|origin| format!("{origin}/console")),
        }))
    }
}

/// What the worker needs to know.
#[derive(Clone)]
pub struct WorkerConfig {
    /// The application's keys.
    pub keys: Keyspace,
    /// The PIM.
    pub pim: PimConfig,
    /// The destination; without one every tick is a dry run.
    pub destination: Option<DestinationConfig>,
    /// What the destination receives.
    pub shape: Shape,
    /// Where alerts go; none leaves them to the log.
    pub alert: Option<AlertConfig>,
    /// How long one tick reads, in seconds. What it has read by then may be pushed for half of `call_timeout_s` more,
    /// and a call that is under way is finished.
    pub tick_s: u64,
    /// How long a tick stays in all and waits for news where nothing is to be done, in seconds; 0 for one that ends with
    /// its work.
    pub watch_s: u64,
    /// The longest that one outbound call may take, in seconds.
    pub call_timeout_s: u64,
    /// The most calls a second to the destination.
    pub destination_rate: usize,
    /// How many events may wait before deliveries are put off.
    pub high_water: u64,
    /// How often reconciliation looks and walks.
    pub reconciliation: ReconciliationConfig,
    /// The header in which upstreams name a call, for their support.
    pub tracking_header: String,
    /// Which log lines are written.
    pub log: LogLevel,
    /// All secrets that this component is given, none of which is told.
    pub secrets: Vec<String>,
    /// How many entries a page of the index has at most, before it is split.
    pub page_entries: usize,
}

/// How many entries a page of the index has at most: what changes one entry reads and writes some 20 KB.
pub const PAGE_ENTRIES: usize = 200;

/// How often reconciliation looks and walks, and how far back looks reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconciliationConfig {
    /// How often a look for recent changes begins, in seconds; none where none begins by itself.
    pub recent_s: Option<u64>,
    /// How far before the last look's watermark the next look begins, in seconds: the PIM's search index may be behind,
    /// among other things (contract 5).
    pub overlap_s: u64,
    /// How often a walk over the whole catalogue begins, in seconds; none where none begins by itself.
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
    /// Reads the variables. The error names the first that is missing or makes no sense.
    pub fn read(variables: &Variables) -> Result<WorkerConfig, ConfigError> {
        let shape = read_shape(variables)?;
        let destination = DestinationConfig::read(variables, &shape)?;
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
            destination,
            shape,
            alert: AlertConfig::read(variables)?,
            // To take the lease takes one second of a tick, and no call begins with less than half a second left.
            tick_s: variables.number("tick_seconds", 20, 3, 25)?,
            watch_s: variables.number("watch_seconds", 50, 0, WATCH_MAX_S)?,
            call_timeout_s: variables.number("call_timeout_seconds", 15, 1, 25)?,
            destination_rate: variables.number("destination_calls_per_second", 50, 1, 1000)?,
            high_water: high_water(variables)?,
            reconciliation: ReconciliationConfig::read(variables)?,
            tracking_header: tracking_header(variables)?,
            log: log_level(variables)?,
            secrets: variables.secrets(),
            page_entries: PAGE_ENTRIES,
        })
    }

    /// The part of the configuration that is needed to tell people how the worker is.
    pub fn telling(&self) -> Telling {
        Telling {
            keys: self.keys.clone(),
            alert: self.alert.clone(),
            tracking_header: self.tracking_header.clone(),
            log: self.log,
            secrets: self.secrets.clone(),
        }
    }
}

fn tracking_header(variables: &Variables) -> Result<String, ConfigError> {
    variables.header_name("tracking_header", TRACKING_HEADER)
}

/// The header in which upstreams are taken to name a call where no other one is configured.
const TRACKING_HEADER: &str = "trackingid";

/// What is needed to tell people how the worker is, even if the rest of its configuration makes no sense.
#[derive(Clone)]
pub struct Telling {
    /// The application's keys.
    pub keys: Keyspace,
    /// Where alerts go; none leaves them to the log.
    pub alert: Option<AlertConfig>,
    /// The header in which upstreams name a call, for their support.
    pub tracking_header: String,
    /// Which log lines are written.
    pub log: LogLevel,
    /// All secrets that this component is given, none of which is told.
    pub secrets: Vec<String>,
}

impl Telling {
    /// Reads as much as can be read. Only an instance that cannot be read is an error, for without it nobody knows
    /// whose keys to write.
    pub fn read(variables: &Variables) -> Result<Telling, ConfigError> {
        Ok(Telling {
            keys: variables.instance()?,
            alert: AlertConfig::read(variables).ok().flatten(),
            tracking_header: tracking_header(variables).unwrap_or_else(|_| TRACKING_HEADER.to_owned()),
            log: log_level(variables).unwrap_or(LogLevel::All),
            secrets: variables.secrets(),
        })
    }
}

/// Reads what the destination receives.
fn read_shape(variables: &Variables) -> Result<Shape, ConfigError> {
    Shape::read(&variables.text("shape")?).map_err(|flaws| wrong_document("shape", &flaws))
}

/// Reads what is posted as an alert.
fn read_alert_template(variables: &Variables) -> Result<Template, ConfigError> {
    Template::read(&variables.text("alert_template")?).map_err(|flaws| wrong_document("alert_template", &flaws))
}

/// The error for a variable that holds a document: all that is wrong in the document is told at once.
fn wrong_document(name: &str, flaws: &[shape::Flaw]) -> ConfigError {
    let told: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    ConfigError(format!("variable `{name}` makes no sense: {}", told.join("; ")))
}

fn credentials(variables: &Variables) -> Result<Credentials, ConfigError> {
    if let Some(token) = variables.token("pim_app_token")? {
        return Ok(Credentials::App(token));
    }
    let needed = |name: &str| {
        variables.set(name)?.ok_or_else(|| {
            ConfigError(format!(
                "variable `{name}` is not set: a connection needs pim_client_id, pim_client_secret, pim_username and pim_password; an App needs pim_app_token alone"
            ))
        })
    };
    let client_id = needed("pim_client_id")?;
    if client_id.contains(':') {
        // Basic authentication takes what stands before the first colon for the client id (RFC 7617, section 2).
        return Err(ConfigError(
            "variable `pim_client_id` must not hold a colon: give the client id alone, without its secret".to_owned(),
        ));
    }
    Ok(Credentials::Connection {
        client_id,
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
    /// Reads the variables. The error names the first that makes no sense.
    pub fn read(variables: &Variables) -> Result<ConsoleConfig, ConfigError> {
        Ok(ConsoleConfig {
            keys: variables.instance()?,
            high_water: high_water(variables)?,
            log: log_level(variables)?,
        })
    }
}

#[cfg(test)]
mod tests;
