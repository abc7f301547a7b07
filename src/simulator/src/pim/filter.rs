//! The `search` parameter of products and product models (contract 4.5).

use std::collections::BTreeSet;

use serde_json::Value;

use super::answer::Refusal;
use crate::catalogue::{Entity, View};
use crate::times;

// Limits on a search (contract 4.3 and 4.5).
const MAX_ITEMS: usize = 800;
const MAX_CRITERIA: usize = 20;
const MAX_IDENTIFIERS: usize = 100;

/// One criterion.
#[derive(Debug)]
pub(super) enum Criterion {
    /// UUID of a product or code of a model.
    Id(Membership),
    /// Value of `sku`.
    Identifier(Membership),
    Created(DateTest),
    Updated(DateTest),
    /// Any model above it has this code.
    Below(String),
    Parent(Membership),
    Family(Membership),
    Categories(Membership),
    Enabled(bool),
}

/// Whether one of an entity's codes is in a set.
#[derive(Debug)]
pub(super) enum Membership {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Empty,
    NotEmpty,
}

impl Membership {
    fn holds<'a>(&self, mut codes: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::In(set) => codes.any(|code| set.contains(code)),
            Self::NotIn(set) => !codes.any(|code| set.contains(code)),
            Self::Empty => codes.next().is_none(),
            Self::NotEmpty => codes.next().is_some(),
        }
    }
}

/// A comparison of Unix seconds: both ends of a span are within it, `<` and `>` leave the value out.
#[derive(Debug)]
pub(super) struct DateTest {
    from: i64,
    to: i64,
    outside: bool,
}

impl DateTest {
    fn holds(&self, ms: u64) -> bool {
        (self.from..=self.to).contains(&times::seconds(ms)) != self.outside
    }
}

/// What reading a criterion needs to know.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) products: bool,
    pub(super) offset_minutes: i32,
    pub(super) now_ms: u64,
}

/// Reads the parameter; none is no criterion.
pub(super) fn parse(text: Option<&str>, reading: Reading) -> Result<Vec<Criterion>, Refusal> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let search: Value =
        serde_json::from_str(text).map_err(|_| Refusal::new(400, "Search query parameter should be valid JSON."))?;
    let structure = |property: &str| {
        Refusal::invalid(&format!(
            "Structure of filter \"{property}\" should respect this structure: {{\"{property}\":[{{\"operator\": \"my_operator\", \"value\": \"my_value\"}}]}}"
        ))
    };
    let Value::Object(search) = search else {
        // PHP cannot tell an empty list from an empty map.
        return if search == Value::Array(Vec::new()) {
            Ok(Vec::new())
        } else {
            Err(structure("property"))
        };
    };
    let mut criteria = Vec::new();
    for (property, list) in &search {
        for each in list.as_array().ok_or_else(|| structure(property))? {
            let operator = each["operator"].as_str().ok_or_else(|| structure(property))?;
            criteria.push(criterion(property, operator, &each["value"], reading)?);
        }
    }
    if criteria.len() > MAX_CRITERIA {
        return Err(Refusal::invalid(&format!(
            "You cannot use more than {MAX_CRITERIA} search criteria."
        )));
    }
    Ok(criteria)
}

fn criterion(property: &str, operator: &str, value: &Value, reading: Reading) -> Result<Criterion, Refusal> {
    let unsupported = || {
        let message =
            format!("Filter on property \"{property}\" is not supported or does not support operator \"{operator}\"");
        Refusal::invalid(&message)
    };
    let member = || membership(property, operator, value)?.ok_or_else(unsupported);
    match (property, reading.products) {
        ("uuid", true) => Ok(Criterion::Id(lower(listed(member()?, unsupported)?))),
        ("identifier", false) => Ok(Criterion::Id(lower(listed(member()?, unsupported)?))),
        ("sku", true) if operator == "=" => Ok(Criterion::Identifier(Membership::In(one(property, value)?))),
        ("sku" | "identifier", true) => {
            let wanted = member()?;
            if matches!(&wanted, Membership::In(set) if set.len() > MAX_IDENTIFIERS) {
                let status = if property == "sku" { 422 } else { 400 };
                return Err(Refusal::new(status, "You cannot filter on more than 100 identifiers."));
            }
            Ok(Criterion::Identifier(wanted))
        }
        ("created", _) => date(property, operator, value, reading, unsupported).map(Criterion::Created),
        ("updated", _) => date(property, operator, value, reading, unsupported).map(Criterion::Updated),
        ("parent", true) if operator == "=" => {
            one(property, value).map(|code| Criterion::Below(code.into_iter().next().unwrap_or_default()))
        }
        ("parent", _) => member().map(Criterion::Parent),
        ("family", _) => member().map(Criterion::Family),
        ("categories", _) => member().map(Criterion::Categories),
        ("enabled", true) if operator == "=" || operator == "!=" => {
            let flag = value
                .as_bool()
                .ok_or_else(|| Refusal::invalid("Property \"enabled\" expects a boolean as data."))?;
            Ok(Criterion::Enabled(flag == (operator == "=")))
        }
        _ => Err(unsupported()),
    }
}

