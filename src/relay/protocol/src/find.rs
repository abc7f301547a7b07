//! Looking an entity up at the destination, by what it is called there.
//! Searches find what is like the entity, too, so the document can say what must stand in an element. Where several
//! fit, none is taken unless the document says so, and an answer that cannot be read is never taken for "nothing
//! found".

use crate::answers::Answers;
use crate::condition::pointer;
use crate::draft;
use crate::headers::Headers;
use crate::operation::{self, KnownField, Operation};
use crate::place::{at, shown};
use crate::remote::Remember;
use crate::request::Names;
use crate::request_line::RequestLine;
use http::{HeaderMap, Method};
use model::document::Node;
use model::entity::Kind;
use model::number;
use serde_json::Value;

use crate::remote::Remote;

/// How long a destination may need until what it was sent can be found, in seconds, where the document does not say.
const SETTLE_S: u64 = 30;

/// The longest that a document can say, in seconds.
const SETTLE_MAX_S: u64 = 480;

/// How an entity is looked up: the member `find`.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// The request, and what its answers mean.
    pub operation: Operation,
    /// The fields of the request's body; none where it has no body.
    pub fields: Option<Vec<KnownField>>,
    /// How long the destination may need until what it was sent can be found, in seconds.
    pub settle_s: u64,
    found: Place,
    /// What must stand in places of an element, such as the entity's identity.
    matching: Vec<(Vec<String>, operation::Template)>,
    /// Whether of several the first is taken.
    takes_first: bool,
}

/// Where in an answer what was found stands.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// As the elements of the list in this place.
    List(Vec<String>),
    /// As the value in this place; where nothing stands there, or null, nothing was found.
    One(Vec<String>),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    None,
    /// One, and what is remembered of it.
    One(Remote),
    /// Several, where one was to be found; how many.
    Several(usize),
    /// The answer has no list in the place that the document names.
    Unreadable,
}

impl Find {
    /// Reads the member `find` of a kind.
    pub fn read(node: &Node<'_>, kind: Kind, headers: &Headers, answers: &Answers, remember: &Remember) -> Find {
        let mut operation = Operation {
            line: RequestLine::of(Method::GET, kind.name()),
            headers: headers.clone(),
            answers: answers.without_required(),
            remember: remember.clone(),
        };
        let further = ["fields", "list", "one", "matching", "several", "settle_seconds"];
        let fields = node.member("fields").map(|node| operation::fields(&node));
        let names_it = fields.iter().flatten().any(KnownField::names_the_entity);
        let methods = [("GET", Method::GET), ("POST", Method::POST)];
        operation.amend(node, &further, &methods, names_it);
        let found = match (node.member("list"), node.member("one")) {
            (Some(list), None) => Place::List(pointer(&list).unwrap_or_default()),
            (None, Some(one)) => Place::One(pointer(&one).unwrap_or_default()),
            (None, None) => Place::One(Vec::new()),
            (Some(list), Some(_)) => {
                list.wrong("stands beside `one`: what is found is an element of a list, or one value");
                Place::One(Vec::new())
            }
        };
        let settle_s = node.member("settle_seconds").map(|node| {
            let seconds = node.value.as_u64().filter(|seconds| *seconds <= SETTLE_MAX_S);
            if seconds.is_none() {
                node.wrong(format!("must be a number of seconds, up to {SETTLE_MAX_S}"));
            }
            seconds.unwrap_or(SETTLE_S)
        });
        let several = [("refused", false), ("first", true)];
        Find {
            operation,
            fields,
            settle_s: settle_s.unwrap_or(SETTLE_S),
            found,
            matching: node.member("matching").map(|node| matching(&node)).unwrap_or_default(),
            takes_first: node
                .member("several")
                .and_then(|node| node.choice(&several))
                .unwrap_or(false),
        }
    }

    /// The places of the request's path, headers and body that are filled when it is sent.
    pub fn late_places(&self) -> impl Iterator<Item = &str> {
        let of_fields = self.fields.iter().flatten().flat_map(KnownField::late_places);
        self.operation.late_places().chain(of_fields)
    }

    /// What a good answer has found of the entity that goes by these names.
    pub fn found(&self, names: &Names<'_>, headers: &HeaderMap, body: &[u8]) -> Found {
        let read: Option<Value> = model::json::read(body).map(|read| read.value);
        let elements: Vec<&Value> = match (&self.found, &read) {
            (Place::List(place), Some(read)) => match at(read, place) {
                Some(Value::Array(elements)) => elements.iter().collect(),
                _ => return Found::Unreadable,
            },
            (Place::One(place), Some(read)) => at(read, place).into_iter().collect(),
            (_, None) => return Found::Unreadable,
        };
        let mut found = elements.into_iter().filter(|element| self.is_meant(element, names));
        match (found.next(), found.count()) {
            (None, _) => Found::None,
            (Some(_), more @ 1..) if !self.takes_first => Found::Several(more + 1),
            (Some(element), _) => Found::One(self.operation.remember.take(headers, Some(element))),
        }
    }

    /// What a good answer has found, in words.
    pub fn told(&self) -> Vec<String> {
        let meant = self.matching.iter().map(|(place, template)| {
            let wanted = draft::shown(template);
            format!("{} is {wanted}", shown(place))
        });
        let meant: Vec<String> = meant.collect();
        let meant = if meant.is_empty() {
            String::new()
        } else {
            format!(" where {}", meant.join(" and "))
        };
        let mut told = match &self.found {
            Place::One(place) => vec![format!("found is what stands in {}{meant}", shown(place))],
            Place::List(place) => vec![
                format!("found is the element of the list in {}{meant}", shown(place)),
                match self.takes_first {
                    true => "of several elements the first is taken".to_owned(),
                    false => "of several elements none is taken: a dead letter".to_owned(),
                },
            ],
        };
        told.push(format!(
            "after a lost answer that nothing was found is believed once a request can arrive no more and {} seconds have passed",
            self.settle_s
        ));
        told
    }

    fn is_meant(&self, element: &Value, names: &Names<'_>) -> bool {
        let is_same = |value: &Value, wanted: &str| number::said(value).as_deref() == Some(wanted);
        let mut matching = self.matching.iter();
        !element.is_null()
            && matching.all(|(place, template)| {
                at(element, place).is_some_and(|value| is_same(value, &operation::filled(template, names)))
            })
    }
}

fn matching(node: &Node<'_>) -> Vec<(Vec<String>, operation::Template)> {
    if node.object().is_none() {
        return Vec::new();
    }
    let pairs = node.members().filter_map(|(place, node)| {
        let tokens = crate::place::tokens(place);
        if tokens.is_none() {
            node.wrong("its name is not a JSON Pointer: begin it with `/`, such as /sku");
        }
        let template = operation::known_template(&node)?;
        if draft::places(&template).next().is_some() {
            node.wrong(
                "compares with what the destination gives, which is not known yet: compare with {id} or {identity}",
            );
        }
        Some((tokens?, template))
    });
    pairs.collect()
}
