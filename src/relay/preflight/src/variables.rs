//! Every variable, each judged although others are wrong.
//!
//! The rooms of the components read the variables as they always do. What makes no sense is told and taken for unset, and
//! then they read once more, until nothing is wrong: so one wrong variable hides no other.

use crate::finding::Findings;
use config::access::AdminConfig;
use config::{
    ConfigError, ConsoleConfig, EVENT_PLATFORM_SECRET, EVENT_PLATFORM_SIZE, EVENTS_API_SECRET, EVENTS_API_SIZE,
    IngestConfig, NOTIFICATION_SECRET, NOTIFICATION_SIZE, SecretNames, SizeLimit, Variables, WorkerConfig,
};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often the variables are read at most: twice for each.
const WRONG_MAX: usize = 100;

/// How long a secret is that Akeneo takes, in characters (contract 3.2).
const SECRET_LEAST: usize = 16;
const SECRET_MOST: usize = 256;

/// The secrets with which deliveries are signed.
const SECRETS: [SecretNames; 3] = [EVENT_PLATFORM_SECRET, EVENTS_API_SECRET, NOTIFICATION_SECRET];

/// The addresses that the component may call. If Spin cannot read one of them, it denies every call.
pub const ADDRESSES: [&str; 5] = [
    "pim_url",
    "destination_url",
    "login_url",
    "public_url",
    "event_platform_url",
];

/// What stands in for a variable that has to be set, so that the others can be read. Nothing is called with it.
const STAND_INS: [(&str, &str); 9] = [
    ("pim_app_token", "unset"),
    ("destination_url", "https://destination.invalid"),
    ("pim_url", "https://pim.invalid"),
    ("pim_client_id", "unset"),
    ("pim_client_secret", "unset"),
    ("pim_username", "unset"),
    ("pim_password", "unset"),
    ("login_id", "unset"),
    ("login_secret", "unset"),
];

/// Where the worker's configuration can be gone by, and which of it is stood in for.
pub struct Judged {
    /// The worker's configuration; none where not even an instance is known.
    pub worker: Option<WorkerConfig>,
    /// The variables that are wrong.
    pub wrong: Vec<String>,
    /// Whether an address that is right is written otherwise than Spin reads it.
    pub is_misread: bool,
}

impl Judged {
    /// Whether none of these variables is wrong.
    pub fn is_right(&self, names: &[&str]) -> bool {
        !names.iter().any(|name| self.wrong.iter().any(|wrong| wrong == name))
    }

    /// Whether all is right that says where the PIM is and how it lets us in.
    pub fn knows_the_pim(&self) -> bool {
        let is_of_the_pim = |name: &String| name.starts_with("pim_");
        !self.wrong.iter().any(is_of_the_pim)
    }
}

/// Which deliveries are taken: those whose secrets are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Those of the Event Platform.
    pub event_platform: bool,
    /// Those of the Events API.
    pub events_api: bool,
    /// How far the clocks may differ before a delivery of the Events API is refused for it, in seconds; none where none is
    /// taken.
    pub tolerance_s: Option<u64>,
}

impl Taken {
    /// Reads the variables; a secret that makes no sense is none.
    pub fn read(variables: &Variables) -> Taken {
        let Ok(ingest) = IngestConfig::read(variables) else {
            return Taken::default();
        };
        let is_set = |names: SecretNames| ingest.secrets(names).any(|secret| secret.is_ok());
        let events_api = is_set(EVENTS_API_SECRET);
        Taken {
            event_platform: is_set(EVENT_PLATFORM_SECRET),
            events_api,
            tolerance_s: ingest.tolerance_s().ok().filter(|_| events_api),
        }
    }
}

/// Reads all variables, tells of each that makes no sense, and of what is likely not meant.
pub fn judge(variables: &Variables, findings: &mut Findings) -> Judged {
    let instead: RefCell<BTreeMap<String, String>> = RefCell::default();
    let or_instead = |name: &str| match instead.borrow().get(name) {
        Some(value) => Ok(Some(value.clone())),
        None => (variables.0)(name),
    };
    let readable = Variables(&or_instead);
    let mut wrong = Vec::new();
    for _ in 0..WRONG_MAX {
        let Err(ConfigError(text)) = read_all(&readable) else {
            break;
        };
        let name = named(&text).unwrap_or("variables").to_owned();
        let stand_in = STAND_INS.iter().find(|(known, _)| *known == name);
        let stand_in = stand_in.map_or("", |(_, value)| *value);
        let known = instead.borrow().get(&name).cloned();
        let value = match known.as_deref() {
            // What a login needs is wrong where no login is.
            None if !name.starts_with("login_") => stand_in,
            None => "",
            Some("") if !stand_in.is_empty() => stand_in,
            Some(_) => break,
        };
        // What a shape that cannot be read says of a login is not known.
        let is_of_the_shape = name == "login_secret" && wrong.iter().any(|wrong| wrong == "shape");
        if known.is_none() && !is_of_the_shape {
            let variable = name.to_ascii_uppercase();
            let set = format!("set {name} in the environment (SPIN_VARIABLE_{variable}), or by --variable");
            findings.error(&name, text, set);
            wrong.push(name.clone());
        }
        instead.borrow_mut().insert(name, value.to_owned());
    }
    let worker = WorkerConfig::read(&readable).ok();
    let mut judged = Judged {
        worker,
        wrong,
        is_misread: false,
    };
    tell_of_secrets(&readable, findings);
    tell_of_tokens(&readable, &judged, findings);
    judged.is_misread = tell_of_addresses(variables, &judged, findings);
    judged
}

