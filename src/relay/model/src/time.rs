//! Moments as the PIM and its senders write them, read as seconds since the Unix epoch.
//!
//! A text that names no offset from UTC is no moment here, for nobody knows which clock it is of. Fractions of a second
//! are read and dropped. How far clocks may differ is said here, too.

use ::time::OffsetDateTime;
use ::time::format_description::well_known::{Iso8601, Rfc2822, Rfc3339};
use serde_json::Value;

/// By how much the clocks of hosts and of the PIM are taken to differ as a rule, in seconds. A kept moment that lies
/// further ahead, beyond the wait that it stands for, is of a clock that was wrong.
pub const CLOCKS_S: u64 = 600;

/// By how much the clocks of hosts may differ at most, in seconds, where more depends on it: what one of them wrote may
/// lie this far ahead of another one's now and still be right.
pub const SKEW_S: u64 = 3600;

/// The latest moment that a key holds, in seconds since the Unix epoch: ten digits.
pub const LATEST_S: u64 = 9_999_999_999;

/// How many digits of a fraction of a second the library reads.
const FRACTION_DIGITS: usize = 9;

/// Reads a moment in any form of ISO 8601 that names a time of day and an offset, in seconds since the Unix epoch.
/// Akeneo writes RFC 3339 (contract 2.1, 3.1), and PHP what it is told to: offsets without a colon, a space in place of
/// the `T`. A moment before the epoch is taken for 0, and one after [`LATEST_S`] for that.
pub fn parse(text: &str) -> Option<u64> {
    let moment = moment(text)?;
    Some(u64::try_from(moment.unix_timestamp()).unwrap_or(0).min(LATEST_S))
}

/// Reads a date that says its zone, as headers of HTTP and mail have it (RFC 2822), or a moment as [`parse`] does, in
/// seconds since the Unix epoch. A date before the epoch is none.
pub fn parse_date(text: &str) -> Option<u64> {
    match OffsetDateTime::parse(text, &Rfc2822) {
        Ok(moment) => u64::try_from(moment.unix_timestamp()).ok(),
        Err(_) => parse(text),
    }
}

/// The moment that a text names, with spaces, small letters and long fractions put as the library reads them.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let mut plain = String::new();
    let mut fraction = None;
    for c in text.trim().chars() {
        match c {
            ' ' if !plain.contains('T') => plain.push('T'),
            ' ' => {}
            '.' | ',' => {
                fraction = Some(FRACTION_DIGITS);
                plain.push('.');
            }
            '0'..='9' => {
                if fraction != Some(0) {
                    plain.push(c);
                }
                fraction = fraction.map(|left: usize| left.saturating_sub(1));
            }
            _ => {
                fraction = None;
                plain.push(c.to_ascii_uppercase());
            }
        }
    }
    OffsetDateTime::parse(&plain, &Iso8601::PARSING).ok()
}

/// Reads `updated` in any of its forms, in seconds since the Unix epoch: a text, or the object of delta events
/// (contract 3.5), whose date is of its `timezone`, or of UTC without one.
pub fn parse_value(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => parse(text),
        Value::Object(object) => {
            // Of zones only UTC is known by its name; another one has to be an offset, as PHP writes it.
            let zone = match object.get("timezone").and_then(Value::as_str) {
                None | Some("UTC") => "Z",
                Some(zone) => zone,
            };
            parse(&format!("{}{zone}", object.get("date")?.as_str()?))
        }
        _ => None,
    }
}

/// The offset from UTC with which a moment was written, in seconds; none for what is no moment.
pub fn offset_s(text: &str) -> Option<i64> {
    Some(moment(text)?.offset().whole_seconds().into())
}

/// A moment in seconds since the Unix epoch, as the filters on products and models take it, without a zone (contract
/// 4.5): the digits of a clock that shows UTC.
pub fn filter_text(seconds: u64) -> String {
    text(seconds).replace('T', " ").replace('Z', "")
}

/// A moment in seconds since the Unix epoch, as people and JSON read it: RFC 3339 in UTC, to the second, up to
/// [`LATEST_S`].
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
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_form_is_read() {
        for text in [
            "2024-10-14T13:01:21Z",
            "2024-10-14T13:01:21z",
            "2024-10-14t13:01:21Z",
            "2024-10-14 13:01:21Z",
            " 2024-10-14 13:01:21 +00:00\n",
            "2024-10-14T15:01:21+02:00",
            "2024-10-14T15:01:21+0200",
            "2024-10-14T15:01:21+02",
            "2024-10-14 07:31:21 -0530",
            "20241014T150121+0200",
            "20241014T130121Z",
            "2024-10-14T13:01:21.1Z",
            "2024-10-14T13:01:21,123456+0000",
            "2024-10-14T13:01:21.123456789+00:00",
            "2024-10-14T15:01:21.99999999999999999999+02",
        ] {
            assert_eq!(parse(text), Some(1_728_910_881), "{text}");
        }
        for nothing in [
            "",
            "soon",
            "17",
            "2024-10-14",
            "2024-10-14T13:01:21",
            "2024-13-14T13:01:21Z",
            "T.,",
            "+02:00",
        ] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_is_the_same_in_every_offset_and_precision(
            seconds in 0..LATEST_S / 2,
            quarters in -56..57_i32,
            fraction in "([.,][0-9]{1,40})?",
            form in 0..6_usize,
        ) {
            let offset = ::time::UtcOffset::from_whole_seconds(quarters * 900).expect("an offset");
            let moment = OffsetDateTime::from_unix_timestamp(seconds as i64).expect("a moment").to_offset(offset);
            let text = moment.format(&Rfc3339).expect("a text");
            let (digits, zone) = text.split_at(19);
            let zone = match form {
                0 | 1 => zone.to_owned(),
                2 => zone.to_lowercase(),
                3 | 4 => zone.replace(':', ""),
                _ => format!(" {zone}"),
            };
            let digits = if form % 2 == 0 { digits.to_owned() } else { digits.replace('T', " ") };
            prop_assert_eq!(parse(&format!("{digits}{fraction}{zone}")), Some(seconds));
            let basic = format!("{}{fraction}{}", digits.replace(['-', ':'], ""), zone.replace(':', ""));
            prop_assert_eq!(parse(&basic), Some(seconds), "{}", basic);
        }

        #[test]
        fn any_text_is_read_or_not(text in any::<String>(), near in "[0-9TZtz:+., -]{0,40}") {
            parse(&text);
            parse(&near);
        }
    }

    #[test]
    fn the_object_of_delta_events_is_read_with_its_zone() {
        for (date, zone) in [
            ("2024-10-14 13:01:21.000000", json!("UTC")),
            ("2024-10-14 13:01:21.000000", json!("Z")),
            ("2024-10-14 15:01:21.000000", json!("+02:00")),
            ("2024-10-14 07:31:21", json!("-05:30")),
            ("2024-10-14 13:01:21.5", json!(null)),
        ] {
            assert_eq!(
                parse_value(&json!({ "date": date, "timezone": zone })),
                Some(1_728_910_881),
                "{zone}"
            );
        }
        assert_eq!(parse_value(&json!("2024-10-14T13:01:21Z")), Some(1_728_910_881));
        for nothing in [
            json!(null),
            json!(17),
            json!("soon"),
            json!({"date": 1}),
            json!({"date": "2024-10-14 13:01:21", "timezone": "Europe/Paris"}),
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
