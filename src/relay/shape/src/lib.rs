//! What the destination is sent of an entity: one pure function, and the hash of its result.
//!
//! The variable `shape` is a JSON document; an empty one sends every entity as the PIM gives it. Whatever is wrong in
//! it is told with its place before anything is sent.
//!
//! | where | what |
//! |---|---|
//! | `rules` | what the document says of one kind: made of the parts below |
//! | `selection` | which entities the destination is to have at all |
//! | `values` | how the values of the PIM are flattened: which of them, of which channel and locale, in which form |
//! | `field` | the fields of a body: from where, converted how, to where |
//! | `lookups` | what is looked up in lists of the PIM: labels, where categories lie |
//! | `media` | files that a body names |
//! | `canonical` | the one form of a body that its hash is taken of |
//!
//! Tests lie in `tests`, `operations`, `codes`, `numbers`, `properties` and `refusals`; `samples` is what they are made
//! of.

mod canonical;
#[cfg(test)]
mod codes;
mod field;
mod lookups;
mod media;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod refusals;
mod rules;
#[cfg(test)]
mod samples;
mod selection;
#[cfg(test)]
mod tests;
mod values;

use model::entity::{Kind, UNREADABLE, digest};
use model::json;
use model::number;
use serde_json::Value;
use std::borrow::Cow;

use canonical::canonical;
pub use lookups::{Element, Elements, Lookups, Need};
pub use media::{File, Media};
pub use model::document::Flaw;
use model::document::{Flaws, Node};
use protocol::answers::Answers;
use protocol::draft::Draft;
use protocol::find::Find;
use protocol::headers::Headers;
use protocol::kind::Removing;
use protocol::limits::Limits;
use protocol::login::Login;
use protocol::operation::{KnownField, Operation};
use protocol::remote::Remote;
use protocol::request::{Act, Names};
use rules::Rules;
pub use selection::Refusal;

/// What brings an entity to the destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Upsert {
    /// What the destination calls it.
    pub identity: String,
    /// The request that brings the entity or, where another one makes it, changes it.
    pub change: Draft,
    /// The request that makes the entity, where that is another one.
    pub create: Option<Draft>,
    /// The request that looks it up, if there is one.
    pub find: Option<Draft>,
    /// The files that the entity's body names and that are sent ahead of it, each once.
    pub files: Vec<File>,
}

impl Upsert {
    /// The body of the request that brings or changes the entity, but for what the destination gave.
    pub fn body(&self) -> &Value {
        self.change.body.as_ref().unwrap_or(&Value::Null)
    }
}

/// What takes an entity from the destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal {
    /// What the destination calls it.
    pub identity: String,
    /// The request that deletes or archives it.
    pub delete: Draft,
    /// The request that looks it up, if there is one.
    pub find: Option<Draft>,
}

/// What becomes of an entity that the destination is to have no more.
#[derive(Debug, Clone, PartialEq)]
pub enum Farewell {
    /// This removal is sent.
    Sent(Box<Removal>),
    /// Nothing is sent: it stays there, and is let go.
    Silent,
}

/// What an entity comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Shaped {
    /// The entity is wanted, and brought like this.
    Wanted(Box<Upsert>),
    /// The destination is not to have the entity.
    Unwanted(Refusal),
    /// The entity cannot be sent, for this reason.
    Unsendable(&'static str),
}

/// The shape, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    name: String,
    /// The headers of files, and of every kind that has none of its own.
    pub headers: Headers,
    /// What the answers to files mean, and to every kind that has nothing of its own.
    pub answers: Answers,
    /// How files are sent; none if they are not.
    pub media: Option<Media>,
    /// What answers tell of limits, beside `Retry-After`.
    pub limits: Limits,
    /// How a token is had; none where it does not end, or none is wanted.
    pub login: Option<Login>,
    products: Rules,
    models: Rules,
    categories: Rules,
    /// Whether the document speaks of categories at all.
    has_categories: bool,
}

/// The name of the shape that changes nothing.
const IDENTITY: &str = "identity";

impl Default for Shape {
    fn default() -> Self {
        Shape {
            name: IDENTITY.to_owned(),
            headers: Headers::default(),
            answers: Answers::default(),
            media: None,
            limits: Limits::default(),
            login: None,
            products: Rules::of(Kind::Product),
            models: Rules::of(Kind::ProductModel),
            categories: Rules::of(Kind::Category),
            has_categories: false,
        }
    }
}

