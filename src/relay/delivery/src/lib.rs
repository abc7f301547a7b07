//! The way in: a delivery is judged by its head, verified, read, stored, and only then acknowledged.
//!
//! The room may assume that its caller has the head judged before it reads a body, and of the body reads no more bytes
//! than that allows. It promises that a delivery which is answered with 200 has left a key for each of its events that
//! concerns the relay, and that the same events always leave the same keys. It calls no upstream, lists no keys, and
//! does not know what becomes of an event.
//!
//! | where | what |
//! |---|---|
//! | [`ingest`] | one delivery, from its head to its answer |
//! | [`channel`] | the channels that a delivery may come by, and in what they differ |
//! | [`head`] | what a delivery must bear for its body to be read, and whether it is signed |
//! | [`signature`] | signatures: their form, and whether one is that of a message |
//! | [`event`] | what the events of a delivery say, on either channel |
//! | [`refusal`] | why a delivery is not taken, and what is answered then |

pub mod channel;
pub mod event;
pub mod head;
pub mod ingest;
pub mod refusal;
pub mod signature;
