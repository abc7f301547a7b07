//! What the events of both push channels say, read into one form.
//!
//! The module may assume that a delivery was verified, and about its content nothing. It reads of an event only what
//! names the event, its entity, its author and its moments, so that no other member can spoil it, and takes none of
//! that for the entity's present state. The same event always comes to the same key.

use model::entity::{Entity, Kind, Segment, digest, uuid_bytes};
use model::text::{elements, members};
use model::time;
use queue::key::{Change, EventKey, ListKey, UNTOLD_FLOOR_S};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The event types of the Event Platform that concern an entity, without their prefix (contract 3.4).
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

/// The first parts of those event types that tell of a change to a list of the PIM in which shapes look things up
/// (contract 3.4). Whatever follows in the type, the list is another one then.
const LIST_TYPES: [&str; 4] = ["attribute", "attribute-option", "category", "family"];

/// The actions of the Events API. Each of them concerns an entity (contract 2.1).
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

/// The longest code that the PIM gives anything, in characters.
const CODE_MAX: usize = 255;

/// The most events that one delivery of the Events API may have. Akeneo sends ten at most (contract 2.1).
pub const EVENTS_MAX: usize = 100;

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// A user's name, a client id or a connection's code (contract 3.1).
    pub identifier: String,
    /// Whether the author acted through the API, as a connector does.
    pub is_api: bool,
}

/// An event that concerns an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// All that the event's key will say.
    pub key: EventKey,
    /// The entity's code: the UUID of a product, the code of anything else.
    pub code: String,
    /// Who caused the event, if it says so.
    pub author: Option<Author>,
}

/// What one event of a delivery comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The event concerns this entity, which is to be read.
    Event(Box<Event>),
    /// A list of the PIM changed: which one, the event's own id, and the event itself where it concerns an entity, too,
    /// that the shape may want: a category.
    Stale(ListKey, Segment, Option<Box<Event>>),
    /// Nothing is to be done about the event. The text says why, for the log.
    Ignored(String),
    /// The event is not what its channel sends: what is wrong with it, and the event where its entity can be told all
    /// the same.
    Flawed(Malformed, Option<Box<Event>>),
}

impl Decoded {
    /// An event that does not say of which type it is. If it names a product or a product model where events of that
    /// kind do, it counts as an update of that entity, which costs a read at most.
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

/// A delivery or an event that is not what its channel sends. The text says what is wrong and quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

/// The names of the members that are read of an event, wherever in it they stand. Members of other names are skipped.
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

/// How many objects deep an event is read. The date of a delta event's `updated_at` lies in four (contract 3.5).
const DEPTH: usize = 4;

/// What is needed of a value of an event: of an object its members in [`NEEDED`], down to `depth` objects; lists, and
/// what cannot be read, are left out.
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

/// The body of a delivery without the white space around it. Fails where it is not JSON.
fn document(body: &str) -> Result<&str, Malformed> {
    match serde_json::from_slice::<IgnoredAny>(body.as_bytes()) {
        Ok(_) => Ok(body.trim_ascii()),
        // Only the place of the mistake is told: the library's message may quote the body.
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

/// Reads a delivery of the Event Platform: one CloudEvent in structured mode (contract 3.1). Fails only where the body
/// is not JSON: an event that makes no sense is [`Decoded::Flawed`] or [`Decoded::Ignored`].
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
        // Whether or not the event names an entity, its type says that the list changed.
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
        // The documentation's tables name the member `product`, its samples `product_model` (contract 7).
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
    if let Some(why) = foreign(kind, &code) {
        return Decoded::Ignored(format!("{name}: {why}"));
    }
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

/// The list of the PIM that changed, if the type of an event says so.
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

/// Reads a delivery of the Events API: up to [`EVENTS_MAX`] events with the text of each (contract 2.1). An empty body
/// is the reachability test and has no event (contract 2.2). Fails where the body is not JSON, has no `events` array or
/// has more events: one event that makes no sense is [`Decoded::Flawed`] or [`Decoded::Ignored`] and costs none of the
/// others.
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
    if let Some(why) = foreign(kind, &code) {
        return Decoded::Ignored(format!("{action}: {why}"));
    }
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

/// An event's own id, which is the value of this member. Where the event has none, a digest of its text takes the id's
/// place: a repetition has the same text, and so the same id.
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

/// Why the PIM has no entity of this id, if so. What is sent on under such an id, or asked of the PIM by it, serves
/// nobody but whoever made it up.
fn foreign(kind: Kind, id: &str) -> Option<&'static str> {
    match kind {
        Kind::Product => uuid_bytes(id).is_none().then_some("the product's id is no UUID"),
        Kind::ProductModel | Kind::Category => {
            let is_longer = id.chars().nth(CODE_MAX).is_some();
            is_longer.then_some("the code has more than 255 characters")
        }
    }
}

/// As much of a sender's text as may stand in a log line: 80 characters, and no control characters.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// When an event happened and when its entity was updated, as far as it says so, in seconds since the Unix epoch.
struct Moment {
    time_s: Option<u64>,
    updated_s: Option<u64>,
}

impl Moment {
    /// The key of an event. Without a moment of its own, the event takes that of its entity's `updated`; without
    /// either, 0.
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
