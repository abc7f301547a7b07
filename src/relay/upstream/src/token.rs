//! Tokens of an upstream: cached in the store, renewed a little early, and once after a 401 (contract 4.2).
//!
//! One task renews a token at a time, and the others get what it got. Where no token is to be had nothing can be asked,
//! so that is never an entity's fault. Whatever is secret is told to the governor before it is used.

use crate::governor::{Call, Governor};
use crate::retry_after::transient;
use futures_util::lock::Mutex;
use http::{HeaderValue, Request, Response};
use model::entity::{Segment, digest};
use model::failure::{Class, Failure};
use model::json;
use queue::key::Key;
use queue::keyspace::Keyspace;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use world::host::{self, Host};

/// The circuit of the token endpoint.
pub const CIRCUIT: &str = "token";

/// The longest token that is used, in bytes. Hosts take headers of 128 KiB in all, and few servers more than 8 KiB.
const TOKEN_MAX: usize = 16 << 10;

/// How long before its end a token is renewed at most, in milliseconds; a short-lived one after nine tenths.
const EARLY_MS: u64 = 60_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Token {
    v: u32,
    access: String,
    refresh: Option<String>,
    renew_ms: u64,
}

/// How a token is had.
pub trait Login {
    /// Tells this login from every other: by the endpoint, and by what it logs in with.
    fn fingerprint(&self) -> String;

    /// A token that never ends, if the login has one.
    fn fixed(&self) -> Option<&str> {
        None
    }

    /// What must never be told.
    fn secrets(&self) -> Vec<String>;

    /// The request for a token: by a refresh token, or by what it logs in with.
    fn request(&self, refresh: Option<&str>) -> http::Result<Request<Vec<u8>>>;

    /// The token in an answer, and how long it lasts, in seconds.
    fn token(&self, answer: &Value) -> Option<(String, u64)>;

    /// The refresh token in an answer.
    fn refresh(&self, _answer: &Value) -> Option<String> {
        None
    }
}

/// What an answer of the token endpoint is: a token, or what follows. Without one nothing can be asked, whichever
/// entity it is for.
fn read(login: &dyn Login, response: &Response<Vec<u8>>, now_ms: u64) -> Result<Token, Class> {
    let status = response.status();
    if !status.is_success() {
        let passes = transient(status).map(|_| Class::Unavailable);
        return Err(passes.unwrap_or(Class::Misconfigured));
    }
    // A good status without a token is not the upstream's.
    let answer = json::read(response.body()).map(|document| document.value);
    let answer = answer.ok_or(Class::Unavailable)?;
    let (access, lasts_s) = login.token(&answer).ok_or(Class::Unavailable)?;
    if access.is_empty() || HeaderValue::from_str(&access).is_err() {
        return Err(Class::Unavailable);
    }
    let lasts_ms = lasts_s.min(86_400 * 365) * 1000;
    Ok(Token {
        v: 1,
        access,
        refresh: login.refresh(&answer),
        renew_ms: now_ms + lasts_ms - EARLY_MS.min(lasts_ms / 10),
    })
}

/// A token endpoint that times out is no entity's fault.
fn not_the_entitys(mut failure: Failure) -> Failure {
    if failure.class == Class::Transient {
        failure.class = Class::Unavailable;
    }
    failure
}

/// The token of one upstream and one set of credentials.
pub struct Tokens<'a, H> {
    host: &'a H,
    governor: &'a Governor<'a, H>,
    login: Box<dyn Login + 'a>,
    key: String,
    // One task renews at a time: the loser of two renewals would be refused (contract 6, trap 21).
    current: Mutex<Option<Token>>,
}

impl<'a, H: Host> Tokens<'a, H> {
    /// The tokens that a login brings.
    pub fn new(host: &'a H, governor: &'a Governor<'a, H>, keys: &Keyspace, login: Box<dyn Login + 'a>) -> Self {
        let name = digest(login.fingerprint().as_bytes());
        Tokens {
            host,
            governor,
            login,
            key: keys.encode(&Key::Token(Segment::of(&name))),
            current: Mutex::new(None),
        }
    }

    /// The key that the token is kept under.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The token to use.
    pub async fn access(&self) -> Result<String, Failure> {
        if let Some(token) = self.login.fixed() {
            self.governor.keep_secret(token);
            return Ok(token.to_owned());
        }
        let mut current = self.current.lock().await;
        if current.is_none() {
            let known: Option<Token> = host::read(self.host, &self.key).await.ok().flatten();
            *current = known.filter(|known| known.access.len() <= TOKEN_MAX);
        }
        if let Some(token) = current.as_ref().filter(|token| token.renew_ms > self.host.now_ms()) {
            self.governor.keep_secret(&token.access);
            return Ok(token.access.clone());
        }
        self.renew(&mut current).await
    }

