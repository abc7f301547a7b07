//! An entity's values: which of them, of which channel and locale, and in which form.
//!
//! A value without a channel or a locale belongs to every one. Codes are compared whatever their letter case, as Akeneo
//! does.

use model::document::Node;
use model::entity::is_same;
use serde_json::{Map, Value};

/// How values are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Lists of values with their channel and locale, as Akeneo gives them (contract 4.6).
    #[default]
    Akeneo,
    /// The data alone, by attribute.
    Flat,
}

/// Which values, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) form: Form,
    pub(super) channel: Option<String>,
    pub(super) locales: Vec<String>,
    attributes: Option<Vec<String>>,
}

/// The values of one channel, and of the first of these locales that there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) form: Form,
    pub(super) channel: Option<&'a str>,
    pub(super) locales: &'a [String],
}

impl Values {
    pub(super) fn read(node: &Node<'_>) -> Values {
        let mut values = Values::default();
        if !node.is_object_of(&["form", "channel", "locales", "attributes"]) {
            return values;
        }
        if let Some(form) = node.member("form") {
            let forms = [("akeneo", Form::Akeneo), ("flat", Form::Flat)];
            values.form = form.choice(&forms).unwrap_or_default();
        }
        let channel = node.member("channel");
        values.channel = channel.and_then(|node| Some(node.text()?.to_owned()));
        values.locales = node.member("locales").map(|node| node.texts()).unwrap_or_default();
        values.attributes = node.member("attributes").map(|node| node.texts());
        values
    }

    pub(super) fn view(&self) -> View<'_> {
        View {
            form: self.form,
            channel: self.channel.as_deref(),
            locales: &self.locales,
        }
    }

    /// The member `values` as it is sent.
    pub(super) fn apply(&self, entity: &Value, view: View<'_>) -> Option<Value> {
        let given = entity.get("values")?;
        if view.form == Form::Akeneo && view.is_whole() && self.attributes.is_none() {
            return Some(given.clone());
        }
        let is_wanted = |code: &str| match &self.attributes {
            Some(wanted) => wanted.iter().any(|wanted| is_same(wanted, code)),
            None => true,
        };
        let mut sent = Map::new();
        for (code, list) in given.as_object().into_iter().flatten() {
            if let (true, Some(value)) = (is_wanted(code), view.of(list)) {
                sent.insert(code.clone(), value);
            }
        }
        Some(Value::Object(sent))
    }
}

/// A member by its code, to which letter case makes no difference to Akeneo.
pub(super) fn member<'a>(values: Option<&'a Value>, code: &str) -> Option<&'a Value> {
    let members = values?.as_object()?;
    members.get(code).or_else(|| {
        let same = members.iter().find(|(name, _)| is_same(name, code));
        same.map(|(_, value)| value)
    })
}

fn is_said(data: &Value) -> bool {
    match data {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

impl View<'_> {
    /// Whether it is of all channels and locales.
    pub(super) fn is_whole(self) -> bool {
        self.channel.is_none() && self.locales.is_empty()
    }

    /// An attribute's values in this form.
    pub(super) fn of(self, list: &Value) -> Option<Value> {
        if self.form == Form::Flat {
            return self.data(list).cloned();
        }
        let is_shown = |value: &&Value| {
            let is_free = |member: &str| value.get(member).is_none_or(Value::is_null);
            let text = |member: &str| value.get(member).and_then(Value::as_str);
            let is_of = |channel: &str| text("scope").is_some_and(|scope| is_same(scope, channel));
            let of_channel = is_free("scope") || self.channel.is_none_or(is_of);
            let of_locale = self.locales.is_empty() || is_free("locale") || self.locale(value).is_some();
            of_channel && of_locale
        };
        let shown: Vec<Value> = list.as_array()?.iter().filter(is_shown).cloned().collect();
        (!shown.is_empty()).then_some(Value::Array(shown))
    }

    /// The data of an attribute: of this channel or of none, and of the first locale that has a value.
    pub(super) fn data(self, list: &Value) -> Option<&Value> {
        let of_channel = |value: &&Value| match value.get("scope").and_then(Value::as_str) {
            Some(scope) => self.channel.is_some_and(|channel| is_same(channel, scope)),
            None => true,
        };
        let said = list.as_array()?.iter().filter(of_channel);
        let said =
            said.filter_map(|value| Some((self.rank(value)?, value.get("data").filter(|data| !data.is_null())?)));
        said.min_by_key(|(rank, _)| *rank).map(|(_, data)| data)
    }

    /// The data of an entity's attribute.
    pub(super) fn attribute<'a>(self, entity: &'a Value, code: &str) -> Option<&'a Value> {
        self.data(member(entity.get("values"), code)?)
    }

    /// Whether an attribute says anything, in this channel and these locales or, where none are named, in any.
    pub(super) fn has(self, entity: &Value, attribute: &str) -> bool {
        let Some(list) = member(entity.get("values"), attribute) else {
            return false;
        };
        let all = View {
            form: Form::Akeneo,
            ..self
        };
        let shown = all.of(list);
        let shown = shown.as_ref().and_then(Value::as_array).into_iter().flatten();
        shown.filter_map(|value| value.get("data")).any(is_said)
    }

    /// How far down the list a value's locale stands; none if the list does not name it.
    fn locale(self, value: &Value) -> Option<usize> {
        let locale = value.get("locale")?.as_str()?;
        self.locales.iter().position(|wanted| is_same(wanted, locale))
    }

    fn rank(self, value: &Value) -> Option<usize> {
        match value.get("locale") {
            None | Some(Value::Null) => Some(0),
            Some(_) => self.locale(value),
        }
    }
}
