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
    host.line(&Value::Object(line).to_string());
}

/// As much of a text as is kept, in bytes.
pub fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
