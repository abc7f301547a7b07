//! What both push channels say, turned into one kind of event.

use model::entity::{Entity, Kind, Segment, digest};
use model::text::{elements, members};
use model::time;
use queue::key::{Change, EventKey, ListKey, UNTOLD_FLOOR_S};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

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

/// The most events that one delivery may hold. Akeneo sends ten (contract 2.1).
pub const EVENTS_MAX: usize = 100;

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
    /// It is not what its channel sends: what is wrong with it, and the event where its entity can be told all the same.
    Flawed(Malformed, Option<Box<Event>>),
}

impl Decoded {
    /// An event that does not say what it is about. If it names an entity as events of one kind do, that is looked at:
    /// it costs a read at most.
    fn flawed(what: &str, told: impl Fn(Kind) -> Decoded) -> Decoded {
        let event = [Kind::Product, Kind::ProductModel]
            .into_iter()
            .find_map(|kind| match told(kind) {
                Decoded::Event(event) => Some(event),
                _ => None,
            });
        Decoded::Flawed(Malformed(what.to_owned()), event)
    }
}

/// A delivery or an event that is not what its channel sends; the text says what is wrong, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

/// What is read of an event, wherever it stands. All else is only passed over.
const NEEDED: [&str; 23] = [
    "action",
    "attribute",
    "attribute_option",
    "author",
    "author_type",
    "category",
    "code",
    "data",
    "date",
    "event_date",
    "event_datetime",
    "event_id",
    "id",
    "identifier",
    "product",
    "product_model",
    "resource",
    "time",
    "timezone",
    "type",
    "updated",
    "updated_at",
    "uuid",
];

/// How many objects what is needed lies in at most: the date of a delta event's `updated_at`, for one.
const DEPTH: usize = 4;

/// What is needed of an event, less what cannot be read.
fn needed(value: &str, depth: usize) -> Option<Value> {
    match value.as_bytes().first()? {
        b'{' => {
            let depth = depth.checked_sub(1)?;
            let wanted = members(value)?
                .into_iter()
                .filter(|(name, _)| NEEDED.contains(&name.as_str()));
            let read = wanted.filter_map(|(name, value)| Some((name, needed(value, depth)?)));
            Some(Value::Object(Map::from_iter(read)))
        }
        b'[' => None,
        _ => serde_json::from_slice(value.as_bytes()).ok(),
    }
}

/// A delivery's body, without space around it.
fn document(body: &str) -> Result<&str, Malformed> {
    match serde_json::from_slice::<IgnoredAny>(body.as_bytes()) {
        Ok(_) => Ok(body.trim_ascii()),
        // The place alone: the library's message may quote the body.
        Err(error) => malformed(format!(
            "the body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )),
    }
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value
        .get(member)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// Reads a delivery of the Event Platform: one CloudEvent in structured mode (contract 3.1).
pub fn of_event_platform(body: &str) -> Result<Decoded, Malformed> {
    let body = document(body)?;
    let event = needed(body, DEPTH).unwrap_or_default();
    let id = id(&event, "id", body);
    let Some(name) = text(&event, "type") else {
        let told = |kind| platform_event(&event, "an event", kind, Change::Updated, &id);
        return Ok(Decoded::flawed("the event has no `type`", told));
    };
    let known = name
        .strip_prefix(PLATFORM_PREFIX)
        .and_then(|name| PLATFORM_TYPES.iter().find(|known| known.0 == name));
    let decoded = match known {
        Some(&(_, kind, change)) => platform_event(&event, name, kind, change, &id),
        None => Decoded::Ignored(format!("type {}", shown(name))),
    };
    Ok(match (changed_list(name, &event), decoded) {
        (None, decoded) => decoded,
        (Some(list), Decoded::Event(event)) => Decoded::Stale(list, id, Some(event)),
        // Whatever else it says, the list is another one now.
        (Some(list), _) => Decoded::Stale(list, id, None),
    })
}

fn platform_event(event: &Value, name: &str, kind: Kind, change: Change, id: &Segment) -> Decoded {
    let Some(data) = event.get("data").filter(|data| data.is_object()) else {
        return Decoded::Flawed(Malformed("the event has no `data` object".to_owned()), None);
    };
    let (entity, code) = match kind {
        Kind::Product => (
            data.get("product"),
            data.get("product").and_then(|product| Kind::Product.id_in(product)),
        ),
        // The tables name it `product`, the samples `product_model` (contract 7).
        Kind::ProductModel => {
            let model = data
                .get("product_model")
                .filter(|model| model.is_object())
                .or_else(|| data.get("product"));
            (model, model.and_then(|model| kind.id_in(model)))
        }
        Kind::Category => {
            let category = data.get("category");
            (category, category.and_then(|category| kind.id_in(category)))
        }
    };
    let (Some(entity), Some(code)) = (entity, code) else {
        return Decoded::Ignored(format!("{name} without a {}", code_name(kind)));
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
    Decoded::Event(Box::new(Event {
        key: moment.key(kind, change, &code, id.clone()),
        code,
        author,
    }))
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

/// Reads a delivery of the Events API: up to [`EVENTS_MAX`] events with the text of each (contract 2.1). An empty
/// body is the reachability test and holds none (contract 2.2).
pub fn of_events_api(body: &str) -> Result<Vec<(Decoded, &str)>, Malformed> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let delivery = members(document(body)?).unwrap_or_default();
    let Some(events) = delivery.get("events").and_then(|events| elements(events)) else {
        return malformed("the body has no `events` array");
    };
    if events.len() > EVENTS_MAX {
        return malformed(format!(
            "{} events in one delivery; at most {EVENTS_MAX} are taken",
            events.len()
        ));
    }
    Ok(events.into_iter().map(|event| (legacy_event(event), event)).collect())
}

fn legacy_event(body: &str) -> Decoded {
    let event = needed(body, DEPTH).unwrap_or_default();
    let id = id(&event, "event_id", body);
    let Some(action) = text(&event, "action") else {
        let told = |kind| resource_event(&event, "an event", kind, Change::Updated, &id);
        return Decoded::flawed("an event has no `action`", told);
    };
    match LEGACY_ACTIONS.iter().find(|known| known.0 == action) {
        Some(&(_, kind, change)) => resource_event(&event, action, kind, change, &id),
        None => Decoded::Ignored(format!("action {}", shown(action))),
    }
}

fn resource_event(event: &Value, action: &str, kind: Kind, change: Change, id: &Segment) -> Decoded {
    let Some(resource) = event.pointer("/data/resource").filter(|resource| resource.is_object()) else {
        return Decoded::Flawed(Malformed("an event has no `data.resource`".to_owned()), None);
    };
    let Some(code) = kind.id_in(resource) else {
        // PIMs before 7.0 name no UUID (contract 2.3).
        return Decoded::Ignored(format!("{action} without a {}", code_name(kind)));
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
    Decoded::Event(Box::new(Event {
        key: moment.key(kind, change, &code, id.clone()),
        code,
        author,
    }))
}

/// An event's own id. Without one its bytes tell it apart, the same ones at every repetition.
fn id(event: &Value, member: &str, body: &str) -> Segment {
    match text(event, member) {
        Some(id) => Segment::of(id),
        None => Segment::of(&digest(body.as_bytes())),
    }
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
mod tests;
