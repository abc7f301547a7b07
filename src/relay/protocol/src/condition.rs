//! Conditions on the JSON body of an answer.
//! A condition holds or does not, whatever the body is. Of a body that is no JSON only "it is not there" holds, and
//! numbers are compared by their value, to the last digit.

use crate::place::{DEPTH_MAX, at, shown, tokens};
use model::document::Node;
use model::json;
use model::number;
use serde_json::Value;
use std::fmt;

/// What must hold of the value in a place of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    place: Vec<String>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Whether the value is there and not null.
    There(bool),
    /// The value is a list, an object or a text, and whether that is empty.
    Empty(bool),
    /// The value is one of these.
    OneOf(Vec<Value>),
    /// The value is of this type.
    Type(Type),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Object,
    List,
    Text,
    Number,
    Flag,
}

/// The members of a rule that make its condition.
pub const MEMBERS: [&str; 6] = ["at", "there", "empty", "equals", "one-of", "type"];

impl Condition {
    /// Reads the condition of a rule; none if it has none.
    pub fn read(node: &Node<'_>) -> Option<Condition> {
        let given: Vec<&str> = MEMBERS[1..]
            .iter()
            .copied()
            .filter(|name| node.member(name).is_some())
            .collect();
        let Some(place) = node.member("at") else {
            if !given.is_empty() {
                node.wrong("needs `at`: the place in the answer, such as /errors");
            }
            return None;
        };
        let place = pointer(&place);
        let test = match given[..] {
            [] => Some(Test::There(true)),
            ["there"] => node.member("there").map(|node| Test::There(node.flag())),
            ["empty"] => node.member("empty").map(|node| Test::Empty(node.flag())),
            ["equals"] => node.member("equals").map(|node| Test::OneOf(vec![node.value.clone()])),
            ["one-of"] => node.member("one-of").map(|node| {
                let values = node.list();
                Test::OneOf(values.iter().map(|node| node.value.clone()).collect())
            }),
            ["type"] => node.member("type").and_then(|node| node.choice(&TYPES)).map(Test::Type),
            _ => {
                node.wrong("can have one of `there`, `empty`, `equals`, `one-of` and `type`: make a rule of each");
                None
            }
        };
        Some(Condition {
            place: place?,
            test: test?,
        })
    }

