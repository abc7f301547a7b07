//! A survey: every entity of the PIM, shaped and compared with the index, page by page.
//!
//! It is made when what entities become changed without any of them changing: a label, a category's place, the shape.
//! Whoever needs one calls [`request`]; what it finds different is queued as reconciliation would. Under a shape that
//! nobody has adopted yet it is a [`rehearse`]al, which only counts.

use crate::batch::Stop;
use crate::config::WorkerConfig;
use crate::entity::{Entity, Kind};
use crate::failure::{Class, Failure};
use crate::fanout::fresh_id;
use crate::host::{Host, MANY, Random, Store, StoreError, delete_all};
use crate::index::Pages;
use crate::key::{Change, Key, Keyspace, Record};
use crate::meta::Meta;
use crate::session::Session;
use crate::shape::Shaped;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most pages in one tick: with a tick every ten seconds a page a second, as reconciliation reads.
const PAGES_PER_TICK: usize = 10;

/// How many entities would have what done to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// New at the destination, or different there.
    pub(crate) push: u64,
    /// Refused, and at the destination.
    pub(crate) delete: u64,
    /// As they are there already.
    pub(crate) skip: u64,
    /// Refused, and not at the destination.
    pub(crate) ignore: u64,
    /// Not to be sent at all: their ids, or what the selection asks for, are not there.
    pub(crate) unsendable: u64,
}

/// How far a survey has come, kept per page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    v: u32,
    /// The shape.
    pub(crate) shape: String,
    /// The keys of the requests that it answers.
    of: Vec<String>,
    /// How many kinds are done.
    kinds: usize,
    cursor: Option<String>,
    /// What was found so far.
    pub(crate) counts: Counts,
}

impl Progress {
    /// Whether every entity was seen.
    pub(crate) fn is_done(&self) -> bool {
        self.kinds >= Kind::ALL.len()
    }

    pub(crate) async fn load<H: Store>(
        host: &H,
        keys: &Keyspace,
        record: Record,
    ) -> Result<Option<Progress>, StoreError> {
        let value = host.get(&keys.record(record)).await?;
        let progress = value.and_then(|value| serde_json::from_slice::<Progress>(&value).ok());
        Ok(progress.filter(|progress| progress.v == 1))
    }

    async fn save<H: Store>(&self, host: &H, keys: &Keyspace, record: Record) -> Result<(), StoreError> {
        host.set(&keys.record(record), json!(self).to_string().as_bytes()).await
    }
}

