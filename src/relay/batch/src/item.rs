//! An entity of a batch, as a type for each stage of its way: `Asked` → `Decided` → `Pushed` → `Kept`.
//!
//! Each step of a batch takes the type of one stage and gives that of the next, so that no step can be left out. All
//! may assume that the keys in `waiting` were listed before the entity was read: deleting them deletes nothing that
//! came later. Nothing is called or stored here.

use destination::Cargo;
use index::entry::{ShortDigest, mark_of, name_of_push};
use model::entity::{Entity, Kind};
use model::failure::{Class, Failure};
use protocol::remote::Remote;
use queue::key::Hold;
use queue::retry::Tried;
use queue::waiting::Waiting;
use serde_json::Value;
use shape::{Removal, Upsert};
use std::ops::{Deref, DerefMut};

/// An entity that the PIM is asked for, and what it answered.
pub(crate) struct Asked {
    pub(crate) waiting: Waiting,
    pub(crate) code: String,
    /// The entity as its keys spell it, where the PIM spells its code in another way.
    pub(crate) other_spelling: Option<Entity>,
    /// Whether the list that was asked for the entity had it; none where no such list came.
    pub(crate) is_listed: Option<bool>,
    /// Whether it was read from the PIM's database itself, past a search index that lags.
    pub(crate) by_id: bool,
    /// When the entity was about to be read, in seconds since the Unix epoch.
    pub(crate) read_s: u64,
    /// Until when a push of the entity may arrive whose end nobody saw, in seconds since the Unix epoch.
    pub(crate) may_arrive_until_s: Option<u64>,
    /// The identities that it lies or may lie under at the destination, where they are no function of its id.
    pub(crate) under: Vec<String>,
    /// What the destination gave of the entity's parent, where that is sent; none where there is no parent.
    pub(crate) of_parent: Option<Remote>,
    pub(crate) answer: Answer,
}

/// What the PIM answered.
pub(crate) enum Answer {
    /// Nothing yet, or no call was made: the entity's keys stay as they are.
    None,
    /// No answer is needed: the kind is not wanted, or another item has taken on all that waits for the entity.
    Needless,
    /// The PIM has the entity, like this.
    Found(Value),
    /// The entity is gone, or hidden from this connection (contract 4.10).
    Gone {
        /// Whether it went together with a model whose deletion an event announced.
        with_a_model: bool,
    },
    /// The call failed, and so tells nothing of the entity.
    Failed(Failure),
}

impl Asked {
    /// Whether no call was made for the entity: then nothing comes of it now, whatever the index knows.
    pub(crate) fn is_unanswered(&self) -> bool {
        match &self.answer {
            Answer::None => true,
            Answer::Failed(failure) => failure.class == Class::NotCalled,
            Answer::Needless | Answer::Found(_) | Answer::Gone { .. } => false,
        }
    }

    /// An entity that is about to be read at this moment, in seconds since the Unix epoch.
    pub(crate) fn new(waiting: Waiting, code: String, read_s: u64) -> Self {
        Asked {
            waiting,
            code,
            other_spelling: None,
            is_listed: None,
            by_id: false,
            read_s,
            may_arrive_until_s: None,
            under: Vec::new(),
            of_parent: None,
            answer: Answer::None,
        }
    }

    /// The entity as the PIM spells it, and as its keys do where that differs.
    pub(crate) fn spellings(&self) -> impl Iterator<Item = &Entity> {
        [Some(&self.waiting.entity), self.other_spelling.as_ref()]
            .into_iter()
            .flatten()
    }

    /// The parent that the PIM gave: the model that the entity inherits from, or the category that it lies in.
    pub(crate) fn parent(&self) -> Option<Entity> {
        match &self.answer {
            Answer::Found(entity) => self.waiting.entity.kind.parent_in(entity),
            _ => None,
        }
    }

    /// How log lines and failures name the entity.
    pub(crate) fn name(&self) -> String {
        name(self.waiting.entity.kind, &self.code)
    }

    /// Takes on the code as the PIM spells it, for which letter case makes no difference. From now on new keys, the
    /// entry of the index and paths at the destination are of that spelling.
    pub(crate) fn respell(&mut self, code: String) {
        if self.code != code {
            let kind = self.waiting.entity.kind;
            let other = std::mem::replace(&mut self.waiting.entity, Entity::new(kind, &code));
            self.other_spelling.get_or_insert(other);
            self.code = code;
        }
    }

    /// Whether only one request says that the entity is gone: no list lacks it, and it was not held for this doubt
    /// before.
    pub(crate) fn is_doubtful(&self) -> bool {
        let was_doubted = self
            .waiting
            .retries
            .iter()
            .any(|(retry, _)| retry.hold == Some(Hold::Doubt));
        self.is_listed != Some(false) && !was_doubted
    }

