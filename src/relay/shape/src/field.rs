//! The fields of a body: from which place, converted how, to which place.
//!
//! What does not fit its source is told when the document is read. A field for which an entity has nothing is left out,
//! or takes its default; it never spoils the rest of the body.

use super::canonical::Links;
use super::lookups::{Lookups, Need};
use super::values::{Form, Values, View, member};
use model::document::Node;
use model::json::{self, text};
use model::number;
use model::template::{Piece, pieces};
use protocol::draft::Late;
use protocol::place::{DEPTH_MAX, at, tokens};
use protocol::remote::is_late;
use protocol::request::Names;
use serde_json::Value;
use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Place(Vec<String>),
    Constant(Value),
    Template(Vec<Part>),
}

/// A piece of a template, its places read.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Place(Vec<String>),
    /// By what the entity is named in requests.
    Name(String),
    /// What the destination gave, which is filled in when it is sent.
    Late(String),
}

/// What a field comes to for an entity.
pub(super) enum Filled {
    /// Nothing: it is left out.
    Nothing,
    /// A value.
    Now(Value),
    /// A part of the body that is filled when it is sent.
    Later(Late),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversion {
    Number,
    Text,
    /// The label of the family, category or option.
    Label,
    /// The label of the attribute itself, in place of its value.
    AttributeLabel,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) to: Vec<String>,
    source: Source,
    conversion: Option<Conversion>,
    /// Of a price, the amount in this currency.
    currency: Option<String>,
    /// In place of the kind's own channel and locales.
    channel: Option<String>,
    locales: Vec<String>,
    /// What is sent where there is nothing; none leaves the field out.
    default: Option<Value>,
    /// Whether it is sent only when the entity is made.
    pub(super) is_for_creation: bool,
}

const MEMBERS: [&str; 10] = [
    "to", "from", "constant", "template", "as", "currency", "channel", "locales", "default", "only",
];

const POINTER: &str = "is not a JSON Pointer: begin it with `/`, such as /values/name";

fn place(node: &Node<'_>) -> Option<Vec<String>> {
    let Some(text) = node.value.as_str() else {
        node.wrong(POINTER);
        return None;
    };
    let read = tokens(text);
    match &read {
        None => node.wrong(POINTER),
        Some(tokens) if tokens.len() > DEPTH_MAX => node.wrong(format!("goes deeper than {DEPTH_MAX} levels")),
        Some(_) => return read,
    }
    None
}

impl Field {
    pub(super) fn read(node: &Node<'_>, values: &Values) -> Option<Field> {
        if !node.is_object_of(&MEMBERS) || !node.has_all(&["to"]) {
            return None;
        }
        let to = place(&node.member("to")?);
        let source = source(node);
        let conversions = [
            ("number", Conversion::Number),
            ("text", Conversion::Text),
            ("label", Conversion::Label),
            ("attribute-label", Conversion::AttributeLabel),
        ];
        let field = Field {
            conversion: node.member("as").and_then(|node| node.choice(&conversions)),
            currency: text_in(node, "currency"),
            channel: text_in(node, "channel"),
            locales: node.member("locales").map(|node| node.texts()).unwrap_or_default(),
            default: node.member("default").map(|node| node.value.clone()),
            is_for_creation: node
                .member("only")
                .and_then(|node| node.choice(&[("create", true)]))
                .is_some(),
            to: to?,
            source: source?,
        };
        field.check(node, values);
        Some(field)
    }

