//! Has a model's change reach what inherits from it: the model's sub-models and variants are marked, page by page,
//! before the model's own hash is kept (contract 6, traps 9 and 10).
//!
//! What lies below the models of a batch is asked for together. Marking may take half of the time that is left, and
//! leaves the other half to files and pushes. Models whose marking does not come to its end are put off together. How
//! far it came is kept, and the next batch of models is as large, so that the marking goes on; only where not even one
//! page came is that batch smaller. An entity may be marked twice; one that cannot be read even alone is passed over.

use crate::item::{Decided, Decision, Item, Marked, Pushed};
use akeneo::paging::{List, Turned};
use akeneo::pim::Page;
use desk::backlog::Backlog;
use desk::books::Books;
use desk::progress::Progress;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::{Desk, Upstreams};
use model::entity::{BATCH_MAX, Kind, digest, updated_s};
use model::failure::{Class, Failure};
use model::time;
use queue::key::{Change, Key};
use serde_json::json;
use world::host::{self, Host, StoreError, set_all};

/// What is to be marked of a model's descendants.
struct Marking {
    /// The item's number in its batch.
    at: usize,
    /// Tells this change of the model from its next one.
    id: String,
    /// Whether the model may have sub-models.
    is_root: bool,
    /// Descendants that were updated since this moment are marked, in seconds since the Unix epoch; 0 marks all. The
    /// others were marked already.
    since_s: u64,
}

/// Marks what inherits from every changed model of a batch. A model whose marking does not come to its end is put off,
/// and one whose marking fails has failed. Says whether some marking was kept that did not come to its end.
pub(crate) async fn mark_all<H: Host>(session: &mut Session<'_, H>, items: &mut [Decided]) -> Result<bool, Stop> {
    let mut fresh = Vec::new();
    let mut again = Vec::new();
    for (at, item) in items.iter_mut().enumerate() {
        if !item.has_variants_to_mark() {
            continue;
        }
        let Some(marking) = marking(session, at, item) else {
            continue;
        };
        if is_done(&session.desk, &session.backlog, item, &marking).await? {
            item.marked = Some(Marked {
                id: marking.id,
                is_kept: true,
            });
        } else if marking.since_s == 0 {
            fresh.push(marking);
        } else {
            again.push(marking);
        }
    }
    let left_ms = session.upstreams.pim_governor.left_ms();
    let until_ms = session.desk.host.monotonic_ms() + left_ms / 2;
    // A group that is refused as a whole is halved, since one model may be why: the PIM's filter refuses, for one, a
    // code that was deleted a moment ago.
    let mut groups = vec![again, fresh];
    begun(&session.desk, &session.backlog, items, &mut groups).await?;
    if session.upstreams.pim_governor.is_probing(Kind::Product.name()) {
        groups = one_by_one(&session.desk, groups);
    }
    let mut has_advanced = false;
    while let Some(group) = groups.pop() {
        if group.is_empty() {
            continue;
        }
        let mut pages = 0;
        let marked = mark(session, items, &group, until_ms, &mut pages).await;
        has_advanced |= marked.is_err() && pages > 0;
        match marked {
            Err(Halt::Stop(stop)) => return Err(stop),
            Ok(()) => {
                for Marking { at, id, .. } in group {
                    items[at].marked = Some(Marked { id, is_kept: false });
                }
            }
            Err(Halt::Failure(failure)) if group.len() > 1 && failure.may_be_of_one() => {
                let mut one = group;
                // What is kept of the group would only put it together again, and it would fail again.
                session.desk.host.delete(&key(&session.desk, &items[one[0].at])).await?;
                let other = one.split_off(one.len() / 2);
                groups.extend([one, other]);
            }
            Err(Halt::Failure(failure)) => {
                for marking in &group {
                    items[marking.at].fail(failure.clone(), None);
                }
            }
        }
    }
    Ok(has_advanced)
}

/// Makes a group of every single model, in an order of chance. While lists of variants do not come, the breaker lets
/// the PIM have one call at a time, and one of the models may be why: the probe is for a single one, and not always the
/// same.
fn one_by_one<H: Host>(desk: &Desk<'_, H>, groups: Vec<Vec<Marking>>) -> Vec<Vec<Marking>> {
    let mut groups: Vec<Vec<Marking>> = groups.into_iter().flatten().map(|marking| vec![marking]).collect();
    let count = groups.len().max(1) as u64;
    groups.rotate_left(usize::try_from(desk.host.chance() % count).unwrap_or(0));
    groups
}

