//! What each request to the way in is answered.

use crate::deliveries::platform_product;
use http::Method;
use serde_json::{Value, json};
use simulator::deliveries::{Delivery, Secrets, event_platform_headers, events_api_headers};
use simulator::times::now_ms;
use tests::application::Application;
use tests::client::Answer;
use tests::world::{LEGACY_SECRET, NOTIFICATION_SECRET, PLATFORM_SECRET, secrets};

const PLATFORM: &str = "/webhooks/akeneo/event-platform";
const LEGACY: &str = "/webhooks/akeneo/events-api";
const NOTIFICATIONS: &str = "/webhooks/akeneo/notifications";

fn now_s() -> u64 {
    now_ms() / 1000
}

fn platform(secret: &str, body: &[u8]) -> Vec<(String, String)> {
    event_platform_headers(body, &Secrets::primary(secret))
}

fn with(mut headers: Vec<(String, String)>, name: &str, value: &str) -> Vec<(String, String)> {
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value.to_owned()));
    headers
}

fn header(headers: &[(String, String)], name: &str) -> String {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.clone())
        .unwrap()
}

async fn post(application: &Application, path: &str, headers: Vec<(String, String)>, body: &[u8]) -> Answer {
    application
        .request(Method::POST, path, &headers, body.to_vec())
        .await
        .unwrap()
}

/// An acknowledgement is an empty 200 that leaves in one segment.
fn assert_acknowledged(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 200, "{what}: {:?}", answer.json());
    assert_eq!(answer.header("content-length"), Some("0"), "{what}");
    assert!(answer.body.is_empty(), "{what}");
}

fn assert_problem(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {:?}", answer.json());
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{what}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.len() > 10),
        "{what}: {problem}"
    );
    let text = problem.to_string();
    for secret in [PLATFORM_SECRET, LEGACY_SECRET, NOTIFICATION_SECRET] {
        assert!(!text.contains(secret), "{what}: {text}");
    }
}

fn stored_events(application: &Application) -> Vec<String> {
    let operations = application.store_operations().unwrap();
    let sets = operations
        .iter()
        .filter(|operation| operation["op"] == "set" || operation["op"] == "set-many");
    let keys = sets.flat_map(|operation| operation["keys"].as_array().cloned().unwrap_or_default());
    keys.filter_map(|key| key.as_str().map(str::to_owned))
        .filter(|key| key.contains(".e."))
        .collect()
}

