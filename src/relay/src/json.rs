//! JSON as upstreams write it, PHP above all: read where its meaning is clear.

use serde_json::Value;
use std::borrow::Cow;

/// The byte order mark that some servers send before a document.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Stands in a text for what is no Unicode: half of a surrogate pair, or bytes that are not UTF-8. It ends in a
/// character that no text has (Unicode 23.7).
const MARK: &str = "\u{fffd}\u{ffff}";

/// A document that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it says. A member named twice counts as it comes last.
    pub value: Value,
    /// Whether any of its texts held what is no Unicode. [`is_damaged`] tells which.
    pub is_damaged: bool,
}

/// Reads a document; none if it is not JSON. What is no Unicode in its texts damages those texts alone.
pub fn read(text: &[u8]) -> Option<Document> {
    let mut text = text;
    while let Some(rest) = text.strip_prefix(BYTE_ORDER_MARK) {
        text = rest;
    }
    if let Ok(value) = serde_json::from_slice(text) {
        return Some(Document {
            value,
            is_damaged: false,
        });
    }
    let value = serde_json::from_slice(&marked(text)?).ok()?;
    Some(Document {
        value,
        is_damaged: true,
    })
}

/// Whether a value holds what was no Unicode when it was read.
pub fn is_damaged(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(MARK),
        Value::Array(list) => list.iter().any(is_damaged),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains(MARK) || is_damaged(value)),
        _ => false,
    }
}

/// The text of a code, which PHP writes as an integer where it looks like one.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// A whole number, also one that comes as text.
pub fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The elements of a list. PHP writes one with gaps as an object whose members are named by numbers.
pub fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        Value::Object(members) => {
            let numbered = members
                .into_iter()
                .map(|(name, value)| Some((name.parse().ok()?, value)));
            let mut numbered: Vec<(u64, Value)> = numbered.collect::<Option<_>>()?;
            numbered.sort_by_key(|(number, _)| *number);
            Some(numbered.into_iter().map(|(_, value)| value).collect())
        }
        _ => None,
    }
}

/// A document with a mark wherever its texts are no Unicode, and with control characters in texts escaped, as they
/// should have been; none if it has nothing of the kind.
fn marked(text: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(text.len() + MARK.len());
    let (mut rest, mut is_in_text, mut is_changed) = (text, false, false);
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'"' => {
                is_in_text = !is_in_text;
                Ok(1)
            }
            b'\\' if is_in_text => escape(rest),
            0x80.. if is_in_text => character(rest),
            _ => Ok(1),
        };
        let (Ok(taken) | Err(taken)) = length;
        let (piece, after) = rest.split_at(taken.min(rest.len()));
        if length.is_err() {
            written.extend_from_slice(MARK.as_bytes());
            is_changed = true;
        } else if is_in_text && byte < b' ' {
            written.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            is_changed = true;
        } else {
            written.extend_from_slice(piece);
        }
        rest = after;
    }
    is_changed.then_some(written)
}

/// How long the escape is that a text begins with; as an error where it stands for no character.
fn escape(text: &[u8]) -> Result<usize, usize> {
    let is_pair = || {
        let low = text.get(6..).and_then(unit);
        low.is_some_and(|low| (0xdc00..0xe000).contains(&low))
    };
    match unit(text) {
        None => Ok(2),
        Some(0xd800..0xdc00) if is_pair() => Ok(12),
        Some(0xd800..0xe000) => Err(6),
        Some(_) => Ok(6),
    }
}

