//! The component for whoever sets up: it looks at everything that can be wrong, subscribes to the PIM's events, and shows
//! what an entity would be sent, over the very network and with the very variables with which the others work. What it
//! decides is in the rooms `preflight`, `connection` and `preview`.

use config::access::AdminConfig;
use config::answer::Answer;
use config::{ConsoleConfig, WorkerConfig};
use connection::{asked, connect};
use host::{Head, SpinHost, VARIABLES};
use people::admin::{self, guess, journal};
use preflight::request::Admitted;
use preflight::{check, request};
use preview::look::{self, Asked};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let head = host::head(&request);
    let answer = match admit(&head) {
        Err(refusal) => {
            if guess::is_one(&refusal, &head.query, &head.headers) {
                tell_guess(&head.path).await;
            }
            refusal
        }
        Ok(admitted) => match host::read_body(request, &head, admin::BODY_MAX).await {
            Err(why) => admin::unread(why),
            Ok(body) => match head.path.trim_end_matches('/') {
                path if path.ends_with("/connect") => host::eager(connect(&admitted, &body)).await,
                path if path.ends_with("/preview") => host::eager(preview(&admitted, &body)).await,
                _ => host::eager(look(&admitted)).await,
            },
        },
    };
    let answer = answer
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff");
    host::respond(out, answer).await;
}

fn admit(head: &Head) -> Result<Admitted, Answer> {
    // A token that makes no sense is a finding, and keeps nobody out who has another one.
    let config = AdminConfig::read_leniently(&VARIABLES);
    if config.tokens.is_empty() {
        AdminConfig::read(&VARIABLES).map_err(|error| Answer::misconfigured(&error))?;
    }
    request::admit(&config, &head.method, &head.query, &head.headers)
}

async fn tell_guess(path: &str) {
    if let (Ok(host), Ok(config)) = (SpinHost::open(), ConsoleConfig::read(&VARIABLES)) {
        guess::tell(&host, &config.keys, path).await;
    }
}

/// The shape as it was written.
fn document() -> String {
    host::variable("shape").ok().flatten().unwrap_or_default()
}

async fn look(admitted: &Admitted) -> Answer {
    match SpinHost::open() {
        Ok(host) => Answer::json(
            200,
            &check::check(&host, &VARIABLES, &document(), admitted.wait_ms).await,
        ),
        Err(error) => admin::store_failed(&error),
    }
}

async fn preview(admitted: &Admitted, body: &[u8]) -> Answer {
    let asked = match Asked::read(body) {
        Ok(asked) => asked,
        Err(detail) => return Answer::bad(&detail),
    };
    let (host, config) = match (SpinHost::open(), WorkerConfig::read(&VARIABLES)) {
        (Ok(host), Ok(config)) => (host, config),
        (Err(error), _) => return admin::store_failed(&error),
        (_, Err(error)) => return Answer::misconfigured(&error),
    };
    look::preview(
        &host,
        (&config, &document()),
        &VARIABLES.secrets(),
        &asked,
        admitted.wait_ms,
    )
    .await
}

/// Does what is asked for at Akeneo, and notes in the journal who asked for it.
async fn connect(admitted: &Admitted, body: &[u8]) -> Answer {
    let asked = match asked::Asked::read(body) {
        Ok(asked) => asked,
        Err(detail) => return Answer::bad(&detail),
    };
    let (host, config) = match (SpinHost::open(), ConsoleConfig::read(&VARIABLES)) {
        (Ok(host), Ok(config)) => (host, config),
        (Err(error), _) => return admin::store_failed(&error),
        (_, Err(error)) => return Answer::misconfigured(&error),
    };
    if let Some(changes) = asked.changes() {
        let noted = journal::note(&host, &config.keys, admitted.who, changes, body).await;
        if let Err(error) = noted {
            return admin::store_failed(&error);
        }
    }
    let answer = connect::carry_out(&host, &VARIABLES, asked, admitted.wait_ms).await;
    host.tell_of_damage();
    answer
}