impl Shape {
    /// Reads the document; an empty text is one that changes nothing.
    ///
    /// # Errors
    /// All that is wrong in the document.
    pub fn read(text: &str) -> Result<Shape, Vec<Flaw>> {
        if text.trim().is_empty() {
            return Ok(Shape::default());
        }
        if let Err(error) = serde_json::from_slice::<Value>(text.as_bytes()) {
            return Err(vec![Flaw {
                place: String::new(),
                remedy: format!("is not JSON (line {}, column {})", error.line(), error.column()),
            }]);
        }
        let document = json::read(text.as_bytes()).map_or(Value::Null, |document| document.value);
        let flaws = Flaws::default();
        let shape = Shape::of(&document, &Node::root(&document, &flaws));
        let flaws = flaws.into_inner();
        if flaws.is_empty() { Ok(shape) } else { Err(flaws) }
    }

    fn of(document: &Value, node: &Node<'_>) -> Shape {
        let mut shape = Shape::default();
        let kinds = Kind::ALL.map(Kind::name);
        if !node.is_object_of(
            &[
                &[
                    "about",
                    "answers",
                    "authentication",
                    "headers",
                    "limits",
                    "login",
                    "media",
                    "probe",
                ],
                &kinds[..],
            ]
            .concat(),
        ) {
            return shape;
        }
        let mut document = document.clone();
        // What a document says of itself, and what it names to be tried, changes nothing of what is sent.
        for name in ["about", "probe"] {
            if let Some(aside) = node.member(name) {
                aside.text();
                document.as_object_mut().map(|members| members.remove(name));
            }
        }
        if document.as_object().is_some_and(|members| !members.is_empty()) {
            number::make_canonical(&mut document);
            shape.name = digest(document.to_string().as_bytes());
        }
        shape.headers.amend(node);
        shape.answers.amend(node);
        if let Some(node) = node.member("limits") {
            shape.limits = Limits::read(&node);
        }
        shape.login = node.member("login").and_then(|node| Login::read(&node));
        shape.media = node.member("media").and_then(|node| Media::read(&node));
        shape.has_categories = node.member(Kind::Category.name()).is_some();
        for (kind, rules) in [
            (Kind::ProductModel, &mut shape.models),
            (Kind::Product, &mut shape.products),
            (Kind::Category, &mut shape.categories),
        ] {
            rules.begin(&shape.headers, &shape.answers);
            if let Some(node) = node.member(kind.name()) {
                rules.amend(&node, kind);
            }
        }
        for kind in Kind::ALL {
            if let Some(node) = node.member(kind.name()) {
                let of_parents = shape.rules(kind.of_parents()).remembered();
                shape.rules(kind).check_late(&node, kind, &of_parents);
            }
        }
        // Where the document speaks of no kind, nothing is remembered that the headers of all kinds could bear.
        if kinds.iter().all(|kind| node.member(kind).is_none()) {
            shape.products.check_late(node, Kind::Product, &[]);
        }
        shape
    }

    /// The shape's name: a digest of the document, or `identity`. Another shape has another name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the shape changes nothing.
    pub fn is_identity(&self) -> bool {
        self.name == IDENTITY
    }

