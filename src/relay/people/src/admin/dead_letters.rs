//! The dead letters: looked at page by page, replayed, discarded.
//!
//! A page costs one listing and a bounded number of reads, however many letters there are. A replay is an event like
//! others, and leaves the dead letter where it is; only a person's discarding deletes one here.

use config::ConsoleConfig;
use config::answer::Answer;
use model::entity::{Entity, Kind};
use model::failure::Failure;
use model::time;
use percent_encoding::percent_decode_str;
use queue::dead_letter::DeadLetter;
use queue::key::{Change, Key};
use queue::keyspace::Keyspace;
use queue::plan::Plan;
use queue::raise;
use queue::waiting::Waiting;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use world::host::{self, Clock, Log, Random, Store, StoreError, set_all};
use world::log;

/// How many items a page has where nobody says.
const LIMIT: usize = 50;

/// How many items a page has at most.
const LIMIT_MAX: usize = 200;

/// How many values are read for one page at most: beyond that a page ends, however few match.
const READ_MAX: usize = 2000;

/// Which dead letters to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Only of this kind.
    kind: Option<Kind>,
    /// Only those whose reason or last answer holds this text, whatever its case; in lower case.
    reason: Option<String>,
    limit: usize,
    /// The key after which the page begins, as the page before it gave it.
    cursor: Option<String>,
}

impl Default for Query {
    fn default() -> Query {
        Query {
            kind: None,
            reason: None,
            limit: LIMIT,
            cursor: None,
        }
    }
}

impl Query {
    /// Reads the query of an address; the text says what makes no sense in it.
    pub(super) fn read(text: &str) -> Result<Query, String> {
        let mut query = Query::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            match name {
                _ if value.is_empty() => {}
                "kind" => query.kind = Some(kind(&value)?),
                "reason" => query.reason = Some(value.to_lowercase()),
                "cursor" => query.cursor = Some(value),
                "limit" => {
                    query.limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                        .ok_or_else(|| format!("`limit` must be a number from 1 to {LIMIT_MAX}"))?;
                }
                _ => return Err("the query may hold `kind`, `reason`, `limit` and `cursor`".to_owned()),
            }
        }
        Ok(query)
    }

    fn matches(&self, letter: Option<&DeadLetter>) -> bool {
        let Some(wanted) = &self.reason else { return true };
        let Some(letter) = letter else { return false };
        let answer = letter.failures.last().and_then(|failure| failure.answer.as_deref());
        let mut texts = std::iter::once(letter.reason.as_str()).chain(answer);
        texts.any(|text| text.to_lowercase().contains(wanted))
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::of_name(name).ok_or_else(|| "`kind` must be products, product-models or categories".to_owned())
}

/// A dead letter by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    entity: Entity,
    failed_s: u64,
    key: String,
}

impl Listed {
    pub(super) fn parse(keys: &Keyspace, key: String) -> Option<Listed> {
        match keys.parse(&key)? {
            Key::DeadLetter(letter) => Some(Listed {
                entity: letter.entity,
                failed_s: letter.failed_s,
                key,
            }),
            _ => None,
        }
    }

    /// Newest first; of the same second by key, so that a cursor has its place.
    fn order(&self) -> (Reverse<u64>, &str) {
        (Reverse(self.failed_s), &self.key)
    }
}

/// The dead letters of a listing that a query may show, newest first, and where its page begins.
fn select(keys: &Keyspace, listing: Vec<String>, query: &Query) -> Result<(Vec<Listed>, usize), String> {
    let mut found: Vec<Listed> = listing
        .into_iter()
        .filter_map(|key| Listed::parse(keys, key))
        .filter(|listed| query.kind.is_none_or(|kind| listed.entity.kind == kind))
        .collect();
    found.sort_by(|one, other| one.order().cmp(&other.order()));
    let begin = match &query.cursor {
        None => 0,
        Some(cursor) => {
            let last = Listed::parse(keys, cursor.clone()).ok_or("`cursor` must be the `next` of an earlier page")?;
            found.partition_point(|listed| listed.order() <= last.order())
        }
    };
    Ok((found, begin))
}

/// A page of dead letters. `total` counts those of the asked kind, whatever their reason. A page may be short and yet
/// have a `next`, where few match.
pub(super) async fn list<H: Store>(host: &H, config: &ConsoleConfig, query: &Query) -> Result<Answer, StoreError> {
    let (found, begin) = match select(&config.keys, host.keys().await?, query) {
        Ok(selected) => selected,
        Err(detail) => return Ok(Answer::bad(&detail)),
    };
    let mut items = Vec::new();
    let mut end = begin;
    for listed in found[begin..].iter().take(READ_MAX) {
        if items.len() >= query.limit {
            break;
        }
        end += 1;
        if let Some(value) = host.get(&listed.key).await? {
            let letter = host::decoded::<DeadLetter>(&value);
            if query.matches(letter.as_ref()) {
                items.push(item(listed, letter));
            }
        }
    }
    let next = found.get(end).and_then(|_| found[..end].last());
    let page = json!({ "items": items, "next": next.map(|last| &last.key), "total": found.len() });
    Ok(Answer::json(200, &page))
}

