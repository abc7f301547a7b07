//! What a tick that holds the lease works with, in parts. A step is handed the parts that it touches, so that its
//! signature tells what those are.
//!
//! Nothing here decides what becomes of an entity. The tools may assume that the caller holds the lease: calls to
//! upstreams end with it by themselves, but before anything is written a step asks [`tools::Desk::check_lease`].
//!
//! | where | what |
//! |---|---|
//! | [`session`] | the tools, from the beginning of a tick to its report |
//! | [`tools`] | what every step needs, and the upstreams |
//! | [`backlog`] | what waits, by the last listing, and what became of it since |
//! | [`books`] | the records of a tick: what is kept, and what is told at its end |
//! | [`lists`] | lists of the PIM in which shapes look things up, and what a tick knows of each |
//! | [`lookups`] | how such lists are read: when shaping needs them, or when an event says that they changed |
//! | [`glance`] | the same lists for whoever only looks |
//! | [`naming`] | the codes of entities whose keys hold only a hash of them |
//! | [`progress`] | how far the marking of models' variants has come |
//! | [`tried`] | what was tried for an entity before |
//! | [`stop`] | why a step, or the tick, goes no further |

pub mod backlog;
pub mod books;
pub mod glance;
pub mod lists;
pub mod lookups;
pub mod naming;
pub mod progress;
pub mod session;
pub mod stop;
pub mod tools;
pub mod tried;
