//! Pages of the PIM's lists, in whatever size the PIM can give, and past what it cannot.
//!
//! A page that takes too long, is too large or breaks the PIM is asked for smaller, down to a single entity. The size
//! that comes through is kept, by kind, and grows again. An entity that cannot be read even alone makes a gap: where
//! the gap ends is found by asking from other places of the list (contract 4.4, 4.5), and then it is passed over.
//! Whoever calls keeps the cursor and what is known of the gap from one question to the next. Nothing is passed over
//! for a failure while the PIM does not answer other searches either, so that an outage is never taken for a gap.

use crate::pim::{Page, Pim, Whose, first_page};
use crate::query::{after_number, sized};
use model::entity::{BATCH_MAX, Kind, uuid_bytes};
use model::failure::{Class, Failure};
use model::gap::{Gap, Measure, Point};
use model::page_size::PageSize;
use model::path::parameter;
use serde_json::{Value, json};
use world::host::Host;
use world::mistake::{Mistake, made};

/// How many entities that cannot be read are told apart at one place at most. Each may be a criterion of the search, of
/// which the PIM takes twenty (contract 4.3).
const LEFT_OUT_MAX: usize = 16;

/// How many numbered pages in a row are passed over at most: where more fail, the list itself cannot be read.
const ROW_MAX: usize = 16;

/// A day, in seconds. Two days ahead of now nothing has been created in the PIM, whatever its zone.
const DAY_S: u128 = 86_400;

/// A UUID, and a code, that no entity has.
const NOBODY: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// What the breaker knows pages by: one that fails in every size counts as one thing that fails, and not as many.
const SUBJECT: &str = "a page of its list";

/// Whether a failure is the request's, such as one for a cursor that the PIM does not take, and not that of the
/// entities which the request would find (contract 4.7).
fn is_of_the_request(failure: &Failure) -> bool {
    failure.class == Class::Permanent && matches!(failure.status, Some(400 | 422))
}

/// A page of a list, which is asked for on behalf of no single entity.
const OF_A_PAGE: Whose<'_> = Whose {
    entity: None,
    subject: Some(SUBJECT),
    attempts: 0,
    is_divisible: false,
    is_question: false,
};

/// Which entities of a kind are listed.
#[derive(Debug, Clone, Copy)]
pub enum List<'a> {
    /// All entities.
    All,
    /// Those updated after a moment, which is a text as the kind's filter takes it (contract 4.5): of
    /// [`model::time::filter_text`], or of [`model::time::text`] for categories.
    UpdatedAfter(&'a str),
    /// Those directly below some models: their sub-models, or their variants.
    Below(&'a [&'a str]),
}

impl List<'_> {
    /// The name of the entity that the list is about, if it is about a single one.
    fn name(self) -> Option<String> {
        match self {
            List::Below([model]) => Some(format!("{}/{model}", Kind::ProductModel.name())),
            _ => None,
        }
    }

    /// For whom a page of the list is asked for, with the name that [`List::name`] gave.
    fn whose(self, name: &Option<String>) -> Whose<'_> {
        match self {
            List::Below(models) => Whose {
                entity: name.as_deref(),
                is_divisible: models.len() > 1,
                ..Whose::default()
            },
            _ => OF_A_PAGE,
        }
    }

    fn search(self, kind: Kind) -> Value {
        match (self, kind) {
            (List::All, _) => json!({}),
            (List::UpdatedAfter(moment), _) => json!({ "updated": [{ "operator": ">", "value": moment }] }),
            (List::Below(models), _) => json!({ "parent": [{ "operator": "IN", "value": models }] }),
        }
    }
}

/// What came of asking once for a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Turned {
    /// The page.
    Page(Page),
    /// No page came, and more is known of why: the caller is to ask again.
    Again,
    /// Entities that cannot be read are passed over: those of these ids or, where there are none, one or more whose ids
    /// are not known.
    PassedOver(Vec<String>),
    /// The list does not come, in whatever size and from whatever place, although the PIM answers other searches.
    Stuck(Failure),
}

