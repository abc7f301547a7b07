//! How a destination is spoken to: what operations it has, what it calls an entity, and what its answers mean.
//!
//! All of it is data out of a document, checked with places and remedies, and pure to evaluate: nothing here knows a
//! socket. What of an entity is sent is content, and the matter of the room `shape`.
//!
//! | where | what |
//! |---|---|
//! | [`operation`] | upsert, or create and update; delete, archive, or neither |
//! | [`request`] | what a request is to do, and by what it names an entity |
//! | [`route`], [`headers`] | method, path and headers of a request |
//! | [`identity`] | what an entity is called at the destination |
//! | [`answers`], [`condition`] | what an answer means: by its status, and by what stands in its body |
//! | [`login`] | how a token is had that ends |
//! | [`place`] | places in documents |

pub mod answers;
pub mod condition;
pub mod headers;
pub mod identity;
pub mod login;
pub mod operation;
pub mod place;
pub mod request;
pub mod route;
