//! What shapes look up in the PIM: attributes, families, categories and options, read whole, kept for an hour, and read
//! anew when an event says that they changed. A list that is not what it was asks for a walk, so that a new label
//! reaches everything that carries the old one.

use crate::batch::Stop;
use crate::entity::{Kind, Segment};
use crate::failure::{Class, Failure};
use crate::host::{self, Host, StoreError, delete_all};
use crate::key::{Key, ListKey};
use crate::pim::{Pim, STRUCTURE};
use crate::session::Session;
use crate::shape::{Element, Elements, Need, path_segment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a list is taken to be as it was, in seconds, if no event tells otherwise.
const TTL_S: u64 = 3600;

/// How old a list must be to be read again for an element that it does not hold, in seconds.
const UNKNOWN_S: u64 = 60;

/// The most pages of a list: ten thousand elements.
const PAGES_MAX: usize = 100;

/// How often a list of several pages is read again until it is the same twice.
const READINGS_MAX: usize = 3;

/// The largest list that is kept, in bytes: stores take values of a megabyte.
const KEPT_MAX: usize = 900_000;

/// A list as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct List {
    v: u32,
    /// When it was read, in seconds since the Unix epoch.
    read_s: u64,
    /// The locales whose labels it holds.
    locales: Vec<String>,
    elements: Elements,
}

impl From<&Need> for ListKey {
    fn from(need: &Need) -> ListKey {
        match need {
            Need::Attributes => ListKey::Attributes,
            Need::Families => ListKey::Families,
            Need::Categories => ListKey::Categories,
            Need::Options(attribute) => ListKey::Options(Segment::of(attribute)),
        }
    }
}

fn resource(need: &Need) -> String {
    match need {
        Need::Attributes => "attributes".to_owned(),
        Need::Families => "families".to_owned(),
        Need::Categories => "categories".to_owned(),
        Need::Options(attribute) => format!("attributes/{}/options", path_segment(attribute)),
    }
}

