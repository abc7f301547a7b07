//! What is decided of a delivery before its body has come.

use simulator::deliveries::{Secrets, event_platform_headers, events_api_headers};
use simulator::times::now_ms;
use tests::application::{Application, Setup};
use tests::client::{announced, endless};
use tests::world::{LEGACY_SECRET, PLATFORM_SECRET, secrets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const PLATFORM: &str = "/webhooks/akeneo/event-platform";
pub(crate) const LEGACY: &str = "/webhooks/akeneo/events-api";
pub(crate) const NOTIFICATIONS: &str = "/webhooks/akeneo/notifications";

pub(crate) type Headers = Vec<(String, String)>;

/// Headers as a sender has them who knows no secret.
pub(crate) fn forged(path: &str) -> Headers {
    match path {
        LEGACY => events_api_headers(b"", "guessed", now_ms() / 1000),
        _ => event_platform_headers(b"", &Secrets::primary("guessed")),
    }
}

pub(crate) fn address(application: &Application) -> &str {
    application.url.strip_prefix("http://").unwrap()
}

pub(crate) async fn open(application: &Application) -> TcpStream {
    TcpStream::connect(address(application)).await.unwrap()
}

/// The answer to a head behind which nothing comes.
pub(crate) async fn answered_unread(application: &Application, path: &str, headers: &Headers, length: usize) -> String {
    let mut stream = open(application).await;
    announced(&mut stream, path, address(application), headers, length)
        .await
        .unwrap()
}

pub(crate) fn assert_status(answer: &str, status: u16, what: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{what}: {status} is expected, and not {answer}"
    );
}

/// Every route has a limit of its own, told before a byte of the body is there.
#[tokio::test]
async fn a_body_over_the_limit_is_refused_unread() {
    for (path, most, name) in [
        (PLATFORM, 4 << 20, "event_platform_max_bytes"),
        (LEGACY, 16 << 20, "events_api_max_bytes"),
        (NOTIFICATIONS, 64 << 10, "notification_max_bytes"),
    ] {
        let application = Application::start(secrets()).await.unwrap();
        let answer = answered_unread(&application, path, &forged(path), most + 1).await;
        assert_status(&answer, 413, path);
        assert!(answer.contains(name), "{path}: {answer}");
        // Little enough to come in time on whatever machine.
        let most = 128 << 10;
        let application = Application::start(secrets().with(name, &most.to_string()))
            .await
            .unwrap();
        // Without a length, and without an end: only an answer before the end can be one.
        let mut stream = open(&application).await;
        let answer = endless(&mut stream, path, address(&application), &forged(path), most >> 16)
            .await
            .unwrap();
        assert_status(&answer, 413, path);
    }
}

#[tokio::test]
async fn a_limit_is_as_the_variable_says() {
    let with = |most: &str| secrets().with("event_platform_max_bytes", most);
    let (body, event) = (vec![b' '; 100_001], br#"{"hello": 1}"#);
    let large = [&body[event.len()..], event].concat();
    let headers = event_platform_headers(&large, &Secrets::primary(PLATFORM_SECRET));
    for (most, status) in [("100000", 413), ("100001", 400), ("1000", 429)] {
        let application = Application::start(with(most)).await.unwrap();
        let answer = application.request(http::Method::POST, PLATFORM, &headers, large.clone());
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, status, "{most}: {:?}", answer.json());
        if status == 429 {
            assert!(answer.json()["detail"].as_str().unwrap().contains("from 65536 to"));
        }
    }
}

/// Half of a request holds nothing where nothing in its head may be a signature.
#[tokio::test]
async fn what_bears_no_signature_is_answered_before_its_body() {
    let application = Application::start(secrets()).await.unwrap();
    let named = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let primary = "x-akeneo-signature-primary";
    let cut = "ab".repeat(31);
    let no_hex = "xy".repeat(32);
    for (what, headers) in [
        ("nothing", Vec::new()),
        ("an empty one", named(primary, "")),
        ("a cut one", named(primary, &cut)),
        ("one of other letters", named(primary, &no_hex)),
        (
            "one of the other channel",
            named("x-akeneo-request-signature", &"ab".repeat(32)),
        ),
        (
            "five, four of them cut",
            named(primary, &[[cut.as_str(); 4].join(","), "ab".repeat(32)].join(",")),
        ),
    ] {
        for path in [PLATFORM, NOTIFICATIONS] {
            let answer = answered_unread(&application, path, &headers, 5).await;
            assert_status(&answer, 401, what);
        }
    }
    let unanswerable = named("x-akeneo-request-timestamp", "1");
    assert_status(
        &answered_unread(&application, LEGACY, &unanswerable, 5).await,
        401,
        "no signature",
    );
}