    /// Takes note of a failure; where no call was made, the entity has no answer.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.answer = if failure.was_not_called() {
            Answer::None
        } else {
            Answer::Failed(failure)
        };
    }
}

fn name(kind: Kind, code: &str) -> String {
    format!("{}/{code}", kind.name())
}

/// An entity of a batch: what was read of it, and what was known of it before. Every stage after `Asked` has this.
pub(crate) struct Item {
    pub(crate) waiting: Waiting,
    pub(crate) code: String,
    /// How log lines and failures name the entity.
    pub(crate) name: String,
    /// Whether it was read from the PIM's database itself, past a search index that lags.
    pub(crate) by_id: bool,
    /// When the entity was about to be read, in seconds since the Unix epoch.
    pub(crate) read_s: u64,
    /// Whether the PIM does not have the entity.
    pub(crate) is_gone: bool,
    /// Whether the entity went together with a model whose deletion an event announced.
    pub(crate) went_with_a_model: bool,
    /// The model that the entity inherits from, as it was read.
    pub(crate) parent: Option<ShortDigest>,
    /// The identities that it lies or may lie under at the destination, where they are no function of its id.
    pub(crate) under: Vec<String>,
    /// The identity that the entity is to have, where that is no function of its id.
    pub(crate) wanted: Option<String>,
    /// Whether the entity lies under the identity that it is to have and nowhere else, as the end of a push told.
    pub(crate) lies_there: bool,
    /// Whether the index has no entry of the entity.
    pub(crate) is_new: bool,
    /// What the destination gave of the entity.
    pub(crate) remote: Remote,
    /// What the destination gave of the entity's parent, where that is sent; none where there is no parent.
    pub(crate) of_parent: Option<Remote>,
    /// Until when a push of the entity may arrive whose end nobody saw, in seconds since the Unix epoch.
    pub(crate) may_arrive_until_s: Option<u64>,
    /// The hash of a model as the PIM gives it, where the hash of what is sent does not tell its every change.
    pub(crate) source: Option<String>,
    /// How often the entity was pushed or removed, as far as the index knows.
    pub(crate) pushes: u64,
    /// The `updated` of what was pushed before, in seconds since the Unix epoch; none where nothing was.
    pub(crate) pushed_s: Option<u64>,
    /// The `updated` that was read now, in seconds since the Unix epoch.
    pub(crate) updated_s: u64,
}

/// An entity for which it is decided what is to be done.
pub(crate) struct Decided {
    pub(crate) item: Item,
    /// What is to be done.
    pub(crate) what: Decision,
    /// In which wave its upsert goes, and after which item of the batch, which must have let the identity go.
    pub(crate) turn: Turn,
    /// Identities that it lay under till now and that are not deleted, each with the item that overwrites it.
    pub(crate) overwritten: Vec<(String, usize)>,
    /// Whether it is queued again once it is deleted: it is wanted, and cannot lie there as it is.
    pub(crate) comes_back: bool,
    /// What the destination gave of the item that lets the identity go in this batch: a lookup may still find that.
    pub(crate) former: Remote,
    /// Of a model, the change for which its variants are all marked.
    pub(crate) marked: Option<Marked>,
    /// What its push is to bring.
    pub(crate) tried: Option<Tried>,
}

/// An entity whose push is over, if there was one.
pub(crate) struct Pushed {
    pub(crate) item: Item,
    /// What became of the entity.
    pub(crate) what: Outcome,
    /// What became of the identities that it lay under.
    pub(crate) left: Left,
    /// Whether its turn was after another item of the batch, which was to let its identity go.
    pub(crate) has_waited: bool,
    /// Whether it is queued again once it is deleted.
    pub(crate) comes_back: bool,
    /// Of a model, the change for which its variants are all marked.
    pub(crate) marked: Option<Marked>,
    /// What its push was to bring.
    pub(crate) tried: Option<Tried>,
}

/// An entity whose outcome is kept.
pub(crate) struct Kept {
    pub(crate) item: Item,
    /// Which of its keys are done with.
    pub(crate) fate: Fate,
    /// What its push was to bring.
    pub(crate) tried: Option<Tried>,
}

/// What became of the identities that an entity lay under until its push.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    /// Those under which it was deleted, as the end of each deletion told, or overwritten by another entity.
    pub(crate) gone: Vec<String>,
    /// Those that it lies under still, since the entity that was to overwrite it there did not come.
    pub(crate) still: Vec<String>,
    /// Whether anything of it was deleted or overwritten there, or may have been.
    pub(crate) has_any: bool,
    /// Whether its upsert was not sent, since what was to go before it did not.
    pub(crate) is_unsent: bool,
}