#[tokio::test]
async fn the_event_platform_is_answered_as_it_needs() {
    let application = Application::start(secrets().with("event_platform_secret_previous", "the-previous-one"))
        .await
        .unwrap();
    let body = platform_product("5a6d7c02-9a44-4e0f-8d31-c06e77f2a901", 1);
    let good = platform(PLATFORM_SECRET, &body);
    let signature = header(&good, "x-akeneo-signature-primary");

    assert_acknowledged("well signed", &post(&application, PLATFORM, good.clone(), &body).await);
    assert_acknowledged(
        "a trailing slash",
        &post(&application, &format!("{PLATFORM}/"), good.clone(), &body).await,
    );
    assert_acknowledged(
        "a query",
        &post(&application, &format!("{PLATFORM}?x=1"), good.clone(), &body).await,
    );
    let upper = with(good.clone(), "x-akeneo-signature-primary", &signature.to_uppercase());
    assert_acknowledged(
        "an upper-case signature",
        &post(&application, PLATFORM, upper, &body).await,
    );
    let previous = platform("the-previous-one", &body);
    assert_acknowledged(
        "the previous secret",
        &post(&application, PLATFORM, previous, &body).await,
    );
    let both = event_platform_headers(
        &body,
        &Secrets {
            primary: "a-newer-one".to_owned(),
            secondary: Some(PLATFORM_SECRET.to_owned()),
        },
    );
    assert_acknowledged(
        "the platform rotated first",
        &post(&application, PLATFORM, both, &body).await,
    );
    let silent = good
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("x-akeneo-signature-algorithm"))
        .cloned()
        .collect();
    assert_acknowledged("no algorithm named", &post(&application, PLATFORM, silent, &body).await);

    for (what, headers) in [
        ("no signature", Vec::new()),
        ("a forger's secret", platform("guessed", &body)),
        (
            "a truncated signature",
            with(good.clone(), "x-akeneo-signature-primary", &signature[..62]),
        ),
        (
            "an empty signature",
            with(good.clone(), "x-akeneo-signature-primary", ""),
        ),
        (
            "one digit too many",
            with(good.clone(), "x-akeneo-signature-primary", &format!("{signature}0")),
        ),
        (
            "no hex",
            with(
                good.clone(),
                "x-akeneo-signature-primary",
                &signature.replace(|c: char| c.is_ascii_digit(), "z"),
            ),
        ),
        (
            "a prefix",
            with(
                good.clone(),
                "x-akeneo-signature-primary",
                &format!("sha256={signature}"),
            ),
        ),
        (
            "another algorithm",
            with(good.clone(), "x-akeneo-signature-algorithm", "HmacSHA1"),
        ),
    ] {
        assert_problem(what, &post(&application, PLATFORM, headers, &body).await, 401);
    }
    let mut changed = body.clone();
    *changed.last_mut().unwrap() = b' ';
    assert_problem(
        "a changed body",
        &post(&application, PLATFORM, good.clone(), &changed).await,
        401,
    );

    for (what, body) in malformed() {
        assert_problem(
            what,
            &post(&application, PLATFORM, platform(PLATFORM_SECRET, &body), &body).await,
            400,
        );
    }
    let encoding = [("content-encoding".to_owned(), "gzip".to_owned())];
    let packed = b"\x1f\x8b\x08\x00 and so on";
    let headers = [platform(PLATFORM_SECRET, packed), encoding.to_vec()].concat();
    let answer = post(&application, PLATFORM, headers, packed).await;
    assert_problem("a compressed body", &answer, 400);
    assert!(answer.json()["detail"].as_str().unwrap().contains("compress"));
    let headers = [good.clone(), encoding.to_vec()].concat();
    assert_acknowledged(
        "one that only says so",
        &post(&application, PLATFORM, headers, &body).await,
    );

    for (what, body) in [
        ("no type", json!({"id": "1", "data": {}})),
        (
            "data that is none",
            json!({"id": "1", "type": "com.akeneo.pim.v1.product.updated", "data": "x"}),
        ),
    ] {
        let body = body.to_string().into_bytes();
        assert_problem(
            what,
            &post(&application, PLATFORM, platform(PLATFORM_SECRET, &body), &body).await,
            400,
        );
    }
    assert_eq!(
        stored_events(&application)
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        1
    );
}

/// Signed, but not what any channel sends.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("no JSON", b"<xml/>".to_vec()),
        ("half a document", b"{\"events\":[".to_vec()),
        ("a list", b"[1,2,3]".to_vec()),
        ("two documents", b"{\"events\":[]}{\"events\":[]}".to_vec()),
    ]
}

fn legacy_event(n: usize) -> Value {
    json!({
        "action": "product.updated",
        "event_id": format!("0d931d13-8eae-4f4a-bf37-{n:012}"),
        "event_datetime": "2026-02-03T04:05:06+00:00",
        "author": "julia", "author_type": "ui", "pim_source": "pim.example.test",
        "data": {"resource": {"uuid": format!("7a6d7c02-9a44-4e0f-8d31-{n:012}"), "updated": "2026-02-03T04:05:06+00:00"}},
    })
}

fn legacy_batch(count: usize) -> Vec<u8> {
    let events: Vec<Value> = (0..count).map(legacy_event).collect();
    json!({ "events": events }).to_string().into_bytes()
}

