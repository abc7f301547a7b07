//! Which entities the destination is to have at all.
//!
//! All conditions must hold. Where the PIM gave no family, categories or completenesses, or did not say whether an
//! entity is enabled, a condition on that is an error and no refusal: nothing may be deleted on it.

use super::lookups::{Lookups, Need, place};
use super::values::View;
use model::document::Node;
use model::entity::{Kind, is_same};
use model::json::{number, text};
use serde_json::Value;

/// Why an entity is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Nothing of its kind is wanted.
    Kind,
    /// The entity is disabled.
    Disabled,
    /// The entity is of another family, or of none.
    Family,
    /// The entity is in none of the categories.
    Categories,
    /// The entity is not complete enough.
    Completeness,
    /// An attribute has no value.
    Attributes,
    /// The attribute that says what the entity is called has no value.
    Identity,
}

impl Refusal {
    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Kind => "kind",
            Refusal::Disabled => "disabled",
            Refusal::Family => "family",
            Refusal::Categories => "categories",
            Refusal::Completeness => "completeness",
            Refusal::Attributes => "attributes",
            Refusal::Identity => "identity",
        }
    }

    /// Whether lost permissions cannot look like this refusal: they hide categories, locales and attributes, but
    /// neither whether a product is enabled nor its family (contract 4.10).
    pub fn is_certain(self) -> bool {
        matches!(self, Refusal::Kind | Refusal::Disabled | Refusal::Family)
    }
}

/// A least completeness.
#[derive(Debug, Clone, PartialEq)]
struct Completeness {
    channel: String,
    locale: String,
    at_least: f64,
}

/// The conditions, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selection {
    families: Option<Vec<String>>,
    categories: Option<Vec<String>>,
    enabled: bool,
    completeness: Option<Completeness>,
    attributes: Vec<String>,
}

impl Selection {
    pub(super) fn read(node: &Node<'_>, kind: Kind) -> Selection {
        let mut selection = Selection::default();
        let known = ["categories", "families", "enabled", "completeness", "attributes"];
        let known = if kind == Kind::Category { &known[..1] } else { &known };
        if !node.is_object_of(known) {
            return selection;
        }
        let texts = |name: &str| node.member(name).map(|node| node.texts());
        selection.families = texts("families");
        selection.categories = texts("categories");
        selection.attributes = texts("attributes").unwrap_or_default();
        for name in ["enabled", "completeness"] {
            if let (Some(member), Kind::ProductModel) = (node.member(name), kind) {
                member.wrong("product models have none: leave it out");
                return selection;
            }
        }
        selection.enabled = node.member("enabled").is_some_and(|node| {
            let is_set = node.flag();
            if node.value == &Value::Bool(false) {
                node.wrong("must be true, for enabled products only; leave it out for all");
            }
            is_set
        });
        selection.completeness = node.member("completeness").and_then(|node| Completeness::read(&node));
        selection
    }

    pub(super) fn asks_completenesses(&self) -> bool {
        self.completeness.is_some()
    }

    pub(super) fn needs(&self) -> Option<Need> {
        self.categories.as_ref().map(|_| Need::Categories)
    }

    /// Why an entity is refused; an error where that cannot be told.
    pub(super) fn refusal(
        &self,
        kind: Kind,
        entity: &Value,
        view: View<'_>,
        lookups: &Lookups,
    ) -> Result<Option<Refusal>, &'static str> {
        // Where the PIM did not give what the selection asks for, nothing may be deleted on that.
        let enabled = entity.get("enabled").and_then(Value::as_bool);
        if self.enabled && !enabled.ok_or("the PIM did not say whether it is enabled, which the selection asks")? {
            return Ok(Some(Refusal::Disabled));
        }
        if let Some(families) = &self.families {
            let family = entity
                .get("family")
                .ok_or("the PIM gave no family, which the selection asks for")?;
            if !text(family).is_some_and(|family| names(families, &family)) {
                return Ok(Some(Refusal::Family));
            }
        }
        if let Some(wanted) = &self.categories {
            let place = place(kind, entity).ok_or("the PIM gave no categories, which the selection asks for")?;
            if !is_below(place, wanted, lookups) {
                return Ok(Some(Refusal::Categories));
            }
        }
        if let Some(completeness) = &self.completeness
            && !completeness.is_reached(entity)?
        {
            return Ok(Some(Refusal::Completeness));
        }
        let has_all = self.attributes.iter().all(|attribute| view.has(entity, attribute));
        Ok((!has_all).then_some(Refusal::Attributes))
    }
}

fn names(list: &[String], code: &str) -> bool {
    list.iter().any(|named| is_same(named, code))
}

fn is_below(place: &Value, wanted: &[String], lookups: &Lookups) -> bool {
    let is_below = |code: &str| lookups.lineage(code).any(|above| names(wanted, above));
    match place {
        Value::Array(categories) => categories.iter().filter_map(text).any(|code| is_below(&code)),
        code => text(code).is_some_and(|code| is_below(&code)),
    }
}

impl Completeness {
    fn read(node: &Node<'_>) -> Option<Completeness> {
        let members = ["channel", "locale", "at_least"];
        if !node.is_object_of(&members) || !node.has_all(&members) {
            return None;
        }
        let least = node.member("at_least")?;
        let at_least = number(least.value)
            .and_then(|number| number.as_f64())
            .filter(|share| (0.0..=100.0).contains(share));
        if at_least.is_none() {
            least.wrong("must be a number from 0 to 100: per cent");
        }
        Some(Completeness {
            channel: node.member("channel")?.text()?.to_owned(),
            locale: node.member("locale")?.text()?.to_owned(),
            at_least: at_least?,
        })
    }

    fn is_reached(&self, entity: &Value) -> Result<bool, &'static str> {
        let all = entity
            .get("completenesses")
            .ok_or("the PIM gave no completenesses, which the selection asks for")?;
        let of_ours = |each: &&Value| {
            let is = |member: &str, code: &str| {
                let given = each.get(member).and_then(Value::as_str);
                given.is_some_and(|given| is_same(given, code))
            };
            is("scope", &self.channel) && is("locale", &self.locale)
        };
        let share = all
            .as_array()
            .and_then(|all| number(all.iter().find(of_ours)?.get("data")?)?.as_f64());
        Ok(share.unwrap_or(0.0) >= self.at_least)
    }
}
