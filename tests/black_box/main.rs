//! Black-box tests: the components that are deployed, driven over HTTP between a simulated PIM and destination.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

mod admin;
#[cfg(unix)]
mod apache;
mod backlog;
mod backup;
mod bench;
mod categories;
mod components;
mod configuration;
mod connect;
mod contracts;
mod damage;
mod deliveries;
mod durability;
mod foretold;
mod forged;
mod heads;
mod hostile;
mod hosts;
mod identities;
mod ingest;
mod kills;
mod letters;
mod load;
mod login;
mod media;
mod memory;
mod observation;
mod operate;
mod preflight;
mod preview;
mod proxy;
mod real;
mod reconciliation;
mod redis;
mod release;
mod rest_fixtures;
mod secrets;
mod shape;
#[cfg(unix)]
mod spin_host;
mod staying;
mod stored;
mod subscribed;
mod sync;
mod unattended;
mod wire;
