//! Where an entity goes: method and path, by its names.
//!
//! A path tells every entity from every other, unless the body does, and never leads to another path than it says.

use crate::draft;
use crate::remote::{Remote, is_late, own_name};
use crate::request::{Names, fill, names_an_entity, names_identity};
use http::Method;
use model::document::Node;
use model::path::path_segment;
use model::template::{Piece, pieces};

/// A method and a path.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    path: Vec<Piece>,
}

impl RequestLine {
    /// The request line where the document has none.
    pub fn of(method: Method, kind: &str) -> RequestLine {
        RequestLine {
            method,
            path: vec![Piece::Text(format!("/{kind}/")), Piece::Place("id".to_owned())],
        }
    }

    /// The request line of a collection, whose path names no entity.
    pub fn without_id(method: Method, kind: &str) -> RequestLine {
        RequestLine {
            method,
            path: vec![Piece::Text(format!("/{kind}"))],
        }
    }

    /// Whether the path says which entity it is.
    pub fn names_the_entity(&self) -> bool {
        names_an_entity(&self.path)
    }

    /// The path of what has these names, but for what the destination gave; none for a name that a server may take for
    /// something else.
    pub fn path(&self, names: &Names<'_>) -> Option<Vec<Piece>> {
        if [names.id, names.identity]
            .iter()
            .any(|name| matches!(*name, "" | "." | ".."))
        {
            return None;
        }
        Some(fill(&self.path, names, path_segment))
    }

    /// The path as a text, where it needs nothing that the destination gives.
    pub fn whole_path(&self, names: &Names<'_>) -> Option<String> {
        let pieces = self.path(names)?.into_iter().map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Place(_) => None,
        });
        pieces.collect()
    }

    /// Whether the path says what the destination calls the entity.
    pub fn names_identity(&self) -> bool {
        names_identity(&self.path)
    }

    /// The places of the path that are filled when the request is sent.
    pub fn late_places(&self) -> impl Iterator<Item = &str> {
        draft::places(&self.path)
    }

    /// Whether the destination gave two sets of values of one thing: the values by which the path names things are the
    /// same, or all values where the path has none. What stands in the query, such as a version, may differ.
    pub fn is_of_one(&self, one: &Remote, other: &Remote) -> bool {
        let query = self
            .path
            .iter()
            .position(|piece| matches!(piece, Piece::Text(text) if text.contains('?')));
        let path = &self.path[..query.unwrap_or(self.path.len())];
        let mut names = draft::places(path).filter_map(own_name).peekable();
        match names.peek() {
            Some(_) => names.all(|name| one.get(name) == other.get(name)),
            None => one == other,
        }
    }

    /// Takes on what the document says. A path can do without the entity where the body names it.
    pub fn amend(&mut self, node: &Node<'_>, methods: &[(&str, Method)], body_names_it: bool) {
        if let Some(node) = node.member("method") {
            let names: Vec<(&str, usize)> = methods.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
            if let Some(at) = node.choice(&names) {
                self.method = methods[at].1.clone();
            }
        }
        if let Some(node) = node.member("path") {
            let can_do_without_id = body_names_it && self.method == Method::POST;
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
    if draft::leads_elsewhere(&draft::shown(&pieces)) {
        node.wrong("has a part `.` or `..`, which stands for another path: write that one");
    }
    let mut has_others = false;
    for piece in &pieces {
        match piece {
            Piece::Place(name) if Names::ALL.contains(&name.as_str()) || is_late(name) => {}
            Piece::Place(name) => {
                has_others = true;
                node.wrong(format!(
                    "`{{{name}}}` cannot stand in a path, which must be known of an entity that is gone: there are {{id}}, {{identity}}, {{kind}} and {{remote.NAME}}"
                ));
            }
            Piece::Text(text) if !text.chars().all(is_of_a_path) => {
                node.wrong("holds a character that a path cannot: percent-encode it");
            }
            Piece::Text(_) => {}
        }
    }
    if needs_id && !has_others && !names_an_entity(&pieces) {
        node.wrong(
            "needs `{id}`, or all entities would be one; only a POST whose body names the entity can do without",
        );
    }
    Some(pieces)
}

fn is_of_a_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%/?".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_told_apart_by_what_paths_name_them_by_and_not_by_their_versions() {
        let given = |id: &str, version: &str| {
            let pairs = [("id", id), ("version", version)];
            Remote::from(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        let line = |path: &str| RequestLine {
            method: Method::PUT,
            path: pieces(path).expect("a path"),
        };
        for path in ["/items/{remote.id}", "/items/{remote.id}?version={remote.version}"] {
            assert!(line(path).is_of_one(&given("7", "1"), &given("7", "2")));
            assert!(!line(path).is_of_one(&given("7", "1"), &given("8", "1")));
        }
        assert!(!line("/items").is_of_one(&given("7", "1"), &given("7", "2")));
        assert!(line("/items").is_of_one(&given("7", "1"), &given("7", "1")));
    }
}
