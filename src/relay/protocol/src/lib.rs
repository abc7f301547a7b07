//! How a destination is spoken to: what operations it has, what it calls an entity, and what its answers mean.
//!
//! All of it is data out of a document, checked with places and remedies, and pure to evaluate: nothing here knows a
//! socket. What of an entity is sent is content, and the matter of the room `shape`.
//!
//! | where | what |
//! |---|---|
//! | [`kind`] | the operations of a kind: upsert, or create and update; delete, archive, or neither |
//! | [`operation`] | one of them: a request, and how its answer is read |
//! | [`find`] | looking up what the destination has of an entity |
//! | [`remote`], [`draft`] | what the destination gave of an entity, and requests that lack only that |
//! | [`request`] | what a request is to do, and by what it names an entity |
//! | [`request_line`], [`headers`], `header_name` | method, path and headers of a request |
//! | [`identity`] | what an entity is called at the destination |
//! | [`answers`], [`condition`] | what an answer means: by its status, and by what stands in its body |
//! | [`limits`] | when to come back, where it is told otherwise than by `Retry-After` |
//! | [`login`] | how a token is had that ends |
//! | [`place`] | places in documents |
//! | [`told`] | what follows from answers, in words |

pub mod answers;
pub mod condition;
pub mod draft;
pub mod find;
mod header_name;
pub mod headers;
pub mod identity;
pub mod kind;
pub mod limits;
pub mod login;
pub mod operation;
pub mod place;
pub mod remote;
pub mod request;
pub mod request_line;
pub mod told;
