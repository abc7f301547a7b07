//! A destination that hears what it is asked, and always answers the same.

use config::DestinationConfig;
use destination::{Destination, limits};
use http::{Request, Response};
use queue::keyspace::Keyspace;
use queue::lease::Lease;
use shape::Shape;
use tests::hearing::Hearing;
use upstream::governor::{Deadlines, Governor};
use upstream::governor_state::GovernorState;
use world::log::LogLevel;

/// The token that the destination wants. In the scheme Basic it is a user and a password, encoded.
const TOKEN: &str = "cmVsYXk6b2YgdGhlIHNob3A=";

/// Where the destination is.
const ORIGIN: &str = "http://shop.example";

/// The path below which the destination takes requests.
pub(super) const BASE: &str = "/api";

/// Asks a destination of this shape that gives this answer. Says what came of that, and what the destination heard.
pub(super) async fn asked<T>(
    shape: &Shape,
    (status, body): (u16, &str),
    ask: impl AsyncFnOnce(&Destination<'_, Hearing<'_>>) -> T,
) -> (T, Vec<Request<Vec<u8>>>) {
    let ear = Hearing::new(|_| {
        let response = Response::builder().status(status);
        response.body(body.as_bytes().to_vec()).unwrap()
    });
    let config = DestinationConfig {
        origin: ORIGIN.to_owned(),
        path: BASE.to_owned(),
        token: Some(TOKEN.to_owned()),
        login: None,
    };
    let lease = Lease::alone();
    let deadlines = Deadlines {
        lease: &lease,
        begin_ms: u64::MAX / 2,
        end_ms: u64::MAX / 2,
    };
    let (state, name) = (GovernorState::default(), String::new());
    let governor = Governor::new(&ear, limits(1000, 100), LogLevel::Failures, "", deadlines, state, name);
    let destination = Destination::new(&ear, &governor, &Keyspace::new("main"), &config, shape);
    let came = ask(&destination).await;
    (came, ear.heard.take())
}
