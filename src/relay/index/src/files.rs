//! Which files the destination has, by the digests of their paths there, and when each went.
//!
//! The pages are of the same form as those of the index and are written in the same way. They say nothing that cannot be
//! said again: a page that cannot be read counts as empty, people are told, and its files go once more. Earlier versions had 1,024 pages,
//! each with the files whose digests' first sixteen bits leave the same remainder; in the order of pages the files of each
//! are neighbours, so that those pages are parts like any others, which are replaced when they are next changed.

use crate::directory::Directory;
use crate::entry::{Entry, file, place_of};
use crate::pages::Pages;
use model::entity::Segment;
use queue::keyspace::Keyspace;
use world::host::{Clock, Store, StoreError};

/// The pages of the files that a batch names.
#[derive(Debug, Default)]
pub struct Files {
    pages: Pages,
}

impl Files {
    /// When the file went whose path has this digest, in seconds since the Unix epoch, if it did; reads its page, unless
    /// that was read.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sent_s<H: Store>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &Directory,
        digest: &str,
    ) -> Result<Option<u64>, StoreError> {
        let Some(file) = file(digest) else { return Ok(None) };
        self.pages
            .read(host, keys, directory, file.kind, place_of(&file))
            .await?;
        Ok(self.pages.get(&file).map(|entry| entry.updated_s))
    }

    /// Notes that the file went whose path has this digest, and whose page was read.
    pub fn note(&mut self, digest: &str, now_s: u64) {
        let Some(file) = file(digest) else { return };
        let entry = Entry {
            updated_s: now_s,
            pushes: self.pages.pushes(&file) + 1,
            ..Entry::default()
        };
        self.pages.put(&file, entry);
    }

    /// Whether there is anything to write back.
    pub fn has_changes(&self) -> bool {
        self.pages.has_changes()
    }

    /// Writes the changed pages under keys of this worker's.
    ///
    /// # Errors
    /// The store fails.
    pub async fn save<H: Store + Clock>(
        &mut self,
        host: &H,
        keys: &Keyspace,
        directory: &mut Directory,
        worker: &Segment,
    ) -> Result<(), StoreError> {
        self.pages.save(host, keys, directory, worker).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Order;
    use crate::pages::tests::{Killed, at_once, keys, lengths, unlimited};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use model::entity::digest;
    use queue::plan::Plan;
    use serde_json::{Map, Value, json};

    fn directory(host: &Killed) -> Directory {
        let plan = Plan::of(&keys(), host.memory.0.borrow().keys().cloned());
        Directory::of(Order::Files, 200, plan.files)
    }

    /// Whether each of these went at this moment, by a worker that begins.
    fn all_went(host: &Killed, digests: &[String], at_s: u64) -> bool {
        let (directory, mut files) = (directory(host), Files::default());
        let mut went = digests
            .iter()
            .map(|digest| at_once(files.sent_s(host, &keys(), &directory, digest)));
        went.all(|sent_s| sent_s == Ok(Some(at_s)))
    }

    fn send(host: &Killed, batch: &[String]) {
        let (mut directory, mut files) = (directory(host), Files::default());
        for digest in batch {
            assert_eq!(at_once(files.sent_s(host, &keys(), &directory, digest)), Ok(None));
            files.note(digest, 7);
        }
        at_once(files.save(host, &keys(), &mut directory, &Segment::of("worker"))).expect("a write");
    }

    fn digests(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|number| digest(&number.to_be_bytes())).collect()
    }

    #[test]
    fn pages_of_files_split_as_they_grow() {
        let host = unlimited();
        for batch in digests(0..10_000).chunks(100) {
            send(&host, batch);
        }
        assert!(all_went(&host, &digests(0..10_000), 7));
        let lengths = lengths(&host);
        assert!(lengths.iter().all(|length| *length < 20_000), "{lengths:?}");
        assert!(lengths.len() <= 10_000 / 100 + 128, "{} pages", lengths.len());
    }

    /// An earlier version told pages by the first sixteen bits of the digest, modulo 1,024.
    #[test]
    fn pages_of_an_earlier_version_are_read_and_replaced_one_by_one() {
        let host = unlimited();
        let mut pages = vec![Map::new(); 1024];
        for digest in digests(0..20_000) {
            let bytes = URL_SAFE_NO_PAD.decode(&digest).expect("a digest");
            let number = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]) % 1024);
            pages[number].insert(digest, json!(5));
        }
        for (number, files) in pages.into_iter().enumerate() {
            let value = json!({ "v": 2, "files": files }).to_string().into_bytes();
            host.memory.0.borrow_mut().insert(format!("r1.main.m.{number}"), value);
        }
        let new = digests(20_000..20_100);
        send(&host, &new);
        assert!(all_went(&host, &digests(0..20_000), 5));
        assert!(all_went(&host, &new, 7));
        let old = |key: &&String| key.split('.').count() == 4;
        let left = host.memory.0.borrow().keys().filter(old).count();
        assert!((924..1000).contains(&left), "{left} old pages");
    }

    #[test]
    fn a_page_that_cannot_be_read_counts_as_empty() {
        let (host, one) = (unlimited(), digests(0..1));
        send(&host, &one);
        let values = [
            b"".to_vec(),
            b"{\"v\":1,".to_vec(),
            b"\xff\xfe".to_vec(),
            json!({ "v": 9, "files": [] }).to_string().into_bytes(),
            Value::Null.to_string().into_bytes(),
        ];
        for damaged in values {
            host.memory
                .0
                .borrow_mut()
                .values_mut()
                .for_each(|value| value.clone_from(&damaged));
            send(&host, &one);
            assert!(all_went(&host, &one, 7));
        }
    }
}
