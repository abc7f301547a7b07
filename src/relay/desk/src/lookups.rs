//! Reads the lists of the PIM in which shapes look things up: attributes, families, categories, and options of an
//! attribute.
//!
//! A list is read whole, kept in the store for an hour, and read anew when an event says that it changed or when an
//! entity names an element that it lacks. A list that differs from before asks for a walk, so that a new label reaches
//! everything that carries the old one. What of a list does not fit into one tick is kept, and the next tick goes on
//! with it. Callers hold the lease; here it is asked for before anything is written.

use crate::backlog::Backlog;
use crate::books::Books;
use crate::lists::{KnownList, Lists, TTL_S};
use crate::session::Session;
use crate::stop::{Halt, Stop};
use crate::tools::{Desk, Upstreams};
use akeneo::pim::{Pim, list_circuit};
use model::entity::{Kind, digest};
use model::failure::{Class, Failure};
use model::json;
use model::path::path_segment;
use queue::key::{Key, ListKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shape::{Element, Elements, Need, Shape};
use std::borrow::Cow;
use world::host::{self, Host, StoreError, delete_all};

/// How old a list must be, in seconds, before it is read again for an element that it lacks.
const UNKNOWN_S: u64 = 60;

/// The most elements that are read of a list. In a longer one nothing is looked up.
const ELEMENTS_MAX: usize = 10_000;

/// How often a list of several pages is read again at most, until two readings in a row agree.
const READINGS_MAX: usize = 3;

/// The largest list, or reading under way, that is kept in the store, in bytes, where the store takes it.
const KEPT_MAX: usize = 900_000;

/// The largest value that every store takes, in bytes: DynamoDB takes 400 KB with the key. Where a larger one fails, that
/// is taken for its size, and the list is not kept.
const SURE_MAX: usize = 380_000;

/// The version of the format of a kept list.
const FORMAT: u32 = 2;

/// A list as it is kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    v: u32,
    /// When its reading began, in seconds since the Unix epoch.
    began_s: u64,
    /// When its reading ended, in seconds since the Unix epoch.
    read_s: u64,
    /// The locales whose labels were read.
    locales: Vec<String>,
    /// A digest of its elements, which tells whether the list changed.
    digest: String,
    /// The elements; none where they are more than [`KEPT_MAX`] bytes, so that every tick that needs them reads them
    /// anew.
    elements: Option<Elements>,
    /// Whether the list has more than [`ELEMENTS_MAX`] elements. Then none of them is kept.
    is_endless: bool,
}

/// A reading of a list that is under way, as it is kept between ticks. A list of several pages is read until two
/// readings in a row agree: pages shift when an element is deleted meanwhile, and a category that is passed over would
/// hide all below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    v: u32,
    /// The locales whose labels are read.
    locales: Vec<String>,
    /// When the first of these readings began, in seconds since the Unix epoch.
    began_s: u64,
    /// The digest of the elements that the reading before came to; none while the first is under way.
    earlier: Option<String>,
    /// How many readings have come to their end.
    readings: usize,
    /// How many pages of the present reading were read.
    pages: usize,
    /// How many elements were on those pages; 0 in what older versions kept.
    #[serde(default)]
    seen: usize,
    /// The elements of those pages.
    elements: Elements,
    /// Where the next page lies; none before the first.
    cursor: Option<String>,
}

impl Reading {
    fn of(locales: &[String], began_s: u64) -> Reading {
        Reading {
            v: 1,
            locales: locales.to_vec(),
            began_s,
            ..Reading::default()
        }
    }
}

fn digest_of(elements: &Elements) -> String {
    digest(json!(elements).to_string().as_bytes())
}

/// How a list is named in keys of the store.
pub fn key_of(need: &Need) -> ListKey {
    match need {
        Need::Attributes => ListKey::Attributes,
        Need::Families => ListKey::Families,
        Need::Categories => ListKey::Categories,
        Need::Options(attribute) => ListKey::options(attribute),
    }
}

