//! The destination: its address, its login, and the path that the shape names as harmless. Nothing is written there.

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
    (config, shape, probe): (&DestinationConfig, &Shape, Option<&str>),
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
    if probe.is_some_and(|path| !path.starts_with('/')) {
        return findings.error(
            "shape",
            "`probe` is no path, so the destination was not tried",
            "begin it with `/`, such as /api/me: it is asked for by GET, below destination_path",
        );
    }
    let answer = match destination.get(kind, probe, token.as_deref()) {
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
        status @ 300..=399 if leads_away || probe.is_some() => findings.warning(
            "destination",
            format!(
                "the destination answers {status} and leads to {}; no redirect is followed when entities are sent",
                led_to(answer.headers()).unwrap_or_else(|| "another path".to_owned())
            ),
            "give destination_url and destination_path as the address that it leads to, if that is the API's",
        ),
        401 | 403 if probe.is_some() => findings.error(
            "destination",
            format!("the destination answers {} to the shape's `probe`, so it does not accept the token, or the token may not do much", answer.status().as_u16()),
            "see destination_token and its rights, and the shape's `authentication` for the header that the destination wants",
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
        status @ 400.. if probe.is_some() => findings.error(
            "destination",
            format!("the destination answers {status} to the shape's `probe`"),
            "see destination_url, destination_path and the shape's `probe`: what is sent may go to a wrong path, too",
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
