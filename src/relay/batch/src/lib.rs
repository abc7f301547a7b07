//! One batch: up to a hundred entities of one kind that wait are read in the PIM, and the destination is made equal to
//! what was read.
//!
//! The steps are, in this order: read, decide, write down what is about to be pushed, mark the variants of changed
//! models, send files, push, keep the outcomes, delete the keys of what is done. A batch may assume that the caller has
//! the lease, and that its entities' keys were listed before they are read. It asks for the lease again before it
//! writes anything down and before it keeps outcomes. These are kept before anything is deleted, so that dying between
//! any two calls leaves work to be repeated and never work forgotten. While it pushes it has nothing but the
//! destination, so that the caller can do something beside.
//!
//! | where | what |
//! |---|---|
//! | this file | the order of the steps |
//! | `item` | an entity of a batch: a type for each stage of its way |
//! | [`ahead`] | the list of the next batch, read while the present one is pushed and kept |
//! | `asking` | `Asked`: the entities, read, with what the index and pushes in flight tell of them |
//! | `reading` | the reading itself: by list, and by id whatever a list cannot be trusted with |
//! | `decision` | `Decided`: what each entity comes to |
//! | `identities` | who holds which identity at the destination, where that can change |
//! | `turns` | in which order upserts go, where one takes over what another is called |
//! | `fanout` | a changed model's variants are marked |
//! | `media` | the files that entities name go ahead of them |
//! | `push` | `Pushed`: every push is written down before it is made; and what came of it |
//! | `keeping` | `Kept`: retries, dead letters, rechecks, the index; then the keys of what is done are deleted |
//! | `tried` | what each push is to bring, beside what was tried before |
//! | `mistaken` | two mistakes that the simulation has this room make |

pub mod ahead;
mod asking;
mod decision;
mod fanout;
mod identities;
mod item;
mod keeping;
mod media;
mod mistaken;
mod push;
mod reading;
mod tried;
mod turns;

use ahead::{Ahead, Next};
use asking::ask;
use decision::{decide, dry_run};
use desk::session::Session;
use desk::stop::Stop;
use futures_util::future::{join, maybe_done};
use index::claims::Claims;
use index::pages::Pages;
use item::Decided;
use keeping::{clear, keep_all};
use model::entity::Kind;
use push::{note_all, note_late_pushes, push_all, write_in_flight};
use queue::waiting::Waiting;
use records::pace::Came;
use std::pin::{Pin, pin};
use world::host::Host;

/// For how long calls that mark and push may begin after the time for reading is over: the longest time that a call may
/// take, divided by this. So a batch whose reading took all of its time has not read for nothing.
const GRACE: u64 = 2;

/// The pushes of a batch, which come to their end and give nothing.
pub type Pushes<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// A batch that is written down: nothing is left but to push it and to keep what comes of that.
struct Begun {
    items: Vec<Decided>,
    pages: Pages,
    claims: Claims,
    /// The key under which it is written down; none where nothing is to be pushed.
    in_flight: Option<String>,
    /// Whether the marking of some model's variants was kept that did not come to its end.
    has_advanced: bool,
}

