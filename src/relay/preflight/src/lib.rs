//! What is wrong with the set-up, told before the first event comes.
//!
//! Everything is looked at that a stranger can get wrong: the variables, the store, the destination, the public address,
//! and the PIM with its rights and names. Nothing is changed anywhere, but for a key of the store that is taken away
//! again. No finding hides another one, unless it would only mislead: without a token nothing is asked of the PIM.
//!
//! | where | what |
//! |---|---|
//! | [`finding`] | what was found, and what to do about it |
//! | [`variables`] | every variable, each judged although others are wrong |
//! | [`store`] | that the store keeps, lists and forgets, and that a worker uses the same one |
//! | [`calls`] | single calls, whose every answer is an answer |
//! | [`pim`] | the PIM: its address, login, version, clock, rights |
//! | [`channels`] | whether the PIM's edition has the channels whose secrets are set |
//! | [`mentions`] | what the shape document names: codes of the PIM, and a path at the destination that may be tried |
//! | [`names`] | whether the PIM has the channels, locales, currencies, attributes, families and categories that the shape names |
//! | [`destination`] | the destination: its address and login |
//! | [`address`] | the public address, from outside in |
//! | [`request`] | who may have it looked at, and how long that may wait |
//! | [`check`] | all of it, in the order in which one thing rests on another |

pub mod address;
pub mod calls;
pub mod channels;
pub mod check;
pub mod destination;
pub mod finding;
pub mod mentions;
pub mod names;
pub mod pim;
pub mod request;
pub mod store;
pub mod variables;
