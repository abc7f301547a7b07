//! What an alert is as JSON: a document whose texts have places, for receivers that want a form of their own.
//!
//! All that is wrong in a document is told when it is read, so that a document that was read can always be filled.
//! Places are filled in texts alone, wherever they stand; the names of members stay as they are.

use model::template::{Piece, pieces};
use model::text;
use serde_json::Value;
use shape::Flaw;

/// The places that can be filled.
pub const PLACES: [&str; 10] = [
    "text", "cause", "instance", "status", "class", "entity", "entities", "state", "action", LINK,
];

/// The place of the address at which people look.
const LINK: &str = "link";

/// How long a text of a document is that may be a secret, in bytes.
const SECRET_MIN: usize = 12;

/// The document where none is configured: a text, which is what many chats take, and what tells alerts apart.
const DEFAULT: &str = r#"{"text":"{text}","cause":"{cause}","instance":"{instance}"}"#;

/// A document with places that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Value);

impl Template {
    /// Reads a document; an empty one stands for the default.
    ///
    /// # Errors
    /// All that is wrong in the document.
    pub fn read(document: &str) -> Result<Template, Vec<Flaw>> {
        let document = if document.is_empty() { DEFAULT } else { document };
        let document = text::mended(document.as_bytes());
        let document: Value = serde_json::from_slice(document.as_bytes()).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            vec![flaw("", format!("is not JSON (line {line}, column {column})"))]
        })?;
        let mut flaws = Vec::new();
        if !document.is_object() {
            flaws.push(flaw(
                "",
                "must be a JSON object, such as {\"text\": \"{text}\"}".to_owned(),
            ));
        }
        check(&document, "", &mut flaws);
        if flaws.is_empty() {
            Ok(Template(document))
        } else {
            Err(flaws)
        }
    }

    /// Whether the document says where people look.
    pub fn has_link(&self) -> bool {
        let mut has_link = false;
        each_text(&self.0, &mut |text| {
            let pieces = pieces(text).unwrap_or_default();
            has_link |= pieces.contains(&Piece::Place(LINK.to_owned()));
        });
        has_link
    }

    /// The texts that may be what lets alerts in at their receiver: single words without a place.
    pub fn words(&self) -> Vec<&str> {
        let mut words = Vec::new();
        each_text(&self.0, &mut |text| {
            if text.len() >= SECRET_MIN && !text.contains([' ', '{']) {
                words.push(text);
            }
        });
        words
    }

    /// The document with its places filled by these values, which come in the order of [`PLACES`].
    pub fn filled(&self, values: [&str; PLACES.len()]) -> Value {
        let mut document = self.0.clone();
        fill(&mut document, &values);
        document
    }
}

fn flaw(place: &str, remedy: String) -> Flaw {
    let place = place.to_owned();
    Flaw { place, remedy }
}

fn check(value: &Value, place: &str, flaws: &mut Vec<Flaw>) {
    match value {
        Value::String(text) => match pieces(text) {
            Ok(pieces) => {
                let names = pieces.iter().filter_map(|piece| match piece {
                    Piece::Place(name) => Some(name.as_str()),
                    Piece::Text(_) => None,
                });
                for name in names.filter(|name| !PLACES.contains(name)) {
                    let known = PLACES.join("}, {");
                    flaws.push(flaw(
                        place,
                        format!("{{{name}}} is not known here; known are {{{known}}}"),
                    ));
                }
            }
            Err(wrong) => flaws.push(flaw(place, wrong.to_owned())),
        },
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                check(element, &format!("{place}/{at}"), flaws);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let token = name.replace('~', "~0").replace('/', "~1");
                check(member, &format!("{place}/{token}"), flaws);
            }
        }
        _ => {}
    }
}

/// Every text of a document that may have places.
fn each_text<'a>(value: &'a Value, with: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => with(text),
        Value::Array(elements) => elements.iter().for_each(|element| each_text(element, with)),
        Value::Object(members) => members.values().for_each(|member| each_text(member, with)),
        _ => {}
    }
}

fn fill(value: &mut Value, values: &[&str; PLACES.len()]) {
    match value {
        Value::String(text) => {
            let parts = pieces(text).unwrap_or_default().into_iter().map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Place(name) => {
                    let at = PLACES.iter().position(|known| *known == name);
                    at.map_or("", |at| values[at]).to_owned()
                }
            });
            *text = parts.collect();
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| fill(element, values)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, values)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const VALUES: [&str; PLACES.len()] = [
        "1 entity \"given\" up",
        "dead-letters",
        "main",
        "422",
        "permanent",
        "products/x",
        "products/x, products/y",
        "firing",
        "trigger",
        "https://relay.example.com/console",
    ];

    fn filled(document: &str) -> Value {
        Template::read(document).expect(document).filled(VALUES)
    }

    #[test]
    fn without_a_document_alerts_are_what_they_always_were() {
        let expected = json!({ "text": VALUES[0], "cause": "dead-letters", "instance": "main" });
        assert_eq!(filled(""), expected);
    }

    #[test]
    fn places_are_filled_wherever_texts_stand() {
        let document = r#"{"a":{"b":["{cause}: {text}",7,{"c":"{status} {class} \\{x\\}"}]},"d":null,"{text}":"{ entity }","e":"","f":"{instance}{instance}"}"#;
        let expected = json!({
            "a": { "b": ["dead-letters: 1 entity \"given\" up", 7, { "c": "422 permanent {x}" }] },
            "d": null, "{text}": "products/x", "e": "", "f": "mainmain",
        });
        assert_eq!(filled(document), expected);
        assert_eq!(filled(&format!("\u{feff}{document}")), expected);
    }

    #[test]
    fn a_document_tells_whether_it_needs_a_link_and_what_in_it_may_be_a_secret() {
        let read = |document: &str| Template::read(document).expect(document);
        let pager = read(r#"{"routing_key":"R0123456789ABCDEF","a":[{"b":"see {link}"}],"c":"a text of many words"}"#);
        assert!(pager.has_link());
        assert_eq!(pager.words(), ["R0123456789ABCDEF"]);
        for document in ["", r#"{"{link}":"\\{link\\} {text}"}"#] {
            assert!(!read(document).has_link(), "{document}");
        }
    }

    #[test]
    fn all_mistakes_are_told_with_their_places() {
        let told = |document: &str| -> Vec<String> {
            let flaws = Template::read(document).expect_err(document);
            flaws.iter().map(|flaw| flaw.place.clone()).collect()
        };
        assert_eq!(
            told(r#"{"a/b":[0,"{txt}"],"c":{"d":"{"},"e":"{text"}"#),
            ["/a~1b/1", "/c/d", "/e"]
        );
        for document in ["{text}", "text", "\"{text}\"", "[\"{text}\"]", "null", "{\"text\":"] {
            assert_eq!(told(document), [""], "{document}");
        }
    }
}
