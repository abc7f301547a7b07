//! What both push channels say, turned into one kind of event.

use crate::entity::{Entity, Kind, Segment, digest};
use crate::key::{Change, EventKey, ListKey};
use crate::time;
use serde_json::Value;

/// The event types of the Event Platform that concern an entity of ours (contract 3.4).
const PLATFORM_TYPES: [(&str, Kind, Change); 13] = [
    ("product.created", Kind::Product, Change::Created),
    ("product.updated", Kind::Product, Change::Updated),
    ("product.updated.delta", Kind::Product, Change::Updated),
    ("product.deleted", Kind::Product, Change::Deleted),
    ("product.became-complete", Kind::Product, Change::Completeness),
    ("product.became-incomplete", Kind::Product, Change::Completeness),
    ("product-model.created", Kind::ProductModel, Change::Created),
    ("product-model.updated", Kind::ProductModel, Change::Updated),
    ("product-model.updated.delta", Kind::ProductModel, Change::Updated),
    ("product-model.deleted", Kind::ProductModel, Change::Deleted),
    ("category.created", Kind::Category, Change::Created),
    ("category.updated", Kind::Category, Change::Updated),
    ("category.deleted", Kind::Category, Change::Deleted),
];

/// Of which families of event types a list of the PIM changes, in which shapes look things up (contract 3.4).
const LIST_TYPES: [&str; 4] = ["attribute", "attribute-option", "category", "family"];

/// The actions of the Events API, all of which concern an entity of ours (contract 2.1).
const LEGACY_ACTIONS: [(&str, Kind, Change); 6] = [
    ("product.created", Kind::Product, Change::Created),
    ("product.updated", Kind::Product, Change::Updated),
    ("product.removed", Kind::Product, Change::Deleted),
    ("product_model.created", Kind::ProductModel, Change::Created),
    ("product_model.updated", Kind::ProductModel, Change::Updated),
    ("product_model.removed", Kind::ProductModel, Change::Deleted),
];

/// What every type of the Event Platform begins with (contract 3.4).
const PLATFORM_PREFIX: &str = "com.akeneo.pim.v1.";

/// How late the search index and the sender's clock may make an entity look, in seconds, where an event names no
/// `updated` of its own: the entity is good if it was updated at most this long before the event.
pub(crate) const UNTOLD_FLOOR_S: i64 = 5;

/// The most events that one delivery may hold. Akeneo sends ten (contract 2.1).
pub const BATCH_MAX: usize = 100;

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// A user's name, a client id or a connection's code (contract 3.1).
    pub identifier: String,
    /// Whether it acted through the API, as a connector does.
    pub is_api: bool,
}

/// An event that marks an entity of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What its key will say.
    pub key: EventKey,
    /// The entity's code: the UUID of a product, the code of anything else.
    pub code: String,
    /// Who caused it, if it says.
    pub author: Option<Author>,
}

/// What one event of a delivery comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// An entity of ours is to be looked at.
    Event(Box<Event>),
    /// A list of the PIM changed; with the event's id, and the event itself where it names an entity that may be wanted.
    Stale(ListKey, Segment, Option<Box<Event>>),
    /// Nothing to do; why, for the log.
    Ignored(String),
}

/// A delivery that is not what its channel sends; the text says what is wrong, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

