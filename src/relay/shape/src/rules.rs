//! What the shape document says of one kind.

use super::Links;
use super::answers::Answers;
use super::document::Node;
use super::field::{Field, whole};
use super::headers::Headers;
use super::lookups::{Lookups, Need};
use super::place::{Body, index};
use super::selection::{Refusal, Selection};
use super::values::Values;
use http::Method;
use model::entity::Kind;
use model::path::path_segment;
use model::template::{Piece, pieces};
use serde_json::Value;

/// What a kind's entities become.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rules {
    /// Whether any of them is wanted.
    is_wanted: bool,
    pub(super) upsert: Route,
    pub(super) delete: Route,
    pub(super) headers: Headers,
    pub(super) answers: Answers,
    pub(super) selection: Selection,
    values: Values,
    fields: Option<Vec<Field>>,
}

/// A method and a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    pub(super) method: Method,
    path: Vec<Piece>,
}

impl Rules {
    /// The rules where the document has none.
    pub(super) fn of(kind: Kind) -> Rules {
        let route = |method| Route::of(method, kind.name());
        Rules {
            is_wanted: kind != Kind::Category,
            upsert: route(Method::PUT),
            delete: route(Method::DELETE),
            headers: Headers::default(),
            answers: Answers::default(),
            selection: Selection::default(),
            values: Values::default(),
            fields: None,
        }
    }

    /// Takes on what the document says of the kind.
    pub(super) fn amend(&mut self, node: &Node<'_>, kind: Kind) {
        self.is_wanted = node.value != &Value::Bool(false);
        if !self.is_wanted {
            return;
        }
        // The values of a category are of another form (contract 4.3), and are sent as they are.
        let known = [
            "upsert",
            "delete",
            "authentication",
            "headers",
            "answers",
            "selection",
            "fields",
            "values",
        ];
        let known = if kind == Kind::Category { &known[..7] } else { &known };
        if !node.is_object_of(known) {
            return;
        }
        self.headers.amend(node);
        self.answers.amend(node);
        let upserts = [("PUT", Method::PUT), ("POST", Method::POST), ("PATCH", Method::PATCH)];
        if let Some(node) = node.member("upsert") {
            self.upsert.amend(&node, &upserts, true);
        }
        if let Some(node) = node.member("delete") {
            self.delete
                .amend(&node, &[&[("DELETE", Method::DELETE)], &upserts[..]].concat(), false);
        }
        if let Some(node) = node.member("selection") {
            self.selection = Selection::read(&node, kind);
        }
        if let Some(node) = node.member("values") {
            self.values = Values::read(&node);
        }
        self.fields = node.member("fields").map(|node| fields(&node, &self.values));
    }

    /// Whether the hash of what is sent tells every change of the entity: nothing of it is left out.
    pub(super) fn is_whole(&self, kind: Kind) -> bool {
        let plain = Rules {
            upsert: self.upsert.clone(),
            delete: self.delete.clone(),
            headers: self.headers.clone(),
            answers: self.answers.clone(),
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

    pub(super) fn body(&self, entity: &Value, lookups: &Lookups) -> Value {
        let Some(fields) = &self.fields else {
            return whole(entity, &self.values, self.values.view());
        };
        let mut body = Body::default();
        for field in fields {
            if let Some(value) = field.value(entity, &self.values, lookups) {
                body.put(&field.to, value);
            }
        }
        body.finish()
    }

    /// The places of a body whose `_links` are content.
    pub(super) fn links(&self) -> Vec<Links<'_>> {
        self.fields.iter().flatten().filter_map(Field::links).collect()
    }

    /// What it looks up, and the locales whose labels it uses; one need may come several times.
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

impl Route {
    /// The one where the document has none.
    pub(super) fn of(method: Method, kind: &str) -> Route {
        Route {
            method,
            path: vec![Piece::Text(format!("/{kind}/")), Piece::Place("id".to_owned())],
        }
    }

    /// The path of an entity; none for ids that a server may take for something else.
    pub(super) fn path(&self, kind: Kind, code: &str) -> Option<String> {
        self.path_of(kind.name(), code)
    }

    /// The path of something of this name.
    pub(super) fn path_of(&self, kind: &str, code: &str) -> Option<String> {
        if matches!(code, "" | "." | "..") {
            return None;
        }
        let pieces = self.path.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place(name) if name == "kind" => kind.to_owned(),
            Piece::Place(_) => path_segment(code),
        });
        Some(pieces.collect())
    }

    /// Takes on what the document says. `has_body` is whether the request has one, which can name the entity.
    pub(super) fn amend(&mut self, node: &Node<'_>, methods: &[(&str, Method)], has_body: bool) {
        if !node.is_object_of(&["method", "path"]) {
            return;
        }
        if let Some(node) = node.member("method") {
            let names: Vec<(&str, usize)> = methods.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
            if let Some(at) = node.choice(&names) {
                self.method = methods[at].1.clone();
            }
        }
        if let Some(node) = node.member("path") {
            let can_do_without_id = has_body && self.method == Method::POST;
            self.path = path(&node, !can_do_without_id).unwrap_or_default();
        }
    }
}

fn path(node: &Node<'_>, needs_id: bool) -> Option<Vec<Piece>> {
    let text = node.text()?;
    if !text.starts_with('/') {
        node.wrong("must begin with `/`, such as /items/{id}; the host is in the variable `destination_url`");
        return None;
    }
    let pieces = match pieces(text) {
        Ok(pieces) => pieces,
        Err(error) => {
            node.wrong(format!("is not a path such as /items/{{id}}: {error}"));
            return None;
        }
    };
    let (mut has_id, mut has_others) = (false, false);
    for piece in &pieces {
        match piece {
            Piece::Place(name) if name == "id" => has_id = true,
            Piece::Place(name) if name == "kind" => {}
            Piece::Place(name) => {
                has_others = true;
                node.wrong(format!(
                    "`{{{name}}}` cannot stand in a path, which must be known of an entity that is gone: there are {{id}} and {{kind}}"
                ));
            }
            Piece::Text(text) if !text.chars().all(is_of_a_path) => {
                node.wrong("holds a character that a path cannot: percent-encode it");
            }
            Piece::Text(_) => {}
        }
    }
    if needs_id && !has_id && !has_others {
        node.wrong("needs `{id}`, or all entities would be one; only an upsert by POST can do without");
    }
    Some(pieces)
}

fn is_of_a_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%/?".contains(c)
}
