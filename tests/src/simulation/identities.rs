//! Products that the destination of a world of chance calls by their SKUs: who bears which, who bore it before, and edits that
//! give SKUs to others, to several and to none.

use super::protocol::Protocol;
use super::run::Run;
use super::shared::Shared;
use bytes::Bytes;
use fastrand::Rng;
use http::Request;
use model::entity::Kind;
use serde_json::{Value, json};
use simulator::catalogue::{Action, Catalogue, Change, ChangeKind, Edit, EntityId};
use simulator::destination::Stored;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How products change what they are called.
#[derive(Debug, Clone, Copy)]
pub struct Identities {
    /// Whether a shop that gives ids is told of another SKU by a change.
    pub renames: bool,
    /// How many times somebody sets about it.
    acts: usize,
    /// How long it is until the next time at most, in milliseconds.
    pause_ms: u64,
    /// How many of a hundred acts leave two products with one SKU, or one without any.
    lasting: u8,
}

/// When SKUs were given before the world began, in milliseconds since the Unix epoch.
const GIVEN_MS: u64 = 1_000_000;

impl Identities {
    /// Some by chance.
    pub fn of(random: &mut Rng) -> Identities {
        Identities {
            renames: random.bool(),
            acts: random.usize(1..14),
            pause_ms: random.u64(500..40_000),
            lasting: [0, 10, 40][random.usize(..3)],
        }
    }

    /// Says it in a document's rules of products, where they are spoken to by several requests.
    pub fn tell(&self, rules: &mut Value, gives_ids: bool) {
        rules["identity"]["form"] = json!("attribute");
        rules["identity"]["attribute"] = json!("sku");
        if gives_ids {
            rules["identity"]["renames"] = json!(self.renames);
        }
    }

    /// Says it in a document of a destination that takes upserts.
    pub fn tell_plainly(&self, document: &mut Value) {
        let rules = &mut document["products"];
        self.tell(rules, false);
        rules["upsert"] = json!({ "path": "/products/{identity}" });
        rules["delete"] = json!({ "path": "/products/{identity}" });
    }
}

/// Gives SKUs to the products of a catalogue that have none, but for a few.
pub(super) fn give_all(catalogue: &mut Catalogue, random: &mut Rng) {
    let nameless = catalogue
        .truth()
        .products(None)
        .filter(|product| product.identifier.is_none());
    let nameless: Vec<EntityId> = nameless.map(|product| product.id.clone()).collect();
    for (number, product) in nameless.into_iter().enumerate() {
        if random.u8(..8) > 0 {
            let edit = call(&product, Some(&format!("GIVEN-{number}")));
            catalogue.edit(&edit, GIVEN_MS).expect("it is there");
        }
    }
}

/// The edit that gives a product an SKU, or takes it away.
fn call(product: &EntityId, sku: Option<&str>) -> Edit {
    let action = Action::SetValue {
        attribute: "sku".to_owned(),
        locale: None,
        scope: None,
        data: json!(sku),
    };
    Edit::new(product.clone(), action)
}

/// The path at the destination of what has an SKU.
pub fn path_of(sku: &str) -> String {
    format!("/{}/{}", Kind::Product.name(), simulator::encode_segment(sku))
}

/// A deletion that the destination carried out, and whose content it was that lay there.
#[derive(Debug)]
pub struct Deletion {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// Where.
    pub path: String,
    /// The product that lay there, by its UUID.
    pub product: String,
}

/// Who is called how, and was.
#[derive(Debug, Default)]
pub struct Names {
    borne: BTreeMap<String, String>,
    /// Who bore an SKU and bore it no more at some time, by the path of what has it.
    left: BTreeSet<(String, String)>,
    /// Every SKU that was ever given.
    given: BTreeSet<String>,
    /// What was deleted.
    pub deletions: Vec<Deletion>,
}

