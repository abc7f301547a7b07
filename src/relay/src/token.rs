//! The PIM's tokens: cached in the store, renewed a little early, and once after a 401 (contract 4.2).

use crate::config::{Credentials, PimConfig};
use crate::entity::{Segment, digest};
use crate::failure::{Class, Failure};
use crate::governor::{Call, Governor, transient};
use crate::host::{self, Host};
use crate::key::{Key, Keyspace};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::lock::Mutex;
use http::{HeaderValue, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The circuit of the token endpoint.
pub const CIRCUIT: &str = "token";

/// How long before its end a token is renewed at most, in milliseconds; a short-lived one after nine tenths.
const EARLY_MS: u64 = 60_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Token {
    v: u32,
    access: String,
    refresh: Option<String>,
    renew_ms: u64,
}

/// Without a token nothing can be asked, whichever entity it is for.
fn unavailable(status: StatusCode) -> Option<Class> {
    transient(status).map(|_| Class::Unavailable)
}

/// A token endpoint that times out is no entity's fault.
fn not_the_entitys(mut failure: Failure) -> Failure {
    if failure.class == Class::Transient {
        failure.class = Class::Unavailable;
    }
    failure
}

/// The token of one PIM and one set of credentials.
pub struct Tokens<'a, H> {
    host: &'a H,
    governor: &'a Governor<'a, H>,
    config: &'a PimConfig,
    key: String,
    // One task renews at a time: the loser of two renewals would be refused (contract 6, trap 21).
    current: Mutex<Option<Token>>,
}

impl<'a, H: Host> Tokens<'a, H> {
    /// The tokens of a PIM.
    pub fn new(host: &'a H, governor: &'a Governor<'a, H>, keys: &Keyspace, config: &'a PimConfig) -> Self {
        let name = digest(format!("{}\n{}", config.origin, config.credentials.fingerprint()).as_bytes());
        Tokens {
            host,
            governor,
            config,
            key: keys.encode(&Key::Token(Segment::of(&name))),
            current: Mutex::new(None),
        }
    }

    /// The token to use.
    pub async fn access(&self) -> Result<String, Failure> {
        if let Credentials::App(token) = &self.config.credentials {
            self.governor.keep_secret(token);
            return Ok(token.clone());
        }
        let mut current = self.current.lock().await;
        if current.is_none() {
            *current = host::read(self.host, &self.key).await.ok().flatten();
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
        if matches!(self.config.credentials, Credentials::App(_)) {
            return Ok(None);
        }
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.access != refused) {
            return Ok(Some(token.access.clone()));
        }
        self.renew(&mut current).await.map(Some)
    }

    async fn renew(&self, current: &mut Option<Token>) -> Result<String, Failure> {
        let Credentials::Connection {
            username,
            password,
            client_secret,
            ..
        } = &self.config.credentials
        else {
            return Ok(String::new());
        };
        self.governor.keep_secret(password);
        self.governor.keep_secret(client_secret);
        let refresh = current.take().and_then(|token| token.refresh);
        let refreshed = match refresh {
            Some(refresh) => {
                self.governor.keep_secret(&refresh);
                let body = json!({ "grant_type": "refresh_token", "refresh_token": refresh });
                // A refused refresh is answered 422 and is no failure: the password is the way then.
                self.grant(&body, &unavailable).await?
            }
            None => None,
        };
        let token = match refreshed {
            Some(token) => token,
            None => {
                let body = json!({ "grant_type": "password", "username": username, "password": password });
                let refused =
                    |status: StatusCode| unavailable(status).or((!status.is_success()).then_some(Class::Misconfigured));
                match self.grant(&body, &refused).await? {
                    Some(token) => token,
                    None => {
                        let reason = "the token endpoint answered something else than a token: is `pim_url` the PIM's?";
                        return Err(self.governor.refuse(CIRCUIT, reason));
                    }
                }
            }
        };
        // A cache: if it cannot be written, the next tick asks again.
        let _ = host::write(self.host, &self.key, &token).await;
        let access = token.access.clone();
        *current = Some(token);
        Ok(access)
    }

    async fn grant(&self, body: &Value, judge: crate::governor::Judge<'_>) -> Result<Option<Token>, Failure> {
        let Credentials::Connection {
            client_id,
            client_secret,
            ..
        } = &self.config.credentials
        else {
            return Ok(None);
        };
        let basic = STANDARD.encode(format!("{client_id}:{client_secret}"));
        self.governor.keep_secret(&basic);
        let request = Request::post(format!("{}/api/oauth/v1/token", self.config.origin))
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(body.to_string().into_bytes());
        let request = request.map_err(|error| self.governor.unformed(CIRCUIT, &error))?;
        let call = Call {
            circuit: CIRCUIT,
            entity: None,
            attempts: 0,
            shown_path: None,
            request,
        };
        let started_ms = self.host.now_ms();
        let response = self.governor.call(call, judge).await.map_err(not_the_entitys)?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let Ok(answer) = serde_json::from_slice::<Value>(response.body()) else {
            return Ok(None);
        };
        let access = answer.get("access_token").and_then(Value::as_str);
        let Some(access) = access.filter(|access| HeaderValue::from_str(access).is_ok()) else {
            return Ok(None);
        };
        self.governor.keep_secret(access);
        let expires_ms = answer
            .get("expires_in")
            .and_then(Value::as_u64)
            .unwrap_or(3600)
            .min(86_400 * 365)
            * 1000;
        Ok(Some(Token {
            v: 1,
            access: access.to_owned(),
            refresh: answer.get("refresh_token").and_then(Value::as_str).map(str::to_owned),
            renew_ms: started_ms + expires_ms - EARLY_MS.min(expires_ms / 10),
        }))
    }
}
