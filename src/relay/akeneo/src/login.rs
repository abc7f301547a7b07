//! How the PIM gives its tokens (contract 4.2).
//!
//! A connection gets a token for its user and password, and further ones for refresh tokens. An App's token is a
//! variable, and no other is ever asked for. Here the requests are only made and the answers only read: the room
//! `upstream` sends them, keeps the tokens, and hides what is named as a secret.

use base64::{Engine, engine::general_purpose::STANDARD};
use config::{Credentials, PimConfig};
use http::Request;
use model::json;
use serde_json::{Value, json};
use upstream::token::Login;

/// The login of a connection, or the token of an App, as configured.
pub(crate) struct PimLogin<'a>(pub(crate) &'a PimConfig);

impl PimLogin<'_> {
    /// The client's id and secret as the header `Authorization` carries them; empty for an App, which has none.
    fn basic(&self) -> String {
        match &self.0.credentials {
            Credentials::Connection {
                client_id,
                client_secret,
                ..
            } => STANDARD.encode(format!("{client_id}:{client_secret}")),
            Credentials::App(_) => String::new(),
        }
    }
}

impl Login for PimLogin<'_> {
    fn fingerprint(&self) -> String {
        format!("{}\n{}", self.0.origin, self.0.credentials.fingerprint())
    }

    fn fixed(&self) -> Option<&str> {
        match &self.0.credentials {
            Credentials::App(token) => Some(token),
            Credentials::Connection { .. } => None,
        }
    }

    fn secrets(&self) -> Vec<String> {
        match &self.0.credentials {
            Credentials::Connection {
                password,
                client_secret,
                ..
            } => vec![password.clone(), client_secret.clone(), self.basic()],
            Credentials::App(token) => vec![token.clone()],
        }
    }

    fn request(&self, refresh: Option<&str>) -> http::Result<Request<Vec<u8>>> {
        let body = match (refresh, &self.0.credentials) {
            (Some(refresh), _) => json!({ "grant_type": "refresh_token", "refresh_token": refresh }),
            (None, Credentials::Connection { username, password, .. }) => {
                json!({ "grant_type": "password", "username": username, "password": password })
            }
            (None, Credentials::App(_)) => Value::Null,
        };
        Request::post(format!("{}/api/oauth/v1/token", self.0.origin))
            .header("authorization", format!("Basic {}", self.basic()))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(body.to_string().into_bytes())
    }

    fn token(&self, answer: &Value) -> Option<(String, u64)> {
        let lasts_s = answer.get("expires_in").and_then(json::whole);
        Some((
            answer.get("access_token")?.as_str()?.to_owned(),
            lasts_s.unwrap_or(3600),
        ))
    }

    fn refresh(&self, answer: &Value) -> Option<String> {
        Some(answer.get("refresh_token")?.as_str()?.to_owned())
    }
}
