//! Any document and any answer: a meaning or a told mistake, never a panic, and what comes of them keeps what it
//! promises.
//! And documents of before, which mean what they meant.
//!
//! Nothing here is timed. A property runs on documents of some kilobytes and answers of as much, a few hundred times; that
//! more of either costs in proportion follows from how they are read: a document and a body once from front to back,
//! places step by step, rules and elements of lists one after the other. Where that is not so by itself, a limit makes it
//! so, and a test counts by it: how deep a place goes, how many items of the header `RateLimit` are looked at.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

mod answers;
mod any;
mod before;
mod documents;
mod drafts;
mod found;
mod given;
mod meanings;
mod recipe;
mod told;
mod waits;
