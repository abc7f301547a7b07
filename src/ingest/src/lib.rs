//! The component that takes deliveries: HTTP in, one write, an acknowledgement. What it decides is in the room
//! `delivery`.

use config::IngestConfig;
use config::answer::Answer;
use delivery::channel::Channel;
use delivery::ingest::{self, Route};
use delivery::refusal;
use host::{Console, Head, SpinHost, VARIABLES};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let head = host::head(&request);
    let answer = match ingest::route(&head.method, &head.path) {
        Route::Answered(answer) => answer,
        Route::Delivery(channel) => receive(channel, &head, request).await,
    };
    host::respond(out, answer).await;
}

async fn receive(channel: Channel, head: &Head, request: IncomingRequest) -> Answer {
    let config = match IngestConfig::read(&VARIABLES) {
        Ok(config) => config,
        Err(error) => return refusal::misconfigured(&Console, channel, &error),
    };
    let host = match SpinHost::open() {
        Ok(host) => host,
        Err(error) => return refusal::store_failed(&Console, channel, &error),
    };
    let signed = match ingest::judge(&host, &config, channel, &head.headers).await {
        Ok(signed) => signed,
        Err(answer) => return answer,
    };
    let answer = match host::read_body(request, head, signed.body_max).await {
        Ok(body) => ingest::receive(&host, &config, &signed, &body).await,
        Err(why) => ingest::unread(&host, &config, &signed, why),
    };
    host.tell_of_damage();
    answer
}
