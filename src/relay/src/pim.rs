//! Reading the PIM (contract 4).

use crate::config::PimConfig;
use crate::entity::Kind;
use crate::failure::{Class, Failure};
use crate::governor::{Call, Governor, Limits, transient};
use crate::host::Host;
use crate::key::Keyspace;
use crate::plan::BATCH_MAX;
use crate::shape::path_segment;
use crate::token::Tokens;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::cell::Cell;

/// What Akeneo allows one connection, with room for nobody else's calls (contract 4.8).
pub fn limits(timeout_ms: u64) -> Limits {
    Limits {
        name: "pim",
        at_once: 4,
        per_second: 100,
        timeout_ms,
        writes: false,
    }
}

/// The longest path and query that is sent by `GET`, in bytes; a longer one risks a 414 (contract 4.3).
const TARGET_MAX: usize = 6000;

/// The parameter that adds completenesses to products (contract 4.3).
const COMPLETENESSES: &str = "with_completenesses=true";

/// The parameter that adds values to categories (Akeneo's reference of the endpoint; PIMs without values ignore it).
const CATEGORY_VALUES: &str = "with_enriched_attributes=true";

/// What the breaker for lists of attributes, families, categories and options is known by.
pub const STRUCTURE: &str = "structure";

/// A read by id.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// The entity.
    Found(Value),
    /// Deleted, or hidden from this connection: the PIM does not tell which (contract 4.7).
    Gone,
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The entities.
    pub items: Vec<Value>,
    /// The cursor of the next page: the query of the PIM's `next` link, never its origin (contract 4.4).
    pub next: Option<String>,
    /// The PIM's own clock, from the answer's `Date`, in seconds since the Unix epoch.
    pub date_s: Option<u64>,
}

/// The PIM, for the length of a tick.
pub struct Pim<'a, H> {
    pub(crate) governor: &'a Governor<'a, H>,
    /// Its tokens.
    pub(crate) tokens: Tokens<'a, H>,
    config: &'a PimConfig,
    /// Whether `POST /products-uuid/search` exists: SaaS has it, 7.0 has not (contract 4.3).
    pub has_post_search: Cell<bool>,
    /// Whether products are read with their completenesses.
    pub completenesses: bool,
}

impl<'a, H: Host> Pim<'a, H> {
    /// The PIM behind its governor.
    pub fn new(
        host: &'a H,
        governor: &'a Governor<'a, H>,
        keys: &Keyspace,
        config: &'a PimConfig,
        has_post_search: bool,
    ) -> Self {
        let tokens = Tokens::new(host, governor, keys, config);
        Pim {
            governor,
            tokens,
            config,
            has_post_search: Cell::new(has_post_search),
            completenesses: false,
        }
    }

    /// Reads up to a hundred entities by one list call, in no particular order. What the search index does not know
    /// is missing, and what it knows may be old (contract 4.1).
    pub async fn list(&self, kind: Kind, codes: &[&str], attempts: u32) -> Result<Vec<Value>, Failure> {
        debug_assert!(codes.len() <= BATCH_MAX);
        let property = match kind {
            Kind::Product => "uuid",
            Kind::ProductModel => "identifier",
            Kind::Category => "code",
        };
        let search = json!({ property: [{ "operator": "IN", "value": codes }] });
        Ok(self.search(kind, &search, &first_page(kind), attempts).await?.items)
    }

    /// Whether a list call for these entities would be too long for the PIM.
    pub fn is_too_long(&self, kind: Kind, codes: &[&str]) -> bool {
        let by_post = kind == Kind::Product && self.has_post_search.get();
        // Each code is quoted and followed by a comma, all encoded.
        let length: usize = codes.iter().map(|code| path_segment(code).len() + 9).sum();
        !by_post && codes.len() > 1 && length + 300 > TARGET_MAX
    }

    /// One page of a model's descendants: its sub-models, or the variants below it at any level. Only what tells them
    /// apart is asked for.
    pub async fn descendants(&self, kind: Kind, model: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let criterion = match kind {
            Kind::Product => json!({ "operator": "=", "value": model }),
            _ => json!({ "operator": "IN", "value": [model] }),
        };
        let first = first_page(kind);
        self.search(kind, &json!({ "parent": [criterion] }), cursor.unwrap_or(&first), 0)
            .await
    }

    /// One page of all entities of a kind, or of those updated after a moment: text as the kind's filter takes it
    /// ([`crate::time::filter_text`]; of categories [`crate::time::text`]). In the order of their ids, and never by
    /// channel, which would hide what is in no category (contract 4.4; 6, trap 17).
    pub async fn scan(&self, kind: Kind, updated_after: Option<&str>, cursor: Option<&str>) -> Result<Page, Failure> {
        let search = match updated_after {
            Some(moment) => json!({ "updated": [{ "operator": ">", "value": moment }] }),
            None => json!({}),
        };
        let first = first_page(kind);
        self.search(kind, &search, cursor.unwrap_or(&first), 0).await
    }

