//! JSON as text, where it is not read into a value: mended where it was cut inside a character, unescaped for people,
//! and taken apart member by member.
//!
//! [`mended`] takes any bytes. [`members`] and [`elements`] may assume that the text is JSON: what they give of any
//! other text means nothing.

use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The byte order mark, which is skipped where a document begins with one (RFC 8259 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a JSON document: without a byte order mark, and with U+FFFD in place of what is no character, be it
/// bytes that are not UTF-8 or the escape of half a surrogate pair (RFC 8259 8.2). Strict readers would refuse the
/// whole document for one of those. What was well formed stays to the letter.
pub fn mended(document: &[u8]) -> Cow<'_, str> {
    let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
    let mut text = String::from_utf8_lossy(document);
    let halves: Vec<usize> = escapes(&text)
        .filter(|(_, escape)| matches!(escape, Escape::Unit(0xd800..=0xdfff)))
        .map(|(at, _)| at)
        .collect();
    for at in halves {
        text.to_mut().replace_range(at..at + 6, "\\ufffd");
    }
    text
}

/// JSON text as people read it. Escapes that PHP writes and that need not be, of slashes and of characters beyond
/// ASCII, give way to the characters themselves; what has to be escaped in JSON stays so.
pub fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut end = 0;
    for (at, escape) in escapes(text) {
        let character = match escape {
            Escape::Slash => Some('/'),
            Escape::Unit(unit) => char::from_u32(unit.into()).filter(|c| !c.is_ascii() && !c.is_control()),
            Escape::Pair(character) => Some(character),
            Escape::Other(_) => None,
        };
        if let Some(character) = character {
            plain.push_str(&text[end..at]);
            plain.push(character);
            end = at + escape.length();
        }
    }
    plain + &text[end..]
}

/// The members of an object, each value as it is written, so that one which cannot be read into a value costs no other.
/// Of a name that comes twice, the last one counts. None where the text is no object.
pub fn members(text: &str) -> Option<BTreeMap<String, &str>> {
    let parts = parts(text, '{', '}')?;
    let (pairs, _) = parts.as_chunks::<2>();
    let named = pairs
        .iter()
        .map(|[name, value]| Some((serde_json::from_slice(name.as_bytes()).ok()?, *value)));
    named.collect()
}

/// The elements of a list, each as it is written. None where the text is no list.
pub fn elements(text: &str) -> Option<Vec<&str>> {
    parts(text, '[', ']')
}

/// The parts of what stands between two brackets, each as it is written: of an object its names and values in turns.
fn parts(text: &str, open: char, close: char) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start().strip_prefix(open)?.trim_start();
    while !rest.starts_with(close) {
        let mut values = serde_json::Deserializer::from_slice(rest.as_bytes()).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let (part, after) = rest.split_at(values.byte_offset());
        parts.push(part);
        let after = after.trim_start();
        rest = after.strip_prefix([',', ':']).unwrap_or(after).trim_start();
    }
    Some(parts)
}

/// An escape of JSON (RFC 8259 7).
enum Escape {
    /// `\/`
    Slash,
    /// `\u` and a unit of UTF-16 that makes no pair with the next one.
    Unit(u16),
    /// Two such units, the halves of a surrogate pair, that are one character.
    Pair(char),
    /// Any other escape, so many bytes long: a backslash and the character behind it, also where that is another
    /// backslash.
    Other(usize),
}

impl Escape {
    fn of(text: &str) -> Escape {
        match (unit(text), text.get(6..).and_then(unit)) {
            (Some(first), second) => match second.and_then(|second| pair(first, second)) {
                Some(character) => Escape::Pair(character),
                None => Escape::Unit(first),
            },
            _ if text.starts_with("\\/") => Escape::Slash,
            _ => Escape::Other(text.chars().take(2).map(char::len_utf8).sum()),
        }
    }

    /// The length of the escape in bytes.
    fn length(&self) -> usize {
        match self {
            Escape::Slash => 2,
            Escape::Unit(_) => 6,
            Escape::Pair(_) => 12,
            Escape::Other(length) => *length,
        }
    }
}

/// The escapes of a text, each with the byte at which it begins.
fn escapes(text: &str) -> impl Iterator<Item = (usize, Escape)> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let at = end + text[end..].find('\\')?;
        let escape = Escape::of(&text[at..]);
        end = at + escape.length();
        Some((at, escape))
    })
}