impl<H: Host> Session<'_, H> {
    /// Sees that everything is at hand that [`Session::shape`] looks up for these entities.
    pub(crate) async fn enrich(&self, kind: Kind, entities: &[&Value]) -> Result<Result<(), Failure>, Stop> {
        for (need, locales) in self.config.shape.needs(kind) {
            let known = self.kept(&need, &locales).await?;
            let age_s = known.map(|read_s| self.now_s().abs_diff(read_s));
            let is_good =
                age_s.is_some_and(|age_s| age_s < UNKNOWN_S || (age_s < TTL_S && !self.misses(&need, entities)));
            if is_good {
                continue;
            }
            if let Err(failure) = self.read_list(&need, &locales).await? {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    }

    /// Takes a list out of the store, once a tick; says when it was read, in seconds since the Unix epoch.
    async fn kept(&self, need: &Need, locales: &[String]) -> Result<Option<u64>, StoreError> {
        let read = self
            .lists_read
            .borrow()
            .iter()
            .find(|(known, _)| known == need)
            .cloned();
        if let Some((_, read_s)) = read {
            return Ok(Some(read_s));
        }
        let key = self.config.keys.encode(&Key::List(need.into()));
        let list: Option<List> = host::read(self.host, &key).await?;
        let is_ours = |list: &List| list.v == 1 && locales.iter().all(|locale| list.locales.contains(locale));
        let Some(list) = list.filter(is_ours) else {
            return Ok(None);
        };
        self.take_list(need, list.read_s, list.elements);
        Ok(Some(list.read_s))
    }

    fn take_list(&self, need: &Need, read_s: u64, elements: Elements) {
        let (mut read, mut lookups) = (self.lists_read.borrow_mut(), self.lookups.borrow_mut());
        read.retain(|(known, _)| known != need);
        lookups.lists.retain(|(known, _)| known != need);
        read.push((need.clone(), read_s));
        lookups.lists.push((need.clone(), elements));
    }

    fn misses(&self, need: &Need, entities: &[&Value]) -> bool {
        let lookups = self.lookups.borrow();
        let Some(elements) = lookups.list(need) else {
            return true;
        };
        entities.iter().any(|entity| need.misses(entity, elements))
    }

    /// Reads a list in the PIM and keeps it. One that changed asks for a walk first, so that dying in between only
    /// makes it be read again.
    async fn read_list(&self, need: &Need, locales: &[String]) -> Result<Result<(), Failure>, Stop> {
        let elements = match self.pim.elements(need, locales).await {
            Ok(elements) => elements,
            Err(failure) => {
                if failure.class != Class::Held {
                    self.log_failure("list", json!({ "list": resource(need), "reason": failure.reason }));
                }
                return Ok(Err(failure));
            }
        };
        let is_changed = self.lookups.borrow().list(need).is_some_and(|known| *known != elements);
        if is_changed {
            self.ask_walk().await?;
        }
        let list = List {
            v: 1,
            read_s: self.now_s(),
            locales: locales.to_vec(),
            elements,
        };
        let value = json!(list).to_string();
        let fields = json!({ "list": resource(need), "elements": list.elements.len(), "changed": is_changed });
        if value.len() <= KEPT_MAX {
            let key = self.config.keys.encode(&Key::List(need.into()));
            self.host.set(&key, value.as_bytes()).await?;
            self.log("list", fields);
        } else {
            // An older one would be found changed for ever.
            self.host
                .delete(&self.config.keys.encode(&Key::List(need.into())))
                .await?;
            self.log_failure("list-too-large", fields);
        }
        self.take_list(need, list.read_s, list.elements);
        Ok(Ok(()))
    }
}

impl<H: Host> Pim<'_, H> {
    /// Reads a list whole, with the labels of these locales. One of several pages is read until two readings agree: its
    /// pages shift when an element is deleted meanwhile, and a category that is passed over would hide all below it.
    pub async fn elements(&self, need: &Need, locales: &[String]) -> Result<Elements, Failure> {
        let resource = resource(need);
        let (mut elements, mut pages) = self.read_through(&resource, locales).await?;
        for _ in 0..READINGS_MAX {
            if pages == 1 {
                return Ok(elements);
            }
            let known = std::mem::take(&mut elements);
            (elements, pages) = self.read_through(&resource, locales).await?;
            if elements == known {
                return Ok(elements);
            }
        }
        let reason = format!("the list /{resource} changes while it is read");
        Err(self.governor.failed(Class::Unavailable, reason))
    }

    async fn read_through(&self, resource: &str, locales: &[String]) -> Result<(Elements, usize), Failure> {
        let mut elements = Elements::new();
        let mut cursor: Option<String> = None;
        for number in 1..=PAGES_MAX {
            let page = self.structure(resource, cursor.as_deref()).await?;
            for item in &page.items {
                if let Some(code) = item.get("code").and_then(Value::as_str) {
                    elements.insert(code.to_owned(), element(item, locales));
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok((elements, number));
            }
        }
        let reason = format!("the list /{resource} has more than 10,000 elements, too many to look things up in");
        Err(self.governor.refuse(STRUCTURE, &reason))
    }
}

fn element(item: &Value, locales: &[String]) -> Element {
    let label = |locale: &String| {
        let label = item.get("labels")?.get(locale)?.as_str()?;
        Some((locale.clone(), label.to_owned()))
    };
    Element {
        labels: locales.iter().filter_map(label).collect(),
        parent: item.get("parent").and_then(Value::as_str).map(str::to_owned),
    }
}

/// Reads anew what events said changed, one by one; what cannot be read now waits for the next tick.
pub(crate) async fn refresh<H: Host>(session: &Session<'_, H>) -> Result<(), Stop> {
    let mut stale = session.plan.stale.clone();
    while let Some((list, _)) = stale.first().cloned() {
        let (same, others): (Vec<_>, Vec<_>) = stale.into_iter().partition(|(other, _)| *other == list);
        stale = others;
        session.check_lease()?;
        if refresh_one(session, &list).await? {
            let keys: Vec<String> = same.into_iter().map(|(_, key)| key).collect();
            delete_all(session.host, &keys).await?;
            session.history.borrow_mut().note_refreshed(keys.len());
        }
    }
    Ok(())
}

/// Says whether that is done with.
async fn refresh_one<H: Host>(session: &Session<'_, H>, list: &ListKey) -> Result<bool, Stop> {
    let mut needs = Kind::ALL.into_iter().flat_map(|kind| session.config.shape.needs(kind));
    let Some((need, locales)) = needs.find(|(need, _)| ListKey::from(need) == *list) else {
        return Ok(true);
    };
    // Nothing was shaped with a list that was never read.
    if session.kept(&need, &locales).await?.is_none() {
        return Ok(true);
    }
    Ok(session.read_list(&need, &locales).await?.is_ok())
}
