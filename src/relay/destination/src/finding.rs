//! What the destination has of an entity, asked of the destination itself.
//!
//! The shape says how an entity is looked up (`find`). A look-up changes nothing, so its failure leaves nothing open.
//! That nothing was found is believed only once whatever was sent before has arrived and can be found, since what is
//! believed missing may be made a second time.

use crate::cargo::{Answered, Cargo};
use crate::{Called, Destination};
use model::entity::Kind;
use model::failure::{Class, Failure};
use protocol::answers::Meaning;
use protocol::draft::Draft;
use protocol::find::Found;
use protocol::remote::Remote;
use protocol::request::{Act, Names};
use shape::Upsert;
use world::host::Host;
use world::mistake::{Mistake, made};

impl<H: Host> Destination<'_, H> {
    /// What is known of an entity after an answer that leads to another request; none if the destination has nothing of it,
    /// as far as it tells.
    pub(crate) async fn known_after(
        &self,
        cargo: Cargo<'_>,
        upsert: &Upsert,
        answered: Answered,
        failure: &Failure,
    ) -> Result<Option<Remote>, Failure> {
        // What is known to have settled is not waited for once more.
        let has_settled = cargo.may_arrive_until_s.is_some() || cargo.is_last_resort;
        let waits = |found: &Option<Remote>| found.is_none() && !has_settled;
        match (answered.act, answered.meaning, &upsert.find) {
            (Act::Create | Act::Upsert, Meaning::Exists, Some(find)) if answered.is_hidden => {
                let found = self.find(cargo, find, &upsert.identity, true).await?;
                if waits(&found) && cargo.attempts == 0 {
                    return Err(self.has_what_it_does_not_find(cargo.kind, failure.clone()));
                }
                Ok(found)
            }
            // Nothing at the destination goes by the values that it gave before.
            (_, Meaning::Missing, None) => Ok(None),
            (act, meaning, Some(find)) if !answered.has_looked => {
                let found = self.find(cargo, find, &upsert.identity, true).await?;
                if found.is_some() || (act, meaning) != (Act::Update, Meaning::Exists) {
                    return Ok(found);
                }
                // The destination has another version than is known. It has not been told the identity yet, or its search
                // lags.
                let found = self.find_as_it_was(cargo, &answered.own).await?;
                if waits(&found) {
                    return Err(self.not_found_yet());
                }
                Ok(found)
            }
            (_, Meaning::Missing, Some(_)) => Ok(None),
            _ => Ok(Some(answered.given)),
        }
    }

    /// What the destination has of an entity; none if it has nothing, or if the shape does not say how to look it up.
    ///
    /// # Errors
    /// The destination does not tell, has several where one was to be found, or may not be able to tell yet.
    pub(crate) async fn find(
        &self,
        cargo: Cargo<'_>,
        find: &Draft,
        identity: &str,
        follows: bool,
    ) -> Result<Option<Remote>, Failure> {
        let Some(rules) = self.shape.find_of(cargo.kind) else {
            return Ok(None);
        };
        let none = Remote::new();
        let sending = self.sending(cargo, Act::Find, find, &none)?.following(follows);
        let names = Names {
            kind: cargo.kind.name(),
            id: cargo.code,
            identity,
        };
        let response = match self.called(cargo, sending, false).await.map_err(Failure::settled)? {
            Called::Done(Meaning::Missing, _) => return self.nothing_found(cargo, rules.settle_s),
            Called::Done(_, response) => response,
            Called::LedOn(.., failure) => return Err(*failure),
        };
        let refused = |reason: String| self.governor.failed(Class::Permanent, reason);
        match rules.found(&names, response.headers(), response.body()) {
            // The search still finds what went by this identity until a moment ago.
            Found::One(remote) if self.is_one(cargo.kind, cargo.former, &remote) => {
                let reason = "the destination still finds the one that was called so before".to_owned();
                Err(self.governor.failed(Class::Transient, reason))
            }
            Found::One(remote) => Ok(Some(remote)),
            Found::None => self.nothing_found(cargo, rules.settle_s),
            Found::Several(count) => Err(refused(format!(
                "the destination has {count} that are called {identity}, and which is meant is not known: take the others away there"
            ))),
            Found::Unreadable => Err(refused(
                "what the destination answers to `find` has no such list or value as the shape says".to_owned(),
            )),
        }
    }

    /// What the destination has of an entity under the identities that it lies or may lie under: the thing of which it
    /// gave these values before, and no other.
    ///
    /// # Errors
    /// As those of [`Destination::find`].
    pub(crate) async fn find_as_it_was(&self, cargo: Cargo<'_>, known: &Remote) -> Result<Option<Remote>, Failure> {
        for identity in cargo.under {
            let Some(find) = self.shape.lookup(cargo.kind, cargo.code, identity) else {
                break;
            };
            let found = self.find(cargo, &find, identity, true).await?;
            if let Some(found) = found.filter(|found| self.is_one(cargo.kind, Some(known), found)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Believes that nothing was found, if whatever was sent before has arrived and can be found by now. A push can be
    /// found `settle_s` seconds after it arrived.
    fn nothing_found(&self, cargo: Cargo<'_>, settle_s: u64) -> Result<Option<Remote>, Failure> {
        let now_s = self.governor.now_ms() / 1000;
        match cargo.may_arrive_until_s.map(|until_s| until_s + settle_s) {
            Some(until_s) if until_s > now_s && !made(Mistake::BelieveNothingFound) => {
                let failure = self.governor.failed(
                    Class::Transient,
                    "the end of its creation is not known, and the destination does not have it yet".to_owned(),
                );
                Err(Failure {
                    retry_after_s: Some(until_s - now_s),
                    ..failure
                })
            }
            _ => Ok(None),
        }
    }

    /// The failure of an entity that the destination says to have and does not find. It costs an attempt, and from its
    /// moment on counts how long the destination may take to find the entity.
    pub(crate) fn not_found_yet(&self) -> Failure {
        let reason = "the destination has another version of it than is known, and does not find it yet".to_owned();
        Failure {
            may_have_made: true,
            ..self.governor.failed(Class::Transient, reason)
        }
    }

    /// The failure of an entity that the destination refused to make since it has it, and does not find. Its search may lag,
    /// so the entity is looked up once more when that has passed. What the destination has may be something else with the same
    /// name, so nothing is kept of this that would tie it to the entity.
    pub(crate) fn has_what_it_does_not_find(&self, kind: Kind, failure: Failure) -> Failure {
        let settle_s = self.shape.find_of(kind).map(|find| find.settle_s);
        Failure {
            class: Class::Transient,
            reason: format!("it says that it has it, and does not find it: {}", failure.reason),
            retry_after_s: failure.retry_after_s.max(settle_s),
            ..failure
        }
    }

    /// Whether the destination gave two sets of values of one and the same thing; not if the first is not known.
    pub(crate) fn is_one(&self, kind: Kind, known: Option<&Remote>, other: &Remote) -> bool {
        known.is_some_and(|known| self.shape.is_of_one(kind, known, other))
    }
}
