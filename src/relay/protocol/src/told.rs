//! What follows from an answer for an entity, in words for whoever writes a document.
//!
//! What the worker does after an answer is decided where the destination is spoken to. That these words say the same is
//! shown by a test that has both before it.

use crate::answers::Meaning;
use crate::kind::Protocol;
use crate::request::Act;

impl Protocol {
    /// What every answer to a request means, in the order in which it is judged: which answers, and what follows.
    pub fn told(&self, act: Act) -> Vec<(String, String)> {
        let told = self.operation(act).answers.told(act).into_iter().map(|told| {
            let wait = told.wait.map(|wait| format!(", after {wait}")).unwrap_or_default();
            let follows = self.follows(act, told.meaning);
            (told.which, format!("{follows}{wait} ({})", told.meaning.name()))
        });
        told.collect()
    }

    /// What follows from this meaning of an answer for an entity.
    fn follows(&self, act: Act, meaning: Meaning) -> &'static str {
        match meaning {
            Meaning::Done if act == Act::Find => "it says what is there",
            Meaning::Done => "done",
            Meaning::Missing => self.follows_missing(act),
            Meaning::Exists => self.follows_exists(act),
            Meaning::Refused => DEAD_LETTER,
            Meaning::Busy => "tried again later",
            Meaning::Misconfigured => "taken for a wrong configuration: left alone until a person has looked",
            Meaning::Unavailable => "somebody else answers: tried again, no attempt is used",
        }
    }

    fn follows_missing(&self, act: Act) -> &'static str {
        match (act, self.create.is_some(), self.find.is_some()) {
            (Act::Delete, ..) => "it is not there: done",
            (Act::Find, true, _) => "it is not there: it is made",
            (Act::Find, false, _) => "it is not there: it is sent",
            (Act::Update, _, true) => "it is not there: it is looked up, changed if it is found, and else made",
            (Act::Update, _, false) => "it is not there: it is made",
            (Act::Upsert, _, true) => "it is not there: it is looked up, and sent once more",
            (Act::Upsert, _, false) if self.gives() => {
                "it is not there: it is sent once more without what was remembered of it, or is a dead letter where nothing was"
            }
            (Act::Create | Act::Upsert, ..) => DEAD_LETTER,
        }
    }

    fn follows_exists(&self, act: Act) -> &'static str {
        match (act, self.create.is_some(), self.find.is_some()) {
            (Act::Find, ..) | (Act::Delete, _, false) => DEAD_LETTER,
            (Act::Create, _, true) => {
                "it is there: it is looked up and changed, or looked up once more when it may have settled, and else a dead letter"
            }
            (Act::Create, _, false) if self.upsert.late_places().next().is_some() => {
                "it is there: it is changed if this answer gives what that needs, and else a dead letter"
            }
            (Act::Create, _, false) => "it is there: it is changed",
            (_, _, true) => "another version is there: it is looked up, and sent once more",
            (_, false, false) if !self.gives() => DEAD_LETTER,
            _ => "another version is there: it is sent once more with what this answer gives",
        }
    }

    /// Whether the destination gives anything that is remembered.
    fn gives(&self) -> bool {
        self.remembered().next().is_some()
    }
}

/// What follows from the meaning of an answer to a file, for what needs the file.
pub fn follows_of_file(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Done => "done",
        Meaning::Busy => "tried again later",
        Meaning::Misconfigured => {
            "taken for a wrong configuration: whatever needs a file waits until a person has looked"
        }
        _ => "what needs the file is a dead letter",
    }
}

const DEAD_LETTER: &str = "this one is refused: a dead letter";