/// Asks for a survey that begins after this. Its key is fresh, so that one under way cannot be taken for it.
pub(crate) async fn request<H: Store + Random>(host: &H, keys: &Keyspace) -> Result<(), StoreError> {
    host.set(&keys.encode(&Key::Survey(fresh_id(host))), br#"{"v":1}"#)
        .await
}

/// Goes on with the survey that was asked for.
pub(crate) async fn go_on<H: Host>(session: &Session<'_, H>) -> Result<(), Stop> {
    let wanted = &session.plan.surveys;
    if wanted.is_empty() {
        return Ok(());
    }
    let keys = &session.config.keys;
    let shape = session.config.shape.name();
    let known = Progress::load(session.host, keys, Record::Survey).await?;
    let covers =
        |progress: &Progress| progress.shape == shape && wanted.iter().all(|request| progress.of.contains(request));
    let progress = known.filter(covers).unwrap_or_else(|| Progress {
        v: 1,
        shape: shape.to_owned(),
        of: wanted.clone(),
        ..Progress::default()
    });
    let progress = walk(session, progress, Record::Survey).await?;
    if progress.is_done() {
        session.log("survey", json!(progress.counts));
        delete_all(session.host, &progress.of).await?;
        session.host.delete(&keys.record(Record::Survey)).await?;
    }
    Ok(())
}

/// Whether the shape is another one than the index was built with, for the same PIM and destination.
pub(crate) fn is_other_shape(known: &Meta, configured: &Meta) -> bool {
    known.shape != configured.shape && (&known.pim, &known.destination) == (&configured.pim, &configured.destination)
}

/// Whether a rehearsal has not come to its end yet, although nothing else is to be done. Taking a shape back is rehearsed
/// with the first event that waits: whoever has none pays for no read here.
pub(crate) async fn is_rehearsal_due<H: Host>(host: &H, config: &WorkerConfig) -> Result<bool, StoreError> {
    let Some(configured) = Meta::of(config).filter(|_| !config.shape.is_identity()) else {
        return Ok(false);
    };
    let known = Meta::load(host, &config.keys).await?;
    if !known.is_some_and(|known| is_other_shape(&known, &configured)) {
        return Ok(false);
    }
    let progress = Progress::load(host, &config.keys, Record::Rehearsal).await?;
    Ok(!progress.is_some_and(|progress| progress.shape == configured.shape && progress.is_done()))
}

/// Goes on counting what the shape would do that is not adopted yet; says what is known of it.
pub(crate) async fn rehearse<H: Host>(session: &Session<'_, H>) -> Result<String, Stop> {
    let keys = &session.config.keys;
    let shape = session.config.shape.name();
    let known = Progress::load(session.host, keys, Record::Rehearsal).await?;
    let known = known.filter(|progress| progress.shape == shape);
    let mut progress = known.unwrap_or_else(|| Progress {
        v: 1,
        shape: shape.to_owned(),
        ..Progress::default()
    });
    if !progress.is_done() {
        progress = walk(session, progress, Record::Rehearsal).await?;
        if progress.is_done() {
            session.log("rehearsal", json!(progress.counts));
        }
    }
    let counts = &progress.counts;
    let so_far = if progress.is_done() {
        ""
    } else {
        " so far (the counting goes on)"
    };
    Ok(format!(
        "nothing is pushed or deleted: the shape is another one than before. It would push {}, delete {} and leave {} as they are{so_far}; mend it, or adopt it",
        counts.push, counts.delete, counts.skip
    ))
}

/// Walks on for as many pages as a tick may have.
async fn walk<H: Host>(session: &Session<'_, H>, mut progress: Progress, record: Record) -> Result<Progress, Stop> {
    for _ in 0..PAGES_PER_TICK {
        let Some(kind) = Kind::ALL.get(progress.kinds).copied() else {
            break;
        };
        if record == Record::Survey && session.is_own_queue_full() {
            break;
        }
        let page = match session.pim.all(kind, progress.cursor.as_deref()).await {
            Ok(page) => page,
            Err(failure) => {
                note(session, &failure);
                break;
            }
        };
        let counts = match compare(session, kind, &page.items, record == Record::Survey).await? {
            Ok(counts) => counts,
            Err(failure) => {
                note(session, &failure);
                break;
            }
        };
        progress.counts.add(counts);
        progress.cursor = page.next;
        if progress.cursor.is_none() {
            progress.kinds += 1;
        }
        if !session.lease.holds(session.host) {
            return Err(Stop::Lease);
        }
        progress.save(session.host, &session.config.keys, record).await?;
    }
    Ok(progress)
}

fn note<H: Host>(session: &Session<'_, H>, failure: &Failure) {
    if failure.class != Class::Held {
        session.log_failure("survey", json!({ "reason": failure.reason }));
    }
}

/// Compares a page with the index; what differs is queued, if it is to be.
async fn compare<H: Host>(
    session: &Session<'_, H>,
    kind: Kind,
    items: &[Value],
    raises: bool,
) -> Result<Result<Counts, Failure>, StoreError> {
    if let Err(failure) = session.enrich(kind, items.iter()).await? {
        return Ok(Err(failure));
    }
    let member = match kind {
        Kind::Product => "uuid",
        Kind::ProductModel => "code",
    };
    let codes = items
        .iter()
        .filter_map(|item| Some((item.get(member)?.as_str()?, item)));
    let entities: Vec<(Entity, &str, &Value)> = codes
        .map(|(code, item)| (Entity::new(kind, code), code, item))
        .collect();
    let keys = &session.config.keys;
    let pages = Pages::load(session.host, keys, entities.iter().map(|(entity, ..)| entity)).await?;
    let mut counts = Counts::default();
    let mut different = Vec::new();
    for (entity, code, item) in &entities {
        let entry = pages.get(entity);
        let (count, differs) = match session.shape(kind, code, item) {
            Shaped::Wanted(upsert) => {
                let hash = session.config.shape.hash(&upsert);
                if entry.is_some_and(|entry| entry.hash.as_ref() == Some(&hash)) {
                    (&mut counts.skip, false)
                } else {
                    (&mut counts.push, true)
                }
            }
            Shaped::Unwanted(_) if entry.is_some() => (&mut counts.delete, true),
            Shaped::Unwanted(_) => (&mut counts.ignore, false),
            Shaped::Unsendable(_) => (&mut counts.unsendable, false),
        };
        *count += 1;
        if differs && raises {
            different.push(session.raise(kind, code, Change::Reconciled));
        }
    }
    session.note_raised(different.len());
    for entries in different.chunks(MANY) {
        session.set_many(entries).await?;
    }
    Ok(Ok(counts))
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.push += other.push;
        self.delete += other.delete;
        self.skip += other.skip;
        self.ignore += other.ignore;
        self.unsendable += other.unsendable;
    }
}
