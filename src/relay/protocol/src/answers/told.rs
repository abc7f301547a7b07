//! Which answers mean what, in words for whoever writes a document.
//! What statuses mean is found by asking the code that judges them, so that these words cannot differ from it.

use super::{Answers, MEANINGS, Meaning, Rule};
use crate::place::shown;
use crate::request::Act;

/// Answers of one meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What they mean.
    pub meaning: Meaning,
    /// Which answers.
    pub which: String,
    /// When the request is tried again, where the document says so.
    pub wait: Option<String>,
}

impl Meaning {
    /// What documents call the meaning.
    pub fn name(self) -> &'static str {
        let named = MEANINGS.iter().find(|(_, meaning)| *meaning == self);
        named.map_or("unavailable", |(name, _)| name)
    }
}

impl Told {
    fn of(meaning: Meaning, which: String) -> Told {
        Told {
            meaning,
            which,
            wait: None,
        }
    }
}

impl Answers {
    /// What every answer to a request means, in the order in which it is judged.
    pub fn told(&self, act: Act) -> Vec<Told> {
        let mut told: Vec<Told> = self.rules.iter().map(Rule::told).collect();
        if !self.are_pages_its_own {
            told.push(Told::of(Meaning::Unavailable, "2xx with a page of HTML".to_owned()));
        }
        if !self.are_errors_harmless {
            told.push(Told::of(
                Meaning::Refused,
                "2xx with a list of /errors that is not empty".to_owned(),
            ));
        }
        if let Some(place) = &self.required {
            let which = format!("2xx (but 204) without {}", shown(place));
            told.push(Told::of(Meaning::Refused, which));
        }
        let is_decided = |status: u16| {
            self.rules
                .iter()
                .any(|rule| rule.condition.is_none() && rule.is_of(status))
        };
        told.extend(by_status(|status| {
            (!is_decided(status)).then(|| self.of_status(act, status, b""))
        }));
        told
    }

    /// What every answer to a file means: by its status alone.
    pub fn told_of_files(&self) -> Vec<Told> {
        by_status(|status| Some(self.meaning_of_file(status)))
    }

    /// Where an answer says why it refuses, in words; none where the document does not say.
    pub fn told_reason(&self) -> Option<String> {
        self.reason.as_deref().map(shown)
    }
}

/// Which statuses mean what by themselves, where the destination's own word stands in the body; none for one that means
/// something else before.
fn by_status(meaning: impl Fn(u16) -> Option<Meaning>) -> Vec<Told> {
    let mut runs: Vec<(u16, u16, Option<Meaning>)> = Vec::new();
    for status in 200..600 {
        let meaning = meaning(status);
        match runs.last_mut() {
            Some((_, to, known)) if *known == meaning && status % 100 != 0 => *to = status,
            _ => runs.push((status, status, meaning)),
        }
    }
    let mut told: Vec<Told> = Vec::new();
    for (from, to, meaning) in runs {
        let Some(meaning) = meaning else { continue };
        let which = match (from % 100, to - from) {
            (_, 0) => from.to_string(),
            (0, 99) => format!("{}xx", from / 100),
            _ => format!("{from} to {to}"),
        };
        match told.iter_mut().find(|known| known.meaning == meaning) {
            Some(known) => known.which.push_str(&format!(", {which}")),
            None => told.push(Told::of(meaning, which)),
        }
    }
    told
}

impl Rule {
    fn told(&self) -> Told {
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
        let which = match &self.condition {
            Some(condition) => format!("{statuses} where {condition}"),
            None => statuses,
        };
        Told {
            wait: self.wait.as_ref().map(ToString::to_string),
            ..Told::of(self.means, which)
        }
    }
}
