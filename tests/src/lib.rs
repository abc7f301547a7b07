//! The application under test: the components as deployed, run as a process of their own, and a world around it.
//!
//! - [`application`]: starts, asks, kills it; counts what it does at its store
//! - `process`: the processes that it is, on the embedded runtime or on Spin
//! - [`administration`]: asks one that runs already, for the programs that `cargo xtask` starts
//! - [`ending`]: how those programs end
//! - [`world`]: a simulated PIM and destination, and an application between them
//! - [`playground`]: what the demonstration leaves running for people
//! - [`redis_server`]: a Redis of its own for who asks for one
//! - [`servers`]: servers that others have made, such as nginx, for who asks for one
//! - [`shaped`]: what a destination should hold under a shape
//! - [`large_index`]: an index of so many products, without the walk that makes it
//! - [`store`]: the key-value store seen from outside
//! - [`native`]: the relay's world without a component around it
//! - [`hearing`]: a world around one upstream, which is heard and answers
//! - `demo`, `preview`, `simulate`, `bench`: the programs that `cargo xtask demo`, `shape`, `simulate` and `bench` start
//! - [`corpus`]: what the fuzzer's targets begin with; the program `seeds` writes it into a folder
//! - [`simulation`]: the relay alone, in a seeded world where everything fails

pub mod administration;
pub mod application;
pub mod client;
pub mod corpus;
pub mod ending;
pub mod fixtures;
pub mod hearing;
pub mod large_index;
pub mod native;
pub mod playground;
mod process;
pub mod redis_server;
pub mod servers;
pub mod shaped;
pub mod simulation;
pub mod store;
pub mod world;
