//! What a tick that holds the lease works with, in parts: a step is handed those that it touches, as its signature tells.
//!
//! | where | what |
//! |---|---|
//! | [`session`] | the tools, from the beginning of a tick to its report |
//! | [`tools`] | what every step needs, and the upstreams |
//! | [`backlog`] | what waits, and what became of it since it was listed |
//! | [`books`] | what is kept and what is told |
//! | [`lists`] | lists of the PIM in which shapes look things up, and what a tick knows of each |
//! | [`lookups`] | such lists, read when they are missed or said to have changed |
//! | [`stop`] | why a step, or the tick, goes no further |

pub mod backlog;
pub mod books;
pub mod lists;
pub mod lookups;
pub mod session;
pub mod stop;
pub mod tools;
