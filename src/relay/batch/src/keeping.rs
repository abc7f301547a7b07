//! Keeps what came of a batch, entity by entity, and only then deletes the keys of what is done.
//!
//! It may assume the lease, and that every key of an entity was listed before the entity was read. A failure leads to a
//! retry or a dead letter, or to a hold where it costs nothing. Whoever dies between two writes leaves work to be
//! repeated, and none forgotten.

use crate::fanout;
use crate::identities;
use crate::item::{Fate, Item, Kept, Outcome, Pushed};
use desk::backlog::Backlog;
use desk::books::Books;
use desk::stop::Stop;
use desk::tools::{Desk, Upstreams};
use desk::tried::{Earlier, earlier};
use index::claims::Claims;
use index::pages::Pages;
use model::entity::Kind;
use model::failure::{self, Class, Failure};
use protocol::remote::Remote;
use protocol::request::Act;
use queue::dead_letter::{self, DeadLetter, EVENTS_KEPT};
use queue::in_flight::InFlightValue;
use queue::key::{Change, DeadLetterKey, EventKey, Hold, Key, RetryKey};
use queue::raise::EventValue;
use queue::retry::{ATTEMPTS_MAX, PASSING_MAX, RetryValue, Tried, delay_s};
use serde_json::json;
use shape::Shape;
use world::host::{self, Host, StoreError, delete_all, set_all};
use world::log;

/// How long an entity is held back whose call served as a probe, in seconds: others that wait serve as the next ones.
const PROBE_HOLD_S: u64 = 10;

/// How long an entity is held back that a 429 turned away last, in seconds: so it does not come at every tick.
const THROTTLED_HOLD_S: u64 = 120;

/// How long an entity is held back whose deletion the brake holds, in seconds; once the brake is released, no longer.
const BRAKE_HOLD_S: u64 = 3600;

/// Keeps every outcome: in the index and the claims, and as retries, holds, rechecks and dead letters. Gives the
/// in-flight key if it is done with: while a push is unsettled, that key stays, with the unsettled entities.
pub(super) async fn keep_all<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    books: &mut Books,
    (items, is_dry): (Vec<Pushed>, bool),
    (pages, claims): (&mut Pages, &mut Claims),
    in_flight: Option<String>,
) -> Result<(Vec<Kept>, Option<String>), Stop> {
    for item in &items {
        keep_in_index(item, pages, (desk.now_s(), is_dry));
    }
    identities::note_overwritten(desk, &items, pages, claims);
    let waiting = identities::let_go(desk, &items, pages, claims);
    if pages.has_changes() || claims.has_changes() {
        books.know_the_pair(desk).await?;
    }
    // Who waits for an identity is queued before the claims forget that, and before the index shows the identity free.
    let raised = waiting
        .iter()
        .map(|(kind, code)| desk.raise(*kind, code, Change::Reconciled));
    set_all(desk.host, &raised.collect::<Vec<_>>()).await?;
    books.note_raised(backlog, waiting.len());
    books.save_pages(desk, pages).await?;
    books.save_claims(desk, claims).await?;
    let unsettled = InFlightValue::of(items.iter().filter(|item| is_unsettled(item)).map(Pushed::in_flight));
    let mut kept = Vec::with_capacity(items.len());
    for mut item in items {
        // A worker may be paused between any two writes, and what it knows is old then.
        desk.check_lease()?;
        let fate = keep_one(desk, backlog, books, &mut item).await?;
        let Pushed { item, tried, .. } = item;
        kept.push(Kept { item, fate, tried });
    }
    if unsettled.entities.is_empty() {
        return Ok((kept, in_flight));
    }
    if let Some(key) = in_flight {
        desk.host.set(&key, &unsettled.to_bytes()).await?;
    }
    Ok((kept, None))
}

fn keep_in_index(item: &Pushed, pages: &mut Pages, (now_s, is_dry): (u64, bool)) {
    let entity = &item.waiting.entity;
    match &item.what {
        Outcome::Upserted {
            hash,
            updated_s,
            remote,
            ..
        } => {
            pages.set(entity, &item.code, Some(hash.clone()), *updated_s);
            pages.set_identities(entity, item.wanted.iter().chain(&item.left.still).cloned().collect());
            pages.set_parent(entity, item.parent.clone());
            pages.set_remote(entity, remote.clone(), item.mark_of_parent());
        }
        Outcome::Deleted | Outcome::LetGo => {
            pages.remove(entity, now_s, item.is_deletion_announced());
        }
        // The destination has no such model, but the index must tell what went with it. A dry run keeps no index.
        Outcome::Done if !is_dry && item.is_gone && item.is_deletion_announced() => {
            pages.remove(entity, now_s, true);
        }
        // What lies at the destination now is not known, so no content may count as being there already.
        Outcome::PutOff | Outcome::Failed(..) if item.left.has_any => forget_content(item, pages),
        // Nothing was sent of the entity.
        Outcome::Failed(_, Some(_)) if item.is_late() => {}
        // Nothing of the entity was there before, so what goes by its name there is something else.
        Outcome::Failed(failure, Some(_)) if item.is_new && failure.has_changed_nothing() => {}
        Outcome::Failed(failure, Some(_))
            if failure.class != Class::Permanent || failure.may_have_changed_something() =>
        {
            forget_content(item, pages);
        }
        _ => {}
    }
}

