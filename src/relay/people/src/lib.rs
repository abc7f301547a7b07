//! What people ask, and what they are told then: figures, dead letters, and commands for the worker.
//!
//! It reads records and the queue, and writes nothing but commands and replays. It calls nobody.
//!
//! | where | what |
//! |---|---|
//! | [`admin`] | the administration: status, metrics, history, dead letters, entities, commands |

pub mod admin;
