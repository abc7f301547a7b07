//! What a component costs that only keeps what it is sent, under a key of its own. Ingest is measured by it.

use spin_sdk::http::{Request, Response};
use spin_sdk::http_component;
use spin_sdk::key_value::Store;
use wasi::random::random::get_random_u64;

#[http_component]
fn handle(request: Request) -> anyhow::Result<Response> {
    let key = format!("reference.{:016x}{:016x}", get_random_u64(), get_random_u64());
    Store::open_default()?.set(&key, request.body())?;
    Ok(Response::new(200, ()))
}
