//! Who holds which identity at the destination, where identities are values of an attribute and can change.
//!
//! It may assume that every entity's page of the index was read, and that a claim alone proves nothing: whoever holds
//! an identity has to lie there, as the index tells. No two entities are brought under one identity. An entity that
//! wants what another one holds waits until that one has let it go: within the batch, if the other one goes to another
//! identity or is deleted there, else it fails, is tried again, and is given up until then. Whoever holds what another
//! one wants is read with the batch, so that a swap or a ring is seen as what it is.

use crate::asking::ask;
use crate::decision::decide;
use crate::item::{Decided, Decision, Outcome, Pushed};
use crate::turns;
use desk::books::Books;
use desk::session::Session;
use desk::stop::Stop;
use desk::tools::{Desk, Upstreams};
use index::claims::Claims;
use index::pages::Pages;
use model::entity::{BATCH_MAX, Entity, Kind};
use model::failure::Class;
use model::gathering::gathered;
use queue::waiting::Waiting;
use shape::{Farewell, Removal};
use std::collections::{BTreeMap, BTreeSet};
use world::host::Host;
use world::mistake::{Mistake, made};

/// Codes of entities, each with an identity that it may lie under besides, since a push under it is in flight.
pub(crate) type InFlight = Vec<(String, String)>;

/// How often an entity whose identity another one holds is tried again before it is given up: the other's change may be
/// under way.
const TRIES: u32 = 2;

/// Reads the entities that hold what entities of a batch want, decides on them and adds them to the batch; and so on,
/// for these may want what others hold, up to twice a batch's most in all. Gives the identities of pushes of holders
/// that are in flight.
pub(crate) async fn bring_holders<H: Host>(
    session: &mut Session<'_, H>,
    kind: Kind,
    decided: &mut Vec<Decided>,
    pages: &mut Pages,
    claims: &mut Claims,
) -> Result<InFlight, Stop> {
    let mut in_flight = InFlight::new();
    let mut known: BTreeSet<String> = gathered(decided.iter().map(|item| item.code.clone()));
    let mut from = 0;
    while from < decided.len() {
        let mut holders = Vec::new();
        for item in &decided[from..] {
            for identity in item.under.iter().chain(&item.wanted) {
                session.books.read_claim(&session.desk, claims, kind, identity).await?;
                // The index tells whether the holders of the identity lie there.
                for other in claims.others(kind, identity, &item.code) {
                    let other = Entity::new(kind, other);
                    session.books.read_page_of(&session.desk, pages, &other).await?;
                }
                for other in claims.others(kind, identity, &item.code) {
                    let tried = session.backlog.tried_in_flight(&session.desk, kind, other).await?;
                    let identities = tried.into_iter().filter_map(|tried| tried.identity);
                    in_flight.extend(identities.map(|identity| (other.to_owned(), identity)));
                }
            }
            if let Some(wanted) = item.wants_another() {
                let others = claims.others(kind, wanted, &item.code);
                holders.extend(others.filter(|holder| !known.contains(*holder)).map(str::to_owned));
            }
        }
        for item in &mut decided[from..] {
            forget_what_it_left(item, pages, claims);
        }
        from = decided.len();
        let room = (2 * BATCH_MAX).saturating_sub(from);
        holders.retain(|holder| known.insert(holder.clone()));
        let mut waiting = Vec::new();
        for code in holders {
            let entity = Entity::new(kind, &code);
            if waiting.len() < room && !session.backlog.is_begun(&entity) {
                let known = session.backlog.plan.find(&entity);
                let known = known.map(Waiting::asked_for_another);
                waiting.push(known.unwrap_or_else(|| Waiting::of_nothing(entity)));
            }
        }
        if !waiting.is_empty() {
            let entities = waiting.iter().map(|waiting| waiting.entity.clone());
            session.backlog.note_begun(entities);
            let asked = ask(session, kind, waiting, None, pages).await?;
            decided.extend(decide(session, asked, pages));
        }
    }
    Ok(in_flight)
}

