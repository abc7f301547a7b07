//! The PIM: its REST API as the contract's section 4 has it, over a [`Catalogue`]. Pure: a request and a time go in,
//! an answer comes out. Everything random follows the seed in the configuration.

mod answer;
mod config;
mod filter;
mod lists;
mod media;
mod query;
mod tokens;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::catalogue::{Catalogue, Change, Edit, EditError, Entity, EntityId, Rendering, View};
use crate::fault::{Effect, Faults, Reply, respond, set_header, status_response};
use crate::meter::Meter;
use crate::times;
use answer::Refusal;
pub use config::{PimConfig, PostSearch};
pub use media::content;
use query::Query;
use tokens::Tokens;

// The longest request target that is read, in bytes (contract 4.3: a long query can fail with 414).
const MAX_TARGET_BYTES: usize = 8000;
const ROOT: &str = "/api/rest/v1";

/// What a recorded call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A token request.
    Token,
    /// `GET /products-uuid`.
    ProductList,
    /// `POST /products-uuid/search`.
    ProductSearch,
    /// `GET /products-uuid/{uuid}`.
    ProductById,
    /// `GET /product-models`.
    ModelList,
    /// `GET /product-models/{code}`.
    ModelById,
    /// Families, attributes, options, categories, channels, locales.
    Structure,
    /// `GET /media-files/{code}/download`.
    Media,
    /// `GET /system-information` and the root.
    System,
    /// Anything else.
    Other,
}

/// A call as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When it arrived, on the clock handed in, in Unix milliseconds.
    pub at_ms: u64,
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// What it was.
    pub kind: CallKind,
    /// The status answered; 0 if the connection was cut.
    pub status: u16,
    /// It began beyond a limit.
    pub over_limit: bool,
}

/// A simulated PIM.
#[derive(Clone, Debug)]
pub struct Pim {
    /// What it holds. Edit it by [`Pim::edit`], so that its clock is the PIM's.
    pub catalogue: Catalogue,
    /// How it is set up; may be changed at any time.
    pub config: PimConfig,
    /// Faults in force.
    pub faults: Faults,
    /// Calls at once and a second, as seen.
    pub meter: Meter,
    /// Every call since the start or the last time it was emptied.
    pub calls: Vec<Call>,
    tokens: Tokens,
}

impl Pim {
    /// A PIM that has had no call yet.
    pub fn new(catalogue: Catalogue, config: PimConfig) -> Self {
        let (faults, tokens) = (Faults::new(config.seed), Tokens::new(config.seed));
        Self {
            catalogue,
            config,
            faults,
            meter: Meter::default(),
            calls: Vec::new(),
            tokens,
        }
    }

