//! The component that takes deliveries: HTTP in, one write, an acknowledgement. What it decides is in `relay`.

use config::IngestConfig;
use config::answer::Answer;
use delivery::ingest::{self, BODY_MAX, Channel, Route};
use host::{Console, Head, SpinHost, VARIABLES};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let head = host::head(&request);
    let answer = match ingest::route(&head.method, &head.path) {
        Route::Answered(answer) => answer,
        Route::Delivery(channel) => match host::read_body(request, &head, BODY_MAX).await {
            Some(body) => receive(channel, &head, &body).await,
            None => ingest::too_large(),
        },
    };
    host::respond(out, answer).await;
}

async fn receive(channel: Channel, head: &Head, body: &[u8]) -> Answer {
    let config = match IngestConfig::read(&VARIABLES) {
        Ok(config) => config,
        Err(error) => return ingest::misconfigured(&Console, channel, &error),
    };
    match SpinHost::open() {
        Ok(host) => ingest::receive(&host, &config, channel, &head.headers, body).await,
        Err(error) => ingest::store_failed(&Console, channel, &error),
    }
}
