//! The status as Prometheus reads it, in its text format 0.0.4.
//!
//! Every sample is made of the status document and of nothing else. Where the document has no value, there is no
//! sample.

use config::answer::Answer;
use model::time;
use serde_json::{Map, Value};
use std::fmt::Write;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a value of the status becomes a sample.
#[derive(Clone, Copy)]
enum Form {
    /// A number as it is.
    Number,
    /// A moment, in seconds since the Unix epoch.
    Moment,
    /// 1 if there is anything, else 0.
    Presence,
    /// How many members an object has.
    Size,
}

/// A metric of the application: its name after the prefix, what it is, where the status has its value.
type Plain = (&'static str, &'static str, &'static str, Form);

const GAUGES: [Plain; 14] = [
    (
        "queue_events",
        "Events that wait, at the worker's last listing.",
        "/queue/depth",
        Form::Number,
    ),
    (
        "queue_high_water_events",
        "Waiting events at which deliveries are put off.",
        "/queue/high_water_mark",
        Form::Number,
    ),
    (
        "queue_oldest_event_timestamp_seconds",
        "Time of the oldest waiting event.",
        "/queue/oldest",
        Form::Moment,
    ),
    (
        "retrying_entities",
        "Entities that wait for another try.",
        "/queue/retrying",
        Form::Number,
    ),
    ("dead_letters", "Entities given up.", "/queue/dead", Form::Number),
    (
        "braked_entities",
        "Entities whose deletion the brake holds back.",
        "/queue/braked",
        Form::Number,
    ),
    (
        "indexed_entities",
        "Entities that the destination has, as far as known.",
        "/indexed",
        Form::Number,
    ),
    (
        "last_listing_timestamp_seconds",
        "When the worker last listed what waits: every tick does.",
        "/queue/listed_at",
        Form::Moment,
    ),
    (
        "last_tick_timestamp_seconds",
        "When a tick last had work.",
        "/last_tick/at",
        Form::Moment,
    ),
    (
        "brake_holding",
        "Whether the brake holds deletions back.",
        "/brake/holding_since",
        Form::Presence,
    ),
    (
        "subscription_timestamp_seconds",
        "When the Event Platform last said something of the subscription.",
        "/subscription/sent_at",
        Form::Moment,
    ),
    (
        "refused_delivery_timestamp_seconds",
        "When a delivery's signature was last refused.",
        "/refused/at",
        Form::Moment,
    ),
    (
        "reconciliation_withheld_entities",
        "Entities that the last walk missed and whose deletion the brake withholds.",
        "/reconciliation/withheld",
        Form::Number,
    ),
    (
        "reconciliation_next_walk_timestamp_seconds",
        "When the next walk begins.",
        "/reconciliation/next_walk",
        Form::Moment,
    ),
];

const COUNTERS: [Plain; 10] = [
    (
        "events_total",
        "Events of the PIM's, counted when first listed.",
        "/since_the_beginning/events",
        Form::Number,
    ),
    (
        "entities_total",
        "Entities that the worker got through with.",
        "/since_the_beginning/entities",
        Form::Number,
    ),
    (
        "upserts_total",
        "Upserts that came through.",
        "/since_the_beginning/upserts",
        Form::Number,
    ),
    (
        "deletes_total",
        "Deletes that came through.",
        "/since_the_beginning/deletes",
        Form::Number,
    ),
    (
        "unchanged_total",
        "Entities found as they were last pushed.",
        "/since_the_beginning/unchanged",
        Form::Number,
    ),
    (
        "unwanted_total",
        "Entities that the shape's selection refused.",
        "/unwanted",
        Form::Number,
    ),
    (
        "retries_total",
        "Entities put off to another try.",
        "/since_the_beginning/retries",
        Form::Number,
    ),
    (
        "given_up_total",
        "Entities given up.",
        "/since_the_beginning/dead_letters",
        Form::Number,
    ),
    (
        "ticks_total",
        "Ticks that had work.",
        "/since_the_beginning/ticks",
        Form::Number,
    ),
    (
        "tick_seconds_total",
        "Time that these ticks took.",
        "/since_the_beginning/ticks_seconds",
        Form::Number,
    ),
];

/// Metrics that each upstream has.
const OF_UPSTREAMS: [(&str, Plain); 5] = [
    (
        "counter",
        ("upstream_calls_total", "Calls made.", "/calls", Form::Number),
    ),
    (
        "counter",
        ("upstream_errors_total", "Calls that failed.", "/errors", Form::Number),
    ),
    (
        "counter",
        (
            "upstream_throttled_total",
            "Calls answered 429.",
            "/throttled",
            Form::Number,
        ),
    ),
    (
        "gauge",
        (
            "upstream_retries_left",
            "Retries that the budget still allows.",
            "/retries_left",
            Form::Number,
        ),
    ),
    (
        "gauge",
        (
            "upstream_open_breakers",
            "Circuit breakers that are open.",
            "/left_alone",
            Form::Size,
        ),
    ),
];

/// Metrics that each kind of entity has, once reconciliation has seen it.
const OF_KINDS: [(&str, Plain); 6] = [
    (
        "gauge",
        (
            "reconciliation_lag_seconds",
            "How far reconciliation is behind the PIM.",
            "/lag_seconds",
            Form::Number,
        ),
    ),
    (
        "gauge",
        (
            "reconciliation_recent_finished_timestamp_seconds",
            "When recent changes were last looked through.",
            "/recent/finished_at",
            Form::Moment,
        ),
    ),
    (
        "gauge",
        (
            "reconciliation_walk_finished_timestamp_seconds",
            "When a walk last came to its end.",
            "/walk/finished_at",
            Form::Moment,
        ),
    ),
    (
        "gauge",
        (
            "reconciliation_walk_progress_ratio",
            "How far the walk has come.",
            "/walk/progress",
            Form::Number,
        ),
    ),
    (
        "gauge",
        (
            "reconciliation_walk_found_entities",
            "Differences that the walk found.",
            "/walk/found",
            Form::Number,
        ),
    ),
    (
        "gauge",
        (
            "reconciliation_walk_missing_entities",
            "Indexed entities that the walk did not meet.",
            "/walk/missing",
            Form::Number,
        ),
    ),
];

/// The metrics of a status.
pub(super) fn answer(status: &Value) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type", CONTENT_TYPE.to_owned())],
        body: text(status).into_bytes(),
    }
}

