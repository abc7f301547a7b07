//! Reading the PIM: entities by list and by id, and whole lists in pages that can be eaten.
//!
//! What Akeneo sends and answers, and with which traps, is the contract's matter; whoever calls gets entities, absences
//! that Akeneo itself spoke of, or a failure.
//!
//! | where | what |
//! |---|---|
//! | [`pim`] | the REST client: what is asked and what an answer is worth |
//! | `login` | how the PIM gives its tokens |
//! | [`query`] | queries for places of a list, with pages of any size |
//! | [`paging`] | pages of lists: smaller where they do not come, past what cannot be read |

mod login;
pub mod paging;
pub mod pim;
pub mod query;
