//! What the Event Platform says of the subscription: suspended, revoked, resumed (contract 3.7).
//!
//! Ingest keeps the newest state with the earliest moment since which events may be missing, and the worker looks back
//! to that. Whatever is sent, no moment that is kept lies in the future.

use model::text;
use model::time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a subscription is, as far as we were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// Deliveries come.
    Resumed,
    /// Deliveries are dropped, not kept.
    Suspended,
    /// The subscription ended.
    Revoked,
    /// A kind of notification that is not known here.
    Other,
}

/// The record of the last notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Version of this format.
    pub v: u32,
    /// What it says.
    pub state: SubscriptionState,
    /// Its type, as sent.
    pub kind: String,
    /// Why, as sent.
    pub reason: Option<String>,
    /// The subscription.
    pub subscription: Option<String>,
    /// When it was sent, in seconds since the Unix epoch.
    pub sent_s: u64,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Events may be missing since then, in seconds since the Unix epoch, until a reconciliation has looked back.
    pub missing_since_s: Option<u64>,
}

/// How old a notification may be before it is taken for a repetition, in seconds.
const FRESH_S: u64 = 86_400;

/// How long text from outside may be, in characters.
const TEXT_MAX: usize = 500;

/// Reads a notification; else says what is wrong with it.
pub fn read(body: &[u8], now_ms: u64) -> Result<Notification, String> {
    let Ok(value) = serde_json::from_slice::<Value>(text::mended(body).as_bytes()) else {
        return Err("the body is not JSON".to_owned());
    };
    let text = |member: &str| {
        value
            .get(member)
            .and_then(Value::as_str)
            .map(|text| text.chars().take(TEXT_MAX).collect())
    };
    let Some(kind): Option<String> = text("notification_type") else {
        return Err("the notification has no `notification_type`".to_owned());
    };
    let state = match kind.as_str() {
        "subscription.resumed" => SubscriptionState::Resumed,
        "subscription.revoked" => SubscriptionState::Revoked,
        other if other.starts_with("subscription.suspended") => SubscriptionState::Suspended,
        _ => SubscriptionState::Other,
    };
    // A notification that claims to come of the future would outlast all that are sent after it.
    let now_s = now_ms / 1000;
    let sent_s = text("timestamp").as_deref().and_then(time::parse);
    let sent_s = sent_s.unwrap_or(now_s).min(now_s);
    let missing_since_s = (state != SubscriptionState::Other).then_some(sent_s);
    let (reason, subscription) = (text("reason"), text("subscription_id"));
    Ok(Notification {
        v: 1,
        state,
        kind,
        reason,
        subscription,
        sent_s,
        at_ms: now_ms,
        missing_since_s,
    })
}

/// The record to write when `new` comes after `known`: the newest state, and the earliest moment that has not been
/// looked back to. None where the new one says nothing: it is older than the known one, or than a day.
pub fn merged(known: Option<&[u8]>, mut new: Notification) -> Option<Vec<u8>> {
    if new.sent_s + FRESH_S < new.at_ms / 1000 {
        return None;
    }
    if let Some(known) = known.and_then(|value| serde_json::from_slice::<Notification>(value).ok()) {
        if known.sent_s.min(known.at_ms / 1000) > new.sent_s {
            return None;
        }
        new.missing_since_s = match (known.missing_since_s, new.missing_since_s) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Some(json!(new).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn notification(kind: &str, at: &str, now_ms: u64) -> Notification {
        let body = json!({ "notification_type": kind, "timestamp": at, "subscription_id": "s" });
        read(body.to_string().as_bytes(), now_ms).expect("a notification")
    }

    #[test]
    fn what_claims_to_come_of_the_future_does_not_outlast_what_is_said_after_it() {
        for ahead in [
            "2027-01-15T09:00:00Z",
            "2027-01-15T08:10:00Z",
            "2099-01-01T00:00:00Z",
            "9998-12-31T23:59:59Z",
        ] {
            let first = notification("subscription.suspended.system", ahead, NOW_MS);
            assert_eq!(first.sent_s, NOW_MS / 1000, "{ahead}");
            let known = merged(None, first.clone()).expect("a record");
            let later = notification("subscription.resumed", "2027-01-15T08:00:05Z", NOW_MS + 5000);
            let told: Notification =
                serde_json::from_slice(&merged(Some(&known), later.clone()).expect("news")).expect("a record");
            assert_eq!(
                (told.state, told.missing_since_s),
                (SubscriptionState::Resumed, Some(NOW_MS / 1000)),
                "{ahead}"
            );
            // A record that an earlier version took to the letter gives way as well.
            let believed = Notification {
                sent_s: time::LATEST_S,
                ..first
            };
            assert!(merged(Some(&json!(believed).to_string().into_bytes()), later).is_some());
        }
    }

    #[test]
    fn a_reason_that_was_cut_inside_a_character_is_kept() {
        let body = b"\xef\xbb\xbf{\"notification_type\":\"subscription.revoked\",\"reason\":\"no \\ud83d\xe2\x82\"}";
        let told = read(body, NOW_MS).expect("a notification");
        assert_eq!(
            (told.state, told.reason.as_deref()),
            (SubscriptionState::Revoked, Some("no \u{fffd}\u{fffd}"))
        );
    }
}
