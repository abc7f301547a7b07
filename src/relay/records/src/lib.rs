//! What is kept between ticks and is not the queue: single records, each with what it means and how it changes.
//!
//! Whoever works writes them, whoever tells people reads them. None of them makes a call.
//!
//! | where | what |
//! |---|---|
//! | [`state`] | what one tick must know of the last: breakers, waits, [`brake`], [`pace`] |
//! | [`reconciliation`] | how far looks, the walk and a rehearsal have come |
//! | [`pair`] | for which PIM, destination and shape the index is |
//! | [`status`], [`history`], [`month`], [`report`] | what ticks found and did, for people and for ingest |
//! | [`notification`], [`refused`] | what ingest leaves for the worker: word of the subscription, a delivery with a bad signature |
//! | `kept` | a test: every record is read back |
//! | [`command`] | what a person asks the worker for |

pub mod brake;
pub mod command;
pub mod history;
#[cfg(test)]
mod kept;
pub mod month;
pub mod notification;
pub mod pace;
pub mod pair;
pub mod reconciliation;
pub mod refused;
pub mod report;
pub mod state;
pub mod status;
