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
            Ok(body) => carry_out(admitted, &body).await,
            Err(why) => admin::unread(why),
        },
    };
    // Nobody else is to keep the answer, be it a refusal.
    let answer = answer
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff");
    host::respond(out, answer).await;
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

async fn carry_out(admitted: (Route, Who), body: &[u8]) -> Answer {
    let config = match ConsoleConfig::read(&VARIABLES) {
        Ok(config) => config,
        Err(error) => return Answer::misconfigured(&error),
    };
    let host = match SpinHost::open() {
        Ok(host) => host,
        Err(error) => return admin::store_failed(&error),
    };
    let answer = admin::answer(&host, &config, admitted, body).await;
    host.tell_of_damage();
    answer
}
