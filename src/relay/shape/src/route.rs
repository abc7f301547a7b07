//! Where an entity goes: method and path, by its code.

use super::document::Node;
use http::Method;
use model::entity::Kind;
use model::path::path_segment;
use model::template::{Piece, pieces};

/// A method and a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    pub(super) method: Method,
    path: Vec<Piece>,
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
