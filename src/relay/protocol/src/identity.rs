//! What an entity is called at the destination: a function of its id in the PIM, which is known of one that is gone, or
//! the value of an attribute, which is remembered.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::document::Node;
use model::entity::{Kind, digest};

/// What an entity is called at the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    form: Form,
    /// The attribute whose value is the identity, if one is.
    attribute: Option<String>,
    prefix: String,
    /// Whether the destination is told of a changed identity by a change of the entity; none leaves that to how
    /// entities are named.
    pub renames: Option<bool>,
    /// Whether the destination refuses to make a second entity of the same identity.
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
    /// The value of an attribute, such as the SKU.
    Attribute,
}

impl Identity {
    /// Reads the member `identity` of a kind.
    pub fn read(node: &Node<'_>, kind: Kind) -> Identity {
        let mut identity = Identity::default();
        if !node.is_object_of(&["form", "attribute", "prefix", "unique", "renames"]) {
            return identity;
        }
        identity.renames = node.member("renames").map(|node| node.flag());
        identity.is_unique = node.member("unique").is_some_and(|node| node.flag());
        if let Some(node) = node.member("form") {
            let forms = [
                ("id", Form::Id),
                ("hex", Form::Hex),
                ("hash", Form::Hash),
                ("attribute", Form::Attribute),
            ];
            identity.form = node.choice(&forms).unwrap_or_default();
            if identity.form == Form::Hex && kind != Kind::Product {
                node.wrong("is for the UUIDs of products: take `hash`, which makes 32 digits of any code");
            }
            if identity.form == Form::Attribute && kind == Kind::Category {
                node.wrong("is for products and models: a category has no attributes of theirs");
            }
        }
        identity.read_attribute(node);
        if let Some(prefix) = node.member("prefix").as_ref().and_then(Node::text) {
            identity.prefix = prefix.to_owned();
        }
        identity
    }

    /// Whether nothing else at a destination goes by it: it is the id in the PIM itself, with or without its dashes, or
    /// a hash of that.
    pub fn is_nobody_elses(&self) -> bool {
        match self.form {
            Form::Id | Form::Hex => self.prefix.is_empty(),
            Form::Hash => true,
            Form::Attribute => false,
        }
    }

    fn read_attribute(&mut self, node: &Node<'_>) {
        self.attribute = node.member("attribute").and_then(|node| Some(node.text()?.to_owned()));
        match (self.form, &self.attribute) {
            (Form::Attribute, None) => {
                node.wrong("needs the member `attribute`, such as sku: whose value is the identity")
            }
            (Form::Attribute, Some(_)) | (_, None) => {}
            (_, Some(_)) => node.wrong("names an attribute: set `form` to attribute, or leave it out"),
        }
        if let (Some(renames), false) = (node.member("renames"), self.form == Form::Attribute) {
            renames.wrong("is for identities that can change: those of the form attribute");
        }
    }

    /// The attribute whose value is the identity, where that is no function of the id.
    pub fn attribute(&self) -> Option<&str> {
        self.attribute.as_deref().filter(|_| self.form == Form::Attribute)
    }

    /// What an entity is called whose attribute has this value.
    pub fn of_value(&self, value: &str) -> String {
        format!("{}{value}", self.prefix)
    }

    /// What an entity of this id in the PIM is called, where that is a function of it.
    pub fn of(&self, kind: Kind, id: &str) -> String {
        let name = match self.form {
            Form::Id | Form::Attribute => id.to_owned(),
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
    use model::document::Flaws;
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
            let flaws = Flaws::default();
            let identity = Identity::read(&Node::root(&document, &flaws), kind);
            assert_eq!(flaws.into_inner(), []);
            assert_eq!(identity.of(kind, id), called);
        }
    }

    #[test]
    fn digits_are_only_in_uuids() {
        let (document, flaws) = (json!({ "form": "hex", "prefix": "" }), Flaws::default());
        Identity::read(&Node::root(&document, &flaws), Kind::Category);
        let places: Vec<String> = flaws.into_inner().into_iter().map(|flaw| flaw.place).collect();
        assert_eq!(places, ["/form", "/prefix"]);
    }
}
