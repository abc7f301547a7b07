//! Answers of our own endpoints, free of any server's types.
//!
//! Whoever serves an endpoint turns an [`Answer`] into a response and adds its `content-length`.

use crate::{ConfigError, WATCH_MAX_S};
use serde_json::{Value, json};

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
