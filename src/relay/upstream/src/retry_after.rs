//! When to come back, as an upstream says it: by the header `Retry-After`, and by statuses that may pass.
//!
//! A wait is understood in every form that servers send, and is a day at most. Text that makes no sense asks for none.

use http::StatusCode;
use model::failure::Class;
use model::time::{self};
use queue::retry::WAIT_MAX_S;

/// How long a `Retry-After` asks to wait, in seconds: it comes as seconds, with or without a fraction, or as a date
/// (RFC 9110), also with an offset in place of GMT. A day at most; a moment that is past asks for nothing.
pub fn retry_after_s(value: &str, now_ms: u64) -> Option<u64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        // `NaN`, and a number larger than any, stand for a wait without an end, of which a day is kept to.
        let seconds = if seconds.is_nan() {
            WAIT_MAX_S as f64
        } else {
            seconds.ceil().clamp(0.0, WAIT_MAX_S as f64)
        };
        return Some(seconds as u64);
    }
    let date_s = match httpdate::parse_http_date(value) {
        Ok(date) => date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs(),
        Err(_) => time::parse_date(value)?,
    };
    Some(date_s.saturating_sub(now_ms / 1000).min(WAIT_MAX_S))
}

/// The class of a status that any upstream may answer: 408, 429 and 5xx may pass.
pub fn transient(status: StatusCode) -> Option<Class> {
    let passes = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    passes.then_some(Class::Transient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_both_forms() {
        assert_eq!(retry_after_s("30", 0), Some(30));
        assert_eq!(retry_after_s("7200", 0), Some(7200));
        assert_eq!(retry_after_s("864000", 0), Some(86_400));
        assert_eq!(retry_after_s("Thu, 01 Jan 1970 00:02:00 GMT", 60_000), Some(60));
        assert_eq!(retry_after_s("Thu, 01 Jan 1970 00:02:00 GMT", 600_000), Some(0));
        assert_eq!(retry_after_s("soon", 0), None);
        for (text, seconds) in [("2.0", 2), ("0.2", 1), ("-5", 0), (" 7 ", 7), ("1e99", 86_400)] {
            assert_eq!(retry_after_s(text, 0), Some(seconds), "{text}");
        }
        for text in [
            "Thu, 01 Jan 1970 00:02:00 +0000",
            "Thu, 01 Jan 1970 02:02:00 +0200",
            "1970-01-01T00:02:00Z",
        ] {
            assert_eq!(retry_after_s(text, 60_000), Some(60), "{text}");
        }
    }
}