    /// Whether the condition holds of an answer's body; none is a body that is not JSON, in which nothing stands.
    pub fn holds(&self, body: Option<&Value>) -> bool {
        let found = body
            .and_then(|body| at(body, &self.place))
            .filter(|value| !value.is_null());
        match (&self.test, found) {
            (Test::There(wanted), found) => found.is_some() == *wanted,
            (Test::Empty(wanted), Some(value)) => is_empty(value) == Some(*wanted),
            (Test::OneOf(values), Some(value)) => values.iter().any(|wanted| number::is_same(wanted, value)),
            (Test::Type(wanted), Some(value)) => type_of(value) == Some(*wanted),
            (_, None) => false,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = shown(&self.place);
        match &self.test {
            Test::There(true) => write!(f, "{place} is there"),
            Test::There(false) => write!(f, "{place} is not there"),
            Test::Empty(true) => write!(f, "{place} is empty"),
            Test::Empty(false) => write!(f, "{place} is not empty"),
            Test::OneOf(values) => {
                let values: Vec<String> = values.iter().map(json::write).collect();
                write!(f, "{place} is {}", values.join(" or "))
            }
            Test::Type(wanted) => {
                let named = TYPES.iter().find(|(_, known)| known == wanted);
                write!(f, "{place} is of the type {}", named.map_or("", |(name, _)| name))
            }
        }
    }
}

const TYPES: [(&str, Type); 5] = [
    ("object", Type::Object),
    ("list", Type::List),
    ("text", Type::Text),
    ("number", Type::Number),
    ("flag", Type::Flag),
];

/// A place as a JSON Pointer.
pub fn pointer(node: &Node<'_>) -> Option<Vec<String>> {
    let place = node.value.as_str().and_then(tokens);
    match &place {
        None => node
            .wrong("is not a JSON Pointer: begin it with `/`, such as /errors/0/message; the whole is the empty text"),
        Some(tokens) if tokens.len() > DEPTH_MAX => node.wrong(format!("goes deeper than {DEPTH_MAX} levels")),
        Some(_) => return place,
    }
    None
}

/// Whether a list, an object or a text is empty; nothing else can be.
fn is_empty(value: &Value) -> Option<bool> {
    match value {
        Value::Array(list) => Some(list.is_empty()),
        Value::Object(members) => Some(members.is_empty()),
        Value::String(text) if json::written(value).is_none() => Some(text.is_empty()),
        _ => None,
    }
}

fn type_of(value: &Value) -> Option<Type> {
    match value {
        Value::Object(_) => Some(Type::Object),
        Value::Array(_) => Some(Type::List),
        Value::String(_) if json::written(value).is_none() => Some(Type::Text),
        Value::String(_) | Value::Number(_) => Some(Type::Number),
        Value::Bool(_) => Some(Type::Flag),
        Value::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::document::Flaws;
    use serde_json::json;

    fn read(rule: &Value) -> Result<Condition, Vec<String>> {
        let flaws = Flaws::default();
        let condition = Condition::read(&Node::root(rule, &flaws));
        let flaws = flaws.into_inner();
        let places = flaws.into_iter().map(|flaw| flaw.place).collect();
        condition.ok_or(places)
    }

    #[test]
    fn conditions_hold_of_what_stands_in_the_place() {
        let body = json!({
            "errors": [{ "code": "TAKEN", "n": 1.0 }], "none": [], "nothing": null, "text": "", "flag": false, "data": {},
        });
        for (rule, holds) in [
            (json!({ "at": "/errors" }), true),
            (json!({ "at": "/nothing" }), false),
            (json!({ "at": "/nothing", "there": false }), true),
            (json!({ "at": "/errors", "empty": false }), true),
            (json!({ "at": "/none", "empty": false }), false),
            (json!({ "at": "/missing", "empty": false }), false),
            (json!({ "at": "/missing", "empty": true }), false),
            (json!({ "at": "/text", "empty": true }), true),
            (json!({ "at": "/flag", "empty": true }), false),
            (json!({ "at": "/errors/0/code", "equals": "TAKEN" }), true),
            (json!({ "at": "/errors/0/n", "equals": 1 }), true),
            (json!({ "at": "/errors/0/code", "one-of": ["GONE", "LOST"] }), false),
            (json!({ "at": "/flag", "equals": false }), true),
            (json!({ "at": "/errors", "type": "list" }), true),
            (json!({ "at": "", "type": "object" }), true),
            (json!({ "at": "/data", "type": "text" }), false),
        ] {
            assert_eq!(read(&rule).expect("a condition").holds(Some(&body)), holds, "{rule}");
        }
        let read_json = |text: &str| json::read(text.as_bytes()).expect(text).value;
        for (rule, number, holds) in [
            (r#"{ "at": "/n", "equals": 1.50 }"#, "1.5", true),
            (r#"{ "at": "/n", "equals": 1.5 }"#, "1.50", true),
            (
                r#"{ "at": "/n", "equals": 9007199254740993 }"#,
                "9007199254740992",
                false,
            ),
            (
                r#"{ "at": "/n", "one-of": [12345678901234567890123] }"#,
                "12345678901234567890123",
                true,
            ),
            (r#"{ "at": "/n", "type": "number" }"#, "12345678901234567890123", true),
            (r#"{ "at": "/n", "type": "text" }"#, "12345678901234567890123", false),
            (r#"{ "at": "/n", "empty": false }"#, "12345678901234567890123", false),
        ] {
            let condition = read(&read_json(rule)).expect("a condition");
            let body = read_json(&format!("{{\"n\":{number}}}"));
            assert_eq!(condition.holds(Some(&body)), holds, "{rule} {number}");
            assert!(!condition.to_string().contains('\u{fffe}'), "{condition}");
        }
        let absent = read(&json!({ "at": "/id", "there": false })).expect("a condition");
        assert!(absent.holds(None), "what is no JSON has nothing");
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (rule, places) in [
            (json!({ "at": "errors" }), vec!["/at"]),
            (json!({ "at": "/a".repeat(33) }), vec!["/at"]),
            (json!({ "empty": true }), vec![""]),
            (json!({ "at": "/a", "empty": true, "there": true }), vec![""]),
            (json!({ "at": "/a", "type": "array" }), vec!["/type"]),
            (json!({ "at": "/a", "one-of": [] }), vec!["/one-of"]),
        ] {
            let told = read(&rule).err();
            if rule.get("one-of").is_none() {
                assert_eq!(told, Some(places.into_iter().map(str::to_owned).collect()), "{rule}");
            }
        }
        assert_eq!(read(&json!({})), Err(vec![]), "a rule without one");
    }
}