    /// Tells of members that do not fit the field's source.
    fn check(&self, node: &Node<'_>, values: &Values) {
        let reads_values = self.source.reads("values");
        for name in ["channel", "locales"] {
            if let (Some(member), false) = (node.member(name), reads_values || self.is_label()) {
                member.wrong("makes a difference only to what is read from /values: leave it out");
            }
        }
        for name in ["as", "currency"] {
            let remedy = match &self.source {
                Source::Place(place) if place.is_empty() || place[..] == ["values"] => {
                    "works on a single place, such as /values/price: name it in `from`"
                }
                Source::Place(_) if name == "currency" && !reads_values => {
                    "is for prices, which are below /values: leave it out"
                }
                Source::Place(_) => continue,
                _ if name == "as" && self.is_late() && self.conversion == Some(Conversion::Number) => continue,
                _ => "needs `from`: a constant or a template is sent as it is",
            };
            node.member(name).into_iter().for_each(|member| member.wrong(remedy));
        }
        let is_flat = values.form == Form::Flat;
        for name in ["as", "currency", "channel", "locales", "template"] {
            if let (Some(member), true, false) = (node.member(name), reads_values, is_flat) {
                member.wrong("works on flat values: set `form` of `values` to flat");
            }
        }
        let remedy = match (self.is_label(), self.need()) {
            (true, None) if self.conversion == Some(Conversion::AttributeLabel) => {
                Some("attribute-label is for /values/{attribute}")
            }
            (true, None) => Some("label is for /family, /categories and /values/{attribute of a select}"),
            (true, Some(_)) if self.locales.is_empty() && values.locales.is_empty() => {
                Some("label needs to know its language: name `locales` here or in `values`")
            }
            _ => None,
        };
        if let (Some(member), Some(remedy)) = (node.member("as"), remedy) {
            member.wrong(remedy);
        }
        if self.to.is_empty() && !matches!(&self.source, Source::Place(place) if place.is_empty()) {
            let remedy = "the whole body can only come from the whole entity: write \"from\": \"\", or name a place";
            node.member("to").into_iter().for_each(|node| node.wrong(remedy));
        }
    }

