//! What the relay speaks of, without anything that it does: entities and their codes, failures, JSON and moments.
//!
//! Everything here is a pure value. Nothing knows a store, an upstream or a clock.
//!
//! | where | what |
//! |---|---|
//! | [`by_kind`] | something that there is once for each kind, or not |
//! | [`document`] | documents that people write, read with the place of every mistake |
//! | [`entity`] | kinds of entity, their codes, and how a code stands in a key |
//! | [`failure`] | what can go wrong with a call, and what follows from it |
//! | [`gathering`] | ordered maps and sets put together without a sort, and one sort for all types |
//! | [`html`] | pages of HTML where data was asked for |
//! | [`json`], [`number`] | JSON as others write it, with the digits that it has, and in the one form that is hashed |
//! | [`page_size`], [`gap`] | how large the pages of a list come, and what of a list cannot be read |
//! | [`path`] | codes in the paths of requests, and parameters in their queries |
//! | [`template`] | texts with places to fill in |
//! | [`text`] | JSON as text: mended where it was cut, unescaped for people, taken apart |
//! | [`time`] | moments, as Akeneo and HTTP write them |

pub mod by_kind;
pub mod document;
pub mod entity;
pub mod failure;
pub mod gap;
pub mod gathering;
pub mod html;
pub mod json;
pub mod number;
pub mod page_size;
pub mod path;
pub mod template;
pub mod text;
pub mod time;
