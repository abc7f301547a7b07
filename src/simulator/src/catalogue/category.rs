//! Edits of categories, which are kept with the structure, in the form of the REST API.

use serde_json::{Value, json};

use super::structure::category;
use super::{Action, Catalogue, Change, ChangeKind, Edit, EditError, EntityId};
use crate::times;

impl Catalogue {
    /// Every category, by code, as it is read with its values.
    pub fn categories(&self) -> impl Iterator<Item = (EntityId, Value)> + '_ {
        self.structure.categories.iter().map(|category| {
            let mut body = category.clone();
            if body["values"].is_null() {
                body["values"] = json!([]);
            }
            (EntityId::Category(code(category).to_owned()), body)
        })
    }

    fn place(&self, wanted: &str) -> Result<usize, usize> {
        let categories = &self.structure.categories;
        categories.binary_search_by(|category| code(category).cmp(wanted))
    }

    /// Makes an edit of a category: a touch moves it, a value with a locale is its label there, and a deletion takes
    /// everything below it along.
    pub(super) fn edit_category(&mut self, wanted: &str, edit: &Edit, now_ms: u64) -> Result<Vec<Change>, EditError> {
        if let Action::Create {
            parent: Some(parent), ..
        }
        | Action::SetParent { parent: Some(parent) } = &edit.action
            && self.place(parent).is_err()
        {
            return Err(EditError::NoParent(parent.clone()));
        }
        match (&edit.action, self.place(wanted)) {
            (Action::Create { .. }, Ok(_)) => Err(EditError::Exists(edit.entity.clone())),
            (Action::Create { parent, .. }, Err(at)) => {
                let mut created = category(wanted, parent.as_deref());
                created["updated"] = json!(times::iso(now_ms, 0));
                self.structure.categories.insert(at, created.clone());
                Ok(vec![change(&created, ChangeKind::Created, edit.silent, now_ms)])
            }
            (_, Err(_)) => Err(EditError::Unknown(edit.entity.clone())),
            (Action::Delete, Ok(_)) => Ok(self.delete_category(wanted, edit.silent, now_ms)),
            (action, Ok(at)) => {
                let category = &mut self.structure.categories[at];
                match action {
                    Action::Touch => category["position"] = json!(category["position"].as_u64().unwrap_or(0) + 1),
                    Action::SetParent { parent } => category["parent"] = json!(parent),
                    Action::SetValue {
                        locale: Some(locale),
                        data,
                        ..
                    } => category["labels"][locale] = data.clone(),
                    _ => {}
                }
                category["updated"] = json!(times::iso(now_ms, 0));
                Ok(vec![change(category, ChangeKind::Updated, edit.silent, now_ms)])
            }
        }
    }

    fn delete_category(&mut self, wanted: &str, silent: bool, now_ms: u64) -> Vec<Change> {
        let mut gone = vec![wanted.to_owned()];
        let mut at = 0;
        while let Some(above) = gone.get(at).cloned() {
            let below = self.structure.categories.iter().filter(|each| each["parent"] == above);
            gone.extend(below.map(|each| code(each).to_owned()));
            at += 1;
        }
        self.structure
            .categories
            .retain(|each| !gone.iter().any(|gone| gone == code(each)));
        let changes = gone.iter().enumerate().map(|(index, code)| Change {
            cascaded: index > 0,
            ..change(&json!({ "code": code }), ChangeKind::Deleted, silent, now_ms)
        });
        changes.collect()
    }
}

fn code(category: &Value) -> &str {
    category["code"].as_str().unwrap_or_default()
}

fn change(category: &Value, kind: ChangeKind, silent: bool, time_ms: u64) -> Change {
    Change {
        entity: EntityId::Category(code(category).to_owned()),
        kind,
        time_ms,
        identifier: None,
        delta: json!({}),
        resource: if kind == ChangeKind::Deleted {
            Value::Null
        } else {
            category.clone()
        },
        cascaded: false,
        silent,
    }
}
