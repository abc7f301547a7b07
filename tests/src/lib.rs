//! The application under test: the components as deployed, run as a process of their own, and a world around it.
//!
//! - [`application`]: starts, asks, kills it; counts what it does at its store
//! - [`world`]: a simulated PIM and destination, and an application between them

pub mod application;
pub mod client;
pub mod fixtures;
pub mod world;
