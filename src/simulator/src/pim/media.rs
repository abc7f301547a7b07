//! Files of attributes (Akeneo's REST reference, `GET /media-files/{code}/download`).

use bytes::Bytes;
use http::Response;

use super::Pim;
use super::answer::Refusal;
use crate::fault::set_header;

/// What a file of this code and size, in bytes, holds.
pub fn content(code: &str, size: usize) -> Vec<u8> {
    let seed = code
        .bytes()
        .fold(11_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut content = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut content);
    content
}

impl Pim {
    pub(super) fn media(&self, code: &str) -> Result<Response<Bytes>, Refusal> {
        let size = self.config.media.get(code);
        let missing = || Refusal::new(404, &format!("Media file \"{code}\" does not exist."));
        let mut response = Response::new(Bytes::from(content(code, *size.ok_or_else(missing)?)));
        let of_type = match code.rsplit('.').next() {
            Some("pdf") => "application/pdf",
            Some("jpg") => "image/jpeg",
            _ => "application/octet-stream",
        };
        set_header(&mut response, "content-type", of_type);
        if self.config.media_in_chunks {
            set_header(&mut response, "transfer-encoding", "chunked");
        }
        Ok(response)
    }
}
