//! Pages (contract 4.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Refusal;
use super::filter::{self, Criterion, Membership, Reading};
use super::query::Query;
use super::{Pim, ROOT};
use crate::catalogue::{Entity, EntityId, View};
use crate::fault::respond;
use crate::times;

// Numbered pages end at this item (contract 4.4).
const MAX_OFFSET: usize = 10_000;

impl Pim {
    fn page_limit(&self, query: &Query) -> Result<usize, Refusal> {
        let limit = query.limit()?;
        match self.config.page_max {
            Some(most) if limit > most => Err(Refusal::invalid(&format!("You cannot request more than {most} items."))),
            _ => Ok(limit),
        }
    }

    pub(super) fn list(&self, products: bool, query: &Query, now_ms: u64) -> Result<Response<Bytes>, Refusal> {
        let limit = self.page_limit(query)?;
        let asked = crate::catalogue::Rendering {
            listed: true,
            ..query.rendering(self.rendering())?
        };
        let offset_minutes = self.config.filter_offset_minutes;
        let reading = Reading {
            products,
            offset_minutes,
            now_ms: self.clock_ms(now_ms),
        };
        let criteria = filter::parse(query.get("search"), reading)?;
        let view = self.index(now_ms);
        if let Some(scope) = asked
            .scope
            .as_deref()
            .filter(|scope| !view.structure().has_channel(scope))
        {
            return Err(Refusal::invalid(&format!("Scope \"{scope}\" does not exist.")));
        }
        let matches = |entity: &&Entity| {
            self.visible(&entity.id)
                && asked
                    .scope
                    .as_ref()
                    .is_none_or(|scope| view.structure().in_channel(&entity.categories, scope))
                && criteria.iter().all(|criterion| criterion.holds(entity, &view))
        };
        let path = if products { "products-uuid" } else { "product-models" };
        let path = if query.is_post() {
            format!("{path}/search")
        } else {
            path.to_owned()
        };
        let pages = Pages {
            origin: &self.config.link_origin,
            path: &path,
            query,
            limit,
        };
        let item = |entity: &Entity| {
            let mut body = view.render(entity, &asked);
            body["_links"] = json!({ "self": { "href": self.self_link(entity) } });
            body
        };
        if query.search_after()? {
            let after = Cursor::read(products, query.get("search_after"))?;
            let page: Vec<&Entity> = after
                .candidates(&view, &criteria, products)
                .filter(matches)
                .take(limit)
                .collect();
            page.iter().try_for_each(|entity| self.readable(&entity.id))?;
            let last = page
                .last()
                .filter(|_| page.len() == limit)
                .map(|entity| Cursor::of(entity));
            return Ok(pages.by_cursor(page.into_iter().map(item).collect(), last));
        }
        let page = query.page()?;
        if page.saturating_mul(limit) > MAX_OFFSET {
            let message = "You have reached the maximum number of pages you can retrieve with the \"page\" pagination type. Please use the search after pagination type instead";
            let href = "http://api.akeneo.com/documentation/pagination.html#the-search-after-method";
            return Err(Refusal::invalid(message).documented(href));
        }
        let all = Cursor::Start.candidates(&view, &criteria, products).filter(matches);
        let found: Vec<&Entity> = all.collect();
        let items = found
            .iter()
            .skip((page - 1) * limit)
            .take(limit)
            .map(|entity| item(entity))
            .collect();
        Ok(pages.by_number(items, page, query.flag("with_count")?.then_some(found.len())))
    }
}

/// Where a page begins. For products it is the last UUID; for models it is opaque (contract 4.4).
enum Cursor {
    Start,
    Product(Uuid),
    Model(u64),
}

impl Cursor {
    fn read(products: bool, text: Option<&str>) -> Result<Self, Refusal> {
        let Some(text) = text else {
            return Ok(Self::Start);
        };
        let wrong = || Refusal::invalid(&format!("\"{text}\" is not a valid search_after cursor."));
        if products {
            return Uuid::try_parse(text).map(Self::Product).map_err(|_| wrong());
        }
        let bytes = STANDARD
            .decode(text)
            .ok()
            .filter(|bytes| bytes.len() <= 8)
            .ok_or_else(wrong)?;
        Ok(Self::Model(
            bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        ))
    }

    fn of(entity: &Entity) -> String {
        match &entity.id {
            EntityId::Product(uuid) => uuid.to_string(),
            _ => {
                let bytes = entity.number.to_be_bytes();
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                STANDARD.encode(&bytes[zeros..])
            }
        }
    }

