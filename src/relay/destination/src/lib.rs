//! Pushing to the destination: singular upserts and deletes, each judged alone.
//!
//! Here the destination's requests are made, and it is said what follows from its answers. What a request is, and what
//! an answer means, is the matter of the rooms `shape` and `protocol`. Whoever pushes an entity has written it down as
//! in flight before, since a failure can leave open whether its request still arrives (`unsettled`). But for
//! repetitions, a push is one look-up at most and two requests at most that change something, each of them with an
//! idempotency key.
//!
//! `cargo` is an entity on its way, `finding` how it is looked up, `login` how a token is had.

mod cargo;
mod files;
mod finding;
mod login;

use base64::{Engine, engine::general_purpose::STANDARD};
pub use cargo::Cargo;
use cargo::{Answered, Sending};
use config::DestinationConfig;
use http::{Method, Request, Response, header};
use login::ByLogin;
use model::entity::Kind;
use model::failure::{Class, Failure};
use model::gathering::gathered;
use protocol::answers::Meaning;
use protocol::draft::{self, Draft};
use protocol::headers::Headers;
use protocol::remote::{Remote, name_at_parent, own_name};
use protocol::request::Act;
use queue::keyspace::Keyspace;
use shape::{Removal, Shape, Upsert};
use std::cell::Cell;
use upstream::governor::{Call, Governor, Limits};
use upstream::token::Tokens;
use world::host::Host;

/// The limits of calls to the destination: `per_second` in a second, as configured, each of which may take `timeout_ms`
/// milliseconds. Five calls at once are what destinations of this sort bear.
pub fn limits(timeout_ms: u64, per_second: usize) -> Limits {
    Limits {
        name: "destination",
        at_once: 5,
        per_second,
        timeout_ms,
        writes: true,
    }
}

