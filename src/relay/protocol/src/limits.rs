//! How a destination tells when to come back, beside `Retry-After`: the members `limits`, and `wait` of a rule.
//! Whatever an answer says, a wait is a day at most, and text that makes no sense asks for none.

use crate::condition::pointer;
use crate::header_name::named;
use crate::place::{at, shown};
use http::{HeaderMap, HeaderName};
use model::document::Node;
use model::number;
use model::time;
use serde_json::Value;
use std::fmt;

/// The longest wait that is heeded, in seconds.
const WAIT_MAX_S: u64 = 86_400;

/// How long is waited where a destination says that no call is left and not until when, in seconds.
const NONE_LEFT_S: u64 = 1;

/// How many items of a header are looked at, each of which can be compared with each of another: more than anybody
/// sends.
const ITEMS_MAX: usize = 32;

/// In what a moment or a span is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    /// A moment: a date, or seconds or milliseconds since the Unix epoch.
    Moment,
}

const UNITS: [(&str, Unit); 3] = [
    ("seconds", Unit::Seconds),
    ("milliseconds", Unit::Milliseconds),
    ("moment", Unit::Moment),
];

/// Where a wait is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    source: Source,
    unit: Unit,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Header(HeaderName),
    Place(Vec<String>),
    Fixed(u64),
}

/// What every answer may tell of limits: the member `limits`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    reset: Option<Wait>,
    /// Where the number of calls that are left stands.
    left: Option<HeaderName>,
    /// Whether the header `RateLimit` of the IETF's draft is heeded.
    is_standard: bool,
}

impl Wait {
    /// Reads where a wait is told.
    pub fn read(node: &Node<'_>) -> Option<Wait> {
        if !node.is_object_of(&["header", "at", "seconds", "unit"]) {
            return None;
        }
        let unit = node.member("unit").and_then(|node| node.choice(&UNITS));
        let source = match (node.member("header"), node.member("at"), node.member("seconds")) {
            (Some(node), None, None) => Source::Header(named(&node)?),
            (None, Some(node), None) => Source::Place(pointer(&node)?),
            (None, None, Some(node)) => {
                let seconds = node.value.as_u64().filter(|seconds| (1..=WAIT_MAX_S).contains(seconds));
                if seconds.is_none() {
                    node.wrong(format!("must be a number of seconds from 1 to {WAIT_MAX_S}"));
                }
                Source::Fixed(seconds?)
            }
            _ => {
                node.wrong("needs one of `header`, `at` and `seconds`: where the wait is told, or how long it is");
                return None;
            }
        };
        Some(Wait {
            source,
            unit: unit.unwrap_or(Unit::Seconds),
        })
    }

    /// Whether the wait is told in bodies.
    pub fn needs_bodies(&self) -> bool {
        matches!(self.source, Source::Place(_))
    }

    /// How long an answer asks to wait, in seconds.
    pub fn seconds(&self, headers: &HeaderMap, body: Option<&Value>, now_ms: u64) -> Option<u64> {
        let text = match &self.source {
            Source::Fixed(seconds) => return Some(*seconds),
            Source::Header(name) => headers.get(name)?.to_str().ok()?.to_owned(),
            Source::Place(place) => number::said(at(body?, place)?)?,
        };
        self.unit.seconds(text.trim(), now_ms)
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Seconds => "in seconds",
            Unit::Milliseconds => "in milliseconds",
            Unit::Moment => "as a moment",
        };
        match &self.source {
            Source::Header(name) => write!(f, "the header {name}, {unit}"),
            Source::Place(place) => write!(f, "{} in the body, {unit}", shown(place)),
            Source::Fixed(1) => write!(f, "1 second"),
            Source::Fixed(seconds) => write!(f, "{seconds} seconds"),
        }
    }
}

impl Unit {
    fn seconds(self, text: &str, now_ms: u64) -> Option<u64> {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let now_s = now_ms as f64 / 1000.0;
        let seconds = match (self, number) {
            (Unit::Seconds, Some(number)) => number,
            (Unit::Milliseconds, Some(number)) => number / 1000.0,
            // No moment of ours lies so far ahead in seconds, and none so far back in milliseconds.
            (Unit::Moment, Some(number)) if number > 1e11 => number / 1000.0 - now_s,
            (Unit::Moment, Some(number)) => number - now_s,
            (Unit::Moment, None) => time::parse_date(text)? as f64 - now_s,
            (_, None) => return None,
        };
        Some(seconds.ceil().clamp(0.0, WAIT_MAX_S as f64) as u64)
    }
}

