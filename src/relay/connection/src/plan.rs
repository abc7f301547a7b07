//! What is to be done, so that what is there is what is wanted. Nothing is asked or sent here.

use crate::found::{Subscriber, Subscription, address};
use crate::memory::Memory;
use crate::wanted::Wanted;
use std::fmt;

/// How long Akeneo may go on signing with an earlier secret, in seconds: some minutes until a change acts, and 35 minutes of
/// retries (the contract's part on kinds, 3.4).
const CHANGE_S: u64 = 3600;

/// One change at Akeneo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The subscriber is made.
    MakeSubscriber,
    /// The subscriber is changed, in these respects.
    ChangeSubscriber(Vec<String>),
    /// The subscription is made.
    MakeSubscription,
    /// The subscription is changed, in these respects.
    ChangeSubscription(Vec<String>),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::MakeSubscriber => f.write_str("make the subscriber"),
            Step::ChangeSubscriber(what) => write!(f, "change the subscriber: {}", what.join("; ")),
            Step::MakeSubscription => f.write_str("make the subscription"),
            Step::ChangeSubscription(what) => write!(f, "change the subscription: {}", what.join("; ")),
        }
    }
}

/// A subscriber with its subscriptions.
pub type Found = (Subscriber, Vec<Subscription>);

/// This relay's subscriber among those that work: the one that is remembered, else the one that delivers to the relay's
/// address, else the one of its name for this PIM.
pub fn own_subscriber<'a>(wanted: &Wanted, memory: &Memory, found: &'a [Found]) -> Option<&'a Found> {
    let delivers =
        |(_, subscriptions): &&Found| subscriptions.iter().any(|known| known.lives() && is_at(wanted, known));
    let is_called_so =
        |(subscriber, _): &&Found| subscriber.name == wanted.name && subscriber.subject == address(&wanted.subject);
    let remembered = found.iter().find(|(subscriber, _)| subscriber.id == memory.subscriber);
    let remembered = remembered.or_else(|| found.iter().find(delivers));
    remembered.or_else(|| found.iter().find(is_called_so))
}

/// Whether a subscription delivers to the relay's address; a slash at its end is let through there.
pub fn is_at(wanted: &Wanted, subscription: &Subscription) -> bool {
    address(&subscription.url) == wanted.url()
}

/// This relay's subscription among those of its subscriber: the one that is remembered, else the one that delivers to its
/// address.
pub fn own_subscription<'a>(wanted: &Wanted, memory: &Memory, found: &'a [Subscription]) -> Option<&'a Subscription> {
    let mut lives = found.iter().filter(|subscription| subscription.lives());
    let remembered = lives
        .clone()
        .find(|subscription| subscription.id == memory.subscription);
    remembered.or_else(|| lives.find(|subscription| is_at(wanted, subscription)))
}

/// What is to be done with the subscriber.
pub fn for_subscriber(wanted: &Wanted, memory: &Memory, own: Option<&Subscriber>) -> Option<Step> {
    let Some(own) = own else {
        return Some(Step::MakeSubscriber);
    };
    let mut what = Vec::new();
    if own.name != wanted.name {
        what.push(format!("its name, `{}`, becomes `{}`", own.name, wanted.name));
    }
    if let Some(email) = wanted.email.as_ref().filter(|email| own.email.as_ref() != Some(email)) {
        what.push(format!("Akeneo writes to {email}"));
    }
    let url = wanted.notification_url();
    match &url {
        Some(url) if own.notification_url.as_ref() != Some(url) || !own.notifies => {
            what.push(format!("notifications go to {url}"));
        }
        None if own.notifies => what.push("notifications go nowhere any more".to_owned()),
        Some(_) if memory.notification != wanted.mark_of_notification() => {
            what.push("the secret of notifications becomes that of `notification_secret`".to_owned());
        }
        _ => {}
    }
    (!what.is_empty()).then_some(Step::ChangeSubscriber(what))
}

/// What is to be done with the subscription.
pub fn for_subscription(wanted: &Wanted, memory: &Memory, own: Option<&Subscription>) -> Option<Step> {
    let Some(own) = own else {
        return Some(Step::MakeSubscription);
    };
    let mut what = Vec::new();
    if !is_at(wanted, own) {
        what.push(format!("events go to {} instead of {}", wanted.url(), own.url));
    }
    let more: Vec<&str> = wanted.events.difference(&own.events).map(String::as_str).collect();
    if !more.is_empty() {
        what.push(format!("also {}", more.join(", ")));
    }
    let less: Vec<&str> = own.events.difference(&wanted.events).map(String::as_str).collect();
    if !less.is_empty() {
        what.push(format!("no more {}", less.join(", ")));
    }
    if let Some(filter) = &wanted.filter
        && own.filter.as_deref().unwrap_or_default() != filter
    {
        what.push(match filter.is_empty() {
            true => "its filter goes".to_owned(),
            false => format!("its filter becomes `{filter}`"),
        });
    }
    let are_known = (memory.primary.clone(), memory.secondary.clone()) == wanted.marks();
    if !are_known || memory.subscription != own.id {
        what.push(match wanted.secrets.secondary {
            Some(_) => {
                "its secrets become those of `event_platform_secret` and `event_platform_secret_previous`".to_owned()
            }
            None => "its secret becomes that of `event_platform_secret`".to_owned(),
        });
    }
    (!what.is_empty()).then_some(Step::ChangeSubscription(what))
}

/// Why changing the secrets now would have deliveries refused; none where nothing is known to be in the way.
pub fn too_early(wanted: &Wanted, memory: &Memory, now_s: u64) -> Option<String> {
    let (primary, secondary) = wanted.marks();
    if memory.primary.is_empty() {
        return None;
    }
    if memory.primary != primary && memory.primary != secondary {
        return Some("the secret that Akeneo signs with is in neither variable: set event_platform_secret_previous to it and restart, or deliveries are refused until Akeneo has changed over".to_owned());
    }
    let was_both = !memory.secondary.is_empty() && secondary.is_empty();
    let left_s = (memory.sent_s + CHANGE_S).saturating_sub(now_s);
    (was_both && left_s > 0).then(|| {
        let minutes = left_s.div_ceil(60);
        format!("Akeneo may sign with the previous secret still: leave event_platform_secret_previous set for {minutes} minutes more")
    })
}
