//! A request to a destination, and how its answer is read.
//! A body that is made here needs nothing of an entity but its names and what the destination gave, since the entity
//! may be gone from the PIM.

use crate::answers::Answers;
use crate::condition::pointer;
use crate::draft::{self, Draft, Late};
use crate::headers::Headers;
use crate::place::Body;
use crate::remote::{Remember, is_late};
use crate::request::{Names, fill, names_an_entity, names_identity};
use crate::request_line::RequestLine;
use http::Method;
use model::document::Node;
use model::entity::Kind;
use model::template::{Piece, pieces};
use serde_json::Value;

/// A request, but for its body, and what its answers mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Method and path.
    pub line: RequestLine,
    /// The headers.
    pub headers: Headers,
    /// What answers mean.
    pub answers: Answers,
    /// What is remembered of answers.
    pub remember: Remember,
}

impl Operation {
    /// The operation where the document has none: by this method, at `/kind/id`.
    pub fn of(method: Method, kind: Kind) -> Operation {
        Operation {
            line: RequestLine::of(method, kind.name()),
            headers: Headers::default(),
            answers: Answers::default(),
            remember: Remember::default(),
        }
    }

    /// Whether what an answer means, or gives, cannot be told without the whole of its body.
    pub fn needs_bodies(&self) -> bool {
        self.answers.need_bodies() || self.remember.needs_bodies()
    }

    /// Takes on what the document says of the operation; members named in `further` are allowed, and read elsewhere.
    pub(crate) fn amend(&mut self, node: &Node<'_>, further: &[&str], methods: &[(&str, Method)], body_names_it: bool) {
        if !node.is_object_of(&[&["method", "path", "headers", "answers", "remember"], further].concat()) {
            return;
        }
        self.line.amend(node, methods, body_names_it);
        self.headers.amend_others(node);
        self.answers.amend(node);
        self.remember.amend(node);
    }
}

/// A field of a body that is made of what is known of an entity that is gone, or looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownField {
    to: Vec<String>,
    source: Source,
    is_number: bool,
}

/// A text with places, all of which are known of an entity that is gone.
pub type Template = Vec<Piece>;

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Constant(Value),
    Template(Template),
}

/// The fields of a body that is made of what is known of an entity that is gone.
pub fn fields(node: &Node<'_>) -> Vec<KnownField> {
    let fields = node.list();
    fields.iter().filter_map(KnownField::read).collect()
}

impl KnownField {
    fn read(node: &Node<'_>) -> Option<KnownField> {
        if !node.is_object_of(&["to", "constant", "template", "as"]) || !node.has_all(&["to"]) {
            return None;
        }
        let forms = [("text", false), ("number", true)];
        let source = match (node.member("constant"), node.member("template")) {
            (Some(constant), None) => Some(Source::Constant(constant.value.clone())),
            (None, Some(template)) => known_template(&template).map(Source::Template),
            _ => {
                node.wrong("needs one of `constant` and `template`: nothing else is known of an entity that is gone");
                None
            }
        };
        Some(KnownField {
            to: pointer(&node.member("to")?)?,
            source: source?,
            is_number: node.member("as").and_then(|node| node.choice(&forms)).unwrap_or(false),
        })
    }

    /// Whether it says which entity the request is for.
    pub fn names_the_entity(&self) -> bool {
        matches!(&self.source, Source::Template(pieces) if names_an_entity(pieces))
    }

    /// Whether it says what the destination calls the entity.
    pub fn names_identity(&self) -> bool {
        matches!(&self.source, Source::Template(pieces) if names_identity(pieces))
    }

    /// The field's places that are filled when a request is sent.
    pub fn late_places(&self) -> impl Iterator<Item = &str> {
        let pieces = match &self.source {
            Source::Template(pieces) => &pieces[..],
            Source::Constant(_) => &[],
        };
        draft::places(pieces)
    }
}

/// A text whose places are all known of an entity that is gone.
pub(crate) fn known_template(node: &Node<'_>) -> Option<Template> {
    let pieces = match pieces(node.text()?) {
        Ok(pieces) => pieces,
        Err(error) => {
            node.wrong(format!("is not a template such as {{id}}: {error}"));
            return None;
        }
    };
    for piece in &pieces {
        if let Piece::Place(name) = piece
            && !Names::ALL.contains(&name.as_str())
            && !is_late(name)
        {
            node.wrong(format!(
                "`{{{name}}}` is not known of an entity that is gone: there are {{id}}, {{identity}}, {{kind}} and {{remote.NAME}}"
            ));
        }
    }
    Some(pieces)
}

/// A template without places that are filled later, as it stands.
pub(crate) fn filled(template: &Template, names: &Names<'_>) -> String {
    let pieces = template.iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Place(place) => names.of(place),
    });
    pieces.collect()
}

impl Operation {
    /// The request for what has these names, its body made of these fields; none for a name that a server may take for
    /// something else.
    pub fn draft(&self, fields: Option<&[KnownField]>, names: &Names<'_>) -> Option<Draft> {
        let (mut body, mut late) = (Body::default(), Vec::new());
        for field in fields.into_iter().flatten() {
            match &field.source {
                Source::Constant(value) => body.put(&field.to, value.clone()),
                Source::Template(template) => {
                    let part = Late {
                        to: field.to.clone(),
                        pieces: fill(template, names, str::to_owned),
                        is_number: field.is_number,
                        default: None,
                    };
                    match part.now() {
                        Some(value) => body.put(&field.to, value),
                        None => part.reserve(&mut body, &mut late),
                    }
                }
            }
        }
        Some(Draft {
            method: self.line.method.clone(),
            path: self.line.path(names)?,
            body: fields.map(|_| body.finish()),
            late,
        })
    }

    /// The places of the request's path and headers that are filled when it is sent.
    pub fn late_places(&self) -> impl Iterator<Item = &str> {
        self.line.late_places().chain(self.headers.late_places())
    }
}