impl Limits {
    /// Reads the member `limits` of a document.
    pub fn read(node: &Node<'_>) -> Limits {
        if !node.is_object_of(&["reset", "left", "ratelimit"]) {
            return Limits::default();
        }
        Limits {
            reset: node.member("reset").and_then(|node| Wait::read(&node)),
            left: node.member("left").and_then(|node| named(&node)),
            is_standard: node.member("ratelimit").is_some_and(|node| node.flag()),
        }
    }

    /// What tells when to come back, in words.
    pub fn told(&self) -> Vec<String> {
        let mut told = vec!["the header retry-after".to_owned()];
        told.extend(self.reset.iter().map(Wait::to_string));
        if let Some(header) = &self.left {
            told.push(format!("the header {header}: with no call left, none goes before that"));
        }
        if self.is_standard {
            told.push("the headers ratelimit and ratelimit-policy".to_owned());
        }
        told
    }

    /// How long an answer asks to wait, in seconds: where it turns a call away, or says that none is left.
    pub fn seconds(&self, turns_away: bool, headers: &HeaderMap, body: Option<&Value>, now_ms: u64) -> Option<u64> {
        let standard = self.is_standard.then(|| of_standard(headers)).flatten();
        let left = |name| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
        let is_used_up = self.left.as_ref().and_then(left).is_some_and(|left| left < 1.0);
        if !turns_away && !is_used_up {
            return standard.and_then(|(left, reset_s)| (left == 0).then_some(reset_s));
        }
        let reset = self.reset.as_ref();
        let told = reset.and_then(|reset| reset.seconds(headers, body, now_ms));
        let told = told.or(standard.map(|(_, reset_s)| reset_s));
        told.or(is_used_up.then_some(NONE_LEFT_S))
    }
}

/// How many calls are left, and for how many seconds, by the header `RateLimit`: in the forms of
/// draft-ietf-httpapi-ratelimit-headers since its eighth version (`"default";r=0;t=30`, the window in
/// `RateLimit-Policy`) and of the seventh (`limit=100, remaining=0, reset=30`). Of several limits the one with the
/// least left counts.
fn of_standard(headers: &HeaderMap) -> Option<(u64, u64)> {
    // A list may come in several lines (RFC 9110, section 5.3).
    let items = |name: &str| -> Vec<&str> {
        let mut items = Vec::new();
        for line in headers.get_all(name) {
            items.extend(line.to_str().unwrap_or_default().split(','));
        }
        items.truncate(ITEMS_MAX);
        items
    };
    let told = items("ratelimit");
    let of_all = |name: &str| told.iter().find_map(|item| number_in(item, name));
    if let Some(left) = of_all("remaining") {
        return Some((left, of_all("reset").unwrap_or(NONE_LEFT_S).min(WAIT_MAX_S)));
    }
    let policies = items("ratelimit-policy");
    let window = |item: &str| {
        let mut policies = policies.iter().filter(|policy| name_of(policy) == name_of(item));
        policies.find_map(|policy| number_in(policy, "w"))
    };
    let told = told.iter().filter_map(|item| {
        let reset_s = number_in(item, "t").or_else(|| window(item)).unwrap_or(NONE_LEFT_S);
        Some((number_in(item, "r")?, reset_s.min(WAIT_MAX_S)))
    });
    told.min_by_key(|(left, reset_s)| (*left, std::cmp::Reverse(*reset_s)))
}

fn name_of(item: &str) -> &str {
    item.split(';').next().unwrap_or_default().trim()
}

