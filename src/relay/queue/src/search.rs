//! Dead letters that somebody looks for: by kind, by when they were given up, and by what stands in them.
//!
//! A search goes through them one at a time, newest first. It costs one listing and a bounded number of reads, and where it
//! ends before the last one it says where to go on.

use crate::dead_letter::DeadLetter;
use crate::key::Key;
use crate::keyspace::Keyspace;
use model::entity::{Entity, Kind};
use std::cmp::Reverse;
use world::host::{self, Store, StoreError};

/// Which dead letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those that were given up at this moment or later, in seconds since the Unix epoch.
    pub since_s: u64,
    /// Only those that were given up before this moment, in seconds since the Unix epoch.
    pub before_s: u64,
    /// Only those whose reason or last answer holds this text, whatever its case; in lower case.
    pub reason: Option<String>,
    /// Only those that hold this text anywhere, whatever its case: in the code, reasons, the last request and answer, or
    /// events; in lower case.
    pub text: Option<String>,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter {
            kind: None,
            since_s: 0,
            before_s: u64::MAX,
            reason: None,
            text: None,
        }
    }
}

impl Filter {
    /// Whether a dead letter may be meant, as far as its key tells.
    fn covers(&self, listed: &Listed) -> bool {
        self.kind.is_none_or(|kind| listed.entity.kind == kind)
            && (self.since_s..self.before_s).contains(&listed.failed_s)
    }

    /// Whether a dead letter is meant whose key may be; one that this version cannot read holds no text.
    fn matches(&self, letter: Option<&DeadLetter>) -> bool {
        let Some(letter) = letter else {
            return self.reason.is_none() && self.text.is_none();
        };
        let holds = |texts: &[&str], wanted: &String| {
            let mut texts = texts.iter();
            texts.any(|text| text.to_lowercase().contains(wanted.as_str()))
        };
        let last = letter.failures.last();
        let mut texts = vec![letter.reason.as_str()];
        texts.extend(last.and_then(|failure| failure.answer.as_deref()));
        if self.reason.as_ref().is_some_and(|wanted| !holds(&texts, wanted)) {
            return false;
        }
        texts.push(&letter.code);
        texts.extend(letter.failures.iter().map(|failure| failure.reason.as_str()));
        let request = last.and_then(|failure| failure.request.as_deref());
        texts.extend(request.into_iter().flat_map(|sent| [sent.path.as_str(), &sent.body]));
        texts.extend(letter.events.iter().map(String::as_str));
        self.text.as_ref().is_none_or(|wanted| holds(&texts, wanted))
    }
}

/// A dead letter by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Of which entity.
    pub entity: Entity,
    /// When it was given up, in seconds since the Unix epoch.
    pub failed_s: u64,
    /// The key.
    pub key: String,
}

impl Listed {
    /// Reads a key; none where it is no dead letter's.
    pub fn parse(keys: &Keyspace, key: String) -> Option<Listed> {
        match keys.parse(&key)? {
            Key::DeadLetter(letter) => Some(Listed {
                entity: letter.entity,
                failed_s: letter.failed_s,
                key,
            }),
            _ => None,
        }
    }

    /// Newest first; of the same second by key, so that a cursor has its place.
    fn order(&self) -> (Reverse<u64>, &str) {
        (Reverse(self.failed_s), &self.key)
    }
}

/// A search on its way.
pub struct Search {
    filter: Filter,
    /// Those that may be meant, as far as their keys tell.
    found: Vec<Listed>,
    at: usize,
    /// How many may still be read.
    reads: usize,
}

impl Search {
    /// Begins in a listing, behind a key that an earlier search gave to go on from; reads so many at most. None where the
    /// key is no dead letter's.
    pub fn begin(
        keys: &Keyspace,
        listing: impl IntoIterator<Item = String>,
        (filter, behind): (Filter, Option<String>),
        reads: usize,
    ) -> Option<Search> {
        let mut found: Vec<Listed> = listing
            .into_iter()
            .filter_map(|key| Listed::parse(keys, key))
            .filter(|listed| filter.covers(listed))
            .collect();
        found.sort_by(|one, other| one.order().cmp(&other.order()));
        let at = match behind {
            None => 0,
            Some(behind) => {
                let last = Listed::parse(keys, behind)?;
                found.partition_point(|listed| listed.order() <= last.order())
            }
        };
        Some(Search {
            filter,
            found,
            at,
            reads,
        })
    }