macro_rules! is_an_item {
    ($($stage:ty),*) => {$(
        impl Deref for $stage {
            type Target = Item;

            fn deref(&self) -> &Item {
                &self.item
            }
        }

        impl DerefMut for $stage {
            fn deref_mut(&mut self) -> &mut Item {
                &mut self.item
            }
        }
    )*};
}

is_an_item!(Decided, Pushed, Kept);

/// What is to be done with an entity.
pub(crate) enum Decision {
    /// Nothing now: the entity's keys stay as they are.
    PutOff,
    /// The entity is to be upserted.
    Upsert {
        upsert: Box<Upsert>,
        hash: String,
        updated_s: u64,
        /// What is deleted before, of what lies under the entity's earlier identities.
        leaving: Vec<Removal>,
    },
    /// The entity is to be deleted, like this: once for each identity that it lies under.
    Delete(Vec<Removal>),
    /// The destination keeps the entity, and the index forgets it.
    LetGo,
    /// Nothing is to be done.
    Done,
    /// The brake holds the deletion back.
    Braked,
    /// Only the reading by id says that the entity is gone: it is read once more before it is deleted.
    Doubted,
    /// The entity failed; with the name of what could not be sent.
    Failed(Failure, Option<String>),
}

/// What became of an entity.
pub(crate) enum Outcome {
    /// Nothing: the entity's keys stay as they are.
    PutOff,
    /// The entity was upserted.
    Upserted {
        hash: String,
        updated_s: u64,
        /// What the destination gave of the entity, now and before.
        remote: Remote,
        /// Whether something was deleted before, under the entity's earlier identities.
        has_left: bool,
    },
    /// The entity was deleted.
    Deleted,
    /// The destination keeps the entity, and the index forgets it.
    LetGo,
    /// There was nothing to do.
    Done,
    /// The brake holds the deletion back.
    Braked,
    /// Only the reading by id says that the entity is gone: it is read once more before it is deleted.
    Doubted,
    /// The entity failed; with the name of what was refused.
    Failed(Failure, Option<String>),
}

/// When it is an upsert's turn, among the upserts of its batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// How many waves of upserts go before this one.
    pub(crate) wave: usize,
    /// The number of the item that holds the identity till now, and must have let it go.
    pub(crate) after: Option<usize>,
    /// Whether the entity is deleted and made anew, although a change could tell the destination its new identity.
    pub(crate) starts_anew: bool,
}

/// Which keys of an entity are done with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// None.
    PutOff,
    /// Its retries and the recheck that was due: another key says when the entity is read again.
    Later,
    /// All that were listed, but for a recheck yet to come.
    Over {
        /// Whether the destination took an upsert or a deletion.
        has_reached: bool,
    },
}

impl Decided {
    /// An entity with all that its reading told, apart from the answer. The caller adds what the index knows of it.
    pub(crate) fn of(asked: Asked) -> (Self, Answer) {
        let item = Item {
            name: asked.name(),
            waiting: asked.waiting,
            code: asked.code,
            by_id: asked.by_id,
            read_s: asked.read_s,
            is_gone: matches!(asked.answer, Answer::Gone { .. }),
            went_with_a_model: matches!(asked.answer, Answer::Gone { with_a_model: true }),
            parent: None,
            under: asked.under,
            wanted: None,
            lies_there: false,
            is_new: false,
            remote: Remote::new(),
            of_parent: asked.of_parent,
            may_arrive_until_s: asked.may_arrive_until_s,
            source: None,
            pushes: 0,
            pushed_s: None,
            updated_s: 0,
        };
        let decided = Decided {
            item,
            what: Decision::PutOff,
            turn: Turn::default(),
            overwritten: Vec::new(),
            comes_back: false,
            former: Remote::new(),
            marked: None,
            tried: None,
        };
        (decided, asked.answer)
    }

    /// Whether a request is to be sent for the entity.
    pub(crate) fn is_to_be_pushed(&self) -> bool {
        matches!(self.what, Decision::Upsert { .. } | Decision::Delete(_))
    }

    /// Whether the entity is to be upserted.
    pub(crate) fn is_to_be_upserted(&self) -> bool {
        matches!(self.what, Decision::Upsert { .. })
    }

    /// Takes note of a failure before the push; where no call was made, the entity is put off.
    pub(crate) fn fail(&mut self, failure: Failure, hash: Option<String>) {
        self.what = if failure.was_not_called() {
            Decision::PutOff
        } else {
            Decision::Failed(failure, hash)
        };
    }

