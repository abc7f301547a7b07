//! What requests carry beside their body: the token, and further headers.
//!
//! No document can set a header that is the relay's or the host's, nor one for secrets: the token comes from a
//! variable, and only its header and scheme are said here.

use crate::draft;
use crate::header_name;
use crate::remote::is_late;
use http::{HeaderName, HeaderValue, header};
use model::document::Node;
use model::template::{Piece, pieces};

/// How the destination wants its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The header.
    pub header: HeaderName,
    /// What stands before the token; empty for nothing.
    pub scheme: String,
}

impl Default for Authentication {
    fn default() -> Self {
        Authentication {
            header: header::AUTHORIZATION,
            scheme: "Bearer".to_owned(),
        }
    }
}

/// The headers of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// How the destination wants its token.
    pub authentication: Authentication,
    /// Further ones, each name once.
    pub others: Vec<(HeaderName, HeaderValue)>,
    /// Those whose values are filled when a request is sent, each name once.
    pub late: Vec<(HeaderName, Vec<Piece>)>,
}

/// Headers that are not the shape's to set. Most of them no host of components sends.
const OUR_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers that hold secrets.
const SECRET_HEADERS: [&str; 2] = ["authorization", "cookie"];

impl Headers {
    /// Takes the members `authentication` and `headers` on: what they do not say stays.
    pub fn amend(&mut self, node: &Node<'_>) {
        if let Some(node) = node.member("authentication") {
            self.authentication = Authentication::read(&node);
            let mut names = (self.others.iter().map(|(name, _)| name)).chain(self.late.iter().map(|(name, _)| name));
            if names.any(|name| *name == self.authentication.header) {
                node.wrong("its header is among the `headers` of all requests: leave it out there");
            }
        }
        self.amend_others(node);
    }

    /// Takes the member `headers` on.
    pub fn amend_others(&mut self, node: &Node<'_>) {
        if let Some(node) = node.member("headers") {
            for (name, value) in self.read(&node) {
                self.others.retain(|(known, _)| *known != name);
                self.late.retain(|(known, _)| *known != name);
                match value {
                    Filled::Now(value) => self.others.push((name, value)),
                    Filled::Late(pieces) => self.late.push((name, pieces)),
                }
            }
        }
    }

    /// The places that are filled when a request is sent.
    pub fn late_places(&self) -> impl Iterator<Item = &str> {
        self.late.iter().flat_map(|(_, pieces)| draft::places(pieces))
    }

    fn read(&self, node: &Node<'_>) -> Vec<(HeaderName, Filled)> {
        let mut headers = Vec::new();
        if node.object().is_none() {
            return headers;
        }
        for (text, node) in node.members() {
            let Some(name) = name_to_set(&node, text) else { continue };
            if SECRET_HEADERS.contains(&name.as_str()) || name == self.authentication.header {
                node.wrong(
                    "secrets do not belong here: put the token into the variable `destination_token` and its header's name into /authentication/header",
                );
                continue;
            }
            let Some(text) = node.text() else { continue };
            match (HeaderValue::try_from(text), late(text)) {
                (Err(_), _) => node.wrong("holds a character that a header cannot"),
                (Ok(_), Some(pieces)) => headers.push((name, Filled::Late(pieces))),
                (Ok(value), None) => headers.push((name, Filled::Now(value))),
            }
        }
        headers
    }
}

/// The value of a header.
enum Filled {
    Now(HeaderValue),
    Late(Vec<Piece>),
}

/// The pieces of a value in which something stands that the destination gave; any other value stands as it is written,
/// braces and all.
fn late(text: &str) -> Option<Vec<Piece>> {
    let pieces = pieces(text).ok()?;
    let mut places = pieces.iter().filter_map(|piece| match piece {
        Piece::Place(place) => Some(place),
        Piece::Text(_) => None,
    });
    let is_late = places.next().is_some_and(|first| is_late(first)) && places.all(|place| is_late(place));
    is_late.then_some(pieces)
}

fn name_to_set(node: &Node<'_>, text: &str) -> Option<HeaderName> {
    let name = header_name::of(node, text)?;
    if OUR_HEADERS.contains(&name.as_str()) {
        node.wrong("is not for the shape to set: leave it out");
        return None;
    }
    Some(name)
}

impl Authentication {
    fn read(node: &Node<'_>) -> Authentication {
        let mut authentication = Authentication::default();
        if !node.is_object_of(&["header", "scheme"]) {
            return authentication;
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if let Some(node) = node.member("header")
            && let Some(name) = node.text().and_then(|text| name_to_set(&node, text))
        {
            if name != authentication.header {
                authentication.scheme = String::new();
            }
            authentication.header = name;
        }
        match node.member("scheme") {
            None => {}
            Some(node) => match node.value.as_str() {
                Some(scheme) if scheme.chars().all(is_plain) => authentication.scheme = scheme.to_owned(),
                _ => node.wrong(
                    "must be one word such as Bearer, or empty for the token alone; the token is in the variable `destination_token`",
                ),
            },
        }
        authentication
    }
}