/// The UTF-16 unit with whose escape a text begins.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// The character that two UTF-16 units are together, if they are a surrogate pair.
fn pair(first: u16, second: u16) -> Option<char> {
    let is_pair = matches!(first, 0xd800..=0xdbff) && matches!(second, 0xdc00..=0xdfff);
    let mut characters = char::decode_utf16(is_pair.then_some([first, second])?);
    characters.next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// A text as PHP writes it: everything beyond ASCII as an escape.
    fn escaped(text: &str, is_upper: bool) -> String {
        let mut json = String::from("\"");
        for unit in text.encode_utf16() {
            match char::from_u32(unit.into()) {
                Some(c @ ('"' | '\\' | '/')) => json.extend(['\\', c]),
                Some(c @ ' '..='~') => json.push(c),
                _ if is_upper => json.push_str(&format!("\\u{unit:04X}")),
                _ => json.push_str(&format!("\\u{unit:04x}")),
            }
        }
        json + "\""
    }

    proptest! {
        #[test]
        fn text_that_is_well_formed_stays_to_the_letter(text in any::<String>(), is_upper: bool) {
            for json in [escaped(&text, is_upper), Value::from(text.as_str()).to_string()] {
                prop_assert!(matches!(mended(json.as_bytes()), Cow::Borrowed(mended) if mended == json));
            }
        }

        #[test]
        fn text_cut_between_any_two_escapes_is_read(text in "[a-z\\\\\"\u{e9}\u{1f600}-\u{1f64f}]{1,12}", at: prop::sample::Index, rest in any::<String>(), is_upper: bool) {
            let units: Vec<u16> = text.encode_utf16().collect();
            let at = at.index(units.len() + 1);
            let cut = |units: &[u16]| {
                let units: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                if is_upper { units.to_uppercase().replace("\\U", "\\u") } else { units }
            };
            let rest = escaped(&rest, is_upper);
            // What follows the cut: nothing, more text, and text that begins with the other half.
            for (json, halves) in [
                (format!("[\"{}\", {rest}]", cut(&units[..at])), &units[..at]),
                (format!("[\"{}\", {rest}]", cut(&units[at..])), &units[at..]),
            ] {
                let read: Vec<String> = serde_json::from_str(&mended(json.as_bytes())).expect("JSON");
                prop_assert_eq!(&read[0], &String::from_utf16_lossy(halves));
            }
        }

        #[test]
        fn bytes_cut_anywhere_inside_a_text_are_read(text in "\\PC{1,20}", at: prop::sample::Index) {
            let text = text.replace(['"', '\\'], "x");
            let at = at.index(text.len() + 1);
            let json = [b"\xef\xbb\xbf{\"text\":\"", &text.as_bytes()[..at], b"\"}"].concat();
            let read: Value = serde_json::from_str(&mended(&json)).expect("JSON");
            let expected = String::from_utf8_lossy(&text.as_bytes()[..at]).into_owned();
            prop_assert_eq!(read["text"].as_str(), Some(expected.as_str()));
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(prop_oneof![Just(b'\\'), Just(b'u'), Just(b'd'), Just(b'8'), any::<u8>()], 0..40)) {
            mended(&bytes);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_is_taken_apart_and_nothing_of_it_is_lost(value in any_json(), is_pretty: bool) {
            let json = if is_pretty { serde_json::to_string_pretty(&value).expect("JSON") } else { value.to_string() };
            let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            let members = members(&json).map(|members| members.into_iter().map(|(name, value)| (name, read(value))).collect());
            let elements = elements(&json).map(|elements| elements.into_iter().map(read).collect());
            prop_assert_eq!(members.map(Value::Object), value.is_object().then(|| read(&json)));
            prop_assert_eq!(elements.map(Value::Array), value.is_array().then(|| read(&json)));
        }

        #[test]
        fn any_text_is_taken_apart_or_not(text in "[\\[\\]{}:,\"a1\\\\ ]{0,40}") {
            members(&text);
            elements(&text);
        }
    }

    #[test]
    fn a_backslash_of_the_text_itself_begins_no_escape() {
        for json in [
            r#""\\ud83d""#,
            r#""\\\\ud83d""#,
            r#""\ud83d\ude00""#,
            r#""\uD83D\uDE00""#,
        ] {
            assert_eq!(mended(json.as_bytes()), json);
        }
        for (json, expected) in [
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#""\uDBFFx""#, r#""\ufffdx""#),
        ] {
            assert_eq!(mended(json.as_bytes()), expected, "{json}");
        }
    }
}
