//! A subscription's filter, which is set only if somebody asks for it (contract 3.6).
//!
//! Akeneo drops an event that lacks what a filter asks for, and tells nobody. So whoever asks for one is told what it
//! drops before it is set.

use std::collections::BTreeSet;

/// How long a filter may be, in characters.
const LENGTH_MAX: usize = 500;

/// How many operators a filter may have.
const OPERATORS_MAX: usize = 10;

const OPERATORS: [&str; 4] = ["and", "or", "not", "in"];

/// The fields that only deltas have.
const OF_DELTAS: [&str; 4] = ["attribute", "scope", "channel", "locale"];

/// The words of a filter that stand in no quotes: operators and fields.
fn words(filter: &str) -> impl Iterator<Item = String> {
    let outside = filter.split('"').step_by(2);
    let words = outside.flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric() && letter != '_'));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Why Akeneo takes no such filter; none where nothing is known to be wrong.
pub fn flaw(filter: &str) -> Option<String> {
    if filter.chars().count() > LENGTH_MAX {
        return Some(format!("`filter` may have {LENGTH_MAX} characters"));
    }
    let operators = words(filter).filter(|word| OPERATORS.contains(&word.as_str()));
    (operators.count() > OPERATORS_MAX)
        .then(|| format!("`filter` may have {OPERATORS_MAX} operators (and, or, not, in)"))
}

/// What a filter drops of these types of events, for people.
pub fn traps(filter: &str, events: &BTreeSet<String>) -> Vec<String> {
    let words: BTreeSet<String> = words(filter).collect();
    let mut traps = vec![format!(
        "the filter `{filter}`: an event that lacks what it asks for is dropped in silence, and found by a walk alone"
    )];
    if let Some(field) = OF_DELTAS.into_iter().find(|field| words.contains(*field)) {
        let lacking = events.iter().filter(|name| !name.ends_with(".delta"));
        let lacking: Vec<&str> = lacking.map(String::as_str).collect();
        if !lacking.is_empty() {
            traps.push(format!(
                "only deltas have `{field}`, so the filter drops {}",
                lacking.join(", ")
            ));
        }
    }
    if words.contains("user_type") {
        traps.push("`user_type` tells no integration from another: what all of them change is dropped".to_owned());
    }
    traps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_drops_other_events_is_told() {
        let events: BTreeSet<String> = ["product.created", "product.updated.delta"].map(str::to_owned).into();
        for (filter, expected) in [
            ("not user=\"attribute\"", 1),
            ("user_type=\"api\"", 2),
            ("attribute in (\"name\", \"user_type\")", 2),
            ("not user_type=\"api\" and locale=\"de_DE\"", 3),
        ] {
            assert_eq!(traps(filter, &events).len(), expected, "{filter}");
        }
        assert!(traps("scope=\"shop\"", &events)[1].ends_with("drops product.created"));
        let deltas: BTreeSet<String> = ["product.updated.delta".to_owned()].into();
        assert_eq!(traps("scope=\"shop\"", &deltas).len(), 1);
    }

    #[test]
    fn a_filter_that_akeneo_does_not_take_is_refused() {
        assert_eq!(flaw("not user=\"and or and or and or and or and or and\""), None);
        assert!(flaw(&"not ".repeat(11)).is_some_and(|flaw| flaw.contains("operators")));
        assert!(flaw(&"x".repeat(501)).is_some_and(|flaw| flaw.contains("characters")));
    }
}
