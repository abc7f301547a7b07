//! Single variables, read as people paste them.
//!
//! White space, line breaks and byte order marks around a value come with it when it is pasted, and are taken off; a
//! value that is empty then is unset. Origins, paths and names of headers come out in one form, however they are
//! spelled. A value that makes no sense is an error that names the variable and says what to do, and that quotes no
//! secret.

use http::{HeaderName, Uri};
use queue::keyspace::{Keyspace, is_instance};
use std::str::FromStr;

/// A variable that is missing or makes no sense; the text names it and says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The value of an address that is not set. Spin wants every allowed host to be an origin, so an address cannot be
/// empty.
pub const UNSET_ORIGIN: &str = "https://unset.invalid";

/// The variables of origins that are checked where the platform denies a call of the worker's.
const ORIGINS: [&str; 4] = ["pim_url", "destination_url", "login_url", "alert_url"];

/// The variables that are secrets: those that `spin.toml` marks so.
pub const SECRETS: [&str; 16] = [
    "pim_client_secret",
    "pim_password",
    "pim_app_token",
    "event_platform_secret",
    "event_platform_secret_previous",
    "events_api_secret",
    "events_api_secret_previous",
    "notification_secret",
    "destination_token",
    "login_secret",
    "admin_token",
    "admin_token_previous",
    "read_token",
    "tick_key",
    "alert_path",
    "alert_template",
];

/// How long a part of the path of alerts is at least that counts as a secret, in bytes.
const PART_MIN: usize = 12;

/// A provider of variables failed. What it said is left out, for nobody knows what it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderFailed;

/// Where variables come from. A variable that is not defined and one that is empty are both unset; one that cannot be
/// read is an error.
pub struct Variables<'a>(pub &'a dyn Fn(&str) -> Result<Option<String>, ProviderFailed>);

