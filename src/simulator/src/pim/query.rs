//! The parameters of lists and reads (contract 4.3 and 4.4).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::answer::Refusal;
use crate::catalogue::Rendering;

// Parameters that a POST carries in its body; the others stay in the query (contract 4.3).
const IN_BODY: [&str; 8] = [
    "search",
    "scope",
    "locales",
    "attributes",
    "with_attribute_options",
    "with_completenesses",
    "with_asset_share_links",
    "with_quality_scores__products",
];

/// The decoded parameters, in the order sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    // Taken from a POST's body: they shape the answer, but not its links.
    from_body: Vec<(String, String)>,
    post: bool,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        Self {
            pairs,
            ..Self::default()
        }
    }

    /// Adds what a POST has in its body.
    pub(super) fn with_body(&self, body: &Bytes) -> Result<Self, Refusal> {
        let malformed = || Refusal::new(400, "Invalid json message received");
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| malformed())?;
        let mut from_body = Vec::new();
        for (name, value) in fields {
            if !IN_BODY.contains(&name.as_str()) {
                let message =
                    format!("Property \"{name}\" does not exist. Check the expected format on the API documentation.");
                return Err(Refusal::invalid(&message));
            }
            let text = match value {
                Value::String(text) => text,
                Value::Bool(flag) => flag.to_string(),
                _ => {
                    return Err(Refusal::invalid(&format!(
                        "Property \"{name}\" expects a string as data."
                    )));
                }
            };
            from_body.push((name.replace("__products", ""), text));
        }
        Ok(Self {
            pairs: self.pairs.clone(),
            from_body,
            post: true,
        })
    }

    /// Whether it came by POST.
    pub(super) fn is_post(&self) -> bool {
        self.post
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.from_body.iter().chain(&self.pairs);
        all.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn list(&self, name: &str) -> Option<BTreeSet<String>> {
        self.get(name).map(|text| text.split(',').map(str::to_owned).collect())
    }

    /// Booleans are the words `true` and `false`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Refusal::invalid(&format!(
                "Parameter \"{name}\" has to be a boolean. \"{other}\" given."
            ))),
        }
    }

    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let text = self.get("limit").unwrap_or("10");
        match text.parse() {
            Ok(limit @ 1..=100) => Ok(limit),
            Ok(limit) if limit > 100 => Err(Refusal::invalid("You cannot request more than 100 items.")),
            _ => Err(Refusal::invalid(&format!("\"{text}\" is not a valid limit number."))),
        }
    }

    pub(super) fn page(&self) -> Result<usize, Refusal> {
        let text = self.get("page").unwrap_or("1");
        let page = text.parse().ok().filter(|page| *page > 0);
        page.ok_or_else(|| Refusal::invalid(&format!("\"{text}\" is not a valid page number.")))
    }

    /// Whether pages follow a cursor; otherwise they are numbered.
    pub(super) fn search_after(&self) -> Result<bool, Refusal> {
        match self.get("pagination_type") {
            None | Some("page") => Ok(false),
            Some("search_after") => Ok(true),
            Some(_) => Err(Refusal::invalid("Pagination type does not exist.")),
        }
    }

    pub(super) fn rendering(&self, base: Rendering) -> Result<Rendering, Refusal> {
        Ok(Rendering {
            attributes: self.list("attributes"),
            locales: self.list("locales"),
            scope: self.get("scope").map(str::to_owned),
            with_attribute_options: self.flag("with_attribute_options")?,
            with_completenesses: self.flag("with_completenesses")?,
            with_quality_scores: self.flag("with_quality_scores")?,
            with_root_parent: self.flag("with_root_parent")?,
            ..base
        })
    }

    /// The query of a link: what was sent without `search_locale` (which the PIM loses, contract 4.4), with these
    /// parameters in place of the old.
    pub(super) fn link(&self, replaced: &[(&str, Option<String>)]) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        let kept = self
            .pairs
            .iter()
            .filter(|(name, _)| name != "search_locale" && replaced.iter().all(|(replaced, _)| replaced != name));
        text.extend_pairs(kept);
        for (name, value) in replaced {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        text.finish()
    }
}