#[tokio::test]
async fn the_events_api_is_answered_as_it_needs() {
    let application = Application::start(secrets().with("events_api_secret_previous", "the-previous-one"))
        .await
        .unwrap();
    let sign = |body: &[u8], at_s: u64| events_api_headers(body, LEGACY_SECRET, at_s);
    let body = legacy_batch(1);
    let good = sign(&body, now_s());
    let signature = header(&good, "x-akeneo-request-signature");

    assert_acknowledged(
        "the reachability test",
        &post(&application, LEGACY, sign(b"", now_s()), b"").await,
    );
    assert_acknowledged("well signed", &post(&application, LEGACY, good.clone(), &body).await);
    assert_acknowledged(
        "a trailing slash",
        &post(&application, &format!("{LEGACY}/"), good.clone(), &body).await,
    );
    let upper = with(good.clone(), "x-akeneo-request-signature", &signature.to_uppercase());
    assert_acknowledged(
        "an upper-case signature",
        &post(&application, LEGACY, upper, &body).await,
    );
    let previous = events_api_headers(&body, "the-previous-one", now_s());
    assert_acknowledged(
        "the previous secret",
        &post(&application, LEGACY, previous, &body).await,
    );
    for count in [0, 10, 11, 100] {
        let body = legacy_batch(count);
        assert_acknowledged(
            &format!("{count} events"),
            &post(&application, LEGACY, sign(&body, now_s()), &body).await,
        );
    }
    for late_s in [-290i64, 290] {
        let headers = sign(&body, now_s().saturating_add_signed(late_s));
        assert_acknowledged(
            &format!("{late_s} s off"),
            &post(&application, LEGACY, headers, &body).await,
        );
    }

    for (what, headers) in [
        ("no headers", Vec::new()),
        (
            "no timestamp",
            with(Vec::new(), "x-akeneo-request-signature", &signature),
        ),
        ("a forger's secret", events_api_headers(&body, "guessed", now_s())),
        (
            "a truncated signature",
            with(good.clone(), "x-akeneo-request-signature", &signature[..62]),
        ),
        (
            "another timestamp",
            with(good.clone(), "x-akeneo-request-timestamp", &(now_s() - 7).to_string()),
        ),
        ("signed long ago", sign(&body, now_s() - 400)),
        ("signed in the future", sign(&body, now_s() + 400)),
        (
            "the body alone signed",
            with(
                good.clone(),
                "x-akeneo-request-signature",
                &header(&platform(LEGACY_SECRET, &body), "x-akeneo-signature-primary"),
            ),
        ),
    ] {
        assert_problem(what, &post(&application, LEGACY, headers, &body).await, 401);
    }
    let too_many = legacy_batch(101);
    assert_problem(
        "101 events",
        &post(&application, LEGACY, sign(&too_many, now_s()), &too_many).await,
        400,
    );
    for (what, body) in malformed() {
        assert_problem(
            what,
            &post(&application, LEGACY, sign(&body, now_s()), &body).await,
            400,
        );
    }
    assert_eq!(
        stored_events(&application)
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        100
    );
}

#[tokio::test]
async fn other_requests_are_answered_without_harm() {
    let application = Application::start(secrets()).await.unwrap();
    for path in [
        "/webhooks/akeneo/nowhere",
        "/webhooks/akeneo",
        "/webhooks/",
        "/webhooks",
        "/webhooks/akeneo/event-platform/more",
        "/webhooks//akeneo/event-platform",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = application.request(method.clone(), path, &[], "").await.unwrap();
            assert_problem(&format!("{method} {path}"), &answer, 400);
        }
    }
    for path in [PLATFORM, LEGACY, NOTIFICATIONS, "/webhooks/akeneo/event-platform/"] {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let answer = application.request(method.clone(), path, &[], "").await.unwrap();
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {path}");
        }
    }
    let health = application.request(Method::GET, "/healthz", &[], "").await.unwrap();
    assert_eq!(
        (health.status.as_u16(), health.json()["status"].as_str()),
        (200, Some("ok"))
    );
    let health = application.request(Method::POST, "/healthz", &[], "").await.unwrap();
    assert_eq!(
        (health.status.as_u16(), health.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert!(
        application.store_operations().unwrap().is_empty(),
        "none of this reaches the store"
    );
}

/// The same headers with one of them written another way, in as many lines as these.
fn rewritten(headers: &[(String, String)], name: &str, lines: &[String]) -> Vec<(String, String)> {
    let others = headers.iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name));
    let lines = lines.iter().map(|line| (name.to_owned(), line.clone()));
    others.cloned().chain(lines).collect()
}