/// Where a list lies in the PIM, below the API's root (contract 4.3).
fn resource(need: &Need) -> String {
    match need {
        Need::Attributes => "attributes".to_owned(),
        Need::Families => "families".to_owned(),
        Need::Categories => "categories".to_owned(),
        Need::Options(attribute) => format!("attributes/{}/options", path_segment(attribute)),
    }
}

/// Brings to hand what [`Lists::shape`] looks up for these entities: reads each list that is missing, older than an
/// hour, or older than a minute and without an element that an entity names. Fails where one of the lists cannot be
/// read or has too many elements.
pub async fn bring<H: Host>(session: &mut Session<'_, H>, kind: Kind, entities: &[&Value]) -> Result<(), Halt> {
    for (need, locales) in session.desk.config.shape.needs(kind) {
        if let Some(known) = known(&session.desk, &mut session.lists, &need, &locales).await? {
            if known.is_endless_still(session.desk.now_s()) {
                return Err(endless(&session.upstreams, &need).into());
            }
            let age_s = session.desk.now_s().abs_diff(known.read_s);
            let is_good = age_s < UNKNOWN_S || (age_s < TTL_S && !misses(&session.lists, &need, kind, entities));
            if known.is_at_hand && is_good {
                continue;
            }
        }
        read_list(session, &need, &locales).await?.result?;
    }
    Ok(())
}

/// Whether an entity names a category that the list of categories lacks, and was told of (at `told_s`, in seconds since
/// the Unix epoch) after the reading of that list began. The category may then be newer than the list, and nothing can
/// be said of where the entity lies.
pub fn is_ahead_of_categories(
    backlog: &mut Backlog,
    lists: &mut Lists,
    kind: Kind,
    entity: &Value,
    told_s: u64,
) -> bool {
    let known = taken(lists, &Need::Categories);
    known.is_some_and(|known| known.began_s < told_s.min(backlog.planned_s))
        && misses(lists, &Need::Categories, kind, &[entity])
}

/// What this tick knows of a list already.
fn taken(lists: &Lists, need: &Need) -> Option<KnownList> {
    lists.known.iter().find(|known| known.need.is(need)).cloned()
}

/// What is known of a list: what this tick knows already, or else what is kept in the store, which is brought to
/// hand. None where the list is not kept with all of these locales, in the present format.
pub(crate) async fn known<H: Host>(
    desk: &Desk<'_, H>,
    lists: &mut Lists,
    need: &Need,
    locales: &[String],
) -> Result<Option<KnownList>, StoreError> {
    let known = taken(lists, need);
    if known.is_some() {
        return Ok(known);
    }
    let key = desk.config.keys.encode(&Key::List(key_of(need)));
    let list: Option<List> = host::read(desk.host, &key).await?;
    let is_ours = |list: &List| list.v == FORMAT && locales.iter().all(|locale| list.locales.contains(locale));
    let list = list.filter(is_ours);
    Ok(list.map(|list| take_list(lists, need, list)))
}

/// Notes what is known of a list, and brings its elements to hand if it has any, in place of what was there.
fn take_list(lists: &mut Lists, need: &Need, list: List) -> KnownList {
    let known = KnownList {
        need: need.clone(),
        began_s: list.began_s,
        read_s: list.read_s,
        digest: list.digest,
        is_at_hand: list.elements.is_some(),
        is_endless: list.is_endless,
    };
    let (lists, lookups) = (&mut lists.known, &mut lists.lookups);
    lists.retain(|known| !known.need.is(need));
    lookups.lists.retain(|(known, _)| !known.is(need));
    lists.push(known.clone());
    lookups
        .lists
        .extend(list.elements.map(|elements| (need.clone(), elements)));
    known
}

