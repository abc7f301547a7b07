//! How a kind is spoken to: what operations it has, and by what it names an entity.
//!
//! What could never work, or would make an entity twice, is told when the document is read, before anything is sent.

use crate::answers::Answers;
use crate::find::Find;
use crate::headers::Headers;
use crate::identity::Identity;
use crate::operation::{KnownField, Operation, fields};
use crate::remote::{NAMES_MAX, Remember, own_name};
use crate::request::Act;
use crate::request_line::RequestLine;
use http::Method;
use model::document::Node;
use model::entity::Kind;
use serde_json::Value;

/// What becomes of an entity that the destination is to have no more.
#[derive(Debug, Clone, PartialEq)]
pub enum Removing {
    /// Nothing: it stays there.
    Never,
    /// The entity is deleted, or archived, by this request, whose body has these fields; none where it has no body.
    By(Box<Operation>, Option<Vec<KnownField>>),
}

/// How a kind is spoken to.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// What its entities are called.
    pub identity: Identity,
    /// How an entity is made where making and changing are two things; none where they are one.
    pub create: Option<Operation>,
    /// How an entity is upserted, or changed.
    pub upsert: Operation,
    /// How an entity is removed.
    pub remove: Removing,
    /// How an entity is looked up; none if it cannot be.
    pub find: Option<Box<Find>>,
}

/// The members of a kind that are of its protocol.
pub const MEMBERS: [&str; 11] = [
    "upsert",
    "create",
    "update",
    "delete",
    "archive",
    "authentication",
    "headers",
    "answers",
    "identity",
    "remember",
    "find",
];

fn methods(with_delete: bool) -> Vec<(&'static str, Method)> {
    let delete = with_delete.then_some(("DELETE", Method::DELETE));
    let others = [("PUT", Method::PUT), ("POST", Method::POST), ("PATCH", Method::PATCH)];
    delete.into_iter().chain(others).collect()
}

impl Protocol {
    /// The protocol where the document says nothing: `PUT` and `DELETE` at `/kind/id`.
    pub fn of(kind: Kind) -> Protocol {
        Protocol {
            identity: Identity::default(),
            create: None,
            upsert: Operation::of(Method::PUT, kind),
            remove: Removing::By(Box::new(Operation::of(Method::DELETE, kind)), None),
            find: None,
        }
    }

    /// Begins with the headers and answers of all kinds.
    pub fn begin(&mut self, headers: &Headers, answers: &Answers) {
        (self.upsert.headers, self.upsert.answers) = (headers.clone(), answers.clone());
        if let Removing::By(operation, _) = &mut self.remove {
            // A deletion leaves nothing to tell of, unless it says itself what it does.
            (operation.headers, operation.answers) = (headers.clone(), answers.without_required());
        }
    }

    /// Takes on what the document says of a kind.
    pub fn amend(&mut self, node: &Node<'_>, kind: Kind) {
        let (mut headers, mut answers) = (self.upsert.headers.clone(), self.upsert.answers.clone());
        headers.amend(node);
        answers.amend(node);
        self.begin(&headers, &answers);
        self.upsert.remember.amend(node);
        let remember = self.upsert.remember.clone();
        if let Some(node) = node.member("find") {
            self.find = Some(Box::new(Find::read(&node, kind, &headers, &answers, &remember)));
        }
        if let Some(node) = node.member("identity") {
            self.identity = Identity::read(&node, kind);
        }
        match (node.member("upsert"), node.member("create"), node.member("update")) {
            (None, None, None) => {}
            (Some(upsert), None, None) => self.upsert.amend(&upsert, &[], &methods(false), true),
            (None, Some(create), Some(update)) => {
                let mut operation = Operation {
                    line: RequestLine::without_id(Method::POST, kind.name()),
                    ..self.upsert.clone()
                };
                operation.amend(&create, &[], &methods(false), true);
                if operation.line.method != Method::POST && !operation.line.names_the_entity() {
                    create.wrong("says nowhere which entity it makes: give it a `path` with {id}, or make it by POST");
                }
                self.create = Some(operation);
                self.upsert.amend(&update, &[], &methods(false), true);
            }
            (Some(upsert), ..) => upsert.wrong("is `create` and `update` in one: leave it out, or leave those out"),
            (None, Some(one), None) | (None, None, Some(one)) => {
                one.wrong("needs the other one beside it: `create` and `update` go together");
            }
        }
        self.amend_removing(node);
        self.check_remote(node);
    }

    /// How requests are made that do this, and what their answers mean.
    pub fn operation(&self, act: Act) -> &Operation {
        match (act, &self.create, &self.remove, &self.find) {
            (Act::Create, Some(create), ..) => create,
            (Act::Delete, _, Removing::By(operation, _), _) => operation,
            (Act::Find, .., Some(find)) => &find.operation,
            _ => &self.upsert,
        }
    }

