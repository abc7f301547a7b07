//! How the destination of a world of chance is spoken to, and the document that says so.

use super::identities::Identities;
use bytes::Bytes;
use fastrand::Rng;
use http::{Response, header::RETRY_AFTER};
use model::entity::Kind;
use model::template::{Piece, pieces};
use serde_json::{Value, json};
use simulator::destination::{PREFIX, Reference, ShopConfig};
use simulator::fault::{Effect, Fault};

/// A protocol.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// How the shop that speaks it does it.
    pub shop: ShopConfig,
    /// How products are called by their SKUs, if they are.
    pub by_sku: Option<Identities>,
    /// What is to happen to what the PIM has no more.
    pub farewell: Farewell,
    /// Whether products name their models by the ids that the shop gave these.
    pub names_parents: bool,
    /// Of the requests to make something, the share that is answered 200 and comes to nothing; a thing that was made has an
    /// id in its answer, and the document requires that.
    pub hollow: f64,
    /// Of all requests, the share that is carried out and answered with this status all the same.
    pub disguised: Option<(f64, u16)>,
    /// How the shop says when to come back, if not by `Retry-After`.
    pub wait: Option<Told>,
    /// Whether ids and versions are taken out of the headers of answers; what is found tells them in the body.
    pub tells_in_headers: bool,
    /// Whether of several that are found none is taken, so that a second one of anything would be told.
    pub refuses_several: bool,
    /// How something is looked up.
    pub lookup: Lookup,
    /// Of good answers, the share after which no call is left for a while.
    pub spent: f64,
}

/// How something is looked up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lookup {
    /// Whether by the body of a `POST`.
    by_body: bool,
    /// Whether the answer has one place for the one, and no list.
    is_of_one: bool,
}

/// What is to happen to what the PIM has no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It is deleted by a `DELETE`.
    Delete,
    /// It is deleted by a `POST` whose body says what.
    ByBody,
    /// It is archived.
    Archive,
    /// Nothing: it stays.
    Stay,
}

/// How a shop says when to come back.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// In a header of its own, in seconds.
    Seconds,
    /// In a header of its own, in milliseconds.
    Milliseconds,
    /// In a header of its own, by the moment, in seconds since the Unix epoch.
    Moment,
    /// In the header of the IETF's draft.
    RateLimit,
    /// In the body, in seconds.
    InBody,
}

/// The header of a shop that says in one of its own when to come back.
const COME_BACK: &str = "x-come-back";

/// The header of a shop that says how many calls are left.
const LEFT: &str = "x-left";

/// For how many seconds no call is left at most.
const SPENT_S: u64 = 5;

/// How long a shop may need until what it was sent can be found, in seconds, as the document says.
const SETTLE_S: u64 = 30;

impl Protocol {
    /// One by chance.
    pub fn of(random: &mut Rng) -> Protocol {
        let (takes_ids, is_unique) = [(true, true), (false, false), (false, false), (false, true)][random.usize(..4)];
        Protocol {
            shop: ShopConfig {
                lag_ms: if is_unique {
                    0
                } else {
                    random.u64(..SETTLE_S * 1000 - 1000)
                },
                is_unique,
                takes_ids,
                wants_versions: !is_unique && random.bool(),
                is_always_well: random.bool(),
                ..ShopConfig::default()
            },
            by_sku: None,
            farewell: Farewell::Delete,
            names_parents: false,
            hollow: 0.0,
            disguised: None,
            wait: None,
            tells_in_headers: false,
            refuses_several: false,
            lookup: Lookup::default(),
            spent: 0.0,
        }
    }

