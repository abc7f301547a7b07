//! Single calls, whose every answer is an answer: what its status means is for whoever asks.

use http::{HeaderMap, Request, Response, header};
use upstream::call::Call;
use upstream::governor::{Governor, Limits};
use world::host::Host;

/// What the calls to an upstream that is only looked at are bound by.
pub fn limits(name: &'static str, timeout_ms: u64) -> Limits {
    Limits {
        name,
        at_once: 1,
        per_second: 20,
        timeout_ms,
        writes: false,
    }
}

/// Makes one call and gives its answer, whatever its status.
///
/// # Errors
/// Why there was none, without any secret.
pub async fn ask<H: Host>(
    governor: &Governor<'_, H>,
    request: http::Result<Request<Vec<u8>>>,
) -> Result<Response<Vec<u8>>, String> {
    let request = request.map_err(|error| error.to_string())?;
    let call = Call {
        is_question: true,
        needs_body: true,
        is_answer_secret: true,
        ..Call::of("preflight", request)
    };
    let answer = governor.call(call, &mut |_| None).await;
    answer.map_err(|failure| failure.reason)
}

/// Where a redirect leads, without path and query, which may hold what is not to be told.
pub fn led_to(headers: &HeaderMap) -> String {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let uri = location.and_then(|location| location.parse::<http::Uri>().ok());
    let origin = uri.and_then(|uri| Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?)));
    origin.unwrap_or_else(|| "another path".to_owned())
}