/// Whether one of the entities names an element that a list lacks. A list that is not at hand lacks every element.
pub(crate) fn misses(lists: &Lists, need: &Need, kind: Kind, entities: &[&Value]) -> bool {
    let lookups = &lists.lookups;
    let Some(elements) = lookups.list(need) else {
        return true;
    };
    entities.iter().any(|entity| need.misses(kind, entity, elements))
}

/// The failure of whoever needs a list that has too many elements. It opens the breaker of that list.
fn endless<H: Host>(upstreams: &Upstreams<'_, H>, need: &Need) -> Failure {
    upstreams.pim.failed_list(&resource(need), ENDLESS)
}

/// Reads a list in the PIM, or goes on with a kept reading, and keeps the list, or how far the reading has come.
async fn read_list<H: Host>(session: &mut Session<'_, H>, need: &Need, locales: &[String]) -> Result<Outcome, Stop> {
    let key = session.desk.config.keys.encode(&Key::Reading(key_of(need)));
    let kept: Option<Reading> = host::read(session.desk.host, &key).await?;
    let was_begun = kept.is_some();
    let is_ours = |reading: &Reading| {
        reading.v == 1 && reading.locales == locales && session.desk.now_s().abs_diff(reading.began_s) < TTL_S
    };
    let kept = kept.filter(is_ours);
    let mut reading = kept
        .clone()
        .unwrap_or_else(|| Reading::of(locales, session.desk.now_s()));
    let result = match go_on(&mut session.upstreams.pim, need, &mut reading).await {
        Ok(elements) => {
            session.desk.check_lease()?;
            let is_endless = elements.is_none();
            keep_list(
                &session.desk,
                &mut session.books,
                &mut session.lists,
                need,
                &reading,
                elements,
            )
            .await?;
            if is_endless {
                Err(endless(&session.upstreams, need))
            } else {
                Ok(())
            }
        }
        Err(failure) => {
            log_reading(&session.desk, need, &reading, &failure);
            let value = json!(reading).to_string();
            let has_come_on = was_begun || reading.pages + reading.readings > 0;
            let mut is_kept = has_come_on && value.len() <= KEPT_MAX;
            if is_kept && kept.as_ref() != Some(&reading) {
                session.desk.check_lease()?;
                is_kept = set_if_taken(&session.desk, &key, &value).await?;
            }
            if has_come_on && !is_kept {
                let fields = json!({ "list": resource(need), "reason": "it must be read within one tick" });
                session.desk.log_failure("list-too-large", fields);
            }
            return Ok(Outcome {
                result: Err(failure),
                was_begun,
                is_kept,
            });
        }
    };
    if was_begun {
        session.desk.host.delete(&key).await?;
    }
    Ok(Outcome {
        result,
        was_begun,
        is_kept: false,
    })
}

fn log_reading<H: Host>(desk: &Desk<'_, H>, need: &Need, reading: &Reading, failure: &Failure) {
    let fields = json!({ "list": resource(need), "reading": reading.readings + 1, "pages": reading.pages, "reason": failure.reason });
    if !failure.was_not_called() {
        desk.log_failure("list", fields);
    } else if reading.pages + reading.readings > 0 {
        desk.log("list", fields);
    }
}

/// Keeps a list that was read, or that it has too many elements, for which `elements` is none. For a list that changed,
/// a walk is asked for first: a tick that dies in between leaves the old list in the store, so that the next one reads
/// the list and asks for a walk once more.
async fn keep_list<H: Host>(
    desk: &Desk<'_, H>,
    books: &mut Books,
    lists: &mut Lists,
    need: &Need,
    reading: &Reading,
    elements: Option<Elements>,
) -> Result<(), Stop> {
    let is_endless = elements.is_none();
    let elements = elements.unwrap_or_default();
    let digest = digest_of(&elements);
    let is_changed = !is_endless && taken(lists, need).is_some_and(|known| known.digest != digest);
    if is_changed {
        books.ask_walk(desk).await?;
    }
    let count = elements.count();
    let mut list = List {
        v: FORMAT,
        began_s: reading.began_s,
        read_s: desk.now_s(),
        locales: reading.locales.clone(),
        digest,
        elements: Some(elements),
        is_endless,
    };
    let value = json!(list).to_string();
    let fields = json!({ "list": resource(need), "elements": count, "changed": is_changed });
    let elements = list.elements.take();
    let key = desk.config.keys.encode(&Key::List(key_of(need)));
    if value.len() <= KEPT_MAX && set_if_taken(desk, &key, &value).await? {
        desk.log("list", fields);
    } else {
        desk.log_failure("list-too-large", fields);
        desk.host.set(&key, json!(list).to_string().as_bytes()).await?;
    }
    take_list(lists, need, List { elements, ..list });
    Ok(())
}

