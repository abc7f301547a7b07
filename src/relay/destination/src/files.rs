//! How a file is sent. Its content never changes under its path.

use crate::Destination;
use http::{Method, Request, Response};
use model::entity::digest;
use model::failure::Failure;
use world::host::Host;

impl<H: Host> Destination<'_, H> {
    /// The request that a file is sent with, its content still to come. The content of a file never changes under its
    /// path, so the idempotency key comes of the path alone; and of `forced_s`, in seconds since the Unix epoch, if a
    /// person asked at that moment for the file once more.
    pub fn file(
        &self,
        circuit: &str,
        method: &Method,
        path: &str,
        forced_s: Option<u64>,
        token: Option<&str>,
    ) -> Result<Request<Vec<u8>>, Failure> {
        let key = match forced_s {
            Some(forced_s) => digest(format!("{path}\n{forced_s}").as_bytes()),
            None => digest(path.as_bytes()),
        };
        self.request(circuit, &self.shape.headers, (method, path), key, Vec::new(), token)
    }

    /// How long the answer to a file asks to wait, in seconds, where that is told otherwise than by `Retry-After`.
    pub fn wait_of_file(&self, response: &Response<Vec<u8>>) -> Option<u64> {
        let turns_away = matches!(response.status().as_u16(), 429 | 503);
        let headers = response.headers();
        self.shape
            .limits
            .seconds(turns_away, headers, None, self.governor.now_ms())
    }
}
