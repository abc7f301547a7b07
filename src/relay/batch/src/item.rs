//! An entity of a batch, as a type for each stage of its way: `Asked` → `Decided` → `Pushed` → `Kept`.

use destination::Cargo;
use model::entity::digest;
use model::entity::{Entity, Kind};
use model::failure::{Class, Failure};
use protocol::remote::Remote;
use queue::entry::Mark;
use queue::key::Hold;
use queue::retry::Tried;
use queue::waiting::Waiting;
use serde_json::{Value, json};
use shape::{Removal, Upsert};
use std::ops::{Deref, DerefMut};

/// What the PIM is asked for, and what it answered.
pub(crate) struct Asked {
    pub(crate) waiting: Waiting,
    pub(crate) code: String,
    /// What its keys say that it is, if the PIM spells its code in another way.
    pub(crate) other_spelling: Option<Entity>,
    /// Whether the list that was asked for it had it; none if there was no such list.
    pub(crate) is_listed: Option<bool>,
    /// Whether it was read from the database itself, past a search index that lags.
    pub(crate) by_id: bool,
    /// When it was about to be read, in seconds since the Unix epoch.
    pub(crate) read_s: u64,
    /// Until when a push of it may arrive whose end nobody saw, in seconds since the Unix epoch.
    pub(crate) may_arrive_until_s: Option<u64>,
    /// Under which identities it lies at the destination, or may lie, where they are no function of its id.
    pub(crate) under: Vec<String>,
    /// What the destination gave of what it belongs to, where that is sent; none if it belongs to nothing.
    pub(crate) of_parent: Option<Remote>,
    pub(crate) answer: Answer,
}

/// What the PIM answered.
pub(crate) enum Answer {
    /// Nothing yet: its keys stay as they are.
    None,
    /// Nothing is wanted of it, or what waits for it waits under another spelling.
    Needless,
    /// It is there, like this.
    Found(Value),
    /// It is gone, or hidden.
    Gone {
        /// Whether together with a model of which an event said that it is deleted.
        with_a_model: bool,
    },
    /// No answer that tells anything.
    Failed(Failure),
}

impl Asked {
    /// Whether the PIM was not asked for it, or told nothing: then nothing comes of it now, whatever the index knows of it.
    pub(crate) fn is_unanswered(&self) -> bool {
        match &self.answer {
            Answer::None => true,
            Answer::Failed(failure) => failure.class == Class::NotCalled,
            Answer::Needless | Answer::Found(_) | Answer::Gone { .. } => false,
        }
    }

    /// What is asked for now.
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

    /// What its keys say that it is, and what the PIM says.
    pub(crate) fn spellings(&self) -> impl Iterator<Item = &Entity> {
        [Some(&self.waiting.entity), self.other_spelling.as_ref()]
            .into_iter()
            .flatten()
    }

    /// What it inherits from or lies in, as the PIM gave it.
    pub(crate) fn parent(&self) -> Option<Entity> {
        let Answer::Found(entity) = &self.answer else {
            return None;
        };
        let code = entity.get("parent").and_then(Value::as_str)?;
        let kind = match self.waiting.entity.kind {
            Kind::Category => Kind::Category,
            Kind::Product | Kind::ProductModel => Kind::ProductModel,
        };
        Some(Entity::new(kind, code))
    }

    /// How log lines and failures name it.
    pub(crate) fn name(&self) -> String {
        name(self.waiting.entity.kind, &self.code)
    }

