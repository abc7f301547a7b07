//! The way in: a delivery is verified, read, written in one step, and only then acknowledged.
//!
//! Nothing here calls anybody or knows what becomes of an event.
//!
//! | where | what |
//! |---|---|
//! | [`ingest`] | one delivery, from its bytes to its answer |
//! | [`signature`] | whether it is the sender's |
//! | [`event`] | what it says, of either channel |

pub mod event;
pub mod ingest;
pub mod signature;
