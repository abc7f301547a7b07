//! Outgoing HTTP of components: what is allowed, pooled connections, and the timeouts of the request.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HOST;
use http::{Request, Uri};
use http_body_util::BodyExt;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;
use wasmtime_wasi_http::p2::bindings::http::types::{DnsErrorPayload, ErrorCode};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, IncomingResponse, OutgoingRequestConfig};
use wasmtime_wasi_http::p2::{HttpResult, WasiHttpHooks, hyper_request_error};

use crate::hosts::AllowedHosts;

tokio::task_local! {
    /// How long the request being sent may take to connect. The pooling client has no other way to pass it on.
    static CONNECT_TIMEOUT: Duration;
}

/// The connections of all components.
#[derive(Clone)]
pub struct HttpClient(Client<HttpsConnector<TcpConnector>, HyperOutgoingBody>);

impl HttpClient {
    /// A client with no connection yet. It trusts the certificate authorities that Mozilla does.
    #[must_use]
    pub fn new() -> Self {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("the provider has the usual protocol versions")
            .https_or_http()
            .enable_http1()
            .wrap_connector(TcpConnector);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

/// One component's way out.
#[derive(Clone)]
pub struct Outbound {
    client: HttpClient,
    component: Arc<str>,
    /// An error here refuses every request, as in Spin.
    allowed: Arc<anyhow::Result<AllowedHosts>>,
}

impl Outbound {
    /// A component's way out, through the connections of all.
    #[must_use]
    pub fn new(client: HttpClient, component: &str, allowed: anyhow::Result<AllowedHosts>) -> Self {
        Self {
            client,
            component: component.into(),
            allowed: Arc::new(allowed),
        }
    }

    /// Says on standard error why a request is refused.
    fn allows(&self, uri: &Uri) -> bool {
        let component = &self.component;
        let allowed = match &*self.allowed {
            Ok(allowed) => allowed,
            Err(error) => {
                eprintln!("{component}: every outbound request is denied: allowed_outbound_hosts: {error:#}");
                return false;
            }
        };
        // A relative request has an authority without a host. It would go to the application itself.
        let absolute = uri.host().is_some_and(|host| !host.is_empty());
        let url = Url::parse(&uri.to_string()).ok().filter(|_| absolute);
        if url.is_some_and(|url| allowed.allows(&url)) {
            return true;
        }
        let origin = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or("https"),
            uri.authority().map_or("", |a| a.as_str())
        );
        eprintln!("{component}: outbound request to {origin} denied: it is not in allowed_outbound_hosts");
        false
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<HyperOutgoingBody>,
        config: OutgoingRequestConfig,
    ) -> HttpResult<HostFutureIncomingResponse> {
        if !self.allows(request.uri()) {
            return Ok(HostFutureIncomingResponse::ready(Ok(Err(ErrorCode::HttpRequestDenied))));
        }
        let sending = send(self.client.clone(), request, config);
        Ok(HostFutureIncomingResponse::pending(wasmtime_wasi::runtime::spawn(
            async { Ok(sending.await) },
        )))
    }
}

/// The first-byte timeout covers everything up to the head of the answer.
async fn send(
    client: HttpClient,
    mut request: Request<HyperOutgoingBody>,
    config: OutgoingRequestConfig,
) -> Result<IncomingResponse, ErrorCode> {
    // The client sets it from the URI.
    request.headers_mut().remove(HOST);
    let sending = CONNECT_TIMEOUT.scope(config.connect_timeout, client.0.request(request));
    let response = timeout(config.first_byte_timeout, sending)
        .await
        .map_err(|_| ErrorCode::ConnectionReadTimeout)?
        .map_err(|error| error_code(&error, config.use_tls))?;
    Ok(IncomingResponse {
        resp: response.map(|body| body.map_err(hyper_request_error).boxed_unsync()),
        worker: None,
        between_bytes_timeout: config.between_bytes_timeout,
    })
}

fn error_code(error: &hyper_util::client::legacy::Error, use_tls: bool) -> ErrorCode {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    match causes.find_map(|cause| cause.downcast_ref::<ErrorCode>()) {
        Some(code) => code.clone(),
        None if error.is_connect() && use_tls => ErrorCode::TlsProtocolError,
        None => ErrorCode::HttpProtocolError,
    }
}

/// Resolves a name and connects, the latter within [`CONNECT_TIMEOUT`].
#[derive(Clone)]
struct TcpConnector;

impl tower_service::Service<Uri> for TcpConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ErrorCode;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect_timeout = CONNECT_TIMEOUT
            .try_with(|timeout| *timeout)
            .unwrap_or(Duration::from_secs(600));
        Box::pin(connect(uri, connect_timeout))
    }
}

