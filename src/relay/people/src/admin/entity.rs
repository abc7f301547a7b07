//! All that is known of one entity: what waits, what was tried, what died, and what the destination has of it.
//!
//! It shows what a listing found, and changes nothing. Whatever was cleared since then is left out or shown without its
//! details.

use super::dead_letters;
use config::{ConsoleConfig, PAGE_ENTRIES};
use index::directory::{Directory, Order};
use index::pages::Pages;
use model::entity::{Entity, Kind};
use model::failure::Failure;
use model::time;
use queue::dead_letter::{DeadLetter, EVENT_KEPT};
use queue::key::{EventKey, Hold, RetryKey};
use queue::plan::Plan;
use queue::raise::EventValue;
use queue::retry::RetryValue;
use queue::search::Listed;
use queue::waiting::Waiting;
use serde_json::{Value, json};
use std::cmp::Reverse;
use world::host::{self, Store, StoreError};
use world::log::cut;

/// How many waiting events are shown, the newest; `total` counts all.
const EVENTS: usize = 20;

/// Reads all that is known: by one listing, the entity's own values, and one page of the index.
pub(super) async fn read<H: Store>(
    host: &H,
    config: &ConsoleConfig,
    kind: Kind,
    code: &str,
) -> Result<Value, StoreError> {
    let entity = Entity::new(kind, code);
    let (plan, pages) = match list(host, config, &entity).await {
        // The worker may have moved the page since the listing.
        Err(_) => list(host, config, &entity).await?,
        Ok(listed) => listed,
    };
    let waiting = plan.find(&entity);
    let indexed = pages.get(&entity).map(|entry| {
        json!({
            "hash": entry.hash,
            "updated": (entry.updated_s > 0).then(|| time::text(entry.updated_s)),
        })
    });
    let (events, total, retries, dead_letters) = match &waiting {
        Some(waiting) => (
            events(host, waiting).await?,
            waiting.events.len(),
            retries(host, waiting).await?,
            dead_letters(host, config, waiting).await?,
        ),
        None => Default::default(),
    };
    Ok(json!({
        "kind": kind.name(),
        "code": code,
        "events": { "total": total, "items": events },
        "retries": retries,
        "dead_letters": dead_letters,
        "index": indexed,
    }))
}

async fn list<H: Store>(host: &H, config: &ConsoleConfig, entity: &Entity) -> Result<(Plan, Pages), StoreError> {
    let plan = Plan::of(&config.keys, host.keys().await?);
    let index = Directory::of(Order::Entities, PAGE_ENTRIES, plan.index.clone());
    let pages = Pages::load(host, &config.keys, &index, [entity]).await?;
    Ok((plan, pages))
}

async fn events<H: Store>(host: &H, waiting: &Waiting) -> Result<Vec<Value>, StoreError> {
    let mut newest: Vec<&(EventKey, String)> = waiting.events.iter().collect();
    newest.sort_by_key(|(event, key)| (Reverse(event.time_s), key));
    let mut items = Vec::new();
    for (event, key) in newest.into_iter().take(EVENTS) {
        let kept: Option<EventValue> = host::read(host, key).await?;
        let text = kept.as_ref().map_or("", |kept| kept.event.as_str());
        items.push(json!({
            "time": (event.time_s > 0).then(|| time::text(event.time_s)),
            "change": event.change.name(),
            "taken_at": kept.as_ref().map(|kept| time::text(kept.at_ms / 1000)),
            "event": cut(text, EVENT_KEPT),
        }));
    }
    Ok(items)
}

async fn retries<H: Store>(host: &H, waiting: &Waiting) -> Result<Vec<Value>, StoreError> {
    let mut items = Vec::new();
    for (retry, key) in &waiting.retries {
        let kept: Option<RetryValue> = host::read(host, key).await?;
        let failures = kept.map(|kept| kept.failures).unwrap_or_default();
        items.push(json!({
            "due": time::text(retry.due_s),
            "attempts": retry.attempts,
            "why": why(retry),
            "failures": failures.iter().map(Failure::shown).collect::<Vec<_>>(),
        }));
    }
    Ok(items)
}

fn why(retry: &RetryKey) -> &'static str {
    match retry.hold {
        Some(Hold::Brake | Hold::Unindexed) => "braked",
        Some(Hold::Probe) => "upstream-down",
        Some(Hold::Doubt) => "doubted",
        None if retry.attempts == 0 => "recheck",
        None => "failed",
    }
}

async fn dead_letters<H: Store>(host: &H, config: &ConsoleConfig, waiting: &Waiting) -> Result<Vec<Value>, StoreError> {
    let mut items = Vec::new();
    for key in &waiting.dead_letters {
        let letter: Option<DeadLetter> = host::read(host, key).await?;
        let listed = Listed::parse(&config.keys, key.clone());
        items.extend(listed.map(|listed| dead_letters::item(&listed, letter)));
    }
    Ok(items)
}
