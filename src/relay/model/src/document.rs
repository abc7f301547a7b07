//! Reads a document that people wrote: whatever is wrong in it is named with its place and the remedy, and all of it at
//! once.
//!
//! Whoever reads goes on after a mistake with whatever value it is given, and looks at the flaws at the end. What was
//! read of a document is worth something only if there is none.

use crate::json;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::fmt;

/// One thing that is wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Its place, as a JSON Pointer (RFC 6901) into the document; empty for the whole of it.
    pub place: String,
    /// What is wrong there and what to write instead.
    pub remedy: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.place.is_empty() {
            "the document"
        } else {
            &self.place
        };
        write!(f, "{place}: {}", self.remedy)
    }
}

/// The flaws found so far.
pub type Flaws = RefCell<Vec<Flaw>>;

/// A value of the document and its place.
#[derive(Clone)]
pub struct Node<'a> {
    /// The value.
    pub value: &'a Value,
    place: String,
    flaws: &'a Flaws,
}

/// A token as it stands in a JSON Pointer (RFC 6901).
fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

impl<'a> Node<'a> {
    /// The whole document.
    pub fn root(value: &'a Value, flaws: &'a Flaws) -> Node<'a> {
        Node {
            value,
            place: String::new(),
            flaws,
        }
    }

    /// Notes a flaw in this place.
    pub fn wrong(&self, remedy: impl Into<String>) {
        self.flaws.borrow_mut().push(Flaw {
            place: self.place.clone(),
            remedy: remedy.into(),
        });
    }

    fn child(&self, token: &str, value: &'a Value) -> Node<'a> {
        Node {
            value,
            place: format!("{}/{}", self.place, escaped(token)),
            flaws: self.flaws,
        }
    }

    /// The member of this name, if it is there. That it is missing is no flaw.
    pub fn member(&self, name: &str) -> Option<Node<'a>> {
        Some(self.child(name, self.value.get(name)?))
    }

    /// Every member with its name; none of what is no object.
    pub fn members(&self) -> impl Iterator<Item = (&'a String, Node<'a>)> {
        let members = self.value.as_object().into_iter().flatten();
        members.map(|(name, value)| (name, self.child(name, value)))
    }

    /// Says whether the value is an object. A member that is not allowed is a flaw, and so is a value that is no
    /// object.
    pub fn is_object_of(&self, allowed: &[&str]) -> bool {
        let Some(members) = self.object() else { return false };
        let is_known = |name: &String| allowed.contains(&name.as_str());
        for name in members.keys().filter(|name| !is_known(name)) {
            self.child(name, self.value)
                .wrong(format!("is not known here; known are {}", allowed.join(", ")));
        }
        true
    }

    /// The object, whatever its members are. Any other value is a flaw.
    pub fn object(&self) -> Option<&'a Map<String, Value>> {
        let object = self.value.as_object();
        if object.is_none() {
            self.wrong("must be an object");
        }
        object
    }

    /// The text. An empty one is a flaw, and so is any other value.
    pub fn text(&self) -> Option<&'a str> {
        match self.value.as_str() {
            Some(text) if !text.is_empty() && json::written(self.value).is_none() => Some(text),
            _ => {
                self.wrong("must be a text that is not empty");
                None
            }
        }
    }

    /// The truth value. Any other value is a flaw, and taken for false.
    pub fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or_else(|| {
            self.wrong("must be true or false");
            false
        })
    }

    /// The elements of the list. An empty one is a flaw, and so is any other value; neither has elements.
    pub fn list(&self) -> Vec<Node<'a>> {
        match self.value.as_array() {
            Some(list) if !list.is_empty() => {
                let elements = list.iter().enumerate();
                elements.map(|(at, value)| self.child(&at.to_string(), value)).collect()
            }
            Some(_) => {
                self.wrong("is empty: name at least one, or leave the member out");
                Vec::new()
            }
            None => {
                self.wrong("must be a list");
                Vec::new()
            }
        }
    }

    /// The texts of the list, less the elements that are none. Each of those is a flaw, as is an empty list.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.list();
        texts.iter().filter_map(|node| Some(node.text()?.to_owned())).collect()
    }

    /// What one of a few words stands for. Any other word or value is a flaw.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let chosen = choices.iter().find(|(name, _)| self.value.as_str() == Some(name));
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(format!("must be one of {}", names.join(", ")));
        }
        chosen.map(|(_, value)| *value)
    }

    /// Says whether the value has all of these members. Each one that is missing is a flaw.
    pub fn has_all(&self, needed: &[&str]) -> bool {
        let missing: Vec<&&str> = needed.iter().filter(|name| self.value.get(name).is_none()).collect();
        for name in &missing {
            self.wrong(format!("needs the member `{name}`"));
        }
        missing.is_empty()
    }
}
