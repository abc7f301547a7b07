//! Lists in which shapes look things up, for whoever only looks: they are brought to hand, and nothing of them is kept.

use crate::lists::{KnownList, Lists, TTL_S};
use crate::lookups::{elements, known, misses};
use crate::stop::Halt;
use crate::tools::Desk;
use akeneo::pim::Pim;
use model::entity::Kind;
use serde_json::Value;
use world::host::Host;

/// Brings to hand what [`Lists::shape`] looks up for one entity, as [`crate::lookups::bring`] does: what the store has of it,
/// if that is young enough, or else what the PIM says.
///
/// # Errors
/// The store fails, or one of the lists cannot be read or has too many elements.
pub async fn glance<H: Host>(
    desk: &Desk<'_, H>,
    pim: &mut Pim<'_, H>,
    lists: &mut Lists,
    kind: Kind,
    entity: &Value,
) -> Result<(), Halt> {
    for (need, locales) in desk.config.shape.needs(kind) {
        let kept = known(desk, lists, &need, &locales).await?;
        let is_young = |kept: KnownList| kept.is_at_hand && desk.now_s().abs_diff(kept.read_s) < TTL_S;
        if !kept.is_some_and(is_young) || misses(lists, &need, kind, &[entity]) {
            let read = elements(pim, &need, &locales).await?;
            lists.lookups.lists.retain(|(known, _)| !known.is(&need));
            lists.lookups.lists.push((need, read));
        }
    }
    Ok(())
}
