//! The PIM's REST client: what is asked of the PIM, and by which request (contract 4).
//!
//! Whoever asks for entities by list asks for at most a hundred, and for fewer where [`Pim::is_too_long`] says so.
//! Every call here goes through the PIM's governor and bears a token, which is renewed once after a 401. An answer that
//! is not what was asked for is a failure, whatever its status.

mod answer;

use crate::login::PimLogin;
use crate::query::{is_same_place, sized};
use config::PimConfig;
use http::{Method, Request, Response, StatusCode};
use model::entity::{BATCH_MAX, Kind, is_same};
use model::failure::{Class, Failure};
use model::page_size::PageSizes;
use model::path::path_segment;
use queue::keyspace::Keyspace;
use serde_json::{Value, json};
use upstream::governor::{Call, Governor, Limits};
use upstream::token::Tokens;
use world::host::Host;

pub use answer::{Page, Read, entity, judge, page};

/// The limits of calls to the PIM, each of which may take `timeout_ms` milliseconds. Akeneo allows a connection four
/// calls at once, and a PIM a hundred a second, which it shares among all integrations (contract 4.8).
pub fn limits(timeout_ms: u64) -> Limits {
    Limits {
        name: "pim",
        at_once: 4,
        per_second: 100,
        timeout_ms,
        writes: false,
    }
}

/// How long the path and query of a list call by `GET` may be, in bytes, before fewer entities are asked for: a longer
/// one risks a 414 (contract 4.3).
const TARGET_MAX: usize = 6000;

/// The parameter that adds completenesses to products (contract 4.3).
const COMPLETENESSES: &str = "with_completenesses=true";

/// The parameter that adds values to categories (Akeneo's REST reference, `GET /api/rest/v1/categories`). A PIM whose
/// categories have no values ignores it.
const CATEGORY_VALUES: &str = "with_enriched_attributes=true";

/// The name of the breaker of a list of attributes, families, categories or options, by the list's path. Each list has
/// a breaker of its own, so that one that cannot be used delays only what needs it.
pub fn list_circuit(resource: &str) -> String {
    format!("list/{resource}")
}