fn text(status: &Value) -> String {
    let mut page = Page(String::new());
    let member = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
    // Not `instance`: Prometheus calls the address so that it scrapes.
    let labels = [("version", member("version")), ("relay", member("instance"))];
    page.family("info", "gauge", "What runs here.");
    page.sample("info", &labels, 1.0);
    page.family(
        "state",
        "gauge",
        "How the application is: 1 at its state, 0 at the others.",
    );
    for state in ["ok", "degraded", "down"] {
        let is_it = f64::from(u8::from(member("state") == state));
        page.sample("state", &[("state", state)], is_it);
    }
    page.reasons(status);
    for (kind, metrics) in [("gauge", &GAUGES[..]), ("counter", &COUNTERS[..])] {
        for (name, help, pointer, form) in metrics {
            if let Some(value) = status.pointer(pointer).and_then(|value| form.read(value)) {
                page.family(name, kind, help);
                page.sample(name, &[], value);
            }
        }
    }
    page.lag(status);
    page.members(status.get("upstreams"), "upstream", &OF_UPSTREAMS);
    page.members(status.pointer("/reconciliation/kinds"), "kind", &OF_KINDS);
    page.0
}

impl Form {
    fn read(self, value: &Value) -> Option<f64> {
        match self {
            Form::Number => value.as_f64(),
            Form::Moment => value.as_str().and_then(time::parse).map(|seconds| seconds as f64),
            Form::Presence => Some(f64::from(u8::from(!value.is_null()))),
            Form::Size => value.as_object().map(|members| members.len() as f64),
        }
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP akeneo_relay_{name} {help}\n# TYPE akeneo_relay_{name} {kind}"
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escape(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(self.0, "akeneo_relay_{name}{labels} {value}");
    }

    /// One sample for each thing that is not well.
    fn reasons(&mut self, status: &Value) {
        self.family("problem", "gauge", "1 for each thing that is not well.");
        for reason in status.get("reasons").and_then(Value::as_array).into_iter().flatten() {
            let member = |name: &str| reason.get(name).and_then(Value::as_str).unwrap_or_default();
            let labels = [("cause", member("cause")), ("level", member("level"))];
            self.sample("problem", &labels, 1.0);
        }
    }

    /// The lag as a histogram.
    fn lag(&mut self, status: &Value) {
        let Some(lag) = status.pointer("/since_the_beginning/lag") else {
            return;
        };
        let number = |name: &str| lag.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        self.family("lag_seconds", "histogram", "From an event's time to its entity's push.");
        for bin in lag
            .get("at_most_seconds")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let at = |n: usize| bin.get(n).and_then(Value::as_u64).unwrap_or(0);
            let bound = at(0).to_string();
            self.sample("lag_seconds_bucket", &[("le", &bound)], at(1) as f64);
        }
        self.sample("lag_seconds_bucket", &[("le", "+Inf")], number("events"));
        self.sample("lag_seconds_sum", &[], number("seconds"));
        self.sample("lag_seconds_count", &[], number("events"));
    }