#[tokio::test]
async fn a_signature_that_a_proxy_doubled_or_folded_counts() {
    let application = Application::start(secrets()).await.unwrap();
    let body = platform_product("5a6d7c02-9a44-4e0f-8d31-c06e77f2a901", 1);
    let batch = legacy_batch(2);
    let channels = [
        (
            PLATFORM,
            "x-akeneo-signature-primary",
            platform(PLATFORM_SECRET, &body),
            &body,
        ),
        (
            LEGACY,
            "x-akeneo-request-signature",
            events_api_headers(&batch, LEGACY_SECRET, now_s()),
            &batch,
        ),
    ];
    for (path, name, good, body) in channels {
        let (right, wrong) = (header(&good, name), "0".repeat(64));
        let line = |values: &[&str]| values.join(", ");
        for (lines, status) in [
            (vec![right.clone(), right.clone()], 200),
            (vec![wrong.clone(), right.clone()], 200),
            (vec![right.clone(), wrong.clone()], 200),
            (vec![line(&[&wrong, &right])], 200),
            (vec![line(&[&right, &right])], 200),
            (vec![format!("{wrong},{right}")], 200),
            (vec![format!(" ,\t{right} , ")], 200),
            (vec![line(&[&wrong, &wrong]), line(&["x", &right])], 200),
            (vec![wrong.clone(), wrong.clone()], 401),
            (vec![line(&[&right[..62], &right[62..]])], 401),
            (vec![",".to_owned()], 401),
            // Nobody is to have the whole body digested for as many signatures as they like.
            (vec![line(&[&wrong, "x", "", &wrong, &wrong, &right])], 401),
        ] {
            let answer = post(&application, path, rewritten(&good, name, &lines), body).await;
            assert_eq!(answer.status, status, "{path} {lines:?}");
        }
    }
    let good = events_api_headers(&batch, LEGACY_SECRET, now_s());
    let name = "x-akeneo-request-timestamp";
    let right = header(&good, name);
    for (lines, status) in [
        (vec![right.clone(), right.clone()], 200),
        (vec![format!("{right},{right}")], 200),
        (vec![right.clone(), (now_s() - 1).to_string()], 401),
        (vec![format!("{right}, 0")], 401),
    ] {
        let answer = post(&application, LEGACY, rewritten(&good, name, &lines), &batch).await;
        assert_eq!(answer.status, status, "{lines:?}");
    }
    let good = platform(PLATFORM_SECRET, &body);
    let name = "x-akeneo-signature-algorithm";
    for (line, status) in [
        ("HmacSHA256, HmacSHA256", 200),
        ("hmacsha256", 200),
        ("HmacSHA256, HmacSHA1", 401),
    ] {
        let answer = post(
            &application,
            PLATFORM,
            rewritten(&good, name, &[line.to_owned()]),
            &body,
        )
        .await;
        assert_eq!(answer.status, status, "{line}");
    }
}