async fn connect(uri: Uri, connect_timeout: Duration) -> Result<TokioIo<TcpStream>, ErrorCode> {
    let host = uri.host().ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri
        .port_u16()
        .unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let no_address = |_| {
        let rcode = Some("address not available".to_owned());
        ErrorCode::DnsError(DnsErrorPayload {
            rcode,
            info_code: Some(0),
        })
    };
    let addresses: Vec<_> = tokio::net::lookup_host((host, port))
        .await
        .map_err(no_address)?
        .collect();
    let stream = timeout(connect_timeout, TcpStream::connect(&*addresses))
        .await
        .map_err(|_| ErrorCode::ConnectionTimeout)?
        .map_err(|_| ErrorCode::ConnectionRefused)?;
    Ok(TokioIo::new(stream))
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::variables::Variables;

    fn config(first_byte_timeout: Duration) -> OutgoingRequestConfig {
        let long = Duration::from_secs(60);
        OutgoingRequestConfig {
            use_tls: false,
            connect_timeout: long,
            first_byte_timeout,
            between_bytes_timeout: long,
        }
    }

    fn request(origin: &str) -> Request<HyperOutgoingBody> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Request::get(format!("{origin}/a?b=c")).body(body).expect("a request")
    }

    fn outbound(entries: &[&str]) -> Outbound {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Outbound::new(
            HttpClient::new(),
            "worker",
            AllowedHosts::parse(&entries, &Variables::default()),
        )
    }

    #[tokio::test]
    async fn a_request_is_sent_with_its_host_and_connections_are_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut heads = String::new();
            for _ in 0..2 {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a request"));
                }
                heads.push_str(&String::from_utf8_lossy(&head));
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await
                    .expect("writes");
            }
            heads
        });
        let client = HttpClient::new();
        for _ in 0..2 {
            let answer = send(client.clone(), request(&origin), config(Duration::from_secs(60)))
                .await
                .expect("an answer");
            let body = answer.resp.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body, "ok");
        }
        let heads = server.await.expect("the server saw one connection");
        assert!(heads.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{heads}");
        assert!(
            heads.contains(&format!("host: {}\r\n", &origin["http://".len()..])),
            "{heads}"
        );
    }

    #[tokio::test]
    async fn what_fails_has_its_own_code() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", silent.local_addr().expect("an address"));
        let late = send(HttpClient::new(), request(&origin), config(Duration::from_millis(10))).await;
        assert!(matches!(late, Err(ErrorCode::ConnectionReadTimeout)));
        let answering = tokio::spawn(async move {
            while let Ok((mut stream, _)) = silent.accept().await {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
            }
        });
        let https = origin.replace("http:", "https:");
        let config_tls = OutgoingRequestConfig {
            use_tls: true,
            ..config(Duration::from_secs(60))
        };
        let no_tls = send(HttpClient::new(), request(&https), config_tls).await;
        assert!(matches!(no_tls, Err(ErrorCode::TlsProtocolError)));

        answering.abort();
        answering.await.expect_err("aborted");
        let refused = send(HttpClient::new(), request(&origin), config(Duration::from_secs(60))).await;
        assert!(matches!(refused, Err(ErrorCode::ConnectionRefused)));
    }

    #[test]
    fn only_allowed_hosts_and_none_at_all_after_a_bad_entry() {
        let uri = |text: &str| text.parse::<Uri>().expect("a URI");
        assert!(outbound(&["http://a.example:80"]).allows(&uri("http://a.example/x")));
        assert!(!outbound(&["http://a.example:80"]).allows(&uri("https://a.example/x")));
        assert!(!outbound(&["http://a.example:80", ""]).allows(&uri("http://a.example/x")));
        assert!(!outbound(&["*://*:*"]).allows(&uri("/relative")));
    }
}
