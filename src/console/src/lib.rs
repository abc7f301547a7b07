//! The component for people: the administration's HTTP in, one answer out, and the page over it. What it decides is in
//! the room `people`.

mod page;

use config::ConsoleConfig;
use config::access::AdminConfig;
use config::answer::Answer;
use host::{Head, SpinHost, VARIABLES};
use people::admin::{self, Route, Who, guess};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let head = host::head(&request);
    if page::is_at(&head.path) {
        return host::respond(out, page::answer(&head.method)).await;
    }
    let answer = match admit(&head) {
        Err(refusal) => {
            if guess::is_one(&refusal, &head.query, &head.headers) {
                tell_guess(&head.path).await;
            }
            refusal
        }
        Ok(admitted) => match host::read_body(request, &head, admin::BODY_MAX).await {
            Ok(body) => return carry_out(out, admitted, &body).await,
            Err(why) => admin::unread(why),
        },
    };
    host::respond(out, closed(answer)).await;
}

/// Nobody else is to keep an answer, be it a refusal.
fn closed(answer: Answer) -> Answer {
    answer
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff")
}

fn admit(head: &Head) -> Result<(Route, Who), Answer> {
    let config = AdminConfig::read(&VARIABLES).map_err(|error| Answer::misconfigured(&error))?;
    admin::admit(&config, &head.method, &head.path, &head.query, &head.headers)
}

async fn tell_guess(path: &str) {
    if let (Ok(host), Ok(config)) = (SpinHost::open(), ConsoleConfig::read(&VARIABLES)) {
        guess::tell(&host, &config.keys, path).await;
    }
}

async fn carry_out(out: ResponseOutparam, admitted: (Route, Who), body: &[u8]) {
    let (config, host) = match (ConsoleConfig::read(&VARIABLES), SpinHost::open()) {
        (Ok(config), Ok(host)) => (config, host),
        (Err(error), _) => return host::respond(out, closed(Answer::misconfigured(&error))).await,
        (_, Err(error)) => return host::respond(out, closed(admin::store_failed(&error))).await,
    };
    match admin::answer(&host, &config, admitted, body).await {
        (answer, None) => {
            host.tell_of_damage();
            host::respond(out, closed(answer)).await;
        }
        (answer, Some(mut export)) => {
            let next = async || {
                let part = export.next(&host).await;
                part.inspect_err(|error| admin::tell_store(&host, &config, error))
            };
            host::respond_in_parts(out, closed(answer), next).await;
            host.tell_of_damage();
        }
    }
}
