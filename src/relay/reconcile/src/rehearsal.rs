//! Counts what another shape would do: every entity of the PIM is read, shaped, compared with the index, and left
//! alone.
//!
//! A rehearsal is made once for each shape that is configured and that nobody has adopted yet. How far it has come is
//! kept after every page.

use super::compare::{Verdict, judge, listed};
use super::scan;
use akeneo::paging::{List, Turned};
use config::WorkerConfig;
use desk::books::Books;
use desk::session::Session;
use desk::stop::{Halt, Stop};
use desk::tools::Desk;
use model::entity::Kind;
use model::failure::Class;
use queue::key::Record;
use records::pair::{NOT_ADOPTED, Pair};
use records::reconciliation::{Reconciliation, Rehearsal, STALLED_MS};
use serde_json::json;
use world::host::{Host, StoreError};

/// The most pages in one tick: with a tick every ten seconds a page a second, as a walk reads.
const PAGES_PER_TICK: usize = 10;

/// Whether a rehearsal has still to go on in a tick that has nothing else to do. Where no shape is configured this
/// costs no read: that a shape was taken away is rehearsed once an event or a look has brought a tick work.
pub async fn is_due<H: Host>(host: &H, config: &WorkerConfig) -> Result<bool, StoreError> {
    let Some(configured) = Pair::of(config).filter(|_| !config.shape.is_identity()) else {
        return Ok(false);
    };
    let known = Pair::load(host, &config.keys).await?;
    if !known.is_some_and(|known| known.is_of_other_shape(&configured)) {
        return Ok(false);
    }
    let rehearsal = Rehearsal::read(host, &config.keys).await?;
    Ok(!rehearsal.is_some_and(|rehearsal| rehearsal.shape == configured.shape && rehearsal.is_done()))
}

/// Ends a rehearsal once the configured shape is the adopted one: its record goes. While it was another one, entities
/// may have been taken for unwanted and lists read for the other shape, so a walk is asked for that finds what is left.
pub async fn end<H: Host>(desk: &Desk<'_, H>, books: &mut Books) -> Result<(), Stop> {
    let key = desk.config.keys.record(Record::Rehearsal);
    if desk.host.get(&key).await?.is_some() {
        books.ask_walk(desk).await?;
        desk.host.delete(&key).await?;
    }
    Ok(())
}

/// Counts some pages more; gives the sentence that tells people what was counted so far.
pub async fn run<H: Host>(session: &mut Session<'_, H>, known: Pair) -> Result<String, Stop> {
    let (host, keys) = (session.desk.host, &session.desk.config.keys);
    // Where a list of the PIM is found changed, a walk is asked for in this record. It is the record of the known pair,
    // since the shape of that pair may come back.
    session.books.reconciliation = Reconciliation::load_of(host, keys, Some(known)).await?;
    let shape = session.desk.config.shape.name();
    let known = Rehearsal::read(host, keys).await?;
    let mut rehearsal = known
        .filter(|known| known.shape == shape)
        .unwrap_or_else(|| Rehearsal::of(shape));
    for _ in 0..PAGES_PER_TICK {
        let Some(kind) = Kind::ALL.get(rehearsal.kinds).copied() else {
            break;
        };
        if let Err(halt) = step(session, kind, &mut rehearsal).await {
            let failure = match halt {
                Halt::Stop(stop) => return Err(stop),
                Halt::Failure(failure) => failure,
            };
            if !failure.was_not_called() {
                session
                    .desk
                    .log_failure("rehearsal", json!({ "reason": failure.reason }));
            }
            if failure.class != Class::Permanent {
                break;
            }
            // A cursor that is refused is not tried for ever: the next tick begins anew.
            Rehearsal::of(shape).save(host, keys).await?;
            break;
        }
        session.desk.check_lease()?;
        rehearsal.save(host, keys).await?;
        if rehearsal.is_done() {
            session.desk.log("rehearsal", json!(rehearsal.counts));
        }
    }
    let counts = &rehearsal.counts;
    let unsendable = match counts.unsendable {
        0 => String::new(),
        count => format!(", and could not send {count}"),
    };
    let unread = match counts.unread {
        0 => String::new(),
        count => format!("; {count} could not be read"),
    };
    let so_far = if rehearsal.is_done() {
        ""
    } else {
        " so far (the counting goes on)"
    };
    Ok(format!(
        "{NOT_ADOPTED}: the shape is another one than before. It would push {}, delete {} and leave {} as they are{unsendable}{unread}{so_far}; mend it, or adopt it",
        counts.push, counts.delete, counts.skip
    ))
}

/// Reads and counts one page.
async fn step<H: Host>(session: &mut Session<'_, H>, kind: Kind, rehearsal: &mut Rehearsal) -> Result<(), Halt> {
    let page = match scan::ask(session, kind, List::All, &mut rehearsal.scan).await? {
        Turned::Page(page) => page,
        Turned::Again => return Ok(()),
        Turned::PassedOver(codes) => {
            rehearsal.counts.unread += codes.len().max(1) as u64;
            return Ok(());
        }
        // A page that does not come is asked for again for an hour. Then the rest of its kind is left out: what can be
        // counted is worth more than a counting that never ends.
        Turned::Stuck(failure) => {
            let now_ms = session.desk.host.now_ms();
            let since_ms = *rehearsal.stuck_since_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(since_ms) < STALLED_MS {
                rehearsal.save(session.desk.host, &session.desk.config.keys).await?;
                return Err(failure.into());
            }
            session
                .desk
                .log_failure("rehearsal", json!({ "kind": kind.name(), "reason": failure.reason }));
            rehearsal.counts.unread += 1;
            rehearsal.end_kind(session.desk.config.shape.kinds());
            return Ok(());
        }
    };
    rehearsal.stuck_since_ms = None;
    rehearsal.counts.unread += page.nameless as u64;
    let verdicts = judge(session, kind, &listed(kind, &page.items)).await?;
    let counts = &mut rehearsal.counts;
    for verdict in verdicts {
        *match verdict {
            Verdict::Push(_) => &mut counts.push,
            Verdict::Delete if session.desk.config.shape.removes(kind) => &mut counts.delete,
            Verdict::Skip => &mut counts.skip,
            Verdict::Ignore | Verdict::Delete => &mut counts.ignore,
            Verdict::Unsendable => &mut counts.unsendable,
        } += 1;
    }
    rehearsal.scan.cursor = page.next;
    if rehearsal.scan.cursor.is_none() {
        rehearsal.end_kind(session.desk.config.shape.kinds());
    }
    Ok(())
}
