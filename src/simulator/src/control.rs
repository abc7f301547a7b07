//! Control over HTTP, below `/_control/`, for servers started from the command line. JSON in, JSON out.
//!
//! | Both | |
//! |---|---|
//! | `GET /_control/stats`, `DELETE` | calls at once and a second, violations, faults struck; forget them and the log |
//! | `GET /_control/faults`, `POST`, `DELETE` | those in force; add one ([`Fault`]) or a list; remove all |
//! | `PATCH /_control/config` | change some members of the configuration |
//!
//! | PIM | |
//! |---|---|
//! | `GET /_control/log` | the calls |
//! | `POST /_control/entities` | what the connection may see, a page: `{"after": {"product": ...}, "limit": 1000}` gives a list of `{"product": ..., "body": {...}}` |
//! | `POST /_control/edits` | make a list of edits ([`Edit`]); the answer is the list of changes |
//! | `POST /_control/edits/random` | `{"count": 10, "seed": 1}`: random edits |
//! | `POST /_control/tokens/expire` | end all access tokens |
//!
//! | Destination | |
//! |---|---|
//! | `GET /_control/log` | the requests |
//! | `POST /_control/state` | what it holds, a page: `{"after": "/path", "limit": 1000}` gives a list of `[path, {"json": ...}]` |
//! | `DELETE /_control/state` | empty it |
//! | `POST /_control/rejections`, `DELETE` | `{"id": ..., "message": ...}`: refuse this entity for good; refuse none |

use std::collections::BTreeMap;
use std::ops::Bound;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::{Edit, EntityId};
use crate::destination::Destination;
use crate::fault::{Fault, Faults, error_body, respond};
use crate::pim::Pim;

pub(crate) const PREFIX: &str = "/_control/";

/// What can be controlled over HTTP.
pub trait Controlled {
    /// Carries out a command; `name` is the path after `/_control/`. `None` if there is no such command.
    ///
    /// # Errors
    /// If the body is not what the command takes, or the command cannot be done.
    fn control(&mut self, method: &Method, name: &str, body: Value, now_ms: u64) -> Result<Option<Value>>;
}

// Which page of a long list.
#[derive(Deserialize)]
struct Page<K> {
    #[serde(default = "Option::default")]
    after: Option<K>,
    #[serde(default = "page_limit")]
    limit: usize,
}

fn page_limit() -> usize {
    1000
}

impl Controlled for Pim {
    fn control(&mut self, method: &Method, name: &str, body: Value, now_ms: u64) -> Result<Option<Value>> {
        let done = match (method.as_str(), name) {
            ("GET", "stats") => {
                let mut by_kind: BTreeMap<String, usize> = BTreeMap::new();
                for call in &self.calls {
                    *by_kind.entry(format!("{:?} {}", call.kind, call.status)).or_default() += 1;
                }
                json!({ "seen": self.meter.seen(), "faults_struck": self.faults.struck(), "calls": by_kind })
            }
            ("DELETE", "stats") => {
                self.meter.reset();
                self.calls.clear();
                Value::Null
            }
            ("GET", "log") => json!(self.calls),
            ("POST", "entities") => {
                let page: Page<EntityId> = read(body)?;
                let entities = self.bodies(page.after.as_ref()).take(page.limit);
                let entities = entities.map(|(id, body)| {
                    let mut entity = json!(id);
                    entity["body"] = body;
                    entity
                });
                entities.collect()
            }
            ("POST", "edits") => {
                let mut changes = Vec::new();
                for edit in read::<Vec<Edit>>(body)? {
                    changes.extend(self.edit(&edit, now_ms)?);
                }
                json!(changes)
            }
            ("POST", "edits/random") => {
                let count = body["count"].as_u64().unwrap_or(1);
                let mut random = fastrand::Rng::with_seed(body["seed"].as_u64().unwrap_or(0));
                let mut changes = Vec::new();
                for _ in 0..count {
                    let edit = self.catalogue.random_edit(&mut random);
                    changes.extend(self.edit(&edit, now_ms)?);
                }
                json!(changes)
            }
            ("POST", "tokens/expire") => {
                self.expire_access_tokens();
                Value::Null
            }
            ("PATCH", "config") => {
                self.config = patched(&self.config, body)?;
                Value::Null
            }
            _ => return control_faults(&mut self.faults, method, name, body),
        };
        Ok(Some(done))
    }
}

