//! The one form of a body that its hash is taken of.
//!
//! Bodies that say the same come to the same form, in whichever way the PIM wrote them. The form must stay as it is:
//! the index is full of hashes of it, and with another one all entities would be pushed again.

use model::number;
use serde_json::{Map, Value};

/// Members that Akeneo writes as `{}` or as `[]` when they are empty (contract 6, trap 14).
const MAPS: [&str; 7] = [
    "values",
    "associations",
    "quantified_associations",
    "labels",
    "quality_scores",
    "completenesses",
    "linked_data",
];

/// A place of a body whose `_links` are content, since the shape put them there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links<'a> {
    /// All links below this place.
    Below(&'a [String]),
    /// The links that this place leads through.
    On(&'a [String]),
}

impl<'a> Links<'a> {
    /// What of the place lies below this member or element.
    fn below(self, name: &str) -> Option<Links<'a>> {
        match self {
            Links::Below([]) => Some(self),
            Links::Below([first, rest @ ..]) => (first == name).then_some(Links::Below(rest)),
            Links::On([]) => None,
            Links::On([first, rest @ ..]) => (first == name).then_some(Links::On(rest)),
        }
    }

    /// What of the place lies below any element of a list. Which element the shape meant cannot be told any more, since
    /// gaps between elements were closed.
    fn in_list(self) -> Option<Links<'a>> {
        match self {
            Links::Below([]) => Some(self),
            Links::Below([_, rest @ ..]) => Some(Links::Below(rest)),
            Links::On([]) => None,
            Links::On([_, rest @ ..]) => Some(Links::On(rest)),
        }
    }

    fn are_here(self) -> bool {
        match self {
            Links::Below(place) => place.first().is_none_or(|first| first == "_links"),
            Links::On(place) => place.first().is_some_and(|first| first == "_links"),
        }
    }
}

/// A document in canonical form: members sorted, numbers and empty maps written in one way, the links of Akeneo's
/// values left out, but not those that a shape put there.
pub(crate) fn canonical(value: &Value, links: &[Links<'_>]) -> Value {
    match value {
        Value::Object(members) => {
            // A map keeps its members sorted.
            let mut sorted = Map::new();
            // The links of Akeneo's values name the PIM's address, and say nothing of the value (contract 4.6).
            let are_akeneos = members.contains_key("data") && !links.iter().any(|links| links.are_here());
            for (name, value) in members.iter().filter(|(name, _)| !are_akeneos || *name != "_links") {
                let is_empty_list = value.as_array().is_some_and(Vec::is_empty);
                let value = if is_empty_list && MAPS.contains(&name.as_str()) {
                    Value::Object(Map::new())
                } else {
                    let below: Vec<Links<'_>> = links.iter().filter_map(|links| links.below(name)).collect();
                    canonical(value, &below)
                };
                sorted.insert(name.clone(), value);
            }
            Value::Object(sorted)
        }
        Value::Array(items) => {
            let below: Vec<Links<'_>> = links.iter().filter_map(|links| links.in_list()).collect();
            Value::Array(items.iter().map(|item| canonical(item, &below)).collect())
        }
        other => number::canonical(other).unwrap_or_else(|| other.clone()),
    }
}
