//! A call to be made, and what is known of it before.
//!
//! By this alone a governor judges what became of the call: whose fault a failure may be, whether the call may be made
//! a second time, and what of its answer may be told.

use crate::budget::Share;
use http::{Request, Response};

/// One call to be made.
pub struct Call<'a> {
    /// What its breaker guards: a kind of entity, or the upstream's door.
    pub circuit: &'a str,
    /// The entity that it is for, if for a single one: by it the entity's failures are told from the upstream's.
    pub entity: Option<&'a str>,
    /// What the breaker knows the call by, if it may be at fault itself although it is for no single entity.
    pub subject: Option<&'a str>,
    /// Attempts that its entity has used up.
    pub attempts: u32,
    /// Whether it is a further request of a try that was let in already.
    pub follows: bool,
    /// Whether it is for several entities that can be asked for one by one: then a status that one of them may have
    /// brought about counts as a failure like others.
    pub is_divisible: bool,
    /// Whether failing is as good an answer as coming through, so that it is not made a second time at once.
    pub is_question: bool,
    /// Whether it only looks up what another call is to change: that a look-up comes through does not tell whether the
    /// change would.
    pub is_lookup: bool,
    /// Whether its entity is tried once more after it was given up: what comes of that tells nothing of the upstream.
    pub is_last_resort: bool,
    /// The path in the log, where the real one holds a secret.
    pub shown_path: Option<&'a str>,
    /// Whether what a good answer means cannot be told without the whole of its body.
    pub needs_body: bool,
    /// Whether what a refusal means cannot be told without the whole of its body, either.
    pub needs_refusals: bool,
    /// Whether a good answer holds a secret, known or not: nothing of its body is told then.
    pub is_answer_secret: bool,
    /// The part of an answer that says why it refuses, where that is not the beginning.
    pub why: Option<Why<'a>>,
    /// Whether a second call might make something twice, so that this one is never repeated at once.
    pub is_once: bool,
    /// How long an answer asks to wait, where that is told otherwise than by `Retry-After`.
    pub wait: Option<Wait<'a>>,
    /// The request.
    pub request: Request<Vec<u8>>,
}

/// The part of an answer's body that people are to read.
pub type Why<'a> = &'a dyn Fn(&[u8]) -> Option<String>;

/// How long an answer asks to wait, in seconds, beside what `Retry-After` says; a good one may, too.
pub type Wait<'a> = &'a dyn Fn(&Response<Vec<u8>>) -> Option<u64>;

impl<'a> Call<'a> {
    /// What the call is to the retry budget when it is made for the `tries`-th time.
    pub(crate) fn share(&self, tries: u32) -> Share {
        match (tries, self.follows, self.attempts) {
            (2.., ..) => Share::Retry,
            (_, true, _) => Share::Further,
            (_, false, 0) => Share::First,
            _ => Share::Retry,
        }
    }

    /// A call that is for no single entity, and of which nothing special is known.
    pub fn of(circuit: &'a str, request: Request<Vec<u8>>) -> Call<'a> {
        Call {
            circuit,
            entity: None,
            subject: None,
            attempts: 0,
            follows: false,
            is_divisible: false,
            is_question: false,
            is_lookup: false,
            is_last_resort: false,
            shown_path: None,
            needs_body: false,
            needs_refusals: false,
            is_answer_secret: false,
            why: None,
            is_once: false,
            wait: None,
            request,
        }
    }
}
