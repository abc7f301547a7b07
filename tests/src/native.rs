//! The relay's world without a component around it: a store in memory, HTTP and HTTPS, the system's clock.

use crate::client::over_tls;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use world::host::{CallLimits, Clock, Http, Log, Random, SendError, Store, StoreError};

/// Such a world.
pub struct Native {
    store: RefCell<BTreeMap<String, Vec<u8>>>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    started: Instant,
}

impl Default for Native {
    fn default() -> Self {
        Native {
            store: RefCell::default(),
            client: Client::builder(TokioExecutor::new()).build(over_tls()),
            started: Instant::now(),
        }
    }
}

impl Store for Native {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.store.borrow().get(key).cloned())
    }
    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.store.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(())
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.borrow_mut().remove(key);
        Ok(())
    }
    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.store.borrow().keys().cloned().collect())
    }
    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        self.store.borrow_mut().extend(entries.iter().cloned());
        Ok(())
    }
    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.store.borrow_mut().retain(|key, _| !keys.contains(key));
        Ok(())
    }
}

impl Http for Native {
    async fn send(&self, request: Request<Vec<u8>>, limits: CallLimits) -> Result<Response<Vec<u8>>, SendError> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let call = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| SendError::Unreachable(error.to_string()))?;
            let (head, body) = response.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| SendError::Lost(error.to_string()))?;
            Ok(Response::from_parts(head, body.to_bytes().to_vec()))
        };
        let limit = Duration::from_millis(limits.total_ms);
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or(Err(SendError::Timeout))
    }
}

impl Clock for Native {
    fn now_ms(&self) -> u64 {
        simulator::times::now_ms()
    }
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Random for Native {
    fn bytes(&self) -> [u8; 16] {
        std::array::from_fn(|_| fastrand::u8(..))
    }
}

impl Log for Native {
    fn line(&self, _: &str) {}
}