/// Has the index forget which content of an entity lies at the destination, but not under which identities it may lie.
fn forget_content(item: &Pushed, pages: &mut Pages) {
    let entity = &item.waiting.entity;
    let updated_s = pages.get(entity).map(|entry| entry.updated_s);
    if let Some(updated_s) = updated_s.or(item.wanted.as_ref().map(|_| 0)) {
        pages.set(entity, &item.code, None, updated_s);
        pages.set_identities(entity, item.may_lie_under());
        if item.left.gone.iter().any(|identity| item.is_known_under(identity)) {
            pages.set_remote(entity, Remote::new(), None);
        }
    }
}

async fn keep_one<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    books: &mut Books,
    item: &mut Pushed,
) -> Result<Fate, Stop> {
    let fate = match &item.what {
        Outcome::PutOff => Fate::PutOff,
        Outcome::Upserted { .. } | Outcome::Deleted => Fate::Over { has_reached: true },
        Outcome::LetGo | Outcome::Done => Fate::Over { has_reached: false },
        Outcome::Braked | Outcome::Doubted => Fate::Later,
        Outcome::Failed(failure, _) if is_buried(item, failure, &desk.config.shape) => {
            Fate::Over { has_reached: false }
        }
        Outcome::Failed(..) => Fate::Later,
    };
    let has_failed = matches!(item.what, Outcome::Failed(..));
    let is_over = matches!(fate, Fate::Over { .. }) && !has_failed;
    fanout::remember(desk, backlog, item, is_over).await?;
    match item.what {
        Outcome::Failed(..) => keep_failure(desk, books, item).await?,
        Outcome::Braked => {
            let why = if item.is_new { Hold::Unindexed } else { Hold::Brake };
            hold_as_it_is(desk, books, item.parts(), why).await?;
        }
        Outcome::Doubted => hold_as_it_is(desk, books, item.parts(), Hold::Doubt).await?,
        Outcome::Upserted { .. } | Outcome::Deleted | Outcome::LetGo | Outcome::Done => {
            recheck_later(desk, books, item).await?
        }
        Outcome::PutOff => {}
    }
    Ok(fate)
}

fn is_unsettled(item: &Pushed) -> bool {
    matches!(&item.what, Outcome::Failed(failure, _) if failure.unsettled && &*failure.upstream == "destination")
}

async fn recheck_later<H: Host>(desk: &Desk<'_, H>, books: &Books, item: &mut Pushed) -> Result<(), StoreError> {
    let (now_s, recheck_s) = (desk.now_s(), books.state.recheck_s());
    // The list of a model's variants lags, too: it is read once more when the search index has caught up.
    let is_marked_unchanged = item.source.is_some() && !item.waiting.events.is_empty();
    let is_marked = matches!(item.what, Outcome::Upserted { .. }) || is_marked_unchanged;
    let for_variants = (item.has_variants_to_mark() && is_marked) || gives_its_variants_more(desk, item);
    // For a minute after a deletion the search index may still list the entity. While this recheck waits, a batch that
    // a late event brings confirms by id what the list shows before it pushes (`reread_what_the_index_denies`).
    let is_news = (item.is_gone || matches!(item.what, Outcome::Deleted)) && !item.waiting.events.is_empty();
    let due_s = if for_variants || is_news {
        Some(now_s + recheck_s)
    } else {
        // The time counts from the reading on, when the search index was behind: the push may have taken long.
        // Where a recheck alone found something to push, the list has just caught up, and may not be at the end yet.
        let is_found = matches!(item.what, Outcome::Upserted { .. }) && item.waiting.events.is_empty();
        let has_just_caught_up = is_found && item.waiting.has_recheck();
        let is_vague = !item.by_id && (has_just_caught_up || item.waiting.is_vague(item.updated_s, item.pushed_s));
        is_vague.then_some(item.read_s + recheck_s)
    };
    match due_s {
        Some(due_s) => schedule(desk, item.parts(), 0, None, due_s, Earlier::default()).await,
        None => Ok(()),
    }
}