    /// A token in place of one that was refused; none where a new one cannot be had, since an App's token never
    /// expires and its refusal is final (contract 4.2).
    pub async fn instead_of(&self, refused: &str) -> Result<Option<String>, Failure> {
        if self.login.fixed().is_some() {
            return Ok(None);
        }
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.access != refused) {
            return Ok(Some(token.access.clone()));
        }
        self.renew(&mut current).await.map(Some)
    }

    /// A token that was new and is refused all the same is not used again.
    pub async fn forget(&self, refused: &str) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|token| token.access == refused) {
            *current = None;
            self.forget_kept().await;
        }
    }

    /// Deletes the token that is kept. If that fails, the next tick finds that the token is refused, as this one did.
    async fn forget_kept(&self) {
        let _ = self.host.delete(&self.key).await;
    }

    async fn renew(&self, current: &mut Option<Token>) -> Result<String, Failure> {
        for secret in self.login.secrets() {
            self.governor.keep_secret(&secret);
        }
        let refresh = current.take().and_then(|token| token.refresh);
        let refreshed = match &refresh {
            Some(refresh) => {
                self.governor.keep_secret(refresh);
                self.refresh(refresh).await?
            }
            None => None,
        };
        let token = match refreshed {
            Some(token) => token,
            None => {
                if refresh.is_some() {
                    self.forget_kept().await;
                }
                self.grant(None).await?
            }
        };
        // The store is but a cache here: if the token cannot be written, the next tick asks for another one.
        let _ = host::write(self.host, &self.key, &token).await;
        let access = token.access.clone();
        *current = Some(token);
        Ok(access)
    }

    /// A token by a refresh token; none if it is not to be had so, for whatever reason: then the password is the way,
    /// and only its failure says anything of the endpoint.
    async fn refresh(&self, refresh: &str) -> Result<Option<Token>, Failure> {
        match self.grant(Some(refresh)).await {
            Ok(token) => Ok(Some(token)),
            // The endpoint refused the refresh token, or did not answer in time.
            Err(failure) if failure.status.is_some() || failure.unsettled => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn grant(&self, refresh: Option<&str>) -> Result<Token, Failure> {
        let request = self.login.request(refresh);
        let request = request.map_err(|error| self.governor.unformed(CIRCUIT, &error))?;
        let call = Call {
            needs_body: true,
            is_answer_secret: true,
            ..Call::of(CIRCUIT, request)
        };
        let is_last_way = refresh.is_none();
        let asked_ms = self.host.now_ms();
        let mut token = None;
        let mut judge = |response: &Response<Vec<u8>>| match read(&*self.login, response, asked_ms) {
            Ok(read) => {
                self.governor.keep_secret(&read.access);
                token = Some(read);
                None
            }
            Err(class) => Some(if is_last_way { class } else { Class::NotCalled }),
        };
        self.governor.call(call, &mut judge).await.map_err(not_the_entitys)?;
        match token {
            Some(token) if token.access.len() > TOKEN_MAX => {
                let reason = "the login brings a token of more than 16 KiB, which no header can carry";
                Err(self.governor.refuse(CIRCUIT, reason))
            }
            Some(token) => Ok(token),
            None => Err(self.governor.failed(Class::Unavailable, "no token was read".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Login, Token, read};
    use http::{Request, Response};
    use model::failure::Class;
    use serde_json::{Value, json};
    use world::testing::reads_back;

    #[test]
    fn tokens_are_read_back() {
        reads_back::<Token>(json!({ "v": 1, "access": "a", "refresh": "r", "renew_ms": (1_u64 << 53) + 1 }));
    }

    struct Plain;

    impl Login for Plain {
        fn fingerprint(&self) -> String {
            String::new()
        }

        fn secrets(&self) -> Vec<String> {
            Vec::new()
        }

        fn request(&self, _: Option<&str>) -> http::Result<Request<Vec<u8>>> {
            Request::post("/").body(Vec::new())
        }

        fn token(&self, answer: &Value) -> Option<(String, u64)> {
            Some((
                answer["access_token"].as_str()?.to_owned(),
                answer["lasts"].as_u64().unwrap_or(3600),
            ))
        }
    }

    #[test]
    fn an_answer_is_a_token_or_nothing() {
        let answer = |status: u16, body: &str| {
            let response = Response::builder()
                .status(status)
                .body(body.as_bytes().to_vec())
                .expect("a response");
            read(&Plain, &response, 1000).map(|token| (token.access, token.renew_ms))
        };
        for (lasts, renew_ms) in [("3600", 3_541_000), ("100", 91_000), ("null", 3_541_000)] {
            let body = format!("\u{feff}{{\"access_token\":\"t\",\"lasts\":{lasts}}}");
            assert_eq!(answer(200, &body), Ok(("t".to_owned(), renew_ms)), "{lasts}");
        }
        for body in [
            "",
            "<html>",
            "{\"message\":\"maintenance\"}",
            "{\"access_token\":\"\"}",
            "{\"access_token\":\"a\\nb\"}",
            "{\"access_token\":7}",
        ] {
            assert_eq!(answer(200, body), Err(Class::Unavailable), "{body}");
        }
        for (status, class) in [
            (500, Class::Unavailable),
            (429, Class::Unavailable),
            (422, Class::Misconfigured),
            (403, Class::Misconfigured),
        ] {
            assert_eq!(answer(status, "{}"), Err(class), "{status}");
        }
    }
}
