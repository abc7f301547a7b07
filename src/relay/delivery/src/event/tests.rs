//! What events come to: of every type, with junk in them, damaged, and without an id or a type.
//!
//! No event can be spoilt by what is not needed of it, and one that makes no sense costs none of its neighbours.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn decoded(name: &str, data: &Value) -> Decoded {
    let event =
        json!({ "type": format!("{PLATFORM_PREFIX}{name}"), "id": "1", "time": "2026-02-03T04:05:06Z", "data": data });
    of_event_platform(&event.to_string()).expect("an event")
}

#[test]
fn an_event_of_a_category_is_one_of_its_list_too() {
    let data = json!({ "category": { "code": "tea time" }, "author": { "identifier": "a", "type": "api" } });
    for (name, change) in [
        ("category.created", Change::Created),
        ("category.updated", Change::Updated),
        ("category.deleted", Change::Deleted),
    ] {
        let Decoded::Stale(ListKey::Categories, id, Some(event)) = decoded(name, &data) else {
            panic!("{name}");
        };
        assert_eq!((id, event.key.change), (Segment::of("1"), change));
        assert_eq!(event.key.entity, Entity::new(Kind::Category, "tea time"));
        // The PIM's list of categories does not lag: no copy is too old, and no recheck is needed.
        assert!(!event.key.is_vague() && event.key.floor_s.is_none());
        assert!(event.author.is_some_and(|author| author.is_api));
    }
    // An event that names no category, or whose type is not known, concerns the list alone.
    for (name, data) in [
        ("category.updated", json!({})),
        ("category.updated", json!(1)),
        ("category.moved", data),
    ] {
        assert_eq!(
            decoded(name, &data),
            Decoded::Stale(ListKey::Categories, Segment::of("1"), None)
        );
    }
    for name in ["asset.updated", "reference-entity-record.deleted"] {
        assert!(matches!(decoded(name, &json!({})), Decoded::Ignored(_)), "{name}");
    }
}

const UUID: &str = "5a6d7c02-9a44-4e0f-8d31-c06e77f2a901";

fn entity(decoded: &Decoded) -> Option<(Entity, Change)> {
    match decoded {
        Decoded::Event(event) | Decoded::Flawed(_, Some(event)) => Some((event.key.entity.clone(), event.key.change)),
        _ => None,
    }
}

fn legacy(action: &str, resource: &str) -> String {
    format!(
        r#"{{"action":{action},"event_id":"1","event_datetime":"2026-02-03T04:05:06+0100","data":{{"resource":{resource}}}}}"#
    )
}

