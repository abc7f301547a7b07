//! The channels that Akeneo pushes through, and in what they differ.

use config::answer::Answer;
use config::{
    EVENT_PLATFORM_SECRET, EVENT_PLATFORM_SIZE, EVENTS_API_SECRET, EVENTS_API_SIZE, NOTIFICATION_SECRET,
    NOTIFICATION_SIZE, SecretNames, SizeLimit,
};

/// The channels that Akeneo pushes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The Event Platform's deliveries (contract 3.1).
    EventPlatform,
    /// The Events API's deliveries (contract 2.1).
    EventsApi,
    /// The Event Platform's notifications about a subscription (contract 3.7).
    Notifications,
}

impl Channel {
    /// The channel's name in its path and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Channel::EventPlatform => "event-platform",
            Channel::EventsApi => "events-api",
            Channel::Notifications => "notifications",
        }
    }

    /// What to answer when nothing can be taken now. The Event Platform counts a 5xx towards suspension and a 429
    /// not (contract 3.3); the Events API only logs the status, so there the honest one goes out.
    pub(crate) fn unavailable(self, detail: &str) -> Answer {
        Answer::problem(if self == Channel::EventPlatform { 429 } else { 503 }, detail)
    }

    /// The variables that hold its secret.
    pub(crate) fn secrets(self) -> SecretNames {
        match self {
            Channel::EventPlatform => EVENT_PLATFORM_SECRET,
            Channel::EventsApi => EVENTS_API_SECRET,
            Channel::Notifications => NOTIFICATION_SECRET,
        }
    }

    /// What to do where its secret is not set.
    pub(crate) fn unset(self) -> &'static str {
        match self {
            Channel::EventPlatform => {
                "variable `event_platform_secret` is not set: give the subscription's primary secret"
            }
            Channel::EventsApi => "variable `events_api_secret` is not set: give the connection's secret",
            Channel::Notifications => {
                "variable `notification_secret` is not set: give the subscriber's notification_webhook_secret"
            }
        }
    }

    /// How large its deliveries may be.
    pub(crate) fn size(self) -> SizeLimit {
        match self {
            Channel::EventPlatform => EVENT_PLATFORM_SIZE,
            Channel::EventsApi => EVENTS_API_SIZE,
            Channel::Notifications => NOTIFICATION_SIZE,
        }
    }

    pub(crate) fn too_large(self, body_max: usize) -> String {
        let (name, ..) = self.size();
        format!("its body may have {body_max} bytes at most here: the variable `{name}` allows more")
    }
}
