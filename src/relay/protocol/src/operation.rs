//! What a destination is asked to do: one request each, and how its answer is read.

use crate::answers::Answers;
use crate::condition::pointer;
use crate::headers::Headers;
use crate::identity::Identity;
use crate::place::Body;
use crate::request::{Names, names_an_entity};
use crate::route::Route;
use http::Method;
use model::document::Node;
use model::entity::Kind;
use model::template::{Piece, pieces};
use serde_json::Value;

/// A request, but for its body, and what its answers mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Method and path.
    pub route: Route,
    /// The headers.
    pub headers: Headers,
    /// What answers mean.
    pub answers: Answers,
}

impl Operation {
    /// The one where the document has none: by this method, at `/kind/id`.
    pub fn of(method: Method, kind: Kind) -> Operation {
        Operation {
            route: Route::of(method, kind.name()),
            headers: Headers::default(),
            answers: Answers::default(),
        }
    }

    /// Takes on what the document says of it: these members and `further` ones, which somebody else reads.
    fn amend(&mut self, node: &Node<'_>, further: &[&str], methods: &[(&str, Method)], body_names_it: bool) {
        if !node.is_object_of(&[&["method", "path", "headers", "answers"], further].concat()) {
            return;
        }
        self.route.amend(node, methods, body_names_it);
        self.headers.amend_others(node);
        self.answers.amend(node);
    }
}

/// What becomes of an entity that the destination is to have no more.
#[derive(Debug, Clone, PartialEq)]
pub enum Removing {
    /// Nothing: it stays there.
    Never,
    /// It is deleted, or archived, by this request, whose body has these fields; none has no body.
    By(Box<Operation>, Option<Vec<Known>>),
}

/// A field of a deletion's body: made of what is known of an entity that is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    to: Vec<String>,
    source: Source,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Constant(Value),
    Template(Vec<Piece>),
}

/// How a kind is spoken to.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// What its entities are called.
    pub identity: Identity,
    /// How one is made where making and changing are two things; none where they are one.
    pub create: Option<Operation>,
    /// How one is upserted, or changed.
    pub upsert: Operation,
    /// How one is removed.
    pub remove: Removing,
}

/// The members of a kind that are of its protocol.
pub const MEMBERS: [&str; 9] = [
    "upsert",
    "create",
    "update",
    "delete",
    "archive",
    "authentication",
    "headers",
    "answers",
    "identity",
];

fn methods(with_delete: bool) -> Vec<(&'static str, Method)> {
    let delete = with_delete.then_some(("DELETE", Method::DELETE));
    let others = [("PUT", Method::PUT), ("POST", Method::POST), ("PATCH", Method::PATCH)];
    delete.into_iter().chain(others).collect()
}

impl Protocol {
    /// The one where the document says nothing: `PUT` and `DELETE` at `/kind/id`.
    pub fn of(kind: Kind) -> Protocol {
        Protocol {
            identity: Identity::default(),
            create: None,
            upsert: Operation::of(Method::PUT, kind),
            remove: Removing::By(Box::new(Operation::of(Method::DELETE, kind)), None),
        }
    }

    /// Begins with the headers and answers of all kinds.
    pub fn begin(&mut self, headers: &Headers, answers: &Answers) {
        (self.upsert.headers, self.upsert.answers) = (headers.clone(), answers.clone());
        if let Removing::By(operation, _) = &mut self.remove {
            (operation.headers, operation.answers) = (headers.clone(), answers.clone());
        }
    }

    /// Takes on what the document says of a kind.
    pub fn amend(&mut self, node: &Node<'_>, kind: Kind) {
        let (mut headers, mut answers) = (self.upsert.headers.clone(), self.upsert.answers.clone());
        headers.amend(node);
        answers.amend(node);
        self.begin(&headers, &answers);
        if let Some(node) = node.member("identity") {
            self.identity = Identity::read(&node, kind);
        }
        match (node.member("upsert"), node.member("create"), node.member("update")) {
            (None, None, None) => {}
            (Some(upsert), None, None) => self.upsert.amend(&upsert, &[], &methods(false), true),
            (None, Some(create), Some(update)) => {
                let mut operation = Operation {
                    route: Route::without_id(Method::POST, kind.name()),
                    ..self.upsert.clone()
                };
                operation.amend(&create, &[], &methods(false), true);
                self.create = Some(operation);
                self.upsert.amend(&update, &[], &methods(false), true);
            }
            (Some(upsert), ..) => upsert.wrong("is `create` and `update` in one: leave it out, or leave those out"),
            (None, Some(one), None) | (None, None, Some(one)) => {
                one.wrong("needs the other one beside it: `create` and `update` go together");
            }
        }
        self.amend_removing(node);
    }

    fn amend_removing(&mut self, node: &Node<'_>) {
        let (node, is_archive) = match (node.member("delete"), node.member("archive")) {
            (None, None) => return,
            (Some(delete), Some(_)) => return delete.wrong("stands beside `archive`: an entity is one or the other"),
            (Some(delete), None) => (delete, false),
            (None, Some(archive)) => (archive, true),
        };
        if node.value == &Value::Bool(false) {
            self.remove = Removing::Never;
            return;
        }
        let Removing::By(operation, known) = &mut self.remove else {
            return;
        };
        if is_archive {
            **operation = self.upsert.clone();
        }
        *known = node.member("fields").map(|node| fields(&node));
        let names_it = known.iter().flatten().any(Known::names_the_entity);
        operation.amend(&node, &["fields"], &methods(true), names_it);
        if node.member("path").is_none() && !names_it && !operation.route.names_the_entity() {
            node.wrong("says nowhere which entity it is for: give it a `path` with {id}, or `fields` that name it");
        }
    }
}

fn fields(node: &Node<'_>) -> Vec<Known> {
    let fields = node.list();
    fields.iter().filter_map(Known::read).collect()
}

impl Known {
    fn read(node: &Node<'_>) -> Option<Known> {
        if !node.is_object_of(&["to", "constant", "template"]) || !node.has_all(&["to"]) {
            return None;
        }
        let source = match (node.member("constant"), node.member("template")) {
            (Some(constant), None) => Some(Source::Constant(constant.value.clone())),
            (None, Some(template)) => known_template(&template),
            _ => {
                node.wrong("needs one of `constant` and `template`: nothing else is known of an entity that is gone");
                None
            }
        };
        Some(Known {
            to: pointer(&node.member("to")?)?,
            source: source?,
        })
    }

    fn names_the_entity(&self) -> bool {
        matches!(&self.source, Source::Template(pieces) if names_an_entity(pieces))
    }

    fn value(&self, names: &Names<'_>) -> Value {
        match &self.source {
            Source::Constant(value) => value.clone(),
            Source::Template(pieces) => {
                let text = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => text,
                    Piece::Place(name) => names.of(name),
                });
                Value::String(text.collect())
            }
        }
    }
}

fn known_template(node: &Node<'_>) -> Option<Source> {
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
        {
            node.wrong(format!(
                "`{{{name}}}` is not known of an entity that is gone: there are {{id}}, {{identity}} and {{kind}}"
            ));
        }
    }
    Some(Source::Template(pieces))
}

/// The body of a deletion; none where it has none.
pub fn body(fields: Option<&[Known]>, names: &Names<'_>) -> Option<Value> {
    let mut body = Body::default();
    for field in fields? {
        body.put(&field.to, field.value(names));
    }
    Some(body.finish())
}