    // What could be on the page, in order. A filter by id or by ancestor spares a walk over the whole catalogue.
    fn candidates<'a>(
        &self,
        view: &View<'a>,
        criteria: &[Criterion],
        products: bool,
    ) -> Box<dyn Iterator<Item = &'a Entity> + 'a> {
        let few = criteria.iter().find_map(|criterion| match criterion {
            Criterion::Id(Membership::In(ids)) if products => {
                let uuids = ids.iter().filter_map(|id| Uuid::try_parse(id).ok());
                Some(uuids.filter_map(|uuid| view.product(uuid)).collect())
            }
            Criterion::Id(Membership::In(codes)) => Some(codes.iter().filter_map(|code| view.model(code)).collect()),
            Criterion::Below(code) => Some(view.descendants(code)),
            _ => None,
        });
        let Some(mut few): Option<Vec<&'a Entity>> = few else {
            return match self {
                Self::Start if products => Box::new(view.products(None)),
                Self::Start => Box::new(view.models(None)),
                Self::Product(uuid) => Box::new(view.products(Some(*uuid))),
                Self::Model(number) => Box::new(view.models(Some(*number))),
            };
        };
        few.retain(|entity| match self {
            Self::Start => true,
            Self::Product(uuid) => entity.uuid() > *uuid,
            Self::Model(number) => entity.number > *number,
        });
        few.sort_by_key(|entity| (entity.number, entity.uuid()));
        Box::new(few.into_iter())
    }
}

/// Puts items into a page with its links.
struct Pages<'a> {
    origin: &'a str,
    path: &'a str,
    query: &'a Query,
    limit: usize,
}

impl Pages<'_> {
    fn link(&self, replaced: &[(&str, Option<String>)]) -> Value {
        let query = self.query.link(replaced);
        json!({ "href": format!("{}{ROOT}/{}?{query}", self.origin, self.path) })
    }

    fn by_cursor(&self, items: Vec<Value>, last: Option<String>) -> Response<Bytes> {
        let limit = || ("limit", Some(self.limit.to_string()));
        let at = |cursor| self.link(&[limit(), ("search_after", cursor)]);
        let this = self.query.get("search_after").map(str::to_owned);
        let mut links = json!({ "self": at(this), "first": at(None) });
        if let Some(last) = last {
            links["next"] = at(Some(last));
        }
        respond(200, &json!({ "_links": links, "_embedded": { "items": items } }))
    }

    fn by_number(&self, items: Vec<Value>, page: usize, count: Option<usize>) -> Response<Bytes> {
        let at = |page: usize| {
            self.link(&[
                ("page", Some(page.to_string())),
                ("limit", Some(self.limit.to_string())),
            ])
        };
        let mut links = json!({ "self": at(page), "first": at(1) });
        if page > 1 {
            links["previous"] = at(page - 1);
        }
        if items.len() == self.limit {
            links["next"] = at(page + 1);
        }
        let mut body = json!({ "_links": links, "current_page": page, "_embedded": { "items": items } });
        if let Some(count) = count {
            body["items_count"] = json!(count);
        }
        respond(200, &body)
    }
}

/// Lists and reads of structural entities; numbered pages, sorted by code.
pub(super) fn structure(pim: &Pim, path: &[&str], query: &Query) -> Result<Response<Bytes>, Refusal> {
    let structure = &pim.catalogue.structure;
    let no_route = || Refusal::no_route(&http::Method::GET, &format!("{ROOT}/{}", path.join("/")));
    let (kind, rest) = path.split_first().ok_or_else(no_route)?;
    let all = match *kind {
        "families" => &structure.families,
        "attributes" => &structure.attributes,
        "categories" => &structure.categories,
        "channels" => &structure.channels,
        "locales" => &structure.locales,
        "currencies" => &structure.currencies,
        _ => return Err(no_route()),
    };
    let found = |list: &[Value], code: &str| {
        let noun = match *kind {
            "families" => "Family",
            "attributes" => "Attribute",
            "channels" => "Channel",
            "locales" => "Locale",
            "currencies" => "Currency",
            _ => "Category",
        };
        let missing = || Refusal::new(404, &format!("{noun} \"{code}\" does not exist."));
        list.iter()
            .find(|item| {
                item["code"]
                    .as_str()
                    .is_some_and(|known| known.eq_ignore_ascii_case(code))
            })
            .cloned()
            .ok_or_else(missing)
    };
    let mut items = match (*kind, rest) {
        (_, []) => all.clone(),
        (kind, [code]) => {
            let with_values = query.flag("with_enriched_attributes")?;
            let item = found(all, code)?;
            return Ok(respond(200, &shown(kind, item, with_values)));
        }
        ("attributes", [attribute, "options", rest @ ..]) => {
            let known = found(all, attribute)?;
            if !known["type"].as_str().is_some_and(|kind| kind.ends_with("select")) {
                return Err(Refusal::new(
                    404,
                    &format!("Attribute \"{attribute}\" does not support options."),
                ));
            }
            let options: Vec<Value> = structure
                .options
                .iter()
                .filter(|option| {
                    let of = option["attribute"].as_str();
                    of.is_some_and(|of| of.eq_ignore_ascii_case(attribute))
                })
                .cloned()
                .collect();
            match rest {
                [] => options,
                [code] => return found(&options, code).map(|option| respond(200, &option)),
                _ => return Err(no_route()),
            }
        }
        _ => return Err(no_route()),
    };
    for (property, test) in structure_filter(query.get("search"))? {
        items.retain(|item| test.holds(&item[&property]));
    }
    let (limit, page) = (pim.page_limit(query)?, query.page()?);
    let pages = Pages {
        origin: &pim.config.link_origin,
        path: &path.join("/"),
        query,
        limit,
    };
    let count = query.flag("with_count")?.then_some(items.len());
    let with_values = query.flag("with_enriched_attributes")?;
    let on_page = items.iter().skip((page - 1) * limit).take(limit);
    if *kind == "categories" {
        let ids = on_page.filter_map(|item| item["code"].as_str());
        ids.map(|code| EntityId::Category(code.to_owned()))
            .try_for_each(|id| pim.readable(&id))?;
    }
    let shown = items.into_iter().skip((page - 1) * limit).take(limit).map(|item| {
        let mut item = shown(kind, item, with_values);
        let code = crate::encode_segment(item["code"].as_str().unwrap_or_default());
        let href = format!("{}{ROOT}/{}/{code}", pim.config.link_origin, path.join("/"));
        item["_links"] = json!({ "self": { "href": href } });
        item
    });
    Ok(pages.by_number(shown.collect(), page, count))
}

