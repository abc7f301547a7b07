//! What a destination's answers mean.
//!
//! Rules of the document come first, in their order; then what statuses mean by themselves. A good status is worth what
//! the body lets it be: a page of HTML is a proxy's, a list of `errors` is GraphQL's way to refuse, and a document can
//! ask for a place that a good answer must have.

use crate::condition::{self, Condition, pointer};
use crate::limits::{Limits, Wait};
use crate::request::Act;
use http::HeaderMap;
use model::document::Node;
use model::html;
use model::json;
use model::number;
use serde_json::Value;

/// Statuses with which a destination refuses for a reason that passes by itself: a conflict, a lock, too early.
const PASSING: [u16; 3] = [409, 423, 425];

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The destination did what was asked for.
    Done,
    /// The destination does not have what is to be updated or deleted.
    Missing,
    /// The destination has what is to be created.
    Exists,
    /// The destination refuses this entity.
    Refused,
    /// The destination may do later what was asked for.
    Busy,
    /// The destination refuses everything until a person mends something.
    Misconfigured,
    /// Somebody else answers in its place.
    Unavailable,
}

const MEANINGS: [(&str, Meaning); 6] = [
    ("done", Meaning::Done),
    ("missing", Meaning::Missing),
    ("exists", Meaning::Exists),
    ("refused", Meaning::Refused),
    ("busy", Meaning::Busy),
    ("misconfigured", Meaning::Misconfigured),
];

/// A rule: what an answer means that has one of these statuses, and of whose body the condition holds.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    /// From which status to which; none is any.
    statuses: Vec<(u16, u16)>,
    condition: Option<Condition>,
    means: Meaning,
    /// How long to wait then; none where nothing tells.
    wait: Option<Wait>,
}

/// The member `answers`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    rules: Vec<Rule>,
    /// Further statuses of refusals that pass.
    busy: Vec<u16>,
    /// Whether the destination itself answers with pages of HTML, so that one with a good status is success.
    are_pages_its_own: bool,
    /// Whether a list of `errors` in a good answer is none of failures.
    are_errors_harmless: bool,
    /// What a good answer must have.
    required: Option<Vec<String>>,
    /// Where an answer says why it refuses.
    reason: Option<Vec<String>>,
}

impl Answers {
    /// Takes on what the document says; what it does not say stays.
    pub fn amend(&mut self, node: &Node<'_>) {
        let Some(node) = node.member("answers") else { return };
        if !node.is_object_of(&["rules", "busy", "html", "errors", "required", "reason"]) {
            return;
        }
        if let Some(node) = node.member("rules") {
            self.rules = node.list().iter().filter_map(Rule::read).collect();
        }
        if let Some(node) = node.member("busy") {
            self.busy = node.list().iter().filter_map(refusal).collect();
        }
        if let Some(node) = node.member("html") {
            self.are_pages_its_own = node.choice(&[("done", true), ("unavailable", false)]).unwrap_or(false);
        }
        if let Some(node) = node.member("errors") {
            self.are_errors_harmless = node.choice(&[("done", true), ("refused", false)]).unwrap_or(false);
        }
        if let Some(node) = node.member("required") {
            self.required = pointer(&node);
        }
        if let Some(node) = node.member("reason") {
            self.reason = pointer(&node);
        }
    }

    /// These answers for a request whose good answers need not have what those of others must have.
    #[must_use]
    pub fn without_required(&self) -> Answers {
        Answers {
            required: None,
            ..self.clone()
        }
    }

    /// Whether a status stands for a refusal that passes by itself.
    pub fn passes(&self, status: u16) -> bool {
        PASSING.contains(&status) || self.busy.contains(&status)
    }

    /// Whether what an answer means cannot be told without the whole of its body.
    pub fn need_bodies(&self) -> bool {
        let is_of_body = |rule: &Rule| rule.condition.is_some() || rule.wait.as_ref().is_some_and(Wait::needs_bodies);
        self.required.is_some() || self.rules.iter().any(is_of_body)
    }

    /// Whether what a refusal means cannot be told without the whole of its body.
    pub fn need_refusals(&self) -> bool {
        let refuses = |(from, to): &(u16, u16)| *from < 500 && *to >= 400;
        let is_of = |rule: &Rule| rule.statuses.is_empty() || rule.statuses.iter().any(refuses);
        self.rules.iter().any(|rule| rule.condition.is_some() && is_of(rule))
    }

    /// What an answer to a request means.
    pub fn meaning(&self, act: Act, status: u16, body: &[u8]) -> Meaning {
        let read = read(body);
        if let Some(rule) = self.rules.iter().find(|rule| rule.fits(status, read.as_ref())) {
            return rule.means;
        }
        match self.of_status(act, status, body) {
            Meaning::Done if (200..300).contains(&status) => self.of_good_body(status, body, read.as_ref()),
            meaning => meaning,
        }
    }

    /// How long an answer asks to wait, in seconds: by the rule that it fits, or by what the destination says of limits
    /// in all its answers.
    pub fn wait_s(
        &self,
        limits: &Limits,
        meaning: Meaning,
        (status, headers): (u16, &HeaderMap),
        body: &[u8],
        now_ms: u64,
    ) -> Option<u64> {
        let read = read(body);
        let rule = self.rules.iter().find(|rule| rule.fits(status, read.as_ref()));
        let of_rule = rule.and_then(|rule| rule.wait.as_ref()?.seconds(headers, read.as_ref(), now_ms));
        // A conflict or a lock passes by itself, and says nothing of limits.
        let turns_away = meaning == Meaning::Busy && (rule.is_some() || matches!(status, 429 | 503));
        of_rule.or_else(|| limits.seconds(turns_away, headers, read.as_ref(), now_ms))
    }

