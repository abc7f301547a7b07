//! Deliveries: what Akeneo's two push channels send, built and signed as Akeneo does.

mod events;
mod php;
mod plan;
mod send;
pub(crate) mod sign;

pub use events::{Author, cloud_event, legacy_batch, legacy_event, notification};
pub use php::encode as php_json;
pub use plan::{Delivery, Format, Plan};
pub use send::{Sender, Sent};
pub use sign::{Secrets, event_platform as event_platform_headers, events_api as events_api_headers};

use serde::{Deserialize, Serialize};

/// One of the receiver's three routes; different, because the platform will not deliver to a URL that the Events API
/// uses (contract 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The Event Platform.
    EventPlatform,
    /// The legacy Events API.
    EventsApi,
    /// The Event Platform's notifications about subscriptions.
    Notifications,
}

impl Channel {
    /// The receiver's route.
    pub fn path(self) -> &'static str {
        match self {
            Self::EventPlatform => "/webhooks/akeneo/event-platform",
            Self::EventsApi => "/webhooks/akeneo/events-api",
            Self::Notifications => "/webhooks/akeneo/notifications",
        }
    }
}