impl Controlled for Destination {
    fn control(&mut self, method: &Method, name: &str, body: Value, _now_ms: u64) -> Result<Option<Value>> {
        let done = match (method.as_str(), name) {
            ("GET", "stats") => json!({
                "seen": self.meter.seen(), "faults_struck": self.faults.struck(), "requests": self.log.len(),
                "resources": self.state.len(), "landing": self.landing(),
            }),
            ("DELETE", "stats") => {
                self.meter.reset();
                self.log.clear();
                Value::Null
            }
            ("GET", "log") => json!(self.log),
            ("POST", "state") => {
                let page: Page<String> = read(body)?;
                let start = page.after.map_or(Bound::Unbounded, Bound::Excluded);
                let resources = self.state.range((start, Bound::Unbounded)).take(page.limit);
                json!(resources.collect::<Vec<_>>())
            }
            ("DELETE", "state") => {
                self.state.clear();
                Value::Null
            }
            ("POST", "rejections") => {
                let id = body["id"].as_str().context("`id` is missing")?;
                self.reject(id, body["message"].as_str().unwrap_or("This entity is refused."));
                Value::Null
            }
            ("DELETE", "rejections") => {
                self.rejections.clear();
                Value::Null
            }
            ("PATCH", "config") => {
                self.config = patched(&self.config, body)?;
                Value::Null
            }
            _ => return control_faults(&mut self.faults, method, name, body),
        };
        Ok(Some(done))
    }
}

fn control_faults(faults: &mut Faults, method: &Method, name: &str, body: Value) -> Result<Option<Value>> {
    let done = match (method.as_str(), name) {
        ("GET", "faults") => json!(faults.list()),
        ("POST", "faults") => {
            let list = if body.is_array() {
                read::<Vec<Fault>>(body)?
            } else {
                vec![read(body)?]
            };
            list.into_iter().for_each(|fault| faults.add(fault));
            Value::Null
        }
        ("DELETE", "faults") => {
            faults.clear();
            Value::Null
        }
        _ => return Ok(None),
    };
    Ok(Some(done))
}

fn read<T: DeserializeOwned>(body: Value) -> Result<T> {
    serde_json::from_value(body).context("the body is not what this command takes")
}

// The configuration with some members replaced; a name that it does not have is an error.
fn patched<T: Serialize + DeserializeOwned>(config: &T, patch: Value) -> Result<T> {
    let mut whole = serde_json::to_value(config)?;
    for (name, value) in patch.as_object().context("an object is expected")? {
        *whole
            .get_mut(name)
            .with_context(|| format!("there is no setting `{name}`"))? = value.clone();
    }
    read(whole)
}

/// Answers a request below `/_control/`.
pub(crate) fn answer(state: &mut dyn Controlled, request: &Request<Bytes>, now_ms: u64) -> Response<Bytes> {
    let name = request.uri().path().trim_start_matches(PREFIX);
    let body = if request.body().is_empty() {
        Ok(Value::Null)
    } else {
        serde_json::from_slice(request.body())
    };
    let Ok(body) = body else {
        return respond(400, &error_body(400, "The body is not JSON."));
    };
    match state.control(request.method(), name, body, now_ms) {
        Ok(Some(value)) => respond(200, &value),
        Ok(None) => respond(404, &error_body(404, "There is no such command.")),
        Err(error) => respond(422, &error_body(422, &format!("{error:#}"))),
    }
}

/// Calls a control command of a server at `origin`, such as `http://127.0.0.1:4000`; `name` is as `edits`.
///
/// # Errors
/// If the server cannot be reached or refuses.
pub async fn command(origin: &str, method: Method, name: &str, body: &Value) -> Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let url = format!("{}{PREFIX}{name}", origin.trim_end_matches('/'));
    let bytes = if body.is_null() {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    let request = Request::builder().method(method).uri(&url).body(Full::new(bytes))?;
    let response = client
        .request(request)
        .await
        .with_context(|| format!("no answer from {url}"))?;
    let status = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    if !status.is_success() {
        bail!("{url} answered {status}: {text}");
    }
    serde_json::from_str(&text).with_context(|| format!("{url} did not answer with JSON"))
}
