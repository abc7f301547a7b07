//! What of a PIM's structure a shape document names: channels, locales, currencies, attributes, families and categories;
//! and the path at the destination that may be tried.
//!
//! It is for people who set up. What a document does with a code is told by the rooms that read it; here a code counts
//! wherever it stands, be it in a member that a later version reads otherwise.

use model::json;
use serde_json::Value;
use std::collections::BTreeSet;

/// The codes that a document names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Channels.
    pub channels: BTreeSet<String>,
    /// Locales.
    pub locales: BTreeSet<String>,
    /// Currencies.
    pub currencies: BTreeSet<String>,
    /// Attributes.
    pub attributes: BTreeSet<String>,
    /// Families.
    pub families: BTreeSet<String>,
    /// Categories.
    pub categories: BTreeSet<String>,
}

/// The path at the destination that the document names as harmless, to be tried by `GET`.
pub fn probe(document: &str) -> Option<String> {
    let document = json::read(document.as_bytes())?.value;
    document.get("probe")?.as_str().map(str::to_owned)
}

impl Mentions {
    /// What a document names; nothing where it cannot be read.
    pub fn of(document: &str) -> Mentions {
        let mut mentions = Mentions::default();
        let document = json::read(document.as_bytes()).map(|read| read.value);
        for kind in ["products", "product-models", "categories"] {
            if let Some(rules) = document.as_ref().and_then(|document| document.get(kind)) {
                mentions.gather(rules, kind != "categories");
            }
        }
        if let Some(media) = document.as_ref().and_then(|document| document.get("media")) {
            mentions.gather(media, true);
        }
        mentions
    }

    fn gather(&mut self, node: &Value, has_values: bool) {
        if let Value::Array(list) = node {
            list.iter().for_each(|node| self.gather(node, has_values));
        }
        for (name, value) in node.as_object().into_iter().flatten() {
            let codes = match name.as_str() {
                "channel" => Some(&mut self.channels),
                "locale" | "locales" => Some(&mut self.locales),
                "currency" => Some(&mut self.currencies),
                "attribute" | "attributes" => Some(&mut self.attributes),
                "families" => Some(&mut self.families),
                "categories" => Some(&mut self.categories),
                _ => None,
            };
            match (codes, value) {
                (Some(codes), Value::String(code)) => drop(codes.insert(code.clone())),
                (Some(codes), Value::Array(list)) => {
                    codes.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                // The values of a category are of another form (contract 4.3).
                (_, Value::String(text)) if has_values && matches!(name.as_str(), "from" | "template") => {
                    self.gather_places(text);
                }
                // What is sent as it stands, and what answers say, is the destination's, whatever its members are called.
                _ if ["constant", "default", "headers", "answers", "remember", "find"].contains(&name.as_str()) => {}
                _ => self.gather(value, has_values),
            }
        }
    }

    /// Takes the attributes out of places such as `/values/weight/unit`, alone or in the braces of a template.
    fn gather_places(&mut self, text: &str) {
        for rest in text.split("/values/").skip(1) {
            let code = rest.split(['/', '}', '"']).next().unwrap_or_default();
            // How a JSON Pointer writes a slash and a tilde (RFC 6901).
            let code = code.replace("~1", "/").replace("~0", "~");
            if !code.is_empty() {
                self.attributes.insert(code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn codes_are_found_wherever_a_document_names_them() {
        let document = json!({
            "about": "channel",
            "media": { "attributes": ["packshot"] },
            "products": {
                "identity": { "form": "attribute", "attribute": "sku" },
                "selection": {
                    "families": ["shoes"], "categories": ["spring"],
                    "completeness": { "channel": "shop", "locale": "en_US", "at_least": 80 },
                },
                "values": { "form": "flat", "channel": "print", "locales": ["de_DE"] },
                "fields": [
                    { "to": "/a", "from": "/values/weight/unit" },
                    { "to": "/p", "from": "/values/price", "currency": "EUR" },
                    { "to": "/b", "template": "{/values/name} by {/values/brand}" },
                    { "to": "/c", "constant": { "attribute": "theirs" } },
                ],
            },
            "categories": { "fields": [{ "to": "/d", "from": "/values/description|1|ecommerce|en_US/data" }] },
        });
        let of = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<BTreeSet<_>>();
        let mentions = Mentions::of(&document.to_string());
        assert_eq!(
            mentions.attributes,
            of(&["brand", "name", "packshot", "price", "sku", "weight"])
        );
        assert_eq!(
            (mentions.channels, mentions.locales),
            (of(&["print", "shop"]), of(&["de_DE", "en_US"]))
        );
        assert_eq!(
            (mentions.families, mentions.categories),
            (of(&["shoes"]), of(&["spring"]))
        );
        assert_eq!(mentions.currencies, of(&["EUR"]));
        assert_eq!(Mentions::of("no document"), Mentions::default());
        assert_eq!(probe(r#"{ "probe": "/me" }"#), Some("/me".to_owned()));
    }
}