/// Puts models whose marking an earlier tick has begun together again, whatever else has come to wait meanwhile: with
/// others beside them, the marking would begin anew.
async fn begun<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    items: &[Decided],
    groups: &mut Vec<Vec<Marking>>,
) -> Result<(), StoreError> {
    for group in std::mem::take(groups) {
        let mut left: Vec<(String, Marking)> = group
            .into_iter()
            .map(|marking| (marking.name(&items[marking.at]), marking))
            .collect();
        let mut resumed = Vec::new();
        for at in left.iter().map(|(_, marking)| marking.at).collect::<Vec<_>>() {
            if !backlog.plan.marking.contains(&items[at].waiting.entity) {
                continue;
            }
            let known: Option<Progress> = host::read(desk.host, &key(desk, &items[at])).await?;
            let members = known.map(|known| known.members).unwrap_or_default();
            let place = |member: &String| left.iter().position(|(name, _)| name == member);
            if members.is_empty() || !members.iter().all(|member| place(member).is_some()) {
                continue;
            }
            let again = members.iter().filter_map(|member| {
                let at = left.iter().position(|(name, _)| name == member)?;
                Some(left.remove(at).1)
            });
            resumed.push(again.collect());
        }
        groups.push(left.into_iter().map(|(_, marking)| marking).collect());
        groups.extend(resumed);
    }
    Ok(())
}

impl Marking {
    /// Tells this change of this model from all others.
    fn name(&self, item: &Decided) -> String {
        digest(format!("{}\n{}", item.code, self.id).as_bytes())
    }
}

/// What is to be marked for an entity of a batch, by what is decided for it; none where nothing is.
fn marking<H: Host>(session: &Session<'_, H>, at: usize, item: &Decided) -> Option<Marking> {
    let has_events = !item.waiting.events.is_empty();
    let newest = item.waiting.newest_told_event().unwrap_or_default();
    let id_of = |hash: &str| digest(format!("{hash}\n{newest}").as_bytes());
    match (&item.what, &item.source) {
        (Decision::Upsert { hash, .. }, source) => Some(Marking {
            at,
            id: id_of(source.as_ref().unwrap_or(hash)),
            is_root: item.parent.is_none(),
            since_s: 0,
        }),
        // The destination's copy of the model does not change (same hash, or not sent), but its variants may inherit
        // something new.
        (Decision::Done | Decision::Delete(_) | Decision::LetGo | Decision::Braked, Some(source)) if has_events => {
            Some(Marking {
                at,
                id: id_of(source),
                is_root: true,
                since_s: 0,
            })
        }
        // The model is as it was when its variants were marked. But a variant that was new then may not have been in
        // the list, so the recheck marks those that were updated since shortly before that.
        (Decision::Done, _) if !item.is_gone => {
            let due_s = item.waiting.due_recheck_s(session.backlog.planned_s)?;
            let recheck_s = session.books.state.recheck_s();
            // One that was sent before the model, and so without what the destination gave of it, was not updated since.
            let may_lack_something = session.desk.config.shape.names_given_to_variants().next().is_some();
            let since_s = match may_lack_something {
                true => 0,
                false => due_s.saturating_sub(recheck_s + time::CLOCKS_S).max(1),
            };
            Some(Marking {
                at,
                id: format!("again at {due_s}"),
                is_root: true,
                since_s,
            })
        }
        _ => None,
    }
}

fn key<H: Host>(desk: &Desk<'_, H>, item: &Item) -> String {
    desk.config.keys.encode(&Key::Fanout(item.waiting.entity.clone()))
}

/// Whether all variants of a model were marked for just this change before, so that only the model's own push is left.
async fn is_done<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    item: &Decided,
    marking: &Marking,
) -> Result<bool, StoreError> {
    if !backlog.plan.marking.contains(&item.waiting.entity) {
        return Ok(false);
    }
    let known: Option<Progress> = host::read(desk.host, &key(desk, item)).await?;
    Ok(known.is_some_and(|known| known.is_done && known.hash == marking.id))
}

/// Keeps that the variants of a model are all marked, where the model itself did not come through, so that they are not
/// marked once more; forgets what is kept of a model that is done.
pub(crate) async fn remember<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &Backlog,
    item: &Pushed,
    is_over: bool,
) -> Result<(), StoreError> {
    match &item.marked {
        _ if is_over && backlog.plan.marking.contains(&item.waiting.entity) => desk.host.delete(&key(desk, item)).await,
        Some(Marked { id, is_kept: false }) if !is_over => {
            let done = Progress {
                v: 1,
                hash: id.clone(),
                is_done: true,
                ..Progress::default()
            };
            host::write(desk.host, &key(desk, item), &done).await
        }
        _ => Ok(()),
    }
}

