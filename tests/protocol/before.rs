//! Shapes of before: documents that were written when a shape could say nothing yet of how a destination is spoken to.
//! Whoever has such a document is promised that it means what it meant: it makes the same requests, wants and deletes
//! the same, and has the same hashes, so that a new version of the relay pushes nothing anew.
//!
//! - `shapes/`: documents that use every member that the language had
//! - `entities.json`, `lists.json`: what the PIM has, made up for these documents
//! - `requests/`: what was made of all that by the last version before, commit dcc3b57. No other version can tell what
//!   that one did: a difference is a broken promise, and the file stays as it is.

mod ear;
mod made;

use made::{Sample, made};
use model::entity::Kind;
use model::json;
use serde_json::Value;
use shape::{Elements, Lookups, Need};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The document that says nothing, not even JSON.
const EMPTY: &str = "empty.json";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol/before")
}

/// A document as the PIM's answers are read: with every digit.
fn read(path: &str) -> Value {
    let text = fs::read(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    json::read(&text).unwrap_or_else(|| panic!("{path} is no JSON")).value
}

/// The names of the files of a folder.
fn names(of: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder().join(of)).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn samples() -> Vec<Sample> {
    let text = |sample: &Value, member: &str| sample[member].as_str().unwrap().to_owned();
    let entities = read("entities.json");
    let samples = entities.as_array().unwrap().iter().map(|sample| Sample {
        name: text(sample, "name"),
        kind: Kind::ALL
            .into_iter()
            .find(|kind| sample["kind"] == kind.name())
            .unwrap(),
        id: text(sample, "id"),
        entity: sample["entity"].clone(),
    });
    samples.collect()
}

fn lookups() -> Lookups {
    let lists = read("lists.json");
    let elements = |list: &Value| serde_json::from_value::<Elements>(list.clone()).unwrap();
    let mut all = vec![
        (Need::Attributes, elements(&lists["attributes"])),
        (Need::Families, elements(&lists["families"])),
        (Need::Categories, elements(&lists["categories"])),
    ];
    for (attribute, options) in lists["options"].as_object().unwrap() {
        all.push((Need::Options(attribute.clone()), elements(options)));
    }
    Lookups { lists: all }
}

/// The places in which two documents differ, with what stands there.
fn differences(place: &str, before: Option<&Value>, now: Option<&Value>, told: &mut Vec<String>) {
    if let (Some(Value::Object(before)), Some(Value::Object(now))) = (before, now) {
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        for name in names {
            differences(&format!("{place}/{name}"), before.get(name), now.get(name), told);
        }
    } else if before != now {
        let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), json::shown);
        told.push(format!(
            "{place}\n  before: {}\n  now:    {}",
            shown(before),
            shown(now)
        ));
    }
}

#[tokio::test]
async fn a_shape_of_before_makes_the_requests_of_before() {
    let (samples, lookups, mut told) = (samples(), lookups(), Vec::new());
    let documents = names("shapes");
    assert_eq!(documents, names("requests"));
    for name in &documents {
        let document = fs::read_to_string(folder().join("shapes").join(name)).unwrap();
        let now = made(&document, &samples, &lookups).await;
        let before = read(&format!("requests/{name}"));
        differences(name, Some(&before), Some(&now), &mut told);
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    println!("{} documents, each with {} entities", documents.len(), samples.len());
}

/// The members that the language had: of a document or a kind, and of what stands in these.
const MEMBERS: [&str; 40] = [
    "answers",
    "answers.busy",
    "answers.html",
    "authentication",
    "authentication.header",
    "authentication.scheme",
    "categories",
    "delete",
    "delete.method",
    "delete.path",
    "fields",
    "fields.as",
    "fields.channel",
    "fields.constant",
    "fields.currency",
    "fields.default",
    "fields.from",
    "fields.locales",
    "fields.template",
    "fields.to",
    "headers",
    "media",
    "media.max_bytes",
    "media.upsert",
    "product-models",
    "products",
    "selection",
    "selection.attributes",
    "selection.categories",
    "selection.completeness",
    "selection.enabled",
    "selection.families",
    "upsert",
    "upsert.method",
    "upsert.path",
    "values",
    "values.attributes",
    "values.channel",
    "values.form",
    "values.locales",
];

/// Adds a member, and the members of what stands in it, but for the names of headers.
fn add(member: &str, value: &Value, used: &mut BTreeSet<String>) {
    used.insert(member.to_owned());
    let parts = value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    let names = parts.iter().filter_map(Value::as_object).flat_map(|part| part.keys());
    used.extend(
        names
            .filter(|_| member != "headers")
            .map(|name| format!("{member}.{name}")),
    );
}

#[test]
fn the_documents_use_all_that_the_language_had_and_nothing_else() {
    let mut used = BTreeSet::new();
    for name in names("shapes").iter().filter(|name| *name != EMPTY) {
        for (member, value) in read(&format!("shapes/{name}")).as_object().unwrap() {
            match Kind::ALL.iter().any(|kind| kind.name() == member) {
                false => add(member, value, &mut used),
                true => {
                    used.insert(member.clone());
                    let members = value.as_object().into_iter().flatten();
                    members.for_each(|(member, value)| add(member, value, &mut used));
                }
            }
        }
    }
    assert_eq!(used, MEMBERS.map(str::to_owned).into());
}
