//! A destination that hears what it is asked, and always answers the same.

use config::DestinationConfig;
use destination::{Destination, limits};
use http::{Request, Response};
use queue::keyspace::Keyspace;
use queue::lease::Lease;
use shape::Shape;
use std::cell::{Cell, RefCell};
use upstream::governor::{Deadlines, Governor};
use upstream::governor_state::GovernorState;
use world::host::{CallLimits, Clock, Http, Log, Random, SendError, Store, StoreError};
use world::log::LogLevel;

/// The token that the destination wants. In the scheme Basic it is a user and a password, encoded.
const TOKEN: &str = "cmVsYXk6b2YgdGhlIHNob3A=";

/// Where the destination is.
const ORIGIN: &str = "http://shop.example";

/// The path below which the destination takes requests.
pub(super) const BASE: &str = "/api";

/// The world around the destination. Its clock goes only while somebody waits, and its store keeps nothing.
pub(super) struct Ear {
    status: u16,
    body: String,
    heard: RefCell<Vec<Request<Vec<u8>>>>,
    ms: Cell<u64>,
}

/// Asks a destination of this shape that gives this answer. Says what came of that, and what the destination heard.
pub(super) async fn asked<T>(
    shape: &Shape,
    (status, body): (u16, &str),
    ask: impl AsyncFnOnce(&Destination<'_, Ear>) -> T,
) -> (T, Vec<Request<Vec<u8>>>) {
    let ear = Ear {
        status,
        body: body.to_owned(),
        heard: RefCell::default(),
        ms: Cell::new(1_800_000_000_000),
    };
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

impl Http for Ear {
    async fn send(&self, request: Request<Vec<u8>>, _: CallLimits) -> Result<Response<Vec<u8>>, SendError> {
        self.heard.borrow_mut().push(request);
        let response = Response::builder().status(self.status);
        Ok(response.body(self.body.clone().into_bytes()).unwrap())
    }
}

impl Store for Ear {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    async fn set(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
    async fn set_many(&self, _: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn delete_many(&self, _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Clock for Ear {
    fn now_ms(&self) -> u64 {
        self.ms.get()
    }
    fn monotonic_ms(&self) -> u64 {
        self.ms.get()
    }
    async fn sleep_ms(&self, ms: u64) {
        self.ms.set(self.ms.get() + ms);
    }
}

impl Random for Ear {
    fn bytes(&self) -> [u8; 16] {
        [7; 16]
    }
}

impl Log for Ear {
    fn line(&self, _: &str) {}
}