    /// Metrics that several things have, each told by a label.
    fn members(&mut self, things: Option<&Value>, label: &str, metrics: &[(&str, Plain)]) {
        let Some(things) = things.and_then(Value::as_object) else {
            return;
        };
        for (kind, (name, help, pointer, form)) in metrics {
            let samples = samples(things, pointer, *form);
            if !samples.is_empty() {
                self.family(name, kind, help);
            }
            for (thing, value) in samples {
                self.sample(name, &[(label, thing)], value);
            }
        }
    }
}

fn samples<'a>(things: &'a Map<String, Value>, pointer: &str, form: Form) -> Vec<(&'a str, f64)> {
    let read = |(name, thing): (&'a String, &'a Value)| {
        let value = form.read(thing.pointer(pointer)?)?;
        Some((name.as_str(), value))
    };
    things.iter().filter_map(read).collect()
}

/// A label's value as the format wants it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_becomes_samples_and_what_is_missing_none() {
        let status = json!({
            "version": "1", "instance": "main", "state": "degraded",
            "reasons": [{"level": "degraded", "cause": "backlog", "text": "..."}],
            "queue": {"depth": 7, "oldest": "2027-01-15T08:00:00Z", "listed_at": null},
            "brake": {"holding_since": null},
            "since_the_beginning": {"events": 9, "lag": {"events": 3, "seconds": 12, "at_most_seconds": [[1, 0], [5, 2]]}},
            "upstreams": {"pim": {"calls": 4, "left_alone": {"token": {}}}},
            "reconciliation": {"kinds": {"products": {"walk": {"progress": 0.25}, "lag_seconds": null}}},
        });
        let text = text(&status);
        for line in [
            "akeneo_relay_info{version=\"1\",relay=\"main\"} 1",
            "akeneo_relay_state{state=\"degraded\"} 1",
            "akeneo_relay_state{state=\"ok\"} 0",
            "akeneo_relay_problem{cause=\"backlog\",level=\"degraded\"} 1",
            "akeneo_relay_queue_events 7",
            "akeneo_relay_queue_oldest_event_timestamp_seconds 1800000000",
            "akeneo_relay_brake_holding 0",
            "# TYPE akeneo_relay_events_total counter",
            "akeneo_relay_events_total 9",
            "akeneo_relay_lag_seconds_bucket{le=\"5\"} 2",
            "akeneo_relay_lag_seconds_bucket{le=\"+Inf\"} 3",
            "akeneo_relay_upstream_calls_total{upstream=\"pim\"} 4",
            "akeneo_relay_upstream_open_breakers{upstream=\"pim\"} 1",
            "akeneo_relay_reconciliation_walk_progress_ratio{kind=\"products\"} 0.25",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
        assert!(
            !text.contains("last_listing") && !text.contains("reconciliation_lag"),
            "{text}"
        );
    }

    #[test]
    fn a_label_cannot_break_out_of_its_line() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