    /// The place whose `_links` are content, since this field puts them there.
    pub(super) fn links(&self) -> Option<Links<'_>> {
        match &self.source {
            Source::Constant(_) => Some(Links::Below(&self.to)),
            _ if self.to.iter().any(|token| token == "_links") => Some(Links::On(&self.to)),
            _ => None,
        }
    }

    fn is_label(&self) -> bool {
        matches!(self.conversion, Some(Conversion::Label | Conversion::AttributeLabel))
    }

    /// Whether it reads the completenesses, which the PIM gives only to who asks.
    pub(super) fn reads_completenesses(&self) -> bool {
        self.source.reads("completenesses")
    }

    /// Whether a change tells the destination by it what an entity is called by this attribute.
    pub(super) fn tells_identity(&self, attribute: &str) -> bool {
        let reads = |place: &[String]| match place {
            [] => true,
            [values, rest @ ..] => values == "values" && rest.first().is_none_or(|first| first == attribute),
        };
        let is_told = match &self.source {
            Source::Place(place) => reads(place),
            Source::Constant(_) => false,
            Source::Template(parts) => parts.iter().any(|part| match part {
                Part::Place(place) => reads(place),
                Part::Name(name) => name == "identity",
                Part::Text(_) | Part::Late(_) => false,
            }),
        };
        is_told && !self.is_for_creation
    }

    /// Where its labels are looked up.
    pub(super) fn need(&self) -> Option<Need> {
        let (Source::Place(place), true) = (&self.source, self.is_label()) else {
            return None;
        };
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        if self.conversion == Some(Conversion::AttributeLabel) {
            return matches!(place[..], ["values", _]).then_some(Need::Attributes);
        }
        match place[..] {
            ["family"] => Some(Need::Families),
            ["categories"] | ["categories", _] => Some(Need::Categories),
            ["values", attribute] | ["values", attribute, _] => Some(Need::Options(attribute.to_owned())),
            _ => None,
        }
    }

    /// The locales whose labels it uses.
    pub(super) fn label_locales<'a>(&'a self, values: &'a Values) -> &'a [String] {
        if !self.is_label() {
            &[]
        } else if self.locales.is_empty() {
            &values.locales
        } else {
            &self.locales
        }
    }

    /// What is sent.
    pub(super) fn filled(&self, entity: &Value, values: &Values, lookups: &Lookups, names: &Names<'_>) -> Filled {
        let late = match &self.source {
            Source::Template(parts) if self.is_late() => pieces_of(parts, entity, self.view(values), names),
            _ => None,
        };
        if let Some(pieces) = late {
            return Filled::Later(Late {
                to: self.to.clone(),
                pieces,
                is_number: self.conversion == Some(Conversion::Number),
                default: self.default.clone(),
            });
        }
        match self.value(entity, values, lookups, names) {
            Some(value) => Filled::Now(value),
            None => Filled::Nothing,
        }
    }

    /// The places that are filled when the request is sent.
    pub(super) fn late_places(&self) -> impl Iterator<Item = &str> {
        let parts = match &self.source {
            Source::Template(parts) => &parts[..],
            _ => &[],
        };
        parts.iter().filter_map(|part| match part {
            Part::Late(place) => Some(place.as_str()),
            _ => None,
        })
    }

    fn is_late(&self) -> bool {
        self.late_places().next().is_some()
    }

    fn view<'a>(&'a self, values: &'a Values) -> View<'a> {
        View {
            channel: self.channel.as_deref().or(values.channel.as_deref()),
            locales: if self.locales.is_empty() {
                &values.locales
            } else {
                &self.locales
            },
            ..values.view()
        }
    }

    fn value(&self, entity: &Value, values: &Values, lookups: &Lookups, names: &Names<'_>) -> Option<Value> {
        let view = self.view(values);
        let found = match &self.source {
            Source::Constant(value) => Some(value.clone()),
            Source::Template(_) if self.is_late() => None,
            Source::Template(parts) => filled(parts, entity, view, names).map(Value::String),
            Source::Place(place) if place.is_empty() => Some(whole(entity, values, view)),
            Source::Place(place) if matches!(&place[..], [only] if only == "values") => values.apply(entity, view),
            Source::Place(place) => found(entity, place, view)
                .filter(|value| !value.is_null())
                .and_then(|value| self.converted(&value, view, lookups)),
        };
        found.or_else(|| self.default.clone())
    }

    fn converted(&self, value: &Value, view: View<'_>, lookups: &Lookups) -> Option<Value> {
        let amount = match &self.currency {
            None => value,
            Some(currency) => amount(value, currency)?,
        };
        match self.conversion {
            None => Some(amount.clone()),
            Some(Conversion::Number) => as_number(amount),
            Some(Conversion::Text) => text_of(amount).map(Value::String),
            Some(Conversion::Label) => self.labelled(amount, view.locales, lookups),
            Some(Conversion::AttributeLabel) => self.attribute_label(view.locales, lookups),
        }
    }

    fn attribute_label(&self, locales: &[String], lookups: &Lookups) -> Option<Value> {
        let Source::Place(place) = &self.source else {
            return None;
        };
        let attribute = place.last()?;
        let label = lookups.label(&Need::Attributes, attribute, locales);
        Some(Value::String(label.unwrap_or(attribute).to_owned()))
    }

    /// Labels in place of codes; a code that has none stays.
    fn labelled(&self, value: &Value, locales: &[String], lookups: &Lookups) -> Option<Value> {
        let need = self.need()?;
        let label = |code: &str| Value::String(lookups.label(&need, code, locales).unwrap_or(code).to_owned());
        match value {
            Value::Array(codes) => Some(codes.iter().filter_map(text).map(|code| label(&code)).collect()),
            code => text(code).map(|code| label(&code)),
        }
    }
}

fn text_in(node: &Node<'_>, name: &str) -> Option<String> {
    Some(node.member(name)?.text()?.to_owned())
}

fn source(node: &Node<'_>) -> Option<Source> {
    let given: Vec<&str> = ["from", "constant", "template"]
        .into_iter()
        .filter(|name| node.member(name).is_some())
        .collect();
    match given[..] {
        ["from"] => place(&node.member("from")?).map(Source::Place),
        ["constant"] => Some(Source::Constant(node.member("constant")?.value.clone())),
        ["template"] => template(&node.member("template")?).map(Source::Template),
        _ => {
            node.wrong("needs one of `from`, `constant` and `template`");
            None
        }
    }
}