/// Whether a model's push brought what its variants are sent with and did not have before: some may have been sent without.
fn gives_its_variants_more<H: Host>(desk: &Desk<'_, H>, item: &Pushed) -> bool {
    let Outcome::Upserted { remote, .. } = &item.what else {
        return false;
    };
    let mut names = desk.config.shape.names_given_to_variants();
    item.waiting.entity.kind == Kind::ProductModel && names.any(|name| remote.get(name) != item.remote.get(name))
}

/// Keeps a failure: as a retry, as a hold where it costs nothing, or as a dead letter.
async fn keep_failure<H: Host>(desk: &Desk<'_, H>, books: &mut Books, item: &mut Pushed) -> Result<(), Stop> {
    let Outcome::Failed(failure, name) = &item.what else {
        return Ok(());
    };
    let mut earlier = earlier(desk, &item.waiting).await?;
    failure::keep(&mut earlier.failures, failure.clone());
    if failure.cost() == 0 {
        if item.waiting.own_try().is_some() {
            // The key of the dead letter says when the entity is tried again.
            return Ok(());
        }
        return Ok(hold(desk, books, item.parts(), earlier, Hold::Probe).await?);
    }
    let attempts = item.waiting.attempts() + failure.cost();
    if is_buried(item, failure, &desk.config.shape) {
        let (reason, name) = (failure.reason.clone(), name.clone());
        let left = own_tries(item, failure, attempts);
        return bury(desk, books, item, reason, earlier.failures, name, (attempts, left)).await;
    }
    let due_s = desk.now_s() + delay_s(attempts, desk.host.chance(), failure.retry_after_s);
    books.report(|report| report.retries += 1);
    Ok(schedule(desk, item.parts(), attempts, None, due_s, earlier).await?)
}

/// Holds an entity back, with no new failure to keep beside the earlier ones.
async fn hold_as_it_is<H: Host>(
    desk: &Desk<'_, H>,
    books: &Books,
    (item, tried): (&mut Item, &Option<Tried>),
    why: Hold,
) -> Result<(), StoreError> {
    let earlier = earlier(desk, &item.waiting).await?;
    hold(desk, books, (item, tried), earlier, why).await
}

/// Holds an entity back for a while without using an attempt.
async fn hold<H: Host>(
    desk: &Desk<'_, H>,
    books: &Books,
    (item, tried): (&mut Item, &Option<Tried>),
    earlier: Earlier,
    why: Hold,
) -> Result<(), StoreError> {
    let for_s = match why {
        Hold::Probe => match earlier.failures.last() {
            Some(last) if last.status == Some(429) => THROTTLED_HOLD_S,
            _ => PROBE_HOLD_S,
        },
        Hold::Brake | Hold::Unindexed => BRAKE_HOLD_S,
        Hold::Doubt => books.state.recheck_s(),
    };
    let (attempts, due_s) = (item.waiting.attempts(), desk.now_s() + for_s);
    schedule(desk, (item, tried), attempts, Some(why), due_s, earlier).await
}

/// Holds an entity back that was put off although it was alone in its batch and had half of a tick's time, unless an
/// upstream is why: then others go first. No smaller batch is left to try.
pub(super) async fn stand_back<H: Host>(
    desk: &Desk<'_, H>,
    upstreams: &Upstreams<'_, H>,
    books: &Books,
    item: &mut Kept,
    took_ms: u64,
) -> Result<(), StoreError> {
    let had_time = took_ms * 2 >= desk.config.tick_s * 1000;
    if !had_time || upstreams.is_hampered() || item.waiting.own_try().is_some() {
        return Ok(());
    }
    hold_as_it_is(desk, books, item.parts(), Hold::Probe).await?;
    let old = item.waiting.retries.iter().filter(|(retry, _)| !retry.is_recheck());
    let old: Vec<String> = old.map(|(_, key)| key.clone()).collect();
    delete_all(desk.host, &old).await
}

/// Writes the key that says when an entity is read again; those that said so before are deleted by [`clear`].
async fn schedule<H: Host>(
    desk: &Desk<'_, H>,
    (item, tried): (&mut Item, &Option<Tried>),
    attempts: u32,
    hold: Option<Hold>,
    due_s: u64,
    earlier: Earlier,
) -> Result<(), StoreError> {
    let retry = RetryKey {
        entity: item.waiting.entity.clone(),
        attempts,
        hold,
        due_s,
    };
    let value = RetryValue {
        v: 1,
        code: item.code.clone(),
        failures: earlier.failures,
        tried: tried
            .clone()
            .filter(|_| attempts > 0 || hold.is_some())
            .or(earlier.tried),
    };
    let key = desk.config.keys.encode(&Key::Retry(retry));
    desk.host.set(&key, &value.to_bytes()).await?;
    item.waiting.retries.retain(|(_, known)| *known != key);
    Ok(())
}

