//! The destination: its address and its login. Nothing is written there.

use crate::calls::{ask, fresh_token, led_to};
use crate::finding::Findings;
use ::destination::Destination;
use config::DestinationConfig;
use model::entity::Kind;
use model::failure::Failure;
use shape::Shape;
use upstream::governor::Governor;
use world::host::Host;

/// Looks at the destination.
pub async fn look<H: Host>(
    host: &H,
    destination: &Destination<'_, H>,
    governor: &Governor<'_, H>,
    (config, shape): (&DestinationConfig, &Shape),
    findings: &mut Findings,
) {
    let token = match &destination.tokens {
        Some(tokens) => fresh_token(host, tokens).await.map(Some),
        None => Ok(config.token.clone()),
    };
    let token = match token {
        Ok(token) => token,
        Err(failure) => return tell_of_login(&failure, findings),
    };
    let kind = shape.kinds().first().copied().unwrap_or(Kind::Product);
    let answer = match destination.greeting(kind, token.as_deref()) {
        Ok(request) => ask(governor, Ok(request)).await,
        Err(failure) => Err(failure.reason),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(reason) => {
            return findings.error(
                "destination",
                format!("the destination cannot be reached: {reason}"),
                "see destination_url, the network between, and the destination's certificate",
            );
        }
    };
    let leads_away = led_to(answer.headers()).is_some_and(|to| to != config.origin);
    match answer.status().as_u16() {
        status @ 300..=399 if leads_away => findings.warning(
            "destination",
            format!(
                "the destination answers {status} and leads to {}; no redirect is followed when entities are sent",
                led_to(answer.headers()).unwrap_or_default()
            ),
            "give destination_url and destination_path as the address that it leads to, if that is the API's",
        ),
        401 => findings.warning(
            "destination",
            "the destination answers 401 at its address, so it may not accept the token",
            "see destination_token, and the shape's `authentication` for the header that the destination wants",
        ),
        status @ 500.. => findings.warning(
            "destination",
            format!("the destination answers {status} at its address"),
            "see that the destination is well before the first entities are sent",
        ),
        _ => {}
    }
}

fn tell_of_login(failure: &Failure, findings: &mut Findings) {
    findings.error(
        "login_secret",
        format!("no token is to be had of the destination: {}", failure.reason),
        "see login_url, login_id and login_secret, and the shape's `login`",
    );
}
