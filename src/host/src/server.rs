//! Requests in and answers out, between `wasi:http` and the relay's plain types.

use crate::{outbound, sleep_ms};
use config::answer::{Answer, Unread};
use config::head::{BODY_MS, Head};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use spin_sdk::http::{Fields, IncomingRequest, Method, OutgoingResponse, ResponseOutparam};
use spin_sdk::wit::wasi::http0_2_0::types::OutgoingBody;
use std::pin::pin;

/// Reads a request's head.
pub fn head(request: &IncomingRequest) -> Head {
    let method = match request.method() {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(other) => http::Method::from_bytes(other.as_bytes()).unwrap_or(http::Method::OPTIONS),
    };
    let target = request.path_with_query().unwrap_or_default();
    Head::new(method, &target, request.headers().entries())
}

/// Reads a request's body.
///
/// # Errors
/// If it is over the limit (the rest is then left unread), takes longer than ten seconds, or breaks off.
pub async fn read_body(request: IncomingRequest, head: &Head, limit: usize) -> Result<Vec<u8>, Unread> {
    let whole = read_whole(request, head.room(limit)?, limit);
    match select(pin!(whole), pin!(sleep_ms(BODY_MS))).await {
        Either::Left((body, _)) => body,
        Either::Right(_) => Err(Unread::TooSlow),
    }
}

/// What is not written to costs no memory yet, and what has all its room from the start is never moved.
async fn read_whole(request: IncomingRequest, room: usize, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::with_capacity(room);
    let mut chunks = pin!(request.into_body_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unread::BrokenOff)?;
        if body.len() + chunk.len() > limit {
            return Err(Unread::TooLarge);
        }
        body.extend(chunk);
    }
    Ok(body)
}

/// Sends an answer.
pub async fn respond(out: ResponseOutparam, mut answer: Answer) {
    let body = std::mem::take(&mut answer.body);
    let length = ("content-length", body.len().to_string());
    answer.headers.push(length);
    let mut parts = [body].into_iter();
    respond_in_parts(out, answer, async || Ok::<_, ()>(parts.next())).await;
}

/// Sends an answer whose body comes in parts, each of which is had when the one before is on its way. Where one is not to be
/// had, the answer breaks off, so that nobody takes it for whole.
pub async fn respond_in_parts<E>(
    out: ResponseOutparam,
    answer: Answer,
    mut next: impl AsyncFnMut() -> Result<Option<Vec<u8>>, E>,
) {
    let headers: Vec<(String, Vec<u8>)> = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    let headers = Fields::from_list(&headers).unwrap_or_else(|_| Fields::new());
    let response = OutgoingResponse::new(headers);
    // Every status here is between 200 and 599.
    let _ = response.set_status_code(answer.status);
    let body = response.body();
    out.set(response);
    let Ok(body) = body else { return };
    if let Ok(stream) = body.write() {
        loop {
            match next().await {
                Ok(Some(part)) => {
                    // Only the client's going away can stop this, and then nobody waits for it.
                    if outbound::write(&stream, &part).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                // What is dropped unfinished breaks off.
                Err(_) => return,
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