/// Gives an entity up: writes its dead letter, with the events that waited, or after an own try those of the last one.
async fn bury<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    item: &mut Pushed,
    reason: String,
    failures: Vec<Failure>,
    hash: Option<String>,
    (attempts, tries_left): (u32, u32),
) -> Result<(), Stop> {
    let mut left: Vec<&(EventKey, String)> = item.waiting.events.iter().collect();
    let mut events = Vec::new();
    for _ in 0..EVENTS_KEPT {
        let newest = (0..left.len()).max_by_key(|at| left[*at].0.time_s);
        let Some((_, key)) = newest.map(|at| left.swap_remove(at)) else {
            break;
        };
        let value: Option<EventValue> = host::read(desk.host, key).await?;
        events.extend(
            value
                .map(|value| log::cut(&value.event, dead_letter::EVENT_KEPT).to_owned())
                .filter(|event| !event.is_empty()),
        );
    }
    if let (Some(_), Some(key)) = (item.waiting.own_try(), item.waiting.dead_letters.last()) {
        let letter: Option<DeadLetter> = host::read(desk.host, key).await?;
        events = letter.map(|letter| letter.events).unwrap_or_default();
    }
    let entity = item.waiting.entity.clone();
    let failed_s = desk.now_s();
    let letter = DeadLetter {
        v: 1,
        kind: entity.kind,
        code: item.code.clone(),
        failed_s,
        reason,
        failures,
        events,
        hash,
        thinned: false,
    };
    let key = desk.config.keys.encode(&Key::DeadLetter(DeadLetterKey {
        entity,
        failed_s,
        attempts,
        left: tries_left,
    }));
    // Reading the events may have taken long.
    desk.check_lease()?;
    desk.host.set(&key, &letter.to_bytes()).await?;
    item.waiting.dead_letters.retain(|known| *known != key);
    desk.log_failure("dead-letter", json!({ "entity": item.name, "reason": letter.reason }));
    books.report(|report| report.dead_letters += 1);
    Ok(())
}

/// Deletes the keys of what is done, all of which were listed before the reading, at `planned_s` in seconds since the
/// Unix epoch; the in-flight key goes last.
pub(super) async fn clear<H: Host>(
    desk: &Desk<'_, H>,
    planned_s: u64,
    books: &mut Books,
    items: &[Kept],
    in_flight: Option<String>,
) -> Result<(), StoreError> {
    let mut keys: Vec<String> = Vec::new();
    for item in items {
        match item.fate {
            Fate::Over { .. } => keys.extend(item.waiting.done_keys(planned_s).cloned()),
            Fate::Later => {
                let old = item
                    .waiting
                    .retries
                    .iter()
                    .filter(|(retry, _)| retry.is_over(planned_s));
                keys.extend(old.map(|(_, key)| key.clone()));
            }
            Fate::PutOff => {}
        }
    }
    delete_all(desk.host, &keys).await?;
    if let Some(key) = in_flight {
        desk.host.delete(&key).await?;
    }
    let now_s = desk.now_s();
    for item in items {
        if let Fate::Over { has_reached } = item.fate {
            let events = item.waiting.events.iter().map(|(event, _)| event);
            books.history.note_cleared(events, has_reached.then_some(now_s), now_s);
        }
    }
    books.report(|report| report.entities += through(items) as u64);
    Ok(())
}

/// How many entities of a batch were not put off.
pub(super) fn through(items: &[Kept]) -> usize {
    items.iter().filter(|item| item.fate != Fate::PutOff).count()
}

/// Whether an entity is given up for this failure: it is refused, or this was an own try or its last attempt. There are
/// fewer attempts where the shape says that such a refusal passes by itself.
fn is_buried(item: &Pushed, failure: &Failure, shape: &Shape) -> bool {
    let answers = shape.answers_of(item.waiting.entity.kind, Act::Upsert);
    let passes = &*failure.upstream == "destination" && failure.status.is_some_and(|status| answers.passes(status));
    let most = if passes { PASSING_MAX } else { ATTEMPTS_MAX };
    failure.class == Class::Permanent
        || (failure.cost() > 0 && item.waiting.own_try().is_some())
        || (failure.cost() > 0 && item.waiting.attempts() + failure.cost() >= most)
}

/// How many own tries an entity that is given up has left: the destination may take it once it has another entity that
/// this one is linked to. An entity that used up its attempts gets none, and is left to people.
fn own_tries(item: &Pushed, failure: &Failure, attempts: u32) -> u32 {
    if attempts >= ATTEMPTS_MAX || &*failure.upstream != "destination" {
        return 0;
    }
    match item.waiting.own_try() {
        Some(letter) => letter.left.saturating_sub(1),
        None => DeadLetterKey::OWN_TRIES,
    }
}
