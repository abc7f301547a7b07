//! What is told: a sentence of our own, and what stands beside it in the places of a template.

use crate::facts::DEAD_LETTERS;
use config::PLACES;
use model::failure::Class;
use serde_json::json;

/// How many characters of a sentence are sent: a pager refuses longer ones. The log has all of it.
const TEXT_MAX: usize = 1000;

/// How many characters of an entity's id stand in a sentence.
const ID_MAX: usize = 60;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    /// What it is about; the same cause stays quiet for an hour.
    pub(super) cause: String,
    /// Whether it is told that it is over.
    pub(super) is_over: bool,
    /// One sentence: what is wrong, in numbers, and what to do.
    pub(super) text: String,
    /// The failure that it is about, if about one.
    pub(super) about: About,
}

/// What is told of a failure beside the sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    /// What the upstream answered.
    pub(super) status: Option<u16>,
    /// What follows from it.
    pub(super) class: Option<Class>,
    /// The first entities that it is about, by their kinds and codes.
    pub(super) entities: Vec<String>,
}

impl Alert {
    /// What stands in the places of a template, in the order of [`PLACES`].
    pub(super) fn values(&self, instance: &str, link: Option<&str>) -> [String; PLACES.len()] {
        let About {
            status,
            class,
            entities,
        } = &self.about;
        let (state, action) = if self.is_over {
            ("resolved", "resolve")
        } else {
            ("firing", "trigger")
        };
        [
            cut(&self.text, TEXT_MAX),
            self.cause.clone(),
            instance.to_owned(),
            status.map(|status| status.to_string()).unwrap_or_default(),
            class
                .and_then(|class| Some(json!(class).as_str()?.to_owned()))
                .unwrap_or_default(),
            match self.cause.as_str() {
                DEAD_LETTERS => entities.first().cloned().unwrap_or_default(),
                _ => String::new(),
            },
            entities.join(", "),
            state.to_owned(),
            action.to_owned(),
            link.unwrap_or_default().to_owned(),
        ]
    }
}

/// An entity as it may stand in a sentence that a chat shows: what could be a mention, a link or a line of its own there
/// is a question mark, and a long id is cut.
pub(super) fn shown(entity: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./: ".contains(letter);
    let entity = cut(entity, ID_MAX);
    let plain = entity.chars().map(|letter| if is_plain(letter) { letter } else { '?' });
    plain.collect()
}

/// As many characters of a text, and dots for the others.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first of so many things in words, and how many more there are.
pub(super) fn listed(mut names: Vec<String>, all: usize) -> String {
    if all > names.len() && !names.is_empty() {
        names.push(format!("{} more", all - names.len()));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_neither_call_everybody_nor_lead_anywhere() {
        for (entity, expected) in [
            (
                "products/25566245-55c3-42ce-86d9-8610ac459fa8",
                "products/25566245-55c3-42ce-86d9-8610ac459fa8",
            ),
            ("categories/Caf\u{e9}_2.1", "categories/Caf\u{e9}_2.1"),
            ("product-models/<!channel>", "product-models/??channel?"),
            (
                "product-models/[a](https://b)\n@all",
                "product-models/?a??https://b???all",
            ),
        ] {
            assert_eq!(shown(entity), expected);
        }
        let long = shown(&"\u{e9}".repeat(100));
        assert_eq!(long, format!("{}...", "\u{e9}".repeat(ID_MAX)));
    }

    #[test]
    fn the_first_are_named_and_the_others_counted() {
        let named = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        for (names, all, expected) in [(0, 3, ""), (1, 1, "0"), (3, 3, "0, 1, 2"), (2, 9, "0, 1, 7 more")] {
            assert_eq!(listed(named(names), all), expected);
        }
    }
}
