//! A destination that plays a system, and notes what the system would not have taken.

use super::Asked;
use super::held::{ANOTHER, Held};
use super::system::{Answer, Duplicate, Follows, System, is_source};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use simulator::control::Controlled;
use simulator::fault::Reply;
use simulator::server::Upstream;
use std::time::{Duration, Instant};

/// By how much two clocks may differ over a wait: the relay counts whole milliseconds of the day, and the destination
/// counts from when it was started.
const CLOCKS: Duration = Duration::from_millis(10);

/// Headers of an answer.
type Headers = &'static [(&'static str, &'static str)];

pub(super) struct Destination {
    system: &'static System,
    pub(super) held: Held,
    /// How many calls are throttled from now on.
    pub(super) throttles: usize,
    /// Until when the last call that was throttled was told to wait.
    not_before: Option<Instant>,
    /// What writes to this is refused.
    pub(super) refuses: Option<String>,
    /// How many calls were told that something is there already.
    pub(super) duplicates: usize,
    pub(super) asked: Vec<String>,
    /// What was wrong with a request.
    pub(super) wrong: Vec<String>,
}

impl Controlled for Destination {
    fn control(&mut self, _: &Method, _: &str, _: Value, _: u64) -> anyhow::Result<Option<Value>> {
        Ok(None)
    }
}

impl Destination {
    pub(super) fn of(system: &'static System) -> Destination {
        Destination {
            system,
            held: Held::default(),
            throttles: 0,
            not_before: None,
            refuses: None,
            duplicates: 0,
            asked: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// The answer to whoever wants a token.
    fn token(&mut self, request: &Request<Bytes>) -> Answer {
        const SOURCE: &str = "RFC 6749, sections 3.2 and 4.4.2";
        let asks = &self.system.asks;
        let kind = request.headers().get("content-type");
        let is_known = kind.is_some_and(|kind| kind == asks.media_type());
        let form = asks.read(request.body());
        let answer = match form.filter(|_| is_known && request.method() == Method::POST) {
            Some(form) => (self.system.grants)(&form),
            None => Answer(400, json!({ "error": "invalid_request" }), SOURCE),
        };
        // A token with fewer rights than the calls need is given, and lets nobody in.
        let lets_in = |token: &str| self.system.login.1.ends_with(token);
        if answer.0 != 200 || !answer.1[asks.token()].as_str().is_some_and(lets_in) {
            let asked = String::from_utf8_lossy(request.body());
            self.wrong.push(format!("the login is {asked}: {}", answer.1));
        }
        answer
    }

    /// What every system would refuse.
    fn check(&mut self, asked: &Asked, body: &[u8]) {
        let (name, value) = self.system.login;
        if asked.header(name) != Some(value) {
            self.wrong.push(format!("the login is {:?}", asked.header(name)));
        }
        let media_type = asked.header("content-type").unwrap_or_default();
        if !body.is_empty() && !self.system.media_types.contains(&media_type) {
            self.wrong.push(format!("a body of type {media_type:?}"));
        }
        let early = self
            .not_before
            .and_then(|until| until.checked_duration_since(Instant::now()));
        if let Some(early) = early.filter(|early| *early > CLOCKS) {
            self.wrong
                .push(format!("{} {} comes {early:?} before it may", asked.method, asked.path));
        }
    }

    /// What is answered, and with which headers.
    fn answer(&mut self, asked: &Asked) -> (Answer, Headers) {
        let system = self.system;
        if self.throttles > 0 {
            self.throttles -= 1;
            self.not_before = Some(Instant::now() + Duration::from_millis(system.wait_ms));
            return ((system.throttled)(), system.limits);
        }
        if self.refuses.is_some() && (system.writes)(&self.held, asked) == self.refuses {
            return ((system.refused)(), &[]);
        }
        let answer = self.taken(asked).unwrap_or_else(|| self.of_system(asked));
        (answer, &[])
    }

    /// What is answered where something else than the request is for has what it brings, though no two may. What is in
    /// the way of something that may pass is gone then.
    fn taken(&mut self, asked: &Asked) -> Option<Answer> {
        let Duplicate::Refused(uniques) = self.system.duplicate else {
            return None;
        };
        let makes = (self.system.makes)(asked) && !self.system.upserts;
        let own = (self.system.writes)(&self.held, asked).filter(|_| !makes);
        if own.is_none() && !makes && !self.system.upserts {
            return None;
        }
        let has_it = |at| self.held.another(own.as_deref(), at, asked.body.pointer(at)?);
        let (unique, other) = uniques.iter().find_map(|unique| Some((unique, has_it(unique.at)?)))?;
        let answer = (unique.taken)(other);
        self.duplicates += 1;
        if matches!(unique.another, Some(Follows::Passes)) {
            self.held.remove(ANOTHER);
        }
        Some(answer)
    }

    fn of_system(&mut self, asked: &Asked) -> Answer {
        let answer = (self.system.answer)(&mut self.held, asked);
        let is_told = matches!(self.system.duplicate, Duplicate::OfPath { status, .. } if status == answer.0);
        self.duplicates += usize::from(is_told);
        if answer.0 == 400 && self.refuses.is_none() && !self.system.tells_by_400 {
            self.wrong
                .push(format!("{} {}: {}", asked.method, asked.path, answer.1));
        }
        answer
    }

    /// An answer as it is sent.
    fn reply(&mut self, Answer(status, body, source): Answer, headers: Headers) -> Reply {
        if !is_source(source) {
            self.wrong
                .push(format!("an answer of {status} without a source: {source:?}"));
        }
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let response = headers
            .iter()
            .fold(Response::builder().status(status), |response, (name, value)| {
                response.header(*name, *value)
            });
        Reply::now(response.body(body).unwrap())
    }
}

impl Upstream for Destination {
    fn handle(&mut self, request: &Request<Bytes>, _now_ms: u64) -> Reply {
        if self.system.endpoint == Some(request.uri().path()) {
            let answer = self.token(request);
            return self.reply(answer, &[]);
        }
        let asked = Asked::read(request);
        self.check(&asked, request.body());
        let (answer, headers) = self.answer(&asked);
        self.asked.push(format!("{} {} {}", asked.method, asked.path, answer.0));
        self.reply(answer, headers)
    }

    fn finish(&mut self) {}

    fn settle(&mut self, _now_ms: u64) {}
}