/// Takes out of what an entity may lie under the identities that it has let go. A push under one of them may be in
/// flight still: its entity is read again once it has settled.
fn forget_what_it_left(item: &mut Decided, pages: &Pages, claims: &Claims) {
    let kind = item.waiting.entity.kind;
    let entry = pages.get(&item.waiting.entity);
    let is_known = |identity: &String| entry.is_some_and(|entry| entry.identities.contains(identity));
    let item = &mut item.item;
    let code = &item.code;
    item.under
        .retain(|identity| is_known(identity) || claims.is_held_by(kind, identity, code));
}

/// Settles which entity of a batch gets which identity: claims are taken over, what is left behind is to be deleted,
/// and an entity that must wait fails, twice for a while and then until the identity is free.
pub(crate) fn settle<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    books: &mut Books,
    (items, pages, in_flight): (&mut [Decided], &Pages, &InFlight),
    claims: &mut Claims,
) {
    let mut waiting = Vec::new();
    let blocked = make_way(desk, books, (items, pages), claims);
    for (item, holder) in items.iter_mut().zip(blocked) {
        let (Some(holder), Some(wanted)) = (holder, item.wanted.clone()) else {
            continue;
        };
        let kind = item.waiting.entity.kind;
        let class = if item.waiting.attempts() < TRIES {
            Class::Transient
        } else {
            Class::Permanent
        };
        let reason = format!(
            "the destination has `{wanted}` already, as that of {}/{holder}: two of the PIM's have one identity. It comes by itself once the other is called otherwise or gone",
            kind.name(),
        );
        let name = match &item.what {
            Decision::Upsert { hash, .. } if class == Class::Permanent => Some(item.name_of_push(hash)),
            _ => None,
        };
        // Nothing is sent of the entity, so that it stays under the identity that it has.
        item.wanted = None;
        item.fail(upstreams.pim_failure(class, &reason), name);
        waiting.push((kind, wanted, item.code.clone(), holder));
    }
    take_over(items, claims, pages);
    for (kind, wanted, code, holder) in waiting {
        claims.wait(kind, &wanted, &code, &holder);
    }
    if turns::renames(desk, items) && items.iter().any(|item| item.wants_another().is_some()) {
        turns::take(items);
    }
    // An entity that the brake holds overwrites nothing, so others may have to delete what it was to overwrite.
    while leave(desk, books, (items, pages, in_flight), claims) {}
}

/// Tells which entities cannot have the identity that they want, and which entity holds it. A blocked entity makes way
/// if it lies under an identity that it is not to have any more and another one wants, and if the brake lets it: it is
/// to be deleted there, and is queued again, since it is wanted under its new identity. One that the brake does not let
/// is held.
fn make_way<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    (items, pages): (&mut [Decided], &Pages),
    claims: &Claims,
) -> Blocked {
    let mut staying = Vec::new();
    let renames = turns::renames(desk, items);
    loop {
        let (mut blocked, going) = blocked((items, renames), claims, pages, &staying);
        let mut lets_through = |at: &usize| books.brake_lets_through(desk, &items[*at].waiting.entity);
        let braked: Vec<usize> = going.iter().copied().filter(|at| !lets_through(at)).collect();
        staying.extend(&braked);
        if braked.is_empty() {
            for at in going {
                blocked[at] = None;
                (items[at].what, items[at].wanted, items[at].comes_back) = (Decision::Delete(Vec::new()), None, true);
            }
            for at in staying {
                blocked[at] = None;
                (items[at].what, items[at].wanted) = (Decision::Braked, None);
            }
            return blocked;
        }
    }
}

