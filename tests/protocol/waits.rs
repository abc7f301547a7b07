//! When to come back.

use super::any::any_json;
use super::recipe::header_value;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::json;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use protocol::limits::Limits;
use serde_json::json;
use shape::Shape;
use std::time::{Duration, UNIX_EPOCH};

/// The longest wait that is heeded, in seconds.
const DAY_S: u64 = 86_400;

const NOW_MS: u64 = 1_800_000_000_000;

fn limits(document: &str) -> Limits {
    Shape::read(&format!("{{\"limits\": {document}}}")).unwrap().limits
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::try_from(*value).unwrap(),
        )
    };
    pairs.iter().map(pair).collect()
}

proptest! {
    /// Whatever stands in headers and body, nobody waits longer than a day, and an answer that neither turns a call away
    /// nor says that none is left asks for nothing.
    #[test]
    fn a_wait_has_an_end(
        unit in select(&["seconds", "milliseconds", "moment"][..]),
        by_body: bool,
        is_standard: bool,
        told in vec((select(&["x-reset", "x-left", "ratelimit", "ratelimit-policy"][..]), header_value()), 0..6),
        body in any_json(),
        now_ms in prop_oneof![Just(NOW_MS), any::<u64>()],
        turns_away: bool,
    ) {
        let reset = if by_body { json!({ "at": "/reset", "unit": unit }) } else { json!({ "header": "X-Reset", "unit": unit }) };
        let limits = limits(&json!({ "reset": reset, "left": "X-Left", "ratelimit": is_standard }).to_string());
        let mut headers = HeaderMap::new();
        for (name, value) in &told {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(*name, value);
            }
        }
        let body = json!({ "reset": body });
        for body in [Some(&body), None] {
            let wait_s = limits.seconds(turns_away, &headers, body, now_ms);
            prop_assert_eq!(wait_s, limits.seconds(turns_away, &headers, body, now_ms));
            prop_assert!(wait_s.is_none_or(|wait_s| wait_s <= DAY_S), "{:?}", wait_s);
            let says_left = headers.contains_key("x-left") || (is_standard && headers.contains_key("ratelimit"));
            prop_assert!(turns_away || says_left || wait_s.is_none(), "{:?}", wait_s);
        }
    }

    /// The same wait in every unit, in a header and in a body, as a number and as a text.
    #[test]
    fn a_wait_is_one_in_every_unit(wait_s in 0..200_000_u64, late_ms in 0..1000_u64) {
        // A part of a second is waited for, too.
        let (now_ms, whole_s) = (NOW_MS + 1000 - late_ms.max(1), wait_s.min(DAY_S));
        let until_s = NOW_MS / 1000 + 1 + wait_s;
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(until_s));
        let of_moment = (wait_s + 1).min(DAY_S);
        for (unit, told, expected) in [
            ("seconds", wait_s.to_string(), whole_s),
            ("milliseconds", (wait_s * 1000).to_string(), whole_s),
            ("moment", until_s.to_string(), of_moment),
            ("moment", (until_s * 1000).to_string(), of_moment),
            ("moment", date, of_moment),
        ] {
            let of_header = limits(&format!(r#"{{"reset": {{"header": "X-Reset", "unit": "{unit}"}}}}"#));
            let of_body = limits(&format!(r#"{{"reset": {{"at": "/reset", "unit": "{unit}"}}}}"#));
            let in_header = headers(&[("x-reset", &told)]);
            let mut waits = vec![of_header.seconds(true, &in_header, None, now_ms)];
            let as_text = json!({ "reset": told });
            waits.push(of_body.seconds(true, &HeaderMap::new(), Some(&as_text), now_ms));
            if told.bytes().all(|byte| byte.is_ascii_digit()) {
                // As somebody may write it whose language knows no whole numbers.
                for number in [told.clone(), format!("{told}.0"), format!("{told}.000"), format!("{told}.0e0")] {
                    let as_number = json::read(format!("{{\"reset\":{number}}}").as_bytes()).unwrap().value;
                    waits.push(of_body.seconds(true, &HeaderMap::new(), Some(&as_number), now_ms));
                }
            }
            prop_assert!(waits.iter().all(|wait| *wait == Some(expected)), "{}: {:?}, and not {}", told, waits, expected);
        }
    }

    /// Of several policies the one with the least left counts; a good answer asks to wait only where none is left.
    #[test]
    fn the_header_of_the_draft_is_read_in_both_its_forms(policies in vec((0..3_u64, 0..200_000_u64, any::<bool>()), 1..5), is_split: bool) {
        let limits = limits(r#"{"ratelimit": true}"#);
        let item = |(at, (left, reset_s, by_window)): (usize, &(u64, u64, bool))| match by_window {
            true => (format!("\"p{at}\";r={left}"), format!("\"p{at}\";q=9;w={reset_s}")),
            false => (format!("\"p{at}\"; r={left}; t={reset_s}"), format!("\"p{at}\";q=9")),
        };
        let (told, windows): (Vec<String>, Vec<String>) = policies.iter().enumerate().map(item).unzip();
        let mut headers = HeaderMap::new();
        for (name, items) in [("ratelimit", &told), ("ratelimit-policy", &windows)] {
            // A list may come in several lines (RFC 9110, section 5.3).
            let lines = if is_split { items.clone() } else { vec![items.join(", ")] };
            for line in lines {
                headers.append(name, HeaderValue::try_from(line).unwrap());
            }
        }
        let least = policies.iter().map(|(left, ..)| *left).min().unwrap();
        let of_least = policies.iter().filter(|(left, ..)| *left == least).map(|(_, reset_s, _)| (*reset_s).min(DAY_S)).max();
        prop_assert_eq!(limits.seconds(true, &headers, None, NOW_MS), of_least);
        prop_assert_eq!(limits.seconds(false, &headers, None, NOW_MS), of_least.filter(|_| least == 0));
        let (left, reset_s, _) = policies[0];
        let older = self::headers(&[("ratelimit", &format!("limit=9, remaining={left}, reset={reset_s}"))]);
        prop_assert_eq!(limits.seconds(true, &older, None, NOW_MS), Some(reset_s.min(DAY_S)));
        prop_assert_eq!(limits.seconds(false, &older, None, NOW_MS), Some(reset_s.min(DAY_S)).filter(|_| left == 0));
    }
}

/// Every item is compared with every policy: only so many are that the work has a bound.
#[test]
fn of_a_header_without_end_the_beginning_counts() {
    let limits = limits(r#"{"ratelimit": true}"#);
    let told = format!("\"a\";r=0;t=5{}, \"z\";r=0;t=9", ", \"b\";r=1".repeat(50_000));
    let policies = "\"c\";w=9, ".repeat(50_000);
    let headers = headers(&[("ratelimit", &told), ("ratelimit-policy", &policies)]);
    assert_eq!(limits.seconds(false, &headers, None, NOW_MS), Some(5));
}
