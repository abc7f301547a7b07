//! The destination, request by request.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::fault::Fault;

fn request(method: &str, path: &str, body: &str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Bytes::from(body.to_owned()))
        .unwrap()
}

fn put(destination: &mut Destination, path: &str, body: &str, now_ms: u64) -> u16 {
    destination
        .respond(&request("PUT", path, body), now_ms)
        .status()
        .as_u16()
}

#[test]
fn upserts_and_deletions() {
    let mut destination = Destination::new(DestinationConfig::default());
    assert_eq!(put(&mut destination, "/products/1", r#"{"a":1}"#, 1), 201);
    assert_eq!(put(&mut destination, "/products/1", r#"{"a":2}"#, 2), 200);
    assert_eq!(put(&mut destination, "/products/1", "{", 3), 400);
    let stored = &destination.state["/products/1"];
    assert_eq!((stored.versions, stored.at_ms, &stored.body()["a"]), (2, 2, &json!(2)));
    let gone = destination.respond(&request("DELETE", "/products/1", ""), 4);
    assert_eq!(gone.status(), 204);
    assert!(gone.headers().contains_key("trackingid"));
    assert_eq!(
        destination.respond(&request("DELETE", "/products/1", ""), 5).status(),
        204
    );
    destination.config.unknown_delete_is_404 = true;
    assert_eq!(
        destination.respond(&request("DELETE", "/products/1", ""), 6).status(),
        404
    );
    assert_eq!(destination.log.len(), 6);
    assert_eq!(destination.meter.seen().max_at_once, 1);
}

#[test]
fn a_token_is_asked_for_and_not_recorded() {
    let config = DestinationConfig {
        token: Some("open".to_owned()),
        ..DestinationConfig::default()
    };
    let mut destination = Destination::new(config);
    assert_eq!(put(&mut destination, "/p/1", "{}", 1), 401);
    let mut signed = request("PUT", "/p/1", "{}");
    signed
        .headers_mut()
        .insert("authorization", "Bearer open".parse().unwrap());
    assert_eq!(destination.respond(&signed, 2).status(), 201);
    assert!(
        destination
            .log
            .iter()
            .all(|entry| entry.header("authorization").is_none())
    );
}

#[test]
fn a_rejected_entity_is_refused_until_told_otherwise() {
    let mut destination = Destination::new(DestinationConfig::default());
    destination.reject("a/b", "No such brand.");
    assert_eq!(put(&mut destination, "/p/a%2Fb", "{}", 1), 422);
    assert_eq!(put(&mut destination, "/p/xa%2Fb", "{}", 1), 201);
    destination.rejections.clear();
    assert_eq!(put(&mut destination, "/p/a%2Fb", "{}", 2), 201);
}

#[test]
fn a_late_put_overwrites_a_newer_one() {
    let mut destination = Destination::new(DestinationConfig::default());
    destination
        .faults
        .add(Fault::next(1, Effect::LandLate { after_ms: 5000 }));
    let reply = destination.handle(&request("PUT", "/p/1", r#""old""#), 1000);
    destination.finish();
    assert!(reply.response.is_none());
    assert_eq!(put(&mut destination, "/p/1", r#""new""#, 2000), 201);
    destination.settle(5999);
    assert_eq!(destination.state["/p/1"].body(), json!("new"));
    destination.settle(6000);
    assert_eq!(destination.state["/p/1"].body(), json!("old"));
    assert_eq!(destination.landing(), 0);
}

#[test]
fn a_cut_may_come_before_or_after_the_effect() {
    let mut destination = Destination::new(DestinationConfig::default());
    destination.faults.add(Fault::next(1, Effect::Cut { applied: false }));
    destination.faults.add(Fault::next(1, Effect::Cut { applied: true }));
    assert_eq!(put(&mut destination, "/p/1", "{}", 1), 503);
    assert!(destination.state.is_empty());
    assert_eq!(put(&mut destination, "/p/1", "{}", 2), 503);
    assert!(destination.state.contains_key("/p/1"));
    assert_eq!(
        destination.log.iter().map(|entry| entry.applied).collect::<Vec<_>>(),
        [false, true]
    );
}
