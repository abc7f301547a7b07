//! One entity, read, shaped and judged, under the lease: the PIM is asked by its holder alone.
//!
//! But for the lease and a token of the PIM's nothing is written, and the destination is not asked.

use crate::request::{of_files, of_removal, of_upsert};
use crate::verdict::{self, Known};
use akeneo::pim::{Pim, Read};
use config::answer::Answer;
use config::{PAGE_ENTRIES, WorkerConfig};
use desk::glance::glance;
use desk::lists::Lists;
use desk::stop::{Halt, Stop};
use desk::tools::Desk;
use index::directory::{Directory, Order};
use index::entry::{Entry, mark_of};
use index::pages::Pages;
use model::entity::{Entity, Kind, updated_s};
use model::{json as exact, time};
use preflight::check::governor;
use protocol::remote::{Given, Remote};
use queue::handover;
use queue::lease::Lease;
use queue::plan::Plan;
use records::pair::Pair;
use records::state::State;
use serde::Deserialize;
use serde_json::{Value, json};
use shape::{Farewell, Shaped};
use upstream::governor::Governor;
use world::host::{Host, StoreError};

/// How long one call may take, in milliseconds.
const CALL_MS: u64 = 10_000;

/// Which entity is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    kind: Kind,
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    kind: String,
    code: String,
}

impl Asked {
    /// Reads what is asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(body: &[u8]) -> Result<Asked, String> {
        let body: Body = serde_json::from_slice(body)
            .map_err(|_| "send {\"kind\": \"products\", \"code\": ...}: a UUID, or the code of a model or category")?;
        let kind = Kind::of_name(&body.kind).ok_or("`kind` must be products, product-models or categories")?;
        match body.code.trim() {
            "" => Err("`code` is empty".to_owned()),
            code => Ok(Asked {
                kind,
                code: code.to_owned(),
            }),
        }
    }
}

/// What one entity would be sent, and why. Waits up to `wait_ms` milliseconds for the lease. `document` is the shape as it
/// was written; none of the `secrets` stands in the answer.
pub async fn preview<H: Host>(
    host: &H,
    (config, document): (&WorkerConfig, &str),
    secrets: &[String],
    asked: &Asked,
    wait_ms: u64,
) -> Answer {
    let lease = match handover::take(host, &config.keys, wait_ms).await {
        Ok(Some(lease)) => lease,
        Ok(None) => {
            return Answer::problem(
                503,
                "ticks were at work all the time, so the PIM was not asked; ask again, with ?wait_seconds= for longer",
            )
            .with("retry-after", "10");
        }
        Err(error) => return of_halt(error.into()),
    };
    let look = Look {
        host,
        config,
        document: serde_json::from_str(document).unwrap_or_default(),
        lease: &lease,
    };
    let seen = lease.while_working(host, &config.keys, look.at(asked, secrets)).await;
    // A lease that is not given back passes by itself.
    drop(lease.give_back(host, &config.keys).await);
    match seen {
        Ok(document) => Answer {
            body: exact::shown(&document).into_bytes(),
            ..Answer::json(200, &Value::Null)
        },
        Err(halt) => of_halt(halt),
    }
}

fn of_halt(halt: Halt) -> Answer {
    match halt {
        Halt::Failure(failure) => Answer::problem(502, &format!("the PIM could not be asked: {}", failure.reason)),
        Halt::Stop(Stop::Lease) => Answer::problem(503, "the lease passed before the PIM had answered; ask again"),
        Halt::Stop(Stop::Store(error)) => Answer::problem(503, &format!("{error}; ask again")),
    }
}

struct Look<'a, H> {
    host: &'a H,
    config: &'a WorkerConfig,
    /// The shape as it was written.
    document: Value,
    lease: &'a Lease,
}