    /// The PIM's own clock, in Unix milliseconds.
    pub fn clock_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.config.clock_skew_ms)
    }

    /// Makes an edit, at the time of the PIM's clock.
    ///
    /// # Errors
    /// As [`Catalogue::edit`].
    pub fn edit(&mut self, edit: &Edit, now_ms: u64) -> Result<Vec<Change>, EditError> {
        self.catalogue.lag_ms = self.config.lag_ms;
        self.catalogue.clock_skew_ms = self.config.clock_skew_ms;
        self.catalogue.edit(edit, self.clock_ms(now_ms))
    }

    /// Ends all access tokens, as if their time were over. Refresh tokens stay good.
    pub fn expire_access_tokens(&mut self) {
        self.tokens.expire_access();
    }

    /// Ends all refresh tokens, so that only the password grant is left.
    pub fn expire_refresh_tokens(&mut self) {
        self.tokens.expire_refresh();
    }

    /// Whether the connection may see this entity.
    pub fn visible(&self, id: &EntityId) -> bool {
        !self.config.hidden.contains(id) && !in_share(id, self.config.hidden_share)
    }

    /// The bodies that the connection can read by id now, `_links` left out: what a destination should come to hold.
    /// Products by UUID, then product models by primary key; beginning after one that exists, if it is given.
    pub fn bodies(&self, after: Option<&EntityId>) -> impl Iterator<Item = (EntityId, Value)> + '_ {
        let (view, asked) = (self.catalogue.truth(), self.rendering());
        let (product, model) = match after {
            None | Some(EntityId::Category(_)) => (None, None),
            Some(EntityId::Product(uuid)) => (Some(*uuid), None),
            Some(EntityId::Model(code)) => (None, view.model(code).map(|model| model.number)),
        };
        let products = model.is_none().then(|| view.products(product));
        let entities = products.into_iter().flatten().chain(view.models(model));
        entities
            .filter(|entity| self.visible(&entity.id))
            .map(move |entity| (entity.id.clone(), view.render(entity, &asked)))
    }

    /// Answers a call that is over at once. Waits are left out, and a cut connection appears as a 503.
    pub fn respond(&mut self, request: &Request<Bytes>, now_ms: u64) -> Response<Bytes> {
        let reply = self.handle(request, now_ms);
        self.finish();
        reply.into_response()
    }

    /// Begins a call: counted as open until [`Pim::finish`], which the caller owes when the reply has been waited for.
    pub fn handle(&mut self, request: &Request<Bytes>, now_ms: u64) -> Reply {
        let within = self.meter.begin(&self.config.limits, now_ms);
        let mut reply = self.reply(request, now_ms, within);
        if let Some(response) = &mut reply.response {
            set_header(response, "date", &times::http_date(self.clock_ms(now_ms)));
        }
        self.calls.push(Call {
            at_ms: now_ms,
            method: request.method().to_string(),
            path: target(request).to_owned(),
            kind: kind(request),
            status: reply.response.as_ref().map_or(0, |response| response.status().as_u16()),
            over_limit: !within,
        });
        reply
    }

    /// Ends a call begun by [`Pim::handle`].
    pub fn finish(&mut self) {
        self.meter.end();
    }

    fn reply(&mut self, request: &Request<Bytes>, now_ms: u64, within: bool) -> Reply {
        if !within && self.config.limits.enforce {
            let mut response = Refusal::new(429, "You have exceeded the limit of API requests per second.").response();
            if let Some(seconds) = self.config.limits.retry_after_s {
                set_header(&mut response, "retry-after", &seconds.to_string());
            }
            return Reply::now(response);
        }
        match self.faults.strike(request) {
            None => {
                let response = self.answer(request, now_ms);
                let entities = if self.config.entity_ms > 0 {
                    lists::length(&response)
                } else {
                    0
                };
                Reply {
                    after_ms: self.config.entity_ms * entities,
                    ..Reply::now(response)
                }
            }
            Some(Effect::Status { status, headers, body }) => {
                Reply::now(status_response(status, &headers, body.as_ref()))
            }
            Some(Effect::Text { text }) => Reply::now(crate::fault::text(text)),
            Some(Effect::Disguised { status }) => {
                self.answer(request, now_ms);
                Reply::now(status_response(status, &[], None))
            }
            Some(Effect::Hang { ms } | Effect::LandLate { after_ms: ms }) => Reply::cut(ms),
            Some(Effect::Cut { applied }) => {
                if applied {
                    self.answer(request, now_ms);
                }
                Reply::cut(0)
            }
            Some(Effect::Slow { ms }) => Reply::now(self.answer(request, now_ms)).after(ms),
            Some(Effect::Gzip) => Reply::now(self.answer(request, now_ms)).packed(),
            Some(Effect::CutBody) => Reply::now(self.answer(request, now_ms)).cut_in_its_body(),
            Some(effect @ (Effect::EmptyPage | Effect::NoNext)) => {
                let response = self.answer(request, now_ms);
                Reply::now(lists::spoil(response, effect == Effect::EmptyPage))
            }
        }
    }

    fn answer(&mut self, request: &Request<Bytes>, now_ms: u64) -> Response<Bytes> {
        let answer = match kind(request) {
            CallKind::Token => self.tokens.answer(request, &self.config, self.clock_ms(now_ms)),
            _ => self.answer_rest(request, now_ms),
        };
        answer.unwrap_or_else(|refusal| refusal.response())
    }

    fn answer_rest(&self, request: &Request<Bytes>, now_ms: u64) -> Result<Response<Bytes>, Refusal> {
        if target(request).len() > MAX_TARGET_BYTES {
            return Err(Refusal::new(414, "The requested URI is too long."));
        }
        let path = path_segments(request);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path.is_empty() || path == ["system-information"] {
            get_only(request)?;
            let body = match path.is_empty() {
                true => json!({ "host": self.config.link_origin, "authentication": {}, "routes": {} }),
                false => json!({ "version": "20260801000000", "edition": "Serenity" }),
            };
            return Ok(respond(200, &body));
        }
        self.authorize(request, now_ms)?;
        check_media_types(request)?;
        let query = Query::parse(request.uri().query().unwrap_or_default());
        match path.as_slice() {
            ["products-uuid", "search"] => self.search_by_post(request, &query, now_ms),
            ["products-uuid"] => get_only(request).and_then(|()| self.list(true, &query, now_ms)),
            ["product-models"] => get_only(request).and_then(|()| self.list(false, &query, now_ms)),
            ["products-uuid", uuid] => get_only(request).and_then(|()| {
                let id = Uuid::try_parse(uuid).map(EntityId::Product);
                let missing = format!("Product \"{uuid}\" does not exist or you do not have permission to access it.");
                self.by_id(id.ok(), &query, &missing)
            }),
            ["product-models", code @ ..] => get_only(request).and_then(|()| {
                let code = code.join("/");
                let missing =
                    format!("Product model \"{code}\" does not exist or you do not have permission to access it.");
                self.by_id(Some(EntityId::Model(code)), &query, &missing)
            }),
            ["media-files", code @ .., "download"] => get_only(request).and_then(|()| self.media(&code.join("/"))),
            _ => get_only(request).and_then(|()| lists::structure(self, &path, &query)),
        }
    }

    fn authorize(&self, request: &Request<Bytes>, now_ms: u64) -> Result<(), Refusal> {
        let header = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Refusal::new(401, "Authentication is required"))?;
        if self.config.app_token.as_deref() == Some(token) {
            return Ok(());
        }
        self.tokens.check(token, self.clock_ms(now_ms))
    }

    fn by_id(&self, id: Option<EntityId>, query: &Query, missing: &str) -> Result<Response<Bytes>, Refusal> {
        let asked = query.rendering(self.rendering())?;
        let truth = self.catalogue.truth();
        let entity = id
            .and_then(|id| truth.get(&id))
            .filter(|entity| self.visible(&entity.id));
        let entity = entity.ok_or_else(|| Refusal::new(404, missing))?;
        self.readable(&entity.id)?;
        Ok(respond(200, &truth.render(entity, &asked)))
    }

    fn readable(&self, id: &EntityId) -> Result<(), Refusal> {
        if self.config.unreadable.contains(id) {
            Err(Refusal::new(500, "Internal Server Error"))
        } else {
            Ok(())
        }
    }

    fn search_by_post(&self, request: &Request<Bytes>, query: &Query, now_ms: u64) -> Result<Response<Bytes>, Refusal> {
        let no_route = || Refusal::no_route(request.method(), request.uri().path());
        match self.config.post_search {
            PostSearch::NotFound => return Err(no_route()),
            PostSearch::MethodNotAllowed => {
                return Err(Refusal::method_not_allowed(request.method()));
            }
            PostSearch::Available if request.method() != Method::POST => {
                return Err(Refusal::method_not_allowed(request.method()));
            }
            PostSearch::Available => {}
        }
        self.list(true, &query.with_body(request.body())?, now_ms)
    }

    // The catalogue as the search index has it.
    fn index(&self, now_ms: u64) -> View<'_> {
        match self.config.lag_ms {
            0 => self.catalogue.truth(),
            lag_ms => self.catalogue.at(now_ms.saturating_sub(lag_ms)),
        }
    }

    fn rendering(&self) -> Rendering {
        Rendering {
            offset_minutes: self.config.body_offset_minutes,
            ..Rendering::default()
        }
    }

    fn self_link(&self, entity: &Entity) -> String {
        let key = crate::encode_segment(&entity.id.key());
        let kind = if entity.id.is_product() {
            "products-uuid"
        } else {
            "product-models"
        };
        format!("{}{ROOT}/{kind}/{key}", self.config.link_origin)
    }
}