fn json(body: &[u8]) -> Result<Value, Malformed> {
    // The category alone: the library's message may quote the body.
    serde_json::from_slice(body).or_else(|error| {
        malformed(format!(
            "the body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value
        .get(member)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// Reads a delivery of the Event Platform: one CloudEvent in structured mode (contract 3.1).
pub fn of_event_platform(body: &[u8]) -> Result<Decoded, Malformed> {
    let event = json(body)?;
    let Some(name) = text(&event, "type") else {
        return malformed("the event has no `type`");
    };
    let Some(id) = text(&event, "id") else {
        return malformed("the event has no `id`");
    };
    let id = Segment::of(id);
    let known = name
        .strip_prefix(PLATFORM_PREFIX)
        .and_then(|name| PLATFORM_TYPES.iter().find(|known| known.0 == name));
    let list = changed_list(name, &event);
    let decoded = match known {
        Some(&(_, kind, change)) => platform_event(&event, name, kind, change, &id),
        None => Ok(Decoded::Ignored(format!("type {}", shown(name)))),
    };
    match (list, decoded) {
        (None, decoded) => decoded,
        (Some(list), Ok(Decoded::Event(event))) => Ok(Decoded::Stale(list, id, Some(event))),
        // Whatever else it says, the list is another one now.
        (Some(list), _) => Ok(Decoded::Stale(list, id, None)),
    }
}

fn platform_event(event: &Value, name: &str, kind: Kind, change: Change, id: &Segment) -> Result<Decoded, Malformed> {
    let Some(data) = event.get("data").filter(|data| data.is_object()) else {
        return malformed("the event has no `data` object");
    };
    let (entity, code) = match kind {
        Kind::Product => (
            data.get("product"),
            data.get("product").and_then(|product| Kind::Product.id_in(product)),
        ),
        // The tables name it `product`, the samples `product_model` (contract 7).
        Kind::ProductModel => {
            let model = data.get("product_model").or_else(|| data.get("product"));
            (model, model.and_then(|model| kind.id_in(model)))
        }
        Kind::Category => {
            let category = data.get("category");
            (category, category.and_then(|category| kind.id_in(category)))
        }
    };
    let (Some(entity), Some(code)) = (entity, code) else {
        return Ok(Decoded::Ignored(format!("{name} without a {}", code_name(kind))));
    };
    let author = data.get("author").and_then(|author| {
        Some(Author {
            identifier: text(author, "identifier")?.to_owned(),
            is_api: text(author, "type") == Some("api"),
        })
    });
    let moment = Moment {
        time_s: text(event, "time").and_then(time::parse),
        updated_s: entity.get("updated_at").and_then(time::parse_value),
    };
    Ok(Decoded::Event(Box::new(Event {
        key: moment.key(kind, change, &code, id.clone()),
        code,
        author,
    })))
}

/// The list that an event says changed.
fn changed_list(name: &str, event: &Value) -> Option<ListKey> {
    let (what, _) = name.strip_prefix(PLATFORM_PREFIX)?.split_once('.')?;
    match LIST_TYPES.into_iter().find(|known| *known == what)? {
        "attribute" => Some(ListKey::Attributes),
        "category" => Some(ListKey::Categories),
        "family" => Some(ListKey::Families),
        _ => {
            let attribute = event.pointer("/data/attribute_option/attribute/code")?.as_str()?;
            Some(ListKey::options(attribute))
        }
    }
}

/// Reads a delivery of the Events API: up to [`BATCH_MAX`] events with the text of each (contract 2.1). An empty
/// body is the reachability test and holds none (contract 2.2).
pub fn of_events_api(body: &[u8]) -> Result<Vec<(Decoded, String)>, Malformed> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let delivery = json(body)?;
    let Some(events) = delivery.get("events").and_then(Value::as_array) else {
        return malformed("the body has no `events` array");
    };
    if events.len() > BATCH_MAX {
        return malformed(format!(
            "{} events in one delivery; at most {BATCH_MAX} are taken",
            events.len()
        ));
    }
    events
        .iter()
        .map(|event| Ok((legacy_event(event)?, event.to_string())))
        .collect()
}

fn legacy_event(event: &Value) -> Result<Decoded, Malformed> {
    let Some(action) = text(event, "action") else {
        return malformed("an event has no `action`");
    };
    let Some(&(_, kind, change)) = LEGACY_ACTIONS.iter().find(|known| known.0 == action) else {
        return Ok(Decoded::Ignored(format!("action {}", shown(action))));
    };
    let Some(resource) = event.get("data").and_then(|data| data.get("resource")) else {
        return malformed("an event has no `data.resource`");
    };
    let Some(code) = kind.id_in(resource) else {
        // PIMs before 7.0 name no UUID (contract 2.3).
        return Ok(Decoded::Ignored(format!("{action} without a {}", code_name(kind))));
    };
    let author = text(event, "author").map(|author| Author {
        identifier: author.to_owned(),
        is_api: text(event, "author_type") == Some("api"),
    });
    // One sample of the documentation names the moment `event_date` (contract 2.1).
    let time_s = text(event, "event_datetime")
        .or_else(|| text(event, "event_date"))
        .and_then(time::parse);
    let moment = Moment {
        time_s,
        updated_s: resource.get("updated").and_then(time::parse_value),
    };
    // Without an id the event's own bytes tell it apart, the same ones at every repetition.
    let id = match text(event, "event_id") {
        Some(id) => Segment::of(id),
        None => Segment::of(&digest(event.to_string().as_bytes())),
    };
    Ok(Decoded::Event(Box::new(Event {
        key: moment.key(kind, change, &code, id),
        code,
        author,
    })))
}

fn code_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Product => "UUID (PIM 7.0 and later send it)",
        Kind::ProductModel | Kind::Category => "code",
    }
}

/// What of a sender's text may stand in a log line.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

struct Moment {
    time_s: Option<u64>,
    updated_s: Option<u64>,
}

impl Moment {
    fn key(&self, kind: Kind, change: Change, code: &str, id: Segment) -> EventKey {
        let time_s = self.time_s.or(self.updated_s).unwrap_or(0);
        let seconds = |moment: u64| i64::try_from(moment).unwrap_or(i64::MAX);
        let floor_s = match (change, self.updated_s) {
            // The PIM lists categories from its database, which does not lag behind an event.
            _ if kind == Kind::Category => None,
            (Change::Created | Change::Updated, Some(updated)) => Some(seconds(time_s) - seconds(updated)),
            (Change::Created | Change::Updated, None) if self.time_s.is_some() => Some(UNTOLD_FLOOR_S),
            _ => None,
        };
        EventKey {
            time_s,
            change,
            floor_s,
            entity: Entity::new(kind, code),
            id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decoded(name: &str, data: &Value) -> Decoded {
        let event = json!({ "type": format!("{PLATFORM_PREFIX}{name}"), "id": "1", "time": "2026-02-03T04:05:06Z", "data": data });
        of_event_platform(event.to_string().as_bytes()).expect("an event")
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
            // The list does not lag: no copy is too old, and nothing is looked at twice.
            assert!(!event.key.is_vague() && event.key.floor_s.is_none());
            assert!(event.author.is_some_and(|author| author.is_api));
        }
        // What names none, or is not known, is one of its list alone.
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
}