/// The number of this name in an item.
fn number_in(item: &str, name: &str) -> Option<u64> {
    let mut parts = item.split(';').map(str::trim);
    parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::document::Flaws;
    use serde_json::json;

    fn limits(document: &Value) -> Limits {
        let flaws = Flaws::default();
        let limits = Limits::read(&Node::root(document, &flaws));
        assert_eq!(flaws.into_inner(), [], "{document}");
        limits
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().expect("a value"));
        }
        headers
    }

    const NOW_MS: u64 = 1_800_000_000_000;

    #[test]
    fn a_reset_is_read_in_every_unit() {
        for (unit, told, seconds) in [
            ("seconds", "30", Some(30)),
            ("milliseconds", "1500", Some(2)),
            ("moment", "1800000007", Some(7)),
            ("moment", "1800000007500", Some(8)),
            ("moment", "1799999999", Some(0)),
            ("moment", "2027-01-15T08:00:09Z", Some(9)),
            ("seconds", "soon", None),
            ("seconds", "NaN", None),
            ("milliseconds", "1e300", Some(WAIT_MAX_S)),
        ] {
            let limits = limits(&json!({ "reset": { "header": "X-Reset", "unit": unit } }));
            let headers = headers(&[("x-reset", told)]);
            assert_eq!(limits.seconds(true, &headers, None, NOW_MS), seconds, "{unit} {told}");
            assert_eq!(
                limits.seconds(false, &headers, None, NOW_MS),
                None,
                "a call that came through asks for nothing"
            );
        }
    }

    #[test]
    fn no_call_left_asks_to_wait_even_in_a_good_answer() {
        let both = limits(&json!({ "left": "X-Left", "reset": { "header": "X-Reset" } }));
        let alone = limits(&json!({ "left": "X-Left" }));
        for (left, of_both, of_one) in [("0", Some(9), Some(1)), ("1", None, None), ("many", None, None)] {
            let headers = headers(&[("x-left", left), ("x-reset", "9")]);
            assert_eq!(both.seconds(false, &headers, None, NOW_MS), of_both);
            assert_eq!(alone.seconds(false, &headers, None, NOW_MS), of_one);
        }
    }

    #[test]
    fn the_header_of_the_draft_is_read_in_both_its_forms() {
        let standard = limits(&json!({ "ratelimit": true }));
        for (told, policy, good, away) in [
            ("\"default\";r=0;t=30", "\"default\";q=100;w=60", Some(30), Some(30)),
            (
                "\"default\";r=0",
                "\"burst\";q=5;w=1, \"default\";q=100;w=60",
                Some(60),
                Some(60),
            ),
            ("\"a\";r=50;t=5, \"b\";r=0;t=12", "", Some(12), Some(12)),
            ("limit=100, remaining=0, reset=7", "", Some(7), Some(7)),
            (
                "limit=100, remaining=0, reset=18446744073709551615",
                "",
                Some(WAIT_MAX_S),
                Some(WAIT_MAX_S),
            ),
            ("limit=100, remaining=3, reset=7", "", None, Some(7)),
            ("nonsense", "", None, None),
        ] {
            let headers = headers(&[("ratelimit", told), ("ratelimit-policy", policy)]);
            assert_eq!(standard.seconds(false, &headers, None, NOW_MS), good, "{told}");
            assert_eq!(standard.seconds(true, &headers, None, NOW_MS), away, "{told}");
            assert_eq!(Limits::default().seconds(true, &headers, None, NOW_MS), None);
        }
    }

    #[test]
    fn a_wait_is_read_out_of_a_body() {
        let flaws = Flaws::default();
        let read = |document: &Value| Wait::read(&Node::root(document, &flaws));
        let wait = read(&json!({ "at": "/error/retry", "unit": "milliseconds" })).expect("a wait");
        assert!(wait.needs_bodies());
        let body = json!({ "error": { "retry": 2500 } });
        assert_eq!(wait.seconds(&HeaderMap::new(), Some(&body), NOW_MS), Some(3));
        assert_eq!(wait.seconds(&HeaderMap::new(), None, NOW_MS), None);
        let fixed = read(&json!({ "seconds": 2 })).expect("a wait");
        assert_eq!(fixed.seconds(&HeaderMap::new(), None, NOW_MS), Some(2));
        for wrong in [
            json!({}),
            json!({ "seconds": 0 }),
            json!({ "at": "x" }),
            json!({ "header": "x y" }),
            json!(1),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
        assert_eq!(flaws.borrow().len(), 5);
    }
}
