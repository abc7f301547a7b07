//! The connector itself, free of Spin, sockets and clocks.
//!
//! One idea carries it: an event is a hint that an entity is dirty, and the truth is fetched. So nothing here applies
//! an event; it marks the entity, reads its present state and makes the destination equal to it.
//!
//! | where | what |
//! |---|---|
//! | [`host`] | what is asked of the world: store, HTTP, clock, chance, log |
//! | [`config`] | the variables, checked |
//! | [`ingest`] | the way in: [`signature`], [`event`], [`notification`], one write, [`answer`] |
//! | [`entity`], [`key`], [`plan`] | the queue in the keys of the store |
//! | [`worker`] | one tick: [`lease`], [`batch`] by batch fetch, push, persist, clear |
//! | [`governor`] | every outbound call: limits, classes of failure, retries |
//! | [`wire`] | the headers of every outbound call, and answers that come packed |
//! | [`pim`], [`paging`], [`token`] | reading the PIM, its lists in pages that can be eaten |
//! | [`shape`], [`destination`] | what the destination is sent, and sending it |
//! | `enrichment` | what shapes look up in the PIM, and that everything is looked at when it changes |
//! | `media` | files, sent ahead of the entities that refer to them |
//! | [`index`] | what was last pushed |
//! | [`reconciliation`] | finding what no webhook told |
//! | [`standstill`] | a worker whose configuration keeps it from working |
//! | [`failure`], [`retry`], [`dead_letter`] | what went wrong, when to try again, giving up |
//! | [`admin`], [`command`] | what people ask, and how the worker hears of it |
//! | [`history`], [`health`] | what the worker did, and whether all is well |
//! | `alert`, [`log`], [`status`], [`time`] | telling people |

pub use ::batch;
pub use ::config::answer;
pub use people::admin;
pub use people::alert;
pub use records::brake;
pub use records::command;
pub use upstream::breaker;
pub use upstream::budget;
mod commands;
pub use ::config;
pub use ::destination;
pub use ::reconcile;
pub use ::shape;
pub use akeneo::paging;
pub use akeneo::pim;
pub use delivery::event;
pub use delivery::ingest;
pub use delivery::signature;
pub use desk::enrichment;
pub use desk::session;
pub use model::entity;
pub use model::failure;
pub use model::json;
pub use model::path;
pub use model::{gap, page_size};
pub use people::health;
pub use queue::dead_letter;
pub use queue::in_flight;
pub use queue::index;
pub use queue::key;
pub use queue::lease;
pub use queue::plan;
pub use queue::raise;
pub use queue::retry;
pub use records::history;
pub use records::meta;
pub use records::notification;
pub use records::pace;
pub use records::reconciliation;
pub use records::refused;
pub use records::report;
pub use upstream::excerpt;
pub use upstream::governor;
pub use upstream::html;
pub use world::host;
pub use world::log;
pub use world::mistake;
mod recover;
mod rounds;
pub mod standstill;
pub use desk::stop;
pub use model::text;
pub use model::time;
pub use records::state;
pub use records::status;
pub use upstream::token;
pub use upstream::wire;
pub mod worker;

pub use report::Report;
