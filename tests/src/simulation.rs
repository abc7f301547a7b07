//! The real `relay` under a seeded world: store, PIM, destination, clocks and chance that can all fail, and workers and
//! ingests that are killed and paused anywhere. One seed is one run, to the last byte.
//!
//! - [`executor`]: tasks on virtual time, in a seeded order
//! - [`host`]: one process's world, and the faults between it and the rest
//! - [`run`]: a run from its seed: edits, deliveries, ticks, faults, healing
//! - [`stage`]: the same world for tests that act in it step by step
//! - [`rules`]: what must hold after a run
//! - [`seeds`]: many runs, on all cores

pub mod executor;
mod faults;
pub mod host;
pub mod rules;
pub mod run;
mod scripts;
pub mod seeds;
pub mod stage;

pub use run::{Outcome, Scenario, run};
