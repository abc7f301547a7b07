//! What a shape needs of the PIM beside the entity itself: labels, and where categories lie.
//!
//! Lists are brought by whoever shapes; nothing here reads the PIM. Codes are found in whichever letter case, and trees
//! that go in a circle end all the same.

use super::values::member;
use model::entity::{Kind, is_same};
use model::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One list of the PIM that a shape looks things up in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The attributes.
    Attributes,
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
    #[serde(rename = "l", default)]
    pub labels: Vec<(String, String)>,
    /// The category above it.
    #[serde(rename = "p", default)]
    pub parent: Option<String>,
}

/// A list, by code as the PIM spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Elements(BTreeMap<String, Element>);

impl Elements {
    /// The element of a code, in whichever letter case the code is.
    pub fn get(&self, code: &str) -> Option<&Element> {
        self.0.get(code).or_else(|| {
            let same = self.0.iter().find(|(known, _)| is_same(known, code));
            same.map(|(_, element)| element)
        })
    }

    /// Adds an element, in place of one of this code.
    pub fn insert(&mut self, code: String, element: Element) {
        self.0.insert(code, element);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(String, Element)> for Elements {
    fn from_iter<T: IntoIterator<Item = (String, Element)>>(elements: T) -> Elements {
        Elements(elements.into_iter().collect())
    }
}

/// The lists that are at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookups {
    /// By what was needed.
    pub lists: Vec<(Need, Elements)>,
}

/// How deep category trees are followed; what goes deeper goes in a circle.
const DEPTH_MAX: usize = 100;

impl Need {
    /// Whether it is the same list: letter case makes no difference to an attribute's code.
    pub fn is(&self, other: &Need) -> bool {
        match (self, other) {
            (Need::Options(one), Need::Options(other)) => is_same(one, other),
            _ => self == other,
        }
    }

    /// Whether an entity names an element that a list does not hold.
    pub fn misses(&self, kind: Kind, entity: &Value, elements: &Elements) -> bool {
        let is_missing = |value: &Value| json::text(value).is_some_and(|code| elements.get(&code).is_none());
        let are_missing = |value: &Value| match value {
            Value::Array(codes) => codes.iter().any(is_missing),
            code => is_missing(code),
        };
        match self {
            Need::Attributes => {
                let mut values = entity.get("values").and_then(Value::as_object).into_iter().flatten();
                values.any(|(attribute, _)| elements.get(attribute).is_none())
            }
            Need::Families => entity.get("family").is_some_and(is_missing),
            Need::Categories => place(kind, entity).is_some_and(are_missing),
            Need::Options(attribute) => {
                let values = member(entity.get("values"), attribute).and_then(Value::as_array);
                let mut data = values.into_iter().flatten().filter_map(|value| value.get("data"));
                data.any(are_missing)
            }
        }
    }
}

impl Lookups {
    /// A list, if it is at hand.
    pub fn list(&self, need: &Need) -> Option<&Elements> {
        let found = self.lists.iter().find(|(known, _)| known.is(need));
        found.map(|(_, elements)| elements)
    }

    fn element(&self, need: &Need, code: &str) -> Option<&Element> {
        self.list(need)?.get(code)
    }

    /// The label in the first of these locales that has one.
    pub(super) fn label(&self, need: &Need, code: &str, locales: &[String]) -> Option<&str> {
        let labels = &self.element(need, code)?.labels;
        let of = |locale: &String| labels.iter().find(|(known, _)| known == locale);
        locales.iter().find_map(of).map(|(_, label)| label.as_str())
    }

    /// A category and all above it.
    pub(super) fn lineage<'a>(&'a self, category: &'a str) -> impl Iterator<Item = &'a str> {
        let above = |code: &&'a str| self.element(&Need::Categories, code)?.parent.as_deref();
        std::iter::successors(Some(category), above).take(DEPTH_MAX)
    }
}

/// Where an entity lies in the category trees: a category in itself.
pub(super) fn place(kind: Kind, entity: &Value) -> Option<&Value> {
    entity.get(if kind == Kind::Category { "code" } else { "categories" })
}
