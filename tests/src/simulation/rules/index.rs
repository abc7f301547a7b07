//! The index and the destination tell the same. Whoever changes back to what the index says wrongly is never pushed, and
//! what lies at the destination and not in the index is never deleted.

use crate::simulation::deliver::entity_of;
use crate::simulation::host::{Shared, SimHost};
use crate::simulation::protocol::Protocol;
use crate::simulation::run::Run;
use fastrand::Rng;
use http::Method;
use index::directory::{Directory, Order};
use index::entry::Entry;
use index::pages::Pages;
use model::entity::{Entity, Kind, Segment};
use model::template::Piece;
use protocol::draft::Draft;
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use shape::Upsert;
use simulator::catalogue::EntityId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Hashes of what was pushed, as the index has them; none where what lies there is not known. And what it is called there,
/// where that can change.
type Index = BTreeMap<(Kind, Segment), (Option<String>, Vec<String>)>;

/// The kind of what lies at a path of the destination, and what it is called there.
pub(super) fn parts(path: &str) -> (Kind, &str) {
    match path.strip_prefix("/products/") {
        Some(called) => (Kind::Product, called),
        None => (
            Kind::ProductModel,
            path.strip_prefix("/product-models/").unwrap_or_default(),
        ),
    }
}

/// Checks the rule.
pub(super) fn index_and_destination_tell_the_same(run: &Run, random: &mut Rng) -> Vec<String> {
    let mut index = read(run, random);
    let shared = run.shared.borrow();
    let shape = &run.worker.shape;
    let mut wrong = Vec::new();
    for (path, stored) in &shared.destination.state {
        let (kind, called) = parts(path);
        let upsert = Upsert {
            identity: String::new(),
            change: Draft {
                method: Method::PUT,
                path: match &shared.nature.protocol {
                    Some(protocol) => protocol.path_of(kind.name(), called),
                    None => vec![Piece::Text(path.clone())],
                },
                body: Some(stored.body()),
                late: Vec::new(),
            },
            create: None,
            find: None,
            files: Vec::new(),
        };
        let entity = Entity::new(kind, &shared.key_at(path, stored));
        match index.remove(&(kind, entity.segment)) {
            // What it gave an id to, and whose answer was lost, nobody can know of.
            None if shared.nature.protocol.as_ref().is_some_and(Protocol::is_blind) => {}
            // What is gone and stays there is forgotten.
            None if super::stays(run, &shared, path) => {}
            None => wrong.push(format!("{path} lies at the destination and not in the index")),
            Some((Some(known), _)) if known != shape.hash(kind, &upsert) => {
                wrong.push(format!("the index has another content of {path} than the destination"));
            }
            Some((Some(_), names)) if !tells_the_name(&shared, kind, &names, called) => {
                wrong.push(format!("the index has what lies at {path} under {names:?}"));
            }
            Some(_) => {}
        }
    }
    // What was there from the beginning, to make pages large, no destination knows.
    let known: BTreeSet<(Kind, Segment)> = run.ever.borrow().iter().map(of).collect();
    let left = index
        .into_iter()
        .filter(|(of, (hash, _))| hash.is_some() && known.contains(of));
    wrong.extend(left.map(|((kind, segment), _)| {
        let code = segment.code().unwrap_or_else(|| segment.as_str().to_owned());
        format!("the index has {}/{code}, the destination has not", kind.name())
    }));
    wrong
}

/// Whether the index has an entity under the name under which it lies, and under no other.
fn tells_the_name(shared: &Shared, kind: Kind, names: &[String], called: &str) -> bool {
    let is_by_name = shared.is_by_sku() && kind == Kind::Product;
    !is_by_name || names == [super::percent_decoded(called)]
}

fn of(id: &EntityId) -> (Kind, Segment) {
    let entity = entity_of(id);
    (entity.kind, entity.segment)
}

/// Reads the whole index as a worker would.
fn read(run: &Run, random: &mut Rng) -> Index {
    let listing: Vec<String> = run.shared.borrow().store.keys().cloned().collect();
    let plan = Plan::of(&Keyspace::new("main"), listing);
    let directory = Directory::of(Order::Entities, config::PAGE_ENTRIES, plan.index);
    let host = SimHost::new(&run.executor, &run.shared, "rules", true, 0);
    let (index, is_done) = (Rc::new(RefCell::new(Index::new())), Rc::new(RefCell::new(None)));
    let (read, done) = (index.clone(), is_done.clone());
    run.executor.spawn(async move {
        let (mut pages, keys) = (Pages::default(), Keyspace::new("main"));
        for kind in [Kind::Product, Kind::ProductModel] {
            for extent in directory.extents(kind, 0) {
                let result = pages.read(&host, &keys, &directory, kind, extent.first).await;
                if result.is_err() {
                    *done.borrow_mut() = Some(result.map(drop));
                    return;
                }
                let entries = pages.entries(kind, extent.first).into_iter();
                let known = |entry: &Entry| (entry.hash.clone(), entry.identities.clone());
                let entries = entries.map(|(_, segment, entry)| ((kind, segment.clone()), known(entry)));
                read.borrow_mut().extend(entries);
            }
        }
        *done.borrow_mut() = Some(Ok(()));
    });
    run.executor.run(random, || is_done.borrow().is_some());
    index.take()
}
