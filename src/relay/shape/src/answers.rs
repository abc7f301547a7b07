//! What the destination's answers mean where that is not as usual.

use super::document::Node;

/// Statuses with which a destination refuses for a reason that passes by itself: a conflict, a lock, too early.
const PASSING: [u16; 3] = [409, 423, 425];

/// The member `answers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Further statuses of this kind.
    busy: Vec<u16>,
    /// Whether the destination itself answers with pages of HTML, so that one with a good status is success.
    pub are_pages_its_own: bool,
}

impl Answers {
    /// Takes on what the document says; what it does not say stays.
    pub(super) fn amend(&mut self, node: &Node<'_>) {
        let Some(node) = node.member("answers") else { return };
        if !node.is_object_of(&["busy", "html"]) {
            return;
        }
        if let Some(node) = node.member("busy") {
            self.busy = node.list().iter().filter_map(status).collect();
        }
        if let Some(node) = node.member("html") {
            self.are_pages_its_own = node.choice(&[("done", true), ("unavailable", false)]).unwrap_or(false);
        }
    }

    /// Whether a status stands for a refusal that passes by itself.
    pub fn passes(&self, status: u16) -> bool {
        PASSING.contains(&status) || self.busy.contains(&status)
    }
}

fn status(node: &Node<'_>) -> Option<u16> {
    let status = node.value.as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| (400..600).contains(status));
    if status.is_none() {
        node.wrong("must be a status from 400 to 599, such as 422");
    }
    status
}

#[cfg(test)]
mod tests {
    use crate::Shape;
    use model::entity::Kind;

    #[test]
    fn a_kind_takes_the_answers_of_all_kinds_on_and_may_change_them() {
        let shape = Shape::read(
            r#"{"answers": {"busy": [422, 460], "html": "done"}, "products": {"answers": {"busy": [400]}}, "product-models": {"answers": {"html": "unavailable"}}}"#,
        )
        .expect("a good shape");
        let statuses = [400, 409, 422, 423, 425, 460, 500];
        let passing = |kind| statuses.map(|status| shape.answers_of(kind).passes(status));
        assert_eq!(passing(Kind::Product), [true, true, false, true, true, false, false]);
        assert_eq!(
            passing(Kind::ProductModel),
            [false, true, true, true, true, true, false]
        );
        let own = Kind::ALL.map(|kind| shape.answers_of(kind).are_pages_its_own);
        let is_model = Kind::ALL.map(|kind| kind == Kind::ProductModel);
        assert_eq!(own, is_model.map(|is_model| !is_model));
        assert!(shape.sends_all_of(Kind::Product), "nothing of its content is left out");
    }
}
