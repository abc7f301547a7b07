//! What the PIM refuses, and how; limits and faults.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use simulator::fault::{Effect, Fault};
use simulator::pim::{CallKind, Pim};

use crate::{NOW_MS, call, criterion, get, pim, searching};

fn status(pim: &mut Pim, request: &Request<Bytes>) -> u16 {
    let response = pim.respond(request, NOW_MS);
    if response.status() != 200 {
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["code"], response.status().as_u16());
        assert!(body["message"].is_string());
    }
    response.status().as_u16()
}

#[test]
fn bad_parameters() {
    let mut pim = pim(3, 0);
    let cases = [
        ("/products-uuid?limit=101", 422),
        ("/products-uuid?limit=0", 422),
        ("/products-uuid?limit=ten", 422),
        ("/products-uuid?page=0", 422),
        ("/products-uuid?pagination_type=other", 422),
        ("/products-uuid?with_count=yes", 422),
        ("/products-uuid?search=%7B", 400),
        ("/products-uuid?search=%7B%22uuid%22:1%7D", 422),
        ("/products-uuid?pagination_type=search_after&search_after=x", 422),
        ("/product-models?pagination_type=search_after&search_after=%21", 422),
        ("/products-uuid/not-a-uuid", 404),
        ("/product-models/unknown", 404),
        ("/nothing", 404),
    ];
    for (path, expected) in cases {
        assert_eq!(get(&mut pim, path).0, expected, "{path}");
    }
    let unsupported = [
        criterion("uuid", "EMPTY", Value::Null),
        criterion("colour", "IN", vec!["red"]),
        criterion("code", "IN", vec!["a"]),
    ];
    for search in unsupported {
        assert_eq!(get(&mut pim, &searching("/products-uuid", &search)).0, 422, "{search}");
    }
    let many: Vec<String> = (0..101).map(|n| format!("S{n}")).collect();
    assert_eq!(
        get(
            &mut pim,
            &searching("/products-uuid", &criterion("sku", "IN", many.clone()))
        )
        .0,
        422
    );
    assert_eq!(
        get(
            &mut pim,
            &searching("/products-uuid", &criterion("identifier", "IN", many))
        )
        .0,
        400
    );
    let twenty_one: Vec<Value> = vec![json!({ "operator": "=", "value": true }); 21];
    assert_eq!(
        get(
            &mut pim,
            &searching("/products-uuid", &json!({ "enabled": twenty_one }))
        )
        .0,
        422
    );
}

#[test]
fn bad_methods_headers_and_lengths() {
    let mut pim = pim(3, 0);
    let list = "/api/rest/v1/products-uuid";
    assert_eq!(status(&mut pim, &call("PUT", list, "")), 405);
    let with = |method: &str, path: &str, name: &str, value: &str, body: &'static str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", "Bearer app");
        request.header(name, value).body(Bytes::from(body)).unwrap()
    };
    assert_eq!(
        status(&mut pim, &with("GET", list, "accept", "application/xml", "")),
        406
    );
    assert_eq!(
        status(&mut pim, &with("GET", list, "accept", "application/json", "")),
        200
    );
    let search = format!("{list}/search");
    assert_eq!(
        status(&mut pim, &with("POST", &search, "content-type", "text/plain", "{}")),
        415
    );
    assert_eq!(
        status(
            &mut pim,
            &with("POST", &search, "content-type", "application/json", "{")
        ),
        400
    );
    assert_eq!(status(&mut pim, &call("POST", &search, r#"{"unknown":"1"}"#)), 422);
    assert_eq!(status(&mut pim, &call("POST", &search, "{}")), 200);
    let long = format!("{list}?attributes={}", "a".repeat(8000));
    assert_eq!(status(&mut pim, &call("GET", &long, "")), 414);
}

#[test]
fn calls_beyond_a_limit_are_counted_and_answered_429() {
    let mut pim = pim(3, 0);
    pim.config.limits.retry_after_s = Some(7);
    let request = call("GET", "/api/rest/v1/products-uuid", "");
    for _ in 0..4 {
        assert_eq!(pim.handle(&request, NOW_MS).into_response().status(), 200);
    }
    let fifth = pim.handle(&request, NOW_MS).into_response();
    assert_eq!(
        (
            fifth.status().as_u16(),
            fifth.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "7")
    );
    (0..5).for_each(|_| pim.finish());
    for _ in 5..100 {
        assert_eq!(pim.respond(&request, NOW_MS + 10).status(), 200);
    }
    assert_eq!(pim.respond(&request, NOW_MS + 999).status(), 429);
    assert_eq!(
        pim.respond(&request, NOW_MS + 1000).status(),
        200,
        "the first ones are a second old"
    );
    let seen = pim.meter.seen();
    assert_eq!((seen.max_at_once, seen.max_per_second, seen.violations), (5, 101, 2));
    pim.config.limits.enforce = false;
    (0..200).for_each(|_| assert_eq!(pim.respond(&request, NOW_MS + 5000).status(), 200));
    assert_eq!(pim.meter.seen().violations, 102);
}

#[test]
fn calls_are_recorded_and_faults_strike() {
    let mut pim = pim(3, 3);
    pim.faults
        .add(Fault::next(1, Fault::status(502)).path("/api/rest/v1/product-models"));
    pim.faults
        .add(Fault::next(1, Effect::Cut { applied: false }).method("GET"));
    pim.faults.add(Fault::next(1, Effect::Slow { ms: 30 }));
    assert_eq!(get(&mut pim, "/product-models").0, 502);
    assert_eq!(
        get(&mut pim, "/products-uuid").0,
        503,
        "as a gateway shows a cut connection"
    );
    let slow = pim.handle(&call("GET", "/api/rest/v1/product-models/x", ""), NOW_MS);
    pim.finish();
    assert_eq!((slow.after_ms, slow.response.unwrap().status().as_u16()), (30, 404));
    let seen: Vec<_> = pim.calls.iter().map(|call| (call.kind, call.status)).collect();
    assert_eq!(
        seen,
        [
            (CallKind::ModelList, 502),
            (CallKind::ProductList, 0),
            (CallKind::ModelById, 404)
        ]
    );
}

#[test]
fn the_date_is_the_pims_own() {
    let mut pim = pim(1, 0);
    pim.config.clock_skew_ms = -3_600_000;
    let response = pim.respond(&call("GET", "/api/rest/v1", ""), NOW_MS);
    assert_eq!(response.headers()["date"], "Wed, 04 Mar 2026 04:06:07 GMT");
}