    /// Every operation, with its name in the document.
    pub fn operations(&self) -> impl Iterator<Item = (&'static str, &Operation)> {
        let change = if self.create.is_some() { "update" } else { "upsert" };
        let remove = match &self.remove {
            Removing::By(operation, _) => Some(("delete", &**operation)),
            Removing::Never => None,
        };
        let find = self.find.as_ref().map(|find| ("find", &find.operation));
        let create = self.create.as_ref().map(|create| ("create", create));
        find.into_iter()
            .chain(create)
            .chain([(change, &self.upsert)])
            .chain(remove)
    }

    /// Whether the destination is told of a changed identity by a change of the entity. If not, the old one is deleted
    /// and a new one made, which is so by default where changes name an entity by its identity.
    pub fn renames(&self) -> bool {
        let by_default = !self.upsert.line.names_identity();
        self.identity.renames.unwrap_or(by_default)
    }

    /// Whether deletions name what they delete by its identity.
    pub fn deletes_by_identity(&self) -> bool {
        match &self.remove {
            Removing::By(operation, known) => {
                operation.line.names_identity() || known.iter().flatten().any(KnownField::names_identity)
            }
            Removing::Never => false,
        }
    }

    /// The names of what the destination gives.
    pub fn remembered(&self) -> impl Iterator<Item = &str> {
        self.operations().flat_map(|(_, operation)| operation.remember.names())
    }

    /// The places in paths, headers and bodies of deletions that are filled when a request is sent.
    pub fn late_places(&self) -> impl Iterator<Item = &str> {
        let of_operations = self.operations().flat_map(|(_, operation)| operation.late_places());
        let known = match &self.remove {
            Removing::By(_, known) => known.as_deref(),
            Removing::Never => None,
        };
        let of_find = self.find.iter().flat_map(|find| find.fields.iter().flatten());
        let of_bodies = known
            .into_iter()
            .flatten()
            .chain(of_find)
            .flat_map(KnownField::late_places);
        of_operations.chain(of_bodies)
    }

    /// Tells what can never work, or not for long.
    fn check_remote(&self, node: &Node<'_>) {
        let mut names: Vec<&str> = Vec::new();
        for name in self.remembered() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > NAMES_MAX {
            node.wrong(format!(
                "remembers more than {NAMES_MAX} values in all its operations: every entry of the index holds them"
            ));
        }
        let find = self.find.as_ref();
        if find.is_some_and(|find| find.late_places().any(|place| own_name(place).is_some())) {
            node.wrong("`find` cannot need what it is to find: name the entity by {id} or {identity} in it");
        }
        let is_by_remote = |operation: &Operation| {
            let mut places = operation.line.late_places();
            places.any(|place| own_name(place).is_some())
        };
        let create = self.create.as_ref();
        if create.is_some_and(is_by_remote) {
            node.wrong("`create` cannot name the entity by what the destination gives: it has given nothing yet");
        }
        if create.is_none() && is_by_remote(&self.upsert) {
            node.wrong("`upsert` cannot name the entity by what the destination gives: say by `create` how one is made, and by `update` how it is changed");
        }
    }

    /// Where the destination names entities by ids of its own, a creation whose answer is lost must be found again. Ids stand
    /// in paths; where no path names an entity, as with GraphQL, in headers or bodies. These are the places of the fields that
    /// are sent.
    pub fn check_find<'f>(&self, node: &Node<'_>, mut of_fields: impl Iterator<Item = &'f str>) {
        let is_own = |place: &str| own_name(place).is_some();
        let mut operations = self.operations();
        let in_path = operations.any(|(_, operation)| operation.line.late_places().any(is_own));
        let mut in_body = || self.late_places().any(is_own) || of_fields.any(is_own);
        let is_by_remote = in_path || (!self.upsert.line.names_the_entity() && in_body());
        if is_by_remote && self.create.is_some() && self.find.is_none() && !self.identity.is_unique {
            node.wrong(
                "makes entities whose ids the destination gives, and has no `find`: where the answer to a creation is lost, \
                 it would make a second one. Say by `find` how one is looked up, or, if the destination refuses a second one \
                 of the same identity, say \"unique\": true in `identity`",
            );
        }
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
            operation.answers = operation.answers.without_required();
        } else {
            operation.remember = Remember::default();
        }
        *known = node.member("fields").map(|node| fields(&node));
        let names_it = known.iter().flatten().any(KnownField::names_the_entity);
        if is_archive && known.is_none() && node.member("path").is_none() {
            node.wrong("says nothing of what is to happen: give it `fields` for its body, or a `path` of its own");
        }
        operation.amend(&node, &["fields"], &methods(true), names_it);
        if node.member("path").is_none() && !names_it && !operation.line.names_the_entity() {
            node.wrong("says nowhere which entity it is for: give it a `path` with {id}, or `fields` that name it");
        }
    }
}