/// Nor where no secret is set that it could be one of.
#[tokio::test]
async fn where_no_secret_is_set_no_body_is_read() {
    let application = Application::start(Setup::default()).await.unwrap();
    for (path, status) in [(PLATFORM, 429), (LEGACY, 503), (NOTIFICATIONS, 503)] {
        let answer = answered_unread(&application, path, &forged(path), 5).await;
        assert_status(&answer, status, path);
    }
}

/// Whoever sends half of a body is waited for no longer than ten seconds, all at once.
#[tokio::test]
async fn half_of_a_body_is_waited_for_and_then_given_up() {
    let application = Application::start(secrets()).await.unwrap();
    let halves = (0..20).map(|_| async {
        for (path, status) in [(PLATFORM, 429), (LEGACY, 503)] {
            let answer = answered_unread(&application, path, &forged(path), 5).await;
            assert_status(&answer, status, path);
            assert!(answer.contains("did not come in time"), "{answer}");
        }
    });
    futures_util::future::join_all(halves).await;
    // What is signed and whole is taken as before.
    let body = br#"{"hello": 1}"#;
    let headers = events_api_headers(body, LEGACY_SECRET, now_ms() / 1000);
    let answer = application.request(http::Method::POST, LEGACY, &headers, body.to_vec());
    assert_eq!(answer.await.unwrap().status, 400);
}

/// A proxy that takes a header away is told of; somebody who knows nothing but the address is not.
#[tokio::test]
async fn people_hear_of_what_bears_akeneos_headers() {
    let writes = |application: &Application| {
        let operations = application.store_operations().unwrap();
        operations.iter().filter(|operation| operation["op"] == "set").count()
    };
    let application = Application::start(secrets()).await.unwrap();
    let strange = vec![("user-agent".to_owned(), "scanner".to_owned())];
    for headers in [Vec::new(), strange] {
        assert_status(
            &answered_unread(&application, PLATFORM, &headers, 5).await,
            401,
            "a stranger",
        );
    }
    assert_eq!(writes(&application), 0);
    let headers = forged(PLATFORM)
        .into_iter()
        .filter(|(name, _)| name.to_ascii_lowercase().contains("algorithm"));
    let answer = answered_unread(&application, PLATFORM, &headers.collect(), 5).await;
    assert_status(&answer, 401, "one without its signature");
    assert_eq!(writes(&application), 1);
}

/// Whoever sends a long name for a delivery does not fill the disk with it.
#[tokio::test]
async fn a_long_correlation_id_is_cut_in_the_log() {
    let application = Application::start(secrets()).await.unwrap();
    let long = vec![("x-correlation-id".to_owned(), "c".repeat(50_000))];
    assert_status(
        &answered_unread(&application, PLATFORM, &long, 5).await,
        401,
        "a stranger with a long name",
    );
    let lines = application.log_lines("ingest");
    let told = lines.iter().find(|line| line["log"] == "delivery").unwrap().to_string();
    assert!(told.contains("ccc") && told.len() < 1000, "{} bytes", told.len());
}

/// A body that ends before its end is told as that, and not as one that is too large.
#[tokio::test]
async fn a_body_that_breaks_off_is_told_as_such() {
    let application = Application::start(secrets()).await.unwrap();
    let mut stream = open(&application).await;
    let headers = forged(PLATFORM)
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let head = format!(
        "POST {PLATFORM} HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n{}\r\n5\r\nabcde\r\nno length\r\n",
        address(&application),
        headers.collect::<String>()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The connection may end without an answer, since nobody knows where the next request would begin.
    drop(stream.read_to_string(&mut answer).await);
    let lines = application.log_lines("ingest");
    let told = lines.iter().find(|line| line["log"] == "delivery").unwrap();
    assert_eq!(told["status"], 400, "{told}");
    assert!(told["problem"].as_str().unwrap().contains("broke off"), "{told}");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
