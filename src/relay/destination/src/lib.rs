//! Pushing to the destination: singular upserts and deletes, each judged alone.
//!
//! Here its requests are made, with the idempotency key among their headers, and what follows from its answers. What a
//! request is, and what an answer means, is the matter of the rooms `shape` and `protocol`.

use base64::{Engine, engine::general_purpose::STANDARD};
use config::{DestinationConfig, LoginConfig};
use http::{Method, Request, Response, header};
use model::entity::{Kind, digest};
use model::failure::{Class, Failure};
use model::path::path_segment;
use protocol::answers::Meaning;
use protocol::headers::Headers;
use protocol::request::Act;
use queue::keyspace::Keyspace;
use serde_json::Value;
use shape::{Removal, Shape, Upsert};
use std::cell::Cell;
use upstream::governor::{Call, Governor, Limits};
use upstream::token::{Login, Tokens};
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
    /// Whether the destination has it, as far as the index knows.
    pub is_known: bool,
}

/// The destination, for the length of a tick.
pub struct Destination<'a, H> {
    governor: &'a Governor<'a, H>,
    config: &'a DestinationConfig,
    shape: &'a Shape,
    /// Its tokens, where they end.
    pub tokens: Option<Tokens<'a, H>>,
}

impl<'a, H: Host> Destination<'a, H> {
    /// The destination behind its governor.
    pub fn new(
        host: &'a H,
        governor: &'a Governor<'a, H>,
        keys: &Keyspace,
        config: &'a DestinationConfig,
        shape: &'a Shape,
    ) -> Self {
        if let Some(token) = &config.token {
            governor.keep_secret(token);
        }
        let login = config.login.as_ref();
        Destination {
            governor,
            config,
            shape,
            tokens: login.map(|login| Tokens::new(host, governor, keys, Box::new(ByLogin(login)))),
        }
    }

    /// Brings an entity to the destination: by one request where that is one, else by making it or by changing it, as the
    /// index knows of it, and by the other one where the destination says that it is not so.
    pub async fn upsert(&self, cargo: Cargo<'_>, upsert: &Upsert) -> Result<(), Failure> {
        let change = |act| Sending {
            act,
            method: &upsert.method,
            path: &upsert.path,
            body: model::json::write(&upsert.body).into_bytes(),
            other_follows: false,
        };
        let Some(creation) = &upsert.create else {
            return self.send(cargo, change(Act::Upsert)).await.map(|_| ());
        };
        let create = || Sending {
            act: Act::Create,
            method: &creation.method,
            path: &creation.path,
            body: model::json::write(&creation.body).into_bytes(),
            other_follows: false,
        };
        let (first, second) = match cargo.is_known {
            true => (change(Act::Update), create()),
            false => (create(), change(Act::Update)),
        };
        let first = Sending {
            other_follows: true,
            ..first
        };
        match self.send(cargo, first).await? {
            Meaning::Done => Ok(()),
            _ => self.send(cargo, second).await.map(|_| ()),
        }
    }

    /// The token to send; none where none is wanted. Nothing of an entity goes out with a request for one.
    pub async fn token(&self) -> Result<Option<String>, Failure> {
        match &self.tokens {
            Some(tokens) => tokens.access().await.map(Some).map_err(Failure::settled),
            None => Ok(self.config.token.clone()),
        }
    }

    /// A token in place of one that was refused; none where there is no other.
    pub async fn instead_of(&self, refused: &Option<String>) -> Result<Option<String>, Failure> {
        match (&self.tokens, refused) {
            (Some(tokens), Some(refused)) => tokens.instead_of(refused).await.map_err(Failure::settled),
            _ => Ok(None),
        }
    }

    /// The request that a file is sent with, its content still to come. A file is immutable by its path, so that the
    /// path is key enough, unless a person asked for it once more at this time.
    pub fn file(
        &self,
        circuit: &str,
        method: &Method,
        path: &str,
        forced_s: Option<u64>,
        token: Option<&str>,
    ) -> Result<Request<Vec<u8>>, Failure> {
        let key = match forced_s {
            Some(forced_s) => digest(format!("{path}\n{forced_s}").as_bytes()),
            None => digest(path.as_bytes()),
        };
        self.request(circuit, &self.shape.headers, (method, path), key, Vec::new(), token)
    }

    /// Deletes an entity, or archives it; one that is not there is deleted.
    pub async fn delete(&self, cargo: Cargo<'_>, removal: &Removal) -> Result<(), Failure> {
        let body = removal.body.as_ref().map(|body| model::json::write(body).into_bytes());
        let sending = Sending {
            act: Act::Delete,
            method: &removal.method,
            path: &removal.path,
            body: body.unwrap_or_default(),
            other_follows: false,
        };
        self.send(cargo, sending).await.map(|_| ())
    }