/// Sets a key unless the value is too large for this store; says whether it is kept. Any failure to set a value that not
/// every store takes is taken for one of its size.
async fn set_if_taken<H: Host>(desk: &Desk<'_, H>, key: &str, value: &str) -> Result<bool, StoreError> {
    match desk.host.set(key, value.as_bytes()).await {
        Err(_) if value.len() > SURE_MAX => Ok(false),
        set => set.map(|()| true),
    }
}

/// What became of a list that was to be read.
struct Outcome {
    result: Result<(), Failure>,
    /// Whether a reading of the list was kept before, so that this one may have begun before the last listing.
    was_begun: bool,
    /// Whether the reading did not come to its end and is kept.
    is_kept: bool,
}

/// Why a list of more than [`ELEMENTS_MAX`] elements is not used.
const ENDLESS: &str = "has more than 10,000 elements, too many to look things up in";

/// The names of the breakers that guard the lists with which entities of a kind are shaped.
pub fn circuits(shape: &Shape, kind: Kind) -> Vec<String> {
    let needs = shape.needs(kind).into_iter();
    needs.map(|(need, _)| list_circuit(&resource(&need))).collect()
}

/// Reads a list whole, with the labels of these locales, and keeps nothing. Fails where a page does, where the list has
/// too many elements, and where it changes while it is read.
pub async fn elements<H: Host>(pim: &mut Pim<'_, H>, need: &Need, locales: &[String]) -> Result<Elements, Failure> {
    let read = go_on(pim, need, &mut Reading::of(locales, 0)).await?;
    read.ok_or_else(|| pim.failed_list(&resource(need), ENDLESS))
}

/// Goes on with a reading until the list is known, and gives its elements; none if there are more than
/// [`ELEMENTS_MAX`]. Fails where a page does, after which the reading can be gone on with, and where the list changes
/// in every reading, after which it begins anew.
async fn go_on<H: Host>(pim: &mut Pim<'_, H>, need: &Need, reading: &mut Reading) -> Result<Option<Elements>, Failure> {
    let resource = resource(need);
    while reading.readings <= READINGS_MAX {
        loop {
            let page = pim.elements_page(&resource, reading.cursor.as_deref()).await?;
            (reading.pages, reading.seen) = (reading.pages + 1, reading.seen + page.items.len());
            if reading.seen > ELEMENTS_MAX {
                return Ok(None);
            }
            for item in &page.items {
                if let Some(code) = item.get("code").and_then(json::text) {
                    let element = element(item, &reading.locales);
                    reading.elements.insert(code.into_owned(), element);
                }
            }
            reading.cursor = page.next;
            if reading.cursor.is_none() {
                break;
            }
        }
        let elements = std::mem::take(&mut reading.elements);
        let digest = digest_of(&elements);
        if reading.pages == 1 || reading.earlier.as_ref() == Some(&digest) {
            return Ok(Some(elements));
        }
        (reading.readings, reading.earlier) = (reading.readings + 1, Some(digest));
        (reading.pages, reading.seen) = (0, 0);
    }
    *reading = Reading::of(&reading.locales, reading.began_s);
    let reason = format!("the list /{resource} changes while it is read");
    Err(pim.governor.failed(Class::Unavailable, reason))
}