/// Whether asking for less may help after a failure.
fn may_narrow(failure: &Failure) -> bool {
    failure.is_for_size() && !made(Mistake::NeverNarrow)
}

impl<H: Host> Pim<'_, H> {
    /// How many entities are asked for at once of the lists that a breaker guards.
    pub fn page_size(&self, circuit: &str) -> usize {
        self.sizes.get(circuit).map_or(BATCH_MAX, PageSize::limit)
    }

    /// Takes note that a page of the lists that a breaker guards came: after enough of them larger ones are asked for.
    pub fn page_came(&mut self, circuit: &str) {
        if let Some(size) = self.sizes.get_mut(circuit) {
            size.came();
        }
    }

    /// Whether a smaller page may come where one of `asked` entities failed like this. If so, smaller ones are asked
    /// for from now on.
    pub fn page_narrows(&mut self, circuit: &str, asked: usize, failure: &Failure) -> bool {
        if asked <= 1 || !may_narrow(failure) {
            return false;
        }
        self.sizes.entry(circuit.to_owned()).or_default().failed(asked)
    }

    /// Asks once for the next page of a list: behind a cursor, or from the beginning where there is none. The caller
    /// keeps the cursor and the gap, both of which may change here, and sets the cursor to the page's `next` when a
    /// page came.
    ///
    /// Products and models come in the order of ids (contract 4.4). No list is asked for by channel, which would hide
    /// what is in no category (contract 4.3; 6, trap 17). A list leaves attributes out only by naming those that are
    /// wanted, and none is known to exist, so entities come whole (contract 4.3).
    ///
    /// # Errors
    /// The call failed or was not made. Nothing is concluded from that: what was known of a gap before is still known.
    pub async fn turn(
        &mut self,
        kind: Kind,
        list: List<'_>,
        cursor: &mut Option<String>,
        gap: &mut Option<Box<Gap>>,
    ) -> Result<Turned, Failure> {
        let known = gap.as_deref().cloned();
        let (turned, next) = match known {
            // Each question is asked in a call of its own, since a slow PIM may answer only one in a tick.
            Some(known) if known.doubt.is_some() => {
                if let Err(failure) = self.answers(kind).await {
                    if !failure.was_not_called() {
                        *gap = known.believed().map(Box::new);
                    }
                    return Err(failure);
                }
                self.settle(kind, cursor, known)
            }
            Some(known) if known.measure != Measure::Number => self.measure(kind, list, cursor, known).await?,
            known => self.ask_page(kind, list, cursor.as_deref(), known).await?,
        };
        *gap = next.map(Box::new);
        Ok(turned)
    }

    /// One page of a list, as [`Pim::turn`] gives it after as many questions as it takes. What is passed over on the
    /// way is not told.
    ///
    /// # Errors
    /// A call failed or was not made, or the list does not come.
    pub async fn page_of(&mut self, kind: Kind, list: List<'_>, cursor: Option<&str>) -> Result<Page, Failure> {
        let (mut cursor, mut gap) = (cursor.map(str::to_owned), None);
        loop {
            match self.turn(kind, list, &mut cursor, &mut gap).await? {
                Turned::Page(page) => return Ok(page),
                Turned::Again | Turned::PassedOver(_) => {}
                Turned::Stuck(failure) => return Err(failure),
            }
        }
    }

    async fn ask_page(
        &mut self,
        kind: Kind,
        list: List<'_>,
        cursor: Option<&str>,
        known: Option<Gap>,
    ) -> Result<(Turned, Option<Gap>), Failure> {
        let first = first_page(kind, BATCH_MAX);
        let (query, asked) = sized(cursor.unwrap_or(&first), self.page_size(kind.name()));
        let name = list.name();
        let failure = match self.search(kind, &list.search(kind), &query, list.whose(&name)).await {
            Ok(page) => {
                self.page_came(kind.name());
                return Ok((Turned::Page(page), None));
            }
            Err(failure) if self.page_narrows(kind.name(), asked, &failure) => return Ok((Turned::Again, known)),
            Err(failure) => failure,
        };
        if is_of_the_request(&failure) || !may_narrow(&failure) {
            return Err(failure);
        }
        let gap = Gap {
            doubt: Some(failure.reason),
            ..known.unwrap_or_else(|| Gap::behind(kind, cursor))
        };
        Ok((Turned::Again, Some(gap)))
    }

    /// Asks whether the PIM answers searches of a kind at all, by one that finds nothing.
    pub async fn answers(&mut self, kind: Kind) -> Result<(), Failure> {
        self.list(kind, &[NOBODY], 0).await.map(|_| ())
    }

    fn pass_over(&mut self, kind: Kind) {
        if let Some(size) = self.sizes.get_mut(kind.name()) {
            size.passed_over();
        }
    }

    /// Asks once for where a gap ends. Gives what came of that, and what is then known of the gap; none if the gap is
    /// done with.
    async fn measure(
        &mut self,
        kind: Kind,
        list: List<'_>,
        cursor: &mut Option<String>,
        mut gap: Gap,
    ) -> Result<(Turned, Option<Gap>), Failure> {
        let (at, is_ending) = self.asked_at(&gap);
        let failure = match self.ask_behind(kind, list, cursor.as_deref(), &gap, at).await {
            Ok(page) if gap.is_left_out => return Ok(self.without(kind, page, cursor, gap)),
            Ok(_) if is_ending => return Ok((Turned::Again, None)),
            Ok(_) => {
                gap.comes = Some(Point(at));
                return Ok((Turned::Again, Some(gap)));
            }
            Err(failure) => failure,
        };
        if is_of_the_request(&failure) {
            return Ok(match gap.measure {
                // This PIM cannot leave entities out by UUID: those that were found are passed over at once.
                Measure::Uuid if !gap.left_out.is_empty() => (self.pass_over_all(kind, cursor, &gap.left_out), None),
                // This PIM takes no cursor that it has not given itself: the gap is measured by creation from now on.
                Measure::Uuid => (
                    Turned::Again,
                    Some(Gap {
                        is_begun: true,
                        ..Gap::default()
                    }),
                ),
                _ => (Turned::Stuck(failure), None),
            });
        }
        if !failure.is_for_size() {
            return Err(failure);
        }
        gap.doubt = Some(failure.reason);
        Ok((Turned::Again, Some(gap)))
    }

    /// Behind which point a gap is asked for next, and whether its end is known. If it is, it is asked once more
    /// whether the gap is there at all, for the PIM may have failed for another reason.
    fn asked_at(&self, gap: &Gap) -> (u128, bool) {
        if gap.is_left_out {
            return (gap.begins.0, false);
        }
        let next = gap.next(self.end_of(gap));
        (next.unwrap_or(gap.fails.0), next.is_none())
    }

    /// The point of a gap's measure behind which no list has anything.
    fn end_of(&self, gap: &Gap) -> u128 {
        match gap.measure {
            Measure::Uuid => u128::MAX,
            _ => u128::from(self.now_s()) + 2 * DAY_S,
        }
    }

    /// Concludes what follows for a gap where nothing came behind the point that was last asked for, although the PIM
    /// answers other searches.
    fn settle(&mut self, kind: Kind, cursor: &mut Option<String>, mut gap: Gap) -> (Turned, Option<Gap>) {
        let reason = gap.doubt.take().unwrap_or_default();
        let stuck = || {
            (
                Turned::Stuck(Failure {
                    // Unsettled, the failure counts as one for the page's size (`Failure::is_for_size`): less may come.
                    unsettled: true,
                    ..self.governor.failed(Class::Transient, reason.clone())
                }),
                None,
            )
        };
        if gap.measure == Measure::Number {
            if gap.row == ROW_MAX {
                return stuck();
            }
            gap.row += 1;
            let first = first_page(kind, 1);
            *cursor = Some(after_number(&sized(cursor.as_deref().unwrap_or(&first), 1).0));
            self.pass_over(kind);
            return (Turned::PassedOver(Vec::new()), Some(gap));
        }
        if !gap.is_begun {
            gap.is_begun = true;
            return (Turned::Again, Some(gap));
        }
        let (at, is_ending) = self.asked_at(&gap);
        let found = gap.comes.filter(|_| is_ending);
        if let Some(found) = found.filter(|found| !gap.left_out.contains(found)) {
            gap.left_out.push(found);
            gap.is_left_out = true;
            let is_known = gap.measure == Measure::Uuid;
            let turned = if is_known {
                Turned::Again
            } else {
                Turned::PassedOver(Vec::new())
            };
            return (turned, Some(gap));
        }
        if found.is_some() || (gap.is_left_out && gap.left_out.len() >= LEFT_OUT_MAX) {
            // The PIM does not leave out what it is asked to leave out, or there are too many to be told apart.
            return match gap.measure {
                Measure::Uuid => (self.pass_over_all(kind, cursor, &gap.left_out), None),
                _ => stuck(),
            };
        }
        if gap.is_left_out {
            return (Turned::Again, Some(gap.again()));
        }
        if gap.comes.is_none() && at == self.end_of(&gap) {
            return stuck();
        }
        gap.fails = Point(at);
        (Turned::Again, Some(gap))
    }

    /// Takes the page that came once what cannot be read was left out. Of products, the page counts only if its first
    /// product lies before something that was left out; else all that was left out is passed over. What was left out and
    /// lies before the page's first product is passed over first, and the page is asked for once more.
    fn without(&mut self, kind: Kind, mut page: Page, cursor: &mut Option<String>, gap: Gap) -> (Turned, Option<Gap>) {
        if gap.measure != Measure::Uuid {
            let after = page.next.as_deref().and_then(|next| parameter(next, "search_after"));
            page.next = after.map(|after| behind(kind, BATCH_MAX, after));
            self.pass_over(kind);
            return (Turned::Page(page), None);
        }
        let first = page.items.first().and_then(|item| kind.id_in(item));
        let first = first.as_deref().and_then(uuid_bytes);
        let first = first.map_or(u128::MAX, u128::from_be_bytes);
        let (before, behind_it): (Vec<Point>, Vec<Point>) = gap.left_out.iter().partition(|point| point.0 < first);
        match (before.iter().max().copied(), behind_it.is_empty()) {
            (_, true) => (self.pass_over_all(kind, cursor, &gap.left_out), None),
            (None, false) => {
                page.next = Some(behind(kind, BATCH_MAX, &String::from(Point(first))));
                (Turned::Page(page), None)
            }
            (Some(last), false) => {
                let rest = Gap {
                    begins: last,
                    fails: last,
                    left_out: behind_it,
                    ..gap
                };
                (self.pass_over_all(kind, cursor, &before), Some(rest))
            }
        }
    }

    /// Passes over these products; the cursor goes behind the last of them.
    fn pass_over_all(&mut self, kind: Kind, cursor: &mut Option<String>, left_out: &[Point]) -> Turned {
        let last = left_out.iter().copied().max().unwrap_or_default();
        *cursor = Some(behind(kind, BATCH_MAX, &String::from(last)));
        self.pass_over(kind);
        Turned::PassedOver(left_out.iter().map(|point| String::from(*point)).collect())
    }

    /// Asks for the first entity behind a point of a gap's measure.
    async fn ask_behind(
        &mut self,
        kind: Kind,
        list: List<'_>,
        cursor: Option<&str>,
        gap: &Gap,
        at: u128,
    ) -> Result<Page, Failure> {
        let mut search = list.search(kind);
        gap.criteria(&mut search, at);
        let query = match cursor.and_then(|cursor| parameter(cursor, "search_after")) {
            _ if gap.measure == Measure::Uuid => behind(kind, 1, &String::from(Point(at))),
            Some(after) => behind(kind, 1, after),
            None => first_page(kind, 1),
        };
        let whose = Whose {
            is_question: true,
            ..OF_A_PAGE
        };
        self.search(kind, &search, &query, whose).await
    }
}

/// The query of the page behind a cursor, with `limit` entities on it.
fn behind(kind: Kind, limit: usize, after: &str) -> String {
    format!("{}&search_after={after}", first_page(kind, limit))
}