    /// The kinds that are read and kept equal: categories only where the document speaks of them.
    pub fn kinds(&self) -> &'static [Kind] {
        &Kind::ALL[..if self.has_categories { 3 } else { 2 }]
    }

    fn rules(&self, kind: Kind) -> &Rules {
        match kind {
            Kind::Product => &self.products,
            Kind::ProductModel => &self.models,
            Kind::Category => &self.categories,
        }
    }

    /// Shapes an entity. The same entity, shape and lookups give the same bytes on every host.
    pub fn apply(&self, kind: Kind, code: &str, entity: &Value, lookups: &Lookups) -> Shaped {
        let rules = self.rules(kind);
        if entity.get(UNREADABLE).is_some() {
            return Shaped::Unsendable(
                "one of its texts in the PIM is no Unicode (half of a surrogate pair, or not UTF-8): enter it anew there",
            );
        }
        match rules.refusal(kind, entity, lookups) {
            Ok(Some(refusal)) => return Shaped::Unwanted(refusal),
            Err(why) => return Shaped::Unsendable(why),
            Ok(None) => {}
        }
        let Some(identity) = rules.identity(kind, code, entity) else {
            return Shaped::Unwanted(Refusal::Identity);
        };
        let names = names(kind, code, &identity);
        let protocol = &rules.protocol;
        let draft = |operation, is_creation| rules.draft(operation, entity, lookups, &names, is_creation);
        let Some(change) = draft(&protocol.upsert, false) else {
            return Shaped::Unsendable("its id cannot stand in a path");
        };
        let create = protocol.create.as_ref().and_then(|create| draft(create, true));
        let bodies = [Some(&change), create.as_ref()].map(|draft| draft.and_then(|draft| draft.body.as_ref()));
        let files = self.media.as_ref().map(|media| media.files(entity, &bodies));
        let Some(files) = files.unwrap_or(Some(Vec::new())) else {
            return Shaped::Unsendable("the code of one of its files cannot stand in a path");
        };
        let find = self.find_draft(kind, &names);
        Shaped::Wanted(Box::new(Upsert {
            change,
            create,
            find,
            files,
            identity,
        }))
    }

    /// The request that looks an entity up by an identity; none if the document says of no such request.
    pub fn lookup(&self, kind: Kind, code: &str, identity: &str) -> Option<Draft> {
        self.find_draft(kind, &names(kind, code, identity))
    }

    fn find_draft(&self, kind: Kind, names: &Names<'_>) -> Option<Draft> {
        let find = self.rules(kind).protocol.find.as_ref()?;
        find.operation.draft(find.fields.as_deref(), names)
    }

    /// What becomes of an entity that the destination is to have no more. None for an id that a server may take for
    /// something else, which the destination cannot have, and where the attribute is not known that the entity is
    /// called by.
    pub fn farewell(&self, kind: Kind, code: &str, identity: Option<&str>) -> Option<Farewell> {
        let protocol = &self.rules(kind).protocol;
        let Removing::By(operation, fields) = &protocol.remove else {
            return Some(Farewell::Silent);
        };
        let identity = match (protocol.identity.attribute(), identity) {
            (None, _) => protocol.identity.of(kind, code),
            (Some(_), Some(known)) => known.to_owned(),
            (Some(_), None) => return None,
        };
        let names = names(kind, code, &identity);
        let delete = operation.draft(fields.as_deref(), &names)?;
        let find = self.find_draft(kind, &names);
        Some(Farewell::Sent(Box::new(Removal { delete, find, identity })))
    }

    /// Whether a deletion is known to be of the entity although nothing is known of it: it goes by the id in the PIM
    /// or a hash of that, or the entity is looked up first.
    pub fn ties_what_is_unknown(&self, kind: Kind) -> bool {
        let protocol = &self.rules(kind).protocol;
        let goes_by_id = match &protocol.remove {
            Removing::By(operation, known) => {
                let mut in_body = known.iter().flatten().flat_map(KnownField::late_places);
                operation.line.late_places().next().is_none() && in_body.next().is_none()
            }
            Removing::Never => false,
        };
        (protocol.identity.is_nobody_elses() && goes_by_id) || protocol.find.is_some()
    }

    /// Whether entities of a kind are called by an attribute, so that what they are called can change.
    pub fn has_changing_identities(&self, kind: Kind) -> bool {
        self.rules(kind).protocol.identity.attribute().is_some()
    }

    /// Whether the destination is told of a changed identity by a change, and the entity is not deleted and made anew.
    pub fn renames(&self, kind: Kind) -> bool {
        self.rules(kind).protocol.renames()
    }

    /// Whether an upsert replaces whatever lies under its identity.
    pub fn overwrites(&self, kind: Kind) -> bool {
        let protocol = &self.rules(kind).protocol;
        protocol.create.is_none() && protocol.upsert.line.names_identity()
    }

    /// Whether deletions name what they delete by its identity.
    pub fn deletes_by_identity(&self, kind: Kind) -> bool {
        self.rules(kind).protocol.deletes_by_identity()
    }

    /// Whether what the destination gave of two entities is of one thing there, as far as requests name things by it.
    pub fn is_of_one(&self, kind: Kind, one: &Remote, other: &Remote) -> bool {
        self.operation(kind, Act::Update).line.is_of_one(one, other)
    }

    /// How entities of a kind are looked up at the destination, if they can be.
    pub fn find_of(&self, kind: Kind) -> Option<&Find> {
        self.rules(kind).protocol.find.as_deref()
    }

    /// The requests of a kind, with their names in the document.
    pub fn operations_of(&self, kind: Kind) -> impl Iterator<Item = (&'static str, &Operation)> {
        self.rules(kind).protocol.operations()
    }

    /// Whether what the destination is to have no more is deleted or archived there.
    pub fn removes(&self, kind: Kind) -> bool {
        matches!(self.rules(kind).protocol.remove, Removing::By(..))
    }

    /// How the requests of a kind are made that do this, and what their answers mean.
    pub fn operation(&self, kind: Kind, act: Act) -> &Operation {
        self.rules(kind).protocol.operation(act)
    }

    /// What every answer to such a request means, in words: which answers, and what follows.
    pub fn told(&self, kind: Kind, act: Act) -> Vec<(String, String)> {
        self.rules(kind).protocol.told(act)
    }

    /// The headers of the requests of a kind that do this.
    pub fn headers_of(&self, kind: Kind, act: Act) -> &Headers {
        &self.operation(kind, act).headers
    }

    /// What the answers mean to requests of a kind that do this.
    pub fn answers_of(&self, kind: Kind, act: Act) -> &Answers {
        &self.operation(kind, act).answers
    }

    /// The hash of a request: over its method, its path, its body in canonical form, its headers but for the token's,
    /// and the paths of its files, so that whoever begins to send files sends those of every entity. What the
    /// destination gave is not content: where it stands, its name counts.
    pub fn hash(&self, kind: Kind, upsert: &Upsert) -> String {
        let change = &upsert.change;
        let body = change.shown_body().unwrap_or(Cow::Borrowed(&Value::Null));
        let body = canonical(&body, &self.rules(kind).links());
        let mut text = format!("{}\n{}\n{body}", change.method, change.shown_path());
        for (name, value) in &self.headers_of(kind, Act::Upsert).others {
            text.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        for file in &upsert.files {
            text.push_str(&format!("\n{}", file.path));
        }
        digest(text.as_bytes())
    }

    /// What the entities of a kind need looked up, with the locales whose labels count for any kind.
    pub fn needs(&self, kind: Kind) -> Vec<(Need, Vec<String>)> {
        let of_kind = self.rules(kind).needs();
        let of_all = [self.products.needs(), self.models.needs(), self.categories.needs()].concat();
        let mut needs: Vec<(Need, Vec<String>)> = Vec::new();
        for (need, _) in of_kind {
            if !needs.iter().any(|(known, _)| known.is(&need)) {
                let same = of_all.iter().filter(|(other, _)| other.is(&need));
                let mut locales: Vec<String> = Vec::new();
                for locale in same.flat_map(|(_, locales)| locales.iter()) {
                    if let Err(at) = locales.binary_search(locale) {
                        locales.insert(at, locale.clone());
                    }
                }
                needs.push((need, locales));
            }
        }
        needs
    }

    /// The names of those values that the destination gave of the parents of a kind's entities and that are sent with
    /// these.
    pub fn names_of_parents(&self, kind: Kind) -> Vec<&str> {
        self.rules(kind).names_of_parents()
    }

    /// The names of those values that the destination gave of models and that are sent with their variants or sub-models.
    pub fn names_given_to_variants(&self) -> impl Iterator<Item = &str> {
        let kinds = [Kind::Product, Kind::ProductModel];
        kinds.into_iter().flat_map(|kind| self.names_of_parents(kind))
    }

    /// Whether any entity of a kind is wanted.
    pub fn wants(&self, kind: Kind) -> bool {
        self.rules(kind).is_wanted
    }

    /// Whether products must be read with their completenesses.
    pub fn asks_completenesses(&self) -> bool {
        self.rules(Kind::Product).asks_completenesses()
    }

    /// Whether all of an entity is sent, so that the hash tells its every change.
    pub fn sends_all_of(&self, kind: Kind) -> bool {
        self.rules(kind).is_whole(kind)
    }
}

fn names<'a>(kind: Kind, id: &'a str, identity: &'a str) -> Names<'a> {
    let kind = kind.name();
    Names { kind, id, identity }
}

/// Whether a document speaks of categories. A broken one counts as if it did, since it may be meant to: the worker
/// clears the events that nobody wants.
pub fn wants_categories(document: &str) -> bool {
    let read: Result<Value, _> = serde_json::from_slice(document.as_bytes());
    match read {
        Ok(read) => read.get(Kind::Category.name()).is_some(),
        Err(_) => !document.trim().is_empty(),
    }
}

/// The hash of an entity as the PIM gives it.
pub fn source_hash(entity: &Value) -> String {
    let mut entity = entity.clone();
    if let Some(members) = entity.as_object_mut() {
        members.remove("_links");
    }
    digest(canonical(&entity, &[]).to_string().as_bytes())
}
