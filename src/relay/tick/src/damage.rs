//! What becomes of damaged records, so that the damage costs what they held and no more.
//!
//! A page of the index stops one tick and not all that follow: it is kept under another key. A walk finds again what a page
//! of entities held; a page of identities is made anew of what the entities' pages tell, and whatever was given up is tried
//! once more, since who waited for an identity stood in that page alone. What waits under a key that does not tell its
//! entity, and what was in flight, is set aside where it is read. Of the record of the pair only a person can say what it
//! said. In place of any other one the tick begins anew; at its end it keeps what the record was, and asks for a walk: where
//! one record is damaged, others may be. People are told of each.

use crate::work::publish;
use config::WorkerConfig;
use desk::backlog::Backlog;
use desk::books::Books;
use desk::stop::Stop;
use desk::tools::Desk;
use model::entity::Kind;
use queue::dead_letter::DeadLetter;
use queue::key::{Change, DeadLetterKey, Key, Record, RetryKey};
use queue::lease::Lease;
use queue::plan::Plan;
use queue::raise::EventValue;
use queue::retry::RetryValue;
use records::pair::Pair;
use records::reconciliation::Reconciliation;
use world::damage::{self, Found};
use world::host::{self, Host, StoreError, set_all};

/// Sets a page of the index aside that a tick was stopped by, and asks for a walk that finds again what a page of entities
/// held. Until then nothing of that is deleted: a walk misses only what the index has. A page of identities is made anew
/// once nothing is in flight, which is ten minutes after the last push at most: what pushes in flight claimed stood in it.
///
/// # Errors
/// If the store fails; the next tick comes upon the page again.
pub(crate) async fn mend<H: Host>(
    desk: &Desk<'_, H>,
    backlog: &mut Backlog,
    books: &mut Books,
    stop: &Stop,
) -> Result<(), StoreError> {
    let Stop::Store(StoreError::Damaged(key)) = stop else {
        return Ok(());
    };
    let keys = &desk.config.keys;
    let place = match keys.parse(key) {
        Some(Key::IndexPage(..)) => None,
        Some(Key::ClaimPage(kind, extent, _)) => Some((kind, extent)),
        _ => return Ok(()),
    };
    if !desk.lease.holds(desk.host) || (place.is_some() && !backlog.plan.in_flight.is_empty()) {
        return Ok(());
    }
    // The walk is asked for first: a tick that is killed after that costs a walk too many, and never one too few.
    books.reconciliation.walk.ask(false);
    books.reconciliation.save(desk.host, keys).await?;
    match place {
        None => desk.set_aside(key).await,
        Some(place) => match books.remade_claims(desk, place).await {
            // The index is mended first; the next tick comes upon this page again.
            Err(StoreError::Damaged(other)) => desk.set_aside(&other).await,
            Err(error) => Err(error),
            // Reading the index took too long: the next tick comes upon the page again.
            Ok(_) if !desk.lease.holds(desk.host) => Ok(()),
            Ok(mut claims) => {
                desk.keep_aside(key).await?;
                let count = try_once_more(desk, backlog, place.0).await?;
                books.note_raised(backlog, count);
                books.save_claims(desk, &mut claims).await
            }
        },
    }
}

/// Queues every entity of a kind that was given up; says how many there are.
async fn try_once_more<H: Host>(desk: &Desk<'_, H>, backlog: &Backlog, kind: Kind) -> Result<usize, StoreError> {
    let mut raised = Vec::new();
    for waiting in backlog.plan.dead().filter(|waiting| waiting.entity.kind == kind) {
        let Some(key) = waiting.dead_letters.last() else {
            continue;
        };
        let letter: Option<DeadLetter> = host::read(desk.host, key).await?;
        raised.extend(letter.map(|letter| desk.raise(kind, &letter.code, Change::Reconciled)));
    }
    set_all(desk.host, &raised).await?;
    Ok(raised.len())
}

/// Tells of what a tick has found damaged and began anew in place of; keeps it where people can look into it, and asks for
/// a walk. It needs the lease, that of the tick or one for this alone; where another worker has it, that one comes upon it.
///
/// # Errors
/// If the store fails; the next tick comes upon it again, unless it has been written anew meanwhile.
pub(crate) async fn clear_away<H: Host>(
    host: &H,
    config: &WorkerConfig,
    held: Option<&Lease>,
) -> Result<(), StoreError> {
    let keys = &config.keys;
    let found = damage::told(host).into_iter();
    let found: Vec<(Key, Found)> = found
        .filter_map(|found| Some((keys.parse(&found.key)?, found)))
        .collect();
    if !found.iter().any(|(key, _)| is_kept(key)) {
        return Ok(());
    }
    let own = match held {
        Some(_) => None,
        None => Lease::take(host, keys, 0).await?.ours(),
    };
    let Some(lease) = held.or(own.as_ref()).filter(|lease| lease.holds(host)) else {
        return Ok(());
    };
    let desk = Desk { host, config, lease };
    // Read in such a way that nothing is noted once more.
    let known = host.get(&keys.record(Record::Reconciliation)).await?;
    let known: Option<Reconciliation> = known.as_deref().and_then(host::decoded);
    let known = known.filter(|known| known.v == 1);
    let mut reconciliation = known.unwrap_or_else(|| Reconciliation::of(Pair::of(config)));
    // As in `mend`, the walk is asked for first.
    reconciliation.walk.ask(false);
    reconciliation.save(host, keys).await?;
    for (key, Found { key: text, value }) in found.iter().filter(|(key, _)| is_kept(key)) {
        desk.keep_value_aside(text, value).await?;
        if lease.holds(host) && host.get(text).await?.as_ref() == Some(value) {
            match anew(key, host.now_ms()) {
                Some(anew) => host.set(text, &anew).await?,
                None => host.delete(text).await?,
            }
        }
    }
    publish(host, config, &Plan::of(keys, host.keys().await?), None).await?;
    match own {
        Some(own) => own.give_back(host, keys).await,
        None => Ok(()),
    }
}

/// Whether a damaged value is kept: not a token, which is a secret; not what was in flight, which is set aside once it has
/// settled; and not an event whose key does not tell its entity, which is set aside where it is read.
fn is_kept(key: &Key) -> bool {
    match key {
        Key::Token(_) | Key::InFlight(..) => false,
        Key::Event(event) => event.entity.segment.code().is_some(),
        _ => true,
    }
}

/// What is written in place of a damaged value where the key tells all that is needed.
fn anew(key: &Key, now_ms: u64) -> Option<Vec<u8>> {
    match key {
        Key::Event(event) => Some(EventValue::new(&event.entity.segment.code()?, now_ms, "").to_bytes()),
        Key::Retry(RetryKey { entity, .. }) => {
            let (code, failures) = (entity.segment.code()?, Vec::new());
            let value = RetryValue {
                v: 1,
                code,
                failures,
                tried: None,
            };
            Some(value.to_bytes())
        }
        Key::DeadLetter(DeadLetterKey { entity, failed_s, .. }) => {
            let letter = DeadLetter {
                v: 1,
                kind: entity.kind,
                code: entity.segment.code()?,
                failed_s: *failed_s,
                reason: "its record was damaged and has been set aside".to_owned(),
                failures: Vec::new(),
                events: Vec::new(),
                hash: None,
                thinned: true,
            };
            Some(letter.to_bytes())
        }
        _ => None,
    }
}
