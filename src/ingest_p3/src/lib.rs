//! The component that takes deliveries, on WASI 0.3: what `ingest` is on 0.2, for hosts whose instances take one request
//! after another and several at once. What it decides is in the room `delivery`.

mod host;
mod kept;
mod server;

use config::IngestConfig;
use config::answer::Answer;
use config::head::Head;
use delivery::channel::Channel;
use delivery::ingest::{self, Route};
use delivery::refusal;
use host::{Console, Host, VARIABLES};
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

struct Ingest;

spin_sdk::wasip3::http::service::export!(Ingest with_types_in spin_sdk::wasip3);

impl Guest for Ingest {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let head = server::head(&request);
        let answer = match ingest::route(&head.method, &head.path) {
            Route::Answered(answer) => answer,
            Route::Delivery(channel) => receive(channel, &head, request).await,
        };
        Ok(server::respond(answer))
    }
}

async fn receive(channel: Channel, head: &Head, request: Request) -> Answer {
    let config = match IngestConfig::read(&VARIABLES) {
        Ok(config) => config,
        Err(error) => return refusal::misconfigured(&Console, channel, &error),
    };
    let host = match Host::open(&config.keys).await {
        Ok(host) => host,
        Err(error) => return refusal::store_failed(&Console, channel, &error),
    };
    let answer = match ingest::judge(&host, &config, channel, &head.headers).await {
        Err(answer) => answer,
        Ok(signed) => match server::read_body(request, head, signed.body_max).await {
            Ok(body) => ingest::receive(&host, &config, &signed, &body).await,
            Err(why) => ingest::unread(&host, &config, &signed, why),
        },
    };
    host.write_log().await;
    answer
}
