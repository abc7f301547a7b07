//! Runs a Spin application without Spin: the real `spin.toml` and the very same components, for development, tests
//! and demonstrations. What it does on purpose as Spin 4.0 does it includes the quirks of the stores.
//!
//! - [`manifest`] reads `spin.toml`, [`variables`] gives the variables their values.
//! - [`application`] puts both together: it compiles the components and holds what their instances share.
//! - [`http`] serves the HTTP triggers by way of [`router`]; [`cron`] fires the schedules. Components on WASI 0.3 are
//!   called by `reused`.
//! - [`host`] is what a component can call ([`bindings`] are the generated interfaces): stores ([`keyvalue`]),
//!   variables, and outgoing HTTP ([`outbound`], within [`hosts`]). What it prints goes to [`logs`].
//! - [`memory`] tells how much memory calls take.

pub mod application;
pub mod bindings;
pub mod cron;
pub mod host;
pub mod hosts;
pub mod http;
pub mod keyvalue;
pub mod logs;
pub mod manifest;
pub mod memory;
pub mod outbound;
mod reused;
pub mod router;
pub mod variables;

pub use application::{Application, Options};
