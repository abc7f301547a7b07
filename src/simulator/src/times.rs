//! Times as they stand in bodies, filters and headers. Inside, a time is always Unix milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// The real clock, in Unix milliseconds. The pure parts never call it: time is handed to them.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn zoned(ms: u64, offset_minutes: i32) -> Zoned {
    let timestamp = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.unwrap_or(Timestamp::MAX).to_zoned(zone(offset_minutes))
}

fn zone(offset_minutes: i32) -> TimeZone {
    TimeZone::fixed(Offset::from_seconds(offset_minutes * 60).unwrap_or(Offset::UTC))
}

/// ISO 8601 with an offset, to the second: the form of `created` and `updated` (contract 4.6).
pub fn iso(ms: u64, offset_minutes: i32) -> String {
    zoned(ms, offset_minutes).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// RFC 3339 in UTC with a `Z`: the form of a CloudEvent's `time` (contract 3.1).
pub fn rfc3339(ms: u64) -> String {
    zoned(ms, 0).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The object a delta event carries as `updated_at` is built from this: no `T`, microseconds, no zone (contract 3.5).
pub fn php_date(ms: u64) -> String {
    zoned(ms, 0).strftime("%Y-%m-%d %H:%M:%S.000000").to_string()
}

/// The form of an HTTP `Date` header.
pub fn http_date(ms: u64) -> String {
    zoned(ms, 0).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Reads a filter's `YYYY-MM-DD hh:mm:ss` in the server's zone and returns Unix seconds; `None` for any other
/// form, the ISO one included (contract 4.5).
pub fn parse_filter(text: &str, offset_minutes: i32) -> Option<i64> {
    let shape = "0000-00-00 00:00:00";
    let same_shape = text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(a, b)| if b == b'0' { a.is_ascii_digit() } else { a == b });
    if !same_shape {
        return None;
    }
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    Some(civil.to_zoned(zone(offset_minutes)).ok()?.timestamp().as_second())
}

/// Reads an ISO 8601 time with an offset and returns Unix seconds.
pub fn parse_iso(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(|timestamp| timestamp.as_second())
}

/// Unix seconds of a time in milliseconds: the PIM keeps and compares whole seconds.
pub fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_602_565_368_123;

    #[test]
    fn forms() {
        assert_eq!(iso(MS, 0), "2020-10-13T05:02:48+00:00");
        assert_eq!(iso(MS, 120), "2020-10-13T07:02:48+02:00");
        assert_eq!(rfc3339(MS), "2020-10-13T05:02:48Z");
        assert_eq!(php_date(MS), "2020-10-13 05:02:48.000000");
        assert_eq!(http_date(MS), "Tue, 13 Oct 2020 05:02:48 GMT");
    }

    #[test]
    fn the_filter_takes_only_times_without_a_zone() {
        assert_eq!(parse_filter("2020-10-13 05:02:48", 0), Some(1_602_565_368));
        assert_eq!(parse_filter("2020-10-13 07:02:48", 120), Some(1_602_565_368));
        assert_eq!(parse_filter("2020-10-13T05:02:48Z", 0), None);
        assert_eq!(parse_filter("2020-10-13", 0), None);
        assert_eq!(parse_filter("2020-13-13 05:02:48", 0), None);
        assert_eq!(parse_iso("2020-10-13T07:02:48+02:00"), Some(1_602_565_368));
    }
}
