//! The dead letters: looked at page by page, written out line by line, replayed, discarded.
//!
//! A page costs one listing and a bounded number of reads, however many letters there are. A replay is an event like
//! others, and leaves the dead letter where it is; only a person's discarding deletes one here.
//!
//! `query` says which are meant, `export` writes them out.

mod export;
mod query;

use config::ConsoleConfig;
use config::answer::Answer;
use model::entity::{Entity, Kind};
use model::failure::Failure;
use model::time;
use query::kind;
use queue::dead_letter::DeadLetter;
use queue::key::{Change, Key};
use queue::plan::Plan;
use queue::raise;
use queue::search::{Listed, Search};
use queue::waiting::Waiting;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use world::host::{self, Clock, Log, Random, Store, StoreError, set_all};
use world::log;

pub use export::Export;
pub use query::Query;

/// How many values are read for one page or one command at most: beyond that it ends, however few match.
const READ_MAX: usize = 2000;

/// Begins a search in a listing; or gives the answer to a cursor that is none.
fn search(
    config: &ConsoleConfig,
    listing: impl IntoIterator<Item = String>,
    query: Query,
    reads: usize,
) -> Result<Search, Answer> {
    let begun = Search::begin(&config.keys, listing, (query.filter, query.cursor), reads);
    begun.ok_or_else(|| Answer::bad("`cursor` must be the `next` of an earlier page"))
}

/// A page of dead letters. `total` counts those of the asked kind and time, whatever stands in them. A page may be short and
/// yet have a `next`, where few match.
pub(super) async fn list<H: Store>(host: &H, config: &ConsoleConfig, query: Query) -> Result<Answer, StoreError> {
    let limit = query.limit;
    let mut search = match search(config, host.keys().await?, query, READ_MAX) {
        Ok(search) => search,
        Err(refusal) => return Ok(refusal),
    };
    let mut items = Vec::new();
    while items.len() < limit
        && let Some((listed, letter)) = search.next(host).await?
    {
        items.push(item(&listed, letter));
    }
    let page = json!({ "items": items, "next": search.cursor(), "total": search.total() });
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
    /// Those that a query means.
    Matching(Box<Query>),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Body {
    all: bool,
    kind: Option<String>,
    entities: Option<Vec<Named>>,
    matching: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Named {
    kind: String,
    code: String,
}

impl Selection {
    fn read(body: &[u8]) -> Result<Selection, String> {
        const FORMS: &str = "send {\"all\": true}, {\"kind\": \"products\"}, {\"entities\": [{\"kind\": ..., \"code\": ...}]} or \
            {\"matching\": {\"since\": ..., \"before\": ..., \"text\": ...}}";
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        match (body.all, body.kind, body.entities, body.matching) {
            (true, None, None, None) => Ok(Selection::All),
            (false, Some(name), None, None) => Ok(Selection::Kind(kind(&name)?)),
            (false, None, Some(named), None) => {
                let entities = named
                    .iter()
                    .map(|named| Ok(Entity::new(kind(&named.kind)?, &named.code)));
                entities.collect::<Result<_, String>>().map(Selection::Entities)
            }
            (false, None, None, Some(members)) => {
                Query::matching(&members).map(|query| Selection::Matching(Box::new(query)))
            }
            _ => Err(FORMS.to_owned()),
        }
    }

    fn covers(&self, entity: &Entity) -> bool {
        match self {
            Selection::All => true,
            Selection::Kind(kind) => entity.kind == *kind,
            Selection::Entities(entities) => entities.contains(entity),
            // These are told by what stands in them: a search goes through them.
            Selection::Matching(_) => false,
        }
    }

    /// The entities of a plan that are covered and lie in the dead letters.
    fn of<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = Waiting> + 'a {
        plan.dead().filter(|waiting| self.covers(&waiting.entity))
    }
}

/// Queues an event for every selected entity. Each has a key of its own, never one that was there before, so that no
/// worker can delete it unseen; the dead letter stays until the entity comes through. What the relay queues itself
/// stops at a quarter of what deliveries may queue: `left` counts what is still to be asked for, and where a query says
/// which, `next` is the cursor to go on from.
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
    let (mut entities, mut left, mut next) = (BTreeMap::new(), 0, None);
    if let Selection::Matching(query) = selection {
        let mut search = match search(config, plan.dead_letters().cloned(), *query, READ_MAX) {
            Ok(search) => search,
            Err(refusal) => return Ok(refusal),
        };
        while entities.len() < room
            && let Some((listed, letter)) = search.next(host).await?
        {
            let code = listed.entity.segment.code().or(letter.map(|letter| letter.code));
            entities.extend(code.map(|code| (listed.entity, code)));
        }
        (left, next) = (search.left(), Some(search.cursor().map(str::to_owned)));
    } else {
        for waiting in selection.of(&plan) {
            if entities.len() >= room {
                left += 1;
            } else if let Some(code) = code(host, &waiting).await? {
                entities.insert(waiting.entity, code);
            }
        }
    }
    let raised = entities.into_iter().map(|(entity, code)| {
        let (key, value) = raise::raised(host, entity, &code, Change::Replayed);
        (config.keys.encode(&Key::Event(key)), value.to_bytes())
    });
    let entries: Vec<_> = raised.collect();
    set_all(host, &entries).await?;
    Ok(done(host, config, "replayed", (entries.len(), Some(left), next)))
}

/// What was done to how many, told in the log and to whoever asked; how many are left, and where to go on.
fn done<H: Clock + Log>(
    host: &H,
    config: &ConsoleConfig,
    what: &str,
    (count, left, next): (usize, Option<usize>, Option<Option<String>>),
) -> Answer {
    let mut done = json!({ what: count });
    if let Some(left) = left {
        done["left"] = json!(left);
    }
    log::write(host, config.log, "admin", false, done.clone());
    if let Some(next) = next {
        done["next"] = json!(next);
    }
    Answer::json(200, &done)
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
        Ok(Selection::Matching(query)) => discard_matching(host, config, *query).await,
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
    Ok(done(host, config, "discarded", (discarded, None, None)))
}

/// Discards the very dead letters that were read and found to match: one that came in the place of such a one meanwhile has
/// another key.
async fn discard_matching<H: Store + Clock + Log>(
    host: &H,
    config: &ConsoleConfig,
    query: Query,
) -> Result<Answer, StoreError> {
    let mut search = match search(config, host.keys().await?, query, READ_MAX) {
        Ok(search) => search,
        Err(refusal) => return Ok(refusal),
    };
    let mut discarded = 0;
    while let Some((listed, _)) = search.next(host).await? {
        host.delete(&listed.key).await?;
        discarded += 1;
    }
    let next = search.cursor().map(str::to_owned);
    Ok(done(
        host,
        config,
        "discarded",
        (discarded, Some(search.left()), Some(next)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let matching = Selection::read(br#"{"matching":{"text":"a","kind":"products"}}"#);
        assert!(matches!(matching, Ok(Selection::Matching(_))), "{matching:?}");
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
            r#"{"matching":{}}"#,
            r#"{"matching":{"text":"a"},"all":true}"#,
            r#"{"matching":"a"}"#,
        ] {
            assert!(Selection::read(nonsense.as_bytes()).is_err(), "{nonsense}");
        }
    }
}
