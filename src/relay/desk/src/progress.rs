//! The record of how far the marking of models' variants has come.
//!
//! It is written after every page, so that a later tick goes on where the last one was. It counts for the models and
//! changes that it names and for no others. A list that fails for several parents is asked for half as many, and for
//! more again once they come.

use akeneo::pim::Page;
use model::entity::{BATCH_MAX, Kind};
use model::failure::Failure;
use model::gap::Gap;
use serde::{Deserialize, Serialize};

/// How far the marking of some models' variants has come; kept under the key of the first of these models.
#[derive(Default, Serialize, Deserialize)]
pub struct Progress {
    /// Version of this format.
    pub v: u32,
    /// Tells these changes of these models from all others; where `is_done`, the one change of the one model.
    pub hash: String,
    /// The change of each of the models, as the room `batch` names it; empty where `is_done`.
    #[serde(default)]
    pub members: Vec<String>,
    /// Whether all variants of the model are marked: kept where the model's own push did not come through afterwards.
    #[serde(default)]
    pub is_done: bool,
    /// Sub-models found so far, whose variants are to be marked, too.
    #[serde(default)]
    pub sub_models: Vec<String>,
    /// The kind of what is being marked: none for sub-models, which come first, then products.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Of how many parents all that lies below them is marked, in the order of the parents.
    #[serde(default)]
    pub parents: usize,
    /// The next page of the list of what lies below the next parents; none is the first page.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many parents the list with this cursor is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<usize>,
    /// For how many parents one call asks at most, since it failed for more; none where nothing failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<usize>,
    /// Whether the list of the next sub-model failed, and the PIM was not asked yet whether it answers other searches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_doubted: bool,
    /// What is known of entities behind the cursor that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Box<Gap>>,
}

impl Progress {
    /// Takes note that a page of the list of so many parents is marked.
    pub fn take(&mut self, kind: Kind, page: &Page, parents: usize) {
        if kind == Kind::ProductModel {
            self.sub_models
                .extend(page.items.iter().filter_map(|item| kind.id_in(item)));
        }
        (self.cursor, self.asked) = (page.next.clone(), Some(parents));
        if self.cursor.is_none() {
            self.pass(parents);
        }
    }

    /// Takes note that so many parents are done with. The next call may ask for twice as many as the last one.
    pub fn pass(&mut self, parents: usize) {
        self.parents += parents;
        (self.cursor, self.gap, self.asked) = (None, None, None);
        let more = self.at_once.map(|at_once| at_once * 2);
        self.at_once = more.filter(|more| *more < BATCH_MAX);
    }

    /// Asks for half as many parents from now on, where one of several may be why their list does not come; says
    /// whether it does. The cursor stays good: what came so far held all that the first half has there, too.
    pub fn narrows(&mut self, parents: usize, failure: &Failure) -> bool {
        let narrows = parents > 1 && failure.may_be_of_one();
        if narrows {
            (self.at_once, self.gap, self.asked) = (Some(parents / 2), None, None);
            // The cursor of a `GET` holds the filter that it was made for, and so names all of the parents.
            self.cursor = self.cursor.take().filter(|cursor| !cursor.contains("search="));
        }
        narrows
    }
}