// A category shows its values only if they are asked for.
fn shown(kind: &str, mut item: Value, with_values: bool) -> Value {
    if let (true, Some(members)) = (kind == "categories", item.as_object_mut()) {
        if !with_values {
            members.remove("values");
        } else if !members.contains_key("values") {
            members.insert("values".to_owned(), json!([]));
        }
    }
    item
}

enum StructureTest {
    In(Vec<Value>),
    Is(Value),
    NewerThan(i64),
}

impl StructureTest {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::In(list) => list.iter().any(|wanted| match (wanted.as_str(), value.as_str()) {
                (Some(wanted), Some(value)) => wanted.eq_ignore_ascii_case(value),
                _ => wanted == value,
            }),
            Self::Is(wanted) => value == wanted,
            Self::NewerThan(seconds) => value
                .as_str()
                .and_then(times::parse_iso)
                .is_none_or(|updated| updated > *seconds),
        }
    }
}

fn structure_filter(text: Option<&str>) -> Result<Vec<(String, StructureTest)>, Refusal> {
    let malformed = || Refusal::new(400, "Search query parameter should be valid JSON.");
    let search: serde_json::Map<String, Value> = serde_json::from_str(text.unwrap_or("{}")).map_err(|_| malformed())?;
    let mut tests = Vec::new();
    for (property, list) in search {
        for each in list.as_array().into_iter().flatten() {
            let value = &each["value"];
            let test = match (property.as_str(), each["operator"].as_str(), value) {
                ("code" | "type", Some("IN"), Value::Array(list)) => StructureTest::In(list.clone()),
                ("is_main_identifier", Some("="), Value::Bool(_)) => StructureTest::Is(value.clone()),
                ("updated", Some(">"), Value::String(text)) => {
                    let wrong = || Refusal::invalid("The \"updated\" filter expects an ISO 8601 date.");
                    StructureTest::NewerThan(times::parse_iso(text).ok_or_else(wrong)?)
                }
                _ => {
                    return Err(Refusal::invalid(&format!(
                        "Filter on property \"{property}\" is not supported."
                    )));
                }
            };
            tests.push((property.clone(), test));
        }
    }
    Ok(tests)
}

/// How many entities an answer lists.
pub(super) fn length(response: &Response<Bytes>) -> u64 {
    let body: Option<Value> = serde_json::from_slice(response.body()).ok();
    let items = body.as_ref().and_then(|body| body.pointer("/_embedded/items"));
    items.and_then(Value::as_array).map_or(0, |items| items.len() as u64)
}

/// A page as it should not be: empty, or without its last item and its `next` link. Other answers stay as they are.
pub(super) fn spoil(response: Response<Bytes>, empty: bool) -> Response<Bytes> {
    let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else {
        return response;
    };
    let Some(items) = body.pointer_mut("/_embedded/items").and_then(Value::as_array_mut) else {
        return response;
    };
    if empty {
        items.clear();
    } else {
        items.pop();
        if let Some(links) = body["_links"].as_object_mut() {
            links.remove("next");
        }
    }
    respond(200, &body)
}
