//! Against Akeneo's own samples, where the workspace has them beside it; otherwise these tests only say so.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use simulator::catalogue::EntityId;
use simulator::deliveries::{Secrets, event_platform_headers, events_api_headers};
use simulator::payloads;

use crate::{get, pim};

fn fixtures() -> Option<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = workspace.join("../shared/akeneo/fixtures");
    if !folder.exists() {
        println!("skipped: there are no fixtures at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn json(path: &std::path::Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

fn members(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {value}"))
        .keys()
        .cloned()
        .collect()
}

#[test]
fn signatures_are_those_computed_elsewhere() {
    let Some(folder) = fixtures() else { return };
    let vectors = json(&folder.join("signatures/computed-vectors.json"));
    let vectors = vectors["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 6);
    for vector in vectors {
        let body = vector["body_file"]
            .as_str()
            .map(|file| std::fs::read(folder.join(file)).unwrap());
        let body = body.unwrap_or_default();
        let expected = &vector["headers"];
        let headers = if vector["scheme"] == "events-api" {
            let timestamp = expected["X-Akeneo-Request-Timestamp"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            events_api_headers(&body, vector["secret"].as_str().unwrap(), timestamp)
        } else {
            let secret = |name: &str| vector["secrets"][name].as_str().map(str::to_owned);
            let secrets = Secrets {
                primary: secret("primary").unwrap(),
                secondary: secret("secondary"),
            };
            event_platform_headers(&body, &secrets)
        };
        let headers: serde_json::Map<String, Value> = headers
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        assert_eq!(&Value::Object(headers), expected, "{}", vector["name"]);
    }
}

#[test]
fn bodies_have_the_members_of_the_samples() {
    let Some(folder) = fixtures() else { return };
    let mut pim = pim(60, 6);
    let extras = "with_quality_scores=true&with_completenesses=true&with_attribute_options=true";
    let product = pim.catalogue.truth().products(None).next().unwrap().id.key();
    let (_, product) = get(&mut pim, &format!("/products-uuid/{product}?{extras}"));
    // What the samples show only on some editions or on demand.
    let sometimes = [
        "metadata",
        "root_parent",
        "quality_scores",
        "completenesses",
        "workflow_execution_statuses",
    ];
    let strict = |value: &Value| -> BTreeSet<String> {
        members(value)
            .into_iter()
            .filter(|name| !sometimes.contains(&name.as_str()))
            .collect()
    };
    assert_eq!(strict(&product), strict(&json(&folder.join("rest/product-uuid.json"))));

    let sub = pim
        .catalogue
        .truth()
        .models(None)
        .find(|model| model.parent.is_some())
        .unwrap()
        .id
        .clone();
    let EntityId::Model(code) = sub else { panic!("a model") };
    let (_, model) = get(
        &mut pim,
        &format!("/product-models/{}", simulator::encode_segment(&code)),
    );
    assert_eq!(strict(&model), strict(&json(&folder.join("rest/product-model.json"))));

    let (_, page) = get(&mut pim, "/products-uuid?pagination_type=search_after&limit=20");
    let envelope = json(&folder.join("rest/products-uuid.search-after.envelope.json"));
    assert_eq!(members(&page), members(&envelope));
    let (_, page) = get(&mut pim, "/products-uuid?page=2&limit=20");
    let sample = json(&folder.join("rest/products-uuid.page.json"));
    assert_eq!(members(&page), members(&sample));
    assert_eq!(members(&page["_links"]), members(&sample["_links"]));

    let (_, error) = get(&mut pim, "/products-uuid?limit=101");
    assert_eq!(error, json(&folder.join("rest/error.422.limit.json")));
    let (_, error) = get(&mut pim, "/products-uuid?limit=100&page=101");
    assert_eq!(error, json(&folder.join("rest/error.422.max-offset.json")));
}

#[test]
fn events_have_the_members_of_the_samples() {
    let Some(folder) = fixtures() else { return };
    let mut compared = 0;
    for payload in payloads::all() {
        let file = match payload.channel {
            simulator::deliveries::Channel::EventPlatform => {
                format!("event-platform/{}.json", payload.name)
            }
            simulator::deliveries::Channel::EventsApi => {
                format!("events-api/{}.serenity.json", payload.name)
            }
            simulator::deliveries::Channel::Notifications => {
                format!("event-platform/notification.{}.json", payload.name)
            }
        };
        let file = folder.join(file);
        if !file.exists() {
            continue;
        }
        compared += 1;
        let (ours, sample): (Value, Value) = (serde_json::from_slice(&payload.body).unwrap(), json(&file));
        assert_eq!(members(&ours), members(&sample), "{}", payload.name);
        if let Some(data) = sample.get("data") {
            assert_eq!(members(&ours["data"]), members(data), "{}", payload.name);
        }
        if let Some(event) = sample.pointer("/events/0").filter(|event| event.is_object()) {
            assert_eq!(members(&ours["events"][0]), members(event), "{}", payload.name);
        }
    }
    assert!(compared >= 20, "{compared}");
}
