//! An entity of a batch and how far it has come.

use destination::Cargo;
use model::entity::{Entity, Kind};
use model::failure::{Class, Failure};
use queue::entry::Mark;
use queue::key::Hold;
use queue::retry::Tried;
use queue::waiting::Waiting;
use serde_json::Value;
use shape::{Removal, Upsert};

/// An entity of a batch and how far it has come.
pub(crate) struct Item {
    pub(crate) waiting: Waiting,
    pub(crate) code: String,
    /// How log lines and failures name it.
    pub(crate) name: String,
    /// What its keys say that it is, if the PIM spells its code in another way.
    pub(crate) other_spelling: Option<Entity>,
    /// Whether the list that was asked for it had it; none if there was no such list.
    pub(crate) is_listed: Option<bool>,
    /// Whether it was read from the database itself, past a search index that lags.
    pub(crate) by_id: bool,
    /// When it was about to be read, in seconds since the Unix epoch.
    pub(crate) read_s: u64,
    /// Whether the PIM has nothing of it.
    pub(crate) is_gone: bool,
    /// Whether it is gone together with a model of which an event said that it is deleted.
    pub(crate) went_with_a_model: bool,
    /// The model that it inherits from, as it was read.
    pub(crate) parent: Option<Mark>,
    /// Whether the index has nothing of it.
    pub(crate) is_new: bool,
    /// The hash of a model as the PIM gives it, where the hash of what is sent does not tell its every change.
    pub(crate) source: Option<String>,
    /// Of a model, the change whose variants are all marked.
    pub(crate) marked: Option<Marked>,
    /// How often it was pushed or removed, as far as the index knows.
    pub(crate) pushes: u64,
    /// What its push is to bring.
    pub(crate) tried: Option<Tried>,
    /// When what was pushed before was updated, in seconds since the Unix epoch; none if nothing was.
    pub(crate) pushed_s: Option<u64>,
    /// Its `updated` as it was read now, in seconds since the Unix epoch.
    pub(crate) updated_s: u64,
    pub(crate) stage: Stage,
}

pub(crate) enum Stage {
    /// Not looked at, or put off: its keys stay as they are.
    Waiting,
    /// Read.
    Found(Value),
    /// Gone, or hidden.
    Gone,
    /// To be upserted.
    Upsert {
        upsert: Upsert,
        hash: String,
        updated_s: u64,
    },
    /// To be deleted, like this.
    Delete(Removal),
    /// Upserted.
    Upserted { hash: String, updated_s: u64 },
    /// Deleted.
    Deleted,
    /// Nothing to do, and done.
    Done,
    /// The brake holds its deletion back.
    Braked,
    /// Gone by its id alone: looked at once more before it is deleted.
    Doubted,
    /// Failed; with the hash of what was refused.
    Failed(Failure, Option<String>),
}

impl Item {
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
        }
    }

    /// What is written down of its push.
    pub(crate) fn in_flight(&self) -> (Kind, String, Option<Tried>) {
        (self.waiting.entity.kind, self.code.clone(), self.tried.clone())
    }

    /// Whether its push means that its variants may have changed. Not for a model that reconciliation found and that
    /// was never pushed before: reconciliation looks at its variants by itself.
    pub(crate) fn has_variants_to_mark(&self) -> bool {
        self.waiting.entity.kind == Kind::ProductModel && !(self.is_new && self.waiting.is_reconciliation())
    }

    /// Takes on the code as the PIM spells it, to which letter case makes no difference: its keys, its entry of the index
    /// and its path are of that spelling.
    pub(crate) fn respell(&mut self, code: String) {
        if self.code != code {
            let kind = self.waiting.entity.kind;
            let other = std::mem::replace(&mut self.waiting.entity, Entity::new(kind, &code));
            self.other_spelling.get_or_insert(other);
            self.name = format!("{}/{code}", kind.name());
            self.code = code;
        }
    }

    /// Whether only one request says that it is gone: the list that was asked for it does not lack it, and it was not
    /// looked at for that reason before.
    pub(crate) fn is_doubtful(&self) -> bool {
        let was_doubted = self
            .waiting
            .retries
            .iter()
            .any(|(retry, _)| retry.hold == Some(Hold::Doubt));
        self.is_listed != Some(false) && !was_doubted
    }

    /// Whether an event said that it is deleted, or that a model is with which it went.
    pub(crate) fn is_deletion_announced(&self) -> bool {
        self.waiting.is_deletion_announced() || self.went_with_a_model
    }

    pub(crate) fn is_to_be_pushed(&self) -> bool {
        matches!(self.stage, Stage::Upsert { .. } | Stage::Delete(_))
    }

    /// A failure as a stage: what no call was made for stays as it is.
    pub(crate) fn failed(failure: Failure, hash: Option<String>) -> Stage {
        if failure.class == Class::Held {
            Stage::Waiting
        } else {
            Stage::Failed(failure, hash)
        }
    }
}

/// The change of a model whose variants are all marked.
pub(crate) struct Marked {
    /// Tells it from the next.
    pub(crate) id: String,
    /// Whether that is kept.
    pub(crate) is_kept: bool,
}
