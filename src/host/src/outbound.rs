//! Calls out, on `wasi:http` itself: the SDK's client sets no time limits, and the host's own is ten minutes.

use crate::{VARIABLES, sleep_ms, sleep_until};
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt};
use spin_executor::{CancelOnDropToken, push_waker_and_get_token};
use spin_sdk::http::{Fields, IncomingResponse, Method, OutgoingRequest, Scheme};
use spin_sdk::wit::wasi::http0_2_0::outgoing_handler;
use spin_sdk::wit::wasi::http0_2_0::types::{ErrorCode, FutureIncomingResponse, OutgoingBody, RequestOptions};
use std::pin::{Pin, pin};
use std::task::Poll;
use wasi::clocks::monotonic_clock::{self, Instant};
use wasi::io::streams::{Error as BodyError, OutputStream, StreamError};
use world::host::{BEGINNING_MS, CallLimits, PASSED_ON, SendError, Transfer};

/// How much is read ahead of a file whose length is not told, in bytes: what ends before that is sent with a length.
const AHEAD_BYTES: usize = 4 << 20;

/// How long the rest of a body may take that was refused before it was sent, in milliseconds.
const REFUSED_MS: u64 = 500;

/// What a request carries.
enum Content {
    /// This; nothing at all where it is empty.
    Bytes(Vec<u8>),
    /// What was read of an answer's body, and what is to come of it, so many bytes at most.
    Of(Vec<u8>, Chunks, u64),
}

/// A body on its way.
type Chunks = Pin<Box<dyn Stream<Item = Result<Vec<u8>, BodyError>>>>;

/// A header, as the platform has it.
type Header = (String, Vec<u8>);

type Answered = Result<http::Response<Vec<u8>>, SendError>;

/// One call, within its limits. Dropping what is under way closes it.
pub(crate) async fn send(request: http::Request<Vec<u8>>, limits: CallLimits) -> Answered {
    let until = moment_in_ms(limits.total_ms);
    let incoming = within(until, open(request, limits)).await?;
    answer(incoming, limits, until).await
}

/// A transfer within its limits, in pieces as small as the host gives them.
pub(crate) async fn transfer(
    from: http::Request<Vec<u8>>,
    to: http::Request<Vec<u8>>,
    limits: CallLimits,
    max_bytes: u64,
) -> Transfer {
    match pass_on(from, to, limits.for_a_status(), max_bytes).await {
        Ok((told, to)) => Transfer { from: Ok(told), to },
        Err(error) => Transfer {
            from: Err(error),
            to: None,
        },
    }
}

async fn pass_on(
    from: http::Request<Vec<u8>>,
    to: http::Request<Vec<u8>>,
    limits: CallLimits,
    max_bytes: u64,
) -> Result<(http::Response<Vec<u8>>, Option<Answered>), SendError> {
    let until = moment_in_ms(limits.total_ms);
    let incoming = within(until, open(from, limits)).await?;
    if !(200..300).contains(&incoming.status()) {
        return Ok((answer(incoming, limits, until).await?, None));
    }
    let told = told(&incoming)?;
    let mut passed = incoming.headers().entries();
    passed.retain(|(name, _)| PASSED_ON.contains(&name.as_str()));
    let length = passed.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
    if length.is_some_and(|bytes| bytes > max_bytes) {
        return Err(SendError::TooLarge);
    }
    let mut chunks: Chunks = Box::pin(incoming.take_body_stream());
    let mut ahead = Vec::new();
    let is_whole = length.is_none() && within(until, read(&mut chunks, AHEAD_BYTES, &mut ahead)).await?;
    if ahead.len() as u64 > max_bytes {
        return Err(SendError::TooLarge);
    }
    let content = if is_whole {
        passed.push(("content-length".to_owned(), ahead.len().to_string().into_bytes()));
        Content::Bytes(ahead)
    } else {
        Content::Of(ahead, chunks, max_bytes)
    };
    let (parts, _) = to.into_parts();
    let asked = ask(&parts, passed, content, limits);
    let answered = match within(until, asked).await {
        // Which of the two was too slow is not known once content came.
        Err(SendError::Timeout) => Err(SendError::Timeout),
        answered => answered?,
    };
    let answered = match answered {
        Ok(incoming) => answer(incoming, limits, until).await,
        Err(error) => Err(error),
    };
    Ok((told, Some(answered)))
}

/// A moment of the monotonic clock.
fn moment_in_ms(ms: u64) -> Instant {
    monotonic_clock::now().saturating_add(ms.saturating_mul(1_000_000))
}

async fn within<T>(until: Instant, call: impl Future<Output = Result<T, SendError>>) -> Result<T, SendError> {
    match select(pin!(call), pin!(sleep_until(until))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(SendError::Timeout),
    }
}

/// Sends a request; the answer's body is still to come.
async fn open(request: http::Request<Vec<u8>>, limits: CallLimits) -> Result<IncomingResponse, SendError> {
    let (parts, body) = request.into_parts();
    ask(&parts, Vec::new(), Content::Bytes(body), limits).await?
}

