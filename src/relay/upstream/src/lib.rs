//! Every call that goes out, whoever is called: within its limits, under a retry budget, behind breakers that judge by
//! several entities, and with the token that it wants. Nothing here knows what is asked for.
//!
//! | where | what |
//! |---|---|
//! | [`call`] | a call to be made |
//! | [`governor`] | one upstream: limits, waits, classes of failure, quick retries |
//! | [`governor_state`] | what a governor keeps between ticks |
//! | `rate`, `learning`, [`retry_after`] | how often it calls, and what it makes of answers |
//! | [`breaker`], [`budget`] | when an upstream is left alone, and how many retries there may be |
//! | [`token`] | tokens of an upstream: got, kept, refreshed |
//! | [`wire`] | the headers of every call, and answers that come packed |
//! | [`excerpt`] | what is kept of an answer, without secrets |

pub mod breaker;
pub mod budget;
pub mod call;
pub mod excerpt;
pub mod governor;
pub mod governor_state;
mod learning;
mod rate;
pub mod retry_after;
pub mod token;
pub mod wire;
