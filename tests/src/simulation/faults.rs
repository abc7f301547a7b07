//! What goes wrong in a world of chance.

use super::host::{Chances, Shared};
use super::nature::{Dimension, log_uniform};
use bytes::Bytes;
use fastrand::Rng;
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use simulator::catalogue::EntityId;
use simulator::fault::{Effect, Fault, error_body, respond, set_header};

/// What a proxy says in place of an upstream.
const PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Just a moment</title></head><body>We are down for maintenance.</body></html>";

fn page(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    set_header(&mut response, "content-type", "text/html; charset=utf-8");
    response
}

/// A proxy that answers calls of an upstream itself, for a while.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    of_pim: bool,
    status: u16,
    share: f64,
    until_ms: u64,
}

impl Proxy {
    /// One that answers every call until it is taken away.
    pub(super) fn new(of_pim: bool, status: u16) -> Proxy {
        Proxy {
            of_pim,
            status,
            share: 1.0,
            until_ms: u64::MAX,
        }
    }

    /// Whether it answers a call; `share` is the call's own chance.
    pub(super) fn stands(&self, is_pim: bool, now_ms: u64, share: f64) -> bool {
        self.of_pim == is_pim && now_ms < self.until_ms && share < self.share
    }

    /// What it answers.
    pub(super) fn answer(&self) -> Response<Bytes> {
        page(self.status)
    }
}

/// An entity that an upstream answers alone, for a while: whatever asks for it, and at the PIM whatever would show it.
#[derive(Debug, Clone)]
pub(super) struct Lone {
    of_pim: bool,
    /// The entity.
    pub(super) id: EntityId,
    status: u16,
    is_page: bool,
    until_ms: u64,
}

impl Lone {
    fn strikes(&self, is_pim: bool, now_ms: u64) -> bool {
        self.of_pim == is_pim && now_ms < self.until_ms
    }

    /// One that fails with this status until others do not either.
    pub(super) fn new(of_pim: bool, id: EntityId, status: u16) -> Lone {
        Lone {
            of_pim,
            id,
            status,
            is_page: of_pim && matches!(status, 404 | 410),
            until_ms: u64::MAX,
        }
    }

    /// The same with a page of HTML.
    pub(super) fn by_a_page(self) -> Lone {
        Lone { is_page: true, ..self }
    }

    /// Whether a request is for it. That a deletion finds nothing is no failure.
    pub(super) fn is_asked_for(&self, is_pim: bool, request: &Request<Bytes>, now_ms: u64) -> bool {
        if !self.strikes(is_pim, now_ms) {
            return false;
        }
        let key = self.id.key();
        if !is_pim {
            let is_done = request.method() == Method::DELETE && matches!(self.status, 404 | 410);
            return !is_done
                && request
                    .uri()
                    .path()
                    .ends_with(&format!("/{}", simulator::encode_segment(&key)));
        }
        // A cursor asks for what lies behind an entity, and not for it.
        let target = request.uri().to_string();
        let parts = target.split('&').filter(|part| !part.contains("search_after="));
        let target = parts.collect::<Vec<_>>().join("&");
        let target = percent_decode_str(&target).decode_utf8_lossy();
        let body = String::from_utf8_lossy(request.body());
        // What a search leaves out is not asked for, either.
        [&target, &body]
            .iter()
            .any(|text| text.contains(&key) && !text.contains("NOT IN"))
    }

    /// Whether it is asked to come less often, alone.
    pub(super) fn asks_to_come_less_often(&self) -> bool {
        self.status == 429
    }

    /// Whether the PIM has it, and no page with it comes.
    pub(super) fn cannot_be_rendered(&self) -> bool {
        self.of_pim && matches!(self.status, 408 | 413 | 500..)
    }

    /// Whether an answer of the PIM would show it, and the PIM cannot render it. Nobody refuses a page for what is on it,
    /// with whatever else an entity may be answered alone.
    pub(super) fn is_shown(&self, response: &Response<Bytes>, now_ms: u64) -> bool {
        let key = self.id.key();
        let may_be = self.strikes(true, now_ms) && self.cannot_be_rendered();
        if !may_be || !String::from_utf8_lossy(response.body()).contains(&key) {
            return false;
        }
        // That another one names it does not matter.
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let is_it = |entity: &Value| entity["uuid"] == key.as_str() || entity["code"] == key.as_str();
        let items = body.pointer("/_embedded/items").and_then(Value::as_array);
        is_it(&body) || items.is_some_and(|items| items.iter().any(is_it))
    }

    /// What is answered in its place.
    pub(super) fn answer(&self) -> Response<Bytes> {
        if self.is_page {
            return page(self.status);
        }
        respond(self.status, &error_body(self.status, "This one cannot be dealt with."))
    }

    /// Whether it fails no more.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms <= now_ms
    }

    /// Whether the PIM is it that answers so.
    pub(super) fn is_of_pim(&self) -> bool {
        self.of_pim
    }
}

/// The statuses with which an entity may fail. Of the PIM, 401 is about the token and 404 or 410 in its own words would
/// say that the entity is gone.
const STATUSES: [u16; 24] = [
    300, 301, 302, 307, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 415, 422, 423, 424, 429, 500, 502, 503,
    504,
];