fn element(item: &Value, locales: &[String]) -> Element {
    let label = |locale: &String| {
        let label = item
            .get("labels")?
            .get(locale)
            .filter(|label| !json::is_damaged(label))?;
        Some((locale.clone(), label.as_str()?.to_owned()))
    };
    Element {
        labels: locales.iter().filter_map(label).collect(),
        parent: item.get("parent").and_then(json::text).map(Cow::into_owned),
    }
}

/// Goes on with the readings that did not fit into a tick, and reads anew the lists that events said changed, one after
/// the other. Calls for all of this begin in the first half of the time that is left: a list that takes long must not
/// keep everything else from being sent.
pub async fn refresh<H: Host>(session: &mut Session<'_, H>) -> Result<(), Stop> {
    let mut lists: Vec<ListKey> = session.backlog.plan.unfinished.clone();
    for (list, _) in &session.backlog.plan.stale {
        if !lists.contains(list) {
            lists.push(list.clone());
        }
    }
    let left_ms = session.upstreams.pim_governor.left_ms();
    session
        .upstreams
        .pim_governor
        .begin_until(session.desk.host.monotonic_ms() + left_ms / 2);
    let until_ms = session.desk.host.monotonic_ms() + left_ms;
    for list in &lists {
        session.desk.check_lease()?;
        if refresh_one(session, list).await? {
            let stale = session.backlog.plan.stale.iter().filter(|(other, _)| other == list);
            let keys: Vec<String> = stale.map(|(_, key)| key.clone()).collect();
            delete_all(session.desk.host, &keys).await?;
            session.books.history.note_refreshed(keys.len());
        }
    }
    session.upstreams.pim_governor.begin_until(until_ms);
    Ok(())
}

/// Reads one list anew, if anybody needs it; says whether the events that told of its change are answered, so that
/// their keys may be deleted.
async fn refresh_one<H: Host>(session: &mut Session<'_, H>, list: &ListKey) -> Result<bool, Stop> {
    let mut needs = Kind::ALL
        .into_iter()
        .flat_map(|kind| session.desk.config.shape.needs(kind));
    let is_unfinished = session.backlog.plan.unfinished.contains(list);
    let Some((need, locales)) = needs.find(|(need, _)| key_of(need) == *list) else {
        if is_unfinished {
            let key = session.desk.config.keys.encode(&Key::Reading(list.clone()));
            session.desk.host.delete(&key).await?;
        }
        return Ok(true);
    };
    match known(&session.desk, &mut session.lists, &need, &locales).await? {
        // No entity was shaped with a list that was never read, so its change concerns none.
        None if !is_unfinished => return Ok(true),
        Some(known) if known.is_endless_still(session.desk.now_s()) => return Ok(true),
        _ => {}
    }
    let outcome = read_list(session, &need, &locales).await?;
    // The events that said that the list changed may be deleted only if this reading began after they were listed: one
    // that an earlier tick began may have passed what they tell of. A reading that is kept answers them, too, since the
    // next tick goes on with it.
    Ok(!outcome.was_begun && (outcome.result.is_ok() || outcome.is_kept))
}

#[cfg(test)]
mod tests {
    use super::{List, Reading};
    use serde_json::json;
    use world::testing::reads_back;

    #[test]
    fn lists_are_read_back() {
        let elements = json!({ "Red": { "l": [["en_US", "Red"]], "p": null }, "7": { "l": [], "p": "Red" } });
        reads_back::<List>(json!({
            "v": 2, "began_s": 1, "read_s": (1_u64 << 53) + 1, "locales": ["en_US"], "digest": "d", "elements": elements,
            "is_endless": false,
        }));
        reads_back::<Reading>(json!({
            "v": 1, "locales": [], "began_s": (1_u64 << 53) + 1, "earlier": "d", "readings": 1, "pages": 2,
            "elements": elements, "cursor": "page=3",
        }));
    }
}
