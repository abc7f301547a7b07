//! Scripted edits, and the changes they make, from which events are built.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Catalogue, Entity, EntityId, Rendering, values};

/// One edit. As JSON: `{"product": "<uuid>", "action": "touch"}`, `{"product_model": "<code>", ...}` or
/// `{"category": "<code>", ...}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// What is edited.
    #[serde(flatten)]
    pub entity: EntityId,
    /// How.
    #[serde(flatten)]
    pub action: Action,
    /// Done without an event, as if the event were lost at the source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
}

/// What an edit does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Creates the entity, also one that was deleted before.
    Create {
        /// Value of `sku`; products only.
        #[serde(default)]
        identifier: Option<String>,
        /// Family code; by default the parent's.
        #[serde(default)]
        family: Option<String>,
        /// Code of the model above it.
        #[serde(default)]
        parent: Option<String>,
        /// Category codes.
        #[serde(default)]
        categories: Vec<String>,
    },
    /// Counts up the revision value and nothing else.
    Touch,
    /// Sets one value; `null` removes it.
    SetValue {
        /// Attribute code.
        attribute: String,
        /// Locale, if the attribute is localizable.
        #[serde(default)]
        locale: Option<String>,
        /// Channel, if the attribute is scopable.
        #[serde(default)]
        scope: Option<String>,
        /// The value's `data`.
        data: Value,
    },
    /// Enables or disables a product.
    Enable {
        /// Whether it is enabled after the edit.
        enabled: bool,
    },
    /// Changes the family.
    SetFamily {
        /// Family code or none.
        family: Option<String>,
    },
    /// Moves it below another model.
    SetParent {
        /// Model code or none.
        parent: Option<String>,
    },
    /// Replaces the categories.
    SetCategories {
        /// Category codes.
        categories: Vec<String>,
    },
    /// Deletes it; a model takes everything below it along.
    Delete,
}

impl Edit {
    /// An edit that is announced.
    pub fn new(entity: EntityId, action: Action) -> Self {
        Self {
            entity,
            action,
            silent: false,
        }
    }

    /// The same without an event.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }
}

impl Action {
    /// A creation with nothing given.
    pub fn create() -> Self {
        Self::Create {
            identifier: None,
            family: None,
            parent: None,
            categories: Vec::new(),
        }
    }

    /// A creation below a model or a category.
    pub fn create_below(parent: &str) -> Self {
        Self::Create {
            identifier: None,
            family: None,
            parent: Some(parent.to_owned()),
            categories: Vec::new(),
        }
    }

    /// The label of a category in a locale.
    pub fn label(locale: &str, text: &str) -> Self {
        Self::SetValue {
            attribute: "label".to_owned(),
            locale: Some(locale.to_owned()),
            scope: None,
            data: text.into(),
        }
    }
}

/// What happened to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It differs.
    Updated,
    /// It is gone.
    Deleted,
}

/// What an edit did, with all that an event in any format needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which entity.
    #[serde(flatten)]
    pub entity: EntityId,
    /// What happened to it.
    pub kind: ChangeKind,
    /// When, on the PIM's clock, in Unix milliseconds.
    pub time_ms: u64,
    /// Value of `sku`, if it has one.
    pub identifier: Option<String>,
    /// The `changes` of a delta event (contract 3.5).
    pub delta: Value,
    /// The entity after the change as the REST API gives it; null once deleted.
    pub resource: Value,
    /// Went along with the deletion of a model above it.
    pub cascaded: bool,
    /// The edit was to have no event.
    pub silent: bool,
}

/// Why an edit was not made. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// There is no such entity.
    Unknown(EntityId),
    /// There already is one.
    Exists(EntityId),
    /// The parent named does not exist.
    NoParent(String),
}

impl std::fmt::Display for EditError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(id) => write!(formatter, "there is no {id}"),
            Self::Exists(id) => write!(formatter, "there already is a {id}"),
            Self::NoParent(code) => {
                write!(formatter, "there is no {code} to be a parent")
            }
        }
    }
}

impl std::error::Error for EditError {}

impl Catalogue {
    /// Makes an edit and returns what changed: the entity first, then what a deleted model took along.
    ///
    /// # Errors
    /// If the entity does not exist (or, on creation, does), or a parent named does not.
    pub fn edit(&mut self, edit: &Edit, now_ms: u64) -> Result<Vec<Change>, EditError> {
        if let EntityId::Category(code) = &edit.entity {
            return self.edit_category(code, edit, now_ms);
        }
        let existing = self
            .versions(&edit.entity)
            .and_then(|versions| versions.at(u64::MAX))
            .cloned();
        if let Action::Create {
            parent: Some(parent), ..
        }
        | Action::SetParent { parent: Some(parent) } = &edit.action
            && self.truth().model(parent).is_none()
        {
            return Err(EditError::NoParent(parent.clone()));
        }
        match (&edit.action, existing) {
            (Action::Create { .. }, Some(_)) => Err(EditError::Exists(edit.entity.clone())),
            (Action::Create { .. }, None) => Ok(vec![self.create(edit, now_ms)]),
            (_, None) => Err(EditError::Unknown(edit.entity.clone())),
            (Action::Delete, Some(entity)) => Ok(self.delete(&entity, edit.silent, now_ms)),
            (action, Some(entity)) => Ok(vec![self.update(entity, action, edit.silent, now_ms)]),
        }
    }