/// The PIM, for the length of a tick.
pub struct Pim<'a, H> {
    host: &'a H,
    /// The governor that every call goes through.
    pub governor: &'a Governor<'a, H>,
    /// The tokens that calls bear.
    pub tokens: Tokens<'a, H>,
    config: &'a PimConfig,
    /// Whether the PIM is taken to have `POST /products-uuid/search`: SaaS has it, 7.0 has not (contract 4.3). It is
    /// false from the moment when the PIM says that it has no such endpoint.
    pub has_post_search: bool,
    /// Whether products are read with their completenesses; not unless the caller says so.
    pub completenesses: bool,
    /// How large the pages of lists are asked for, by the names of the lists' breakers. The caller brings the sizes
    /// along and keeps them between ticks.
    pub sizes: PageSizes,
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
        let tokens = Tokens::new(host, governor, keys, Box::new(PimLogin(config)));
        Pim {
            host,
            governor,
            tokens,
            config,
            has_post_search,
            completenesses: false,
            sizes: PageSizes::default(),
        }
    }

    /// Now, in seconds since the Unix epoch.
    pub fn now_s(&self) -> u64 {
        self.host.now_ms() / 1000
    }

    /// Reads up to a hundred entities by one list call, in no particular order. An entity that the search index does
    /// not know yet is missing, and one that it knows may be old (contract 4.1). What the PIM gives unasked is left
    /// out. `attempts` is how many attempts the first entity has used up.
    pub async fn list(&mut self, kind: Kind, codes: &[&str], attempts: u32) -> Result<Vec<Value>, Failure> {
        debug_assert!(codes.len() <= BATCH_MAX);
        let property = match kind {
            Kind::Product => "uuid",
            Kind::ProductModel => "identifier",
            Kind::Category => "code",
        };
        let search = json!({ property: [{ "operator": "IN", "value": codes }] });
        let name = match codes {
            [code] => Some(format!("{}/{code}", kind.name())),
            _ => None,
        };
        let whose = Whose {
            entity: name.as_deref(),
            attempts,
            is_divisible: codes.len() > 1,
            ..Whose::default()
        };
        let mut page = self
            .search(kind, &search, &first_page(kind, codes.len().max(1)), whose)
            .await?;
        let is_asked_for = |id: &str| codes.iter().any(|code| is_same(code, id));
        page.items
            .retain(|item| kind.id_in(item).is_some_and(|id| is_asked_for(&id)));
        Ok(page.items)
    }

    /// Whether a list call for these entities would be too long for the PIM, so that fewer are to be asked for at once.
    /// A call for a single one never is.
    pub fn is_too_long(&self, kind: Kind, codes: &[&str]) -> bool {
        let by_post = kind == Kind::Product && self.has_post_search;
        // Two quotes and a comma around each code are nine bytes once they are encoded; 300 are for all the rest.
        let length: usize = codes.iter().map(|code| path_segment(code).len() + 9).sum();
        !by_post && codes.len() > 1 && length + 300 > TARGET_MAX
    }

    /// One page of a list of attributes, families, categories or options (contract 4.3). `resource` is the list's path
    /// below the API's root, and `cursor` the `next` of the page before. A page that fails for its size is asked for
    /// smaller. An attribute that is gone has no options; a 404 for any other list says nothing of its content.
    ///
    /// # Errors
    /// The call failed or was not made. A list that is refused, or that leads to the same page again, opens its breaker
    /// for a person.
    pub async fn elements_page(&mut self, resource: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let circuit = list_circuit(resource);
        loop {
            let (query, asked) = sized(cursor.unwrap_or("limit=1"), self.page_size(&circuit));
            let page = self.page_of_list(&circuit, resource, &query).await;
            match &page {
                Ok(page)
                    if cursor
                        .is_some_and(|known| page.next.as_ref().is_some_and(|next| is_same_place(known, next))) =>
                {
                    return Err(self.failed_list(resource, "has a page that leads to itself"));
                }
                Ok(_) => self.page_came(&circuit),
                Err(failure) if self.page_narrows(&circuit, asked, failure) => continue,
                // No entity is at fault: all entities that need the list wait for a person.
                Err(failure) if failure.class == Class::Permanent => {
                    return Err(self.governor.refuse(&circuit, &failure.reason));
                }
                Err(_) => {}
            }
            return page;
        }
    }

    /// The failure of a list that cannot be used as it is, whatever else the PIM answers; it opens the list's breaker
    /// for a person. `what` completes a sentence such as "the list /families ...".
    pub fn failed_list(&self, resource: &str, what: &str) -> Failure {
        let reason = format!("the list /{resource} {what}");
        self.governor.refuse(&list_circuit(resource), &reason)
    }

    async fn page_of_list(&self, circuit: &str, resource: &str, query: &str) -> Result<Page, Failure> {
        let target = format!("/api/rest/v1/{resource}?{query}");
        let asked = Asked {
            circuit,
            whose: Whose::default(),
            method: Method::GET,
            target: &target,
            body: Vec::new(),
        };
        let attribute = resource
            .strip_prefix("attributes/")
            .and_then(|rest| rest.strip_suffix("/options"));
        let read = |response: &Response<Vec<u8>>| match attribute {
            Some(attribute) if response.status() == StatusCode::NOT_FOUND => {
                answer::absence(attribute, response).map(|()| Page::default())
            }
            _ => answer::page(response),
        };
        self.ask(asked, &read).await
    }

    /// One page of what a search finds: `search` is the filter (contract 4.5), `query` the place of the list and the
    /// size of the page. Products are searched by `POST`, or by `GET` in a PIM that has no such endpoint.
    pub async fn search(&mut self, kind: Kind, search: &Value, query: &str, whose: Whose<'_>) -> Result<Page, Failure> {
        if kind == Kind::Product && self.has_post_search {
            // The filter is a string that holds JSON (contract 4.3).
            let mut body = json!({ "search": search.to_string() });
            if self.completenesses {
                body["with_completenesses"] = json!(true);
            }
            let body = body.to_string().into_bytes();
            let target = format!("/api/rest/v1/products-uuid/search?{query}");
            let asked = Asked {
                circuit: kind.name(),
                whose,
                method: Method::POST,
                target: &target,
                body,
            };
            let read = |response: &Response<Vec<u8>>| {
                if answer::is_no_endpoint(response) {
                    Ok(None)
                } else {
                    answer::page(response).map(Some)
                }
            };
            if let Some(page) = self.ask(asked, &read).await? {
                return Ok(answer::named(kind, page));
            }
            self.has_post_search = false;
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
            whose,
            method: Method::GET,
            target: &target,
            body: Vec::new(),
        };
        Ok(answer::named(kind, self.ask(asked, &answer::page).await?))
    }

    /// Reads one entity from the PIM's database itself, past the search index (contract 4.1). `entity` is the name of
    /// the entity in failures and in the log, and `attempts` how many it has used up. A code with slashes has two
    /// paths: the entity is there if either path gives it, and gone if one path says so and the other says the same or
    /// decides nothing.
    pub async fn by_id(&self, kind: Kind, code: &str, entity: &str, attempts: u32) -> Result<Read, Failure> {
        let mut paths = paths(code);
        let encoded = paths.pop().unwrap_or_default();
        let mut is_gone = false;
        for path in paths {
            match self.by_path(kind, code, &path, entity, attempts, true).await {
                Ok(Read::Gone) => is_gone = true,
                Err(failure) if is_undecided(&failure) => {}
                decided => return decided,
            }
        }
        match self.by_path(kind, code, &encoded, entity, attempts, is_gone).await {
            Err(failure) if is_gone && is_undecided(&failure) => Ok(Read::Gone),
            decided => decided,
        }
    }

    /// Reads one entity by one of its paths. Where another path can decide (`may_be_strange`), an answer of the PIM
    /// that is neither the entity nor its absence, and no failure that may pass, decides nothing.
    async fn by_path(
        &self,
        kind: Kind,
        code: &str,
        path: &str,
        entity: &str,
        attempts: u32,
        may_be_strange: bool,
    ) -> Result<Read, Failure> {
        let mut target = format!("/api/rest/v1/{}/{path}", resource(kind));
        if let Some(more) = self.more(kind) {
            target.push_str(&format!("?{more}"));
        }
        let asked = Asked {
            circuit: kind.name(),
            whose: Whose {
                entity: Some(entity),
                attempts,
                ..Whose::default()
            },
            method: Method::GET,
            target: &target,
            body: Vec::new(),
        };
        let read = |response: &Response<Vec<u8>>| {
            answer::entity(kind, code, response).map_err(|class| match class {
                Class::Transient => Class::Transient,
                _ if may_be_strange => Class::NotCalled,
                class => class,
            })
        };
        self.ask(asked, &read).await.map_err(|failure| match failure.class {
            // Less than a single entity cannot be asked for.
            Class::TooLarge => Failure {
                class: Class::Permanent,
                ..failure
            },
            _ => failure,
        })
    }

    /// The request for the content of a file (Akeneo's REST reference, `GET /api/rest/v1/media-files/{code}/download`).
    /// The slashes of the file's code stand in the path as they are.
    pub fn file(&self, circuit: &str, code: &str, token: &str) -> Result<Request<Vec<u8>>, Failure> {
        let code: Vec<String> = code.split('/').map(path_segment).collect();
        let target = format!("/api/rest/v1/media-files/{}/download", code.join("/"));
        self.request(circuit, &Method::GET, &target, token, "*/*", Vec::new())
    }

    /// The parameter that asks for more of a kind than the PIM gives by itself, if any.
    fn more(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Product => self.completenesses.then_some(COMPLETENESSES),
            Kind::ProductModel => None,
            Kind::Category => Some(CATEGORY_VALUES),
        }
    }

    /// Sends a request and gives what `read` finds in the answer, or the failure whose class `read` names.
    async fn ask<T>(&self, asked: Asked<'_>, read: Reader<'_, T>) -> Result<T, Failure> {
        let mut answer = None;
        let mut judge = |response: &Response<Vec<u8>>| match read(response) {
            Ok(read) => {
                answer = Some(read);
                None
            }
            Err(class) => Some(class),
        };
        self.send_with_token(&asked, &mut judge).await?;
        answer.ok_or_else(|| {
            self.governor
                .failed(Class::Unavailable, "no answer was read".to_owned())
        })
    }

    /// Sends a request with a token, and once more with a new token after a 401 (contract 4.2). The first 401 says
    /// nothing of the PIM yet; after a second one no call will do before a person mends something.
    async fn send_with_token(&self, asked: &Asked<'_>, judge: upstream::governor::Judge<'_>) -> Result<(), Failure> {
        let mut token = self.tokens.access().await?;
        let mut judge_with = |response: &Response<Vec<u8>>, of_401| match response.status() {
            StatusCode::UNAUTHORIZED => Some(of_401),
            _ => judge(response),
        };
        match self
            .send(asked, &token, &mut |response| judge_with(response, Class::NotCalled))
            .await
        {
            Err(failure) if is_unauthorized(&failure) => {}
            sent => return sent.map(|_| ()),
        }
        token = match self.tokens.instead_of(&token).await? {
            Some(token) => token,
            None => return Err(self.revoked(asked.circuit)),
        };
        let sent = self
            .send(asked, &token, &mut |response| {
                judge_with(response, Class::Misconfigured)
            })
            .await;
        if sent.as_ref().is_err_and(|failure| failure.status == Some(401)) {
            self.tokens.forget(&token).await;
        }
        sent.map(|_| ())
    }

    /// The failure where an App's token is refused, in whose place no other is to be had (contract 4.2); it opens the
    /// breaker for a person.
    pub fn revoked(&self, circuit: &str) -> Failure {
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
        judge: upstream::governor::Judge<'_>,
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
            entity: asked.whose.entity,
            subject: asked.whose.subject,
            attempts: asked.whose.attempts,
            is_divisible: asked.whose.is_divisible,
            is_question: asked.whose.is_question,
            ..Call::of(asked.circuit, request)
        };
        self.governor.call(call, judge).await
    }
}

