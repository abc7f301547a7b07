//! The channels that Akeneo pushes through, and in what they differ: names, secrets, sizes, and how "not now" is said.
//!
//! Each channel has a path and variables of its own, since signatures and the meaning of an answer's status differ
//! (contract 1). Variables are only named here; nothing is read.

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

    /// The answer to a delivery that cannot be taken now. The Event Platform gets 429, since it counts a 5xx towards
    /// suspension and a 429 not (contract 3.3). The others get an honest 503: the Events API only logs the status
    /// (contract 2.4), and a notification is sent again after either (contract 3.7).
    pub(crate) fn unavailable(self, detail: &str) -> Answer {
        Answer::problem(if self == Channel::EventPlatform { 429 } else { 503 }, detail)
    }

    /// The names of the variables that hold the channel's secret, the present one first.
    pub(crate) fn secrets(self) -> SecretNames {
        match self {
            Channel::EventPlatform => EVENT_PLATFORM_SECRET,
            Channel::EventsApi => EVENTS_API_SECRET,
            Channel::Notifications => NOTIFICATION_SECRET,
        }
    }

    /// What people are to do where the channel's secret is not set.
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

    /// The variable that bounds the body of a delivery on this channel, and its default in bytes.
    pub(crate) fn size(self) -> SizeLimit {
        match self {
            Channel::EventPlatform => EVENT_PLATFORM_SIZE,
            Channel::EventsApi => EVENTS_API_SIZE,
            Channel::Notifications => NOTIFICATION_SIZE,
        }
    }

    /// What is said of a delivery whose body is larger than `body_max` bytes.
    pub(crate) fn too_large(self, body_max: usize) -> String {
        let (name, ..) = self.size();
        format!("its body may have {body_max} bytes at most here: the variable `{name}` allows more")
    }
}
