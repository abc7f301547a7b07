//! Single calls, whose every answer is an answer: what its status means is for whoever asks.

use http::{HeaderMap, Request, Response, header};
use model::failure::Failure;
use upstream::call::Call;
use upstream::governor::{Governor, Limits};
use upstream::token::Tokens;
use world::host::Host;

/// What the calls to an upstream that is only looked at are bound by.
pub fn limits(name: &'static str, timeout_ms: u64) -> Limits {
    Limits {
        name,
        at_once: 1,
        per_second: 20,
        timeout_ms,
        // An answer whose body is cut short, or packed in a way that is not understood, is an answer all the same.
        writes: true,
    }
}

/// Makes one call and gives its answer, whatever its status. Its body is there as far as it could be read.
///
/// # Errors
/// Why there was none, without any secret.
pub async fn ask<H: Host>(
    governor: &Governor<'_, H>,
    request: http::Result<Request<Vec<u8>>>,
) -> Result<Response<Vec<u8>>, String> {
    make(governor, request, false).await
}

/// The same, where an answer is worth nothing without the whole of its body.
///
/// # Errors
/// Why there was none, or not all of it, without any secret.
pub async fn ask_for_all<H: Host>(
    governor: &Governor<'_, H>,
    request: http::Result<Request<Vec<u8>>>,
) -> Result<Response<Vec<u8>>, String> {
    make(governor, request, true).await
}

async fn make<H: Host>(
    governor: &Governor<'_, H>,
    request: http::Result<Request<Vec<u8>>>,
    needs_body: bool,
) -> Result<Response<Vec<u8>>, String> {
    let request = request.map_err(|error| error.to_string())?;
    let call = Call {
        is_question: true,
        needs_body,
        is_answer_secret: true,
        ..Call::of("preflight", request)
    };
    let answer = governor.call(call, &mut |_| None).await;
    answer.map_err(|failure| failure.reason)
}

/// A token that was given just now: one that is kept says nothing of the login, and may be refused by now.
///
/// # Errors
/// Why none is to be had.
pub async fn fresh_token<H: Host>(host: &H, tokens: &Tokens<'_, H>) -> Result<String, Failure> {
    // That none was kept, or that it stays, is no failure: the next one takes its place.
    drop(host.delete(tokens.key()).await);
    tokens.access().await
}

/// Where a redirect leads: scheme, host and port alone, for the rest may hold what is not to be told. None where it leads
/// to another path of the same host.
pub fn led_to(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let uri = location.parse::<http::Uri>().ok()?;
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", uri.scheme_str()?, uri.host()?))
}
