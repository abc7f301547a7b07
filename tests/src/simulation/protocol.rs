//! How the destination of a world of chance is spoken to, and the document that says so.

use super::identities::Identities;
use fastrand::Rng;
use model::entity::Kind;
use model::template::{Piece, pieces};
use serde_json::{Value, json};
use simulator::destination::ShopConfig;

/// A protocol.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// How the shop that speaks it does it.
    pub shop: ShopConfig,
    /// How products are called by their SKUs, if they are.
    pub by_sku: Option<Identities>,
}

/// How long a shop may need until what it was sent can be found, in seconds, as the document says.
const SETTLE_S: u64 = 30;

impl Protocol {
    /// One by chance.
    pub fn of(random: &mut Rng) -> Protocol {
        let (takes_ids, is_unique) = [(true, true), (false, false), (false, false), (false, true)][random.usize(..4)];
        Protocol {
            shop: ShopConfig {
                lag_ms: if is_unique {
                    0
                } else {
                    random.u64(..SETTLE_S * 1000 - 1000)
                },
                is_unique,
                takes_ids,
                wants_versions: !is_unique && random.bool(),
                is_always_well: random.bool(),
            },
            by_sku: None,
        }
    }

    /// Whether nothing can be looked up although the shop gives ids. Where SKUs change, a document that gives no way to look
    /// up what was made while its answer was lost could not keep what is promised.
    pub fn is_blind(&self) -> bool {
        self.shop.is_unique && !self.shop.takes_ids && self.by_sku.is_none()
    }

    /// Says it in a document.
    pub fn tell(&self, document: &mut Value) {
        for kind in ["products", "product-models"] {
            let by_sku = self.by_sku_of(kind);
            let reference = if by_sku.is_some() { "{identity}" } else { "{id}" };
            let rules = &mut document[kind];
            rules["create"] = json!({ "path": format!("/shop/{kind}?ref={reference}") });
            rules["update"] = json!({ "method": "PUT", "path": self.path(kind) });
            rules["delete"] = json!({ "path": self.path_of_thing(kind) });
            if !self.shop.takes_ids {
                rules["remember"] = json!({ "id": ["/id", "/errors/0/id"] });
            }
            if self.shop.is_unique {
                rules["identity"] = json!({ "unique": true });
            }
            if let Some(identities) = by_sku {
                identities.tell(rules, !self.shop.takes_ids);
            }
            if !self.shop.is_unique || (self.by_sku.is_some() && !self.shop.takes_ids) {
                rules["find"] = json!({
                    "path": format!("/shop/{kind}?ref={reference}"), "list": "/found", "several": "first",
                    "settle_seconds": SETTLE_S,
                });
            }
            if self.shop.wants_versions {
                rules["remember"]["version"] = json!("/version");
                rules["update"]["headers"] = json!({ "If-Match": "{remote.version}" });
            }
        }
        let of_status = |status: u16, means: &str| json!({ "status": status, "means": means });
        let inside = |status: u16, means: &str| json!({ "status": 200, "at": "/errors/0/code", "equals": status, "means": means });
        let mut rules = vec![of_status(412, "exists")];
        if self.shop.is_always_well {
            let means = [
                (404, "missing"),
                (409, "exists"),
                (412, "exists"),
                (429, "busy"),
                (503, "busy"),
            ];
            rules.extend(means.map(|(status, means)| inside(status, means)));
        }
        document["answers"] = json!({ "rules": rules });
    }

    fn by_sku_of(&self, kind: &str) -> Option<Identities> {
        self.by_sku.filter(|_| kind == Kind::Product.name())
    }

    /// The path of what is changed, as it counts for the hash of what was sent.
    pub fn path_of(&self, kind: &str, id: &str) -> Vec<Piece> {
        let path = pieces(&self.path(kind)).expect("a path");
        let path = path.into_iter().map(|piece| match piece {
            Piece::Place(name) if name == "id" || name == "identity" => Piece::Text(id.to_owned()),
            other => other,
        });
        path.collect()
    }

    /// The path by which a thing is changed; where it can be called otherwise, it says how.
    fn path(&self, kind: &str) -> String {
        let path = self.path_of_thing(kind);
        match self.by_sku_of(kind) {
            Some(identities) if identities.renames && !self.shop.takes_ids => format!("{path}?ref={{identity}}"),
            _ => path,
        }
    }

    fn path_of_thing(&self, kind: &str) -> String {
        let id = match self.by_sku_of(kind) {
            _ if !self.shop.takes_ids => "remote.id",
            Some(_) => "identity",
            None => "id",
        };
        format!("/shop/{kind}/{{{id}}}")
    }
}
