//! The component for whoever sets up: it looks at everything that can be wrong, over the very network and with the very
//! variables with which the others work. What it decides is in the room `preflight`.

use config::access::AdminConfig;
use config::answer::Answer;
use host::{Head, SpinHost, VARIABLES};
use preflight::{check, request};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let head = host::head(&request);
    drop(request);
    let answer = match admit(&head) {
        Err(refusal) => refusal,
        Ok(wait_ms) => host::eager(look(wait_ms)).await,
    };
    let answer = answer
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff");
    host::respond(out, answer).await;
}

fn admit(head: &Head) -> Result<u64, Answer> {
    // A token that makes no sense is a finding, and keeps nobody out who has another one.
    let config = AdminConfig::read_leniently(&VARIABLES);
    request::admit(&config, &head.method, &head.query, &head.headers)
}

async fn look(wait_ms: u64) -> Answer {
    let document = host::variable("shape").ok().flatten().unwrap_or_default();
    match SpinHost::open() {
        Ok(host) => Answer::json(200, &check::check(&host, &VARIABLES, &document, wait_ms).await),
        Err(error) => Answer::problem(
            503,
            &format!("{error}: see that the store's server answers and its folder may be written to"),
        ),
    }
}