impl Variables<'_> {
    fn raw(&self, name: &str) -> Result<String, ConfigError> {
        match (self.0)(name) {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(ProviderFailed) => Err(ConfigError(format!(
                "variable `{name}` cannot be read, because its provider fails: see that what provides the variables answers; nothing is done until then, and no event is lost"
            ))),
        }
    }

    /// A variable's value without what surrounds it when it is pasted or comes out of a file; empty where the variable
    /// is unset.
    pub(super) fn text(&self, name: &str) -> Result<String, ConfigError> {
        Ok(self.raw(name)?.trim_matches(is_blank).to_owned())
    }

    /// A variable's value; none where the variable is unset.
    pub(super) fn set(&self, name: &str) -> Result<Option<String>, ConfigError> {
        Ok(Some(self.text(name)?).filter(|value| !value.is_empty()))
    }

    /// All secrets that are given to this component, whatever each is for: none of them is to be told. Of a user and a
    /// password in one, the password is a secret, too. The path of a chat's webhook is its secret, or what its query says, so
    /// that its longer parts are among them.
    pub fn secrets(&self) -> Vec<String> {
        let given = |name: &str| self.set(name).ok().flatten();
        let path = given("alert_path").unwrap_or_default();
        let parts = path.split(['/', '?', '&', '=']).filter(|part| part.len() >= PART_MIN);
        let known = SECRETS.into_iter().filter_map(given).flat_map(|secret| {
            let password = secret.split_once(':').map(|(_, password)| password.to_owned());
            [Some(secret), password.filter(|password| !password.is_empty())]
        });
        known.flatten().chain(parts.map(str::to_owned)).collect()
    }

    /// A secret that is sent, or comes, in a header. A character that a header cannot carry unharmed is an error here,
    /// since a request with it could not even be formed.
    pub(super) fn token(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let value = self.set(name)?;
        let is_carried = |value: &String| value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if value.as_ref().is_none_or(is_carried) {
            return Ok(value);
        }
        Err(ConfigError(format!(
            "variable `{name}` holds a character that no header can carry, such as a line break or a letter outside ASCII: give it as it was issued, on one line"
        )))
    }

    /// The items of a variable that is a list, with commas or line breaks between.
    pub(super) fn list(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        let text = self.text(name)?;
        let items = text.split([',', '\n']).map(|item| item.trim_matches(is_blank));
        Ok(items.filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    /// A number within these bounds; the default where the variable is unset.
    pub(super) fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        default: T,
        least: T,
        most: T,
    ) -> Result<T, ConfigError> {
        let text = self.text(name)?;
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

    /// One of these words; the first where the variable is unset.
    pub(super) fn choice(&self, name: &str, choices: &[&str]) -> Result<String, ConfigError> {
        let text = self.text(name)?;
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

    /// The name of a header, in small letters; the default where the variable is unset.
    pub(super) fn header_name(&self, name: &str, default: &str) -> Result<String, ConfigError> {
        let Some(text) = self.set(name)? else {
            return Ok(default.to_owned());
        };
        HeaderName::from_str(&text)
            .map(|header| header.as_str().to_owned())
            .map_err(|_| {
                ConfigError(format!(
                    "variable `{name}` must be the name of a header, such as {default}: letters, digits and `-`"
                ))
            })
    }

    /// Scheme, host and port in one form; none where the variable is unset or is [`UNSET_ORIGIN`].
    pub(super) fn origin(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let text = self.text(name)?;
        if text.trim_matches('/').is_empty() {
            return Ok(None);
        }
        let origin = origin(&text).ok_or_else(|| {
            ConfigError(format!(
                "variable `{name}` must be an origin such as https://host.example.com or http://127.0.0.1:8080: scheme, host and, where it needs one, port; no path"
            ))
        })?;
        Ok(Some(origin).filter(|origin| !origin.eq_ignore_ascii_case(UNSET_ORIGIN)))
    }

    /// A path without a query, with a leading and no trailing slash; empty where the variable is unset.
    pub(super) fn path(&self, name: &str) -> Result<String, ConfigError> {
        path(&self.text(name)?).ok_or_else(|| {
            ConfigError(format!(
                "variable `{name}` must be a path such as /api/v1, percent-encoded, without a query"
            ))
        })
    }

    /// A path with a query, if there is one, as webhooks of chats have it. A slash at the path's end stays, for a server
    /// may answer with a redirect without it.
    pub(super) fn target(&self, name: &str) -> Result<String, ConfigError> {
        let text = self.text(name)?;
        let whole = |before: &str| path(before).map(|path| path + if before.ends_with('/') { "/" } else { "" });
        let target = match text.split_once('?') {
            None => whole(&text).map(|path| if path == "/" { String::new() } else { path }),
            Some((before, query)) => whole(before)
                .filter(|_| query.chars().all(|c| is_of_paths(c) || c == '?'))
                .map(|path| format!("{}?{query}", if path.is_empty() { "/" } else { &path })),
        };
        target.ok_or_else(|| {
            ConfigError(format!(
                "variable `{name}` must be a path such as /v1/messages?key=..., percent-encoded: what follows the host in the address that the receiver gave you"
            ))
        })
    }

    /// The origin at which the PIM comes to us; none where it is not known.
    pub fn public_url(&self) -> Result<Option<String>, ConfigError> {
        self.origin("public_url")
    }

    /// The origin of the Event Platform's management API; none where it is not known.
    pub fn event_platform_url(&self) -> Result<Option<String>, ConfigError> {
        self.origin("event_platform_url")
    }

    /// The connection's or the App's client id, if one is given.
    pub fn client_id(&self) -> Result<Option<String>, ConfigError> {
        self.set("pim_client_id")
    }

    /// The keys of the instance that the variable names; those of `main` where it is unset.
    pub(super) fn instance(&self) -> Result<Keyspace, ConfigError> {
        let name = self.set("instance")?;
        let name = name.as_deref().unwrap_or("main");
        if is_instance(name) {
            return Ok(Keyspace::new(name));
        }
        Err(ConfigError(
            "variable `instance` must be 1 to 32 of a-z, 0-9 and `-`".to_owned(),
        ))
    }

    /// Why the platform denies a call, for people. Spin reads the same variables as allowed hosts, and more strictly
    /// than they are read here. If it cannot read one of them, it denies every call of the component.
    pub fn denial(&self) -> String {
        ORIGINS.iter().find_map(|name| self.misread(name)).unwrap_or_else(|| {
            "the platform does not allow this address: see `allowed_outbound_hosts` in spin.toml".to_owned()
        })
    }

    /// What to change about a variable that Spin does not read as it is read here; none where nothing is known to be
    /// wrong with it.
    pub fn misread(&self, name: &str) -> Option<String> {
        let raw = match self.raw(name) {
            Ok(raw) => raw,
            Err(error) => return Some(error.0),
        };
        let raw = raw.trim();
        if raw.is_empty() {
            return Some(format!(
                "variable `{name}` is empty, and Spin then denies every call: leave it unset, or give it as {UNSET_ORIGIN}"
            ));
        }
        let origin = origin(raw.trim_matches(is_blank))?;
        let is_read = raw.strip_suffix('/').unwrap_or(raw) == origin;
        (!is_read).then(|| format!("variable `{name}` is not written as Spin reads it: give it as {origin}"))
    }
}

/// Whether a character may stand in a path: without being encoded (RFC 3986, section 3.3), or as the `%` of what is.
fn is_of_paths(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%/".contains(c)
}

/// A path with a leading and no trailing slash; empty where the text has none. None for what is no path.
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

/// Whether a character may surround a value without being of it: white space, a control character such as a line break,
/// a byte order mark, a space of no width.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}')
}

/// An origin in its one form: the scheme in small letters, no slash at the end, and IPv6 always with a port, since Spin
/// takes the last group of an address without one for the port. None for what is no origin.
fn origin(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let uri = Uri::from_str(text).ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?;
    let port = authority.port();
    let port_len = port.as_ref().map_or(0, |port| port.as_str().len() + 1);
    let is_plain = matches!(scheme.as_str(), "http" | "https")
        && !authority.host().is_empty()
        && authority.as_str().len() == authority.host().len() + port_len
        && uri.path() == "/"
        && uri.query().is_none()
        && !text.contains('#');
    let needs_port = authority.host().starts_with('[') && port.is_none();
    let default_port = match scheme.as_str() {
        _ if !needs_port => "",
        "http" => ":80",
        _ => ":443",
    };
    is_plain.then(|| format!("{scheme}://{authority}{default_port}"))
}
