//! Sends deliveries over HTTP.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Delivery;

/// How a delivery went.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its place in the list sent.
    pub index: usize,
    /// The status answered, or why there was none.
    pub status: Result<u16, String>,
    /// From the start of the request to the end of the answer.
    pub latency: Duration,
}

impl Sent {
    /// Whether it counts as delivered: only 200 does (contract 3.3).
    pub fn delivered(&self) -> bool {
        self.status == Ok(200)
    }
}

/// A sender to one receiver. Plain HTTP: it is for receivers on this machine.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    origin: String,
    /// How long an answer may take; the Event Platform waits 5 s, the Events API 0.5 s (contract 1).
    pub timeout: Duration,
}

impl Sender {
    /// A sender to this origin, such as `http://127.0.0.1:3000`, with the platform's 5 s of patience.
    pub fn new(origin: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            client,
            origin: origin.trim_end_matches('/').to_owned(),
            timeout: Duration::from_secs(5),
        }
    }

    /// Sends one delivery and waits for the answer.
    ///
    /// # Errors
    /// If there is no answer in time, or no connection.
    pub async fn send(&self, delivery: &Delivery) -> Result<u16, String> {
        let mut request = Request::post(format!("{}{}", self.origin, delivery.path));
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(delivery.body.clone())))
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| chain(&error))?;
            let status = response.status().as_u16();
            response.into_body().collect().await.map_err(|error| chain(&error))?;
            Ok(status)
        };
        let answered = tokio::time::timeout(self.timeout, exchange).await;
        answered.unwrap_or_else(|_| Err(format!("no answer in {} ms", self.timeout.as_millis())))
    }

    /// Sends all, begun in order, at most `at_once` at the same time; reports in that order.
    pub async fn send_all(&self, deliveries: &[Delivery], at_once: usize) -> Vec<Sent> {
        // By index: a closure over references would keep this future from being spawned.
        let each = (0..deliveries.len()).map(|index| self.timed(index, &deliveries[index]));
        let mut sent: Vec<Sent> = stream::iter(each).buffer_unordered(at_once.max(1)).collect().await;
        sent.sort_by_key(|each| each.index);
        sent
    }

    async fn timed(&self, index: usize, delivery: &Delivery) -> Sent {
        let begun = Instant::now();
        let status = self.send(delivery).await;
        Sent {
            index,
            status,
            latency: begun.elapsed(),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