/// Tells which entities cannot have the identity that they want, with the entity that holds it, and which of them make
/// way for another one. A blocked entity that does not make way keeps what it has, which may block others in turn.
fn blocked(
    (items, renames): (&[Decided], bool),
    claims: &Claims,
    pages: &Pages,
    staying: &[usize],
) -> (Blocked, Vec<usize>) {
    let by_code = by_code(items);
    let mut blocked: Blocked = vec![None; items.len()];
    loop {
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let (mut more, mut going) = (Vec::new(), Vec::new());
        // Who has claimed an identity comes before others that want it, too.
        let wanting = (0..items.len()).filter(|at| blocked[*at].is_none());
        let (first, then): (Vec<usize>, Vec<usize>) = wanting.partition(|at| has_claimed(&items[*at], claims));
        for at in first.into_iter().chain(then) {
            let item = &items[at];
            let Some(wanted) = item.wants_another() else { continue };
            let kind = item.waiting.entity.kind;
            let goes = |other: &usize| {
                let holder = &items[*other];
                let is_in_the_way = blocked[*other].is_some() && !staying.contains(other);
                is_in_the_way && holder.lies_under(wanted) && gives_way(holder, item, wanted)
            };
            // Of several that may lie there and want to, one overwrites or finds what the others may have there. A thing
            // that may have been renamed stays that of its entity.
            let comes_after = |other: usize| {
                let is_for_this = blocked[other].as_ref().is_none_or(|by| *by == item.code);
                let keeps_its_thing = renames && !items[other].remote.is_empty();
                is_for_this && !keeps_its_thing && items[other].comes_for(wanted)
            };
            let holds = |holder: &&str| match by_code.get(*holder) {
                Some(other) if comes_after(*other) => false,
                Some(other) => !goes(other) && items[*other].keeps(wanted, blocked[*other].is_some()),
                None => lies_under(pages, kind, holder, wanted),
            };
            let holders = claims.others(kind, wanted, &item.code);
            for other in holders.filter_map(|holder| by_code.get(holder).copied()).filter(goes) {
                if !going.contains(&other) {
                    going.push(other);
                }
            }
            let holder = claims.others(kind, wanted, &item.code).find(holds);
            match (holder, taken.get(wanted)) {
                (Some(holder), _) => more.push((at, holder.to_owned())),
                (None, Some(first)) => more.push((at, items[*first].code.clone())),
                (None, None) => drop(taken.insert(wanted.to_owned(), at)),
            }
        }
        if more.is_empty() {
            return (blocked, going);
        }
        more.into_iter().for_each(|(at, holder)| blocked[at] = Some(holder));
    }
}

/// Whether an entity was the last to claim the identity that it wants.
fn has_claimed(item: &Decided, claims: &Claims) -> bool {
    let kind = item.waiting.entity.kind;
    item.wants_another()
        .is_some_and(|wanted| claims.holder(kind, wanted) == Some(&item.code))
}

/// For every item of a batch the code of the entity that holds what it wants; none where nothing blocks it.
type Blocked = Vec<Option<String>>;

/// The number of every entity in its batch, by its code.
fn by_code(items: &[Decided]) -> BTreeMap<String, usize> {
    gathered(items.iter().enumerate().map(|(at, item)| (item.code.clone(), at)))
}

/// Whether a blocked entity makes way where it lies, since another one is to have that identity by now: once one of the
/// two would be given up else. Until then an edit that gives the other one a new identity may be under way.
fn gives_way(holder: &Decided, wanting: &Decided, identity: &str) -> bool {
    let is_late = |item: &Decided| item.waiting.attempts() >= TRIES || !item.waiting.dead_letters.is_empty();
    // The destination may have been told the holder's new identity already, by a push whose answer was lost.
    let may_be_there = holder.wanted.iter().any(|wanted| holder.under.contains(wanted));
    holder.wanted.as_deref() != Some(identity) && !may_be_there && (is_late(holder) || is_late(wanting))
}

