//! The public address, from outside in, as Akeneo comes to it.
//!
//! A `GET` of a route is answered 405 by the relay itself, and a large `POST` to a path of its own below `/webhooks`
//! 400: neither is written down as a refused delivery. What stands between answers otherwise, and one 404 or redirect
//! suspends the subscription (contract 3.3).

use crate::calls::{ask, led_to};
use crate::finding::Findings;
use crate::variables::is_open;
use http::Request;
use std::collections::BTreeMap;
use upstream::governor::Governor;
use world::host::Host;

/// The routes that are looked at. A proxy may pass on one of them and not the others.
const ROUTES: [&str; 3] = [
    "/webhooks/akeneo/event-platform",
    "/webhooks/akeneo/events-api",
    "/webhooks/akeneo/notifications",
];

/// A path below the webhooks that takes no deliveries.
const OTHER: &str = "/webhooks/preflight";

/// How large a body must come through, in bytes: proxies often let through 1 MiB and no more.
const LARGE: usize = 2 << 20;

/// Looks at the address, if it is known.
pub async fn look<H: Host>(governor: &Governor<'_, H>, origin: Option<&str>, findings: &mut Findings) {
    let Some(origin) = origin else {
        findings.note(
            "public_url",
            "the address at which Akeneo comes is not known, so it was not looked at",
            "set public_url to the origin that Akeneo is given, such as https://relay.example.com",
        );
        return;
    };
    if is_open(origin) {
        findings.warning(
            "public_url",
            "the public address has no TLS, and Akeneo delivers to https alone",
            "put a proxy with a certificate before the relay (deploy/), and give its address",
        );
    }
    // The routes by what they answer, and where that leads to.
    let mut answers: BTreeMap<(u16, Option<String>), Vec<&str>> = BTreeMap::new();
    for route in ROUTES {
        match ask(governor, Request::get(format!("{origin}{route}")).body(Vec::new())).await {
            Ok(answer) => {
                let said = (answer.status().as_u16(), led_to(answer.headers()));
                answers.entry(said).or_default().push(route);
            }
            Err(reason) => {
                findings.error(
                    "address",
                    format!("the public address cannot be reached from here: {reason}"),
                    "see the name, the certificate and the proxy; where the host may not call its own address, run this from elsewhere",
                );
                return;
            }
        }
    }
    let passes = answers.keys().all(|(status, _)| *status == 405);
    for ((status, led_to), routes) in answers {
        tell_of_route(origin, status, (&routes.join(" and "), led_to), findings);
    }
    if passes {
        look_at_size(governor, origin, findings).await;
    }
}

/// Tells what it means that routes answer a `GET` so.
fn tell_of_route(origin: &str, status: u16, (routes, led_to): (&str, Option<String>), findings: &mut Findings) {
    match status {
        405 => {}
        300..=399 => {
            let is_for_tls = origin.starts_with("http://") && led_to.as_deref().is_some_and(|to| to.starts_with("https://"));
            let to = led_to.unwrap_or_else(|| "another path".to_owned());
            let remedy = match is_for_tls {
                true => format!("set public_url to {to}, and give Akeneo that: it delivers to https alone"),
                false => "give Akeneo, and public_url, the address that it leads to, or take the redirect out of the proxy".to_owned(),
            };
            findings.error(
                "address",
                format!("{status} is the answer of {routes}, and leads to {to}: Akeneo suspends a subscription whose address redirects"),
                remedy,
            );
        }
        404 => findings.error(
            "address",
            format!("404 is the answer of {routes}: Akeneo suspends a subscription at the first one"),
            "pass everything below /webhooks/ on to the relay, path unchanged (deploy/ has files for nginx, Caddy and Traefik)",
        ),
        401 | 403 => findings.error(
            "address",
            format!("{status} is the answer of {routes}: something before the relay wants to know who comes"),
            "let requests below /webhooks/ through without a login: the relay verifies each delivery's signature",
        ),
        _ => findings.error(
            "address",
            format!("{status} is the answer of {routes} to a GET, where the relay answers 405"),
            "see that the proxy leads to the relay and that the relay runs",
        ),
    }
}

/// Sends a large body to a path that takes no deliveries, and tells what keeps it from coming through.
async fn look_at_size<H: Host>(governor: &Governor<'_, H>, origin: &str, findings: &mut Findings) {
    let large = Request::post(format!("{origin}{OTHER}")).header("content-type", "application/json");
    match ask(governor, large.body(vec![b' '; LARGE]))
        .await
        .map(|answer| answer.status().as_u16())
    {
        Ok(400) => {}
        Ok(413) => findings.error(
            "address",
            "a body of 2 MiB is refused with 413 before it reaches the relay, and events can be larger",
            "let the proxy pass bodies of 16 MiB (nginx: client_max_body_size 16m)",
        ),
        Ok(status) => findings.warning(
            "address",
            format!("a large POST below /webhooks/ answers {status}, where the relay answers 400"),
            "see what stands between and answers in the relay's place",
        ),
        // The relay answers by the head alone, and may have closed the connection before the body was through.
        Err(reason) if reason.contains("the connection was lost") => {}
        Err(reason) => findings.warning(
            "address",
            format!("a large POST below /webhooks/ does not come through: {reason}"),
            "see the proxy's limits of size and time",
        ),
    }
}