impl<H: Host> Look<'_, H> {
    async fn at(&self, asked: &Asked, secrets: &[String]) -> Result<Value, Halt> {
        let (config, kind) = (self.config, asked.kind);
        let shape = &config.shape;
        let governor = governor(self.host, config, self.lease, akeneo::pim::limits(CALL_MS));
        secrets.iter().for_each(|secret| governor.keep_secret(secret));
        let mut document = json!({
            "v": 1, "at": time::text(self.host.now_ms() / 1000), "kind": kind.name(), "code": asked.code,
            "shape": shape.name(), "waits_for": self.obstacles().await?,
        });
        if !shape.kinds().contains(&kind) {
            document["would"] = json!("nothing");
            document["why"] = json!("the shape does not speak of this kind");
            return Ok(document);
        }
        let read = self.read(&governor, asked).await?;
        let code = read.as_ref().and_then(|(entity, _)| kind.id_in(entity));
        let code = code.as_deref().unwrap_or(&asked.code);
        let at_destination = self
            .at_destination(kind, code, read.as_ref().map(|(entity, _)| entity))
            .await?;
        let (entry, shaped) = (at_destination.entry.as_ref(), read.as_ref().map(|(_, shaped)| shaped));
        let under = entry.and_then(|entry| entry.identities.first());
        let farewell = shape.farewell(kind, code, under.map(String::as_str));
        let of_parent = at_destination.of_parent.as_ref().map(mark_of);
        let known = Known {
            shaped,
            entry,
            farewell: farewell.as_ref(),
            of_parent: of_parent.as_deref(),
        };
        let (would, why) = verdict::judge(shape, kind, &known);
        document["would"] = json!(would);
        document["why"] = json!(why);
        document["code"] = json!(code);
        document["pim"] = json!(
            read.as_ref()
                .map(|(entity, _)| json!({ "updated": moment(updated_s(entity)) }))
        );
        document["selection"] = json!(shaped.map(selected));
        document["index"] = json!(entry.map(indexed));
        let (none, nothing) = (Remote::new(), Remote::new());
        let given = Given {
            own: entry.map_or(&none, |entry| &entry.remote),
            parent: at_destination.of_parent.as_ref().unwrap_or(&nothing),
        };
        let mut requests = Vec::new();
        if let Some(Shaped::Wanted(upsert)) = shaped {
            document["hash"] = json!(shape.hash(kind, upsert));
            document["identity"] = json!(upsert.identity);
            requests.extend(of_files(shape, &upsert.files));
            requests.extend(of_upsert(shape, kind, upsert, Some(given)));
        } else if let (Some(Farewell::Sent(removal)), Some(_)) = (&farewell, entry) {
            requests.push(of_removal(shape, (kind, &self.document), removal, Some(given)));
        }
        document["requests"] = requests.iter().map(crate::request::Shown::document).collect();
        blank(&mut document, &governor);
        Ok(document)
    }

    /// What keeps anything from being sent now, whatever is known of the entity.
    async fn obstacles(&self) -> Result<Vec<String>, StoreError> {
        let mut obstacles = Vec::new();
        let state = State::load(self.host, &self.config.keys).await?;
        if let Some(since_s) = state.paused_s {
            obstacles.push(format!("pushing is paused by a person since {}", time::text(since_s)));
        }
        match (Pair::load(self.host, &self.config.keys).await?, Pair::of(self.config)) {
            (_, None) => obstacles.push("no destination is configured".to_owned()),
            (Some(known), Some(configured)) => obstacles.extend(known.denies(&configured)),
            (None, Some(_)) => {}
        }
        Ok(obstacles)
    }

    /// The entity as the PIM has it, and what the shape makes of it; none if the PIM does not have it.
    async fn read(&self, governor: &Governor<'_, H>, asked: &Asked) -> Result<Option<(Value, Shaped)>, Halt> {
        let config = self.config;
        let mut pim = Pim::new(self.host, governor, &config.keys, &config.pim, true);
        pim.completenesses = config.shape.asks_completenesses();
        let name = format!("{}/{}", asked.kind.name(), asked.code);
        let Read::Found(entity) = pim.by_id(asked.kind, &asked.code, &name, 0).await? else {
            return Ok(None);
        };
        let desk = Desk {
            host: self.host,
            config,
            lease: self.lease,
        };
        let mut lists = Lists::default();
        glance(&desk, &mut pim, &mut lists, asked.kind, &entity).await?;
        let code = asked.kind.id_in(&entity).unwrap_or_else(|| asked.code.clone());
        let shaped = lists.shape(&desk, asked.kind, &code, &entity);
        Ok(Some((entity, shaped)))
    }

    /// What the index knows of an entity and of what it belongs to.
    async fn at_destination(&self, kind: Kind, code: &str, read: Option<&Value>) -> Result<AtDestination, StoreError> {
        let (host, keys, entity) = (self.host, &self.config.keys, Entity::new(kind, code));
        let plan = Plan::of(keys, host.keys().await?);
        let index = Directory::of(Order::Entities, PAGE_ENTRIES, plan.index);
        let mut pages = Pages::load(host, keys, &index, [&entity]).await?;
        let names = self.config.shape.names_of_parents(kind);
        let parent = read.and_then(|read| kind.parent_in(read));
        let of_parent = match (names.is_empty(), read, &parent) {
            (true, ..) | (_, Some(_), None) => None,
            (false, Some(_), Some(parent)) => {
                let of_parents = Pages::load(host, keys, &index, [parent]).await?;
                Some(
                    of_parents
                        .get(parent)
                        .map(|entry| entry.remote.clone())
                        .unwrap_or_default(),
                )
            }
            (false, None, _) => pages.remote_of_parent(host, keys, &index, &entity).await?,
        };
        let needed = |remote: Remote| {
            remote
                .into_iter()
                .filter(|(name, _)| names.contains(&name.as_str()))
                .collect()
        };
        Ok(AtDestination {
            entry: pages.get(&entity).cloned(),
            of_parent: of_parent.map(needed),
        })
    }
}

/// What the destination has, as far as is known.
struct AtDestination {
    entry: Option<Entry>,
    /// What it gave of the entity's parent, where that is sent; none where there is no parent.
    of_parent: Option<Remote>,
}

fn moment(seconds: u64) -> Option<String> {
    (seconds > 0).then(|| time::text(seconds))
}

fn selected(shaped: &Shaped) -> Value {
    let refused_for = match shaped {
        Shaped::Unwanted(refusal) => Some(refusal.name()),
        Shaped::Wanted(_) | Shaped::Unsendable(_) => None,
    };
    json!({ "is_wanted": refused_for.is_none(), "refused_for": refused_for })
}

fn indexed(entry: &Entry) -> Value {
    json!({
        "hash": entry.hash, "updated": moment(entry.updated_s), "gave": entry.remote, "lies_under": entry.identities,
        "pushes": entry.pushes,
    })
}

/// Takes every secret out of the texts of a document.
fn blank<H: Host>(value: &mut Value, governor: &Governor<'_, H>) {
    match value {
        Value::String(text) => *text = governor.blanked(text),
        Value::Array(list) => list.iter_mut().for_each(|value| blank(value, governor)),
        Value::Object(members) => members.values_mut().for_each(|value| blank(value, governor)),
        _ => {}
    }
}
