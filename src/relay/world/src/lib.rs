//! What is asked of the world, and nothing of what is made of it: the store, HTTP, clocks, chance, and log lines.
//!
//! Whoever runs the relay implements [`host`]: the components on Spin, the simulation on a world of its own.
//!
//! | where | what |
//! |---|---|
//! | [`host`] | the traits of a host, and reading and writing records through them |
//! | [`damage`] | what was read from the store and is in no format that is known |
//! | [`record`] | reading a record out of its JSON |
//! | [`log`] | log lines |
//! | `testing` | what unit tests of several rooms share |
//! | [`mistake`] | mistakes made on purpose, in builds that check whether a test would find them |

pub mod damage;
pub mod host;
pub mod log;
pub mod mistake;
pub mod record;
#[cfg(feature = "testing")]
pub mod testing;