pub(super) fn item(listed: &Listed, letter: Option<DeadLetter>) -> Value {
    let Some(letter) = letter else {
        return json!({
            "kind": listed.entity.kind.name(), "code": listed.entity.segment.code(),
            "failed_at": time::text(listed.failed_s), "reason": "its record is not in a format that this version reads",
            "failures": [], "events": [], "thinned": false,
        });
    };
    let failures: Vec<Value> = letter.failures.iter().map(Failure::shown).collect();
    json!({
        "kind": letter.kind.name(), "code": letter.code, "failed_at": time::text(letter.failed_s),
        "reason": letter.reason, "failures": failures, "events": letter.events, "thinned": letter.thinned,
    })
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Selection {
    All,
    Kind(Kind),
    Entities(BTreeSet<Entity>),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Body {
    all: bool,
    kind: Option<String>,
    entities: Option<Vec<Named>>,
}

#[derive(Deserialize)]
struct Named {
    kind: String,
    code: String,
}

impl Selection {
    fn read(body: &[u8]) -> Result<Selection, String> {
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        match body {
            Body {
                all: true,
                kind: None,
                entities: None,
            } => Ok(Selection::All),
            Body {
                all: false,
                kind: Some(name),
                entities: None,
            } => Ok(Selection::Kind(kind(&name)?)),
            Body {
                all: false,
                kind: None,
                entities: Some(named),
            } => {
                let entities = named
                    .iter()
                    .map(|named| Ok(Entity::new(kind(&named.kind)?, &named.code)));
                entities.collect::<Result<_, String>>().map(Selection::Entities)
            }
            _ => Err(
                "send {\"all\": true}, {\"kind\": \"products\"} or {\"entities\": [{\"kind\": ..., \"code\": ...}]}"
                    .to_owned(),
            ),
        }
    }

    fn covers(&self, entity: &Entity) -> bool {
        match self {
            Selection::All => true,
            Selection::Kind(kind) => entity.kind == *kind,
            Selection::Entities(entities) => entities.contains(entity),
        }
    }

    /// The entities of a plan that are covered and lie in the dead letters.
    fn of<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = Waiting> + 'a {
        plan.dead().filter(|waiting| self.covers(&waiting.entity))
    }
}

/// Queues an event for every selected entity. Each has a key of its own, never one that was there before, so that no
/// worker can delete it unseen; the dead letter stays until the entity comes through. What the relay queues itself
/// stops at a quarter of what deliveries may queue: `left` counts what is still to be asked for.
pub(super) async fn replay<H: Store + Clock + Log + Random>(
    host: &H,
    config: &ConsoleConfig,
    body: &[u8],
) -> Result<Answer, StoreError> {
    let selection = match Selection::read(body) {
        Ok(selection) => selection,
        Err(detail) => return Ok(Answer::bad(&detail)),
    };
    let plan = Plan::of(&config.keys, host.keys().await?);
    let room = usize::try_from((config.high_water / 4).saturating_sub(plan.own)).unwrap_or(usize::MAX);
    let mut entries = Vec::new();
    let mut left = 0;
    for waiting in selection.of(&plan) {
        if entries.len() >= room {
            left += 1;
        } else if let Some(code) = code(host, &waiting).await? {
            let (key, value) = raise::raised(host, waiting.entity.clone(), &code, Change::Replayed);
            entries.push((config.keys.encode(&Key::Event(key)), value.to_bytes()));
        }
    }
    set_all(host, &entries).await?;
    let done = json!({ "replayed": entries.len(), "left": left });
    log::write(host, config.log, "admin", false, done.clone());
    Ok(Answer::json(200, &done))
}

/// An entity's code: from its key, or where that holds a hash, from its dead letter. None once it has been cleared.
async fn code<H: Store>(host: &H, waiting: &Waiting) -> Result<Option<String>, StoreError> {
    if let Some(code) = waiting.entity.segment.code() {
        return Ok(Some(code));
    }
    for key in &waiting.dead_letters {
        let letter: Option<DeadLetter> = host::read(host, key).await?;
        if let Some(letter) = letter {
            return Ok(Some(letter.code));
        }
    }
    Ok(None)
}

/// Discards the selected dead letters.
pub(super) async fn discard<H: Store + Clock + Log>(
    host: &H,
    config: &ConsoleConfig,
    body: &[u8],
) -> Result<Answer, StoreError> {
    match Selection::read(body) {
        Ok(selection) => discard_selected(host, config, &selection).await,
        Err(detail) => Ok(Answer::bad(&detail)),
    }
}

/// Discards the dead letter of one entity; of one that has none, nothing.
pub(super) async fn discard_one<H: Store + Clock + Log>(
    host: &H,
    config: &ConsoleConfig,
    kind: Kind,
    code: &str,
) -> Result<Answer, StoreError> {
    let selection = Selection::Entities(BTreeSet::from([Entity::new(kind, code)]));
    discard_selected(host, config, &selection).await
}

async fn discard_selected<H: Store + Clock + Log>(
    host: &H,
    config: &ConsoleConfig,
    selection: &Selection,
) -> Result<Answer, StoreError> {
    let plan = Plan::of(&config.keys, host.keys().await?);
    let mut discarded = 0;
    for waiting in selection.of(&plan) {
        for key in &waiting.dead_letters {
            host.delete(key).await?;
        }
        discarded += 1;
    }
    let done = json!({ "discarded": discarded });
    log::write(host, config.log, "admin", false, done.clone());
    Ok(Answer::json(200, &done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use queue::key::DeadLetterKey;

    fn key(keys: &Keyspace, kind: Kind, code: &str, failed_s: u64) -> String {
        keys.encode(&Key::DeadLetter(DeadLetterKey::new(Entity::new(kind, code), failed_s)))
    }

    #[test]
    fn a_query_is_read() {
        let query = Query::read("kind=products&reason=No%20such+Brand&limit=7&cursor=x").expect("a query");
        assert_eq!((query.kind, query.limit), (Some(Kind::Product), 7));
        for nonsense in ["kind=families", "limit=0", "limit=201", "limit=x", "order=up"] {
            assert!(Query::read(nonsense).is_err(), "{nonsense}");
        }
        assert_eq!(Query::read("kind=&&limit="), Ok(Query::default()));
    }

    #[test]
    fn a_dead_letter_is_found_by_its_reason_and_by_all_of_its_last_answer() {
        let letter = json!({
            "v": 1, "kind": "product", "code": "a", "failed_s": 1, "reason": "422: {\"errors\":[", "events": [], "hash": null,
            "failures": [{
                "at_s": 1, "upstream": "destination", "class": "permanent", "status": 422, "reason": "422: {\"errors\":[",
                "tracking_id": null, "tries": 1, "unsettled": false, "retry_after_s": null,
                "answer": "{\"errors\":[{\"property\":\"attribute_9\",\"message\":\"Ung\u{fc}ltig\"}]}",
            }],
        });
        let found = |letter: &Value, text: &str| {
            let query = Query::read(&format!("reason={text}")).expect("a query");
            let letter = serde_json::from_value(letter.clone()).expect("a letter");
            query.matches(Some(&letter))
        };
        for text in ["", "422", "ATTRIBUTE_9", "ung%C3%BCltig", "errors%22:%5B"] {
            assert!(found(&letter, text), "{text}");
        }
        assert!(!found(&letter, "attribute_8"));
        // A dead letter of an earlier version has no answer.
        let mut old = letter;
        old["failures"][0].as_object_mut().expect("a failure").remove("answer");
        assert!(found(&old, "422") && !found(&old, "attribute_9"));
        let query = Query::read("reason=422").expect("a query");
        assert!(!query.matches(None), "a record that is not read");
    }

    #[test]
    fn pages_follow_each_other_although_their_cursor_is_gone() {
        let keys = Keyspace::new("main");
        let listing = vec![
            key(&keys, Kind::Product, "a", 10),
            key(&keys, Kind::Product, "b", 30),
            key(&keys, Kind::ProductModel, "c", 30),
            key(&keys, Kind::Product, "d", 20),
            "r1.other.d.p.ta.50".to_owned(),
            keys.record(queue::key::Record::State),
        ];
        let codes = |query: &Query| -> Vec<String> {
            let (found, begin) = select(&keys, listing.clone(), query).expect("a page");
            found[begin..]
                .iter()
                .filter_map(|listed| listed.entity.segment.code())
                .collect()
        };
        assert_eq!(codes(&Query::default()), ["c", "b", "d", "a"]);
        let gone = Query {
            cursor: Some(key(&keys, Kind::Product, "x", 25)),
            ..Query::default()
        };
        assert_eq!(codes(&gone), ["d", "a"]);
        let products = Query {
            kind: Some(Kind::Product),
            cursor: Some(key(&keys, Kind::Product, "b", 30)),
            ..Query::default()
        };
        assert_eq!(codes(&products), ["d", "a"]);
        let nonsense = Query {
            cursor: Some("x".to_owned()),
            ..Query::default()
        };
        assert!(select(&keys, listing.clone(), &nonsense).is_err());
    }

    #[test]
    fn a_selection_says_exactly_one_thing() {
        assert_eq!(Selection::read(br#"{"all":true}"#), Ok(Selection::All));
        assert_eq!(
            Selection::read(br#"{"kind":"product-models"}"#),
            Ok(Selection::Kind(Kind::ProductModel))
        );
        let named = Selection::read(br#"{"entities":[{"kind":"products","code":"a"}]}"#).expect("a selection");
        assert!(named.covers(&Entity::new(Kind::Product, "a")));
        assert!(!named.covers(&Entity::new(Kind::ProductModel, "a")));
        for nonsense in [
            "",
            "{}",
            "all",
            r#"{"all":false}"#,
            r#"{"all":true,"kind":"products"}"#,
            r#"{"kind":"families"}"#,
            r#"{"everything":true}"#,
            r#"{"all":true,"but":1}"#,
            r#"{"entities":[{"kind":"products"}]}"#,
        ] {
            assert!(Selection::read(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
    }
}