/// Which entities fail alone, and how.
pub(super) fn lone(shared: &Shared, now_ms: u64) -> Vec<Lone> {
    let Some(mut random) = shared.nature.random(Dimension::Alone) else {
        return Vec::new();
    };
    let truth = shared.pim.catalogue.truth();
    let mut entities: Vec<EntityId> = truth.entities().map(|entity| entity.id.clone()).collect();
    // Mostly one or two, and up to seven of ten; those that sort first as often as any.
    if random.bool() {
        random.shuffle(&mut entities);
    }
    let most = entities.len() * 7 / 10;
    let count = if random.u8(..3) > 0 {
        random.usize(1..3)
    } else {
        random.usize(..=most)
    };
    let (alike, of_pim) = (random.bool(), random.u8(..3) == 0);
    let first = random.usize(..STATUSES.len());
    let struck = entities.into_iter().take(count.min(most)).map(|id| {
        let status = STATUSES[if alike { first } else { random.usize(..STATUSES.len()) }];
        let status = if of_pim && status == 401 { 403 } else { status };
        Lone {
            of_pim,
            id,
            status,
            is_page: (of_pim && matches!(status, 404 | 410)) || random.u8(..4) == 0,
            until_ms: if random.bool() {
                u64::MAX
            } else {
                now_ms + log_uniform(&mut random, 60_000, 1_200_000)
            },
        }
    });
    struck.collect()
}

/// Which proxies stand before upstreams.
pub(super) fn proxies(shared: &Shared, now_ms: u64) -> Vec<Proxy> {
    const STATUSES: [u16; 7] = [200, 200, 403, 404, 500, 502, 503];
    let Some(mut random) = shared.nature.random(Dimension::Pages) else {
        return Vec::new();
    };
    let proxy = |random: &mut Rng| {
        let is_whole = random.bool();
        Proxy {
            of_pim: random.bool(),
            status: STATUSES[random.usize(..STATUSES.len())],
            share: if is_whole { 1.0 } else { random.f64() * 0.4 },
            until_ms: if is_whole {
                now_ms + log_uniform(random, 30_000, 1_200_000)
            } else {
                u64::MAX
            },
        }
    };
    (0..random.usize(1..3)).map(|_| proxy(&mut random)).collect()
}

/// Decides what goes wrong; says whether nothing does that would excuse a broken limit.
pub(super) fn go_wrong(shared: &mut Shared, random: &mut Rng) -> bool {
    // What takes many calls would never come to its end where each may be a worker's last.
    let calls = shared.pim.catalogue.truth().entities().count() as f64;
    let size = (calls / 40.0).max(1.0);
    let mut maybe = |chance: f64| {
        if random.bool() {
            random.f64() * chance / size
        } else {
            0.0
        }
    };
    let chances = Chances {
        kill: maybe(0.02),
        pause: maybe(0.004),
        store: maybe(0.02),
        half: maybe(0.05),
    };
    shared.chances = chances;
    for of_pim in [true, false] {
        for _ in 0..random.usize(..3) {
            let mut fault = any_fault(random);
            if let (Effect::LandLate { after_ms }, Some(protocol)) = (&mut fault.effect, &shared.nature.protocol) {
                // What nobody can find and nothing forbids to be made twice arrives within the time of its call.
                if !protocol.shop.is_unique {
                    *after_ms = (*after_ms).min(shared.nature.settings.call_timeout_s * 1000);
                }
            }
            if of_pim {
                shared.pim.faults.add(fault)
            } else {
                shared.destination.faults.add(fault)
            }
        }
    }
    if random.u8(..8) == 0 {
        let down = if random.bool() {
            Fault::status(503)
        } else {
            Effect::Hang { ms: 60_000 }
        };
        shared.destination.faults.add(Fault::always(down));
    }
    let refused = shared
        .pim
        .catalogue
        .truth()
        .products(None)
        .next()
        .and_then(|product| match shared.is_by_sku() {
            true => product.identifier.clone(),
            false => Some(product.id.key()),
        });
    if let (Some(refused), true) = (refused, random.u8(..3) == 0) {
        shared.destination.reject(&refused, "refused until somebody mends it");
    }
    chances.kill == 0.0 && chances.pause == 0.0 && chances.store == 0.0 && shared.nature.late_writes == 0.0
}

/// Another entity than the one that was asked for: a cache that confuses its keys, a proxy that folds paths.
pub(super) fn strange(shared: &Shared, random: &mut Rng) -> Fault {
    let mut body = shared.pim.bodies(None).next().map(|(_, body)| body);
    if let Some(body) = &mut body {
        let uuid = uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
        body["uuid"] = json!(uuid);
    }
    let other = Effect::Status {
        status: 200,
        headers: Vec::new(),
        body,
    };
    Fault::share(random.f64() * 0.5, other).path("/api/rest/v1/product")
}

fn any_fault(random: &mut Rng) -> Fault {
    let wait = |random: &mut Rng| Effect::Status {
        status: if random.bool() { 429 } else { 503 },
        headers: vec![("retry-after".to_owned(), random.u64(1..60).to_string())],
        body: None,
    };
    let effect = match random.u8(..11) {
        0 => Fault::status(500),
        1 => Fault::status(503),
        2 => Fault::status(408),
        3 => Fault::status(429),
        4 => wait(random),
        5 => Effect::Hang {
            ms: random.u64(1000..120_000),
        },
        6 => Effect::Slow {
            ms: random.u64(100..30_000),
        },
        7 => Effect::Gzip,
        8 => Effect::CutBody,
        9 => Effect::Cut { applied: random.bool() },
        _ => Effect::LandLate {
            after_ms: random.u64(1000..400_000),
        },
    };
    Fault::share(random.f64() * 0.4, effect)
}
