//! Plans of deliveries.

use std::collections::BTreeSet;

use serde_json::Value;
use simulator::catalogue::{Action, Change, Edit, EntityId};
use simulator::deliveries::{Channel, Delivery, Format, Plan, Secrets};

use crate::{NOW_MS, pim};

fn changes(count: usize) -> Vec<Change> {
    let mut pim = pim(count, 3);
    let ids: Vec<EntityId> = pim
        .catalogue
        .truth()
        .products(None)
        .map(|product| product.id.clone())
        .collect();
    ids.into_iter()
        .flat_map(|id| pim.edit(&Edit::new(id, Action::Touch), NOW_MS).unwrap())
        .collect()
}

fn plan(format: Format) -> Plan {
    Plan::new(format, NOW_MS / 1000, 1)
}

fn platform() -> Format {
    Format::EventPlatform(Secrets::primary("one"))
}

fn body(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

#[test]
fn each_change_is_announced_in_each_format() {
    let changes = changes(25);
    let events = plan(platform()).deliveries(&changes);
    assert_eq!(events.len(), 25);
    let first = body(&events[0]);
    assert_eq!(first["type"], "com.akeneo.pim.v1.product.updated.delta");
    assert_eq!(first["time"], "2026-03-04T05:06:07Z");
    assert_eq!(
        first["data"]["product"]["updated_at"]["date"],
        "2026-03-04 05:06:07.000000"
    );
    assert_eq!(first["data"]["product"]["uuid"], changes[0].entity.key());

    let legacy = plan(Format::EventsApi("two".to_owned())).deliveries(&changes);
    let sizes: Vec<usize> = legacy
        .iter()
        .map(|each| body(each)["events"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [10, 10, 5]);
    let first = body(&legacy[0]);
    assert_eq!(first["events"][0]["action"], "product.updated");
    assert_eq!(
        first["events"][0]["data"]["resource"]["updated"],
        "2026-03-04T05:06:07+00:00"
    );
    assert!(legacy[0].body.is_ascii());
    assert_eq!(legacy[0].entities.len(), 10);

    let both = plan(Format::Both(Secrets::primary("one"), "two".to_owned())).deliveries(&changes);
    assert_eq!(both.len(), 28);
    assert_eq!(
        both.iter()
            .filter(|each| each.path == Channel::EventsApi.path())
            .count(),
        3
    );
}

#[test]
fn losses_repeats_and_disorder_follow_the_seed() {
    let changes = changes(300);
    let plan = Plan {
        lose_share: 0.2,
        repeat_share: 0.2,
        shuffle_window: 20,
        ..plan(platform())
    };
    let deliveries = plan.deliveries(&changes);
    assert_eq!(deliveries, plan.deliveries(&changes));
    let ids: Vec<String> = deliveries
        .iter()
        .map(|each| body(each)["id"].as_str().unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert!((200..280).contains(&distinct.len()), "{}", distinct.len());
    assert!(ids.len() > distinct.len() + 20, "repeats keep their id");
    let order: Vec<&EntityId> = deliveries.iter().map(|each| &each.entities[0]).collect();
    assert!(!order.is_sorted());
}

#[test]
fn silent_edits_are_not_announced() {
    let mut pim = pim(1, 0);
    let id = pim.catalogue.truth().products(None).next().unwrap().id.clone();
    let changes = pim.edit(&Edit::new(id, Action::Delete).silent(), NOW_MS).unwrap();
    assert!(plan(platform()).deliveries(&changes).is_empty());
}
