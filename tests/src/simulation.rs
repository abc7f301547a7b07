//! The real `relay` under a seeded world: store, PIM, destination, clocks and chance that can all fail, and workers and
//! ingests that are killed and paused anywhere. One seed is one run, to the last byte.
//!
//! - [`executor`]: tasks on virtual time, in a seeded order
//! - [`host`]: one process's world, and the faults between it and the rest
//! - [`run`]: a run from its seed: edits, deliveries, ticks, faults, healing
//! - [`rules`]: what must hold after it

pub mod executor;
pub mod host;
pub mod rules;
pub mod run;

pub use run::{Outcome, Scenario, run};
