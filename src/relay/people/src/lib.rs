//! What people are told and what they ask: whether all is well, alerts, figures, dead letters, and commands for the
//! worker.
//!
//! It reads records and the queue, and writes nothing but commands, replays, and when an alert went out. It calls
//! nobody but the receiver of alerts.
//!
//! | where | what |
//! |---|---|
//! | [`health`] | `ok`, `degraded` or `down`, and why |
//! | [`alert`] | what is told without being asked, and how often |
//! | [`admin`] | the administration: status, metrics, history, dead letters, entities, commands |

pub mod admin;
pub mod alert;
pub mod health;
