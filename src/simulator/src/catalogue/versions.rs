//! One entity as it is and as it lately was.

use super::Entity;

#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    // `None` once deleted.
    current: Option<Entity>,
    // Until when each former state held, oldest first.
    past: Vec<(u64, Option<Entity>)>,
}

impl Versions {
    pub(super) fn at(&self, at_ms: u64) -> Option<&Entity> {
        let former = self.past.iter().find(|(until_ms, _)| at_ms < *until_ms);
        former.map_or(self.current.as_ref(), |(_, entity)| entity.as_ref())
    }

    // Replaces the state and forgets what held longer than `keep_ms` ago.
    pub(super) fn set(&mut self, next: Option<Entity>, at_ms: u64, keep_ms: u64) {
        let former = std::mem::replace(&mut self.current, next);
        self.past.retain(|(until_ms, _)| until_ms + keep_ms > at_ms);
        self.past.push((at_ms, former));
    }

    // As if it had always been so.
    pub(super) fn always(entity: Entity) -> Self {
        Self {
            current: Some(entity),
            past: Vec::new(),
        }
    }
}
