//! What a shape needs of the PIM beside the entity itself: labels, and where categories lie.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One list of the PIM that a shape looks things up in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The families.
    Families,
    /// The category trees.
    Categories,
    /// The options of an attribute.
    Options(String),
}

/// What is kept of an element of such a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Its labels, by locale.
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The category above it.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// A list, by code.
pub type Elements = BTreeMap<String, Element>;

/// The lists that are at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookups {
    /// By what was needed.
    pub lists: BTreeMap<Need, Elements>,
}

/// How deep category trees are followed; what goes deeper goes in a circle.
const DEPTH_MAX: usize = 100;

impl Lookups {
    fn element(&self, need: &Need, code: &str) -> Option<&Element> {
        self.lists.get(need)?.get(code)
    }

    /// The label in the first of these locales that has one.
    pub(super) fn label(&self, need: &Need, code: &str, locales: &[String]) -> Option<&str> {
        let labels = &self.element(need, code)?.labels;
        locales.iter().find_map(|locale| labels.get(locale)).map(String::as_str)
    }

    /// A category and all above it.
    pub(super) fn lineage<'a>(&'a self, category: &'a str) -> impl Iterator<Item = &'a str> {
        let above = |code: &&'a str| self.element(&Need::Categories, code)?.parent.as_deref();
        std::iter::successors(Some(category), above).take(DEPTH_MAX)
    }
}
