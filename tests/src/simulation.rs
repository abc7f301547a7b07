//! The real `relay` under a seeded world: store, PIM, destination, clocks and chance that can all fail, and workers and
//! ingests that are killed and paused anywhere. One seed is one run, to the last byte.
//!
//! - [`executor`]: tasks on virtual time, in a seeded order
//! - [`host`]: one process's world, and the faults between it and the rest
//! - [`nature`]: what a world of chance is made of
//! - [`doors`]: tokens that end
//! - [`protocol`]: how the destination is spoken to
//! - [`identities`]: products that the destination calls by their SKUs
//! - [`scenario`]: which run it is, and what came of it
//! - [`run`]: a run from its seed: edits, deliveries, ticks, faults, healing
//! - [`stage`]: the same world for tests that act in it step by step
//! - [`rules`]: what must hold after a run
//! - [`seeds`]: many runs, on all cores

mod deliver;
pub mod doors;
pub mod effort;
mod ending;
pub mod executor;
mod faults;
mod fill;
pub mod host;
pub mod identities;
mod mistaken;
pub mod nature;
pub mod protocol;
pub mod rules;
pub mod run;
pub mod scenario;
mod scripts;
pub mod seeds;
mod shared;
pub mod stage;
mod upstream;

pub use scenario::{Outcome, Scenario, run};
