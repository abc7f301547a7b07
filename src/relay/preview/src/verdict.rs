//! What would be done with an entity, and why, in words.

use index::entry::Entry;
use model::entity::Kind;
use serde::Serialize;
use shape::{Farewell, Refusal, Shape, Shaped};

/// What would be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Would {
    /// Nothing.
    Nothing,
    /// The entity would be brought.
    Upsert,
    /// The entity would be taken away.
    Delete,
    /// The destination would keep it, and the index would forget it.
    LetGo,
    /// The entity would become a dead letter.
    DeadLetter,
}

/// What is known of an entity.
pub struct Known<'a> {
    /// What the shape makes of it; none where the PIM does not have it.
    pub shaped: Option<&'a Shaped>,
    /// What the index has of it.
    pub entry: Option<&'a Entry>,
    /// What becomes of it where it is to be there no more; none where that is not known.
    pub farewell: Option<&'a Farewell>,
    /// A digest of what the destination gave of its parent, where that is sent.
    pub of_parent: Option<&'a str>,
}

/// What would be done with an entity, and why.
pub fn judge(shape: &Shape, kind: Kind, known: &Known<'_>) -> (Would, String) {
    match known.shaped {
        None => removed(
            known,
            "the PIM does not have it, or does not show it to this connection",
            false,
        ),
        Some(Shaped::Unsendable(why)) => (Would::DeadLetter, (*why).to_owned()),
        Some(Shaped::Unwanted(Refusal::Identity)) if known.entry.is_none() => (
            Would::DeadLetter,
            "it has no value of the attribute by which the destination names it".to_owned(),
        ),
        Some(Shaped::Unwanted(refusal)) => {
            let why = format!("the shape does not want it, for its {}", refusal.name());
            removed(known, &why, refusal.is_certain())
        }
        Some(Shaped::Wanted(upsert)) => {
            let identity = Some(&upsert.identity).filter(|_| shape.has_changing_identities(kind));
            match differs(known, &shape.hash(kind, upsert), identity) {
                Some(why) => (Would::Upsert, why),
                None => (Would::Nothing, "just this was sent last, by its hash".to_owned()),
            }
        }
    }
}

/// Why what would be sent is not what the destination has; none where it is.
fn differs(known: &Known<'_>, hash: &str, identity: Option<&String>) -> Option<String> {
    let Some(entry) = known.entry else {
        return Some("the index does not know that the destination has it".to_owned());
    };
    if entry.is_of(hash, known.of_parent, identity) {
        return None;
    }
    Some(match &entry.hash {
        None => "what lies at the destination is not certain".to_owned(),
        Some(sent) if sent != hash => "its content is another one than was sent last".to_owned(),
        Some(_) if entry.of_parent.as_deref() != known.of_parent => {
            "the destination has given something else of what it belongs to since".to_owned()
        }
        Some(_) => format!(
            "the destination is to call it otherwise: it lies under {}",
            entry.identities.join(", ")
        ),
    })
}

/// What becomes of what the destination is to have no more, for this reason; one that is certain passes the brake.
fn removed(known: &Known<'_>, why: &str, is_certain: bool) -> (Would, String) {
    if known.entry.is_none() {
        return (
            Would::Nothing,
            format!("{why}, and the index does not know that the destination has it"),
        );
    }
    match known.farewell {
        Some(Farewell::Sent(_)) if is_certain => (Would::Delete, why.to_owned()),
        Some(Farewell::Sent(_)) => (
            Would::Delete,
            format!("{why}; unless an event announces that, the brake lets through only so many in a day"),
        ),
        Some(Farewell::Silent) => (
            Would::LetGo,
            format!("{why}, and the shape leaves at the destination what is gone"),
        ),
        None => (
            Would::Nothing,
            format!("{why}, and what the destination calls it is not known"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use shape::Lookups;

    const ID: &str = "25566245-55c3-42ce-86d9-8610ac459fa8";

    fn judged(document: Value, entity: Option<Value>, entry: Option<Value>) -> (Would, String) {
        let shape = Shape::read(&document.to_string()).expect("a shape");
        let shaped = entity.map(|entity| shape.apply(Kind::Product, ID, &entity, &Lookups::default()));
        let mut entry: Option<Entry> = entry.map(|entry| serde_json::from_value(entry).expect("an entry"));
        if let (Some(entry), Some(Shaped::Wanted(upsert))) = (&mut entry, &shaped)
            && entry.hash.as_deref() == Some("this")
        {
            entry.hash = Some(shape.hash(Kind::Product, upsert));
        }
        let farewell = shape.farewell(Kind::Product, ID, None);
        let known = Known {
            shaped: shaped.as_ref(),
            entry: entry.as_ref(),
            farewell: farewell.as_ref(),
            of_parent: None,
        };
        judge(&shape, Kind::Product, &known)
    }

    #[test]
    fn what_would_be_done_is_told_with_its_reason() {
        let (mug, bowl) = (json!({ "family": "mugs" }), json!({ "family": "bowls" }));
        let of_mugs = json!({ "products": { "selection": { "families": ["mugs"] } } });
        let silent = json!({ "products": { "delete": false, "selection": { "families": ["mugs"] } } });
        let sent = |hash: Value| Some(json!({ "h": hash, "u": 1 }));
        for (document, entity, entry, expected, words) in [
            (&of_mugs, Some(&mug), None, Would::Upsert, "does not know"),
            (&of_mugs, Some(&mug), sent(json!("this")), Would::Nothing, "just this"),
            (&of_mugs, Some(&mug), sent(json!("other")), Would::Upsert, "another one"),
            (&of_mugs, Some(&mug), sent(json!(null)), Would::Upsert, "not certain"),
            (&of_mugs, Some(&bowl), None, Would::Nothing, "family"),
            (&of_mugs, Some(&bowl), sent(json!("other")), Would::Delete, "family"),
            (&silent, Some(&bowl), sent(json!("other")), Would::LetGo, "leaves"),
            (&of_mugs, None, sent(json!("other")), Would::Delete, "brake"),
            (&of_mugs, None, None, Would::Nothing, "does not have it"),
        ] {
            let (would, why) = judged(document.clone(), entity.cloned(), entry);
            assert_eq!(would, expected, "{words}: {why}");
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
