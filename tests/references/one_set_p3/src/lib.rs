//! What a component costs on WASI 0.3 that only keeps what it is sent, under a key of its own. Ingest on 0.3 is measured
//! by it.

use http_body_util::BodyExt;
use spin_sdk::http::{EmptyBody, IntoResponse, Request, StatusCode};
use spin_sdk::http_service;
use spin_sdk::key_value::Store;
use spin_sdk::wasip3::random::random::get_random_u64;

#[http_service]
async fn handle(request: Request) -> anyhow::Result<impl IntoResponse> {
    let body = request.into_body().collect().await?.to_bytes();
    let key = format!("reference.{:016x}{:016x}", get_random_u64(), get_random_u64());
    Store::open_default().await?.set(&key, &body).await?;
    Ok((StatusCode::OK, EmptyBody::new()))
}
