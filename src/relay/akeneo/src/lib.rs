//! Reading the PIM: entities by list and by id, and whole lists in pages of whatever size the PIM can give.
//!
//! The room knows what Akeneo's REST API answers (contract 4), and with which traps (contract 6). Whoever calls gets
//! entities, an absence that Akeneo stated in its own words, or a failure that says what follows. Nothing here changes
//! anything in the PIM.
//!
//! | where | what |
//! |---|---|
//! | [`pim`] | the REST client: the requests, and what each answer is worth |
//! | `login` | how the PIM gives its tokens |
//! | [`query`] | queries for the same place of a list with pages of another size |
//! | [`paging`] | pages of lists: smaller where they do not come, and past what cannot be read |

mod login;
pub mod paging;
pub mod pim;
pub mod query;
