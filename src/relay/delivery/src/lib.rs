//! The way in: a delivery is judged by its head, verified, read, written in one step, and only then acknowledged.
//!
//! Nothing here calls anybody or knows what becomes of an event.
//!
//! | where | what |
//! |---|---|
//! | [`ingest`] | one delivery, from its head to its answer |
//! | [`channel`] | the channels that it may come by, and in what they differ |
//! | [`head`] | whether its body is read at all |
//! | [`signature`] | whether it is the sender's |
//! | [`event`] | what it says, of either channel |
//! | [`refusal`] | why it is not taken, and what is answered then |

pub mod channel;
pub mod event;
pub mod head;
pub mod ingest;
pub mod refusal;
pub mod signature;
