//! How a destination lets us in where it wants a token that ends: by client credentials (RFC 6749, section 4.4), or by
//! a login request of its own.

use crate::condition::pointer;
use crate::place::{Body, at};
use model::document::Node;
use model::json;
use model::path::path_segment;
use serde_json::Value;

/// How long a token lasts whose answer does not say so, in seconds.
const LASTS_S: u64 = 3600;

/// The longest that a token can be said to last, in seconds: a year.
const LASTS_MAX_S: u64 = 365 * 86_400;

/// The member `login`.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The path of the token endpoint, below its origin.
    pub path: String,
    form: Form,
    /// Where the answer has the token, and in how many seconds it ends.
    token: Vec<String>,
    expires: Vec<String>,
    lasts_s: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// A form, with id and secret in it or in the header `Authorization`.
    ClientCredentials {
        is_basic: bool,
        parameters: Vec<(String, String)>,
    },
    /// A JSON document.
    Json(Vec<(Vec<String>, Source)>),
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Constant(Value),
    Id,
    Secret,
}

/// A request for a token.
pub struct TokenRequest {
    /// The body.
    pub body: Vec<u8>,
    /// Its type.
    pub content_type: &'static str,
    /// Whether id and secret go in the header `Authorization`.
    pub is_basic: bool,
}

impl Login {
    /// Reads the member `login`.
    pub fn read(node: &Node<'_>) -> Option<Login> {
        let known = [
            "path",
            "form",
            "credentials",
            "parameters",
            "fields",
            "token",
            "expires",
            "lasts",
        ];
        if !node.is_object_of(&known) || !node.has_all(&["path"]) {
            return None;
        }
        let path = node.member("path")?;
        let text = path.text()?;
        if !text.starts_with('/') || !text.chars().all(|c| c.is_ascii_graphic() && c != '#') {
            path.wrong(
                "must be a path such as /oauth2/token, percent-encoded; its host is in the variable `login_url`",
            );
        }
        let forms = [("client-credentials", false), ("json", true)];
        let is_json = node
            .member("form")
            .and_then(|node| node.choice(&forms))
            .unwrap_or(false);
        let form = if is_json {
            json_form(node)?
        } else {
            client_credentials(node)
        };
        let place = |name: &str, usual: &str| match node.member(name) {
            Some(node) => pointer(&node),
            None => Some(vec![usual.to_owned()]),
        };
        let lasts_s = node.member("lasts").map(|node| {
            let seconds = node
                .value
                .as_u64()
                .filter(|seconds| (10..=LASTS_MAX_S).contains(seconds));
            if seconds.is_none() {
                node.wrong(format!("must be a whole number from 10 to {LASTS_MAX_S}: seconds"));
            }
            seconds.unwrap_or(LASTS_S)
        });
        Some(Login {
            path: text.to_owned(),
            form,
            token: place("token", "access_token")?,
            expires: place("expires", "expires_in")?,
            lasts_s: lasts_s.unwrap_or(LASTS_S),
        })
    }