    /// One page of a list of what entities are made of (contract 4.3), below the API's root. An attribute that is gone has
    /// no options; that any other list is missing is not the PIM's own word, and nothing may be concluded from it.
    pub async fn structure(&self, resource: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let first = format!("limit={BATCH_MAX}");
        let target = format!("/api/rest/v1/{resource}?{}", cursor.unwrap_or(&first));
        let asked = Asked {
            circuit: STRUCTURE,
            entity: None,
            attempts: 0,
            method: Method::GET,
            target: &target,
            body: Vec::new(),
        };
        let is_of_attribute = resource.ends_with("/options");
        let judge = |status| match judge(status) {
            _ if status == StatusCode::NOT_FOUND && is_of_attribute => None,
            // No entity's fault: all that need the list wait for a person.
            Some(Class::Permanent) => Some(Class::Misconfigured),
            class => class,
        };
        let response = self.ask(asked, &judge).await?;
        if response.status() != StatusCode::NOT_FOUND {
            return self.page(&response);
        }
        if is_own_404(response.body()) {
            Ok(Page::default())
        } else {
            Err(self.strange(&response))
        }
    }

    async fn search(&self, kind: Kind, search: &Value, query: &str, attempts: u32) -> Result<Page, Failure> {
        if kind == Kind::Product && self.has_post_search.get() {
            // The filter is a string that holds JSON (contract 4.3).
            let mut body = json!({ "search": search.to_string() });
            if self.completenesses {
                body["with_completenesses"] = json!(true);
            }
            let body = body.to_string().into_bytes();
            let target = format!("/api/rest/v1/products-uuid/search?{query}");
            let asked = Asked {
                circuit: kind.name(),
                entity: None,
                attempts,
                method: Method::POST,
                target: &target,
                body,
            };
            let response = self.ask(asked, &|status| judge_search(status)).await?;
            if !matches!(response.status().as_u16(), 404 | 405) {
                return self.page(&response);
            }
            self.has_post_search.set(false);
        }
        let resource = resource(kind);
        // A cursor that came from a `next` link of a `GET` holds the filter already.
        let mut filter = if query.contains("search=") {
            String::new()
        } else {
            format!("&search={}", path_segment(&search.to_string()))
        };
        if let Some(more) = self.more(kind).filter(|more| !query.contains(more)) {
            filter.push_str(&format!("&{more}"));
        }
        let target = format!("/api/rest/v1/{resource}?{query}{filter}");
        let asked = Asked {
            circuit: kind.name(),
            entity: None,
            attempts,
            method: Method::GET,
            target: &target,
            body: Vec::new(),
        };
        let response = self.ask(asked, &|status| judge(status)).await?;
        self.page(&response)
    }

    /// Reads one entity from the database itself, past the search index (contract 4.1).
    pub async fn by_id(&self, kind: Kind, code: &str, entity: &str, attempts: u32) -> Result<Read, Failure> {
        let mut target = format!("/api/rest/v1/{}/{}", resource(kind), path_segment(code));
        if let Some(more) = self.more(kind) {
            target.push_str(&format!("?{more}"));
        }
        let asked = Asked {
            circuit: kind.name(),
            entity: Some(entity),
            attempts,
            method: Method::GET,
            target: &target,
            body: Vec::new(),
        };
        let response = self
            .ask(asked, &|status| {
                if status == StatusCode::NOT_FOUND {
                    None
                } else {
                    judge(status)
                }
            })
            .await?;
        if response.status() == StatusCode::NOT_FOUND && is_own_404(response.body()) {
            return Ok(Read::Gone);
        }
        let body: Option<Value> = serde_json::from_slice(response.body()).ok();
        match body.filter(|body| body.is_object() && response.status() != StatusCode::NOT_FOUND) {
            Some(body) => Ok(Read::Found(body)),
            None => Err(self.strange(&response)),
        }
    }

    /// The request for the content of a file (Akeneo's REST reference, `GET /api/rest/v1/media-files/{code}/download`):
    /// the slashes of its code stand in the path as they are.
    pub fn file(&self, circuit: &str, code: &str, token: &str) -> Result<Request<Vec<u8>>, Failure> {
        let code: Vec<String> = code.split('/').map(path_segment).collect();
        let target = format!("/api/rest/v1/media-files/{}/download", code.join("/"));
        self.request(circuit, &Method::GET, &target, token, "*/*", Vec::new())
    }