/// Whether an entity lies or may lie under an identity, as the index tells.
fn lies_under(pages: &Pages, kind: Kind, code: &str, identity: &str) -> bool {
    let entry = pages.get(&Entity::new(kind, code));
    entry.is_some_and(|entry| entry.identities.iter().any(|known| known == identity))
}

/// Whether the index tells that an entity may lie under an identity, and not that it lies there and nowhere else.
fn may_lie_under(pages: &Pages, kind: Kind, code: &str, identity: &str) -> bool {
    let entry = pages.get(&Entity::new(kind, code));
    let is_sure = entry.is_some_and(|entry| entry.hash.is_some() && entry.identities.len() == 1);
    !is_sure && lies_under(pages, kind, code, identity)
}

/// Claims the identity of every upsert; an item that takes one over from another item of the batch goes after that one.
fn take_over(items: &mut [Decided], claims: &mut Claims, pages: &Pages) {
    let by_code = by_code(items);
    for at in 0..items.len() {
        let item = &items[at];
        let Some(wanted) = item.wants_another().map(str::to_owned) else {
            continue;
        };
        let kind = item.waiting.entity.kind;
        // A push whose end is not known may have brought the holder there, too.
        let may_lie_there = |holder: &str| by_code.get(holder).is_some_and(|at| items[*at].lies_under(&wanted));
        let lies_there = |holder: &&str| lies_under(pages, kind, holder, &wanted) || may_lie_there(holder);
        let holders = claims.others(kind, &wanted, &item.code).filter(lies_there);
        let after: Vec<usize> = holders.filter_map(|holder| by_code.get(holder).copied()).collect();
        // What another one's push may have made there is not made a second time: a lookup has to find it first.
        let may_arrive = after.iter().filter_map(|holder| items[*holder].may_arrive_until_s);
        let until_s = may_arrive.max().max(item.may_arrive_until_s);
        let after = after.into_iter().find(|after| items[*after].is_to_be_pushed());
        claims.claim(kind, &wanted, &items[at].code);
        (items[at].turn.after, items[at].item.may_arrive_until_s) = (after, until_s);
        if let Some(after) = after {
            items[at].former = items[after].remote.clone();
        }
    }
}

