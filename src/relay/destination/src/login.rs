//! How a token of the destination is had.

use base64::{Engine, engine::general_purpose::STANDARD};
use config::LoginConfig;
use http::{Request, header};
use model::path::path_segment;
use serde_json::Value;
use upstream::token::Login;

/// The login that is configured.
pub(crate) struct ByLogin<'a>(pub(crate) &'a LoginConfig);

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