/// Runs one batch of entities of one kind, and says how many were in it and how many it got through with. Calls that
/// read begin until `read_until_ms`, a moment of the monotonic clock in milliseconds; calls that push begin for half of
/// the longest time of a call more. Where identities can change, the entities that hold what those of the batch want
/// are read along, up to twice a batch's most in all. An entity that was put off although it was alone and had time is
/// held back for a moment, so that it does not stand in the way of others. `ahead` is the list that was read ahead of
/// this batch.
///
/// While the batch is pushed, `beside` is done: it is handed the pushes, which it has to drive and whose end it need not
/// wait for, and may list the store anew and write pages of the index. It says of what the next batch is likely to be,
/// whose list is read while the rest of this one is pushed and kept.
///
/// # Errors
/// The store fails, or the lease has passed: whatever was not kept by then is done again by a later tick.
pub async fn run<'a, H: Host, T>(
    session: &mut Session<'a, H>,
    kind: Kind,
    batch: Vec<Waiting>,
    (ahead, read_until_ms): (Option<Ahead>, u64),
    beside: impl AsyncFnOnce(&mut Session<'a, H>, Pushes<'_>) -> (T, Option<Next>),
) -> Result<(Came, T, Option<Ahead>), Stop> {
    let (began_ms, planned_s) = (session.desk.host.monotonic_ms(), session.backlog.planned_s);
    let Begun {
        items,
        mut pages,
        mut claims,
        in_flight,
        has_advanced,
    } = begin(session, kind, batch, ahead, read_until_ms).await?;
    let (desk, upstreams) = (session.desk, &session.upstreams);
    let destination = (upstreams.destination.clone(), upstreams.destination_at_once);
    let (governor, is_dry) = (upstreams.pim_governor, upstreams.destination.is_none());
    let mut pushes = pin!(maybe_done(async {
        let pushed = push_all(desk, destination, governor, items).await;
        (pushed, desk.host.monotonic_ms())
    }));
    let (given, next) = beside(session, pushes.as_mut()).await;
    let (desk, backlog, books) = (&session.desk, &mut session.backlog, &mut session.books);
    let work = async {
        pushes.as_mut().await;
        let (pushed, ended_ms) = pushes.as_mut().take_output().unwrap_or_default();
        note_all(desk, books, &pushed);
        books.read_again(desk, &mut pages).await?;
        if let Err(stop) = desk.check_lease() {
            note_late_pushes(desk, &pushed).await?;
            return Err(stop);
        }
        let index = (&mut pages, &mut claims);
        let (kept, settled) = keep_all(desk, backlog, books, (pushed, is_dry), index, in_flight).await?;
        desk.check_lease()?;
        clear(desk, planned_s, books, &kept, settled).await?;
        Ok((kept, ended_ms.saturating_sub(began_ms)))
    };
    let (kept, ahead) = join(work, Ahead::read(*desk, &mut session.upstreams.pim, next)).await;
    let (mut kept, took_ms) = kept?;
    let through = keeping::through(&kept);
    if let ([item], 0) = (&mut kept[..], through) {
        keeping::stand_back(&session.desk, &session.upstreams, &session.books, item, took_ms).await?;
    }
    let came = Came {
        of: kept.len(),
        through,
        has_advanced,
    };
    Ok((came, given, ahead))
}

/// Reads the entities of a batch, decides what each comes to, and writes down what is about to be pushed; then variants
/// are marked and files go.
async fn begin<H: Host>(
    session: &mut Session<'_, H>,
    kind: Kind,
    batch: Vec<Waiting>,
    ahead: Option<Ahead>,
    read_until_ms: u64,
) -> Result<Begun, Stop> {
    session.upstreams.begin_until(read_until_ms);
    let mut pages = Pages::default();
    let asked = ask(session, kind, batch, ahead, &mut pages).await?;
    let mut decided = decide(session, asked, &pages);
    let mut claims = Claims::default();
    if session.desk.config.shape.has_changing_identities(kind) {
        let in_flight = identities::bring_holders(session, kind, &mut decided, &mut pages, &mut claims).await?;
        identities::settle(
            &session.desk,
            &session.upstreams,
            &mut session.books,
            (&mut decided, &pages, &in_flight),
            &mut claims,
        );
    }
    let grace_ms = session.desk.config.call_timeout_s * 1000 / GRACE;
    session.upstreams.begin_until(read_until_ms + grace_ms);
    if session.upstreams.destination.is_none() {
        dry_run(&session.desk, &mut decided);
    }
    media::put_off(&session.desk, &session.upstreams, &session.books, &mut decided).await?;
    session.desk.check_lease()?;
    session.books.keep_brake(&session.desk, &session.upstreams).await?;
    tried::note_tried(&session.desk, &mut session.backlog, &mut decided).await?;
    let in_flight = write_in_flight(&session.desk, &decided).await?;
    session.books.save_claims(&session.desk, &mut claims).await?;
    mistaken::keep_too_early(&session.desk, &mut session.books, &decided, &mut pages).await?;
    // A model's variants are marked before its own hash is kept, whatever the destination says to the model itself.
    let has_advanced = fanout::mark_all(session, &mut decided).await?;
    media::send_all(&session.desk, &session.upstreams, &mut session.books, &mut decided).await?;
    Ok(Begun {
        items: decided,
        pages,
        claims,
        in_flight,
        has_advanced,
    })
}
