//! JSON as PHP's `json_encode` writes it by default: `\/`, and `\uXXXX` for all that is not ASCII (contract 2.2).

use std::fmt::Write;

use serde_json::Value;

/// The bytes of a legacy body.
pub fn encode(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut units = [0; 2];
    // A slash and a character beyond ASCII can only stand inside a string, so the text can be gone through blindly.
    for character in text.chars() {
        match character {
            '/' => out.push_str("\\/"),
            ascii if ascii.is_ascii() => out.push(ascii),
            other => {
                for unit in other.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn escapes_like_php_and_means_the_same() {
        let value = json!({ "a/b": "d'été 🚲 \"\\/" });
        let bytes = encode(&value);
        assert!(bytes.is_ascii());
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains(r"a\/b") && text.contains(r"\u00e9t\u00e9 \ud83d\udeb2"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
