//! Refusals in Akeneo's form (contract 4.7).

use bytes::Bytes;
use http::{Method, Response};
use serde_json::json;

use crate::fault::{error_body, respond};

/// Why a call gets no data.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    message: String,
    documentation: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: &str) -> Self {
        Self {
            status,
            message: message.to_owned(),
            documentation: None,
        }
    }

    /// Invalid data, the most frequent one.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(422, message)
    }

    pub(super) fn documented(self, href: &'static str) -> Self {
        Self {
            documentation: Some(href),
            ..self
        }
    }

    pub(super) fn no_route(method: &Method, path: &str) -> Self {
        Self::new(404, &format!("No route found for \"{method} {path}\""))
    }

    pub(super) fn method_not_allowed(method: &Method) -> Self {
        Self::new(405, &format!("Method {method} is not allowed here."))
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let mut body = error_body(self.status, &self.message);
        if let Some(href) = self.documentation {
            body["_links"] = json!({ "documentation": { "href": href } });
        }
        respond(self.status, &body)
    }
}
