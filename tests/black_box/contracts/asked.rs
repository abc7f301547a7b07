//! A request, read.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A request, read.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Asked {
    pub(super) fn read(request: &Request<Bytes>) -> Asked {
        Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
        }
    }

    /// The last part of the path behind this beginning.
    pub(super) fn behind(&self, beginning: &str) -> Option<String> {
        let name = self.path.strip_prefix(beginning)?.strip_prefix('/')?;
        Some(decoded(name))
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(known, _)| decoded(known) == name).map(|(_, value)| value);
        value.map(decoded)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A UUID with its dashes.
pub(super) fn dashed(hex: &str) -> String {
    hex.parse::<uuid::Uuid>()
        .map(|uuid| uuid.hyphenated().to_string())
        .unwrap_or_default()
}
