//! What answers mean, in words for whoever writes a document.
//! What statuses mean is found by asking the code that judges them, so that these words cannot differ from it.

use super::{Answers, MEANINGS, Meaning, Rule};
use crate::request::Act;

impl Meaning {
    /// What follows from this meaning for an entity.
    pub fn follows(self, act: Act) -> &'static str {
        match (self, act) {
            (Meaning::Done, Act::Find) => "the answer says what is there",
            (Meaning::Done, _) => "done",
            (Meaning::Missing, Act::Delete) => "it is not there: done",
            (Meaning::Missing, Act::Find) => "it is not there: it is made",
            (Meaning::Missing, _) => "it is not there: it is made",
            (Meaning::Exists, Act::Create) => "it is there: it is changed",
            (Meaning::Exists, _) => "another version is there: it is looked up and sent once more",
            (Meaning::Refused, _) => "this one is refused: a dead letter",
            (Meaning::Busy, _) => "tried again later",
            (Meaning::Misconfigured, _) => "taken for a wrong configuration: left alone until a person has looked",
            (Meaning::Unavailable, _) => "somebody else answers: tried again, no attempt is used",
        }
    }

    fn name(self) -> &'static str {
        let named = MEANINGS.iter().find(|(_, meaning)| *meaning == self);
        named.map_or("unavailable", |(name, _)| name)
    }
}

impl Answers {
    /// What every answer to a request means, in the order in which it is judged: which answers, and what follows.
    pub fn told(&self, act: Act) -> Vec<(String, String)> {
        let follows = |meaning: Meaning| format!("{} ({})", meaning.follows(act), meaning.name());
        let mut told: Vec<(String, String)> = self
            .rules
            .iter()
            .map(|rule| (rule.told(), follows(rule.means)))
            .collect();
        if !self.are_pages_its_own {
            told.push(("2xx with a page of HTML".to_owned(), follows(Meaning::Unavailable)));
        }
        if !self.are_errors_harmless {
            told.push((
                "2xx with a list of /errors that is not empty".to_owned(),
                follows(Meaning::Refused),
            ));
        }
        if let Some(place) = self.required.as_ref().filter(|_| act != Act::Delete) {
            told.push((
                format!("2xx (but 204) without /{}", place.join("/")),
                follows(Meaning::Refused),
            ));
        }
        told.extend(
            self.statuses(act)
                .into_iter()
                .map(|(meaning, which)| (which, follows(meaning))),
        );
        told
    }

    /// Which statuses mean what by themselves, where the destination's own word stands in the body.
    fn statuses(&self, act: Act) -> Vec<(Meaning, String)> {
        let mut runs: Vec<(u16, u16, Meaning)> = Vec::new();
        for status in 200..600 {
            let meaning = self.of_status(act, status, b"");
            match runs.last_mut() {
                Some((_, to, known)) if *known == meaning && status % 100 != 0 => *to = status,
                _ => runs.push((status, status, meaning)),
            }
        }
        let mut told: Vec<(Meaning, String)> = Vec::new();
        for (from, to, meaning) in runs {
            let which = match (from % 100, to - from) {
                (_, 0) => from.to_string(),
                (0, 99) => format!("{}xx", from / 100),
                _ => format!("{from} to {to}"),
            };
            match told.iter_mut().find(|(known, _)| *known == meaning) {
                Some((_, of_it)) => of_it.push_str(&format!(", {which}")),
                None => told.push((meaning, which)),
            }
        }
        told
    }
}

impl Rule {
    fn told(&self) -> String {
        let status = |(from, to): &(u16, u16)| match to - from {
            0 => from.to_string(),
            _ => format!("{}xx", from / 100),
        };
        let statuses: Vec<String> = self.statuses.iter().map(status).collect();
        let statuses = if statuses.is_empty() {
            "any".to_owned()
        } else {
            statuses.join(", ")
        };
        match &self.condition {
            Some(condition) => format!("{statuses} where {condition}"),
            None => statuses,
        }
    }
}
