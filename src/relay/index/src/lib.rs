//! What the destination has: of every entity what was last pushed of it, and which entity holds which identity.
//!
//! Entries lie in pages of some hundred, each of which holds an extent of places, so that a change costs a page of that
//! size however many entities there are. Where pages lie one listing of the store's keys tells, and no worker ever
//! writes what another one wrote.
//!
//! | where | what |
//! |---|---|
//! | [`entry`] | what is known of one entity, and which of two entries of it counts |
//! | [`directory`] | where the pages lie |
//! | [`pages`] | pages that are read, changed, split and written |
//! | `page` | a page's value |
//! | [`claims`] | the same in the order of identities: which entity holds which |
//! | [`files`] | the same in the order of files: when each went |

pub mod claims;
pub mod directory;
pub mod entry;
pub mod files;
mod page;
pub mod pages;