#[tokio::test]
async fn notifications_are_taken_and_remembered() {
    let application = Application::start(secrets()).await.unwrap();
    let notification = |what: &str| simulator::deliveries::notification(what, now_ms(), Some("too many failures"));
    let delivery = Delivery::notification(&notification("subscription.suspended.system"), NOTIFICATION_SECRET);
    assert_acknowledged("a suspension", &application.deliver(&delivery).await.unwrap());
    let forged = Delivery::notification(&notification("subscription.resumed"), "guessed");
    assert_problem("a forged one", &application.deliver(&forged).await.unwrap(), 401);
    let strange = Delivery::notification(&json!({"hello": 1}), NOTIFICATION_SECRET);
    assert_problem("something else", &application.deliver(&strange).await.unwrap(), 400);
    let sets: Vec<_> = application
        .store_operations()
        .unwrap()
        .into_iter()
        .filter(|operation| operation["op"] == "set")
        .collect();
    assert!(
        sets.iter().any(|set| set["keys"][0] == "r1.main.notification"),
        "{sets:?}"
    );
}

#[tokio::test]
async fn a_secret_that_is_not_set_claims_nothing_and_says_so() {
    let application = Application::start(tests::application::Setup::default()).await.unwrap();
    let body = platform_product("5a6d7c02-9a44-4e0f-8d31-c06e77f2a901", 1);
    for (path, status, variable) in [
        (PLATFORM, 429, "event_platform_secret"),
        (LEGACY, 503, "events_api_secret"),
        (NOTIFICATIONS, 503, "notification_secret"),
    ] {
        let answer = post(&application, path, platform("any", &body), &body).await;
        assert_problem(path, &answer, status);
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(variable),
            "{:?}",
            answer.json()
        );
    }
}

#[tokio::test]
async fn a_refused_signature_is_noted_once_a_minute() {
    let application = Application::start(secrets()).await.unwrap();
    let body = platform_product("5a6d7c02-9a44-4e0f-8d31-c06e77f2a901", 1);
    for _ in 0..5 {
        assert_eq!(
            post(&application, PLATFORM, platform("guessed", &body), &body)
                .await
                .status,
            401
        );
    }
    let sets: Vec<_> = application
        .store_operations()
        .unwrap()
        .into_iter()
        .filter(|operation| operation["op"] == "set")
        .collect();
    assert_eq!(sets.len(), 1, "{sets:?}");
    assert_eq!(sets[0]["keys"][0], "r1.main.refused");
    let lines = application.log_lines("ingest");
    let told = lines
        .iter()
        .filter(|line| line["log"] == "delivery" && line["status"] == 401);
    assert_eq!(told.count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_nothing_is_claimed() {
    // A store that is none: every call of it fails.
    let state = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    std::fs::write(
        state.path().join("sqlite_key_value.db"),
        "this is no database, only so much text",
    )
    .unwrap();
    let application = Application::start_on(state, secrets()).await.unwrap();
    let body = platform_product("5a6d7c02-9a44-4e0f-8d31-c06e77f2a901", 1);
    let answer = post(&application, PLATFORM, platform(PLATFORM_SECRET, &body), &body).await;
    assert_problem("a 5xx would count towards suspension", &answer, 429);
    let body = legacy_batch(1);
    let headers = events_api_headers(&body, LEGACY_SECRET, now_s());
    assert_problem("the Events API", &post(&application, LEGACY, headers, &body).await, 503);
    let suspended = simulator::deliveries::notification("subscription.suspended.user", now_ms(), None);
    let delivery = Delivery::notification(&suspended, NOTIFICATION_SECRET);
    assert_problem("a notification", &application.deliver(&delivery).await.unwrap(), 503);
}

#[test]
fn the_components_are_small() {
    for (name, limit) in [("ingest", 450_000), ("worker", 1_400_000)] {
        let file = tests::application::root().join(format!("target/wasm32-wasip2/release/{name}.wasm"));
        let bytes = std::fs::metadata(file).unwrap().len();
        println!("{name}: {bytes} bytes of at most {limit}");
        assert!(bytes <= limit, "{name}: {bytes} bytes");
    }
}
