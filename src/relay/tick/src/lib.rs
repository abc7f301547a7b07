//! One tick of the worker, from its first listing to the lease given back.
//!
//! | where | what |
//! |---|---|
//! | [`worker`] | the tick: look, take the lease, work or stay, give the lease back |
//! | `work` | a piece of work under the lease: list, plan, work, keep, tell; and the looks between |
//! | `stay` | a tick that waits for news and works again |
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
mod stay;
mod work;
pub mod worker;