/// Whether a call was answered, and the answer decides nothing. A 429 is no such answer: it asks for fewer calls.
fn is_undecided(failure: &Failure) -> bool {
    failure.class == Class::NotCalled && !matches!(failure.status, None | Some(429))
}

/// Whether a token was refused, and nothing has been concluded from that yet: another token may do.
pub fn is_unauthorized(failure: &Failure) -> bool {
    is_undecided(failure) && failure.status == Some(401)
}

/// The paths by which an entity of a code may be read, the encoded one last. Many web servers do not let an encoded
/// slash through, so Akeneo's own client sends slashes as they are (`UriGenerator` of akeneo/api-php-client). A code
/// that a server would resolve to another path has the encoded one alone.
fn paths(code: &str) -> Vec<String> {
    let parts: Vec<&str> = code.split('/').collect();
    let is_plain = parts.len() > 1 && !parts.iter().any(|part| matches!(*part, "" | "." | ".."));
    let plain = is_plain.then(|| parts.into_iter().map(path_segment).collect::<Vec<String>>().join("/"));
    plain.into_iter().chain([path_segment(code)]).collect()
}

/// The name of a kind in the PIM's paths (contract 4.3).
fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::Product => "products-uuid",
        Kind::ProductModel => "product-models",
        Kind::Category => "categories",
    }
}

