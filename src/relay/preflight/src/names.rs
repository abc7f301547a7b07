//! The channels, locales, currencies, attributes, families and categories that the shape names, and whether the PIM has them.
//!
//! Codes are compared as Akeneo does, to which letter case makes no difference. Where a code is nowhere, those that look
//! like it are named.

use crate::finding::Findings;
use crate::mentions::Mentions;
use akeneo::pim::Pim;
use model::entity::is_same;
use serde_json::Value;
use std::collections::BTreeSet;
use world::host::Host;

/// How many pages of a list are read at most; of a longer one nothing is concluded.
const PAGES_MAX: usize = 50;

/// How much a code must be like another one to be named, from 0 to 1.
const LIKENESS: f64 = 0.6;

/// The lists of which a shape names something, and what it names.
fn lists(mentions: &Mentions) -> [(&'static str, &'static str, &BTreeSet<String>); 6] {
    [
        ("channels", "channel", &mentions.channels),
        ("locales", "locale", &mentions.locales),
        ("currencies", "currency", &mentions.currencies),
        ("attributes", "attribute", &mentions.attributes),
        ("families", "family", &mentions.families),
        ("categories", "category", &mentions.categories),
    ]
}

/// The lists of which the shape names something.
pub fn lists_named(mentions: &Mentions) -> BTreeSet<&'static str> {
    let named = lists(mentions).into_iter().filter(|(_, _, codes)| !codes.is_empty());
    named.map(|(list, ..)| list).collect()
}

/// Looks for what the shape names in the lists that may be read.
pub async fn look<H: Host>(
    pim: &mut Pim<'_, H>,
    mentions: &Mentions,
    readable: &BTreeSet<String>,
    findings: &mut Findings,
) {
    for (list, what, named) in lists(mentions) {
        if named.is_empty() || !readable.contains(list) {
            continue;
        }
        let known = match codes(pim, list).await {
            Ok(Some(known)) => known,
            Ok(None) => {
                findings.note(
                    "shape",
                    format!("the list of {list} is too long to be read here, so what the shape names of it was not looked for"),
                    "see these codes in the PIM yourself",
                );
                continue;
            }
            Err(reason) => {
                findings.warning(
                    "pim",
                    format!("the list of {list} cannot be read to its end: {reason}"),
                    "ask again later",
                );
                continue;
            }
        };
        for code in named {
            match known.iter().find(|(known, _)| is_same(known, code)) {
                Some((_, true)) => {}
                Some((_, false)) => findings.error(
                    "shape",
                    format!("the shape names the {what} `{code}`, which is not enabled in the PIM"),
                    format!("give a channel the {what}, or take it out of the shape"),
                ),
                None => findings.error(
                    "shape",
                    format!("the shape names the {what} `{code}`, which the PIM does not have"),
                    remedy(code, &known),
                ),
            }
        }
    }
}

/// The codes of a list, each with whether it is in use; none where the list is too long.
async fn codes<H: Host>(pim: &mut Pim<'_, H>, list: &str) -> Result<Option<Vec<(String, bool)>>, String> {
    let (mut known, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = pim
            .elements_page(list, cursor.as_deref())
            .await
            .map_err(|failure| failure.reason)?;
        let coded = page.items.iter().filter_map(|item| {
            let is_off = item.get("enabled").or(item.get("enable")) == Some(&Value::Bool(false));
            Some((item.get("code")?.as_str()?.to_owned(), !is_off))
        });
        known.extend(coded);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

fn remedy(code: &str, known: &[(String, bool)]) -> String {
    let code = code.to_lowercase();
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&code, &other.to_lowercase());
    let mut like: Vec<(f64, &str)> = known
        .iter()
        .map(|(other, _)| (likeness(other), other.as_str()))
        .collect();
    like.retain(|(likeness, _)| *likeness >= LIKENESS);
    like.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let like: Vec<String> = like.iter().take(3).map(|(_, code)| format!("`{code}`")).collect();
    match like.is_empty() {
        true => "take it out of the shape, or make it in the PIM".to_owned(),
        false => format!("the PIM has {}: write the shape so", like.join(", ")),
    }
}