    /// What requests to the destination are made of, beside their content.
    pub(crate) fn cargo(&self) -> Cargo<'_> {
        Cargo {
            kind: self.waiting.entity.kind,
            code: &self.code,
            name: &self.name,
            attempts: self.waiting.attempts(),
            cause: self.waiting.cause(),
            pushes: self.pushes,
            changes: self.tried.as_ref().map_or(0, |tried| tried.changes),
            is_last_resort: self.waiting.own_try().is_some(),
            remote: (!self.is_new).then_some(&self.remote),
            of_parent: self.of_parent.as_ref(),
            may_arrive_until_s: self.may_arrive_until_s,
            former: Some(&self.former).filter(|former| !former.is_empty()),
            under: &self.under,
        }
    }

    /// The cargo of an entity of which nothing lies at the destination any more, since it was deleted there.
    pub(crate) fn cargo_anew(&self) -> Cargo<'_> {
        Cargo {
            remote: None,
            ..self.cargo()
        }
    }

    /// The cargo that deletes what lies under an identity. What the destination gave belongs to what lies under the
    /// first identity, and to nothing that lies elsewhere.
    pub(crate) fn cargo_under(&self, identity: &str) -> Cargo<'_> {
        if self.under.is_empty() || self.is_known_under(identity) {
            return self.cargo();
        }
        Cargo {
            former: Some(&self.remote).filter(|remote| !remote.is_empty()),
            ..self.cargo_anew()
        }
    }

    /// What is written down of the entity's push before it begins.
    pub(crate) fn in_flight(&self) -> (Kind, String, Option<Tried>) {
        (self.waiting.entity.kind, self.code.clone(), self.tried.clone())
    }
}

impl Pushed {
    /// Whether it was not sent because another one has not let its identity go.
    pub(crate) fn is_late(&self) -> bool {
        let is_late = |failure: &Failure| failure.tries == 0 && failure.status.is_none() && !failure.unsettled;
        self.has_waited && matches!(&self.what, Outcome::Failed(failure, _) if is_late(failure))
    }

    /// The entity, and what its push was to bring.
    pub(crate) fn parts(&mut self) -> (&mut Item, &Option<Tried>) {
        (&mut self.item, &self.tried)
    }

    /// What is written down of the entity's push while its end is not settled.
    pub(crate) fn in_flight(&self) -> (Kind, String, Option<Tried>) {
        (self.waiting.entity.kind, self.code.clone(), self.tried.clone())
    }

    /// The identities that the entity may lie under at the destination after a push whose end is not known. It is not under
    /// the one that it wants by an upsert that was not sent.
    pub(crate) fn may_lie_under(&self) -> Vec<String> {
        let mut under = self.under.clone();
        under.retain(|identity| !self.left.gone.contains(identity));
        let wanted = self.wanted.iter().filter(|_| !self.left.is_unsent);
        let wanted = wanted.filter(|wanted| !under.contains(wanted));
        let wanted: Vec<String> = wanted.cloned().collect();
        under.extend(wanted);
        under
    }
}

impl Kept {
    /// The entity, and what its push was to bring.
    pub(crate) fn parts(&mut self) -> (&mut Item, &Option<Tried>) {
        (&mut self.item, &self.tried)
    }
}

impl Item {
    /// A digest of what the destination gave of the parent, for the index; none where that is not sent.
    pub(crate) fn mark_of_parent(&self) -> Option<String> {
        self.of_parent.as_ref().map(mark_of)
    }

    /// What tells the entity's push of what has this hash from all others.
    pub(crate) fn name_of_push(&self, hash: &str) -> String {
        name_of_push(hash, self.mark_of_parent().as_deref(), self.wanted.as_ref())
    }

    /// Whether what the destination gave belongs to what lies under an identity.
    pub(crate) fn is_known_under(&self, identity: &str) -> bool {
        !self.remote.is_empty() && self.under.first().is_some_and(|first| first == identity)
    }

    /// Whether this is a model whose push means that its variants may have changed. One that reconciliation found and
    /// that was never pushed before is none: reconciliation reads its variants by itself.
    pub(crate) fn has_variants_to_mark(&self) -> bool {
        self.waiting.entity.kind == Kind::ProductModel && !(self.is_new && self.waiting.is_reconciliation())
    }

    /// Whether an event announced the deletion of the entity, or of a model with which it went.
    pub(crate) fn is_deletion_announced(&self) -> bool {
        self.waiting.is_deletion_announced() || self.went_with_a_model
    }
}

/// The change of a model for which its variants are all marked.
pub(crate) struct Marked {
    /// Tells this change from the model's next one.
    pub(crate) id: String,
    /// Whether the store holds already that they are marked.
    pub(crate) is_kept: bool,
}