/// The UTF-16 code unit that a text begins with as an escape.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// How long the character is that a text begins with; as an error where its bytes are not UTF-8.
fn character(text: &[u8]) -> Result<usize, usize> {
    let start = &text[..text.len().min(4)];
    let chunk = start.utf8_chunks().next();
    match chunk.map(|chunk| (chunk.valid().chars().next(), chunk.invalid().len())) {
        Some((Some(character), _)) => Ok(character.len_utf8()),
        Some((None, length)) => Err(length.max(1)),
        None => Ok(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read_of(text: &[u8]) -> Value {
        read(text).map_or(Value::Null, |document| document.value)
    }

    #[test]
    fn what_is_no_unicode_damages_its_own_text_alone() {
        let texts: [&[u8]; 8] = [
            br"\ud83d",
            br"a\udc00b",
            br"\ud83d\ud83d\ude00",
            br"\ud83dx\ude00",
            br"\\\ud83d",
            b"caf\xe9",
            b"\xf0\x9f\x98",
            b"\xed\xa0\xbd",
        ];
        for text in texts {
            let page = [
                br#"[{"a":"m\u00fcg \ud83d\ude00 \\ud83d"},{"b":["#,
                &b"\""[..],
                text,
                b"\"]},{\"c\":\"\xc3\xa9\"}]",
            ]
            .concat();
            let document = read(&page).unwrap_or_else(|| panic!("{}", text.escape_ascii()));
            assert!(document.is_damaged, "{}", text.escape_ascii());
            let damaged: Vec<bool> = document
                .value
                .as_array()
                .into_iter()
                .flatten()
                .map(is_damaged)
                .collect();
            assert_eq!(damaged, [false, true, false], "{}", text.escape_ascii());
            assert_eq!(document.value[0]["a"], json!("müg 😀 \\ud83d"));
            assert_eq!(document.value[2]["c"], json!("é"));
        }
    }

    #[test]
    fn what_is_clear_is_read() {
        assert_eq!(read_of(b"\xef\xbb\xbf\xef\xbb\xbf {\"a\": 1}"), json!({ "a": 1 }));
        assert_eq!(read_of(br#"{"a":1,"b":2,"a":3}"#), json!({ "a": 3, "b": 2 }));
        assert_eq!(read_of(b"{\"a\":\"x\ty\nz\"}\n"), json!({ "a": "x\ty\nz" }));
        for broken in [
            "",
            "<html>",
            "{\"a\":\"\\ud83d",
            "{\"a\":1",
            "{\"a\":\"\\x\"}",
            "\u{feff}",
        ] {
            assert_eq!(read(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_list_with_gaps_keeps_its_order() {
        let holed = json!({ "2": "b", "10": "c", "0": "a" });
        assert_eq!(list(holed), Some(vec![json!("a"), json!("b"), json!("c")]));
        assert_eq!(list(json!({})), Some(vec![]));
        assert_eq!(list(json!({ "0": 1, "a": 2 })), None);
        assert_eq!(list(json!("a")), None);
    }

    #[test]
    fn codes_and_lengths_come_as_texts_and_as_numbers() {
        for (value, expected) in [
            (json!("a"), Some("a")),
            (json!(42), Some("42")),
            (json!(-1), Some("-1")),
        ] {
            assert_eq!(text(&value).as_deref(), expected);
        }
        for other in [json!(""), json!(1.5), json!(null), json!([])] {
            assert_eq!(text(&other), None);
        }
        assert_eq!(
            (whole(&json!(" 60 ")), whole(&json!(60)), whole(&json!("x"))),
            (Some(60), Some(60), None)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(text in any::<Vec<u8>>(), inside in "[\\\\ud8cef0-9\"]{0,24}") {
            read(&text);
            read(&[b"\"", &text[..], b"\""].concat());
            read(format!("[\"{inside}\"]").as_bytes());
        }

        #[test]
        fn any_text_is_read_as_it_was_written(text in any::<String>(), other in any::<Vec<u8>>()) {
            let texts = json!([text]).to_string();
            let document = read(texts.as_bytes()).expect("JSON");
            prop_assert!(!document.is_damaged && document.value == json!([text]));
            // A neighbour that is no Unicode changes nothing of it.
            let other: Vec<u8> = other.into_iter().filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
            let both = [texts.trim_end_matches(']').as_bytes(), b",\"", &other, b"\"]"].concat();
            let document = read(&both).expect("JSON");
            prop_assert_eq!(&document.value[0], &json!(text));
        }
    }
}