/// Finds what is to be deleted under the identities that entities lie under till now: all that lies there of an entity
/// that is to be deleted; and of one with a new identity what lies under the earlier ones, unless a change tells the
/// destination the new one. Where another entity lies under such an identity by now, and the deletion would hit that
/// one, nothing is deleted; nor where another item of the batch overwrites it. Says whether the brake holds an upsert
/// that it did not hold before, since something was to be deleted for it.
fn leave<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    (items, pages, in_flight): (&mut [Decided], &Pages, &InFlight),
    claims: &Claims,
) -> bool {
    let shape = &desk.config.shape;
    let mut is_held = false;
    let comes = |(at, item): (usize, &Decided)| {
        let is_first = item.waiting.attempts() < TRIES && item.waiting.dead_letters.is_empty();
        let wanted = item.wanted.clone().filter(|_| is_first && item.is_to_be_upserted());
        wanted
            .filter(|_| shape.overwrites(item.waiting.entity.kind))
            .map(|wanted| (wanted, at))
    };
    let comes: BTreeMap<String, usize> = gathered(items.iter().enumerate().filter_map(comes));
    let (renames, by_code) = (turns::renames(desk, items), by_code(items));
    let leave: Vec<Vec<String>> = items.iter().map(|item| item.leaves(renames)).collect();
    for (at, item) in items.iter_mut().enumerate() {
        let kind = item.waiting.entity.kind;
        let is_overwritten = |identity: &&String| comes.get(*identity).is_some_and(|by| *by != at);
        let is_anothers = |identity: &str| {
            let goes_by_identity = item.goes_by_identity(shape, identity);
            let mut others = claims.others(kind, identity, &item.code);
            let may_come = |other: &str| in_flight.iter().any(|(code, under)| code == other && under == identity);
            let is_there = |other: &str| lies_under(pages, kind, other, identity) || may_come(other);
            // The other entity was looked up under the identity and took over the very thing that this one has there.
            let has_taken_it = |other: &str| {
                let entry = pages.get(&Entity::new(kind, other));
                entry.is_some_and(|entry| shape.is_of_one(kind, &entry.remote, &item.remote))
            };
            // Of several that leave it together, the first deletes what lies there.
            let leaves_it_to_this = |other: &str| {
                let other = by_code.get(other).filter(|other| **other > at);
                other.is_some_and(|other| leave[*other].iter().any(|left| left == identity))
            };
            let is_its =
                |other: &str| is_there(other) && !leaves_it_to_this(other) && (goes_by_identity || has_taken_it(other));
            others.any(is_its) && !made(Mistake::DeleteAnothersName)
        };
        let removal = |identity: &String| -> Option<Removal> {
            if is_overwritten(&identity) || is_anothers(identity) {
                return None;
            }
            match desk.config.shape.farewell(kind, &item.code, Some(identity))? {
                Farewell::Sent(removal) => Some(*removal),
                Farewell::Silent => None,
            }
        };
        let removals: Vec<Removal> = leave[at].iter().filter_map(removal).collect();
        let entity = item.waiting.entity.clone();
        let overwritten = item.under.iter().filter(is_overwritten);
        let overwritten = overwritten.map(|identity| (identity.clone(), comes[identity]));
        item.overwritten = overwritten.collect();
        match &mut item.what {
            Decision::Delete(known) => *known = removals,
            Decision::Upsert { leaving, .. } => {
                if removals.is_empty() || books.brake_lets_through(desk, &entity) {
                    *leaving = removals;
                } else {
                    item.what = Decision::Braked;
                    is_held = true;
                }
            }
            _ => {}
        }
    }
    is_held
}

/// Notes in the index that an entity lies no more under an identity where another one's upsert has overwritten it.
pub(crate) fn note_overwritten<H: Host>(desk: &Desk<'_, H>, items: &[Pushed], pages: &mut Pages, claims: &Claims) {
    for item in items
        .iter()
        .filter(|item| matches!(item.what, Outcome::Upserted { .. }))
    {
        let kind = item.waiting.entity.kind;
        let Some(identity) = item.wanted.as_ref().filter(|_| desk.config.shape.overwrites(kind)) else {
            continue;
        };
        for code in claims.others(kind, identity, &item.code) {
            let other = Entity::new(kind, code);
            let Some(entry) = pages.get(&other).cloned() else {
                continue;
            };
            let mut under = entry.identities;
            let was_first = under.first() == Some(identity);
            under.retain(|known| known != identity);
            match under.is_empty() {
                true if was_first => pages.remove(&other, desk.now_s(), false),
                _ if was_first => pages.set(&other, code, None, entry.updated_s),
                _ => {}
            }
            pages.set_identities(&other, under);
        }
    }
}

