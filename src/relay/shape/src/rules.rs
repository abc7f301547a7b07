//! What the shape document says of one kind: its protocol, its selection, and what of an entity is sent.
//!
//! Rules begin as they are without a document, and take on what it says. Fields that would write into each other, and
//! values of the destination that nothing remembers, are told as flaws.

use super::canonical::Links;
use super::field::{Field, Filled, text_of, whole};
use super::lookups::{Lookups, Need};
use super::selection::{Refusal, Selection};
use super::values::Values;
use model::document::Node;
use model::entity::Kind;
use protocol::answers::Answers;
use protocol::draft::{Draft, Late};
use protocol::headers::Headers;
use protocol::kind::{self, Protocol};
use protocol::operation::Operation;
use protocol::place::{Body, index};
use protocol::remote::{name_at_parent, own_name};
use protocol::request::Names;
use serde_json::Value;

/// What a kind's entities become.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rules {
    /// Whether any of them is wanted.
    pub(super) is_wanted: bool,
    pub(super) protocol: Protocol,
    pub(super) selection: Selection,
    values: Values,
    fields: Option<Vec<Field>>,
}

impl Rules {
    /// The rules where the document has none.
    pub(super) fn of(kind: Kind) -> Rules {
        Rules {
            is_wanted: kind != Kind::Category,
            protocol: Protocol::of(kind),
            selection: Selection::default(),
            values: Values::default(),
            fields: None,
        }
    }

    /// Begins with the headers and answers of all kinds.
    pub(super) fn begin(&mut self, headers: &Headers, answers: &Answers) {
        self.protocol.begin(headers, answers);
    }

    /// Takes on what the document says of the kind.
    pub(super) fn amend(&mut self, node: &Node<'_>, kind: Kind) {
        self.is_wanted = node.value != &Value::Bool(false);
        if !self.is_wanted {
            return;
        }
        // The values of a category are of another form (contract 4.3), and are sent as they are.
        let content: &[&str] = if kind == Kind::Category {
            &["selection", "fields"]
        } else {
            &["selection", "fields", "values"]
        };
        if !node.is_object_of(&[&kind::MEMBERS[..], content].concat()) {
            return;
        }
        self.protocol.amend(node, kind);
        if let Some(node) = node.member("selection") {
            self.selection = Selection::read(&node, kind);
        }
        if let Some(node) = node.member("values") {
            self.values = Values::read(&node);
        }
        self.fields = node.member("fields").map(|node| fields(&node, &self.values));
        let of_fields = self.fields.iter().flatten().flat_map(Field::late_places);
        self.protocol.check_find(node, of_fields);
        self.check_renaming(node);
        if self.has_fields_for_creation() && self.protocol.create.is_none() {
            node.wrong("has fields that are only for creation, and no `create`: say how an entity is made, and by `update` how it is changed");
        }
    }

    /// Tells of changes that are to tell the destination what an entity is called by now, and do not.
    fn check_renaming(&self, node: &Node<'_>) {
        let (Some(attribute), Some(fields)) = (self.protocol.identity.attribute(), &self.fields) else {
            return;
        };
        let is_told =
            self.protocol.upsert.line.names_identity() || fields.iter().any(|field| field.tells_identity(attribute));
        if self.protocol.renames() && !is_told {
            node.wrong(format!(
                "changes do not tell the destination what an entity is called by now: send {{identity}} or /values/{attribute} in a field, or \
                 say \"renames\": false in `identity`, and by {{identity}} in a path what is deleted then"
            ));
        }
    }

    /// Tells of places for values of the destination that nothing remembers: values of the entity itself have to be
    /// remembered by these rules, those of its parent by the rules of the parent's kind.
    pub(super) fn check_late(&self, node: &Node<'_>, kind: Kind, of_parents: &[String]) {
        let of_fields = self.fields.iter().flatten().flat_map(Field::late_places);
        let mut told = Vec::new();
        for place in self.protocol.late_places().chain(of_fields) {
            let (is_known, whose) = match (own_name(place), name_at_parent(place)) {
                (Some(name), _) => (self.protocol.remembered().any(|known| known == name), kind.name()),
                (_, Some(name)) => (of_parents.iter().any(|known| known == name), "its parents' kind"),
                _ => continue,
            };
            if !is_known && !told.contains(&place) {
                told.push(place);
                let name = place.rsplit('.').next().unwrap_or_default();
                node.wrong(format!(
                    "`{{{place}}}` is nowhere remembered: say by \"remember\": {{\"{name}\": \"/{name}\"}} of {whose} where answers have it"
                ));
            }
        }
    }

    /// The names of those values that the destination gave of an entity's parent and that are sent with the entity.
    pub(super) fn names_of_parents(&self) -> Vec<&str> {
        let of_fields = self.fields.iter().flatten().flat_map(Field::late_places);
        let places = self.protocol.late_places().chain(of_fields);
        places.filter_map(name_at_parent).collect()
    }

