//! Pushing to the destination: singular upserts and deletes, each judged alone.

use crate::config::DestinationConfig;
use crate::entity::{Kind, digest};
use crate::failure::{Class, Failure};
use crate::governor::{Call, Governor, Limits, transient};
use crate::host::Host;
use crate::shape::{Headers, Removal, Shape, Upsert};
use http::{Method, Request, Response, StatusCode, header};

/// Five at once is what destinations of this kind bear; the rate is configurable.
pub fn limits(timeout_ms: u64, per_second: usize) -> Limits {
    Limits {
        name: "destination",
        at_once: 5,
        per_second,
        timeout_ms,
        writes: true,
    }
}

/// An entity on its way.
#[derive(Debug, Clone, Copy)]
pub struct Cargo<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its code.
    pub code: &'a str,
    /// How failures and log lines name it.
    pub name: &'a str,
    /// Attempts used up.
    pub attempts: u32,
    /// The key of the newest event that waits for it.
    pub newest_event: &'a str,
}

/// The destination, for the length of a tick.
pub struct Destination<'a, H> {
    governor: &'a Governor<'a, H>,
    config: &'a DestinationConfig,
    shape: &'a Shape,
}

impl<'a, H: Host> Destination<'a, H> {
    /// The destination behind its governor.
    pub fn new(governor: &'a Governor<'a, H>, config: &'a DestinationConfig, shape: &'a Shape) -> Self {
        if let Some(token) = &config.token {
            governor.keep_secret(token);
        }
        Destination {
            governor,
            config,
            shape,
        }
    }

    /// Upserts an entity.
    pub async fn upsert(&self, cargo: Cargo<'_>, upsert: &Upsert) -> Result<(), Failure> {
        self.send(
            cargo,
            &upsert.method,
            &upsert.path,
            crate::json::write(&upsert.body).into_bytes(),
            &|response| judge_upsert(response.status()),
        )
        .await
    }

    /// The request that a file is sent with, its content still to come. A file is immutable by its path, so that the
    /// path is key enough, unless a person asked for it once more at this time.
    pub fn file(&self, method: &Method, path: &str, forced_s: Option<u64>) -> Result<Request<Vec<u8>>, Failure> {
        let key = match forced_s {
            Some(forced_s) => digest(format!("{path}\n{forced_s}").as_bytes()),
            None => digest(path.as_bytes()),
        };
        self.request(&self.shape.headers, method, path, key, Vec::new())
    }

    /// Deletes an entity; one that is not there is deleted.
    pub async fn delete(&self, cargo: Cargo<'_>, removal: &Removal) -> Result<(), Failure> {
        let judge = |response: &Response<Vec<u8>>| match response.status().as_u16() {
            200..=299 | 404 | 410 => None,
            401 | 403 | 405 | 415 | 300..=399 => Some(Class::Misconfigured),
            _ => transient(response.status()).or(Some(Class::Permanent)),
        };
        self.send(cargo, &removal.method, &removal.path, Vec::new(), &judge)
            .await
    }

    async fn send(
        &self,
        cargo: Cargo<'_>,
        method: &Method,
        path: &str,
        body: Vec<u8>,
        judge: crate::governor::Judge<'_>,
    ) -> Result<(), Failure> {
        // The same over retries, another for the next change even if that changes back.
        let key = digest(
            [cargo.kind.name(), cargo.code, cargo.newest_event, method.as_str(), ""]
                .join("\n")
                .as_bytes(),
        );
        let key = digest(&[key.as_bytes(), &body].concat());
        let call = Call {
            circuit: cargo.kind.name(),
            entity: Some(cargo.name),
            attempts: cargo.attempts,
            shown_path: None,
            request: self.request(self.shape.headers_of(cargo.kind), method, path, key, body)?,
        };
        self.governor.call(call, judge).await.map(|_| ())
    }

    fn request(
        &self,
        headers: &Headers,
        method: &Method,
        path: &str,
        key: String,
        body: Vec<u8>,
    ) -> Result<Request<Vec<u8>>, Failure> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{}{path}", self.config.origin, self.config.path))
            .header("idempotency-key", key);
        let has_type = headers.others.iter().any(|(name, _)| name == header::CONTENT_TYPE);
        if !body.is_empty() && !has_type {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &headers.others {
            request = request.header(name, value);
        }
        if let Some(token) = &self.config.token {
            let authentication = &headers.authentication;
            let value = format!("{} {token}", authentication.scheme);
            request = request.header(&authentication.header, value.trim_start());
        }
        request.body(body).map_err(|error| {
            self.governor
                .failed(Class::Misconfigured, format!("the request cannot be formed: {error}"))
        })
    }
}

/// What follows from the destination's status to an upsert.
pub(crate) fn judge_upsert(status: StatusCode) -> Option<Class> {
    match status.as_u16() {
        200..=299 => None,
        // A path that is not there is a wrong address, not a wrong entity.
        401 | 403 | 404 | 405 | 415 | 300..=399 => Some(Class::Misconfigured),
        _ => transient(status).or(Some(Class::Permanent)),
    }
}
