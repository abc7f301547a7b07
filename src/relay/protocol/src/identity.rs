//! What an entity is called at the destination: a function of its id in the PIM, so that it is known of one that is gone.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::document::Node;
use model::entity::{Kind, digest};

/// What an entity is called at the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    form: Form,
    prefix: String,
    /// Whether the destination refuses to make a second one of the same.
    pub is_unique: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// The UUID or code.
    #[default]
    Id,
    /// The 32 hexadecimal digits of a UUID, without its dashes.
    Hex,
    /// 32 hexadecimal digits: the first half of the SHA-256 of `kind/id`, such as `product-models/shirt`.
    Hash,
}

impl Identity {
    /// Reads the member `identity` of a kind.
    pub fn read(node: &Node<'_>, kind: Kind) -> Identity {
        let mut identity = Identity::default();
        if !node.is_object_of(&["form", "prefix", "unique"]) {
            return identity;
        }
        identity.is_unique = node.member("unique").is_some_and(|node| node.flag());
        if let Some(node) = node.member("form") {
            let forms = [("id", Form::Id), ("hex", Form::Hex), ("hash", Form::Hash)];
            identity.form = node.choice(&forms).unwrap_or_default();
            if identity.form == Form::Hex && kind != Kind::Product {
                node.wrong("is for the UUIDs of products: take `hash`, which makes 32 digits of any code");
            }
        }
        if let Some(prefix) = node.member("prefix").as_ref().and_then(Node::text) {
            identity.prefix = prefix.to_owned();
        }
        identity
    }

    /// What an entity of this id in the PIM is called.
    pub fn of(&self, kind: Kind, id: &str) -> String {
        let name = match self.form {
            Form::Id => id.to_owned(),
            Form::Hex => id.chars().filter(|c| *c != '-').collect(),
            Form::Hash => hex(&digest(format!("{}/{id}", kind.name()).as_bytes())),
        };
        format!("{}{name}", self.prefix)
    }
}

/// A digest in hexadecimal digits.
fn hex(digest: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(digest).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::document::Mistakes;
    use serde_json::json;

    #[test]
    fn an_identity_is_a_function_of_the_id() {
        let id = "2fe40b0b-cde9-47f3-9796-41d03b956c27";
        for (document, kind, id, called) in [
            (json!({}), Kind::Product, id, id),
            (
                json!({ "form": "hex" }),
                Kind::Product,
                id,
                "2fe40b0bcde947f3979641d03b956c27",
            ),
            (json!({ "prefix": "pim-" }), Kind::ProductModel, "shirt", "pim-shirt"),
            // printf 'product-models/shirt' | sha256sum
            (
                json!({ "form": "hash" }),
                Kind::ProductModel,
                "shirt",
                "b1e7d3fccf3a0f026a6ff50e3c86595a",
            ),
        ] {
            let mistakes = Mistakes::default();
            let identity = Identity::read(&Node::root(&document, &mistakes), kind);
            assert_eq!(mistakes.into_inner(), []);
            assert_eq!(identity.of(kind, id), called);
        }
    }

    #[test]
    fn digits_are_only_in_uuids() {
        let (document, mistakes) = (json!({ "form": "hex", "prefix": "" }), Mistakes::default());
        Identity::read(&Node::root(&document, &mistakes), Kind::Category);
        let places: Vec<String> = mistakes.into_inner().into_iter().map(|mistake| mistake.place).collect();
        assert_eq!(places, ["/form", "/prefix"]);
    }
}
