//! Who may use the administration, and who may start a tick.
//!
//! Where no secret is configured, the endpoint that it would open is closed. What a caller sends is compared with a secret
//! in a time that does not tell how much of it is right.

use crate::answer::Answer;
use crate::variables::{ConfigError, Variables};
use http::HeaderMap;
use subtle::ConstantTimeEq;

/// Who may use the administration and start a tick.
#[derive(Clone)]
pub struct AdminConfig {
    /// The bearer tokens that are set, each with what it opens.
    pub tokens: Vec<(Access, String)>,
    /// The secret that starts a tick and opens nothing else: as a bearer token, or by a bare `GET`.
    pub tick_key: Option<String>,
}

/// The variables of bearer tokens, and what each opens.
const TOKENS: [(&str, Access); 3] = [
    ("admin_token", Access::All("admin_token")),
    ("admin_token_previous", Access::All("admin_token_previous")),
    ("read_token", Access::Reading),
];

impl AdminConfig {
    /// Reads the variables. The error names the first that makes no sense.
    pub fn read(variables: &Variables) -> Result<AdminConfig, ConfigError> {
        let mut tokens = Vec::new();
        for (name, access) in TOKENS {
            tokens.extend(variables.token(name)?.map(|token| (access, token)));
        }
        Ok(AdminConfig {
            tokens,
            tick_key: variables.set("tick_key")?,
        })
    }

    /// Reads those of the variables that make sense, for whoever looks for those that do not.
    pub fn read_leniently(variables: &Variables) -> AdminConfig {
        let readable = TOKENS
            .iter()
            .filter_map(|(name, access)| Some((*access, variables.token(name).ok()??)));
        AdminConfig {
            tokens: readable.collect(),
            tick_key: None,
        }
    }
}

/// What a bearer token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// All of the administration, by the token of this variable.
    All(&'static str),
    /// How the application is, to read.
    Reading,
}

impl Access {
    /// The variable that has the token.
    pub fn variable(self) -> &'static str {
        match self {
            Access::All(variable) => variable,
            Access::Reading => "read_token",
        }
    }
}

/// The bearer token of a request; empty where there is none.
fn bearer(headers: &HeaderMap) -> &[u8] {
    let sent = headers.get("authorization").map(|value| value.as_bytes());
    match sent.unwrap_or_default().split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
        _ => b"",
    }
}

/// What a request's bearer token opens; if nothing, the answer to give: 401.
pub fn authorize(config: &AdminConfig, headers: &HeaderMap) -> Result<Access, Answer> {
    let sent = bearer(headers);
    let mut opened = None;
    // Each is compared, so that the time does not tell which one it was.
    for (access, known) in &config.tokens {
        if same(known, sent) {
            opened.get_or_insert(*access);
        }
    }
    if let Some(access) = opened {
        return Ok(access);
    }
    if config.tokens.is_empty() {
        return Err(Answer::problem(
            401,
            "this is closed: set the variable `admin_token` and send it as a bearer token",
        ));
    }
    Err(
        Answer::problem(401, "send the administration's token as `authorization: Bearer ...`")
            .with("www-authenticate", "Bearer"),
    )
}

/// The answer to somebody who may read alone, and asks for more: 403.
pub fn only_reads() -> Answer {
    Answer::problem(
        403,
        "`read_token` opens status, metrics, history and entities, to read: this wants `admin_token`",
    )
}

/// Whether a request may start a tick: by `POST` with the secret `tick_key` or a token of the administration's as a
/// bearer or, for schedulers that can send nothing else, by `GET` with `tick_key` as `?key=`. If not, the answer to give:
/// 401, or 405 to any other method.
pub fn authorize_tick(
    config: &AdminConfig,
    method: &http::Method,
    query: &str,
    headers: &HeaderMap,
) -> Result<(), Answer> {
    if method == http::Method::POST {
        if config
            .tick_key
            .as_ref()
            .is_some_and(|known| same(known, bearer(headers)))
        {
            return Ok(());
        }
        return match authorize(config, headers)? {
            Access::All(_) => Ok(()),
            Access::Reading => Err(only_reads()),
        };
    }
    if method != http::Method::GET {
        return Err(Answer::problem(405, "a tick is started by POST, or by GET with ?key=").with("allow", "GET, POST"));
    }
    let Some(known) = &config.tick_key else {
        return Err(Answer::problem(
            401,
            "a tick by GET is closed: set the variable `tick_key` and send it as ?key=",
        ));
    };
    let sent = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("key="))
        .unwrap_or_default();
    let sent: Vec<u8> = percent_encoding::percent_decode_str(sent).collect();
    if same(known, &sent) {
        Ok(())
    } else {
        Err(Answer::problem(401, "the key is not the configured `tick_key`"))
    }
}

fn same(known: &str, sent: &[u8]) -> bool {
    known.as_bytes().ct_eq(sent).into()
}
