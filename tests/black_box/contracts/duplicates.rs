//! A creation brings what the system has already: the product itself, which the relay's look-up did not show or for
//! which there is none, or something else that has in common with it what no two things may.

use super::held::ANOTHER;
use super::play::Play;
use super::system::{Duplicate, Follows, Unique, is_source};
use super::{document, text};
use crate::admin::ask;
use http::Method;
use serde_json::json;

/// What a person has tried once more.
async fn replay(play: &Play) {
    let path = "/admin/dead-letters/replay";
    let answer = ask(&play.application, Method::POST, path, json!({ "all": true })).await;
    assert_eq!(answer.json()["replayed"], 1, "{}: {:?}", play.name(), answer.json());
}

impl Play {
    /// A creation brings what is there.
    pub(super) async fn duplicate(&mut self) {
        match self.system.duplicate {
            Duplicate::Replaced(source) => {
                let name = self.name();
                assert!(
                    is_source(source),
                    "{name}: who says that nothing else is unique? {source:?}"
                );
                self.replace().await;
            }
            Duplicate::OfPath { status: _, follows } => self.overlook(follows).await,
            Duplicate::Refused(uniques) => {
                for unique in uniques {
                    self.collide(unique, uniques).await;
                }
            }
        }
    }

    async fn collide(&mut self, unique: &Unique, uniques: &[Unique]) {
        if let Some(follows) = unique.itself {
            self.overlook(follows).await;
        }
        if let Some(follows) = unique.another {
            let places: Vec<&str> = uniques.iter().map(|unique| unique.at).collect();
            self.compete(unique.at, follows, &places).await;
        }
    }

    /// How many look-ups do not show the product: the first, and the one that follows where the answer leads to it.
    fn look_ups(&self, follows: Follows) -> usize {
        let is_looked_up = document(self.system).pointer("/products/find").is_some();
        match follows {
            Follows::Adopted => 2 * usize::from(is_looked_up),
            _ => usize::from(is_looked_up),
        }
    }

    /// Somebody else has put something in the place of a product, before the relay came: it is replaced.
    async fn replace(&mut self) {
        let (known, key) = (self.in_sight(), self.key(2));
        let theirs = json!("by somebody else");
        self.lose_the_store().await;
        self.destination.with(|destination| {
            let record = destination.held.of_mut(&key).unwrap();
            record.write(&theirs);
        });
        self.touch(2..3, 20).await;
        self.until("replaced", || self.content(2).as_ref() != Some(&theirs))
            .await;
        self.application.tick_until_idle().await.unwrap();
        self.assert_no_dead_letter("what is there is replaced").await;
        assert_eq!(self.in_sight(), known, "{}: nothing is there twice", self.name());
    }

    /// The product is there, but the relay does not know it: its store is lost, and a look-up does not show it yet.
    async fn overlook(&mut self, follows: Follows) {
        let (known, before) = (self.in_sight(), self.content(2));
        let unseen = self.look_ups(follows);
        self.lose_the_store().await;
        let told = self.destination.with(|destination| {
            destination.held.unseen = unseen;
            destination.duplicates
        });
        self.touch(2..3, 21).await;
        if let Follows::Told(reason) = follows {
            self.assert_told(reason).await;
            assert_eq!(self.content(2), before, "{}", self.name());
            replay(self).await;
        }
        self.until("changed", || self.content(2) != before).await;
        self.settled(told, &known).await;
    }

    /// Something else has what a product is to have. That product waits or is told of, and no other is held up.
    async fn compete(&mut self, at: &str, follows: Follows, places: &[&str]) {
        let (first, second) = self.two_with(at);
        let (key, mut kept) = (self.key(first), self.in_sight());
        kept.retain(|(held, _)| *held != key);
        self.lose_the_store().await;
        let (told, theirs) = self.destination.with(|destination| {
            destination.held.give_away(&key, at, places);
            let theirs = destination.held.of(ANOTHER).unwrap().body.clone();
            (destination.duplicates, theirs)
        });
        let before = self.content(second);
        self.touch(first..second + 1, 22).await;
        self.until("the other is not held up", || self.content(second) != before)
            .await;
        if let Follows::Told(reason) = follows {
            self.assert_told(reason).await;
            let left = self.destination.with(|destination| {
                let left = destination.held.of(ANOTHER).map(|record| record.body.clone());
                destination.held.remove(ANOTHER);
                left
            });
            assert_eq!(left, Some(theirs), "{}: what is another's stays as it is", self.name());
            replay(self).await;
        }
        self.until("made once nothing is in its way", || self.is_whole()).await;
        kept.extend(self.in_sight().into_iter().filter(|(held, _)| *held == key));
        kept.sort();
        self.settled(told, &kept).await;
    }

    /// Two products that follow each other, of which the first has something in this place.
    fn two_with(&self, at: &str) -> (usize, usize) {
        let has = |first: &usize| {
            let content = self.content(*first).unwrap_or_default();
            content.pointer(at).is_some_and(|value| !text(value).is_empty())
        };
        let first = (0..5).find(has);
        let first = first.unwrap_or_else(|| panic!("{}: nothing has {at}", self.name()));
        (first, first + 1)
    }

    /// The system has told that something is there, nobody has anything left to do, and nothing is there twice.
    async fn settled(&self, told: usize, held: &[(String, String)]) {
        self.application.tick_until_idle().await.unwrap();
        let name = self.name();
        let duplicates = self.destination.with(|destination| {
            destination.held.unseen = 0;
            destination.duplicates
        });
        assert!(duplicates > told, "{name}: a creation was told so");
        self.assert_no_dead_letter("what is there already").await;
        assert_eq!(self.in_sight(), held, "{name}: nothing is there twice");
    }
}
