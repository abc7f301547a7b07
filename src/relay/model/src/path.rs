//! Codes in the paths of requests, and parameters in their queries.
//!
//! A code is encoded so that no character of it means anything in a path or a query. The codes `.` and `..` stay as
//! they are, and a server may take them for a step, so they are no codes that a path should have.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that stand unencoded in a segment of a path (RFC 3986, unreserved), beside letters and digits.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A code as a segment of a path, or as a value in a query or a form.
pub fn path_segment(code: &str) -> String {
    utf8_percent_encode(code, UNRESERVED).to_string()
}

/// The value of a parameter of a query, encoded as it is there. Of a name that comes twice, the first counts.
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}