    /// The next one that is meant, with what is kept of it if this version reads that; none at the end, or where as many
    /// were read as may be.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next<H: Store>(&mut self, host: &H) -> Result<Option<(Listed, Option<DeadLetter>)>, StoreError> {
        while let Some(listed) = self.found.get(self.at).filter(|_| self.reads > 0) {
            let value = host.get(&listed.key).await?;
            (self.at, self.reads) = (self.at + 1, self.reads - 1);
            let Some(value) = value else { continue };
            let letter = host::decoded::<DeadLetter>(&value);
            if self.filter.matches(letter.as_ref()) {
                return Ok(Some((listed.clone(), letter)));
            }
        }
        Ok(None)
    }

    /// How many there are that may be meant, as far as their keys tell.
    pub fn total(&self) -> usize {
        self.found.len()
    }

    /// How many of them it has not come to.
    pub fn left(&self) -> usize {
        self.found.len() - self.at
    }

    /// The key to go on from; none at the end.
    pub fn cursor(&self) -> Option<&str> {
        let last = self.found[..self.at].last();
        last.filter(|_| self.left() > 0).map(|last| last.key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{DeadLetterKey, Record};
    use futures_util::FutureExt;
    use serde_json::{Value, json};
    use world::testing::Memory;

    fn key(keys: &Keyspace, kind: Kind, code: &str, failed_s: u64) -> String {
        keys.encode(&Key::DeadLetter(DeadLetterKey::new(Entity::new(kind, code), failed_s)))
    }

    #[test]
    fn pages_follow_each_other_although_their_cursor_is_gone() {
        let keys = Keyspace::new("main");
        let listing = vec![
            key(&keys, Kind::Product, "a", 10),
            key(&keys, Kind::Product, "b", 30),
            key(&keys, Kind::ProductModel, "c", 30),
            key(&keys, Kind::Product, "d", 20),
            "r1.other.d.p.ta.50".to_owned(),
            keys.record(Record::State),
        ];
        let codes = |filter: &Filter, behind: Option<String>| -> Vec<String> {
            let search = Search::begin(&keys, listing.clone(), (filter.clone(), behind), 0).expect("a page");
            let found = search.found[search.at..].iter();
            found.filter_map(|listed| listed.entity.segment.code()).collect()
        };
        let all = Filter::default();
        assert_eq!(codes(&all, None), ["c", "b", "d", "a"]);
        assert_eq!(codes(&all, Some(key(&keys, Kind::Product, "x", 25))), ["d", "a"]);
        let products = Filter {
            kind: Some(Kind::Product),
            ..Filter::default()
        };
        assert_eq!(codes(&products, Some(key(&keys, Kind::Product, "b", 30))), ["d", "a"]);
        let late = Filter {
            since_s: 20,
            ..Filter::default()
        };
        assert_eq!(codes(&late, None), ["c", "b", "d"]);
        assert_eq!(codes(&Filter { before_s: 30, ..late }, None), ["d"]);
        assert!(Search::begin(&keys, listing.clone(), (all, Some("x".to_owned())), 0).is_none());
    }

    #[test]
    fn it_reads_so_many_and_goes_on_where_it_ended() {
        let (store, keys) = (Memory::default(), Keyspace::new("main"));
        for n in 0..25 {
            let mut letter = letter();
            letter["reason"] = json!(if n % 5 == 0 { "wanted" } else { "other" });
            let key = key(&keys, Kind::Product, &format!("p{n}"), 1000 - n);
            store.0.borrow_mut().insert(key, letter.to_string().into_bytes());
        }
        let listing = || store.0.borrow().keys().cloned().collect::<Vec<_>>();
        let (mut behind, mut found, mut rounds) = (None, Vec::new(), 0);
        loop {
            let filter = Filter {
                reason: Some("wanted".to_owned()),
                ..Filter::default()
            };
            let mut search = Search::begin(&keys, listing(), (filter, behind.take()), 10).expect("a search");
            assert_eq!((search.total(), search.left()), (25, 25 - 10 * rounds));
            while let Some((listed, letter)) = search.next(&store).now_or_never().expect("no wait").expect("a store") {
                assert!(letter.is_some());
                found.push(1000 - listed.failed_s);
            }
            rounds += 1;
            match search.cursor() {
                Some(cursor) => behind = Some(cursor.to_owned()),
                None => break,
            }
        }
        assert_eq!((rounds, found), (3, vec![0, 5, 10, 15, 20]));
    }

    fn letter() -> Value {
        json!({
            "v": 1, "kind": "product", "code": "the-code", "failed_s": 1, "reason": "422: {\"errors\":[", "hash": null,
            "events": ["{\"author\":\"Julia\"}"],
            "failures": [{
                "at_s": 1, "upstream": "destination", "class": "permanent", "status": 422, "reason": "422: {\"errors\":[",
                "tracking_id": null, "tries": 1, "unsettled": false, "retry_after_s": null,
                "answer": "{\"errors\":[{\"property\":\"attribute_9\",\"message\":\"Ung\u{fc}ltig\"}]}",
                "request": { "method": "PUT", "path": "/items/7", "body": "{\"colour\":\"Mauve\"}", "bytes": 18 },
            }],
        })
    }

    fn found(letter: &Value, reason: &str, text: &str) -> bool {
        let letter: DeadLetter = serde_json::from_value(letter.clone()).expect("a letter");
        let wanted = |text: &str| Some(text.to_lowercase()).filter(|text| !text.is_empty());
        let filter = Filter {
            reason: wanted(reason),
            text: wanted(text),
            ..Filter::default()
        };
        assert_eq!(filter.matches(None), filter == Filter::default());
        filter.matches(Some(&letter))
    }

    #[test]
    fn a_dead_letter_is_found_by_its_reason_and_by_all_of_its_last_answer() {
        let letter = letter();
        for text in ["", "422", "ATTRIBUTE_9", "ung\u{fc}ltig", "errors\":["] {
            assert!(found(&letter, text, ""), "{text}");
        }
        assert!(!found(&letter, "attribute_8", "") && !found(&letter, "mauve", ""));
        // A dead letter of an earlier version has no answer and no request.
        let mut old = letter;
        let failure = old["failures"][0].as_object_mut().expect("a failure");
        failure.retain(|name, _| name != "answer" && name != "request");
        assert!(found(&old, "422", "") && !found(&old, "attribute_9", "") && !found(&old, "", "mauve"));
    }

    #[test]
    fn a_dead_letter_is_found_by_whatever_stands_in_it() {
        let letter = letter();
        for text in ["the-code", "422", "attribute_9", "MAUVE", "items/7", "julia"] {
            assert!(found(&letter, "", text), "{text}");
        }
        assert!(!found(&letter, "", "lilac"));
        assert!(!found(&letter, "lilac", "mauve"));
    }
}
