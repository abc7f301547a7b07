//! The PIM's ways of writing a moment, read as seconds since the Unix epoch.

use ::time::OffsetDateTime;
use ::time::format_description::well_known::{Rfc2822, Rfc3339};
use serde_json::Value;

/// How far clocks are taken to differ at most, of hosts and of the PIM, in seconds.
pub(crate) const CLOCKS_S: u64 = 600;

/// The latest moment that a key holds, in seconds since the Unix epoch: ten digits.
pub const LATEST_S: u64 = 9_999_999_999;

/// Reads RFC 3339, which is all that Akeneo writes outside delta events.
pub fn parse(text: &str) -> Option<u64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(u64::try_from(moment.unix_timestamp()).unwrap_or(0).min(LATEST_S))
}

/// Reads a date of a header that says its zone, as mail has it (RFC 2822), or a moment of RFC 3339.
pub(crate) fn parse_date(text: &str) -> Option<u64> {
    match OffsetDateTime::parse(text, &Rfc2822) {
        Ok(moment) => u64::try_from(moment.unix_timestamp()).ok(),
        Err(_) => parse(text),
    }
}

/// Reads `updated` in any of its forms: text, or the object of delta events (contract 3.5), which says its zone.
pub fn parse_value(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => parse(text),
        Value::Object(object) => {
            let utc = object
                .get("timezone")
                .and_then(Value::as_str)
                .is_none_or(|zone| zone == "UTC" || zone == "+00:00");
            let (day, hour) = object.get("date")?.as_str()?.split_once(' ')?;
            utc.then(|| parse(&format!("{day}T{hour}Z")))?
        }
        _ => None,
    }
}

/// The offset from UTC that a moment was written with, in seconds; none for what is no moment.
pub fn offset_s(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(moment.offset().whole_seconds().into())
}

/// A moment as the filters on products and models take it, without a zone (contract 4.5): the digits of a clock that
/// shows UTC.
pub fn filter_text(seconds: u64) -> String {
    text(seconds).replace('T', " ").replace('Z', "")
}

/// A moment as people and JSON read it: RFC 3339 in UTC, to the second.
pub fn text(seconds: u64) -> String {
    let clamped = i64::try_from(seconds.min(LATEST_S)).unwrap_or_default();
    let moment = OffsetDateTime::from_unix_timestamp(clamped).ok();
    moment
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_is_read() {
        assert_eq!(parse("2024-10-14T13:01:21Z"), Some(1_728_910_881));
        assert_eq!(parse("2024-10-14T15:01:21+02:00"), Some(1_728_910_881));
        assert_eq!(parse("2024-10-14T13:01:21.123456789+00:00"), Some(1_728_910_881));
        let delta = json!({"date": "2024-10-14 13:01:21.000000", "timezone": "UTC"});
        assert_eq!(parse_value(&delta), Some(1_728_910_881));
        for nothing in [
            json!(null),
            json!(17),
            json!("soon"),
            json!({"date": 1}),
            json!({"date": "2024-10-14", "timezone": "Mars"}),
        ] {
            assert_eq!(parse_value(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_moment_outside_the_keys_reach_is_clamped() {
        assert_eq!(parse("1815-12-10T00:00:00Z"), Some(0));
        assert_eq!(parse("9998-12-10T00:00:00Z"), Some(LATEST_S));
    }

    #[test]
    fn an_offset_is_read() {
        assert_eq!(offset_s("2024-10-14T15:01:21+02:00"), Some(7200));
        assert_eq!(offset_s("2024-10-14T15:01:21-05:30"), Some(-19_800));
        assert_eq!(offset_s("2024-10-14T15:01:21Z"), Some(0));
        assert_eq!(offset_s("yesterday"), None);
    }

    #[test]
    fn a_filter_takes_no_zone() {
        assert_eq!(filter_text(1_728_910_881), "2024-10-14 13:01:21");
    }
}
