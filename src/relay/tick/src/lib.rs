//! One tick of the worker, from its first listing to the lease given back.
//!
//! | where | what |
//! |---|---|
//! | [`worker`] | the tick: list, plan, take the lease, work, keep, tell |
//! | `rounds` | batches, and reconciliation's share, until the time is used up |
//! | `recover` | what earlier workers left behind |
//! | `damage` | a damaged page of the index, set aside |
//! | `commands` | what people have asked for, carried out |
//! | [`standstill`] | a worker whose configuration keeps it from working |

mod commands;
mod damage;
mod recover;
mod rounds;
pub mod standstill;
pub mod worker;
