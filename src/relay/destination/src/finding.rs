//! What a destination has of an entity, asked of it.

use crate::cargo::Cargo;
use crate::{Called, Destination};
use model::entity::Kind;
use model::failure::{Class, Failure};
use protocol::answers::Meaning;
use protocol::draft::Draft;
use protocol::find::Found;
use protocol::remote::Remote;
use protocol::request::{Act, Names};
use world::host::Host;
use world::mistake::{Mistake, made};

impl<H: Host> Destination<'_, H> {
    /// What the destination has of an entity; none if it has nothing.
    ///
    /// # Errors
    /// It does not tell, has several, or may not be able to tell yet.
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
            // The one that was called so until a moment ago.
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

    /// Nothing was found, which is believed once whatever was sent before has arrived and can be found.
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

    /// Whether what it gave of one, if that is known, and of another is of one thing there.
    pub(crate) fn is_one(&self, kind: Kind, known: Option<&Remote>, other: &Remote) -> bool {
        known.is_some_and(|known| self.shape.is_of_one(kind, known, other))
    }
}
