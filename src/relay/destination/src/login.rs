//! How a token of the destination is had.
//!
//! Variables tell the address, the id and the secret, and the shape tells the form of the request and of its answer.
//! Here the request is only made: the room `upstream` sends it and keeps the token. The secret is named as such in
//! every form in which a header or the body of a form carries it, so that none of them is told.

use base64::{Engine, engine::general_purpose::STANDARD};
use config::LoginConfig;
use http::{Request, header};
use model::path::path_segment;
use serde_json::Value;
use upstream::token::Login;

/// The configured login.
pub(crate) struct ByLogin<'a>(pub(crate) &'a LoginConfig);

impl ByLogin<'_> {
    /// Id and secret for the header `Authorization`, each encoded as in a form before (RFC 6749, section 2.3.1).
    fn basic(&self) -> String {
        let [id, secret] = [&self.0.id, &self.0.secret].map(|text| path_segment(text));
        STANDARD.encode(format!("{id}:{secret}"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use model::document::{Flaws, Node};
    use protocol::login::Login as Form;
    use serde_json::json;

    #[test]
    fn a_secret_with_any_character_comes_whole_in_the_header() {
        let (document, flaws) = (json!({ "path": "/token", "credentials": "basic" }), Flaws::default());
        let login = LoginConfig {
            origin: "http://login.test".to_owned(),
            id: "an id:1".to_owned(),
            secret: "50%&é".to_owned(),
            form: Form::read(&Node::root(&document, &flaws)).expect("a login"),
        };
        let request = ByLogin(&login).request(None).expect("a request");
        let header = request.headers()["authorization"].to_str().expect("a text");
        let encoded = header.strip_prefix("Basic ").expect("the scheme");
        let decoded = STANDARD.decode(encoded).expect("base64");
        assert_eq!(decoded, b"an%20id%3A1:50%25%26%C3%A9");
    }
}