/// The query of the first page of a list, with `limit` entities on it. Categories have numbered pages, and the other
/// kinds go by a cursor (contract 4.4).
pub fn first_page(kind: Kind, limit: usize) -> String {
    let by_cursor = if kind == Kind::Category {
        ""
    } else {
        "pagination_type=search_after&"
    };
    format!("{by_cursor}limit={limit}")
}

/// Reads an answer, or names the class of the failure that the answer is.
type Reader<'a, T> = &'a dyn Fn(&Response<Vec<u8>>) -> Result<T, Class>;

/// For whom a call is made: by this a failure is told to be the entity's or the PIM's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whose<'a> {
    /// The name of the entity, if the call is for a single one.
    pub entity: Option<&'a str>,
    /// What the breaker knows the call by, if it may be at fault itself although it is for no single entity.
    pub subject: Option<&'a str>,
    /// How many attempts the entity has used up.
    pub attempts: u32,
    /// Whether the call is for several entities that can be asked for one by one.
    pub is_divisible: bool,
    /// Whether failing is as good an answer as coming through, so that the call is not made a second time at once.
    pub is_question: bool,
}

/// A call to be made, but for its token.
struct Asked<'a> {
    circuit: &'a str,
    whose: Whose<'a>,
    method: Method,
    target: &'a str,
    body: Vec<u8>,
}
