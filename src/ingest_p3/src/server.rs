//! Requests in and answers out, between `wasi:http` 0.3 and the relay's plain types.

use crate::host::sleep_ms;
use config::answer::{Answer, Unread};
use config::head::{BODY_MS, Head};
use futures_util::future::{Either, select};
use futures_util::poll;
use spin_sdk::wasip3::http::types::{Fields, Method, Request, Response};
use spin_sdk::wasip3::wit_bindgen::{StreamResult, spawn, yield_async};
use spin_sdk::wasip3::{wit_future, wit_stream};
use std::pin::pin;
use std::task::Poll;

/// Reads a request's head.
pub(crate) fn head(request: &Request) -> Head {
    let method = match request.get_method() {
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
    let target = request.get_path_with_query().unwrap_or_default();
    Head::new(method, &target, request.get_headers().copy_all())
}

/// How often it is looked whether a body has come, before a clock is set: one that came with its head has by then, and a
/// clock would cost it a seventh more.
const TURNS: usize = 4;

/// Reads a request's body.
///
/// # Errors
/// If it is over the limit (the rest is then left unread), takes longer than ten seconds, or breaks off.
pub(crate) async fn read_body(request: Request, head: &Head, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut whole = pin!(read_whole(request, head.room(limit)?, limit));
    for _ in 0..TURNS {
        if let Poll::Ready(body) = poll!(whole.as_mut()) {
            return body;
        }
        yield_async().await;
    }
    match select(whole, pin!(sleep_ms(BODY_MS))).await {
        Either::Left((body, _)) => body,
        Either::Right(_) => Err(Unread::TooSlow),
    }
}

/// What is not written to costs no memory yet, and what has all its room from the start is never moved. There is room for
/// one byte more than there may be: only what has room is told that the body has ended.
async fn read_whole(request: Request, room: usize, limit: usize) -> Result<Vec<u8>, Unread> {
    let (_understood, understood) = wit_future::new(|| Ok(()));
    let (mut stream, end) = Request::consume_body(request, understood);
    let mut body = Vec::with_capacity(room + 1);
    loop {
        if body.len() == body.capacity() {
            // There is more than was announced.
            body.reserve_exact(limit + 1 - body.len());
        }
        let (result, read) = stream.read(body).await;
        body = read;
        if body.len() > limit {
            return Err(Unread::TooLarge);
        }
        match result {
            StreamResult::Complete(_) => {}
            StreamResult::Dropped | StreamResult::Cancelled => break,
        }
    }
    end.await.map(|_| body).map_err(|_| Unread::BrokenOff)
}

/// Makes an answer. One without a body leaves in one piece.
pub(crate) fn respond(answer: Answer) -> Response {
    let length = ("content-length", answer.body.len().to_string());
    let headers = answer.headers.into_iter().chain([length]);
    let headers: Vec<(String, Vec<u8>)> = headers
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    let headers = Fields::from_list(&headers).unwrap_or_else(|_| Fields::new());
    let contents = (!answer.body.is_empty()).then(|| {
        let (mut writer, reader) = wit_stream::new();
        spawn(async move {
            // Only the client's going away can stop this, and then nobody waits for it.
            writer.write_all(answer.body).await;
        });
        reader
    });
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers, contents, trailers);
    // Every status here is between 200 and 599.
    let _ = response.set_status_code(answer.status);
    response
}
