//! An HTTP client, over TLS where the address says so.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A header's value, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Makes one request.
///
/// # Errors
/// If there is no answer.
pub async fn request(
    method: Method,
    url: &str,
    headers: &[(String, String)],
    body: impl Into<Bytes>,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body.into()))?;
    let builder = Client::builder(TokioExecutor::new());
    let response = match url.starts_with("https://") {
        true => builder.build(over_tls()).request(request).await?,
        false => builder.build_http().request(request).await?,
    };
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// Connections that are TLS where the address says so, with certificates that everybody trusts.
pub fn over_tls() -> HttpsConnector<HttpConnector> {
    let builder = HttpsConnectorBuilder::new().with_webpki_roots();
    builder.https_or_http().enable_http1().build()
}

/// The header that carries a bearer token.
pub fn bearer(token: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {token}"))
}

/// Sends a body that has neither a length nor an end, one byte more than so many times 64 KiB of it, until an answer comes;
/// gives the answer.
///
/// # Errors
/// If the connection breaks before there is an answer.
pub async fn endless(
    stream: &mut TcpStream,
    path: &str,
    host: &str,
    headers: &[(String, String)],
    chunks: usize,
) -> Result<String> {
    let (mut reader, mut writer) = stream.split();
    let length = ("transfer-encoding".to_owned(), "chunked".to_owned());
    writer.write_all(head(path, host, headers, length).as_bytes()).await?;
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let flood = async {
        // Then nothing: what is left unread when the other side closes could cost the answer.
        for _ in 0..chunks {
            writer.write_all(&chunk).await?;
        }
        writer.write_all(b"1\r\n \r\n").await?;
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        answer = refusal(&mut reader) => answer,
        broken = flood => broken.map(|()| String::new()),
    }
}

/// Sends a body of which the length is not told, in pieces of 64 KiB, and gives the answer.
///
/// # Errors
/// If the connection breaks before there is an answer.
pub async fn unmeasured(
    stream: &mut TcpStream,
    path: &str,
    host: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<String> {
    let (mut reader, mut writer) = stream.split();
    let length = ("transfer-encoding".to_owned(), "chunked".to_owned());
    writer.write_all(head(path, host, headers, length).as_bytes()).await?;
    let sending = async {
        for piece in body.chunks(0x10000) {
            writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            writer.write_all(piece).await?;
            writer.write_all(b"\r\n").await?;
        }
        writer.write_all(b"0\r\n\r\n").await?;
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        answer = refusal(&mut reader) => answer,
        broken = sending => broken.map(|()| String::new()),
    }
}

/// An answer that ends with a document of JSON; or as much of it as came.
async fn refusal(reader: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"}") {
        match reader.read(&mut part).await? {
            0 => break,
            read => answer.extend(&part[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Announces a body of this length, sends none of it, and gives the answer.
///
/// # Errors
/// If the connection breaks before there is an answer.
pub async fn announced(
    stream: &mut TcpStream,
    path: &str,
    host: &str,
    headers: &[(String, String)],
    length: usize,
) -> Result<String> {
    let length = ("content-length".to_owned(), length.to_string());
    stream.write_all(head(path, host, headers, length).as_bytes()).await?;
    refusal(stream).await
}

fn head(path: &str, host: &str, headers: &[(String, String)], length: (String, String)) -> String {
    let lines = headers.iter().chain([&length]);
    let lines: String = lines.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n")
}