impl Names {
    /// Of the products that are there from the beginning.
    pub fn of(catalogue: &Catalogue) -> Names {
        let mut names = Names::default();
        for product in catalogue.truth().products(None) {
            names.note(product.id.key(), product.identifier.clone());
        }
        names
    }

    fn note(&mut self, product: String, sku: Option<String>) {
        let before = match &sku {
            Some(sku) => self.borne.insert(product.clone(), sku.clone()),
            None => self.borne.remove(&product),
        };
        if let Some(before) = before.filter(|before| Some(before) != sku.as_ref()) {
            self.left.insert((path_of(&before), product));
        }
        self.given.extend(sku);
    }

    /// Takes note of what the PIM changed.
    pub fn note_all(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.entity.is_product()) {
            let is_gone = change.kind == ChangeKind::Deleted;
            self.note(change.entity.key(), change.identifier.clone().filter(|_| !is_gone));
        }
    }

    /// Whether a product bore the SKU of a path and ceased to.
    pub fn has_left(&self, path: &str, product: &str) -> bool {
        self.left.contains(&(path.to_owned(), product.to_owned()))
    }

    /// What a product is called now.
    pub fn of_product(&self, product: &str) -> Option<&str> {
        self.borne.get(product).map(String::as_str)
    }

    /// An SKU that nobody bears: now and then one that somebody bore.
    fn free(&self, random: &mut Rng) -> String {
        let is_borne = |sku: &&String| self.borne.values().any(|borne| borne == *sku);
        let free: Vec<&String> = self.given.iter().filter(|sku| !is_borne(sku)).collect();
        match random.choice(&free) {
            Some(sku) if random.u8(..3) == 0 => (*sku).clone(),
            _ => format!("CALLED-{}", random.u32(..)),
        }
    }
}

/// The UUID that a body of a product names.
pub(super) fn named(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = body.get("uuid").or_else(|| body.get("id"))?;
    Some(id.as_str()?.to_owned())
}

impl Shared {
    /// Whether the destination keeps what the PIM has no more.
    pub fn keeps_all(&self) -> bool {
        self.nature.protocol.as_ref().is_some_and(Protocol::keeps_all)
    }

    /// Whether the destination calls products by their SKUs.
    pub fn is_by_sku(&self) -> bool {
        self.nature.identities.is_some()
    }

    /// The UUID or code of what lies at a path of the destination.
    pub fn key_at(&self, path: &str, stored: &Stored) -> String {
        let is_product = path.starts_with("/products/");
        let product = (self.is_by_sku() && is_product).then(|| named(stored.json.as_bytes()));
        let last = path.rsplit('/').next().unwrap_or_default();
        product.flatten().unwrap_or_else(|| super::rules::percent_decoded(last))
    }

    /// The UUID of the product that lies at a path of a destination that calls products by their SKUs.
    pub fn product_at(&self, path: &str) -> Option<String> {
        let stored = self.destination.state.get(path)?;
        (self.is_by_sku() && path.starts_with("/products/")).then(|| self.key_at(path, stored))
    }

    /// A request as it is made of a destination that calls products by their UUIDs: whose it is, is told by its body, or by
    /// what lies there.
    pub(super) fn by_id(&self, request: &Request<Bytes>) -> Request<Bytes> {
        let mut request = request.clone();
        let path = request.uri().path().to_owned();
        if !self.is_by_sku() || !path.starts_with("/products/") {
            return request;
        }
        let product = named(request.body()).or_else(|| self.product_at(&path));
        if let Some(path) = product.and_then(|product| path_of(&product).parse().ok()) {
            *request.uri_mut() = path;
        }
        request
    }
}

/// An edit of an act, so long after the one before it, in milliseconds.
type Later = (u64, Edit);