/// The destination, for the length of a tick.
pub struct Destination<'a, H> {
    governor: &'a Governor<'a, H>,
    config: &'a DestinationConfig,
    shape: &'a Shape,
    /// The tokens of the configured login; none where no login is configured.
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

    /// Brings an entity to the destination, and gives the values that are known of it there. Where making and changing
    /// are two requests, the index tells which of them is sent. An entity of which the index does not know enough is
    /// looked up first, if the shape says how. If the destination answers that it has the entity, lacks it, or has
    /// another version of it than was thought, that is believed once, and leads to one more request.
    ///
    /// # Errors
    /// Whatever keeps the entity from being there.
    pub async fn upsert(&self, cargo: Cargo<'_>, upsert: &Upsert) -> Result<Remote, Failure> {
        let lacks = |known: &Option<Remote>| {
            let own = known.clone().unwrap_or_default();
            let given = cargo.given(&own);
            // An update is not sent while its path, or a part of its body that has no default, lacks a value that the
            // destination gives. An upsert needs only those of its path.
            let lacking = match &upsert.create {
                Some(_) => upsert.change.lacks_anywhere(given),
                None => upsert.change.lacks(given),
            };
            lacking.and_then(own_name).is_some()
        };
        let (mut known, mut has_looked, mut is_second) = (cargo.remote.cloned(), false, false);
        if let Some(find) = upsert.find.as_ref().filter(|_| known.is_none() || lacks(&known)) {
            known = self.find(cargo, find, &upsert.identity, false).await?;
            has_looked = true;
        } else if upsert.create.is_some() && lacks(&known) {
            // An update that lacks values cannot be sent, so the entity is made. If the destination has it, it says so
            // itself, and may give the values along with that.
            known = None;
        }
        loop {
            let own = known.clone().unwrap_or_default();
            let (act, draft) = match (&upsert.create, &known) {
                (Some(create), None) => (Act::Create, create),
                (Some(_), Some(_)) => (Act::Update, &upsert.change),
                (None, _) => (Act::Upsert, &upsert.change),
            };
            let follows = has_looked || is_second;
            let sending = self.sending(cargo, act, draft, &own)?.following(follows);
            let can_follow = !is_second && (upsert.create.is_some() || upsert.find.is_some() || !own.is_empty());
            let sent = self.send(cargo, sending, can_follow).await;
            let sent = sent.map_err(|failure| Failure {
                unsettled: failure.unsettled || (act == Act::Create && is_odd(&failure)),
                ..failure
            });
            let (meaning, gave, failure) = match sent? {
                Sent::Done(gave) => return Ok(gathered(own.into_iter().chain(gave))),
                Sent::LedOn(meaning, gave, failure) => (meaning, gave, failure),
            };
            is_second = true;
            let given: Remote = gathered(own.clone().into_iter().chain(gave));
            let answered = Answered {
                act,
                meaning,
                // It is there, and neither what is known nor the answer tells what a change needs.
                is_hidden: match act {
                    Act::Create => lacks(&Some(given.clone())),
                    _ => has_looked && given.is_empty(),
                },
                has_looked,
                own,
                given,
            };
            known = self.known_after(cargo, upsert, answered, &failure).await?;
            let goes_on = match (act, &known) {
                (Act::Create, None) => false,
                (_, None) => upsert.create.is_some() || act == Act::Upsert,
                (_, Some(_)) => !lacks(&known),
            };
            if !goes_on {
                return Err(*failure);
            }
        }
    }

    /// The request for an entity, with the values filled in that the destination gave.
    fn sending<'d>(&self, cargo: Cargo<'_>, act: Act, draft: &'d Draft, own: &Remote) -> Result<Sending<'d>, Failure> {
        let given = cargo.given(own);
        let headers = &self.shape.headers_of(cargo.kind, act).late;
        let headers = headers
            .iter()
            .filter_map(|(name, pieces)| draft::header(name, pieces, given));
        match draft.ready(given) {
            Ok(ready) => Ok(Sending {
                act,
                follows: false,
                method: &draft.method,
                is_late: draft.places().next().is_some() || !self.shape.headers_of(cargo.kind, act).late.is_empty(),
                headers: headers.collect(),
                ready,
            }),
            Err(place) => Err(self.not_given(cargo, place)),
        }
    }

    /// The failure of a request that cannot be made, since it needs a value that the destination did not give.
    fn not_given(&self, cargo: Cargo<'_>, place: &str) -> Failure {
        match name_at_parent(place) {
            Some(name) if cargo.of_parent.is_some() => self.governor.failed(
                Class::Transient,
                format!("the destination has not given `{name}` of what it belongs to yet"),
            ),
            Some(_) => self.governor.failed(
                Class::Permanent,
                format!("its path needs `{{{place}}}`, and it belongs to nothing"),
            ),
            None => self.governor.failed(
                Class::Permanent,
                format!("its `{{{place}}}` is not known, or no number where one is to stand: no answer gave it, and no `find` of the shape tells"),
            ),
        }
    }

    /// The token to send; none where none is configured. A failure leaves nothing open, since no entity goes out with a
    /// request for a token.
    pub async fn token(&self) -> Result<Option<String>, Failure> {
        match &self.tokens {
            Some(tokens) => tokens.access().await.map(Some).map_err(Failure::settled),
            None => Ok(self.config.token.clone()),
        }
    }

    /// A token in place of one that was refused; none where no other is to be had.
    pub async fn instead_of(&self, refused: &Option<String>) -> Result<Option<String>, Failure> {
        match (&self.tokens, refused) {
            (Some(tokens), Some(refused)) => tokens.instead_of(refused).await.map_err(Failure::settled),
            _ => Ok(None),
        }
    }

    /// Deletes an entity under an identity, or archives it. An entity that is not there counts as deleted. Says whether
    /// nothing of the entity lies there any more: the entity's own thing is left alone, which lies or lay there under
    /// this identity until a change tells, or told, the destination another one.
    ///
    /// # Errors
    /// Whatever keeps the entity from being gone.
    pub async fn delete(&self, cargo: Cargo<'_>, removal: &Removal) -> Result<bool, Failure> {
        let (mut own, mut has_looked) = (cargo.remote.cloned().unwrap_or_default(), false);
        let (former, cargo) = (cargo.former, Cargo { former: None, ..cargo });
        loop {
            // A deletion that lacks a part of its body may name another entity, or all of them.
            let lacks = removal.delete.lacks_in_any_form(cargo.given(&own));
            match (lacks, &removal.find) {
                (None, _) => {}
                (Some(_), Some(find)) if !has_looked => {
                    has_looked = true;
                    match self.find(cargo, find, &removal.identity, false).await? {
                        // The entity goes by another identity by now, which the destination's search does not know yet;
                        // or it was called so by a request whose end nobody saw, and goes by this one still.
                        Some(found) if self.is_one(cargo.kind, former, &found) => return Ok(false),
                        Some(found) => own.extend(found),
                        None => return Ok(true),
                    }
                    continue;
                }
                // Nothing that is known ties the entity to anything at the destination, unless the entity's own thing goes by
                // this identity.
                (Some(_), None) if cargo.remote.is_none() => return Ok(former.is_none()),
                (Some(place), _) => return Err(self.not_given(cargo, place)),
            }
            let sending = self
                .sending(cargo, Act::Delete, &removal.delete, &own)?
                .following(has_looked);
            let find = removal.find.as_ref().filter(|_| !has_looked);
            match (self.send(cargo, sending, find.is_some()).await?, find) {
                (Sent::Done(_), _) => return Ok(true),
                // The destination has another version of the entity than is known.
                (Sent::LedOn(..), Some(find)) => {
                    has_looked = true;
                    match self.find(cargo, find, &removal.identity, true).await? {
                        Some(found) => own.extend(found),
                        None => return Ok(true),
                    }
                }
                (Sent::LedOn(.., failure), None) => return Err(*failure),
            }
        }
    }

    /// Sends a request that changes something, and gives the values that came with its answer. Where another request
    /// can follow, an answer that leads to one is no failure.
    async fn send(&self, cargo: Cargo<'_>, sending: Sending<'_>, can_follow: bool) -> Result<Sent, Failure> {
        let remember = &self.shape.operation(cargo.kind, sending.act).remember;
        let gave = |response: &Response<Vec<u8>>| {
            let body = model::json::read(response.body()).map(|read| read.value);
            remember.take(response.headers(), body.as_ref())
        };
        Ok(match self.called(cargo, sending, can_follow).await? {
            Called::Done(_, response) => Sent::Done(gave(&response)),
            Called::LedOn(meaning, response, failure) => Sent::LedOn(meaning, gave(&response), failure),
        })
    }

    /// Makes a call, and once more with a new token after a 401. Gives a good answer or, where another request can
    /// follow, one that leads to it.
    async fn called(&self, cargo: Cargo<'_>, sending: Sending<'_>, can_follow: bool) -> Result<Called, Failure> {
        let (act, follows) = (sending.act, sending.follows);
        let operation = self.shape.operation(cargo.kind, act);
        let answers = &operation.answers;
        let names_change = self.shape.has_changing_identities(cargo.kind);
        let key = cargo.idempotency_key(&sending, names_change);
        let why = |body: &[u8]| answers.reason(body);
        let mut token = self.token().await?;
        let mut may_renew = self.tokens.is_some();
        let mut body = sending.ready.body;
        loop {
            let body = match may_renew {
                true => body.clone(),
                false => std::mem::take(&mut body),
            };
            let target = (sending.method, sending.ready.path.as_str());
            let circuit = cargo.kind.name();
            let mut request = self.request(circuit, &operation.headers, target, key.clone(), body, token.as_deref())?;
            request.headers_mut().extend(sending.headers.iter().cloned());
            if act == Act::Find {
                request.headers_mut().remove("idempotency-key");
            }
            // The governor has an answer judged before it asks how long to wait, which depends on what the answer
            // means.
            let meaning = Cell::new(Meaning::Done);
            let wait = |response: &Response<Vec<u8>>| {
                let head = (response.status().as_u16(), response.headers());
                answers.wait_s(
                    &self.shape.limits,
                    meaning.get(),
                    head,
                    response.body(),
                    self.governor.now_ms(),
                )
            };
            let call = Call {
                entity: Some(cargo.name),
                attempts: cargo.attempts,
                follows,
                is_last_resort: cargo.is_last_resort,
                is_once: act == Act::Create,
                is_lookup: act == Act::Find,
                needs_body: act == Act::Find || operation.needs_bodies(),
                needs_refusals: answers.need_refusals(),
                why: Some(&why),
                wait: Some(&wait),
                ..Call::of(circuit, request)
            };
            let mut led_on = None;
            let mut judge = |response: &Response<Vec<u8>>| {
                let status = response.status().as_u16();
                // A 401 says nothing of the entity before the token was renewed.
                if may_renew && status == 401 {
                    return Some(Class::NotCalled);
                }
                meaning.set(answers.meaning(act, status, response.body()));
                let class = class_of(act, meaning.get());
                let leads_on = can_follow && class.is_some() && leads_on(meaning.get());
                led_on = leads_on.then(|| response.clone());
                if leads_on { Some(Class::NotCalled) } else { class }
            };
            let called = self.governor.call(call, &mut judge).await;
            let failure = match called {
                Ok(response) => return Ok(Called::Done(meaning.get(), response)),
                Err(failure) => Failure {
                    may_have_made: brings(act) && failure.status.is_some_and(|status| !(300..500).contains(&status)),
                    ..failure
                },
            };
            if let Some(response) = led_on {
                let failure = Failure {
                    class: Class::Permanent,
                    ..failure
                };
                return Ok(Called::LedOn(meaning.get(), response, Box::new(failure)));
            }
            if may_renew && failure.status == Some(401) {
                token = self.instead_of(&token).await?;
                may_renew = false;
                continue;
            }
            if let (Some(tokens), Some(token), Some(401)) = (&self.tokens, &token, failure.status) {
                tokens.forget(token).await;
            }
            return Err(failure);
        }
    }

    /// A request that only asks for a path, or for the address itself, with the headers and the token that those for a kind
    /// have.
    ///
    /// # Errors
    /// It cannot be formed.
    pub fn get(&self, kind: Kind, path: Option<&str>, token: Option<&str>) -> Result<Request<Vec<u8>>, Failure> {
        let headers = &self.shape.operation(kind, Act::Upsert).headers;
        let origin = if self.config.path.is_empty() { "/" } else { "" };
        let path = path.unwrap_or(origin);
        let mut request = self.request(
            kind.name(),
            headers,
            (&Method::GET, path),
            String::new(),
            Vec::new(),
            token,
        )?;
        request.headers_mut().remove("idempotency-key");
        Ok(request)
    }

    /// User and password in the form that a header carries. Neither this form nor the password may be told.
    fn basic(&self, token: &str) -> String {
        let basic = STANDARD.encode(token);
        self.governor.keep_secret(&basic);
        if let Some((_, password)) = token.split_once(':') {
            self.governor.keep_secret(password);
        }
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
                // The token is a user and a password as people have them, which the header carries encoded (RFC 7617).
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

/// What came of a call.
enum Called {
    /// A good answer, and what it means.
    Done(Meaning, Response<Vec<u8>>),
    /// An answer that leads to another request, what it means, and the failure that it is if none follows.
    LedOn(Meaning, Response<Vec<u8>>, Box<Failure>),
}

/// What came of a request that changes something.
enum Sent {
    /// The destination did it, and gave these values.
    Done(Remote),
    /// The answer leads to another request: what it means, the values that it gave, and the failure that it is if none
    /// follows.
    LedOn(Meaning, Remote, Box<Failure>),
}

/// Whether an answer came in a form that is not understood, so that nobody knows whether the destination did what it
/// was asked for.
fn is_odd(failure: &Failure) -> bool {
    failure.class == Class::Unavailable && failure.reason.starts_with("the answer cannot be read")
}

/// Whether a request is to bring an entity to the destination.
fn brings(act: Act) -> bool {
    matches!(act, Act::Create | Act::Update | Act::Upsert)
}

/// Whether an answer says that the other one of `create` and `update` is the right one, or that the destination has
/// another version of the entity than is known.
fn leads_on(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Missing | Meaning::Exists)
}

/// The class of failure that an answer to a request stands for; none for success. A deletion of an entity that is not
/// there has succeeded, and so has a look-up that finds nothing.
pub fn class_of(act: Act, meaning: Meaning) -> Option<Class> {
    match meaning {
        Meaning::Done => None,
        Meaning::Missing if matches!(act, Act::Delete | Act::Find) => None,
        Meaning::Missing | Meaning::Exists | Meaning::Refused => Some(Class::Permanent),
        Meaning::Busy => Some(Class::Transient),
        Meaning::Misconfigured => Some(Class::Misconfigured),
        Meaning::Unavailable => Some(Class::Unavailable),
    }
}