    /// The request for a token with this id and secret.
    pub fn request(&self, id: &str, secret: &str) -> TokenRequest {
        match &self.form {
            Form::ClientCredentials { is_basic, parameters } => {
                let mut members = vec![("grant_type", "client_credentials")];
                if !is_basic {
                    members.extend([("client_id", id), ("client_secret", secret)]);
                }
                members.extend(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                let pairs = members
                    .iter()
                    .map(|(name, value)| format!("{}={}", path_segment(name), path_segment(value)));
                TokenRequest {
                    body: pairs.collect::<Vec<_>>().join("&").into_bytes(),
                    content_type: "application/x-www-form-urlencoded",
                    is_basic: *is_basic,
                }
            }
            Form::Json(fields) => {
                let mut body = Body::default();
                for (to, source) in fields {
                    let value = match source {
                        Source::Constant(value) => value.clone(),
                        Source::Id => Value::String(id.to_owned()),
                        Source::Secret => Value::String(secret.to_owned()),
                    };
                    body.put(to, value);
                }
                TokenRequest {
                    body: json::write(&body.finish()).into_bytes(),
                    content_type: "application/json",
                    is_basic: false,
                }
            }
        }
    }

    /// The token in an answer, and how long it lasts, in seconds. A life of 0 counts as not told, which RFC 6749 allows
    /// (section 5.1): some write it for a token without an end, and one that is refused is had anew in any case.
    pub fn token(&self, answer: &Value) -> Option<(String, u64)> {
        let token = at(answer, &self.token).filter(|token| json::written(token).is_none())?;
        let told_s = at(answer, &self.expires).and_then(json::whole);
        let lasts_s = told_s.filter(|told_s| *told_s > 0).unwrap_or(self.lasts_s);
        Some((token.as_str()?.to_owned(), lasts_s.min(LASTS_MAX_S)))
    }
}

fn client_credentials(node: &Node<'_>) -> Form {
    if let Some(fields) = node.member("fields") {
        fields.wrong("are for the form `json`: further members of the form go into `parameters`");
    }
    let places = [("body", false), ("basic", true)];
    let is_basic = node.member("credentials").and_then(|node| node.choice(&places));
    let mut parameters = Vec::new();
    if let Some(node) = node.member("parameters")
        && node.object().is_some()
    {
        for (name, node) in node.members() {
            if ["grant_type", "client_id", "client_secret"].contains(&name.as_str()) {
                node.wrong("is set by itself: leave it out");
            } else if let Some(text) = node.text() {
                parameters.push((name.clone(), text.to_owned()));
            }
        }
    }
    Form::ClientCredentials {
        is_basic: is_basic.unwrap_or(false),
        parameters,
    }
}

fn json_form(node: &Node<'_>) -> Option<Form> {
    for name in ["credentials", "parameters"] {
        if let Some(member) = node.member(name) {
            member.wrong("is for the form `client-credentials`: what is sent goes into `fields`");
        }
    }
    let Some(fields) = node.member("fields") else {
        node.wrong(
            "needs `fields`: what the login is sent, such as {\"to\": \"/password\", \"variable\": \"login_secret\"}",
        );
        return None;
    };
    let fields: Vec<_> = fields.list().iter().filter_map(field).collect();
    Some(Form::Json(fields))
}

fn field(node: &Node<'_>) -> Option<(Vec<String>, Source)> {
    if !node.is_object_of(&["to", "constant", "variable"]) || !node.has_all(&["to"]) {
        return None;
    }
    let variables = [("login_id", true), ("login_secret", false)];
    let source = match (node.member("constant"), node.member("variable")) {
        (Some(constant), None) => Some(Source::Constant(constant.value.clone())),
        (None, Some(variable)) => {
            let is_id = variable.choice(&variables)?;
            Some(if is_id { Source::Id } else { Source::Secret })
        }
        _ => {
            node.wrong("needs one of `constant` and `variable`");
            None
        }
    };
    Some((pointer(&node.member("to")?)?, source?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::document::Flaws;
    use serde_json::json;

    fn read(document: &Value) -> Result<Login, Vec<String>> {
        let flaws = Flaws::default();
        let login = Login::read(&Node::root(document, &flaws));
        let flaws: Vec<String> = flaws.into_inner().into_iter().map(|flaw| flaw.place).collect();
        login.filter(|_| flaws.is_empty()).ok_or(flaws)
    }

    #[test]
    fn a_token_is_asked_for_as_the_document_says() {
        let form = "application/x-www-form-urlencoded";
        for (document, body, content_type, is_basic) in [
            (
                json!({ "path": "/t" }),
                "grant_type=client_credentials&client_id=an%20id&client_secret=s%26%C3%A9",
                form,
                false,
            ),
            (
                json!({ "path": "/t", "credentials": "basic", "parameters": { "scope": "a b" } }),
                "grant_type=client_credentials&scope=a%20b",
                form,
                true,
            ),
            (
                json!({ "path": "/t", "form": "json", "fields": [
                    { "to": "/user/email", "variable": "login_id" }, { "to": "/user/password", "variable": "login_secret" },
                    { "to": "/remember", "constant": true },
                ] }),
                r#"{"remember":true,"user":{"email":"an id","password":"s&é"}}"#,
                "application/json",
                false,
            ),
        ] {
            let request = read(&document).expect("a login").request("an id", "s&é");
            let sent = String::from_utf8(request.body).expect("a text");
            let is_same = |read: Value| read == serde_json::from_str::<Value>(body).unwrap_or_default();
            assert!(sent == body || serde_json::from_str(&sent).is_ok_and(is_same), "{sent}");
            assert_eq!((request.content_type, request.is_basic), (content_type, is_basic));
        }
    }

    #[test]
    fn an_answer_has_the_token_and_its_life() {
        let usual = read(&json!({ "path": "/t" })).expect("a login");
        let own = json!({ "path": "/t", "token": "/data/jwt", "expires": "/data/seconds", "lasts": 600 });
        let own = read(&own).expect("a login");
        for (login, answer, token) in [
            (
                &usual,
                json!({ "access_token": "x", "expires_in": 20 }),
                Some(("x", 20)),
            ),
            (
                &usual,
                json!({ "access_token": "x", "expires_in": "20" }),
                Some(("x", 20)),
            ),
            (&usual, json!({ "access_token": "x" }), Some(("x", 3600))),
            (
                &usual,
                json!({ "access_token": "x", "expires_in": 0 }),
                Some(("x", 3600)),
            ),
            (&usual, json!({ "token": "x" }), None),
            (&usual, json!({ "access_token": 7 }), None),
            (&own, json!({ "data": { "jwt": "y" } }), Some(("y", 600))),
            (
                &own,
                json!({ "data": { "jwt": "y", "seconds": "0" } }),
                Some(("y", 600)),
            ),
            (&own, json!({ "data": { "jwt": "y", "seconds": 60 } }), Some(("y", 60))),
        ] {
            let token = token.map(|(token, lasts_s)| (token.to_owned(), lasts_s));
            assert_eq!(login.token(&answer), token, "{answer}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (document, place) in [
            (json!({}), ""),
            (json!({ "path": "t" }), "/path"),
            (json!({ "path": "/t", "form": "password" }), "/form"),
            (json!({ "path": "/t", "form": "json" }), ""),
            (json!({ "path": "/t", "fields": [] }), "/fields"),
            (
                json!({ "path": "/t", "parameters": { "client_secret": "x" } }),
                "/parameters/client_secret",
            ),
            (json!({ "path": "/t", "lasts": 1 }), "/lasts"),
            (
                json!({ "path": "/t", "form": "json", "fields": [{ "to": "/a", "variable": "admin_token" }] }),
                "/fields/0/variable",
            ),
            (json!({ "path": "/t", "secret": "x" }), "/secret"),
        ] {
            let told = read(&document).expect_err("a flaw");
            assert!(told.iter().any(|told| told == place), "{document}: {told:?}");
        }
    }
}
