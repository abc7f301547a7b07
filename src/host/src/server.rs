//! Requests in and answers out, between `wasi:http` and the relay's plain types.

use crate::outbound;
use config::answer::Answer;
use futures_util::StreamExt;
use spin_sdk::http::{Fields, IncomingRequest, Method, OutgoingResponse, ResponseOutparam};
use spin_sdk::wit::wasi::http0_2_0::types::OutgoingBody;
use std::pin::pin;

/// A request without its body.
pub struct Head {
    /// The method.
    pub method: http::Method,
    /// The path, without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// The headers; those that are not well formed are left out.
    pub headers: http::HeaderMap,
}

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
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = http::HeaderMap::new();
    for (name, value) in request.headers().entries() {
        let name = http::HeaderName::try_from(name);
        let value = http::HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    Head {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
    }
}

/// Reads a request's body; none if it is over the limit (the rest is then left unread) or breaks off.
pub async fn read_body(request: IncomingRequest, head: &Head, limit: usize) -> Option<Vec<u8>> {
    let announced = head
        .headers
        .get("content-length")
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return None;
    }
    let mut body = Vec::with_capacity(announced.unwrap_or(0));
    let mut chunks = pin!(request.into_body_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.ok()?;
        if body.len() + chunk.len() > limit {
            return None;
        }
        body.extend(chunk);
    }
    Some(body)
}

/// Sends an answer.
pub async fn respond(out: ResponseOutparam, answer: Answer) {
    let mut headers: Vec<(String, Vec<u8>)> = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    headers.push(("content-length".to_owned(), answer.body.len().to_string().into_bytes()));
    let headers = Fields::from_list(&headers).unwrap_or_else(|_| Fields::new());
    let response = OutgoingResponse::new(headers);
    // Every status here is between 200 and 599.
    let _ = response.set_status_code(answer.status);
    let body = response.body();
    out.set(response);
    let Ok(body) = body else { return };
    if let Ok(stream) = body.write() {
        // Only the client's going away can stop this, and then nobody waits for it.
        let _ = outbound::write(&stream, &answer.body).await;
    }
    let _ = OutgoingBody::finish(body, None);
}
