//! A signed delivery to the public address, before Akeneo is told of it.
//!
//! A secret that the relay does not take yet, an address that redirects, or one where nobody answers would have Akeneo
//! suspend the subscription (contract 3.3). The event is of a type that nobody has, so that it is acknowledged and leaves
//! nothing behind.

use crate::management::Trouble;
use crate::wanted::Wanted;
use hmac::{Hmac, Mac};
use http::Request;
use preflight::calls::ask;
use serde_json::json;
use sha2::Sha256;
use std::fmt::Write;
use upstream::governor::Governor;
use world::host::Host;

/// The type of the event, which is none of Akeneo's.
const TYPE: &str = "com.akeneo.pim.v1.relay.connecting";

/// Has the address take a delivery signed with the new secret, and one signed with the previous one if there is one.
///
/// # Errors
/// What the address answered instead of 200.
pub async fn prove<H: Host>(governor: &Governor<'_, H>, wanted: &Wanted) -> Result<(), Trouble> {
    let secrets = [Some(&wanted.secrets.primary), wanted.secrets.secondary.as_ref()];
    for secret in secrets.into_iter().flatten() {
        let body = json!({
            "specversion": "1.0",
            "id": "00000000-0000-4000-8000-000000000000",
            "source": "pim",
            "type": TYPE,
            "datacontenttype": "application/json",
            "time": model::time::text(governor.now_ms() / 1000),
            "data": {},
        });
        let body = body.to_string().into_bytes();
        let request = Request::post(wanted.url())
            .header("content-type", "application/json")
            .header("x-akeneo-signature-algorithm", "HmacSHA256")
            .header("x-akeneo-signature-primary", signature(secret, &body))
            .body(body);
        let answer = ask(governor, request).await.map_err(|reason| Trouble {
            what: format!("{} takes no delivery: {reason}", wanted.url()),
            remedy: "see public_url, its certificate and the proxy, and ask again".to_owned(),
        })?;
        if answer.status() != 200 {
            return Err(Trouble {
                what: format!("{} answers {} to a delivery signed with the secret", wanted.url(), answer.status().as_u16()),
                remedy: "Akeneo was told nothing. 401: restart the relay with the secret in event_platform_secret; else see the address by `cargo xtask preflight`".to_owned(),
            });
        }
    }
    Ok(())
}

/// The signature of a body, in hexadecimal digits (contract 3.2).
#[expect(clippy::disallowed_methods, reason = "it is sent, and compared with nothing")]
fn signature(secret: &str, body: &[u8]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    let digest = mac.chain_update(body).finalize().into_bytes();
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
