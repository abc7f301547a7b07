//! The token endpoint, and what tokens open.

use base64::Engine;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use simulator::pim::{Pim, PimConfig};

use crate::{NOW_MS, pim};

fn ask(pim: &mut Pim, client: &str, content_type: &str, body: &str, now_ms: u64) -> (u16, Value) {
    let basic = base64::engine::general_purpose::STANDARD.encode(client);
    let request = Request::post("/api/oauth/v1/token")
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", content_type)
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    let response = pim.respond(&request, now_ms);
    (
        response.status().as_u16(),
        serde_json::from_slice(response.body()).unwrap(),
    )
}

fn ask_json(pim: &mut Pim, body: &Value, now_ms: u64) -> (u16, Value) {
    ask(pim, &client(), "application/json", &body.to_string(), now_ms)
}

fn client() -> String {
    let config = PimConfig::default();
    format!("{}:{}", config.client_id, config.client_secret)
}

fn password() -> Value {
    let config = PimConfig::default();
    json!({ "grant_type": "password", "username": config.username, "password": config.password })
}

fn list(pim: &mut Pim, token: Option<&str>, now_ms: u64) -> (u16, Value) {
    let mut request = Request::get("/api/rest/v1/products-uuid");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = pim.respond(&request.body(Bytes::new()).unwrap(), now_ms);
    (
        response.status().as_u16(),
        serde_json::from_slice(response.body()).unwrap(),
    )
}

#[test]
fn a_token_opens_until_it_expires() {
    let mut pim = pim(3, 0);
    pim.config.access_lifetime_s = 60;
    let (status, grant) = ask_json(&mut pim, &password(), NOW_MS);
    assert_eq!(status, 200);
    assert_eq!(
        (&grant["expires_in"], &grant["token_type"], &grant["scope"]),
        (&json!(60), &json!("bearer"), &Value::Null)
    );
    let token = grant["access_token"].as_str().unwrap();
    assert_eq!(list(&mut pim, Some(token), NOW_MS + 59_999).0, 200);
    let (status, body) = list(&mut pim, Some(token), NOW_MS + 60_000);
    assert_eq!((status, &body["code"]), (401, &json!(401)));
    assert_eq!(list(&mut pim, None, NOW_MS).1["message"], "Authentication is required");
    assert_eq!(list(&mut pim, Some("made-up"), NOW_MS).0, 401);
    assert_eq!(list(&mut pim, Some("app"), NOW_MS).0, 200);
}

#[test]
fn a_form_will_do() {
    let mut pim = pim(0, 0);
    let form = "grant_type=password&username=relay_0001&password=simulated-password";
    assert_eq!(
        ask(&mut pim, &client(), "application/x-www-form-urlencoded", form, NOW_MS).0,
        200
    );
}

#[test]
fn a_refresh_token_serves_once() {
    let mut pim = pim(0, 0);
    let (_, grant) = ask_json(&mut pim, &password(), NOW_MS);
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": grant["refresh_token"] });
    let (status, second) = ask_json(&mut pim, &refresh, NOW_MS);
    assert_eq!(status, 200);
    assert_ne!(second["refresh_token"], grant["refresh_token"]);
    assert_eq!(ask_json(&mut pim, &refresh, NOW_MS).0, 422);
    let again = json!({ "grant_type": "refresh_token", "refresh_token": second["refresh_token"] });
    assert_eq!(
        ask_json(&mut pim, &again, NOW_MS + 15 * 86_400_000).0,
        422,
        "older than 14 days"
    );
    pim.expire_access_tokens();
    assert_eq!(list(&mut pim, second["access_token"].as_str(), NOW_MS).0, 401);
}

#[test]
fn refusals_are_422() {
    let mut pim = pim(0, 0);
    let wrong_client = ask(
        &mut pim,
        "1_simulated:guess",
        "application/json",
        &password().to_string(),
        NOW_MS,
    );
    assert_eq!((wrong_client.0, &wrong_client.1["code"]), (422, &json!(422)));
    let wrong_user = json!({ "grant_type": "password", "username": "relay_0001", "password": "guess" });
    assert_eq!(ask_json(&mut pim, &wrong_user, NOW_MS).0, 422);
    assert_eq!(ask_json(&mut pim, &json!({ "grant_type": "other" }), NOW_MS).0, 422);
    assert_eq!(ask(&mut pim, &client(), "application/json", "{", NOW_MS).0, 400);
}