    /// Takes on the code as the PIM spells it, to which letter case makes no difference: its keys, its entry of the index
    /// and its path are of that spelling.
    pub(crate) fn respell(&mut self, code: String) {
        if self.code != code {
            let kind = self.waiting.entity.kind;
            let other = std::mem::replace(&mut self.waiting.entity, Entity::new(kind, &code));
            self.other_spelling.get_or_insert(other);
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

    /// Takes note of a failure: where no call was made, nothing is known of it.
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

/// An entity of a batch: what was read of it, and what was known of it before. Every stage of a batch has it.
pub(crate) struct Item {
    pub(crate) waiting: Waiting,
    pub(crate) code: String,
    /// How log lines and failures name it.
    pub(crate) name: String,
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
    /// Under which identities it lies at the destination, or may lie, where they are no function of its id.
    pub(crate) under: Vec<String>,
    /// The identity that it is to have, where that is no function of its id.
    pub(crate) wanted: Option<String>,
    /// Whether it lies under the identity that it is to have and nowhere else, as the end of a push told.
    pub(crate) lies_there: bool,
    /// Whether the index has nothing of it.
    pub(crate) is_new: bool,
    /// What the destination gave of it.
    pub(crate) remote: Remote,
    /// What the destination gave of what it belongs to, where that is sent; none if it belongs to nothing.
    pub(crate) of_parent: Option<Remote>,
    /// Until when a push of it may arrive whose end nobody saw, in seconds since the Unix epoch.
    pub(crate) may_arrive_until_s: Option<u64>,
    /// The hash of a model as the PIM gives it, where the hash of what is sent does not tell its every change.
    pub(crate) source: Option<String>,
    /// How often it was pushed or removed, as far as the index knows.
    pub(crate) pushes: u64,
    /// When what was pushed before was updated, in seconds since the Unix epoch; none if nothing was.
    pub(crate) pushed_s: Option<u64>,
    /// Its `updated` as it was read now, in seconds since the Unix epoch.
    pub(crate) updated_s: u64,
}

/// An entity of which it is decided what is to be done with it.
pub(crate) struct Decided {
    pub(crate) item: Item,
    /// What is to be done.
    pub(crate) what: Decision,
    /// In which wave of upserts it goes, and after which item of the batch that must have let its identity go.
    pub(crate) turn: Turn,
    /// What it lay under till now and is not deleted, since that item of the batch overwrites it.
    pub(crate) overwritten: Vec<(String, usize)>,
    /// Whether it is looked at again once it is gone: it is wanted, and cannot be there as it is.
    pub(crate) comes_back: bool,
    /// What the destination gave of the one that lets its identity go in this batch: a search may still find that one.
    pub(crate) former: Remote,
    /// Of a model, the change whose variants are all marked.
    pub(crate) marked: Option<Marked>,
    /// What its push is to bring.
    pub(crate) tried: Option<Tried>,
}

/// An entity whose push is over.
pub(crate) struct Pushed {
    pub(crate) item: Item,
    /// What became of it.
    pub(crate) what: Outcome,
    /// What became of what it lay under.
    pub(crate) left: Left,
    /// Whether it waited for another one of the batch to let its identity go.
    pub(crate) has_waited: bool,
    /// Whether it is looked at again once it is gone.
    pub(crate) comes_back: bool,
    /// Of a model, the change whose variants are all marked.
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

/// What became of what an entity lay under until its push.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    /// What was deleted, as the end of each deletion told, or overwritten by another one.
    pub(crate) gone: Vec<String>,
    /// What it lies under still, since the one that was to overwrite it did not come.
    pub(crate) still: Vec<String>,
    /// Whether something was deleted, or may have been.
    pub(crate) has_any: bool,
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
    /// Nothing now: its keys stay as they are.
    PutOff,
    /// It is to be upserted.
    Upsert {
        upsert: Box<Upsert>,
        hash: String,
        updated_s: u64,
        /// What it lies under till now is deleted before.
        leaving: Vec<Removal>,
    },
    /// It is to be deleted, like this: once for each identity that it lies under.
    Delete(Vec<Removal>),
    /// The destination keeps it, and it is no more looked after.
    LetGo,
    /// Nothing is to be done.
    Done,
    /// The brake holds its deletion back.
    Braked,
    /// It is gone by its id alone: looked at once more before it is deleted.
    Doubted,
    /// It failed; with the hash of what could not be sent.
    Failed(Failure, Option<String>),
}

/// What became of an entity.
pub(crate) enum Outcome {
    /// Nothing: its keys stay as they are.
    PutOff,
    /// It was upserted.
    Upserted {
        hash: String,
        updated_s: u64,
        /// What is known of it there.
        remote: Remote,
        /// Whether something was deleted that it lay under before.
        has_left: bool,
    },
    /// It was deleted.
    Deleted,
    /// The destination keeps it, and it is no more looked after.
    LetGo,
    /// There was nothing to do.
    Done,
    /// The brake holds its deletion back.
    Braked,
    /// It is gone by its id alone: looked at once more before it is deleted.
    Doubted,
    /// It failed; with the hash of what was refused.
    Failed(Failure, Option<String>),
}

/// When an upsert's turn is among those of its batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// How many waves of upserts go before it.
    pub(crate) wave: usize,
    /// The item of the batch that holds its identity till now, and must have let it go.
    pub(crate) after: Option<usize>,
    /// Whether it is deleted and made anew, although a change could tell the destination what it is called now.
    pub(crate) starts_anew: bool,
}

/// Which keys of an entity are done with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// None.
    PutOff,
    /// Those that said when it is looked at: another one says when it is looked at again.
    Later,
    /// All that were listed.
    Over {
        /// Whether the destination took it.
        has_reached: bool,
    },
}

impl Decided {
    /// What is known of an entity that was asked for; what the index knows and what is decided comes after it.
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

