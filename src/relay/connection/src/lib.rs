//! The subscription by which the Event Platform tells the relay of changes, kept as the variables say.
//!
//! What is wanted follows from the variables and the shape. What is there is read from Akeneo's management API. The
//! difference is told, and carried out if somebody asks for it; done again, nothing is left to do. Secrets come from the
//! variables of those components that verify with them; Akeneo never gives one back, so that a digest of what was sent is
//! remembered. Akeneo is told of no address and no secret of events before the address has taken a delivery that is signed
//! with that secret.
//!
//! | where | what |
//! |---|---|
//! | [`asked`] | what somebody asks for |
//! | [`wanted`] | the subscriber and the subscription that are wanted |
//! | [`found`] | those that are there, as the management API tells |
//! | [`memory`] | what was sent, remembered by digest |
//! | [`filter`] | a subscription's filter: what is wrong with it, and what it drops: pure |
//! | [`logs`] | what Akeneo has logged, as people are told it: pure |
//! | [`plan`] | what is to be done, out of the three above: pure |
//! | [`management`] | the calls of the management API |
//! | [`proof`] | a signed delivery to the public address, before Akeneo is told of it |
//! | [`connect`] | all of it: show, connect, resume, remove, logs, a new secret |

pub mod asked;
pub mod connect;
pub mod filter;
pub mod found;
pub mod logs;
pub mod management;
pub mod memory;
pub mod plan;
pub mod proof;
pub mod wanted;
