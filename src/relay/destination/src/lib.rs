//! Pushing to the destination: singular upserts and deletes, each judged alone.
//!
//! Here its requests are made, with the idempotency key among their headers, and its answers are judged. What a request is
//! and where it goes is the shape's matter.

use config::DestinationConfig;
use http::{Method, Request, Response, StatusCode, header};
use model::entity::{Kind, digest};
use model::failure::{Class, Failure};
use shape::{Answers, Headers, Removal, Shape, Upsert};
use upstream::governor::{Call, Governor, Limits};
use upstream::html;
use upstream::retry_after::transient;
use world::host::Host;

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
    /// The key of what it is pushed for: the newest event that waits for it, or the dead letter that it is tried again for.
    pub cause: &'a str,
    /// How often it was pushed or deleted before.
    pub pushes: u64,
    /// How often the content was another one since then, without coming through.
    pub changes: u64,
    /// Whether it is tried once more after it was given up.
    pub is_last_resort: bool,
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
            model::json::write(&upsert.body).into_bytes(),
            judge_answer,
        )
        .await
    }

    /// The request that a file is sent with, its content still to come. A file is immutable by its path, so that the
    /// path is key enough, unless a person asked for it once more at this time.
    pub fn file(
        &self,
        circuit: &str,
        method: &Method,
        path: &str,
        forced_s: Option<u64>,
    ) -> Result<Request<Vec<u8>>, Failure> {
        let key = match forced_s {
            Some(forced_s) => digest(format!("{path}\n{forced_s}").as_bytes()),
            None => digest(path.as_bytes()),
        };
        self.request(circuit, &self.shape.headers, method, path, key, Vec::new())
    }

    /// Deletes an entity; one that is not there is deleted.
    pub async fn delete(&self, cargo: Cargo<'_>, removal: &Removal) -> Result<(), Failure> {
        self.send(cargo, &removal.method, &removal.path, Vec::new(), judge_removal)
            .await
    }

    async fn send(
        &self,
        cargo: Cargo<'_>,
        method: &Method,
        path: &str,
        body: Vec<u8>,
        judge: fn(&Response<Vec<u8>>, &Answers) -> Option<Class>,
    ) -> Result<(), Failure> {
        // The same over retries, another for the next change even if that changes back: what has come through since
        // makes it another one, and so does a newer event.
        let pushes = match cargo.changes {
            0 => cargo.pushes.to_string(),
            changes => format!("{}.{changes}", cargo.pushes),
        };
        let parts = [cargo.kind.name(), cargo.code, cargo.cause, &pushes, method.as_str(), ""];
        let key = digest(parts.join("\n").as_bytes());
        let key = digest(&[key.as_bytes(), &body].concat());
        let call = Call {
            circuit: cargo.kind.name(),
            entity: Some(cargo.name),
            attempts: cargo.attempts,
            subject: None,
            is_divisible: false,
            is_question: false,
            is_last_resort: cargo.is_last_resort,
            shown_path: None,
            request: self.request(
                cargo.kind.name(),
                self.shape.headers_of(cargo.kind),
                method,
                path,
                key,
                body,
            )?,
        };
        let answers = self.shape.answers_of(cargo.kind);
        let judge = |response: &Response<Vec<u8>>| judge(response, answers);
        self.governor.call(call, &judge).await.map(|_| ())
    }

    fn request(
        &self,
        circuit: &str,
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
        request
            .body(body)
            .map_err(|error| self.governor.unformed(circuit, &error))
    }
}

/// What follows from the destination's answer to an upsert: a page of HTML with a good status is somebody else's, such as
/// a proxy's word that the destination is being mended.
fn judge_answer(response: &Response<Vec<u8>>, answers: &Answers) -> Option<Class> {
    match judge_upsert(response.status(), answers) {
        None if !answers.are_pages_its_own && html::is_page(response.body()) => Some(Class::Unavailable),
        class => class,
    }
}

