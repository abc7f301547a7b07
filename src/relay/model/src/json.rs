//! JSON as upstreams write it, PHP above all: read where its meaning is clear, and numbers to the last digit.
//!
//! A number that the library would not write as it was read stands in the [`Value`] as a text, behind a mark that no
//! other text has; [`write`] makes a number of it again. So whoever meets a text in such a value asks [`written`]
//! whether it is one. The library could keep digits by a feature of its own, but that adds more code than all of this
//! to every component, and mistakes some forms of records for others. What is no Unicode in a text spoils that text
//! alone.

use serde_json::{Number, Value};
use std::borrow::Cow;

/// The byte order mark that some servers send before a document.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Stands in a text for what is no Unicode: half of a surrogate pair, bytes that are not UTF-8, and U+FFFE and U+FFFF,
/// which are no characters (Unicode 23.7), so that they can be marks here.
const DAMAGE: &str = "\u{fffd}\u{ffff}";

/// Stands in a text before the digits of a number.
const NUMBER: char = '\u{fffe}';

/// The most digits with which any whole number fits into 64 bits that have a sign.
const PLAIN_DIGITS: usize = 18;

/// A document that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What the document says. Of a member that is named twice, the last one counts.
    pub value: Value,
    /// Whether any of its texts had something in it that is no Unicode. [`is_damaged`] tells of each value.
    pub is_damaged: bool,
}

/// Reads a document; none if it is not JSON. What is no Unicode in one of its texts damages that text alone.
pub fn read(text: &[u8]) -> Option<Document> {
    let mut text = text;
    while let Some(rest) = text.strip_prefix(BYTE_ORDER_MARK) {
        text = rest;
    }
    let (text, is_damaged) = marked(text);
    let value = serde_json::from_slice(&text).ok()?;
    Some(Document { value, is_damaged })
}

/// About how much memory a value takes beside its text, in bytes. An object takes a node of eleven members however few
/// it has.
const VALUE: usize = 64;
const LIST: usize = 128;
const OBJECT: usize = 640;

/// About how much memory the tree of a document takes beside its texts, in bytes, told without making that tree: what is
/// short as a text may be a hundred times as large as a tree.
pub fn weight(text: &[u8]) -> usize {
    let (mut weight, mut is_in_text, mut is_escaped) = (0, false, false);
    for byte in text {
        weight += match byte {
            _ if std::mem::take(&mut is_escaped) => 0,
            b'\\' if is_in_text => {
                is_escaped = true;
                0
            }
            b'"' => {
                is_in_text = !is_in_text;
                0
            }
            _ if is_in_text => 0,
            b'{' => OBJECT,
            b'[' => LIST,
            b',' | b':' => VALUE,
            _ => 0,
        };
    }
    weight
}

/// About how much memory a value takes, its texts included, in bytes.
pub fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => VALUE + text.len(),
        Value::Array(list) => LIST + list.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| VALUE + name.len() + size(value));
            OBJECT + members.sum::<usize>()
        }
        _ => VALUE,
    }
}

/// The text of a document that was read, with its numbers as they were written.
pub fn write(value: &Value) -> String {
    unmarked(&value.to_string())
}

/// The text of a document as the library writes it, with numbers in place of the marked texts.
pub fn unmarked(text: &str) -> String {
    let mut pieces = text.split("\"\u{fffe}");
    let mut written = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_once('"').unwrap_or((piece, ""));
        written.push_str(digits);
        written.push_str(rest);
    }
    written
}

/// The digits of a number as they were written, if the value is a number that the library would not write so.
pub fn written(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix(NUMBER)
}

/// The value that stands for a number which is written like this.
pub fn number_of(digits: &str) -> Value {
    Value::String(format!("{NUMBER}{digits}"))
}

/// The number that a value is, as near as 64 bits or a double come to it; none where it is larger than any double.
pub fn number(value: &Value) -> Option<Number> {
    match (value, written(value)) {
        (Value::Number(number), _) => Some(number.clone()),
        (_, Some(digits)) => read_number(digits),
        _ => None,
    }
}

/// The number that the library reads out of a text. It is read into a [`Value`], as everything is, so that the
/// components have one such code.
pub fn read_number(digits: &str) -> Option<Number> {
    match serde_json::from_slice(digits.as_bytes()).ok()? {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// A document as people are shown it: U+FFFD stands in place of what is no Unicode.
pub fn shown(value: &Value) -> String {
    write(value).replace(DAMAGE, "\u{fffd}")
}

/// Whether a value, or anything in it, had something in it that is no Unicode when it was read.
pub fn is_damaged(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(DAMAGE),
        Value::Array(list) => list.iter().any(is_damaged),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains(DAMAGE) || is_damaged(value)),
        _ => false,
    }
}

