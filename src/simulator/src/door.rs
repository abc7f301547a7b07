//! The door of a destination whose tokens end: the endpoint that gives them, and what each request shows.
//!
//! Tokens expire, are taken away in between, and end with the next one where they rotate; the endpoint is slow or down, and
//! may give tokens of too small a scope.

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderValue, Request, Response, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::fault::{Reply, error_body, respond};

/// How the destination's door is.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// How long a token lasts, in seconds.
    pub life_s: u64,
    /// In what share of calls the token that is shown is taken away just then.
    pub taken_away: f64,
    /// In what share of calls the endpoint is down.
    pub down: f64,
    /// How long the endpoint takes at most, in milliseconds.
    pub slow_ms: u64,
    /// How the endpoint is asked.
    pub form: Form,
    /// Whether a new token ends those before it.
    pub rotates: bool,
    /// In what share of logins the endpoint gives a token that is not let in: one of too small a scope.
    pub too_small: f64,
}

/// How the endpoint is asked for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By client credentials in the body.
    Body,
    /// By client credentials in the header, with a scope.
    Basic,
    /// By a login request of the destination's own.
    Json,
}

/// The scope that is asked for where one is.
const SCOPE: &str = "catalogue:write catalogue:read";

impl Manners {
    /// Some by chance.
    pub fn of(random: &mut Rng) -> Manners {
        Manners {
            life_s: random.u64(20..900),
            taken_away: if random.bool() { random.f64() * 0.05 } else { 0.0 },
            down: if random.bool() { random.f64() * 0.3 } else { 0.0 },
            slow_ms: random.u64(1..8000),
            form: [Form::Body, Form::Basic, Form::Json][random.usize(..3)],
            rotates: random.u8(..3) == 0,
            too_small: if random.u8(..3) == 0 { random.f64() * 0.5 } else { 0.0 },
        }
    }

    /// How a document says it.
    pub fn login(&self) -> Value {
        match self.form {
            Form::Body => json!({ "path": "/token" }),
            Form::Basic => json!({ "path": "/token", "credentials": "basic", "parameters": { "scope": SCOPE } }),
            Form::Json => json!({
                "path": "/sessions", "form": "json", "token": "/session/key", "expires": "/session/seconds",
                "fields": [
                    { "to": "/user", "variable": "login_id" },
                    { "to": "/key", "variable": "login_secret" },
                    { "to": "/kind", "constant": "integration" },
                ],
            }),
        }
    }

    /// Whether a request asks for a token as it is to be asked for.
    fn is_asked(&self, request: &Request<Bytes>) -> bool {
        let authorization = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let body = &request.body()[..];
        match self.form {
            Form::Body => body == b"grant_type=client_credentials&client_id=id&client_secret=key",
            Form::Basic => {
                // printf 'id:key' | base64
                let scoped = b"grant_type=client_credentials&scope=catalogue%3Awrite%20catalogue%3Aread";
                body == scoped && authorization == Some(b"Basic aWQ6a2V5")
            }
            Form::Json => {
                let asked = serde_json::from_slice::<Value>(body).ok();
                asked == Some(json!({ "user": "id", "key": "key", "kind": "integration" }))
            }
        }
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        (self.taken_away, self.down, self.slow_ms, self.too_small) = (0.0, 0.0, 30, 0.0);
    }
}

/// The door.
#[derive(Debug, Default)]
pub struct Door {
    /// The tokens that let in, and until when, in milliseconds.
    good: Vec<(String, u64)>,
    /// When tokens were given, in milliseconds.
    pub given_ms: Vec<u64>,
    /// How many requests were turned away for want of a good token.
    pub turned_away: usize,
    /// The tokens whose scope is too small.
    too_small: BTreeSet<String>,
}

/// The token that a request shows.
pub fn shown(request: &Request<Bytes>) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(value.strip_prefix("Bearer ")?.to_owned())
}

impl Door {
    /// What the endpoint answers.
    pub fn log_in(&mut self, manners: Manners, request: &Request<Bytes>, now_ms: u64, random: &mut Rng) -> Reply {
        let after_ms = random.u64(..manners.slow_ms);
        if random.f64() < manners.down {
            return Reply::now(respond(503, &error_body(503, "The endpoint is down."))).after(after_ms);
        }
        if !manners.is_asked(request) {
            return Reply::now(respond(400, &json!({ "error": "invalid_client" })));
        }
        self.given_ms.push(now_ms);
        let token = format!("token-{:06}-of-the-destination", self.given_ms.len());
        self.good.retain(|(_, until_ms)| *until_ms > now_ms && !manners.rotates);
        self.good
            .push((token.clone(), now_ms + after_ms + manners.life_s * 1000));
        if random.f64() < manners.too_small {
            self.too_small.insert(token.clone());
        }
        let answer = match manners.form {
            Form::Json => json!({ "session": { "key": token, "seconds": manners.life_s } }),
            _ => json!({ "access_token": token, "token_type": "Bearer", "expires_in": manners.life_s }),
        };
        Reply::now(respond(200, &answer)).after(after_ms)
    }

    /// Lets a request in, or says that its token is none.
    pub fn refusal(
        &mut self,
        manners: Manners,
        request: &Request<Bytes>,
        now_ms: u64,
        random: &mut Rng,
    ) -> Option<Response<Bytes>> {
        let shown = shown(request).unwrap_or_default();
        if random.f64() < manners.taken_away {
            self.good.retain(|(token, _)| *token != shown);
        }
        let lets_in = |(token, until_ms): &(String, u64)| *token == shown && *until_ms > now_ms;
        let is_let_in = self.good.iter().any(lets_in);
        self.turned_away += usize::from(!is_let_in);
        if is_let_in && self.too_small.contains(&shown) {
            return Some(respond(403, &error_body(403, "This needs the scope catalogue:write.")));
        }
        (!is_let_in).then(|| respond(401, &error_body(401, "A valid token is required.")))
    }
}