/// Marks the descendants of some models, until a moment of the monotonic clock in milliseconds; counts the pages that
/// were marked. How far it comes is kept after every page.
async fn mark<H: Host>(
    session: &mut Session<'_, H>,
    items: &[Decided],
    group: &[Marking],
    until_ms: u64,
    pages: &mut usize,
) -> Result<(), Halt> {
    let members: Vec<String> = group.iter().map(|marking| marking.name(&items[marking.at])).collect();
    let hash = digest(members.join("\n").as_bytes());
    let first = &items[group[0].at];
    let key = key(&session.desk, first);
    let mut is_kept = session.backlog.plan.marking.contains(&first.waiting.entity);
    let known: Option<Progress> = if is_kept {
        host::read(session.desk.host, &key).await?
    } else {
        None
    };
    let known = known.filter(|known| known.hash == hash);
    let is_resumed = known.is_some();
    let mut progress = known.unwrap_or(Progress {
        v: 1,
        hash,
        members,
        ..Progress::default()
    });
    let since_s = group.iter().map(|marking| marking.since_s).min().unwrap_or(0);
    loop {
        let kind = progress.kind.unwrap_or(Kind::ProductModel);
        let chunk = chunk(&session.upstreams, kind, &parents(items, group, &progress), &progress);
        if chunk.is_empty() {
            if kind == Kind::Product {
                break;
            }
            (progress.kind, progress.parents) = (Some(Kind::Product), 0);
            continue;
        }
        if session.desk.host.monotonic_ms() >= until_ms || session.backlog.is_own_queue_full(&session.desk) {
            keep_progress(&session.desk, &key, &progress, is_kept).await?;
            let why = "the rest of the variants is marked later";
            return Err(session.upstreams.pim_failure(Class::NotCalled, why).into());
        }
        let length = chunk.len();
        let page = match ask(&mut session.upstreams, kind, &chunk, &mut progress).await {
            Ok(Listed::Page(page)) => page,
            Ok(Listed::Again) => continue,
            Ok(Listed::PassedOver(ids)) => {
                // Each ends where people see it, unless it can be read by its id.
                session.desk.log_unread(kind, &ids);
                enqueue(&session.desk, &mut session.backlog, &mut session.books, kind, ids).await?;
                progress.asked = Some(length);
                host::write(session.desk.host, &key, &progress).await?;
                is_kept = true;
                continue;
            }
            Ok(Listed::PassOver) => {
                leave_to_itself(&session.desk, &mut session.backlog, &mut session.books, &chunk[0]).await?;
                progress.pass(1);
                host::write(session.desk.host, &key, &progress).await?;
                is_kept = true;
                continue;
            }
            // Where the group has several models, the caller finds out which of them is at fault by marking fewer.
            Err(failure) if group.len() == 1 && progress.narrows(length, &failure) => continue,
            Err(failure) => {
                keep_progress(&session.desk, &key, &progress, is_kept).await?;
                return Err(failure.into());
            }
        };
        let recent = page.items.iter().filter(|entity| updated_s(entity) >= since_s);
        let codes = recent.filter_map(|entity| kind.id_in(entity));
        enqueue(&session.desk, &mut session.backlog, &mut session.books, kind, codes).await?;
        progress.take(kind, &page, length);
        *pages += 1;
        host::write(session.desk.host, &key, &progress).await?;
        is_kept = true;
        // Only a marking that goes on from an earlier tick counts as progress: one that begins anew in every tick comes
        // to no end.
        if is_resumed {
            session.books.note_progress();
        }
    }
    if is_kept {
        // The record goes before the model's hash is kept: at worst the marking is done again.
        session.desk.host.delete(&key).await?;
    }
    Ok(())
}

/// What came of asking for a page of what lies below some parents.
enum Listed {
    Page(Page),
    /// No page came, and the same is to be asked once more.
    Again,
    /// Variants that cannot be read were passed over: those of these ids, where they are known.
    PassedOver(Vec<String>),
    /// What lies below the one sub-model does not come, although the PIM answers other searches.
    PassOver,
}

