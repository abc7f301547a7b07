//! What a relay meets outside, simulated: an Akeneo PIM, a destination, and a sender of signed deliveries.
//!
//! The parts that decide are pure: they take requests and times as values, keep all state in memory, and follow a seed
//! wherever chance is asked for, so a simulation without sockets can use them. Thin servers put them on the network.
//!
//! - [`catalogue`]: products, product models and categories; generation, edits, inheritance, an index that lags
//! - [`pim`]: the PIM's REST API over a catalogue
//! - [`destination`]: an HTTP store of upserts; `destination::shop`: a shop that makes, changes and finds
//! - [`door`]: the endpoint that gives a destination's tokens
//! - [`fault`], [`meter`]: faults on demand and limits, the same for both
//! - [`deliveries`]: events built, signed, lost, repeated, shuffled and sent
//! - [`payloads`]: one delivery body of every kind
//! - [`compare`]: the PIM against the destination
//! - [`server`], [`control`]: the servers, and `/_control/` for those started from the command line
//! - [`times`]: the forms of time
//!
//! ```
//! use simulator::catalogue::{Action, Catalogue, Edit};
//! use simulator::deliveries::{Format, Plan, Secrets};
//! use simulator::pim::{Pim, PimConfig};
//!
//! let mut pim = Pim::new(Catalogue::generate(100, 10, 42), PimConfig::default());
//! let id = pim.catalogue.truth().products(None).next().expect("there are products").id.clone();
//! let changes = pim.edit(&Edit::new(id, Action::Touch), 1_770_000_000_000)?;
//! let plan = Plan::new(Format::EventPlatform(Secrets::primary("a secret")), 1_770_000_000, 42);
//! assert_eq!(plan.deliveries(&changes).len(), 1);
//! # Ok::<(), simulator::catalogue::EditError>(())
//! ```

pub mod catalogue;
pub mod compare;
pub mod control;
pub mod deliveries;
pub mod destination;
pub mod door;
pub mod event_platform;
pub mod fault;
pub mod meter;
pub mod payloads;
pub mod pim;
pub mod server;
pub mod times;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

// All but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An id as it stands in a path: all but the unreserved characters are percent-encoded.
pub fn encode_segment(id: &str) -> String {
    utf8_percent_encode(id, SEGMENT).to_string()
}
