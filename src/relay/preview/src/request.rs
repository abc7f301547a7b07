//! The requests of a shape, as people read them: without any secret, and with what follows from every answer.

use model::entity::Kind;
use protocol::draft::{self, Draft};
use protocol::headers::Authentication;
use protocol::remote::Given;
use protocol::request::Act;
use protocol::told::follows_of_file;
use serde_json::{Map, Value, json};
use shape::{File, Removal, Shape, Upsert};

/// A request as people read it. What the destination has to give first stands in it as in the document, such as
/// `{remote.id}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What it does: `find`, `create`, `update`, `upsert`, `delete`, `archive`, or `file`.
    pub what: &'static str,
    /// The method.
    pub method: String,
    /// The path, below the destination's own.
    pub path: String,
    /// Of a file, its code in the PIM: the file is the body.
    pub file: Option<String>,
    /// The header that bears the token, with a word in the token's place.
    pub authentication: (String, String),
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body; none where it has no body.
    pub body: Option<Value>,
    /// What is remembered of a good answer, and what follows from which answer.
    pub answers: Vec<String>,
}

impl Shown {
    fn of(
        shape: &Shape,
        kind: Kind,
        (what, act): (&'static str, Act),
        draft: &Draft,
        given: Option<Given<'_>>,
    ) -> Shown {
        let operation = shape.operation(kind, act);
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &operation.headers.others {
            headers.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
        for (name, pieces) in &operation.headers.late {
            let filled = given.and_then(|given| draft::header(name, pieces, given));
            let value = filled.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
            headers.push((name.to_string(), value.unwrap_or_else(|| draft::shown(pieces))));
        }
        // Only what is given whole is shown as it goes out: a part of it would be another request.
        let given = given.filter(|given| draft.lacks_anywhere(*given).is_none());
        let ready = given.and_then(|given| draft.ready(given).ok());
        let body = match &ready {
            Some(ready) => model::json::read(&ready.body).map(|read| read.value),
            None => draft.shown_body().map(|body| body.into_owned()),
        };
        Shown {
            what,
            method: draft.method.to_string(),
            path: ready.map_or_else(|| draft.shown_path(), |ready| ready.path),
            file: None,
            authentication: authentication(&operation.headers.authentication),
            headers,
            body,
            answers: answers(shape, kind, act),
        }
    }

    /// As a document.
    pub fn document(&self) -> Value {
        let (name, value) = &self.authentication;
        let mut headers = Map::new();
        headers.insert(name.clone(), json!(value));
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), json!(value))));
        json!({
            "what": self.what, "method": self.method, "path": self.path, "file": self.file, "headers": headers,
            "body": self.body, "answers": self.answers,
        })
    }
}

/// The header that bears the token, and how.
fn authentication(authentication: &Authentication) -> (String, String) {
    let token = match authentication.scheme.as_str() {
        "" => "TOKEN".to_owned(),
        "Basic" => "Basic TOKEN, in base64 where it is a user and a password with a colon between them".to_owned(),
        scheme => format!("{scheme} TOKEN"),
    };
    (authentication.header.to_string(), token)
}

fn answers(shape: &Shape, kind: Kind, act: Act) -> Vec<String> {
    let operation = shape.operation(kind, act);
    let mut lines = Vec::new();
    let remembered: Vec<&str> = operation.remember.names().collect();
    if !remembered.is_empty() {
        lines.push(format!("of a good answer is remembered: {}", remembered.join(", ")));
    }
    if shape.login.is_some() {
        lines.push("401, once: the token is renewed, and the request is sent again".to_owned());
    }
    let told = shape.told(kind, act).into_iter();
    lines.extend(told.map(|(which, follows)| format!("{follows}: {which}")));
    if let Some(place) = operation.answers.told_reason() {
        lines.push(format!("people read why it is refused in {place} of the answer"));
    }
    if let Some(find) = shape.find_of(kind).filter(|_| act == Act::Find) {
        lines.extend(find.told());
    }
    lines
}

/// The files that go before an entity.
pub fn of_files(shape: &Shape, files: &[File]) -> Vec<Shown> {
    let Some(media) = &shape.media else {
        return Vec::new();
    };
    let mut answers = vec![format!("larger than {} bytes: a dead letter", media.max_bytes)];
    let told = shape.answers.told_of_files().into_iter();
    answers.extend(told.map(|told| format!("{}: {}", follows_of_file(told.meaning), told.which)));
    let shown = files.iter().map(|file| Shown {
        what: "file",
        method: media.method().to_string(),
        path: file.path.clone(),
        file: Some(file.code.clone()),
        authentication: authentication(&shape.headers.authentication),
        headers: Vec::new(),
        body: None,
        answers: answers.clone(),
    });
    shown.collect()
}

/// The requests that bring an entity, filled with what the destination gave, if that is known: how it is looked up, made
/// and changed, as far as these are requests of their own.
pub fn of_upsert(shape: &Shape, kind: Kind, upsert: &Upsert, given: Option<Given<'_>>) -> Vec<Shown> {
    let change = match upsert.create {
        Some(_) => ("update", Act::Update),
        None => ("upsert", Act::Upsert),
    };
    let drafts = [
        (("find", Act::Find), upsert.find.as_ref()),
        (("create", Act::Create), upsert.create.as_ref()),
        (change, Some(&upsert.change)),
    ];
    let drafts = drafts.into_iter().filter_map(|(what, draft)| Some((what, draft?)));
    drafts
        .map(|(what, draft)| Shown::of(shape, kind, what, draft, given))
        .collect()
}

/// The request that takes an entity away: `archive` where the document says so, else `delete`.
pub fn of_removal(
    shape: &Shape,
    (kind, document): (Kind, &Value),
    removal: &Removal,
    given: Option<Given<'_>>,
) -> Shown {
    let is_archived = document[kind.name()]["archive"].is_object();
    let what = if is_archived { "archive" } else { "delete" };
    Shown::of(shape, kind, (what, Act::Delete), &removal.delete, given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::remote::Remote;
    use shape::{Lookups, Shaped};

    #[test]
    fn what_the_destination_gave_is_filled_in_where_it_is_known() {
        let document = json!({ "products": {
            "identity": { "form": "id", "unique": true },
            "remember": { "id": "/id" }, "create": { "path": "/items" }, "update": { "path": "/items/{remote.id}" },
            "fields": [{ "from": "/family", "to": "/family" }, { "to": "/id", "template": "{remote.id}" }],
        } });
        let shape = Shape::read(&document.to_string()).expect("a shape");
        let entity = json!({ "family": "mugs" });
        let Shaped::Wanted(upsert) = shape.apply(Kind::Product, "a", &entity, &Lookups::default()) else {
            panic!("it is wanted");
        };
        let none = Remote::new();
        let known = Remote::from([("id".to_owned(), "7".to_owned())]);
        let shown = |own: &Remote| -> Vec<(&'static str, String, Option<Value>)> {
            let given = Given { own, parent: &none };
            let shown = of_upsert(&shape, Kind::Product, &upsert, Some(given)).into_iter();
            shown.map(|shown| (shown.what, shown.path, shown.body)).collect()
        };
        let body = |id: &str| Some(json!({ "family": "mugs", "id": id }));
        let filled = ("update", "/items/7".to_owned(), body("7"));
        assert_eq!(shown(&known)[1], filled);
        let lacking = ("update", "/items/{remote.id}".to_owned(), body("{remote.id}"));
        assert_eq!(shown(&none)[1], lacking);
    }
}
