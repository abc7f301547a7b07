//! Reading the PIM (contract 4).

use crate::config::PimConfig;
use crate::entity::Kind;
use crate::failure::{Class, Failure};
use crate::governor::{Call, Governor, Limits, transient};
use crate::host::Host;
use crate::key::Keyspace;
use crate::paging::{List, PageSizes, Turned, is_same_place, sized};
use crate::plan::BATCH_MAX;
use crate::shape::path_segment;
use crate::token::Tokens;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};

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

/// What the breakers for lists of attributes, families, categories and options are known by. Each list has its own, so
/// that one without an end does not hold up what needs others.
pub(crate) fn structure_circuit(resource: &str) -> String {
    format!("list/{resource}")
}

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
    host: &'a H,
    pub(crate) governor: &'a Governor<'a, H>,
    /// Its tokens.
    pub(crate) tokens: Tokens<'a, H>,
    config: &'a PimConfig,
    /// Whether `POST /products-uuid/search` exists: SaaS has it, 7.0 has not (contract 4.3).
    pub has_post_search: Cell<bool>,
    /// Whether products are read with their completenesses.
    pub completenesses: bool,
    /// How large pages are asked for, by what the breaker guards.
    pub sizes: RefCell<PageSizes>,
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
            host,
            governor,
            tokens,
            config,
            has_post_search: Cell::new(has_post_search),
            completenesses: false,
            sizes: RefCell::default(),
        }
    }

    pub(crate) fn now_s(&self) -> u64 {
        self.host.now_ms() / 1000
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
        let query = first_page(kind, codes.len().max(1));
        Ok(self.search(kind, &search, &query, attempts, None).await?.items)
    }

    /// Whether a list call for these entities would be too long for the PIM.
    pub fn is_too_long(&self, kind: Kind, codes: &[&str]) -> bool {
        let by_post = kind == Kind::Product && self.has_post_search.get();
        // Each code is quoted and followed by a comma, all encoded.
        let length: usize = codes.iter().map(|code| path_segment(code).len() + 9).sum();
        !by_post && codes.len() > 1 && length + 300 > TARGET_MAX
    }

    /// One page of a model's descendants: its sub-models, or the variants below it at any level.
    pub async fn descendants(&self, kind: Kind, model: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        self.page_of(kind, List::Below(model), cursor).await
    }

    /// One page of a list, in whatever size it comes. In the order of ids, and never by channel, which would hide what is
    /// in no category (contract 4.4; 6, trap 17).
    pub async fn page_of(&self, kind: Kind, list: List<'_>, cursor: Option<&str>) -> Result<Page, Failure> {
        let (mut cursor, mut gap) = (cursor.map(str::to_owned), None);
        loop {
            match self.turn(kind, list, &mut cursor, &mut gap).await? {
                Turned::Page(page) => return Ok(page),
                Turned::Again | Turned::PassedOver(_) => {}
                Turned::Stuck(failure) => return Err(failure),
            }
        }
    }

    /// One page of a list of what entities are made of (contract 4.3), below the API's root. An attribute that is gone has
    /// no options; that any other list is missing is not the PIM's own word, and nothing may be concluded from it.
    pub async fn structure(&self, resource: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let circuit = structure_circuit(resource);
        loop {
            let (query, asked) = sized(cursor.unwrap_or("limit=1"), self.page_size(&circuit));
            let page = self.structure_page(&circuit, resource, &query).await;
            match &page {
                Ok(page)
                    if cursor
                        .is_some_and(|known| page.next.as_ref().is_some_and(|next| is_same_place(known, next))) =>
                {
                    return Err(self.failed_list(resource, "has a page that leads to itself"));
                }
                Ok(_) => self.page_came(&circuit),
                Err(failure) if self.page_narrows(&circuit, asked, failure) => continue,
                // No entity's fault: all that need the list wait for a person.
                Err(failure) if failure.class == Class::Permanent => {
                    return Err(self.governor.refuse(&circuit, &failure.reason));
                }
                Err(_) => {}
            }
            return page;
        }
    }

    /// A list that cannot be used as it is, whatever else the PIM answers.
    pub(crate) fn failed_list(&self, resource: &str, what: &str) -> Failure {
        let reason = format!("the list /{resource} {what}");
        self.governor.refuse(&structure_circuit(resource), &reason)
    }

    async fn structure_page(&self, circuit: &str, resource: &str, query: &str) -> Result<Page, Failure> {
        let target = format!("/api/rest/v1/{resource}?{query}");
        let asked = Asked {
            circuit,
            entity: None,
            attempts: 0,
            method: Method::GET,
            target: &target,
            body: Vec::new(),
        };
        let is_of_attribute = resource.ends_with("/options");
        let judge = |status| match judge(status) {
            _ if status == StatusCode::NOT_FOUND && is_of_attribute => None,
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

    /// One page of what a search finds. `subject` is what the breaker knows a page by that may be the matter itself.
    pub(crate) async fn search(
        &self,
        kind: Kind,
        search: &Value,
        query: &str,
        attempts: u32,
        subject: Option<&str>,
    ) -> Result<Page, Failure> {
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
                entity: subject,
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
            entity: subject,
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
            .await
            .map_err(|failure| match failure.class {
                // There is no less to ask for.
                Class::TooLarge => Failure {
                    class: Class::Permanent,
                    ..failure
                },
                _ => failure,
            })?;
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
    pub fn file(&self, code: &str, token: &str) -> Result<Request<Vec<u8>>, Failure> {
        let code: Vec<String> = code.split('/').map(path_segment).collect();
        let target = format!("/api/rest/v1/media-files/{}/download", code.join("/"));
        self.request(&Method::GET, &target, token, "*/*", Vec::new())
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
        request.body(body).map_err(|error| {
            self.governor
                .failed(Class::Permanent, format!("the request cannot be formed: {error}"))
        })
    }

    async fn send(
        &self,
        asked: &Asked<'_>,
        token: &str,
        judge: crate::governor::Judge<'_>,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let request = self.request(
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
pub(crate) fn first_page(kind: Kind, limit: usize) -> String {
    let by_cursor = if kind == Kind::Category {
        ""
    } else {
        "pagination_type=search_after&"
    };
    format!("{by_cursor}limit={limit}")
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
