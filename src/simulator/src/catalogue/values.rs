//! The values that an entity's seed gives, by the level at which the attribute is set.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use super::Entity;
use super::structure::{ATTRIBUTES, OPTIONS};

pub(super) type Values = BTreeMap<String, Vec<Value>>;

const ADJECTIVES: [&str; 6] = ["Quiet", "Bright", "Folding", "Tall", "Travelling", "Everyday"];

/// The values of the entity itself, without those it inherits.
pub(super) fn own(entity: &Entity) -> Values {
    let mut random = Rng::with_seed(entity.seed);
    let mut values = Values::new();
    let variant_or_sub = entity.parent.is_some();
    if !variant_or_sub {
        shared(&mut values, &mut random, entity);
    }
    match (entity.id.is_product(), variant_or_sub) {
        (true, _) => {
            if !variant_or_sub {
                middle(&mut values, &mut random);
            }
            sold(&mut values, &mut random, entity);
        }
        (false, true) => middle(&mut values, &mut random),
        (false, false) if !entity.two_levels => middle(&mut values, &mut random),
        (false, false) => {}
    }
    set(
        &mut values,
        revision_attribute(entity),
        None,
        None,
        json!(entity.revision),
    );
    for (attribute, set) in &entity.values {
        values.insert(attribute.clone(), set.clone());
    }
    values.retain(|_, list| !list.is_empty());
    values
}

/// The number attribute that counts an entity's edits; each level has its own, so that a variant shows all three.
pub(super) fn revision_attribute(entity: &Entity) -> &'static str {
    match (entity.id.is_product(), entity.parent.is_some()) {
        (true, _) => "revision",
        (false, true) => "series_revision",
        (false, false) => "range_revision",
    }
}

fn shared(values: &mut Values, random: &mut Rng, entity: &Entity) {
    let adjective = ADJECTIVES[random.usize(..ADJECTIVES.len())];
    let kind = entity.family.as_deref().unwrap_or("thing");
    set(
        values,
        "name",
        Some("en_US"),
        None,
        json!(format!("{adjective} {kind}")),
    );
    set(
        values,
        "name",
        Some("fr_FR"),
        None,
        json!(format!("{kind} « {adjective} » d'été")),
    );
    for (locale, scope) in [
        ("en_US", "ecommerce"),
        ("fr_FR", "ecommerce"),
        ("en_US", "catalogue_print"),
    ] {
        let text = format!("{adjective} {kind}, no. {}/{scope}\n<b>{locale}</b>", random.u16(..));
        set(values, "description", Some(locale), Some(scope), json!(text));
    }
    set(values, "dimmable", None, None, json!(random.bool()));
    let rooms: Vec<&str> = options("rooms").iter().copied().filter(|_| random.bool()).collect();
    set(values, "rooms", None, None, json!(rooms));
}

fn middle(values: &mut Values, random: &mut Rng) {
    let options = options("base");
    set(
        values,
        "base",
        None,
        None,
        json!(options[random.usize(..options.len())]),
    );
}

fn sold(values: &mut Values, random: &mut Rng, entity: &Entity) {
    if let Some(identifier) = &entity.identifier {
        set(values, "sku", None, None, json!(identifier));
    }
    let finishes = options("finish");
    set(
        values,
        "finish",
        None,
        None,
        json!(finishes[random.usize(..finishes.len())]),
    );
    let (euros, cents) = (random.u32(5..900), random.u32(..100));
    // Decimals come as strings, whole amounts sometimes as numbers (contract 6, trap 15).
    let dollars = if cents == 0 {
        json!(euros)
    } else {
        json!(format!("{euros}.{cents:02}"))
    };
    let amounts = json!([{ "amount": format!("{euros}.{cents:02}"), "currency": "EUR" },
        { "amount": dollars, "currency": "USD" }]);
    set(values, "price", None, None, amounts);
    let grams = random.u32(100..30_000);
    let weight = format!("{}.{:04}", grams / 1000, grams % 1000 * 10);
    set(
        values,
        "weight",
        None,
        None,
        json!({ "amount": weight, "unit": "KILOGRAM", "symbol": "kg" }),
    );
    set(values, "wattage", None, None, json!(random.u32(3..120)));
}

fn options(attribute: &str) -> &'static [&'static str] {
    OPTIONS
        .iter()
        .find(|(code, _)| *code == attribute)
        .map_or(&[], |(_, codes)| codes)
}

fn set(values: &mut Values, attribute: &str, locale: Option<&str>, scope: Option<&str>, data: Value) {
    values
        .entry(attribute.to_owned())
        .or_default()
        .push(value(attribute, locale, scope, data));
}

/// One value in the form of the REST API (contract 4.6).
pub(super) fn value(attribute: &str, locale: Option<&str>, scope: Option<&str>, data: Value) -> Value {
    json!({ "locale": locale, "scope": scope, "data": data, "attribute_type": attribute_type(attribute) })
}

/// Attributes of files. Only edits set them, and no family has them.
const FILES: [(&str, &str); 2] = [("manual", "pim_catalog_file"), ("packshot", "pim_catalog_image")];

fn attribute_type(attribute: &str) -> &'static str {
    let others = ATTRIBUTES.iter().map(|(code, kind, ..)| (*code, *kind));
    let found = others.chain(FILES).find(|(code, _)| *code == attribute);
    found.map_or("pim_catalog_text", |(_, kind)| kind)
}
