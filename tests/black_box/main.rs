//! Black-box tests: the components that are deployed, driven over HTTP between a simulated PIM and destination.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

mod backlog;
mod configuration;
mod deliveries;
mod durability;
mod ingest;
mod rest_fixtures;
mod sync;
