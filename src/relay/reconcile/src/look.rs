//! What the PIM says was updated since the last look.
//!
//! The watermark is the PIM's own clock at the first answer of the last look that came to its end; the next begins some
//! minutes before it. That covers a search index that is behind, edits during the look (pages come in the order of ids,
//! so an entity that is passed already is missed by it), and several edits in one second (contract 4.4, 4.5, 5).

use super::compare::{listed, newest, queue_different, queue_unread};
use super::scan::{self, Turn};
use akeneo::paging::{List, Turned};
use desk::session::Session;
use desk::stop::Halt;
use model::entity::Kind;
use model::failure::Class;
use records::reconciliation::page_came;
use world::host::Host;
use world::mistake::{Mistake, made};

/// Reads one page.
pub(super) async fn step<H: Host>(session: &mut Session<'_, H>, kind: Kind) -> Result<(), Halt> {
    let now_ms = session.desk.host.now_ms();
    let mut look = session
        .books
        .reconciliation
        .looks
        .get(kind)
        .cloned()
        .unwrap_or_default();
    let known = look.scan.take();
    let mut scan = known.unwrap_or_else(|| look.begin(kind, &session.desk.config.reconciliation, now_ms));
    let asked = scan::ask(session, kind, List::UpdatedAfter(&look.after), &mut scan).await;
    let read = match asked {
        Ok(Turned::Page(page)) => queue_different(session, kind, &listed(kind, &page.items), false)
            .await
            .map(|found| (page, found)),
        Ok(Turned::Stuck(failure)) => Err(failure.into()),
        Err(halt) => Err(halt),
        Ok(turned) => {
            if let Turned::PassedOver(codes) = turned {
                queue_unread(&session.desk, &mut session.backlog, &mut session.books, kind, &codes).await?;
            }
            look.scan = Some(scan);
            session.books.reconciliation.looks.set(kind, Some(look));
            return Ok(());
        }
    };
    let (page, found) = match read {
        Ok(read) => read,
        Err(Halt::Stop(stop)) => return Err(stop.into()),
        Err(Halt::Failure(failure)) => {
            // A cursor that is refused is not tried for ever: the look begins anew, the watermark where it was.
            look.scan = (failure.class != Class::Permanent).then_some(scan);
            session.books.reconciliation.looks.set(kind, Some(look));
            return Err(failure.into());
        }
    };
    page_came(&mut look.trouble);
    if let Some((newest_s, offset_s)) = newest(&page.items) {
        look.offset_s = offset_s.or(look.offset_s);
        look.newest_s = if scan.pages == 0 { newest_s } else { look.newest_s };
    }
    scan.found += found;
    let turn = scan::turn(&mut scan, &page, now_ms);
    if made(Mistake::WatermarkAtTheEnd) {
        scan.date_s = page.date_s;
    }
    if turn == Turn::End {
        look.finish(scan, now_ms);
    } else {
        look.scan = Some(scan);
    }
    session.books.reconciliation.looks.set(kind, Some(look));
    Ok(())
}
