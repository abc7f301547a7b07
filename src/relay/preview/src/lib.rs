//! What one entity would be sent, and why, without sending it.
//!
//! The PIM is asked as a batch asks it, and the shape applied as a batch applies it; the index and the destination are left
//! as they are. Nothing here decides what is sent: that is the matter of a batch, and a test shows that both say the same.
//!
//! | where | what |
//! |---|---|
//! | [`request`] | the requests of a shape, as people read them |
//! | [`verdict`] | what would be done with an entity, and why |
//! | [`look`] | one entity, read, shaped and judged |

pub mod look;
pub mod request;
pub mod verdict;
