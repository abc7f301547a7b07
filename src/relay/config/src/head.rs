//! The heads of requests to our own endpoints, free of any server's types.
//!
//! Whoever serves an endpoint makes a [`Head`] of a request, and reads its body by what the head and these limits say.

use crate::answer::Unread;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// How long a body may take to come, in milliseconds: whoever sends half of one would hold an instance of the host's, or
/// one of the places that it has for requests.
pub const BODY_MS: u64 = 10_000;

/// A request without its body.
pub struct Head {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// The headers; those that are not well formed are left out.
    pub headers: HeaderMap,
}

impl Head {
    /// The head of a request for a target, which is a path with its query.
    pub fn new(method: Method, target: &str, entries: Vec<(String, Vec<u8>)>) -> Head {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            let name = HeaderName::try_from(name);
            let value = HeaderValue::try_from(value);
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        Head {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
        }
    }

    /// For how many bytes of a body there has to be room: as many as are announced, or as there may be at most.
    ///
    /// # Errors
    /// More are announced than there may be.
    pub fn room(&self, limit: usize) -> Result<usize, Unread> {
        let announced = self
            .headers
            .get("content-length")
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        match announced.unwrap_or(limit) {
            room if room > limit => Err(Unread::TooLarge),
            room => Ok(room),
        }
    }
}