    /// Sends a request; says whether it is done, or that the entity is missing or exists where another request can follow.
    async fn send(&self, cargo: Cargo<'_>, sending: Sending<'_>) -> Result<Meaning, Failure> {
        let Sending {
            act,
            method,
            path,
            mut body,
            other_follows,
        } = sending;
        // The same over retries, another for the next change even if that changes back: what has come through since
        // makes it another one, and so does a newer event.
        let pushes = match cargo.changes {
            0 => cargo.pushes.to_string(),
            changes => format!("{}.{changes}", cargo.pushes),
        };
        let which = if act == Act::Create { "create" } else { "" };
        let parts = [
            cargo.kind.name(),
            cargo.code,
            cargo.cause,
            &pushes,
            method.as_str(),
            which,
        ];
        let key = digest(parts.join("\n").as_bytes());
        let key = digest(&[key.as_bytes(), &body].concat());
        let headers = self.shape.headers_of(cargo.kind, act);
        let answers = self.shape.answers_of(cargo.kind, act);
        let why = |body: &[u8]| answers.reason(body);
        let mut token = self.token().await?;
        let mut may_renew = self.tokens.is_some();
        let told = Cell::new(Meaning::Done);
        loop {
            let key = key.clone();
            let body = if may_renew {
                body.clone()
            } else {
                std::mem::take(&mut body)
            };
            let request = self.request(cargo.kind.name(), headers, (method, path), key, body, token.as_deref())?;
            let call = Call {
                entity: Some(cargo.name),
                attempts: cargo.attempts,
                is_last_resort: cargo.is_last_resort,
                needs_body: answers.need_bodies(),
                why: Some(&why),
                ..Call::of(cargo.kind.name(), request)
            };
            let judge = |response: &Response<Vec<u8>>| {
                let status = response.status().as_u16();
                // It says nothing before the token was renewed.
                if may_renew && status == 401 {
                    return Some(Class::Held);
                }
                told.set(answers.meaning(act, status, response.body()));
                judge(act, told.get(), other_follows)
            };
            let called = self.governor.call(call, &judge).await;
            match called {
                Ok(_) => return Ok(told.get()),
                Err(_) if other_follows && leads_on(told.get()) => return Ok(told.get()),
                Err(failure) if may_renew && failure.status == Some(401) => {
                    token = self.instead_of(&token).await?;
                    may_renew = false;
                }
                Err(failure) => {
                    if let (Some(tokens), Some(token), Some(401)) = (&self.tokens, &token, failure.status) {
                        tokens.forget(token).await;
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// A user and a password as a header carries them, which must not be told either.
    fn basic(&self, token: &str) -> String {
        let basic = STANDARD.encode(token);
        self.governor.keep_secret(&basic);
        basic
    }

    fn request(
        &self,
        circuit: &str,
        headers: &Headers,
        (method, path): (&Method, &str),
        key: String,
        body: Vec<u8>,
        token: Option<&str>,
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
        if let Some(token) = token {
            let authentication = &headers.authentication;
            let value = match authentication.scheme.as_str() {
                // A user and a password, as people have them (RFC 7617).
                "Basic" if token.contains(':') => format!("Basic {}", self.basic(token)),
                scheme => format!("{scheme} {token}"),
            };
            request = request.header(&authentication.header, value.trim_start());
        }
        request
            .body(body)
            .map_err(|error| self.governor.unformed(circuit, &error))
    }
}

/// The login that is configured.
struct ByLogin<'a>(&'a LoginConfig);

impl ByLogin<'_> {
    fn basic(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.0.id, self.0.secret))
    }
}

impl Login for ByLogin<'_> {
    fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.0.secret.clone(), path_segment(&self.0.secret), self.basic()]
    }

    fn request(&self, _refresh: Option<&str>) -> http::Result<Request<Vec<u8>>> {
        let login = self.0;
        let asked = login.form.request(&login.id, &login.secret);
        let mut request = Request::post(format!("{}{}", login.origin, login.form.path))
            .header(header::CONTENT_TYPE, asked.content_type)
            .header(header::ACCEPT, "application/json");
        if asked.is_basic {
            request = request.header(header::AUTHORIZATION, format!("Basic {}", self.basic()));
        }
        request.body(asked.body)
    }

    fn token(&self, answer: &Value) -> Option<(String, u64)> {
        self.0.form.token(answer)
    }
}

/// A request to be sent.
struct Sending<'a> {
    act: Act,
    method: &'a Method,
    path: &'a str,
    body: Vec<u8>,
    /// Whether another request follows where the entity is missing, or exists.
    other_follows: bool,
}

/// What follows from what an answer means: what is missing where it is to be deleted is deleted. One that leads to another
/// request is no success and no failure: that one tells how the destination does.
fn judge(act: Act, meaning: Meaning, other_follows: bool) -> Option<Class> {
    match (act, meaning) {
        (Act::Delete, Meaning::Missing) => None,
        (_, meaning) if other_follows && leads_on(meaning) => Some(Class::Held),
        (_, meaning) => class_of(meaning),
    }
}

/// Whether an answer says that the other one of `create` and `update` is the right one.
fn leads_on(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Missing | Meaning::Exists)
}

/// The class of what an answer means.
pub fn class_of(meaning: Meaning) -> Option<Class> {
    match meaning {
        Meaning::Done => None,
        Meaning::Missing | Meaning::Exists | Meaning::Refused => Some(Class::Permanent),
        Meaning::Busy => Some(Class::Transient),
        Meaning::Misconfigured => Some(Class::Misconfigured),
        Meaning::Unavailable => Some(Class::Unavailable),
    }
}