/// The text of a code that is not empty. PHP writes a code as an integer where it looks like one.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() && !text.starts_with(NUMBER) => Some(Cow::Borrowed(text)),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// A whole number of at least 0, also one that comes as text.
pub fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The elements of a list, in order. PHP writes a list from which elements are missing as an object whose members are
/// named by their numbers.
pub fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        Value::Object(mut members) => {
            let is_numbered = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
            let longest = members.keys().map(String::len).max().unwrap_or(0);
            if !members.keys().all(is_numbered) {
                return None;
            }
            // Members are sorted as texts, and only among numbers of one length that is the order of numbers.
            let mut list = Vec::with_capacity(members.len());
            for length in 1..=longest {
                let of_length = members.iter_mut().filter(|(name, _)| name.len() == length);
                list.extend(of_length.map(|(_, value)| value.take()));
            }
            Some(list)
        }
        _ => None,
    }
}

/// What is written in place of a piece of a document, if anything is.
type Instead = Option<Cow<'static, str>>;

/// A document with marks before numbers whose digits would be lost and in place of what is no Unicode, and with the
/// control characters in its texts escaped, as they should have been; and whether any of its texts is damaged.
fn marked(text: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let (mut written, mut kept) = (Vec::new(), 0);
    let (mut at, mut is_in_text, mut is_damaged) = (0, false, false);
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        let (length, instead): (usize, Instead) = match byte {
            b'"' => {
                is_in_text = !is_in_text;
                (1, None)
            }
            b'-' | b'0'..=b'9' if !is_in_text => digits(rest),
            b'\\' if is_in_text => escape(rest),
            0x80.. if is_in_text => character(rest),
            ..b' ' if is_in_text => (1, Some(format!("\\u{byte:04x}").into())),
            _ => (1, None),
        };
        if let Some(instead) = instead {
            written.extend_from_slice(&text[kept..at]);
            written.extend_from_slice(instead.as_bytes());
            kept = (at + length).min(text.len());
            is_damaged |= instead == DAMAGE;
        }
        at += length;
    }
    if kept == 0 {
        return (Cow::Borrowed(text), false);
    }
    written.extend_from_slice(&text[kept..]);
    (Cow::Owned(written), is_damaged)
}

/// How long the number is with which a text begins, in bytes, and what is written in its place if digits would be lost.
fn digits(text: &[u8]) -> (usize, Instead) {
    let is_of_one = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let length = text.iter().position(|byte| !is_of_one(byte)).unwrap_or(text.len());
    let is_plain = text[0] != b'-' && length <= PLAIN_DIGITS && text[..length].iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(&text[..length]).unwrap_or_default();
    let is_lost = !is_plain && is_number(number) && read_number(number).is_none_or(|read| read.to_string() != number);
    (length, is_lost.then(|| format!("\"{NUMBER}{number}\"").into()))
}

/// Whether a text is a number in JSON (RFC 8259 6), of whatever size.
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    is_digits(whole) && (whole == "0" || !whole.starts_with('0')) && is_digits(fraction) && is_digits(exponent)
}

/// How long the escape is with which a text begins, in bytes, and what is written in its place where it is no
/// character.
fn escape(text: &[u8]) -> (usize, Instead) {
    let is_pair = || {
        let low = text.get(6..).and_then(unit);
        low.is_some_and(|low| (0xdc00..0xe000).contains(&low))
    };
    match unit(text) {
        None => (2, None),
        Some(0xd800..0xdc00) if is_pair() => (12, None),
        Some(0xd800..0xe000 | 0xfffe..) => (6, Some(DAMAGE.into())),
        Some(_) => (6, None),
    }
}

