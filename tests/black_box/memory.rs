//! What of memory a request takes in ingest, which anybody can send: by how much its instance grows. The embedded runtime
//! writes that down, to the byte.

use crate::heads::{Headers, LEGACY, NOTIFICATIONS, PLATFORM, address, answered_unread, assert_status, forged, open};
use http::Method;
use std::time::Duration;
use tests::application::{Application, Setup};
use tests::client::{endless, unmeasured};
use tests::world::secrets;
use tokio::time::{sleep, timeout};

/// What a request takes at most of whose body nothing is read, in bytes.
const UNREAD_MAX: u64 = 256 << 10;

/// What one takes at most beside its body, whose signature is wrong, in bytes.
const BESIDE_MAX: u64 = 4 << 20;

/// How long a call that was answered may take to be over.
const PATIENCE: Duration = Duration::from_secs(60);

/// The routes, and what the body of a delivery may have on each by default.
const ROUTES: [(&str, usize); 3] = [(PLATFORM, 4 << 20), (LEGACY, 16 << 20), (NOTIFICATIONS, 64 << 10)];

/// All secrets that can be set: each is one more to try.
fn all_secrets() -> Setup {
    ["event_platform_secret_previous", "events_api_secret_previous"]
        .iter()
        .fold(secrets(), |setup, name| setup.with(name, "an-older-secret"))
}

/// An application whose calls come one after another.
struct Watched {
    application: Application,
    calls: usize,
}

impl Watched {
    async fn start() -> Watched {
        Watched {
            application: Application::start(all_secrets()).await.unwrap(),
            calls: 0,
        }
    }

    /// By how much the next call grew, once it is over.
    async fn grown(&mut self) -> u64 {
        let over = async {
            loop {
                let grown = self.application.memory_grown("ingest").unwrap();
                if let Some(grown) = grown.get(self.calls) {
                    return *grown;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let grown = timeout(PATIENCE, over).await.expect("the call is over");
        self.calls += 1;
        grown
    }
}

/// Heads in which nothing may be a signature, up to what nginx lets through by default.
fn unsigned(path: &str) -> Vec<(&'static str, Headers)> {
    let name = match path {
        LEGACY => "x-akeneo-request-signature",
        _ => "x-akeneo-signature-primary",
    };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        ("nothing", Vec::new()),
        ("a cut signature", vec![header(name, &"ab".repeat(31))]),
        ("80 cut signatures", vec![header(name, &"ab".repeat(31)); 80]),
        ("a long name", vec![header("x-correlation-id", &"a".repeat(8 << 10))]),
        ("32 KiB of others", vec![header("x-other", &"a".repeat(8 << 10)); 4]),
        ("many signatures in a line", vec![header(name, &["00"; 2000].join(","))]),
    ]
}

#[tokio::test]
async fn a_request_without_a_signature_takes_a_quarter_of_a_mebibyte_at_most() {
    let mut watched = Watched::start().await;
    let mut largest = 0;
    for (path, most) in ROUTES {
        for (what, headers) in unsigned(path) {
            let answer = answered_unread(&watched.application, path, &headers, most).await;
            assert_status(&answer, 401, what);
            let announced = watched.grown().await;
            // And where all of it is sent, whose length nobody told.
            let mut stream = open(&watched.application).await;
            let host = address(&watched.application);
            // What it is answered may be lost, since much is left unread.
            drop(endless(&mut stream, path, host, &headers, most >> 16).await);
            let sent = watched.grown().await;
            largest = largest.max(announced).max(sent);
            assert!(announced <= UNREAD_MAX, "{path}, {what}: {announced} bytes");
            assert!(sent <= UNREAD_MAX, "{path}, {what}: {sent} bytes, sent");
        }
    }
    println!("{largest} bytes at most for a request without a signature");
}

#[tokio::test]
async fn a_request_with_a_wrong_signature_takes_little_beside_its_body() {
    let mut watched = Watched::start().await;
    for (path, most) in ROUTES {
        // As many as are looked at, each for both secrets.
        let headers = forged(path);
        let names_signature = |name: &str| name.to_ascii_lowercase().contains("signature");
        let signatures = headers
            .iter()
            .filter(|(name, value)| names_signature(name) && value.len() == 64);
        let headers: Headers = headers.iter().chain(signatures.cycle().take(3)).cloned().collect();
        let body = vec![b'['; most];
        let announced = watched
            .application
            .request(Method::POST, path, &headers, body.clone())
            .await
            .unwrap();
        assert_eq!(announced.status, 401, "{path}");
        let announced = watched.grown().await;
        let mut stream = open(&watched.application).await;
        let host = address(&watched.application);
        let answer = unmeasured(&mut stream, path, host, &headers, &body).await.unwrap();
        assert_status(&answer, 401, path);
        let unmeasured = watched.grown().await;
        println!("{path}: {announced} bytes for a body of {most}, {unmeasured} where its length is not told");
        for grown in [announced, unmeasured] {
            assert!(
                grown >= most as u64,
                "{path}: {grown} bytes do not hold a body of {most}"
            );
            assert!(
                grown <= most as u64 + BESIDE_MAX,
                "{path}: {grown} bytes for a body of {most}"
            );
        }
    }
}
