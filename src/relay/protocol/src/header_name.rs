//! The name of a header, as documents say it.
//! A text that cannot be one is told as a flaw, with its place.

use http::HeaderName;
use model::document::Node;

/// The header that a text of a document names.
pub(crate) fn named(node: &Node<'_>) -> Option<HeaderName> {
    of(node, node.text()?)
}

/// The header of this name, of which the document tells in this place.
pub(crate) fn of(node: &Node<'_>, text: &str) -> Option<HeaderName> {
    let name = HeaderName::try_from(text).ok();
    if name.is_none() {
        node.wrong("is not the name of a header: letters, digits and hyphens");
    }
    name
}