    /// Customs of the shop's own by chance.
    pub fn draw_customs(&mut self, random: &mut Rng) {
        let farewells = [Farewell::Delete, Farewell::ByBody, Farewell::Archive, Farewell::Stay];
        let references = [Reference::Id, Reference::Hex, Reference::Prefixed, Reference::Hashed];
        let waits = [Told::Seconds, Told::Milliseconds, Told::Moment, Told::RateLimit];
        (self.farewell, self.shop.reference) = (farewells[random.usize(..4)], references[random.usize(..4)]);
        // Where products are called by their SKUs, references are no function of ids, and an SKU that another one is to
        // have has to be free.
        if self.by_sku.is_some() {
            (self.shop.reference, self.shop.passes_names_on) = (Reference::Id, true);
            if self.keeps_all() {
                self.farewell = Farewell::Delete;
            }
        }
        self.names_parents = random.bool() && !self.shop.takes_ids;
        let hollow = random.bool().then(|| random.f64() * 0.3);
        self.wait = random.bool().then(|| waits[random.usize(..4)]);
        self.disguised = random
            .bool()
            .then(|| (random.f64() * 0.3, [500, 502, 504][random.usize(..3)]));
        self.hollow = hollow.unwrap_or(0.0);
        // These are drawn beside the others, so that a seed's world is otherwise what it was before they came.
        let mut beside = Rng::with_seed(random.clone().u64(..));
        (self.tells_in_headers, self.refuses_several) = (beside.bool(), beside.bool());
        if self.farewell == Farewell::Archive && self.shop.passes_names_on {
            // What is archived is found beside what has its name now.
            self.refuses_several = false;
        }
        self.draw_lookups(&mut beside);
        if beside.u8(..4) == 0 {
            self.wait = self.wait.map(|_| Told::InBody);
        }
        let tells_in_header = matches!(self.wait, Some(Told::Seconds | Told::Milliseconds | Told::Moment));
        if tells_in_header && beside.bool() {
            self.spent = beside.f64() * 0.02;
        }
        // The fault strikes requests by their method.
        if self.farewell == Farewell::ByBody || self.lookup.by_body || self.shop.upserts {
            self.hollow = 0.0;
        }
    }

    fn draw_lookups(&mut self, random: &mut Rng) {
        if self.shop.takes_ids && self.by_sku.is_none() && random.bool() {
            (self.shop.upserts, self.shop.is_unique) = (true, false);
            self.shop.wants_versions = random.bool();
            self.shop.lag_ms = random.u64(..SETTLE_S * 1000 - 1000);
        }
        self.lookup.by_body = random.bool();
        self.lookup.is_of_one = random.bool() && !self.refuses_several;
        self.shop.finds_alike = random.bool() && !self.lookup.is_of_one;
    }