/// Reads what every component reads.
fn read_all(variables: &Variables) -> Result<(), ConfigError> {
    WorkerConfig::read(variables)?;
    AdminConfig::read(variables)?;
    ConsoleConfig::read(variables)?;
    let ingest = IngestConfig::read(variables)?;
    for names in SECRETS {
        for secret in ingest.secrets(names) {
            secret?;
        }
    }
    let sizes: [SizeLimit; 3] = [EVENT_PLATFORM_SIZE, EVENTS_API_SIZE, NOTIFICATION_SIZE];
    for size in sizes {
        ingest.body_max(size, None)?;
    }
    ingest.own_authors()?;
    ingest.tolerance_s()?;
    variables.public_url()?;
    variables.event_platform_url()?;
    Ok(())
}

/// The variable that an error names.
fn named(error: &str) -> Option<&str> {
    error.split('`').nth(1)
}

fn tell_of_secrets(variables: &Variables, findings: &mut Findings) {
    let Ok(ingest) = IngestConfig::read(variables) else {
        return;
    };
    let mut is_any_set = false;
    for names in SECRETS {
        for name in names {
            let Some(Ok(secret)) = ingest.secrets(std::slice::from_ref(name)).next() else {
                continue;
            };
            is_any_set = true;
            let length = secret.chars().count();
            if !(SECRET_LEAST..=SECRET_MOST).contains(&length) {
                findings.warning(
                    name,
                    format!("the secret in `{name}` has {length} characters, and Akeneo takes {SECRET_LEAST} to {SECRET_MOST}"),
                    "make a new one, for instance by `openssl rand -hex 32`, and give it to Akeneo and to the relay",
                );
            }
        }
    }
    if !is_any_set {
        findings.warning(
            "event_platform_secret",
            "no secret is set with which deliveries are verified, so none is taken: changes are found by polling alone",
            "set event_platform_secret (or events_api_secret, until the Events API ends) to the secret that the PIM signs with",
        );
    }
}

fn tell_of_tokens(variables: &Variables, judged: &Judged, findings: &mut Findings) {
    let tokens = AdminConfig::read(variables)
        .map(|admin| admin.tokens)
        .unwrap_or_default();
    let of = |name: &str| {
        let open = tokens.iter().find(|(access, _)| access.variable() == name);
        open.map(|(_, token)| token)
    };
    if let (Some(all), Some(reading)) = (of("admin_token"), of("read_token"))
        && all == reading
    {
        findings.error(
            "read_token",
            "`read_token` is the same as `admin_token`, so whoever is to read alone may do everything",
            "give read_token a value of its own",
        );
    }
    let Some(worker) = &judged.worker else { return };
    if worker.destination.is_none() && judged.is_right(&["destination_url"]) {
        findings.note(
            "destination_url",
            "no destination is set: the worker tells in the log what it would push, and uses the events up",
            "set destination_url once the rest is right",
        );
    }
    if worker.alert.is_none() && judged.is_right(&["alert_url", "alert_path"]) {
        findings.note(
            "alert_url",
            "no address for alerts is set: what needs a person stands in the log alone",
            "set alert_url and alert_path to the webhook of a chat",
        );
    }
}

/// Tells of addresses that Spin reads otherwise than the relay, and of those without encryption; says whether there is one
/// of the former.
fn tell_of_addresses(variables: &Variables, judged: &Judged, findings: &mut Findings) -> bool {
    let mut is_misread = false;
    for name in ADDRESSES.into_iter().chain(["alert_url"]) {
        if !judged.is_right(&[name]) {
            continue;
        }
        if let Some(misread) = variables.misread(name) {
            findings.error(name, misread, "write it as told, and start anew");
            is_misread |= name != "alert_url";
        }
    }
    let Some(worker) = &judged.worker else {
        return is_misread;
    };
    let destination = worker.destination.as_ref().map(|destination| &destination.origin);
    let alert = worker.alert.as_ref().map(|alert| &alert.origin);
    for (name, origin) in [
        ("pim_url", Some(&worker.pim.origin)),
        ("destination_url", destination),
        ("alert_url", alert),
    ] {
        if origin.is_some_and(|origin| is_open(origin)) {
            findings.warning(
                name,
                format!("`{name}` has no TLS, so secrets and content can be read on the way"),
                format!("give {name} as https://"),
            );
        }
    }
    is_misread
}

/// Whether an origin is reached over a network without encryption.
pub fn is_open(origin: &str) -> bool {
    let host = origin
        .strip_prefix("http://")
        .map(|rest| rest.rsplit_once(':').map_or(rest, |(host, _)| host));
    let is_here = |host: &str| host == "localhost" || host == "[::1]" || host.starts_with("127.");
    host.is_some_and(|host| !is_here(host))
}
