//! What a destination should hold under a shape, worked out from the PIM's own truth.

use crate::world::World;
use model::entity::Kind;
use serde_json::Value;
use shape::{Element, Elements, Lookups, Need, Shape, Shaped};
use simulator::catalogue::{EntityId, Structure};
use simulator::destination::Destination;
use simulator::pim::Pim;
use std::collections::BTreeMap;

/// All that shapes can look up in a simulated PIM.
pub fn lookups(structure: &Structure) -> Lookups {
    let of = |items: &[Value], attribute: Option<&str>| -> Elements {
        let items = items
            .iter()
            .filter(|item| attribute.is_none_or(|attribute| item["attribute"] == attribute));
        items.map(element).collect()
    };
    let mut lists = vec![
        (Need::Attributes, of(&structure.attributes, None)),
        (Need::Families, of(&structure.families, None)),
        (Need::Categories, of(&structure.categories, None)),
    ];
    for attribute in structure.attributes.iter().filter_map(|item| item["code"].as_str()) {
        let options = of(&structure.options, Some(attribute));
        lists.push((Need::Options(attribute.to_owned()), options));
    }
    Lookups { lists }
}

fn element(item: &Value) -> (String, Element) {
    let labels = item["labels"].as_object().into_iter().flatten();
    let labels = labels.filter_map(|(locale, label)| Some((locale.clone(), label.as_str()?.to_owned())));
    let element = Element {
        labels: labels.collect(),
        parent: item["parent"].as_str().map(str::to_owned),
    };
    (item["code"].as_str().unwrap_or_default().to_owned(), element)
}

impl World {
    /// Where the destination differs from what it should hold under this shape, by path.
    pub fn shaped_differences(&self, shape: &Shape) -> Vec<String> {
        self.pim.with(|pim| {
            self.destination
                .with(|destination| differences(pim, destination, shape))
        })
    }
}

/// Where a destination differs from what it should hold under this shape, by path.
pub fn differences(pim: &Pim, destination: &Destination, shape: &Shape) -> Vec<String> {
    let state = destination.state.iter();
    let mut held: BTreeMap<String, Value> = state.map(|(path, stored)| (path.clone(), stored.body())).collect();
    let lookups = lookups(&pim.catalogue.structure);
    let mut differences = Vec::new();
    for (id, body) in pim.bodies(None).chain(pim.catalogue.categories()) {
        let kind = match id {
            EntityId::Product(_) => Kind::Product,
            EntityId::Model(_) => Kind::ProductModel,
            EntityId::Category(_) => Kind::Category,
        };
        let Shaped::Wanted(upsert) = shape.apply(kind, &id.key(), &body, &lookups) else {
            continue;
        };
        // A shop may call things otherwise, and its state goes by our ids all the same.
        let path = match &destination.shop {
            Some(_) => format!("/{}/{}", kind.name(), simulator::encode_segment(&id.key())),
            None => upsert.change.shown_path(),
        };
        // The hash takes for equal what PHP writes in two ways.
        let hash = shape.hash(kind, &upsert);
        let with = |body| {
            let mut upsert = upsert.clone();
            upsert.change.body = Some(body);
            upsert
        };
        match held.remove(&path).map(with) {
            None => differences.push(format!("missing  {path}")),
            Some(held) if shape.hash(kind, &held) != hash => {
                differences.push(format!("unequal  {path}: {}", held.body()))
            }
            Some(_) => {}
        }
    }
    differences.extend(held.into_keys().map(|path| format!("extra    {path}")));
    differences
}
