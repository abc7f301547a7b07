//! What is to be done, so that what is there is what is wanted. Nothing is asked or sent here.

use crate::found::{Subscriber, Subscription, address};
use crate::memory::Memory;
use crate::wanted::Wanted;
use std::fmt;

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

/// This relay's subscriber among those that are there: the one that is remembered, else the one of its name for this PIM.
pub fn own_subscriber<'a>(wanted: &Wanted, memory: &Memory, found: &'a [Subscriber]) -> Option<&'a Subscriber> {
    let mut lives = found.iter().filter(|subscriber| subscriber.status == "active");
    let is_own =
        |subscriber: &&Subscriber| subscriber.name == wanted.name && subscriber.subject == address(&wanted.subject);
    let remembered = found
        .iter()
        .find(|subscriber| subscriber.id == memory.subscriber && subscriber.status == "active");
    remembered.or_else(|| lives.find(is_own))
}

/// This relay's subscription among those of its subscriber: the one that is remembered, else the one that delivers to its
/// address, else the only one.
pub fn own_subscription<'a>(wanted: &Wanted, memory: &Memory, found: &'a [Subscription]) -> Option<&'a Subscription> {
    let lives: Vec<&Subscription> = found.iter().filter(|subscription| subscription.lives()).collect();
    let remembered = lives.iter().find(|subscription| subscription.id == memory.subscription);
    let at_the_address = lives.iter().find(|subscription| subscription.url == wanted.url());
    match (remembered.or(at_the_address), &lives[..]) {
        (Some(own), _) => Some(own),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
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
        Some(url) if own.notification_url.as_ref() != Some(url) => what.push(format!("notifications go to {url}")),
        None if own.notification_url.is_some() => what.push("notifications go nowhere any more".to_owned()),
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
    if own.url != wanted.url() {
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
    if own.is_filtered {
        what.push("its filter, which drops events in silence, goes".to_owned());
    }
    if memory.secrets != wanted.mark_of_secrets() || memory.subscription != own.id {
        what.push(match wanted.secrets.secondary {
            Some(_) => {
                "its secrets become those of `event_platform_secret` and `event_platform_secret_previous`".to_owned()
            }
            None => "its secret becomes that of `event_platform_secret`".to_owned(),
        });
    }
    (!what.is_empty()).then_some(Step::ChangeSubscription(what))
}
