//! The destination: its address and its login. Nothing is written there.

use crate::calls::{ask, led_to};
use crate::finding::Findings;
use ::destination::Destination;
use config::DestinationConfig;
use http::{Request, header};
use model::failure::Failure;
use shape::Shape;
use upstream::governor::Governor;
use world::host::Host;

/// Looks at the destination.
pub async fn look<H: Host>(
    destination: &Destination<'_, H>,
    governor: &Governor<'_, H>,
    (config, shape): (&DestinationConfig, &Shape),
    findings: &mut Findings,
) {
    let token = match destination.token().await {
        Ok(token) => token,
        Err(failure) => return tell_of_login(&failure, findings),
    };
    let mut request = Request::get(format!("{}{}/", config.origin, config.path));
    let authentication = &shape.headers.authentication;
    if let Some(token) = token.filter(|_| authentication.scheme != "Basic") {
        request = request.header(
            &authentication.header,
            format!("{} {token}", authentication.scheme).trim_start(),
        );
    }
    let answer = match ask(governor, request.body(Vec::new())).await {
        Ok(answer) => answer,
        Err(reason) => {
            return findings.error(
                "destination",
                format!("the destination cannot be reached: {reason}"),
                "see destination_url, the network between, and the destination's certificate",
            );
        }
    };
    match answer.status().as_u16() {
        status @ (301 | 302 | 303 | 307 | 308) if answer.headers().contains_key(header::LOCATION) => findings.warning(
            "destination",
            format!(
                "the destination answers {status} and leads to {}; no redirect is followed when entities are sent",
                led_to(answer.headers())
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
