//! What was found damaged: values that were read from the store and are in no format that is known.
//!
//! Whoever reads such a value begins anew in its place, so that the damage stops nobody. The host remembers the value, and
//! whoever leads a request or a tick asks for it at the end, tells people, and keeps the value where they can look into it.

use crate::host::{Clock, Log, Store};
use crate::log::{self, LogLevel};
use serde_json::json;
use std::cell::RefCell;

/// A value that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub key: String,
    /// The value, as it was.
    pub value: Vec<u8>,
}

/// What a host has found damaged since it was last asked.
#[derive(Debug, Default)]
pub struct Damage(RefCell<Vec<Found>>);

impl Damage {
    /// Takes note of a value that could not be read; of each key once.
    pub fn note(&self, key: &str, value: Vec<u8>) {
        let mut found = self.0.borrow_mut();
        if !found.iter().any(|known| known.key == key) {
            let key = key.to_owned();
            found.push(Found { key, value });
        }
    }

    /// All that was found, which is forgotten then.
    fn take(&self) -> Vec<Found> {
        self.0.take()
    }
}

/// Takes note of a value that could not be read, if the host remembers any.
pub fn note<H: Store>(host: &H, key: &str, value: Vec<u8>) {
    if let Some(damage) = host.damage() {
        damage.note(key, value);
    }
}

/// Tells in the log what was found damaged, each by its key, and gives it.
pub fn told<H: Store + Log + Clock>(host: &H) -> Vec<Found> {
    let found = host.damage().map(Damage::take).unwrap_or_default();
    for Found { key, .. } in &found {
        log::write(host, LogLevel::Failures, "damaged", true, json!({ "key": key }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_told_once_as_it_was_first_found() {
        let damage = Damage::default();
        for (key, value) in [("a", "mud"), ("b", ""), ("a", "dust")] {
            damage.note(key, value.as_bytes().to_vec());
        }
        let found = damage.take();
        let found: Vec<(&str, &[u8])> = found
            .iter()
            .map(|one| (one.key.as_str(), one.value.as_slice()))
            .collect();
        assert_eq!(found, [("a", b"mud".as_slice()), ("b", b"")]);
        assert_eq!(damage.take(), []);
    }
}
