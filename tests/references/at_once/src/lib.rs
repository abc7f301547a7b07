//! What a component costs that does nothing: it reads a request and answers. Ingest is measured by it.

use spin_sdk::http::{Request, Response};
use spin_sdk::http_component;

#[http_component]
fn handle(_request: Request) -> Response {
    Response::new(200, ())
}