fn template(node: &Node<'_>) -> Option<Vec<Part>> {
    let pieces = match pieces(node.text()?) {
        Ok(pieces) => pieces,
        Err(error) => {
            node.wrong(format!(
                "is not a template such as {{/values/name}} ({{/family}}): {error}"
            ));
            return None;
        }
    };
    let part = |piece| match piece {
        Piece::Text(text) => Some(Part::Text(text)),
        Piece::Place(name) if Names::ALL.contains(&name.as_str()) => Some(Part::Name(name)),
        Piece::Place(name) if is_late(&name) => Some(Part::Late(name)),
        Piece::Place(name) => {
            let place = tokens(&name).filter(|place| !place.is_empty() && place.len() <= DEPTH_MAX);
            if place.is_none() {
                node.wrong(format!(
                    "`{{{name}}}` is not a place: write a JSON Pointer, such as {{/values/name}}"
                ));
            }
            place.map(Part::Place)
        }
    };
    pieces.into_iter().map(part).collect()
}

impl Source {
    /// Whether it reads something of this member of the entity.
    fn reads(&self, member: &str) -> bool {
        let is_of = |place: &[String]| place.first().is_some_and(|first| first == member);
        match self {
            Source::Place(place) => is_of(place),
            Source::Template(parts) => parts
                .iter()
                .any(|part| matches!(part, Part::Place(place) if is_of(place))),
            Source::Constant(_) => false,
        }
    }
}

fn filled(parts: &[Part], entity: &Value, view: View<'_>, names: &Names<'_>) -> Option<String> {
    let pieces = pieces_of(parts, entity, view, names)?;
    let texts = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) | Piece::Place(text) => text,
    });
    Some(texts.collect())
}

fn pieces_of(parts: &[Part], entity: &Value, view: View<'_>, names: &Names<'_>) -> Option<Vec<Piece>> {
    let pieces = parts.iter().map(|part| match part {
        Part::Text(text) => Some(Piece::Text(text.clone())),
        Part::Place(place) => Some(Piece::Text(text_of(&*found(entity, place, view)?)?)),
        Part::Name(name) => Some(Piece::Text(names.of(name).to_owned())),
        Part::Late(place) => Some(Piece::Place(place.clone())),
    });
    pieces.collect()
}

/// The whole entity: without the links of the PIM's own API and what only the selection asked for.
pub(super) fn whole(entity: &Value, values: &Values, view: View<'_>) -> Value {
    let Value::Object(members) = entity else {
        return entity.clone();
    };
    let mut body = serde_json::Map::new();
    for (name, value) in members {
        if !matches!(name.as_str(), "_links" | "completenesses" | "values") {
            body.insert(name.clone(), value.clone());
        }
    }
    if let Some(values) = values.apply(entity, view) {
        body.insert("values".to_owned(), values);
    }
    Value::Object(body)
}

fn found<'a>(entity: &'a Value, place: &[String], view: View<'_>) -> Option<Cow<'a, Value>> {
    match place {
        [first, attribute, rest @ ..] if first == "values" && view.form == Form::Flat => {
            at(view.attribute(entity, attribute)?, rest).map(Cow::Borrowed)
        }
        [first, attribute, rest @ ..] if first == "values" && !view.is_whole() => {
            let shown = view.of(member(entity.get("values"), attribute)?)?;
            at(&shown, rest).cloned().map(Cow::Owned)
        }
        [first, attribute, rest @ ..] if first == "values" => {
            at(member(entity.get("values"), attribute)?, rest).map(Cow::Borrowed)
        }
        _ => at(entity, place).map(Cow::Borrowed),
    }
}

fn amount<'a>(price: &'a Value, currency: &str) -> Option<&'a Value> {
    let is_in = |amount: &&Value| amount.get("currency").and_then(Value::as_str) == Some(currency);
    let amount = price.as_array()?.iter().find(is_in)?.get("amount");
    amount.filter(|amount| !amount.is_null())
}

/// A number, also one that comes as text (contract 6, trap 15), and the amount of a metric.
fn as_number(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(_) if json::written(value).is_some() => Some(value.clone()),
        Value::String(text) => {
            let read = json::read(text.as_bytes())?.value;
            (read.is_number() || json::written(&read).is_some()).then_some(read)
        }
        Value::Object(metric) => metric
            .get("amount")
            .filter(|amount| !amount.is_object())
            .and_then(as_number),
        _ => None,
    }
}

/// A value as text, if it is a text, a number or a flag.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::String(text) if json::written(value).is_none() => Some(text.clone()),
        other => number::text(other),
    }
}