    /// Whether a request is to be sent for it.
    pub(crate) fn is_to_be_pushed(&self) -> bool {
        matches!(self.what, Decision::Upsert { .. } | Decision::Delete(_))
    }

    /// Whether it is to be upserted.
    pub(crate) fn is_to_be_upserted(&self) -> bool {
        matches!(self.what, Decision::Upsert { .. })
    }

    /// Takes note of a failure before it was pushed: where no call was made, it stays as it is.
    pub(crate) fn fail(&mut self, failure: Failure, hash: Option<String>) {
        self.what = if failure.was_not_called() {
            Decision::PutOff
        } else {
            Decision::Failed(failure, hash)
        };
    }

    /// How it goes to the destination.
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
        }
    }

    /// The same of an entity of which nothing lies at the destination any more: what it lay under was deleted.
    pub(crate) fn cargo_anew(&self) -> Cargo<'_> {
        Cargo {
            remote: None,
            ..self.cargo()
        }
    }

    /// The same to delete what lies under an identity: what the destination gave is of what lies under the first, and of
    /// nothing that lies elsewhere.
    pub(crate) fn cargo_under(&self, identity: &str) -> Cargo<'_> {
        if self.under.is_empty() || self.is_known_under(identity) {
            return self.cargo();
        }
        Cargo {
            former: Some(&self.remote).filter(|remote| !remote.is_empty()),
            ..self.cargo_anew()
        }
    }

    /// What is written down of its push.
    pub(crate) fn in_flight(&self) -> (Kind, String, Option<Tried>) {
        (self.waiting.entity.kind, self.code.clone(), self.tried.clone())
    }
}

impl Pushed {
    /// The entity, and what its push was to bring.
    pub(crate) fn parts(&mut self) -> (&mut Item, &Option<Tried>) {
        (&mut self.item, &self.tried)
    }

    /// What is written down of its push.
    pub(crate) fn in_flight(&self) -> (Kind, String, Option<Tried>) {
        (self.waiting.entity.kind, self.code.clone(), self.tried.clone())
    }

    /// Under which identities it may lie at the destination after a push whose end is not known.
    pub(crate) fn may_lie_under(&self) -> Vec<String> {
        let mut under = self.under.clone();
        under.retain(|identity| !self.left.gone.contains(identity));
        let wanted = self.wanted.iter().filter(|wanted| !under.contains(wanted));
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
    /// What tells what the destination had given of its parent from something else; none where that is not sent.
    pub(crate) fn mark_of_parent(&self) -> Option<String> {
        let mark = |remote: &Remote| digest(json!(remote).to_string().as_bytes())[..8].to_owned();
        self.of_parent.as_ref().map(mark)
    }

    /// Whether what the destination gave is of what lies under an identity.
    pub(crate) fn is_known_under(&self, identity: &str) -> bool {
        !self.remote.is_empty() && self.under.first().is_some_and(|first| first == identity)
    }

    /// Whether its push means that its variants may have changed. Not for a model that reconciliation found and that
    /// was never pushed before: reconciliation looks at its variants by itself.
    pub(crate) fn has_variants_to_mark(&self) -> bool {
        self.waiting.entity.kind == Kind::ProductModel && !(self.is_new && self.waiting.is_reconciliation())
    }

    /// Whether an event said that it is deleted, or that a model is with which it went.
    pub(crate) fn is_deletion_announced(&self) -> bool {
        self.waiting.is_deletion_announced() || self.went_with_a_model
    }
}

/// The change of a model whose variants are all marked.
pub(crate) struct Marked {
    /// Tells it from the next.
    pub(crate) id: String,
    /// Whether that is kept.
    pub(crate) is_kept: bool,
}
