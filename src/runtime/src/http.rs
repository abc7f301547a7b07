//! The HTTP trigger: a server that calls components through `wasi:http/incoming-handler`, or through `wasi:http/handler`
//! of WASI 0.3.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::header::{HOST, HeaderName, HeaderValue};
use ::http::uri::{Authority, Scheme};
use ::http::{HeaderMap, Request, Response, StatusCode, Uri};
use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types as wasi;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::application::{Application, Component, Handler};
use crate::reused;
use crate::router::RouteMatch;

/// The path Spin answers itself to say that it lives.
const HEALTH: &str = "/.well-known/spin/health";
/// The paths Spin keeps for itself.
const RESERVED: &str = "/.well-known/spin/";

/// Serves an application's routes for ever.
///
/// Neither requests nor bodies are limited, in time or in size, and a client that goes away stops nothing. As in Spin,
/// small segments are not sent at once (no `TCP_NODELAY`).
///
/// # Errors
/// When the listener fails.
pub async fn serve(application: Arc<Application>, listener: TcpListener) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await.context("cannot accept connections")?;
        tokio::spawn(serve_connection(Arc::clone(&application), stream, client));
    }
}

async fn serve_connection(application: Arc<Application>, stream: TcpStream, client: SocketAddr) {
    let service = service_fn(|request| {
        let application = Arc::clone(&application);
        async move { respond(&application, request, client).await }
    });
    // A connection that breaks is the client's affair.
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

/// An error closes the connection, as Spin does with a request that has no usable host.
async fn respond(
    application: &Application,
    mut request: Request<Incoming>,
    client: SocketAddr,
) -> Result<Response<HyperOutgoingBody>> {
    let path = request.uri().path().to_owned();
    if path == HEALTH {
        return Ok(answer(StatusCode::OK, "OK"));
    }
    let found = application.router.route(&path).filter(|_| !path.starts_with(RESERVED));
    let Some(found) = found else {
        return Ok(answer(StatusCode::NOT_FOUND, ""));
    };
    let component = application
        .component(found.component())
        .context("a route without its component")?;
    let host = request
        .headers()
        .get(HOST)
        .map(HeaderValue::to_str)
        .transpose()?
        .unwrap_or("localhost")
        .to_owned();
    let full_url = format!(
        "http://{host}{}",
        request.uri().path_and_query().map_or("", |path| path.as_str())
    );
    complete_uri(&mut request)?;
    let called = async {
        add_headers(request.headers_mut(), &found, &full_url, client)?;
        let handler = component.http.as_ref().context("the component has no HTTP handler")?;
        match handler {
            Handler::Fresh(_) => call(Arc::clone(component), request).await,
            Handler::Reused(instances) => reused::call(instances, request).await,
        }
    };
    Ok(called.await.unwrap_or_else(|error| {
        eprintln!("{}: error processing a request: {error:#}", component.id());
        answer(StatusCode::INTERNAL_SERVER_ERROR, "")
    }))
}

fn answer(status: StatusCode, body: &'static str) -> Response<HyperOutgoingBody> {
    let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Gives the URI its scheme and the authority of the `host` header.
fn complete_uri(request: &mut Request<Incoming>) -> Result<()> {
    let host = request.headers().get(HOST).map(|host| host.to_str()).transpose()?;
    let host: Option<Authority> = host
        .map(str::parse)
        .transpose()
        .context("the host header is no authority")?;
    let mut parts = request.uri().clone().into_parts();
    let authority = match (host, parts.authority.take()) {
        (Some(host), Some(authority)) => {
            ensure!(host == authority, "the host header is not the authority of the request");
            host
        }
        (host, authority) => host.or(authority).context("a request without a host header")?,
    };
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

fn add_headers(headers: &mut HeaderMap, found: &RouteMatch<'_>, full_url: &str, client: SocketAddr) -> Result<()> {
    let text = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok();
    ensure!(headers.values().all(text), "a header is not text");
    for (name, value) in found.headers(full_url, client) {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) else {
            continue;
        };
        headers.append(name, value);
    }
    Ok(())
}

/// Calls the handler in a fresh instance, and returns as soon as it has given the head of its answer.
async fn call(component: Arc<Component>, request: Request<Incoming>) -> Result<Response<HyperOutgoingBody>> {
    let (sender, receiver) = oneshot::channel();
    let handling = tokio::spawn({
        let component = Arc::clone(&component);
        async move {
            let Some(Handler::Fresh(pre)) = &component.http else {
                bail!("the component has no HTTP handler of WASI 0.2");
            };
            let mut store = component.instance_store();
            let proxy = pre.instantiate_async(&mut store).await?;
            let request = store
                .data_mut()
                .http()
                .new_incoming_request(wasi::Scheme::Http, request)?;
            let response = store.data_mut().http().new_response_outparam(sender)?;
            proxy
                .wasi_http_incoming_handler()
                .call_handle(&mut store, request, response)
                .await?;
            anyhow::Ok(())
        }
    });
    let Ok(response) = receiver.await else {
        handling
            .await
            .context("the handler panicked")?
            .context("the handler failed")?;
        return Err(anyhow!("the handler returned without an answer"));
    };
    tokio::spawn(async move {
        if let Err(error) = handling.await.map_err(anyhow::Error::from).flatten() {
            eprintln!("{}: error after the answer had begun: {error:#}", component.id());
        }
    });
    response.context("the handler answered with an error")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::application::Options;

    async fn answer_to(request: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = folder.path().join("spin.toml");
        let text = "spin_manifest_version = 2\n[application]\nname = 'empty'\n[trigger]\n";
        std::fs::write(&manifest, text).expect("a manifest");
        let options = Options {
            manifest,
            state_dir: folder.path().join("state"),
            ..Options::default()
        };
        let application = Arc::new(Application::load(&options).expect("an application"));

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(application, listener));
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn what_no_route_takes_is_not_found() {
        let answer = answer_to("GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        assert!(answer.contains("content-length: 0\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn it_says_that_it_lives() {
        let request = format!("GET {HEALTH} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = answer_to(&request).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("OK"),
            "{answer}"
        );
    }
}