    fn create(&mut self, edit: &Edit, now_ms: u64) -> Change {
        let Action::Create {
            identifier,
            family,
            parent,
            categories,
        } = &edit.action
        else {
            unreachable!("only creations come here")
        };
        let mut entity = Entity::new(edit.entity.clone(), seed_of(&edit.entity), now_ms);
        entity.identifier.clone_from(identifier);
        let inherited = parent
            .as_ref()
            .and_then(|code| self.truth().model(code)?.family.clone());
        entity.family = family.clone().or(inherited);
        entity.parent.clone_from(parent);
        entity.categories.clone_from(categories);
        if !entity.id.is_product() {
            entity.number = self.next_number();
        }
        self.put(entity.clone(), now_ms);
        self.change(&entity, ChangeKind::Created, json!({}), edit.silent, now_ms)
    }

    fn update(&mut self, mut entity: Entity, action: &Action, silent: bool, now_ms: u64) -> Change {
        let delta = apply(&mut entity, action);
        entity.updated_ms = now_ms;
        self.put(entity.clone(), now_ms);
        self.change(&entity, ChangeKind::Updated, delta, silent, now_ms)
    }

    fn delete(&mut self, entity: &Entity, silent: bool, now_ms: u64) -> Vec<Change> {
        let mut gone = vec![entity.clone()];
        if let EntityId::Model(code) = &entity.id {
            let truth = self.truth();
            gone.extend(truth.sub_models(code).into_iter().cloned());
            gone.extend(truth.descendants(code).into_iter().cloned());
        }
        for each in &gone {
            self.remove(&each.id, now_ms);
        }
        let changes = gone.iter().enumerate().map(|(index, each)| Change {
            cascaded: index > 0,
            ..self.change(each, ChangeKind::Deleted, json!({}), silent, now_ms)
        });
        changes.collect()
    }

    fn change(&self, entity: &Entity, kind: ChangeKind, delta: Value, silent: bool, time_ms: u64) -> Change {
        let gone = kind == ChangeKind::Deleted;
        Change {
            entity: entity.id.clone(),
            kind,
            time_ms,
            identifier: entity.identifier.clone(),
            delta,
            resource: if gone {
                Value::Null
            } else {
                self.truth().render(entity, &Rendering::default())
            },
            cascaded: false,
            silent,
        }
    }
}

// A created entity's values depend on its id alone.
fn seed_of(id: &EntityId) -> u64 {
    id.key().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

// Changes the entity and returns the delta's `changes`.
fn apply(entity: &mut Entity, action: &Action) -> Value {
    let mut changes = match action {
        Action::SetValue {
            attribute,
            locale,
            scope,
            data,
        } => set_value(entity, attribute, locale.as_deref(), scope.as_deref(), data),
        Action::Enable { enabled } => {
            json!({ "enabled": { "previous": std::mem::replace(&mut entity.enabled, *enabled), "new": enabled } })
        }
        Action::SetFamily { family } => {
            json!({ "family": { "previous": std::mem::replace(&mut entity.family, family.clone()), "new": family } })
        }
        Action::SetParent { parent } => {
            json!({ "parent": { "previous": std::mem::replace(&mut entity.parent, parent.clone()), "new": parent } })
        }
        Action::SetCategories { categories } => {
            let former = std::mem::replace(&mut entity.categories, categories.clone());
            let added: Vec<_> = categories.iter().filter(|code| !former.contains(code)).collect();
            let removed: Vec<_> = former.iter().filter(|code| !categories.contains(code)).collect();
            json!({ "categories": { "added": added, "removed": removed } })
        }
        Action::Touch | Action::Create { .. } | Action::Delete => json!({}),
    };
    entity.revision += 1;
    let counter = values::revision_attribute(entity);
    let step = delta_value(
        json!(entity.revision - 1),
        json!(entity.revision),
        "pim_catalog_number",
        None,
        None,
    );
    changes["values"][counter] = json!([step]);
    changes
}

fn set_value(entity: &mut Entity, attribute: &str, locale: Option<&str>, scope: Option<&str>, data: &Value) -> Value {
    let generated = values::own(entity).remove(attribute).unwrap_or_default();
    let list = entity.values.entry(attribute.to_owned()).or_insert(generated);
    let place = list
        .iter()
        .position(|value| value["locale"].as_str() == locale && value["scope"].as_str() == scope);
    let previous = place.map_or(Value::Null, |place| list.remove(place)["data"].take());
    if !data.is_null() {
        list.push(values::value(attribute, locale, scope, data.clone()));
    }
    if attribute == "sku" {
        entity.identifier = data.as_str().map(str::to_owned);
    }
    let delta = delta_value(previous, data.clone(), "pim_catalog_text", locale, scope);
    json!({ "values": Map::from_iter([(attribute.to_owned(), json!([delta]))]) })
}

fn delta_value(previous: Value, new: Value, kind: &str, locale: Option<&str>, scope: Option<&str>) -> Value {
    json!({ "previous": previous, "new": new, "type": kind, "locale": locale, "scope": scope })
}