/// Sends a request with its content. Fails if the content does not come whole; how the request fared is in the result.
/// Content that was not taken to its end may have been refused, which the answer tells, but was not accepted.
async fn ask(
    parts: &http::request::Parts,
    headers: Vec<Header>,
    content: Content,
    limits: CallLimits,
) -> Result<Result<IncomingResponse, SendError>, SendError> {
    let outgoing = match outgoing(parts, headers) {
        Ok(outgoing) => outgoing,
        Err(error) => return Ok(Err(error)),
    };
    let is_empty = matches!(&content, Content::Bytes(bytes) if bytes.is_empty());
    let body = if is_empty { None } else { outgoing.body().ok() };
    let future = match outgoing_handler::handle(outgoing, Some(options(limits))) {
        Ok(future) => future,
        Err(error) => return Ok(Err(failed(error))),
    };
    let Some(body) = body else {
        return Ok(head(future).await);
    };
    let (is_taken, answered) = match select(pin!(fill(body, content)), pin!(head(future))).await {
        Either::Left((taken, answered)) => (taken?, answered.await),
        Either::Right((Ok(incoming), filling)) if (200..300).contains(&incoming.status()) => {
            (filling.await?, Ok(incoming))
        }
        // Refused or lost before it was sent: what is left of it goes only if that is quick.
        Either::Right((answered, filling)) => {
            let _ = select(filling, pin!(sleep_ms(REFUSED_MS))).await;
            (false, answered)
        }
    };
    Ok(match answered {
        Ok(incoming) if !is_taken && (200..300).contains(&incoming.status()) => {
            Err(SendError::Lost("it was answered before its body was taken".to_owned()))
        }
        answered => answered,
    })
}

/// Writes a body piece by piece; fails if its content does not come whole. Whoever receives a body that is not finished
/// sees that it was broken off. Says whether it was taken to its end.
async fn fill(body: OutgoingBody, content: Content) -> Result<bool, SendError> {
    let lost = |error: String| SendError::Lost(error);
    // Declared after its body, so that it goes before it.
    let stream = body
        .write()
        .map_err(|()| lost("the body was taken already".to_owned()))?;
    match content {
        Content::Bytes(bytes) => {
            if write(&stream, &bytes).await.is_err() {
                return Ok(false);
            }
        }
        Content::Of(ahead, mut chunks, mut left) => {
            left = left.checked_sub(ahead.len() as u64).ok_or(SendError::TooLarge)?;
            if write(&stream, &ahead).await.is_err() {
                return Ok(false);
            }
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(broken)?;
                left = left.checked_sub(chunk.len() as u64).ok_or(SendError::TooLarge)?;
                if write(&stream, &chunk).await.is_err() {
                    return Ok(false);
                }
            }
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|error| lost(error.to_string()))?;
    Ok(true)
}

/// Writes all of this.
pub(crate) async fn write(stream: &OutputStream, bytes: &[u8]) -> Result<(), StreamError> {
    let mut rest = bytes;
    loop {
        let mut waiting: Option<CancelOnDropToken> = None;
        let room = std::future::poll_fn(|context| match stream.check_write() {
            Ok(0) => {
                let token = push_waker_and_get_token(stream.subscribe(), context.waker().clone());
                waiting = Some(token.into());
                Poll::Pending
            }
            room => Poll::Ready(room),
        });
        let room = room.await;
        // Whoever has had all of it may close.
        if rest.is_empty() {
            return Ok(());
        }
        let room = usize::try_from(room?).unwrap_or(usize::MAX);
        let (now, later) = rest.split_at(rest.len().min(room));
        stream.write(now)?;
        rest = later;
        if rest.is_empty() {
            let _ = stream.flush();
        }
    }
}

/// An answer's status and headers.
fn told(incoming: &IncomingResponse) -> Answered {
    let mut response = http::Response::builder().status(incoming.status());
    for (name, value) in incoming.headers().entries() {
        response = response.header(name, value);
    }
    response
        .body(Vec::new())
        .map_err(|error| SendError::Lost(error.to_string()))
}

/// An answer with as much of its body as is needed.
async fn answer(incoming: IncomingResponse, limits: CallLimits, until: Instant) -> Answered {
    let mut response = told(&incoming)?;
    let status = response.status();
    let is_needed = limits.needs_body_of(status);
    let until = if is_needed {
        until
    } else {
        until.min(moment_in_ms(BEGINNING_MS))
    };
    let most = limits.most_bytes(status);
    let mut chunks: Chunks = Box::pin(incoming.take_body_stream());
    let read = within(until, read(&mut chunks, most, response.body_mut())).await;
    response.body_mut().truncate(most);
    match read {
        Err(error) if is_needed => Err(error),
        Ok(false) if is_needed => Err(SendError::TooLarge),
        _ => Ok(response),
    }
}

/// A request with these headers besides its own, which they replace.
fn outgoing(parts: &http::request::Parts, mut headers: Vec<Header>) -> Result<OutgoingRequest, SendError> {
    let unsendable = |what: &str| SendError::Forbidden(format!("the request's {what} cannot be sent"));
    for (name, value) in &parts.headers {
        if !headers.iter().any(|(known, _)| known == name.as_str()) {
            headers.push((name.to_string(), value.as_bytes().to_vec()));
        }
    }
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

/// Reads a body until more than so many bytes are there, and says whether it ended before. What came before it failed
/// is there.
async fn read(chunks: &mut Chunks, most: usize, body: &mut Vec<u8>) -> Result<bool, SendError> {
    while body.len() <= most {
        match chunks.next().await {
            Some(chunk) => body.extend(chunk.map_err(broken)?),
            None => return Ok(true),
        }
    }
    Ok(false)
}

fn broken(error: BodyError) -> SendError {
    SendError::Lost(error.to_debug_string())
}

fn failed(error: ErrorCode) -> SendError {
    match error {
        ErrorCode::HttpRequestDenied => SendError::Forbidden(VARIABLES.denial()),
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