/// What follows from the destination's status to an upsert.
pub fn judge_upsert(status: StatusCode, answers: &Answers) -> Option<Class> {
    match status.as_u16() {
        200..=299 => None,
        status if answers.passes(status) => Some(Class::Transient),
        // A path that is not there is a wrong address, not a wrong entity.
        401 | 403 | 404 | 405 | 415 | 300..=399 => Some(Class::Misconfigured),
        _ => transient(status).or(Some(Class::Permanent)),
    }
}

/// What follows from the destination's answer to a deletion: what is not there is deleted, if the destination says so
/// itself.
fn judge_removal(response: &Response<Vec<u8>>, answers: &Answers) -> Option<Class> {
    match response.status().as_u16() {
        404 | 410 if is_own_word(response.body()) => None,
        404 | 410 if answers.are_pages_its_own && html::is_page(response.body()) => None,
        // A proxy that does not know the destination: tried again, and then a person's.
        404 | 410 => Some(Class::Transient),
        _ => judge_answer(response, answers),
    }
}

/// Whether a body can be the destination's own word of what it does not have: none, a JSON document, or a plain text that
/// says no more than that. A page, or a text about pages, routes and backends, is a proxy's.
fn is_own_word(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let plain = text.trim_end_matches(['.', '!']).to_ascii_lowercase();
    let says_so = ["not found", "404 not found", "gone", "410 gone"];
    text.is_empty() || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() || says_so.contains(&plain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response<Vec<u8>> {
        let response = Response::builder().status(status).body(body.as_bytes().to_vec());
        response.expect("a response")
    }

    #[test]
    fn a_deletion_is_done_where_the_destination_itself_says_that_it_has_nothing() {
        let own = [
            "",
            "{}",
            r#"{"message":"No such product"}"#,
            "null",
            "Not found",
            " not found.\n",
            "404 Not Found",
        ];
        for body in own {
            for status in [404, 410] {
                assert_eq!(
                    judge_removal(&answer(status, body), &Answers::default()),
                    None,
                    "{status} {body}"
                );
            }
        }
        let others = [
            "default backend - 404",
            "404 page not found\n",
            "<!doctype html><title>404</title>",
            "<html><h1>Not Found</h1></html>",
            "no healthy upstream",
        ];
        for body in others {
            assert_eq!(
                judge_removal(&answer(404, body), &Answers::default()),
                Some(Class::Transient),
                "{body}"
            );
        }
        assert_eq!(judge_removal(&answer(204, ""), &Answers::default()), None);
        assert_eq!(
            judge_removal(&answer(503, ""), &Answers::default()),
            Some(Class::Transient)
        );
    }

    #[test]
    fn answers_mean_what_the_shape_says() {
        let shape = Shape::read(r#"{"answers": {"busy": [422, 404], "html": "done"}}"#).expect("a good shape");
        let answers = shape.answers_of(Kind::Product);
        let page = "<!doctype html><p>Saved";
        for (status, body, class) in [
            (200, page, None),
            (422, "", Some(Class::Transient)),
            (404, "", Some(Class::Transient)),
            (400, "", Some(Class::Permanent)),
            (403, page, Some(Class::Misconfigured)),
        ] {
            assert_eq!(judge_answer(&answer(status, body), answers), class, "{status} {body}");
        }
        for body in ["", page] {
            assert_eq!(judge_removal(&answer(404, body), answers), None, "what is gone is gone");
        }
    }

    #[test]
    fn a_page_with_a_good_status_is_no_success_and_plain_words_are() {
        for body in ["", "ok", "{}", "<xml/>", "Created"] {
            assert_eq!(judge_answer(&answer(200, body), &Answers::default()), None, "{body}");
        }
        for body in ["<!doctype html><p>Back soon", "  <HTML>", "\u{feff}<!-- x --><html>"] {
            assert_eq!(
                judge_answer(&answer(200, body), &Answers::default()),
                Some(Class::Unavailable),
                "{body}"
            );
        }
        for status in [409, 423, 425, 429, 408, 500] {
            assert_eq!(
                judge_answer(&answer(status, ""), &Answers::default()),
                Some(Class::Transient),
                "{status}"
            );
        }
    }
}
