//! Calls out, on `wasi:http` itself: the SDK's client sets no time limits, and the host's own is ten minutes.

use crate::sleep_ms;
use futures_util::future::{Either, select};
use futures_util::{SinkExt, StreamExt};
use relay::host::{CallLimits, SendError};
use spin_executor::{CancelOnDropToken, push_waker_and_get_token};
use spin_sdk::http::{Fields, IncomingResponse, Method, OutgoingRequest, Scheme};
use spin_sdk::wit::wasi::http0_2_0::outgoing_handler;
use spin_sdk::wit::wasi::http0_2_0::types::{ErrorCode, FutureIncomingResponse, RequestOptions};
use std::pin::pin;
use std::task::Poll;

/// One call, within its limits. Dropping what is under way closes it.
pub(crate) async fn send(
    request: http::Request<Vec<u8>>,
    limits: CallLimits,
) -> Result<http::Response<Vec<u8>>, SendError> {
    let call = pin!(exchange(request, limits));
    let timer = pin!(sleep_ms(limits.total_ms));
    match select(call, timer).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(SendError::Timeout),
    }
}

async fn exchange(request: http::Request<Vec<u8>>, limits: CallLimits) -> Result<http::Response<Vec<u8>>, SendError> {
    let (parts, body) = request.into_parts();
    let outgoing = outgoing(&parts)?;
    let mut sink = (!body.is_empty()).then(|| outgoing.take_body());
    let future = outgoing_handler::handle(outgoing, Some(options(limits))).map_err(failed)?;
    if let Some(sink) = &mut sink {
        // A refusal may come before the body is through; then the answer below tells.
        let _ = sink.send(body).await;
    }
    drop(sink);
    let incoming = head(future).await?;
    let mut response = http::Response::builder().status(incoming.status());
    for (name, value) in incoming.headers().entries() {
        response = response.header(name, value);
    }
    let body = read(incoming, limits.body_bytes).await?;
    response.body(body).map_err(|error| SendError::Lost(error.to_string()))
}

fn outgoing(parts: &http::request::Parts) -> Result<OutgoingRequest, SendError> {
    let unsendable = |what: &str| SendError::Forbidden(format!("the request's {what} cannot be sent"));
    let headers: Vec<(String, Vec<u8>)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    let outgoing = OutgoingRequest::new(Fields::from_list(&headers).map_err(|_| unsendable("header"))?);
    let method = match parts.method {
        http::Method::GET => Method::Get,
        http::Method::POST => Method::Post,
        http::Method::PUT => Method::Put,
        http::Method::PATCH => Method::Patch,
        http::Method::DELETE => Method::Delete,
        ref other => Method::Other(other.to_string()),
    };
    let scheme = if parts.uri.scheme_str() == Some("http") {
        Scheme::Http
    } else {
        Scheme::Https
    };
    outgoing.set_method(&method).map_err(|()| unsendable("method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| unsendable("scheme"))?;
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    outgoing
        .set_authority(authority)
        .map_err(|()| unsendable("authority"))?;
    let path = parts.uri.path_and_query().map(|path| path.as_str());
    outgoing.set_path_with_query(path).map_err(|()| unsendable("path"))?;
    Ok(outgoing)
}

fn options(limits: CallLimits) -> RequestOptions {
    let options = RequestOptions::new();
    let nanoseconds = |ms: u64| Some(ms.saturating_mul(1_000_000));
    // A host that cannot keep one of them says so here; the limit on the whole call holds in any case.
    let _ = options.set_connect_timeout(nanoseconds(limits.connect_ms));
    let _ = options.set_first_byte_timeout(nanoseconds(limits.first_byte_ms));
    let _ = options.set_between_bytes_timeout(nanoseconds(limits.first_byte_ms));
    options
}

async fn head(future: FutureIncomingResponse) -> Result<IncomingResponse, SendError> {
    let mut waiting: Option<CancelOnDropToken> = None;
    std::future::poll_fn(|context| match future.get() {
        Some(Ok(Ok(response))) => Poll::Ready(Ok(response)),
        Some(Ok(Err(error))) => Poll::Ready(Err(failed(error))),
        Some(Err(())) => Poll::Ready(Err(SendError::Lost("the answer was taken already".to_owned()))),
        None => {
            let token = push_waker_and_get_token(future.subscribe(), context.waker().clone());
            waiting = Some(token.into());
            Poll::Pending
        }
    })
    .await
}

async fn read(incoming: IncomingResponse, body_bytes: usize) -> Result<Vec<u8>, SendError> {
    let mut body = Vec::new();
    let mut chunks = pin!(incoming.take_body_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| SendError::Lost(error.to_debug_string()))?;
        if body.len() + chunk.len() > body_bytes {
            return Err(SendError::TooLarge);
        }
        body.extend(chunk);
    }
    Ok(body)
}

fn failed(error: ErrorCode) -> SendError {
    match error {
        ErrorCode::HttpRequestDenied => {
            SendError::Forbidden("the platform does not allow this address: is the variable an origin?".to_owned())
        }
        ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionWriteTimeout | ErrorCode::HttpResponseTimeout => {
            SendError::Timeout
        }
        ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => SendError::Unreachable(error.to_string()),
        other => SendError::Lost(other.to_string()),
    }
}
