//! In which order the upserts of a batch go, where one takes over what another one is called.

use crate::item::Decided;
use desk::tools::Desk;
use world::host::Host;

/// Whether a change tells the destination what the entities of a batch are called otherwise.
pub(crate) fn renames<H: Host>(desk: &Desk<'_, H>, items: &[Decided]) -> bool {
    items
        .first()
        .is_some_and(|item| desk.config.shape.renames(item.waiting.entity.kind))
}

/// Sorts the upserts of a batch into waves, where a change tells the destination an entity's new identity: an item that
/// takes an identity over goes in a later wave than the one that lets it go. In a ring the first item is deleted and
/// made anew.
pub(crate) fn take(items: &mut [Decided]) {
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
    // An item that starts anew is deleted, and so lets go, before all waves; it is made after the one that it waits
    // for.
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
