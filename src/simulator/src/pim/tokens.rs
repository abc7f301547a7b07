//! The token endpoint (contract 4.2).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use serde_json::{Value, json};

use super::PimConfig;
use super::answer::Refusal;
use crate::fault::respond;

/// The tokens given out, with the time at which each ends, in Unix milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    access: BTreeMap<String, u64>,
    refresh: BTreeMap<String, u64>,
    random: fastrand::Rng,
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    pub(super) fn expire_access(&mut self) {
        self.access.values_mut().for_each(|end| *end = 0);
    }

    pub(super) fn expire_refresh(&mut self) {
        self.refresh.clear();
    }

    pub(super) fn check(&self, token: &str, now_ms: u64) -> Result<(), Refusal> {
        match self.access.get(token) {
            Some(end) if now_ms < *end => Ok(()),
            Some(_) => Err(Refusal::new(401, "The access token provided has expired.")),
            None => Err(Refusal::new(401, "The access token provided is invalid.")),
        }
    }

    pub(super) fn answer(
        &mut self,
        request: &Request<Bytes>,
        config: &PimConfig,
        now_ms: u64,
    ) -> Result<Response<Bytes>, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::method_not_allowed(request.method()));
        }
        if basic(request).as_deref() != Some(&format!("{}:{}", config.client_id, config.client_secret)) {
            let message = "Parameter \"client_id\" is missing or does not match any client, or secret is invalid";
            return Err(Refusal::invalid(message));
        }
        let fields = fields(request)?;
        let field = |name: &str| fields.get(name).map(String::as_str);
        match field("grant_type") {
            Some("password") => {
                if (field("username"), field("password")) != (Some(&config.username), Some(&config.password)) {
                    return Err(Refusal::invalid("No user found for the given username and password"));
                }
            }
            Some("refresh_token") => {
                // Used up even if it has expired: a refresh token serves once.
                let end = field("refresh_token").and_then(|token| self.refresh.remove(token));
                match end {
                    Some(end) if now_ms < end => {}
                    Some(_) => return Err(Refusal::invalid("Refresh token has expired")),
                    None => return Err(Refusal::invalid("Refresh token does not exist")),
                }
            }
            _ => {
                return Err(Refusal::invalid("Parameter \"grant_type\" is missing or invalid"));
            }
        }
        Ok(respond(200, &self.grant(config, now_ms)))
    }

    fn grant(&mut self, config: &PimConfig, now_ms: u64) -> Value {
        let (access, refresh) = (self.token(), self.token());
        self.access.retain(|_, end| *end + 86_400_000 > now_ms);
        self.access
            .insert(access.clone(), now_ms + config.access_lifetime_s * 1000);
        self.refresh
            .insert(refresh.clone(), now_ms + config.refresh_lifetime_s * 1000);
        json!({
            "access_token": access, "expires_in": config.access_lifetime_s, "token_type": "bearer",
            "scope": null, "refresh_token": refresh,
        })
    }

    fn token(&mut self) -> String {
        let bytes: Vec<u8> = (0..48).map(|_| self.random.u8(..)).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn basic(request: &Request<Bytes>) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    String::from_utf8(decoded).ok()
}

fn fields(request: &Request<Bytes>) -> Result<BTreeMap<String, String>, Refusal> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if content_type.starts_with("application/x-www-form-urlencoded") {
        return Ok(url::form_urlencoded::parse(request.body()).into_owned().collect());
    }
    let body: BTreeMap<String, Value> =
        serde_json::from_slice(request.body()).map_err(|_| Refusal::new(400, "Invalid json message received"))?;
    let text = |value: Value| value.as_str().map(str::to_owned);
    Ok(body
        .into_iter()
        .filter_map(|(name, value)| text(value).map(|value| (name, value)))
        .collect())
}
