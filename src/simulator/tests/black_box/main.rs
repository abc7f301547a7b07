//! The simulator from outside, by requests and answers.
#![allow(clippy::unwrap_used, missing_docs)]

mod catalogue;
mod contract;
mod deliveries;
mod lists;
mod refusals;
mod servers;
mod tokens;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use simulator::catalogue::Catalogue;
use simulator::pim::{Pim, PimConfig};

/// 2026-03-04T05:06:07.008Z.
const NOW_MS: u64 = 1_772_600_767_008;

fn pim(products: usize, models: usize) -> Pim {
    let config = PimConfig {
        app_token: Some("app".to_owned()),
        ..PimConfig::default()
    };
    Pim::new(Catalogue::generate(products, models, 5), config)
}

/// A call with a token that is always good.
fn call(method: &str, path: &str, body: &str) -> Request<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer app");
    let request = if method == "POST" {
        request.header("content-type", "application/json")
    } else {
        request
    };
    request.body(Bytes::from(body.to_owned())).unwrap()
}

/// Status and body of a GET below the API's root, made at a second of its own.
fn get_at(pim: &mut Pim, path: &str, now_ms: u64) -> (u16, Value) {
    let response = pim.respond(&call("GET", &format!("/api/rest/v1{path}"), ""), now_ms);
    (
        response.status().as_u16(),
        serde_json::from_slice(response.body()).unwrap_or(Value::Null),
    )
}

fn get(pim: &mut Pim, path: &str) -> (u16, Value) {
    pim.config.limits.per_second = None;
    get_at(pim, path, NOW_MS)
}

/// The path of a list with a `search`.
fn searching(path: &str, search: &Value) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("search", &search.to_string())
        .append_pair("limit", "100")
        .finish();
    format!("{path}?pagination_type=search_after&{query}")
}

/// The ids on a page.
fn ids(page: &Value) -> Vec<String> {
    let items = page["_embedded"]["items"]
        .as_array()
        .unwrap_or_else(|| panic!("no page: {page}"));
    items
        .iter()
        .map(|item| item.get("uuid").unwrap_or(&item["code"]).as_str().unwrap().to_owned())
        .collect()
}

/// What a search finds.
fn found(pim: &mut Pim, path: &str, search: &Value) -> Vec<String> {
    let (status, page) = get(pim, &searching(path, search));
    assert_eq!(status, 200, "{page}");
    ids(&page)
}

/// A search with one criterion.
fn criterion(property: &str, operator: &str, value: impl Into<Value>) -> Value {
    json!({ property: [{ "operator": operator, "value": value.into() }] })
}