/// Asks for the next page of what lies below some parents.
async fn ask<H: Host>(
    upstreams: &mut Upstreams<'_, H>,
    kind: Kind,
    chunk: &[String],
    progress: &mut Progress,
) -> Result<Listed, Failure> {
    if progress.is_doubted {
        let answers = upstreams.pim.answers(kind).await;
        progress.is_doubted = matches!(&answers, Err(failure) if failure.was_not_called());
        return answers.map(|()| Listed::PassOver);
    }
    let is_sub_model = chunk.len() == 1 && progress.sub_models.contains(&chunk[0]);
    let models: Vec<&str> = chunk.iter().map(String::as_str).collect();
    let (mut cursor, mut gap) = (progress.cursor.clone(), progress.gap.clone());
    let turned = upstreams
        .pim
        .turn(kind, List::Below(&models), &mut cursor, &mut gap)
        .await;
    (progress.cursor, progress.gap) = (cursor, gap);
    match turned {
        Ok(Turned::Page(page)) => Ok(Listed::Page(page)),
        Ok(Turned::Again) => Ok(Listed::Again),
        Ok(Turned::PassedOver(ids)) => Ok(Listed::PassedOver(ids)),
        Ok(Turned::Stuck(_)) if is_sub_model => Ok(Listed::PassOver),
        Err(failure) if is_sub_model && failure.may_be_of_one() => {
            progress.is_doubted = true;
            Ok(Listed::Again)
        }
        Ok(Turned::Stuck(failure)) | Err(failure) => Err(failure),
    }
}

/// Queues a sub-model whose list of variants does not come, so that nothing else waits for these: the sub-model's own
/// push marks them, is tried again, and becomes a dead letter that people see.
async fn leave_to_itself<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    books: &mut Books,
    sub_model: &str,
) -> Result<(), StoreError> {
    let fields = json!({ "entity": format!("{}/{sub_model}", Kind::ProductModel.name()) });
    desk.log_failure("variants-left-out", fields);
    // The forced change has the variants marked although nothing of the sub-model's own changed. The inherited one
    // stands beside it since variants are not marked where reconciliation alone asks for a model that was never pushed.
    let raised = [Change::Forced, Change::Inherited].map(|change| desk.raise(Kind::ProductModel, sub_model, change));
    books.note_raised(backlog, raised.len());
    set_all(desk.host, &raised).await
}

/// Keeps how far the marking has come, where the next tick needs more of it than the last page kept: what is known of
/// entities that cannot be read, for how many parents to ask, a doubt. Where a record is there already it is written in
/// any case: else a doubt that is settled would be read again and again.
async fn keep_progress<H: Host>(
    desk: &Desk<'_, H>,
    key: &str,
    progress: &Progress,
    is_kept: bool,
) -> Result<(), StoreError> {
    if is_kept || progress.gap.is_some() || progress.at_once.is_some() || progress.is_doubted {
        host::write(desk.host, key, progress).await?;
    }
    Ok(())
}

/// The models whose children are marked now, in an order that stays the same from page to page and tick to tick.
fn parents<'a>(items: &'a [Decided], group: &[Marking], progress: &'a Progress) -> Vec<&'a str> {
    let of_products = progress.kind == Some(Kind::Product);
    let models = group.iter().filter(|marking| of_products || marking.is_root);
    let models = models.map(|marking| items[marking.at].code.as_str());
    let sub_models = progress.sub_models.iter().filter(|_| of_products);
    models.chain(sub_models.map(String::as_str)).collect()
}

/// The next parents, as many as one call can ask for.
fn chunk<H: Host>(upstreams: &Upstreams<'_, H>, kind: Kind, parents: &[&str], progress: &Progress) -> Vec<String> {
    let left = parents.get(progress.parents..).unwrap_or_default();
    let most = progress.asked.or(progress.at_once).unwrap_or(BATCH_MAX);
    let mut length = left.len().min(most);
    while length > 1 && upstreams.pim.is_too_long(kind, &left[..length]) {
        length /= 2;
    }
    left[..length].iter().map(|parent| (*parent).to_owned()).collect()
}

/// Queues entities that inherit what changed, by their codes.
async fn enqueue<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    books: &mut Books,
    kind: Kind,
    codes: impl IntoIterator<Item = String>,
) -> Result<(), StoreError> {
    let codes = codes.into_iter();
    // An entity that has an event waiting gets this one, too: the search index may not know yet what the entity
    // inherits, and only an inherited change is sure to have an entity that was read by list rechecked a minute later.
    let entries: Vec<(String, Vec<u8>)> = codes.map(|code| desk.raise(kind, &code, Change::Inherited)).collect();
    books.note_raised(backlog, entries.len());
    set_all(desk.host, &entries).await
}