    /// What strikes requests.
    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        let hollow = Effect::Status {
            status: 200,
            headers: Vec::new(),
            body: Some(json!({ "queued": true })),
        };
        let hollow = (self.hollow > 0.0).then(|| Fault::share(self.hollow, hollow).method("POST").path("/shop/"));
        let disguised = self
            .disguised
            .map(|(share, status)| Fault::share(share, Effect::Disguised { status }));
        hollow.into_iter().chain(disguised)
    }

    /// Whether the shop keeps what the PIM has no more.
    pub fn keeps_all(&self) -> bool {
        self.farewell == Farewell::Stay
    }

    /// Lets a good answer be the last for a while, now and then. How long is told as any wait is.
    pub fn spend(&self, response: &mut Response<Bytes>, random: &mut Rng) {
        if self.spent == 0.0 || !response.status().is_success() || response.headers().contains_key(RETRY_AFTER) {
            return;
        }
        let is_spent = random.f64() < self.spent;
        let headers = response.headers_mut();
        headers.insert(LEFT, u64::from(!is_spent).into());
        if is_spent {
            headers.insert(RETRY_AFTER, random.u64(1..=SPENT_S).into());
        }
    }

    /// An answer with the wait as this shop tells it. One that comes without the whole of its body tells it by `Retry-After`.
    pub fn tell_wait(&self, response: &mut Response<Bytes>, comes_whole: bool, now_ms: u64) {
        let Some(told) = self.wait else { return };
        let header = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let Some(seconds) = header.and_then(|value| value.parse::<u64>().ok()) else {
            return;
        };
        if let Told::InBody = told {
            let body = serde_json::from_slice(response.body()).ok().filter(|_| comes_whole);
            if let Some(Value::Object(mut said)) = body {
                said.insert(COME_BACK.to_owned(), json!(seconds));
                *response.body_mut() = Bytes::from(Value::Object(said).to_string());
                response.headers_mut().remove(RETRY_AFTER);
            }
            return;
        }
        let headers = response.headers_mut();
        headers.remove(RETRY_AFTER);
        let (name, value) = match told {
            Told::InBody => return,
            Told::Seconds => (COME_BACK, seconds.to_string()),
            Told::Milliseconds => (COME_BACK, (seconds * 1000).to_string()),
            Told::Moment => (COME_BACK, (now_ms.div_ceil(1000) + seconds).to_string()),
            Told::RateLimit => ("ratelimit", format!("\"burst\";r=0;t={seconds}")),
        };
        headers.insert(name, value.parse().expect("a header's value"));
    }

    fn limits(&self) -> Option<Value> {
        let unit = match self.wait? {
            Told::Seconds => "seconds",
            Told::Milliseconds => "milliseconds",
            Told::Moment => "moment",
            Told::RateLimit => return Some(json!({ "ratelimit": true })),
            Told::InBody => return Some(json!({ "reset": { "at": format!("/{COME_BACK}") } })),
        };
        let mut limits = json!({ "reset": { "header": COME_BACK, "unit": unit } });
        if self.spent > 0.0 {
            limits["left"] = json!(LEFT);
        }
        Some(limits)
    }

    /// Whether nothing can be looked up although the shop gives ids. Where SKUs change, a document that gives no way to look
    /// up what was made while its answer was lost could not keep what is promised.
    pub fn is_blind(&self) -> bool {
        self.shop.is_unique && !self.shop.takes_ids && self.by_sku.is_none()
    }

    /// Says it in a document.
    pub fn tell(&self, document: &mut Value) {
        for kind in ["products", "product-models"] {
            let by_sku = self.by_sku_of(kind);
            let reference = self.reference(kind);
            let rules = &mut document[kind];
            match self.shop.upserts {
                true => rules["upsert"] = json!({ "path": self.path(kind) }),
                false => {
                    rules["create"] = json!({ "path": format!("/shop/{kind}?ref={reference}") });
                    rules["update"] = json!({ "method": "PUT", "path": self.path(kind) });
                }
            }
            self.tell_farewell(kind, rules);
            match self.shop.reference {
                Reference::Hex if kind == Kind::Product.name() => rules["identity"] = json!({ "form": "hex" }),
                Reference::Id | Reference::Hex => {}
                Reference::Prefixed => rules["identity"] = json!({ "prefix": PREFIX }),
                Reference::Hashed => rules["identity"] = json!({ "form": "hash" }),
            }
            if self.hollow > 0.0 {
                rules["create"]["answers"] = json!({ "required": "/id" });
            }
            if self.names_parents {
                rules["headers"] = json!({ "x-parent": "{parent.remote.id}" });
            }
            if !self.shop.takes_ids {
                rules["remember"] = match self.tells_in_headers {
                    true => json!({ "id": { "header": "X-Id" } }),
                    false => json!({ "id": ["/id", "/errors/0/id"] }),
                };
            }
            if self.shop.is_unique {
                rules["identity"]["unique"] = json!(true);
            }
            if let Some(identities) = by_sku {
                identities.tell(rules, !self.shop.takes_ids);
            }
            self.tell_lookup(kind, rules);
            if self.shop.wants_versions {
                rules["remember"]["version"] = match self.tells_in_headers {
                    true => json!({ "header": "ETag" }),
                    false => json!("/version"),
                };
                if self.tells_in_headers && rules["find"].is_object() {
                    rules["find"]["remember"]["version"] = json!("/version");
                }
                let change = if self.shop.upserts { "upsert" } else { "update" };
                rules[change]["headers"] = json!({ "If-Match": "{remote.version}" });
            }
        }
        let of_status = |status: u16, means: &str| json!({ "status": status, "means": means });
        let inside = |status: u16, means: &str| json!({ "status": 200, "at": "/errors/0/code", "equals": status, "means": means });
        let mut rules = vec![of_status(412, "exists")];
        if self.shop.is_always_well {
            let means = [
                (404, "missing"),
                (409, "exists"),
                (412, "exists"),
                (429, "busy"),
                (503, "busy"),
            ];
            rules.extend(means.map(|(status, means)| inside(status, means)));
        }
        document["answers"] = json!({ "rules": rules });
        if let Some(limits) = self.limits() {
            document["limits"] = limits;
        }
    }

    fn tell_lookup(&self, kind: &str, rules: &mut Value) {
        let is_needed = match self.shop.upserts {
            true => self.shop.wants_versions,
            false => !self.shop.is_unique || (self.by_sku.is_some() && !self.shop.takes_ids),
        };
        if !is_needed {
            return;
        }
        let reference = self.reference(kind);
        let mut find = match self.lookup.by_body {
            true => json!({
                "method": "POST", "path": format!("/shop/{kind}/found"),
                "fields": [{ "to": "/ref", "template": reference }],
            }),
            false => json!({ "path": format!("/shop/{kind}?ref={reference}") }),
        };
        find["settle_seconds"] = json!(SETTLE_S);
        if self.lookup.is_of_one {
            find["one"] = json!("/found/0");
        } else {
            find["list"] = json!("/found");
            find["several"] = json!(if self.refuses_several { "refused" } else { "first" });
        }
        if self.shop.finds_alike {
            find["matching"] = json!({ "/ref": reference });
        }
        if self.tells_in_headers && !self.shop.takes_ids {
            find["remember"] = json!({ "id": "/id" });
        }
        rules["find"] = find;
    }

    fn tell_farewell(&self, kind: &str, rules: &mut Value) {
        let path = self.path_of_thing(kind);
        match self.farewell {
            Farewell::Delete => rules["delete"] = json!({ "path": path }),
            Farewell::ByBody => {
                let id = if self.shop.takes_ids {
                    "{identity}"
                } else {
                    "{remote.id}"
                };
                let fields = json!([
                    { "to": "/id", "template": id },
                    { "to": "/ref", "template": "{identity}" },
                    { "to": "/of", "template": "{id}" },
                    { "to": "/kind", "template": "{kind}" },
                ]);
                rules["delete"] = json!({ "method": "POST", "path": format!("/shop/{kind}/gone"), "fields": fields });
            }
            Farewell::Archive => {
                rules["archive"] = json!({
                    "method": "PUT", "path": format!("{path}/archived"),
                    "fields": [{ "to": "/archived", "constant": true }, { "to": "/kind", "template": "{kind}" }],
                });
            }
            Farewell::Stay => rules["delete"] = json!(false),
        }
    }

    /// The place of what a thing is called.
    fn reference(&self, kind: &str) -> &'static str {
        let is_made = self.shop.reference != Reference::Id;
        match is_made || self.by_sku_of(kind).is_some() {
            true => "{identity}",
            false => "{id}",
        }
    }

    fn by_sku_of(&self, kind: &str) -> Option<Identities> {
        self.by_sku.filter(|_| kind == Kind::Product.name())
    }

    /// The path of what is changed, as it counts for the hash of what was sent.
    pub fn path_of(&self, kind: &str, id: &str) -> Vec<Piece> {
        let path = pieces(&self.path(kind)).expect("a path");
        let called = match self.shop.reference {
            Reference::Id => id.to_owned(),
            made => made.of(kind, &super::rules::percent_decoded(id)),
        };
        let path = path.into_iter().map(|piece| match piece {
            Piece::Place(name) if name == "id" || name == "identity" => Piece::Text(called.clone()),
            other => other,
        });
        path.collect()
    }

    /// The path by which a thing is changed; where it can be called otherwise, it says how.
    fn path(&self, kind: &str) -> String {
        let path = self.path_of_thing(kind);
        match self.by_sku_of(kind) {
            Some(identities) if identities.renames && !self.shop.takes_ids => format!("{path}?ref={{identity}}"),
            _ => path,
        }
    }

    fn path_of_thing(&self, kind: &str) -> String {
        let id = match self.shop.takes_ids {
            true => self.reference(kind),
            false => "{remote.id}",
        };
        format!("/shop/{kind}/{id}")
    }
}