fn membership(property: &str, operator: &str, value: &Value) -> Result<Option<Membership>, Refusal> {
    let set = || {
        let wrong = || Refusal::invalid(&format!("Property \"{property}\" expects an array of strings as data."));
        let items = value.as_array().ok_or_else(wrong)?;
        if items.len() > MAX_ITEMS {
            return Err(Refusal::invalid(&format!(
                "You cannot use more than {MAX_ITEMS} items in \"{property}\"."
            )));
        }
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect()
    };
    Ok(Some(match operator {
        "IN" => Membership::In(set()?),
        "NOT IN" => Membership::NotIn(set()?),
        "EMPTY" | "UNCLASSIFIED" => Membership::Empty,
        "NOT EMPTY" => Membership::NotEmpty,
        _ => return Ok(None),
    }))
}

// Ids are always there: asking for their absence is an error.
fn listed(membership: Membership, unsupported: impl Fn() -> Refusal) -> Result<Membership, Refusal> {
    match membership {
        Membership::In(_) | Membership::NotIn(_) => Ok(membership),
        Membership::Empty | Membership::NotEmpty => Err(unsupported()),
    }
}

fn lower(membership: Membership) -> Membership {
    let lower = |set: BTreeSet<String>| set.into_iter().map(|uuid| uuid.to_lowercase()).collect();
    match membership {
        Membership::In(set) => Membership::In(lower(set)),
        Membership::NotIn(set) => Membership::NotIn(lower(set)),
        other => other,
    }
}

fn one(property: &str, value: &Value) -> Result<BTreeSet<String>, Refusal> {
    let text = value
        .as_str()
        .ok_or_else(|| Refusal::invalid(&format!("Property \"{property}\" expects a string as data.")))?;
    Ok(BTreeSet::from([text.to_owned()]))
}

fn date(
    property: &str,
    operator: &str,
    value: &Value,
    reading: Reading,
    unsupported: impl Fn() -> Refusal,
) -> Result<DateTest, Refusal> {
    let read = |value: &Value| {
        let parsed = value
            .as_str()
            .and_then(|text| times::parse_filter(text, reading.offset_minutes));
        parsed.ok_or_else(|| {
            let message = format!(
                "Property \"{property}\" expects a string with the format \"yyyy-mm-dd H:i:s\" as data, \"{}\" given.",
                value.as_str().unwrap_or("other")
            );
            Refusal::invalid(&message)
        })
    };
    let span = |from, to, outside| Ok(DateTest { from, to, outside });
    match operator {
        "=" | "!=" => read(value).and_then(|at| span(at, at, operator == "!=")),
        ">" => read(value).and_then(|at| span(at + 1, i64::MAX, false)),
        "<" => read(value).and_then(|at| span(i64::MIN, at - 1, false)),
        "BETWEEN" | "NOT BETWEEN" => match value.as_array().map(Vec::as_slice) {
            Some([from, to]) => span(read(from)?, read(to)?, operator == "NOT BETWEEN"),
            _ => Err(Refusal::invalid(&format!(
                "Property \"{property}\" expects an array of two dates as data."
            ))),
        },
        "SINCE LAST N DAYS" => {
            let days = value
                .as_i64()
                .ok_or_else(|| Refusal::invalid("A number of days is expected."))?;
            span(times::seconds(reading.now_ms) - days * 86_400, i64::MAX, false)
        }
        _ => Err(unsupported()),
    }
}

impl Criterion {
    pub(super) fn holds(&self, entity: &Entity, view: &View<'_>) -> bool {
        match self {
            Self::Id(wanted) => wanted.holds(std::iter::once(entity.id.key().to_lowercase().as_str())),
            Self::Identifier(wanted) => wanted.holds(entity.identifier.as_deref().into_iter()),
            Self::Created(test) => test.holds(entity.created_ms),
            // A variant is also found by its models' dates (contract 4.5).
            Self::Updated(test) => {
                test.holds(entity.updated_ms)
                    || entity.id.is_product() && view.ancestors(entity).iter().any(|model| test.holds(model.updated_ms))
            }
            Self::Below(code) => view.ancestors(entity).iter().any(|model| model.code() == code),
            Self::Parent(wanted) => wanted.holds(entity.parent.as_deref().into_iter()),
            Self::Family(wanted) => wanted.holds(entity.family.as_deref().into_iter()),
            Self::Categories(wanted) => wanted.holds(entity.categories.iter().map(String::as_str)),
            Self::Enabled(wanted) => entity.enabled == *wanted,
        }
    }
}
