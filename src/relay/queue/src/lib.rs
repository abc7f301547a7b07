//! What waits, and what was done: the records of the store that stand for entities, and the plan that one listing of
//! their keys comes to.
//!
//! The queue is its keys. No key is ever changed by two, and none is deleted that was not listed before its entity was
//! read; so whoever dies between two calls leaves work to be repeated, and never work forgotten.
//!
//! | where | what |
//! |---|---|
//! | [`key`], [`keyspace`] | the keys: what each says, its text, and reading it back |
//! | [`raise`] | events as they wait, and those that the relay raises itself |
//! | [`plan`] | what one listing says |
//! | [`batches`] | the work of a tick, batch by batch, in order, each made when its turn comes |
//! | [`waiting`] | an entity and all that waits for it |
//! | [`lease`] | one worker at a time |
//! | [`succession`] | the next tick that stays waits for the lease of the one before |
//! | [`handover`] | somebody else needs the lease for a moment |
//! | [`in_flight`] | batches whose pushes have begun |
//! | [`retry`] | when to try again, and what was tried |
//! | [`dead_letter`], [`search`] | what was given up |

pub mod batches;
pub mod dead_letter;
pub mod handover;
pub mod in_flight;
pub mod key;
pub mod keyspace;
pub mod lease;
pub mod plan;
pub mod raise;
pub mod retry;
pub mod search;
pub mod succession;
pub mod waiting;