/// Has entities let go the identities that they lie under no more. Gives the entities that are to be queued: those that
/// wait for such an identity, those that may lie under it, since what was not deleted there for their sake may not be
/// theirs, and those of the batch for which nothing else would be left to wait.
pub(crate) fn let_go<H: Host>(
    desk: &Desk<'_, H>,
    items: &[Pushed],
    pages: &Pages,
    claims: &mut Claims,
) -> Vec<(Kind, String)> {
    let mut waiting = Vec::new();
    for item in items {
        let has_claimed = item.wanted.is_some() && matches!(item.what, Outcome::PutOff);
        if has_claimed && item.waiting.events.is_empty() && item.waiting.retries.is_empty() {
            // The entity was read only since it holds what another one wants, and no key of its own waits.
            waiting.push((item.waiting.entity.kind, item.code.clone()));
        }
        let kind = item.waiting.entity.kind;
        if let Some(wanted) = item.wanted.as_ref().filter(|_| item.is_late()) {
            // It has claimed what another one may lie under still, and is woken by that one.
            claims.wait(kind, wanted, &item.code, &item.code);
        }
        if let (Outcome::Failed(failure, _), Some(wanted)) = (&item.what, &item.wanted) {
            // The entity was refused, and so does not lie under what it wanted: others may.
            let is_refused = failure.class == Class::Permanent && !failure.may_have_changed_something();
            if is_refused && !item.under.contains(wanted) {
                let codes = claims.let_go(kind, wanted, &item.code, desk.now_s());
                waiting.extend(codes.into_iter().map(|code| (kind, code)));
            }
        }
        let is_gone = matches!(item.what, Outcome::Deleted | Outcome::LetGo);
        let is_there = matches!(item.what, Outcome::Upserted { .. });
        if (is_gone && item.comes_back) || (is_there && !item.left.still.is_empty()) {
            waiting.push((kind, item.code.clone()));
        }
        let is_left = |identity: &&String| {
            let is_elsewhere = is_there && Some(*identity) != item.wanted.as_ref();
            let is_left = is_gone || is_elsewhere || item.left.gone.contains(identity);
            is_left && !item.left.still.contains(identity)
        };
        for identity in item.under.iter().filter(is_left).filter(|_| !made(Mistake::NeverLetGo)) {
            let others = claims.others(kind, identity, &item.code);
            let others = others.filter(|other| may_lie_under(pages, kind, other, identity));
            waiting.extend(others.map(|other| (kind, other.to_owned())));
            let codes = claims.let_go(kind, identity, &item.code, desk.now_s());
            waiting.extend(codes.into_iter().map(|code| (kind, code)));
        }
    }
    waiting
}

impl Decided {
    /// The identities under which nothing of the entity is to lie any more.
    pub(crate) fn leaves(&self, renames: bool) -> Vec<String> {
        let is_renamed = renames && !self.turn.starts_anew && self.is_to_be_upserted();
        // The thing whose new identity a change tells the destination stays; what a request whose end nobody saw may
        // have made beside it does not.
        let stays = |identity: &String| is_renamed && self.is_known_under(identity);
        let is_left = |identity: &&String| Some(*identity) != self.wanted.as_ref() && !stays(identity);
        let under = self.under.iter().filter(|_| self.is_to_be_pushed());
        under.filter(is_left).cloned().collect()
    }

    /// The identity that the entity is to be brought under, unless it lies there already and nowhere else.
    fn wants_another(&self) -> Option<&str> {
        self.wanted
            .as_deref()
            .filter(|_| self.is_to_be_upserted() && !self.lies_there)
    }

    /// Whether the entity lies or may lie under an identity, pushes in flight included.
    fn lies_under(&self, identity: &str) -> bool {
        self.under.iter().any(|known| known == identity)
    }

    /// Whether the entity was last brought under another identity than the one that it is to have.
    pub(crate) fn lies_elsewhere(&self) -> bool {
        let first = self.under.first();
        first.is_some_and(|first| self.wanted.as_ref() != Some(first))
    }

    /// Whether the entity wants an identity that it does not have for certain, though it may lie there: of several such
    /// entities one is to get it.
    fn comes_for(&self, identity: &str) -> bool {
        let has_it = self.pushes > 0 && self.under.first().is_some_and(|first| first == identity);
        !has_it && self.wants_another() == Some(identity)
    }

    /// Whether the entity still holds an identity once the batch is over.
    fn keeps(&self, identity: &str, is_blocked: bool) -> bool {
        let lies_there = self.lies_under(identity);
        match &self.what {
            Decision::Upsert { .. } if !is_blocked => self.wanted.as_deref() == Some(identity),
            Decision::Delete(_) | Decision::LetGo => false,
            Decision::Done => lies_there && !self.is_gone,
            _ => lies_there,
        }
    }
}