proptest! {
    #[test]
    fn what_is_not_needed_costs_no_event(
        name in "[a-z_]{1,12}",
        junk in prop_oneof![
            Just("1e9999".to_owned()),
            Just("-0.00000000000000000000000000001".to_owned()),
            "[1-9][0-9]{40}",
            (200..3000_usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
            (200..3000_usize).prop_map(|depth| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)),
            Just(r#""\ufffd\u0000""#.to_owned()),
        ],
        place in 0..6_usize,
    ) {
        let junk_at = |at: usize| if at == place && !NEEDED.contains(&name.as_str()) {
            format!(r#""{name}":{junk},"#)
        } else {
            String::new()
        };
        let product = format!(r#"{{{}"uuid":"{UUID}","updated_at":{{{}"date":"2026-02-03 04:05:06.0","timezone":"UTC"}}}}"#, junk_at(0), junk_at(1));
        let event = format!(
            r#"{{{}"type":"com.akeneo.pim.v1.product.updated.delta","id":"1","time":"2026-02-03T04:05:07Z","data":{{{}"product":{product}}}}}"#,
            junk_at(2), junk_at(3),
        );
        let read = of_event_platform(&event).expect("an event");
        let Decoded::Event(read) = read else { return Err(TestCaseError::fail("no event")) };
        prop_assert_eq!((&read.code, read.key.floor_s), (&UUID.to_owned(), Some(1)));
        let legacy = legacy("\"product.updated\"", &format!(r#"{{{}"uuid":"{UUID}"}}"#, junk_at(4)));
        let delivery = format!(r#"{{{}"events":[{legacy}]}}"#, junk_at(5));
        let read = of_events_api(&delivery).expect("a delivery");
        prop_assert_eq!(entity(&read[0].0), Some((Entity::new(Kind::Product, UUID), Change::Updated)));
        prop_assert_eq!(read[0].1, legacy);
    }
}

#[test]
fn the_last_of_two_members_counts_on_every_level() {
    let other = "00000000-9a44-4e0f-8d31-c06e77f2a901";
    let product = format!(r#"{{"uuid":"{other}","uuid":"{UUID}"}}"#);
    for event in [
        format!(r#"{{"type":"x","type":"com.akeneo.pim.v1.product.deleted","id":"1","data":{{"product":{product}}}}}"#),
        format!(
            r#"{{"id":"1","data":3,"type":"com.akeneo.pim.v1.product.deleted","data":{{"product":1,"product":{product}}}}}"#
        ),
    ] {
        let read = of_event_platform(&event).expect("an event");
        assert_eq!(
            entity(&read),
            Some((Entity::new(Kind::Product, UUID), Change::Deleted)),
            "{event}"
        );
    }
}

#[test]
fn an_event_that_is_not_understood_costs_none_of_its_neighbours() {
    let good = legacy("\"product.removed\"", &format!(r#"{{"uuid":"{UUID}"}}"#));
    for (bad, told) in [
        ("null".to_owned(), None),
        ("17".to_owned(), None),
        ("\"product.updated\"".to_owned(), None),
        ("[]".to_owned(), None),
        ("{}".to_owned(), None),
        (r#"{"action":"product.updated","data":{}}"#.to_owned(), None),
        (r#"{"action":"product.updated","data":[]}"#.to_owned(), None),
        (legacy("\"product.updated\"", "null"), None),
        (legacy("\"product.updated\"", "[]"), None),
        (
            legacy("null", &format!(r#"{{"uuid":"{UUID}"}}"#)),
            Some(Entity::new(Kind::Product, UUID)),
        ),
        (
            legacy("{}", r#"{"code":"amor"}"#),
            Some(Entity::new(Kind::ProductModel, "amor")),
        ),
        (
            r#"{"data":{"resource":{"code":"amor"}}}"#.to_owned(),
            Some(Entity::new(Kind::ProductModel, "amor")),
        ),
    ] {
        for delivery in [
            format!(r#"{{"events":[{good},{bad}]}}"#),
            format!(r#"{{"events":[{bad},{good}]}}"#),
        ] {
            let read = of_events_api(&delivery).expect("a delivery");
            let is_bad = |decoded: &Decoded| matches!(decoded, Decoded::Flawed(..));
            assert_eq!(
                read.iter().filter(|(decoded, _)| is_bad(decoded)).count(),
                1,
                "{delivery}"
            );
            let found: Vec<_> = read.iter().filter_map(|(decoded, _)| entity(decoded)).collect();
            let good = (Entity::new(Kind::Product, UUID), Change::Deleted);
            let told = told.clone().map(|entity| (entity, Change::Updated));
            assert_eq!(found.len(), 1 + usize::from(told.is_some()), "{delivery}");
            assert!(
                found.contains(&good) && told.is_none_or(|told| found.contains(&told)),
                "{delivery}"
            );
        }
    }
}

#[test]
fn without_an_id_the_bytes_tell_an_event_apart() {
    let event = |more: &str| {
        let event =
            format!(r#"{{"type":"com.akeneo.pim.v1.product.updated","data":{{"product":{{"uuid":"{UUID}"}}}}{more}}}"#);
        match of_event_platform(&event) {
            Ok(Decoded::Event(event)) => event.key.id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(event(""), event(""));
    assert_ne!(event(""), event(r#","x":1"#));
    assert_eq!(event(r#","id":"7""#), Segment::of("7"));
}

#[test]
fn an_event_of_no_type_is_one_of_the_entity_that_it_names() {
    for (data, told) in [
        (
            json!({ "product": { "uuid": UUID } }),
            Some(Entity::new(Kind::Product, UUID)),
        ),
        (
            json!({ "product_model": { "code": "amor" } }),
            Some(Entity::new(Kind::ProductModel, "amor")),
        ),
        (json!({ "category": { "code": "amor" } }), None),
        (json!([]), None),
    ] {
        for name in [json!(null), json!(7), json!("")] {
            let event = json!({ "type": name, "id": "1", "data": data }).to_string();
            let read = of_event_platform(&event).expect("an event");
            assert!(matches!(read, Decoded::Flawed(..)), "{event}");
            assert_eq!(entity(&read).map(|(entity, _)| entity), told, "{event}");
        }
    }
}