impl Run {
    /// Lets somebody change SKUs; what is given is so once that is over.
    pub(super) fn change_identities(&self) -> Rc<Cell<bool>> {
        let is_over = Rc::new(Cell::new(true));
        let identities = self.shared.borrow().nature.identities;
        let random = self.shared.borrow().nature.random(super::nature::Dimension::Identities);
        let Some((identities, mut random)) = identities.zip(random) else {
            return is_over;
        };
        is_over.set(false);
        let (run, over) = (self.clone_handles(), is_over.clone());
        self.executor.spawn(async move {
            for _ in 0..identities.acts {
                run.executor.sleep_ms(random.u64(..identities.pause_ms)).await;
                for (after_ms, edit) in run.act(identities, &mut random) {
                    run.executor.sleep_ms(after_ms).await;
                    run.announce(&edit, &mut random);
                }
            }
            over.set(true);
        });
        is_over
    }

    /// What somebody does to SKUs.
    fn act(&self, identities: Identities, random: &mut Rng) -> Vec<Later> {
        let mut products = self.products();
        random.shuffle(&mut products);
        let shared = self.shared.borrow();
        let names = &shared.names;
        let bearers = products
            .iter()
            .filter_map(|product| Some((product, names.of_product(&product.key())?)));
        let bearers: Vec<(&EntityId, &str)> = bearers.collect();
        let is_lasting = random.u8(..100) < identities.lasting;
        let later_ms = |random: &mut Rng| {
            if random.bool() {
                random.u64(..2000)
            } else {
                random.u64(..90_000)
            }
        };
        match (random.u8(..10), &bearers[..]) {
            (0..2, [(one, _), (other, sku), ..]) => {
                let mut edits = vec![(0, call(one, Some(sku)))];
                if !is_lasting {
                    let whose = if random.bool() { one } else { other };
                    edits.push((later_ms(random), call(whose, Some(&names.free(random)))));
                }
                edits
            }
            (2, [(one, sku), ..]) => {
                let mut edits = vec![(0, call(one, None))];
                if !is_lasting {
                    edits.push((later_ms(random), call(one, Some(sku))));
                }
                edits
            }
            (3, [(one, sku), (other, _), ..]) => {
                vec![
                    (0, Edit::new((*one).clone(), Action::Delete)),
                    (later_ms(random), call(other, Some(sku))),
                ]
            }
            (4, [(one, sku), ..]) => {
                let new =
                    EntityId::Product(uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid());
                let action = Action::Create {
                    identifier: Some((*sku).to_owned()),
                    family: Some("lamp".to_owned()),
                    parent: None,
                    categories: vec!["lighting".to_owned()],
                };
                let free = call(one, Some(&names.free(random)));
                vec![(0, free), (later_ms(random), Edit::new(new, action))]
            }
            (5..8, [_, _, ..]) => in_a_ring(&bearers[..random.usize(2..4).min(bearers.len())], names, random),
            _ => {
                let free = names.free(random);
                products
                    .first()
                    .map(|product| (0, call(product, Some(&free))))
                    .into_iter()
                    .collect()
            }
        }
    }
}

/// Each is called as the next one was till then: at once, so that two bear one SKU in between, or past a name that is free.
fn in_a_ring(ring: &[(&EntityId, &str)], names: &Names, random: &mut Rng) -> Vec<Later> {
    let after_ms = |random: &mut Rng| {
        let most_ms = [50, 3000, 30_000][random.usize(..3)];
        random.u64(..most_ms)
    };
    let mut edits = Vec::new();
    let goes_past_a_free_one = random.bool();
    if goes_past_a_free_one {
        edits.push((0, call(ring[0].0, Some(&names.free(random)))));
    }
    let (first, others) = ring.split_first().expect("two at least");
    let next = |at: usize| ring[(at + 1) % ring.len()].1;
    if !goes_past_a_free_one {
        edits.push((0, call(first.0, Some(next(0)))));
    }
    for at in (1..=others.len()).rev() {
        edits.push((after_ms(random), call(ring[at].0, Some(next(at)))));
    }
    if goes_past_a_free_one {
        edits.push((after_ms(random), call(first.0, Some(next(0)))));
    }
    edits
}
