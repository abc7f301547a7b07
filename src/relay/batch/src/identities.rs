//! Who holds which identity at the destination, where identities are values of an attribute and can change.
//!
//! Two entities are never brought under one identity. One that wants what another holds waits until that one has let it
//! go: within the batch, if the other is on its way to another identity or out, else given up until then. Whoever holds
//! what somebody wants is read with the batch, so that a swap or a ring is seen as what it is.

use crate::asking::ask;
use crate::decision::decide;
use crate::item::{Decided, Decision, Outcome, Pushed};
use desk::books::Books;
use desk::session::Session;
use desk::stop::Stop;
use desk::tools::{Desk, Upstreams};
use model::entity::{BATCH_MAX, Entity, Kind};
use model::failure::Class;
use model::gathering::gathered;
use queue::claims::Claims;
use queue::index::Pages;
use queue::waiting::Waiting;
use shape::{Farewell, Removal};
use std::collections::{BTreeMap, BTreeSet};
use world::host::Host;
use world::mistake::{Mistake, made};

/// Under which identities entities may lie besides, by their codes, since pushes under these are in flight.
pub(crate) type InFlight = BTreeMap<String, BTreeSet<String>>;

/// How often an entity whose identity another one holds is tried again before it is given up: the other's change may be
/// under way.
const TRIES: u32 = 2;

/// Reads who holds what entities of a batch want, and decides on those, too; and so on, for they may want what others hold.
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
                // Where those lie that hold it is told by the index.
                for other in claims.others(kind, identity, &item.code) {
                    let other = Entity::new(kind, other);
                    session.books.read_page_of(&session.desk, pages, &other).await?;
                }
                for other in claims.others(kind, identity, &item.code) {
                    let tried = session.backlog.tried_in_flight(&session.desk, kind, other).await?;
                    let identities = tried.into_iter().filter_map(|tried| tried.identity);
                    in_flight.entry(other.to_owned()).or_default().extend(identities);
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
            session.backlog.note_begun(&waiting);
            let asked = ask(session, kind, waiting, pages).await?;
            decided.extend(decide(session, asked, pages));
        }
    }
    Ok(in_flight)
}

/// What an entity let go lies under that no more, whatever is in flight: that is looked at once it has settled.
fn forget_what_it_left(item: &mut Decided, pages: &Pages, claims: &Claims) {
    let kind = item.waiting.entity.kind;
    let entry = pages.get(&item.waiting.entity);
    let is_known = |identity: &String| entry.is_some_and(|entry| entry.identities.contains(identity));
    let item = &mut item.item;
    let code = &item.code;
    item.under
        .retain(|identity| is_known(identity) || claims.is_held_by(kind, identity, code));
}

/// Settles who holds what: claims are taken over, what is left behind is to be deleted, and who must wait fails.
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
        let hash = match &item.what {
            Decision::Upsert { hash, .. } if class == Class::Permanent => Some(hash.clone()),
            _ => None,
        };
        // Nothing is sent of it, so that it lies there still as it lay.
        item.wanted = None;
        item.fail(upstreams.pim_failure(class, &reason), hash);
        waiting.push((kind, wanted, item.code.clone(), holder));
    }
    take_over(items, claims, pages);
    for (kind, wanted, code, holder) in waiting {
        claims.wait(kind, &wanted, &code, &holder);
    }
    if items.iter().any(|item| item.wants_another().is_some()) {
        let kind = items[0].waiting.entity.kind;
        if desk.config.shape.renames(kind) {
            take_turns(items);
        }
    }
    // Whoever is held by the brake overwrites nothing.
    while leave(desk, books, (items, pages, in_flight), claims) {}
}