fn in_share(id: &EntityId, share: f64) -> bool {
    share > 0.0 && {
        let seed = id
            .key()
            .bytes()
            .fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        fastrand::Rng::with_seed(seed).f64() < share
    }
}

fn target(request: &Request<Bytes>) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

// The decoded segments below the API's root; anything outside of it is one odd segment.
fn path_segments(request: &Request<Bytes>) -> Vec<String> {
    let path = request.uri().path();
    let Some(rest) = path.strip_prefix(ROOT) else {
        return vec![path.to_owned()];
    };
    let segments = rest.split('/').filter(|segment| !segment.is_empty());
    segments
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect()
}

fn kind(request: &Request<Bytes>) -> CallKind {
    if request.uri().path() == "/api/oauth/v1/token" {
        return CallKind::Token;
    }
    let path = path_segments(request);
    match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["media-files", .., "download"] => CallKind::Media,
        [] | ["system-information"] => CallKind::System,
        ["products-uuid"] => CallKind::ProductList,
        ["products-uuid", "search"] => CallKind::ProductSearch,
        ["products-uuid", _] => CallKind::ProductById,
        ["product-models"] => CallKind::ModelList,
        ["product-models", _] => CallKind::ModelById,
        [
            "families" | "attributes" | "categories" | "channels" | "locales" | "currencies",
            ..,
        ] => CallKind::Structure,
        _ => CallKind::Other,
    }
}

fn get_only(request: &Request<Bytes>) -> Result<(), Refusal> {
    if request.method() == Method::GET {
        Ok(())
    } else {
        Err(Refusal::method_not_allowed(request.method()))
    }
}

fn check_media_types(request: &Request<Bytes>) -> Result<(), Refusal> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    if let Some(accept) = header(ACCEPT)
        && !accept.contains("application/json")
        && !accept.contains("*/*")
    {
        let message = format!("'{accept}' in 'Accept' header is not valid. Only 'application/json' is allowed.");
        return Err(Refusal::new(406, &message));
    }
    if request.method() == Method::POST {
        let sent = header(CONTENT_TYPE).unwrap_or_default();
        if sent.split(';').next().map(str::trim) != Some("application/json") {
            let message =
                format!("'{sent}' in 'Content-type' header is not valid. Only 'application/json' is allowed.");
            return Err(Refusal::new(415, &message));
        }
    }
    Ok(())
}
