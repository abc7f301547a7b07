//! What a tick that holds the lease works with: the upstreams, the plan, what is kept, what is told, and the lists in which
//! shapes look things up.
//!
//! | where | what |
//! |---|---|
//! | [`session`] | the tools, from the beginning of a tick to its report |
//! | [`tools`] | what is handed to its steps: everybody's tools, and the upstreams |
//! | [`enrichment`] | lists of the PIM, read when they are missed or said to have changed |
//! | [`known`] | what is known of such a list |
//! | [`stop`] | why a tick goes no further |

pub mod enrichment;
pub mod known;
pub mod session;
pub mod stop;
pub mod tools;
