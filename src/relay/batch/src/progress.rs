//! How far the marking of models' variants has come.

use akeneo::pim::Page;
use model::entity::{BATCH_MAX, Kind};
use model::failure::Failure;
use model::gap::Gap;
use serde::{Deserialize, Serialize};

/// How far the marking of some models' variants has come, under the key of the first of them.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) v: u32,
    /// Tells these changes of these models from all others.
    pub(crate) hash: String,
    /// Each of them, as [`Marking::name`] tells it; none of a model whose marking is done.
    #[serde(default)]
    pub(crate) members: Vec<String>,
    /// Whether all of it is done: kept where a model's push did not come through after it.
    #[serde(default)]
    pub(crate) is_done: bool,
    /// Sub-models found so far, whose variants are to be marked, too.
    #[serde(default)]
    pub(crate) sub_models: Vec<String>,
    /// The kind that is being marked; none is the first.
    #[serde(default)]
    pub(crate) kind: Option<Kind>,
    /// How many parents are done with.
    #[serde(default)]
    pub(crate) parents: usize,
    /// The next page of the next ones.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
    /// For how many parents the cursor stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<usize>,
    /// For how many parents one call asks, since it failed for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at_once: Option<usize>,
    /// Whether the next sub-model's list failed, and the PIM was not asked yet whether it answers others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_doubted: bool,
    /// What is known of entities there that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gap: Option<Box<Gap>>,
}

impl Progress {
    /// A page is marked.
    pub(crate) fn take(&mut self, kind: Kind, page: &Page, parents: usize) {
        if kind == Kind::ProductModel {
            self.sub_models
                .extend(page.items.iter().filter_map(|item| kind.id_in(item)));
        }
        (self.cursor, self.asked) = (page.next.clone(), Some(parents));
        if self.cursor.is_none() {
            self.pass(parents);
        }
    }

    /// So many parents are done with; more of them may come by one call again.
    pub(crate) fn pass(&mut self, parents: usize) {
        self.parents += parents;
        (self.cursor, self.gap, self.asked) = (None, None, None);
        let more = self.at_once.map(|at_once| at_once * 2);
        self.at_once = more.filter(|more| *more < BATCH_MAX);
    }

    /// One of so many parents may be why their list does not come: says whether fewer are asked for now. What came of the
    /// list so far is of the first of them, too.
    pub(crate) fn narrows(&mut self, parents: usize, failure: &Failure) -> bool {
        let narrows = parents > 1 && failure.may_be_of_one();
        if narrows {
            (self.at_once, self.gap, self.asked) = (Some(parents / 2), None, None);
            // The cursor of a `GET` holds the filter that it was made for, and so all of them.
            self.cursor = self.cursor.take().filter(|cursor| !cursor.contains("search="));
        }
        narrows
    }
}
