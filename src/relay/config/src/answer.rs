//! Answers of our own endpoints, and whether a caller may ask; free of any server's types.
//!
//! Whoever serves an endpoint turns an [`Answer`] into a response and adds its `content-length`. Where no secret is
//! configured, the endpoint that it would open is closed. What a caller sends is compared with a secret in a time that
//! does not tell how much of it is right.

use crate::{AdminConfig, ConfigError, WATCH_MAX_S};
use http::HeaderMap;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

/// An answer: a status, a few headers, a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers beside `content-length`, which every answer gets.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request's body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// The body is over the limit.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// The connection ended before the body did.
    BrokenOff,
}

impl Answer {
    /// An empty 200. It is empty on purpose: with `content-length: 0` an answer leaves in one segment, where a body
    /// would wait for the sender's delayed acknowledgement.
    pub fn done() -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A JSON document.
    pub fn json(status: u16, document: &Value) -> Answer {
        Answer {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: document.to_string().into_bytes(),
        }
    }

    /// An error as `application/problem+json` (RFC 9457). `detail` says what was wrong and what to do, and holds
    /// neither a secret nor what was sent.
    pub fn problem(status: u16, detail: &str) -> Answer {
        let title = http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("");
        let document = json!({ "title": title, "status": status, "detail": detail });
        Answer {
            headers: vec![("content-type", "application/problem+json".to_owned())],
            ..Answer::json(status, &document)
        }
    }

    /// The answer to a request that makes no sense: 400.
    pub fn bad(detail: &str) -> Answer {
        Answer::problem(400, detail)
    }

    /// The answer while the configuration makes no sense: 503.
    pub fn misconfigured(error: &ConfigError) -> Answer {
        Answer::problem(503, &error.0)
    }

    /// The same answer with one more header.
    pub fn with(mut self, name: &'static str, value: &str) -> Answer {
        self.headers.push((name, value.to_owned()));
        self
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

/// How long a tick stays that is asked for by HTTP, in seconds: it ends with its work, unless its caller says otherwise.
///
/// # Errors
/// An answer of 400 to a number that is none.
pub fn watch_s(query: &str) -> Result<u64, Answer> {
    let Some(said) = query.split('&').find_map(|pair| pair.strip_prefix("watch_seconds=")) else {
        return Ok(0);
    };
    let seconds = said.parse().ok().filter(|seconds| *seconds <= WATCH_MAX_S);
    seconds.ok_or_else(|| {
        Answer::problem(
            400,
            &format!("`watch_seconds` is to be a number of seconds, up to {WATCH_MAX_S}"),
        )
    })
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
