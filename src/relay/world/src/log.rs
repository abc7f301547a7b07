//! Log lines, for people and for whatever gathers logs.
//!
//! Each is one JSON object that says when it was written, what it tells of, and whether that went well; a member that
//! is null is left out. What may not be told must be gone from the fields before: nothing is blanked here.

use crate::host::{Clock, Log};
use model::time;
use serde_json::{Map, Value, json};

/// Which log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// One line per delivery, per call and per tick.
    All,
    /// Only what failed.
    Failures,
}

/// Writes a line: `fields` is a JSON object. At level `failures` only lines that are told to be failures are written.
pub fn write<H: Log + Clock>(host: &H, level: LogLevel, what: &str, failed: bool, fields: Value) {
    if level == LogLevel::Failures && !failed {
        return;
    }
    let mut line = Map::new();
    line.insert("at".to_owned(), json!(time::text(host.now_ms() / 1000)));
    line.insert("log".to_owned(), json!(what));
    line.insert("ok".to_owned(), json!(!failed));
    if let Value::Object(fields) = fields {
        line.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    }
    host.line(&plain(&Value::Object(line).to_string()));
}

/// A JSON text in which whatever a terminal would obey, and does not show, is escaped: control characters, such as turn
/// the direction of text, and separators of lines.
fn plain(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{7f}'..='\u{9f}' => {
                plain.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => plain.push(character),
        }
    }
    plain
}

/// As much of a text as is kept, in bytes.
pub fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_same_and_holds_nothing_that_a_terminal_obeys() {
        let text = "a\u{202e}b\u{2066}c\u{2028}d\u{9b}e\u{7f}f\u{1b}g\u{200f}é\"\\ÿ";
        let line = plain(&json!({ "code": text }).to_string());
        assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["code"], text);
        let shown: String = line.chars().filter(|character| !character.is_ascii_graphic()).collect();
        assert_eq!(shown, "éÿ");
    }
}