    /// The names of what the destination gives.
    pub(super) fn remembered(&self) -> Vec<String> {
        self.protocol.remembered().map(str::to_owned).collect()
    }

    /// Whether the hash of what is sent tells every change of the entity: nothing of it is left out.
    pub(super) fn is_whole(&self, kind: Kind) -> bool {
        let plain = Rules {
            protocol: self.protocol.clone(),
            ..Rules::of(kind)
        };
        *self == plain
    }

    pub(super) fn asks_completenesses(&self) -> bool {
        self.selection.asks_completenesses() || self.fields.iter().flatten().any(Field::reads_completenesses)
    }

    pub(super) fn refusal(
        &self,
        kind: Kind,
        entity: &Value,
        lookups: &Lookups,
    ) -> Result<Option<Refusal>, &'static str> {
        if !self.is_wanted {
            return Ok(Some(Refusal::Kind));
        }
        self.selection.refusal(kind, entity, self.values.view(), lookups)
    }

    /// What the destination calls an entity; none where it has no value of the attribute that says so.
    pub(super) fn identity(&self, kind: Kind, code: &str, entity: &Value) -> Option<String> {
        let identity = &self.protocol.identity;
        let Some(attribute) = identity.attribute() else {
            return Some(identity.of(kind, code));
        };
        let value = text_of(self.values.view().attribute(entity, attribute)?)?;
        let value = value.trim();
        (!value.is_empty()).then(|| identity.of_value(value))
    }

    /// The request that brings an entity by an operation; none for a name that cannot stand in a path.
    pub(super) fn draft(
        &self,
        operation: &Operation,
        entity: &Value,
        lookups: &Lookups,
        names: &Names<'_>,
        is_creation: bool,
    ) -> Option<Draft> {
        let path = operation.line.path(names)?;
        let (body, late) = self.body(entity, lookups, names, is_creation);
        Some(Draft {
            method: operation.line.method.clone(),
            path,
            body: Some(body),
            late,
        })
    }

    /// What is sent of an entity: when it is made, or at any time.
    fn body(&self, entity: &Value, lookups: &Lookups, names: &Names<'_>, is_creation: bool) -> (Value, Vec<Late>) {
        let Some(fields) = &self.fields else {
            return (whole(entity, &self.values, self.values.view()), Vec::new());
        };
        let (mut body, mut late) = (Body::default(), Vec::new());
        for field in fields.iter().filter(|field| is_creation || !field.is_for_creation) {
            match field.filled(entity, &self.values, lookups, names) {
                Filled::Now(value) => body.put(&field.to, value),
                Filled::Later(part) => part.reserve(&mut body, &mut late),
                Filled::Nothing => {}
            }
        }
        (body.finish(), late)
    }

    /// Whether something is sent only when an entity is made.
    fn has_fields_for_creation(&self) -> bool {
        self.fields.iter().flatten().any(|field| field.is_for_creation)
    }

    /// The places of a body whose `_links` are content.
    pub(super) fn links(&self) -> Vec<Links<'_>> {
        self.fields.iter().flatten().filter_map(Field::links).collect()
    }

    /// What the rules look up, and the locales whose labels they use; one need may come several times.
    pub(super) fn needs(&self) -> Vec<(Need, &[String])> {
        if !self.is_wanted {
            return Vec::new();
        }
        let of_selection = self.selection.needs().map(|need| (need, &[][..]));
        let fields = self.fields.iter().flatten();
        let of_fields = fields.filter_map(|field| Some((field.need()?, field.label_locales(&self.values))));
        of_selection.into_iter().chain(of_fields).collect()
    }
}

fn fields(node: &Node<'_>, values: &Values) -> Vec<Field> {
    let nodes = node.list();
    let fields: Vec<Field> = nodes.iter().filter_map(|node| Field::read(node, values)).collect();
    if fields.len() != nodes.len() {
        return fields;
    }
    for (at, field) in fields.iter().enumerate() {
        let clash = fields[..at].iter().position(|other| clashes(&other.to, &field.to));
        if let (Some(other), Some(to)) = (clash, nodes[at].member("to")) {
            to.wrong(format!(
                "field {other} already writes this place, a part of it, or a list where this is an object: give each its own"
            ));
        }
    }
    fields
}

/// Whether one place lies in the other, or makes a list of what the other makes an object of. The whole body is for
/// other fields to add to.
fn clashes(earlier: &[String], later: &[String]) -> bool {
    if earlier.is_empty() {
        return false;
    }
    let parting = earlier.iter().zip(later).find(|(one, other)| one != other);
    parting.is_none_or(|(one, other)| index(one).is_some() != index(other).is_some())
}
