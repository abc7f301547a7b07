//! What fuzzers and property tests give any bytes to: one function for each thing that reads what strangers send.
//!
//! Each takes bytes, reads them as the relay does, and panics where something is so that may not be so. What a function
//! takes for granted of its bytes is nothing.
//!
//! | module | whose bytes |
//! |---|---|
//! | [`senders`] | deliveries, notifications, and heads that are not signed |
//! | [`upstreams`] | answers of the PIM and of the destination, dates, waits |
//! | [`kept`] | keys of the store, documents of shape and protocol |

pub mod kept;
pub mod senders;
pub mod upstreams;

/// A function that takes any bytes, and panics where something is so that may not be so.
pub type Target = fn(&[u8]);

/// The targets, by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("deliveries", senders::deliveries),
    ("notifications", senders::notifications),
    ("signatures", senders::signatures),
    ("pages", upstreams::pages),
    ("items", upstreams::items),
    ("answers", upstreams::answers),
    ("dates", upstreams::dates),
    ("waits", upstreams::waits),
    ("keys", kept::keys),
    ("shapes", kept::shapes),
    ("texts", kept::texts),
];
