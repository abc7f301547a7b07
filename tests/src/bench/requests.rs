//! What requests take of the processor that strangers can send: one without a signature, and one whose signature is wrong.

use crate::args::{Args, Host};
use crate::running::Running;
use crate::table::{Table, Unit, spinner};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use simulator::deliveries::events_api_headers;
use simulator::times::now_ms;
use tests::client::announced;
use tests::world::secrets;
use tokio::net::TcpStream;

/// The route that takes the largest bodies.
const ROUTE: &str = "/webhooks/akeneo/events-api";

/// What the body of a delivery may have there, in MiB.
const BODY_MIB: usize = 16;

/// Another secret that a signature is tried with.
const PREVIOUS: (&str, &str) = ("events_api_secret_previous", "an-older-secret");

/// How many secrets there are then.
const SECRETS: usize = 2;

/// How many signatures of a request are looked at.
const SIGNATURES: usize = 4;

/// What a request without a signature is to take at most, in milliseconds.
const UNSIGNED_MAX_MS: f64 = 5.0;

/// What a mebibyte behind a wrong signature is to take at most for each secret, in milliseconds.
const FORGED_MAX_MS: f64 = 10.0;

/// How many requests without a signature there are for each with a wrong one.
const UNSIGNED_EACH: usize = 25;

/// Measures it on a host.
pub(crate) async fn measure(args: &Args, host: Host, table: &mut Table) -> Result<()> {
    let spinner = spinner("requests that nobody signed");
    let (name, secret) = PREVIOUS;
    let running = Running::start(host, secrets().with(name, secret)).await?;
    // What the first ones take is not counted.
    unsigned(&running, 1).await?;
    forged(&running, 1).await?;

    let count = args.forged * UNSIGNED_EACH;
    let before_ms = used_ms(&running)?;
    unsigned(&running, count).await?;
    let unsigned_ms = (used_ms(&running)? - before_ms) / count as f64;

    let before_ms = used_ms(&running)?;
    forged(&running, args.forged).await?;
    let parts = args.forged * BODY_MIB * SECRETS;
    let forged_ms = (used_ms(&running)? - before_ms) / parts as f64;
    spinner.finish_and_clear();

    let what = "processor's time of a request without a signature, limit";
    table.tell(what, Some(host), Unit::Ms, (unsigned_ms, UNSIGNED_MAX_MS))?;
    let what = "processor's time of a MiB behind a wrong one, a secret, limit";
    table.tell(what, Some(host), Unit::Ms, (forged_ms, FORGED_MAX_MS))
}

/// The processor time that the host has used so far, in milliseconds.
fn used_ms(running: &Running) -> Result<f64> {
    let used = running.processor_time().context("this system does not tell it")?;
    Ok(used.as_secs_f64() * 1000.0)
}

/// Announces bodies that nobody signed.
async fn unsigned(running: &Running, count: usize) -> Result<()> {
    let host = running.url.trim_start_matches("http://");
    for _ in 0..count {
        let mut stream = TcpStream::connect(host).await?;
        let answer = announced(&mut stream, ROUTE, host, &[], BODY_MIB << 20).await?;
        ensure!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    Ok(())
}

/// Sends bodies whose signatures are wrong.
async fn forged(running: &Running, count: usize) -> Result<()> {
    let body = Bytes::from(vec![b'['; BODY_MIB << 20]);
    let mut headers = events_api_headers(b"", "guessed", now_ms() / 1000);
    let signature = headers.iter().find(|(_, value)| value.len() == 64).cloned();
    let signature = signature.context("there is a signature")?;
    headers.extend(std::iter::repeat_n(signature, SIGNATURES - 1));
    for _ in 0..count {
        let answer = running.request(Method::POST, ROUTE, &headers, body.clone()).await?;
        ensure!(answer.status == 401, "{}: {}", answer.status, answer.json());
    }
    Ok(())
}