    /// What is asked for beside what the PIM gives by itself.
    fn more(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Product => self.completenesses.then_some(COMPLETENESSES),
            Kind::ProductModel => None,
            Kind::Category => Some(CATEGORY_VALUES),
        }
    }

    fn page(&self, response: &Response<Vec<u8>>) -> Result<Page, Failure> {
        let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else {
            return Err(self.strange(response));
        };
        let next = body
            .pointer("/_links/next/href")
            .and_then(Value::as_str)
            .and_then(|href| href.split_once('?'));
        let next = next.map(|(_, query)| query.split('#').next().unwrap_or(query).to_owned());
        let items = match body.pointer_mut("/_embedded/items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => return Err(self.strange(response)),
        };
        let date = response
            .headers()
            .get("date")
            .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let date_s = date
            .and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok())
            .map(|since| since.as_secs());
        Ok(Page { items, next, date_s })
    }

    fn strange(&self, response: &Response<Vec<u8>>) -> Failure {
        let reason = format!(
            "{} with a body that is not the PIM's: is `pim_url` right?",
            response.status().as_u16()
        );
        self.governor.failed(Class::Unavailable, reason)
    }

    /// Asks with a token, and once more with a new one after a 401 (contract 4.2).
    async fn ask(&self, asked: Asked<'_>, judge: crate::governor::Judge<'_>) -> Result<Response<Vec<u8>>, Failure> {
        let token = self.tokens.access().await?;
        let let_401_by = |status| {
            if status == StatusCode::UNAUTHORIZED {
                None
            } else {
                judge(status)
            }
        };
        let response = self.send(&asked, &token, &let_401_by).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let refused = |status| {
            if status == StatusCode::UNAUTHORIZED {
                Some(Class::Misconfigured)
            } else {
                judge(status)
            }
        };
        match self.tokens.instead_of(&token).await? {
            Some(token) => self.send(&asked, &token, &refused).await,
            None => Err(self.revoked(asked.circuit)),
        }
    }

    /// The token is refused, and there is no other to be had.
    pub(crate) fn revoked(&self, circuit: &str) -> Failure {
        let reason = "the PIM refuses `pim_app_token`: it was revoked, and a person must grant a new one";
        self.governor.refuse(circuit, reason)
    }

    fn request(
        &self,
        circuit: &str,
        method: &Method,
        target: &str,
        token: &str,
        accept: &str,
        body: Vec<u8>,
    ) -> Result<Request<Vec<u8>>, Failure> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{target}", self.config.origin))
            .header("authorization", format!("Bearer {token}"))
            .header("accept", accept);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        request
            .body(body)
            .map_err(|error| self.governor.unformed(circuit, &error))
    }

    async fn send(
        &self,
        asked: &Asked<'_>,
        token: &str,
        judge: crate::governor::Judge<'_>,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let request = self.request(
            asked.circuit,
            &asked.method,
            asked.target,
            token,
            "application/json",
            asked.body.clone(),
        )?;
        let call = Call {
            circuit: asked.circuit,
            entity: asked.entity,
            attempts: asked.attempts,
            shown_path: None,
            request,
        };
        self.governor.call(call, judge).await
    }
}

/// The resource of a kind (contract 4.3).
fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::Product => "products-uuid",
        Kind::ProductModel => "product-models",
        Kind::Category => "categories",
    }
}

/// The query of the first page of a list; categories have numbered pages (contract 4.4).
fn first_page(kind: Kind) -> String {
    let by_cursor = if kind == Kind::Category {
        ""
    } else {
        "pagination_type=search_after&"
    };
    format!("{by_cursor}limit={BATCH_MAX}")
}

struct Asked<'a> {
    circuit: &'a str,
    entity: Option<&'a str>,
    attempts: u32,
    method: Method,
    target: &'a str,
    body: Vec<u8>,
}

/// What follows from the PIM's status (contract 4.7).
pub(crate) fn judge(status: StatusCode) -> Option<Class> {
    match status.as_u16() {
        200..=299 => None,
        403 | 404 | 405 | 406 | 415 | 300..=399 => Some(Class::Misconfigured),
        _ => transient(status).or(Some(Class::Permanent)),
    }
}

/// A PIM without the search by `POST` answers 404 or 405.
/// Whether it is Akeneo's own error form: a proxy's 404 says nothing of what was asked for (contract 4.7).
fn is_own_404(body: &[u8]) -> bool {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    body.is_some_and(|body| body.get("code").and_then(Value::as_u64) == Some(404))
}

fn judge_search(status: StatusCode) -> Option<Class> {
    if matches!(status.as_u16(), 404 | 405) {
        None
    } else {
        judge(status)
    }
}