/// Who cannot have what it wants, and which entity holds that. Of these, whoever lies under what it is called no more, and what
/// another one is called by now, goes, if the brake lets it: it is wanted elsewhere and told of, and not where it lies.
fn make_way<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    (items, pages): (&mut [Decided], &Pages),
    claims: &Claims,
) -> Blocked {
    let mut staying = Vec::new();
    loop {
        let (mut blocked, going) = blocked(items, claims, pages, &staying);
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

/// Who cannot have what it wants, and which entity holds that; and who of them goes for another one. Whoever else cannot goes
/// on holding what it has.
fn blocked(items: &[Decided], claims: &Claims, pages: &Pages, staying: &[usize]) -> (Blocked, Vec<usize>) {
    let by_code = by_code(items);
    let mut blocked: Blocked = vec![None; items.len()];
    loop {
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let (mut more, mut going) = (Vec::new(), Vec::new());
        for (at, item) in items.iter().enumerate().filter(|(at, _)| blocked[*at].is_none()) {
            let Some(wanted) = item.wants_another() else { continue };
            let kind = item.waiting.entity.kind;
            let goes = |other: &usize| {
                let holder = &items[*other];
                let is_in_the_way = blocked[*other].is_some() && !staying.contains(other);
                is_in_the_way && holder.lies_under(wanted) && gives_way(holder, item, wanted)
            };
            let holds = |holder: &&str| match by_code.get(*holder) {
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

/// Of each of a batch, which entity holds what it wants.
type Blocked = Vec<Option<String>>;

/// Where in a batch each entity stands.
fn by_code(items: &[Decided]) -> BTreeMap<String, usize> {
    gathered(items.iter().enumerate().map(|(at, item)| (item.code.clone(), at)))
}

/// Whether an entity that cannot have what it wants goes from where it lies, since another one is called so by now: once one of
/// the two would be given up. Till then the end of an edit may be under way that gives it another name.
fn gives_way(holder: &Decided, wanting: &Decided, identity: &str) -> bool {
    let is_late = |item: &Decided| item.waiting.attempts() >= TRIES || !item.waiting.dead_letters.is_empty();
    // It was told what it is called now, and its answer was lost.
    let may_be_there = holder.wanted.iter().any(|wanted| holder.under.contains(wanted));
    holder.wanted.as_deref() != Some(identity) && !may_be_there && (is_late(holder) || is_late(wanting))
}

/// Whether an entity lies under an identity, as the index tells of it.
fn lies_under(pages: &Pages, kind: Kind, code: &str, identity: &str) -> bool {
    let entry = pages.get(&Entity::new(kind, code));
    entry.is_some_and(|entry| entry.identities.iter().any(|known| known == identity))
}

/// Every upsert claims its identity; who takes one over from another of the batch goes after that.
fn take_over(items: &mut [Decided], claims: &mut Claims, pages: &Pages) {
    let by_code = by_code(items);
    for at in 0..items.len() {
        let item = &items[at];
        let Some(wanted) = item.wants_another().map(str::to_owned) else {
            continue;
        };
        let kind = item.waiting.entity.kind;
        // Also by a push whose end is not known.
        let may_lie_there = |holder: &str| by_code.get(holder).is_some_and(|at| items[*at].lies_under(&wanted));
        let lies_there = |holder: &&str| lies_under(pages, kind, holder, &wanted) || may_lie_there(holder);
        let holders = claims.others(kind, &wanted, &item.code).filter(lies_there);
        let after: Vec<usize> = holders.filter_map(|holder| by_code.get(holder).copied()).collect();
        let after = after.into_iter().find(|after| items[*after].is_to_be_pushed());
        claims.claim(kind, &wanted, &items[at].code);
        items[at].turn.after = after;
        if let Some(after) = after {
            items[at].former = items[after].remote.clone();
        }
    }
}

/// Where a change tells the destination what an entity is called now, whoever takes an identity over is told after the one
/// that lets it go. In a ring the first is deleted and made anew.
fn take_turns(items: &mut [Decided]) {
    for at in 0..items.len() {
        let (mut wave, mut seen) = (0, vec![at]);
        let mut next = items[at].turn.after;
        while let Some(first) = next {
            wave += 1;
            if seen.contains(&first) {
                break;
            }
            seen.push(first);
            next = items[first].turn.after;
        }
        let is_first_of_a_ring = next == Some(at) && seen.iter().min() == Some(&at);
        if is_first_of_a_ring {
            items[at].turn.starts_anew = true;
        }
        items[at].turn.wave = wave;
    }
    // What is deleted first lets go before all waves, and is made after the one that it waits for.
    let anew: Vec<usize> = (0..items.len()).filter(|at| items[*at].turn.starts_anew).collect();
    if anew.is_empty() {
        return;
    }
    for at in 0..items.len() {
        let (mut wave, mut next) = (0, items[at].turn.after);
        while let Some(first) = next.filter(|first| !items[*first].turn.starts_anew) {
            wave += 1;
            next = items[first].turn.after;
        }
        items[at].turn.wave = wave;
    }
    for at in anew {
        let after = items[at].turn.after.map_or(0, |first| items[first].turn.wave + 1);
        items[at].turn.wave = after;
    }
}

/// What is deleted of what entities lie under till now: all of what is gone, and of what is called otherwise now unless the
/// destination is told so by a change. What another one lies under by now stays, where deletions find it by identity; and so
/// does what another one of the batch overwrites. Says whether the brake holds one that it did not hold before.
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
    for (at, item) in items.iter_mut().enumerate() {
        let kind = item.waiting.entity.kind;
        let is_overwritten = |identity: &&String| comes.get(*identity).is_some_and(|by| *by != at);
        let is_anothers = |identity: &str| {
            let goes_by_identity = shape.deletes_by_identity(kind) || !item.is_known_under(identity);
            let mut others = claims.others(kind, identity, &item.code);
            let may_come = |other: &str| in_flight.get(other).is_some_and(|under| under.contains(identity));
            let is_there = |other: &str| lies_under(pages, kind, other, identity) || may_come(other);
            // Found under its new name, and taken over, while this one still was to go from there.
            let has_taken_it = |other: &str| {
                let entry = pages.get(&Entity::new(kind, other));
                entry.is_some_and(|entry| shape.is_of_one(kind, &entry.remote, &item.remote))
            };
            let is_its = |other: &str| is_there(other) && (goes_by_identity || has_taken_it(other));
            others.any(is_its) && !made(Mistake::DeleteAnothersName)
        };
        let removal = |identity: &String| -> Option<Removal> {
            if Some(identity) == item.wanted.as_ref() || is_overwritten(&identity) || is_anothers(identity) {
                return None;
            }
            match desk.config.shape.farewell(kind, &item.code, Some(identity))? {
                Farewell::Sent(removal) => Some(*removal),
                Farewell::Silent => None,
            }
        };
        let is_renamed = shape.renames(kind) && !item.turn.starts_anew;
        // What is told what it is called now stays; what was made beside it, by a request whose end nobody saw, does not.
        let stays = |identity: &&String| is_renamed && item.is_to_be_upserted() && item.is_known_under(identity);
        let left = item.under.iter().filter(|identity| !stays(identity));
        let removals: Vec<Removal> = left.filter_map(removal).collect();
        let entity = item.waiting.entity.clone();
        let overwritten = item.under.iter().filter(is_overwritten);
        let overwritten: Vec<_> = overwritten
            .map(|identity| (identity.clone(), comes[identity]))
            .collect();
        item.overwritten = overwritten;
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

/// Whoever lay under an identity that another one was brought under by an upsert lies there no more.
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

/// Lets go what nothing lies under any more; gives those that wait for it, and those that nobody else would come back to.
pub(crate) fn let_go<H: Host>(desk: &Desk<'_, H>, items: &[Pushed], claims: &mut Claims) -> Vec<(Kind, String)> {
    let mut waiting = Vec::new();
    for item in items {
        let has_claimed = item.wanted.is_some() && matches!(item.what, Outcome::PutOff);
        if has_claimed && item.waiting.events.is_empty() && item.waiting.retries.is_empty() {
            // It was read since it held what another one wanted, and nothing of its own waits.
            waiting.push((item.waiting.entity.kind, item.code.clone()));
        }
        let kind = item.waiting.entity.kind;
        if let (Outcome::Failed(failure, _), Some(wanted)) = (&item.what, &item.wanted) {
            // It was refused, and so does not lie there: others may.
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
            let codes = claims.let_go(kind, identity, &item.code, desk.now_s());
            waiting.extend(codes.into_iter().map(|code| (kind, code)));
        }
    }
    waiting
}

impl Decided {
    /// The identity that it is to be brought under, unless it lies there already and nowhere else.
    fn wants_another(&self) -> Option<&str> {
        self.wanted
            .as_deref()
            .filter(|_| self.is_to_be_upserted() && !self.lies_there)
    }

    fn lies_under(&self, identity: &str) -> bool {
        self.under.iter().any(|known| known == identity)
    }

    /// Whether it holds an identity still once the batch is over.
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