    /// What the status of an answer to a file means: bodies and rules are about entities. A file brings a type of its own,
    /// so that a refused type (415) is that file's fault and no other's.
    pub fn meaning_of_file(&self, status: u16) -> Meaning {
        match status {
            415 => Meaning::Refused,
            status => self.of_status(Act::Upsert, status, &[]),
        }
    }

    /// The part of an answer that says why, where the document tells its place and it is there.
    pub fn reason(&self, body: &[u8]) -> Option<String> {
        let read = read(body)?;
        let errors = ["errors".to_owned()];
        let place = match &self.reason {
            Some(place) => &place[..],
            // GraphQL's form: its errors say why, and the rest of the answer does not.
            None if !self.are_errors_harmless && read.get("data").is_some() => &errors[..],
            None => return None,
        };
        let said = crate::place::at(&read, place).filter(|said| !said.is_null())?;
        Some(number::said(said).unwrap_or_else(|| json::shown(said)))
    }

    fn of_status(&self, act: Act, status: u16, body: &[u8]) -> Meaning {
        match (status, act) {
            (200..=299, _) => Meaning::Done,
            // An entity that is not there is deleted, if the destination says so itself.
            (404 | 410, Act::Delete) if is_own_word(body) || (self.are_pages_its_own && html::is_page(body)) => {
                Meaning::Missing
            }
            // A proxy that does not know the destination answers so: the deletion is tried again, and then left to
            // people.
            (404 | 410, Act::Delete) => Meaning::Busy,
            (404 | 410, Act::Update | Act::Find) if is_own_word(body) => Meaning::Missing,
            (409, Act::Create) if !self.busy.contains(&409) => Meaning::Exists,
            (status, _) if self.passes(status) => Meaning::Busy,
            // A path that is not there is a wrong address, not a wrong entity.
            (401 | 403 | 404 | 405 | 415 | 300..=399, _) => Meaning::Misconfigured,
            (408 | 429 | 500..=599, _) => Meaning::Busy,
            _ => Meaning::Refused,
        }
    }

    fn of_good_body(&self, status: u16, body: &[u8], read: Option<&Value>) -> Meaning {
        if !self.are_pages_its_own && html::is_page(body) {
            return Meaning::Unavailable;
        }
        let errors = read.and_then(|read| read.get("errors")).and_then(Value::as_array);
        if !self.are_errors_harmless && errors.is_some_and(|errors| !errors.is_empty()) {
            return Meaning::Refused;
        }
        let has = |place: &Vec<String>| {
            read.and_then(|read| crate::place::at(read, place))
                .is_some_and(|at| !at.is_null())
        };
        match &self.required {
            // An answer without content has no places.
            Some(place) if status != 204 && !has(place) => Meaning::Refused,
            _ => Meaning::Done,
        }
    }
}

impl Rule {
    fn read(node: &Node<'_>) -> Option<Rule> {
        if !node.is_object_of(&[&["status", "means", "wait"], &condition::MEMBERS[..]].concat())
            || !node.has_all(&["means"])
        {
            return None;
        }
        let statuses = node.member("status").map(|node| statuses(&node)).unwrap_or_default();
        let condition = Condition::read(node);
        if node.member("status").is_none() && condition.is_none() {
            node.wrong("needs a `status` or a place `at`, or it would be for every answer");
        }
        let means = node.member("means")?.choice(&MEANINGS)?;
        if let (Some(wait), true) = (node.member("wait"), means != Meaning::Busy) {
            wait.wrong("is for what means busy: nothing else is tried again by itself");
        }
        Some(Rule {
            statuses,
            condition,
            means,
            wait: node.member("wait").and_then(|node| Wait::read(&node)),
        })
    }

    /// Whether it is for answers of this status.
    fn is_of(&self, status: u16) -> bool {
        self.statuses.is_empty() || self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }

    fn fits(&self, status: u16, body: Option<&Value>) -> bool {
        self.is_of(status) && self.condition.as_ref().is_none_or(|condition| condition.holds(body))
    }
}

/// The body of an answer, read as whatever is looked for in it is: texts that are no Unicode spoil nothing else of it.
fn read(body: &[u8]) -> Option<Value> {
    json::read(body).map(|read| read.value)
}

/// A status, a hundred of them such as `2xx`, or a list of these.
fn statuses(node: &Node<'_>) -> Vec<(u16, u16)> {
    if node.value.is_array() {
        return node.list().iter().flat_map(statuses).collect();
    }
    let hundred = |text: &str| {
        let first = text.strip_suffix("xx").filter(|first| first.len() == 1)?;
        let first = first.parse::<u16>().ok()?;
        Some((first * 100, first * 100 + 99))
    };
    let one = |number: u64| u16::try_from(number).ok().map(|status| (status, status));
    let read = match node.value {
        Value::String(text) => hundred(text),
        value => value.as_u64().and_then(one),
    };
    let read = read.filter(|(from, _)| (200..600).contains(from));
    if read.is_none() {
        node.wrong("must be a status such as 422, a hundred of them such as \"4xx\", or a list of these");
    }
    Vec::from_iter(read)
}

fn refusal(node: &Node<'_>) -> Option<u16> {
    let status = node.value.as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| (400..600).contains(status));
    if status.is_none() {
        node.wrong("must be a status from 400 to 599, such as 422");
    }
    status
}

/// Whether a body can be the destination's own word of what it does not have: none, a JSON document, or a plain text
/// that says no more than that. A page, or a text about pages, routes and backends, is a proxy's.
fn is_own_word(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let plain = text.trim_end_matches(['.', '!']).to_ascii_lowercase();
    let says_so = ["not found", "404 not found", "gone", "410 gone"];
    text.is_empty() || read(body).is_some() || says_so.contains(&plain.as_str())
}

mod told;
