//! The public address, from outside in, as Akeneo comes to it.
//!
//! A `GET` of the route is answered 405 by the relay itself, and a large `POST` to a path of its own below `/webhooks`
//! 400: neither is written down as a refused delivery. What stands between answers otherwise, and one 404 or redirect
//! suspends the subscription (contract 3.3).

use crate::calls::{ask, led_to};
use crate::finding::Findings;
use crate::variables::is_open;
use http::Request;
use upstream::governor::Governor;
use world::host::Host;

/// The route that is looked at.
const ROUTE: &str = "/webhooks/akeneo/event-platform";

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
    let got = ask(governor, Request::get(format!("{origin}{ROUTE}")).body(Vec::new())).await;
    let answer = match got {
        Ok(answer) => answer,
        Err(reason) => {
            findings.error(
                "address",
                format!("the public address cannot be reached from here: {reason}"),
                "see the name, the certificate and the proxy; where the host may not call its own address, run this from elsewhere",
            );
            return;
        }
    };
    let status = answer.status().as_u16();
    match status {
        405 => {}
        300..=399 => findings.error(
            "address",
            format!("{ROUTE} answers {status} and leads to {}: Akeneo suspends a subscription whose address redirects", led_to(answer.headers()).unwrap_or_else(|| "another path".to_owned())),
            "give Akeneo, and public_url, the address that it leads to, or take the redirect out of the proxy",
        ),
        404 => findings.error(
            "address",
            format!("{ROUTE} answers 404: Akeneo suspends a subscription at the first one"),
            "pass everything below /webhooks/ on to the relay, path unchanged (deploy/ has files for nginx, Caddy and Traefik)",
        ),
        401 | 403 => findings.error(
            "address",
            format!("{ROUTE} answers {status}: something before the relay wants to know who comes"),
            "let requests below /webhooks/ through without a login: the relay verifies each delivery's signature",
        ),
        _ => findings.error(
            "address",
            format!("{ROUTE} answers {status} to a GET, where the relay answers 405"),
            "see that the proxy leads to the relay and that the relay runs",
        ),
    }
    if status != 405 {
        return;
    }
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