/// The UTF-16 unit with whose escape a text begins.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// How long the character is with which a text begins, in bytes, and what is written in its place where it is none.
fn character(text: &[u8]) -> (usize, Instead) {
    let start = &text[..text.len().min(4)];
    let chunk = start.utf8_chunks().next();
    match chunk.map(|chunk| (chunk.valid().chars().next(), chunk.invalid().len())) {
        Some((Some('\u{fffe}' | '\u{ffff}'), _)) => (3, Some(DAMAGE.into())),
        Some((Some(character), _)) => (character.len_utf8(), None),
        Some((None, length)) => (length.max(1), Some(DAMAGE.into())),
        None => (1, None),
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
        let texts: [&[u8]; 10] = [
            br"\ud83d",
            br"a\udc00b",
            br"\ud83d\ud83d\ude00",
            br"\ud83dx\ude00",
            br"\\\ud83d",
            b"caf\xe9",
            b"\xf0\x9f\x98",
            b"\xed\xa0\xbd",
            b"\xef\xbf\xbe1.50",
            br"\uffff",
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
    fn people_are_shown_what_was_written() {
        let document = read(b"{\"n\":[1.50,\"caf\xe9\"]}").expect("JSON");
        assert_eq!(shown(&document.value), "{\"n\":[1.50,\"caf\u{fffd}\"]}");
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
    fn what_is_small_as_a_text_and_large_as_a_tree_weighs_much() {
        let of = |text: &str, times: usize| weight(format!("[{}1]", text.repeat(times)).as_bytes());
        assert!(of("0,", 1000) > 64_000);
        assert!(of("{},", 1000) > 640_000);
        assert!(of(r#"{"a":0},"#, 1000) > 640_000);
        assert!(of("[],", 1000) > 128_000);
        // Texts weigh what they are long, whatever stands in them.
        assert!(of(r#""{[,:\\\"{[,:","#, 1000) < 70_000);
        let value = json!({ "a": [1, "x".repeat(500), {}], "b": { "c": null } });
        assert!(size(&value) > 500 + 3 * OBJECT && size(&value) > weight(value.to_string().as_bytes()));
    }

    #[test]
    fn numbers_are_written_as_they_were() {
        for number in [
            "0",
            "7",
            "-7",
            "1.50",
            "1.0",
            "1e3",
            "1E+3",
            "-0",
            "0.10",
            "18446744073709551615",
            "18446744073709551616",
            "12345678901234567890123",
            "-12345678901234567890123",
            "117.63331400000000019",
            "1e999",
            "-1.5e-999",
        ] {
            let text = format!("{{\"a\":[{number},\"{number}\"],\"b\":{number}}}");
            let document = read(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert!(!document.is_damaged);
            assert_eq!(write(&document.value), text);
            assert_eq!(write(&json!([document.value["b"]])), format!("[{number}]"));
        }
        for number in [
            "01", "+1", "1.", ".5", "1e", "1e+", "--1", "1.2.3", "-", "1-2", "0x1", "NaN",
        ] {
            assert_eq!(read(format!("[{number}]").as_bytes()), None, "{number}");
            assert!(!is_number(number), "{number}");
        }
        let read = |number: &str| super::read(number.as_bytes()).and_then(|document| super::number(&document.value));
        assert_eq!(read("99.50").and_then(|number| number.as_f64()), Some(99.5));
        assert_eq!((read("7"), read("1e999"), read("\"7\"")), (Some(7.into()), None, None));
        assert_eq!(text(&super::read(b"1.50").expect("a number").value), None);
    }

    #[test]
    fn a_list_with_gaps_keeps_its_order() {
        let holed = json!({ "2": "b", "10": "c", "0": "a" });
        assert_eq!(list(holed), Some(vec![json!("a"), json!("b"), json!("c")]));
        assert_eq!(list(json!({})), Some(vec![]));
        assert_eq!(list(json!({ "0": 1, "a": 2 })), None);
        assert_eq!(list(json!({ "": 1 })), None);
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
            let text = text.replace(['\u{fffe}', '\u{ffff}'], "");
            let texts = json!([text]).to_string();
            let document = read(texts.as_bytes()).expect("JSON");
            prop_assert!(!document.is_damaged && document.value == json!([text]));
            // Another text beside it that is no Unicode changes nothing of this one.
            let other: Vec<u8> = other.into_iter().filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
            let both = [texts.trim_end_matches(']').as_bytes(), b",\"", &other, b"\"]"].concat();
            let document = read(&both).expect("JSON");
            prop_assert_eq!(&document.value[0], &json!(text));
        }

        #[test]
        fn any_number_is_written_as_it_was(number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,9})?", text in "[a-z,:\\]}]{0,6}") {
            let document = format!("{{\"a\":{number},\"b\":[\"{text}\",{number}]}}");
            prop_assert_eq!(read(document.as_bytes()).map(|document| write(&document.value)), Some(document));
        }
    }
}
