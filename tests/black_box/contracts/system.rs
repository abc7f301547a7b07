//! What a system is here: its document, what it answers, and where its documentation says so.

use super::Asked;
use super::held::{Held, Record};
use super::token::{self, Asks, Form};
use http::Method;
use serde_json::{Value, json};

/// What a system answers, and where its documentation says so.
pub(super) struct Answer(pub(super) u16, pub(super) Value, pub(super) &'static str);

/// A system: its document, and what it answers.
pub(super) struct System {
    pub(super) name: &'static str,
    /// The header with the token, and what it holds.
    pub(super) login: (&'static str, &'static str),
    /// What people put into the variable with the token.
    pub(super) token: &'static str,
    /// Where a token is had, for those whose document has a `login`.
    pub(super) endpoint: Option<&'static str>,
    /// How a token is asked for there.
    pub(super) asks: Asks,
    /// What is answered there to whoever asks.
    pub(super) grants: fn(&Form) -> Answer,
    /// What it takes for the type of a body.
    pub(super) media_types: &'static [&'static str],
    pub(super) answer: fn(&mut Held, &Asked) -> Answer,
    /// The product that a request writes; none for one that looks something up.
    pub(super) writes: fn(&Held, &Asked) -> Option<String>,
    /// Whether what writes to something makes it where it is not there. Else what `makes` tells of makes it, and nothing
    /// but that.
    pub(super) upserts: bool,
    /// Whether a request makes something.
    pub(super) makes: fn(&Asked) -> bool,
    /// What it does where a creation brings what it has already.
    pub(super) duplicate: Duplicate,
    /// What it answers when it is called too often.
    pub(super) throttled: fn() -> Answer,
    /// Headers of that answer.
    pub(super) limits: &'static [(&'static str, &'static str)],
    /// How long that answer asks to wait, in milliseconds; nothing where it does not tell.
    pub(super) wait_ms: u64,
    /// What it answers to what it does not take.
    pub(super) refused: fn() -> Answer,
    /// What people read of that.
    pub(super) reason: &'static str,
    /// Whether it says by a 400 that it has a product already, or has none.
    pub(super) tells_by_400: bool,
    /// What its document has otherwise here: places of the document, and what stands there, as JSON.
    pub(super) amended: &'static [(&'static str, &'static str)],
}

/// What a system does where a creation brings what it has already.
pub(super) enum Duplicate {
    /// The system keeps nothing unique but the key that the relay writes by, and what lies there is replaced: so says
    /// this source.
    Replaced(&'static str),
    /// The system has no two things with the same of any of these.
    Refused(&'static [Unique]),
    /// The path tells what is made, and the system's own answer has this status where that is there.
    OfPath { status: u16, follows: Follows },
}

/// What no two things of a system have in common.
pub(super) struct Unique {
    /// Where it stands in what is sent.
    pub(super) at: &'static str,
    /// What is answered to whoever brings it once more, by the thing that has it.
    pub(super) taken: fn(&Record) -> Answer,
    /// What the relay makes of that where the thing is the product itself, which the relay did not know of; none where
    /// that cannot be told, or is told by another value.
    pub(super) itself: Option<Follows>,
    /// What the relay makes of that where the thing is another one; none where no other can have the value.
    pub(super) another: Option<Follows>,
}

/// What the relay makes of an answer that something is there already.
#[derive(Clone, Copy)]
pub(super) enum Follows {
    /// The product is changed, and nobody has to do anything.
    Adopted,
    /// Only a person can help: one dead letter with these words in it, and nothing else is held up.
    Told(&'static str),
    /// The refusal may pass, so that the product is tried again by itself.
    Passes,
}

/// What most systems have in common: a token as a bearer, and the PIM's names of products in what writes to them.
pub(super) const PLAIN: System = System {
    name: "",
    login: ("authorization", "Bearer secret"),
    token: "secret",
    endpoint: None,
    asks: Asks::Form,
    grants: token::none,
    media_types: &["application/json"],
    answer: |_, _| Answer(404, Value::Null, ""),
    writes: |held, asked| {
        let is_read = [Method::GET, Method::DELETE].contains(&asked.method);
        held.named(&asked.path, &asked.body.to_string()).filter(|_| !is_read)
    },
    upserts: false,
    makes: |asked| asked.method == Method::POST,
    duplicate: Duplicate::Replaced(""),
    throttled: || Answer(429, json!({ "message": "Too Many Requests" }), "RFC 6585, section 4"),
    limits: &[],
    wait_ms: 0,
    refused: || Answer(400, Value::Null, ""),
    reason: "",
    tells_by_400: false,
    amended: &[],
};

/// What may be found is found a second later: else a test would have to wait for as long as a system may need.
pub(super) const NOT_WAITED_FOR: &[(&str, &str)] = &[("/products/find/settle_seconds", "1")];

/// Whether an answer says where it comes from: a site, a repository or a document of the IETF, and what in it.
pub(super) fn is_source(source: &str) -> bool {
    let is_page = source.contains('.') && source.split('/').count() > 2;
    let (place, what) = source.split_once([':', ',']).unwrap_or_default();
    let is_place = place.contains(['/', '.']) || place.starts_with("RFC ");
    is_page || (is_place && !what.trim().is_empty())
}
